// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arrows between crates, as ARCHITECTURE.md draws them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::program::Cargo;

/// What each crate of the workspace may depend on. A crate that is not listed is a finding.
const ALLOWED: &[(&str, &[&str])] = &[
    ("appliance-model", &[]),
    ("image-formats", &[]),
    ("xapi-model", &[]),
    ("isobuild", &["appliance-model", "image-formats"]),
    ("hypervisor", &["appliance-model", "isobuild"]),
    ("dom0-rootfs", &["appliance-model", "image-formats", "isobuild"]),
    ("xenops", &[]),
    ("storage", &[]),
    ("network", &[]),
    ("toolstack", &["appliance-model", "network", "storage", "xapi-model", "xenops"]),
    ("xe", &["xapi-model"]),
    ("installer-core", &["appliance-model", "image-formats"]),
    ("installer-ui", &["appliance-model", "installer-core"]),
    ("xtask", &["appliance-model", "image-formats", "isobuild", "hypervisor", "dom0-rootfs"]),
    ("e2e", &["appliance-model", "image-formats", "isobuild", "hypervisor", "dom0-rootfs"]),
];

/// Every arrow that is not drawn.
pub fn check() -> Result<Vec<String>> {
    let metadata = Cargo::new("metadata").args(["--format-version=1", "--no-deps"]).output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata).context("reading the output of cargo metadata")?;
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = allowed.get(name) else {
            findings.push(format!("crate {name} is not in the table of arrows"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            let inside = dependency["path"].is_string();
            if inside && !allowed.contains(&target) {
                findings.push(format!("arrow {name} -> {target} is not drawn in ARCHITECTURE.md"));
            }
        }
    }
    Ok(findings)
}
