// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of systemd-networkd.

use std::fmt::Write as _;
use std::fs;
use std::io;

use crate::backend::IpMode;
use crate::error::NetworkError;
use crate::program::{System, io as failing};

const FOLDER: &str = "/etc/systemd/network";

const HEAD: &str = "# Written by the Xenith toolstack; changes are lost.\n";

/// The file of an interface that has an address of its own.
pub(crate) fn address_file(interface: &str) -> String {
    format!("20-xenith-{interface}.network")
}

/// The file of a network card that is only a port of a bridge.
pub(crate) fn uplink_file(interface: &str) -> String {
    format!("10-xenith-uplink-{interface}.network")
}

pub(crate) fn address(interface: &str, mode: &IpMode) -> String {
    let mut text = format!("{HEAD}[Match]\nName={interface}\n\n[Link]\nRequiredForOnline=no\n");
    // The stack is asked for IPv4 only so far; addresses nobody asked for are a way in nobody sees.
    text += "\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n";
    match mode {
        IpMode::None => {}
        IpMode::Dhcp => {
            text += "DHCP=ipv4\n\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\nUseDomains=yes\n";
        }
        IpMode::Static { address, gateway, dns } => {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "Address={address}");
            if let Some(gateway) = gateway {
                let _ = writeln!(text, "Gateway={gateway}");
            }
            for server in dns {
                let _ = writeln!(text, "DNS={server}");
            }
        }
    }
    text
}

pub(crate) fn uplink(interface: &str, mtu: u32) -> String {
    format!(
        "{HEAD}[Match]\nName={interface}\n\n[Link]\nRequiredForOnline=no\nMTUBytes={mtu}\n\n\
         [Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n"
    )
}

/// Writes a file, whole or not at all.
pub(crate) fn write(system: &dyn System, name: &str, text: &str) -> Result<(), NetworkError> {
    let folder = system.path(FOLDER);
    let path = folder.join(name);
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let partial = folder.join(format!(".{name}.partial"));
    (|| {
        fs::create_dir_all(&folder)?;
        fs::write(&partial, text)?;
        fs::File::open(&partial)?.sync_all()?;
        fs::rename(&partial, &path)
    })()
    .map_err(failing(format!("writing {FOLDER}/{name}")))
}

pub(crate) fn remove(system: &dyn System, name: &str) -> Result<(), NetworkError> {
    match fs::remove_file(system.path(FOLDER).join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failing(format!("removing {FOLDER}/{name}"))(error))
        }
        _ => Ok(()),
    }
}

/// Has systemd-networkd act on files that changed; interfaces whose file did not change stay as they are.
pub(crate) fn reload(system: &dyn System) -> Result<(), NetworkError> {
    system.must("reloading the network configuration", "networkctl", &["reload"]).map(drop)
}
