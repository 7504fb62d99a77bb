// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clock, time zone, and the servers that chronyd asks for the time (chrony.conf(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::PoisonError;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use xapi_model::{DateTime, LocalTime};

use super::Dom0;

/// Where the time zone database is.
const ZONES: &str = "/usr/share/zoneinfo";
/// How a compiled zone begins (RFC 9636, section 3.1).
const MAGIC: &[u8; 4] = b"TZif";
/// Names in the folder that are no zones: other countings, and files for programs.
const NO_ZONES: [&str; 5] = ["posix", "right", "posixrules", "localtime", "Factory"];
/// The host's zone: localtime(5).
const ZONE: &str = "/etc/localtime";
/// The zone without that file.
const UTC: &str = "UTC";
/// Servers in use.
const SOURCES: &str = "/etc/chrony/sources.d/default.sources";
/// Those that the image was built with.
const FACTORY: &str = "/usr/share/xenith/ntp-factory.sources";
/// Those that DHCP and routers named; the folder goes with the boot.
const LEASED: &str = "/run/chrony-dhcp/xenith.sources";
/// Where systemd-networkd says what it learned of each link.
const LINKS: &str = "/run/systemd/netif/links";
/// All that is in [`SOURCES`] while the servers are those that DHCP names.
const BY_DHCP: &str = "# The servers that DHCP names are used.\n";
const CHRONY: &str = "chrony.service";

/// Where the time comes from, as `host.ntp_mode` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NtpMode {
    /// From servers that DHCP or routers name.
    Dhcp,
    /// From servers that an administrator names.
    Custom,
    /// From those of the image.
    Factory,
    /// From nobody.
    Disabled,
}

impl NtpMode {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            NtpMode::Dhcp => "DHCP",
            NtpMode::Custom => "Custom",
            NtpMode::Factory => "Factory",
            NtpMode::Disabled => "Disabled",
        }
    }

    /// The mode of this name.
    pub fn find(name: &str) -> Option<NtpMode> {
        let all = [NtpMode::Dhcp, NtpMode::Custom, NtpMode::Factory, NtpMode::Disabled];
        all.into_iter().find(|mode| mode.name() == name)
    }
}

/// Whether a text is a host name or an address, and nothing that chronyd would read as more.
pub fn is_server(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label))
}

/// Servers named in a file of chronyd's sources.
fn servers(text: &str) -> Vec<String> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("server" | "pool" | "peer")).then(|| words.next())?
    });
    named.map(str::to_owned).collect()
}

fn sources<'a>(servers: impl IntoIterator<Item = &'a str>) -> String {
    servers.into_iter().map(|server| format!("server {server} iburst\n")).collect()
}

impl Dom0 {
    /// Sets the clock to a second since 1970, and the machine's own clock with it.
    pub fn set_time(&self, seconds: i64) -> Result<()> {
        self.run("date", &["--utc", &format!("--set=@{seconds}")])?;
        // Xen's guests and the next start read the other one; not every machine lets Dom0 set it.
        if let Err(error) = self.run("hwclock", &["--systohc", "--utc"]) {
            tracing::warn!("{error:#}");
        }
        Ok(())
    }

    /// The host's time zone.
    pub fn zone(&self) -> String {
        let target = fs::read_link(self.path(ZONE)).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        let name = target.split_once("zoneinfo/").map(|(_, name)| name.to_owned());
        name.unwrap_or_else(|| UTC.to_owned())
    }

    /// What a clock in the host's time zone shows in a second of UTC.
    pub fn local_time(&self, time: DateTime) -> Result<LocalTime> {
        let name = self.zone();
        if name == UTC {
            return Ok(LocalTime(time.0));
        }
        let path = self.path(&format!("{ZONES}/{name}"));
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let doing = || format!("reading {}", path.display());
        let zone = TimeZone::tzif(&name, &bytes).with_context(doing)?;
        let second = Timestamp::from_second(time.0).context("a time that no calendar has")?;
        Ok(LocalTime(time.0 + i64::from(zone.to_offset(second).seconds())))
    }

    /// Changes the host's time zone; false if there is none of this name.
    pub fn set_zone(&self, name: &str) -> Result<bool> {
        if !self.zones()?.contains(name) {
            return Ok(false);
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, new) = (self.path(ZONE), self.path("/etc/localtime.new"));
        self.remove("/etc/localtime.new")?;
        let target = format!("..{ZONES}/{name}");
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
            .and_then(|()| symlink(&target, &new))
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(true)
    }

    /// Names of all time zones.
    pub fn zones(&self) -> Result<BTreeSet<String>> {
        let mut zones = BTreeSet::from([UTC.to_owned()]);
        let folder = self.path(ZONES);
        walk(&folder, "", &mut zones).with_context(|| format!("reading {}", folder.display()))?;
        Ok(zones)
    }

    /// Where the time comes from, and the servers that were named for it.
    pub(super) fn ntp(&self) -> Result<(NtpMode, Vec<String>)> {
        let text = self.text(SOURCES);
        let named = servers(&text);
        if !self.unit(CHRONY)?.enabled {
            return Ok((NtpMode::Disabled, Vec::new()));
        }
        Ok(if text == BY_DHCP {
            (NtpMode::Dhcp, Vec::new())
        } else if named == servers(&self.text(FACTORY)) {
            (NtpMode::Factory, Vec::new())
        } else {
            (NtpMode::Custom, named)
        })
    }

    /// Takes the time from elsewhere, at once. `servers` are those of [`NtpMode::Custom`].
    pub fn set_ntp(&self, mode: NtpMode, servers: &[String]) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match mode {
            NtpMode::Disabled => {
                self.remove(LEASED)?;
                return self.systemctl(&["disable", "--now", CHRONY]);
            }
            NtpMode::Dhcp => BY_DHCP.to_owned(),
            NtpMode::Custom => sources(servers.iter().map(String::as_str)),
            NtpMode::Factory => match self.text(FACTORY) {
                text if text.is_empty() => bail!("{FACTORY} is not there"),
                text => text,
            },
        };
        self.write(SOURCES, &text)?;
        match mode {
            NtpMode::Dhcp => drop(self.write_leased()?),
            _ => self.remove(LEASED)?,
        }
        self.systemctl(&["enable", CHRONY])?;
        // Also when it runs: it then forgets the servers of before.
        self.systemctl(&["restart", CHRONY])
    }

    /// Follows what DHCP names, if that is wanted.
    pub fn follow_leases(&self) -> Result<()> {
        if self.text(SOURCES) != BY_DHCP {
            return Ok(());
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.text(SOURCES) == BY_DHCP && self.write_leased()? && self.unit(CHRONY)?.active {
            self.run("chronyc", &["reload", "sources"])?;
        }
        Ok(())
    }

    /// Whether the file changed.
    fn write_leased(&self) -> Result<bool> {
        let mut named = BTreeSet::new();
        for link in fs::read_dir(self.path(LINKS)).into_iter().flatten().flatten() {
            let text = fs::read_to_string(link.path()).unwrap_or_default();
            let ntp = text.lines().filter_map(|line| line.strip_prefix("NTP="));
            named.extend(ntp.flat_map(str::split_whitespace).map(str::to_owned));
        }
        let text = sources(named.iter().map(String::as_str).filter(|server| is_server(server)));
        if text == self.text(LEASED) {
            return Ok(false);
        }
        self.write(LEASED, &text).map(|()| true)
    }

    /// Whether the clock goes by that of others now.
    pub fn is_synchronized(&self) -> Result<bool> {
        if !self.unit(CHRONY)?.active {
            return Ok(false);
        }
        // The last column says what the clock does about leap seconds, or that it is not known.
        let said = self.run("chronyc", &["-c", "tracking"])?;
        let leap = said.trim().rsplit(',').next().unwrap_or_default();
        Ok(["Normal", "Insert second", "Delete second"].contains(&leap))
    }

    /// Servers that are asked, and how they are.
    pub fn ntp_status(&self) -> Result<BTreeMap<String, String>> {
        if !self.unit(CHRONY)?.active {
            return Ok(BTreeMap::new());
        }
        let said = self.run("chronyc", &["-n", "-c", "sources"])?;
        let status = said.lines().filter_map(|line| {
            let mut columns = line.trim().split(',');
            let (kind, state, server) = (columns.next()?, columns.next()?, columns.next()?);
            let state = match state {
                "*" => "synced",
                "+" => "combined",
                "-" => "uncombined",
                "x" => "error",
                "~" => "variable",
                "?" => "unreachable",
                _ => "unknown",
            };
            (kind == "^").then(|| (server.to_owned(), state.to_owned()))
        });
        Ok(status.collect())
    }
}

fn walk(folder: &Path, prefix: &str, zones: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if prefix.is_empty() && NO_ZONES.contains(&name) {
            continue;
        }
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            walk(&path, &format!("{name}/"), zones)?;
        } else if begins_with_magic(&path)? {
            zones.insert(name);
        }
    }
    Ok(())
}

fn begins_with_magic(path: &Path) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    match fs::File::open(path)?.read_exact(&mut start) {
        Ok(()) => Ok(start == *MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_names_and_addresses() {
        for good in ["ntp.example.org", "192.0.2.1", "2001:db8::1", "time"] {
            assert!(is_server(good), "{good}");
        }
        for bad in ["", "a b", "x\nserver y", "-x", "a..b", "time#1", &"x.".repeat(200)] {
            assert!(!is_server(bad), "{bad:?}");
        }
        let text = "# server no\npool a.example iburst\n\nserver 192.0.2.1\nserver\nrefclock PPS\n";
        assert_eq!(servers(text), ["a.example", "192.0.2.1"]);
    }

    #[test]
    fn the_image_begins_with_its_own_servers() {
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlay");
        let text = |path: &str| fs::read_to_string(overlay.join(&path[1..])).unwrap();
        assert_eq!(text(SOURCES), text(FACTORY));
        assert!(!servers(&text(FACTORY)).is_empty());
        assert!(text("/etc/chrony/chrony.conf").contains("sourcedir /run/chrony-dhcp\n"));
    }
}
