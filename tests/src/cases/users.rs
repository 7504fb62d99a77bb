// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users of the host beside root, with roles.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::boot::{LIMIT, READY};
use crate::install::{self, From, PASSWORD};
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::shell;
use crate::vm::{Setup, Vm};

/// The only one.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "users-roles",
        about: "a user of the host logs in over the network with a role and loses it; on request",
        run: roles,
    }]
}

fn roles(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    install::install(lab, folder, false, "none", From::Volume)?;
    let setup = Setup { disks: vec![install::system_disk()], ..Setup::default() };
    let mut vm = Vm::start(lab, folder, "first", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    shell::run(serial, "useradd ann && echo ann:secret | chpasswd")?;
    // With a port it goes over TLS; without one it would be root on the host's own socket.
    let as_ann = "xe -s 127.0.0.1 -p 443 -u ann -pw secret";
    let refused = format!("! {as_ann} pool-list 2>/dev/null");
    shell::run(serial, &refused).context("logging in without being a subject")?;
    let subject = shell::run(serial, "xe subject-add subject-name=ann")?;
    shell::run(serial, &refused).context("logging in without a role")?;
    let role =
        |verb: &str, name: &str| format!("xe subject-role-{verb} uuid={subject} role-name={name}");
    shell::run(serial, &role("add", "read-only"))?;
    // What goes wrong is told; that the certificate was made by the host itself is not.
    let list = format!("{as_ann} pool-list --minimal 2>/tmp/said || {{ cat /tmp/said; false; }}");
    let pool = shell::run(serial, &list)?;
    ensure!(pool == shell::run(serial, "xe pool-list --minimal")?, "ann sees the pool {pool:?}");
    let rename = format!("{as_ann} pool-param-set uuid={pool} name-label=ann 2>/dev/null");
    shell::run(serial, &format!("! {rename}")).context("changing what only operators may")?;
    shell::run(serial, &role("add", "pool-operator"))?;
    shell::run(serial, &rename).context("changing the pool as its operator")?;
    shell::run(serial, &role("remove", "pool-operator"))?;
    shell::run(serial, &format!("! {rename}")).context("changing the pool without the role")?;
    shell::run(serial, &format!("xe subject-remove subject-uuid={subject}"))?;
    shell::run(serial, &refused).context("logging in once removed").map(drop)
}
