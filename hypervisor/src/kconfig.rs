// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kconfig fragments: the lines that a profile asks for, and the check that Xen's final
//! configuration really has them.
//!
//! Kconfig drops a line silently when the option is unknown, when something it depends on is off,
//! or when another option overrules it. Here that is an error which names the lines.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One option with its value: `CONFIG_HVM=y`, or `# CONFIG_HVM is not set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// With the prefix: `CONFIG_HVM`.
    pub name: String,
    /// What follows the `=`, quotes included; none: the option is off.
    pub value: Option<String>,
}

impl Setting {
    /// Reads one line; `Ok(None)` for comments and empty lines.
    fn parse(line: &str) -> Result<Option<Self>, ()> {
        let line = line.trim_end();
        let off = line.strip_prefix("# ").and_then(|l| l.strip_suffix(" is not set"));
        if let Some(name) = off.filter(|name| is_name(name)) {
            return Ok(Some(Self { name: name.to_owned(), value: None }));
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        match line.split_once('=') {
            // `=n` means the same, but Kconfig never writes it.
            Some((name, value)) if is_name(name) && !value.is_empty() && value != "n" => {
                Ok(Some(Self { name: name.to_owned(), value: Some(value.to_owned()) }))
            }
            _ => Err(()),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => write!(f, "# {} is not set", self.name),
        }
    }
}

fn is_name(text: &str) -> bool {
    text.strip_prefix("CONFIG_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// A setting and the place that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// What errors call the fragment: `server.config`.
    fragment: String,
    /// Counted from 1.
    number: usize,
    setting: Setting,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.fragment, self.number, self.setting)
    }
}

/// A fragment that does not serve.
#[derive(Debug, thiserror::Error)]
pub enum KconfigError {
    /// The file cannot be read.
    #[error("reading the Kconfig fragment {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no fragment of that name.
    #[error("there is no Kconfig fragment {name:?}; there are {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A line that is neither a setting nor a comment.
    #[error(
        "{fragment}:{line}: not a Kconfig setting: {text:?} \
         (CONFIG_X=value, or \"# CONFIG_X is not set\")"
    )]
    Line {
        /// The fragment.
        fragment: String,
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// Two lines of one fragment want different things.
    #[error("{second} contradicts {first}")]
    Contradiction {
        /// The earlier line, with its place.
        first: String,
        /// The later line, with its place.
        second: String,
    },
    /// The final configuration is not what the fragments ask for.
    #[error(
        "Xen's final configuration does not have what the Kconfig fragments ask for:\n  {}\n\
         the option does not exist in this version of Xen, or something that it depends on is off",
        lines.join("\n  ")
    )]
    Dropped {
        /// Each missing line with its place and with what came instead.
        lines: Vec<String>,
    },
    /// The final configuration cannot be understood.
    #[error("line {line} of Xen's final configuration is not a setting: {text:?}")]
    Final {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

/// What all fragments of a profile ask for. Where they differ the later fragment wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kconfig {
    /// Each option once, in the order of its first line.
    lines: Vec<Line>,
}

impl Kconfig {
    /// Reads fragments: a plain name (`server` or `server.config`) is a file of `folder`, anything
    /// with a slash is a path.
    ///
    /// # Errors
    /// A missing or malformed file, or contradictory lines in one.
    pub fn load<S: AsRef<str>>(folder: &Path, names: &[S]) -> Result<Self, KconfigError> {
        let mut fragments = Vec::new();
        for name in names {
            let name = name.as_ref();
            let path = if name.contains('/') {
                PathBuf::from(name)
            } else {
                let path = folder.join(format!("{}.config", name.trim_end_matches(".config")));
                if !path.exists() {
                    let known = known(folder)?;
                    return Err(KconfigError::Unknown { name: name.to_owned(), known });
                }
                path
            };
            let text = fs::read_to_string(&path)
                .map_err(|source| KconfigError::Read { path: path.clone(), source })?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            fragments.push((file, text));
        }
        Self::parse(fragments)
    }

    /// Reads fragments from their texts, each with the name that errors use.
    ///
    /// # Errors
    /// Malformed or contradictory lines.
    pub fn parse<I>(fragments: I) -> Result<Self, KconfigError>
    where
        I: IntoIterator<Item = (String, String)>,
    {
        let mut lines: Vec<Line> = Vec::new();
        for (fragment, text) in fragments {
            let own = parse_one(&fragment, &text)?;
            for line in own {
                match lines.iter_mut().find(|l| l.setting.name == line.setting.name) {
                    Some(earlier) => *earlier = line,
                    None => lines.push(line),
                }
            }
        }
        Ok(Self { lines })
    }

    /// What `make olddefconfig` starts from: every setting once. Comments and the names of the
    /// fragments are not part of it, so that they do not decide about a rebuild.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.setting)).collect()
    }

    /// Checks that every line holds in the final `.config`.
    ///
    /// # Errors
    /// Lines that do not hold, all of them with what came instead; or a text that is no `.config`.
    pub fn check(&self, final_config: &str) -> Result<(), KconfigError> {
        let mut settings = Vec::new();
        for (line, text) in (1..).zip(final_config.lines()) {
            let setting = Setting::parse(text)
                .map_err(|()| KconfigError::Final { line, text: text.to_owned() })?;
            settings.extend(setting);
        }
        let missing = |line: &Line| {
            let instead = match settings.iter().find(|s| s.name == line.setting.name) {
                Some(got) if *got == line.setting => return None,
                Some(got) => format!("is {got}"),
                None => "is not there at all".to_owned(),
            };
            Some(format!("{line} ({instead})"))
        };
        let lines: Vec<String> = self.lines.iter().filter_map(missing).collect();
        if lines.is_empty() { Ok(()) } else { Err(KconfigError::Dropped { lines }) }
    }
}

fn parse_one(fragment: &str, text: &str) -> Result<Vec<Line>, KconfigError> {
    let mut lines: Vec<Line> = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        let setting = Setting::parse(text).map_err(|()| KconfigError::Line {
            fragment: fragment.to_owned(),
            line: number,
            text: text.to_owned(),
        })?;
        let Some(setting) = setting else { continue };
        let line = Line { fragment: fragment.to_owned(), number, setting };
        match lines.iter().find(|l| l.setting.name == line.setting.name) {
            Some(first) if first.setting != line.setting => {
                let (first, second) = (first.to_string(), line.to_string());
                return Err(KconfigError::Contradiction { first, second });
            }
            Some(_) => {}
            None => lines.push(line),
        }
    }
    Ok(lines)
}

fn known(folder: &Path) -> Result<Vec<String>, KconfigError> {
    let failed = |source| KconfigError::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".config").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fragments of this repository.
    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("kconfig")
    }

    fn golden(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kconfig").join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn one(text: &str) -> Result<Kconfig, KconfigError> {
        Kconfig::parse([("a.config".to_owned(), text.to_owned())])
    }

    #[test]
    fn the_final_configuration_of_the_default_fragments_passes() {
        let kconfig = Kconfig::load(&folder(), &["server", "shadow"]).unwrap();
        kconfig.check(&golden("good.config")).unwrap();
    }

    #[test]
    fn lines_that_kconfig_dropped_are_named_with_what_came_instead() {
        let kconfig =
            Kconfig::parse([("wanted.config".to_owned(), golden("bad.fragment"))]).unwrap();
        let error = kconfig.check(&golden("good.config")).unwrap_err().to_string();
        assert_eq!(error, golden("bad.error").trim_end());
    }

    #[test]
    fn lines_that_are_no_settings_are_refused() {
        let bad =
            ["HVM=y", "CONFIG_HVM", "CONFIG_HVM=", "CONFIG_HVM=n", "CONFIG_=y", "CONFIG_A B=y"];
        for line in bad {
            let error = one(&format!("# comment\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains("a.config:2") && error.contains(line), "{error}");
        }
    }

    #[test]
    fn contradictions_are_refused_and_repetitions_are_not() {
        let error = one("CONFIG_HVM=y\n# CONFIG_HVM is not set\n").unwrap_err();
        assert!(matches!(error, KconfigError::Contradiction { .. }), "{error}");
        assert_eq!(one("CONFIG_HVM=y\nCONFIG_HVM=y\n").unwrap().text(), "CONFIG_HVM=y\n");
    }

    #[test]
    fn a_later_fragment_wins_and_is_the_one_that_is_checked() {
        let with = Kconfig::load(&folder(), &["server", "no-shadow.config", "shadow"]).unwrap();
        with.check(&golden("good.config")).unwrap();
        let without = Kconfig::load(&folder(), &["server", "shadow", "no-shadow"]).unwrap();
        let error = without.check(&golden("good.config")).unwrap_err().to_string();
        assert!(error.contains("no-shadow.config:2: # CONFIG_SHADOW_PAGING is not set"), "{error}");
    }

    #[test]
    fn an_unknown_fragment_lists_the_known_ones() {
        let error = Kconfig::load(&folder(), &["sever"]).unwrap_err().to_string();
        assert!(
            error.contains("\"sever\"") && error.contains("no-shadow, server, shadow"),
            "{error}"
        );
    }

    #[test]
    fn comments_do_not_change_the_text_that_the_build_is_keyed_by() {
        let plain = one("CONFIG_HVM=y\n# CONFIG_PV is not set\n").unwrap();
        let noted = one("# why\n\nCONFIG_HVM=y\n# more\n# CONFIG_PV is not set\n").unwrap();
        assert_eq!(plain.text(), noted.text());
        assert_eq!(plain.text(), "CONFIG_HVM=y\n# CONFIG_PV is not set\n");
    }
}
