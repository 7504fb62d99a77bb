// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PUSB` and `USB_group`.

use super::prelude::*;

/// A USB device of a host.
pub static PUSB: Class = class(
    "PUSB",
    "A USB device of a host that is no hub.",
    &[
        UUID,
        ro("USB_group", Ref("USB_group"), "The group it is in."),
        ro("host", Ref("host"), "The host it is in."),
        ro("path", STRING, "Ports from the controller to it: 1-2.3."),
        ro("vendor_id", STRING, "Vendor, four hexadecimal digits."),
        ro("vendor_desc", STRING, "What it calls its vendor."),
        ro("product_id", STRING, "Product, four hexadecimal digits."),
        ro("product_desc", STRING, "What it calls itself."),
        ro("serial", STRING, "Its serial number, if it has one."),
        ro("version", STRING, "Version of USB that it speaks."),
        ro("description", STRING, "What people know it by."),
        ro("passthrough_enabled", Bool, "VMs may have it."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("speed", Float, "Mbit/s; -1 is not known.").or(Literal::Float(-1.0)),
    ],
    &[message("scan", Role::PoolAdmin, "Looks which devices a host has now.").takes(&[param(
        "host",
        Ref("host"),
        "the host",
    )])],
)
.written_by(Role::PoolAdmin);

/// USB devices that are alike to VMs.
pub static USB_GROUP: Class = class(
    "USB_group",
    "USB devices that are alike to VMs; each device begins in a group of its own.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        mirror("PUSBs", Set(&Ref("PUSB")), "USB_group", "Its devices."),
        ro("VUSBs", Set(&Ref("VUSB")), "Devices of VMs that use it; none."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[
        message("create", Role::PoolAdmin, "Makes a group without devices.")
            .takes(&[
                param("name_label", STRING, "name of the group"),
                optional("name_description", STRING, Str(""), "description"),
                optional("other_config", STRING_MAP, Literal::Zero, "free for clients"),
            ])
            .gives(Ref("USB_group")),
        message("destroy", Role::PoolAdmin, "Removes a group without devices.")
            .takes(&[param("self", Ref("USB_group"), "the group")])
            .fails(&[&USB_GROUP_CONTAINS_PUSB]),
    ],
)
.written_by(Role::PoolAdmin);
