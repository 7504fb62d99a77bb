// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which keyboards and time zones the running system has, which is the one that is installed.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use appliance_model::nearest;

use crate::answers::{AnswersError, Keymap, Problem, RegionalAnswer};
use crate::program::{Program, ProgramError};

/// Where keymaps of PC keyboards are, in folders by layout.
const KEYMAPS: &str = "usr/share/keymaps/i386";
/// How the files of keymaps end.
const ENDINGS: &[&str] = &[".kmap.gz", ".map.gz", ".kmap"];
/// Where the time zone database is.
const ZONES: &str = "usr/share/zoneinfo";
/// How a compiled zone begins (RFC 9636, section 3.1).
const MAGIC: &[u8] = b"TZif";
/// Names in the folder that are no zones: other countings, and files for programs.
const NO_ZONES: &[&str] = &["posix", "right", "posixrules", "localtime", "Factory"];
/// The console whose keyboard is set; all of them share it.
const CONSOLE: &str = "/dev/tty1";

/// Keyboard without anybody's choice.
pub const DEFAULT_KEYMAP: &str = "us";
/// Zone without anybody's choice.
pub const DEFAULT_ZONE: &str = "UTC";

/// What can be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regional {
    /// Names of keymaps, sorted.
    pub keymaps: Vec<String>,
    /// Names of time zones, sorted.
    pub zones: Vec<String>,
}

impl Regional {
    /// What the system at `root` has; a folder that is not there has nothing.
    ///
    /// # Errors
    /// A folder or file that cannot be read.
    pub fn look(root: &Path) -> io::Result<Self> {
        let (mut keymaps, mut zones) = (Vec::new(), Vec::new());
        walk(&root.join(KEYMAPS), "", &mut |path, _| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let name = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
            keymaps.extend(name.filter(|name| name.parse::<Keymap>().is_ok()).map(str::to_owned));
            Ok(())
        })?;
        walk(&root.join(ZONES), "", &mut |path, file| {
            let top = path.split('/').next().unwrap_or(path);
            if !NO_ZONES.contains(&top) && starts_with(file, MAGIC)? {
                zones.push(path.to_owned());
            }
            Ok(())
        })?;
        keymaps.sort();
        keymaps.dedup();
        zones.sort();
        Ok(Self { keymaps, zones })
    }

    /// Holds the answers against what is there.
    ///
    /// # Errors
    /// Every name that is not there, with the nearest one that is.
    pub fn check(&self, answers: &RegionalAnswer) -> Result<(), AnswersError> {
        let keymap = answers.keymap.as_ref().map(|keymap| ("keymap", keymap.as_str()));
        let zone = answers.zone.as_ref().map(|zone| ("time.zone", zone.as_str()));
        let mut problems = Vec::new();
        for ((key, name), known) in
            keymap.into_iter().map(|k| (k, &self.keymaps)).chain(zone.map(|z| (z, &self.zones)))
        {
            if !known.iter().any(|there| there == name) {
                let what = if key == "keymap" { "keymap" } else { "time zone" };
                problems.push(Problem {
                    key: key.to_owned(),
                    message: format!("this image has no {what} {name:?}"),
                    hint: Some(match nearest(name, known.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean {near:?}?"),
                        None => format!("the installer's screens list all {}", known.len()),
                    }),
                });
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(AnswersError { problems }),
        }
    }

    /// The first parts of the zones' names, each once; zones without a second part are their own.
    #[must_use]
    pub fn regions(&self) -> Vec<&str> {
        let first = |zone: &'_ String| zone.split('/').next().map(str::len).unwrap_or_default();
        let mut regions: Vec<&str> = self.zones.iter().map(|zone| &zone[..first(zone)]).collect();
        regions.dedup();
        regions
    }

    /// The rest of the names of a region's zones; empty for a region that is a zone itself.
    #[must_use]
    pub fn cities(&self, region: &str) -> Vec<&str> {
        let rest = |zone: &'_ String| zone.strip_prefix(region)?.strip_prefix('/').map(str::len);
        let cities = self.zones.iter().filter_map(|zone| Some((zone, rest(zone)?)));
        cities.map(|(zone, length)| &zone[zone.len() - length..]).collect()
    }
}

/// Hands each file below `folder` on, by its path from there.
fn walk(
    folder: &Path,
    prefix: &str,
    found: &mut dyn FnMut(&str, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), &path, found)?,
            false => found(&path, &entry.path())?,
        }
    }
    Ok(())
}

fn starts_with(file: &Path, magic: &[u8]) -> io::Result<bool> {
    let mut start = Vec::new();
    fs::File::open(file)?.take(magic.len() as u64).read_to_end(&mut start)?;
    Ok(start == magic)
}

/// Gives the machine's own keyboard this keymap at once; serial lines and SSH keep theirs.
///
/// # Errors
/// loadkeys(1) does not take it.
pub fn apply_keymap(keymap: &Keymap) -> Result<(), ProgramError> {
    let program = Program::new("loadkeys").args(["--quiet", "--unicode", "--console", CONSOLE]);
    program.args(["--", keymap.as_str()]).run().map(drop)
}

#[cfg(test)]
mod tests;
