// SPDX-License-Identifier: MIT OR Apache-2.0
//! Golden folders below `tests`: each input beside a text file with what comes of it.
//! `UPDATE_GOLDEN=1` writes the expectations anew.

use std::fs;
use std::path::{Path, PathBuf};

/// Judges every input of the folder. Inputs and expectations must be there in pairs.
pub(crate) fn golden(folder: &str, kinds: &[&str], judge: impl Fn(&str) -> String) {
    let files = fs::read_dir(path(folder)).unwrap().map(|entry| entry.unwrap().path());
    let (mut expected, mut inputs): (Vec<PathBuf>, Vec<PathBuf>) =
        files.partition(|path| path.extension().is_some_and(|e| e == "txt"));
    inputs.sort();
    assert!(inputs.len() >= 3, "{folder} is nearly empty");
    for input in inputs {
        let kind = input.extension().unwrap_or_default();
        assert!(kinds.iter().any(|known| kind == *known), "{} is no input", input.display());
        let file = input.with_extension("txt");
        let said = judge(&fs::read_to_string(&input).unwrap());
        compare(&file, &said);
        expected.retain(|other| *other != file);
    }
    assert!(expected.is_empty(), "nothing is there to say this: {expected:?}");
}

/// A single file.
pub(crate) fn is(name: &str, text: &str) {
    compare(&path(name), text);
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn compare(file: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, text).unwrap();
    }
    let known = fs::read_to_string(file);
    let known = known.unwrap_or_else(|_| panic!("the expectation {} is missing", file.display()));
    assert_eq!(text, known, "{}", file.display());
}
