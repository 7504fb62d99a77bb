// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patches GRUB's boot sectors for where the rest of GRUB lies.
//!
//! Offsets are those of GRUB 2.12, `include/grub/i386/pc/boot.h` and
//! `grub-core/boot/i386/pc/{boot,diskboot,cdboot}.S`:
//!
//! - `boot.img` (sector 0 of an installed disk) loads one sector, whose number is the 64-bit field
//!   `kernel_sector` at 0x5c. The two bytes of a jump at 0x66 become no-operations on a hard disk, so
//!   that a BIOS which passes a wrong drive number is corrected.
//! - `boot_hybrid.img` (sector 0 of a medium) is the same program with `kernel_sector` at 0x1b0.
//!   On the medium it must name the fifth 512-byte sector of the El Torito image, because four
//!   sectors of `cdboot.img` come first.
//! - That one sector is `diskboot.img`, the first of `core.img`. Its last twelve bytes are a list
//!   with one run: the first sector of what follows (64 bits), the number of sectors (16 bits) and
//!   the segment to load to (16 bits). `grub-mkimage` has filled in the last two.

use crate::mbr::BOOT_CODE_SIZE;

const SECTOR: usize = 512;
const BPB: std::ops::Range<usize> = 0x03..0x5a;
const KERNEL_SECTOR: usize = 0x5c;
const DRIVE_CHECK: usize = 0x66;
const HYBRID_KERNEL_SECTOR: usize = 0x1b0;
const CDBOOT_SECTORS: u64 = 4;
const RUN_START: usize = 0x1f4;
const RUN_LENGTH: usize = 0x1fc;

/// Why a GRUB image cannot be patched.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GrubError {
    /// A boot sector must be 512 bytes that end in 55 aa.
    #[error("{image} is not a boot sector")]
    NotABootSector {
        /// `boot.img` or `boot_hybrid.img`.
        image: &'static str,
    },
    /// The jump that is to be replaced is not where GRUB 2.12 has it.
    #[error("boot.img has no drive check at byte 0x66: not GRUB 2.12")]
    NoDriveCheck,
    /// The list at the end of the first sector does not describe the rest of the file.
    #[error("core.img lists {listed} sectors, but has {actual} after the first")]
    BlockList {
        /// Sectors that its list names.
        listed: u64,
        /// Sectors after the first.
        actual: u64,
    },
    /// It does not fit into the partition that it is for.
    #[error("core.img takes {needed} sectors, the BIOS boot partition has {room}")]
    CoreTooLarge {
        /// Sectors.
        needed: u64,
        /// Sectors.
        room: u64,
    },
}

/// What makes a disk boot by BIOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskBoot {
    /// For [`crate::mbr::protective`].
    pub boot_code: [u8; BOOT_CODE_SIZE],
    /// For the start of the BIOS boot partition; whole sectors.
    pub core: Vec<u8>,
}

/// Patches `boot.img` and `core.img` for a BIOS boot partition that starts at the 512-byte sector
/// `core_start` and has `room` sectors.
///
/// # Errors
/// See [`GrubError`].
pub fn for_disk(
    boot_img: &[u8],
    core_img: &[u8],
    core_start: u64,
    room: u64,
) -> Result<DiskBoot, GrubError> {
    let mut boot_code = boot_code("boot.img", boot_img)?;
    if boot_code[DRIVE_CHECK] != 0xeb {
        return Err(GrubError::NoDriveCheck);
    }
    boot_code[BPB].fill(0);
    boot_code[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&core_start.to_le_bytes());
    boot_code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);

    let mut core = core_img.to_vec();
    core.resize(core.len().next_multiple_of(SECTOR), 0);
    let needed = (core.len() / SECTOR) as u64;
    let listed = match core.get(RUN_LENGTH..RUN_LENGTH + 2) {
        Some(bytes) => u64::from(u16::from_le_bytes([bytes[0], bytes[1]])),
        None => 0,
    };
    let actual = needed.saturating_sub(1);
    if listed == 0 || listed != actual {
        return Err(GrubError::BlockList { listed, actual });
    }
    if needed > room {
        return Err(GrubError::CoreTooLarge { needed, room });
    }
    core[RUN_START..RUN_START + 8].copy_from_slice(&(core_start + 1).to_le_bytes());
    Ok(DiskBoot { boot_code, core })
}

/// Patches `boot_hybrid.img` for an El Torito image that starts at the 2048-byte block `block` of
/// the medium. (The list inside of that image is the ISO writer's to fill in.)
///
/// # Errors
/// [`GrubError::NotABootSector`].
pub fn for_medium(boot_hybrid_img: &[u8], block: u64) -> Result<[u8; BOOT_CODE_SIZE], GrubError> {
    let mut boot_code = boot_code("boot_hybrid.img", boot_hybrid_img)?;
    let sector = block * 4 + CDBOOT_SECTORS;
    boot_code[HYBRID_KERNEL_SECTOR..].copy_from_slice(&sector.to_le_bytes());
    Ok(boot_code)
}

fn boot_code(image: &'static str, bytes: &[u8]) -> Result<[u8; BOOT_CODE_SIZE], GrubError> {
    let code =
        bytes.first_chunk().filter(|_| bytes.len() == SECTOR && bytes.ends_with(&[0x55, 0xaa]));
    code.copied().ok_or(GrubError::NotABootSector { image })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot_img() -> Vec<u8> {
        let mut image = vec![0x11; SECTOR];
        image[DRIVE_CHECK] = 0xeb;
        image[510..].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    fn core_img(bytes: usize, listed: u16) -> Vec<u8> {
        let mut image = vec![0x22; bytes];
        image[RUN_LENGTH..RUN_LENGTH + 2].copy_from_slice(&listed.to_le_bytes());
        image
    }

    #[test]
    fn an_installed_disk() {
        let patched = for_disk(&boot_img(), &core_img(1300, 2), 2048, 2048).unwrap();
        assert_eq!(
            patched.boot_code[0x5a..0x68],
            [0x11, 0x11, 0, 8, 0, 0, 0, 0, 0, 0, 0x11, 0x11, 0x90, 0x90]
        );
        assert_eq!(patched.core.len(), 1536);
        assert_eq!(patched.core[RUN_START..RUN_LENGTH], [1, 8, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_medium() {
        let code = for_medium(&boot_img(), 100).unwrap();
        assert_eq!(code[0x1af..], [0x11, 0x94, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_not_grub_is_refused() {
        let core = core_img(1300, 2);
        let not_boot = GrubError::NotABootSector { image: "boot.img" };
        assert_eq!(for_disk(&[0; 512], &core, 1, 9), Err(not_boot));
        let mut boot = boot_img();
        boot[DRIVE_CHECK] = 0;
        assert_eq!(for_disk(&boot, &core, 1, 9), Err(GrubError::NoDriveCheck));
        let boot = boot_img();
        let wrong = GrubError::BlockList { listed: 3, actual: 2 };
        assert_eq!(for_disk(&boot, &core_img(1300, 3), 1, 9), Err(wrong));
        let empty = GrubError::BlockList { listed: 0, actual: 0 };
        assert_eq!(for_disk(&boot, &[], 1, 9), Err(empty));
        let large = GrubError::CoreTooLarge { needed: 3, room: 2 };
        assert_eq!(for_disk(&boot, &core, 1, 2), Err(large));
    }
}
