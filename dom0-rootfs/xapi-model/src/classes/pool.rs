// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pool`.

use super::blob;
use super::prelude::*;

static OPERATIONS: EnumType = EnumType {
    name: "pool_allowed_operations",
    values: &["ha_enable", "ha_disable", "designate_new_master", "apply_updates", "eject"],
};

const VM_PRIORITIES: Type = Type::Map(&Ref("VM"), &Type::String);

const NEW_AUTHORITY: &[crate::message::Param] = &[
    param("name", STRING, "name to keep it by, which ends with .pem"),
    param("cert", STRING, "its certificate, as PEM"),
];

const NEW_AUTHORITY_ERRORS: &[&crate::error::ErrorCode] = &[
    &CERTIFICATE_NAME_INVALID,
    &CERTIFICATE_ALREADY_EXISTS,
    &CA_CERTIFICATE_INVALID,
    &CA_CERTIFICATE_NOT_VALID_YET,
    &CA_CERTIFICATE_EXPIRED,
];

const THIS: crate::message::Param = param("self", Ref("pool"), "the pool");

/// The pool.
pub static POOL: Class = class(
    "pool",
    "The pool: hosts managed as one.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("master", Ref("host"), "The coordinator: the host that clients talk to."),
        rw("default_SR", Ref("SR"), "Where VDIs go when nothing else is said."),
        rw("suspend_image_SR", Ref("SR"), "Where memory of suspended VMs goes."),
        rw("crash_dump_SR", Ref("SR"), "Where memory of guests that crash is kept; the host's when null."),
        rw("other_config", STRING_MAP, "Free for clients.").keyed(&[
            ("folder", Role::VmOperator),
            ("XenCenter.CustomFields.*", Role::VmOperator),
            ("EMPTY_FOLDERS", Role::VmOperator),
        ]),
        ro("ha_enabled", Bool, "High availability is on."),
        ro("ha_configuration", STRING_MAP, "Configuration of high availability."),
        ro("ha_statefiles", STRINGS, "State files of high availability."),
        ro("ha_host_failures_to_tolerate", Int, "How many hosts may fail so that protected VMs still run."),
        ro("ha_plan_exists_for", Int, "For how many failures of hosts there is a plan."),
        ro("ha_allow_overcommit", Bool, "More VMs may be protected than hosts could run after failures."),
        ro("ha_overcommitted", Bool, "More VMs are protected than hosts could run after failures."),
        BLOBS,
        rw("tags", STRINGS, "Tags.").by(Role::VmOperator),
        rw("gui_config", STRING_MAP, "For graphical clients.").by(Role::VmOperator),
        ro("health_check_config", STRING_MAP, "Health check; there is none."),
        ro("wlb_url", STRING, "Workload balancing; there is none."),
        ro("wlb_username", STRING, "User at the server of workload balancing."),
        ro("wlb_enabled", Bool, "Workload balancing is asked."),
        ro("wlb_verify_cert", Bool, "The certificate of the server of workload balancing is verified."),
        ro("redo_log_enabled", Bool, "A redo log is kept."),
        ro("redo_log_vdi", Ref("VDI"), "Where the redo log is kept."),
        ro("vswitch_controller", STRING, "Address of the controller of the virtual switches."),
        ro("restrictions", STRING_MAP, "Features that are restricted; none. What clients ask of it: restrict_zstd_export, false."),
        ro("metadata_VDIs", Set(&Ref("VDI")), "VDIs with metadata of pools."),
        ro("ha_cluster_stack", STRING, "Cluster stack of high availability."),
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro("current_operations", Type::Map(&Type::String, &Enum(&OPERATIONS)), "Operations under way, by their task."),
        ro("guest_agent_config", STRING_MAP, "For agents in guests."),
        ro("cpu_info", STRING_MAP, "What all CPUs of the pool have in common."),
        ro("policy_no_vendor_device", Bool, "New VMs get no vendor device.")
            .or(Literal::Bool(true)),
        ro("live_patching_disabled", Bool, "Live patches are not applied.").or(Literal::Bool(true)),
        ro("igmp_snooping_enabled", Bool, "Bridges snoop IGMP."),
        ro("uefi_certificates", STRING, "Certificates of UEFI guests."),
        rw(
            "limit_console_sessions",
            Bool,
            "A console that somebody uses is not opened for another one.",
        ),
        ro("is_psr_pending", Bool, "A change of the pool's secret is under way."),
        ro("tls_verification_enabled", Bool, "Hosts verify each other's certificates."),
        ro("repositories", Set(&Ref("Repository")), "Package repositories; none."),
        ro("client_certificate_auth_enabled", Bool, "Clients may log in with certificates."),
        ro("client_certificate_auth_name", STRING, "The name such certificates carry."),
        ro("repository_proxy_url", STRING, "Proxy of the repositories."),
        ro("repository_proxy_username", STRING, "User at the proxy of the repositories."),
        ro("repository_proxy_password", Ref("secret"), "Password at the proxy of the repositories."),
        ro("migration_compression", Bool, "Migrations are compressed."),
        ro("coordinator_bias", Bool, "VMs prefer other hosts than the coordinator."),
    ],
    &[
        message("sync_database", Role::PoolOperator, "Returns once every change is on disk."),
        message(
            "ha_compute_max_host_failures_to_tolerate",
            Role::PoolOperator,
            "How many hosts may fail so that all protected VMs can still run.",
        )
        .gives(Int),
        message(
            "ha_compute_hypothetical_max_host_failures_to_tolerate",
            Role::ReadOnly,
            "How many hosts may fail so that these VMs can still run.",
        )
        .takes(&[param("configuration", VM_PRIORITIES, "the VMs, and their priorities")])
        .gives(Int),
        message("ha_failover_plan_exists", Role::PoolOperator, "Whether so many hosts may fail.")
            .takes(&[param("n", Int, "how many hosts fail")])
            .gives(Bool),
        message(
            "ha_compute_vm_failover_plan",
            Role::PoolOperator,
            "Where VMs would run once hosts have failed: host, or the error_code why nowhere.",
        )
        .takes(&[
            param("failed_hosts", Set(&Ref("host")), "the hosts"),
            param("failed_vms", Set(&Ref("VM")), "the VMs"),
        ])
        .gives(Type::Map(&Ref("VM"), &Type::STRING_MAP)),
        message(
            "get_license_state",
            Role::ReadOnly,
            "Its licence: there is none, and no end of it.",
        )
        .takes(&[param("self", Ref("pool"), "the pool")])
        .gives(STRING_MAP),
        message(
            "detect_nonhomogeneous_external_auth",
            Role::PoolOperator,
            "Fails if its hosts ask different directories for users.",
        )
        .takes(&[param("pool", Ref("pool"), "the pool")])
        .fails(&[&POOL_AUTH_NONHOMOGENEOUS]),
        message("create_VLAN", Role::PoolOperator, "Makes an interface for a VLAN on every host.")
            .takes(&[
                param("device", STRING, "name of the interface that its frames leave by"),
                param("network", Ref("network"), "the network, which has no interface yet"),
                param("VLAN", Int, "the tag, 1 to 4094"),
            ])
            .gives(Set(&Ref("PIF")))
            .fails(super::vlan::CREATE_ERRORS),
        message(
            "create_VLAN_from_PIF",
            Role::PoolOperator,
            "Makes an interface for a VLAN on every host.",
        )
        .takes(&[
            param("pif", Ref("PIF"), "the interface that its frames leave by"),
            param("network", Ref("network"), "the network, which has no interface yet"),
            param("VLAN", Int, "the tag, 1 to 4094"),
        ])
        .gives(Set(&Ref("PIF")))
        .fails(super::vlan::CREATE_ERRORS),
        message(
            "management_reconfigure",
            Role::PoolOperator,
            "Manages every host through its interface in a network.",
        )
        .takes(&[param("network", Ref("network"), "the network")])
        .fails(&[&PIF_HAS_NO_NETWORK_CONFIGURATION, &VALUE_NOT_SUPPORTED]),
        message("install_ca_certificate", Role::PoolOperator, "Trusts an authority.")
            .takes(NEW_AUTHORITY)
            .fails(NEW_AUTHORITY_ERRORS),
        message("certificate_install", Role::PoolOperator, "Trusts an authority; the older name.")
            .takes(NEW_AUTHORITY)
            .fails(NEW_AUTHORITY_ERRORS),
        message("uninstall_ca_certificate", Role::PoolOperator, "Trusts an authority no longer.")
            .takes(&[
                param("name", STRING, "its name"),
                optional("force", Bool, Literal::Bool(false), "also if it is not there"),
            ])
            .fails(&[&CERTIFICATE_NAME_INVALID, &CERTIFICATE_DOES_NOT_EXIST]),
        message(
            "certificate_uninstall",
            Role::PoolOperator,
            "Trusts an authority no longer; the older name.",
        )
        .takes(&[param("name", STRING, "its name")])
        .fails(&[&CERTIFICATE_NAME_INVALID, &CERTIFICATE_DOES_NOT_EXIST]),
        message("certificate_list", Role::PoolOperator, "Names of the authorities.").gives(STRINGS),
        message(
            "certificate_sync",
            Role::PoolOperator,
            "Looks which authorities there are on every host.",
        ),
        message(
            "send_test_post",
            Role::PoolAdmin,
            "Sends a text by HTTPS, trusting the authorities alone, and answers the answer.",
        )
        .takes(&[
            param("host", STRING, "name or address of the server"),
            param("port", Int, "TCP port of the server"),
            param("body", STRING, "the text"),
        ])
        .gives(STRING)
        .fails(&[&INVALID_VALUE]),
        message(
            "set_vswitch_controller",
            Role::PoolOperator,
            "Lets the controller at an IPv4 address manage the switches; the empty text takes them back.",
        )
        .takes(&[param("address", STRING, "the address")])
        .fails(&[&INVALID_VALUE]),
        message(
            "set_igmp_snooping_enabled",
            Role::PoolOperator,
            "Sends multicast of bridges only where somebody asked for it, or everywhere.",
        )
        .takes(&[THIS, param("value", Bool, "only where somebody asked for it")]),
        message("has_extension", Role::PoolAdmin, "Whether every host has an extension.")
            .takes(&[THIS, param("name", STRING, "its name")])
            .gives(Bool),
        message(
            "disable_ssl_legacy",
            Role::PoolOperator,
            "Returns: no host speaks versions of TLS before 1.2.",
        )
        .takes(&[THIS]),
        message("enable_ssh", Role::PoolAdmin, "Lets people log in over SSH, on every host.")
            .takes(&[THIS]),
        message("disable_ssh", Role::PoolAdmin, "Lets nobody log in over SSH, on every host.")
            .takes(&[THIS]),
        message(
            "set_ssh_enabled_timeout",
            Role::PoolAdmin,
            "Changes how long SSH stays enabled, on every host.",
        )
        .takes(&[THIS, param("value", Int, "seconds, at most two days; 0 is for ever")])
        .fails(&[&INVALID_VALUE]),
        message(
            "set_ssh_auto_mode",
            Role::PoolAdmin,
            "Keeps SSH for times when the toolstack does not run, on every host.",
        )
        .takes(&[THIS, param("value", Bool, "SSH is there only while the toolstack does not run")]),
        message(
            "set_console_idle_timeout",
            Role::PoolAdmin,
            "Changes when idle shells end, on every host.",
        )
        .takes(&[THIS, param("value", Int, "seconds; 0 is never")])
        .fails(&[&INVALID_VALUE]),
        blob::of_object(
            Role::PoolOperator,
            &[param("pool", Ref("pool"), "the object"), blob::NAME, blob::MIME, blob::MAYBE_PUBLIC],
        ),
    ],
);
