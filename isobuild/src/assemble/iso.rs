// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `iso-<profile>`: the medium.

use appliance_model::profile::Profile;

use super::{Boot, BuildId, Medium, Menu, Parts, write_medium};
use crate::inputs::Inputs;
use crate::recipe::{BoxError, Build, Recipe};

const REVISION: u32 = 4;

/// Makes the medium of one profile, [`Iso::FILE`], from the artifacts of `xen`, `rootfs-<profile>`
/// and [`Boot`].
#[derive(Debug, Clone)]
pub struct Iso {
    profile: String,
    volume: String,
    menu: Menu,
}

impl Iso {
    /// Name of the image in the artifact's folder.
    pub const FILE: &str = "xenith.iso";

    /// The recipe for `profile`; `version` is Xenith's own.
    #[must_use]
    pub fn new(profile: &Profile, version: &str) -> Self {
        Self {
            profile: profile.name.clone(),
            volume: profile.output.volume.clone(),
            menu: Menu::new(profile, version),
        }
    }

    /// The recipe's name for the profile of that name.
    #[must_use]
    pub fn recipe_name(profile: &str) -> String {
        format!("iso-{profile}")
    }

    fn rootfs(&self) -> String {
        format!("rootfs-{}", self.profile)
    }
}

impl Recipe for Iso {
    fn name(&self) -> String {
        Self::recipe_name(&self.profile)
    }

    fn needs(&self) -> Vec<String> {
        vec!["xen".to_owned(), self.rootfs(), Boot::NAME.to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(REVISION);
        inputs.value("volume", &self.volume);
        inputs.value("menu", self.menu.template());
        inputs.value("boot-options", self.menu.options().to_toml()?);
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let rootfs = build.dep(&self.rootfs())?;
        let medium = Medium {
            volume: &self.volume,
            time: build.source_date_epoch(),
            parts: Parts {
                build: &BuildId::new(build.key()),
                menu: &self.menu,
                xen: &build.dep("xen")?.join("xen.gz"),
                kernel: &rootfs.join("vmlinuz"),
                initrd: &rootfs.join("initrd.img"),
                root_image: &rootfs.join("root.img"),
                boot: build.dep(Boot::NAME)?,
            },
        };
        build.status("writing the image");
        write_medium(&build.out().join(Self::FILE), &medium)?;
        Ok(())
    }
}
