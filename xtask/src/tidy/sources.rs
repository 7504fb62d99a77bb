// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source files: header, length, unsafe code, lints.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use walkdir::WalkDir;

use crate::program::workspace_root;

const HEADER: &str = "// SPDX-License-Identifier: MIT OR Apache-2.0";
/// A longer file is to be split by noun.
const MAX_LINES: usize = 600;
/// The only files that may hold unsafe code.
const UNSAFE: &[&str] = &["isobuild/src/sandbox/enter.rs", "dom0-rootfs/xenops/src/libxl/ffi.rs"];

/// Every finding in the workspace's own files.
pub fn check() -> Result<Vec<String>> {
    let root = workspace_root();
    let mut findings = Vec::new();
    let skipped = |name: &str| name == "target" || (name.starts_with('.') && name.len() > 1);
    let entries = WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !skipped(&entry.file_name().to_string_lossy()));
    for entry in entries {
        let entry = entry.context("listing the workspace")?;
        let name = entry.path().strip_prefix(&root).unwrap_or(entry.path());
        if entry.path().extension().is_some_and(|ext| ext == "rs") {
            findings.extend(check_rust(entry.path(), &name.to_string_lossy())?);
        }
        if entry.file_name() == "Cargo.toml" && name != Path::new("Cargo.toml") {
            let text = read(entry.path())?;
            let own_workspace = text.contains("[workspace]");
            if !own_workspace && !text.contains("[lints]\nworkspace = true") {
                findings.push(format!("{}: `[lints] workspace = true` is missing", name.display()));
            }
        }
    }
    Ok(findings)
}

fn check_rust(path: &Path, name: &str) -> Result<Vec<String>> {
    let text = read(path)?;
    let mut findings = Vec::new();
    if text.lines().next() != Some(HEADER) {
        findings.push(format!("{name}: the first line is not {HEADER:?}"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{name}: {lines} lines, more than {MAX_LINES}: split it by noun"));
    }
    let allows = ["allow(unsafe_code", "expect(unsafe_code"].iter().any(|a| text.contains(a));
    if allows && !UNSAFE.contains(&name) && name != "xtask/src/tidy/sources.rs" {
        findings.push(format!("{name}: unsafe code is not allowed here"));
    }
    Ok(findings)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
