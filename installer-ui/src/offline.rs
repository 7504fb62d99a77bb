// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answer files looked at without the machine that they are for. Reads the files that it is given,
//! and nothing else.

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use installer_core::answers::{AnswerFile, RegionalAnswer, schema};
use installer_core::delivery::AnswerSource;
use installer_core::discovery::Discovery;
use installer_core::plan::{Ids, Plan};
use installer_core::regional::Regional;
use installer_core::web::Web;

/// A longer file is no inventory, in bytes.
const LONGEST: u64 = 16 << 20;

/// Said where the lists are not known.
const UNKNOWN: &str = "note: keymap, time zone: whether the image has them is only known on the \
                       machine, before anything is written";

/// What is checked.
#[derive(Debug, Args)]
pub struct Check {
    /// The answer file: TOML, or XML of XenServer and XCP-ng.
    file: PathBuf,
    /// Print the plan for the machine of which `xenith-installer inventory` printed this.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
}

impl Check {
    /// Prints what there is to say of the file; a file that is not right is a failure. `regional` is
    /// what the image has, if that is known here.
    ///
    /// # Errors
    /// A file that cannot be read, or an inventory that is none.
    pub fn run(&self, regional: Option<&Regional>) -> Result<ExitCode> {
        let (text, right) = self.report(regional)?;
        println!("{text}");
        Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What there is to say, without a line end behind it, and whether the file is right.
    fn report(&self, regional: Option<&Regional>) -> Result<(String, bool)> {
        let text = AnswerSource::file(&self.file).load(&Web::default(), "")?;
        let found = self.inventory.as_deref().map(inventory).transpose()?;
        let AnswerFile { answers, notes } = match AnswerFile::read(&text) {
            Ok(read) => read,
            Err(error) => return Ok((self.said(error), false)),
        };
        let mut lines: Vec<String> = notes.iter().map(|note| self.said(note)).collect();
        match regional {
            Some(there) => {
                if let Err(error) = there.check(&answers.regional) {
                    return Ok((self.said(error), false));
                }
            }
            None if answers.regional != RegionalAnswer::default() => lines.push(self.said(UNKNOWN)),
            None => {}
        }
        let (last, right) = match found.map(|found| Plan::make(&answers, &found, Ids::random())) {
            None => (self.said("right in itself"), true),
            Some(Ok(plan)) => (plan.to_string(), true),
            Some(Err(error)) => (self.said(error), false),
        };
        lines.push(last);
        Ok((lines.join("\n"), right))
    }

    /// Every line with the file's name before it.
    fn said(&self, text: impl Display) -> String {
        let name = self.file.display();
        let lines: Vec<String> =
            text.to_string().lines().map(|line| format!("{name}: {line}")).collect();
        lines.join("\n")
    }
}

/// Prints the JSON schema of answer files in TOML.
pub fn print_schema() {
    println!("{:#}", schema());
}

fn inventory(path: &Path) -> Result<Discovery> {
    let reading = || format!("reading {}", path.display());
    let mut text = String::new();
    let mut file = File::open(path).with_context(reading)?.take(LONGEST + 1);
    file.read_to_string(&mut text).with_context(reading)?;
    ensure!(text.len() as u64 <= LONGEST, "{} is too long for an inventory", path.display());
    Discovery::from_json(&text).with_context(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, inventory: Option<&str>) -> Result<(String, bool)> {
        let golden = Path::new("installer-core/tests");
        let inventory = inventory.map(|name| golden.join("inventories").join(name));
        Check { file: golden.join("answers").join(file), inventory }.report(None)
    }

    #[test]
    fn a_file_is_judged_alone_or_for_a_machine() {
        let (text, right) = check("good/minimal.toml", None).unwrap();
        assert!(right);
        assert_eq!(text, "installer-core/tests/answers/good/minimal.toml: right in itself");
        let (text, right) =
            check("good/xml-no-storage.xml", Some("good/two-cards-bios.json")).unwrap();
        assert!(!right);
        assert!(text.lines().all(|line| line.contains("xml-no-storage.xml: ")), "{text}");
        assert!(text.contains(": note: <source>: "), "{text}");
        assert!(text.contains(": no disk is /dev/nvme0n1; found: /dev/sda "), "{text}");
        let (text, right) = check("good/minimal.toml", Some("good/two-cards-bios.json")).unwrap();
        assert!(
            right && text.starts_with("Xenith 0123456789abcdef will be installed:\n"),
            "{text}"
        );
        let (text, right) = check("bad/consent-false.toml", None).unwrap();
        assert!(!right && text.contains("consent-false.toml: disk.wipe: must be true"), "{text}");
    }

    #[test]
    fn what_cannot_be_judged_is_an_error_that_names_the_file() {
        let error = check("good/minimal.toml", Some("bad/lsblk.json")).unwrap_err();
        assert!(error.to_string().ends_with("bad/lsblk.json"), "{error:#}");
        let error = check("good/none.toml", None).unwrap_err();
        assert!(error.to_string().ends_with("good/none.toml"), "{error:#}");
    }
}
