// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer files of XenServer and XCP-ng: XML with the root element `<installation>`, as their
//! host-installer describes it in `doc/answerfile.txt`. They are translated into what a TOML file
//! would say, and go through the same checks from there.
//!
//! What such a file asks for and cannot have here is a finding that names the element. What has no
//! meaning here, and whose absence does no harm, is a note. Nothing is passed over in silence.

mod disk;
mod host;
mod network;
mod other;
mod script;
mod tree;

use appliance_model::nearest;

use super::raw::RawAnswers;
use super::{AnswerFile, AnswersError, Note, Problem, check};
use tree::Element;

/// Takes what an element says.
type Read = fn(&mut Translation, &Element);

/// Elements that may be there once, with what reads them; [`other`] has those that nothing reads.
const ONCE: &[(&str, Read)] = &[
    ("primary-disk", Translation::primary_disk),
    ("existing-installation", Translation::existing_installation),
    ("guest-disks", Translation::guest_disks),
    ("raid", Translation::raid),
    ("zap-utility-partitions", Translation::utility_partitions),
    ("admin-interface", Translation::interface),
    ("root-password", Translation::password),
    ("hostname", Translation::hostname),
    ("keymap", Translation::keymap),
    ("timezone", Translation::timezone),
    ("time-config-method", Translation::time_method),
    ("ntp", Translation::ntp_source),
    ("network-backend", Translation::network_backend),
    ("bootloader", Translation::boot_loader),
    ("bootloader-location", Translation::boot_loader),
    ("ui-confirmation-prompt", Translation::confirmation),
];

/// Elements that may be there several times.
const MANY: &[(&str, Read)] = &[
    ("guest-disk", Translation::guest_disk),
    ("name-server", Translation::name_server),
    ("nameserver", Translation::name_server),
    ("ntp-server", Translation::ntp_server),
    ("ntp-servers", Translation::ntp_server),
    ("service", Translation::service),
    ("script", Translation::script),
    ("post-install-script", Translation::post_install_script),
];

/// Reads and checks a whole file.
pub(super) fn read(text: &str) -> Result<AnswerFile, AnswersError> {
    let root = tree::parse(text)?;
    let mut translation = Translation::default();
    if !translation.root(&root) {
        return Err(AnswersError { problems: translation.problems });
    }
    translation.storage_kind(&root);
    translation.elements(&root);
    translation.finish();
    let Translation { raw, notes, mut problems, .. } = translation;
    match check::check(raw) {
        Ok(answers) if problems.is_empty() => Ok(AnswerFile { answers, notes }),
        checked => {
            let own = problems.len();
            for problem in checked.err().into_iter().flat_map(|error| error.problems) {
                // Hints speak of the other kind of file.
                let problem = Problem { key: element_of(&problem.key), hint: None, ..problem };
                if !problems[..own].iter().any(|known| known.key == problem.key) {
                    problems.push(problem);
                }
            }
            Err(AnswersError { problems })
        }
    }
}

/// The element that a key of a TOML file stands for.
fn element_of(key: &str) -> String {
    let name = match key.split(['.', '[']).collect::<Vec<_>>().as_slice() {
        ["root-password" | "root-password-hash"] => "root-password",
        ["disk", ..] => "primary-disk",
        ["storage", "disks", ..] => "guest-disk",
        ["network", "ipv6", "address", ..] => "ipv6",
        ["network", "ipv6", "gateway", ..] => "gatewayv6",
        ["network", "address", ..] => "ipaddr",
        ["network", "gateway", ..] => "gateway",
        ["network", "dns", ..] => "name-server",
        ["time", "ntp", ..] => "ntp-server",
        ["time", "zone"] => "timezone",
        ["network", ..] => "admin-interface",
        ["hooks", ..] => "script",
        _ => key,
    };
    format!("<{name}>")
}

/// What was understood so far.
#[derive(Debug, Default)]
struct Translation {
    raw: RawAnswers,
    notes: Vec<Note>,
    problems: Vec<Problem>,
    disks: disk::Disks,
    /// Whether the host that is there is installed again.
    keep: bool,
    name_servers: Vec<String>,
    time: host::Time,
}

impl Translation {
    fn note(&mut self, about: &str, text: impl Into<String>) {
        let note = Note { about: about.to_owned(), text: text.into() };
        // The same element several times over needs saying once.
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn problem(&mut self, about: &str, text: impl Into<String>, hint: &str) {
        let problem = Problem::new(about, text).hint(hint);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Whether the rest of the file is worth reading.
    fn root(&mut self, root: &Element) -> bool {
        const FRESH: &str = "move away what is needed, then use <installation>";
        let mode = root.attribute(&["mode"]).unwrap_or("fresh");
        match (root.name.as_str(), mode) {
            ("installation", "fresh" | "reinstall" | "upgrade") => {
                let known = ["mode", "sr-type", "srtype", "gpgcheck", "repo-gpgcheck"];
                let known = [known.as_slice(), &["netinstall-gpg-check"]].concat();
                self.attributes(root, &known);
                for name in &known[3..] {
                    if root.attribute(&[*name]).is_some() {
                        self.note(name, "has no meaning here: no packages are fetched");
                    }
                }
                if !root.text.is_empty() {
                    let text = "holds text outside of the elements in it";
                    self.problem("<installation>", text, "remove it");
                }
                self.keep = mode != "fresh";
                match mode {
                    "reinstall" => self.note(
                        "mode",
                        "\"reinstall\" keeps guests, their storage and their records here, and no copy \
                         of the old system; mode=\"fresh\" makes the storage anew",
                    ),
                    "upgrade" => self.note(
                        "mode",
                        "\"upgrade\" keeps guests, their storage and their records; the host's own \
                         settings are those of this file",
                    ),
                    _ => {}
                }
                return true;
            }
            ("upgrade", _) => {
                let hint = "use <installation mode=\"upgrade\">, with the host's settings in it";
                self.problem("<upgrade>", "hosts are not upgraded by this element", hint);
            }
            ("restore", _) => self.problem("<restore>", "there are no backups to restore", FRESH),
            ("installation", other) => {
                let text = format!("{other:?} is not one of fresh, reinstall, upgrade");
                self.problem("mode", text, "leave it out");
            }
            ("html", _) => {
                let text = "this is a web page, not an answer file";
                self.problem("<html>", text, "does the address name the file?");
            }
            (other, _) => {
                let text = "is not the root element of an answer file";
                self.problem(&format!("<{other}>"), text, "put everything into <installation>");
            }
        }
        false
    }

    fn elements(&mut self, root: &Element) {
        for (at, element) in root.children.iter().enumerate() {
            let name = element.name.as_str();
            let known = |table: &[(&str, Read)]| {
                table.iter().find(|(known, _)| *known == name).map(|(_, read)| *read)
            };
            if let Some(read) = known(ONCE) {
                match root.children[..at].iter().any(|earlier| earlier.name == name) {
                    true => self.problem(&tag(name), "is there more than once", "keep one"),
                    false => read(self, element),
                }
            } else if let Some(read) = known(MANY) {
                read(self, element);
            } else if !self.other(element) {
                self.unknown(name);
            }
        }
    }

    fn unknown(&mut self, name: &str) {
        let names = ONCE.iter().chain(MANY).map(|(name, _)| *name).chain(other::names());
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean <{near}>?"),
            None if network::INSIDE.contains(&name) => "it belongs into <admin-interface>".into(),
            None => "remove it, if the host can do without".into(),
        };
        self.problem(&tag(name), "there is no such element", &hint);
    }

    /// What no single element decides.
    fn finish(&mut self) {
        self.finish_disks();
        self.finish_network();
        self.finish_time();
        if self.raw.hostname.is_none() {
            let hint = "give one; it is not taken from DHCP or DNS";
            self.missing("hostname", hint);
        }
        if self.raw.root_password.is_none() && self.raw.root_password_hash.is_none() {
            self.missing("root-password", "give one; it is not asked for at the first start");
        }
        if self.raw.ssh.is_none() {
            let text = "is off, unlike on XenServer; <service name=\"sshd\" state=\"enabled\"/> \
                        switches it on";
            self.note("SSH", text);
        }
    }

    /// Unless something was said of that element already.
    fn missing(&mut self, name: &str, hint: &str) {
        let about = tag(name);
        if !self.problems.iter().any(|problem| problem.key == about) {
            self.problem(&about, "is missing", hint);
        }
    }

    /// Refuses attributes that are not `known`. Their values are not shown.
    fn attributes(&mut self, element: &Element, known: &[&str]) {
        for (name, _) in &element.attributes {
            if !known.contains(&name.as_str()) {
                let text = format!("there is no attribute {name:?}");
                let hint = match (nearest(name, known.iter().copied()), known) {
                    (Some(near), _) => format!("did you mean {near:?}?"),
                    (None, []) => "it has no attributes".to_owned(),
                    (None, known) => format!("known here: {}", known.join(", ")),
                };
                self.problem(&tag(&element.name), text, &hint);
            }
        }
    }

    /// The text of an element that holds nothing else, and that must not be empty.
    fn text(&mut self, element: &Element) -> Option<String> {
        let about = tag(&element.name);
        if !element.children.is_empty() {
            self.problem(&about, "holds an element where only text may be", "write < as &lt;");
            return None;
        }
        if element.text.is_empty() {
            self.problem(&about, "is empty", "fill it in, or leave the whole element out");
            return None;
        }
        Some(element.text.clone())
    }

    /// `true` or `false`, as XenServer spells them.
    fn flag(&mut self, about: &str, text: &str) -> Option<bool> {
        match text.to_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => {
                let text = format!("{text:?} is not one of true, yes, false, no");
                self.problem(about, text, "write \"true\" or \"false\"");
                None
            }
        }
    }
}

fn tag(name: &str) -> String {
    format!("<{name}>")
}
