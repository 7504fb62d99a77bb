// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inheritance: reads a chain of profiles and merges their tables.

use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::schema::{TABLES, TOP, nearest};
use super::{MAX_DEPTH, ProfileError};

/// Where profiles are.
pub(super) struct Place<'a> {
    /// The folder in which a bare name is looked for that is not beside the file.
    pub(super) known: &'a Path,
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl Place<'_> {
    /// The file that `path` means by `inherit = "parent"`.
    fn parent(&self, path: &Path, parent: &str) -> PathBuf {
        let beside = path.with_file_name(parent);
        let known = self.known.join(parent);
        let missing = |path: &Path| {
            (self.read)(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let elsewhere = !parent.contains('/') && missing(&beside) && !missing(&known);
        if elsewhere { known } else { beside }
    }
}

/// Reads `path` and what it inherits into one table; `files` gets every file read.
pub(super) fn load(
    path: &Path,
    place: &Place<'_>,
    files: &mut Vec<PathBuf>,
) -> Result<Table, ProfileError> {
    if files.len() >= MAX_DEPTH || files.iter().any(|file| file == path) {
        return Err(ProfileError::Cycle { path: path.to_owned() });
    }
    let inherited_by = files.last().cloned();
    files.push(path.to_owned());
    let text = (place.read)(path).map_err(|source| ProfileError::Read {
        path: path.to_owned(),
        inherited_by,
        source,
    })?;
    let syntax = |source| ProfileError::Syntax { path: path.to_owned(), source: Box::new(source) };
    let mut own: Table = toml::from_str(&text).map_err(syntax)?;
    check_keys(path, &own)?;
    let mut merged = match own.remove("inherit") {
        None => Table::new(),
        Some(Value::String(parent)) => load(&place.parent(path, &parent), place, files)?,
        Some(other) => {
            let why = format!("inherit must be a file name, not {}", other.type_str());
            return Err(syntax(serde::de::Error::custom(why)));
        }
    };
    merge(path, "", &mut merged, own)?;
    Ok(merged)
}

fn check_keys(path: &Path, table: &Table) -> Result<(), ProfileError> {
    let unknown = |key: String, nearest| {
        Err(ProfileError::UnknownKey { path: path.to_owned(), key, nearest })
    };
    for (key, value) in table {
        let known = TABLES.iter().find(|(name, _)| name == key);
        match (known, value) {
            (Some((name, keys)), Value::Table(inner)) => {
                if let Some(bad) = inner.keys().find(|key| !keys.contains(&key.as_str())) {
                    return unknown(format!("{name}.{bad}"), nearest(Some(name), bad));
                }
            }
            (Some(_), _) => {}
            (None, _) if TOP.contains(&key.as_str()) => {}
            (None, _) => return unknown(key.clone(), nearest(None, key)),
        }
    }
    Ok(())
}

/// Lays `own` over `base`.
fn merge(path: &Path, prefix: &str, base: &mut Table, own: Table) -> Result<(), ProfileError> {
    for (key, value) in own {
        let name = format!("{prefix}{key}");
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(own)) => {
                merge(path, &format!("{name}."), base, own)?;
            }
            (None, Value::Table(own)) => {
                let mut fresh = Table::new();
                merge(path, &format!("{name}."), &mut fresh, own)?;
                base.insert(key, Value::Table(fresh));
            }
            (inherited, Value::Array(own)) => {
                let mut list = match inherited {
                    Some(Value::Array(list)) => std::mem::take(list),
                    _ => Vec::new(),
                };
                merge_list(path, &name, &mut list, own)?;
                base.insert(key, Value::Array(list));
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    Ok(())
}

fn merge_list(
    path: &Path,
    key: &str,
    list: &mut Vec<Value>,
    own: Vec<Value>,
) -> Result<(), ProfileError> {
    for value in own {
        let removed = value.as_str().and_then(|text| text.strip_prefix('-')).map(str::to_owned);
        match removed {
            None if list.contains(&value) => {}
            None => list.push(value),
            Some(element) => {
                let found = list.iter().position(|v| v.as_str() == Some(&element));
                let at = found.ok_or_else(|| ProfileError::NotThere {
                    path: path.to_owned(),
                    key: key.to_owned(),
                    element,
                })?;
                list.remove(at);
            }
        }
    }
    Ok(())
}
