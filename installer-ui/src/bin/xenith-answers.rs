// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tries answer files where no installer runs: on a workstation, or before a provisioning server
//! hands them out.

use std::process::ExitCode;

use clap::Parser;
use installer_ui::offline;

/// Checks answer files for unattended installations of Xenith. Writes nothing.
#[derive(Debug, Parser)]
#[command(name = "xenith-answers", version)]
enum Cli {
    /// Say whether an answer file is right, or what it would do on a machine.
    Check(offline::Check),
    /// Print the JSON schema of answer files in TOML.
    Schema,
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli::Check(check) => check.run(None),
        Cli::Schema => {
            offline::print_schema();
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("xenith-answers: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
