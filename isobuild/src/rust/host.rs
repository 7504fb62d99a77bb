// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is taken from the host: its pinned Rust toolchain, and the crates that its cargo fetched.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::recipe::BoxError;

use super::TARGET;

/// How many of the last lines of a failed program an error repeats.
const TAIL: usize = 20;

/// What `rustc -vV` says: names the compiler, wherever it is installed.
pub(super) fn rustc_version(repository: &Path) -> Result<String, BoxError> {
    run(&variable("RUSTC", "rustc"), &["-vV"], repository, &|_| ())
}

/// The commit of a compiler, as its paths to the standard library name it.
pub(super) fn commit(version: &str) -> Result<&str, BoxError> {
    let line = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    line.ok_or_else(|| "rustc does not say which commit it was built from".into())
}

/// The folder that holds the whole toolchain.
pub(super) fn sysroot(repository: &Path) -> Result<PathBuf, BoxError> {
    let rustc = variable("RUSTC", "rustc");
    let folder = run(&rustc, &["--print", "sysroot"], repository, &|_| ())?;
    let folder = fs::canonicalize(folder.trim())?;
    let parts = ["bin/cargo".to_owned(), format!("lib/rustlib/{TARGET}/lib")];
    for part in parts {
        if !folder.join(&part).exists() {
            return Err(format!(
                "the Rust toolchain {} has no {part}; install the one that rust-toolchain.toml \
                 names with rustup",
                folder.display()
            )
            .into());
        }
    }
    Ok(folder)
}

/// The crates that `Cargo.lock` names, on this machine.
#[derive(Debug)]
pub(super) struct Crates {
    /// Cargo's `registry` folder.
    pub(super) registry: PathBuf,
    /// Names of the folders that crates are unpacked in, one for each registry.
    pub(super) unpacked: Vec<String>,
    /// The `[source]` tables of the user's configuration: where the user has put another registry
    /// in crates.io's place the crates are filed under its name.
    pub(super) config: String,
}

/// Has cargo fetch what is missing, unless it must do `offline` with what is there; `status` gets its
/// lines.
pub(super) fn fetch_crates(
    repository: &Path,
    offline: bool,
    status: &dyn Fn(&str),
) -> Result<Crates, BoxError> {
    let cargo = variable("CARGO", "cargo");
    let args = ["fetch", "--locked", "--target", TARGET];
    // Without the network first: it is faster, and all that can be done on an aeroplane.
    match run(&cargo, &[&args[..], &["--offline"]].concat(), repository, &|_| ()) {
        Err(error) if offline => return Err(error),
        Err(_) => run(&cargo, &args, repository, status).map(drop)?,
        Ok(_) => {}
    }
    let home = match env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME").ok_or("HOME is not set")?).join(".cargo"),
    };
    let registry = fs::canonicalize(home.join("registry"))?;
    let mut unpacked = Vec::new();
    for entry in fs::read_dir(registry.join("src"))? {
        unpacked.push(entry?.file_name().to_string_lossy().into_owned());
    }
    unpacked.sort();
    let config = match fs::read_to_string(home.join("config.toml")) {
        Ok(text) => sources_of(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(Crates { registry, unpacked, config })
}

/// What cargo knows about the workspace at `repository` and its crates, as JSON; the crates are there
/// already.
///
/// # Errors
/// Cargo fails.
pub fn metadata(repository: &Path) -> Result<String, BoxError> {
    let args = ["metadata", "--format-version", "1", "--locked", "--offline"];
    let args = [&args[..], &["--filter-platform", TARGET]].concat();
    run(&variable("CARGO", "cargo"), &args, repository, &|_| ())
}

/// The `[source]` tables of a cargo configuration and nothing else: flags and profiles of the user
/// have no place in what is built.
fn sources_of(config: &str) -> Result<String, BoxError> {
    let mut table: toml::Table = toml::from_str(config)?;
    table.retain(|key, _| key == "source");
    Ok(toml::to_string(&table)?)
}

/// The program that an environment variable names, as cargo sets it for what it starts.
fn variable(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// The one way in which this crate runs a program of the host, but for itself to enter sandboxes. Returns its standard output; each
/// line of its standard error goes to `status`, the last ones into the error.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
fn run(
    program: &str,
    args: &[&str],
    cwd: &Path,
    status: &dyn Fn(&str),
) -> Result<String, BoxError> {
    let line = format!("{program} {}", args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("starting {line}: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut tail: Vec<String> = Vec::new();
    let out = std::thread::scope(|scope| {
        let reader = scope.spawn(move || stdout.map_or(Ok(String::new()), std::io::read_to_string));
        for line in stderr.into_iter().flat_map(|e| BufReader::new(e).lines()).map_while(Result::ok)
        {
            status(line.trim());
            tail.push(line);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let ended = child.wait().map_err(|error| format!("waiting for {line}: {error}"))?;
    if !ended.success() {
        let tail = tail.split_off(tail.len().saturating_sub(TAIL));
        return Err(format!("{line}: {ended}\n{}", tail.join("\n")).into());
    }
    Ok(out.map_err(|error| format!("reading the output of {line}: {error}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_of_the_users_configuration_are_kept() {
        let config = "[build]\nrustflags = ['-Cdebuginfo=2']\n\
                      [source.crates-io]\nreplace-with = 'near'\n\
                      [source.near]\nregistry = 'sparse+https://near.example/'\n";
        let kept = sources_of(config).unwrap();
        assert!(kept.contains("replace-with = \"near\"") && !kept.contains("rustflags"), "{kept}");
        assert_eq!(sources_of("").unwrap(), "");
    }

    #[test]
    fn a_failed_program_is_named_with_its_last_words() {
        let said = std::cell::RefCell::new(Vec::new());
        let script = "echo out; echo one >&2; echo two >&2; exit 3";
        let error = run("sh", &["-c", script], Path::new("/"), &|line| {
            said.borrow_mut().push(line.to_owned());
        });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("sh -c") && error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("one\ntwo"), "{error}");
        assert_eq!(said.into_inner(), ["one", "two"]);
    }

    #[test]
    fn the_compiler_names_its_commit() {
        let version = rustc_version(Path::new("/")).unwrap();
        assert_eq!(commit(&version).unwrap().len(), 40);
        assert!(commit("rustc 1.0").is_err());
    }
}
