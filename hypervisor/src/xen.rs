// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `xen`: the hypervisor itself.
//!
//! Artifact: `xen.gz` (multiboot2, for GRUB), `xen.efi` (for UEFI and the unified image; stripped),
//! `xen.config` (the final Kconfig configuration).

use std::fs;

use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};

use crate::compile::{SourceTree, jobs};
use crate::kconfig::Kconfig;
use crate::source;

/// See the module.
#[derive(Debug, Clone)]
pub struct Xen {
    kconfig: Kconfig,
}

impl Xen {
    /// The hypervisor configured by these fragments.
    pub fn new(kconfig: Kconfig) -> Self {
        Self { kconfig }
    }
}

impl Recipe for Xen {
    fn name(&self) -> String {
        "xen".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        vec!["tools".to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(1);
        inputs.locked(&source::tarball()?);
        inputs.value("kconfig", self.kconfig.text());
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let tree = SourceTree::unpack(build)?;
        let make = |args: &[&str]| {
            let jobs = jobs();
            let mut all = vec!["-C", "xen", "XEN_TARGET_ARCH=x86_64", &jobs];
            all.extend(args);
            tree.run("make", &all)
        };

        build.status("configuring");
        let config = tree.host.join("xen/.config");
        fs::write(&config, self.kconfig.text())?;
        make(&["olddefconfig"])?;
        self.kconfig.check(&fs::read_to_string(&config)?)?;

        build.status("compiling");
        make(&[])?;

        build.status("keeping");
        tree.run("strip", &["--strip-all", "-o", "/out/xen.efi", "xen/xen.efi"])?;
        fs::copy(tree.host.join("xen/xen.gz"), build.out().join("xen.gz"))?;
        fs::copy(config, build.out().join("xen.config"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use appliance_model::lock::Lock;

    use super::*;
    use crate::XenTools;

    fn lines(recipe: &dyn Recipe) -> Vec<String> {
        let lock = Lock::new(
            "20260101T000000Z".to_owned(),
            BTreeMap::new(),
            BTreeMap::new(),
            BTreeMap::new(),
        );
        let mut inputs = Inputs::new(Path::new("/nowhere"), Arc::new(lock.unwrap()));
        recipe.declare(&mut inputs).unwrap();
        inputs.lines().to_vec()
    }

    fn xen(fragment: &str) -> Xen {
        let fragment = ("a.config".to_owned(), fragment.to_owned());
        Xen::new(Kconfig::parse([fragment]).unwrap())
    }

    #[test]
    fn a_setting_changes_the_key_of_xen_and_a_comment_does_not() {
        let plain = lines(&xen("CONFIG_HVM=y\n"));
        assert_eq!(plain, lines(&xen("# why\nCONFIG_HVM=y\n")));
        assert_ne!(plain, lines(&xen("# CONFIG_HVM is not set\n")));
    }

    #[test]
    fn the_tools_do_not_depend_on_the_fragments_but_on_the_same_source() {
        let tools = lines(&XenTools);
        assert!(tools.iter().all(|line| !line.contains("kconfig")), "{tools:?}");
        let sha256 = source::tarball().unwrap().sha256.to_string();
        for lines in [tools, lines(&xen("CONFIG_HVM=y\n"))] {
            assert!(lines.iter().any(|line| line.contains(&sha256)), "{lines:?}");
        }
        assert!(!XenTools.needs().contains(&"xen".to_owned()));
    }
}
