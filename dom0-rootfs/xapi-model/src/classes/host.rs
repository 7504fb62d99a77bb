// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host`.

use super::blob;
use super::prelude::*;

static OPERATIONS: EnumType = EnumType {
    name: "host_allowed_operations",
    values: &[
        "provision",
        "evacuate",
        "shutdown",
        "reboot",
        "power_on",
        "vm_start",
        "vm_resume",
        "vm_migrate",
        "apply_updates",
        "enable",
    ],
};

static DISPLAY: EnumType = EnumType {
    name: "host_display",
    values: &["enabled", "disable_on_reboot", "disabled", "enable_on_reboot"],
};

static GUIDANCE: EnumType = EnumType {
    name: "update_guidances",
    values: &["reboot_host", "restart_toolstack", "restart_device_model", "restart_vm"],
};

static NTP_MODE: EnumType =
    EnumType { name: "host_ntp_mode", values: &["DHCP", "Custom", "Factory", "Disabled"] };

const THIS: crate::message::Param = param("self", Ref("host"), "the host");
const HOST_PARAM: crate::message::Param = param("host", Ref("host"), "the host");

/// A host.
pub static HOST: Class = class(
    "host",
    "A physical machine.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("memory_overhead", Int, "Memory that Xen itself uses, in bytes."),
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro("current_operations", Type::Map(&Type::String, &Enum(&OPERATIONS)), "Operations under way, by their task."),
        ro("API_version_major", Int, "Major version of the API."),
        ro("API_version_minor", Int, "Minor version of the API."),
        ro("API_version_vendor", STRING, "Who made the implementation."),
        ro("API_version_vendor_implementation", STRING_MAP, "Details of the implementation."),
        ro("enabled", Bool, "It takes new VMs."),
        ro("software_version", STRING_MAP, "Versions of its software."),
        rw("other_config", STRING_MAP, "Free for clients.").keyed(SORTING),
        ro("capabilities", STRINGS, "What Xen can run here."),
        ro("cpu_configuration", STRING_MAP, "How its CPUs are set up."),
        ro("sched_policy", STRING, "Scheduler of Xen."),
        ro("supported_bootloaders", STRINGS, "Boot loaders for PV guests."),
        mirror("resident_VMs", Set(&Ref("VM")), "resident_on", "VMs that run here."),
        rw(
            "logging",
            STRING_MAP,
            "syslog_destination: host that syslog_reconfigure sends the log to.",
        ),
        mirror("PIFs", Set(&Ref("PIF")), "host", "Its network interfaces."),
        rw(
            "suspend_image_sr",
            Ref("SR"),
            "Where memory of suspended VMs goes, when neither the VM nor the pool says so.",
        ),
        rw("crash_dump_sr", Ref("SR"), "Where memory of guests that crash is kept; the default SR when null."),
        mirror("crashdumps", Set(&Ref("host_crashdump")), "host", "What is left of its crashes."),
        ro("patches", Set(&Ref("host_patch")), "Patches; none."),
        ro("updates", Set(&Ref("pool_update")), "Updates; none."),
        mirror("PBDs", Set(&Ref("PBD")), "host", "Its connections to SRs."),
        mirror("host_CPUs", Set(&Ref("host_cpu")), "host", "Its CPUs, one by one."),
        ro("cpu_info", STRING_MAP, "Facts of its CPUs."),
        ro("hostname", STRING, "Host name."),
        ro("address", STRING, "Address on the management network."),
        ro("metrics", Ref("host_metrics"), "Figures that change all the time."),
        ro("license_params", STRING_MAP, "Licence; there is none. What clients ask of it: restrict_zstd_export, false."),
        ro("ha_statefiles", STRINGS, "State files of high availability."),
        ro("ha_network_peers", STRINGS, "Hosts seen by high availability."),
        BLOBS,
        rw("tags", STRINGS, "Tags.").by(Role::VmOperator),
        ro("external_auth_type", STRING, "Directory for logins; none."),
        ro("external_auth_service_name", STRING, "Name of that directory; none."),
        ro("external_auth_configuration", STRING_MAP, "Configuration of that directory; none."),
        ro("edition", STRING, "Edition.").or(Str("free")),
        ro("license_server", STRING_MAP, "Licence server; none."),
        ro("bios_strings", STRING_MAP, "What the firmware says of the machine."),
        ro("power_on_mode", STRING, "How others power it on; kept for them."),
        ro("power_on_config", STRING_MAP, "Settings for power_on_mode."),
        ro("local_cache_sr", Ref("SR"), "SR for caches of disks; none is used."),
        ro("chipset_info", STRING_MAP, "Facts of the chipset."),
        mirror("PCIs", Set(&Ref("PCI")), "host", "Its PCI devices."),
        mirror("PGPUs", Set(&Ref("PGPU")), "host", "Its graphics cards."),
        mirror("PUSBs", Set(&Ref("PUSB")), "host", "Its USB devices."),
        ro("ssl_legacy", Bool, "Old versions of TLS are spoken."),
        rw(
            "guest_VCPUs_params",
            STRING_MAP,
            "weight, cap and mask of VMs started here whose VCPUs_params do not say so; no mask allows more.",
        ),
        ro("display", Enum(&DISPLAY), "Whether its console is on the screen."),
        ro("virtual_hardware_platform_versions", Set(&Int), "Versions of virtual hardware."),
        ro("control_domain", Ref("VM"), "Its Dom0."),
        ro("updates_requiring_reboot", Set(&Ref("pool_update")), "Updates that wait for a reboot."),
        ro("features", Set(&Ref("Feature")), "Optional features; none."),
        ro("iscsi_iqn", STRING, "Name as iSCSI initiator."),
        ro("multipathing", Bool, "Storage is reached on several paths."),
        ro("uefi_certificates", STRING, "Certificates of UEFI guests."),
        ro("https_only", Bool, "It answers over TLS alone.").or(Literal::Bool(true)),
        ro("secure_boot", Bool, "Its firmware checked what it started."),
        ro("ssh_enabled", Bool, "People can log in over SSH."),
        ro("ssh_enabled_timeout", Int, "Seconds that SSH stays enabled; 0 is for ever."),
        ro("ssh_expiry", DateTime, "When SSH ends, or has ended by disable_ssh; 1970 is never."),
        ro("ssh_auto_mode", Bool, "SSH is there only while the toolstack does not run."),
        ro("console_idle_timeout", Int, "Seconds after which an idle shell ends; 0 is never."),
        ro("ntp_mode", Enum(&NTP_MODE), "Where it has the time from.").or(Str("Factory")),
        ro("ntp_custom_servers", STRINGS, "Servers of the mode Custom."),
        ro("timezone", STRING, "Time zone of its consoles and logs.").or(Str("UTC")),
        mirror("certificates", Set(&Ref("Certificate")), "host", "Its own certificates."),
        ro("editions", STRINGS, "Editions that exist."),
        ro("pending_guidances", Set(&Enum(&GUIDANCE)), "What an update asks for."),
        ro("tls_verification_enabled", Bool, "It verifies others' certificates."),
    ],
    &[
        message("enable", Role::PoolOperator, "Lets it take new VMs.").takes(&[HOST_PARAM]),
        message("disable", Role::PoolOperator, "Lets it take no new VMs.").takes(&[
            HOST_PARAM,
            optional("auto_enable", Bool, Literal::Bool(true), "enable it again at the next boot"),
        ]),
        message("reboot", Role::PoolOperator, "Reboots it; it must be disabled and empty.")
            .takes(&[HOST_PARAM])
            .fails(&[&HOST_NOT_DISABLED, &HOST_IN_USE]),
        message("shutdown", Role::PoolOperator, "Powers it off; it must be disabled and empty.")
            .takes(&[HOST_PARAM])
            .fails(&[&HOST_NOT_DISABLED, &HOST_IN_USE]),
        message("get_servertime", Role::ReadOnly, "The time by its clock.")
            .takes(&[HOST_PARAM])
            .gives(DateTime),
        message("get_server_localtime", Role::ReadOnly, "The time in its time zone.")
            .takes(&[HOST_PARAM])
            .gives(DateTime),
        message("get_server_certificate", Role::ReadOnly, "Its TLS certificate, as PEM.")
            .takes(&[HOST_PARAM])
            .gives(STRING),
        message(
            "install_server_certificate",
            Role::PoolAdmin,
            "Shows another TLS certificate from the next connection on.",
        )
        .takes(&[
            HOST_PARAM,
            param("certificate", STRING, "the certificate, as PEM"),
            param("private_key", STRING, "its key, as PEM"),
            optional("certificate_chain", STRING, Str(""), "who signed it, and so on, as PEM"),
        ])
        .fails(&[
            &SERVER_CERTIFICATE_KEY_INVALID,
            &SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED,
            &SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED,
            &SERVER_CERTIFICATE_INVALID,
            &SERVER_CERTIFICATE_NOT_VALID_YET,
            &SERVER_CERTIFICATE_EXPIRED,
            &SERVER_CERTIFICATE_KEY_MISMATCH,
            &SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED,
            &SERVER_CERTIFICATE_CHAIN_INVALID,
        ]),
        message(
            "reset_server_certificate",
            Role::PoolAdmin,
            "Makes a new key and a TLS certificate that is signed by it, and shows that.",
        )
        .takes(&[HOST_PARAM]),
        message(
            "emergency_reset_server_certificate",
            Role::PoolAdmin,
            "The same on the host that the client talks to.",
        ),
        message("compute_free_memory", Role::ReadOnly, "Memory that new VMs can have, in bytes.")
            .takes(&[HOST_PARAM])
            .gives(Int),
        message("compute_memory_overhead", Role::ReadOnly, "Memory that Xen uses, in bytes.")
            .takes(&[HOST_PARAM])
            .gives(Int),
        message("get_management_interface", Role::ReadOnly, "The interface it is managed through.")
            .takes(&[HOST_PARAM])
            .gives(Ref("PIF")),
        message(
            "get_vms_which_prevent_evacuation",
            Role::ReadOnly,
            "VMs that could run on no other host, each with the reason.",
        )
        .takes(&[param("self", Ref("host"), "the host")])
        .gives(Type::Map(&Ref("VM"), &Set(&Type::String))),
        blob::of_object(
            Role::PoolOperator,
            &[param("host", Ref("host"), "the object"), blob::NAME, blob::MIME, blob::MAYBE_PUBLIC],
        ),
        message(
            "management_reconfigure",
            Role::PoolOperator,
            "Manages the host through another interface.",
        )
        .takes(&[param("pif", Ref("PIF"), "the interface")])
        .fails(&[&PIF_HAS_NO_NETWORK_CONFIGURATION, &CANNOT_PLUG_BOND_SLAVE]),
        message(
            "local_management_reconfigure",
            Role::PoolOperator,
            "Manages the host through another interface, named as Dom0 names its bridge.",
        )
        .takes(&[param("interface", STRING, "the bridge, or the card in it")])
        .fails(&[&PIF_HAS_NO_NETWORK_CONFIGURATION, &INVALID_VALUE]),
        message(
            "evacuate",
            Role::PoolOperator,
            "Moves its VMs to other hosts; fails if it has any.",
        )
        .takes(&[
            HOST_PARAM,
            optional("network", Ref("network"), Literal::Zero, "the network to move them over"),
            optional("evacuate_batch_size", Int, Literal::Zero, "how many at a time"),
        ])
        .fails(&[&HOST_NOT_DISABLED, &NO_HOSTS_AVAILABLE]),
        message(
            "assert_can_evacuate",
            Role::PoolOperator,
            "Fails with the reason why its VMs cannot run elsewhere.",
        )
        .takes(&[HOST_PARAM])
        .fails(&[&NO_HOSTS_AVAILABLE]),
        message(
            "get_uncooperative_resident_VMs",
            Role::ReadOnly,
            "VMs here whose memory is not what it should be.",
        )
        .takes(&[param("self", Ref("host"), "the host")])
        .gives(Set(&Ref("VM"))),
        message(
            "set_hostname_live",
            Role::PoolOperator,
            "Changes its host name, now and for ever.",
        )
        .takes(&[HOST_PARAM, param("hostname", STRING, "the name")])
        .fails(&[&HOST_NAME_INVALID]),
        message("set_hostname", Role::PoolOperator, "Changes its host name, now and for ever.")
            .takes(&[param("self", Ref("host"), "the host"), param("value", STRING, "the name")])
            .fails(&[&HOST_NAME_INVALID]),
        message("restart_agent", Role::PoolOperator, "Starts its toolstack anew; VMs run on.")
            .takes(&[HOST_PARAM]),
        message("sync_data", Role::PoolAdmin, "Returns once every change is on disk.")
            .takes(&[HOST_PARAM]),
        message("get_log", Role::PoolOperator, "The newest lines of its toolstack's log.")
            .takes(&[HOST_PARAM])
            .gives(STRING),
        message("set_power_on_mode", Role::PoolOperator, "Keeps how others can power it on.")
            .takes(&[
                param("self", Ref("host"), "the host"),
                param("power_on_mode", STRING, "how: wake-on-lan, IPMI, or the name of a script"),
                param("power_on_config", STRING_MAP, "settings for that; secrets by reference"),
            ]),
        message(
            "call_plugin",
            Role::PoolAdmin,
            "Calls a function of a program that its administrator put into /etc/xapi.d/plugins.",
        )
        .takes(&[
            HOST_PARAM,
            param("plugin", STRING, "name of the program"),
            param("fn", STRING, "name of the function"),
            param("args", STRING_MAP, "what the function is given"),
        ])
        .gives(STRING)
        .fails(&[&XENAPI_MISSING_PLUGIN, &XENAPI_PLUGIN_FAILURE]),
        message("set_servertime", Role::PoolOperator, "Sets its clock; for hosts without NTP.")
            .takes(&[THIS, param("value", DateTime, "the time in UTC")])
            .fails(&[&NOT_ALLOWED_WHEN_NTP_IS_ENABLED]),
        message("list_timezones", Role::ReadOnly, "Every time zone that it can have.")
            .takes(&[THIS])
            .gives(STRINGS),
        message("set_timezone", Role::PoolOperator, "Changes its time zone.")
            .takes(&[THIS, param("value", STRING, "name of the zone: Europe/Berlin")])
            .fails(&[&INVALID_VALUE]),
        message("set_ntp_mode", Role::PoolOperator, "Changes where it has the time from.")
            .takes(&[THIS, param("value", Enum(&NTP_MODE), "where it has the time from")])
            .fails(&[&INVALID_NTP_CONFIG]),
        message("set_ntp_custom_servers", Role::PoolOperator, "Names servers for the mode Custom.")
            .takes(&[THIS, param("value", STRINGS, "their names or addresses")])
            .fails(&[&INVALID_NTP_CONFIG, &INVALID_VALUE]),
        message("get_ntp_synchronized", Role::ReadOnly, "Whether its clock goes by its servers'.")
            .takes(&[THIS])
            .gives(Bool),
        message(
            "get_ntp_servers_status",
            Role::ReadOnly,
            "Addresses of the servers that it asks: synced, combined, uncombined, error, variable or \
             unreachable.",
        )
        .takes(&[THIS])
        .gives(STRING_MAP),
        message(
            "enable_ssh",
            Role::PoolAdmin,
            "Lets people log in over SSH, for ssh_enabled_timeout; ssh_auto_mode is off meanwhile.",
        )
        .takes(&[THIS]),
        message("disable_ssh", Role::PoolAdmin, "Lets nobody log in over SSH any more.")
            .takes(&[THIS]),
        message(
            "set_ssh_enabled_timeout",
            Role::PoolAdmin,
            "Changes how long SSH stays enabled; counts from now if it is.",
        )
        .takes(&[THIS, param("value", Int, "seconds, at most two days; 0 is for ever")])
        .fails(&[&INVALID_VALUE]),
        message(
            "set_ssh_auto_mode",
            Role::PoolAdmin,
            "Keeps SSH for times when the toolstack does not run.",
        )
        .takes(&[THIS, param("value", Bool, "SSH is there only while the toolstack does not run")]),
        message("set_console_idle_timeout", Role::PoolAdmin, "Changes when idle shells end.")
            .takes(&[THIS, param("value", Int, "seconds; 0 is never")])
            .fails(&[&INVALID_VALUE]),
        message(
            "syslog_reconfigure",
            Role::PoolOperator,
            "Sends its log to logging:syslog_destination from now on, or nowhere.",
        )
        .takes(&[HOST_PARAM])
        .fails(&[&INVALID_VALUE]),
        message("dmesg", Role::PoolOperator, "What Xen has logged.")
            .takes(&[HOST_PARAM])
            .gives(STRING),
        message("dmesg_clear", Role::PoolOperator, "What Xen has logged, which it then forgets.")
            .takes(&[HOST_PARAM])
            .gives(STRING),
        message("send_debug_keys", Role::PoolAdmin, "Presses keys of Xen's debug console.")
            .takes(&[HOST_PARAM, param("keys", STRING, "the keys; h logs what each does")])
            .fails(&[&INVALID_VALUE]),
        message("set_iscsi_iqn", Role::PoolOperator, "Changes its name as iSCSI initiator.")
            .takes(&[HOST_PARAM, param("value", STRING, "the name")])
            .fails(&[&INVALID_VALUE]),
        message(
            "shutdown_agent",
            Role::PoolOperator,
            "Ends its toolstack until somebody starts it on the host; VMs run on.",
        ),
        message("has_extension", Role::PoolAdmin, "Whether it has an extension of the API.")
            .takes(&[HOST_PARAM, param("name", STRING, "its name")])
            .gives(Bool),
        message(
            "call_extension",
            Role::PoolAdmin,
            "Calls a program that its administrator put into /etc/xapi.d/extensions.",
        )
        .takes(&[HOST_PARAM, param("call", STRING, "the call, as JSON-RPC; its method is the name")])
        .gives(STRING)
        .fails(&[&MESSAGE_METHOD_UNKNOWN, &EXTENSION_PROTOCOL_FAILURE, &INTERNAL_ERROR]),
        message(
            "get_tracked_user_agents",
            Role::ReadOnly,
            "Programs of clients that were logged in since the toolstack started, and their versions.",
        )
        .takes(&[THIS])
        .gives(STRING_MAP),
        message(
            "set_ssl_legacy",
            Role::PoolOperator,
            "Fails for true: versions of TLS before 1.2 are not spoken.",
        )
        .takes(&[THIS, param("value", Bool, "whether they are")])
        .fails(&[&VALUE_NOT_SUPPORTED]),
        message(
            "bugreport_upload",
            Role::PoolOperator,
            "Sends its versions and the logs of Dom0 and Xen to a URL, by PUT.",
        )
        .takes(&[
            HOST_PARAM,
            param("url", STRING, "http: or https: address"),
            param("options", STRING_MAP, "http_proxy: address of a proxy"),
        ])
        .fails(&[&INVALID_VALUE]),
        message("get_data_sources", Role::ReadOnly, "Figures that it can be asked for.")
            .takes(&[HOST_PARAM])
            .gives(Set(&Type::Record("data_source"))),
        message("query_data_source", Role::ReadOnly, "A recorded figure as it is now.")
            .takes(&[HOST_PARAM, param("data_source", STRING, "name of the figure")])
            .gives(Float)
            .fails(&[&INVALID_VALUE, &VALUE_NOT_SUPPORTED]),
        message("record_data_source", Role::PoolOperator, "Begins to record a figure.")
            .takes(&[HOST_PARAM, param("data_source", STRING, "name of the figure")])
            .fails(&[&INVALID_VALUE]),
        message(
            "forget_data_source_archives",
            Role::PoolOperator,
            "Forgets what was recorded of a figure; a standard one begins anew.",
        )
        .takes(&[HOST_PARAM, param("data_source", STRING, "name of the figure")])
        .fails(&[&INVALID_VALUE]),
        message("backup_rrds", Role::PoolAdmin, "Writes all recorded figures to disk, soon.")
            .takes(&[HOST_PARAM, param("delay", Float, "seconds from now on, a day at most")])
            .fails(&[&INVALID_VALUE]),
        message("list_methods", Role::ReadOnly, "Every message of this server.").gives(STRINGS),
    ],
);
