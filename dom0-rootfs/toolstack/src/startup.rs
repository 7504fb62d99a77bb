// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens before the first message is answered: objects of a new host, what may have changed
//! since the last run, storage, network, VMs.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use appliance_model::handover::{Handover, LocalSrKind};
use xapi_model::{ApiError, DateTime, Ref, Value, classes};
use xenops::HostInfo;

use crate::dom0::Services;
use crate::hardware::Machine;
use crate::store::Transaction;
use crate::toolstack::{Context, Toolstack};
use crate::vm::watcher;
use crate::{
    api, certificates, dom0, failure, hardware, host_network, rbac, reconcile, reinstallation,
    remote_storage, switches, templates, unfinished,
};

/// How often figures of the host are brought up to date.
const METRICS: Duration = Duration::from_secs(10);
/// The same as long as the host is still starting and cannot be reached.
const STARTING: Duration = Duration::from_secs(1);
/// How long a host may take to start.
const START: Duration = Duration::from_secs(180);
/// Name that root logs in with.
const ROOT: &str = "root";
/// Note with the boot during which the daemon ran last.
pub const BOOT: &str = "boot";

/// Reads the installer's handover; a live system has none.
pub fn read_handover(path: &Path) -> Result<Handover> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Handover::default()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        Ok(text) => {
            toml::from_str(&text).with_context(|| format!("understanding {}", path.display()))
        }
    }
}

/// Does it all, and says whether the host has started since the last run. Blocks.
pub fn start(toolstack: &Arc<Toolstack>, handover: &Handover) -> Result<bool> {
    let info = toolstack.hypervisor.host().context("asking Xen for facts of the host")?;
    if toolstack.host().is_null() {
        toolstack
            .store
            .write(|t| first_objects(t, handover))
            .map_err(|e| anyhow!("making the objects of a new host: {e}"))?;
    }
    let settled = toolstack
        .store
        .write(|t| reinstallation::settle(t, handover, &hostname()))
        .map_err(|e| anyhow!("taking over the settings of a reinstallation: {e}"))?;
    // The host is of use without knowing them; objects then say what they said before.
    let services = toolstack.dom0.services();
    let services = services.inspect_err(|error| tracing::error!("{error:#}")).ok();
    let booted = toolstack.store.read(|objects| objects.note(BOOT) != Some(this_boot().as_str()));
    toolstack
        .store
        .write(|t| facts(t, toolstack, &info, services.as_ref()))
        .map_err(|e| anyhow!("recording facts of the host: {e}"))?;
    host_network::end_trial(toolstack);
    // Cards that become a bond must be in no bridge of before.
    if !settled {
        host_network::bring_up(toolstack);
    }
    host_network::keep_up(toolstack, handover.management.as_ref());
    if settled {
        host_network::bring_up(toolstack);
    }
    keep_switches(toolstack);
    plug_storage(toolstack);
    watcher::begin(toolstack).context("watching domains")?;
    reconcile::domains(toolstack).map_err(|e| anyhow!("comparing with the domains of Xen: {e}"))?;
    unfinished::sweep(toolstack);
    api::sweep_blobs(toolstack);
    record_certificates(toolstack);
    if let Err(error) = toolstack.dom0.toolstack_is_ready() {
        tracing::error!("{error:#}");
    }
    Ok(booted)
}

fn keep_switches(toolstack: &Toolstack) {
    if let Err(error) = switches::keep(toolstack) {
        tracing::warn!(%error, "telling the virtual switches what they should do");
    }
}

fn record_certificates(toolstack: &Toolstack) {
    if let Err(error) = certificates::record(toolstack) {
        tracing::error!(%error, "recording certificates");
    }
}

/// Keeps figures up to date as long as the daemon runs.
pub async fn keep_figures(toolstack: Arc<Toolstack>, handover: Arc<Handover>) {
    let began = Instant::now();
    loop {
        let starting = began.elapsed() < START && !host_network::management_is_up(&toolstack);
        tokio::time::sleep(if starting { STARTING } else { METRICS }).await;
        let waiting = toolstack.clone();
        // Not waited for: a server may make it last.
        drop(tokio::task::spawn_blocking(move || {
            remote_storage::attach_waiting(&waiting);
            unfinished::settle(&waiting);
        }));
        // Snapshots may take long; each run of a schedule is noted when it begins.
        let snapshots = toolstack.clone();
        drop(tokio::task::spawn_blocking(move || api::follow_due(&snapshots)));
        let (toolstack, handover) = (toolstack.clone(), handover.clone());
        let looked = tokio::task::spawn_blocking(move || {
            host_network::keep_up(&toolstack, handover.management.as_ref());
            keep_switches(&toolstack);
            api::follow_services(&toolstack);
            // The host may have got an address, and its certificate another name.
            record_certificates(&toolstack);
            match toolstack.hypervisor.host() {
                Ok(info) => toolstack.store.write(|t| {
                    memory(t, &info);
                    Ok(())
                }),
                Err(error) => {
                    tracing::warn!(error = failure::chain(&error), "asking Xen for figures");
                    Ok(())
                }
            }
        });
        match looked.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "recording figures"),
            Err(error) => tracing::error!(%error, "looking at figures"),
        }
    }
}

fn first_objects(t: &mut Transaction<'_>, handover: &Handover) -> Result<(), ApiError> {
    let metrics = t.create(&classes::HOST_METRICS, vec![("live", true.into())]);
    let hostname = hostname();
    let host = t.create(
        &classes::HOST,
        vec![
            ("name_label", hostname.as_str().into()),
            ("name_description", "Default install".into()),
            ("enabled", true.into()),
            ("metrics", metrics.into()),
        ],
    );
    let pool = t.create(
        &classes::POOL,
        vec![("name_label", handover.pool_name.as_str().into()), ("master", host.clone().into())],
    );
    control_domain(t, &host, &hostname);
    if let Some(local) = &handover.local_sr {
        let kind = match local.kind {
            LocalSrKind::Ext => "ext",
            LocalSrKind::LvmThin => "lvmthin",
        };
        let sr = t.create(
            &classes::SR,
            vec![
                ("uuid", local.uuid.as_str().into()),
                ("name_label", "Local storage".into()),
                ("type", kind.into()),
                ("content_type", "user".into()),
            ],
        );
        t.create(&classes::PBD, vec![("host", host.into()), ("SR", sr.clone().into())]);
        for field in ["default_SR", "suspend_image_SR", "crash_dump_SR"] {
            t.set(&pool, field, &sr);
        }
    }
    Ok(())
}

fn control_domain(t: &mut Transaction<'_>, host: &Ref, hostname: &str) {
    let metrics = t.create(&classes::VM_METRICS, vec![]);
    let vm = t.create(
        &classes::VM,
        vec![
            ("name_label", reinstallation::control_domain_name(hostname).into()),
            ("name_description", "The domain which manages the others".into()),
            ("is_control_domain", true.into()),
            ("power_state", Value::Enum("Running")),
            ("domid", 0i64.into()),
            ("domain_type", Value::Enum("pv")),
            ("resident_on", host.into()),
            ("metrics", metrics.into()),
        ],
    );
    t.set(host, "control_domain", vm);
}

/// Of the kernel's, another each time.
fn this_boot() -> String {
    read_line("/proc/sys/kernel/random/boot_id")
}

/// What may have changed since the last run.
fn facts(
    t: &mut Transaction<'_>,
    toolstack: &Toolstack,
    info: &HostInfo,
    services: Option<&Services>,
) -> Result<(), ApiError> {
    let Some(host) = t.objects().all("host").next().map(|host| host.reference().clone()) else {
        return Ok(());
    };
    // A host that was disabled is enabled again by a reboot, not by a new run of the daemon.
    let boot = this_boot();
    if t.objects().note(BOOT) != Some(boot.as_str()) {
        t.set(&host, "enabled", true);
        t.set_note(BOOT, Some(boot));
    }
    rbac::make(t);
    templates::make(t);
    if !t.objects().all("user").any(|user| user.text("short_name") == ROOT) {
        let fields = vec![("short_name", ROOT.into()), ("fullname", "superuser".into())];
        t.create(&classes::USER, fields);
    }
    let uname = rustix::system::uname();
    let version = env!("CARGO_PKG_VERSION");
    t.set(&host, "hostname", hostname());
    t.set(&host, "API_version_major", 2i64);
    t.set(&host, "API_version_minor", 21i64);
    t.set(&host, "API_version_vendor", "Xenith");
    t.set(&host, "sched_policy", "credit2");
    t.set(&host, "capabilities", Value::strings(info.capabilities.iter().cloned()));
    t.set(&host, "virtual_hardware_platform_versions", Value::Set(vec![Value::Int(0)]));
    t.set(&host, "supported_bootloaders", Value::strings(["pvgrub"]));
    let software = [
        ("product_brand", "Xenith".to_owned()),
        ("product_version", version.to_owned()),
        ("product_version_text", version.to_owned()),
        ("platform_name", "Xenith".to_owned()),
        ("platform_version", version.to_owned()),
        ("build_number", build_id().unwrap_or_else(|| version.to_owned())),
        ("hostname", hostname()),
        ("xen", info.xen_version.clone()),
        ("linux", uname.release().to_string_lossy().into_owned()),
    ];
    t.set(&host, "software_version", Value::string_map(software));
    clients_ask_for(t, &host, &toolstack.machine, info);
    memory(t, info);
    control_domain_memory(t, toolstack);
    drivers(t, toolstack);
    hardware::record(t, &host, &toolstack.machine, info);
    if let Some(services) = services {
        dom0::record(t, &host, services);
    }
    Ok(())
}

/// Facts in maps that clients of XenServer look into.
fn clients_ask_for(t: &mut Transaction<'_>, host: &Ref, machine: &Machine, info: &HostInfo) {
    let kind = machine.cpu_kind();
    let of_pool = [
        ("vendor", kind.vendor),
        ("cpu_count", info.cpus.to_string()),
        ("socket_count", info.sockets.to_string()),
    ];
    let of_host = [
        ("threads_per_core", info.threads_per_core.to_string()),
        ("nr_nodes", info.nodes.to_string()),
        ("speed", info.cpu_mhz.to_string()),
        ("modelname", info.cpu_model.clone()),
        ("family", kind.family.to_string()),
        ("model", kind.model.to_string()),
        ("stepping", kind.stepping),
        ("flags", kind.flags),
    ];
    t.set(host, "cpu_info", Value::string_map(of_pool.iter().chain(&of_host).cloned()));
    // Xen Orchestra offers zstd for exports where this is there alone. Other restrictions that XenServer has are
    // of features that are here or not, without a licence.
    let restrictions = Value::string_map([("restrict_zstd_export", "false")]);
    t.set(host, "license_params", restrictions.clone());
    let pool = t.objects().all("pool").next().map(|pool| pool.reference().clone());
    if let Some(pool) = pool {
        t.set(&pool, "cpu_info", Value::string_map(of_pool));
        t.set(&pool, "restrictions", restrictions);
    }
    // As XenServer writes floating point numbers.
    let seconds = |time: DateTime| Value::from(format!("{}.", time.0));
    let config = t.objects().find(host).map(|host| host.map("other_config").clone());
    let mut config = config.unwrap_or_default();
    config.insert("boot_time".into(), seconds(machine.boot_time().unwrap_or(DateTime::EPOCH)));
    config.insert("agent_start_time".into(), seconds(DateTime::now()));
    t.set(host, "other_config", Value::Map(config));
}

fn memory(t: &mut Transaction<'_>, info: &HostInfo) {
    let metrics: Vec<Ref> = t.objects().all("host").map(|host| host.to("metrics")).collect();
    let bytes = |kib: u64| crate::vdis::bytes(kib.saturating_mul(1024));
    for metrics in &metrics {
        let Ok(now) = t.get("host_metrics", metrics) else { continue };
        let (total, free) = (bytes(info.memory_total_kib), bytes(info.memory_free_kib));
        // The time alone is no news.
        if (now.int("memory_total"), now.int("memory_free")) != (total, free) {
            t.set_live(metrics, "memory_total", total);
            t.set_live(metrics, "memory_free", free);
            t.set_live(metrics, "last_updated", DateTime::now());
        }
        t.set_live(metrics, "live", true);
    }
}

/// Dom0's memory, which is fixed while the host runs.
fn control_domain_memory(t: &mut Transaction<'_>, toolstack: &Toolstack) {
    let domains = match toolstack.hypervisor.domains() {
        Ok(domains) => domains,
        Err(error) => {
            tracing::error!(error = failure::chain(&error), "asking for the control domain");
            return;
        }
    };
    let Some(dom0) = domains.into_iter().find(|domain| domain.id.0 == 0) else { return };
    let vm = t.objects().all("VM").find(|vm| vm.bool("is_control_domain"));
    let Some((vm, metrics)) = vm.map(|vm| (vm.reference().clone(), vm.to("metrics"))) else {
        return;
    };
    let bytes = crate::vdis::bytes(dom0.memory_kib.saturating_mul(1024));
    let limits = ["static_min", "static_max", "dynamic_min", "dynamic_max", "target"];
    for limit in limits {
        t.set(&vm, &format!("memory_{limit}"), bytes);
    }
    t.set(&vm, "VCPUs_max", i64::from(dom0.vcpus));
    t.set(&vm, "VCPUs_at_startup", i64::from(dom0.vcpus));
    t.set(&metrics, "memory_actual", bytes);
    t.set(&metrics, "VCPUs_number", i64::from(dom0.vcpus));
}

/// An SM object for each storage driver, and none for others.
fn drivers(t: &mut Transaction<'_>, toolstack: &Toolstack) {
    let known: Vec<(Ref, String)> = t
        .objects()
        .all("SM")
        .map(|sm| (sm.reference().clone(), sm.text("type").to_owned()))
        .collect();
    for (sm, kind) in &known {
        if !toolstack.drivers.contains_key(kind.as_str()) {
            t.remove(sm);
        }
    }
    for (kind, driver) in &toolstack.drivers {
        let about = driver.about();
        let sm = match known.iter().find(|(_, known)| known == kind) {
            Some((sm, _)) => sm.clone(),
            None => t.create(&classes::SM, vec![("type", (*kind).into())]),
        };
        let features = about.features.iter().map(|name| ((*name).to_owned(), Value::Int(1)));
        t.set(&sm, "name_label", about.name);
        t.set(&sm, "name_description", about.description);
        t.set(&sm, "vendor", "Xenith");
        t.set(&sm, "copyright", "MIT OR Apache-2.0");
        t.set(&sm, "version", env!("CARGO_PKG_VERSION"));
        t.set(&sm, "configuration", Value::string_map(about.configuration.iter().copied()));
        t.set(&sm, "capabilities", Value::strings(about.features.iter().copied()));
        t.set(&sm, "features", Value::Map(features.collect()));
        let formats = driver.formats().into_iter().map(|format| Value::Enum(format.name()));
        t.set(&sm, "supported_image_formats", Value::Set(formats.collect()));
    }
}

/// Attaches every SR of this host; those of servers later. One that cannot be attached is logged and
/// shown as detached.
fn plug_storage(toolstack: &Arc<Toolstack>) {
    let host = toolstack.host();
    let pbds = toolstack.store.write(|t| {
        let pbds: Vec<Ref> = t
            .objects()
            .all("PBD")
            .filter(|pbd| pbd.to("host") == host)
            .map(|pbd| pbd.reference().clone())
            .collect();
        for pbd in &pbds {
            t.set_live(pbd, "currently_attached", false);
        }
        Ok(pbds)
    });
    let context = Context::myself(toolstack);
    for pbd in pbds.unwrap_or_default() {
        let done = remote_storage::defer(toolstack, &pbd).and_then(|deferred| match deferred {
            true => Ok(()),
            false => api::plug(&context, &pbd),
        });
        if let Err(error) = done {
            tracing::error!(%error, %pbd, "attaching an SR");
        }
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn read_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The build that runs, as the kernel command line says.
fn build_id() -> Option<String> {
    let line = read_line("/proc/cmdline");
    let id = line.split_whitespace().find_map(|word| word.strip_prefix("xenith.build="));
    id.filter(|id| !id.is_empty()).map(str::to_owned)
}
