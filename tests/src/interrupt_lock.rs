// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plugin with which QEMU stands guests of an emulated host that start by UEFI: `tests/emulator` says why.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use isobuild::sandbox::Sandbox;

use crate::lab::Lab;

const SOURCE: &str = include_str!("../emulator/interrupt-lock.c");
const FILE: &str = "interrupt-lock.so";

/// Compiles it with the build's tools into `folder`, the sandbox's working folder.
pub fn compile(sandbox: &Sandbox, folder: &Path) -> Result<()> {
    fs::write(folder.join("interrupt-lock.c"), SOURCE).context("writing the plugin's source")?;
    let args = "-O2 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden interrupt-lock.c -o";
    sandbox
        .run("gcc", args.split_whitespace().chain([FILE]))
        .context("compiling the plugin for QEMU")
}

/// Puts it into a case's folder; its name there.
pub(crate) fn provide(lab: &Lab, folder: &Path) -> Result<&'static str> {
    let from = lab.guest_boot.join(FILE);
    fs::copy(&from, folder.join(FILE)).with_context(|| format!("copying {}", from.display()))?;
    Ok(FILE)
}
