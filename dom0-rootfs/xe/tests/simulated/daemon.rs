// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real daemon with a made-up host behind it, and the real xe.
//!
//! Cargo gives a test the programs of its own package only, so the daemon is built by the test: never
//! an old one, and never none.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

/// A daemon of our own, ended with the test.
pub struct Daemon {
    child: Child,
    /// A place for files, the home of who runs xe.
    pub folder: tempfile::TempDir,
    /// Where it answers over TLS.
    pub port: u16,
}

/// A program to be run.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper of these tests")]
pub fn command(program: &Path) -> Command {
    Command::new(program)
}

/// The daemon of the same sources, built once beside `xe`.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let xe = Path::new(env!("CARGO_BIN_EXE_xe"));
    let folder = xe.parent().unwrap();
    let profile = match folder.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        name => name,
    };
    let mut cargo = command(Path::new(env!("CARGO")));
    // What cargo says to the tests of their own package would have crates compiled anew.
    let said = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| said(name)) {
        cargo.env_remove(name);
    }
    let built = cargo
        .args(["build", "--locked", "--package", "toolstack", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "the daemon cannot be built; see `cargo build -p toolstack`");
    xe.with_file_name("xenith-toolstack")
});

impl Daemon {
    /// Starts one and waits until it says that it answers.
    pub fn start() -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let mut child = command(&PROGRAM)
            .args(["--simulate", "--listen", "127.0.0.1:0", "--socket"])
            .arg(folder.path().join("xapi.sock"))
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next().expect("it never got ready").unwrap();
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        assert!(lines.any(|line| line.unwrap().contains("toolstack ready")), "it never got ready");
        Daemon { child, folder, port }
    }

    /// Runs xe; gives its exit code, standard output and standard error.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut xe = self.at_home(Path::new(env!("CARGO_BIN_EXE_xe")));
        let output = xe.args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// A program in whose surroundings xe talks to this daemon.
    pub fn at_home(&self, program: &Path) -> Command {
        let mut command = command(program);
        command
            .env_remove("XE_EXTRA_ARGS")
            .env("HOME", self.folder.path())
            .env("XE_SOCKET", self.folder.path().join("xapi.sock"));
        command
    }

    /// Runs xe, which has to succeed, and gives what it says without the end of the line.
    pub fn ok(&self, line: &str) -> String {
        let args: Vec<String> = line.split(' ').map(|word| word.replace('+', " ")).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, out, err) = self.run(&args);
        assert_eq!((code, err.as_str()), (0, ""), "xe {line}\n{out}");
        out.trim_end().to_owned()
    }

    /// Runs xe, which has to fail, and gives its complaint.
    pub fn fails(&self, line: &str) -> String {
        let args: Vec<&str> = line.split(' ').collect();
        let (code, out, err) = self.run(&args);
        assert_eq!(code, 1, "xe {line}\n{out}{err}");
        err
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("ending the daemon: {error}");
        }
    }
}
