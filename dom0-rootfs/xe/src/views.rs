// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be listed: every class of the API, and VMs also as templates and snapshots.

use xapi_model::{Class, classes};

use crate::api::is_listed;
use crate::fields::{self, CliField};
use crate::names;

/// A kind of object as xe sees it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// `vm`, `template`.
    pub(crate) name: String,
    pub(crate) class: &'static Class,
    /// Fields that its objects have in common.
    pub(crate) always: &'static [(&'static str, &'static str)],
}

/// Fields that `list` shows when it is not told.
const BRIEF: &[(&str, &[&str])] = &[
    ("vm", &["uuid", "name-label", "power-state"]),
    ("template", &["uuid", "name-label", "name-description"]),
    (
        "snapshot",
        &[
            "uuid",
            "name-label",
            "name-description",
            "snapshot-of",
            "snapshot-time",
            "is-vmss-snapshot",
        ],
    ),
    ("pool", &["uuid", "name-label", "name-description", "master", "default-SR"]),
    ("pif", &["uuid", "device", "MAC", "currently-attached", "VLAN", "network-uuid", "host-uuid"]),
    ("vif", &["uuid", "vm-uuid", "device", "network-uuid"]),
    ("vbd", &["uuid", "vm-uuid", "vm-name-label", "vdi-uuid", "empty", "device"]),
    (
        "vdi",
        &[
            "uuid",
            "name-label",
            "name-description",
            "sr-uuid",
            "virtual-size",
            "sharable",
            "read-only",
        ],
    ),
    ("sr", &["uuid", "name-label", "name-description", "host", "type", "content-type"]),
    (
        "sm",
        &["uuid", "name-label", "name-description", "type", "vendor", "copyright", "configuration"],
    ),
    ("pbd", &["uuid", "host-uuid", "sr-uuid", "device-config", "currently-attached"]),
    ("network", &["uuid", "name-label", "name-description", "bridge"]),
    ("console", &["uuid", "vm-uuid", "vm-name-label", "protocol", "location"]),
    ("task", &["uuid", "name-label", "name-description", "status", "progress"]),
    ("host", &["uuid", "name-label", "name-description"]),
    ("appliance", &["uuid", "name-label", "name-description", "VMs"]),
    ("blob", &["uuid", "name-label", "name-description", "size", "mime-type"]),
    ("message", &["uuid", "name", "priority", "class", "obj-uuid", "timestamp", "body"]),
    ("secret", &["uuid"]),
    ("vmss", &["uuid", "name-label", "name-description", "enabled", "frequency", "VMs"]),
    ("pci", &["uuid", "class-name", "vendor-name", "device-name", "pci-id"]),
    ("host-cpu", &["uuid", "number", "vendor", "speed", "utilisation"]),
    ("role", &["uuid", "name-label", "name-description"]),
    ("subject", &["uuid", "subject-identifier", "other-config", "roles"]),
];

impl View {
    /// Its fields, in the order of `param-list`.
    pub(crate) fn fields(&self) -> Vec<CliField> {
        fields::of(self.class)
    }

    /// Fields that `list` shows when it is not told; every one for kinds without names.
    pub(crate) fn brief(&self) -> Option<&'static [&'static str]> {
        BRIEF.iter().find(|(name, _)| *name == self.name).map(|(_, fields)| *fields)
    }

    /// `vms`.
    pub(crate) fn plural(&self) -> String {
        let ends = self.name.ends_with('s');
        format!("{}{}", self.name, if ends { "" } else { "s" })
    }
}

/// Everything that can be listed.
pub(crate) fn all() -> Vec<View> {
    let mut views = Vec::new();
    // Metrics are shown with the object that they belong to.
    let shown = |class: &&Class| is_listed(class) && !class.name.ends_with("_metrics");
    for class in classes::ALL.iter().copied().filter(shown) {
        let always: &[_] = if class.name == "VM" { &[("is-a-template", "false")] } else { &[] };
        views.push(View { name: names::class(class), class, always });
        if class.name == "VM" {
            let always = &[("is-a-template", "true"), ("is-a-snapshot", "false")];
            views.push(View { name: "template".to_owned(), class, always });
            let always = &[("is-a-snapshot", "true")];
            views.push(View { name: "snapshot".to_owned(), class, always });
        }
    }
    views
}

/// The view of this name.
pub(crate) fn find(name: &str) -> Option<View> {
    all().into_iter().find(|view| view.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_list_shows_exists() {
        for (name, brief) in BRIEF {
            let view = find(name).unwrap_or_else(|| panic!("{name}"));
            let fields = view.fields();
            let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            for field in *brief {
                assert!(known.contains(field), "{name}: {field}");
            }
            // The order of the fields decides, so that of the table has to be the same.
            let shown: Vec<_> = known.iter().filter(|field| brief.contains(field)).collect();
            assert_eq!(shown, brief.iter().collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn common_fields_exist() {
        for view in all() {
            for (name, _) in view.always {
                assert!(view.fields().iter().any(|field| field.name == *name), "{name}");
            }
        }
    }
}
