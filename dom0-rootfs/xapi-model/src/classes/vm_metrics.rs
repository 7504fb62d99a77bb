// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM_metrics`.

use super::prelude::*;
use super::vm::DOMAIN_TYPE;

/// Metrics of a VM.
pub static VM_METRICS: Class = class(
    "VM_metrics",
    "Figures of a VM that change all the time.",
    &[
        UUID,
        ro("memory_actual", Int, "Memory that it has now, in bytes."),
        ro("VCPUs_number", Int, "Virtual CPUs online."),
        ro("VCPUs_utilisation", Type::Map(&Int, &Float), "Use of each; not kept."),
        ro("VCPUs_CPU", Type::Map(&Int, &Int), "Physical CPU of each; not kept."),
        ro("VCPUs_params", STRING_MAP, "Live parameters of the virtual CPUs."),
        ro("VCPUs_flags", Type::Map(&Int, &Set(&Type::String)), "State of each; not kept."),
        ro("state", STRINGS, "State of the domain."),
        ro("start_time", DateTime, "When it was last started."),
        ro("install_time", DateTime, "When it was made."),
        ro("last_updated", DateTime, "When this was last looked at."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("hvm", Bool, "It runs hardware-virtualized."),
        ro("nested_virt", Bool, "It may run virtual machines itself."),
        ro("nomigrate", Bool, "It cannot be migrated."),
        ro("current_domain_type", Enum(&DOMAIN_TYPE), "How it is virtualized now.")
            .or(Str("unspecified")),
    ],
    &[],
)
.written_by(Role::VmAdmin);
