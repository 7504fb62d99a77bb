// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text is no inventory, or one that is written as it was read and that a plan, or the reason for
//! none, can be made of.

use installer_core::answers::Answers;
use installer_core::discovery::Discovery;
use installer_core::plan::{Ids, Plan};

// The hash is written down, because to make one takes long.
const ANSWERS: &str = r#"
hostname = "xen1"
root-password-hash = "$6$rT4x0Zq9bNfW1c2s$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
network = { mode = "dhcp" }
"#;
const DISKS: [&str; 2] =
    ["disk = { select = \"smallest\", wipe = true }", "disk = { keep-storage = true }"];

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(found) = Discovery::from_json(text) else { return };
    let written = found.to_json().expect("what was read can be written");
    assert_eq!(Discovery::from_json(&written).expect("what was written can be read"), found);
    for disk in DISKS {
        let answers = format!("{disk}\n{ANSWERS}");
        let answers = Answers::from_toml(&answers).expect("the answers are right");
        match Plan::make(&answers, &found, Ids::random()) {
            Ok(plan) => assert!(!plan.to_string().is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
