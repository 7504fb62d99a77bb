// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's name as iSCSI initiator.

use anyhow::Result;

use super::Dom0;

const FILE: &str = "/etc/iscsi/initiatorname.iscsi";
const LINE: &str = "InitiatorName=";
const ISCSID: &str = "iscsid.service";

/// Whether a text is a name of iSCSI (RFC 7143, section 4.2.7): `iqn.`, `eui.` or `naa.`, and at most 223
/// bytes.
pub fn is_name(text: &str) -> bool {
    let kinds = ["iqn.", "eui.", "naa."];
    let rest = kinds.iter().find_map(|kind| text.strip_prefix(kind));
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
    text.len() <= 223 && rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed))
}

impl Dom0 {
    /// The name; empty as long as none was made.
    pub(super) fn iscsi_name(&self) -> String {
        let text = self.text(FILE);
        let name = text.lines().find_map(|line| line.strip_prefix(LINE));
        name.unwrap_or_default().trim().to_owned()
    }

    /// Changes it for sessions from now on.
    pub fn set_iscsi_name(&self, name: &str) -> Result<()> {
        self.write(FILE, &format!("{LINE}{name}\n"))?;
        // It reads its name when it starts; sessions are the kernel's and go on.
        match self.unit(ISCSID)?.active {
            true => self.systemctl(&["restart", ISCSID]),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names() {
        for good in
            ["iqn.1993-08.org.debian:01:abc", "eui.02004567a425678d", "naa.52004567ba64678d"]
        {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "iqn.", "x", "iqn.a b", "iqn.A", "iqn.a\nb", &format!("iqn.{:0224}", 1)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
