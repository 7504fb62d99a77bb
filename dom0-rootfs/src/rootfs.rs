// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `rootfs-<profile>`: the root image, and what is booted to reach it.
//!
//! Artifact: `root.img`, `vmlinuz`, `initrd.img`, `manifest` (packages of the image, a line each).

use std::fs;
use std::path::{Path, PathBuf};

use appliance_model::profile::{Format, Profile};
use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};

use crate::base::{Base, file_system};
use crate::tree::Tree;
use crate::{accounts, units};

const REVISION: u32 = 2;

/// The overlay, below the repository.
const OVERLAY: &str = "dom0-rootfs/overlay";

/// The list of packages, for people; their terms are in `usr/share/doc`.
const MANIFEST: &str = "usr/share/xenith/manifest";

/// Where `/etc/os-release` leads.
const OS_RELEASE: &str = "usr/lib/os-release";

/// Folders that no package brings, with their modes.
const FOLDERS: &[(&str, u32)] = &[
    ("root", 0o700),
    ("tmp", 0o1777),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
];

/// Programs of another recipe that are laid over the packages' files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The recipe.
    pub recipe: String,
    /// The folder of its artifact that is laid over `/`; empty: the whole artifact.
    pub folder: String,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Rootfs {
    profile: Profile,
    version: String,
    repository: PathBuf,
    layers: Vec<Layer>,
}

impl Rootfs {
    /// The recipe for a profile; `version` is Xenith's own, `repository` has the overlay, later layers
    /// win over earlier ones and the overlay over all.
    #[must_use]
    pub fn new(profile: &Profile, version: &str, repository: &Path, layers: Vec<Layer>) -> Self {
        Self {
            profile: profile.clone(),
            version: version.to_owned(),
            repository: repository.to_owned(),
            layers,
        }
    }

    /// The recipe's name for the profile of that name.
    #[must_use]
    pub fn recipe_name(profile: &str) -> String {
        format!("rootfs-{profile}")
    }

    fn assemble(&self, build: &Build<'_>, tree: &Tree) -> Result<(), BoxError> {
        for layer in &self.layers {
            tree.lay_over(&build.dep(&layer.recipe)?.join(&layer.folder))?;
        }
        tree.lay_over(&self.repository.join(OVERLAY))?;
        for (folder, mode) in FOLDERS {
            tree.folder(folder, *mode)?;
        }
        tree.write(OS_RELEASE, os_release(&self.version).as_bytes(), 0o644)?;
        accounts::complete(tree)?;
        for unit in &self.profile.dom0.enable {
            units::enable(tree, unit)?;
        }
        Ok(())
    }

    fn pack(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let image = &self.profile.image;
        let time = build.source_date_epoch().to_string();
        let level = image.level.to_string();
        let sandbox = build.sandbox();
        match image.format {
            Format::Squashfs => {
                let block = format!("{}K", image.block_kib);
                // The variable would only clamp times, and does not go with the options that set them.
                let mut args = vec![
                    "-u",
                    "SOURCE_DATE_EPOCH",
                    "mksquashfs",
                    "/build/tree",
                    "/out/root.img",
                    "-noappend",
                    "-quiet",
                    "-no-progress",
                    "-no-xattrs",
                    "-all-root",
                    "-all-time",
                    &time,
                    "-mkfs-time",
                    &time,
                    "-b",
                    &block,
                    "-comp",
                    &image.compression,
                ];
                if matches!(image.compression.as_str(), "zstd" | "gzip") {
                    args.extend(["-Xcompression-level", &level]);
                }
                sandbox.run("env", args)?;
            }
            Format::Erofs => {
                let compression = format!(
                    "-z{},{}{level}",
                    image.compression,
                    if image.compression == "zstd" { "level=" } else { "" }
                );
                let cluster = format!("-C{}", u64::from(image.block_kib) * 1024);
                let time = format!("-T{time}");
                let uuid = "-U00000000-0000-0000-0000-000000000000";
                sandbox.run(
                    "mkfs.erofs",
                    [
                        "--quiet",
                        "--all-root",
                        "-x-1",
                        &time,
                        uuid,
                        &compression,
                        &cluster,
                        "/out/root.img",
                        "/build/tree",
                    ],
                )?;
            }
        }
        Ok(())
    }
}

impl Recipe for Rootfs {
    fn name(&self) -> String {
        Self::recipe_name(&self.profile.name)
    }

    fn needs(&self) -> Vec<String> {
        let own = [isobuild::tools::NAME.to_owned(), Base::recipe_name(&self.profile.name)];
        own.into_iter().chain(self.layers.iter().map(|layer| layer.recipe.clone())).collect()
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(REVISION);
        inputs.folder(OVERLAY)?;
        inputs.value("os-release", os_release(&self.version));
        inputs.values("layers", self.layers.iter().flat_map(|l| [&l.recipe, &l.folder]));
        inputs.values("enable", &self.profile.dom0.enable);
        inputs.value("device model", self.profile.dom0.device_model.to_string());
        let image = &self.profile.image;
        inputs.value("format", file_system(image.format));
        inputs.value("compression", &image.compression);
        inputs.value("level", image.level.to_string());
        inputs.value("block", image.block_kib.to_string());
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let base = build.dep(&Base::recipe_name(&self.profile.name))?;
        let root = build.scratch().join("tree");
        fs::create_dir(&root)?;
        let tree = Tree::at(root);
        build.status("assembling");
        tree.share(&base.join("tree"))?;
        self.assemble(build, &tree)?;
        tree.write(MANIFEST, &fs::read(base.join("packages"))?, 0o644)?;
        check(&tree, &self.profile)?;
        build.sandbox().run("ldconfig", ["-X", "-r", "/build/tree"])?;
        tree.remove("var/cache/ldconfig")?;
        build.interrupt().check()?;

        build.status("packing");
        self.pack(build)?;
        for (from, to) in
            [("vmlinuz", "vmlinuz"), ("initrd.img", "initrd.img"), ("packages", "manifest")]
        {
            fs::copy(base.join(from), build.out().join(to))?;
        }
        Ok(())
    }
}

/// What the image says it is: os-release(5).
fn os_release(version: &str) -> String {
    format!(
        "PRETTY_NAME=\"Xenith {version}\"\n\
         NAME=\"Xenith\"\n\
         VERSION_ID=\"{version}\"\n\
         ID=xenith\n\
         ID_LIKE=debian\n"
    )
}

/// Programs that a host with guests cannot be without: better no image than one that fails at boot.
fn check(tree: &Tree, profile: &Profile) -> Result<(), BoxError> {
    let device_model: &[&str] = &[
        "usr/libexec/xen-qemu-system-i386",
        "usr/share/seabios/bios-256k.bin",
        "usr/share/ovmf/OVMF.fd",
    ];
    let wanted = if profile.dom0.device_model { device_model } else { &[] };
    for path in ["usr/bin/sh", "usr/lib/systemd/systemd", "usr/sbin/init"].iter().chain(wanted) {
        if !tree.path(path).exists() {
            return Err(
                format!("the image of the profile {} would have no /{path}", profile.name).into()
            );
        }
    }
    Ok(())
}
