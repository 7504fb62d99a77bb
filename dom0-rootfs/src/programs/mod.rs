// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `programs`: our own Rust programs, compiled in the sandbox.
//!
//! Artifact: `usr/sbin/xenith-toolstack`, `usr/bin/xe`, `usr/sbin/xenith-screen` and
//! `usr/sbin/xenith-installer`, static position-independent programs that depend on nothing in Dom0, and
//! `usr/libexec/xenith/xenops-worker`, which links the libraries of the recipe `xen-tools`; and
//! `usr/share/doc/xenith/copyright`, their terms.
//!
//! The pinned toolchain of the host is bound in read-only, so the C library and the C compiler are
//! the locked ones, and every path that could end up in a program is the same on every machine.
//! Cargo's target folder is kept between builds beside the store, one for each combination of
//! toolchain and tools, so that a one-line change does not compile everything again. Cargo trusts
//! modification times; the sources are therefore copied into a folder of their own, in which only
//! files whose contents differ are written.

mod cargo;
mod host;
mod stage;
mod terms;
mod workspace;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use appliance_model::Digest;
use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};
use isobuild::store::Store;

use cargo::{Compilation, Link};
use stage::Sources;
use workspace::Workspace;

/// A program of the appliance.
struct Program {
    package: &'static str,
    features: &'static [&'static str],
    /// The binary's name.
    name: &'static str,
    /// Folder in the root image.
    folder: &'static str,
    link: Link,
}

const PROGRAMS: &[Program] = &[
    Program {
        package: "toolstack",
        features: &[],
        name: "xenith-toolstack",
        folder: "usr/sbin",
        link: Link::Static,
    },
    Program {
        package: "installer-ui",
        features: &[],
        name: "xenith-installer",
        folder: "usr/sbin",
        link: Link::Static,
    },
    Program { package: "xe", features: &[], name: "xe", folder: "usr/bin", link: Link::Static },
    Program {
        package: "screen",
        features: &[],
        name: "xenith-screen",
        folder: "usr/sbin",
        link: Link::Static,
    },
    Program {
        package: "xenops",
        features: &["libxl"],
        name: "xenops-worker",
        folder: "usr/libexec/xenith",
        link: Link::XenTools,
    },
];

/// See the module.
#[derive(Debug)]
pub struct Programs {
    repository: PathBuf,
    store: Store,
    offline: bool,
    /// The sources that the key was made from.
    declared: Mutex<Option<Digest>>,
}

impl Programs {
    /// The recipe's name.
    pub const NAME: &'static str = "programs";

    /// The programs of the workspace at `repository`; `store` keeps cargo's target folder.
    /// `offline`: crates are not fetched, they must be there.
    pub fn new(repository: &Path, store: &Store, offline: bool) -> Self {
        let (repository, store) = (repository.to_owned(), store.clone());
        Self { repository, store, offline, declared: Mutex::new(None) }
    }

    fn sources(&self) -> Result<Sources, BoxError> {
        stage::sources(&Workspace::read(&self.repository)?, &packages())
    }
}

impl Recipe for Programs {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self) -> Vec<String> {
        vec!["tools".to_owned(), "xen-tools".to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(2);
        for program in PROGRAMS {
            let Program { package, features, name, folder, link } = program;
            inputs.value("program", format!("{package} {features:?} {name} {folder} {link:?}"));
        }
        inputs.value("rustc", host::rustc_version(&self.repository)?);
        for file in terms::OWN {
            inputs.file(file)?;
        }
        let digest = self.sources()?.digest()?;
        inputs.value("sources", digest.to_string());
        *self.declared.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let version = host::rustc_version(&self.repository)?;
        let toolchain = host::sysroot(&self.repository)?;
        build.status("fetching crates");
        let crates =
            host::fetch_crates(&self.repository, self.offline, &|line| build.status(line))?;

        let kept = cargo::kept(&self.store, &version, build)?;
        let _claim = self.store.claim(&kept.name, || build.status("waiting for another build"))?;
        let staged = kept.path.join("sources");
        let sources = self.sources()?;
        sources.copy_to(&staged)?;
        // Minutes may lie between the two: Xen's tools are compiled first.
        let declared = *self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        if declared != Some(sources.digest_of_copy(&staged)?) {
            return Err("the programs' sources were changed while the build was running; \
                        run the same command again"
                .into());
        }

        for link in [Link::Static, Link::XenTools] {
            let programs: Vec<&Program> = PROGRAMS.iter().filter(|p| p.link == link).collect();
            build.status(match link {
                Link::Static => "compiling static programs",
                Link::XenTools => "compiling the worker",
            });
            let compilation = Compilation {
                version: &version,
                toolchain: &toolchain,
                crates: &crates,
                kept: &kept.path,
                link,
            };
            let folder = compilation.run(build, &programs)?;
            for program in programs {
                let to = build.out().join(program.folder);
                fs::create_dir_all(&to)?;
                let to = to.join(program.name);
                let from = folder.join(program.name);
                fs::copy(&from, &to)
                    .map_err(|error| format!("copying {}: {error}", from.display()))?;
                fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
            }
        }
        let terms = build.out().join(terms::FILE);
        fs::create_dir_all(terms.parent().unwrap_or(build.out()))?;
        fs::write(terms, terms::text(&self.repository, &packages())?)?;
        Ok(())
    }
}

/// The packages that the programs are in.
fn packages() -> Vec<&'static str> {
    PROGRAMS.iter().map(|program| program.package).collect()
}
