// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installer: terminal screens and unattended mode.
//!
//! [`state`] folds events into what [`draw`] shows; [`terminal`] does the input and output for
//! them. [`unattended`] reads the same events as lines. [`worker`] is what both let do the work.

mod collect;
mod draw;
mod follow;
mod licence;
mod log;
mod network_test;
mod online;
mod program;
mod remote;
mod state;
mod terminal;
mod unattended;
mod worker;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use appliance_model::medium;
use clap::{Parser, Subcommand};
use installer_core::cmdline;
use installer_core::delivery::{AnswerSource, Asked, Words};
use installer_core::hardware;
use installer_core::logs::{Destination, Method};
use installer_core::medium::Checked;
use installer_core::regional::Regional;
use installer_core::size::Size;
use installer_ui::offline;
use terminal::Begin;

/// Only our image has it.
const MANIFEST: &str = "/usr/share/xenith/manifest";
/// Word on the kernel command line that has the medium checked before anything is asked.
const CHECK_MEDIUM: &str = "xenith.check-medium";

/// Installs Xenith on a disk of this machine.
///
/// Without options it asks on the screen; nothing is written to any disk before the last screen,
/// where you type "yes". Keys are shown in the bottom row of each screen.
///
/// It installs without asking (unattended) if the kernel command line has xenith.answers=..., if the
/// medium holds answers (see xenith-media), or with --answers. Try the file first:
///
///   xenith-installer check answers.toml      is the file right in itself?
///
///   xenith-installer --answers answers.toml --dry-run
///                                            what would it do on this machine?
///
///   xenith-installer check answers.toml --inventory machine.json
///                                            what would it do on that machine, of which
///                                            "xenith-installer inventory" printed machine.json?
///
/// "xenith-installer hardware" says what will and will not work on this machine, "xenith-installer
/// check-medium" reads the whole medium; the medium's menu offers that too. "xenith-installer
/// network-test" says what of the network works. "xenith-installer save-logs DESTINATION" packs the
/// logs and brings them to a stick or to another machine.
///
/// An answer file needs at least this:
///
///   hostname = "xen1"
///
///   root-password = "..."                    or root-password-hash = "$6$..."
///
///   [disk]
///
///   device = "/dev/sda"                      or rules that must all hold: serial = "S3Z*",
///                                            filter = { ID_MODEL = "INTEL*" }, min-size = "400 GB",
///                                            max-size, select = "smallest"
///
///   wipe = true                              consent: everything on the disks that are named is lost
///
/// and knows also mirror = { device = "/dev/sdb" } below [disk], for software RAID 1, and
/// ssh-keys = [...], ssh, on-success = "reboot" | "poweroff" | "shell", [network]
/// interface or mac, mode = "dhcp" | "static" | "none", address, gateway, dns, proxy, vlan, mtu, bond = {
/// mode, members, hash }, ipv6 = { mode = "auto" | "dhcp" | "static" | "none", address, gateway };
/// [hooks] before, populated, completed, timeout, certificate-sha256; [webhook] url, certificate-sha256;
/// [storage] type = "ext" | "lvm-thin" | "none", disks = [{ device = "/dev/sdc" }], system-disk;
/// keymap = "de"; [time] ntp = [...], zone = "Europe/Berlin"; [pool] name.
///
/// The answer files (XML) of XenServer and XCP-ng are read too, as far as they can be followed.
#[derive(Debug, Parser)]
#[command(name = "xenith-installer", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Install without asking, as with --answers; without that the answers are looked for as
    /// described above.
    #[arg(long)]
    unattended: bool,
    #[command(flatten)]
    answers: AnswerOptions,
    /// Print what would be done, and do nothing.
    #[arg(long, requires = "answers")]
    dry_run: bool,
    /// Ask on the screen even if answers are there.
    #[arg(long, conflicts_with_all = ["unattended", "answers"])]
    ask: bool,
    /// Where the installation medium is mounted.
    #[arg(long, value_name = "FOLDER", default_value = "/run/xenith/medium")]
    medium: PathBuf,
    /// Offer loop devices as disks too: to try the installer on an image file.
    #[arg(long)]
    with_loop_devices: bool,
}

// A docstring would become the text of `--help`.
#[derive(Debug, clap::Args)]
struct AnswerOptions {
    /// Where the answers are: a file, https://..., http://..., nfs://SERVER/FOLDER/FILE, label:LABEL (a
    /// volume), post:https://... (a server that makes them of the machine's inventory), or auto (where
    /// DHCP or DNS says).
    #[arg(long, value_name = "SOURCE")]
    answers: Option<String>,
    /// The only certificate that is accepted from the server of the answers, as `openssl x509 -noout
    /// -fingerprint -sha256` prints it; without it, public authorities decide.
    #[arg(long, value_name = "FINGERPRINT", requires = "answers")]
    answers_sha256: Option<String>,
    /// The HTTP proxy through which answers are fetched, http://[NAME:PASSWORD@]HOST:PORT.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether an answer file is right, or what it would do on a machine. Touches nothing.
    Check(offline::Check),
    /// Print what this machine has, as JSON for `check --inventory`.
    Inventory,
    /// Read the whole medium and say whether it is as it was built. Touches nothing.
    CheckMedium,
    /// Say what will and will not work on this machine. Touches nothing.
    Hardware,
    /// Try the network part by part and say what fails: link, address, gateway, name servers, time.
    /// While installing: the network of --answers, of the kernel command line, or by DHCP.
    NetworkTest {
        #[command(flatten)]
        answers: AnswerOptions,
    },
    /// Print the JSON schema of answer files in TOML.
    Schema,
    /// Make what sshd needs to let people in, as the kernel command line asks.
    #[command(hide = true)]
    PrepareSsh,
    /// Save the logs of this start: installer, kernel, Xen, journal, disks, inventory, plan.
    ///
    /// As a tar.gz without passwords. DESTINATION is a folder (/mnt), a device with a file system
    /// (/dev/sdb1) or label:LABEL, which is mounted and unmounted again; user@host:path or
    /// scp://user@host:port/path; or a URL, http:// or https://, which gets the file's name added
    /// if it ends with "/".
    SaveLogs(SaveLogs),
}

#[derive(Debug, clap::Args)]
struct SaveLogs {
    /// Where they go.
    destination: Destination,
    /// Send them to a URL by POST instead of PUT.
    #[arg(long)]
    post: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xenith-installer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let machine = worker::Machine::new(cli.medium.clone(), cli.with_loop_devices);
    match &cli.command {
        Some(Command::Check(check)) => {
            // Elsewhere than in the image the lists would be those of another system.
            let there = match Path::new(MANIFEST).exists() {
                true => Some(Regional::look(Path::new("/"))?),
                false => None,
            };
            return check.run(there.as_ref());
        }
        Some(Command::Inventory) => {
            println!("{}", machine.look()?.to_json()?);
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Schema) => {
            offline::print_schema();
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::PrepareSsh) => {
            remote::prepare(&kernel_line()?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::SaveLogs(save)) => {
            let method = if save.post { Method::Post } else { Method::Put };
            let destination = save.destination.clone().with_method(method);
            println!("saved: {}", collect::save(&machine, &destination)?);
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::NetworkTest { answers }) => {
            return test_network(&machine, answers, &cli.medium);
        }
        Some(Command::CheckMedium) => return check_medium(&machine),
        Some(Command::Hardware) => return show_hardware(&machine),
        None => {}
    }
    if cli.dry_run {
        let asked = asked(&cli.answers, &cli.medium)?.context("no answers")?;
        unattended::dry_run(&machine, &asked)?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = log::Log::start(&worker::console_name()?)?;
    if !cli.unattended
        && cli.answers.answers.is_none()
        && cmdline::has(&kernel_line()?, CHECK_MEDIUM)
    {
        terminal::run(machine, &log, Begin::CheckMedium)?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = match asked(&cli.answers, &cli.medium) {
        _ if cli.ask => None,
        Ok(asked) => asked,
        Err(error) => return unattended::refuse(machine, &log, &error),
    };
    match asked {
        Some(asked) => unattended::run(machine, &log, &asked),
        None if cli.unattended => {
            anyhow::bail!(
                "--unattended, but there are no answers: neither --answers, nor xenith.answers= on \
                 the kernel command line, nor {} on the medium",
                medium::ANSWERS
            )
        }
        None => {
            terminal::run(machine, &log, Begin::Look)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn kernel_line() -> Result<String> {
    fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")
}

/// Says how far it is at every tenth, and at last what is wrong.
fn check_medium(machine: &worker::Machine) -> Result<ExitCode> {
    let mut tenth = 0;
    let checked = machine.check_medium(&mut |pace| {
        if pace.percent() / 10 > tenth {
            tenth = pace.percent() / 10;
            eprintln!("{tenth}0%: {pace}");
        }
        ControlFlow::Continue(())
    })?;
    match checked {
        Checked::Whole { bytes } => {
            println!("the medium is whole: {} were read", Size(bytes));
            Ok(ExitCode::SUCCESS)
        }
        Checked::Damaged(findings) => {
            findings.iter().for_each(|finding| println!("{finding}"));
            println!("the medium is damaged: write it again, or use another one");
            Ok(ExitCode::FAILURE)
        }
        Checked::Stopped => anyhow::bail!("the check was stopped"),
    }
}

/// Fails if nothing can be installed here.
fn show_hardware(machine: &worker::Machine) -> Result<ExitCode> {
    let findings = hardware::check(&machine.look()?);
    findings.iter().for_each(|finding| println!("{finding}"));
    Ok(match hardware::refusal(&findings) {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

/// Fails if anything that was tried does not work.
fn test_network(
    machine: &worker::Machine,
    options: &AnswerOptions,
    medium: &Path,
) -> Result<ExitCode> {
    // What is on the kernel command line is not asked for here.
    let asked = match options.answers {
        Some(_) => asked(options, medium)?,
        None => None,
    };
    let findings = network_test::run(machine, asked.as_ref())?;
    findings.iter().for_each(|finding| println!("{finding}"));
    Ok(match hardware::refusal(&findings) {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

/// Where the answers are, if anywhere; the options go before the kernel command line, and that before
/// the medium.
fn asked(options: &AnswerOptions, medium: &Path) -> Result<Option<Asked>> {
    let line = kernel_line()?;
    let on_line = Words::of(&line);
    let words = Words {
        answers: options.answers.as_deref().or(on_line.answers),
        sha256: if options.answers.is_some() {
            options.answers_sha256.as_deref()
        } else {
            on_line.sha256
        },
        proxy: options.proxy.as_deref().or(on_line.proxy),
    };
    let is_path = |text: &&str| !text.contains(':') && *text != "auto";
    if let Some(path) = options.answers.as_deref().filter(is_path) {
        // Here a path is that of any file, and not one on the medium.
        return Ok(Some(Asked::at(AnswerSource::file(path), words)?));
    }
    if let Some(asked) = Asked::parse(words, Some(medium))? {
        return Ok(Some(asked));
    }
    let on_medium = AnswerSource::on_medium(medium);
    let words = Words { sha256: None, ..words };
    Ok(on_medium.map(|source| Asked::at(source, words)).transpose()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
