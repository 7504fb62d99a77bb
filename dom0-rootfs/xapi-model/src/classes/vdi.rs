// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VDI`.

use super::prelude::*;

static OPERATIONS: EnumType = EnumType {
    name: "vdi_operations",
    values: &[
        "clone",
        "copy",
        "resize",
        "resize_online",
        "snapshot",
        "mirror",
        "destroy",
        "forget",
        "update",
        "force_unlock",
        "blocked",
    ],
};

static KIND: EnumType = EnumType {
    name: "vdi_type",
    values: &[
        "system",
        "user",
        "ephemeral",
        "suspend",
        "crashdump",
        "ha_statefile",
        "metadata",
        "redo_log",
        "rrd",
        "pvs_cache",
        "cbt_metadata",
    ],
};

static ON_BOOT: EnumType = EnumType { name: "on_boot", values: &["persist", "reset"] };

const VDI_PARAM: crate::message::Param = param("vdi", Ref("VDI"), "the VDI");
const DRIVER_PARAMS: crate::message::Param =
    optional("driver_params", STRING_MAP, Literal::Zero, "for the driver; none is known");

const RESIZED: &[crate::message::Param] = &[VDI_PARAM, param("size", Int, "new size in bytes")];

const INTRODUCED: &[crate::message::Param] = &[
    param("uuid", STRING, "its uuid"),
    param("name_label", STRING, "name of the VDI"),
    param("name_description", STRING, "description of the VDI"),
    param("SR", Ref("SR"), "the SR it lies in"),
    param("type", Enum(&KIND), "what it is for"),
    param("sharable", Bool, "several VMs may write to it at once"),
    param("read_only", Bool, "nobody may write to it"),
    param("other_config", STRING_MAP, "free for clients"),
    param("location", STRING, "name inside the SR: the uuid, or empty"),
    optional("xenstore_data", STRING_MAP, Literal::Zero, "for the guest"),
    optional("sm_config", STRING_MAP, Literal::Zero, "free for clients"),
    optional("managed", Bool, Literal::Bool(true), "must be true"),
    optional("virtual_size", Int, Literal::Int(0), "found out"),
    optional("physical_utilisation", Int, Literal::Int(0), "found out"),
    optional("metadata_of_pool", Ref("pool"), Literal::Zero, "must be null"),
    optional("is_a_snapshot", Bool, Literal::Bool(false), "it is another VDI as it was"),
    optional("snapshot_time", DateTime, Literal::Zero, "when it was so"),
    optional("snapshot_of", Ref("VDI"), Literal::Zero, "that one, if it is known"),
];

/// Where a VDI is served as a network block device.
pub static VDI_NBD_SERVER_INFO: Class = class(
    "vdi_nbd_server_info",
    "Where a VDI is served as a network block device. There are none.",
    &[
        ro("exportname", STRING, "Name to ask the server for; secret."),
        ro("address", STRING, "Address of the server."),
        ro("port", Int, "TCP port of the server."),
        ro("cert", STRING, "TLS certificate of the server."),
        ro("subject", STRING, "A name in that certificate."),
    ],
    &[],
)
.transient()
.unlisted();

/// A virtual disk.
pub static VDI: Class = class(
    "VDI",
    "A virtual disk.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro("current_operations", Type::Map(&Type::String, &Enum(&OPERATIONS)), "Operations under way, by their task."),
        fixed("SR", Ref("SR"), "The SR it lies in."),
        mirror("VBDs", Set(&Ref("VBD")), "VDI", "VMs' devices that use it."),
        mirror("crash_dumps", Set(&Ref("crashdump")), "VDI", "Crash dumps in it."),
        fixed("virtual_size", Int, "Size as the guest sees it, in bytes."),
        ro("physical_utilisation", Int, "Bytes used in the SR."),
        fixed("type", Enum(&KIND), "What it is for.").or(Str("user")),
        rw("sharable", Bool, "Several VMs may write to it at once."),
        rw("read_only", Bool, "Nobody may write to it."),
        rw("other_config", STRING_MAP, "Free for clients.").keyed(SORTING),
        ro("storage_lock", Bool, "Locked by its SR."),
        ro("location", STRING, "Name inside the SR."),
        ro("managed", Bool, "Known to the toolstack."),
        ro("missing", Bool, "A scan did not find it."),
        ro("parent", Ref("VDI"), "What it is a copy-on-write child of; not kept."),
        rw(
            "xenstore_data",
            STRING_MAP,
            "For the guest, below `sm-data` of the disk's backend in xenstore; from the next plugging on.",
        ),
        rw("sm_config", STRING_MAP, "image-format: raw or qcow2, where its SR can have both; else free for clients."),
        ro("is_a_snapshot", Bool, "It is a snapshot."),
        ro("snapshot_of", Ref("VDI"), "What it is a snapshot of."),
        mirror("snapshots", Set(&Ref("VDI")), "snapshot_of", "Its snapshots."),
        ro("snapshot_time", DateTime, "When the snapshot was taken."),
        rw("tags", STRINGS, "Tags.").by(Role::VmOperator),
        ro("allow_caching", Bool, "It may be cached."),
        ro("on_boot", Enum(&ON_BOOT), "What becomes of it when its VM starts."),
        ro("metadata_of_pool", Ref("pool"), "The pool whose metadata it holds."),
        ro("metadata_latest", Bool, "That metadata is the latest."),
        ro("is_tools_iso", Bool, "It is the guest tools' CD."),
        ro("cbt_enabled", Bool, "Changed blocks are tracked."),
    ],
    &[
        message(
            "clone",
            Role::VmAdmin,
            "A new VDI with the same contents, copy on write. A VM that has it stands still meanwhile.",
        )
        .takes(&[VDI_PARAM, DRIVER_PARAMS])
        .gives(Ref("VDI"))
        .fails(&[
            &SR_FULL,
            &SR_NOT_ATTACHED,
            &VDI_IN_USE,
            &OTHER_OPERATION_IN_PROGRESS,
            &OPERATION_BLOCKED,
        ]),
        message(
            "snapshot",
            Role::VmAdmin,
            "The contents as they are now, copy on write. A VM that has it stands still meanwhile.",
        )
        .takes(&[VDI_PARAM, DRIVER_PARAMS])
        .gives(Ref("VDI"))
        .fails(&[
            &SR_FULL,
            &SR_NOT_ATTACHED,
            &VDI_IN_USE,
            &OTHER_OPERATION_IN_PROGRESS,
            &OPERATION_BLOCKED,
        ]),
        message("copy", Role::VmAdmin, "A full copy, in the same or another SR.")
            .takes(&[
                VDI_PARAM,
                optional("sr", Ref("SR"), Literal::Zero, "where; the default SR when null"),
                optional("base_vdi", Ref("VDI"), Literal::Zero, "must be null"),
                optional("into_vdi", Ref("VDI"), Literal::Zero, "copy into this VDI instead"),
            ])
            .gives(Ref("VDI"))
            .fails(&[&VDI_READONLY, &VDI_TOO_SMALL, &SR_FULL, &VDI_IN_USE]),
        message(
            "pool_migrate",
            Role::VmPowerAdmin,
            "Moves it to another SR of the host, unless a VM runs with it: a new VDI takes its place. Its snapshots stay \
             where they are.",
        )
        .takes(&[
            VDI_PARAM,
            param("sr", Ref("SR"), "where to"),
            param("options", STRING_MAP, "dest-img-format: raw or qcow2"),
        ])
        .gives(Ref("VDI"))
        .fails(&[
            &VM_BAD_POWER_STATE,
            &VDI_IN_USE,
            &VDI_INCOMPATIBLE_TYPE,
            &VALUE_NOT_SUPPORTED,
            &SR_FULL,
            &SR_NOT_ATTACHED,
        ]),
        message("resize", Role::VmAdmin, "Makes it bigger, also while VMs that run have it: they hear of it when they use it, but for what QEMU emulates.")
            .takes(RESIZED)
            .fails(&[&VDI_IN_USE, &SR_FULL, &INVALID_VALUE]),
        message("resize_online", Role::VmAdmin, "The same as resize.")
            .takes(RESIZED)
            .fails(&[&VDI_IN_USE, &SR_FULL, &INVALID_VALUE]),
        message(
            "introduce",
            Role::VmAdmin,
            "Makes known a VDI that is in its SR and was forgotten.",
        )
        .takes(INTRODUCED)
        .gives(Ref("VDI"))
        .fails(&[&UUID_INVALID, &VDI_MISSING, &SR_NOT_ATTACHED]),
        message("update", Role::VmAdmin, "Brings its sizes up to date.")
            .takes(&[VDI_PARAM])
            .fails(&[&VDI_MISSING, &SR_NOT_ATTACHED]),
        message(
            "get_nbd_info",
            Role::VmAdmin,
            "Where it is served as a network block device: nowhere, as no network is for that.",
        )
        .takes(&[param("self", Ref("VDI"), "the VDI")])
        .gives(Set(&Type::Record("vdi_nbd_server_info")))
        .fails(&[&HANDLE_INVALID])
        .sync_only(),
        message("forget", Role::VmAdmin, "Forgets it; the data stays in the SR.")
            .takes(&[VDI_PARAM])
            .fails(&[&VDI_IN_USE]),
    ],
)
.written_by(Role::VmAdmin)
.made_by(Role::VmAdmin);
