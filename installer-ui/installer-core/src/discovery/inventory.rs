// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found, as JSON: so that answers can be tried for a machine that is elsewhere.

use serde::{Deserialize, Serialize};

use super::Discovery;

/// Of the format. A change that an older program would misread makes it larger.
const VERSION: u32 = 1;

/// Why a text is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Something else than what `xenith-installer inventory` prints.
    #[error("this is not an inventory of a machine")]
    NotOne(#[source] serde_json::Error),
    /// Of another version of the format.
    #[error("the inventory has version {0} of the format, this program reads {VERSION}")]
    Version(u32),
    /// It cannot be written.
    #[error("writing the inventory as JSON")]
    Write(#[source] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Head {
    xenith_inventory: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Inventory<T> {
    xenith_inventory: u32,
    found: T,
}

impl Discovery {
    /// As JSON, several lines without a line end behind the last.
    ///
    /// # Errors
    /// [`InventoryError::Write`]: a device path that is not UTF-8.
    pub fn to_json(&self) -> Result<String, InventoryError> {
        let inventory = Inventory { xenith_inventory: VERSION, found: self };
        serde_json::to_string_pretty(&inventory).map_err(InventoryError::Write)
    }

    /// From what [`Discovery::to_json`] gave.
    ///
    /// # Errors
    /// [`InventoryError::NotOne`], [`InventoryError::Version`].
    pub fn from_json(text: &str) -> Result<Self, InventoryError> {
        let head: Head = serde_json::from_str(text).map_err(InventoryError::NotOne)?;
        if head.xenith_inventory != VERSION {
            return Err(InventoryError::Version(head.xenith_inventory));
        }
        let inventory = serde_json::from_str::<Inventory<Self>>(text);
        Ok(inventory.map_err(InventoryError::NotOne)?.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{self, golden};
    use crate::plan::Plan;
    use crate::plan::tests::{answers, ids, machine};
    use crate::steps::chain;

    #[test]
    fn an_inventory_reads_like_this_and_is_read_back() {
        let mut found = machine();
        found.disks[0].holders = vec![
            crate::discovery::Holder::Mapper("old-root".into()),
            crate::discovery::Holder::Raid("/dev/md0".into()),
            crate::discovery::Holder::Other("bcache0".into()),
        ];
        found.disks[0].contents[1].part_of = Some("vg0".into());
        found.disks[1].path_of = Some("/dev/sdx".into());
        found.disks[2].multipath = Some(crate::discovery::Multipath {
            wwid: Some("3600a".into()),
            paths: vec!["/dev/sdc".into(), "/dev/sdy".into()],
        });
        let text = found.to_json().unwrap();
        golden::is("inventories/good/machine-of-the-tests.json", &format!("{text}\n"));
        assert_eq!(Discovery::from_json(&text).unwrap(), found);
    }

    #[test]
    fn good_inventories_give_a_plan_or_a_reason() {
        golden("inventories/good", &["json"], |text| {
            let found = Discovery::from_json(text).unwrap();
            match Plan::make(&answers(), &found, ids()) {
                Ok(plan) => format!("{plan}\n"),
                Err(error) => format!("{error}\n"),
            }
        });
    }

    #[test]
    fn bad_inventories_are_refused_with_their_reasons() {
        golden("inventories/bad", &["json"], |text| {
            format!("{}\n", chain(&Discovery::from_json(text).unwrap_err()))
        });
    }
}
