// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever the kernel command line says, one way in at the most is opened, and what is taken for a
//! secret is in no log.

use installer_core::logs::Secrets;
use installer_core::ssh::{Proof, WORD};

pub(crate) fn run(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let line = format!("{WORD} {line}");
    let id = "00112233-4455-4677-8899-aabbccddeeff".parse().unwrap();
    if let Ok(Some(proof)) = Proof::of(&line, id) {
        assert_eq!(proof.account().unwrap().lines().count(), 1);
        assert!(proof.authorized_keys().lines().count() <= 1);
        if let Proof::Given(password) = proof {
            let left = Secrets::of(&line).remove_from(&line);
            assert!(!left.contains(&password) || "[removed]".contains(&password));
        }
    }
}
