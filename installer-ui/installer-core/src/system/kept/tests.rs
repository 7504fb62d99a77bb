// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replaces a host's state in a folder, with a cut before every change; and on a real ext4, as root.

use super::*;

/// The state partition of a host that ran, with an SR in a folder.
fn host(root: &Path) {
    for (path, text) in [
        ("var/lib/xenith/state.db", "records"),
        ("var/lib/xenith/state.db-wal", "newest records"),
        ("var/lib/xenith/handover.toml", "old"),
        ("var/lib/xenith/tls/key.pem", "key"),
        ("var/lib/xenith/guest/vmlinuz", "kernel"),
        ("var/iso/debian.iso", "iso"),
        ("var/log/old.log", "log"),
        ("etc/upper/hostname", "old"),
        ("etc/upper/ssh/ssh_host_key", "key"),
        ("root/notes", "private"),
        (POPULATED, ""),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    set_mode(&root.join("var/lib/xenith/tls"), 0o700).unwrap();
}

fn entries() -> Vec<Entry> {
    vec![
        Entry::folder("etc/upper", 0o755),
        Entry::folder("etc/work", 0o755),
        Entry::folder("root", 0o700),
        Entry::folder("var/lib/xenith", 0o700),
        Entry::file("etc/upper/hostname", 0o644, "new"),
        Entry::file("var/lib/xenith/handover.toml", 0o600, "new"),
    ]
}

/// Every file with its content, relative.
fn files(root: &Path) -> Vec<(String, String)> {
    fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
        for name in names(folder).unwrap() {
            let path = folder.join(name);
            match path.is_dir() {
                true => collect(root, &path, found),
                false => {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    // Of the file system itself.
                    if !name.starts_with("lost+found") {
                        found.push((name, fs::read_to_string(&path).unwrap()));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort();
    found
}

fn whole(root: &Path) {
    let expected = [
        ("etc/upper/hostname", "new"),
        ("var/iso/debian.iso", "iso"),
        ("var/lib/xenith/guest/vmlinuz", "kernel"),
        ("var/lib/xenith/handover.toml", "new"),
        ("var/lib/xenith/state.db", "records"),
        ("var/lib/xenith/state.db-wal", "newest records"),
        ("var/lib/xenith/tls/key.pem", "key"),
    ];
    let expected: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    assert_eq!(files(root), expected);
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("var/lib/xenith"), 0o700);
    assert_eq!(mode("var/lib/xenith/tls"), 0o700);
    assert!(root.join("etc/work").is_dir(), "the overlay needs it");
}

/// What has to be there at every moment, wherever it is.
fn is_kept(root: &Path) {
    for (path, text) in [
        ("var/lib/xenith/state.db", "records"),
        ("var/lib/xenith/state.db-wal", "newest records"),
        ("var/lib/xenith/tls/key.pem", "key"),
        ("var/lib/xenith/guest/vmlinuz", "kernel"),
        ("var/iso/debian.iso", "iso"),
    ] {
        let found = find(root, Path::new(path)).unwrap();
        let read = fs::read_to_string(&found);
        assert_eq!(read.ok().as_deref(), Some(text), "{}", found.display());
    }
}

fn folders() -> Vec<String> {
    ["/var/iso", "/run/elsewhere", "/var/not-there", "/var/../root"].map(str::to_owned).into()
}

/// Fails at the change number `cut`.
fn cut_at(root: &Path, cut: usize) -> Result<(), SystemError> {
    let mut changes = 0;
    replace(root, &entries(), &folders(), &mut || {
        changes += 1;
        match changes == cut {
            true => Err(io("cutting off", root)(ErrorKind::Other.into())),
            false => Ok(()),
        }
    })
}

#[test]
fn records_keys_kernels_and_folders_of_guests_stay_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    host(folder.path());
    cut_at(folder.path(), 0).unwrap();
    whole(folder.path());
    // Once more, as after a power cut before the boot loader.
    cut_at(folder.path(), 0).unwrap();
    whole(folder.path());
}

#[test]
fn after_a_cut_at_any_change_the_records_are_found_and_the_next_try_ends_well() {
    let mut cut = 1;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        host(root);
        if cut_at(root, cut).is_ok() {
            break;
        }
        is_kept(root);
        // The next try is cut off too, at each of its changes.
        for again in 1..cut + 3 {
            let ended = cut_at(root, again).is_ok();
            is_kept(root);
            if ended {
                break;
            }
        }
        cut_at(root, 0).unwrap();
        whole(root);
        cut += 1;
    }
    assert!(cut > 25, "{cut} changes");
}

#[test]
fn folders_of_the_running_host_are_found_on_the_state_partition() {
    let found = |folder| on_state(folder).map(|path| path.display().to_string());
    assert_eq!(found("/var/iso").as_deref(), Some("var/iso"));
    assert_eq!(found("/root/iso").as_deref(), Some("root/iso"));
    assert_eq!(found("/etc/iso").as_deref(), Some("etc/upper/iso"));
    for elsewhere in ["/run/x", "/variable", "/var/../etc", "var/iso", "/"] {
        assert_eq!(found(elsewhere), None, "{elsewhere}");
    }
}

/// Needs root, loop devices and the programs of e2fsprogs: elsewhere it says so and does nothing.
#[test]
fn on_a_real_file_system_of_a_host_whose_power_was_cut() {
    use crate::system::{RealSystem, System as _};
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/loop-control").exists() {
        eprintln!("not root, or no loop devices: not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("state.img");
    File::create(&image).unwrap().set_len(64 << 20).unwrap();
    Program::new("mkfs.ext4").args(["-q"]).arg(image.display().to_string()).run().unwrap();
    let attach = Program::new("losetup").args(["--find", "--show"]);
    let device = PathBuf::from(attach.arg(image.display().to_string()).run().unwrap().trim());
    let tested = std::panic::catch_unwind(|| {
        mounted(&device, "rw", |root| {
            host(root);
            Ok::<(), SystemError>(())
        })
        .unwrap();
        let mut system = RealSystem::default();
        system.replace_state(&device, &entries(), &folders()).unwrap();
        check_file_system(&device).unwrap();
        mounted(&device, "ro", |root| {
            whole(root);
            Ok::<(), SystemError>(())
        })
        .unwrap();
        // Something else than ext4.
        fs::write(&device, vec![0x5a; 64 << 20]).unwrap();
        let error = system.records(&device).unwrap_err().to_string();
        assert!(error.starts_with("e2fsck cannot repair /dev/loop"), "{error}");
    });
    Program::new("losetup").args(["--detach"]).arg(device.display().to_string()).run().unwrap();
    tested.unwrap();
}
