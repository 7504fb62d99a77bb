// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real clients that drive the host: packages of PyPI, pinned by hash and kept in the cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use isobuild::fetch;
use isobuild::sandbox::Sandbox;
use isobuild::store::Store;

use crate::lab::Lab;

/// Variables of the caller's environment that do.
const VARIABLES: &[&str] = &[
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The folder of the cache that has what was downloaded.
const KEPT: &str = "clients";

/// What both calls of pip are told: every file has the hash that the list says.
const PINNED: &str = "--disable-pip-version-check --no-cache-dir --require-hashes --no-deps \
                      --only-binary :all: -r /requirements.txt";
/// Installs without asking anybody.
const INSTALL: &str = "install --no-index --find-links /kept --target /packages";
/// Brings what is missing.
const DOWNLOAD: &str = "download --dest /kept";

/// Installs the clients with the sandbox's pip into a folder and returns it. They are downloaded
/// where the cache does not have them.
pub fn install(lab: &Lab) -> Result<PathBuf> {
    let store = Store::of_user().context("opening the cache")?;
    let waiting = || eprintln!("waiting for another run that installs the Python clients");
    let _claim = store.claim(KEPT, waiting).context("claiming the Python clients")?;
    let kept = store.kept(KEPT).context("keeping the Python clients")?;
    let folder = lab.folder("clients")?;
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/requirements.txt");
    let sandbox = lab
        .sandbox()
        .log(lab.work.join("clients.log"))
        // pip does not even start without the certificates of who is trusted.
        .bind_ro("/etc", "/etc")
        .bind_rw(kept, "/kept")
        .bind_rw(&folder, "/packages")
        .bind_ro(requirements, "/requirements.txt");
    let pip = |task: &str| {
        let sandbox = if task == DOWNLOAD { networked(&sandbox) } else { sandbox.clone() };
        let words = ["-m", "pip"].into_iter().chain(task.split_whitespace());
        Ok(sandbox.run("python3", words.chain(PINNED.split_whitespace()))?)
    };
    from_cache_first(&pip, fetch::is_offline())?;
    Ok(folder)
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

/// With the host's network; /etc tells where names are resolved and packages are.
fn networked(sandbox: &Sandbox) -> Sandbox {
    let mut sandbox = sandbox.clone().network(true);
    // There it may only be said where that is written down.
    let resolver = Path::new("/etc/resolv.conf").canonicalize().ok();
    if let Some(folder) =
        resolver.as_deref().and_then(Path::parent).filter(|f| !f.starts_with("/etc"))
    {
        sandbox = sandbox.bind_ro(folder, folder);
    }
    for name in VARIABLES {
        if let Ok(value) = std::env::var(name) {
            sandbox = sandbox.env(*name, value);
        }
    }
    sandbox
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
