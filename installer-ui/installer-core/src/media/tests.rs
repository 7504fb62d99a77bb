// SPDX-License-Identifier: MIT OR Apache-2.0

use std::os::unix::fs::symlink;

use appliance_model::medium::ANSWERS_ROOM;
use image_formats::iso::{IsoBoot, IsoWriter, Source};
use tempfile::TempDir;

use super::*;

const GOOD: &str = include_str!("../../tests/answers/good/minimal.toml");
const BAD: &str = include_str!("../../tests/answers/bad/everything.toml");

/// A medium, as far as answers go.
fn medium(folder: &TempDir) -> PathBuf {
    let mut boot_hybrid = vec![0; 512];
    boot_hybrid[510..].copy_from_slice(&[0x55, 0xaa]);
    let bios_image = "boot/grub/eltorito.img".to_owned();
    let mut iso = IsoWriter::new("XENITH", 1_700_000_000, 42).unwrap();
    iso.file(&bios_image, Source::Bytes(vec![0x22; 5000])).unwrap();
    iso.reserve(ANSWERS, ANSWERS_ROOM).unwrap();
    let path = folder.path().join("medium.iso");
    let mut out = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    iso.write(&mut out, IsoBoot { bios_image, boot_hybrid, esp: Source::Bytes(vec![0; 4096]) })
        .unwrap();
    path
}

/// Every cause, as it is printed.
fn text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn what_is_put_in_is_read_and_leaves_no_trace_when_it_is_taken_out() {
    let folder = TempDir::new().unwrap();
    let iso = medium(&folder);
    let built = fs::read(&iso).unwrap();
    assert_eq!(extract(&iso).unwrap(), None);
    embed(&iso, GOOD).unwrap();
    assert_eq!(extract(&iso).unwrap().unwrap(), GOOD.as_bytes());
    assert_eq!(fs::read(&iso).unwrap().len(), built.len());
    assert!(remove(&iso).unwrap());
    assert!(fs::read(&iso).unwrap() == built);
    assert!(!remove(&iso).unwrap());
}

#[test]
fn a_link_is_followed() {
    let folder = TempDir::new().unwrap();
    let iso = medium(&folder);
    let link = folder.path().join("link");
    symlink("medium.iso", &link).unwrap();
    embed(&link, GOOD).unwrap();
    assert!(link.is_symlink());
    assert_eq!(extract(&iso).unwrap().unwrap(), GOOD.as_bytes());
}

#[test]
fn a_copy_is_changed_and_the_image_is_not() {
    let folder = TempDir::new().unwrap();
    let iso = medium(&folder);
    let built = fs::read(&iso).unwrap();
    let (copy, link) = (folder.path().join("copy.iso"), folder.path().join("link"));
    symlink("copy.iso", &link).unwrap();
    fs::set_permissions(&iso, Permissions::from_mode(0o444)).unwrap();
    for to in [&copy, &copy, &link] {
        embed_copy(&iso, to, GOOD).unwrap();
        assert_eq!(extract(&copy).unwrap().unwrap(), GOOD.as_bytes());
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o644);
    }
    assert!(link.is_symlink());
    assert!(fs::read(&iso).unwrap() == built);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
}

#[test]
fn a_copy_replaces_nothing_but_a_file() {
    let folder = TempDir::new().unwrap();
    let iso = medium(&folder);
    for device in [Path::new("/dev/null"), folder.path()] {
        let error = embed_copy(&iso, device, GOOD).unwrap_err();
        assert!(matches!(error, MediaError::NotAFile(_)), "{error:?}");
    }
    let error = embed_copy(&iso, &iso, GOOD).unwrap_err();
    assert!(matches!(error, MediaError::Itself(_)), "{error:?}");
    let error = embed_copy(&iso, &folder.path().join("none/copy"), GOOD).unwrap_err();
    assert!(matches!(error, MediaError::Copy { .. }), "{error:?}");
    assert_eq!(extract(&iso).unwrap(), None);
}

#[test]
fn answers_with_a_fault_change_nothing() {
    let folder = TempDir::new().unwrap();
    let iso = medium(&folder);
    embed(&iso, GOOD).unwrap();
    let before = fs::read(&iso).unwrap();
    let error = embed(&iso, BAD).unwrap_err();
    let MediaError::Answers(findings) = error else { panic!("{error:?}") };
    assert!(findings.problems.len() > 1);
    let long = format!("{GOOD}\n#{}", "x".repeat(ANSWERS_ROOM.into()));
    let error = text(&embed(&iso, &long).unwrap_err());
    assert!(
        error.ends_with(&format!("{} bytes are too many, there is room for 32768", long.len()))
    );
    assert!(embed_copy(&iso, &folder.path().join("copy"), &long).is_err());
    assert!(fs::read(&iso).unwrap() == before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_medium_of_ours_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let iso = medium(&folder);
    let whole = fs::read(&iso).unwrap();
    let path = folder.path().join("other");
    let cases = [
        (&b"text"[..], "it is not an ISO image with Joliet names"),
        (&whole[..whole.len() - 2048], "it is cut off: it has"),
    ];
    for (bytes, expected) in cases {
        fs::write(&path, bytes).unwrap();
        let copy = folder.path().join("copy");
        let errors = [
            embed(&path, GOOD).unwrap_err(),
            embed_copy(&path, &copy, GOOD).unwrap_err(),
            extract(&path).unwrap_err(),
            remove(&path).unwrap_err(),
        ];
        for error in errors {
            let error = text(&error);
            assert!(error.contains(&format!("other cannot be used: {expected}")), "{error}");
        }
        assert!(!copy.exists());
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let error = text(&embed(folder.path(), GOOD).unwrap_err());
    assert!(error.starts_with("opening "), "{error}");
}
