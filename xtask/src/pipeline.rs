// SPDX-License-Identifier: MIT OR Apache-2.0
//! Joins the components: which recipes there are, and what builds them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use appliance_model::lock::Lock;
use appliance_model::profile::Profile;
use dom0_rootfs::programs::Programs;
use dom0_rootfs::{Base, Layer, NetbootInitrd, Rootfs};
use hypervisor::{Kconfig, Xen, XenTools};
use isobuild::assemble::{Boot, Iso, Netboot};
use isobuild::fetch::{Downloader, Mirrors};
use isobuild::graph::Engine;
use isobuild::interrupt::Interrupt;
use isobuild::lock;
use isobuild::progress::{self, Reporter};
use isobuild::recipe::Recipe;
use isobuild::report::Report;
use isobuild::store::Store;
use isobuild::tools::{self, Tree};

use crate::fuzz::FuzzProgram;
use crate::profiles::Profiles;
use crate::program::workspace_root;

/// Xenith's version, which is the workspace's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Options of every command that builds.
#[derive(Debug, Clone, clap::Args)]
pub struct BuildOptions {
    /// What to build: the name of a file below profiles/, or the path of your own.
    #[arg(long, default_value = "default", value_name = "NAME|FILE")]
    pub profile: String,
    #[command(flatten)]
    pub sources: SourceOptions,
}

/// Options of `cargo xtask lock`.
#[derive(Debug, clap::Args)]
pub struct LockOptions {
    /// Lock this profile of your own too, beside those below profiles/. May be given again.
    #[arg(long = "profile", value_name = "FILE")]
    pub profiles: Vec<String>,
    #[command(flatten)]
    pub sources: SourceOptions,
}

/// Where files come from.
#[derive(Debug, Clone, clap::Args)]
pub struct SourceOptions {
    /// Debian mirror to fetch from, `http://host/debian`. Otherwise $XENITH_MIRROR, then the user's
    /// configuration ($XDG_CONFIG_HOME/xenith/config.toml), then the mirrors of the host's apt.
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Use only what is in the cache already.
    #[arg(long)]
    pub offline: bool,
}

/// A repository ready to be built.
pub struct Pipeline {
    /// The repository's folder.
    pub repository: PathBuf,
    /// Where results go.
    pub output: PathBuf,
    /// Where artifacts and downloads are kept.
    pub store: Store,
    /// Where progress goes.
    pub reporter: Box<dyn Reporter>,
    /// Whether the person asked to stop.
    pub interrupt: Interrupt,
    sources: SourceOptions,
}

impl Pipeline {
    /// Over this workspace and the user's cache.
    pub fn new(sources: &SourceOptions) -> Result<Self> {
        let repository = workspace_root();
        Ok(Self {
            output: repository.join("target/xenith"),
            repository,
            store: Store::of_user().context("opening the cache")?,
            reporter: progress::for_terminal(),
            interrupt: Interrupt::on_signals().context("catching signals")?,
            sources: sources.clone(),
        })
    }

    /// The same, of a copy of the repository with its own results and cache.
    pub fn elsewhere(
        first: &Self,
        repository: PathBuf,
        output: PathBuf,
        store: Store,
    ) -> Result<Self> {
        let sources = first.sources.clone();
        let reporter = progress::for_terminal();
        Ok(Self {
            repository,
            output,
            store,
            reporter,
            interrupt: first.interrupt.clone(),
            sources,
        })
    }

    /// Reads a profile by name or path.
    pub fn profile(&self, name: &str) -> Result<Profile> {
        self.profiles().load(name)
    }

    /// The lock that all builds read.
    pub fn lock(&self) -> Result<Lock> {
        Ok(lock::load(&self.profiles().lock_path())?)
    }

    /// Every recipe that `profile` needs, and what tests need.
    pub fn recipes(&self, profile: &Profile) -> Result<Vec<Box<dyn Recipe>>> {
        let kconfig = self.repository.join("hypervisor/kconfig");
        let kconfig = Kconfig::load(&kconfig, &profile.xen.fragments)
            .context("reading the fragments of the hypervisor's configuration")?;
        let base = Base::new(profile);
        let layer = |recipe: &str, folder: &str| Layer {
            recipe: recipe.to_owned(),
            folder: folder.to_owned(),
        };
        let layers = vec![layer("xen-tools", "dom0"), layer(Programs::NAME, "")];
        Ok(vec![
            Box::new(Tree(tools::NAME)),
            Box::new(Tree(tools::EMULATOR)),
            Box::new(Tree(tools::CLIENTS)),
            Box::new(Xen::new(kconfig)),
            Box::new(XenTools),
            Box::new(Programs::new(&self.repository, &self.store, self.sources.offline)),
            Box::new(FuzzProgram::new(&self.repository, &self.store, self.sources.offline)),
            Box::new(base),
            Box::new(Rootfs::new(profile, VERSION, &self.repository, layers)),
            Box::new(Boot),
            Box::new(Iso::new(profile, VERSION)),
            Box::new(NetbootInitrd::new(profile)),
            Box::new(Netboot::new(profile, VERSION)),
        ])
    }

    /// Resolves every set again, those of the profiles `own` too, from what the mirrors serve now,
    /// and writes the lock.
    pub fn refresh_lock(&self, own: &[String]) -> Result<()> {
        anyhow::ensure!(
            !self.sources.offline,
            "the lock is made of what mirrors serve now: run it without --offline"
        );
        let profiles = self.profiles().to_lock(own)?;
        let xen = hypervisor::source::pinned().context("reading the pin of Xen's source")?;
        let sources = BTreeMap::from([(profiles[0].xen.source.clone(), xen)]);
        let wanted = lock::Wanted::new(&profiles, sources).context("collecting what to lock")?;
        let mirrors = Mirrors::find(self.sources.mirror.as_deref(), None)
            .context("finding a Debian mirror")?;
        let fresh = lock::refresh(&wanted, &mirrors, &*self.reporter, &self.interrupt)?;
        if let Ok(old) = self.lock() {
            self.report_changes(&old, &fresh);
        }
        Ok(lock::save(&self.profiles().lock_path(), &fresh)?)
    }

    fn report_changes(&self, old: &Lock, fresh: &Lock) {
        let mut count = 0;
        for (name, package) in fresh.packages() {
            let before = old.packages().get(name).map(|package| package.version.as_str());
            if before != Some(package.version.as_str()) {
                count += 1;
                let before = before.unwrap_or("(new)");
                self.reporter.line(&format!("  {name} {before} -> {}", package.version));
            }
        }
        for name in old.packages().keys().filter(|name| !fresh.packages().contains_key(*name)) {
            count += 1;
            self.reporter.line(&format!("  {name} is gone"));
        }
        self.reporter.line(&format!("  {count} packages changed"));
    }

    /// Builds `targets` (recipe names) of `profile` and what they need.
    pub fn build(&self, profile: &Profile, targets: &[&str]) -> Result<Report> {
        let lock = Arc::new(self.lock()?);
        let mirrors = Mirrors::find(self.sources.mirror.as_deref(), Some(lock.timestamp()));
        let mirrors = match mirrors {
            Err(_) if self.sources.offline => Mirrors::default(),
            found => found.context("finding a Debian mirror")?,
        };
        let fetcher = Downloader::new(
            &self.store,
            mirrors,
            self.sources.offline,
            &*self.reporter,
            self.interrupt.clone(),
        );
        let engine = Engine {
            repository: self.repository.clone(),
            output: self.output.clone(),
            store: self.store.clone(),
            lock,
            fetcher: &fetcher,
            reporter: &*self.reporter,
            interrupt: self.interrupt.clone(),
            workers: 2,
        };
        Ok(engine.build(&self.recipes(profile)?, targets)?)
    }

    fn profiles(&self) -> Profiles {
        Profiles::of(&self.repository)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use isobuild::inputs::Inputs;

    use super::*;
    use crate::repro::copy_repository;

    /// What each recipe of the repository's copy declares, and what it needs.
    fn declared(repository: &Path) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
        let pipeline = Pipeline {
            output: repository.join("target"),
            store: Store::at(&repository.join("target/cache")).unwrap(),
            repository: repository.to_owned(),
            reporter: Box::new(progress::Silent),
            interrupt: Interrupt::new(),
            sources: SourceOptions { mirror: None, offline: true },
        };
        let lock = Arc::new(pipeline.lock().unwrap());
        let recipes = pipeline.recipes(&pipeline.profile("default").unwrap()).unwrap();
        let declare = |recipe: &dyn Recipe| {
            let mut inputs = Inputs::new(repository, Arc::clone(&lock));
            recipe.declare(&mut inputs).unwrap();
            (recipe.name(), (inputs.lines().to_vec(), recipe.needs()))
        };
        recipes.iter().map(|recipe| declare(&**recipe)).collect()
    }

    /// The recipes that a change of `file` builds again: those whose own inputs changed, and those
    /// that need one of them.
    fn rebuilt(file: &str, change: impl Fn(&str) -> String) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        copy_repository(&workspace_root(), dir.path()).unwrap();
        let before = declared(dir.path());
        let path = dir.path().join(file);
        fs::write(&path, change(&fs::read_to_string(&path).unwrap())).unwrap();
        let after = declared(dir.path());
        let own = before.iter().filter(|(name, (lines, _))| after[*name].0 != *lines);
        let mut changed: BTreeSet<String> = own.map(|(name, _)| name.clone()).collect();
        loop {
            let follows = |needs: &[String]| needs.iter().any(|need| changed.contains(need));
            let more = after.iter().filter(|(_, (_, needs))| follows(needs));
            let all: BTreeSet<_> =
                changed.iter().cloned().chain(more.map(|m| m.0.clone())).collect();
            if all == changed {
                return changed.into_iter().collect();
            }
            changed = all;
        }
    }

    #[test]
    fn a_change_builds_again_only_what_follows_from_it() {
        let setting = |text: &str| text.replacen("=y", "=m", 1);
        let fragment = "hypervisor/kconfig/server.config";
        assert_eq!(rebuilt(fragment, setting), ["iso-default", "netboot-default", "xen"]);
        assert_eq!(rebuilt(fragment, |text| format!("# Why.\n{text}")), [""; 0]);
        let code = |text: &str| format!("{text}\n// More.\n");
        assert_eq!(
            rebuilt("dom0-rootfs/toolstack/src/lib.rs", code),
            ["fuzz", "iso-default", "netboot-default", "programs", "rootfs-default"]
        );
        let menu = |text: &str| format!("{text}\n[output]\nmenu-seconds = 9\n");
        assert_eq!(rebuilt("profiles/default.toml", menu), ["iso-default", "netboot-default"]);
    }
}
