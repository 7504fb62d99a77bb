// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first difference between two trees, and between two lists of inputs.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// Compares names, kinds, permission bits, link targets and contents; `None` if all are the same.
pub fn folders(one: &Path, other: &Path) -> Result<Option<String>> {
    let (left, right) = (names(one)?, names(other)?);
    if let Some(name) = left.difference(&right).next() {
        return Ok(Some(format!("{name} is only in the first")));
    }
    if let Some(name) = right.difference(&left).next() {
        return Ok(Some(format!("{name} is only in the second")));
    }
    for name in &left {
        let difference = entry(&one.join(name), &other.join(name))
            .with_context(|| format!("comparing {name}"))?;
        if let Some(difference) = difference {
            return Ok(Some(format!("{name}: {difference}")));
        }
    }
    Ok(None)
}

/// The first line that two artifacts' keys were not both made of, in words.
pub fn inputs(one: &[String], other: &[String]) -> String {
    let line = |lines: &[String], at: usize| match lines.get(at) {
        Some(line) => format!("`{line}`"),
        None => "nothing more".to_owned(),
    };
    let differs = |at: &usize| one.get(*at) != other.get(*at);
    match (0..one.len().max(other.len())).find(differs) {
        Some(at) => format!(
            "its inputs differ first in line {}, {} and {}",
            at + 1,
            line(one, at),
            line(other, at)
        ),
        None => "its inputs are the same, so the key is made of something else too".to_owned(),
    }
}

fn names(root: &Path) -> Result<std::collections::BTreeSet<String>> {
    WalkDir::new(root)
        .min_depth(1)
        .into_iter()
        .map(|entry| {
            let entry = entry.with_context(|| format!("listing {}", root.display()))?;
            Ok(entry.path().strip_prefix(root)?.to_string_lossy().into_owned())
        })
        .collect()
}

fn entry(one: &Path, other: &Path) -> Result<Option<String>> {
    let (left, right) = (fs::symlink_metadata(one)?, fs::symlink_metadata(other)?);
    if left.file_type() != right.file_type() {
        return Ok(Some("one is a file, the other is none".to_owned()));
    }
    if left.is_symlink() {
        let (left, right) = (fs::read_link(one)?, fs::read_link(other)?);
        let text = || format!("links to {} and to {}", left.display(), right.display());
        return Ok((left != right).then(text));
    }
    let (left_mode, right_mode) = (left.permissions().mode(), right.permissions().mode());
    if left_mode != right_mode {
        return Ok(Some(format!("has mode {left_mode:o} and {right_mode:o}")));
    }
    if !left.is_file() {
        return Ok(None);
    }
    if left.len() != right.len() {
        return Ok(Some(format!("has {} and {} bytes", left.len(), right.len())));
    }
    contents(one, other)
}

fn contents(one: &Path, other: &Path) -> Result<Option<String>> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), File::open(other)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut position = 0;
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(None);
        }
        other.read_exact(&mut right[..count])?;
        if let Some(at) = (0..count).find(|at| left[*at] != right[*at]) {
            return Ok(Some(format!("differs first at byte {}", position + at)));
        }
        position += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_input_that_differs_is_named() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let found = inputs(&lines("recipe epoch file"), &lines("recipe epoch program"));
        assert_eq!(found, "its inputs differ first in line 3, `file` and `program`");
        let found = inputs(&lines("recipe epoch"), &lines("recipe"));
        assert_eq!(found, "its inputs differ first in line 2, `epoch` and nothing more");
        assert!(inputs(&lines("recipe"), &lines("recipe")).contains("are the same"));
    }

    #[test]
    fn the_first_difference_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        for root in [&one, &other] {
            fs::create_dir_all(root.join("inner")).unwrap();
            fs::write(root.join("inner/file"), "abcdef").unwrap();
        }
        assert_eq!(folders(&one, &other).unwrap(), None);
        fs::write(other.join("inner/file"), "abcxef").unwrap();
        assert_eq!(folders(&one, &other).unwrap().unwrap(), "inner/file: differs first at byte 3");
        fs::set_permissions(other.join("inner/file"), PermissionsExt::from_mode(0o600)).unwrap();
        assert!(folders(&one, &other).unwrap().unwrap().contains("has mode"));
        fs::write(one.join("extra"), "").unwrap();
        assert_eq!(folders(&one, &other).unwrap().unwrap(), "extra is only in the first");
    }
}
