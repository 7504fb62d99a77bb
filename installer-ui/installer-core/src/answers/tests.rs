// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden folder `tests/answers`: each file with what is understood, or why it is refused.
//! `UPDATE_GOLDEN=1` writes the expectations anew.

use std::fs;
use std::path::Path;

use super::*;
use crate::golden::golden;

#[test]
fn good_files_are_understood() {
    golden("answers/good", &["toml", "xml"], |text| {
        let AnswerFile { answers, notes } = AnswerFile::read(text).unwrap();
        let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
        format!("{notes}{answers:#?}\n")
    });
}

#[test]
fn bad_files_are_refused_with_their_reasons() {
    golden("answers/bad", &["toml", "xml"], |text| {
        format!("{}\n", AnswerFile::read(text).unwrap_err())
    });
}

#[test]
fn the_published_schema_is_that_of_the_structures() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../answers.schema.json");
    // Parsed, because the order of names is that of serde_json, which other crates can change.
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, format!("{:#}\n", schema())).unwrap();
    }
    let published: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(&published, schema(), "UPDATE_GOLDEN=1 writes {} anew", file.display());
}

#[test]
fn unknown_keys_are_found_in_every_table() {
    let tables: Vec<&String> = schema()["properties"].as_object().unwrap().keys().collect();
    assert!(tables.len() >= 10, "{tables:?}");
    let text =
        "hostnam = 1\nnone-such = 1\nwipe = true\n[disk.filter]\nANY = \"*\"\n[pool]\nnam = 1";
    let error = Answers::from_toml(text).unwrap_err();
    let found: Vec<(&str, &str)> =
        error.problems.iter().map(|p| (p.key.as_str(), p.hint.as_deref().unwrap())).collect();
    assert_eq!(found[0], ("hostnam", "did you mean \"hostname\"?"));
    assert!(found[1].0 == "none-such" && found[1].1.starts_with("known here: disk, "));
    assert_eq!(found[2], ("pool.nam", "did you mean \"name\"?"));
    assert_eq!(found[3], ("wipe", "it belongs to [disk]"));
    assert_eq!(found.len(), 4);
}

#[test]
fn secrets_are_not_printed() {
    let text = "hostname = \"a\"\nroot-password = \"correct horse\"\n\
                disk = { device = \"/dev/sda\", wipe = true }";
    let shown = format!("{:?}", Answers::from_toml(text).unwrap());
    assert!(!shown.contains("horse") && !shown.contains("$6$"));
}
