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
}

macro_rules! handlers {
    ($($constant:ident $name:literal $role:ident $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $constant: Handler = Handler { name: $name, role: Role::$role };
        )*
        /// All of them.
        pub const ALL: &[Handler] = &[$($constant),*];
    };
}

handlers! {
    AUDIT_LOG "get_audit_log" ReadOnly "`GET /audit_log`.";
    CONSOLE "connect_console" VmOperator "`CONNECT` and `GET /console`.";
    EXPORT "get_export" VmAdmin "`GET /export`.";
    EXPORT_METADATA "get_export_metadata" VmAdmin "`GET /export_metadata`.";
    EXPORT_RAW_VDI "get_export_raw_vdi" VmAdmin "`GET /export_raw_vdi`.";
    GET_BLOB "get_blob" ReadOnly "`GET /blob`.";
    GET_METRICS "get_metrics" ReadOnly "`GET /metrics`.";
    HOST_RRD "get_host_rrd" ReadOnly "`GET /host_rrd`.";
    IMPORT "put_import" VmAdmin "`PUT /import`.";
    IMPORT_METADATA "put_import_metadata" VmAdmin "`PUT /import_metadata`.";
    IMPORT_RAW_VDI "put_import_raw_vdi" VmAdmin "`PUT /import_raw_vdi`.";
    PUT_BLOB "put_blob" VmPowerAdmin "`PUT /blob`.";
    RRD_UPDATES "get_rrd_updates" ReadOnly "`GET /rrd_updates`.";
    VM_RRD "get_vm_rrd" ReadOnly "`GET /vm_rrd`.";
}
