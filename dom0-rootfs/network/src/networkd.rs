// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of systemd-networkd.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::backend::{Addressing, IpMode, Ipv6Mode};
use crate::error::NetworkError;
use crate::program::{System, io as failing};

const FOLDER: &str = "/etc/systemd/network";

/// What systemd-networkd answers while it reads its files (`org.freedesktop.network1.AlreadyReloading`,
/// from systemd 257 on).
const ALREADY_RELOADING: &str = "Already reloading";

/// How often it is asked then, and how long apart: ten seconds in all.
const ATTEMPTS: u32 = 100;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

const HEAD: &str = "# Written by the Xenith toolstack; changes are lost.\n";

/// The file of an interface that has an address of its own.
pub(crate) fn address_file(interface: &str) -> String {
    format!("20-xenith-{interface}.network")
}

/// The file of a network card that is only a port of a bridge.
pub(crate) fn uplink_file(interface: &str) -> String {
    format!("10-xenith-uplink-{interface}.network")
}

pub(crate) fn address(interface: &str, addressing: &Addressing) -> String {
    let Addressing { ipv4, ipv6, dns } = addressing;
    let mut text = format!("{HEAD}[Match]\nName={interface}\n\n[Link]\nRequiredForOnline=no\n");
    // Addresses that nobody asked for are a way in that nobody sees.
    let link_local = if *ipv6 == Ipv6Mode::None { "no" } else { "ipv6" };
    let announced = if matches!(ipv6, Ipv6Mode::Autoconf | Ipv6Mode::Dhcp) { "yes" } else { "no" };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n[Network]\nLinkLocalAddressing={link_local}");
    let _ = writeln!(text, "IPv6AcceptRA={announced}\nConfigureWithoutCarrier=yes");
    let clients = match (ipv4, ipv6) {
        (IpMode::Dhcp, Ipv6Mode::Dhcp) => Some("yes"),
        (IpMode::Dhcp, _) => Some("ipv4"),
        (_, Ipv6Mode::Dhcp) => Some("ipv6"),
        _ => None,
    };
    if let Some(clients) = clients {
        let _ = writeln!(text, "DHCP={clients}");
    }
    if let IpMode::Static { address, gateway } = ipv4 {
        fixed(&mut text, address, gateway.as_deref());
    }
    if let Ipv6Mode::Static { address, gateway } = ipv6 {
        fixed(&mut text, address, gateway.as_deref());
    }
    for server in dns {
        let _ = writeln!(text, "DNS={server}");
    }
    if *ipv4 == IpMode::Dhcp {
        text += "\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\nUseDomains=yes\n";
    }
    match ipv6 {
        Ipv6Mode::Autoconf => text += "\n[IPv6AcceptRA]\nUseDomains=yes\n",
        // The server is asked at once, whatever routers say, and the address is its alone.
        Ipv6Mode::Dhcp => {
            text += "\n[IPv6AcceptRA]\nUseAutonomousPrefix=no\nUseDomains=yes\n";
            text += "\n[DHCPv6]\nUseHostname=no\nUseDomains=yes\nWithoutRA=solicit\n";
        }
        Ipv6Mode::None | Ipv6Mode::Static { .. } => {}
    }
    text
}

fn fixed(text: &mut String, address: &str, gateway: Option<&str>) {
    let _ = writeln!(text, "Address={address}");
    if let Some(gateway) = gateway {
        let _ = writeln!(text, "Gateway={gateway}");
    }
}

pub(crate) fn uplink(interface: &str, mtu: u32) -> String {
    format!(
        "{HEAD}[Match]\nName={interface}\n\n[Link]\nRequiredForOnline=no\nMTUBytes={mtu}\n\n\
         [Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n"
    )
}

#[expect(clippy::disallowed_methods, reason = "the end of another's reading has no event")]
fn pause() {
    thread::sleep(BETWEEN_ATTEMPTS);
}

/// The host's systemd-networkd, told of files that changed.
pub(crate) struct Networkd {
    system: Arc<dyn System>,
    /// Whether it may not have read what its files say: after a start of this process nobody knows.
    /// Locked while it reads them, because it refuses to be told twice at a time.
    stale: Mutex<bool>,
}

impl Networkd {
    pub(crate) fn new(system: Arc<dyn System>) -> Self {
        Self { system, stale: Mutex::new(true) }
    }

    /// Writes a file, whole or not at all.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), NetworkError> {
        let folder = self.system.path(FOLDER);
        let path = folder.join(name);
        let mut stale = self.stale();
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        *stale = true;
        let partial = folder.join(format!(".{name}.partial"));
        (|| {
            fs::create_dir_all(&folder)?;
            fs::write(&partial, text)?;
            fs::File::open(&partial)?.sync_all()?;
            fs::rename(&partial, &path)
        })()
        .map_err(failing(format!("writing {FOLDER}/{name}")))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.system.path(FOLDER).join(name).exists()
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), NetworkError> {
        let mut stale = self.stale();
        match fs::remove_file(self.system.path(FOLDER).join(name)) {
            Ok(()) => {
                *stale = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failing(format!("removing {FOLDER}/{name}"))(error)),
        }
    }

    /// Has systemd-networkd act on files that changed, if any did; interfaces whose file did not
    /// change stay as they are.
    pub(crate) fn reload(&self) -> Result<(), NetworkError> {
        let mut stale = self.stale();
        if !*stale {
            return Ok(());
        }
        let mut attempts = 0;
        let ran = loop {
            let ran = self.system.run("networkctl", &["reload"])?;
            attempts += 1;
            // Somebody else told it to, an administrator perhaps; it may have read our files before
            // they changed.
            if !ran.stderr.contains(ALREADY_RELOADING) || attempts == ATTEMPTS {
                break ran;
            }
            pause();
        };
        ran.must("reloading the network configuration", "networkctl")?;
        *stale = false;
        Ok(())
    }

    fn stale(&self) -> MutexGuard<'_, bool> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
