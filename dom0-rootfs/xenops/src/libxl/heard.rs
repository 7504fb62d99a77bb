// SPDX-License-Identifier: MIT OR Apache-2.0
//! Domains whose agents are listened to in xenstore. Only what agents write is watched: all else below a
//! domain is written while it is built, a hundred nodes of which each would be an event.

use std::collections::BTreeSet;

use crate::hypervisor::{DomId, GUEST_FOLDERS};
use crate::xenstore::{Xenstore, XenstoreError};

/// Where all domains are in xenstore.
const HOMES: &str = "/local/domain";
/// Token of all watches of what agents write.
pub(crate) const TOKEN: &str = "agents";

/// The domains that are listened to.
#[derive(Debug, Default)]
pub(crate) struct Heard(BTreeSet<DomId>);

impl Heard {
    /// Listens to all `domains` but Dom0, and to no other any more.
    pub(crate) fn follow(
        &mut self,
        store: &mut Xenstore,
        domains: impl Iterator<Item = DomId>,
    ) -> Result<(), XenstoreError> {
        let now: BTreeSet<DomId> = domains.filter(|domain| domain.0 != 0).collect();
        for path in self.0.difference(&now).flat_map(|domain| folders(*domain)) {
            store.unwatch(&path, TOKEN)?;
        }
        for path in now.difference(&self.0).flat_map(|domain| folders(*domain)) {
            store.watch(&path, TOKEN)?;
        }
        self.0 = now;
        Ok(())
    }
}

fn folders(domain: DomId) -> impl Iterator<Item = String> {
    GUEST_FOLDERS.iter().map(move |folder| format!("{HOMES}/{}/{folder}", domain.0))
}

/// The domain whose agent wrote to this node. Each watch begins with an event for the folder itself, which
/// says nothing.
pub(crate) fn writer(path: &str) -> Option<DomId> {
    let mut names = path.strip_prefix(HOMES)?.strip_prefix('/')?.split('/');
    let domain = names.next()?.parse().ok()?;
    let folder = names.next()?;
    names.next()?;
    (domain != 0 && GUEST_FOLDERS.contains(&folder)).then_some(DomId(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::tests::serving;

    #[test]
    fn domains_are_listened_to_as_long_as_they_are_there() {
        let mut store = serving(&[], 0);
        let mut heard = Heard::default();
        let domains = |ids: &'static [u32]| ids.iter().copied().map(DomId);
        heard.follow(&mut store, domains(&[0, 3])).unwrap();
        let mut begun = || store.next_event().unwrap();
        for folder in GUEST_FOLDERS {
            let event = begun();
            assert_eq!(event.path, format!("/local/domain/3/{folder}"));
            assert_eq!((event.token.as_str(), writer(&event.path)), (TOKEN, None));
        }
        heard.follow(&mut store, domains(&[0, 3, 4])).unwrap();
        for folder in GUEST_FOLDERS {
            assert_eq!(store.next_event().unwrap().path, format!("/local/domain/4/{folder}"));
        }
        heard.follow(&mut store, domains(&[0])).unwrap();
        assert_eq!(heard.0, BTreeSet::new());
    }

    #[test]
    fn only_agents_write_there() {
        assert_eq!(writer("/local/domain/3/data/os_name"), Some(DomId(3)));
        assert_eq!(writer("/local/domain/3/attr/vif/0/ipv4/0"), Some(DomId(3)));
        for path in [
            "/local/domain/0/data/x",
            "/local/domain/3/data",
            "/local/domain/3/device/vbd",
            "/local/domain/x/data/y",
            "/local/domain",
            "/vm",
            "",
        ] {
            assert_eq!(writer(path), None, "{path}");
        }
    }
}
