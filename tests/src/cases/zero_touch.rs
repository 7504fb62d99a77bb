// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine without a medium asks a server what to be: it posts its inventory over HTTPS with a
//! certificate that no authority knows, gets answers with scripts, and reports how it ended.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::netboot::Server;
use crate::https;
use crate::install::{self, PASSWORD};
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::shell;
use crate::vm::Vm;

/// The case, by name only.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "netboot-zero-touch",
        about: "BIOS, iPXE: answers for a posted inventory, scripts, a report; all over pinned HTTPS",
        run: zero_touch,
    }]
}

/// Fetched from the server; leaves a trace where the next script finds it.
const BEFORE: &str = "#!/bin/bash -e\n\
    echo \"$XENITH_STAGE $XENITH_HOSTNAME $XENITH_DISK\" >/run/trace\n\
    echo said before anything is written\n";

/// In the answers themselves.
const POPULATED: &str = "#!/bin/bash -e\n\
    cat /run/trace >\"$XENITH_ROOT/root/trace\"\n\
    echo \"$XENITH_STAGE $1\" >>\"$1/root/trace\"\n\
    echo 'Authorised use only.' >\"$XENITH_ROOT/etc/motd\"\n\
    chroot \"$XENITH_ROOT\" sh -c 'test -d /var/lib/systemd && echo kept >/var/lib/left-by-script'\n";

/// Fails: the host is installed all the same, and the report says so.
const COMPLETED: &str = "#!/bin/bash\necho said after the end, with $1\nexit 7\n";

fn answers(url: &str) -> String {
    install::answers("ext")
        + &format!(
            "[hooks]\ntimeout = 120\n\
             before = \"{url}/before.sh\"\n\
             populated = '''\n{POPULATED}'''\n\
             completed = \"{url}/completed.sh\"\n\
             [webhook]\nurl = \"{url}/installed\"\n"
        )
}

fn zero_touch(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let server = https::Server::start()?;
    let url = format!("https://10.0.2.2:{}", server.port);
    server.give("/answers", &answers(&url));
    server.give("/before.sh", BEFORE);
    server.give("/completed.sh", COMPLETED);
    server.give("/installed", "");
    let net = Server::start(lab, folder)?;
    // iPXE has room for 512 characters of all command lines: colons, a card and a file would be too many.
    let fingerprint = server.fingerprint.to_string().replace(':', "");
    let settings = format!(
        "#!ipxe\nset answers post:{url}/answers\nset options xenith.answers-sha256={fingerprint}\n\
         set url {}\nset mac\n",
        net.url
    );
    net.write("netboot.ipxe", &settings)?;
    let setup = Server::setup(folder, false, format!("{}/xenith.ipxe", net.url), false)?;
    let mut vm = Vm::start(lab, folder, "zero-touch", &setup)?;
    install::follow(&mut vm)?;

    let inventory = server.posted.try_recv().context("no inventory was posted")?;
    ensure!(inventory.path == "/answers", "something was posted to {} first", inventory.path);
    let found: Value = serde_json::from_str(&inventory.body).context("reading the inventory")?;
    ensure!(found["xenith-inventory"] == 1, "the inventory is {found}");
    let report = server.posted.try_recv().context("no report was posted")?;
    ensure!(report.path == "/installed", "a report was posted to {}", report.path);
    check_report(&report.body, &inventory.body)?;

    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let trace = shell::run(serial, "tr '\\n' , </root/trace")?;
    ensure!(
        trace == "before proof /dev/vda,populated /run/xenith/installed,",
        "the scripts left {trace:?}"
    );
    let motd = shell::run(serial, "cat /etc/motd")?;
    ensure!(motd == "Authorised use only.", "/etc/motd is {motd:?}");
    let left = shell::run(serial, "cat /var/lib/left-by-script; stat -c %a /root /var/lib/xenith")?;
    let left: Vec<&str> = left.split_whitespace().collect();
    ensure!(left == ["kept", "700", "700"], "the script and the installer left {left:?}");
    vm.cut_power();
    net.remove()
}

fn check_report(text: &str, inventory: &str) -> Result<()> {
    let report: Value = serde_json::from_str(text).context("reading the report")?;
    let digest: String =
        Sha256::digest(inventory).iter().map(|byte| format!("{byte:02x}")).collect();
    for (pointer, expected) in [
        ("/result", Value::from("installed")),
        ("/error", Value::Null),
        ("/hostname", "proof".into()),
        ("/disk/serial", "XENITH-SYSTEM".into()),
        ("/inventory-sha256", digest.into()),
    ] {
        let value = report.pointer(pointer);
        ensure!(value == Some(&expected), "{pointer} of the report is not {expected}:\n{text}");
    }
    let completed = report["completed-error"].as_str().unwrap_or_default();
    ensure!(completed.contains("(exit status: 7)"), "the failed script is not in:\n{text}");
    let addresses = report["interfaces"][0]["addresses"].to_string();
    ensure!(addresses.contains("10.0.2."), "no address is in:\n{text}");
    Ok(())
}
