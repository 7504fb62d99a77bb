// SPDX-License-Identifier: MIT OR Apache-2.0
//! Classes of which this host can have no object ([`crate::left_out`] says why).
//!
//! Clients that list every class which they know end at one that a server does not. That there is
//! nothing is an answer, so their lists are there, and empty; all that needs an object is not.

use super::prelude::*;

/// Lists alone, as there are neither fields to read nor objects to read them of.
const fn absent(name: &'static str, doc: &'static str) -> Class {
    class(name, doc, &[], &[])
}

macro_rules! absent {
    ($($constant:ident $name:literal $doc:literal)*) => {
        $(
            #[doc = $doc]
            pub static $constant: Class = absent($name, $doc);
        )*
        /// All of them.
        pub static ABSENT: &[&Class] = &[$(&$constant),*];
    };
}

absent! {
    POOL_PATCH "pool_patch" "A patch for hosts, as of old versions. There are none."
    HOST_PATCH "host_patch" "A patch on a host, as of old versions. There are none."
    POOL_UPDATE "pool_update" "An update for hosts. There are none."
    REPOSITORY "Repository" "A repository of updates. There are none."
    FEATURE "Feature" "A feature in trial. There are none."
    DR_TASK "DR_task" "A recovery after a disaster. There are none."
    CLUSTER "Cluster" "A cluster of hosts. There are none."
    CLUSTER_HOST "Cluster_host" "A host in a cluster. There are none."
    NETWORK_SRIOV "network_sriov" "A network card shared by hardware. There are none."
    PVS_SITE "PVS_site" "Servers that give out disks. There are none."
    PVS_SERVER "PVS_server" "A server that gives out disks. There are none."
    PVS_PROXY "PVS_proxy" "What a VM reaches such servers through. There are none."
    PVS_CACHE_STORAGE "PVS_cache_storage" "A cache of what such servers give out. There are none."
    VGPU "VGPU" "A virtual graphics card. There are none."
    VGPU_TYPE "VGPU_type" "A kind of virtual graphics card. There are none."
    VUSB "VUSB" "A USB device of a VM. There are none."
    VTPM "VTPM" "A TPM of a VM. There are none."
    VMPP "VMPP" "A schedule of snapshots, as of old versions. There are none."
    VIF_METRICS "VIF_metrics" "Figures of a VIF, as of old versions. There are none."
    VBD_METRICS "VBD_metrics" "Figures of a VBD, as of old versions. There are none."
}
