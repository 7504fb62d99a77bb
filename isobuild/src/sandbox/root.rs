// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the root that a sandboxed program sees, out of bind mounts over a tmpfs.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, StatVfsMountFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::enter::userns_hint;
use super::spec::Spec;

/// Devices of the host that every sandbox has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Top-level folders that are the sandbox's own, whatever the tree has there.
const OWN: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// A part of the host's file systems, taken before the new root hides it.
struct Taken {
    mount: OwnedFd,
    inside: PathBuf,
    folder: bool,
    writable: bool,
}

/// Makes the new root and moves into it. Runs as process 1 of a new pid and mount namespace.
pub(super) fn enter(spec: &Spec) -> Result<(), String> {
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(|e| format!("making mounts private: {e}\n{}", userns_hint()))?;
    let mut taken = Vec::new();
    let mut links = Vec::new();
    take_tree(&spec.root, &mut taken, &mut links)?;
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        taken.push(take(&path, &path, true)?);
    }
    for bind in &spec.binds {
        taken.push(take(&bind.host, &bind.inside, bind.writable)?);
    }

    // The tree's own path serves as mount point: what is below was taken already.
    let top = &spec.root;
    mount_tmpfs(top, "mode=0755")?;
    rustix::process::chdir(top).map_err(|e| format!("entering {}: {e}", top.display()))?;
    for name in OWN {
        make_dir(Path::new(name))?;
    }
    mount_tmpfs(Path::new("dev"), "mode=0755")?;
    mount_tmpfs(Path::new("tmp"), "mode=1777")?;
    mount_tmpfs(Path::new("run"), "mode=0755")?;
    fill_dev()?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "proc", "proc", flags, None::<&std::ffi::CStr>)
        .map_err(|e| format!("mounting /proc: {e}\n{}", userns_hint()))?;
    for (name, target) in links {
        symlink(&target, &name)
            .map_err(|e| format!("linking {} to {}: {e}", name.display(), target.display()))?;
    }
    for part in taken {
        place(&part)?;
    }

    rustix::process::pivot_root(".", ".").map_err(|e| format!("changing the root: {e}"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(|e| format!("leaving the host's root: {e}"))?;
    rustix::mount::mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, "")
        .map_err(|e| format!("making the root read-only: {e}"))?;
    rustix::process::chdir("/").map_err(|e| format!("entering the new root: {e}"))
}

/// Takes each top-level entry of the tools tree.
fn take_tree(
    tree: &Path,
    taken: &mut Vec<Taken>,
    links: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("reading the tools tree {}: {e}", tree.display());
    for entry in fs::read_dir(tree).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = PathBuf::from(entry.file_name());
        if OWN.iter().any(|own| name == Path::new(own)) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_symlink() {
            links.push((name, fs::read_link(entry.path()).map_err(failed)?));
        } else {
            taken.push(take(&entry.path(), &Path::new("/").join(&name), false)?);
        }
    }
    Ok(())
}

fn take(host: &Path, inside: &Path, writable: bool) -> Result<Taken, String> {
    let failed = |e: &dyn std::fmt::Display| format!("taking {}: {e}", host.display());
    let relative = inside.strip_prefix("/").unwrap_or(inside);
    if !inside.is_absolute() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(format!("not an absolute path inside: {}", inside.display()));
    }
    let meta = fs::metadata(host).map_err(|e| failed(&e))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let mount = rustix::mount::open_tree(CWD, host, flags).map_err(|e| failed(&e))?;
    Ok(Taken { mount, inside: relative.to_owned(), folder: meta.is_dir(), writable })
}

/// Attaches a taken part below the working folder, which is the new root.
fn place(part: &Taken) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("showing /{}: {e}", part.inside.display());
    if part.folder {
        make_dir(&part.inside)?;
    } else if fs::symlink_metadata(&part.inside).is_err() {
        if let Some(parent) = part.inside.parent() {
            make_dir(parent)?;
        }
        fs::File::create(&part.inside).map_err(|e| failed(&e))?;
    }
    rustix::mount::move_mount(
        part.mount.as_fd(),
        "",
        CWD,
        &part.inside,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(|e| failed(&e))?;
    if part.writable {
        return Ok(());
    }
    // Flags that the host's mount has cannot be dropped in a user namespace, so they are repeated.
    let stat = rustix::fs::statvfs(&part.inside).map_err(|e| failed(&e))?;
    let pairs = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = pairs.iter().filter(|(has, _)| stat.f_flag.contains(*has));
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, (_, flag)| all | *flag);
    rustix::mount::mount_remount(&part.inside, flags, "").map_err(|e| failed(&e))
}

fn make_dir(inside: &Path) -> Result<(), String> {
    fs::create_dir_all(inside).map_err(|e| {
        format!(
            "making the folder /{}: {e} (below a folder of the tools tree it must exist there)",
            inside.display()
        )
    })
}

fn mount_tmpfs(at: &Path, options: &str) -> Result<(), String> {
    let options = std::ffi::CString::new(options).map_err(|e| e.to_string())?;
    rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::NOSUID, options.as_c_str())
        .map_err(|e| format!("mounting a tmpfs on {}: {e}\n{}", at.display(), userns_hint()))
}

/// Everything in `/dev` that is not a device of the host.
fn fill_dev() -> Result<(), String> {
    for dir in ["dev/pts", "dev/shm"] {
        make_dir(Path::new(dir))?;
    }
    mount_tmpfs(Path::new("dev/shm"), "mode=1777")?;
    let options = c"newinstance,ptmxmode=0666,mode=0620";
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount("devpts", "dev/pts", "devpts", flags, options)
        .map_err(|e| format!("mounting /dev/pts: {e}"))?;
    let links = [
        ("dev/fd", "/proc/self/fd"),
        ("dev/stdin", "/proc/self/fd/0"),
        ("dev/stdout", "/proc/self/fd/1"),
        ("dev/stderr", "/proc/self/fd/2"),
        ("dev/ptmx", "pts/ptmx"),
    ];
    for (name, target) in links {
        symlink(target, name).map_err(|e| format!("linking /{name}: {e}"))?;
    }
    rustix::fs::chmod("dev", Mode::from_raw_mode(0o755)).map_err(|e| format!("opening /dev: {e}"))
}
