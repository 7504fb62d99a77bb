// SPDX-License-Identifier: MIT OR Apache-2.0

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::interrupt::Interrupt;

enum Item<'a> {
    Dir(u32),
    File(u32, &'a str),
    Link(&'a str),
    Hard(&'a str),
    Fifo,
}

fn tar_of(items: &[(&str, Item<'_>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, item) in items {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_uid(0);
        header.set_gid(43);
        header.set_mtime(1000);
        let mut content = "";
        let (kind, mode) = match item {
            Item::Dir(mode) => (tar::EntryType::Directory, *mode),
            Item::File(mode, text) => {
                content = text;
                (tar::EntryType::Regular, *mode)
            }
            Item::Link(target) => {
                header.set_link_name_literal(target).unwrap();
                (tar::EntryType::Symlink, 0o777)
            }
            Item::Hard(target) => {
                header.set_link_name_literal(target).unwrap();
                (tar::EntryType::Link, 0o644)
            }
            Item::Fifo => (tar::EntryType::Fifo, 0o644),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn deb_with(dir: &Path, name: &str, member: &str, data: &[u8]) -> PathBuf {
    let path = dir.join(name);
    let mut builder = ar::Builder::new(fs::File::create(&path).unwrap());
    for (name, content) in
        [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", b"ignored"), (member, data)]
    {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        builder.append(&header, content).unwrap();
    }
    path
}

fn deb(dir: &Path, name: &str, items: &[(&str, Item<'_>)]) -> PathBuf {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar_of(items)).unwrap();
    deb_with(dir, name, "data.tar.gz", &gz.finish().unwrap())
}

struct Place {
    dir: tempfile::TempDir,
    root: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    Place { dir, root }
}

#[test]
fn usr_merge_links_are_followed_and_owners_recorded() {
    let Place { dir, root } = place();
    let base = deb(
        dir.path(),
        "base-files.deb",
        &[
            ("./", Item::Dir(0o755)),
            ("./lib", Item::Link("usr/lib")),
            ("./usr/lib/", Item::Dir(0o755)),
        ],
    );
    let app = deb(
        dir.path(),
        "app.deb",
        &[
            ("./lib/", Item::Dir(0o755)),
            ("./lib/app/", Item::Dir(0o700)),
            ("./lib/app/tool", Item::File(0o4755, "#!")),
            ("./lib/app/again", Item::Hard("./lib/app/tool")),
        ],
    );
    let manifest = unpack_all(&[base, app], &root, 2, &Interrupt::new()).unwrap();
    let tool = &manifest[Path::new("usr/lib/app/tool")];
    assert_eq!((tool.mode, tool.uid, tool.gid, tool.size, tool.mtime), (0o4755, 0, 43, 2, 1000));
    let again = &manifest[Path::new("usr/lib/app/again")];
    assert_eq!(again.kind, EntryKind::HardLink("usr/lib/app/tool".into()));
    assert_eq!(manifest[Path::new("usr/lib/app")].mode, 0o700);
    assert!(!manifest.contains_key(Path::new("lib/app")));
    let meta = fs::metadata(root.join("usr/lib/app/again")).unwrap();
    assert_eq!((meta.permissions().mode() & 0o7777, meta.nlink(), meta.mtime()), (0o4755, 2, 1000));
    assert!(fs::symlink_metadata(root.join("lib")).unwrap().is_symlink());
}

#[test]
fn links_and_paths_do_not_lead_out() {
    let Place { dir, root } = place();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap().to_owned();
    // An absolute link counts from the folder, so a folder is made there instead.
    let link = deb(
        dir.path(),
        "link.deb",
        &[("./evil", Item::Link(&target)), ("./up", Item::Link("../../../outside"))],
    );
    unpack(&link, &root).unwrap();
    for path in ["./evil/file", "./up/file"] {
        let file = deb(dir.path(), "file.deb", &[(path, Item::File(0o644, "x"))]);
        // The target does not exist inside.
        assert!(unpack(&file, &root).is_err());
    }
    for path in ["../outside/file", "/outside/file", "a/../../outside/file"] {
        let file = deb(dir.path(), "file.deb", &[(path, Item::File(0o644, "x"))]);
        let error = unpack(&file, &root).unwrap_err().to_string();
        assert!(error.contains("leads out"), "{error}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn later_files_replace_earlier_ones_and_folders_stay() {
    let Place { dir, root } = place();
    let debs = [
        deb(dir.path(), "a", &[("d/", Item::Dir(0o755)), ("d/f", Item::File(0o600, "old"))]),
        deb(dir.path(), "b", &[("d/", Item::Dir(0o700)), ("d/f", Item::File(0o644, "new"))]),
        deb(dir.path(), "c", &[("d", Item::Link("elsewhere"))]),
    ];
    let manifest = unpack_all(&debs, &root, 3, &Interrupt::new()).unwrap();
    assert_eq!(fs::read_to_string(root.join("d/f")).unwrap(), "new");
    assert_eq!(manifest[Path::new("d")].mode, 0o755);
    assert_eq!(manifest[Path::new("d/f")].mode, 0o644);
    assert_eq!(manifest.len(), 2);
}

#[test]
fn every_compression_is_read() {
    let tar = tar_of(&[("file", Item::File(0o644, "hello"))]);
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
    xz.write_all(&tar).unwrap();
    let xz = xz.finish().unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zst = ruzstd::encoding::compress_to_vec(&*tar, level);
    for (member, data) in [("data.tar", &tar), ("data.tar.xz", &xz), ("data.tar.zst", &zst)] {
        let Place { dir, root } = place();
        let deb = deb_with(dir.path(), "a.deb", member, data);
        unpack(&deb, &root).unwrap();
        assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "hello", "{member}");
    }
}

#[test]
fn damaged_packages_are_named() {
    let Place { dir, root } = place();
    let good = tar_of(&[("file", Item::File(0o644, "hello"))]);
    let cases = [
        ("data.tar.xz", &b"not xz"[..], "reading data.tar.xz of the package"),
        ("data.tar.zst", b"not zstd", "reading data.tar.zst of the package"),
        ("data.tar.lz", b"", "reading data.tar.lz of the package"),
        ("data.tar", &good[..100], "reading data.tar of the package"),
        ("other", b"", "no data.tar"),
    ];
    for (member, data, expected) in cases {
        let deb = deb_with(dir.path(), "bad.deb", member, data);
        let error = unpack(&deb, &root).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("bad.deb"), "{member}: {error}");
    }
    let path = dir.path().join("junk.deb");
    fs::write(&path, "<html>404</html>").unwrap();
    assert!(unpack(&path, &root).is_err());
    let fifo = deb(dir.path(), "fifo.deb", &[("pipe", Item::Fifo)]);
    let error = unpack(&fifo, &root).unwrap_err().to_string();
    assert!(error.contains("writing pipe of the package"), "{error}");
    let interrupt = Interrupt::new();
    interrupt.trip();
    assert!(unpack_all(&[fifo], &root, 1, &interrupt).is_err());
}
