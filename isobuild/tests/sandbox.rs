// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs really run in a sandbox; the root is made of the host's own `/usr`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use isobuild::interrupt::Interrupt;
use isobuild::sandbox::{Sandbox, SandboxError, Streams, use_helper};
use rustix::process::{Pid, Signal, kill_process};

/// A tree with usr-merge links, over which the host's `/usr` is bound.
fn sandbox(dir: &Path) -> Sandbox {
    use_helper(env!("CARGO_BIN_EXE_sandbox-helper"));
    let root = dir.join("root");
    fs::create_dir_all(root.join("usr")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    Sandbox::over(root).bind_ro("/usr", "/usr").log(dir.join("log"))
}

fn sh(sandbox: &Sandbox, script: &str) -> Result<String, SandboxError> {
    Ok(String::from_utf8(sandbox.output("sh", ["-c", script])?).unwrap())
}

#[test]
fn the_surroundings_are_the_same_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path()).env("SOURCE_DATE_EPOCH", "7");
    let script = "id -u; uname -n; umask; pwd; echo $$ $SOURCE_DATE_EPOCH $LANG $TZ; env | wc -l; \
                  stat -c %a /dev /tmp; ls -A /sys /run | wc -w; test ! -e /home; \
                  echo x >/dev/null && head -c1 /dev/zero | wc -c; grep -c : /proc/net/dev";
    let text = sh(&sandbox, script).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..4], ["0", "xenith", "0022", "/"], "{text}");
    assert!(lines[4].ends_with(" 7 C.UTF-8 UTC"), "{text}");
    let pid: u32 = lines[4].split(' ').next().unwrap().parse().unwrap();
    assert!(pid < 10, "own process ids: {text}");
    assert!(text.contains("\n755\n1777\n"), "{text}");
    // The last: of the host's network cards only a loopback that is down.
    assert!(text.ends_with("\n2\n1\n1\n"), "{text}");
}

#[test]
fn only_what_was_bound_writable_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("in/data"), "hello").unwrap();
    let sandbox = sandbox(dir.path())
        .bind_rw(dir.path().join("out"), "/out")
        .bind_ro(dir.path().join("in"), "/in/deep")
        .bind_ro(dir.path().join("in/data"), "/file");
    sh(&sandbox, "cat /in/deep/data /file > /out/copy; echo > /tmp/x").unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("out/copy")).unwrap(), "hellohello");
    for path in ["/x", "/usr/x", "/etc/x", "/in/deep/x", "/file", "/in/x"] {
        let error = sh(&sandbox, &format!("echo > {path}")).unwrap_err().to_string();
        assert!(error.contains("Read-only file system"), "{path}: {error}");
    }
}

#[test]
fn errors_tell_the_command_its_status_and_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let error = sandbox.run("sh", ["-c", "echo out; echo err >&2; exit 3"]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("sh -c 'echo out; echo err >&2; exit 3'"), "{text}");
    assert!(text.contains("status 3") && text.ends_with("out\nerr"), "{text}");
    let text = sandbox.run("sh", ["-c", "kill -9 $$"]).unwrap_err().to_string();
    assert!(text.contains("signal 9"), "{text}");
    let error = sandbox.run("no-such-program", [""; 0]).unwrap_err();
    assert!(matches!(error, SandboxError::Setup { .. }), "{error}");
    assert!(error.to_string().contains("executing no-such-program"), "{error}");
    let error = sandbox.clone().bind_ro("/no/such", "/x").run("true", [""; 0]).unwrap_err();
    assert!(error.to_string().contains("taking /no/such"), "{error}");
    let error = sandbox.clone().bind_ro("/tmp", "/usr/no-such").run("true", [""; 0]).unwrap_err();
    assert!(error.to_string().contains("must exist there"), "{error}");
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("$ sh -c 'kill -9 $$'\n"), "{log}");
    assert!(!log.contains("last words"), "{log}");
}

#[test]
fn input_goes_through_and_output_comes_back_and_into_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let input = vec![b'x'; 1 << 20];
    let output = sandbox(dir.path()).filter("cat", [""; 0], &input).unwrap();
    assert!(output == input);
    assert!(fs::metadata(dir.path().join("log")).unwrap().len() > 1 << 20);
}

#[test]
fn a_long_lived_program_talks_and_dies_with_its_handle() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    // A grandchild holds on to the output: it must go too.
    let script = "sleep 1000 & echo ready; read line; echo got $line; read line";
    let mut child = sandbox.spawn("sh", ["-c", script], Streams::piped()).unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut buffer = [0; 6];
    stdout.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"ready\n");
    stdin.write_all(b"it\n").unwrap();
    let mut buffer = [0; 7];
    stdout.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"got it\n");
    assert!(child.try_wait().unwrap().is_none());
    drop(child);
    // Ends only when every process that had it open is gone.
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn a_program_that_leaves_children_behind_ends_and_they_are_killed() {
    let dir = tempfile::tempdir().unwrap();
    let output = sandbox(dir.path()).output("sh", ["-c", "sleep 1000 & echo done"]).unwrap();
    assert_eq!(output, b"done\n");
}

#[test]
fn an_interrupt_ends_running_programs() {
    let dir = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::new();
    let sandbox = sandbox(dir.path()).interrupt(&interrupt);
    sh(&sandbox.clone().bind_rw(dir.path(), "/dir"), "mkfifo /dir/fifo").unwrap();
    // Not set off: no difference.
    sandbox.run("true", [""; 0]).unwrap();
    let log = dir.path().join("log");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A fifo is opened for writing when the program inside opens it for reading.
            fs::OpenOptions::new().write(true).open(dir.path().join("fifo")).map(drop).unwrap();
            interrupt.trip();
        });
        let sandbox = sandbox.bind_rw(dir.path(), "/dir");
        let error = sandbox.run("sh", ["-c", ": </dir/fifo; sleep 1000"]).unwrap_err();
        assert!(matches!(error, SandboxError::Interrupted { .. }), "{error}");
        let error = sandbox.output("sh", ["-c", "sleep 1000"]).unwrap_err();
        assert!(matches!(error, SandboxError::Interrupted { .. }), "{error}");
    });
    assert!(fs::read_to_string(log).unwrap().contains("sleep 1000"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is the program that gets the signals")]
fn the_first_signal_ends_what_runs_and_the_second_one_the_process() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = tempfile::tempdir().unwrap();
        sh(&sandbox(dir.path()).bind_rw(dir.path(), "/dir"), "mkfifo /dir/fifo").unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sandbox-helper"))
            .args(["run-until-signal", dir.path().to_str().unwrap()])
            .arg(": </dir/fifo; sleep 1000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Opens when the program inside does.
        fs::OpenOptions::new().write(true).open(dir.path().join("fifo")).map(drop).unwrap();
        let pid = Pid::from_child(&process);
        kill_process(pid, signal).unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "interrupted: sh -c ': </dir/fifo; sleep 1000'\n");
        assert!(process.try_wait().unwrap().is_none(), "the first one only asks");
        kill_process(pid, signal).unwrap();
        let status = process.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(130), None), "{signal:?}");
    }
}
