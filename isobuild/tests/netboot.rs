// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder for netboot, made of stand-ins, against `golden/netboot`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use appliance_model::medium::{self as paths, BuildId};
use isobuild::assemble::{Menu, NetbootError, NetbootTree, Parts, write_netboot};
use isobuild::digest;

/// Writes the folder without the part called `missing`.
fn write(dir: &Path, missing: &str) -> Result<PathBuf, NetbootError> {
    let mut xen = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    xen.write_all(b"the hypervisor").unwrap();
    let parts: [(&str, &[u8]); 10] = [
        ("xen.gz", &xen.finish().unwrap()),
        ("vmlinuz", b"the kernel"),
        ("initrd.img", b"first"),
        ("netboot.img", b"second"),
        ("root.img", b"the root image"),
        ("boot.img", b"sector 0"),
        ("core.img", b"GRUB for disks"),
        ("grubx64.efi", b"GRUB for UEFI"),
        ("netboot.pxe", b"GRUB for PXE"),
        ("netboot-x64.efi", b"GRUB for UEFI's PXE"),
    ];
    for (name, bytes) in parts.iter().filter(|part| part.0 != missing) {
        fs::write(dir.join(name), bytes).unwrap();
    }
    let menu = Menu {
        version: "0.1.0".to_owned(),
        default_entry: "install".to_owned(),
        seconds: 5,
        xen: vec!["dom0_mem=768M,max:768M".parse().unwrap()],
        dom0: vec!["quiet".parse().unwrap(), "memmap=64K$0x18690000".parse().unwrap()],
    };
    let tree = NetbootTree {
        parts: Parts {
            build: &BuildId::new(&digest::of_bytes(b"a build")),
            menu: &menu,
            xen: &dir.join("xen.gz"),
            kernel: &dir.join("vmlinuz"),
            initrd: &dir.join("initrd.img"),
            root_image: &dir.join("root.img"),
            boot: dir,
        },
        initrd_end: &dir.join("netboot.img"),
    };
    let out = dir.join("out");
    fs::create_dir(&out).unwrap();
    write_netboot(&out, &tree).map(|()| out)
}

#[test]
fn menus_and_manifest_are_the_golden_ones() {
    let dir = tempfile::tempdir().unwrap();
    let out = write(dir.path(), "").unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/netboot");
    for file in ["boot/grub/grub.cfg", "xenith.ipxe", "xenith/manifest", "xenith/root.img.sha256"] {
        let found = fs::read_to_string(out.join(file)).unwrap();
        let expected = golden.join(Path::new(file).file_name().unwrap());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap();
        assert_eq!(found, expected, "{file}; UPDATE_GOLDEN=1 writes what there is now");
    }
}

#[test]
fn the_manifest_has_every_file_of_a_medium_and_the_menus_have_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let out = write(dir.path(), "").unwrap();
    let manifest = fs::read_to_string(out.join("xenith/manifest")).unwrap();
    let mut listed = Vec::new();
    for pair in manifest.lines().collect::<Vec<_>>().chunks(2) {
        let size: u64 = pair[0].strip_prefix("# size ").unwrap().parse().unwrap();
        let (sum, path) = pair[1].split_once("  ").unwrap();
        let (found, bytes) = digest::of_file(&out.join(path)).unwrap();
        assert_eq!((sum, size), (found.to_string().as_str(), bytes), "{path}");
        listed.push(path);
    }
    let expected = [
        paths::BUILD_ID,
        paths::BOOT_OPTIONS,
        paths::XEN,
        paths::KERNEL,
        paths::INITRD,
        paths::BOOT_IMG,
        paths::CORE_IMG,
        paths::GRUB_EFI,
        paths::ROOT_IMAGE,
        paths::SUMS,
    ];
    assert_eq!(listed, expected);
    let digest = digest::of_bytes(manifest.as_bytes());
    for file in ["boot/grub/grub.cfg", "xenith.ipxe"] {
        let text = fs::read_to_string(out.join(file)).unwrap();
        assert!(text.contains(&format!(" xenith.manifest={digest} ")), "{text}");
    }
}

#[test]
fn what_is_loaded_is_what_was_built() {
    let dir = tempfile::tempdir().unwrap();
    let out = write(dir.path(), "").unwrap();
    let read = |path: &str| fs::read(out.join(path)).unwrap();
    assert_eq!(read("boot/xen"), b"the hypervisor");
    assert_eq!(read("boot/initrd-netboot.img"), b"first\0\0\0second");
    assert_eq!(read("xenith.pxe"), b"GRUB for PXE");
    assert_eq!(read("xenith-x64.efi"), b"GRUB for UEFI's PXE");
    for (path, mode) in [("boot/grub/grub.cfg", 0o644), ("boot/grub", 0o755), ("README.txt", 0o644)]
    {
        let found = fs::metadata(out.join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
}

#[test]
fn a_part_that_is_missing_is_named() {
    for missing in ["xen.gz", "root.img", "netboot.img", "netboot-x64.efi"] {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path(), missing).unwrap_err();
        let NetbootError::Part { path, .. } = error else { panic!("{error}") };
        assert_eq!(path.file_name().unwrap(), missing);
    }
}
