// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source files: header, length, unsafe code, lints.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use walkdir::WalkDir;

const HEADER: &str = "// SPDX-License-Identifier: MIT OR Apache-2.0";
/// A longer file is to be split by noun.
const MAX_LINES: usize = 600;
/// The lint that keeps unsafe code out; a file that names it can only mean to switch it off.
const LINT: &str = concat!("unsafe", "_code");
/// The only files that may hold unsafe code.
const UNSAFE: &[&str] = &["isobuild/src/sandbox/enter.rs", "dom0-rootfs/xenops/src/libxl/ffi.rs"];

/// Every finding in the files of the workspace at `root`.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let skipped = |name: &str| name == "target" || (name.starts_with('.') && name.len() > 1);
    let entries = WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !skipped(&entry.file_name().to_string_lossy()));
    for entry in entries {
        let entry = entry.context("listing the workspace")?;
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let name = path.to_string_lossy();
        if path.extension().is_some_and(|ext| ext == "rs") {
            findings.extend(in_rust(&name, &read(entry.path())?));
        }
        if entry.file_name() == "Cargo.toml" && path != Path::new("Cargo.toml") {
            findings.extend(in_manifest(&name, &read(entry.path())?));
        }
    }
    Ok(findings)
}

fn in_manifest(name: &str, text: &str) -> Option<String> {
    let fits = text.contains("[lints]\nworkspace = true");
    (!fits).then(|| format!("{name}: `[lints] workspace = true` is missing"))
}

fn in_rust(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if text.lines().next() != Some(HEADER) {
        findings.push(format!("{name}: the first line is not {HEADER:?}"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{name}: {lines} lines, more than {MAX_LINES}: split it by noun"));
    }
    if text.contains(LINT) && !UNSAFE.contains(&name) {
        findings.push(format!("{name}: unsafe code is not allowed here"));
    }
    findings
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_finds_its_fault() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let source = |text: &str| format!("{HEADER}\n{text}\n");
        write("Cargo.toml", "[workspace.lints]");
        write("good/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n");
        write("good/src/lib.rs", &source("//! Good."));
        write("good/src/edge.rs", &source(&"\n".repeat(MAX_LINES - 2)));
        write(UNSAFE[0], &source(&format!("#![expect({LINT})]")));
        write("target/generated.rs", "");
        assert_eq!(check(dir.path()).unwrap(), [""; 0]);

        write("bad/Cargo.toml", "[package]\n");
        write("bad/header.rs", "// Ours.\n");
        write("bad/long.rs", &source(&"\n".repeat(MAX_LINES)));
        write("bad/unsafe.rs", &source(&format!("#[allow(\n    dead_code,\n    {LINT}\n)]")));
        let found = check(dir.path()).unwrap();
        let expected = [
            ("bad/Cargo.toml: ", "[lints]"),
            ("bad/header.rs: ", "first line"),
            ("bad/long.rs: ", "602 lines"),
            ("bad/unsafe.rs: ", "not allowed here"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, (file, why)) in found.iter().zip(expected) {
            assert!(found.starts_with(file) && found.contains(why), "{found}");
        }
    }
}
