// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole machines as text files in `tests/machines`, each with what is found. `UPDATE_GOLDEN=1`
//! writes the latter anew.
//!
//! Each line of a machine is a file (`path = text`, `path := hexadecimal bytes`), a link
//! (`path -> path`) or a folder (`path/`); `~` in a text is the end of a line.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::discovery::tests::Tree;

fn machine(text: &str) -> Discovery {
    let tree = Tree::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((path, bytes)) = line.split_once(" := ") {
            let bytes = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
            let bytes: Vec<u8> = bytes.collect();
            tree.put(path, "");
            fs::write(tree.path(path), bytes).unwrap();
        } else if let Some((path, text)) = line.split_once(" = ") {
            tree.put(path, &format!("{}\n", text.replace('~', "\n")));
        } else if let Some((path, target)) = line.split_once(" -> ") {
            let path = tree.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::create_dir_all(tree.path(target)).unwrap();
            symlink(tree.path(target), path).unwrap();
        } else {
            let folder = line.strip_suffix('/').unwrap_or_else(|| panic!("what is {line:?}"));
            fs::create_dir_all(tree.path(folder)).unwrap();
        }
    }
    // Where disks are also looked up.
    for entry in fs::read_dir(tree.path("sys/block")).unwrap() {
        let entry = entry.unwrap();
        let place = tree.path("sys/class/block").join(entry.file_name());
        symlink(entry.path(), place).unwrap();
    }
    tree.look()
}

#[test]
fn golden_machines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "machine") {
            continue;
        }
        let found = machine(&fs::read_to_string(&path).unwrap());
        let findings = check(&found);
        let mut text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
        if let Some(refusal) = refusal(&findings) {
            let _ = writeln!(text, "refused: {refusal}");
        }
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&expected).unwrap(), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn dom0s_memory_is_what_the_menu_gives() {
    let mut medium = crate::plan::tests::machine().medium;
    for (option, bytes) in [
        ("dom0_mem=768M,max:768M", Some(768 << 20)),
        ("dom0_mem=2G", Some(2 << 30)),
        ("dom0_mem=1048576", Some(1 << 30)),
        ("dom0_mem=min:1G", None),
        ("dom0_mem=", None),
        ("dom0_mem=99999999999999999999G", None),
        ("dom0_max_vcpus=2", None),
    ] {
        medium.boot_options.xen = vec![option.parse().unwrap()];
        assert_eq!(dom0_memory(&medium), bytes, "{option}");
    }
}
