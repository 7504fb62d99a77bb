// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real xe against the real toolstack with a made-up host behind it: a VM's whole life.
//!
//! Cargo gives a test the programs of its own package only, so the daemon is built by the test: never
//! an old one, and never none.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

/// A daemon of our own, ended with the test.
struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

#[expect(clippy::disallowed_methods, reason = "this is the wrapper of these tests")]
fn command(program: &Path) -> Command {
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
    let built = command(Path::new(env!("CARGO")))
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
    fn start() -> Daemon {
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
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = command(Path::new(env!("CARGO_BIN_EXE_xe")))
            .args(args)
            .env_remove("XE_EXTRA_ARGS")
            .env("HOME", self.folder.path())
            .env("XE_SOCKET", self.folder.path().join("xapi.sock"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Runs xe, which has to succeed, and gives what it says without the end of the line.
    fn ok(&self, line: &str) -> String {
        let args: Vec<String> = line.split(' ').map(|word| word.replace('+', " ")).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, out, err) = self.run(&args);
        assert_eq!((code, err.as_str()), (0, ""), "xe {line}\n{out}");
        out.trim_end().to_owned()
    }

    /// Runs xe, which has to fail, and gives its complaint.
    fn fails(&self, line: &str) -> String {
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

#[test]
fn a_vm_from_its_template_to_its_end() {
    let xe = Daemon::start();
    let template = "Linux+PVH+(own+boot+loader)";
    let vm = xe.ok(&format!("vm-install template={template} new-name-label=web"));
    let sr = xe.ok("sr-list --minimal");
    let network = xe.ok("network-list bridge=xenbr0 --minimal");
    xe.ok("vm-memory-set vm=web memory=64MiB");
    xe.ok("vm-disk-add vm=web disk-size=8MiB device=0");
    let disk = xe.ok(&format!("vbd-list vm-uuid={vm} params=vdi-uuid --minimal"));

    let image = xe.folder.path().join("image");
    std::fs::write(&image, vec![0x5a; 1 << 20]).unwrap();
    xe.ok(&format!("vdi-import uuid={disk} filename={}", image.display()));
    let back = xe.folder.path().join("back");
    xe.ok(&format!("vdi-export uuid={disk} filename={}", back.display()));
    let back = std::fs::read(back).unwrap();
    assert!(back.len() == 8 << 20 && back[..1 << 20].iter().all(|byte| *byte == 0x5a));
    std::fs::write(&image, vec![1; 9 << 20]).unwrap();
    let refused = xe.fails(&format!("vdi-import uuid={disk} filename={}", image.display()));
    assert!(refused.contains("VDI_TOO_SMALL"), "{refused}");

    xe.ok(&format!("vif-create vm-uuid={vm} network-uuid={network} device=0"));
    xe.ok("vm-start vm=web");
    assert_eq!(xe.ok(&format!("vm-param-get uuid={vm} param-name=power-state")), "running");
    xe.ok(&format!("event-wait class=vm uuid={vm} power-state=running"));
    let refused = xe.fails("vm-start vm=web");
    let expected = format!(
        "The VM is in another power state than the operation needs.\nvm: {vm} (web)\n\
         expected: halted\nactual: running\n"
    );
    assert_eq!(refused, expected);
    let refused = xe.fails(&format!("vdi-destroy uuid={disk}"));
    assert!(refused.starts_with("The VDI is in use.\n"), "{refused}");
    xe.ok("vm-pause vm=web");
    assert_eq!(xe.ok("vm-list name-label=web params=power-state --minimal"), "paused");
    xe.ok("vm-unpause vm=web");
    xe.ok("vm-shutdown vm=web");

    let copy = xe.ok("vm-clone vm=web new-name-label=copy");
    assert_ne!(copy, vm);
    xe.ok(&format!("vm-param-set uuid={copy} name-description=second other-config:role=back"));
    assert_eq!(xe.ok("vm-list other-config:role=back params=name-label --minimal"), "copy");
    xe.ok("vm-uninstall vm=web --force");
    assert_eq!(xe.ok(&format!("vdi-list uuid={disk} --minimal")), "");
    xe.ok("vm-uninstall vm=copy --force");
    assert_eq!(xe.ok(&format!("vdi-list sr-uuid={sr} --minimal")), "");
    assert_eq!(xe.ok("vm-list is-control-domain=false --minimal"), "");
}

#[test]
fn every_list_of_the_api_can_be_shown_whole() {
    let xe = Daemon::start();
    let all = xe.ok("help --all --minimal");
    let lists: Vec<&str> =
        all.split(',').filter(|name| name.ends_with("-list") && !name.contains("param")).collect();
    assert!(lists.len() > 12, "{lists:?}");
    // A VM's own lists and that of logged-in users are none of a class.
    let whole = |list: &&&str| {
        **list == "vm-list" || !list.starts_with("vm-") && !list.starts_with("session-")
    };
    for list in lists.iter().filter(whole) {
        xe.ok(&format!("{list} params=all"));
    }
}

#[test]
fn from_afar_with_a_password() {
    let xe = Daemon::start();
    let port = xe.port.to_string();
    let remote = |password: &str| {
        let base = ["host-list", "--minimal", "-s", "127.0.0.1", "-p", &port];
        xe.run(&[&base[..], &["-u", "root", "-pw", password]].concat())
    };
    let (code, uuid, note) = remote("xenith");
    assert_eq!((code, uuid.trim_end()), (0, xe.ok("host-list --minimal").as_str()));
    assert!(note.contains("is new; its certificate is kept in"), "{note}");
    assert_eq!(remote("xenith"), (0, uuid, String::new()));
    assert_eq!(remote("wrong"), (1, String::new(), "Authentication failed\n".to_owned()));
}
