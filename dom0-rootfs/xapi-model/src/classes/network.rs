// SPDX-License-Identifier: MIT OR Apache-2.0
//! `network`.

use super::blob;
use super::prelude::*;

static OPERATIONS: EnumType = EnumType { name: "network_operations", values: &["attaching"] };

static LOCKING: EnumType =
    EnumType { name: "network_default_locking_mode", values: &["unlocked", "disabled"] };

static PURPOSE: EnumType = EnumType { name: "network_purpose", values: &["nbd", "insecure_nbd"] };

/// A network.
pub static NETWORK: Class = class(
    "network",
    "A network that VMs can be in: a bridge.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro(
            "current_operations",
            Type::Map(&Type::String, &Enum(&OPERATIONS)),
            "Operations under way, by their task.",
        ),
        mirror("VIFs", Set(&Ref("VIF")), "network", "VMs' interfaces in it."),
        mirror("PIFs", Set(&Ref("PIF")), "network", "Hosts' interfaces in it."),
        rw("MTU", Int, "MTU in bytes.").or(Literal::Int(1500)).by(Role::VmAdmin),
        rw("other_config", STRING_MAP, "Free for clients.").keyed(&[
            ("folder", Role::VmOperator),
            ("XenCenter.CustomFields.*", Role::VmOperator),
            ("XenCenterCreateInProgress", Role::VmOperator),
        ]),
        fixed("bridge", STRING, "Name of the bridge; chosen when left empty."),
        fixed("managed", Bool, "The toolstack makes the bridge.").or(Literal::Bool(true)),
        BLOBS,
        rw("tags", STRINGS, "Tags.").by(Role::VmOperator),
        ro("default_locking_mode", Enum(&LOCKING), "Locking mode of VIFs that follow the network."),
        ro("assigned_ips", Type::Map(&Ref("VIF"), &Type::String), "Addresses of VIFs."),
        ro("purpose", Set(&Enum(&PURPOSE)), "What else the network is for."),
    ],
    &[
        blob::of_object(
            Role::PoolOperator,
            &[
                param("network", Ref("network"), "the object"),
                blob::NAME,
                blob::MIME,
                blob::MAYBE_PUBLIC,
            ],
        ),
        message(
            "set_default_locking_mode",
            Role::PoolOperator,
            "Changes what passes VIFs that follow the network; none of them may be attached.",
        )
        .takes(&[
            param("network", Ref("network"), "the network"),
            param("value", Enum(&LOCKING), "everything, or nothing"),
        ])
        .fails(&[&VIF_IN_USE]),
    ],
)
.made_by(Role::VmAdmin);
