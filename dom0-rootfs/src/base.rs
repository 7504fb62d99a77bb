// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `dom0-<profile>`: what Debian's packages bring, cut down, with kernel and initramfs.
//!
//! Artifact: `tree/`, `vmlinuz`, `initrd.img`, `packages` (a line each: name, version). Nothing of ours
//! is in it apart from `init/`, so a change of our programs does not unpack packages again.

use std::collections::BTreeSet;
use std::fs;

use appliance_model::lock::Package;
use appliance_model::profile::{Format, Profile};
use isobuild::debian::unpack_all;
use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};

use crate::glob::Patterns;
use crate::tree::{Tree, failed};
use crate::{initramfs, modules};

const REVISION: u32 = 4;

/// Stays whatever a profile trims: the terms that the packages are passed on under. (The names in
/// `usr/share/doc` itself are links between packages that share theirs.)
const TERMS: &[&str] =
    &["usr/share/common-licenses/*", "usr/share/doc/*/copyright", "usr/share/doc/*"];

/// Level of zstd for the initramfs; higher ones cost seconds and win little.
pub(crate) const INITRD_LEVEL: &str = "-12";

/// See the module.
#[derive(Debug, Clone)]
pub struct Base {
    profile: Profile,
}

impl Base {
    /// The recipe for a profile.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        Self { profile: profile.clone() }
    }

    /// The recipe's name for the profile of that name.
    #[must_use]
    pub fn recipe_name(profile: &str) -> String {
        format!("dom0-{profile}")
    }

    fn packages(&self, lock: &appliance_model::lock::Lock) -> Result<String, BoxError> {
        Ok(self.profile.set_in(lock)?.to_owned())
    }
}

/// The name that mount and mksquashfs know the image's format by.
pub(crate) fn file_system(format: Format) -> &'static str {
    match format {
        Format::Squashfs => "squashfs",
        Format::Erofs => "erofs",
    }
}

impl Recipe for Base {
    fn name(&self) -> String {
        Self::recipe_name(&self.profile.name)
    }

    fn needs(&self) -> Vec<String> {
        vec![isobuild::tools::NAME.to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(REVISION);
        let set = self.packages(inputs.lock())?;
        inputs.set(&set)?;
        let dom0 = &self.profile.dom0;
        inputs.values("modules", &dom0.modules);
        inputs.values("firmware", &dom0.firmware);
        inputs.values("trim", &dom0.trim);
        inputs.value("format", file_system(self.profile.image.format));
        inputs.values("initramfs", initramfs::texts());
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let set = self.packages(build.lock())?;
        let mut packages: Vec<&Package> = build.lock().set(&set)?;
        // Brings the links of `/bin` and `/lib` into `/usr`.
        packages.sort_by_key(|package| package.name != "base-files");
        let root = build.out().join("tree");
        fs::create_dir(&root)?;
        let tree = Tree::at(root);

        build.status("unpacking packages");
        let debs = packages
            .iter()
            .map(|p| build.locked_file(&p.file.sha256))
            .collect::<Result<Vec<_>, _>>()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        unpack_all(&debs, tree.root(), threads, build.interrupt())?;

        build.status("choosing kernel modules");
        let version = modules::kernel_version(&tree)?;
        let dom0 = &self.profile.dom0;
        modules::prune(&tree, &version, &dom0.modules)?;
        build.interrupt().check()?;
        let kernel = tree.path(&format!("boot/vmlinuz-{version}"));
        let vmlinuz = build.out().join("vmlinuz");
        fs::copy(&kernel, &vmlinuz).map_err(failed("copying", &kernel))?;

        build.status("trimming");
        tree.trim(&Patterns::new(&dom0.trim), &Patterns::new(TERMS))?;
        keep_firmware(&tree, &dom0.firmware)?;
        tree.settle_modes()?;
        let sandbox = build.sandbox();
        sandbox.run("depmod", ["--basedir", "/out/tree", &version])?;

        build.status("packing the initramfs");
        let cpio = build.scratch().join("initrd.cpio");
        let time = u32::try_from(build.source_date_epoch())?;
        let root_fs = file_system(self.profile.image.format);
        let inside = |path: &str| format!("/out/tree/{path}");
        let folder = inside(initramfs::LIBRARIES);
        let mut libraries = BTreeSet::new();
        for program in initramfs::PROGRAMS.map(inside) {
            let list = ["--library-path", folder.as_str(), "--list", program.as_str()];
            let list = sandbox.output(&inside(initramfs::LOADER), list)?;
            libraries.extend(initramfs::libraries(&String::from_utf8(list)?)?);
        }
        initramfs::write(&tree, &version, root_fs, &libraries, time, &cpio)?;
        sandbox.run(
            "zstd",
            [INITRD_LEVEL, "--quiet", "-T1", "/build/initrd.cpio", "-o", "/out/initrd.img"],
        )?;

        let list: String = packages_by_name(&packages);
        fs::write(build.out().join("packages"), list)?;
        Ok(())
    }
}

fn packages_by_name(packages: &[&Package]) -> String {
    let mut lines: Vec<String> =
        packages.iter().map(|p| format!("{} {}\n", p.name, p.version)).collect();
    lines.sort();
    lines.concat()
}

/// Removes the firmware files that no pattern keeps.
fn keep_firmware(tree: &Tree, keep: &[String]) -> Result<(), BoxError> {
    let patterns = Patterns::new(keep);
    let folder = "usr/lib/firmware";
    for file in tree.files(folder)? {
        if !patterns.matches(&file) {
            tree.remove(&format!("{folder}/{file}"))?;
        }
    }
    Ok(())
}
