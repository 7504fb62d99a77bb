// SPDX-License-Identifier: MIT OR Apache-2.0
//! What agents in guests report through xenstore, as `VM_guest_metrics`.
//!
//! The keys are those of XenServer's agents: `attr/PVAddons/…`, `attr/vif/N/…` and the older
//! `attr/ethN/…`, `data/os_…`, `data/meminfo_…`. A guest writes what it likes, so whatever does not look
//! like one of them is passed over or shown as it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use xapi_model::{ApiError, DateTime, Ref, Value, classes};
use xenops::DomId;

use crate::failure;
use crate::toolstack::Toolstack;
use crate::vm::stop;

/// Pause between two looks at what a guest says, however often it says something.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest value that is kept, in bytes.
const LONGEST: usize = 1024;

/// Guests that are being listened to, and whether they have said something since.
#[derive(Debug, Default)]
pub struct News(Mutex<HashMap<DomId, bool>>);

impl News {
    /// A guest said something: whether somebody has to look.
    pub fn heard(&self, domain: DomId) -> bool {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match busy.get_mut(&domain) {
            Some(again) => {
                *again = true;
                false
            }
            None => {
                busy.insert(domain, false);
                true
            }
        }
    }

    /// Whether to look once more.
    fn again(&self, domain: DomId) -> bool {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match busy.get_mut(&domain) {
            Some(again) if *again => {
                *again = false;
                true
            }
            _ => {
                busy.remove(&domain);
                false
            }
        }
    }
}

/// Looks at what a guest says until it has said nothing new for a while; for who got true of
/// [`News::heard`].
pub fn listen(toolstack: &Arc<Toolstack>, domain: DomId) {
    loop {
        if let Err(error) = update(toolstack, domain) {
            tracing::warn!(%error, domain = domain.0, "reading what a guest says");
        }
        std::thread::park_timeout(PAUSE);
        if !toolstack.guest_news.again(domain) {
            return;
        }
    }
}

/// Brings the metrics of a domain's VM up to date.
pub fn update(toolstack: &Arc<Toolstack>, domain: DomId) -> Result<(), ApiError> {
    let said = toolstack.hypervisor.guest_data(domain);
    let said = said.map_err(|e| failure::xenops(&e, &Ref::null()))?;
    if said.is_empty() {
        return Ok(());
    }
    let fields = reported(&said);
    toolstack.store.write(|t| {
        let found = t
            .objects()
            .all("VM")
            .find(|vm| stop::domain(vm) == Some(domain) && !vm.bool("is_control_domain"))
            .map(|vm| (vm.reference().clone(), vm.to("guest_metrics")));
        let Some((vm, mut metrics)) = found else { return Ok(()) };
        if t.get("VM_guest_metrics", &metrics).is_err() {
            metrics = t.create(&classes::VM_GUEST_METRICS, vec![]);
            t.set(&vm, "guest_metrics", &metrics);
        }
        let object = t.get("VM_guest_metrics", &metrics)?;
        if fields.iter().any(|(name, value)| object.get(name) != value) {
            for (name, value) in fields {
                t.set_live(&metrics, name, value);
            }
            t.set_live(&metrics, "last_updated", DateTime::now());
        }
        Ok(())
    })
}

/// Fields of `VM_guest_metrics` for what a guest says: values by their paths below its folder in xenstore.
pub fn reported(said: &BTreeMap<String, String>) -> Vec<(&'static str, Value)> {
    Report::of(said).fields()
}

type Map = BTreeMap<String, String>;

/// What a guest says, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    os_version: Map,
    drivers: Map,
    memory: Map,
    networks: Map,
    other: Map,
}

impl Report {
    fn of(said: &BTreeMap<String, String>) -> Report {
        let mut report = Report::default();
        for (path, value) in said {
            let parts: Vec<&str> = path.split('/').collect();
            let value: String = value.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
            report.sort(&parts, value);
        }
        report
    }

    fn sort(&mut self, path: &[&str], value: String) {
        let mut put = |map: fn(&mut Report) -> &mut Map, key: String| {
            map(self).insert(key, value.clone());
        };
        match path {
            ["attr", "PVAddons", "MajorVersion"] => put(|r| &mut r.drivers, "major".into()),
            ["attr", "PVAddons", "MinorVersion"] => put(|r| &mut r.drivers, "minor".into()),
            ["attr", "PVAddons", "MicroVersion"] => put(|r| &mut r.drivers, "micro".into()),
            ["attr", "PVAddons", "BuildVersion"] => put(|r| &mut r.drivers, "build".into()),
            ["data", "os_name"] => put(|r| &mut r.os_version, "name".into()),
            ["data", "os_uname"] => put(|r| &mut r.os_version, "uname".into()),
            ["data", "os_distro"] => put(|r| &mut r.os_version, "distro".into()),
            ["data", "os_majorver"] => put(|r| &mut r.os_version, "major".into()),
            ["data", "os_minorver"] => put(|r| &mut r.os_version, "minor".into()),
            ["data", "meminfo_total"] => put(|r| &mut r.memory, "total".into()),
            ["data", "meminfo_free"] => put(|r| &mut r.memory, "free".into()),
            ["attr", "vif", card, kind @ ("ipv4" | "ipv6"), number]
                if is_number(card) && is_number(number) =>
            {
                put(|r| &mut r.networks, format!("{card}/{kind}/{number}"));
                if (*kind, *number) == ("ipv4", "0") {
                    put(|r| &mut r.networks, format!("{card}/ip"));
                }
            }
            ["attr", eth, "ip"] => {
                if let Some(card) = eth.strip_prefix("eth").filter(|card| is_number(card)) {
                    put(|r| &mut r.networks, format!("{card}/ip"));
                }
            }
            ["attr", eth, "ipv6", number, "addr"] if is_number(number) => {
                if let Some(card) = eth.strip_prefix("eth").filter(|card| is_number(card)) {
                    put(|r| &mut r.networks, format!("{card}/ipv6/{number}"));
                }
            }
            ["data", name] => put(|r| &mut r.other, (*name).into()),
            _ => {}
        }
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let map = |map: &Map| Value::string_map(map.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        vec![
            ("os_version", map(&self.os_version)),
            ("PV_drivers_version", map(&self.drivers)),
            ("memory", map(&self.memory)),
            ("networks", map(&self.networks)),
            ("other", map(&self.other)),
            ("live", true.into()),
            // Who can write there has them.
            ("PV_drivers_detected", true.into()),
            ("PV_drivers_up_to_date", true.into()),
        ]
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(said: &[(&str, &str)]) -> Report {
        let said = said.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned()));
        Report::of(&said.collect())
    }

    fn map(entries: &[(&str, &str)]) -> Map {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_agents_say_is_sorted() {
        let report = report(&[
            ("attr/PVAddons/MajorVersion", "7"),
            ("attr/PVAddons/MinorVersion", "30"),
            ("attr/PVAddons/Installed", "1"),
            ("attr/vif/0/ipv4/0", "192.0.2.7"),
            ("attr/vif/0/ipv6/0", "2001:db8::7"),
            ("attr/eth1/ip", "192.0.2.8"),
            ("attr/eth1/ipv6/0/addr", "2001:db8::8"),
            ("data/os_name", "Debian GNU/Linux 13"),
            ("data/os_distro", "debian"),
            ("data/os_majorver", "13"),
            ("data/os_uname", "6.12.1"),
            ("data/meminfo_total", "131072"),
            ("data/updated", "1"),
        ]);
        assert_eq!(report.drivers, map(&[("major", "7"), ("minor", "30")]));
        assert_eq!(report.os_version["name"], "Debian GNU/Linux 13");
        assert_eq!(
            report.networks,
            map(&[
                ("0/ip", "192.0.2.7"),
                ("0/ipv4/0", "192.0.2.7"),
                ("0/ipv6/0", "2001:db8::7"),
                ("1/ip", "192.0.2.8"),
                ("1/ipv6/0", "2001:db8::8"),
            ])
        );
        assert_eq!(report.memory, map(&[("total", "131072")]));
        assert_eq!(report.other, map(&[("updated", "1")]));
    }

    #[test]
    fn what_no_agent_says_is_passed_over() {
        for path in [
            "",
            "/",
            "attr",
            "attr/vif/0/ipv4",
            "attr/vif//ipv4/0",
            "attr/vif/x/ipv4/0",
            "attr/vif/0/ipv5/0",
            "attr/vif/0/ipv4/0/0",
            "attr/vif/1234/ipv4/0",
            "attr/eth/ip",
            "attr/ethx/ip",
            "attr/eth0/ipv6//addr",
            "data/volumes/0/name",
            "drivers/0",
        ] {
            assert_eq!(report(&[(path, "x")]), Report::default(), "{path}");
        }
        let long = "x".repeat(5000) + "\n";
        assert_eq!(report(&[("data/a", &long)]).other["a"].len(), LONGEST);
        assert_eq!(report(&[("data/a", "b\u{1b}[2J\n")]).other["a"], "b[2J");
    }

    #[test]
    fn who_is_busy_looks_again() {
        let news = News::default();
        let domain = DomId(7);
        assert!(news.heard(domain));
        assert!(!news.heard(domain));
        assert!(news.again(domain));
        assert!(!news.again(domain));
        assert!(news.heard(domain));
    }
}
