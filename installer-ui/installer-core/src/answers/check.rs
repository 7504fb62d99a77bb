// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what is written to what is meant; collects every finding.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use appliance_model::handover::LocalSrKind;
use appliance_model::nearest;

use super::raw::{RawAnswers, RawChoice, RawDisk, RawStorage};
use super::{
    Answers, AnswersError, BadField, DiskChoice, DiskRules, Glob, Hostname, NtpServer, OnSuccess,
    PasswordHash, Problem, RegionalAnswer, SshKey, StorageAnswer, bytes, hooks, network,
};

/// Words of `on-success`.
pub(super) const ON_SUCCESS: &[(&str, OnSuccess)] = &[
    ("reboot", OnSuccess::Reboot),
    ("poweroff", OnSuccess::Poweroff),
    ("shell", OnSuccess::Shell),
];
/// Words of `storage.type`.
pub(super) const STORAGE: &[(&str, Option<LocalSrKind>)] =
    &[("ext", Some(LocalSrKind::Ext)), ("lvm-thin", Some(LocalSrKind::LvmThin)), ("none", None)];
/// Words of `disk.select`.
pub(super) const SELECT: &[(&str, ())] = &[("smallest", ())];
/// Keys of a disk's table that are rules.
pub(super) const RULES: &[&str] = &["serial", "filter", "min-size", "max-size", "select"];
/// udev's name of a disk's serial number.
const SERIAL: &str = "ID_SERIAL_SHORT";

/// Collects findings while values are taken out of the raw form.
#[derive(Default)]
pub(super) struct Findings(Vec<Problem>);

impl Findings {
    pub(super) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn take<T>(&mut self, key: &str, result: Result<T, BadField>) -> Option<T> {
        result.map_err(|error| self.add(Problem::new(key, error.0))).ok()
    }

    pub(super) fn parse<T: FromStr<Err = BadField>>(&mut self, key: &str, text: &str) -> Option<T> {
        self.take(key, text.parse())
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        text: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let problem = Problem::new(key, format!("{text:?} is not one of {}", names.join(", ")));
            self.add(match nearest(text, names) {
                Some(name) => problem.hint(format!("did you mean {name:?}?")),
                None => problem,
            });
        }
        found
    }
}

pub(super) fn check(raw: RawAnswers) -> Result<Answers, AnswersError> {
    let mut findings = Findings::default();
    let hostname = hostname(&mut findings, raw.hostname.as_deref());
    let root_password =
        password(&mut findings, raw.root_password.as_deref(), raw.root_password_hash.as_deref());
    let ssh_keys: Vec<Option<SshKey>> = raw
        .ssh_keys
        .iter()
        .enumerate()
        .map(|(i, key)| findings.parse(&format!("ssh-keys[{i}]"), key))
        .collect();
    if raw.ssh == Some(false) && !ssh_keys.is_empty() {
        let problem = Problem::new("ssh", "is false although ssh-keys are given");
        findings.add(problem.hint("leave one of them out"));
    }
    let on_success = match raw.on_success.as_deref() {
        None => Some(OnSuccess::default()),
        Some(text) => findings.word("on-success", text, ON_SUCCESS),
    };
    let system = system(&mut findings, raw.disk);
    let keep = system.as_ref().is_some_and(|system| system.keep);
    if keep && raw.storage.is_some() {
        let problem = Problem::new("storage", "is given although disk.keep-storage is");
        findings.add(problem.hint("leave [storage] out: storage stays as it is"));
    }
    let proxy = raw.network.as_ref().and_then(|network| network.proxy.as_deref());
    let proxy = hooks::proxy(&mut findings, proxy);
    let network = raw.network.map(|raw| network::check(&mut findings, raw));
    let storage = match keep {
        true => Some(None),
        false => storage(&mut findings, raw.storage.unwrap_or_default()),
    };
    let time = raw.time.unwrap_or_default();
    let ntp = time_servers(&mut findings, &time.ntp);
    let regional = RegionalAnswer {
        keymap: raw.keymap.and_then(|name| findings.parse("keymap", &name)),
        zone: time.zone.and_then(|name| findings.parse("time.zone", &name)),
    };
    let webhook = raw.webhook.map(|webhook| hooks::webhook(&mut findings, webhook));
    let hooks = hooks::hooks(&mut findings, raw.hooks.unwrap_or_default());
    let pool_name = raw.pool.and_then(|pool| pool.name).unwrap_or_default();
    if pool_name.chars().any(char::is_control) {
        findings.add(Problem::new("pool.name", "holds a control character"));
    }
    match (system, hostname, root_password, on_success, storage) {
        (
            Some(System { disk, mirror, keep }),
            Some(hostname),
            Some(root_password),
            Some(on_success),
            Some(storage),
        ) if findings.0.is_empty() => {
            let ssh_keys: Vec<SshKey> = ssh_keys.into_iter().flatten().collect();
            Ok(Answers {
                disk,
                keep,
                mirror,
                hostname,
                network: network.flatten(),
                root_password,
                ssh: raw.ssh.unwrap_or(!ssh_keys.is_empty()),
                ssh_keys,
                storage,
                ntp,
                regional,
                pool_name,
                on_success,
                hooks,
                webhook: webhook.flatten(),
                proxy,
            })
        }
        _ => Err(AnswersError { problems: findings.0 }),
    }
}

fn hostname(findings: &mut Findings, text: Option<&str>) -> Option<Hostname> {
    match text {
        Some(text) => findings.parse("hostname", text),
        None => {
            findings.add(Problem::new("hostname", "is missing"));
            None
        }
    }
}

fn password(
    findings: &mut Findings,
    plain: Option<&str>,
    hash: Option<&str>,
) -> Option<PasswordHash> {
    match (plain, hash) {
        (Some(plain), None) => findings.take("root-password", PasswordHash::of_plain(plain)),
        (None, Some(hash)) => findings.parse("root-password-hash", hash),
        (Some(_), Some(_)) => {
            let problem = Problem::new("root-password", "is given twice, plain and as a hash");
            findings.add(problem.hint("keep only root-password-hash"));
            None
        }
        (None, None) => {
            let problem = Problem::new("root-password", "is missing");
            findings.add(problem.hint("give root-password or root-password-hash"));
            None
        }
    }
}

fn time_servers(findings: &mut Findings, raw: &[String]) -> Vec<NtpServer> {
    let mut servers = Vec::new();
    for (i, text) in raw.iter().enumerate() {
        let key = format!("time.ntp[{i}]");
        if let Some(server) = findings.parse(&key, text) {
            match servers.contains(&server) {
                // chrony takes each server once, and complains of a second.
                true => findings.add(Problem::new(&key, format!("{text:?} is there twice"))),
                false => servers.push(server),
            }
        }
    }
    servers
}

fn storage(findings: &mut Findings, raw: RawStorage) -> Option<Option<StorageAnswer>> {
    let kind = match raw.kind {
        None => Some(Some(LocalSrKind::Ext)),
        Some(kind) => findings.word("storage.type", &kind, STORAGE),
    };
    let given = raw.disks.len();
    let disks = raw.disks.into_iter().enumerate();
    let disks: Vec<Option<DiskChoice>> =
        disks.map(|(i, raw)| disk(findings, &format!("storage.disks[{i}]"), raw)).collect();
    let on_system = raw.system_disk.unwrap_or(true);
    if kind == Some(None) && given > 0 {
        let problem = Problem::new("storage.disks", "are given although type is \"none\"");
        findings.add(problem.hint("leave one of them out"));
    }
    if matches!(kind, Some(Some(_))) && !on_system && given == 0 {
        let message = "is false, and no other disk is given";
        let problem = Problem::new("storage.system-disk", message);
        findings.add(problem.hint("give disks, or type = \"none\" if there is to be no storage"));
    }
    let disks = disks.into_iter().flatten().collect();
    Some(kind?.map(|kind| StorageAnswer { kind, on_system, disks }))
}

/// What a file says of the system's disks.
struct System {
    disk: DiskChoice,
    mirror: Option<DiskChoice>,
    keep: bool,
}

fn system(findings: &mut Findings, raw: Option<RawDisk>) -> Option<System> {
    let Some(raw) = raw else {
        let problem = Problem::new("disk", "the table [disk] is missing");
        findings.add(problem.hint("[disk] with device = \"/dev/sda\" and wipe = true"));
        return None;
    };
    let keep = consent(findings, raw.wipe, raw.keep_storage);
    let RawDisk { device, serial, filter, min_size, max_size, select, mirror, .. } = raw;
    let system = RawChoice { device, serial, filter, min_size, max_size, select };
    let disk = match keep && !system.names_any() {
        true => Some(DiskChoice::Installed),
        false => disk(findings, "disk", system),
    };
    let mirror = match mirror {
        Some(_) if keep => {
            let problem = Problem::new("disk.mirror", "is given although disk.keep-storage is");
            findings.add(problem.hint("leave it out: the host stays on the disks that it is on"));
            None
        }
        Some(raw) => Some(self::disk(findings, "disk.mirror", raw)?),
        None => None,
    };
    Some(System { disk: disk?, mirror, keep })
}

/// Whether the host that is there is kept; without either word nothing may be done.
fn consent(findings: &mut Findings, wipe: Option<bool>, keep: Option<bool>) -> bool {
    match (wipe, keep) {
        (Some(true), None) => false,
        (None, Some(true)) => true,
        (_, Some(false)) => {
            let problem = Problem::new("disk.keep-storage", "must be true, or left out");
            findings.add(problem.hint("wipe = true, if everything on the disk may be lost"));
            false
        }
        (Some(_), Some(true)) => {
            let problem = Problem::new("disk.keep-storage", "is given beside wipe");
            findings.add(problem.hint("keep one of them"));
            true
        }
        (_, None) => {
            let problem =
                Problem::new("disk.wipe", "must be true: everything on the disk will be lost");
            findings.add(problem.hint(
                "nothing is installed without that consent; keep-storage = true installs a host \
                 again that is there, and its guests stay",
            ));
            false
        }
    }
}

impl RawChoice {
    /// Which of [`RULES`] it has.
    fn rules(&self) -> [bool; 5] {
        [
            self.serial.is_some(),
            self.filter.is_some(),
            self.min_size.is_some(),
            self.max_size.is_some(),
            self.select.is_some(),
        ]
    }

    fn names_any(&self) -> bool {
        self.device.is_some() || self.rules().contains(&true)
    }
}

/// One disk, which is named by the table `table`.
fn disk(findings: &mut Findings, table: &str, raw: RawChoice) -> Option<DiskChoice> {
    let rules = raw.rules();
    if let Some(device) = raw.device {
        let given: Vec<&str> =
            RULES.iter().zip(rules).filter(|(_, is)| *is).map(|r| *r.0).collect();
        if !given.is_empty() {
            let message = format!("names the disk beside {}", given.join(", "));
            let problem = Problem::new(&format!("{table}.device"), message);
            findings.add(problem.hint("keep device, or the rules"));
        }
        return device_path(findings, table, &device);
    }
    let mut named = false;
    let mut rules = DiskRules::default();
    let mut whole = Some(());
    if let Some(serial) = raw.serial {
        named = true;
        match pattern(findings, &format!("{table}.serial"), &serial) {
            Some(glob) => drop(rules.properties.insert(SERIAL.to_owned(), glob)),
            None => whole = None,
        }
    }
    if let Some(filter) = raw.filter {
        named = true;
        if filter.contains_key(SERIAL) && rules.properties.contains_key(SERIAL) {
            let key = format!("{table}.filter.{SERIAL}");
            findings.add(Problem::new(&key, "is what serial says too").hint("keep one of them"));
        }
        match disk_filter(findings, table, &filter) {
            Some(filter) => rules.properties.extend(filter),
            None => whole = None,
        }
    }
    for (key, text, size) in [
        ("min-size", raw.min_size, &mut rules.min_size),
        ("max-size", raw.max_size, &mut rules.max_size),
    ] {
        if let Some(text) = text {
            named = true;
            *size = findings.take(&format!("{table}.{key}"), bytes(&text));
        }
    }
    if let (Some(min), Some(max)) = (rules.min_size, rules.max_size)
        && min > max
    {
        let message = "is less than min-size, so no disk would match";
        findings.add(Problem::new(&format!("{table}.max-size"), message));
    }
    if let Some(select) = raw.select {
        named = true;
        rules.smallest = findings.word(&format!("{table}.select"), &select, SELECT).is_some();
    }
    if !named {
        let problem = Problem::new(table, "no disk is named");
        findings.add(problem.hint(format!("give device, or some of {}", RULES.join(", "))));
        return None;
    }
    whole.map(|()| DiskChoice::Rules(rules))
}

fn device_path(findings: &mut Findings, table: &str, text: &str) -> Option<DiskChoice> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|c| !matches!(c, std::path::Component::ParentDir));
    if !path.starts_with("/dev") || text == "/dev" || !plain {
        let message = format!("{text:?} is not a path below /dev");
        findings.add(Problem::new(&format!("{table}.device"), message));
        return None;
    }
    Some(DiskChoice::Device(path))
}

fn disk_filter(
    findings: &mut Findings,
    table: &str,
    raw: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, Glob>> {
    if raw.is_empty() {
        let key = format!("{table}.filter");
        findings.add(Problem::new(&key, "is empty, so it would match every disk"));
        return None;
    }
    let mut filter = BTreeMap::new();
    for (property, text) in raw {
        let key = format!("{table}.filter.{property}");
        let name_of_udev = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if !property.bytes().all(name_of_udev) {
            let problem = Problem::new(&key, "is not the name of a udev property");
            findings.add(problem.hint("such as ID_MODEL; `udevadm info /dev/sda` lists them"));
        }
        if let Some(glob) = pattern(findings, &key, text) {
            filter.insert(property.clone(), glob);
        }
    }
    Some(filter)
}

fn pattern(findings: &mut Findings, key: &str, text: &str) -> Option<Glob> {
    if text.is_empty() {
        findings.add(Problem::new(key, "is empty, so it would match no disk"));
        return None;
    }
    Some(Glob::new(text))
}
