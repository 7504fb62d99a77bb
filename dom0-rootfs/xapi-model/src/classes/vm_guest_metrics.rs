// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM_guest_metrics`.

use super::prelude::*;

static TRISTATE: EnumType =
    EnumType { name: "tristate_type", values: &["yes", "no", "unspecified"] };

/// What an agent in a guest reports.
pub static VM_GUEST_METRICS: Class = class(
    "VM_guest_metrics",
    "What an agent in the guest of a VM reports; there from its first word until the VM halts.",
    &[
        UUID,
        ro("os_version", STRING_MAP, "Operating system: name, uname, distro, major, minor."),
        ro("netbios_name", STRING_MAP, "Names in NetBIOS; not kept."),
        ro("PV_drivers_version", STRING_MAP, "Version of the drivers: major, minor, micro, build."),
        ro("PV_drivers_up_to_date", Bool, "It has drivers for Xen."),
        ro("memory", STRING_MAP, "Memory as the guest counts it: total, free, in KiB."),
        ro("disks", STRING_MAP, "Disks as the guest sees them; not kept."),
        ro("networks", STRING_MAP, "Its addresses: 0/ip, 0/ipv4/0, 0/ipv6/0."),
        ro("other", STRING_MAP, "What else it reports below data/."),
        ro("last_updated", DateTime, "When it last said something new."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("live", Bool, "The guest runs and reports."),
        ro("can_use_hotplug_vbd", Enum(&TRISTATE), "It takes disks while it runs; not known.")
            .or(Str("unspecified")),
        ro("can_use_hotplug_vif", Enum(&TRISTATE), "It takes interfaces while it runs; not known.")
            .or(Str("unspecified")),
        ro("PV_drivers_detected", Bool, "It has drivers for Xen."),
        ro("services", STRING_MAP, "Services in the guest; not kept."),
    ],
    &[],
)
.written_by(Role::VmAdmin);
