// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's log, sent to another host: RFC 5424 over UDP (RFC 5426).
//!
//! `xenith-syslog.service` runs this daemon's program with `--forward-log`, which follows the journal, so
//! the log goes on without the daemon.

use std::io::{BufRead, Read as _};
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::sync::PoisonError;

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

use super::{Dom0, clock};

/// `DESTINATION=` for the unit.
const FILE: &str = "/etc/xenith/syslog";
const UNIT: &str = "xenith-syslog.service";
/// Where syslog is listened for.
const PORT: u16 = 514;
/// Bytes of a datagram that every receiver should take (RFC 5426, section 3.2).
const LONGEST: usize = 2048;
/// Longest entry of the journal that is read, in bytes.
const LONGEST_ENTRY: u64 = 1 << 20;

/// Whether a text says where the log can go: a host name or an address.
pub fn is_destination(text: &str) -> bool {
    clock::is_server(text)
}

impl Dom0 {
    /// Sends the log there from now on, or with an empty text nowhere.
    pub fn set_syslog(&self, destination: &str) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if destination.is_empty() {
            self.systemctl(&["disable", "--now", UNIT])?;
            return self.remove(FILE);
        }
        self.write(FILE, &format!("DESTINATION={destination}\n"))?;
        self.systemctl(&["enable", UNIT])?;
        self.systemctl(&["restart", UNIT])
    }
}

/// Sends each entry of a journal, as `journalctl --output=json` prints it, until it ends. What cannot be
/// sent, as long as there is no network, is lost, as with any syslog over UDP.
pub fn forward(mut journal: impl BufRead, destination: &str) -> Result<()> {
    let open = |address: &str| UdpSocket::bind(address).ok();
    let (ipv4, ipv6) = (open("0.0.0.0:0"), open("[::]:0"));
    if ipv4.is_none() && ipv6.is_none() {
        bail!("opening a socket for the log: there is no network");
    }
    send_all(&mut journal, |datagram| {
        // The name is looked up each time, so that a server may move.
        let found = (destination, PORT).to_socket_addrs().into_iter().flatten();
        let sent = found.into_iter().any(|address| {
            let socket = if address.is_ipv4() { &ipv4 } else { &ipv6 };
            socket.as_ref().is_some_and(|socket| socket.send_to(datagram, address).is_ok())
        });
        if !sent {
            tracing::debug!(destination, "an entry of the log could not be sent");
        }
    })
}

fn send_all(mut journal: &mut impl BufRead, mut send: impl FnMut(&[u8])) -> Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        // The rest of a line that is too long is no JSON and passed over.
        let mut piece = (&mut journal).take(LONGEST_ENTRY);
        if piece.read_until(b'\n', &mut line).context("reading the journal")? == 0 {
            return Ok(());
        }
        if let Ok(entry) = serde_json::from_slice::<Json>(&line) {
            send(&datagram(&entry));
        }
    }
}

/// An entry of the journal as RFC 5424 has it (section 6).
fn datagram(entry: &Json) -> Vec<u8> {
    let number = |field: &str, most: u64, usual: u64| {
        let number = entry[field].as_str().and_then(|text| text.parse().ok());
        number.filter(|number| *number <= most).unwrap_or(usual)
    };
    // "daemon" and "informational" where nothing is said.
    let priority = number("SYSLOG_FACILITY", 23, 3) * 8 + number("PRIORITY", 7, 6);
    let time = number("__REALTIME_TIMESTAMP", u64::MAX, 0);
    let word = |fields: &[&str], most: usize| {
        let found = fields.iter().find_map(|field| entry[*field].as_str());
        let printable = |c: &char| c.is_ascii_graphic();
        let word: String = found.unwrap_or_default().chars().filter(printable).take(most).collect();
        if word.is_empty() { "-".to_owned() } else { word }
    };
    let host = word(&["_HOSTNAME"], 255);
    let name = word(&["SYSLOG_IDENTIFIER", "_COMM"], 48);
    let process = word(&["SYSLOG_PID", "_PID"], 128);
    let head = format!("<{priority}>1 {} {host} {name} {process} - - ", timestamp(time));
    let mut datagram = head.into_bytes();
    match &entry["MESSAGE"] {
        Json::String(text) => datagram.extend(text.bytes()),
        // What is no UTF-8 comes as numbers.
        Json::Array(bytes) => {
            datagram.extend(bytes.iter().filter_map(|b| u8::try_from(b.as_u64()?).ok()));
        }
        _ => {}
    }
    for byte in &mut datagram {
        if *byte < b' ' {
            *byte = b' ';
        }
    }
    datagram.truncate(LONGEST);
    datagram
}

/// Microseconds since 1970 as RFC 3339 writes them.
fn timestamp(microseconds: u64) -> String {
    let seconds = i64::try_from(microseconds / 1_000_000).unwrap_or_default();
    let text = xapi_model::DateTime(seconds).to_string();
    let (date, time) = (&text[..8], text[9..].trim_end_matches('Z'));
    let rest = microseconds % 1_000_000;
    format!("{}-{}-{}T{time}.{rest:06}Z", &date[..4], &date[4..6], &date[6..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(journal: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        send_all(&mut &*journal, |bytes| {
            all.push(String::from_utf8_lossy(bytes).into_owned());
        })
        .unwrap();
        all
    }

    #[test]
    fn entries_become_messages() {
        let journal = br#"{"PRIORITY":"3","SYSLOG_FACILITY":"4","_HOSTNAME":"h 1","SYSLOG_IDENTIFIER":"sshd","_PID":"77","__REALTIME_TIMESTAMP":"951827696000042","MESSAGE":"no\nway"}
not json
{"MESSAGE":[104,105,255,999,"x"],"PRIORITY":"99"}
{"_COMM":"x"}"#;
        assert_eq!(
            sent(journal),
            [
                "<35>1 2000-02-29T12:34:56.000042Z h1 sshd 77 - - no way",
                "<30>1 1970-01-01T00:00:00.000000Z - - - - - hi\u{fffd}",
                "<30>1 1970-01-01T00:00:00.000000Z - x - - - ",
            ]
        );
    }

    #[test]
    fn nothing_longer_than_a_datagram_is_sent() {
        let long = format!("{{\"MESSAGE\":\"{}\"}}\n{{\"MESSAGE\":\"next\"}}\n", "x".repeat(9000));
        let sent = sent(long.as_bytes());
        assert_eq!((sent.len(), sent[0].len()), (2, LONGEST));
        assert!(sent[1].ends_with(" next"));
    }

    #[test]
    fn it_arrives() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        send_all(&mut &b"{\"MESSAGE\":\"hello\"}\n"[..], |datagram| {
            socket.send_to(datagram, address).unwrap();
        })
        .unwrap();
        let mut buffer = [0; LONGEST];
        let length = server.recv(&mut buffer).unwrap();
        assert!(buffer[..length].ends_with(b" hello"));
    }
}
