// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs recipes in dependency order, in parallel, building only what the store does not have.

mod env;
mod order;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use appliance_model::Digest;
use appliance_model::lock::{Lock, LockedFile};

use crate::digest::Hasher;
use crate::fetch::FetchError;
use crate::inputs::Inputs;
use crate::interrupt::Interrupt;
use crate::progress::Reporter;
use crate::recipe::{BoxError, Recipe};
use crate::report::{Outcome, Report, Step};
use crate::store::{Store, StoreError, failed};

/// Brings locked files into the store.
pub trait Fetcher: Sync {
    /// Returns when the store has all `files`, with how many bytes had to be downloaded.
    ///
    /// # Errors
    /// A file that cannot be had, named.
    fn fetch(&self, files: &[LockedFile]) -> Result<u64, BoxError>;
}

/// Everything that a build needs beside its recipes.
pub struct Engine<'a> {
    /// The repository's folder.
    pub repository: PathBuf,
    /// Where logs and the report go: `target/xenith`.
    pub output: PathBuf,
    /// The store.
    pub store: Store,
    /// The lock.
    pub lock: Arc<Lock>,
    /// Brings locked files.
    pub fetcher: &'a dyn Fetcher,
    /// Tells the person.
    pub reporter: &'a dyn Reporter,
    /// Whether to stop.
    pub interrupt: Interrupt,
    /// How many recipes run at once.
    pub workers: usize,
}

/// A build that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// Two recipes of one name.
    #[error("there are two recipes named {0}")]
    Twice(String),
    /// A recipe that is not there.
    #[error("there is no recipe {name}{}", by.as_ref().map(|by| format!(", which {by} needs")).unwrap_or_default())]
    Unknown {
        /// The missing one.
        name: String,
        /// Who needs it.
        by: Option<String>,
    },
    /// Recipes that need each other.
    #[error("these recipes need each other: {}", .0.join(" → "))]
    Cycle(Vec<String>),
    /// The inputs of a recipe cannot be read.
    #[error("collecting the inputs of {recipe}")]
    Declare {
        /// The recipe.
        recipe: String,
        /// The cause.
        source: BoxError,
    },
    /// A locked file cannot be had.
    #[error("fetching what the build needs")]
    Fetch(#[source] BoxError),
    /// A recipe failed.
    #[error("building {recipe}; its log is {}", log.display())]
    Build {
        /// The recipe.
        recipe: String,
        /// Its log file.
        log: PathBuf,
        /// The cause.
        source: BoxError,
    },
    /// An artifact that the store had was removed meanwhile.
    #[error(
        "{need}, which {recipe} needs, is no longer in the cache: another command (cargo xtask \
         clean?) has removed it; run the same command again"
    )]
    Gone {
        /// The recipe.
        recipe: String,
        /// The artifact's recipe.
        need: String,
    },
    /// The person stopped it.
    #[error(
        "interrupted{}; nothing half-written was kept, and the same command goes on from here",
        during.as_ref().map(|what| format!(" while {what}")).unwrap_or_default()
    )]
    Interrupted {
        /// What was going on: `building xen`, `fetching pool/…`.
        during: Option<String>,
    },
    /// The store cannot be used.
    #[error("using the store")]
    Store(#[from] StoreError),
}

/// A recipe with its key.
struct Node<'r> {
    recipe: &'r dyn Recipe,
    name: String,
    needs: Vec<String>,
    key: Digest,
    lines: Vec<String>,
    locked: BTreeMap<Digest, LockedFile>,
}

/// The names of the recipes that `target` needs, directly or through others, each after what it
/// needs; `target` is the last.
///
/// # Errors
/// As [`Engine::build`] before it builds anything.
pub fn needed(recipes: &[Box<dyn Recipe>], target: &str) -> Result<Vec<String>, GraphError> {
    Ok(order::ordered(recipes, &[target])?.iter().map(|recipe| recipe.name()).collect())
}

impl Engine<'_> {
    /// Builds `targets` and what they need. Sets the umask of the process to 022.
    ///
    /// # Errors
    /// The first thing that went wrong; artifacts that were finished before it stay.
    pub fn build(
        &self,
        recipes: &[Box<dyn Recipe>],
        targets: &[&str],
    ) -> Result<Report, GraphError> {
        let begun = Instant::now();
        // Recipes write files from this process too; the caller's umask must not show in them.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let nodes = self.keyed(order::ordered(recipes, targets)?)?;

        // From the targets down to what is there already: below that nothing is looked at.
        let mut wanted: Vec<&str> = targets.to_vec();
        let mut missing = Vec::new();
        let mut steps: BTreeMap<&str, Step> = BTreeMap::new();
        for node in nodes.iter().rev() {
            if !wanted.contains(&&*node.name) {
                continue;
            }
            match self.cached(node) {
                Some(step) => drop(steps.insert(&node.name, step)),
                None => {
                    wanted.extend(node.needs.iter().map(|name| &**name));
                    missing.push(node);
                }
            }
        }
        missing.reverse();

        let mut fetched_bytes = 0;
        if !missing.is_empty() {
            if let Err(error) = self.store.sweep() {
                // What cannot be removed is in nobody's way.
                self.reporter.line(&format!("  warning: {error}: {}", error.source));
            }
            let mut files: BTreeMap<Digest, LockedFile> = BTreeMap::new();
            for node in &missing {
                files.extend(node.locked.iter().map(|(k, v)| (*k, v.clone())));
            }
            let files: Vec<LockedFile> = files.into_values().collect();
            fetched_bytes = self.fetcher.fetch(&files).map_err(unfetched)?;
            let logs = self.output.join("logs");
            std::fs::create_dir_all(&logs).map_err(failed("creating", &logs))?;
            for step in run::all(self, &missing, &nodes)? {
                let node = missing.iter().find(|node| node.name == step.name);
                if let Some(node) = node {
                    steps.insert(&node.name, step);
                }
            }
        }

        let steps = nodes.iter().filter_map(|node| steps.remove(&*node.name)).collect();
        let report = Report { seconds: begun.elapsed().as_secs_f64(), fetched_bytes, steps };
        self.write_report(&report)?;
        Ok(report)
    }

    /// Computes keys; `ordered` has needs before needers.
    fn keyed<'r>(&self, ordered: Vec<&'r dyn Recipe>) -> Result<Vec<Node<'r>>, GraphError> {
        let mut nodes: Vec<Node<'r>> = Vec::new();
        for recipe in ordered {
            let name = recipe.name();
            let needs = recipe.needs();
            let mut inputs = Inputs::new(&self.repository, Arc::clone(&self.lock));
            recipe
                .declare(&mut inputs)
                .map_err(|source| GraphError::Declare { recipe: name.clone(), source })?;
            let epoch = self.lock.source_date_epoch();
            let mut lines = vec![format!("recipe {name:?}"), format!("epoch {epoch}")];
            lines.extend_from_slice(inputs.lines());
            for need in &needs {
                let node = nodes.iter().find(|node| node.name == *need);
                lines.extend(node.map(|node| format!("needs {need:?} {}", node.key)));
            }
            let mut hasher = Hasher::default();
            hasher.field(b"xenith artifact 1");
            for line in &lines {
                hasher.field(line.as_bytes());
            }
            let locked = inputs.locked_files().clone();
            nodes.push(Node { recipe, name, needs, key: hasher.finish(), lines, locked });
        }
        Ok(nodes)
    }

    fn cached(&self, node: &Node<'_>) -> Option<Step> {
        let record = self.store.record(&node.name, &node.key)?;
        Some(Step {
            name: node.name.clone(),
            key: node.key,
            outcome: Outcome::Cached,
            seconds: record.seconds,
            bytes: record.bytes,
            folder: self.store.artifact(&node.name, &node.key),
        })
    }

    fn write_report(&self, report: &Report) -> Result<(), GraphError> {
        let path = self.output.join("build-report.json");
        let text = serde_json::to_string_pretty(report)
            .map_err(|e| failed("describing", &path)(std::io::Error::other(e)))?;
        std::fs::create_dir_all(&self.output).map_err(failed("creating", &self.output))?;
        std::fs::write(&path, text).map_err(failed("writing", &path))?;
        Ok(())
    }
}

/// An interrupt keeps the name of the file that was under way.
fn unfetched(source: BoxError) -> GraphError {
    match source.downcast_ref::<FetchError>() {
        Some(FetchError::Interrupted { path }) => {
            GraphError::Interrupted { during: Some(format!("fetching {path}")) }
        }
        _ => GraphError::Fetch(source),
    }
}

#[cfg(test)]
mod tests;
