// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tries the network that was chosen, or the one that a host has, and says which part fails.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use appliance_model::handover::{AddressMode, Ipv6Mode, Management};
use installer_core::answers::{AnswerFile, NtpServer};
use installer_core::cmdline;
use installer_core::delivery::Asked;
use installer_core::discovery::Nic;
use installer_core::hardware::Finding;
use installer_core::network::{Facts, Probe, Reply, Subject, test};
use installer_core::plan::management_on;
use installer_core::program::Program;
use serde_json::Value;

use crate::online::{self, WAIT};
use crate::unattended;
use crate::worker::Machine;

/// Time servers of a host that was not told others.
const NTP: &str = "/etc/chrony/sources.d/default.sources";
/// Files that the toolstack writes for interfaces with addresses.
const NETWORKD: &str = "/etc/systemd/network";
/// Name servers that systemd-resolved asks.
const RESOLV: &str = "/run/systemd/resolve/resolv.conf";

/// Tries a network that is not there yet, and brings back what was there before.
pub fn try_out(management: &Management, nics: &[Nic], time: &[NtpServer]) -> Result<Vec<Finding>> {
    let before = online::own_files()?;
    let plan = online::apply(management)?;
    let interface = plan.interface.map_or_else(|| online::card(management, nics), str::to_owned);
    let macs = match &management.bond {
        Some(bond) => bond.members.clone(),
        None => vec![management.mac.clone()],
    };
    let cards = nics.iter().filter(|nic| macs.iter().any(|mac| nic.mac.as_str() == mac));
    let fixed = matches!(management.mode, AddressMode::Static { .. })
        || matches!(management.ipv6, Ipv6Mode::Static { .. });
    let subject = Subject {
        interface,
        cards: cards.map(|nic| nic.name.clone()).collect(),
        ipv4: management.mode != AddressMode::None,
        ipv6: management.ipv6 != Ipv6Mode::None,
        source: if fixed { "the settings" } else { "the network" }.to_owned(),
        time: time_servers(time.iter().map(|server| server.as_str().to_owned()).collect())?,
        answers: answers_server()?,
    };
    let findings = test(&subject, &mut Host);
    online::replace(&before)?;
    Ok(findings)
}

/// The command: while installing, what `--answers`, the kernel command line or else DHCP say; on a
/// host, what it has.
pub fn run(machine: &Machine, answers: Option<&Asked>) -> Result<Vec<Finding>> {
    let line = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    let installing = cmdline::value(&line, "xenith.mode") == Some("install");
    if !installing {
        if answers.is_some() {
            bail!("a host's network is tried as it is; --answers is for the installer");
        }
        return Ok(test(&present()?, &mut Host));
    }
    let nics = machine.look()?.nics;
    let mut time = Vec::new();
    let management = match answers {
        Some(asked) => {
            let (AnswerFile { answers, .. }, _) = unattended::answers(machine, &mut asked.clone())?;
            time = answers.ntp;
            let network = answers.network;
            network.map(|network| management_on(&network, &nics)).transpose()?
        }
        None => online::of_kernel_line(&nics)?,
    };
    let management = match management {
        Some(management) => management,
        None => {
            let connected = nics.iter().find(|nic| nic.carrier == Some(true));
            let nic = connected.or(nics.first()).context("there is no network card")?;
            Management {
                mac: nic.mac.as_str().to_owned(),
                vlan: None,
                mtu: None,
                dns: Vec::new(),
                mode: AddressMode::Dhcp,
                ipv6: Ipv6Mode::None,
                bond: None,
            }
        }
    };
    try_out(&management, &nics, &time)
}

/// The network of this host, as the toolstack's file says.
fn present() -> Result<Subject> {
    let entries = fs::read_dir(NETWORKD).with_context(|| format!("listing {NETWORKD}"))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let interface = name.strip_prefix("20-xenith-").and_then(|n| n.strip_suffix(".network"));
        let Some(interface) = interface else { continue };
        let text = fs::read_to_string(entry.path()).with_context(|| format!("reading {name}"))?;
        let values = |key: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let (dhcp, fixed) = (values("DHCP").join(""), values("Address"));
        let announced = values("IPv6AcceptRA").join("") == "yes";
        let of_family = |ipv6: bool| fixed.iter().any(|text| text.contains(':') == ipv6);
        let ipv4 = ["yes", "ipv4"].contains(&dhcp.as_str()) || of_family(false);
        let ipv6 = announced || of_family(true);
        if !ipv4 && !ipv6 {
            continue;
        }
        return Ok(Subject {
            interface: interface.to_owned(),
            cards: cards_of(interface)?,
            ipv4,
            ipv6,
            source: if fixed.is_empty() { "the network" } else { "the settings" }.to_owned(),
            time: time_servers(Vec::new())?,
            answers: None,
        });
    }
    bail!("no interface has been given an address yet; `xe pif-list management=true` tells more")
}

/// The cards below a bridge of Open vSwitch.
fn cards_of(bridge: &str) -> Result<Vec<String>> {
    let parent = Program::new("ovs-vsctl").args(["br-to-parent", bridge]).run()?;
    let parent = parent.trim();
    let condition = format!("external_ids:xenith-uplink-of={parent:?}");
    let find = ["--timeout=10", "--bare", "--columns=name", "find", "Interface"];
    let text = Program::new("ovs-vsctl").args(find).arg(condition).run()?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// These, or those that a host asks.
fn time_servers(named: Vec<String>) -> Result<Vec<String>> {
    if !named.is_empty() {
        return Ok(named);
    }
    let text = fs::read_to_string(NTP).with_context(|| format!("reading {NTP}"))?;
    let words = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next()?;
        ["pool", "server"].contains(&kind).then(|| words.next().map(str::to_owned))?
    });
    Ok(words.collect())
}

/// Host and port of `xenith.answers=`, if that is a URL.
fn answers_server() -> Result<Option<(String, u16)>> {
    let line = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    let Some(url) = cmdline::value(&line, "xenith.answers") else { return Ok(None) };
    // What only a proxy can reach is not tried.
    let proxy = cmdline::value(&line, "xenith.proxy").is_some() && !url.starts_with("nfs:");
    Ok(if proxy { None } else { server_of(url) })
}

fn server_of(url: &str) -> Option<(String, u16)> {
    let url = url.strip_prefix("post:").unwrap_or(url);
    let (scheme, rest) = url.split_once("://")?;
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        "nfs" => 2049,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, text)) if !text.contains(']') => (host, text.parse().ok()?),
        _ => (authority, port),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The machine and its network.
struct Host;

impl Probe for Host {
    fn link(&mut self, card: &str) -> Option<bool> {
        // A card that was just switched on needs a moment to agree with its switch.
        let wait = Program::new(WAIT).args(["--timeout=10"]);
        let waited = wait.arg(format!("--interface={card}:carrier")).ask();
        if let Err(error) = waited {
            tracing::warn!("{error}");
        }
        let file = Path::new("/sys/class/net").join(card).join("carrier");
        fs::read_to_string(file).ok().map(|text| text.trim() == "1")
    }

    fn facts(&mut self, subject: &Subject) -> Result<Facts, String> {
        let Subject { interface, ipv4, ipv6, .. } = subject;
        let mut wait = Program::new(WAIT).args(["--timeout=30"]);
        wait = wait.arg(format!("--interface={interface}:routable"));
        for (asked, option) in [(ipv4, "--ipv4"), (ipv6, "--ipv6")] {
            if *asked {
                wait = wait.arg(option);
            }
        }
        let text = |error: anyhow::Error| format!("{error:#}");
        // What is missing is seen in what there is.
        wait.ask().map_err(|error| text(error.into()))?;
        facts(interface).map_err(text)
    }

    fn reply(&mut self, interface: &str, address: IpAddr) -> Reply {
        let target = match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => format!("{address}%{interface}"),
            _ => address.to_string(),
        };
        let ping = Program::new("ping").args(["-n", "-q", "-c", "1", "-w", "5"]).arg(target);
        if matches!(ping.ask(), Ok((Some(0), ..))) {
            return Reply::Ping;
        }
        let show = Program::new("ip").args(["-json", "neighbor", "show", "dev", interface]);
        let text = show.arg(address.to_string()).run().unwrap_or_default();
        let entries: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        match entries.iter().any(|entry| entry.get("lladdr").is_some()) {
            true => Reply::Neighbour,
            false => Reply::None,
        }
    }

    fn resolve(&mut self, name: &str) -> Result<Vec<IpAddr>, String> {
        let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
        let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        addresses.dedup();
        Ok(addresses)
    }

    fn time(&mut self, server: IpAddr) -> Result<(), String> {
        ask_time(SocketAddr::new(server, 123)).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => "no answer within 3 s".to_owned(),
            _ => error.to_string(),
        })
    }

    fn connect(&mut self, server: IpAddr, port: u16) -> Result<(), String> {
        let address = SocketAddr::new(server, port);
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(5));
        connected.map(drop).map_err(|error| error.to_string())
    }
}

/// One question of a client and one answer of a server: RFC 5905, sections 7.3 and 8.
fn ask_time(server: SocketAddr) -> std::io::Result<()> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    socket.connect(server)?;
    let mut packet = [0; 48];
    // Version 4, mode 3: client.
    packet[0] = 4 << 3 | 3;
    socket.send(&packet)?;
    let length = socket.recv(&mut packet)?;
    match length >= 48 && packet[0] & 7 == 4 {
        true => Ok(()),
        false => Err(std::io::Error::other("what answers is no time server")),
    }
}

fn facts(interface: &str) -> Result<Facts> {
    let show = |args: [&str; 5]| -> Result<Vec<Value>> {
        let text = Program::new("ip").args(args).arg(interface).run()?;
        serde_json::from_str(&text)
            .with_context(|| format!("understanding `ip {}`", args.join(" ")))
    };
    let address = |value: &Value| value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    let mut facts = Facts::default();
    let links = show(["-json", "address", "show", "up", "dev"])?;
    for found in links.iter().filter_map(|link| link["addr_info"].as_array()).flatten() {
        let usable = found["scope"] != "link" && found["dadfailed"] != true;
        facts.addresses.extend(address(&found["local"]).filter(|_| usable));
    }
    for family in ["-4", "-6"] {
        let program = ["-json", family, "route", "show", "default"];
        let text = Program::new("ip").args(program).args(["dev", interface]).run()?;
        let routes: Vec<Value> = serde_json::from_str(&text).context("understanding `ip route`")?;
        facts.gateways.extend(routes.iter().filter_map(|route| address(&route["gateway"])));
    }
    facts.dns = name_servers(&fs::read_to_string(RESOLV).unwrap_or_default());
    Ok(facts)
}

/// The name servers of a file in the form of resolv.conf(5). A router that announces itself has a link-local
/// address, which comes with its interface (`fe80::1%eth0`).
fn name_servers(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver "));
    let address = |text: &str| text.trim().split('%').next().unwrap_or_default().parse().ok();
    servers.filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_with_their_interfaces_and_without() {
        let text = "# made by systemd-resolved\nnameserver 192.0.2.53\nnameserver fe80::1%enp0s4\n\
                    nameserver 2001:db8::53\nnameserver x\nsearch example.org\n";
        let servers: Vec<String> = name_servers(text).iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.53", "fe80::1", "2001:db8::53"]);
    }

    #[test]
    fn servers_of_urls() {
        let server = |url| server_of(url).map(|(host, port)| format!("{host} {port}"));
        for (url, expected) in [
            ("http://192.0.2.1/answers.toml", "192.0.2.1 80"),
            ("https://answers.example.org", "answers.example.org 443"),
            ("http://[2001:db8::1]:8080/a?b", "[2001:db8::1] 8080"),
            ("http://[2001:db8::1]/a", "[2001:db8::1] 80"),
            ("http://user:word@host:81/", "host 81"),
            ("post:https://host:8443/answers", "host 8443"),
            ("nfs://192.0.2.1/srv/answers.toml", "192.0.2.1 2049"),
        ] {
            assert_eq!(server(url).as_deref(), Some(expected), "{url}");
        }
        for none in ["label:X", "/a/b", "ftp://host/x", "http://", "http://host:port/"] {
            assert_eq!(server(none), None, "{none}");
        }
    }

    #[test]
    fn a_time_server_is_told_from_others() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            for answer in [4 << 3 | 4, 0x80] {
                let mut packet = [0; 48];
                let (length, from) = server.recv_from(&mut packet).unwrap();
                assert_eq!((length, packet[0]), (48, 0x23));
                packet[0] = answer;
                server.send_to(&packet, from).unwrap();
            }
        });
        ask_time(address).unwrap();
        let error = ask_time(address).unwrap_err().to_string();
        assert_eq!(error, "what answers is no time server");
        serving.join().unwrap();
        // Nobody listens there any more.
        assert!(ask_time(address).is_err());
    }
}
