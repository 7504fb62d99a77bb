// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `netboot-initrd-<profile>`: what the initramfs needs beside itself to boot over the network.
//!
//! Artifact: `netboot.img`, to be put behind the `initrd.img` of the same profile in one file.

use appliance_model::profile::Profile;
use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};

use crate::base::{Base, INITRD_LEVEL, file_system};
use crate::tree::Tree;
use crate::{initramfs, modules};

const REVISION: u32 = 1;

/// See the module.
#[derive(Debug, Clone)]
pub struct NetbootInitrd {
    profile: Profile,
}

impl NetbootInitrd {
    /// The recipe for a profile.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        Self { profile: profile.clone() }
    }
}

impl Recipe for NetbootInitrd {
    fn name(&self) -> String {
        format!("netboot-initrd-{}", self.profile.name)
    }

    fn needs(&self) -> Vec<String> {
        vec![isobuild::tools::NAME.to_owned(), Base::recipe_name(&self.profile.name)]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(REVISION);
        inputs.value("format", file_system(self.profile.image.format));
        inputs.values("initramfs", initramfs::netboot_texts());
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let base = build.dep(&Base::recipe_name(&self.profile.name))?;
        let tree = Tree::at(base.join("tree"));
        let version = modules::kernel_version(&tree)?;
        let cpio = build.scratch().join("netboot.cpio");
        let time = u32::try_from(build.source_date_epoch())?;
        let format = file_system(self.profile.image.format);
        build.status("packing");
        initramfs::write_netboot(&tree, &version, format, time, &cpio)?;
        let args =
            [INITRD_LEVEL, "--quiet", "-T1", "/build/netboot.cpio", "-o", "/out/netboot.img"];
        build.sandbox().run("zstd", args)?;
        Ok(())
    }
}
