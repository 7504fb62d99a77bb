// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the API has beside its messages: handlers of HTTP, for contents and consoles.

use crate::role::Role;

/// A handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handler {
    /// Its name among permissions, behind `http/`.
    pub name: &'static str,
    /// Weakest role that may use it.
    pub role: Role,
    /// Methods and path, and what it is for.
    pub doc: &'static str,
}

macro_rules! handlers {
    ($($constant:ident $name:literal $role:ident $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $constant: Handler = Handler { name: $name, role: Role::$role, doc: $doc };
        )*
        /// All of them.
        pub const ALL: &[Handler] = &[$($constant),*];
    };
}

handlers! {
    AUDIT_LOG "get_audit_log" ReadOnly "`GET /audit_log`: the audit log.";
    CONSOLE "connect_console" VmOperator "`CONNECT` and `GET /console`: a console of a VM, to use (also as a websocket, by `GET`) or only to read.";
    EXPORT "get_export" VmAdmin "`GET /export`: a VM with its disks, as an XVA archive.";
    EXPORT_METADATA "get_export_metadata" VmAdmin "`GET /export_metadata`: records of VMs without their disks.";
    EXPORT_RAW_VDI "get_export_raw_vdi" VmAdmin "`GET /export_raw_vdi`: the contents of a VDI, raw, as VHD or as qcow2.";
    GET_BLOB "get_blob" ReadOnly "`GET /blob`: the data of a blob.";
    GET_METRICS "get_metrics" ReadOnly "`GET /metrics`: figures of the last sample, for Prometheus.";
    HOST_RRD "get_host_rrd" ReadOnly "`GET /host_rrd`: the recorded figures of the host, whole.";
    IMPORT "put_import" VmAdmin "`PUT /import`: VMs out of an XVA archive.";
    IMPORT_METADATA "put_import_metadata" VmAdmin "`PUT /import_metadata`: records of VMs whose disks are there.";
    IMPORT_RAW_VDI "put_import_raw_vdi" VmAdmin "`PUT /import_raw_vdi`: contents for a VDI or a new one, raw, in pieces, as VHD or as qcow2.";
    PUT_BLOB "put_blob" VmPowerAdmin "`PUT /blob`: data for a blob.";
    RRD_UPDATES "get_rrd_updates" ReadOnly "`GET /rrd_updates`: figures of host and VMs since a time.";
    VM_RRD "get_vm_rrd" ReadOnly "`GET /vm_rrd`: the recorded figures of a VM, whole.";
}
