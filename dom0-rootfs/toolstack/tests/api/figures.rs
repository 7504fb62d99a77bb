// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures over time: documents for clients of XenServer, sources, Prometheus.

use std::path::Path;

use crate::common::{Client, Served, Wire};
use toolstack::metrics::{self, Metrics};
use toolstack::session::Owner;
use uuid::Uuid;
use xapi_model::{Role, Value};
use xenops::{DomId, Hypervisor};

const BEGIN: f64 = 1_700_000_000.0;

/// Takes samples every five seconds of made-up time, from the `from`th to before the `to`th.
fn sample(served: &Served, metrics: &Metrics, from: u32, to: u32) {
    for step in from..to {
        let usage = served.hypervisor.usage().unwrap();
        metrics.record(&served.toolstack, usage, BEGIN + f64::from(step) * 5.0, 5.0);
    }
}

fn get(client: &Client, path: &str) -> (u16, String, String) {
    let mark = if path.contains('?') { '&' } else { '?' };
    let url = format!("{}{path}{mark}session_id={}", client.url, client.session);
    let mut response = client.agent.get(url).call().unwrap();
    let content = response.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
    (response.status().as_u16(), content, response.body_mut().read_to_string().unwrap())
}

fn uuid(client: &Client, class: &str, object: &str) -> String {
    client.text(&format!("{class}.get_uuid"), vec![object.into()])
}

/// A host with a running VM, and what its uuids are called in golden files.
struct Example {
    served: Served,
    client: Client,
    vm: String,
    names: Vec<(String, &'static str)>,
}

fn example() -> Example {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = client.make_vm("a \"guest\"\\").vm;
    client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    let host = served.toolstack.host();
    let dom0 = client.text("host.get_control_domain", vec![host.as_str().into()]);
    let label = client.text("VM.get_name_label", vec![dom0.as_str().into()]);
    let names = vec![
        (uuid(&client, "host", host.as_str()), "HOST"),
        (uuid(&client, "VM", &dom0), "DOM0"),
        (uuid(&client, "VM", &vm), "GUEST"),
        (label, "DOM0-NAME"),
    ];
    Example { served, client, vm, names }
}

impl Example {
    fn golden(&self, file: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/figures").join(file);
        let mut text = text.replace("><", ">\n<").replace("},{", "},\n{");
        for (word, name) in &self.names {
            text = text.replace(word.as_str(), name);
        }
        if std::env::var_os("FIGURES_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{file}");
    }

    fn guest(&self) -> &str {
        &self.names[2].0
    }
}

#[test]
fn rows_since_some_time() {
    let example = example();
    let (served, client) = (&example.served, &example.client);
    sample(served, &served.toolstack.metrics, 0, 30);
    let of_guest = format!("vm_uuid={}", example.guest());
    let (status, content, text) =
        get(client, &format!("/rrd_updates?start=1700000120&cf=AVERAGE&interval=5&{of_guest}"));
    assert_eq!((status, content.as_str()), (200, "text/xml"));
    example.golden("updates.xml", &text);
    let path = format!("/rrd_updates?start=1700000060&cf=MAX&interval=60&json=true&{of_guest}");
    let (status, content, text) = get(client, &path);
    assert_eq!((status, content.as_str()), (200, "application/json"));
    example.golden("updates.json", &text);
    let legend = |query: &str| {
        let (status, _, text) = get(client, &format!("/rrd_updates?start=-20&cf=AVERAGE{query}"));
        assert_eq!(status, 200);
        ["host", "vm"].map(|kind| text.matches(&format!("<entry>AVERAGE:{kind}:")).count())
    };
    let [none, both] = legend("");
    assert!(none == 0 && both > 12, "Dom0 and the guest: {both}");
    let [host, vms] = legend("&host=true&vm_uuid=none");
    assert!(host > 10 && vms == 0, "{host}");
    assert_eq!(legend("&host=true&vm_uuid=all"), [host, both]);
    assert_eq!(legend("&vm_uuid=nonsense"), [0, 0]);
    for bad in ["/rrd_updates", "/rrd_updates?start=now", "/rrd_updates?start=1&interval=x"] {
        assert_eq!(get(client, bad).0, 400, "{bad}");
    }
}

#[test]
fn whole_databases() {
    let example = example();
    let (served, client) = (&example.served, &example.client);
    assert_eq!(get(client, "/host_rrd").0, 404, "nothing was measured");
    sample(served, &served.toolstack.metrics, 0, 3);
    let (status, content, text) = get(client, "/host_rrd");
    assert_eq!((status, content.as_str()), (200, "text/xml"));
    for name in ["cpu3", "cpu_avg", "memory_free_kib", "loadavg", "pif_eth0_rx", "pif_aggr_tx"] {
        assert_eq!(text.matches(&format!("<ds><name>{name}</name>")).count(), 1, "{name}");
    }
    assert!(!text.contains("pif_eth0_rx_errors"), "nobody asked for it");
    let sr = client.text(
        "pool.get_default_SR",
        vec![client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone()],
    );
    let sr = uuid(client, "SR", &sr)[..8].to_owned();
    assert!(text.contains(&format!("<name>iops_read_{sr}</name>")));
    let query = |name: &str| {
        let host = served.toolstack.host();
        client.ok("host.query_data_source", vec![host.into(), name.into()])
    };
    // The simulator's second CPU is idle for 70 % of the time; the guest reads ten times a second.
    assert!(matches!(query("cpu1"), Value::Float(busy) if (busy - 0.3).abs() < 1e-9));
    assert_eq!(query("pif_eth0_rx"), Value::Float(20_000.0));
    assert_eq!(query(&format!("iops_read_{sr}")), Value::Float(10.0));
    assert_eq!(query("running_domains"), Value::Float(2.0));
    let (status, content, text) =
        get(client, &format!("/vm_rrd?uuid={}&json=true", example.guest()));
    assert_eq!((status, content.as_str()), (200, "application/json"));
    assert!(text.contains("{\"name\":\"vbd_xvda_write\",\"type\":\"DERIVE\""), "{text}");
    assert_eq!(get(client, "/vm_rrd?uuid=x").0, 404);
    assert_eq!(get(client, "/vm_rrd").0, 404);
}

#[test]
fn sources_are_recorded_and_forgotten() {
    let example = example();
    let (served, client) = (&example.served, &example.client);
    let vm = || Value::from(example.vm.as_str());
    let metrics = &served.toolstack.metrics;
    sample(served, metrics, 0, 3);
    let call = |message: &str, source: &str| client.call(message, vec![vm(), source.into()]);
    let enabled = |source: &str| {
        let all = client.ok("VM.get_data_sources", vec![vm()]);
        let all = all.as_set().unwrap().iter().map(|one| one.as_map().unwrap());
        let found = all.into_iter().find(|one| one["name_label"].text() == source)?;
        Some((found["enabled"].clone(), found["standard"].clone()))
    };
    assert_eq!(enabled("vif_0_rx"), Some((true.into(), true.into())));
    assert_eq!(enabled("vif_0_rx_errors"), Some((false.into(), false.into())));
    let error = call("VM.query_data_source", "vif_0_rx_errors").unwrap_err();
    assert_eq!(error.args[2], "it is not recorded");
    call("VM.record_data_source", "vif_0_rx_errors").unwrap();
    sample(served, metrics, 3, 5);
    assert_eq!(enabled("vif_0_rx_errors"), Some((true.into(), false.into())));
    assert_eq!(call("VM.query_data_source", "vif_0_rx_errors").unwrap(), Value::Float(0.0));
    call("VM.forget_data_source_archives", "vif_0_rx_errors").unwrap();
    sample(served, metrics, 5, 6);
    assert_eq!(enabled("vif_0_rx_errors"), Some((false.into(), false.into())));
    // A standard one begins anew.
    call("VM.forget_data_source_archives", "cpu0").unwrap();
    sample(served, metrics, 6, 7);
    assert_eq!(call("VM.query_data_source", "cpu0").unwrap_err().code, "VALUE_NOT_SUPPORTED");
    sample(served, metrics, 7, 8);
    assert_eq!(call("VM.query_data_source", "cpu0").unwrap(), Value::Float(0.5));
    for message in ["VM.record_data_source", "VM.forget_data_source_archives"] {
        assert_eq!(call(message, "speed").unwrap_err().code, "INVALID_VALUE");
    }
    client.ok("VM.hard_shutdown", vec![vm()]);
    assert_eq!(call("VM.record_data_source", "cpu0").unwrap_err().code, "VM_BAD_POWER_STATE");
}

#[test]
fn figures_go_on_after_a_restart_and_go_with_their_vm() {
    let example = example();
    let (served, client) = (&example.served, &example.client);
    let folder = served.folder.path().join("figures");
    let guest = metrics::Owner::Vm(Uuid::parse_str(example.guest()).unwrap());
    let metrics = &served.toolstack.metrics;
    sample(served, metrics, 0, 20);
    assert!(!folder.exists(), "nothing to write yet");
    let host = served.toolstack.host();
    for (delay, fine) in [(-1.0, false), (1e9, false), (3600.0, true), (0.0, true)] {
        let reply = client.call("host.backup_rrds", vec![host.clone().into(), delay.into()]);
        assert_eq!(reply.is_ok(), fine, "{delay}");
    }
    let next = Metrics::new(folder.clone());
    assert!(next.database(guest).is_some(), "from disk");
    sample(served, &next, 20, 22);
    let known = |metrics: &Metrics| {
        let json = metrics.database(guest).unwrap().json();
        json.split("\"database\":[[")
            .nth(1)
            .unwrap()
            .split("]]")
            .next()
            .unwrap()
            .matches("0.5,0.5")
            .count()
    };
    // The first sample after the start knows no counter of before.
    assert_eq!((known(metrics), known(&next)), (19, 20));
    // The domain ends: what is known of the VM is on disk, and answered from there.
    client.ok("VM.hard_shutdown", vec![example.vm.as_str().into()]);
    sample(served, &next, 22, 23);
    let ended = Metrics::new(folder.clone()).database(guest).unwrap();
    assert_eq!(ended.json(), next.database(guest).unwrap().json());
    std::fs::write(folder.join(Uuid::nil().to_string()), "of nobody").unwrap();
    client.ok("VM.destroy", vec![example.vm.as_str().into()]);
    assert!(Metrics::new(folder.clone()).database(guest).is_none());
    let after = Metrics::new(folder.clone());
    sample(served, &after, 23, 24);
    assert!(!folder.join(Uuid::nil().to_string()).exists());
    // What cannot be read is lost, and no more than that.
    let host = uuid(client, "host", host.as_str());
    std::fs::write(folder.join(&host), "broken").unwrap();
    let broken = Metrics::new(folder);
    sample(served, &broken, 24, 25);
    assert!(broken.database(metrics::Owner::Host).is_some());
}

#[test]
fn a_guest_that_begins_anew_and_a_clock_that_goes_back() {
    let example = example();
    let (served, client) = (&example.served, &example.client);
    let metrics = &served.toolstack.metrics;
    sample(served, metrics, 0, 3);
    let guest = metrics::Owner::Vm(Uuid::parse_str(example.guest()).unwrap());
    let latest = || metrics.database(guest).unwrap().latest("cpu0").unwrap();
    assert_eq!(latest(), 0.5);
    client.ok("VM.hard_reboot", vec![example.vm.as_str().into()]);
    sample(served, metrics, 3, 4);
    assert!(latest().is_nan(), "another domain");
    sample(served, metrics, 4, 5);
    assert_eq!(latest(), 0.5);
    // An hour back: nothing is recorded for ten minutes, then the clock is believed.
    let back = |from: u32, to: u32| {
        for step in from..to {
            let usage = served.hypervisor.usage().unwrap();
            let now = BEGIN - 3600.0 + f64::from(step) * 5.0;
            metrics.record(&served.toolstack, usage, now, 5.0);
        }
    };
    back(0, 120);
    assert_eq!(metrics.database(guest).unwrap().updated(), BEGIN + 20.0);
    back(120, 125);
    assert_eq!(metrics.database(guest).unwrap().updated(), BEGIN - 3600.0 + 620.0);
    assert_eq!(latest(), 0.5);
}

#[test]
fn prometheus_is_served() {
    let example = example();
    let (served, client) = (&example.served, &example.client);
    assert_eq!(get(client, "/metrics").0, 503, "nothing was measured");
    sample(served, &served.toolstack.metrics, 0, 2);
    served.hypervisor.guest_says(DomId(1), "data/meminfo_free", "1024").unwrap();
    toolstack::guest::update(&served.toolstack, DomId(1)).unwrap();
    let basic = |password: &str| {
        let text = format!("root:{password}");
        let url = format!("{}/metrics", client.url);
        // RFC 4648, by hand.
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let encoded: String = text
            .as_bytes()
            .chunks(3)
            .flat_map(|three| {
                let bits = (0..3).fold(0u32, |bits, at| {
                    bits << 8 | u32::from(three.get(at).copied().unwrap_or(0))
                });
                (0..4).map(move |at| match at <= three.len() {
                    true => DIGITS[(bits >> (18 - 6 * at)) as usize & 63] as char,
                    false => '=',
                })
            })
            .collect();
        let request = client.agent.get(url).header("Authorization", format!("Basic {encoded}"));
        let mut response = request.call().unwrap();
        let content = response.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
        (response.status().as_u16(), content, response.body_mut().read_to_string().unwrap())
    };
    let (status, content, text) = basic(crate::common::PASSWORD);
    assert_eq!((status, content.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    example.golden("metrics.txt", &text);
    assert_eq!(basic("wrong").0, 401);
    // Whoever has no more than the weakest role may look; the audit log does not grow by it.
    let role = Owner::Host(Role::ReadOnly);
    let mut weak = client.clone();
    weak.session = served.toolstack.sessions.open(role, "prometheus", "test").to_string();
    let log = served.folder.path().join("log/audit.log");
    let before = std::fs::read_to_string(&log).unwrap();
    for path in ["/metrics", "/host_rrd", "/rrd_updates?start=0"] {
        assert_eq!(get(&weak, path).0, 200, "{path}");
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), before);
    assert!(!before.contains("get_metrics"));
}
