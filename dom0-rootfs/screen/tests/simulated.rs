// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real program in a pseudo-terminal, against the real toolstack with a made-up host behind it.
//!
//! Cargo gives a test the programs of its own package only, so the daemon is built by the test: never
//! an old one, and never none.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use screen::client::{Toolstack, ask};
use xapi_model::Value;

/// Far above what anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

#[expect(clippy::disallowed_methods, reason = "this is the wrapper of these tests")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

/// The daemon of the same sources, beside the program.
fn build_daemon() -> PathBuf {
    let screen = Path::new(env!("CARGO_BIN_EXE_xenith-screen"));
    let folder = screen.parent().unwrap();
    let profile = match folder.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        name => name,
    };
    let built = command(Path::new(env!("CARGO")))
        .args(["build", "--locked", "--package", "toolstack", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "the daemon cannot be built; see `cargo build -p toolstack`");
    screen.with_file_name("xenith-toolstack")
}

/// A program of our own, ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = ended {
            eprintln!("ending a program: {error}");
        }
    }
}

/// Starts the daemon and waits until it says that it answers. Gives its address too.
fn start(program: &Path, folder: &Path, listen: &str) -> (Running, String) {
    let mut child = command(program)
        .args(["--simulate", "--listen", listen, "--socket"])
        .arg(folder.join("xapi.sock"))
        .arg("--database")
        .arg(folder.join("state.db"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let running = Running(child);
    let url = lines.next().expect("it never got ready").unwrap();
    assert!(lines.any(|line| line.unwrap().contains("toolstack ready")), "it never got ready");
    (running, url.strip_prefix("https://").unwrap().to_owned())
}

/// The program, as a person sees it.
struct Person {
    terminal: File,
    sent: Receiver<Vec<u8>>,
    shown: vt100::Parser,
    program: Running,
}

impl Person {
    fn sits_down(args: &[&str]) -> Person {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let other = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&other, size).unwrap();
        let end = || Stdio::from(other.try_clone().unwrap());
        let child = command(Path::new(env!("CARGO_BIN_EXE_xenith-screen")))
            .args(args)
            .stdin(end())
            .stdout(end())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let terminal = File::from(terminal);
        let mut from = terminal.try_clone().unwrap();
        let (sender, sent) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                if sender.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let shown = vt100::Parser::default();
        Person { terminal, sent, shown, program: Running(child) }
    }

    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the screen has all these words.
    fn sees(&mut self, words: &[&str]) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let text = self.shown.screen().contents();
            if words.iter().all(|word| text.contains(word)) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.sent.recv_timeout(left) {
                Ok(piece) => self.shown.process(&piece),
                Err(_) => panic!("{words:?} never came:\n{text}"),
            }
        }
    }
}

const UP: &str = "\u{1b}[A";
const DOWN: &str = "\u{1b}[B";

#[test]
fn a_person_follows_a_host_and_changes_it() {
    let program = build_daemon();
    let folder = tempfile::tempdir().unwrap();
    let (daemon, address) = start(&program, folder.path(), "127.0.0.1:0");
    let socket = folder.path().join("xapi.sock");
    let toolstack = Toolstack { socket: socket.clone(), https: address.parse().unwrap() };
    let call = |method: &str, params: &[Value]| {
        let mut connection = toolstack.connect(None).unwrap();
        let session = toolstack.look(&mut connection).unwrap();
        let params = std::iter::once(session).chain(params.iter().cloned()).collect();
        ask(&mut connection, method, params).unwrap()
    };
    let args = ["--socket", socket.to_str().unwrap(), "--https", &address];
    let mut person = Person::sits_down(&args);
    person.sees(&["pool Simulated pool", "https://192.0.2.10", "0 of 0 virtual machines"]);

    // What others do is seen at once.
    person.types(&format!("{DOWN}{DOWN}\r"));
    person.sees(&["There is none"]);
    let templates = call("VM.get_by_name_label", &["Linux PVH (own boot loader)".into()]);
    let template = templates.as_set().unwrap()[0].clone();
    let vm = call("VM.clone", &[template, "web".into()]);
    call("VM.provision", std::slice::from_ref(&vm));
    person.sees(&["web", "Halted", "s start"]);
    call("VM.start", &[vm.clone(), false.into(), false.into()]);
    person.sees(&["Running", "d shut down", "c console"]);

    // Nothing is changed without the password.
    person.types("d");
    person.sees(&["This needs root's password."]);
    person.types("wrong\r");
    person.sees(&["The password is wrong.", "next try"]);
    person.types("xenith\r");
    person.sees(&["This needs root's password.", "******"]);
    let state = call("VM.get_power_state", std::slice::from_ref(&vm));
    assert_eq!(state.text(), "Running");
    // Once the time is over Enter counts.
    let deadline = Instant::now() + LIMIT;
    while person.shown.screen().contents().contains("next try") {
        assert!(Instant::now() < deadline);
        let piece = person.sent.recv_timeout(LIMIT).unwrap();
        person.shown.process(&piece);
    }
    person.types("\r");
    person.sees(&["Shut down web?", "unlocked"]);
    person.types("y");
    person.sees(&["Halted", "s start", "Shutting down web: done."]);
    person.types("s");
    person.sees(&["Running", "Starting web: done."]);
    person.types("c");
    person.sees(&["Connected; Ctrl-] ends."]);
    person.types("\u{1d}");
    person.sees(&["virtual machines", "c console"]);

    // The address, which the made-up network takes.
    person.types(&format!("q{UP}{UP}\ra"));
    person.sees(&["How does this host get its IPv4 address"]);
    person.types("\u{1b}[C\t\u{15}192.0.2.77/24\r");
    person.sees(&["Give the host the address 192.0.2.77?"]);
    person.types("y");
    person.sees(&["Changing the address: done.", "192.0.2.77"]);

    // The toolstack goes and comes back.
    drop(daemon);
    person.sees(&["The toolstack", "Log in"]);
    person.types(UP);
    person.sees(&["The toolstack does not answer; waiting for it."]);
    let (_daemon, _) = start(&program, folder.path(), &address);
    let deadline = Instant::now() + LIMIT;
    while person.shown.screen().contents().contains("does not answer") {
        assert!(Instant::now() < deadline);
        let piece = person.sent.recv_timeout(LIMIT).unwrap();
        person.shown.process(&piece);
    }
    person.sees(&["192.0.2.77", "of 1 virtual machines", "Log in"]);
    person.types("q");
    assert!(person.program.0.wait().unwrap().success());
}
