// SPDX-License-Identifier: MIT OR Apache-2.0
//! Name, password, keyboard, clock, services of the host.

use super::super::raw::RawTime;
use super::{Element, Translation, tag};

/// What the elements say of time servers.
#[derive(Debug, Default)]
pub(super) struct Time {
    /// Of `<ntp>`.
    source: Option<String>,
    servers: Vec<String>,
    /// Of `<timezone>`.
    zone: Option<String>,
}

impl Translation {
    pub(super) fn hostname(&mut self, element: &Element) {
        self.attributes(element, &[]);
        self.raw.hostname = self.text(element);
    }

    pub(super) fn password(&mut self, element: &Element) {
        const ABOUT: &str = "<root-password>";
        self.attributes(element, &["type"]);
        let Some(text) = self.text(element) else { return };
        // The texts below show nothing of what is written, which may be the password itself.
        match element.attribute(&["type"]) {
            Some("hash") if text == "!!" => {
                let hint = "give a password: it is not asked for at the first start";
                self.problem(ABOUT, "\"!!\" would set none", hint);
            }
            Some("hash") => self.raw.root_password_hash = Some(text),
            None | Some("plaintext") if text.starts_with('$') && text.matches('$').count() > 2 => {
                let hint = "say type=\"hash\", or choose a password that looks otherwise";
                self.problem(ABOUT, "this looks like a hash and not like a password", hint);
            }
            None | Some("plaintext") => self.raw.root_password = Some(text),
            Some(_) => {
                let hint = "type=\"plaintext\" or type=\"hash\"";
                self.problem(ABOUT, "the type is not one of plaintext, hash", hint);
            }
        }
    }

    pub(super) fn keymap(&mut self, element: &Element) {
        self.attributes(element, &[]);
        self.raw.keymap = self.text(element);
    }

    pub(super) fn timezone(&mut self, element: &Element) {
        self.attributes(element, &[]);
        self.time.zone = self.text(element);
    }

    pub(super) fn time_method(&mut self, element: &Element) {
        self.attributes(element, &[]);
        match self.text(element).as_deref() {
            None | Some("ntp") => {}
            Some("manual") => {
                self.note("<time-config-method>", "the clock is set by NTP here, not by hand");
            }
            Some(other) => {
                let text = format!("{other:?} is not one of ntp, manual");
                self.problem("<time-config-method>", text, "leave it out");
            }
        }
    }

    pub(super) fn ntp_source(&mut self, element: &Element) {
        const ABOUT: &str = "<ntp>";
        self.attributes(element, &["source"]);
        match element.attribute(&["source"]) {
            Some(source @ ("default" | "manual")) => self.time.source = Some(source.to_owned()),
            Some(source @ "dhcp") => {
                self.time.source = Some(source.to_owned());
                self.note(ABOUT, "time servers are not taken from DHCP: Debian's are asked");
            }
            Some("none") => {
                self.problem(ABOUT, "the clock is always set by NTP here", "leave it out");
            }
            _ => {
                let text = "source is not one of dhcp, default, manual, none";
                self.problem(ABOUT, text, "leave it out");
            }
        }
    }

    pub(super) fn ntp_server(&mut self, element: &Element) {
        self.attributes(element, &[]);
        let text = self.text(element);
        self.time.servers.extend(text);
    }

    pub(super) fn finish_time(&mut self) {
        const SERVER: &str = "ntp-server";
        let Time { source, servers, zone } = std::mem::take(&mut self.time);
        match source.as_deref() {
            Some("manual") if servers.is_empty() => self.missing(SERVER, "\"manual\" needs one"),
            Some(source @ ("dhcp" | "default")) if !servers.is_empty() => {
                let text = format!("is given although the source of time is {source:?}");
                self.problem(&tag(SERVER), text, "say <ntp source=\"manual\"/>, or leave it out");
            }
            _ => self.raw.time = Some(RawTime { ntp: servers, zone }),
        }
    }

    pub(super) fn service(&mut self, element: &Element) {
        const ABOUT: &str = "<service>";
        self.attributes(element, &["name", "state"]);
        let on = match element.attribute(&["state"]) {
            Some("enabled") => true,
            Some("disabled") => false,
            _ => {
                let hint = "state=\"enabled\" or state=\"disabled\"";
                self.problem(ABOUT, "state is not one of enabled, disabled", hint);
                return;
            }
        };
        match element.attribute(&["name"]) {
            Some("sshd" | "ssh") => {
                if self.raw.ssh.replace(on).is_some() {
                    self.problem(ABOUT, "sshd is there more than once", "keep one");
                }
            }
            name => {
                let text = format!("{:?} cannot be switched on or off", name.unwrap_or_default());
                self.problem(ABOUT, text, "only sshd can; leave the others out");
            }
        }
    }
}
