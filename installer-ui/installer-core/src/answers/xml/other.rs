// SPDX-License-Identifier: MIT OR Apache-2.0
//! Elements that nothing here corresponds to.

use super::{Element, Translation, tag};

/// What has no meaning here, with what holds instead.
const WITHOUT_MEANING: &[(&str, &str)] = &[(
    "source",
    "has no meaning here: the system comes from the medium that was started, and no supplemental \
     packs are installed",
)];

/// What would be missed, with the reason and what to do instead.
const REFUSED: &[(&str, (&str, &str))] = &[
    (
        "init-script",
        ("this element is not read", "say <script stage=\"installation-start\" type=\"url\">"),
    ),
    (
        "install-failed-script",
        (
            "no script runs after a failure",
            "leave it out; a [webhook] in an answer file in TOML is told of failures",
        ),
    ),
    (
        "driver-source",
        (
            "drivers are not fetched",
            "leave it out, if the installer's screens show the machine's disks and network cards",
        ),
    ),
    (
        "fcoe-interface",
        ("there is no Fibre Channel over Ethernet here", "install on a disk of the machine"),
    ),
    ("backup-disk", ("there are no backups to restore", "leave it out: the disk is wiped")),
];

/// Names of all elements that are known but not read.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let without = WITHOUT_MEANING.iter().map(|(name, _)| *name);
    without.chain(REFUSED.iter().map(|(name, _)| *name))
}

impl Translation {
    /// Whether the element is one of these.
    pub(super) fn other(&mut self, element: &Element) -> bool {
        let name = element.name.as_str();
        if let Some((_, text)) = WITHOUT_MEANING.iter().find(|(known, _)| *known == name) {
            self.note(&tag(name), *text);
            return true;
        }
        let refused = REFUSED.iter().find(|(known, _)| *known == name);
        if let Some((_, (text, hint))) = refused {
            self.problem(&tag(name), *text, hint);
        }
        refused.is_some()
    }

    pub(super) fn network_backend(&mut self, element: &Element) {
        match self.text(element).as_deref() {
            None => {}
            Some("openvswitch" | "vswitch") => {
                self.note("<network-backend>", "has no meaning here: it is always Open vSwitch");
            }
            Some(other) => {
                let text = format!("{other:?} is not there: networks are Open vSwitch");
                self.problem("<network-backend>", text, "leave it out");
            }
        }
    }

    /// `<bootloader>`, and `<bootloader-location>` as older files have it.
    pub(super) fn boot_loader(&mut self, element: &Element) {
        let about = tag(&element.name);
        self.attributes(element, &["location", "write-boot-entry"]);
        let location = element.attribute(&["location"]).unwrap_or("mbr");
        match (location, element.text.as_str()) {
            ("mbr", "" | "grub2") => {
                let text = "has no meaning here: GRUB is written to the disk for BIOS and UEFI, \
                            and the firmware's boot entries stay as they are";
                self.note(&about, text);
            }
            _ => {
                let text = "only GRUB on the disk itself (mbr, grub2) is there";
                self.problem(&about, text, "leave it out");
            }
        }
    }

    pub(super) fn confirmation(&mut self, element: &Element) {
        let Some(text) = self.text(element) else { return };
        if self.flag("<ui-confirmation-prompt>", &text) == Some(true) {
            let hint = "leave it out, or install with the screens";
            self.problem("<ui-confirmation-prompt>", "nothing is asked with an answer file", hint);
        }
    }
}
