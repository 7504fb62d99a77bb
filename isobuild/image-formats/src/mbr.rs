// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sector 0 of a GPT disk that PC BIOSes boot as well.
//!
//! Entry 1 is the protective one over the whole disk. Entry 2 has the type 00, so it is no
//! partition to anyone, but it is marked active: some BIOSes boot a disk only if one entry is. This
//! is what `xorriso --mbr-force-bootable` writes. An MBR that mirrors the GPT's partitions instead
//! was refused by real laptops, and an active *protective* entry breaks the UEFI specification.

/// Bytes of boot code in front of the disk signature.
pub const BOOT_CODE_SIZE: usize = 440;

/// Bytes of sector 0 that an MBR takes, also on a disk with larger sectors.
pub const SECTOR_SIZE: usize = 512;

/// Boot code of a disk that starts nothing: `int 18h`, by which a BIOS goes on to its next device (BIOS
/// Boot Specification 1.01, 6.7), and a jump to itself should it come back.
pub const STARTS_NOTHING: [u8; BOOT_CODE_SIZE] = {
    let mut code = [0; BOOT_CODE_SIZE];
    code[0] = 0xcd;
    code[1] = 0x18;
    code[2] = 0xeb;
    code[3] = 0xfe;
    code
};

const ENTRIES: usize = 446;
const ENTRY_SIZE: usize = 16;
const TYPE_PROTECTIVE: u8 = 0xee;

/// Builds sector 0: boot code, a disk signature, the protective entry over a disk of `sectors`
/// logical sectors, and the active entry of type 00.
#[must_use]
pub fn protective(
    boot_code: &[u8; BOOT_CODE_SIZE],
    signature: u32,
    sectors: u64,
) -> [u8; SECTOR_SIZE] {
    let mut sector = [0; SECTOR_SIZE];
    sector[..BOOT_CODE_SIZE].copy_from_slice(boot_code);
    sector[440..444].copy_from_slice(&signature.to_le_bytes());

    let length = u32::try_from(sectors.saturating_sub(1)).unwrap_or(u32::MAX);
    let protective = &mut sector[ENTRIES..ENTRIES + ENTRY_SIZE];
    protective[1..4].copy_from_slice(&[0x00, 0x02, 0x00]);
    protective[4] = TYPE_PROTECTIVE;
    protective[5..8].copy_from_slice(&[0xff, 0xff, 0xff]);
    protective[8..12].copy_from_slice(&1_u32.to_le_bytes());
    protective[12..16].copy_from_slice(&length.to_le_bytes());

    let active = &mut sector[ENTRIES + ENTRY_SIZE..ENTRIES + 2 * ENTRY_SIZE];
    active[0] = 0x80;
    active[12..16].copy_from_slice(&1_u32.to_le_bytes());

    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_protective_and_one_active_entry() {
        let sector = protective(&[7; BOOT_CODE_SIZE], 0x0102_0304, 1000);
        assert_eq!(sector[439], 7);
        assert_eq!(sector[440..444], [4, 3, 2, 1]);
        assert_eq!(
            sector[446..462],
            [0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xe7, 3, 0, 0]
        );
        assert_eq!(sector[462..478], [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(sector[478..510], [0; 32]);
        assert_eq!(sector[510..], [0x55, 0xaa]);
    }

    #[test]
    fn a_disk_beyond_the_field_saturates() {
        let sector = protective(&[0; BOOT_CODE_SIZE], 0, u64::MAX);
        assert_eq!(sector[458..462], [0xff; 4]);
    }
}
