// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the lock: resolves every set once, from signed indices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use appliance_model::lock::{Archive, Lock, LockError, Package, Request, Set, Source};
use appliance_model::profile::Profile;
use jiff::Timestamp;

use crate::debian::index::{Binary, Index, IndexError};
use crate::debian::release::{DEBIAN_13_KEYS, Release, ReleaseError};
use crate::debian::resolve::{ResolveError, resolve};
use crate::debian::unxz;
use crate::fetch::{Http, HttpError, Mirrors, NO_MIRROR};
use crate::interrupt::{Interrupt, Interrupted};
use crate::progress::{Progress, Reporter};
use crate::store::{StoreError, failed};
use crate::tools;

/// Suites with their archives. Of equal versions the earlier suite's is taken.
const SUITES: [(&str, Archive); 3] = [
    ("trixie", Archive::Debian),
    ("trixie-updates", Archive::Debian),
    ("trixie-security", Archive::DebianSecurity),
];

/// The index that is read of each suite. It lists the packages for all architectures too.
const INDEX: &str = "main/binary-amd64/Packages.xz";

/// How many servers are asked at once whether they have a file.
const PARALLEL: usize = 8;

/// What to do about a mirror that does not serve.
const OTHER_MIRROR: &str = "try again later, or name another one with --mirror";

/// What is to be locked.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Sets by name.
    pub sets: BTreeMap<String, Request>,
    /// Sources, pinned by hand.
    pub sources: BTreeMap<String, Source>,
}

/// A lock file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// It cannot be read.
    #[error("reading the lock {}; make one with: cargo xtask lock", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not a lock.
    #[error("using the lock {}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: LockError,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] StoreError),
}

/// Reads a lock file.
///
/// # Errors
/// It is not there, or is not a lock.
pub fn load(path: &Path) -> Result<Lock, LockFileError> {
    let own = || path.to_owned();
    let text =
        fs::read_to_string(path).map_err(|source| LockFileError::Read { path: own(), source })?;
    Lock::parse(&text).map_err(|source| LockFileError::Lock { path: own(), source })
}

/// Writes a lock file, in one step.
///
/// # Errors
/// It cannot be written; then the old one is still there.
pub fn save(path: &Path, lock: &Lock) -> Result<(), LockFileError> {
    let text = lock.to_toml().map_err(|e| failed("describing", path)(std::io::Error::other(e)))?;
    let fresh = path.with_extension("toml.new");
    fs::write(&fresh, text).map_err(failed("writing", &fresh))?;
    fs::rename(&fresh, path).map_err(failed("finishing", path))?;
    Ok(())
}

impl Wanted {
    /// The sets of the build itself, those of `profiles`, and pinned `sources`.
    ///
    /// # Errors
    /// The list of sets in this repository is malformed.
    pub fn new(
        profiles: &[Profile],
        sources: BTreeMap<String, Source>,
    ) -> Result<Self, tools::SetsError> {
        let mut sets = tools::sets()?;
        sets.extend(profiles.iter().map(|profile| (profile.set_name(), profile.request())));
        Ok(Self { sets, sources })
    }
}

/// A lock that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// An index that no mirror gives.
    #[error("fetching {path} of {suite}: no mirror has a usable one; {OTHER_MIRROR}")]
    Fetch {
        /// The suite.
        suite: String,
        /// The file.
        path: &'static str,
        /// What the last mirror said; none: no mirror serves the archive.
        source: Option<HttpError>,
    },
    /// Nobody names a mirror.
    #[error("{NO_MIRROR}")]
    NoMirror,
    /// A release that must not be trusted.
    #[error("verifying the release")]
    Release(#[from] ReleaseError),
    /// An index that cannot be unpacked.
    #[error("unpacking the index of {suite}")]
    Unpack {
        /// The suite.
        suite: String,
        /// The cause.
        source: std::io::Error,
    },
    /// An index that cannot be read.
    #[error("reading the index")]
    Index(#[from] IndexError),
    /// A set that cannot be resolved.
    #[error("resolving the set {set}")]
    Resolve {
        /// The set.
        set: String,
        /// The cause.
        source: ResolveError,
    },
    /// A pinned source that no mirror has.
    #[error(
        "the source {name} is pinned to {path}, which no mirror serves; {OTHER_MIRROR}, or pin what \
         they serve in hypervisor/source.toml"
    )]
    Source {
        /// The source.
        name: String,
        /// The file.
        path: String,
    },
    /// The lock contradicts itself.
    #[error("putting the lock together")]
    Lock(#[from] LockError),
    /// The person asked to stop.
    #[error("{0}; the lock was not changed")]
    Interrupted(#[from] Interrupted),
}

/// Resolves `wanted` from what `mirrors` serve now.
///
/// # Errors
/// An index that is not what Debian signed, a set that cannot be resolved, or no usable mirror.
pub fn refresh(
    wanted: &Wanted,
    mirrors: &Mirrors,
    reporter: &dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Lock, RefreshError> {
    refresh_with(&DEBIAN_13_KEYS, wanted, mirrors, reporter, interrupt)
}

fn refresh_with(
    keys: &[&str],
    wanted: &Wanted,
    mirrors: &Mirrors,
    reporter: &dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Lock, RefreshError> {
    if mirrors.0.is_empty() {
        return Err(RefreshError::NoMirror);
    }
    let refresher = Refresher { keys, mirrors, http: Http::new(), interrupt };
    let progress = reporter.begin("lock", None);
    let (index, timestamp) = refresher.index(&*progress)?;
    progress.status("looking which files the mirrors have");
    for (name, source) in &wanted.sources {
        for file in &source.files {
            if !refresher.has(file.archive, &file.path) {
                let (name, path) = (name.clone(), file.path.clone());
                return Err(RefreshError::Source { name, path });
            }
        }
    }
    let mut unavailable = BTreeSet::new();
    let mut available = BTreeSet::new();
    // A package that no mirror has may give way to an older one with other dependencies.
    let (sets, packages) = loop {
        interrupt.check()?;
        let (sets, packages) = resolve_all(wanted, &index, &unavailable)?;
        let asked: Vec<&Binary> =
            packages.values().copied().filter(|b| !available.contains(&b.file.path)).collect();
        let gone = refresher.gone(&asked)?;
        available.extend(asked.iter().map(|b| b.file.path.clone()));
        if gone.is_empty() {
            break (sets, packages);
        }
        for path in gone {
            reporter.line(&format!("  no mirror has {path}: taking an older version"));
            available.remove(&path);
            unavailable.insert(path);
        }
    };
    let packages = packages.into_iter().map(|(name, binary)| {
        let package = Package {
            name: name.clone(),
            version: binary.version.clone(),
            architecture: binary.architecture.clone(),
            file: binary.file.clone(),
        };
        (name, package)
    });
    let lock = Lock::new(timestamp, sets, packages.collect(), wanted.sources.clone())?;
    let counts = format!("{} packages in {} sets", lock.packages().len(), lock.sets().len());
    progress.finish(&counts);
    Ok(lock)
}

type Resolved<'i> = (BTreeMap<String, Set>, BTreeMap<String, &'i Binary>);

fn resolve_all<'i>(
    wanted: &Wanted,
    index: &'i Index,
    unavailable: &BTreeSet<String>,
) -> Result<Resolved<'i>, RefreshError> {
    let mut sets = BTreeMap::new();
    let mut packages: BTreeMap<String, &'i Binary> = BTreeMap::new();
    for (name, request) in &wanted.sets {
        let request = request.clone().normal();
        let chosen = resolve(index, &request, unavailable)
            .map_err(|source| RefreshError::Resolve { set: name.clone(), source })?;
        let names = chosen.keys().cloned().collect();
        sets.insert(name.clone(), Set { request, packages: names });
        // Every set takes the newest version, so a name means the same package in all of them.
        packages.extend(chosen);
    }
    Ok((sets, packages))
}

struct Refresher<'a> {
    keys: &'a [&'a str],
    mirrors: &'a Mirrors,
    http: Http,
    interrupt: &'a Interrupt,
}

impl Refresher<'_> {
    /// Reads all suites. The timestamp is the newest release's: the same indices give the same
    /// lock, whenever they are read.
    fn index(&self, progress: &dyn Progress) -> Result<(Index, String), RefreshError> {
        let mut index = Index::default();
        let mut newest = Timestamp::UNIX_EPOCH;
        for (suite, archive) in SUITES {
            self.interrupt.check()?;
            progress.status(&format!("reading {suite}"));
            let (release, packed) = self.suite(suite, archive)?;
            newest = newest.max(release.date);
            let suite = suite.to_owned();
            let unpacked = unxz(&packed)
                .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
            let text =
                unpacked.map_err(|source| RefreshError::Unpack { suite: suite.clone(), source })?;
            index.add(&suite, archive, &text)?;
        }
        Ok((index, newest.strftime("%Y%m%dT%H%M%SZ").to_string()))
    }

    /// The release and the packed index of a suite, both from one mirror.
    fn suite(&self, suite: &str, archive: Archive) -> Result<(Release, Vec<u8>), RefreshError> {
        let mut last =
            RefreshError::Fetch { suite: suite.to_owned(), path: "InRelease", source: None };
        for base in self.mirrors.urls(archive, &format!("dists/{suite}")) {
            let fetch = |path: &'static str| {
                self.http.get(&format!("{base}/{path}")).map_err(|source| RefreshError::Fetch {
                    suite: suite.to_owned(),
                    path,
                    source: Some(source),
                })
            };
            let read = || -> Result<(Release, Vec<u8>), RefreshError> {
                let signed = fetch("InRelease")?;
                let signed = String::from_utf8_lossy(&signed);
                let release = Release::verify(suite, &signed, self.keys, Timestamp::now())?;
                let packed = fetch(INDEX)?;
                release.check_index(INDEX, &packed)?;
                Ok((release, packed))
            };
            match read() {
                Ok(read) => return Ok(read),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether some mirror has a file. One that gives no clear answer counts only where no other
    /// gives one; then the file is believed to be there, which will show when it is fetched.
    fn has(&self, archive: Archive, path: &str) -> bool {
        let urls = self.mirrors.urls(archive, path);
        let mut answers = urls.iter().filter_map(|url| self.http.has(url)).peekable();
        !urls.is_empty() && (answers.peek().is_none() || answers.any(|has| has))
    }

    /// The paths of those files that no mirror has.
    fn gone(&self, asked: &[&Binary]) -> Result<BTreeSet<String>, RefreshError> {
        let (next, gone) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(asked.len()) {
                scope.spawn(|| {
                    while let Some(binary) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if self.interrupt.is_set() {
                            return;
                        }
                        let file = &binary.file;
                        if !self.has(file.archive, &file.path)
                            && let Ok(mut gone) = gone.lock()
                        {
                            gone.insert(file.path.clone());
                        }
                    }
                });
            }
        });
        self.interrupt.check()?;
        Ok(gone.into_inner().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
