// SPDX-License-Identifier: MIT OR Apache-2.0
//! The profiles: those below `profiles/`, and a person's own elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use appliance_model::profile::Profile;

/// The folder `profiles/` of a repository.
#[derive(Debug, Clone)]
pub struct Profiles {
    folder: PathBuf,
}

impl Profiles {
    /// Those of the repository at `repository`.
    pub fn of(repository: &Path) -> Self {
        Self { folder: repository.join("profiles") }
    }

    /// Where the lock of all of them is.
    pub fn lock_path(&self) -> PathBuf {
        self.folder.join("lock.toml")
    }

    /// Reads a profile by name or path.
    pub fn load(&self, name: &str) -> Result<Profile> {
        let path = if name.contains('/') || name.ends_with(".toml") {
            PathBuf::from(name)
        } else {
            self.folder.join(format!("{name}.toml"))
        };
        let read = |path: &Path| std::fs::read_to_string(path);
        Profile::load(&path, &self.folder, &read).with_context(|| {
            format!("choosing the profile {name}; profiles/ has {}", self.known().join(", "))
        })
    }

    /// Names of the profiles below `profiles/` that are built by themselves.
    pub fn known(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
            .filter(|name| name != "lock" && name != "base")
            .collect();
        names.sort();
        names
    }

    /// All that a lock is made for: the known ones, and those named by `own`.
    pub fn to_lock(&self, own: &[String]) -> Result<Vec<Profile>> {
        let mut profiles: Vec<Profile> = Vec::new();
        for name in self.known().iter().chain(own) {
            let profile = self.load(name)?;
            let same = profiles.iter().find(|other| other.name == profile.name);
            match same {
                None => profiles.push(profile),
                // Named twice, or the path of a known one.
                Some(other) if other.request() == profile.request() => {}
                Some(_) => bail!(
                    "there are two profiles {} with different packages, and the lock knows them \
                     by that name: give the file {name} another one",
                    profile.name
                ),
            }
        }
        Ok(profiles)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use appliance_model::lock::Lock;

    use super::*;

    #[test]
    fn a_profile_elsewhere_is_locked_beside_the_known_ones() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("profiles")).unwrap();
        fs::create_dir_all(dir.path().join("my")).unwrap();
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name).to_str().unwrap().to_owned()
        };
        write("profiles/lock.toml", "");
        let known = write("profiles/default.toml", "inherit = 'base.toml'");
        write("profiles/base.toml", "dom0.packages = ['base-files']");
        let own = write("my/own.toml", "inherit = 'default.toml'\ndom0.packages = ['vim']");
        let clash = write("my/default.toml", "inherit = 'base.toml'\ndom0.packages = ['vim']");

        let profiles = Profiles::of(dir.path());
        assert_eq!(profiles.known(), ["default"]);
        let to_lock = profiles.to_lock(&[own.clone(), own.clone(), known]).unwrap();
        let sets: Vec<_> = to_lock.iter().map(|p| (p.set_name(), p.request().packages)).collect();
        let packages = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let expected = [
            ("dom0-default".to_owned(), packages(&["base-files"])),
            ("dom0-own".to_owned(), packages(&["base-files", "vim"])),
        ];
        assert_eq!(sets, expected);
        let error = profiles.to_lock(&[clash]).unwrap_err().to_string();
        assert!(error.contains("two profiles default"), "{error}");

        let none = Lock::parse("version = 1\nrevision = 0\ntimestamp = '20261123T101500Z'");
        let error = to_lock[1].set_in(&none.unwrap()).unwrap_err().to_string();
        assert!(error.ends_with(&format!("run: cargo xtask lock --profile {own}")), "{error}");
        let error = profiles.load("other").unwrap_err().to_string();
        assert!(error.ends_with("profiles/ has default"), "{error}");
    }
}
