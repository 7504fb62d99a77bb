// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Debian mirrors that the host's own apt uses, on a Debian host.

use std::io;
use std::path::{Path, PathBuf};

use appliance_model::lock::Archive;

use crate::debian::deb822;

/// Suites of Debian; other distributions name theirs differently.
const SUITES: [&str; 12] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// The configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading the apt configuration {}", path.display())]
pub struct AptError {
    /// The file or folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// Archives with their addresses and the file that names them.
pub(super) fn of_host() -> Result<Vec<(Archive, String, String)>, AptError> {
    read(Path::new("/etc/apt"))
}

fn read(folder: &Path) -> Result<Vec<(Archive, String, String)>, AptError> {
    let mut files = vec![folder.join("sources.list")];
    let parts = folder.join("sources.list.d");
    match std::fs::read_dir(&parts) {
        Ok(entries) => {
            let mut names: Vec<PathBuf> =
                entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
            names.sort();
            files.extend(names);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(AptError { path: parts, source }),
    }
    let mut found: Vec<(Archive, String, String)> = Vec::new();
    for path in files {
        let deb822 = match path.extension().and_then(|e| e.to_str()) {
            Some("list") => false,
            Some("sources") => true,
            _ => continue,
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // An entry for another archive may be readable for root alone, for its password.
            Err(e)
                if [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied]
                    .contains(&e.kind()) =>
            {
                continue;
            }
            Err(source) => return Err(AptError { path, source }),
        };
        for (archive, address) in bases_in(&text, deb822) {
            if !found.iter().any(|(_, known, _)| *known == address) {
                found.push((archive, address, path.display().to_string()));
            }
        }
    }
    Ok(found)
}

/// The Debian archives in a text of `sources.list` (or of a `.sources` file, where `deb822`),
/// with their addresses. Entries of other distributions, and what is not understood, are skipped:
/// the file is not ours to judge.
pub fn bases_in(text: &str, deb822: bool) -> Vec<(Archive, String)> {
    let entries = if deb822 { deb822_entries(text) } else { line_entries(text) };
    let mut found = Vec::new();
    for (address, suite) in entries {
        let http = address.starts_with("http://") || address.starts_with("https://");
        let (name, kind) = suite.split_once(['-', '/']).unwrap_or((&suite, ""));
        let archive = match kind {
            "security" => Archive::DebianSecurity,
            // Before bullseye: `buster/updates` in the security archive.
            "updates" if suite.contains('/') => Archive::DebianSecurity,
            _ => Archive::Debian,
        };
        let entry = (archive, address.trim_end_matches('/').to_owned());
        if http && SUITES.contains(&name) && !found.contains(&entry) {
            found.push(entry);
        }
    }
    found
}

/// Address and suite of each line `deb [options] ADDRESS SUITE component…`.
fn line_entries(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb").filter(|r| r.starts_with([' ', '\t'])) else {
            continue;
        };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let mut words = rest.split_whitespace();
        if let (Some(address), Some(suite), Some("main")) =
            (words.next(), words.next(), words.find(|word| *word == "main"))
        {
            entries.push((address.to_owned(), suite.to_owned()));
        }
    }
    entries
}

fn deb822_entries(text: &str) -> Vec<(String, String)> {
    // Comments may stand anywhere in these files.
    let text: String =
        text.lines().filter(|l| !l.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    let mut entries = Vec::new();
    for paragraph in deb822::parse(&text).unwrap_or_default() {
        let words = |field| paragraph.get(field).unwrap_or_default().split_whitespace();
        let enabled = !paragraph.get("Enabled").is_some_and(|v| v.eq_ignore_ascii_case("no"));
        let main = words("Components").any(|word| word == "main");
        if !enabled || !main || !words("Types").any(|word| word == "deb") {
            continue;
        }
        for address in words("URIs") {
            for suite in words("Suites") {
                entries.push((address.to_owned(), suite.to_owned()));
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_other_distributions_skipped() {
        let list = "# c\ndeb [signed-by=/a b] http://m.test/debian/ trixie main contrib # x\n\
            deb-src http://m.test/debian trixie main\n\
            deb http://m.test/debian-security trixie-security main\n\
            deb http://m.test/debian trixie-updates main\n\
            deb http://old.test/ buster/updates main\n\
            deb http://u.test/ubuntu noble main\ndeb cdrom:[x]/ trixie main\n\
            deb http://v.test/repo stable contrib\ndeb\ndeb [";
        let expected = [
            (Archive::Debian, "http://m.test/debian".to_owned()),
            (Archive::DebianSecurity, "http://m.test/debian-security".to_owned()),
        ];
        let found = bases_in(list, false);
        assert_eq!(found[..2], expected);
        assert_eq!(found[2..], [(Archive::DebianSecurity, "http://old.test".to_owned())]);

        let sources = "Types: deb\n# snapshot\nURIs: http://m.test/debian\n\
            Suites: trixie trixie-updates\nComponents: main\n\nTypes: deb\n\
            URIs: http://m.test/debian-security\nSuites: trixie-security\nComponents: main\n\n\
            Types: deb\nURIs: http://off.test/debian\nSuites: sid\nComponents: main\nEnabled: no\n";
        assert_eq!(bases_in(sources, true), expected);
        assert_eq!(bases_in("junk\n", true), []);
    }

    #[test]
    fn a_host_without_apt_has_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
    }
}
