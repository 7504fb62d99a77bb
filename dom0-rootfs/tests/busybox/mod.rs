// SPDX-License-Identifier: MIT OR Apache-2.0
//! The busybox that the initramfs has.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use isobuild::debian::unpack_all;
use isobuild::fetch::{Downloader, Mirrors};
use isobuild::interrupt::Interrupt;
use isobuild::lock;
use isobuild::progress::Plain;
use isobuild::store::Store;
use tempfile::TempDir;

/// Fetched first if the store does not have it.
pub(crate) fn path() -> &'static Path {
    static BUSYBOX: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUSYBOX.get_or_init(|| {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let lock = lock::load(&repository.join("profiles/lock.toml")).unwrap();
        let package = lock.package("busybox-static").unwrap();
        let store = Store::of_user().unwrap();
        let mirrors = Mirrors::find(None, Some(lock.timestamp())).unwrap();
        let fetcher = Downloader::new(&store, mirrors, false, &Plain, Interrupt::new());
        fetcher.fetch_all(std::slice::from_ref(&package.file)).unwrap();
        let dir = TempDir::new().unwrap();
        let debs = [store.object(&package.file.sha256)];
        unpack_all(&debs, dir.path(), 1, &Interrupt::new()).unwrap();
        let path = dir.path().join("usr/bin/busybox");
        (dir, path)
    });
    path
}
