// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden folder `tests/answers`: each file with what is understood, or why it is refused.
//! `UPDATE_GOLDEN=1` writes the expectations anew.

use std::fs;
use std::path::{Path, PathBuf};

use super::raw::KEYS;
use super::*;

fn golden(folder: &str, judge: impl Fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 4);
    for file in files {
        let text = judge(&fs::read_to_string(&file).unwrap());
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&expected).unwrap(), "{}", file.display());
    }
}

#[test]
fn good_files_are_understood() {
    golden("good", |text| format!("{:#?}\n", Answers::from_toml(text).unwrap()));
}

#[test]
fn bad_files_are_refused_with_their_reasons() {
    golden("bad", |text| format!("{}\n", Answers::from_toml(text).unwrap_err()));
}

#[test]
fn the_key_table_is_the_structures() {
    for (table, keys) in KEYS {
        for key in *keys {
            // A value of no key's type: it is complained about, but never as an unknown key.
            let text = match *table {
                "" => format!("{key} = 1979-05-27"),
                table => format!("[{table}]\n{key} = 1979-05-27"),
            };
            let error = Answers::from_toml(&text).unwrap_err().to_string();
            let unknown = format!("unknown field `{key}`");
            assert!(!error.contains("no such key") && !error.contains(&unknown), "{error}");
        }
    }
}

#[test]
fn secrets_are_not_printed() {
    let text = "hostname = \"a\"\nroot-password = \"correct horse\"\n\
                disk = { device = \"/dev/sda\", wipe = true }";
    let shown = format!("{:?}", Answers::from_toml(text).unwrap());
    assert!(!shown.contains("horse") && !shown.contains("$6$"));
}
