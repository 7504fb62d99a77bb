// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware of a fully virtualized guest says of its machine: `VM.bios_strings`.

use std::collections::BTreeMap;

use xapi_model::{ApiError, Value, errors};

use crate::store::Object;

/// Keys of `bios_strings`, with libxl's names for them (`libxl_smbios_type`) and the files of
/// `/sys/class/dmi/id` that say it of this host.
pub const KEYS: [(&str, &str, &str); 13] = [
    ("bios-vendor", "bios_vendor", "bios_vendor"),
    ("bios-version", "bios_version", "bios_version"),
    ("system-manufacturer", "system_manufacturer", "sys_vendor"),
    ("system-product-name", "system_product_name", "product_name"),
    ("system-version", "system_version", "product_version"),
    ("system-serial-number", "system_serial_number", "product_serial"),
    ("baseboard-manufacturer", "baseboard_manufacturer", "board_vendor"),
    ("baseboard-product-name", "baseboard_product_name", "board_name"),
    ("baseboard-version", "baseboard_version", "board_version"),
    ("baseboard-serial-number", "baseboard_serial_number", "board_serial"),
    ("baseboard-asset-tag", "baseboard_asset_tag", "board_asset_tag"),
    // Nothing in Linux tells where a board sits.
    ("baseboard-location-in-chassis", "baseboard_location_in_chassis", ""),
    ("enclosure-asset-tag", "enclosure_asset_tag", "chassis_asset_tag"),
];

/// Longest string, in bytes, as on XenServer.
const LONGEST: usize = 512;

/// The strings of a VM by libxl's names. What is empty, or cannot be said, is the firmware's own: a VM
/// that was imported has what another host gave it.
pub fn smbios(vm: &Object) -> BTreeMap<String, String> {
    let strings = vm.map("bios_strings");
    let set = KEYS.iter().filter_map(|(key, name, _)| {
        let text = strings.get(*key)?.text();
        can_be_said(&text).then(|| ((*name).to_owned(), text))
    });
    set.collect()
}

fn can_be_said(text: &str) -> bool {
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    printable && !text.trim().is_empty() && text.len() <= LONGEST
}

/// Refuses what a client cannot set: other keys, and what is no printable ASCII.
pub fn check(strings: &BTreeMap<String, Value>) -> Result<(), ApiError> {
    for (key, value) in strings {
        let text = value.text();
        let known = KEYS.iter().any(|(known, ..)| known == key);
        if !known || !can_be_said(&text) {
            return Err(errors::INVALID_VALUE.with([key.as_str(), &text]));
        }
    }
    Ok(())
}
