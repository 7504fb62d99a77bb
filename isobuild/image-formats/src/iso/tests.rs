// SPDX-License-Identifier: MIT OR Apache-2.0

use std::io::Cursor;

use super::*;
use crate::gpt::{self, SectorSize};

const ESP_BYTES: usize = 64 * 1024;

pub(super) fn boot() -> IsoBoot {
    let mut boot_hybrid = vec![0x11; 512];
    boot_hybrid[510..].copy_from_slice(&[0x55, 0xaa]);
    IsoBoot {
        bios_image: "boot/grub/eltorito.img".to_owned(),
        boot_hybrid,
        esp: Source::Bytes(vec![0x33; ESP_BYTES]),
    }
}

pub(super) fn writer() -> IsoWriter {
    let mut iso = IsoWriter::new("XENITH", 1_700_000_000, 42).unwrap();
    iso.file("boot/grub/eltorito.img", Source::Bytes(vec![0x22; 5000])).unwrap();
    iso.file("xenith/build-id", Source::Bytes(b"0123\n".to_vec())).unwrap();
    iso
}

fn image() -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let report = writer().write(&mut out, boot()).unwrap();
    assert_eq!(report.bytes, out.get_ref().len() as u64);
    out.into_inner()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

#[test]
fn the_same_twice() {
    assert!(image() == image());
}

#[test]
fn sector_zero_leads_to_the_el_torito_image() {
    let image = image();
    let sector = number(&image[432..440]);
    assert_eq!(sector % 4, 0);
    let at = (sector as usize - 4) * 512;
    assert_eq!(image[at..at + 8], [0x22; 8]);
    assert_eq!(number(&image[at + 2548..]), sector + 1, "the block list of core.img");
    assert_eq!(
        u64::from(u32::from_le_bytes(image[at + 12..at + 16].try_into().unwrap())),
        sector / 4 - 1
    );
    assert_eq!(image[450], 0xee);
    assert_eq!(image[462], 0x80);
}

#[test]
fn the_esp_is_a_partition() {
    let image = image();
    let table = gpt::read(&mut Cursor::new(&image), SectorSize::B512).unwrap().unwrap();
    let esp = table.partitions.iter().find(|found| found.name == "EFI System Partition").unwrap();
    let (start, end) = (esp.first_sector as usize * 512, (esp.last_sector as usize + 1) * 512);
    assert_eq!(end - start, ESP_BYTES);
    assert!(image[start..end].iter().all(|byte| *byte == 0x33));
}

#[test]
fn paths_that_cannot_be_are_refused() {
    let mut iso = writer();
    let empty = || Source::Bytes(Vec::new());
    for path in ["", "/a", "a/", "a/../b", "1/2/3/4/5/6/7/8/9"] {
        assert!(matches!(iso.file(path, empty()), Err(IsoError::BadPath { .. })), "{path}");
    }
    for path in ["xenith/build-id", "xenith", "xenith/build-id/below"] {
        assert!(matches!(iso.file(path, empty()), Err(IsoError::Twice { .. })), "{path}");
    }
    let missing = iso.file("a", Source::Path("/nonexistent/file".into())).unwrap_err();
    assert_eq!(missing.to_string(), "opening /nonexistent/file for the medium");
}

#[test]
fn a_boot_sector_that_is_none_is_refused() {
    let boot = IsoBoot { boot_hybrid: vec![0; 512], ..boot() };
    let error = writer().write(&mut Cursor::new(Vec::new()), boot).unwrap_err();
    assert!(matches!(error, IsoError::Grub(_)), "{error:?}");
}
