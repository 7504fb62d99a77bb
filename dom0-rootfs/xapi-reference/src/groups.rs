// SPDX-License-Identifier: MIT OR Apache-2.0
//! Classes that belong together, in the order in which people want to read of them.

/// Classes about one thing: a part of the index and a column of the diagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// What they are about.
    pub(crate) title: &'static str,
    /// Their names.
    pub(crate) classes: &'static [&'static str],
}

/// All groups; every class is in one.
pub(crate) static ALL: &[Group] = &[
    Group {
        title: "Clients",
        classes: &[
            "session",
            "user",
            "subject",
            "role",
            "auth",
            "task",
            "event",
            "message",
            "secret",
            "blob",
            "data_source",
        ],
    },
    Group {
        title: "Virtual machines",
        classes: &[
            "VM",
            "console",
            "crashdump",
            "VM_metrics",
            "VM_guest_metrics",
            "VM_appliance",
            "VMSS",
            "VM_group",
        ],
    },
    Group { title: "Storage", classes: &["VBD", "VDI", "SR", "PBD", "SM", "vdi_nbd_server_info"] },
    Group {
        title: "Networks",
        classes: &[
            "VIF",
            "network",
            "PIF",
            "PIF_metrics",
            "Bond",
            "VLAN",
            "tunnel",
            "SDN_controller",
        ],
    },
    Group {
        title: "Hosts",
        classes: &[
            "pool",
            "host",
            "host_metrics",
            "host_cpu",
            "host_crashdump",
            "Certificate",
            "PCI",
            "PGPU",
            "GPU_group",
            "PUSB",
            "USB_group",
        ],
    },
    Group {
        title: "None here",
        classes: &[
            "pool_patch",
            "host_patch",
            "pool_update",
            "Repository",
            "Feature",
            "DR_task",
            "Cluster",
            "Cluster_host",
            "network_sriov",
            "PVS_site",
            "PVS_server",
            "PVS_proxy",
            "PVS_cache_storage",
            "VGPU",
            "VGPU_type",
            "VUSB",
            "VTPM",
            "VMPP",
            "VIF_metrics",
            "VBD_metrics",
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_class_is_in_one_group() {
        let grouped: Vec<&str> = ALL.iter().flat_map(|group| group.classes).copied().collect();
        let once: BTreeSet<&str> = grouped.iter().copied().collect();
        assert_eq!(once.len(), grouped.len());
        let known: BTreeSet<&str> = xapi_model::classes::ALL.iter().map(|c| c.name).collect();
        assert_eq!(once, known, "a new class goes into a group, here");
    }
}
