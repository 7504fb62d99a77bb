// SPDX-License-Identifier: MIT OR Apache-2.0
//! `xe help`.

use crate::command::{self, Command};
use crate::failure::Failure;
use crate::man;
use crate::options::USAGE;
use crate::output::Output;
use crate::params::{Params, STANDARD};

/// `help`, `help --all`, `help <command> …`, and `help --man`, which is the man page.
pub(crate) fn print(out: &mut Output<'_>, params: &Params) -> Result<(), Failure> {
    if params.flag("man")? {
        return out.text(&man::page());
    }
    let asked: Vec<&str> = params
        .0
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !STANDARD.contains(name))
        .collect();
    if !asked.is_empty() {
        return asked.into_iter().try_for_each(|name| explain(out, &command::find(name)?));
    }
    let full = params.flag("all")?;
    let all = command::all();
    let names: Vec<&str> = all
        .iter()
        .filter(|command| full || command.common)
        .map(|command| command.name.as_str())
        .collect();
    if out.is_minimal() {
        return names.into_iter().try_for_each(|name| out.value(name));
    }
    out.remark(USAGE)?;
    if !full {
        out.remark("To get a full listing of commands:\n  xe help --all\n")?;
        out.remark("Common command list\n-------------------")?;
        return out.remark(&columns(&names));
    }
    out.remark("Full command list\n-----------------")?;
    let starts = |prefix: &'static str| move |name: &&&str| name.starts_with(prefix);
    for group in ["host-", "vm-"] {
        let part: Vec<&str> = names.iter().filter(starts(group)).copied().collect();
        out.remark(&format!("{}\n", columns(&part)))?;
    }
    let rest: Vec<&str> = names
        .iter()
        .filter(|name| !name.starts_with("host-") && !name.starts_with("vm-"))
        .copied()
        .collect();
    out.remark(&columns(&rest))
}

fn explain(out: &mut Output<'_>, command: &Command) -> Result<(), Failure> {
    let mut optional = command.optional.clone();
    optional.retain(|name| name != "<field>");
    let mut help = command.help.clone();
    if let Some(view) = &command.selects {
        let (name, plural) = (&view.name, view.plural());
        optional.push(format!("<{name}-selectors>"));
        help += &format!(
            " The {plural} are picked by the values of zero or more fields, for example \
             uuid=<uuid> or name-label=<name>; the pseudo-field '{name}' matches either of \
             name-label or uuid. Where several match, --multiple must be given. All fields: \
             xe {name}-list params=all."
        );
    }
    let row = [
        ("command name        ", command.name.clone()),
        ("        reqd params     ", command.required.join(", ")),
        ("        optional params ", optional.join(", ")),
        ("        description     ", help),
    ];
    out.records(&[row.map(|(name, value)| (name.to_owned(), value)).to_vec()])
}

/// Names with commas between, in lines of 78 letters at most.
fn columns(names: &[&str]) -> String {
    let mut lines = Vec::new();
    let mut line = String::from("    ");
    for name in names {
        if line.len() + name.len() > 76 {
            lines.push(std::mem::replace(&mut line, String::from("    ")));
        }
        if line.len() > 4 {
            line.push_str(", ");
        }
        line.push_str(name);
    }
    lines.push(line);
    lines.join(",\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(line: &str) -> String {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (_, params) = crate::params::parse(&args).unwrap();
        let mut out = Vec::new();
        let mut output = Output::new(&mut out, false);
        print(&mut output, &params).unwrap();
        output.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_common_ones_and_all() {
        let short = help("help");
        assert!(short.contains("Common command list"), "{short}");
        assert!(short.contains("vm-install") && !short.contains("vbd-param-get"), "{short}");
        let long = help("help --all");
        assert!(long.contains("vbd-param-get") && long.contains("host-list"), "{long}");
        assert!(long.lines().all(|line| line.len() <= 80), "{long}");
    }

    #[test]
    fn the_man_page() {
        assert!(help("help --man").contains("\n.SH NAME\nxe \\- manage "));
    }

    #[test]
    fn one_command() {
        let text = help("help vdi-resize");
        assert_eq!(
            text,
            concat!(
                "command name                : vdi-resize\n",
                "            reqd params     : uuid, disk-size\n",
                "            optional params : online\n",
                "            description     : Makes a VDI bigger, also while VMs have it; online=true says that they may.\n",
                "\n\n",
            )
        );
        assert!(help("help vm-start").contains("<vm-selectors>"));
    }

    #[test]
    fn every_command_has_help_and_no_parameter_twice() {
        for command in command::all() {
            assert!(command.help.ends_with('.'), "{}: {}", command.name, command.help);
            let mut names: Vec<_> = command.required.iter().chain(&command.optional).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{}: {names:?}", command.name);
        }
    }
}
