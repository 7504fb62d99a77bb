// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of the folder that Xen's makefiles install into: what we do not want goes, and what
//! Dom0 needs is told from what only linking needs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use isobuild::recipe::BoxError;
use walkdir::WalkDir;

/// Libraries, Debian's multiarch folder.
const LIB: &str = "usr/lib/x86_64-linux-gnu";

/// Where libxl looks for hotplug scripts.
const SCRIPT_FOLDER: &str = "etc/xen/scripts";

/// Hotplug scripts that `xl`, the rescue tool, cannot do without. The toolstack's worker names
/// `xenith-noop` instead.
const SCRIPTS: &[&str] = &[
    "common/hotplugpath.sh",
    "Linux/block",
    "Linux/block-common.sh",
    "Linux/locking.sh",
    "Linux/logging.sh",
    "Linux/vif-bridge",
    "Linux/vif-common.sh",
    "Linux/xen-hotplug-common.sh",
    "Linux/xen-network-common.sh",
    "Linux/xen-script-common.sh",
];

/// Installed by the makefiles, but of no use here: shell completion, xenstore in a domain of its
/// own, a folder for debug symbols.
const DROPPED: &[&str] =
    &["etc/bash_completion.d", "usr/libexec/xen/bin/init-xenstore-domain", "usr/lib/debug"];

/// Libraries that nothing of ours and no package of Dom0 links.
const DROPPED_LIBRARIES: &[&str] = &["libxenstat", "libxenvchan"];

/// All of the above, for the recipe's key.
pub(crate) fn lists() -> impl Iterator<Item = &'static str> {
    [SCRIPTS, DROPPED, DROPPED_LIBRARIES].into_iter().flatten().copied()
}

/// Makes the folders that Xen's makefiles take for granted when one is run alone.
pub(crate) fn prepare(sysroot: &Path) -> io::Result<()> {
    fs::create_dir_all(sysroot.join(LIB).join("pkgconfig"))
}

/// Copies the hotplug scripts; those that end in `.sh` are read by others, not run.
pub(crate) fn scripts(source: &Path, sysroot: &Path) -> Result<(), BoxError> {
    let folder = sysroot.join(SCRIPT_FOLDER);
    fs::create_dir_all(&folder)?;
    for script in SCRIPTS {
        let from = source.join("tools/hotplug").join(script);
        let to = folder.join(from.file_name().unwrap_or_default());
        fs::copy(&from, &to).map_err(|error| format!("copying {}: {error}", from.display()))?;
        let mode = if script.ends_with(".sh") { 0o644 } else { 0o755 };
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Puts the terms that Xen is passed on under where Debian's packages have theirs.
pub(crate) fn terms(source: &Path, sysroot: &Path) -> Result<(), BoxError> {
    let (from, folder) = (source.join("COPYING"), sysroot.join("usr/share/doc/xen"));
    fs::create_dir_all(&folder)?;
    fs::copy(&from, folder.join("copyright"))
        .map_err(|error| format!("copying {}: {error}", from.display()))?;
    Ok(())
}

/// Removes what is installed and not wanted, and turns the names of the one xenstore client into
/// links, so that they stay one file.
///
/// Something to remove that is not there is an error: the list no longer fits the source.
pub(crate) fn prune(sysroot: &Path) -> Result<(), BoxError> {
    for path in DROPPED {
        let path = sysroot.join(path);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
            .map_err(|error| format!("leaving out {}: {error}", path.display()))?;
    }
    for path in files(&sysroot.join(LIB))? {
        let name = file_name(&path);
        if name.ends_with(".a") || DROPPED_LIBRARIES.iter().any(|stem| name.starts_with(stem)) {
            fs::remove_file(&path)?;
        }
    }
    let client = fs::metadata(sysroot.join("usr/bin/xenstore"))?;
    for path in files(&sysroot.join("usr/bin"))? {
        let same = fs::metadata(&path)?.ino() == client.ino();
        if same && file_name(&path) != "xenstore" {
            fs::remove_file(&path)?;
            symlink("xenstore", &path)?;
        }
    }
    Ok(())
}

/// Programs and libraries to strip, as paths below `inside`. Not `hvmloader`: libxl loads it, and
/// no kernel or linker has a say in which of its parts are needed.
pub(crate) fn elf_files(sysroot: &Path, inside: &str) -> Result<Vec<String>, BoxError> {
    let mut found = Vec::new();
    for path in files(sysroot)? {
        if path.is_symlink() || path.ends_with("hvmloader") {
            continue;
        }
        let mut magic = Vec::new();
        File::open(&path)?.take(4).read_to_end(&mut magic)?;
        if magic == b"\x7fELF" {
            let relative = path.strip_prefix(sysroot)?.to_string_lossy();
            found.push(format!("{inside}/{relative}"));
        }
    }
    Ok(found)
}

/// Makes `dom0`: `sysroot` without what only compiling and linking need.
pub(crate) fn runtime(sysroot: &Path, dom0: &Path) -> Result<(), BoxError> {
    for path in files(sysroot)? {
        let relative = path.strip_prefix(sysroot)?;
        if only_to_link(relative) {
            continue;
        }
        let to = dom0.join(relative);
        fs::create_dir_all(to.parent().unwrap_or(dom0))?;
        if path.is_symlink() {
            symlink(fs::read_link(&path)?, &to)?;
        } else {
            fs::hard_link(&path, &to)?;
        }
    }
    Ok(())
}

fn only_to_link(relative: &Path) -> bool {
    relative.starts_with("usr/include")
        || relative.starts_with(Path::new(LIB).join("pkgconfig"))
        || (relative.starts_with(LIB) && file_name(relative).ends_with(".so"))
}

/// Everything below `folder` that is no folder, links included, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join("sysroot").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        dir
    }

    #[test]
    fn dom0_gets_libraries_by_soname_and_nothing_to_compile_with() {
        let dir = tree(&[
            "usr/include/libxl.h",
            "usr/lib/x86_64-linux-gnu/libxenlight.so.4.20.0",
            "usr/lib/x86_64-linux-gnu/pkgconfig/xenlight.pc",
            "usr/sbin/xl",
        ]);
        let lib = dir.path().join("sysroot").join(LIB);
        symlink("libxenlight.so.4.20.0", lib.join("libxenlight.so.4.20")).unwrap();
        symlink("libxenlight.so.4.20", lib.join("libxenlight.so")).unwrap();
        let dom0 = dir.path().join("dom0");
        runtime(&dir.path().join("sysroot"), &dom0).unwrap();
        let names: Vec<String> = files(&dom0).unwrap().iter().map(|p| file_name(p)).collect();
        assert_eq!(names, ["libxenlight.so.4.20", "libxenlight.so.4.20.0", "xl"]);
    }

    #[test]
    fn pruning_keeps_one_xenstore_client_and_refuses_a_list_that_no_longer_fits() {
        let dir = tree(&[
            "usr/bin/xenstore",
            "usr/bin/xenstore-control",
            "usr/lib/x86_64-linux-gnu/libxenvchan.so.4.20.0",
            "usr/lib/x86_64-linux-gnu/libxenctrl.a",
            "usr/lib/x86_64-linux-gnu/libxenctrl.so.4.20.0",
            "etc/bash_completion.d/xl",
            "usr/lib/debug/junk",
            "usr/libexec/xen/bin/init-xenstore-domain",
        ]);
        let sysroot = dir.path().join("sysroot");
        let bin = sysroot.join("usr/bin");
        fs::hard_link(bin.join("xenstore"), bin.join("xenstore-ls")).unwrap();
        prune(&sysroot).unwrap();
        assert_eq!(fs::read_link(bin.join("xenstore-ls")).unwrap(), Path::new("xenstore"));
        assert!(!bin.join("xenstore-control").is_symlink());
        let left: Vec<String> =
            files(&sysroot.join("usr/lib")).unwrap().iter().map(|p| file_name(p)).collect();
        assert_eq!(left, ["libxenctrl.so.4.20.0"]);
        let error = prune(&sysroot).unwrap_err().to_string();
        assert!(error.contains("bash_completion.d"), "{error}");
    }
}
