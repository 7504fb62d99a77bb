// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a shell can put in the place of a word that somebody began: `xe help --complete LINE [BREAKS]`.
//!
//! The tables are those of `xe help`, and the shell's part is a few lines
//! (`overlay/etc/bash_completion.d/xe`), so that completion knows what this very program knows.

mod line;
mod values;

use std::io::Write;

use crate::api::Api;
use crate::command::{self, Command};
use crate::failure::Failure;
use crate::options::Options;
use crate::params::{self, Params};
use crate::transport::{self, Target};
use line::Line;
use values::Values;

/// Characters at which bash begins a new word beside blanks and quotes, if it does not say.
const BREAKS: &str = "=:";
/// What is printed where the shell should look for files.
const FILES: &str = "<file>";

/// Options before a command.
const OPTIONS: &[&str] = &["-s", "-p", "-u", "-pw", "-pwf", "--no-ssl-verify", "--minimal"];

/// A way for a word to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    /// The whole word.
    text: String,
    /// Nothing more follows: the next word begins.
    done: bool,
}

impl Candidate {
    fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), done: true }
    }

    fn open(text: impl Into<String>) -> Self {
        Self { text: text.into(), done: false }
    }
}

/// The line that completion is asked for, and the characters at which the shell begins a word.
pub(crate) fn asked(args: &[String]) -> Option<(&str, &str)> {
    match args {
        [help, complete, line] if help == "help" && complete == "--complete" => {
            Some((line, BREAKS))
        }
        [help, complete, line, breaks] if help == "help" && complete == "--complete" => {
            Some((line, breaks))
        }
        _ => None,
    }
}

/// Prints every way for the last word of a line to go on, as the shell is to put it. What cannot be
/// found out is left out: nobody wants to read of errors between two keys.
pub(crate) fn print((line, breaks): (&str, &str), out: &mut dyn Write) -> std::io::Result<()> {
    let ways = ways(&Line::parse(line, breaks), &Options::from_surroundings, &connect);
    ways.iter().try_for_each(|way| writeln!(out, "{way}"))
}

/// The ways, as the shell is to put them.
fn ways(line: &Line, parse: Parse<'_>, connect: Connect<'_>) -> Vec<String> {
    let all = match complete(line, parse, connect) {
        Found::Files => return vec![FILES.to_owned()],
        Found::Words(all) => all,
    };
    let fits = all.iter().filter(|candidate| candidate.text.starts_with(&line.current));
    let mut ways: Vec<String> =
        fits.map(|candidate| line.shown(&candidate.text, candidate.done)).collect();
    ways.sort();
    ways.dedup();
    ways
}

/// A session with the server of the line. Nobody is asked whom the person has not talked to before:
/// a certificate is not trusted, and no password sent, at the press of a key.
fn connect(options: &Options) -> Option<Api> {
    let target = Target::of(options).ok()?;
    if !target.is_known() || (options.password.is_empty() && !target.is_here()) {
        return None;
    }
    let transport = transport::connect(target).ok()?;
    Api::log_in(transport, &options.user, &options.password).ok()
}

enum Found {
    Words(Vec<Candidate>),
    /// Any file.
    Files,
}

type Parse<'a> = &'a dyn Fn(Vec<String>) -> Result<(Options, Vec<String>), Failure>;
type Connect<'a> = &'a dyn Fn(&Options) -> Option<Api>;

fn complete(line: &Line, parse: Parse<'_>, connect: Connect<'_>) -> Found {
    let none = Found::Words(Vec::new());
    match line.words.last().map(String::as_str) {
        Some("-pwf") => return Found::Files,
        Some("-s" | "-h" | "-p" | "-u" | "-pw") => return none,
        _ => {}
    }
    // A line without a command yet is none that could be parsed.
    let parsed = parse(line.words.clone());
    let (options, words) = match parsed {
        Ok(parsed) => parsed,
        Err(Failure::Usage) => {
            let names = command::all().into_iter().map(|command| Candidate::done(command.name));
            let help = Candidate::done("help");
            let options = OPTIONS.iter().map(|option| Candidate::done(*option));
            return Found::Words(names.chain([help]).chain(options).collect());
        }
        Err(_) => return none,
    };
    let Ok((name, params)) = params::parse(&words) else { return none };
    if name == "help" {
        let names = command::all().into_iter().map(|command| Candidate::done(command.name));
        return Found::Words(names.chain([Candidate::done("--all")]).collect());
    }
    let Ok(command) = command::find(&name) else { return none };
    let Some((key, begun)) = line.current.split_once('=') else {
        return Found::Words(parameters(&command, &params));
    };
    let whole = |value: &str| format!("{key}={value}");
    match values::of(&command, key) {
        Values::None => none,
        Values::Files => Found::Files,
        Values::Words(all) => {
            Found::Words(all.iter().map(|value| Candidate::done(whole(value))).collect())
        }
        Values::List(all) => {
            let before = begun.rsplit_once(',').map_or("", |(before, _)| before);
            let comma = if before.is_empty() { "" } else { "," };
            let given: Vec<&str> = before.split(',').collect();
            let rest = all.iter().filter(|name| !given.contains(&name.as_str()));
            let one = |name: &String| Candidate::open(whole(&format!("{before}{comma}{name}")));
            Found::Words(rest.map(one).collect())
        }
        Values::Objects(asked) => {
            let Some(mut api) = connect(&options) else { return none };
            let found = values::of_objects(&asked, &mut api).unwrap_or_default();
            // The session would end by itself, some day.
            let _ = api.log_out();
            Found::Words(found.iter().map(|value| Candidate::done(whole(value))).collect())
        }
    }
}

/// Parameters that the command takes and that were not given yet.
fn parameters(command: &Command, params: &Params) -> Vec<Candidate> {
    let mut names: Vec<String> =
        command.required.iter().chain(&command.optional).cloned().collect();
    if let Some(view) = &command.selects {
        names.push(view.name.clone());
        names.extend(view.fields().into_iter().map(|field| field.name));
    }
    let mut switches = vec!["minimal"];
    switches.extend(command.selects.is_some().then_some("multiple"));
    switches.extend(names.iter().any(|name| name == "force").then_some("force"));
    switches.extend(names.iter().any(|name| name == "filename").then_some("progress"));
    names.retain(|name| !["<field>", "force"].contains(&name.as_str()));
    names.retain(|name| params.get(name).is_none());
    let open = names.into_iter().map(|name| match name.contains(':') {
        true => Candidate::open(name),
        false => Candidate::open(format!("{name}=")),
    });
    switches.retain(|name| params.get(name).is_none());
    open.chain(switches.iter().map(|name| Candidate::done(format!("--{name}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shell gets for a line; the pool of the golden cases answers.
    fn shown(line: &str) -> Vec<String> {
        let parse = |words: Vec<String>| Options::from_sources("", "", words);
        let connect = |_: &Options| Api::log_in(crate::testing::pool(), "root", "").ok();
        ways(&Line::parse(line, BREAKS), &parse, &connect)
    }

    #[test]
    fn commands() {
        assert_eq!(shown("xe vm-st"), ["vm-start ", "vm-start-on "]);
        assert_eq!(shown("xe -s xen1 -u root -pw x vm-unp"), ["vm-unpause "]);
        assert_eq!(shown("xe help vm-unp"), ["vm-unpause "]);
        assert_eq!(shown("xe --no"), ["--no-ssl-verify "]);
        assert!(shown("xe ").contains(&"help ".to_owned()));
        assert_eq!(shown("xe vm-unknown "), [""; 0]);
        assert_eq!(shown("xe -s "), [""; 0]);
        assert_eq!(shown("xe -pwf "), ["<file>"]);
    }

    #[test]
    fn parameters_that_were_not_given() {
        let install = ["sr-name-label=", "sr-uuid="];
        assert_eq!(shown("xe vm-install new-name-label=web sr-"), install);
        assert_eq!(shown("xe vm-install sr-uuid=1 sr-"), ["sr-name-label="]);
        assert_eq!(shown("xe vm-start v"), ["version=", "vm="]);
        assert_eq!(shown("xe vm-param-set other"), ["other-config:"]);
        assert_eq!(shown("xe vm-start --mu"), ["--multiple "]);
        assert_eq!(shown("xe vm-start --multiple --mu"), [""; 0]);
        assert_eq!(shown("xe vm-start force"), [""; 0]);
        assert_eq!(shown("xe vm-start --"), ["--force ", "--minimal ", "--multiple "]);
        assert_eq!(shown("xe vdi-import --p"), ["--progress "]);
    }

    #[test]
    fn values_of_tables() {
        assert_eq!(shown("xe vm-list power-state=r"), ["running "]);
        assert_eq!(shown("xe vm-list params=uuid,power"), ["uuid,power-state"]);
        assert_eq!(shown("xe vbd-create mode=R"), ["RO ", "RW "]);
        assert_eq!(shown("xe vm-param-get uuid=1 param-name=power"), ["power-state "]);
        assert_eq!(shown("xe vm-param-add uuid=1 param-name=ta"), ["tags "]);
        assert_eq!(shown("xe vdi-import uuid=1 filename="), ["<file>"]);
        assert_eq!(shown("xe host-disable auto-enable=t"), ["true "]);
    }

    #[test]
    fn values_of_the_host() {
        assert_eq!(shown("xe vdi-destroy uuid="), ["1-vdi ", "2-vdi ", "3-vdi "]);
        assert_eq!(shown("xe vbd-create vm-uuid=2 vdi-uuid=1"), ["1-vdi "]);
        assert_eq!(shown("xe vm-start vm=w"), ["web "]);
        assert_eq!(shown("xe vm-start vm=1-"), ["1-web "]);
        assert_eq!(shown("xe vm-start uuid=3"), ["3-db "]);
        assert_eq!(shown("xe template-uninstall template-uuid="), ["9-tmpl "]);
        assert_eq!(shown("xe vm-install template=O"), ["Other\\ install\\ media "]);
        assert_eq!(shown("xe vm-install template=\"Other i"), ["Other install media"]);
        assert_eq!(shown("xe vm-install template=Other\\ in"), ["Other\\ install\\ media "]);
        assert_eq!(shown("xe sr-list name-label=L"), ["Local\\ storage "]);
        assert_eq!(shown("xe vbd-list vm-name-label=w"), ["web "]);
    }
}
