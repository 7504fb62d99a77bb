// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network screen: what is chosen and typed there, and the test of it.

use appliance_model::handover::{AddressMode, BondHash, BondMode, Ipv6Mode};
use installer_core::answers::{
    BadField, BondChoice, InterfaceChoice, NetworkAnswer, ipv4_cidr, ipv4_gateway, ipv6_cidr,
    ipv6_gateway, mtu, name_server, vlan_tag,
};
use installer_core::discovery::{Discovery, Nic};
use installer_core::plan::management_on;

use super::keys::sentence;
use super::{Action, Field, Key, Screen, State};

/// How the IPv4 address comes, in the order of the screen.
pub const IPV4: &[&str] = &["by DHCP", "fixed", "none"];
/// How IPv6 addresses come.
pub const IPV6: &[&str] = &["none", "as routers announce", "by DHCP", "fixed"];
/// What the cards are to each other.
pub const BONDS: &[(&str, Option<(BondMode, BondHash)>)] = &[
    ("none: one card", None),
    ("active-backup", Some((BondMode::ActiveBackup, BondHash::TcpudpPorts))),
    ("balance-slb", Some((BondMode::BalanceSlb, BondHash::TcpudpPorts))),
    ("LACP, by TCP/UDP ports", Some((BondMode::Lacp, BondHash::TcpudpPorts))),
    ("LACP, by MAC address", Some((BondMode::Lacp, BondHash::SrcMac))),
];

/// What the cursor can be on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Item {
    /// Which card.
    #[default]
    Card,
    /// How the IPv4 address comes.
    Ipv4,
    /// Address with prefix length.
    Address,
    /// Gateway.
    Gateway,
    /// Name servers.
    Dns,
    /// Whether the rest is shown.
    More,
    /// How IPv6 addresses come.
    Ipv6,
    /// Address with prefix length.
    Address6,
    /// Gateway.
    Gateway6,
    /// Several cards as one.
    Bond,
    /// Which.
    Members,
    /// VLAN tag.
    Vlan,
    /// MTU.
    Mtu,
}

/// The network screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkForm {
    /// Where the cursor is.
    pub focus: Item,
    /// Index among the cards.
    pub card: usize,
    /// Index in [`IPV4`].
    pub ipv4: usize,
    /// Address with prefix length.
    pub address: Field,
    /// Gateway, may be empty.
    pub gateway: Field,
    /// Name servers with blanks between, may be empty.
    pub dns: Field,
    /// Whether the rest is shown.
    pub more: bool,
    /// Index in [`IPV6`].
    pub ipv6: usize,
    /// Address with prefix length.
    pub address6: Field,
    /// Gateway, may be empty.
    pub gateway6: Field,
    /// Index in [`BONDS`].
    pub bond: usize,
    /// Names of the cards with blanks between.
    pub members: Field,
    /// VLAN tag; empty: none.
    pub vlan: Field,
    /// MTU; empty: what the cards have.
    pub mtu: Field,
}

impl NetworkForm {
    /// Whether the IPv4 address is typed.
    pub fn is_fixed(&self) -> bool {
        self.ipv4 == 1
    }

    /// Whether the IPv6 address is typed.
    pub fn is_fixed6(&self) -> bool {
        self.ipv6 == 3
    }

    /// Whether anything of the rest is not as usual; it counts hidden too.
    pub fn is_unusual(&self) -> bool {
        let typed = [&self.vlan, &self.mtu].iter().any(|field| !field.text().trim().is_empty());
        typed || self.ipv6 != 0 || self.bond != 0
    }

    /// What is shown, in the order of the screen.
    pub fn items(&self) -> Vec<Item> {
        let mut items = vec![Item::Card, Item::Ipv4];
        if self.is_fixed() {
            items.extend([Item::Address, Item::Gateway]);
        }
        if self.takes_dns() {
            items.push(Item::Dns);
        }
        items.push(Item::More);
        if self.more {
            items.push(Item::Ipv6);
            if self.is_fixed6() {
                items.extend([Item::Address6, Item::Gateway6]);
            }
            items.push(Item::Bond);
            if BONDS[self.bond].1.is_some() {
                items.push(Item::Members);
            }
            items.extend([Item::Vlan, Item::Mtu]);
        }
        items
    }

    /// DHCP brings name servers along.
    fn takes_dns(&self) -> bool {
        self.is_fixed() || [1, 3].contains(&self.ipv6)
    }

    /// The item `steps` further down, as far as there are any.
    fn at(&self, steps: isize) -> Item {
        let items = self.items();
        let now = items.iter().position(|item| *item == self.focus).unwrap_or(0);
        items[now.saturating_add_signed(steps).min(items.len() - 1)]
    }

    /// Whether Enter goes on to the next screen: at the last item, and at the last usual one.
    fn ends_here(&self) -> bool {
        let next = self.at(1);
        next == self.focus || (next == Item::More && !self.more)
    }

    fn field(&mut self) -> Option<&mut Field> {
        match self.focus {
            Item::Address => Some(&mut self.address),
            Item::Gateway => Some(&mut self.gateway),
            Item::Dns => Some(&mut self.dns),
            Item::Address6 => Some(&mut self.address6),
            Item::Gateway6 => Some(&mut self.gateway6),
            Item::Members => Some(&mut self.members),
            Item::Vlan => Some(&mut self.vlan),
            Item::Mtu => Some(&mut self.mtu),
            Item::Card | Item::Ipv4 | Item::More | Item::Ipv6 | Item::Bond => None,
        }
    }

    /// Takes the next choice, or with Left the one before; false if there is nothing to choose.
    fn choose(&mut self, key: Key, nics: &[Nic]) -> bool {
        let (place, count) = match self.focus {
            Item::Card => (&mut self.card, nics.len()),
            Item::Ipv4 => (&mut self.ipv4, IPV4.len()),
            Item::Ipv6 => (&mut self.ipv6, IPV6.len()),
            Item::Bond => (&mut self.bond, BONDS.len()),
            Item::More => {
                self.more = !self.more;
                return true;
            }
            _ => return false,
        };
        *place = match key {
            Key::Left => place.saturating_sub(1),
            _ => (*place + 1).min(count.saturating_sub(1)),
        };
        if self.focus == Item::Bond && self.members.text().is_empty() {
            let names: Vec<&str> = nics.iter().map(|nic| nic.name.as_str()).collect();
            self.members = Field::new(&names.join(" "));
        }
        true
    }

    /// What is meant; none on a machine without cards.
    ///
    /// # Errors
    /// The sentence for the screen.
    pub fn answer(&self, found: &Discovery) -> Result<Option<NetworkAnswer>, BadField> {
        let Some(nic) = found.nics.get(self.card) else {
            return Ok(None);
        };
        let mut answer = NetworkAnswer::dhcp(InterfaceChoice::Mac(nic.mac.clone()));
        answer.address = self.ipv4()?;
        answer.ipv6 = self.ipv6()?;
        if let Some((mode, hash)) = BONDS[self.bond].1 {
            let members = self.members(found)?;
            answer.interface = InterfaceChoice::Bond(BondChoice { mode, hash, members });
        }
        let number = |field: &Field, what: &str| match field.text().trim() {
            "" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| {
                BadField::new(format!("{text:?} is not {what}: a number, or nothing"))
            }),
        };
        answer.vlan = number(&self.vlan, "a VLAN tag")?.map(vlan_tag).transpose()?;
        let bytes = number(&self.mtu, "an MTU")?;
        answer.mtu = bytes.map(|bytes| mtu(bytes, &answer.ipv6)).transpose()?;
        if answer.address == AddressMode::None && answer.ipv6 == Ipv6Mode::None {
            return Err(BadField::new("the host would have no address, neither IPv4 nor IPv6"));
        }
        if self.takes_dns() {
            let servers = self.dns.text().split([' ', ',']).filter(|word| !word.is_empty());
            answer.dns = servers.map(name_server).collect::<Result<_, _>>()?;
        }
        Ok(Some(answer))
    }

    fn ipv4(&self) -> Result<AddressMode, BadField> {
        match self.ipv4 {
            0 => return Ok(AddressMode::Dhcp),
            1 => {}
            _ => return Ok(AddressMode::None),
        }
        let address = self.address.text().trim().to_owned();
        let host = ipv4_cidr(&address)?;
        let gateway = match self.gateway.text().trim() {
            "" => None,
            text => Some(ipv4_gateway(text, host)?.to_string()),
        };
        Ok(AddressMode::Static { address, gateway })
    }

    fn ipv6(&self) -> Result<Ipv6Mode, BadField> {
        match self.ipv6 {
            0 => return Ok(Ipv6Mode::None),
            1 => return Ok(Ipv6Mode::Auto),
            2 => return Ok(Ipv6Mode::Dhcp),
            _ => {}
        }
        let address = self.address6.text().trim().to_owned();
        let host = ipv6_cidr(&address)?;
        let gateway = match self.gateway6.text().trim() {
            "" => None,
            text => Some(ipv6_gateway(text, host)?.to_string()),
        };
        Ok(Ipv6Mode::Static { address, gateway })
    }

    fn members(&self, found: &Discovery) -> Result<Vec<InterfaceChoice>, BadField> {
        let names = self.members.text().split([' ', ',']).filter(|word| !word.is_empty());
        let mut members = Vec::new();
        for name in names {
            let Some(nic) = found.nics.iter().find(|nic| nic.name == name) else {
                return Err(BadField::new(format!("there is no network card {name:?}")));
            };
            let member = InterfaceChoice::Mac(nic.mac.clone());
            if members.contains(&member) {
                return Err(BadField::new(format!("the bond has {name} twice")));
            }
            members.push(member);
        }
        match members.len() {
            0 | 1 => Err(BadField::new("a bond has at least two cards, with blanks between")),
            _ => Ok(members),
        }
    }
}

impl State {
    pub(super) fn network_key(&mut self, key: Key) -> Option<Action> {
        let nics = self.found.as_ref().map_or(&[][..], |found| &found.nics[..]);
        let form = &mut self.form.network;
        match key {
            Key::Esc => self.go(Screen::Hostname),
            Key::Test => return self.test_network(),
            Key::Up | Key::BackTab => form.focus = form.at(-1),
            Key::Down | Key::Tab => form.focus = form.at(1),
            Key::Enter if !form.ends_here() => form.focus = form.at(1),
            Key::Enter => {
                let result = match &self.found {
                    Some(found) => self.form.network.answer(found).map(drop),
                    None => Ok(()),
                };
                self.next_if(result, Screen::Zone);
            }
            key => {
                let chosen = match key {
                    Key::Left | Key::Right | Key::Char(' ') => form.choose(key, nics),
                    _ => false,
                };
                if !chosen && form.field().is_some_and(|field| field.on(key)) {
                    self.message = None;
                }
            }
        }
        None
    }

    fn test_network(&mut self) -> Option<Action> {
        let found = self.found.as_ref()?;
        let answer = match self.form.network.answer(found) {
            Ok(answer) => answer?,
            Err(error) => {
                self.message = Some(sentence(&error.to_string()));
                return None;
            }
        };
        match management_on(&answer, &found.nics) {
            Ok(management) => {
                let nics = found.nics.clone();
                self.go(Screen::NetworkTest(None));
                Some(Action::TestNetwork(Box::new(management), nics))
            }
            Err(error) => {
                self.message = Some(sentence(&error.to_string()));
                None
            }
        }
    }

    pub(super) fn network_test_key(&mut self, key: Key) -> Option<Action> {
        match (key, &self.screen) {
            (Key::Char('l'), _) => self.log_open = Some(0),
            // What is under way takes the network down again by itself.
            (_, Screen::NetworkTest(None)) => {}
            (Key::Enter | Key::Esc, _) => self.go(Screen::Network),
            (Key::Char('t') | Key::Test, _) => return self.test_network(),
            (Key::Char('s'), _) => return Some(Action::Shell),
            (Key::Up, _) => self.scroll = self.scroll.saturating_sub(1),
            (Key::Down, _) => self.scroll += 1,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Event;
    use crate::state::tests::{found, press, type_in};

    #[test]
    fn a_bond_with_a_vlan_and_ipv6_only_is_asked_for_and_tried() {
        let mut state = found();
        press(&mut state, &[Key::Enter]);
        state.on(Event::Owner(Ok(())));
        press(&mut state, &[Key::Enter; 7]);
        assert_eq!(state.screen, Screen::Network);
        // No IPv4, and no IPv6 yet.
        press(&mut state, &[Key::Down, Key::Right, Key::Right, Key::Test]);
        assert_eq!(state.screen, Screen::Network);
        assert!(state.message.as_ref().unwrap().contains("neither IPv4 nor IPv6"));
        press(&mut state, &[Key::Down, Key::Char(' '), Key::Down, Key::Right]);
        press(&mut state, &[Key::Down, Key::Right, Key::Right, Key::Right, Key::Down, Key::Clear]);
        type_in(&mut state, "eno2 eno9");
        press(&mut state, &[Key::Down]);
        type_in(&mut state, "4095");
        press(&mut state, &[Key::Enter, Key::Enter]);
        assert_eq!(state.message.as_deref(), Some("There is no network card \"eno9\"."));
        press(&mut state, &[Key::Up, Key::Up, Key::Backspace]);
        type_in(&mut state, "1");
        press(&mut state, &[Key::Test]);
        assert_eq!(state.message.as_deref(), Some("4095 is not a VLAN tag (1 to 4094)."));
        press(&mut state, &[Key::Down, Key::Backspace]);
        // What is hidden counts.
        press(&mut state, &[Key::Up, Key::Up, Key::Up, Key::Up, Key::Char(' ')]);
        assert!(!state.form.network.more && state.form.network.is_unusual());
        let Some(Action::TestNetwork(management, nics)) = press(&mut state, &[Key::Test]) else {
            panic!("{:?}", state.message)
        };
        assert_eq!(nics.len(), 2);
        let bond = management.bond.as_ref().unwrap();
        assert_eq!((bond.mode, bond.members[0].as_str()), (BondMode::Lacp, "52:54:00:12:34:02"));
        assert_eq!((management.vlan, &management.mode), (Some(409), &AddressMode::None));
        assert_eq!(management.ipv6, Ipv6Mode::Auto);
        assert_eq!(
            press(&mut state, &[Key::Enter, Key::Leave]),
            None,
            "it takes down what it made"
        );
        assert_eq!((&state.screen, state.leave), (&Screen::NetworkTest(None), None));
        state.on(Event::Tested(Vec::new()));
        assert_eq!(state.screen, Screen::NetworkTest(Some(Vec::new())));
        press(&mut state, &[Key::Enter]);
        assert_eq!(state.screen, Screen::Network);
        state.on(Event::Tested(Vec::new()));
        assert_eq!(state.screen, Screen::Network, "late news");
    }
}
