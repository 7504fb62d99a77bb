// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VMSS`.

use super::prelude::*;
use crate::message::Param;

static FREQUENCY: EnumType =
    EnumType { name: "vmss_frequency", values: &["hourly", "daily", "weekly"] };

static KIND: EnumType =
    EnumType { name: "vmss_type", values: &["snapshot", "checkpoint", "snapshot_with_quiesce"] };

const SELF: Param = param("self", Ref("VMSS"), "the schedule");

/// A schedule of snapshots.
pub static VMSS: Class = class(
    "VMSS",
    "A schedule by which VMs are snapshotted, in the host's time, which is UTC.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        rw("enabled", Bool, "Snapshots are taken by it."),
        fixed("type", Enum(&KIND), "What is taken: snapshots, or checkpoints with memory."),
        fixed("retained_snapshots", Int, "Snapshots of each VM that are kept, 1 to 10.")
            .or(Literal::Int(7)),
        fixed("frequency", Enum(&FREQUENCY), "How often snapshots are taken.").or(Str("daily")),
        fixed(
            "schedule",
            STRING_MAP,
            "min: 0, 15, 30 or 45; hour: 0 to 23, not when hourly; days: Monday,…, when weekly.",
        ),
        ro("last_run_time", DateTime, "When it was followed last."),
        mirror("VMs", Set(&Ref("VM")), "snapshot_schedule", "VMs that it is for."),
    ],
    &[
        message(
            "snapshot_now",
            Role::PoolOperator,
            "Takes the snapshots now; answers how it went.",
        )
        .takes(&[param("vmss", Ref("VMSS"), "the schedule")])
        .gives(STRING),
        message("set_type", Role::PoolOperator, "Changes what is taken.")
            .takes(&[SELF, param("value", Enum(&KIND), "what is taken")])
            .fails(&[&VALUE_NOT_SUPPORTED]),
        message("set_frequency", Role::PoolOperator, "Changes how often it is followed.")
            .takes(&[SELF, param("value", Enum(&FREQUENCY), "how often")])
            .fails(&[&INVALID_VALUE]),
        message("set_schedule", Role::PoolOperator, "Changes when it is followed.")
            .takes(&[SELF, param("value", STRING_MAP, "when it is followed: min, hour and days")])
            .fails(&[&INVALID_VALUE]),
        message("add_to_schedule", Role::PoolOperator, "Changes a part of when it is followed.")
            .takes(&[
                SELF,
                param("key", STRING, "part of it: min, hour or days"),
                param("value", STRING, "value of the part"),
            ])
            .fails(&[&INVALID_VALUE]),
        message(
            "remove_from_schedule",
            Role::PoolOperator,
            "Removes a part of when it is followed.",
        )
        .takes(&[SELF, param("key", STRING, "part of it: min, hour or days")])
        .fails(&[&INVALID_VALUE]),
        message("set_retained_snapshots", Role::PoolOperator, "Changes how many are kept.")
            .takes(&[SELF, param("value", Int, "how many, 1 to 10")])
            .fails(&[&INVALID_VALUE]),
    ],
)
.made_by(Role::PoolOperator);
