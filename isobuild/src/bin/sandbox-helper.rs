// SPDX-License-Identifier: MIT OR Apache-2.0
//! Enters sandboxes for programs whose own main cannot (this crate's tests), and is the program
//! that they send signals to.

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;

use isobuild::interrupt::Interrupt;
use isobuild::sandbox::{Sandbox, enter_if_asked};

fn main() {
    enter_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run-until-signal", folder, script] => run_until_signal(Path::new(folder), script),
        _ => Err("this program is only started by others".into()),
    };
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(2);
    }
}

/// Runs `script` in a sandbox over `folder`/root with the host's `/usr`, says how it ended, and
/// then takes no notice of anything until its input ends.
fn run_until_signal(folder: &Path, script: &str) -> Result<(), Box<dyn Error>> {
    let interrupt = Interrupt::on_signals()?;
    let sandbox = Sandbox::over(folder.join("root"))
        .bind_ro("/usr", "/usr")
        .bind_rw(folder, "/dir")
        .interrupt(&interrupt);
    let ended = sandbox.run("sh", ["-c", script]);
    let mut output = std::io::stdout();
    writeln!(output, "{}", ended.map_or_else(|error| error.to_string(), |()| "done".to_owned()))?;
    output.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
