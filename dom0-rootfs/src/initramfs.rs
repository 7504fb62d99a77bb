// SPDX-License-Identifier: MIT OR Apache-2.0
//! The initramfs: busybox, the drivers that lead to the root image, mdadm for mirrors, dmsetup for disks
//! over several paths, and `init/init`.
//!
//! Netboot has a second archive behind it, with the drivers of network cards and `init/netboot`, so that
//! no medium and no installed host carries them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use image_formats::cpio::{CpioError, CpioWriter};

use crate::kernel_module::name;
use crate::modules::folder;
use crate::tree::{Tree, TreeError, failed};

/// The program, with two places to fill in.
const INIT: &str = include_str!("../init/init");
/// Read by the program where disks are reached over several paths.
const MULTIPATH: &str = include_str!("../init/multipath");
/// The list of modules; its form is explained in it.
const MODULES: &str = include_str!("../init/modules");
/// Read by the program where there is no medium.
const NETBOOT: &str = include_str!("../init/netboot");
const NETBOOT_DHCP: &str = include_str!("../init/netboot-dhcp");
/// More modules, for netboot.
const NETBOOT_MODULES: &str = include_str!("../init/netboot-modules");
/// Text that stands for the root image's file system.
const ROOT_FS: &str = "@ROOT_FS@";

/// What puts mirrors, and disks over several paths, together. Only these programs are not static, so their
/// libraries come along.
pub(crate) const PROGRAMS: [&str; 2] = ["usr/sbin/mdadm", "usr/sbin/dmsetup"];
/// What starts programs that are not static, in the tree and, by the name that is in them, in the archive.
pub(crate) const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";
/// The folder of the libraries in the tree.
pub(crate) const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Indexes of depmod that busybox's modprobe reads; each line is about one module.
const INDEXES: &[&str] = &["modules.dep", "modules.alias", "modules.softdep"];

/// The initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitramfsError {
    /// The list and the kernel do not fit.
    #[error(
        "init/modules or init/netboot-modules names {module}, which is neither a kept module nor built \
         into the kernel"
    )]
    NoModule {
        /// The name.
        module: String,
    },
    /// The loader did not find what a program needs.
    #[error("a program of the initramfs needs {library}, which is not in {LIBRARIES}")]
    NoLibrary {
        /// Its name.
        library: String,
    },
    /// Writing the archive.
    #[error("writing the initramfs")]
    Cpio(#[from] CpioError),
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The texts that decide the initramfs apart from the tree, for the recipe's key.
pub(crate) fn texts() -> [&'static str; 3] {
    [INIT, MULTIPATH, MODULES]
}

/// The same of what netboot has beside it.
pub(crate) fn netboot_texts() -> [&'static str; 4] {
    [MODULES, NETBOOT, NETBOOT_DHCP, NETBOOT_MODULES]
}

/// The libraries that a program needs, by the names of their files in [`LIBRARIES`], out of what
/// `ld.so --list PROGRAM` prints; see ld.so(8).
pub(crate) fn libraries(list: &str) -> Result<Vec<String>, InitramfsError> {
    let mut libraries = Vec::new();
    for line in list.lines() {
        // The loader itself and the kernel's page have no arrow, or an arrow to nothing.
        let Some((name, path)) = line.trim().split_once(" => ") else { continue };
        let library = name.rsplit('/').next().unwrap_or(name).to_owned();
        match path.split_once('/') {
            _ if library == LOADER.rsplit('/').next().unwrap_or_default() => {}
            Some(_) => libraries.push(library),
            None => return Err(InitramfsError::NoLibrary { library }),
        }
    }
    libraries.sort();
    Ok(libraries)
}

/// Writes the archive of `tree`, whose modules have been indexed, to `to`. `libraries` are
/// those of [`PROGRAMS`].
pub(crate) fn write(
    tree: &Tree,
    version: &str,
    root_fs: &str,
    libraries: &BTreeSet<String>,
    time: u32,
    to: &Path,
) -> Result<(), InitramfsError> {
    let chosen = chosen(tree, version, root_fs, "")?;
    let file = File::create(to).map_err(failed("creating", to))?;
    let mut cpio = CpioWriter::new(BufWriter::new(file), time);
    for folder in ["bin", "dev", "newroot", "proc", "run", "sys"] {
        cpio.folder(folder, 0o755)?;
    }
    // The kernel calls /sbin/modprobe when it wants a module.
    cpio.symlink("sbin", "bin")?;
    copy(&mut cpio, &tree.path("usr/bin/busybox"), "bin/busybox", 0o755)?;
    for program in PROGRAMS {
        let name = program.rsplit('/').next().unwrap_or(program);
        copy(&mut cpio, &tree.path(program), &format!("bin/{name}"), 0o755)?;
    }
    cpio.folders("lib64")?;
    let loader = LOADER.trim_start_matches("usr/");
    copy(&mut cpio, &tree.path(LOADER), loader, 0o755)?;
    cpio.folders("lib")?;
    for library in libraries {
        let path = tree.path(&format!("{LIBRARIES}/{library}"));
        copy(&mut cpio, &path, &format!("lib/{library}"), 0o644)?;
    }
    let init = INIT.replace(ROOT_FS, root_fs).replace("@MODULES@", &chosen.at_once.join(" "));
    cpio.file("init", 0o755, init.len() as u64, init.as_bytes())?;
    cpio.file("multipath", 0o644, MULTIPATH.len() as u64, MULTIPATH.as_bytes())?;
    put_modules(&mut cpio, tree, version, &chosen.paths, &BTreeSet::new())?;
    cpio.finish()?;
    Ok(())
}

/// Writes the archive that netboot has behind the one that [`write`] writes.
pub(crate) fn write_netboot(
    tree: &Tree,
    version: &str,
    root_fs: &str,
    time: u32,
    to: &Path,
) -> Result<(), InitramfsError> {
    let before = chosen(tree, version, root_fs, "")?.paths;
    let all = chosen(tree, version, root_fs, NETBOOT_MODULES)?.paths;
    let file = File::create(to).map_err(failed("creating", to))?;
    let mut cpio = CpioWriter::new(BufWriter::new(file), time);
    cpio.folder("etc", 0o755)?;
    for (name, mode, text) in [("netboot", 0o644, NETBOOT), ("netboot-dhcp", 0o755, NETBOOT_DHCP)] {
        cpio.file(name, mode, text.len() as u64, text.as_bytes())?;
    }
    put_modules(&mut cpio, tree, version, &all, &before)?;
    cpio.finish()?;
    Ok(())
}

/// The modules of the list, and of a second one.
fn chosen(tree: &Tree, version: &str, root_fs: &str, more: &str) -> Result<Chosen, InitramfsError> {
    let modules = folder(version);
    let dependencies = tree.read(&format!("{modules}/modules.dep"))?;
    let builtin = tree.read(&format!("{modules}/modules.builtin"))?;
    let list = MODULES.replace(ROOT_FS, root_fs) + more;
    choose(&list, &dependencies, &builtin)
}

/// Adds the indexes of the modules at `paths`, and those modules that are not `there` already.
fn put_modules<W: Write>(
    cpio: &mut CpioWriter<W>,
    tree: &Tree,
    version: &str,
    paths: &BTreeSet<String>,
    there: &BTreeSet<String>,
) -> Result<(), InitramfsError> {
    let modules = folder(version);
    let target = format!("lib/modules/{version}");
    cpio.folders(&target)?;
    for index in INDEXES {
        let text = only(index, &tree.read(&format!("{modules}/{index}"))?, paths);
        cpio.file(&format!("{target}/{index}"), 0o644, text.len() as u64, text.as_bytes())?;
    }
    for path in paths.difference(there) {
        let inside = format!("{target}/{path}");
        cpio.folders(inside.rsplit_once('/').map_or("", |(folder, _)| folder))?;
        copy(cpio, &tree.path(&format!("{modules}/{path}")), &inside, 0o644)?;
    }
    Ok(())
}

fn copy<W: Write>(
    cpio: &mut CpioWriter<W>,
    from: &Path,
    to: &str,
    mode: u32,
) -> Result<(), InitramfsError> {
    let file = File::open(from).map_err(failed("opening", from))?;
    let size = file.metadata().map_err(failed("reading", from))?.len();
    cpio.file(to, mode, size, file)?;
    Ok(())
}

/// Modules of the initramfs.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    /// Names of those loaded first, in the list's order, without those built into the kernel.
    at_once: Vec<String>,
    /// Paths as in `modules.dep`.
    paths: BTreeSet<String>,
}

fn choose(list: &str, dependencies: &str, builtin: &str) -> Result<Chosen, InitramfsError> {
    // `modules.dep` names all that a module needs, directly or not.
    let needs: BTreeMap<&str, &str> =
        dependencies.lines().filter_map(|line| line.split_once(':')).collect();
    let by_name: BTreeMap<String, &str> = needs.keys().map(|path| (name(path), *path)).collect();
    let builtin: BTreeSet<String> = builtin.lines().map(name).collect();
    let mut chosen = Chosen { at_once: Vec::new(), paths: BTreeSet::new() };
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let module = name(line.trim_start_matches('+'));
        match by_name.get(&module) {
            Some(path) => {
                chosen.paths.insert((*path).to_owned());
                chosen.paths.extend(needs[path].split_whitespace().map(str::to_owned));
                if line.starts_with('+') {
                    chosen.at_once.push(module);
                }
            }
            None if builtin.contains(&module) => {}
            None => return Err(InitramfsError::NoModule { module }),
        }
    }
    Ok(chosen)
}

/// The lines of an index that are about chosen modules.
fn only(index: &str, text: &str, paths: &BTreeSet<String>) -> String {
    let names: BTreeSet<String> = paths.iter().map(|path| name(path)).collect();
    let about = |line: &&str| match index {
        "modules.dep" => line.split_once(':').is_some_and(|(path, _)| paths.contains(path)),
        // alias PATTERN MODULE
        "modules.alias" => line.rsplit(' ').next().is_some_and(|module| names.contains(module)),
        // softdep MODULE pre: …
        _ => line.split(' ').nth(1).is_some_and(|module| names.contains(module)),
    };
    text.lines().filter(about).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko\n\
                       kernel/fs/jbd2/jbd2.ko:\nkernel/lib/crc16.ko:\nkernel/x/loop.ko:\n\
                       kernel/x/other-one.ko:\n";

    #[test]
    fn dependencies_come_along_and_builtin_ones_are_left_out() {
        let chosen = choose("# c\n\n+loop\next4\n+unix\n", DEP, "kernel/net/unix.ko\n").unwrap();
        assert_eq!(chosen.at_once, ["loop"]);
        let paths: Vec<_> = chosen.paths.iter().map(String::as_str).collect();
        let expected = [
            "kernel/fs/ext4/ext4.ko",
            "kernel/fs/jbd2/jbd2.ko",
            "kernel/lib/crc16.ko",
            "kernel/x/loop.ko",
        ];
        assert_eq!(paths, expected);
        let error = choose("ext5\n", DEP, "").unwrap_err();
        assert!(error.to_string().contains("ext5"), "{error}");
    }

    #[test]
    fn libraries_are_those_that_the_loader_finds() {
        let list = "\tlinux-vdso.so.1 (0x00007ffc1a5f2000)\n\
                    \tlibudev.so.1 => /out/tree/usr/lib/x86_64-linux-gnu/libudev.so.1 (0x1)\n\
                    \tlibc.so.6 => /out/tree/usr/lib/x86_64-linux-gnu/libc.so.6 (0x2)\n\
                    \t/lib64/ld-linux-x86-64.so.2 => /out/tree/usr/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        assert_eq!(libraries(list).unwrap(), ["libc.so.6", "libudev.so.1"]);
        let error = libraries("\tlibdlm_lt.so.3 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libdlm_lt.so.3"), "{error}");
    }

    #[test]
    fn indexes_keep_only_what_is_there() {
        let paths = choose("+other_one\n", DEP, "").unwrap().paths;
        assert_eq!(only("modules.dep", DEP, &paths), "kernel/x/other-one.ko:\n");
        let alias = "# Aliases\nalias pci:a other_one\nalias pci:b loop\n";
        assert_eq!(only("modules.alias", alias, &paths), "alias pci:a other_one\n");
        let soft = "softdep other_one pre: loop\nsoftdep loop pre: other_one\n";
        assert_eq!(only("modules.softdep", soft, &paths), "softdep other_one pre: loop\n");
    }

    /// A tree in which every module of the lists is there.
    fn tree(dir: &Path) -> Tree {
        let tree = Tree::at(dir.join("tree"));
        tree.write("usr/bin/busybox", b"busy", 0o755).unwrap();
        for program in PROGRAMS {
            tree.write(program, b"program", 0o755).unwrap();
        }
        tree.write(LOADER, b"load", 0o755).unwrap();
        tree.write(&format!("{LIBRARIES}/libc.so.6"), b"<libc>", 0o644).unwrap();
        let lists = MODULES.replace(ROOT_FS, "squashfs") + NETBOOT_MODULES;
        let list: Vec<String> = lists
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
            .map(|l| name(l.trim_start_matches('+')))
            .collect();
        let dep: String = list.iter().map(|module| format!("kernel/{module}.ko:\n")).collect();
        for (file, text) in [
            ("modules.dep", dep.as_str()),
            ("modules.builtin", ""),
            ("modules.alias", ""),
            ("modules.softdep", ""),
        ] {
            tree.write(&format!("{}/{file}", folder("6.1")), text.as_bytes(), 0o644).unwrap();
        }
        for module in &list {
            let path = format!("{}/kernel/{module}.ko", folder("6.1"));
            tree.write(&path, format!("<{module}>").as_bytes(), 0o600).unwrap();
        }
        tree
    }

    #[test]
    fn the_archive_is_the_same_twice_and_lists_what_it_should() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        let build = |file: &str| {
            let path = dir.path().join(file);
            write(&tree, "6.1", "squashfs", &BTreeSet::from(["libc.so.6".to_owned()]), 7, &path)
                .unwrap();
            std::fs::read(path).unwrap()
        };
        let (one, two) = (build("1"), build("2"));
        assert!(one == two);
        let text = String::from_utf8_lossy(&one);
        for part in [
            "lib/modules/6.1/kernel/squashfs.ko",
            "mount -t squashfs",
            "modprobe -a -b -q loop squashfs",
            "bin/mdadm",
            "bin/dmsetup",
            "map_disks() {",
            "lib64/ld-linux-x86-64.so.2",
            "<libc>",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains(ROOT_FS) && !text.contains("@MODULES@"));
        assert!(!text.contains("<e1000>"));
    }

    #[test]
    fn netboot_adds_drivers_and_knows_all() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        let path = dir.path().join("archive");
        write_netboot(&tree, "6.1", "squashfs", 7, &path).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for part in ["<e1000>", "net_fetch_all", "nameserver"] {
            assert!(text.contains(part), "{part}");
        }
        // It is in the first archive, but this one's index replaces that one's.
        assert!(!text.contains("<squashfs>") && text.contains("kernel/squashfs.ko:\n"));
    }
}
