// SPDX-License-Identifier: MIT OR Apache-2.0
//! `SM`.

use super::prelude::*;

static FORMAT: EnumType = EnumType { name: "image_format_type", values: &["raw", "vhd", "qcow2"] };

/// A storage driver.
pub static SM: Class = class(
    "SM",
    "A storage driver.",
    &[
        UUID,
        ro("name_label", STRING, "Name."),
        ro("name_description", STRING, "Description."),
        ro("type", STRING, "SR.type that it serves."),
        ro("vendor", STRING, "Who made it."),
        ro("copyright", STRING, "Licence of the driver."),
        ro("version", STRING, "Version of the driver."),
        ro("required_api_version", STRING, "Version of the storage interface."),
        ro("configuration", STRING_MAP, "Keys of device_config, with their meaning."),
        ro("capabilities", STRINGS, "What it can do."),
        ro("features", Type::Map(&Type::String, &Int), "What it can do, with versions."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("driver_filename", STRING, "File of the driver; it is built in."),
        ro("required_cluster_stack", STRINGS, "Cluster stack that it needs."),
        ro("supported_image_formats", Set(&Enum(&FORMAT)), "Formats of its VDIs."),
    ],
    &[],
);
