// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the packages that a request needs.
//!
//! The rules are few, so that the result can be foreseen: the newest version of each package; of
//! alternatives one that is chosen already, else the first that can be had; for a virtual package
//! its most essential provider, by name where they are equal. No `Recommends`. What the request
//! names is chosen before any dependency is looked at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use appliance_model::lock::Request;

use super::index::{Binary, Index};
use super::relation::Relation;

/// A request that cannot be resolved.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResolveError {
    /// No such package.
    #[error("there is no package {name}{}", unknown_text(.unavailable, .nearest))]
    Unknown {
        /// The name asked for.
        name: String,
        /// Whether the index has it, but no mirror.
        unavailable: bool,
        /// The nearest name in the index.
        nearest: Option<String>,
    },
    /// A dependency that nothing fulfils.
    #[error(
        "nothing fulfils {group}, which {} needs; if the image can do without, name it in the \
         profile: dom0.exclude, or dom0.provided where something else stands for it",
        .chain.join(" ← ")
    )]
    Unfulfilled {
        /// The alternatives.
        group: String,
        /// Who needs it, and who needs that, up to what was asked for.
        chain: Vec<String>,
    },
    /// Asked for and excluded.
    #[error("{0} is both asked for and excluded")]
    Contradiction(String),
    /// Two of the chosen packages do not go together.
    #[error("{package} conflicts with {other}; both were chosen (take one out with exclude)")]
    Conflict {
        /// The one that says so.
        package: String,
        /// The other.
        other: String,
    },
}

fn unknown_text(unavailable: &bool, nearest: &Option<String>) -> String {
    match (unavailable, nearest) {
        (true, _) => " that a mirror serves; name another mirror with --mirror".to_owned(),
        (false, Some(near)) => format!("; did you mean {near}?"),
        (false, None) => " in Debian 13's main; take it out of the profile's dom0.packages".into(),
    }
}

/// Resolves a request.
///
/// `unavailable` has the pool paths of files that no mirror serves; their packages count as not
/// there, so that an older version may be taken.
///
/// # Errors
/// The request cannot be fulfilled.
pub fn resolve<'i>(
    index: &'i Index,
    request: &Request,
    unavailable: &BTreeSet<String>,
) -> Result<BTreeMap<String, &'i Binary>, ResolveError> {
    let mut resolver = Resolver {
        index,
        request,
        unavailable,
        chosen: BTreeMap::new(),
        needed_by: BTreeMap::new(),
        queue: VecDeque::new(),
    };
    for name in &request.packages {
        if request.exclude.contains(name) {
            return Err(ResolveError::Contradiction(name.clone()));
        }
        let any = Relation { name: name.clone(), version: None };
        let binary = resolver.real(&any).ok_or_else(|| ResolveError::Unknown {
            name: name.clone(),
            unavailable: !index.versions(name).is_empty(),
            nearest: appliance_model::nearest(name, index.names()).map(str::to_owned),
        })?;
        resolver.choose(binary, None);
    }
    while let Some(binary) = resolver.queue.pop_front() {
        for group in &binary.depends {
            resolver.fulfil(binary, group)?;
        }
    }
    resolver.check_conflicts()?;
    Ok(resolver.chosen)
}

struct Resolver<'i, 'r> {
    index: &'i Index,
    request: &'r Request,
    unavailable: &'r BTreeSet<String>,
    chosen: BTreeMap<String, &'i Binary>,
    needed_by: BTreeMap<String, String>,
    queue: VecDeque<&'i Binary>,
}

impl<'i> Resolver<'i, '_> {
    fn choose(&mut self, binary: &'i Binary, needed_by: Option<&str>) {
        if self.chosen.insert(binary.name.clone(), binary).is_none() {
            self.queue.push_back(binary);
            if let Some(by) = needed_by {
                self.needed_by.insert(binary.name.clone(), by.to_owned());
            }
        }
    }

    fn fulfil(&mut self, needer: &'i Binary, group: &[Relation]) -> Result<(), ResolveError> {
        if group.iter().any(|relation| self.is_fulfilled(relation)) {
            return Ok(());
        }
        for relation in group {
            if let Some(binary) = self.real(relation).or_else(|| self.provider(relation)) {
                self.choose(binary, Some(&needer.name));
                return Ok(());
            }
        }
        // Left out on purpose.
        if group.iter().any(|relation| self.request.exclude.contains(&relation.name)) {
            return Ok(());
        }
        let group: Vec<String> = group.iter().map(ToString::to_string).collect();
        let mut chain = vec![needer.name.clone()];
        while let Some(by) = chain.last().and_then(|last| self.needed_by.get(last)) {
            chain.push(by.clone());
        }
        Err(ResolveError::Unfulfilled { group: group.join(" | "), chain })
    }

    fn is_fulfilled(&self, relation: &Relation) -> bool {
        self.request.provided.contains(&relation.name)
            || self.chosen.get(&relation.name).is_some_and(|b| relation.allows(&b.version))
            || self.chosen.values().any(|binary| provides(binary, relation))
    }

    /// The package of that name, where it may be chosen. A name has one version in the whole
    /// result: once chosen, that one.
    fn real(&self, relation: &Relation) -> Option<&'i Binary> {
        let name = &relation.name;
        if self.request.exclude.contains(name) || self.request.provided.contains(name) {
            return None;
        }
        let newest = || self.index.versions(name).iter().find(|binary| self.available(binary));
        let binary = self.chosen.get(name).copied().or_else(newest)?;
        relation.allows(&binary.version).then_some(binary)
    }

    fn provider(&self, relation: &Relation) -> Option<&'i Binary> {
        let candidates = self.index.providers(&relation.name).filter_map(|name| {
            let any = Relation { name: name.to_owned(), version: None };
            self.real(&any).filter(|binary| provides(binary, relation))
        });
        candidates.min_by_key(|binary| (binary.priority, &binary.name))
    }

    fn available(&self, binary: &Binary) -> bool {
        !self.unavailable.contains(&binary.file.path)
    }

    fn check_conflicts(&self) -> Result<(), ResolveError> {
        for binary in self.chosen.values() {
            for relation in &binary.conflicts {
                let clashes = |other: &&Binary| {
                    let named = other.name == relation.name && relation.allows(&other.version);
                    other.name != binary.name && (named || provides(other, relation))
                };
                if let Some(other) = self.chosen.values().copied().find(clashes) {
                    let (package, other) = (binary.name.clone(), other.name.clone());
                    return Err(ResolveError::Conflict { package, other });
                }
            }
        }
        Ok(())
    }
}

/// Whether the package stands for `relation` by its `Provides`: for a constraint on the version
/// only where it names a version itself.
fn provides(binary: &Binary, relation: &Relation) -> bool {
    binary.provides.iter().filter(|provided| provided.name == relation.name).any(|provided| match (
        &relation.version,
        &provided.version,
    ) {
        (None, _) => true,
        (Some(_), Some((_, version))) => relation.allows(version),
        (Some(_), None) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use appliance_model::lock::Archive;

    fn index(text: &str) -> Index {
        let mut index = Index::default();
        let mut full = String::new();
        for paragraph in text.split("\n\n") {
            let (name, rest) = paragraph.trim().split_once('\n').unwrap_or((paragraph, ""));
            let (name, version) = name.trim().split_once(' ').unwrap_or((name.trim(), "1"));
            let sha = crate::digest::of_bytes(paragraph.as_bytes());
            let rest: String = rest.lines().map(|l| format!("{}\n", l.trim())).collect();
            full.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: all\nSize: 1\n\
                 Filename: pool/{name}_{version}\nSHA256: {sha}\n{rest}\n"
            ));
        }
        index.add("test", Archive::Debian, &full).unwrap();
        index
    }

    fn request(packages: &[&str]) -> Request {
        let owned = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect();
        Request { packages: owned(packages), ..Request::default() }
    }

    fn names(index: &Index, request: &Request) -> Result<String, String> {
        let chosen = resolve(index, request, &BTreeSet::new()).map_err(|e| e.to_string())?;
        let text: Vec<String> =
            chosen.values().map(|b| format!("{} {}", b.name, b.version)).collect();
        Ok(text.join(", "))
    }

    #[test]
    fn dependencies_come_along_in_their_newest_version() {
        let index = index("app\nDepends: lib (>= 2)\nPre-Depends: pre\n\nlib 1\n\nlib 3\n\npre");
        assert_eq!(names(&index, &request(&["app"])).unwrap(), "app 1, lib 3, pre 1");
        let error = names(&index, &request(&["elsewhere"])).unwrap_err();
        assert!(error.starts_with("there is no package elsewhere in Debian"), "{error}");
        let error = names(&index, &request(&["aps"])).unwrap_err();
        assert_eq!(error, "there is no package aps; did you mean app?");
    }

    #[test]
    fn alternatives_take_what_is_there_then_the_first() {
        let index =
            index("app\nDepends: first | second\n\nfirst\n\nsecond\n\ngone\nDepends: no | first");
        assert_eq!(names(&index, &request(&["app"])).unwrap(), "app 1, first 1");
        // Named by the request, though after the package that needs it.
        assert_eq!(names(&index, &request(&["app", "second"])).unwrap(), "app 1, second 1");
        assert_eq!(names(&index, &request(&["gone"])).unwrap(), "first 1, gone 1");
    }

    #[test]
    fn virtual_packages_take_the_most_essential_provider() {
        let index = index(
            "app\nDepends: awk\n\ngawk\nProvides: awk\nPriority: optional\n\n\
             mawk\nProvides: awk\nPriority: required\n\nold\nDepends: awk (>= 2)\n\n\
             versioned\nProvides: awk (= 3)",
        );
        assert_eq!(names(&index, &request(&["app"])).unwrap(), "app 1, mawk 1");
        assert_eq!(names(&index, &request(&["app", "gawk"])).unwrap(), "app 1, gawk 1");
        assert_eq!(names(&index, &request(&["old"])).unwrap(), "old 1, versioned 1");
    }

    #[test]
    fn provided_and_excluded_names_are_not_taken() {
        let index = index("app\nDepends: libxen, docs\n\nlibxen\n\ndocs");
        let mut request = request(&["app"]);
        request.provided.push("libxen".into());
        assert_eq!(names(&index, &request).unwrap(), "app 1, docs 1");
        request.exclude.push("docs".into());
        assert_eq!(names(&index, &request).unwrap(), "app 1");
        request.exclude.push("app".into());
        assert!(names(&index, &request).unwrap_err().contains("both asked for and excluded"));
    }

    #[test]
    fn what_cannot_be_fulfilled_says_who_needs_it() {
        let index = index("app\nDepends: mid\n\nmid\nDepends: lib (>= 2) | none\n\nlib 1");
        let error = names(&index, &request(&["app"])).unwrap_err();
        let expected = "nothing fulfils lib (>= 2) | none, which mid ← app needs; ";
        assert!(error.starts_with(expected) && error.contains("dom0.exclude"), "{error}");
    }

    #[test]
    fn conflicts_are_refused_but_not_with_itself() {
        let index = index("aa\nConflicts: mta\nProvides: mta\n\nbb\nProvides: mta\n\ncc");
        assert_eq!(names(&index, &request(&["aa", "cc"])).unwrap(), "aa 1, cc 1");
        let error = names(&index, &request(&["aa", "bb"])).unwrap_err();
        assert!(error.starts_with("aa conflicts with bb"), "{error}");
    }

    #[test]
    fn a_version_that_no_mirror_has_gives_way_to_an_older_one() {
        let index = index("app 1\n\napp 2");
        let gone = BTreeSet::from(["pool/app_2".to_owned()]);
        let chosen = resolve(&index, &request(&["app"]), &gone).unwrap();
        assert_eq!(chosen["app"].version, "1");
        let gone = BTreeSet::from(["pool/app_2".to_owned(), "pool/app_1".to_owned()]);
        let error = resolve(&index, &request(&["app"]), &gone).unwrap_err();
        assert!(error.to_string().contains("that a mirror serves"), "{error}");
    }
}
