// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a server is told when an unattended installation has ended, as JSON.

use std::collections::BTreeMap;

use appliance_model::handover::AddressMode;
use certificate_pin::Fingerprint;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::discovery::Discovery;
use crate::events::DiskState;
use crate::plan::Plan;
use crate::web::Url;

/// Of the format. A change that a server would misread makes it larger.
const VERSION: u32 = 1;

/// Where reports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// To where they are posted.
    pub url: Url,
    /// The certificate of the server; none: that of the server that the answers came from, if it is the
    /// same, or what authorities vouch for.
    pub pin: Option<Fingerprint>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The host is complete; the script after the end may have failed.
    Installed {
        /// What that script reported, with its causes.
        completed_error: Option<String>,
    },
    /// It is not.
    Failed {
        /// The error with its causes.
        error: String,
        /// The disk now.
        disk: DiskState,
    },
}

/// What is known of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<'a> {
    /// The host's name.
    pub hostname: &'a str,
    /// Where the answers came from.
    pub answers: String,
    /// The machine, once it was looked at.
    pub found: Option<&'a Discovery>,
    /// SHA-256 of the inventory that was posted for the answers.
    pub inventory: Option<String>,
    /// The plan, once it was made.
    pub plan: Option<&'a Plan>,
    /// The addresses of the machine now, of each card by its name.
    pub addresses: BTreeMap<String, Vec<String>>,
    /// How it ended.
    pub outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Wire<'a> {
    xenith_report: u32,
    result: &'static str,
    error: Option<&'a str>,
    disk_state: Option<&'static str>,
    completed_error: Option<&'a str>,
    hostname: &'a str,
    answers: &'a str,
    version: &'static str,
    build_id: Option<String>,
    disk: Option<WireDisk<'a>>,
    management: Option<WireManagement<'a>>,
    interfaces: Vec<WireInterface<'a>>,
    machine: Option<WireMachine<'a>>,
    inventory_sha256: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WireDisk<'a> {
    path: String,
    size: u64,
    model: Option<&'a str>,
    serial: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WireManagement<'a> {
    mac: &'a str,
    mode: &'static str,
    address: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WireInterface<'a> {
    name: &'a str,
    mac: &'a str,
    addresses: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WireMachine<'a> {
    product: Option<&'a str>,
    serial: Option<&'a str>,
    uuid: Option<&'a str>,
}

/// SHA-256 of an inventory as it was posted, in hexadecimal.
pub fn inventory_digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Report<'_> {
    /// As JSON, several lines without a line end behind the last.
    ///
    /// # Errors
    /// `serde_json`'s, which nothing in a report gives cause for.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let (result, error, disk, completed_error) = match &self.outcome {
            Outcome::Installed { completed_error } => {
                ("installed", None, None, completed_error.as_deref())
            }
            Outcome::Failed { error, disk } => ("failed", Some(error.as_str()), Some(disk), None),
        };
        let disk_state = disk.map(|disk| match disk {
            DiskState::Untouched => "untouched",
            DiskState::DoesNotStart => "does-not-start",
            DiskState::MayStart => "may-start",
            DiskState::GuestsOnly => "guests-only",
        });
        serde_json::to_string_pretty(&Wire {
            xenith_report: VERSION,
            result,
            error,
            disk_state,
            completed_error,
            hostname: self.hostname,
            answers: &self.answers,
            version: env!("CARGO_PKG_VERSION"),
            build_id: self.found.map(|found| found.medium.build_id.to_string()),
            disk: self.plan.map(|plan| WireDisk {
                path: plan.disk.path.display().to_string(),
                size: plan.disk.size,
                model: plan.disk.model.as_deref(),
                serial: plan.disk.serial.as_deref(),
            }),
            management: self.plan.and_then(|plan| plan.handover.management.as_ref()).map(
                |management| WireManagement {
                    mac: &management.mac,
                    mode: match management.mode {
                        AddressMode::None => "none",
                        AddressMode::Dhcp => "dhcp",
                        AddressMode::Static { .. } => "static",
                    },
                    address: match &management.mode {
                        AddressMode::None | AddressMode::Dhcp => None,
                        AddressMode::Static { address, .. } => Some(address),
                    },
                },
            ),
            interfaces: self.interfaces(),
            machine: self.found.map(|found| WireMachine {
                product: found.machine.product.as_deref(),
                serial: found.machine.serial.as_deref(),
                uuid: found.machine.uuid.as_deref(),
            }),
            inventory_sha256: self.inventory.as_deref(),
        })
    }

    fn interfaces(&self) -> Vec<WireInterface<'_>> {
        let nics = self.found.into_iter().flat_map(|found| &found.nics);
        let of = |name: &str| self.addresses.get(name).map_or(&[][..], Vec::as_slice);
        nics.map(|nic| WireInterface {
            name: &nic.name,
            mac: nic.mac.as_str(),
            addresses: of(&nic.name),
        })
        .collect()
    }
}

/// The addresses of each card, with prefix length, from what `ip -json address` prints; without those
/// that hold on a single link only.
///
/// # Errors
/// It is something else.
pub fn addresses(text: &str) -> Result<BTreeMap<String, Vec<String>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Link {
        ifname: String,
        #[serde(default)]
        addr_info: Vec<Address>,
    }
    #[derive(Deserialize)]
    struct Address {
        local: String,
        prefixlen: u8,
        scope: String,
    }
    let links: Vec<Link> = serde_json::from_str(text)?;
    let of = |link: Link| {
        let wide = link.addr_info.into_iter().filter(|address| address.scope == "global");
        let texts = wide.map(|address| format!("{}/{}", address.local, address.prefixlen));
        (link.ifname, texts.collect())
    };
    Ok(links.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::plan::tests::{answers, ids, machine};

    #[test]
    fn reports_read_like_this() {
        let found = machine();
        let mut answers = answers();
        let mut network = crate::answers::NetworkAnswer::dhcp(
            crate::answers::InterfaceChoice::Name("eth1".into()),
        );
        network.address = AddressMode::Static { address: "192.0.2.10/24".into(), gateway: None };
        answers.network = Some(network);
        let plan = Plan::make(&answers, &found, ids()).unwrap();
        let addresses = BTreeMap::from([("eth1".to_owned(), vec!["192.0.2.60/24".to_owned()])]);
        let mut report = Report {
            hostname: "xen1",
            answers: "https://192.0.2.1/answers".into(),
            found: Some(&found),
            inventory: Some(inventory_digest("{}")),
            plan: Some(&plan),
            addresses,
            outcome: Outcome::Installed { completed_error: None },
        };
        golden::is("reports/installed.json", &(report.to_json().unwrap() + "\n"));
        report.outcome = Outcome::Failed { error: "a: b".into(), disk: DiskState::DoesNotStart };
        (report.plan, report.inventory) = (None, None);
        golden::is("reports/failed.json", &(report.to_json().unwrap() + "\n"));
        report.found = None;
        report.outcome = Outcome::Installed { completed_error: Some("c".into()) };
        golden::is("reports/little-known.json", &(report.to_json().unwrap() + "\n"));
    }

    #[test]
    fn addresses_are_those_that_others_can_use() {
        let text = r#"[{"ifindex":1,"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1",
            "prefixlen":8,"scope":"host"}]},{"ifname":"eth0","addr_info":[{"local":"192.0.2.10","prefixlen":24,
            "scope":"global"},{"local":"fe80::1","prefixlen":64,"scope":"link"},{"local":"2001:db8::1",
            "prefixlen":64,"scope":"global"}]},{"ifname":"eth1"}]"#;
        let found = addresses(text).unwrap();
        assert_eq!(found["eth0"], ["192.0.2.10/24", "2001:db8::1/64"]);
        assert!(found["lo"].is_empty() && found["eth1"].is_empty());
        assert!(addresses("{}").is_err());
    }
}
