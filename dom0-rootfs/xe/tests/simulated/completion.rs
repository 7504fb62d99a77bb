// SPDX-License-Identifier: MIT OR Apache-2.0
//! Completion in a real bash, as the image has it, with the real xe and daemon.

use std::path::{Path, PathBuf};

use crate::daemon::Daemon;

/// The overlay of the root image.
fn overlay() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlay")
}

/// Runs a script with the xe of these sources in the path.
pub fn bash(daemon: &Daemon, args: &[&str], script: &str) -> String {
    let xe = Path::new(env!("CARGO_BIN_EXE_xe"));
    let path = std::env::var("PATH").unwrap();
    let mut bash = daemon.at_home(Path::new("bash"));
    let bash = bash
        .args(args)
        .args(["-c", script])
        .env("PATH", format!("{}:{path}", xe.parent().unwrap().display()))
        .env("OVERLAY", overlay());
    let output = bash.output().expect("these tests need bash");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What bash would put in the place of the word, each in brackets, for lines up to the cursor.
fn completed(daemon: &Daemon, line: &str) -> Vec<String> {
    let script = r#"
        set -u
        COMP_WORDBREAKS=$' \t\n"\'@><=;|&(:'
        . "$OVERLAY/etc/bash_completion.d/xe"
        COMP_LINE=$LINE COMP_POINT=${#LINE}
        compopt() { echo "compopt $*"; }
        _xe xe
        printf '[%s]\n' ${COMPREPLY+"${COMPREPLY[@]}"}
    "#;
    let script = format!("LINE={}\n{script}", quoted(line));
    let out = bash(daemon, &["--norc", "--noprofile"], &script);
    out.lines().filter(|line| *line != "[]").map(str::to_owned).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn bash_completes_commands_parameters_and_values() {
    let xe = Daemon::start();
    xe.ok("vm-install template=Linux+PVH+(own+boot+loader) new-name-label=web+one");
    let vm = xe.ok("vm-list name-label=web+one --minimal");
    let sr = xe.ok("sr-list --minimal");
    for (line, expected) in [
        ("xe vm-unp", "[vm-unpause ]".to_owned()),
        ("xe vm-install new-na", "[new-name-label=]".to_owned()),
        ("xe vm-start --mul", "[--multiple ]".to_owned()),
        ("xe vm-list params=uuid,power", "[uuid,power-state]".to_owned()),
        ("xe vm-list power-state=h", "[halted ]".to_owned()),
        ("xe sr-param-list uuid=", format!("[{sr} ]")),
        ("xe vm-start uuid=", format!("[{vm} ]")),
        ("xe vm-start vm=w", r"[web\ one ]".to_owned()),
        ("xe vm-start vm=\"web o", "[web one]".to_owned()),
        ("xe vm-start vm=web\\ o", r"[web\ one ]".to_owned()),
        ("xe vm-param-set uuid=x other", "[other-config:]".to_owned()),
        ("xe vdi-import uuid=x filename=", "compopt -o default +o nospace".to_owned()),
        ("xe no-such-command ", String::new()),
    ] {
        // A selection by uuid has Dom0's too.
        let found = completed(&xe, line);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        match line {
            "xe vm-start uuid=" => assert!(found.contains(&expected.as_str()), "{found:?}"),
            _ => assert_eq!(found.join(""), expected, "{line}"),
        }
    }
    let all = xe.ok("help --all --minimal");
    let commands = completed(&xe, "xe ");
    assert!(all.split(',').all(|name| commands.contains(&format!("[{name} ]"))), "{commands:?}");
    assert!(all.split(',').count() > 200, "{all}");
}

#[test]
fn a_server_that_is_not_known_is_not_asked() {
    let xe = Daemon::start();
    let line = |password: &str| {
        format!("xe -s 127.0.0.1 -p {} -u root -pw {password} sr-list uuid=", xe.port)
    };
    assert_eq!(completed(&xe, &line("xenith")), [""; 0]);
    assert!(!xe.folder.path().join(".xe-known-hosts").exists());
    let port = xe.port.to_string();
    let login = ["-s", "127.0.0.1", "-p", &port, "-u", "root", "-pw", "xenith"];
    let (code, sr, _) = xe.run(&[&["sr-list", "--minimal"][..], &login].concat());
    assert_eq!(code, 0);
    assert_eq!(completed(&xe, &line("xenith")), [format!("[{} ]", sr.trim_end())]);
    assert_eq!(completed(&xe, &line("wrong")), [""; 0]);
}

/// The file that every interactive shell of a host reads, with the image's folders for the root's.
#[test]
fn shells_of_a_host_have_it() {
    let xe = Daemon::start();
    let rc = std::fs::read_to_string(overlay().join("etc/bash.bashrc")).unwrap();
    let here = xe.folder.path().join("bashrc");
    let etc = format!("{}/", overlay().join("etc").display());
    std::fs::write(&here, rc.replace("/etc/", &etc)).unwrap();
    let args = ["--noprofile", "--rcfile", here.to_str().unwrap(), "-i"];
    assert_eq!(bash(&xe, &args, "complete -p xe"), "complete -o nospace -F _xe xe\n");
}
