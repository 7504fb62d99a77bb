// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages of PyPI, installed with the sandbox's pip.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use isobuild::fetch;
use isobuild::store::Store;

use super::{KEPT, networked};
use crate::lab::Lab;

/// The list with XenAPI as XenServer publishes it now.
pub const NEWEST: &str = "xenapi-26";
/// The list with its release before XenServer numbered it by year, which many still have.
pub const OLD: &str = "xenapi-2";

/// What both calls of pip are told: every file has the hash that the list says.
const PINNED: &str = "--disable-pip-version-check --no-cache-dir --require-hashes --no-deps \
                      --only-binary :all: -r /requirements.txt";
/// Installs without asking anybody.
const INSTALL: &str = "install --no-index --find-links /kept --target /packages";
/// Brings what is missing.
const DOWNLOAD: &str = "download --dest /kept";

/// Installs the packages of a list into a folder and returns it. They are downloaded where the cache does
/// not have them.
pub fn install(lab: &Lab, list: &str) -> Result<PathBuf> {
    let store = Store::of_user().context("opening the cache")?;
    let waiting = || eprintln!("waiting for another run that installs the Python clients");
    let _claim = store.claim(KEPT, waiting).context("claiming the Python clients")?;
    let kept = store.kept(KEPT).context("keeping the Python clients")?;
    let folder = lab.folder(list)?;
    let sandbox = lab
        .clients()
        .log(lab.work.join("clients.log"))
        // pip does not even start without the certificates of who is trusted.
        .bind_ro("/etc", "/etc")
        .bind_rw(kept, "/kept")
        .bind_rw(&folder, "/packages")
        .bind_ro(path(list), "/requirements.txt");
    let pip = |task: &str| {
        let sandbox = if task == DOWNLOAD { networked(&sandbox) } else { sandbox.clone() };
        let words = ["-m", "pip"].into_iter().chain(task.split_whitespace());
        Ok(sandbox.run("python3", words.chain(PINNED.split_whitespace()))?)
    };
    from_cache_first(&pip, fetch::is_offline())?;
    Ok(folder)
}

/// The release of XenAPI that a list has.
pub fn release(list: &str) -> Result<String> {
    let path = path(list);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("XenAPI=="));
    let release = line.and_then(|rest| rest.split_whitespace().next());
    release.map(str::to_owned).with_context(|| format!("{} has no XenAPI", path.display()))
}

fn path(list: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(list).with_extension("txt")
}

/// Asks the network only for what the cache does not have.
fn from_cache_first(pip: &dyn Fn(&str) -> Result<()>, offline: bool) -> Result<()> {
    let missing = match pip(INSTALL) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    if offline {
        return Err(missing.context(
            "the Python clients are not in the cache, and --offline forbids to fetch them: run \
             once without it",
        ));
    }
    pip(DOWNLOAD).context("fetching the Python clients with pip")?;
    pip(INSTALL).context("installing the Python clients with pip")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What pip is asked to do where the cache has the packages or not, and how it ends.
    fn asked(cached: bool, offline: bool) -> (Vec<String>, Result<()>) {
        let (cached, calls) = (RefCell::new(cached), RefCell::new(Vec::new()));
        let pip = |task: &str| {
            calls.borrow_mut().push(task.split(' ').next().unwrap_or_default().to_owned());
            match task == DOWNLOAD {
                true => *cached.borrow_mut() = true,
                false => anyhow::ensure!(*cached.borrow(), "no matching distribution"),
            }
            Ok(())
        };
        let result = from_cache_first(&pip, offline);
        (calls.into_inner(), result)
    }

    #[test]
    fn what_the_cache_has_is_not_fetched_and_offline_nothing_is() {
        for offline in [false, true] {
            let (calls, result) = asked(true, offline);
            assert_eq!(calls, ["install"]);
            result.unwrap();
        }
        let (calls, result) = asked(false, false);
        assert_eq!(calls, ["install", "download", "install"]);
        result.unwrap();
        let (calls, result) = asked(false, true);
        assert_eq!(calls, ["install"]);
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains("--offline") && error.contains("run once"), "{error}");
    }
}
