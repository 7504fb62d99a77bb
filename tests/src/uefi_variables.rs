// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes boot entries into OVMF's empty variable store, as a person would in the firmware's setup.
//!
//! The store is a firmware volume whose header is followed by one of the store (28 bytes), then by
//! the variables: edk2's `Include/Guid/VariableFormat.h`, the form with authentication.

use anyhow::{Context, Result, ensure};

/// `EFI_GLOBAL_VARIABLE` as it lies in memory.
const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// Non-volatile, for boot services and at run time.
const ATTRIBUTES: u32 = 7;
/// Of a variable that is written whole.
const ADDED: u8 = 0x3f;
const STORE_HEADER: usize = 28;

/// The store `empty` with one boot entry: load what is at `url`, by whatever card (UEFI 2.7, 3.1.2:
/// a URI alone is a short form).
pub fn boot_from_url(empty: &[u8], url: &str) -> Result<Vec<u8>> {
    let mut path = vec![3, 24];
    path.extend(u16::try_from(4 + url.len()).context("the URL is too long")?.to_le_bytes());
    path.extend(url.as_bytes());
    path.extend([0x7f, 0xff, 4, 0]);
    let mut option = 1_u32.to_le_bytes().to_vec();
    option.extend(u16::try_from(path.len()).context("the URL is too long")?.to_le_bytes());
    option.extend(wide("HTTP"));
    option.extend(path);

    let header = empty.get(48..50).context("the store has no header")?;
    ensure!(&empty[40..44] == b"_FVH", "the store is no firmware volume");
    let begin = usize::from(u16::from_le_bytes([header[0], header[1]])) + STORE_HEADER;
    let mut added = variable("Boot0000", &option);
    added.extend(variable("BootOrder", &0_u16.to_le_bytes()));
    let place = begin..begin + added.len();
    let mut store = empty.to_vec();
    let free = store.get_mut(place).context("the store is too small")?;
    ensure!(free.iter().all(|byte| *byte == 0xff), "the store is not empty");
    free.copy_from_slice(&added);
    Ok(store)
}

/// Header, name and value, padded to a multiple of four.
fn variable(name: &str, value: &[u8]) -> Vec<u8> {
    let name = wide(name);
    let mut bytes = vec![0xaa, 0x55, ADDED, 0];
    bytes.extend(ATTRIBUTES.to_le_bytes());
    // Count, time and key of the signer: none.
    bytes.extend([0; 8 + 16 + 4]);
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend(GLOBAL);
    bytes.extend(name);
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0xff);
    bytes
}

/// UCS-2 with a zero at its end.
fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Vec<u8> {
        let mut store = vec![0xff; 4096];
        store[40..44].copy_from_slice(b"_FVH");
        store[48..50].copy_from_slice(&72_u16.to_le_bytes());
        store
    }

    #[test]
    fn the_entry_comes_first_and_is_in_the_order() {
        let store = boot_from_url(&empty(), "http://a/b").unwrap();
        assert_eq!(store[100..104], [0xaa, 0x55, 0x3f, 0]);
        let text = String::from_utf8_lossy(&store);
        assert!(text.contains("http://a/b\u{7f}"), "{text}");
        // 60 bytes of header, 18 of name, 16 + 14 + 4 of value behind "HTTP" and its zero: 122, padded.
        let second = 100 + (60_usize + 18 + 4 + 2 + 10 + 14 + 4).next_multiple_of(4);
        assert_eq!(store[second..second + 4], [0xaa, 0x55, 0x3f, 0]);
        assert_eq!(store.len(), 4096);
    }

    #[test]
    fn what_is_no_empty_store_is_refused() {
        let mut used = empty();
        used[104] = 0;
        for bad in [&[][..], &[0; 64], &used, &empty()[..120]] {
            assert!(boot_from_url(bad, "http://a/b").is_err());
        }
    }
}
