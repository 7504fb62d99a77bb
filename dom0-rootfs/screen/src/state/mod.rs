// SPDX-License-Identifier: MIT OR Apache-2.0
//! The screens as a fold: events go in, actions come out, nothing else happens here.
//!
//! What is only looked at is open to everybody who stands before the machine. Whatever changes
//! something, and the shell, and consoles, goes through `State::need`, which asks for root's
//! password first.

mod address;
mod keys;
mod login;

use std::time::Duration;

pub use address::{Address, MODES};
pub use keys::vm_keys;
pub use login::Login;
pub use widgets::Key;

use crate::facts::{Facts, Interface, Vm};

/// An unlocked screen at which no key was pressed for so long locks itself.
pub const IDLE: Duration = Duration::from_secs(300);

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// What the host is like now.
    Facts(Box<Facts>),
    /// The toolstack does not answer, and why.
    Lost(String),
    /// Time went by: since this program began, and since the host did.
    Tick(Duration, Duration),
    /// The password was right, or what was wrong.
    LoggedIn(Result<(), String>),
    /// A request ended.
    Done(Request, Result<(), String>),
    /// The terminal is back from a console, a shell or a test, after so long; with what went wrong.
    Back(Duration, Result<(), String>),
}

/// What can be asked of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmRequest {
    /// Start it.
    Start,
    /// Ask it to shut down.
    Shutdown,
    /// Ask it to reboot.
    Reboot,
    /// Switch it off.
    ForceOff,
}

/// Something that the toolstack is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To a VM.
    Vm(VmRequest, Vm),
    /// Another IPv4 address.
    Address {
        /// Reference of the interface.
        pif: String,
        /// `DHCP` or `Static`.
        mode: &'static str,
        /// Address; empty for DHCP, as all that follows.
        ip: String,
        /// Netmask.
        netmask: String,
        /// Gateway; may be empty.
        gateway: String,
        /// Name servers, separated by commas.
        dns: String,
    },
    /// Restart the host, a reference.
    Reboot(String),
    /// Power it off.
    PowerOff(String),
    /// Start the toolstack anew.
    RestartToolstack(String),
}

/// What needs the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Nothing yet.
    Unlock,
    /// A request, which may be asked about.
    Request(Request),
    /// To change the address.
    Address,
    /// To try the network.
    TestNetwork,
    /// A VM's console.
    Console(Vm),
    /// A shell.
    Shell,
}

/// What the caller is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a session by this password, then send [`Event::LoggedIn`].
    LogIn(String),
    /// End it.
    LogOut,
    /// Have the request done in this session, then send [`Event::Done`].
    Request(Request),
    /// Connect the terminal to a VM's console, then send [`Event::Back`].
    Console(Vm),
    /// Give the person a shell, then send [`Event::Back`].
    Shell,
    /// Try the network on the terminal, then send [`Event::Back`].
    TestNetwork,
    /// Draw everything anew.
    Redraw,
    /// End the program.
    Leave,
}

/// Which screen is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// What the host is like, and the menu.
    Status,
    /// Root's password.
    Login,
    /// Interfaces.
    Network,
    /// The management interface's address.
    Address,
    /// SRs.
    Storage,
    /// VMs.
    Vms,
    /// The host's power.
    Host,
}

/// Entries of the first screen's menu; the last one says whether it locks or unlocks.
pub const MENU: &[&str] = &[
    "Network: interfaces, management address",
    "Storage repositories",
    "Virtual machines: start, shut down, consoles",
    "This host: restart, power off, restart the toolstack",
    "Local shell",
];

/// Entries of the host's screen.
pub const HOST: &[&str] = &["Restart the host", "Power the host off", "Restart the toolstack"];

/// What is on the terminal when the screens are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// They cannot be left: a host's monitor, whose other consoles have a login prompt.
    Never,
    /// A login prompt: a serial line, which is one console only.
    LoginPrompt,
    /// Whatever the person started them from.
    Caller,
}

/// Everything that is shown.
#[derive(Debug)]
pub struct State {
    /// Which screen is shown.
    pub screen: Screen,
    /// The host, once it is known.
    pub facts: Option<Facts>,
    /// Why the toolstack does not answer.
    pub lost: Option<String>,
    /// Time since the host began.
    pub uptime: Duration,
    /// Selected entry of the first screen's menu.
    pub menu: usize,
    /// Selected entry of any other screen.
    pub selected: usize,
    /// Root's password was given.
    pub unlocked: bool,
    /// What the person has to know.
    pub message: Option<String>,
    /// The password's screen.
    pub login: Login,
    /// The address's screen.
    pub address: Address,
    /// A request that waits for a yes.
    pub question: Option<Request>,
    /// What is on this terminal without the screens.
    pub leave: Leave,
    /// Since this program began.
    now: Duration,
    /// The same at the last key.
    last_key: Duration,
}

impl State {
    /// Before anything is known.
    pub fn new(leave: Leave) -> Self {
        Self {
            screen: Screen::Status,
            facts: None,
            lost: None,
            uptime: Duration::ZERO,
            menu: 0,
            selected: 0,
            unlocked: false,
            message: None,
            login: Login::default(),
            address: Address::default(),
            question: None,
            leave,
            now: Duration::ZERO,
            last_key: Duration::ZERO,
        }
    }

    /// Folds one event in.
    pub fn on(&mut self, event: Event) -> Option<Action> {
        match event {
            Event::Key(key) => {
                self.last_key = self.now;
                return self.on_key(key);
            }
            Event::Facts(facts) => {
                self.facts = Some(*facts);
                self.lost = None;
                self.selected = self.selected.min(self.entries().saturating_sub(1));
            }
            Event::Lost(why) => {
                self.lost = Some(why);
                // Sessions end with the toolstack.
                if self.unlocked {
                    return self.lock("The toolstack has ended the session.");
                }
                if self.login.checking {
                    self.login.checking = false;
                    self.message = Some("The toolstack does not answer.".to_owned());
                }
            }
            Event::Tick(now, uptime) => {
                self.now = now;
                self.uptime = uptime;
                if self.unlocked && now.saturating_sub(self.last_key) >= IDLE {
                    return self.lock("Locked, as no key was pressed for a while.");
                }
            }
            Event::LoggedIn(result) => return self.logged_in(result),
            Event::Done(request, result) => self.done(&request, result),
            Event::Back(after, result) => {
                if let Err(error) = result {
                    self.message = Some(error);
                }
                // Who leaves is not always who came.
                if after >= IDLE && self.unlocked {
                    return self.lock("Locked after a long time away.");
                }
                self.last_key = self.now;
            }
        }
        None
    }

    /// All that a screen shows of the time: minutes that the host is up, seconds until the next try of a
    /// password, and whether it is locked. Nothing is drawn for the time's sake as long as this stays.
    pub fn of_the_time(&self) -> (u64, u64, bool) {
        (self.uptime.as_secs() / 60, self.login_waits(), self.unlocked)
    }

    /// Does it, after the password if that was not given yet.
    fn need(&mut self, want: Want) -> Option<Action> {
        if self.unlocked {
            return self.grant(want);
        }
        let (back, selected) = (self.screen, self.selected);
        self.go(Screen::Login);
        self.login.begin(want, back, selected);
        None
    }

    /// Only for whoever gave the password.
    fn grant(&mut self, want: Want) -> Option<Action> {
        match want {
            Want::Unlock => {}
            Want::Request(request) => match request {
                Request::Vm(VmRequest::Start, _) => return self.send(request),
                Request::Reboot(_) | Request::PowerOff(_) if self.running() > 0 => {
                    let vms = match self.running() {
                        1 => "One virtual machine runs".to_owned(),
                        n => format!("{n} virtual machines run"),
                    };
                    self.message = Some(format!("{vms}; shut down or suspend first."));
                }
                _ => self.question = Some(request),
            },
            Want::Address => {
                if let Some(interface) = self.management().cloned() {
                    self.go(Screen::Address);
                    self.address = Address::of(&interface);
                }
            }
            Want::TestNetwork => return Some(Action::TestNetwork),
            Want::Console(vm) => return Some(Action::Console(vm)),
            Want::Shell => return Some(Action::Shell),
        }
        None
    }

    fn send(&mut self, request: Request) -> Option<Action> {
        self.message = Some(format!("{} ...", request.doing()));
        Some(Action::Request(request))
    }

    fn done(&mut self, request: &Request, result: Result<(), String>) {
        self.message = Some(match result {
            Ok(()) => format!("{}: done.", request.doing()),
            Err(error) => format!("{}: {error}", request.doing()),
        });
    }

    /// Back to what everybody may see.
    fn lock(&mut self, why: &str) -> Option<Action> {
        self.unlocked = false;
        self.question = None;
        self.login = Login::default();
        self.go(Screen::Status);
        self.message = Some(why.to_owned());
        Some(Action::LogOut)
    }

    fn go(&mut self, screen: Screen) {
        self.message = None;
        self.selected = 0;
        self.screen = screen;
    }

    /// The interface that the host is managed through.
    pub fn management(&self) -> Option<&Interface> {
        let facts = self.facts.as_ref()?;
        facts.interfaces.iter().find(|interface| interface.management)
    }

    /// VMs that are not halted and not suspended.
    pub fn running(&self) -> usize {
        let vms = self.facts.as_ref().map_or(&[][..], |facts| &facts.vms);
        vms.iter().filter(|vm| vm.state == "Running" || vm.state == "Paused").count()
    }

    /// The selected VM.
    pub fn vm(&self) -> Option<&Vm> {
        self.facts.as_ref()?.vms.get(self.selected)
    }

    /// Entries of the shown list.
    fn entries(&self) -> usize {
        let facts = self.facts.as_ref();
        match self.screen {
            Screen::Network => facts.map_or(0, |facts| facts.interfaces.len()),
            Screen::Storage => facts.map_or(0, |facts| facts.storage.len()),
            Screen::Vms => facts.map_or(0, |facts| facts.vms.len()),
            Screen::Host => HOST.len(),
            Screen::Status | Screen::Login | Screen::Address => 0,
        }
    }
}

impl Request {
    /// What is under way, in words.
    pub fn doing(&self) -> String {
        match self {
            Request::Vm(VmRequest::Start, vm) => format!("Starting {}", vm.name),
            Request::Vm(VmRequest::Shutdown, vm) => format!("Shutting down {}", vm.name),
            Request::Vm(VmRequest::Reboot, vm) => format!("Rebooting {}", vm.name),
            Request::Vm(VmRequest::ForceOff, vm) => format!("Switching off {}", vm.name),
            Request::Address { .. } => "Changing the address".to_owned(),
            Request::Reboot(_) => "Restarting the host".to_owned(),
            Request::PowerOff(_) => "Powering the host off".to_owned(),
            Request::RestartToolstack(_) => "Restarting the toolstack".to_owned(),
        }
    }

    /// What it is asked for with, and what it means.
    pub fn question(&self) -> (String, &'static str) {
        match self {
            Request::Vm(what, vm) => match what {
                VmRequest::Start => (format!("Start {}?", vm.name), ""),
                VmRequest::Shutdown => {
                    (format!("Shut down {}?", vm.name), "Its system is asked to end.")
                }
                VmRequest::Reboot => {
                    (format!("Reboot {}?", vm.name), "Its system is asked to end and start anew.")
                }
                VmRequest::ForceOff => (
                    format!("Switch {} off?", vm.name),
                    "As if its power were cut: what it has not written to its disks is lost.",
                ),
            },
            Request::Address { mode, ip, .. } => (
                match *mode {
                    "DHCP" => "Take the host's address from a DHCP server?".to_owned(),
                    _ => format!("Give the host the address {ip}?"),
                },
                "Clients lose their connections and have to find the host at its new address.",
            ),
            Request::Reboot(_) => ("Restart the host?".to_owned(), "No virtual machine runs."),
            Request::PowerOff(_) => ("Power the host off?".to_owned(), "No virtual machine runs."),
            Request::RestartToolstack(_) => (
                "Restart the toolstack?".to_owned(),
                "Virtual machines run on; clients, and this screen, have to log in again.",
            ),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
