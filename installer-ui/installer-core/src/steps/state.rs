// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state partition; see [`crate::layout`] for what lies where.

use std::path::Path;

use image_formats::gpt::Role;

use super::{Run, StepError};
use crate::discovery::Nic;
use crate::layout::{Entry, EntryKind, NTP_SOURCES, PROXY, STATE_LABEL};
use crate::plan::Plan;
use crate::system::{Ext4, SystemError};

/// Debian's fixed id of the group `shadow`.
const GROUP_SHADOW: u32 = 42;
const SHADOW: &str = "/etc/shadow";

impl Run<'_> {
    pub(super) fn make_state(&mut self) -> Result<(), StepError> {
        let mut shadow = String::new();
        let mut file = self.system.open(Path::new(SHADOW))?;
        let read = file.read_to_string(&mut shadow);
        let reading = |source| SystemError::Io { doing: "reading", path: SHADOW.into(), source };
        read.map_err(reading)?;
        let entries = entries(self.plan, &shadow)?;
        let device = self.device(Role::State);
        if self.plan.kept.is_some() {
            self.system.replace_state(&device, &entries, &self.folders)?;
            return self.last_of_arrays();
        }
        let content = Ext4 { label: STATE_LABEL, uuid: self.plan.ids.state, entries: &entries };
        self.system.make_ext4(&device, &content)?;
        Ok(())
    }
}

/// Everything on the state partition, folders before what is in them.
fn entries(plan: &Plan, shadow: &str) -> Result<Vec<Entry>, StepError> {
    let handover = toml::to_string(&plan.handover).map_err(StepError::Handover)?;
    let name = plan.hostname.as_str();
    let short = name.split('.').next().unwrap_or(name);
    let names = if short == name { name.to_owned() } else { format!("{name} {short}") };
    let hosts = format!(
        "127.0.0.1 localhost\n127.0.1.1 {names}\n::1       localhost ip6-localhost ip6-loopback\n"
    );
    let shadow = EntryKind::File {
        bytes: with_root_password(shadow, plan.root_password.as_crypt())?.into_bytes(),
        mode: 0o640,
        group: GROUP_SHADOW,
    };
    let mut entries = vec![
        Entry::folder("etc/upper", 0o755),
        Entry::folder("etc/work", 0o755),
        Entry::folder("root", 0o700),
        Entry::folder("var/lib/xenith", 0o700),
        Entry::file("etc/upper/hostname", 0o644, format!("{name}\n")),
        Entry::file("etc/upper/hosts", 0o644, hosts),
        Entry::file("etc/upper/machine-id", 0o444, format!("{}\n", plan.ids.machine.simple())),
        Entry { path: "etc/upper/shadow".into(), kind: shadow },
        Entry::file("var/lib/xenith/handover.toml", 0o600, handover),
    ];
    for nic in &plan.nics {
        entries.extend(link_file(nic));
    }
    if plan.ssh {
        entries.push(Entry::link(
            "etc/upper/systemd/system/multi-user.target.wants/ssh.service",
            "/usr/lib/systemd/system/ssh.service",
        ));
    }
    if !plan.ntp.is_empty() {
        let lines = plan.ntp.iter().map(|server| format!("server {} iburst\n", server.as_str()));
        let path = NTP_SOURCES.replacen("etc", "etc/upper", 1);
        entries.push(Entry::file(&path, 0o644, lines.collect::<String>()));
    }
    if let Some(keymap) = &plan.regional.keymap {
        let line = format!("KEYMAP={}\n", keymap.as_str());
        entries.push(Entry::file("etc/upper/default/keyboard", 0o644, line));
    }
    if let Some(zone) = &plan.regional.zone {
        let target = format!("../usr/share/zoneinfo/{}", zone.as_str());
        entries.push(Entry::link("etc/upper/localtime", &target));
    }
    if let Some(proxy) = &plan.proxy {
        // The address is checked: it has nothing in it that a shell would understand.
        let lines =
            proxy.env().into_iter().map(|(name, value)| format!("export {name}='{value}'\n"));
        let path = PROXY.replacen("etc", "etc/upper", 1);
        // There may be a password in it.
        entries.push(Entry::file(&path, 0o600, lines.collect::<String>()));
    }
    if !plan.ssh_keys.is_empty() {
        let keys: String = plan.ssh_keys.iter().map(|key| format!("{}\n", key.as_str())).collect();
        entries.push(Entry::folder("root/.ssh", 0o700));
        entries.push(Entry::file("root/.ssh/authorized_keys", 0o600, keys));
    }
    Ok(entries)
}

/// The card keeps the name that it has now, whatever is plugged in beside it (systemd.link(5)). The
/// kernel's own names, `eth0`, cannot be kept: it may have given one to another card by then.
fn link_file(nic: &Nic) -> Option<Entry> {
    let kernels = nic.name.strip_prefix("eth").is_some_and(|rest| rest.parse::<u32>().is_ok());
    if kernels || nic.mac.as_str() == "00:00:00:00:00:00" {
        return None;
    }
    let text = format!(
        "# Written by the installer.\n[Match]\nPermanentMACAddress={}\n\n[Link]\nName={}\n",
        nic.mac, nic.name
    );
    let path = format!("etc/upper/systemd/network/70-xenith-{}.link", nic.name);
    Some(Entry::file(&path, 0o644, text))
}

/// Replaces the second field of root's line.
fn with_root_password(shadow: &str, hash: &str) -> Result<String, StepError> {
    let mut found = false;
    let mut text = String::new();
    for line in shadow.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.len() >= 2 && fields[0] == "root" {
            fields[1] = hash;
            found = true;
        }
        text.push_str(&fields.join(":"));
        text.push('\n');
    }
    if found { Ok(text) } else { Err(StepError::NoRoot) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_time_servers_take_the_place_of_the_images() {
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dom0-rootfs/overlay");
        let read = |path: &str| std::fs::read_to_string(overlay.join(path)).unwrap();
        assert!(read(NTP_SOURCES).starts_with("pool "));
        let configuration = read("etc/chrony/chrony.conf");
        assert!(configuration.contains("\nsourcedir /etc/chrony/sources.d\n"));
        assert!(!configuration.contains("\npool "), "it would be asked too");
    }

    #[test]
    fn login_shells_read_the_proxy() {
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dom0-rootfs/overlay");
        let profile = std::fs::read_to_string(overlay.join("etc/profile")).unwrap();
        assert!(
            profile.contains("\n[ -r /etc/profile.d/proxy.sh ] && . /etc/profile.d/proxy.sh\n")
        );
        assert_eq!(PROXY, "etc/profile.d/proxy.sh");
    }

    #[test]
    fn names_of_cards_are_kept_by_mac_address() {
        let nic = |name: &str, mac: &str| Nic {
            name: name.to_owned(),
            mac: mac.parse().unwrap(),
            driver: None,
            carrier: None,
            max_mtu: None,
        };
        let entry = link_file(&nic("eno1", "52:54:00:12:34:56")).unwrap();
        assert_eq!(entry.path, Path::new("etc/upper/systemd/network/70-xenith-eno1.link"));
        let EntryKind::File { bytes, .. } = entry.kind else { panic!() };
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with("PermanentMACAddress=52:54:00:12:34:56\n\n[Link]\nName=eno1\n"));
        assert!(link_file(&nic("eth0", "52:54:00:12:34:56")).is_none());
        assert!(link_file(&nic("eno1", "00:00:00:00:00:00")).is_none());
    }

    #[test]
    fn only_roots_password_changes() {
        let shadow = "root:*:20000:0:99999:7:::\nsshd:!:20000::::::\n";
        let text = with_root_password(shadow, "$6$s$h").unwrap();
        assert_eq!(text, "root:$6$s$h:20000:0:99999:7:::\nsshd:!:20000::::::\n");
        assert!(matches!(with_root_password("x:*::\n", "h"), Err(StepError::NoRoot)));
    }
}
