// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask iso`, `netboot`, `hypervisor`, `rootfs`: build one thing and say where it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use appliance_model::profile::Profile;
use isobuild::assemble::{Iso, Netboot};
use isobuild::report::Report;

use crate::pipeline::{BuildOptions, Pipeline, SourceOptions, VERSION};
use crate::program::Cargo;

/// How the ISO is built.
#[derive(Debug, Clone, clap::Args)]
pub struct IsoOptions {
    #[command(flatten)]
    build: BuildOptions,
    /// Put this answer file into the ISO, so that it installs without asking. `xenith-media` does the
    /// same to an ISO that is there, and takes the answers out again.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

impl From<BuildOptions> for IsoOptions {
    fn from(build: BuildOptions) -> Self {
        Self { build, answers: None }
    }
}

/// Builds the ISO and puts it into `target/xenith`; returns its path.
pub fn iso(options: &IsoOptions) -> Result<PathBuf> {
    let IsoOptions { build: options, answers } = options;
    let answers = answers.as_ref().map(|file| Answers::check(file, options)).transpose()?;
    let pipeline = Pipeline::new(&options.sources)?;
    let profile = pipeline.profile(&options.profile)?;
    let name = Iso::recipe_name(&profile.name);
    let report = pipeline.build(&profile, &[&name])?;
    let built = artifact(&report, &name)?.join(Iso::FILE);
    let iso = pipeline.output.join(file_name(&profile, "x86_64.iso"));
    place(&built, &iso, answers.as_ref())?;
    eprint!("{}", report.table());
    Ok(iso)
}

/// Builds the folder for netboot and puts it into `target/xenith`; returns its path.
pub fn netboot(options: &BuildOptions) -> Result<PathBuf> {
    let pipeline = Pipeline::new(&options.sources)?;
    let profile = pipeline.profile(&options.profile)?;
    let name = Netboot::recipe_name(&profile.name);
    let report = pipeline.build(&profile, &[&name])?;
    let folder = pipeline.output.join(file_name(&profile, "netboot"));
    place_folder(artifact(&report, &name)?, &folder)?;
    eprint!("{}", report.table());
    Ok(folder)
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

/// `xenith-<version>[-<profile>]-<end>`.
fn file_name(profile: &Profile, end: &str) -> String {
    match profile.name.as_str() {
        "default" => format!("xenith-{VERSION}-{end}"),
        name => format!("xenith-{VERSION}-{name}-{end}"),
    }
}

/// The same for a folder. The one that was there goes only once the new one is whole.
fn place_folder(built: &Path, folder: &Path) -> Result<()> {
    let beside = |end: &str| folder.with_file_name(format!(".{end}-{}", name_of(folder)));
    let (part, old) = (beside("part"), beside("old"));
    for left_over in [&part, &old] {
        if left_over.exists() {
            remove(left_over)?;
        }
    }
    copy_folder(built, &part)
        .with_context(|| format!("copying {} to {}", built.display(), part.display()))?;
    if folder.exists() {
        rename(folder, &old)?;
    }
    rename(&part, folder)?;
    if old.exists() {
        remove(&old)?;
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("renaming {} to {}", from.display(), to.display()))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// An answer file, and the programs of the target side that know what to do with it.
struct Answers {
    file: PathBuf,
    sources: SourceOptions,
}

impl Answers {
    /// Tells every finding before anything is built.
    fn check(file: &Path, options: &BuildOptions) -> Result<Self> {
        let file = std::path::absolute(file).context("resolving the path of the answer file")?;
        let answers = Self { file, sources: options.sources.clone() };
        answers.program("xenith-installer").args(["check"]).args([&answers.file]).run()?;
        Ok(answers)
    }

    fn embed(&self, iso: &Path) -> Result<()> {
        let call = self.program("xenith-media").args(["embed"]).args([iso]);
        call.args(["--answers"]).args([&self.file]).run()
    }

    fn program(&self, name: &str) -> Cargo {
        let call = Cargo::new("run").args(["--quiet", "--locked", "--package", "installer-ui"]);
        call.sources(&self.sources).args(["--bin", name, "--"]).output_to_stderr()
    }
}

/// Copies an artifact: what people do to theirs must not change the cache's.
fn place(built: &Path, iso: &Path, answers: Option<&Answers>) -> Result<()> {
    let part = iso.with_extension("iso.part");
    // One that is left over may be a second name of something else.
    if part.exists() {
        fs::remove_file(&part).with_context(|| format!("removing {}", part.display()))?;
    }
    fs::copy(built, &part)
        .with_context(|| format!("copying {} to {}", built.display(), part.display()))?;
    if let Some(answers) = answers {
        answers.embed(&part)?;
    }
    fs::rename(&part, iso).with_context(|| format!("renaming to {}", iso.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_replaces_the_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let (built, folder) = (dir.path().join("built"), dir.path().join("folder"));
        fs::create_dir_all(built.join("a/b")).unwrap();
        fs::write(built.join("a/b/new"), "new").unwrap();
        fs::create_dir_all(folder.join("a")).unwrap();
        fs::write(folder.join("a/old"), "old").unwrap();
        place_folder(&built, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a/b/new")).unwrap(), "new");
        assert!(!folder.join("a/old").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(place_folder(&dir.path().join("none"), &folder).is_err());
        assert!(folder.join("a/b/new").exists());
    }
}
