// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management interface's IPv4 address.

use std::net::Ipv4Addr;

use widgets::{Field, Key};

use super::{Action, Request, Screen, State};
use crate::facts::Interface;

/// How the address comes.
pub const MODES: &[&str] = &["DHCP", "fixed"];

/// What is typed.
#[derive(Debug, Clone, Default)]
pub struct Address {
    /// Reference of the interface.
    pif: String,
    /// Entry of [`MODES`].
    pub mode: usize,
    /// Address with prefix length.
    pub address: Field,
    /// Gateway.
    pub gateway: Field,
    /// Name servers.
    pub dns: Field,
    /// 0: mode, then the fields.
    pub focus: usize,
}

impl Address {
    /// Of an interface as it is.
    pub(super) fn of(interface: &Interface) -> Self {
        let prefix = interface.netmask.parse::<Ipv4Addr>().map(|mask| mask.to_bits().count_ones());
        let address = match prefix {
            Ok(prefix) if !interface.ip.is_empty() => format!("{}/{prefix}", interface.ip),
            _ => interface.ip.clone(),
        };
        Self {
            pif: interface.reference.clone(),
            mode: usize::from(interface.mode == "Static"),
            address: Field::new(&address),
            gateway: Field::new(&interface.gateway),
            dns: Field::new(&interface.dns.replace(',', " ")),
            focus: 0,
        }
    }

    /// Whether the address is typed.
    pub fn is_fixed(&self) -> bool {
        self.mode == 1
    }

    fn field(&mut self) -> Option<&mut Field> {
        match self.focus {
            1 => Some(&mut self.address),
            2 => Some(&mut self.gateway),
            3 => Some(&mut self.dns),
            _ => None,
        }
    }

    /// What is to be done, or what is wrong.
    fn request(&self) -> Result<Request, String> {
        let empty = String::new;
        if !self.is_fixed() {
            let (ip, netmask, gateway, dns) = (empty(), empty(), empty(), empty());
            return Ok(Request::Address {
                pif: self.pif.clone(),
                mode: "DHCP",
                ip,
                netmask,
                gateway,
                dns,
            });
        }
        let wrong = |what: &str| format!("{what}, such as 192.0.2.10/24.");
        let (address, prefix) = self
            .address
            .text()
            .trim()
            .split_once('/')
            .ok_or_else(|| wrong("The address needs its prefix length"))?;
        let ip: Ipv4Addr = address.parse().map_err(|_| wrong("This is no IPv4 address"))?;
        let prefix = prefix.parse().ok().filter(|prefix| (1..=32).contains(prefix));
        let prefix: u32 = prefix.ok_or_else(|| wrong("A prefix length is from 1 to 32"))?;
        let netmask = Ipv4Addr::from_bits(u32::MAX << (32 - prefix));
        let one = |text: &str, what: &str| match text.parse::<Ipv4Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("{what} {text} is no IPv4 address.")),
        };
        let gateway = self.gateway.text().trim();
        if !gateway.is_empty() {
            one(gateway, "The gateway")?;
        }
        let servers: Vec<&str> =
            self.dns.text().split([' ', ',']).filter(|server| !server.is_empty()).collect();
        servers.iter().try_for_each(|server| one(server, "The name server"))?;
        Ok(Request::Address {
            pif: self.pif.clone(),
            mode: "Static",
            ip: ip.to_string(),
            netmask: netmask.to_string(),
            gateway: gateway.to_owned(),
            dns: servers.join(","),
        })
    }
}

impl State {
    pub(super) fn address_key(&mut self, key: Key) -> Option<Action> {
        let last = if self.address.is_fixed() { 3 } else { 0 };
        let form = &mut self.address;
        match key {
            Key::Esc => self.go(Screen::Network),
            Key::Up | Key::BackTab => form.focus = form.focus.saturating_sub(1),
            Key::Down | Key::Tab => form.focus = (form.focus + 1).min(last),
            Key::Left | Key::Right if form.focus == 0 => form.mode = 1 - form.mode,
            Key::Enter => match form.request() {
                Ok(request) => {
                    self.message = None;
                    self.question = Some(request);
                }
                Err(wrong) => self.message = Some(wrong),
            },
            key => {
                form.field().map(|field| field.on(key));
            }
        }
        None
    }
}
