// SPDX-License-Identifier: MIT OR Apache-2.0
//! Profiles: each can be read, names fragments that exist, and has what it asks for in the lock.

use std::path::Path;

use anyhow::{Context, Result};
use hypervisor::Kconfig;
use isobuild::{lock, tools};

use crate::profiles::Profiles;

/// Every finding in `profiles/` and the build's own sets.
pub fn check(repository: &Path) -> Result<Vec<String>> {
    let profiles = Profiles::of(repository);
    let lock = match lock::load(&profiles.lock_path()) {
        Ok(lock) => lock,
        Err(error) => return Ok(vec![format!("{:#}", anyhow::Error::from(error))]),
    };
    let mut findings = Vec::new();
    let mut find = |of: &str, error: anyhow::Error| findings.push(format!("{of}: {error:#}"));
    for (name, request) in tools::sets().context("checking the build's own sets")? {
        if let Err(error) = lock.set_for(&name, &request) {
            find("isobuild/sets.toml", error.into());
        }
    }
    for name in profiles.known() {
        let file = format!("profiles/{name}.toml");
        let profile = match profiles.load(&name) {
            Ok(profile) => profile,
            Err(error) => {
                find(&file, error);
                continue;
            }
        };
        let fragments = repository.join("hypervisor/kconfig");
        let locked = [profile.set_in(&lock).err(), lock.source(&profile.xen.source).err()];
        locked.into_iter().flatten().for_each(|error| find(&file, error.into()));
        if let Err(error) = Kconfig::load(&fragments, &profile.xen.fragments) {
            find(&file, error.into());
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::program::workspace_root;

    #[test]
    fn a_stale_profile_is_found_and_the_real_ones_are_not() {
        assert_eq!(check(&workspace_root()).unwrap(), [""; 0]);
        let dir = tempfile::tempdir().unwrap();
        for folder in ["profiles", "hypervisor/kconfig"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
            for entry in fs::read_dir(workspace_root().join(folder)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), dir.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
        let write = |name: &str, text: &str| {
            let path = dir.path().join("profiles").join(name);
            fs::write(path, format!("inherit = 'base.toml'\n{text}")).unwrap();
        };
        write("minimal.toml", "dom0.packages = ['vim']");
        write("source.toml", "xen.source = 'zen'");
        write("server.toml", "xen.fragments = ['sever']");
        write("typo.toml", "dom1.packages = []");
        let findings = check(dir.path()).unwrap();
        let expected = [
            ("profiles/minimal.toml: ", "run: cargo xtask lock"),
            ("profiles/server.toml: ", "no Kconfig fragment \"sever\""),
            ("profiles/source.toml: ", "has no source zen"),
            ("profiles/typo.toml: ", "unknown key dom1"),
        ];
        assert_eq!(findings.len(), expected.len(), "{findings:#?}");
        for (finding, (file, why)) in findings.iter().zip(expected) {
            assert!(finding.starts_with(file) && finding.contains(why), "{finding}");
        }
        fs::remove_file(dir.path().join("profiles/lock.toml")).unwrap();
        assert!(check(dir.path()).unwrap()[0].contains("lock.toml"));
    }
}
