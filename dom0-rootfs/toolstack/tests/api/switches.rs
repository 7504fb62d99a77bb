// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the pool says of all virtual switches.

use crate::common::{Client, Served, Wire};
use network::NetworkError;
use xapi_model::Value;

fn pool(served: &Served) -> Value {
    served.toolstack.pool().into()
}

fn introduce(client: &Client, protocol: &str, address: &str, port: i64) -> xapi_model::Reply {
    let call = vec![protocol.into(), address.into(), port.into()];
    client.call("SDN_controller.introduce", call)
}

fn failed() -> NetworkError {
    NetworkError::Failed { doing: "telling".into(), detail: "no".into() }
}

#[test]
fn one_controller_gets_the_switches() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    assert_eq!(served.network.manager(), None);
    for (protocol, address, port) in [
        ("ssl", "", 0),
        ("ssl", "controller", 0),
        ("ssl", "2001:db8::1", 0),
        ("ssl", "192.0.2.1", -1),
        ("ssl", "192.0.2.1", 65_536),
        ("pssl", "192.0.2.1", 0),
        ("pssl", "", 6640),
    ] {
        let error = introduce(&client, protocol, address, port).unwrap_err();
        assert_eq!(error.code, "INVALID_VALUE", "{protocol} {address} {port}");
    }
    served.network.fail_once("set_manager", failed());
    assert!(introduce(&client, "ssl", "192.0.2.1", 0).is_err());
    assert_eq!(client.ok("SDN_controller.get_all", vec![]), Value::Set(vec![]));
    let controller = introduce(&client, "ssl", "192.0.2.1", 0).unwrap().text();
    let manager = served.network.manager().unwrap();
    assert_eq!((manager.address, manager.port), ("192.0.2.1".parse().ok(), Some(6632)));
    assert!(manager.key.exists() && manager.certificate.exists());
    let error = introduce(&client, "pssl", "", 0).unwrap_err();
    assert_eq!(error.code, "OPERATION_NOT_ALLOWED");
    served.network.fail_once("set_manager", failed());
    assert!(client.call("SDN_controller.forget", vec![controller.into()]).is_err());
    let controller = client.ok("SDN_controller.get_all", vec![]).as_set().unwrap()[0].clone();
    client.ok("SDN_controller.forget", vec![controller]);
    assert_eq!(served.network.manager(), None);
    let set = |address: &str| client.call("pool.set_vswitch_controller", vec![address.into()]);
    assert_eq!(set("x").unwrap_err().code, "INVALID_VALUE");
    set("192.0.2.2").unwrap();
    assert_eq!(client.text("pool.get_vswitch_controller", vec![pool(&served)]), "192.0.2.2");
    assert_eq!(served.network.manager().unwrap().address, "192.0.2.2".parse().ok());
    // A controller brings its authority, which goes with it.
    let authority = served.network.manager().unwrap().authority;
    std::fs::write(&authority, "theirs").unwrap();
    set("192.0.2.3").unwrap();
    assert!(!authority.exists());
    // Another certificate of the host is the switches' too.
    client.ok("host.emergency_reset_server_certificate", vec![]);
    set("").unwrap();
    assert_eq!(client.ok("SDN_controller.get_all", vec![]), Value::Set(vec![]));
    introduce(&client, "pssl", "", 0).unwrap();
    let manager = served.network.manager().unwrap();
    assert_eq!((manager.address, manager.port), (None, None));
}

#[test]
fn bridges_snoop_igmp() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let statuses = || {
        let all = client.ok("PIF.get_all_records", vec![]);
        let all = all.as_map().unwrap().values();
        all.map(|pif| pif.as_map().unwrap()["igmp_snooping_status"].text()).collect::<Vec<_>>()
    };
    let set = |enabled: bool| {
        client.call("pool.set_igmp_snooping_enabled", vec![pool(&served), enabled.into()])
    };
    assert_eq!(statuses(), ["disabled", "disabled"]);
    served.network.fail_once("set_snooping", failed());
    assert!(set(true).is_err());
    let get = || client.ok("pool.get_igmp_snooping_enabled", vec![pool(&served)]);
    assert_eq!((get(), served.network.snooping()), (false.into(), false));
    set(true).unwrap();
    assert_eq!((get(), served.network.snooping()), (true.into(), true));
    assert_eq!(statuses(), ["enabled", "enabled"]);
    set(false).unwrap();
    assert!(!served.network.snooping());
    assert_eq!(statuses(), ["disabled", "disabled"]);
}
