// SPDX-License-Identifier: MIT OR Apache-2.0
//! The man page xe(1), in the macros of man(7): `xe help --man`.

use std::fmt::Write as _;

use crate::command::{self, Command};
use crate::views;

/// What stands before the commands; lines are roff.
const HEAD: &str = r#".SH NAME
xe \- manage a Xen host and its virtual machines through XenAPI
.SH SYNOPSIS
.B xe
.RI [ option " .\|.\|.]" " command " [ parameter=value " .\|.\|.]"
.br
.B xe help
.RB [ \-\-all ]
.RI [ command " .\|.\|.]"
.SH DESCRIPTION
.B xe
is XenServer's command line. On a host it talks to the toolstack's socket, which lets root in without a
password; with
.B \-s
it talks to another host, over TLS. What it prints are records with a line for each field, or only values
with
.BR \-\-minimal .
.SH OPTIONS
.TP
.BI \-s " server"
Name or address of the host; without it this host itself. Its certificate is kept when it is first seen, and
has to be the same from then on.
.TP
.BI \-p " port"
Its port, 443.
.TP
.BI \-u " user \fB\-pw\fI password"
As whom; root if it is not said.
.TP
.BI \-pwf " file"
User and password are the first two lines of a file, which nobody else should be able to read.
.TP
.B \-\-no\-ssl\-verify
Take any certificate.
.TP
.B \-\-minimal
Print only values, with commas between them.
.SH PARAMETERS
A command's parameters are given as
.IR name = value ,
those of a map as
.IR name : key = value .
Sizes take the units KiB, MiB, GiB and TiB.
.PP
Commands for VMs and hosts pick them by the values of their fields:
.BR uuid= ,
.BR name\-label= ,
any field that the list shows with
.BR params=all .
.B vm=
and
.B host=
match a name or a uuid. Where several fit,
.B \-\-multiple
has to be given.
"#;

/// What stands behind them.
const TAIL: &str = r#".SH ENVIRONMENT
.TP
.B XE_EXTRA_ARGS
More options and parameters, with commas between them. Those of the command line come first.
.TP
.B XE_SOCKET
The toolstack's socket on this host.
.SH FILES
.TP
.I ~/.xe
Options and parameters, a line each:
.BR server= ,
.BR port= ,
.BR username= ,
.BR password= .
Those of the environment come first.
.TP
.I ~/.xe\-known\-hosts
Fingerprints of the certificates of hosts. When a host was installed anew, its line has to go.
.TP
.I /etc/bash_completion.d/xe
Completion for bash.
.SH EXIT STATUS
0 if everything was done and 1 if not; standard error says why not.
.SH EXAMPLES
.nf
xe vm\-list params=uuid,name\-label,power\-state
xe vm\-start vm=web
xe \-s 192.0.2.10 \-u root \-pwf password host\-list
.fi
"#;

/// The page.
pub(crate) fn page() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!(
        ".\\\" SPDX-License-Identifier: MIT OR Apache-2.0\n\
         .TH XE 1 \"\" \"Xenith {version}\" \"Xenith\"\n{HEAD}"
    );
    let (generic, own): (Vec<Command>, Vec<Command>) =
        command::all().into_iter().partition(|command| command.kind().is_some());
    out += ".SH COMMANDS FOR EVERY KIND OF OBJECT\n";
    let kinds: Vec<String> = views::all().iter().map(|view| escaped(&view.name)).collect();
    let _ = writeln!(out, "Kinds are {}.", kinds.join(", "));
    // Those of VMs stand for all: VMs have every verb.
    for command in generic.iter().filter(|command| command.kind().is_some_and(|k| k.name == "vm")) {
        let verb = command.name.trim_start_matches("vm-");
        let fields: &[&str] = match verb {
            "list" => &["params"],
            "param-get" => &["param-key"],
            _ => &[],
        };
        let mut of_kind = command.clone();
        of_kind.help = command.help.replace("the vms", "the objects");
        entry(&mut out, &format!("\\fIkind\\fB\\-{}", escaped(verb)), &of_kind, fields);
    }
    out += ".SH COMMANDS\n";
    for command in &own {
        let all: Vec<&str> = command.optional.iter().map(String::as_str).collect();
        entry(&mut out, &escaped(&command.name), command, &all);
    }
    out + TAIL
}

/// A command: its name in bold, its parameters, what it does.
fn entry(out: &mut String, name: &str, command: &Command, optional: &[&str]) {
    let open = command.optional.iter().any(|name| name == "<field>");
    let _ = write!(out, ".TP\n\\fB{name}\\fR");
    for param in &command.required {
        let _ = write!(out, " {}=", escaped(param));
    }
    if let Some(view) = &command.selects {
        let _ = write!(out, " \\fI{}\\-selectors\\fR", escaped(&view.name));
    }
    for param in optional.iter().filter(|name| **name != "<field>") {
        let end = if param.ends_with(':') { "key=" } else { "=" };
        let _ = write!(out, " [{}{end}]", escaped(param));
    }
    if open {
        let _ = write!(out, " [\\fIfield\\fR= ...]");
    }
    let _ = writeln!(out, "\n{}", line(&command.help));
}

/// Text that troff shows as it is.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '…' => out.push_str("..."),
            letter if letter.is_ascii() => out.push(letter),
            letter => {
                let _ = write!(out, "\\[u{:04X}]", u32::from(letter));
            }
        }
    }
    out
}

/// A line of text, which is no request though it begins like one.
fn line(text: &str) -> String {
    let text = escaped(text);
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_request() {
        assert_eq!(line(".x-y 'a' \\"), "\\&.x\\-y \\(aqa\\(aq \\e");
        assert_eq!(escaped("a…é"), "a...\\[u00E9]");
    }

    #[test]
    fn every_command_is_there_in_order_and_all_requests_are_known() {
        let page = page();
        let known = [
            ".\\\"", ".TH", ".SH", ".TP", ".PP", ".br", ".nf", ".fi", ".B", ".BI", ".BR", ".I",
            ".IR", ".RB", ".RI",
        ];
        for line in page.lines() {
            assert!(line.is_ascii() && !line.is_empty() && !line.starts_with('\''), "{line:?}");
            let word = line.split(' ').next().unwrap();
            assert!(!line.starts_with('.') || known.contains(&word), "{line}");
            assert_eq!(
                line.matches('"').count() % 2,
                if word == ".\\\"" { 1 } else { 0 },
                "{line}"
            );
        }
        let own = command::all().into_iter().filter(|command| command.kind().is_none());
        let mut rest = page.split_once(".SH COMMANDS\n").unwrap().1;
        for command in own {
            let tag = format!(".TP\n\\fB{}\\fR", escaped(&command.name));
            let at = rest.find(&tag).unwrap_or_else(|| panic!("{} is not there", command.name));
            rest = &rest[at + tag.len()..];
            assert!(rest.contains(&line(&command.help)), "{}", command.name);
        }
    }

    /// What stands for the commands of every kind has all of their verbs.
    #[test]
    fn no_kind_has_a_verb_of_its_own() {
        let page = page();
        for command in command::all() {
            let Some(kind) = command.kind() else { continue };
            let verb = &command.name[kind.name.len() + 1..];
            let tag = format!("\\fIkind\\fB\\-{}\\fR", escaped(verb));
            assert!(page.contains(&tag), "{}", command.name);
        }
    }
}
