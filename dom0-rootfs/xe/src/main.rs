// SPDX-License-Identifier: MIT OR Apache-2.0
//! The xe command: XenServer's command line over XenAPI.
//!
//! Commands, parameters and fields are derived from `xapi-model`: what the API has, `xe` has. Only
//! verbs that do more than one call are written out, in `verbs`.

mod api;
mod certificates;
mod command;
mod completion;
mod derived;
mod failure;
mod fields;
mod files;
mod generic;
mod help;
mod man;
mod names;
mod nearest;
mod options;
mod output;
mod params;
mod parse;
mod progress;
mod select;
#[cfg(test)]
mod testing;
mod transport;
mod verbs;
mod views;

use std::io::Write;
use std::process::ExitCode;

use crate::api::Api;
use crate::failure::Failure;
use crate::options::Options;
use crate::output::Output;
use crate::transport::{Target, Transport};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let stdout = std::io::stdout();
    let mut out = stdout.lock();
    if let Some(asked) = completion::asked(&args) {
        // A shell that went away wants nothing any more.
        let _ = completion::print(asked, &mut out);
        return ExitCode::SUCCESS;
    }
    let done = Options::from_surroundings(args).and_then(|(options, rest)| {
        let target = Target::of(&options)?;
        run(&options, &rest, || transport::connect(target), &mut out)
    });
    // A reader that went away is its own business.
    let _ = out.flush();
    let Err(failure) = done else { return ExitCode::SUCCESS };
    eprint!("{}", failure.render());
    ExitCode::from(failure.code())
}

/// Runs one command; `connect` is asked for the server only when one is needed.
fn run(
    options: &Options,
    args: &[String],
    connect: impl FnOnce() -> Result<Box<dyn Transport>, Failure>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (name, params) = params::parse(args)?;
    let mut output = Output::new(out, params.flag("minimal")?);
    if name == "help" {
        help::print(&mut output, &params)?;
        return output.finish();
    }
    let command = command::find(&name)?;
    command.check(&params)?;
    let mut api = Api::log_in(connect()?, &options.user, &options.password)?;
    let done = command.run(&mut api, &params, &mut output);
    let ended = api.log_out();
    done?;
    ended?;
    output.finish()
}
