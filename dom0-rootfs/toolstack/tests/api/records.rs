// SPDX-License-Identifier: MIT OR Apache-2.0
//! What records say where other clients go by it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use xapi_model::{Value, classes};
use xenops::DomId;

use crate::common::{Client, Served, Wire};

/// The records of a class.
fn all(client: &Client, class: &str) -> Vec<BTreeMap<String, Value>> {
    let records = client.ok(&format!("{class}.get_all_records"), vec![]);
    records.as_map().unwrap().values().map(|record| record.as_map().unwrap().clone()).collect()
}

fn entry(record: &BTreeMap<String, Value>, field: &str, key: &str) -> Option<String> {
    record[field].as_map().unwrap().get(key).map(Value::text)
}

#[test]
fn operations_of_an_sr_are_those_that_older_clients_know() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    for sr in all(&client, "SR") {
        let allowed = sr["allowed_operations"].as_set().unwrap();
        assert!(allowed.contains(&"vdi_create".into()));
        assert!(!allowed.contains(&"vdi_copy".into()) && !allowed.contains(&"vdi_forget".into()));
    }
}

#[test]
fn hosts_and_pools_say_what_clients_ask_for() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (host, pool) = (&all(&client, "host")[0], &all(&client, "pool")[0]);
    for key in ["cpu_count", "socket_count", "vendor"] {
        assert!(entry(host, "cpu_info", key).is_some_and(|text| !text.is_empty()), "{key}");
        assert_eq!(entry(host, "cpu_info", key), entry(pool, "cpu_info", key));
    }
    assert_eq!(entry(host, "cpu_info", "socket_count").as_deref(), Some("1"));
    let zstd = "restrict_zstd_export";
    assert_eq!(entry(host, "license_params", zstd).as_deref(), Some("false"));
    assert_eq!(entry(pool, "restrictions", zstd).as_deref(), Some("false"));
    assert_ne!(entry(host, "software_version", "build_number").as_deref(), Some(""));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    for key in ["boot_time", "agent_start_time"] {
        let time = entry(host, "other_config", key).unwrap();
        assert!(time.ends_with('.'), "{time}");
        assert!((0.0..600.0).contains(&(now + 1.0 - time.parse::<f64>().unwrap())), "{key} {time}");
    }
}

#[test]
fn a_template_becomes_one_of_the_hosts_and_one_of_others() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let own = client.make_vm("own").vm;
    let default = |vm: &str, value: bool| {
        client.call("VM.set_is_default_template", vec![vm.into(), value.into()])
    };
    default(&own, true).unwrap();
    let record = client.record("VM", &own);
    assert_eq!(record["is_a_template"], Value::Bool(true));
    assert_eq!(record["is_default_template"], Value::Bool(true));
    assert_eq!(entry(&record, "other_config", "default_template").as_deref(), Some("true"));
    let destroy = vec![Value::from(own.as_str())];
    assert_eq!(client.err("VM.destroy", destroy.clone()).code, "VM_IS_TEMPLATE");
    default(&own, false).unwrap();
    let record = client.record("VM", &own);
    assert_eq!(record["is_default_template"], Value::Bool(false));
    assert_eq!(entry(&record, "other_config", "default_template").as_deref(), Some("false"));
    client.ok("VM.destroy", destroy);
    let running = client.make_vm("running").vm;
    client.ok("VM.start", vec![running.as_str().into(), false.into(), false.into()]);
    assert_eq!(default(&running, true).unwrap_err().code, "VM_BAD_POWER_STATE");
}

#[test]
fn classes_without_objects_are_listed_as_empty() {
    let served = Served::new();
    for wire in [Wire::Xml, Wire::Json] {
        let client = served.login(wire);
        let mut names: Vec<Value> = Vec::new();
        for class in classes::ABSENT {
            let list = |message: &str, params: Vec<Value>| {
                client.ok(&format!("{}.{message}", class.name), params)
            };
            assert_eq!(list("get_all", vec![]), Value::Set(vec![]));
            assert_eq!(list("get_all_records", vec![]), Value::Map(BTreeMap::new()));
            let none = Value::Map(BTreeMap::new());
            assert_eq!(list("get_all_records_where", vec!["true".into()]), none);
            names.push(class.name.into());
        }
        // Clients watch every class that is listed.
        let params = vec![Value::Set(names), "".into(), Value::Float(0.0)];
        let batch = client.ok("event.from", params);
        assert_eq!(batch.as_map().unwrap()["events"], Value::Set(vec![]));
    }
}

#[test]
fn a_time_that_is_none_stands_in_no_ones_way() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let time = "<dateTime.iso8601>111T0:0:0</dateTime.iso8601>";
    let call = |message: &str, value: &str| {
        let call = format!(
            "<methodCall><methodName>{message}</methodName><params><param><value>{}</value></param>\
             <param><value>{value}</value></param></params></methodCall>",
            client.session
        );
        let mut answer = client.agent.post(format!("{}/RPC2", client.url)).send(call).unwrap();
        xapi_model::xmlrpc::decode_reply(&answer.body_mut().read_to_string().unwrap()).unwrap()
    };
    let record = format!(
        "<struct><member><name>name_label</name><value>net</value></member>\
         <member><name>MTU</name><value>0</value></member>\
         <member><name>snapshot_time</name><value>{time}</value></member></struct>"
    );
    let network = call("network.create", &record).unwrap().text();
    assert_eq!(client.record("network", &network)["MTU"].text(), "1500");
    assert_eq!(call("message.get_since", time).unwrap_err().code, "FIELD_TYPE_ERROR");
}

#[test]
fn virtual_cpus_run_where_a_mask_lets_them() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("pinned").vm;
    let add = |key: &str, value: &str| {
        client.call("VM.add_to_VCPUs_params", vec![vm.as_str().into(), key.into(), value.into()])
    };
    assert_eq!(add("mask", "0-1").unwrap_err().code, "INVALID_VALUE");
    add("mask", "1,0").unwrap();
    client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    assert_eq!(served.hypervisor.spec(DomId(1)).unwrap().affinity, [[0, 1]]);
    let live = vec![vm.as_str().into(), "mask".into(), "0".into()];
    assert_eq!(client.err("VM.add_to_VCPUs_params_live", live).code, "VALUE_NOT_SUPPORTED");
    let empty = Value::Map(BTreeMap::from([("mask".to_owned(), "".into())]));
    client.ok("VM.set_VCPUs_params", vec![vm.as_str().into(), empty]);
    client.ok("VM.hard_reboot", vec![vm.as_str().into()]);
    assert!(served.hypervisor.spec(DomId(2)).unwrap().affinity.is_empty());
}

#[test]
fn settings_change_while_a_vm_runs_as_on_xenserver() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("running").vm;
    let set = |field: &str, value: i64| {
        client.call(&format!("VM.set_{field}"), vec![vm.as_str().into(), Value::Int(value)])
    };
    let number = |field: &str| client.record("VM", &vm)[field].text().parse::<i64>().unwrap();
    set("VCPUs_max", 4).unwrap();
    client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    set("VCPUs_at_startup", 3).unwrap();
    assert_eq!(set("VCPUs_at_startup", 5).unwrap_err().code, "INVALID_VALUE");
    assert_eq!(set("VCPUs_max", 5).unwrap_err().code, "VM_BAD_POWER_STATE");
    let most = number("memory_static_max");
    let half = most / 2;
    set("memory_dynamic_min", half).unwrap();
    assert_eq!(number("memory_target"), most, "there is enough");
    set("memory_dynamic_max", half).unwrap();
    assert_eq!(number("memory_target"), half, "its guest was asked to follow");
    set("memory_dynamic_max", most).unwrap();
    assert_eq!(number("memory_target"), most);
    assert_eq!(
        set("memory_dynamic_min", most + 1).unwrap_err().code,
        "MEMORY_CONSTRAINT_VIOLATION"
    );
    assert_eq!(set("memory_static_max", most).unwrap_err().code, "VM_BAD_POWER_STATE");
}

#[test]
fn what_no_one_serves_by_nbd_is_nowhere() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vdi = client.make_vm("guest").vdi;
    assert_eq!(client.ok("VDI.get_nbd_info", vec![vdi.into()]), Value::Set(vec![]));
    let nobody = vec!["OpaqueRef:NULL".into()];
    assert_eq!(client.err("VDI.get_nbd_info", nobody).code, "HANDLE_INVALID");
}

#[test]
fn the_address_of_a_group_is_refused_with_one_that_works() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = client.make_vm("guest");
    let network = client.text("VIF.get_network", vec![made.vif.into()]);
    let record = BTreeMap::from([
        ("VM".to_owned(), made.vm.as_str().into()),
        ("network".to_owned(), network.as_str().into()),
        ("device".to_owned(), "3".into()),
        ("MAC".to_owned(), "11:22:33:44:55:66".into()),
    ]);
    let error = client.err("VIF.create", vec![Value::Map(record)]);
    assert_eq!((error.code.as_str(), error.args[0].as_str()), ("MAC_INVALID", "11:22:33:44:55:66"));
    assert!(error.args[1].contains("10:22:33:44:55:66"), "{error}");
}
