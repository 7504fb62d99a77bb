// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who reaches this host.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use crate::error::NetworkError;
use crate::program::System;

/// Whether whoever is at an address answers, asked anew: an echo, or where that is not answered, the
/// request for a neighbour's link address, which no packet filter keeps from being answered.
pub(crate) fn reaches(system: &dyn System, address: IpAddr) -> Result<bool, NetworkError> {
    let text = address.to_string();
    let doing = format!("asking {text} for an answer");
    // What is known of a neighbour may be from before what is asked for.
    system.must(&doing, "ip", &["neighbor", "flush", "to", &text])?;
    let ping = system.run("ping", &["-n", "-q", "-c", "1", "-w", "3", &text])?;
    if ping.code == 0 {
        return Ok(true);
    }
    let show = ["-json", "neighbor", "show", "to", &text, "nud", "reachable"];
    let shown = system.must(&doing, "ip", &show)?;
    let entries: Vec<Value> = match shown.trim() {
        "" => Vec::new(),
        json => serde_json::from_str(json)
            .map_err(|error| NetworkError::Failed { doing, detail: error.to_string() })?,
    };
    Ok(entries.iter().any(|entry| entry.get("lladdr").is_some()))
}

/// Where the other ends of SSH connections to this host are, each once.
pub(crate) fn ssh_clients(system: &dyn System) -> Result<Vec<IpAddr>, NetworkError> {
    let doing = "looking for SSH connections";
    let show = ["-H", "-t", "-n", "state", "established", "( sport = :22 )"];
    let mut clients: Vec<IpAddr> =
        system.must(doing, "ss", &show)?.lines().filter_map(other_end).collect();
    clients.sort_unstable();
    clients.dedup();
    Ok(clients)
}

/// Of a line of ss(8): bytes received and sent that wait, this end, the other end.
fn other_end(line: &str) -> Option<IpAddr> {
    let end = line.split_whitespace().nth(3)?;
    // The interface of a link-local address is no part of it here.
    let end = match (end.find('%'), end.find(']')) {
        (Some(zone), Some(close)) if zone < close => format!("{}{}", &end[..zone], &end[close..]),
        _ => end.to_owned(),
    };
    end.parse::<SocketAddr>().ok().map(|end| end.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn an_echo_is_enough() {
        let host = Recorder::new();
        assert!(reaches(&host, "192.0.2.7".parse().unwrap()).unwrap());
        let asked = ["ip neighbor flush to 192.0.2.7", "ping -n -q -c 1 -w 3 192.0.2.7"];
        assert_eq!(host.take_log(), asked);
    }

    #[test]
    fn so_is_a_neighbour_that_answers() {
        let answering = |json: &str| {
            let mut host = Recorder::new();
            *host.fail.get_mut().unwrap() = Some("ping");
            host.answers.push(("neighbor show", json.to_owned()));
            reaches(&host, "2001:db8::7".parse().unwrap())
        };
        let there = r#"[{"dst":"2001:db8::7","dev":"xenbr0","lladdr":"52:54:00:00:00:01","state":["REACHABLE"]}]"#;
        assert!(answering(there).unwrap());
        for silent in ["", "[]", "[{}]"] {
            assert!(!answering(silent).unwrap(), "{silent:?}");
        }
        assert!(answering("neighbours").is_err());
    }

    #[test]
    fn ends_of_connections() {
        let mut host = Recorder::new();
        let shown = "0 0   192.0.2.2:22   192.0.2.9:41000 \n\
                     0 36  [::ffff:192.0.2.2]:22  [::ffff:192.0.2.9]:41002\n\
                     0 0   [2001:db8::2]:22 [2001:db8::9]:5\n\
                     0 0   [fe80::2%xenbr0]:22 [fe80::9%xenbr0]:50522\nwhatever\n";
        host.answers.push(("ss -H", shown.to_owned()));
        let clients: Vec<String> =
            ssh_clients(&host).unwrap().iter().map(IpAddr::to_string).collect();
        assert_eq!(clients, ["192.0.2.9", "2001:db8::9", "fe80::9"]);
    }
}
