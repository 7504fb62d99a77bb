// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `programs`: our own Rust programs, compiled in the sandbox.
//!
//! Artifact: `usr/sbin/xenith-toolstack`, `usr/bin/xe`, `usr/sbin/xenith-screen` and
//! `usr/sbin/xenith-installer`, static position-independent programs that depend on nothing in Dom0, and
//! `usr/libexec/xenith/xenops-worker`, which links the libraries of the recipe `xen-tools`; and
//! `usr/share/doc/xenith/copyright`, their terms.
//!
//! [`isobuild::rust`] compiles them.

mod cargo;
mod terms;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};
use isobuild::rust::Packages;
use isobuild::store::Store;

use cargo::Link;

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
    packages: Packages,
}

impl Programs {
    /// The recipe's name.
    pub const NAME: &'static str = "programs";

    /// The programs of the workspace at `repository`; `store` keeps cargo's target folder.
    /// `offline`: crates are not fetched, they must be there.
    pub fn new(repository: &Path, store: &Store, offline: bool) -> Self {
        let names = PROGRAMS.iter().map(|program| program.package).collect();
        Self { packages: Packages::new(repository, store, offline, names) }
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
        for file in terms::OWN {
            inputs.file(file)?;
        }
        self.packages.declare(inputs)
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let cargo = self.packages.prepare(build, "programs", &["tools", "xen-tools"])?;
        for link in [Link::Static, Link::XenTools] {
            let programs: Vec<&Program> = PROGRAMS.iter().filter(|p| p.link == link).collect();
            build.status(match link {
                Link::Static => "compiling static programs",
                Link::XenTools => "compiling the worker",
            });
            let folder = cargo::compile(&cargo, build, link, &programs)?;
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
        fs::write(terms, terms::text(self.packages.repository(), self.packages.names())?)?;
        Ok(())
    }
}
