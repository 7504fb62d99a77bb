// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services of Dom0: password, clock, time servers, SSH, consoles, log.

use std::fs;
use std::path::PathBuf;

use crate::common::{PASSWORD, Served, Wire};
use xapi_model::{DateTime, Ref, Role, Value};

fn host(served: &Served) -> Value {
    served.toolstack.host().into()
}

fn pool(served: &Served) -> Value {
    served.toolstack.pool().into()
}

fn file(served: &Served, path: &str) -> PathBuf {
    served.folder.path().join("machine").join(path)
}

fn text(served: &Served, path: &str) -> Option<String> {
    fs::read_to_string(file(served, path)).ok()
}

#[test]
fn roots_password_is_changed_by_who_knows_it() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let change =
        |old: &str, new: &str| client.call("session.change_password", vec![old.into(), new.into()]);
    for old in ["", "wrong"] {
        assert_eq!(change(old, "other").unwrap_err().code, "SESSION_AUTHENTICATION_FAILED");
    }
    for new in ["", "a\nb", &"x".repeat(513)] {
        assert_eq!(change(PASSWORD, new).unwrap_err().code, "CHANGE_PASSWORD_REJECTED");
    }
    change(PASSWORD, "other").unwrap();
    let login =
        |word: &str| client.raw("session.login_with_password", vec!["root".into(), word.into()]);
    assert_eq!(login(PASSWORD).unwrap_err().code, "SESSION_AUTHENTICATION_FAILED");
    login("other").unwrap();
    let mut other = served.client(Wire::Json);
    let owner = toolstack::session::Owner::Host(Role::PoolOperator);
    other.session = served.toolstack.sessions.open(owner, "somebody", "test").to_string();
    let error = other.err("session.change_password", vec!["other".into(), "x".into()]);
    assert_eq!(error.code, "USER_IS_NOT_LOCAL_SUPERUSER");
    login("other").unwrap();
}

#[test]
fn the_time_comes_from_where_it_is_told() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let sources = || text(&served, "etc/chrony/sources.d/default.sources").unwrap();
    let get = |field: &str| client.ok(&format!("host.get_{field}"), vec![host(&served)]);
    let set = |field: &str, value: Value| {
        client.call(&format!("host.set_{field}"), vec![host(&served), value])
    };
    assert_eq!(get("ntp_mode").text(), "Factory");
    assert_eq!(set("ntp_mode", "Custom".into()).unwrap_err().code, "INVALID_NTP_CONFIG");
    let bad = set("ntp_custom_servers", Value::strings(["a b"])).unwrap_err();
    assert_eq!(bad.description(), ["INVALID_VALUE", "ntp_custom_servers", "a b"]);
    let servers = Value::strings(["ntp.example", "2001:db8::1"]);
    set("ntp_custom_servers", servers.clone()).unwrap();
    assert_eq!(sources(), "pool ntp.example iburst\n", "it is not in use yet");
    set("ntp_mode", "Custom".into()).unwrap();
    assert_eq!(sources(), "server ntp.example iburst\nserver 2001:db8::1 iburst\n");
    assert_eq!(
        served.programs.take_log(),
        ["systemctl enable chrony.service", "systemctl restart chrony.service"]
    );
    let none = set("ntp_custom_servers", Value::strings([""; 0])).unwrap_err();
    assert_eq!(none.code, "INVALID_NTP_CONFIG");
    // What the files say counts for the next run of the daemon, also what it was not told.
    let services = served.toolstack.dom0.services().unwrap();
    let this = served.toolstack.host();
    served
        .toolstack
        .store
        .write(|t| {
            t.set(&this, "ntp_mode", Value::Enum("Factory"));
            toolstack::dom0::record(t, &this, &services);
            Ok(())
        })
        .unwrap();
    assert_eq!((get("ntp_mode").text().as_str(), get("ntp_custom_servers")), ("Custom", servers));

    let clock = || client.call("host.set_servertime", vec![host(&served), DateTime(5).into()]);
    assert_eq!(clock().unwrap_err().code, "NOT_ALLOWED_WHEN_NTP_IS_ENABLED");
    set("ntp_mode", "Disabled".into()).unwrap();
    assert_eq!(served.programs.unit("chrony.service"), (false, false));
    assert_eq!(get("ntp_synchronized"), false.into());
    served.programs.take_log();
    clock().unwrap();
    assert_eq!(served.programs.take_log(), ["date --utc --set=@5", "hwclock --systohc --utc"]);
    served.programs.fail_once("date");
    assert_eq!(clock().unwrap_err().code, "INTERNAL_ERROR");

    set("ntp_mode", "Factory".into()).unwrap();
    assert_eq!(sources(), "pool ntp.example iburst\n");
    assert_eq!(served.programs.unit("chrony.service"), (true, true));
    served
        .programs
        .answer("chronyc -c tracking", "C0000201,192.0.2.1,3,1.0,0,0,0,0,0,0,0,0,0,Normal\n");
    assert_eq!(get("ntp_synchronized"), true.into());
    served.programs.answer("chronyc -c tracking", ",,0,0,Not synchronised\n");
    assert_eq!(get("ntp_synchronized"), false.into());
    let lines = "^,*,192.0.2.1,3,6,377,54,0.0,0.0,0.0\n^,?,192.0.2.2,0,8,0\n#,x,PPS,0\nnonsense\n";
    served.programs.answer("chronyc -n -c sources", lines);
    let status = Value::string_map([("192.0.2.1", "synced"), ("192.0.2.2", "unreachable")]);
    assert_eq!(get("ntp_servers_status"), status);
}

#[test]
fn the_servers_of_dhcp_are_followed() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let leased = || text(&served, "run/chrony-dhcp/xenith.sources");
    let links = file(&served, "run/systemd/netif/links");
    fs::create_dir_all(&links).unwrap();
    fs::write(links.join("4"), "ADMIN_STATE=configured\nNTP=192.0.2.1 2001:db8::1\n").unwrap();
    served.toolstack.dom0.follow_leases().unwrap();
    assert_eq!(leased(), None, "nobody asked for them");
    client.ok("host.set_ntp_mode", vec![host(&served), "DHCP".into()]);
    assert_eq!(leased().unwrap(), "server 192.0.2.1 iburst\nserver 2001:db8::1 iburst\n");
    served.programs.take_log();
    served.toolstack.dom0.follow_leases().unwrap();
    assert!(served.programs.take_log().is_empty(), "nothing is new");
    fs::write(links.join("5"), "NTP=192.0.2.9\nNTP=a;b\n").unwrap();
    served.toolstack.dom0.follow_leases().unwrap();
    assert!(leased().unwrap().contains("192.0.2.9") && !leased().unwrap().contains(';'));
    assert_eq!(served.programs.take_log(), ["chronyc reload sources"]);
    client.ok("host.set_ntp_mode", vec![host(&served), "Factory".into()]);
    assert_eq!(leased(), None);
}

#[test]
fn the_local_time_is_that_of_the_hosts_zone() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let ahead = || {
        let said = client.text("host.get_server_localtime", vec![host(&served)]);
        let said = (said.len() == 17).then(|| DateTime::parse(&said)).flatten();
        let seconds = said.expect("a time without a zone").0 - DateTime::now().0;
        (seconds + 1800).div_euclid(3600)
    };
    assert_eq!(ahead(), 0);
    client.ok("host.set_timezone", vec![host(&served), "Europe/Berlin".into()]);
    assert!([1, 2].contains(&ahead()));
    let shown = |seconds| served.toolstack.dom0.local_time(DateTime(seconds)).unwrap().to_string();
    assert_eq!(shown(1_704_067_200), "20240101T01:00:00");
    assert_eq!(shown(1_719_792_000), "20240701T02:00:00");
    let xml = served.login(Wire::Xml);
    let said = xml.ok("host.get_server_localtime", vec![host(&served)]);
    assert!(matches!(said, Value::DateTime(_)), "{said:?}");
    let utc = client.text("host.get_servertime", vec![host(&served)]);
    assert!(utc.ends_with('Z'), "{utc}");
}

#[test]
fn time_zones_are_those_of_the_image() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let all = client.ok("host.list_timezones", vec![host(&served)]);
    assert_eq!(all, Value::strings(["Europe/Berlin", "UTC"]));
    let get = || client.text("host.get_timezone", vec![host(&served)]);
    assert_eq!(get(), "UTC");
    client.ok("host.set_timezone", vec![host(&served), "Europe/Berlin".into()]);
    let link = fs::read_link(file(&served, "etc/localtime")).unwrap();
    assert_eq!(link.to_str().unwrap(), "../usr/share/zoneinfo/Europe/Berlin");
    for bad in ["Europe", "../../etc/shadow", "", "Mars/Base"] {
        let error = client.err("host.set_timezone", vec![host(&served), bad.into()]);
        assert_eq!(error.description(), ["INVALID_VALUE", "timezone", bad]);
    }
    assert_eq!(get(), "Europe/Berlin");
    assert_eq!(served.toolstack.dom0.zone(), "Europe/Berlin");
}

#[test]
fn ssh_is_enabled_for_a_time() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let ssh = || served.programs.unit("ssh.service");
    let get = |field: &str| client.ok(&format!("host.get_ssh_{field}"), vec![host(&served)]);
    let expiry = || DateTime::parse(&get("expiry").text()).unwrap();
    assert_eq!((get("enabled"), expiry()), (true.into(), DateTime::EPOCH));
    client.ok("pool.disable_ssh", vec![pool(&served)]);
    assert_eq!((ssh(), get("enabled")), ((false, false), false.into()));
    for bad in [-1i64, 172_801] {
        let error = client.err("host.set_ssh_enabled_timeout", vec![host(&served), bad.into()]);
        assert_eq!(error.code, "INVALID_VALUE");
    }
    client.ok("pool.set_ssh_enabled_timeout", vec![pool(&served), 600i64.into()]);
    client.ok("host.set_ssh_auto_mode", vec![host(&served), true.into()]);
    assert_eq!(ssh(), (false, true), "it begins with the host, until the toolstack is ready");
    assert!(file(&served, "etc/xenith/ssh-auto").exists());
    client.ok("host.enable_ssh", vec![host(&served)]);
    assert_eq!((ssh(), get("auto_mode")), ((true, true), false.into()));
    let end = expiry();
    assert!((DateTime::now().0 + 590..=DateTime::now().0 + 600).contains(&end.0));
    toolstack::api::follow_services(&served.toolstack);
    assert_eq!(get("enabled"), true.into(), "it is not over");
    // A later run of the daemon ends it as well: the time is in the database.
    let over = DateTime(DateTime::now().0 - 1);
    let (store, this) = (&served.toolstack.store, served.toolstack.host());
    store
        .write(|t| {
            t.set(&this, "ssh_expiry", over);
            Ok(())
        })
        .unwrap();
    served.programs.fail_once("systemctl disable");
    toolstack::api::follow_services(&served.toolstack);
    assert_eq!(get("enabled"), true.into(), "it did not work, and is tried again");
    toolstack::api::follow_services(&served.toolstack);
    assert_eq!((get("enabled"), get("auto_mode")), (false.into(), true.into()));
    assert_eq!(ssh(), (false, true));
}

#[test]
fn ssh_of_a_host_without_its_toolstack_ends_when_that_is_back() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    served.toolstack.dom0.toolstack_is_ready().unwrap();
    assert_eq!(served.programs.unit("ssh.service"), (true, true), "nobody asked for that");
    client.ok("pool.set_ssh_auto_mode", vec![pool(&served), true.into()]);
    assert_eq!(client.ok("host.get_ssh_enabled", vec![host(&served)]), false.into());
    served.programs.begin("ssh.service");
    served.toolstack.dom0.toolstack_is_ready().unwrap();
    assert_eq!(served.programs.unit("ssh.service"), (false, true));
    client.ok("host.set_ssh_auto_mode", vec![host(&served), false.into()]);
    assert!(!file(&served, "etc/xenith/ssh-auto").exists());
}

#[test]
fn idle_shells_end() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let path = "etc/profile.d/console-timeout.sh";
    client.ok("pool.set_console_idle_timeout", vec![pool(&served), 300i64.into()]);
    assert_eq!(text(&served, path).unwrap(), "export TMOUT=300\n");
    let set = |value: i64| {
        client.call("host.set_console_idle_timeout", vec![host(&served), value.into()])
    };
    assert_eq!(set(-1).unwrap_err().code, "INVALID_VALUE");
    assert_eq!(client.ok("host.get_console_idle_timeout", vec![host(&served)]), 300i64.into());
    set(0).unwrap();
    assert_eq!(text(&served, path), None);
}

#[test]
fn the_log_goes_where_it_is_told() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let logging = |text: &str| {
        let map = Value::string_map([("syslog_destination", text)]);
        client.ok("host.set_logging", vec![host(&served), map]);
        client.call("host.syslog_reconfigure", vec![host(&served)])
    };
    logging("log.example").unwrap();
    assert_eq!(text(&served, "etc/xenith/syslog").unwrap(), "DESTINATION=log.example\n");
    assert_eq!(served.programs.unit("xenith-syslog.service"), (true, true));
    let error = logging("log.example; reboot").unwrap_err();
    assert_eq!(error.code, "INVALID_VALUE");
    assert_eq!(text(&served, "etc/xenith/syslog").unwrap(), "DESTINATION=log.example\n");
    served.programs.fail_once("systemctl disable");
    assert_eq!(logging("").unwrap_err().code, "INTERNAL_ERROR");
    logging("").unwrap();
    assert_eq!(text(&served, "etc/xenith/syslog"), None);
    assert_eq!(served.programs.unit("xenith-syslog.service"), (false, false));
}

#[test]
fn xens_log_is_read_and_its_keys_are_pressed() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let press = |keys: &str| client.call("host.send_debug_keys", vec![host(&served), keys.into()]);
    press("h*").unwrap();
    for bad in ["", "a b", "\u{e4}", &"h".repeat(65)] {
        assert_eq!(press(bad).unwrap_err().code, "INVALID_VALUE");
    }
    let said = client.text("host.dmesg", vec![host(&served)]);
    assert_eq!(said, "(XEN) 'h' pressed\n(XEN) '*' pressed\n");
    assert_eq!(client.text("host.dmesg_clear", vec![host(&served)]), said);
    assert_eq!(client.text("host.dmesg", vec![host(&served)]), "");
    let error = xenops::XenopsError::failed("reading", "no");
    served.hypervisor.fail(xenops::Call::ConsoleRing, 1, error);
    assert_eq!(client.err("host.dmesg", vec![host(&served)]).code, "INTERNAL_ERROR");
}

#[test]
fn the_initiator_has_the_name_that_it_is_given() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let path = "etc/iscsi/initiatorname.iscsi";
    let set = |name: &str| client.call("host.set_iscsi_iqn", vec![host(&served), name.into()]);
    set("iqn.2026-11.example:host").unwrap();
    assert_eq!(text(&served, path).unwrap(), "InitiatorName=iqn.2026-11.example:host\n");
    assert!(served.programs.take_log().is_empty(), "iscsid does not run");
    served.programs.begin("iscsid.service");
    set("iqn.2026-11.example:other").unwrap();
    assert_eq!(served.programs.take_log(), ["systemctl restart iscsid.service"]);
    assert_eq!(set("host").unwrap_err().code, "INVALID_VALUE");
    let name = client.text("host.get_iscsi_iqn", vec![host(&served)]);
    assert_eq!(name, "iqn.2026-11.example:other");
}

#[test]
fn nobody_is_nobody() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    for method in ["host.enable_ssh", "host.list_timezones", "host.dmesg", "pool.enable_ssh"] {
        assert_eq!(client.err(method, vec![Ref::null().into()]).code, "HANDLE_INVALID", "{method}");
    }
}

#[test]
fn clients_are_known_by_their_programs() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    client.ok("host.list_methods", vec![]);
    let known = client.ok("host.get_tracked_user_agents", vec![host(&served)]);
    let known: Vec<&String> = known.as_map().unwrap().keys().collect();
    assert_eq!(known, ["ureq"]);
    let stranger = Served::new();
    let client = stranger.client(Wire::Json);
    assert!(client.call("host.list_methods", vec![]).is_err());
    assert!(stranger.toolstack.user_agents.all().is_empty());
}

#[test]
fn old_versions_of_tls_stay_away() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    client.ok("pool.disable_ssl_legacy", vec![pool(&served)]);
    client.ok("host.set_ssl_legacy", vec![host(&served), false.into()]);
    let error = client.err("host.set_ssl_legacy", vec![host(&served), true.into()]);
    assert_eq!(error.code, "VALUE_NOT_SUPPORTED");
}
