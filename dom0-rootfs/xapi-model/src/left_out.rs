// SPDX-License-Identifier: MIT OR Apache-2.0
//! What XenServer's data model has and this one has not, with the reasons.
//!
//! It is for people who look for something, and decides nothing: what is not described is unknown to
//! the server. A test holds it against the classes, so what comes to be described has to go from here.

/// Classes and messages that are left out for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// What they are about.
    pub topic: &'static str,
    /// Why they are not there.
    pub reason: &'static str,
    /// Classes, with all their messages but those that list their objects, as none, where
    /// [`crate::classes::ABSENT`] has them.
    pub classes: &'static [&'static str],
    /// Messages of classes that are there: `VM.pool_migrate`.
    pub messages: &'static [&'static str],
}

/// The topic under which a class is left out.
pub fn of_class(name: &str) -> Option<&'static LeftOut> {
    ALL.iter().find(|left_out| left_out.classes.contains(&name))
}

/// A path that XenServer answers requests for, beside the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The path.
    pub path: &'static str,
    /// Why nothing is there.
    pub reason: &'static str,
}

const IMAGE: &str = "A host's system is one image, which is installed as a whole; it takes no patches, \
                     updates or packages.";
const ONE_HOST: &str = "A pool has one host so far, which has no other to talk to.";
const BALANCING: &str = "It is a server of XenServer's own that is asked where VMs should run.";

/// Paths that are left out; handlers of requests that are there are in [`crate::http`].
pub static PATHS: &[Path] = &[
    Path {
        path: "/vncsnapshot",
        reason: "No pictures are taken of a VM's screen; /console gives the screen itself.",
    },
    Path {
        path: "/host_backup",
        reason: "A host's system is one image, and a reinstallation keeps its records and SRs; \
                 /export_metadata?all=true saves the records of all VMs elsewhere.",
    },
    Path {
        path: "/host_restore",
        reason: "There is no backup of a host's system (/host_backup) that could be put back.",
    },
    Path {
        path: "/pool/xmldbdump",
        reason: "The database has a form of its own, which is nobody else's business. \
                 /export_metadata?all=true gives the records of all VMs, and get_all_records those \
                 of any class.",
    },
    Path {
        path: "/host_logs_download",
        reason: "The host's log is read on the host, sent to another one (host.syslog_reconfigure), \
                 or sent with a bug report (host.bugreport_upload).",
    },
    Path {
        path: "/system-status",
        reason: "A bug report is sent by the host (host.bugreport_upload), not fetched.",
    },
    Path { path: "/pool_patch_upload", reason: IMAGE },
    Path { path: "/pool_patch_download", reason: IMAGE },
    Path { path: "/oem_patch_stream", reason: IMAGE },
    Path { path: "/update", reason: IMAGE },
    Path { path: "/updates", reason: IMAGE },
    Path { path: "/host_updates", reason: IMAGE },
    Path { path: "/repository", reason: IMAGE },
    Path { path: "/bundle", reason: IMAGE },
    Path { path: "/migrate", reason: ONE_HOST },
    Path { path: "/remote_db_access", reason: ONE_HOST },
    Path { path: "/remotecmd", reason: ONE_HOST },
    Path { path: "/config_sync", reason: ONE_HOST },
    Path {
        path: "/rrd_put",
        reason: "The toolstack records figures itself, so nobody hands it any.",
    },
    Path { path: "/wlb_report", reason: BALANCING },
    Path { path: "/wlb_diagnostics", reason: BALANCING },
    Path {
        path: "/cli",
        reason: "XenServer runs the commands of xe in its toolstack; here xe itself asks by the API, \
                 also from another host.",
    },
    Path { path: "/rss", reason: "Messages are read by message.get_since, and come as events." },
    Path { path: "/services", reason: "No other service of the host is passed on to clients." },
];

/// Everything that is left out, by topic.
pub static ALL: &[LeftOut] = &[
    LeftOut {
        topic: "Pools of several hosts, migration",
        reason: "A pool has one host so far: there is no other that could join it, that VMs \
                 could move to, or that could take over.",
        classes: &[],
        messages: &[
            "pool.join",
            "pool.join_force",
            "pool.eject",
            "pool.designate_new_master",
            "pool.emergency_transition_to_master",
            "pool.emergency_reset_master",
            "pool.recover_slaves",
            "pool.rotate_secret",
            "pool.set_is_psr_pending",
            "pool.set_coordinator_bias",
            "pool.set_migration_compression",
            "host.destroy",
            "host.declare_dead",
            "host.power_on",
            "host.set_address",
            "host.migrate_receive",
            "VM.pool_migrate",
            "VM.migrate_send",
            "VM.assert_can_migrate",
        ],
    },
    LeftOut {
        topic: "High availability, clusters",
        reason: "VMs are started again on another host, which a pool of one host does not have.",
        classes: &["Cluster", "Cluster_host"],
        messages: &[
            "pool.enable_ha",
            "pool.disable_ha",
            "pool.ha_prevent_restarts_for",
            "pool.set_ha_host_failures_to_tolerate",
            "pool.set_ha_allow_overcommit",
            "pool.get_ha_reboot_vm_on_internal_shutdown",
            "pool.set_ha_reboot_vm_on_internal_shutdown",
            "pool.enable_redo_log",
            "pool.disable_redo_log",
            "host.emergency_ha_disable",
            "VM.set_ha_always_run",
            "VM.set_ha_restart_priority",
            "SR.assert_can_host_ha_statefile",
        ],
    },
    LeftOut {
        topic: "Disaster recovery",
        reason: "Records of VMs are not kept in SRs, so that they could be recovered from there. \
                 A reinstallation of the host keeps its records and SRs.",
        classes: &["DR_task"],
        messages: &[
            "session.create_from_db_file",
            "SR.enable_database_replication",
            "SR.disable_database_replication",
            "SR.assert_supports_database_replication",
            "VDI.open_database",
            "VDI.read_database_pool_uuid",
            "VM.recover",
            "VM.assert_can_be_recovered",
            "VM.get_SRs_required_for_recovery",
            "VM_appliance.recover",
            "VM_appliance.assert_can_be_recovered",
            "VM_appliance.get_SRs_required_for_recovery",
        ],
    },
    LeftOut {
        topic: "Workload balancing",
        reason: "It is a server of XenServer's own that is asked where VMs should run.",
        classes: &[],
        messages: &[
            "pool.initialize_wlb",
            "pool.deconfigure_wlb",
            "pool.send_wlb_configuration",
            "pool.retrieve_wlb_configuration",
            "pool.retrieve_wlb_recommendations",
            "pool.set_wlb_enabled",
            "pool.set_wlb_verify_cert",
            "host.retrieve_wlb_evacuate_recommendations",
            "VM.retrieve_wlb_recommendations",
        ],
    },
    LeftOut {
        topic: "Directories of users, client certificates",
        reason: "Who logs in is a user of the host, with its password: no directory is asked, and \
                 no certificate of a client is looked at.",
        classes: &[],
        messages: &[
            "pool.enable_external_auth",
            "pool.disable_external_auth",
            "pool.external_auth_set_ldaps",
            "pool.get_ext_auth_cache_enabled",
            "pool.set_ext_auth_cache_enabled",
            "pool.get_ext_auth_cache_expiry",
            "pool.set_ext_auth_cache_expiry",
            "pool.get_ext_auth_cache_size",
            "pool.set_ext_auth_cache_size",
            "pool.get_ext_auth_max_threads",
            "pool.set_ext_auth_max_threads",
            "pool.get_local_auth_max_threads",
            "pool.set_local_auth_max_threads",
            "pool.enable_client_certificate_auth",
            "pool.disable_client_certificate_auth",
            "host.enable_external_auth",
            "host.disable_external_auth",
            "host.external_auth_set_ldaps",
        ],
    },
    LeftOut {
        topic: "Verification between hosts",
        reason: "One host has no other whose certificate it could verify. Authorities that it \
                 trusts elsewhere are installed by pool.install_ca_certificate; lists of revoked \
                 certificates are not read.",
        classes: &[],
        messages: &[
            "pool.enable_tls_verification",
            "pool.crl_install",
            "pool.crl_uninstall",
            "pool.crl_list",
            "pool.install_trusted_certificate",
            "pool.uninstall_trusted_certificate",
            "pool.sync_trusted_certificates_from",
            "host.emergency_disable_tls_verification",
            "host.emergency_reenable_tls_verification",
            "host.refresh_server_certificate",
        ],
    },
    LeftOut {
        topic: "Protocols without TLS",
        reason: "Clients are answered over TLS 1.2 and later alone, so there is nothing to switch.",
        classes: &[],
        messages: &["pool.set_https_only", "host.set_https_only"],
    },
    LeftOut {
        topic: "Licences, editions, reports to the maker",
        reason: "There is no licence, one edition, and nothing is reported to anybody.",
        classes: &["Feature"],
        messages: &[
            "pool.apply_edition",
            "pool.get_license_server",
            "pool.set_license_server",
            "pool.add_to_license_server",
            "pool.remove_from_license_server",
            "pool.set_health_check_config",
            "pool.add_to_health_check_config",
            "pool.remove_from_health_check_config",
            "pool.get_telemetry_uuid",
            "pool.reset_telemetry_uuid",
            "pool.get_telemetry_frequency",
            "pool.get_telemetry_next_collection",
            "pool.set_telemetry_next_collection",
            "pool.get_recommendations",
            "host.apply_edition",
            "host.license_add",
            "host.license_remove",
            "host.set_license_server",
            "host.add_to_license_server",
            "host.remove_from_license_server",
        ],
    },
    LeftOut {
        topic: "Patches, updates, package repositories",
        reason: "A host's system is one image, which is installed as a whole; patches and packages \
                 are not put into it.",
        classes: &["pool_patch", "host_patch", "pool_update", "Repository"],
        messages: &[
            "pool.set_repositories",
            "pool.add_repository",
            "pool.remove_repository",
            "pool.sync_updates",
            "pool.check_update_readiness",
            "pool.configure_repository_proxy",
            "pool.disable_repository_proxy",
            "pool.configure_update_sync",
            "pool.set_update_sync_enabled",
            "pool.get_update_sync_enabled",
            "pool.get_update_sync_frequency",
            "pool.get_update_sync_day",
            "pool.get_last_update_sync",
            "pool.set_live_patching_disabled",
            "host.apply_updates",
            "host.refresh_pack_info",
            "host.emergency_clear_mandatory_guidance",
            "host.get_pending_guidances_recommended",
            "host.get_pending_guidances_full",
            "host.get_latest_synced_updates_applied",
            "host.get_last_software_update",
            "host.get_last_update_hash",
            "VM.get_pending_guidances_recommended",
            "VM.get_pending_guidances_full",
            "VM.restart_device_models",
        ],
    },
    LeftOut {
        topic: "Provisioning services (PVS)",
        reason: "They are servers of another product that give out disks.",
        classes: &["PVS_site", "PVS_server", "PVS_proxy", "PVS_cache_storage"],
        messages: &[],
    },
    LeftOut {
        topic: "Virtual graphics cards, PCI devices of guests",
        reason: "PCI devices and graphics cards are shown, and stay Dom0's.",
        classes: &["VGPU", "VGPU_type"],
        messages: &[
            "PCI.enable_dom0_access",
            "PCI.disable_dom0_access",
            "PCI.get_dom0_access_status",
            "PGPU.enable_dom0_access",
            "PGPU.disable_dom0_access",
            "PGPU.get_remaining_capacity",
            "PGPU.set_GPU_group",
            "PGPU.set_enabled_VGPU_types",
            "PGPU.add_enabled_VGPU_types",
            "PGPU.remove_enabled_VGPU_types",
            "GPU_group.get_remaining_capacity",
            "GPU_group.set_allocation_algorithm",
            "host.set_display",
            "host.enable_display",
            "host.disable_display",
        ],
    },
    LeftOut {
        topic: "USB devices of guests",
        reason: "USB devices are shown, and stay Dom0's.",
        classes: &["VUSB"],
        messages: &["PUSB.set_passthrough_enabled"],
    },
    LeftOut {
        topic: "UEFI variables, Secure Boot and TPMs of guests",
        reason: "A UEFI guest starts with the variables of its firmware; they are not kept, so \
                 there are no keys to check what it starts, and no TPM is emulated.",
        classes: &["VTPM"],
        messages: &[
            "VM.set_NVRAM",
            "VM.add_to_NVRAM",
            "VM.remove_from_NVRAM",
            "VM.set_uefi_mode",
            "VM.get_secureboot_readiness",
            "VM.get_secureboot_certificates_state",
            "VM.update_secureboot_certificates_on_boot",
            "pool.get_guest_secureboot_readiness",
            "pool.get_auto_update_vm_secureboot_certificates",
            "pool.set_auto_update_vm_secureboot_certificates",
            "pool.set_uefi_certificates",
            "pool.get_custom_uefi_certificates",
            "pool.set_custom_uefi_certificates",
            "host.set_uefi_certificates",
        ],
    },
    LeftOut {
        topic: "Network cards shared by hardware (SR-IOV)",
        reason: "Guests' interfaces are ports of a bridge.",
        classes: &["network_sriov"],
        messages: &[],
    },
    LeftOut {
        topic: "Changed blocks, network block devices",
        reason: "No storage driver here tracks which blocks change, and disks are not given out by \
                 NBD: contents go over HTTP.",
        classes: &[],
        messages: &[
            "VDI.enable_cbt",
            "VDI.disable_cbt",
            "VDI.data_destroy",
            "VDI.list_changed_blocks",
            "network.add_purpose",
            "network.remove_purpose",
        ],
    },
    LeftOut {
        topic: "Caches on local disks, disks that forget",
        reason: "Disks of servers are used where they are, and every disk keeps what is written.",
        classes: &[],
        messages: &[
            "VDI.set_allow_caching",
            "VDI.set_on_boot",
            "pool.enable_local_storage_caching",
            "pool.disable_local_storage_caching",
            "host.enable_local_storage_caching",
            "host.disable_local_storage_caching",
        ],
    },
    LeftOut {
        topic: "Storage drivers of XenServer",
        reason: "Drivers are built in, with formats of their own. SR.probe lists what is found in \
                 XML, and sizes are what the driver finds.",
        classes: &["LVHD", "probe_result", "sr_stat"],
        messages: &["SR.make", "SR.probe_ext", "SR.set_physical_size"],
    },
    LeftOut {
        topic: "Figures of SRs",
        reason: "What goes through an SR is among the figures of the host.",
        classes: &[],
        messages: &[
            "SR.get_data_sources",
            "SR.query_data_source",
            "SR.record_data_source",
            "SR.forget_data_source_archives",
        ],
    },
    LeftOut {
        topic: "XenServer's agent in guests",
        reason: "They need an agent in the guest that this system does not bring. What an agent \
                 reports is shown.",
        classes: &[],
        messages: &[
            "VM.call_plugin",
            "VM.query_services",
            "VM.sysprep",
            "VM.set_has_vendor_device",
            "VIF.configure_ipv4",
            "VIF.configure_ipv6",
            "pool.add_to_guest_agent_config",
            "pool.remove_from_guest_agent_config",
            "pool.set_policy_no_vendor_device",
        ],
    },
    LeftOut {
        topic: "VMs from elsewhere",
        reason: "Archives are imported by the client that has them (PUT /import), not fetched by \
                 the host, and not converted.",
        classes: &[],
        messages: &["VM.import", "VM.import_convert"],
    },
    LeftOut {
        topic: "Settings without an effect here",
        reason: "Nothing is there that would go by another value than the one it has.",
        classes: &[],
        messages: &[
            "VBD.set_qos_algorithm_type",
            "VBD.set_qos_algorithm_params",
            "VBD.add_to_qos_algorithm_params",
            "VBD.remove_from_qos_algorithm_params",
            "VM.set_HVM_shadow_multiplier",
            "VM.set_shadow_multiplier_live",
            "VM.set_hardware_platform_version",
            "host.set_multipathing",
            "host.get_sched_gran",
            "host.set_sched_gran",
        ],
    },
    LeftOut {
        topic: "Of the toolstack itself",
        reason: "The toolstack keeps these objects and fields right by itself.",
        classes: &[],
        messages: &[
            "console.create",
            "console.destroy",
            "PIF.db_introduce",
            "PIF.db_forget",
            "PIF.set_property",
            "VMSS.set_last_run_time",
        ],
    },
    LeftOut {
        topic: "Hosts that nobody manages",
        reason: "A host is always managed through one of its interfaces.",
        classes: &[],
        messages: &["host.management_disable"],
    },
    LeftOut {
        topic: "Parts of bug reports, archives by schedule",
        reason: "A bug report is one whole (host.bugreport_upload), and a schedule takes snapshots, \
                 which it sends nowhere.",
        classes: &[],
        messages: &["host.get_system_status_capabilities", "pool.test_archive_target"],
    },
    LeftOut {
        topic: "Prototypes",
        reason: "XenServer marks them as not settled: they come, change and go without notice.",
        classes: &["Observer", "Host_driver", "Driver_variant", "Caller", "Rate_limit"],
        messages: &[
            "VM.call_host_plugin",
            "VDI.revert",
            "VM.get_actions_after_softreboot",
            "VM.set_actions_after_softreboot",
            "VM_metrics.get_numa_optimised",
            "VM_metrics.get_numa_nodes",
            "VM_metrics.get_numa_node_memory",
            "VIF.get_trunks",
            "VIF.set_trunks",
            "VIF.add_trunks",
            "VIF.remove_trunks",
            "host.get_numa_affinity_policy",
            "host.set_numa_affinity_policy",
            "host.get_max_cstate",
            "host.set_max_cstate",
            "host.rescan_drivers",
            "pool.get_vm_console_idle_timeout",
            "pool.set_vm_console_idle_timeout",
        ],
    },
    LeftOut {
        topic: "Removed from XenServer",
        reason: "XenServer has taken them away itself.",
        classes: &["VMPP", "VIF_metrics", "VBD_metrics"],
        messages: &[
            "VM.snapshot_with_quiesce",
            "VM.set_protection_policy",
            "VM.get_is_snapshot_from_vmpp",
            "PIF_metrics.get_io_read_kbs",
            "PIF_metrics.get_io_write_kbs",
            "pool.enable_ssl_legacy",
            "host.license_apply",
            "host.set_cpu_features",
            "host.reset_cpu_features",
            "host.apply_recommended_guidances",
        ],
    },
];
