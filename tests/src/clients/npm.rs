// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages of npm: `clients/package-lock.json` says which, each a tarball with its hash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use base64ct::{Base64, Encoding};
use flate2::read::GzDecoder;
use isobuild::fetch;
use isobuild::store::Store;
use serde_json::Value;
use sha2::{Digest, Sha512};

use super::{KEPT, networked};
use crate::lab::Lab;

/// How the keys of packages begin in the list.
const PREFIX: &str = "node_modules/";

/// What npm calls its registry in the environment, in both spellings that it takes.
const VARIABLES: &[&str] = &["npm_config_registry", "NPM_CONFIG_REGISTRY"];

/// A tarball.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    /// `sha512-` and the hash in base64.
    integrity: String,
}

/// Unpacks the packages into a folder for `NODE_PATH` and returns it. They are downloaded where the cache
/// does not have them.
pub fn install(lab: &Lab) -> Result<PathBuf> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/package-lock.json");
    let text = fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let store = Store::of_user().context("opening the cache")?;
    let waiting = || eprintln!("waiting for another run that fetches the clients of npm");
    let _claim = store.claim(KEPT, waiting).context("claiming the clients of npm")?;
    let kept = store.kept(KEPT).context("keeping the clients of npm")?;
    let folder = lab.folder("npm")?;
    for package in packages(&text).with_context(|| format!("reading {}", list.display()))? {
        let tarball = kept.join(package.file());
        if package.check(&tarball).is_err() {
            let task = || format!("fetching {} {} of npm", package.name, package.version);
            fetch_tarball(lab, &package, &kept).with_context(task)?;
            package.check(&tarball).with_context(task)?;
        }
        unpack(&tarball, &folder.join(&package.name))
            .with_context(|| format!("unpacking {}", tarball.display()))?;
    }
    Ok(folder)
}

/// The packages of a list as npm writes it (`package-lock.json`, version 3).
fn packages(text: &str) -> Result<Vec<Package>> {
    let list: Value = serde_json::from_str(text)?;
    let all = list["packages"].as_object().context("there is no \"packages\"")?;
    let named = all.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
    named
        .map(|(name, value)| {
            let text = |key: &str| {
                let text = value[key].as_str().with_context(|| format!("{name} has no {key:?}"));
                text.map(str::to_owned)
            };
            Ok(Package {
                name: name.to_owned(),
                version: text("version")?,
                integrity: text("integrity")?,
            })
        })
        .collect()
}

impl Package {
    /// What registries call the tarball.
    fn file(&self) -> String {
        let name = self.name.rsplit('/').next().unwrap_or(&self.name);
        format!("{name}-{}.tgz", self.version)
    }

    /// Whether a file is the tarball.
    fn check(&self, tarball: &Path) -> Result<()> {
        let bytes = fs::read(tarball).with_context(|| format!("reading {}", tarball.display()))?;
        let integrity = format!("sha512-{}", Base64::encode_string(&Sha512::digest(&bytes)));
        ensure!(integrity == self.integrity, "{} is {integrity}", tarball.display());
        Ok(())
    }
}

fn fetch_tarball(lab: &Lab, package: &Package, kept: &Path) -> Result<()> {
    ensure!(
        !fetch::is_offline(),
        "it is not in the cache, and --offline forbids to fetch it: run once without it"
    );
    let file = package.file();
    let url = format!("{}/{}/-/{file}", registry()?, package.name);
    let sandbox = lab
        .clients()
        .log(lab.work.join("clients.log"))
        .bind_ro("/etc", "/etc")
        .bind_rw(kept, "/kept");
    let words = ["--fail", "--silent", "--show-error", "--location", "--max-time", "120"];
    let words = words.into_iter().map(str::to_owned);
    let words = words.chain(["--output".to_owned(), format!("/kept/{file}"), url]);
    Ok(networked(&sandbox).run("curl", words)?)
}

/// Where packages come from, as npm is told: the environment, its file, or npm itself where the host has it.
fn registry() -> Result<String> {
    let environment = VARIABLES.iter().find_map(|name| std::env::var(name).ok());
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let file = fs::read_to_string(home.join(".npmrc")).ok();
    let named = environment.or_else(|| in_file(&file?)).or_else(of_npm);
    let Some(address) = named.filter(|address| address.starts_with("http")) else {
        bail!(
            "nobody says where packages of npm come from: set NPM_CONFIG_REGISTRY, or write \
             registry=https://… into ~/.npmrc"
        );
    };
    Ok(address.trim_end_matches('/').to_owned())
}

/// What a `.npmrc` says.
fn in_file(text: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| line.split_once('='));
    let mut named = values.filter(|(name, _)| name.trim() == "registry");
    named.next_back().map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

/// What the host's own npm would do.
#[expect(clippy::disallowed_methods, reason = "a question to the host, which may have no npm")]
fn of_npm() -> Option<String> {
    let said = Command::new("npm").args(["config", "get", "registry"]).output().ok()?;
    said.status.success().then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// Tarballs of npm have one folder around everything.
fn unpack(tarball: &Path, folder: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(tarball)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        entry.unpack(&path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_package_with_its_hash() {
        let list = include_str!("../../clients/package-lock.json");
        let all = packages(list).unwrap();
        let files: Vec<_> = all.iter().map(Package::file).collect();
        assert_eq!(files, ["async-xenapi-1.0.5.tgz", "ws-8.23.0.tgz"]);
        assert!(all.iter().all(|package| package.integrity.starts_with("sha512-")));
        assert!(!list.contains("://"), "the list names a host");
        let scoped = r#"{"packages": {"": {}, "node_modules/@a/b": {"version": "1"}}}"#;
        let error = packages(scoped).unwrap_err().to_string();
        assert!(error.contains("@a/b") && error.contains("integrity"), "{error}");
    }

    #[test]
    fn a_tarball_is_known_by_its_hash_and_unpacked_without_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let tarball = dir.path().join("b-1.tgz");
        let file = File::create(&tarball).unwrap();
        let compressed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let mut archive = tar::Builder::new(compressed);
        let mut header = tar::Header::new_ustar();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, "package/lib/b.js", &b"b\n"[..]).unwrap();
        archive.into_inner().unwrap().finish().unwrap();
        let hash = Base64::encode_string(&Sha512::digest(fs::read(&tarball).unwrap()));
        let package = Package {
            name: "@a/b".into(),
            version: "1".into(),
            integrity: format!("sha512-{hash}"),
        };
        assert_eq!(package.file(), "b-1.tgz");
        package.check(&tarball).unwrap();
        unpack(&tarball, &dir.path().join("out")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("out/lib/b.js")).unwrap(), "b\n");
        fs::write(&tarball, "other").unwrap();
        assert!(package.check(&tarball).is_err());
    }

    #[test]
    fn the_last_registry_of_a_file_counts() {
        let text = "registry=http://a.test\n//b.test/:_authToken=registry\n registry = \"http://b.test/\"\n";
        assert_eq!(in_file(text).as_deref(), Some("http://b.test/"));
        assert_eq!(in_file("fund=false\n"), None);
    }
}
