// SPDX-License-Identifier: MIT OR Apache-2.0
//! Alarms on figures: the messages that `other_config:perfmon` asks for.

use crate::common::{Client, Served, Wire};
use xapi_model::{DateTime, Value};
use xenops::Hypervisor;

/// Twenty seconds into a minute.
const BEGIN: f64 = 1_700_000_000.0;

/// Takes samples every five seconds of made-up time, from the `from`th to before the `to`th.
fn sample(served: &Served, from: u32, to: u32) {
    let toolstack = &served.toolstack;
    for step in from..to {
        let usage = served.hypervisor.usage().unwrap();
        let now = BEGIN + f64::from(step) * 5.0;
        toolstack.metrics.record(toolstack, usage, now, 5.0);
        toolstack.perfmon.look(toolstack, &toolstack.metrics, now);
    }
}

/// Bodies of alarms about an object, by their values.
fn alarms(client: &Client, class: &str, uuid: &str) -> Vec<String> {
    let since = Value::DateTime(DateTime::EPOCH);
    let found = client.ok("message.get", vec![class.into(), uuid.into(), since]);
    let found = found.as_map().unwrap().values().map(|message| message.as_map().unwrap().clone());
    let alarms = found.filter(|message| message["name"].text() == "ALARM");
    let mut bodies: Vec<String> = alarms.map(|message| message["body"].text()).collect();
    bodies.sort();
    bodies
}

fn variable(name: &str, level: &str) -> String {
    format!(
        "<config><variable><name value=\"{name}\"/><alarm_trigger_level value=\"{level}\"/>\
         </variable></config>"
    )
}

fn configure(client: &Client, class: &str, object: &str, xml: &str) -> String {
    let params = vec![object.into(), "perfmon".into(), xml.into()];
    client.ok(&format!("{class}.add_to_other_config"), params);
    client.text(&format!("{class}.get_uuid"), vec![object.into()])
}

#[test]
fn figures_beyond_their_level_are_told_once_an_hour() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let other = client.make_vm("other");
    for vm in [&made.vm, &other.vm] {
        client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    }
    let classes = Value::strings(["message"]);
    let token = client.ok("event.from", vec![classes.clone(), "".into(), 0.0.into()]);
    let token = token.as_map().unwrap()["token"].clone();

    // The simulator's virtual CPUs run for half of the time.
    let vm = configure(&client, "VM", &made.vm, &variable("cpu_usage", "0.4"));
    let broken = configure(&client, "VM", &other.vm, "<config><variable>");
    sample(&served, 0, 8);
    assert!(alarms(&client, "VM", &vm).is_empty(), "there is no whole minute yet");
    sample(&served, 8, 12);
    let body = "value: 0.500000\nconfig:\n<variable>\n\t<name value=\"cpu_usage\"/>\n\
                \t<alarm_trigger_level value=\"0.4\"/>\n</variable>\n";
    assert_eq!(alarms(&client, "VM", &vm), [body]);
    let news = client.ok("event.from", vec![classes, token, 5.0.into()]);
    let events = news.as_map().unwrap()["events"].as_set().unwrap().to_vec();
    let told = |event: &Value| event.as_map().unwrap()["snapshot"].as_map().cloned();
    let told = events.iter().filter_map(told).find(|message| message["name"].text() == "ALARM");
    let told = told.unwrap();
    assert_eq!((told["priority"].text(), told["cls"].text()), ("3".into(), "VM".into()));
    assert_eq!(told["obj_uuid"].text(), vm);

    sample(&served, 12, 700);
    assert_eq!(alarms(&client, "VM", &vm).len(), 1, "an hour is not over");
    sample(&served, 700, 740);
    assert_eq!(alarms(&client, "VM", &vm).len(), 2);
    assert!(alarms(&client, "VM", &broken).is_empty());
    let params = vec![other.vm.as_str().into(), "perfmon".into()];
    client.ok("VM.remove_from_other_config", params);
    configure(&client, "VM", &other.vm, &variable("cpu_usage", "0.6"));
    sample(&served, 740, 770);
    assert!(alarms(&client, "VM", &broken).is_empty(), "the level is higher");
}

#[test]
fn hosts_srs_and_dom0_have_alarms_too() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    let host = served.toolstack.host().to_string();
    let dom0 = client.text("host.get_control_domain", vec![host.as_str().into()]);
    let pool = served.toolstack.pool();
    let sr = client.text("pool.get_default_SR", vec![pool.into()]);
    let host = configure(&client, "host", &host, &variable("memory_free_kib", "1e12"));
    let dom0 = configure(&client, "VM", &dom0, &variable("fs_usage", "0"));
    let both = variable("physical_utilisation", "0").replace("</config>", "")
        + &variable("sr_io_throughput_total_per_host", "0").replace("<config>", "");
    let sr = configure(&client, "SR", &sr, &both);
    sample(&served, 0, 40);
    let of_host = alarms(&client, "Host", &host);
    assert_eq!(of_host.len(), 2, "{of_host:?}");
    assert!(of_host.iter().any(|body| body.contains("\"memory_free_kib\"")));
    let short = &sr[..8];
    let traffic = of_host.iter().find(|body| body.contains("<configured_on class=\"SR\"")).unwrap();
    assert!(traffic.contains(&format!("<name value=\"sr_io_throughput_total_{short}\"/>")));
    let of_sr = alarms(&client, "SR", &sr);
    assert!(of_sr.len() == 1 && of_sr[0].contains("\"physical_utilisation\""), "{of_sr:?}");
    assert_eq!(alarms(&client, "VM", &dom0).len(), 1);
}
