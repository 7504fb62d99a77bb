// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask iso`, `hypervisor`, `rootfs`: build one thing and say where it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use appliance_model::profile::Profile;
use isobuild::assemble::Iso;
use isobuild::report::Report;

use crate::pipeline::{BuildOptions, Pipeline, VERSION};

/// Builds the ISO and puts it into `target/xenith`; returns its path.
pub fn iso(options: &BuildOptions) -> Result<PathBuf> {
    let pipeline = Pipeline::new(&options.sources)?;
    let profile = pipeline.profile(&options.profile)?;
    let name = Iso::recipe_name(&profile.name);
    let report = pipeline.build(&profile, &[&name])?;
    let built = artifact(&report, &name)?.join(Iso::FILE);
    let iso = pipeline.output.join(iso_name(&profile));
    place(&built, &iso)?;
    eprint!("{}", report.table());
    Ok(iso)
}

/// Builds the hypervisor and its tools.
pub fn hypervisor(options: &BuildOptions) -> Result<()> {
    component(options, &["xen", "xen-tools"])
}

/// Builds the root image, kernel and initramfs.
pub fn rootfs(options: &BuildOptions) -> Result<()> {
    let pipeline = Pipeline::new(&options.sources)?;
    let profile = pipeline.profile(&options.profile)?;
    component(options, &[&dom0_rootfs::Rootfs::recipe_name(&profile.name)])
}

fn component(options: &BuildOptions, targets: &[&str]) -> Result<()> {
    let pipeline = Pipeline::new(&options.sources)?;
    let profile = pipeline.profile(&options.profile)?;
    let report = pipeline.build(&profile, targets)?;
    eprint!("{}", report.table());
    for target in targets {
        println!("{}", artifact(&report, target)?.display());
    }
    Ok(())
}

/// The folder of a target that was just built.
pub fn artifact<'r>(report: &'r Report, name: &str) -> Result<&'r Path> {
    report.artifact(name).with_context(|| format!("{name} is not in the build's report"))
}

/// `xenith-<version>[-<profile>]-x86_64.iso`.
fn iso_name(profile: &Profile) -> String {
    match profile.name.as_str() {
        "default" => format!("xenith-{VERSION}-x86_64.iso"),
        name => format!("xenith-{VERSION}-{name}-x86_64.iso"),
    }
}

/// Copies an artifact: what people do to theirs must not change the cache's.
fn place(built: &Path, iso: &Path) -> Result<()> {
    let part = iso.with_extension("iso.part");
    // One that is left over may be a second name of something else.
    if part.exists() {
        std::fs::remove_file(&part).with_context(|| format!("removing {}", part.display()))?;
    }
    std::fs::copy(built, &part)
        .with_context(|| format!("copying {} to {}", built.display(), part.display()))?;
    std::fs::rename(&part, iso).with_context(|| format!("renaming to {}", iso.display()))
}
