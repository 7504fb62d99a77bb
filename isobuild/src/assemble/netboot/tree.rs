// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes the folder from its parts.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use appliance_model::boot::BootOption;
use appliance_model::medium::{BuildId, ROOT_IMAGE, SUMS};
use appliance_model::sums::Sums;
use flate2::read::MultiGzDecoder;

use super::{GRUB_EFI, GRUB_PXE, INITRD, MANIFEST, SCRIPT, TEXTS, XEN};
use crate::assemble::menu::NetMenu;
use crate::assemble::{Menu, Parts};
use crate::digest;

/// A folder for netboot that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum NetbootError {
    /// A part of it.
    #[error("reading {}, which goes into the folder for netboot", path.display())]
    Part {
        /// The part.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file of it.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The boot options of the hosts that are installed from it.
    #[error("writing down the boot options")]
    Options(#[source] toml::ser::Error),
    /// An option of the profile that iPXE would replace by something else.
    #[error("the boot option {option} has ${{ in it, which iPXE's menu cannot say")]
    Ipxe {
        /// The option.
        option: BootOption,
    },
}

/// What the folder is made of, as paths of the host.
#[derive(Debug, Clone)]
pub struct NetbootTree<'a> {
    /// What a medium has too.
    pub parts: Parts<'a>,
    /// What is put behind the initial file system for netboot.
    pub initrd_end: &'a Path,
}

/// Writes the folder `out`, which is there and empty.
///
/// # Errors
/// See [`NetbootError`].
pub fn write_netboot(out: &Path, tree: &NetbootTree<'_>) -> Result<(), NetbootError> {
    let parts = &tree.parts;
    let mut manifest = String::new();
    let mut sums = Sums::default();
    for (path, bytes) in parts.texts().map_err(NetbootError::Options)? {
        sums.put(path, digest::of_bytes(&bytes));
        list(&mut manifest, path, &digest::of_bytes(&bytes), bytes.len() as u64);
        put(out, path, &bytes)?;
    }
    for (path, host) in parts.files() {
        copy(out, path, &host)?;
        let (digest, size) = digest::of_file(&host).map_err(part(&host))?;
        sums.put(path, digest);
        list(&mut manifest, path, &digest, size);
        if path == ROOT_IMAGE {
            let line = format!("{digest}  root.img\n");
            put(out, &format!("{path}.sha256"), line.as_bytes())?;
        }
    }
    // The installer holds what it writes against it, wherever it comes from.
    let sums = sums.to_string().into_bytes();
    list(&mut manifest, SUMS, &digest::of_bytes(&sums), sums.len() as u64);
    put(out, SUMS, &sums)?;
    put(out, MANIFEST, manifest.as_bytes())?;
    put(out, XEN, &unpacked(parts.xen)?)?;
    put(out, INITRD, &joined(parts.initrd, tree.initrd_end)?)?;
    copy(out, GRUB_PXE, &parts.boot.join("netboot.pxe"))?;
    copy(out, GRUB_EFI, &parts.boot.join("netboot-x64.efi"))?;
    let (grub_cfg, ipxe) = menus(parts.menu, parts.build, &digest::of_bytes(manifest.as_bytes()))?;
    put(out, "boot/grub/grub.cfg", grub_cfg.as_bytes())?;
    put(out, SCRIPT, ipxe.as_bytes())?;
    TEXTS.iter().try_for_each(|(path, text)| put(out, path, text.as_bytes()))
}

/// The menus, apart from build id and digest. Part of the recipe's key.
pub(super) fn template(menu: &Menu) -> Result<String, NetbootError> {
    let (grub_cfg, ipxe) = menus(menu, &BuildId::default(), &digest::of_bytes(b""))?;
    Ok(grub_cfg + &ipxe)
}

fn menus(
    menu: &Menu,
    build: &BuildId,
    manifest: &Digest,
) -> Result<(String, String), NetbootError> {
    let mut options = menu.xen.iter().chain(&menu.dom0);
    if let Some(option) = options.find(|option| option.to_string().contains("${")) {
        return Err(NetbootError::Ipxe { option: option.clone() });
    }
    let net = NetMenu { menu, build, manifest };
    Ok((net.grub_cfg(), net.ipxe()))
}

/// A line for sha256sum, after a comment with the size in bytes.
fn list(manifest: &mut String, path: &str, digest: &Digest, size: u64) {
    manifest.push_str(&format!("# size {size}\n{digest}  {path}\n"));
}

fn unpacked(xen: &Path) -> Result<Vec<u8>, NetbootError> {
    let packed = fs::read(xen).map_err(part(xen))?;
    let mut bytes = Vec::new();
    MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes).map_err(part(xen))?;
    Ok(bytes)
}

/// Linux skips zeros between archives, and looks for the next one at a multiple of four.
fn joined(first: &Path, second: &Path) -> Result<Vec<u8>, NetbootError> {
    let mut bytes = fs::read(first).map_err(part(first))?;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(fs::read(second).map_err(part(second))?);
    Ok(bytes)
}

fn copy(out: &Path, path: &str, host: &Path) -> Result<(), NetbootError> {
    let target = place(out, path)?;
    fs::copy(host, &target).map_err(part(host))?;
    readable(&target, 0o644)
}

fn put(out: &Path, path: &str, bytes: &[u8]) -> Result<(), NetbootError> {
    let target = place(out, path)?;
    fs::write(&target, bytes).map_err(write(&target))?;
    readable(&target, 0o644)
}

/// The file's path, with its folders made.
fn place(out: &Path, path: &str) -> Result<PathBuf, NetbootError> {
    for (at, _) in path.match_indices('/') {
        let folder = out.join(&path[..at]);
        fs::create_dir_all(&folder).map_err(write(&folder))?;
        readable(&folder, 0o755)?;
    }
    Ok(out.join(path))
}

/// Servers run as somebody else.
fn readable(path: &Path, mode: u32) -> Result<(), NetbootError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(write(path))
}

fn part(path: &Path) -> impl FnOnce(io::Error) -> NetbootError {
    |source| NetbootError::Part { path: path.to_owned(), source }
}

fn write(path: &Path) -> impl FnOnce(io::Error) -> NetbootError {
    |source| NetbootError::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::menu::tests::menu;

    #[test]
    fn an_option_that_ipxe_would_expand_is_refused() {
        let mut menu = menu();
        assert!(template(&menu).is_ok());
        menu.dom0.push("a=${net0/ip}".parse().unwrap());
        let error = template(&menu).unwrap_err();
        assert!(matches!(error, NetbootError::Ipxe { .. }), "{error}");
    }
}
