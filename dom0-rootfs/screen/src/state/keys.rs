// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each key does on each screen.

use super::{Action, HOST, Key, Leave, MENU, Request, Screen, State, VmRequest, Want};

/// Entries that Page up and down go over.
const PAGE: usize = 10;

impl State {
    pub(super) fn on_key(&mut self, key: Key) -> Option<Action> {
        if key == Key::Redraw {
            return Some(Action::Redraw);
        }
        if self.question.is_some() {
            return self.question_key(key);
        }
        match self.screen {
            Screen::Status => self.status_key(key),
            Screen::Login => self.login_key(key),
            Screen::Address => self.address_key(key),
            Screen::Network | Screen::Storage | Screen::Vms | Screen::Host => {
                self.message = None;
                self.list_key(key)
            }
        }
    }

    /// Only `y` is a yes.
    fn question_key(&mut self, key: Key) -> Option<Action> {
        let request = match key {
            Key::Char('y' | 'Y') => self.question.take()?,
            Key::Char('n' | 'N') | Key::Esc | Key::Leave => {
                self.question = None;
                return None;
            }
            _ => return None,
        };
        if self.screen == Screen::Address {
            self.go(Screen::Network);
        }
        self.send(request)
    }

    fn status_key(&mut self, key: Key) -> Option<Action> {
        self.message = None;
        match key {
            Key::Up => self.menu = self.menu.saturating_sub(1),
            Key::Down => self.menu = (self.menu + 1).min(MENU.len()),
            Key::Home => self.menu = 0,
            Key::End => self.menu = MENU.len(),
            Key::Char('q') | Key::Leave if self.leave != Leave::Never => {
                return Some(Action::Leave);
            }
            Key::Enter => match self.menu {
                0 => self.go(Screen::Network),
                1 => self.go(Screen::Storage),
                2 => self.go(Screen::Vms),
                3 => self.go(Screen::Host),
                4 => return self.need(Want::Shell),
                _ if self.unlocked => return self.lock("Locked."),
                _ => return self.need(Want::Unlock),
            },
            _ => {}
        }
        None
    }

    fn list_key(&mut self, key: Key) -> Option<Action> {
        let last = self.entries().saturating_sub(1);
        match key {
            Key::Up => self.selected = self.selected.saturating_sub(1),
            Key::Down => self.selected = (self.selected + 1).min(last),
            Key::PageUp => self.selected = self.selected.saturating_sub(PAGE),
            Key::PageDown => self.selected = (self.selected + PAGE).min(last),
            Key::Home => self.selected = 0,
            Key::End => self.selected = last,
            Key::Esc | Key::Leave | Key::Char('q') => self.go(Screen::Status),
            key => {
                return match self.screen {
                    Screen::Network => self.network_key(key),
                    Screen::Vms => self.vm_key(key),
                    Screen::Host => self.host_key(key),
                    _ => None,
                };
            }
        }
        None
    }

    fn network_key(&mut self, key: Key) -> Option<Action> {
        match key {
            Key::Char('a') if self.management().is_some() => self.need(Want::Address),
            Key::Char('t') | Key::Test => self.need(Want::TestNetwork),
            _ => None,
        }
    }

    fn vm_key(&mut self, key: Key) -> Option<Action> {
        let vm = self.vm()?.clone();
        let asked = vm_keys(&vm.allowed).find(|(name, _)| key == Key::Char(*name));
        if let Some((_, what)) = asked {
            return self.need(Want::Request(Request::Vm(what, vm)));
        }
        match key {
            Key::Char('c') | Key::Enter if vm.console.is_some() => self.need(Want::Console(vm)),
            _ => None,
        }
    }

    fn host_key(&mut self, key: Key) -> Option<Action> {
        let host = self.facts.as_ref()?.host.clone();
        if key != Key::Enter || self.selected >= HOST.len() {
            return None;
        }
        self.need(Want::Request(match self.selected {
            0 => Request::Reboot(host),
            1 => Request::PowerOff(host),
            _ => Request::RestartToolstack(host),
        }))
    }
}

/// Keys for what may be done with a VM now.
pub fn vm_keys(allowed: &[String]) -> impl Iterator<Item = (char, VmRequest)> + '_ {
    let all = [
        ('s', VmRequest::Start, "start"),
        ('d', VmRequest::Shutdown, "clean_shutdown"),
        ('r', VmRequest::Reboot, "clean_reboot"),
        ('f', VmRequest::ForceOff, "hard_shutdown"),
    ];
    let may = move |name: &str| allowed.iter().any(|operation| operation == name);
    all.into_iter().filter(move |(_, _, name)| may(name)).map(|(key, what, _)| (key, what))
}
