// SPDX-License-Identifier: MIT OR Apache-2.0
//! The classes, one file each.

mod absent;
mod auth;
mod blob;
mod bond;
mod certificate;
mod console;
mod crashdump;
mod data_source;
mod event;
mod host;
mod host_cpu;
mod host_crashdump;
mod host_metrics;
mod message;
mod network;
mod pbd;
mod pci;
mod pif;
mod pool;
mod role;
mod sdn_controller;
mod secret;
mod session;
mod sm;
mod sr;
mod subject;
mod task;
mod tunnel;
mod usb;
mod user;
mod vbd;
mod vdi;
mod vif;
mod vlan;
mod vm;
mod vm_appliance;
mod vm_group;
mod vm_guest_metrics;
mod vm_metrics;
mod vmss;

use crate::class::Class;

pub use absent::{
    ABSENT, CLUSTER, CLUSTER_HOST, DR_TASK, FEATURE, HOST_PATCH, NETWORK_SRIOV, POOL_PATCH,
    POOL_UPDATE, PVS_CACHE_STORAGE, PVS_PROXY, PVS_SERVER, PVS_SITE, REPOSITORY, VBD_METRICS, VGPU,
    VGPU_TYPE, VIF_METRICS, VMPP, VTPM, VUSB,
};
pub use auth::AUTH;
pub use blob::BLOB;
pub use bond::BOND;
pub use certificate::CERTIFICATE;
pub use console::CONSOLE;
pub use crashdump::CRASHDUMP;
pub use data_source::DATA_SOURCE;
pub use event::EVENT;
pub use host::HOST;
pub use host_cpu::HOST_CPU;
pub use host_crashdump::HOST_CRASHDUMP;
pub use host_metrics::HOST_METRICS;
pub use message::MESSAGE;
pub use network::NETWORK;
pub use pbd::PBD;
pub use pci::{GPU_GROUP, PCI, PGPU};
pub use pif::{PIF, PIF_METRICS};
pub use pool::POOL;
pub use role::ROLE;
pub use sdn_controller::SDN_CONTROLLER;
pub use secret::SECRET;
pub use session::SESSION;
pub use sm::SM;
pub use sr::SR;
pub use subject::SUBJECT;
pub use task::TASK;
pub use tunnel::TUNNEL;
pub use usb::{PUSB, USB_GROUP};
pub use user::USER;
pub use vbd::VBD;
pub use vdi::{VDI, VDI_NBD_SERVER_INFO};
pub use vif::VIF;
pub use vlan::VLAN;
pub use vm::VM;
pub use vm_appliance::VM_APPLIANCE;
pub use vm_group::VM_GROUP;
pub use vm_guest_metrics::VM_GUEST_METRICS;
pub use vm_metrics::VM_METRICS;
pub use vmss::VMSS;

/// Every class, in the order of the API reference.
pub static ALL: &[&Class] = &[
    &SESSION,
    &AUTH,
    &SUBJECT,
    &ROLE,
    &TASK,
    &EVENT,
    &POOL,
    &VM,
    &VM_METRICS,
    &VM_GUEST_METRICS,
    &VM_APPLIANCE,
    &VMSS,
    &VM_GROUP,
    &HOST,
    &HOST_METRICS,
    &HOST_CPU,
    &HOST_CRASHDUMP,
    &CERTIFICATE,
    &PCI,
    &PGPU,
    &GPU_GROUP,
    &PUSB,
    &USB_GROUP,
    &NETWORK,
    &VIF,
    &PIF,
    &PIF_METRICS,
    &BOND,
    &VLAN,
    &TUNNEL,
    &SDN_CONTROLLER,
    &SM,
    &SR,
    &VDI,
    &VDI_NBD_SERVER_INFO,
    &VBD,
    &PBD,
    &CONSOLE,
    &CRASHDUMP,
    &DATA_SOURCE,
    &BLOB,
    &USER,
    &SECRET,
    &MESSAGE,
    &POOL_PATCH,
    &HOST_PATCH,
    &POOL_UPDATE,
    &REPOSITORY,
    &FEATURE,
    &DR_TASK,
    &CLUSTER,
    &CLUSTER_HOST,
    &NETWORK_SRIOV,
    &PVS_SITE,
    &PVS_SERVER,
    &PVS_PROXY,
    &PVS_CACHE_STORAGE,
    &VGPU,
    &VGPU_TYPE,
    &VUSB,
    &VTPM,
    &VMPP,
    &VIF_METRICS,
    &VBD_METRICS,
];

/// The class of this name, whatever its letters' case.
pub fn find(name: &str) -> Option<&'static Class> {
    ALL.iter().copied().find(|class| class.name.eq_ignore_ascii_case(name))
}

/// What most class tables need.
pub(crate) mod prelude {
    pub(crate) use crate::class::{Class, class};
    pub(crate) use crate::errors::*;
    pub(crate) use crate::field::{Field, Key, fixed, mirror, ro, rw};
    pub(crate) use crate::message::{Message, message, optional, param};
    pub(crate) use crate::role::Role;
    pub(crate) use crate::types::Type::{Bool, DateTime, Enum, Float, Int, Ref, Set};
    pub(crate) use crate::types::{EnumType, Literal, Literal::Str, Type};

    /// Text.
    pub(crate) const STRING: Type = Type::STRING;
    /// Set of texts.
    pub(crate) const STRINGS: Type = Type::STRINGS;
    /// Map from text to text.
    pub(crate) const STRING_MAP: Type = Type::STRING_MAP;
    /// Description of `uuid`, the same everywhere.
    pub(crate) const UUID: Field = ro("uuid", STRING, "Name for ever, also across pools.");
    /// Keys by which clients sort objects for people: folders and columns of one's own.
    pub(crate) const SORTING: &[Key] =
        &[("folder", Role::VmOperator), ("XenCenter.CustomFields.*", Role::VmOperator)];
    /// Map of blobs.
    pub(crate) const BLOBS: Field =
        ro("blobs", Type::Map(&Type::String, &Ref("blob")), "Binary data kept with the object.");
}
