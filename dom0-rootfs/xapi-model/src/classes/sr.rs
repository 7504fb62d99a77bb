// SPDX-License-Identifier: MIT OR Apache-2.0
//! `SR`.

use super::blob;
use super::prelude::*;

static OPERATIONS: EnumType = EnumType {
    name: "storage_operations",
    values: &[
        "scan",
        "destroy",
        "forget",
        "plug",
        "unplug",
        "update",
        "vdi_create",
        "vdi_introduce",
        "vdi_destroy",
        "vdi_resize",
        "vdi_clone",
        "vdi_snapshot",
        "vdi_mirror",
        "vdi_copy",
        "vdi_forget",
        "vdi_resize_online",
        "pbd_create",
        "pbd_destroy",
    ],
};

const SR_PARAM: crate::message::Param = param("sr", Ref("SR"), "the SR");

/// A storage repository.
pub static SR: Class = class(
    "SR",
    "A storage repository: a place for VDIs.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro("current_operations", Type::Map(&Type::String, &Enum(&OPERATIONS)), "Operations under way, by their task."),
        mirror("VDIs", Set(&Ref("VDI")), "SR", "VDIs in it."),
        mirror("PBDs", Set(&Ref("PBD")), "SR", "Connections of hosts to it."),
        ro("virtual_allocation", Int, "Sum of its VDIs' sizes in bytes."),
        ro("physical_utilisation", Int, "Bytes used."),
        ro("physical_size", Int, "Bytes in all."),
        ro("type", STRING, "Its driver."),
        ro("content_type", STRING, "What is in it: user or iso."),
        ro("shared", Bool, "More than one host can use it."),
        rw("other_config", STRING_MAP, "Free for clients.").keyed(SORTING),
        rw("tags", STRINGS, "Tags.").by(Role::VmOperator),
        rw("sm_config", STRING_MAP, "Free for clients; drivers here need nothing of it."),
        BLOBS,
        ro("local_cache_enabled", Bool, "It is a cache."),
        ro("introduced_by", Ref("DR_task"), "Disaster recovery that introduced it; none."),
        ro("clustered", Bool, "It needs a cluster."),
        ro("is_tools_sr", Bool, "It holds the guest tools."),
    ],
    &[
        message("create", Role::PoolOperator, "Makes an SR on a device and connects the host.")
            .takes(&[
                param("host", Ref("host"), "the host"),
                param("device_config", STRING_MAP, "what the driver needs to reach it"),
                param("physical_size", Int, "not used by these drivers"),
                param("name_label", STRING, "name of the SR"),
                param("name_description", STRING, "description of the SR"),
                param("type", STRING, "name of the driver"),
                param("content_type", STRING, "user or iso"),
                param("shared", Bool, "more than one host can use it"),
                optional("sm_config", STRING_MAP, Literal::Zero, "for the driver"),
            ])
            .gives(Ref("SR"))
            .fails(&[&SR_UNKNOWN_DRIVER, &SR_DEVICE_IN_USE, &SR_BACKEND_FAILURE]),
        message(
            "probe",
            Role::PoolOperator,
            "Looks for SRs of a kind on a device or a server, and lists them in XML; nothing is changed.",
        )
        .takes(&[
            param("host", Ref("host"), "the host"),
            param("device_config", STRING_MAP, "for the driver: where to look"),
            optional("type", STRING, Literal::Str(""), "name of the driver"),
            optional("sm_config", STRING_MAP, Literal::Zero, "for the driver"),
        ])
        .gives(STRING)
        .fails(&[&SR_UNKNOWN_DRIVER, &SR_OPERATION_NOT_SUPPORTED, &SR_BACKEND_FAILURE]),
        message("set_shared", Role::PoolOperator, "Says whether several hosts can use it.")
            .takes(&[SR_PARAM, param("value", Bool, "they can")])
            .fails(&[&SR_HAS_MULTIPLE_PBDS]),
        message("introduce", Role::PoolOperator, "Makes known an SR that exists on its device.")
            .takes(&[
                param("uuid", STRING, "its uuid"),
                param("name_label", STRING, "name of the SR"),
                param("name_description", STRING, "description of the SR"),
                param("type", STRING, "name of the driver"),
                param("content_type", STRING, "user or iso"),
                param("shared", Bool, "more than one host can use it"),
                optional("sm_config", STRING_MAP, Literal::Zero, "for the driver"),
            ])
            .gives(Ref("SR"))
            .fails(&[&SR_UNKNOWN_DRIVER, &SR_UUID_EXISTS]),
        message("forget", Role::PoolOperator, "Forgets an SR and its VDIs; the data stays.")
            .takes(&[SR_PARAM])
            .fails(&[&SR_HAS_PBD, &VDI_IN_USE]),
        message("destroy", Role::PoolOperator, "Removes an SR and all its data.")
            .takes(&[SR_PARAM])
            .fails(&[&SR_HAS_PBD, &SR_NOT_EMPTY, &SR_HAS_NO_PBDS]),
        message("scan", Role::VmPowerAdmin, "Brings its VDIs and sizes up to date.")
            .takes(&[SR_PARAM])
            .fails(&[&SR_NOT_ATTACHED]),
        message("update", Role::PoolOperator, "Brings its sizes up to date.")
            .takes(&[SR_PARAM])
            .fails(&[&SR_NOT_ATTACHED]),
        blob::of_object(
            Role::PoolOperator,
            &[param("sr", Ref("SR"), "the object"), blob::NAME, blob::MIME, blob::MAYBE_PUBLIC],
        ),
        message("get_supported_types", Role::ReadOnly, "Drivers that exist.").gives(STRINGS),
    ],
);
