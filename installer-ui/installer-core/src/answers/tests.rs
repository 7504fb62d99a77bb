// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden folder `tests/answers`: each file with what is understood, or why it is refused.
//! `UPDATE_GOLDEN=1` writes the expectations anew.

use std::fs;
use std::path::{Path, PathBuf};

use super::raw::KEYS;
use super::*;

/// Every input of the folder is judged; inputs and expectations must be there in pairs.
fn golden(folder: &str, judge: impl Fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers").join(folder);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let (mut expected, mut inputs): (Vec<PathBuf>, Vec<PathBuf>) =
        files.partition(|path| path.extension().is_some_and(|e| e == "txt"));
    inputs.sort();
    assert!(inputs.len() >= 4);
    for input in inputs {
        let kind = input.extension().unwrap();
        assert!(kind == "toml" || kind == "xml", "{} is no answer file", input.display());
        let text = judge(&fs::read_to_string(&input).unwrap());
        let file = input.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let known = fs::read_to_string(&file)
            .unwrap_or_else(|_| panic!("{} has no expectation", input.display()));
        assert_eq!(text, known, "{}", input.display());
        expected.retain(|other| *other != file);
    }
    assert!(expected.is_empty(), "nothing is expected to say this: {expected:?}");
}

#[test]
fn good_files_are_understood() {
    golden("good", |text| {
        let AnswerFile { answers, notes } = AnswerFile::read(text).unwrap();
        let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
        format!("{notes}{answers:#?}\n")
    });
}

#[test]
fn bad_files_are_refused_with_their_reasons() {
    golden("bad", |text| format!("{}\n", AnswerFile::read(text).unwrap_err()));
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
