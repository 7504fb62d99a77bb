// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts answers for the unattended installation into an image of the medium. All of it is
//! [`installer_core::media`]; this is its command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use installer_core::media::{self, MediaError};

/// Puts an answer file into a Xenith ISO, or takes it out again.
///
/// A machine that starts from an ISO with answers installs without asking: the menu begins with the
/// unattended installation. The image is changed in place, in less than a second, and is not built
/// again. It may also be a stick that the ISO was written to: name the whole disk (/dev/sdb, not
/// /dev/sdb1).
///
///   xenith-media embed xenith.iso --answers answers.toml
///
///   xenith-media embed xenith.iso --answers node1.toml --output node1.iso
///
///   xenith-media extract node1.iso
///
///   xenith-media remove node1.iso
///
/// `xenith-installer --help` says what is in an answer file. One with a fault is refused, and every
/// finding is told. The file can have up to 32 KiB.
///
/// Anybody who has the image can read the answers, the password or its hash among them, and a
/// machine that starts from it wipes its disk without a question: keep it accordingly.
#[derive(Debug, Parser)]
#[command(name = "xenith-media", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check an answer file and put it in, instead of the one that is there.
    Embed {
        /// The image, or a disk that it was written to.
        iso: PathBuf,
        /// The answer file.
        #[arg(long, value_name = "FILE")]
        answers: PathBuf,
        /// Leave the image as it is and write this copy, with the answers in it.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print the answers that are in it. Without any it fails.
    Extract {
        /// The image, or a disk that it was written to.
        iso: PathBuf,
    },
    /// Take the answers out: the image is again byte for byte as it was built.
    Remove {
        /// The image, or a disk that it was written to.
        iso: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xenith-media: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Embed { iso, answers, output } => embed(iso, answers, output.as_deref()),
        Command::Extract { iso } => match media::extract(iso)? {
            Some(answers) => io::stdout().write_all(&answers).context("printing the answers"),
            None => bail!("{} holds no answers", iso.display()),
        },
        Command::Remove { iso } => {
            let what = if media::remove(iso)? { "answers removed" } else { "held no answers" };
            eprintln!("{}: {what}", iso.display());
            Ok(())
        }
    }
}

fn embed(iso: &Path, answers: &Path, output: Option<&Path>) -> Result<()> {
    let text =
        fs::read_to_string(answers).with_context(|| format!("reading {}", answers.display()))?;
    let done = match output {
        Some(output) => media::embed_copy(iso, output, &text),
        None => media::embed(iso, &text),
    };
    if let Err(MediaError::Answers(findings)) = &done {
        for line in findings.to_string().lines() {
            eprintln!("{}: {line}", answers.display());
        }
        bail!("nothing was written, because {} is not right", answers.display());
    }
    done?;
    let iso = output.unwrap_or(iso).display();
    eprintln!("{iso}: installs unattended, as {} says", answers.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
