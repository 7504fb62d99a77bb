// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a network works, and which part of it does not: link, address, gateway, name servers,
//! time, answers. Pure but for its [`Probe`].

use std::net::IpAddr;

use crate::hardware::Finding;

/// What is to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The interface with the addresses.
    pub interface: String,
    /// The cards below it.
    pub cards: Vec<String>,
    /// IPv4 is asked for.
    pub ipv4: bool,
    /// IPv6 is asked for.
    pub ipv6: bool,
    /// Where the addresses should come from, for people: `DHCP`, `the settings`.
    pub source: String,
    /// Names or addresses of time servers; of several one must answer.
    pub time: Vec<String>,
    /// Host and port of a server that answers come from.
    pub answers: Option<(String, u16)>,
}

/// What an interface has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Addresses that are not link-local.
    pub addresses: Vec<IpAddr>,
    /// Default gateways.
    pub gateways: Vec<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
}

/// How a neighbour replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// To ping.
    Ping,
    /// Only to ARP (IPv4) or neighbour discovery (IPv6).
    Neighbour,
    /// Not at all.
    None,
}

/// The world outside.
pub trait Probe {
    /// Whether a card has a link; none if the kernel does not tell.
    fn link(&mut self, card: &str) -> Option<bool>;
    /// What the interface has, once it has what was asked for or it has been waited long enough.
    ///
    /// # Errors
    /// A sentence.
    fn facts(&mut self, subject: &Subject) -> Result<Facts, String>;
    /// Asks a neighbour for a sign of life.
    fn reply(&mut self, interface: &str, address: IpAddr) -> Reply;
    /// Asks the name servers for a name.
    ///
    /// # Errors
    /// A sentence.
    fn resolve(&mut self, name: &str) -> Result<Vec<IpAddr>, String>;
    /// Asks a time server.
    ///
    /// # Errors
    /// A sentence.
    fn time(&mut self, server: IpAddr) -> Result<(), String>;
    /// Connects to a server.
    ///
    /// # Errors
    /// A sentence.
    fn connect(&mut self, server: IpAddr, port: u16) -> Result<(), String>;
}

/// Tries one part after the other. What cannot work because an earlier part does not is left out.
pub fn test(subject: &Subject, probe: &mut dyn Probe) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !links(subject, probe, &mut findings) {
        return findings;
    }
    let Some(facts) = addresses(subject, probe, &mut findings) else { return findings };
    for gateway in &facts.gateways {
        findings.push(self::gateway(subject, *gateway, probe));
    }
    if facts.gateways.is_empty() {
        let text = "none is known: only hosts of the same network are reached";
        findings.push(Finding::warning("Gateway", text));
    }
    servers(subject, &facts, probe, &mut findings);
    findings
}

/// Whether at least one card has a link.
fn links(subject: &Subject, probe: &mut dyn Probe, findings: &mut Vec<Finding>) -> bool {
    const SUBJECT: &str = "Link";
    let mut works = false;
    for card in &subject.cards {
        findings.push(match probe.link(card) {
            Some(true) => {
                works = true;
                Finding::ok(SUBJECT, format!("{card} is connected"))
            }
            Some(false) if subject.cards.len() > 1 => {
                Finding::warning(SUBJECT, format!("{card}: no cable, or the other side is off"))
            }
            Some(false) => {
                Finding::refusal(SUBJECT, format!("{card}: no cable, or the other side is off"))
            }
            None => {
                Finding::refusal(SUBJECT, format!("{card} is not there, or cannot be switched on"))
            }
        });
    }
    if !works && subject.cards.len() > 1 {
        findings.push(Finding::refusal(SUBJECT, "no card of the bond has one"));
    }
    works
}

fn addresses(
    subject: &Subject,
    probe: &mut dyn Probe,
    findings: &mut Vec<Finding>,
) -> Option<Facts> {
    const SUBJECT: &str = "Address";
    let facts = match probe.facts(subject) {
        Ok(facts) => facts,
        Err(error) => {
            findings.push(Finding::refusal(SUBJECT, error));
            return None;
        }
    };
    let source = &subject.source;
    for (asked, is_ipv6, family) in [(subject.ipv4, false, "IPv4"), (subject.ipv6, true, "IPv6")] {
        let of_family = facts.addresses.iter().filter(|address| address.is_ipv6() == is_ipv6);
        let texts: Vec<String> = of_family.map(IpAddr::to_string).collect();
        if !asked {
            continue;
        }
        findings.push(match texts.is_empty() {
            false => Finding::ok(SUBJECT, format!("{} from {source}", texts.join(", "))),
            true => {
                let what = if is_ipv6 { "router or DHCPv6 server" } else { "DHCP server" };
                let text = format!(
                    "no {family} address from {source}: no {what} answers on {}, the VLAN is \
                     another one, or another host has the address",
                    subject.interface
                );
                Finding::refusal(SUBJECT, text)
            }
        });
    }
    (!facts.addresses.is_empty()).then_some(facts)
}

fn gateway(subject: &Subject, gateway: IpAddr, probe: &mut dyn Probe) -> Finding {
    const SUBJECT: &str = "Gateway";
    let protocol = if gateway.is_ipv6() { "neighbour discovery" } else { "ARP" };
    match probe.reply(&subject.interface, gateway) {
        Reply::Ping => Finding::ok(SUBJECT, format!("{gateway} answers")),
        Reply::Neighbour => {
            let text = format!("{gateway} answers {protocol}, but no ping: it may be told not to");
            Finding::ok(SUBJECT, text)
        }
        Reply::None => {
            let text = format!(
                "{gateway} answers neither ping nor {protocol}: wrong address, wrong VLAN, or off"
            );
            Finding::refusal(SUBJECT, text)
        }
    }
}

fn servers(subject: &Subject, facts: &Facts, probe: &mut dyn Probe, findings: &mut Vec<Finding>) {
    let resolve = |name: &str, findings: &mut Vec<Finding>, probe: &mut dyn Probe| {
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return vec![address];
        }
        if facts.dns.is_empty() {
            let text = format!("no name server is known, so {name} cannot be found");
            findings.push(Finding::refusal("DNS", text));
            return Vec::new();
        }
        match probe.resolve(name) {
            Ok(found) => {
                let texts: Vec<String> = found.iter().map(IpAddr::to_string).collect();
                findings.push(Finding::ok("DNS", format!("{name} is {}", texts.join(", "))));
                found
            }
            Err(error) => {
                let servers: Vec<String> = facts.dns.iter().map(IpAddr::to_string).collect();
                let text = format!("{name} is not found by {}: {error}", servers.join(", "));
                findings.push(Finding::refusal("DNS", text));
                Vec::new()
            }
        }
    };
    let mut complaints = Vec::new();
    let mut answered = None;
    for server in &subject.time {
        for address in resolve(server, findings, probe) {
            match probe.time(address) {
                Ok(()) => answered = Some(format!("{server} ({address}) answers")),
                Err(error) => complaints.push(format!("{address}: {error}")),
            }
            if answered.is_some() {
                break;
            }
        }
        if answered.is_some() {
            break;
        }
    }
    match (answered, complaints.is_empty()) {
        (Some(text), _) => findings.push(Finding::ok("Time", text)),
        (None, false) => {
            let text = format!("no time server answers: {}", complaints.join("; "));
            findings.push(Finding::warning("Time", text));
        }
        (None, true) => {}
    }
    if let Some((host, port)) = &subject.answers {
        let tried: Vec<_> = resolve(host, findings, probe)
            .into_iter()
            .map(|address| (address, probe.connect(address, *port)))
            .collect();
        if let Some((address, _)) = tried.iter().find(|(_, result)| result.is_ok()) {
            findings.push(Finding::ok("Answers", format!("{host} ({address}) takes connections")));
        } else if !tried.is_empty() {
            let texts = tried.iter().filter_map(|(address, result)| {
                result.as_ref().err().map(|error| format!("{address} port {port}: {error}"))
            });
            let text = texts.collect::<Vec<_>>().join("; ");
            findings.push(Finding::refusal("Answers", format!("{host} is not reached: {text}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that is described.
    #[derive(Default)]
    struct World {
        links: Vec<(&'static str, bool)>,
        facts: Facts,
        replies: Vec<(&'static str, Reply)>,
        names: Vec<(&'static str, &'static str)>,
        time: Vec<&'static str>,
        open: Vec<(&'static str, u16)>,
    }

    impl Probe for World {
        fn link(&mut self, card: &str) -> Option<bool> {
            self.links.iter().find(|(name, _)| *name == card).map(|(_, link)| *link)
        }
        fn facts(&mut self, _: &Subject) -> Result<Facts, String> {
            Ok(self.facts.clone())
        }
        fn reply(&mut self, _: &str, address: IpAddr) -> Reply {
            let found = self.replies.iter().find(|(text, _)| *text == address.to_string());
            found.map_or(Reply::None, |(_, reply)| *reply)
        }
        fn resolve(&mut self, name: &str) -> Result<Vec<IpAddr>, String> {
            let found = self.names.iter().find(|(known, _)| *known == name);
            let found = found.map(|(_, address)| vec![address.parse().unwrap()]);
            found.ok_or_else(|| "no answer within 5 s".to_owned())
        }
        fn time(&mut self, server: IpAddr) -> Result<(), String> {
            let found = self.time.iter().any(|text| *text == server.to_string());
            found.then_some(()).ok_or_else(|| "no answer within 3 s".to_owned())
        }
        fn connect(&mut self, server: IpAddr, port: u16) -> Result<(), String> {
            let open = self.open.iter().any(|open| *open == (server.to_string().leak(), port));
            open.then_some(()).ok_or_else(|| "Connection refused".to_owned())
        }
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn subject() -> Subject {
        Subject {
            interface: "eno1".into(),
            cards: vec!["eno1".into()],
            ipv4: true,
            ipv6: false,
            source: "DHCP".into(),
            time: vec!["192.0.2.123".into(), "ntp.example.org".into()],
            answers: Some(("answers.example.org".into(), 80)),
        }
    }

    fn world() -> World {
        World {
            links: vec![("eno1", true), ("eno2", false)],
            facts: Facts {
                addresses: addresses(&["192.0.2.10"]),
                gateways: addresses(&["192.0.2.1"]),
                dns: addresses(&["192.0.2.53"]),
            },
            replies: vec![("192.0.2.1", Reply::Ping), ("fe80::1", Reply::Neighbour)],
            names: vec![("ntp.example.org", "198.51.100.7"), ("answers.example.org", "192.0.2.80")],
            time: vec!["198.51.100.7"],
            open: vec![("192.0.2.80", 80)],
        }
    }

    fn said(subject: &Subject, mut world: World) -> String {
        test(subject, &mut world).iter().map(|finding| format!("{finding}\n")).collect()
    }

    #[test]
    fn what_works_is_said_in_order() {
        assert_eq!(
            said(&subject(), world()),
            "[ ok ] Link: eno1 is connected\n\
             [ ok ] Address: 192.0.2.10 from DHCP\n\
             [ ok ] Gateway: 192.0.2.1 answers\n\
             [ ok ] DNS: ntp.example.org is 198.51.100.7\n\
             [ ok ] Time: ntp.example.org (198.51.100.7) answers\n\
             [ ok ] DNS: answers.example.org is 192.0.2.80\n\
             [ ok ] Answers: answers.example.org (192.0.2.80) takes connections\n"
        );
    }

    #[test]
    fn each_part_that_fails_is_named() {
        let no_cable = World { links: vec![("eno1", false)], ..world() };
        let text = "[STOP] Link: eno1: no cable, or the other side is off\n";
        assert_eq!(said(&subject(), no_cable), text, "nothing else can work");
        let gone = said(&subject(), World { links: vec![], ..world() });
        assert!(gone.contains("eno1 is not there"), "{gone}");

        let no_answer = said(&subject(), World { facts: Facts::default(), ..world() });
        let expected = "[STOP] Address: no IPv4 address from DHCP: no DHCP server answers on eno1, \
                        the VLAN is another one, or another host has the address\n";
        assert!(no_answer.ends_with(expected), "{no_answer}");

        let deaf = said(&subject(), World { replies: vec![], ..world() });
        assert!(deaf.contains("[STOP] Gateway: 192.0.2.1 answers neither ping nor ARP"), "{deaf}");

        let no_dns = World { names: vec![], ..world() };
        let expected = "[STOP] DNS: answers.example.org is not found by 192.0.2.53: no answer";
        let no_dns = said(&subject(), no_dns);
        assert!(no_dns.contains(expected), "{no_dns}");
        let mut unknown = world();
        unknown.facts.dns.clear();
        let unknown = said(&subject(), unknown);
        assert!(
            unknown.contains("[STOP] DNS: no name server is known, so ntp.example.org"),
            "{unknown}"
        );

        let late = said(&subject(), World { time: vec![], ..world() });
        let expected = "[warn] Time: no time server answers: 192.0.2.123: no answer within 3 s; \
                        198.51.100.7: no answer within 3 s\n";
        assert!(late.contains(expected), "{late}");
        let closed = said(&subject(), World { open: vec![], ..world() });
        let expected = "[STOP] Answers: answers.example.org is not reached: 192.0.2.80 port 80: \
                        Connection refused\n";
        assert!(closed.ends_with(expected), "{closed}");
    }

    #[test]
    fn one_card_of_a_bond_is_enough_and_ipv6_goes_alone() {
        let subject = Subject {
            interface: "xn-bond".into(),
            cards: vec!["eno1".into(), "eno2".into()],
            ipv4: false,
            ipv6: true,
            source: "routers".into(),
            time: vec![],
            answers: Some(("[2001:db8::80]".into(), 443)),
        };
        let facts = Facts {
            addresses: addresses(&["2001:db8::10"]),
            gateways: addresses(&["fe80::1"]),
            dns: vec![],
        };
        let open = vec![("2001:db8::80", 443)];
        assert_eq!(
            said(&subject, World { facts: facts.clone(), open, ..world() }),
            "[ ok ] Link: eno1 is connected\n\
             [warn] Link: eno2: no cable, or the other side is off\n\
             [ ok ] Address: 2001:db8::10 from routers\n\
             [ ok ] Gateway: fe80::1 answers neighbour discovery, but no ping: it may be told not to\n\
             [ ok ] Answers: [2001:db8::80] (2001:db8::80) takes connections\n"
        );
        let links = vec![("eno1", false), ("eno2", false)];
        let none = said(&subject, World { links, facts, ..world() });
        assert!(none.ends_with("[STOP] Link: no card of the bond has one\n"), "{none}");
    }
}
