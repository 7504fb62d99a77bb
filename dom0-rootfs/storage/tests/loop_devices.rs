// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file driver against this machine's real loop devices. Needs root and the kernel's loop driver.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::Arc;

use storage::{FileDriver, Host, Mode, SrDriver, SrSpec, StorageError};
use uuid::Uuid;

#[test]
fn a_vdi_becomes_a_block_device_and_back() {
    if !Path::new("/dev/loop-control").exists() || !rustix::process::geteuid().is_root() {
        // Past what the harness keeps of tests that pass.
        std::io::stderr().write_all(b"SKIPPED: no /dev/loop-control, or not root\n").unwrap();
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let location = dir.path().to_str().unwrap().to_owned();
    let sr = SrSpec {
        uuid: Uuid::from_u128(0x51),
        device_config: BTreeMap::from([("location".to_owned(), location)]),
    };
    let driver = FileDriver::new(Arc::new(Host));
    let (vdi, copy) = (Uuid::from_u128(0x52), Uuid::from_u128(0x53));
    driver.create(&sr).unwrap();
    driver.attach(&sr).unwrap();
    driver.vdi_create(&sr, vdi, 8 << 20, None).unwrap();

    let device = driver.vdi_activate(&sr, vdi, Mode::ReadWrite).unwrap();
    assert!(device.metadata().unwrap().file_type().is_block_device());
    assert_eq!(driver.vdi_activate(&sr, vdi, Mode::ReadWrite).unwrap(), device);
    let file = OpenOptions::new().read(true).write(true).open(&device).unwrap();
    file.write_all_at(&[0x5a; 4096], 4096).unwrap();
    file.sync_all().unwrap();
    assert!(matches!(driver.vdi_destroy(&sr, vdi), Err(StorageError::VdiInUse(_))));
    assert!(matches!(driver.destroy(&sr), Err(StorageError::VdiInUse(_))));
    driver.vdi_resize(&sr, vdi, 16 << 20).unwrap();
    file.write_all_at(&[0xa5; 512], (16 << 20) - 512).unwrap();
    drop(file);
    driver.vdi_deactivate(&sr, vdi).unwrap();
    driver.vdi_deactivate(&sr, vdi).unwrap();

    driver.vdi_clone(&sr, vdi, copy).unwrap();
    let device = driver.vdi_activate(&sr, copy, Mode::ReadOnly).unwrap();
    assert!(
        OpenOptions::new().write(true).open(&device).and_then(|f| f.write_at(&[1], 0)).is_err()
    );
    let mut content = [0; 4096];
    let file = OpenOptions::new().read(true).open(&device).unwrap();
    file.read_exact_at(&mut content, 4096).unwrap();
    assert_eq!(content, [0x5a; 4096]);
    drop(file);
    driver.vdi_deactivate(&sr, copy).unwrap();
    let used: u64 = driver.scan(&sr).unwrap().iter().map(|vdi| vdi.physical_utilisation).sum();
    assert!(used < 1 << 20, "{used} bytes of holes were filled");
    driver.destroy(&sr).unwrap();
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}
