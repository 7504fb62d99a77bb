// SPDX-License-Identifier: MIT OR Apache-2.0
//! What we write, the tools of the trade accept: GRUB images by the real recipe, a medium, an
//! installed disk, a FAT volume and a cpio archive, checked by xorriso, sgdisk, fsck.fat, mtools and
//! cpio of the locked tools tree (which is built first if the store does not have it).

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use appliance_model::medium::{ANSWERS, ANSWERS_ROOM};
use image_formats::cpio::{CpioWriter, DeviceKind};
use image_formats::fat::{FatVolume, FatWriter};
use image_formats::gpt::{DiskGuids, DiskLayout, Role, SectorSize};
use image_formats::grub;
use image_formats::iso::ReservedFile;
use isobuild::assemble::{Boot, BuildId, Medium, Menu, Parts, write_medium};
use isobuild::digest;
use isobuild::fetch::{self, Downloader, Mirrors};
use isobuild::graph::Engine;
use isobuild::interrupt::Interrupt;
use isobuild::lock;
use isobuild::progress::Plain;
use isobuild::recipe::Recipe;
use isobuild::sandbox::{Sandbox, use_helper};
use isobuild::store::Store;
use isobuild::tools::{self, Tree};
use tempfile::TempDir;

struct Built {
    tools: PathBuf,
    boot: PathBuf,
}

/// Builds (or finds in the store) the tools tree and GRUB's images.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        use_helper(env!("CARGO_BIN_EXE_sandbox-helper"));
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let lock = Arc::new(lock::load(&repository.join("profiles/lock.toml")).unwrap());
        let mirrors = Mirrors::find(None, Some(lock.timestamp())).unwrap();
        let offline = fetch::is_offline();
        let store = Store::of_user().unwrap();
        let interrupt = Interrupt::new();
        let fetcher = Downloader::new(&store, mirrors, offline, &Plain, interrupt.clone());
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle");
        let engine = Engine {
            repository,
            output,
            store: store.clone(),
            lock,
            fetcher: &fetcher,
            reporter: &Plain,
            interrupt,
            workers: 1,
        };
        let recipes: Vec<Box<dyn Recipe>> = vec![Box::new(Tree(tools::NAME)), Box::new(Boot)];
        let report = engine.build(&recipes, &[tools::NAME, Boot::NAME]).unwrap();
        Built {
            tools: report.artifact(tools::NAME).unwrap().join(tools::ROOT),
            boot: report.artifact(Boot::NAME).unwrap().to_owned(),
        }
    })
}

/// The tools' sandbox with `dir` as `/work`.
fn sandbox(dir: &Path) -> Sandbox {
    Sandbox::over(&built().tools).bind_rw(dir, "/work").cwd("/work").log(dir.join("log"))
}

fn sh(dir: &Path, script: &str) -> String {
    let output = sandbox(dir).output("sh", ["-c", script]);
    String::from_utf8(output.unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// A medium with stand-ins for everything but GRUB, written to `medium.iso`.
fn medium(dir: &Path) -> String {
    let part = |name: &str, bytes: &[u8]| {
        fs::write(dir.join(name), bytes).unwrap();
        dir.join(name)
    };
    let menu = Menu {
        version: "0".to_owned(),
        default_entry: "live".to_owned(),
        seconds: 1,
        xen: Vec::new(),
        dom0: Vec::new(),
    };
    let build = BuildId::new(&digest::of_bytes(b"a build"));
    let medium = Medium {
        volume: "XENITH",
        time: 1_700_000_000,
        parts: Parts {
            build: &build,
            menu: &menu,
            xen: &part("xen", b"the hypervisor"),
            kernel: &part("kernel", b"the kernel"),
            initrd: &part("initrd", b"the initial file system"),
            root_image: &part("root", &[0x5a; 3_000_001]),
            boot: &built().boot,
        },
    };
    write_medium(&dir.join("medium.iso"), &medium).unwrap();
    build.to_string()
}

#[test]
fn xorriso_finds_both_boot_images_and_every_file() {
    let dir = TempDir::new().unwrap();
    let build = medium(dir.path());
    let script = "xorriso -indev medium.iso -report_el_torito plain -report_system_area plain 2>&1";
    let report = sh(dir.path(), script);
    for line in [
        "El Torito img opts :   1  boot-info-table grub2-boot-info",
        "El Torito img path :   1  /boot/grub/eltorito.img",
        "System area summary: MBR protective-msdos-label grub2-mbr cyl-align-off GPT",
        "GPT partname local :   2  EFI System Partition",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("WARNING"), "{report}");

    let script = "xorriso -osirrox on -indev medium.iso -extract / /tmp/all 2>/dev/null && cd /tmp/all \
                  && cmp xenith/root.img /work/root && cmp boot/xen.gz /work/xen \
                  && cat xenith/build-id && find . -printf '%y %m %u %Ts %p\\n' | sort -k5";
    let files = sh(dir.path(), script);
    assert!(files.starts_with(&build), "{files}");
    for line in [
        "f 644 root 1700000000 ./EFI/BOOT/BOOTX64.EFI",
        "d 755 root 1700000000 ./boot/grub",
        "f 644 root 1700000000 ./boot/grub/grub.cfg",
        "f 644 root 1700000000 ./xenith/boot/core.img",
        "f 644 root 1700000000 ./xenith/boot/options.toml",
        &format!("f 644 root 1700000000 ./xenith/medium-{build}"),
    ] {
        assert!(files.lines().any(|found| found == line), "{line}\n{files}");
    }
}

#[test]
fn sha256sum_accepts_every_file_of_the_medium_but_three() {
    let dir = TempDir::new().unwrap();
    medium(dir.path());
    let script = "xorriso -osirrox on -indev medium.iso -extract / /tmp/all 2>/dev/null && cd /tmp/all \
                  && sha256sum --check --strict --quiet xenith/sha256sums \
                  && cut -c67- xenith/sha256sums >/tmp/listed && LC_ALL=C sort -c /tmp/listed \
                  && find . -type f | cut -c3- | grep -vxFf /tmp/listed | LC_ALL=C sort";
    let unlisted = "boot/grub/eltorito.img\nxenith/answers.toml\nxenith/sha256sums\n";
    assert_eq!(sh(dir.path(), script), unlisted);
}

#[test]
fn sgdisk_and_fsck_accept_the_medium() {
    let dir = TempDir::new().unwrap();
    medium(dir.path());
    let checked = sh(dir.path(), "sgdisk --verify medium.iso && sgdisk --info=2 medium.iso");
    assert!(checked.contains("No problems found"), "{checked}");
    let first = checked.split("First sector: ").nth(1).unwrap().split(' ').next().unwrap();
    let size = checked.split("Partition size: ").nth(1).unwrap().split(' ').next().unwrap();
    let script = format!(
        "dd if=medium.iso of=/tmp/esp skip={first} count={size} status=none && fsck.fat -n /tmp/esp \
         && mtype -i /tmp/esp ::/boot/grub/grub.cfg && mdir -b -/ -i /tmp/esp ::"
    );
    let esp = sh(dir.path(), &script);
    assert!(esp.contains("search --no-floppy --file --set=medium /xenith/medium-"), "{esp}");
    assert!(esp.contains("::/EFI/BOOT/BOOTX64.EFI"), "{esp}");
}

#[test]
fn the_same_medium_twice() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    medium(first.path());
    medium(second.path());
    let read = |dir: &TempDir| fs::read(dir.path().join("medium.iso")).unwrap();
    assert!(read(&first) == read(&second));
}

#[test]
fn xorriso_and_grub_read_what_is_put_into_the_medium() {
    let dir = TempDir::new().unwrap();
    medium(dir.path());
    let path = dir.path().join("medium.iso");
    let built = fs::read(&path).unwrap();
    // Rock Ridge, Joliet, and the boot loader's own reader, which tells the length first.
    let script = "for names in nojoliet norock; do \
                      xorriso -read_fs $names -osirrox on -indev medium.iso \
                          -extract /xenith/answers.toml /tmp/$names 2>> /tmp/messages; \
                      cmp answers /tmp/$names || exit 1; \
                  done; \
                  grub-fstest medium.iso ls -- -l /xenith/ | grep answers.toml || exit 1; \
                  if [ -s answers ]; then \
                      grub-fstest medium.iso cat /xenith/answers.toml | cmp answers || exit 1; \
                  fi; \
                  cat /tmp/messages";
    let longest = vec![b'#'; ANSWERS_ROOM.into()];
    for answers in [&b""[..], b"hostname = \"xen1\"\n", &longest, b"# short\n", b""] {
        let mut iso = File::options().read(true).write(true).open(&path).unwrap();
        ReservedFile::find(&mut iso, ANSWERS).unwrap().fill(&mut iso, answers).unwrap();
        fs::write(dir.path().join("answers"), answers).unwrap();
        let read = sh(dir.path(), script);
        assert!(read.starts_with(&format!("{} ", answers.len())), "{read}");
        assert!(!read.contains("WARNING"), "{read}");
    }
    assert!(fs::read(&path).unwrap() == built);
}

#[test]
fn sgdisk_accepts_an_installed_disk() {
    let dir = TempDir::new().unwrap();
    let bytes = DiskLayout::MINIMUM_BYTES;
    let guids = DiskGuids {
        disk: uuid::Uuid::from_u128(1),
        partitions: std::array::from_fn(|at| uuid::Uuid::from_u128(at as u128 + 2)),
    };
    let layout = DiskLayout::new(bytes, SectorSize::B512, &guids).unwrap();
    let image = |name: &str| fs::read(built().boot.join(name)).unwrap();
    let bios = layout.partition(Role::BiosBoot);
    let (boot_img, core_img) = (image("boot.img"), image("core.img"));
    let boot = grub::for_disk(&boot_img, &core_img, bios.first_sector, bios.sectors).unwrap();

    let path = dir.path().join("disk.img");
    let mut disk = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    disk.set_len(bytes).unwrap();
    layout.write(&mut disk, &boot.boot_code).unwrap();
    let checked = sh(dir.path(), "sgdisk --verify disk.img && sgdisk --print disk.img");
    assert!(checked.contains("No problems found"), "{checked}");
    for role in Role::ALL {
        assert!(checked.contains(role.name()), "{checked}");
    }
    let mut sector = [0; 512];
    disk.seek(SeekFrom::Start(0)).unwrap();
    disk.read_exact(&mut sector).unwrap();
    assert_eq!(sector[0x5c..0x64], bios.first_sector.to_le_bytes());
}

#[test]
fn fsck_accepts_both_kinds_of_fat() {
    for mib in [8, 300] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("fat.img");
        let mut image = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        image.set_len(mib << 20).unwrap();
        let volume = FatVolume { bytes: mib << 20, label: "XENITH-ESP", id: 0xabcd_0123 };
        let mut fat = FatWriter::format(&mut image, &volume).unwrap();
        fat.folder("xenith/a").unwrap();
        fat.file("xenith/a/A name that is long.toml", &b"long"[..]).unwrap();
        fat.file("xenith/a/large", std::io::repeat(7).take(3 << 20)).unwrap();
        fat.file("xenith/a/large", &b"smaller now"[..]).unwrap();
        fat.finish().unwrap();
        image.flush().unwrap();
        let script = "fsck.fat -n fat.img && mdir -b -/ -i fat.img :: && minfo -i fat.img :: \
                      && mtype -i fat.img '::/xenith/a/A name that is long.toml' ::/xenith/a/large";
        let checked = sh(dir.path(), script);
        assert!(checked.ends_with("longsmaller now"), "{checked}");
        assert!(checked.contains("serial number: ABCD0123"), "{checked}");
        assert!(!checked.contains("FSCK"), "{checked}");
    }
}

#[test]
fn cpio_unpacks_what_we_pack() {
    let dir = TempDir::new().unwrap();
    let mut archive = CpioWriter::new(Vec::new(), 1_700_000_000);
    archive.folders("usr/bin").unwrap();
    archive.folder("dev", 0o700).unwrap();
    archive.device("dev/console", 0o600, DeviceKind::Character, 5, 1).unwrap();
    archive.file("usr/bin/odd", 0o4755, 3, &b"odd"[..]).unwrap();
    archive.symlink("bin", "usr/bin").unwrap();
    fs::write(dir.path().join("archive"), archive.finish().unwrap()).unwrap();
    let listed = sh(dir.path(), "cpio --list --verbose --numeric-uid-gid < archive 2>&1");
    for line in [
        "drwxr-xr-x   2 0        0               0 Nov 14  2023 usr/bin",
        "crw-------   1 0        0          5,   1 Nov 14  2023 dev/console",
        "-rwsr-xr-x   1 0        0               3 Nov 14  2023 usr/bin/odd",
        "lrwxrwxrwx   1 0        0               7 Nov 14  2023 bin -> usr/bin",
    ] {
        assert!(listed.contains(line), "{line}\n{listed}");
    }
}

#[test]
fn grub_understands_every_configuration() {
    let dir = TempDir::new().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, file) in [
        ("netboot.cfg", "tests/golden/netboot/grub.cfg"),
        ("settings.cfg", "src/assemble/netboot/netboot.cfg"),
        ("early.cfg", "src/assemble/early.cfg"),
        ("early-net.cfg", "src/assemble/netboot/early.cfg"),
    ] {
        fs::copy(source.join(file), dir.path().join(name)).unwrap();
    }
    medium(dir.path());
    // The settings are comments until a person takes their "#" away.
    let script = "xorriso -osirrox on -indev medium.iso -extract /boot/grub/grub.cfg medium.cfg \
                  2>/dev/null && sed -i 's/^#\\([a-z]\\)/\\1/' settings.cfg && for file in *.cfg; do \
                  grub-script-check $file && echo $file; done";
    let checked = sh(dir.path(), script);
    assert_eq!(checked, "early-net.cfg\nearly.cfg\nmedium.cfg\nnetboot.cfg\nsettings.cfg\n");
}
