// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host that was installed again over itself: its objects are from before, its settings are new.

use appliance_model::handover::Handover;
use xapi_model::{ApiError, Ref};

use crate::host_network;
use crate::store::Transaction;

/// Note with the reinstallation whose settings were taken over.
const SETTLED: &str = "reinstallation";

/// Puts what the installer was told in the place of what the objects say, once for each reinstallation.
/// The host, its pool, storage and guests stay who they are. Tells whether anything was to be done.
///
/// # Errors
/// The objects contradict each other.
pub fn settle(
    t: &mut Transaction<'_>,
    handover: &Handover,
    hostname: &str,
) -> Result<bool, ApiError> {
    let Some(id) = &handover.reinstallation else { return Ok(false) };
    if t.objects().note(SETTLED) == Some(id) {
        return Ok(false);
    }
    rename(t, hostname);
    if !handover.pool_name.is_empty() {
        let pools: Vec<Ref> = t.objects().all("pool").map(|p| p.reference().clone()).collect();
        for pool in &pools {
            t.set(pool, "name_label", handover.pool_name.as_str());
        }
    }
    host_network::forget_management(t, handover.management.as_ref());
    t.set_note(SETTLED, Some(id.clone()));
    tracing::info!("the host was installed again: its guests and storage are those of before");
    Ok(true)
}

/// A name that was the host's own follows it; one that somebody gave stays.
fn rename(t: &mut Transaction<'_>, hostname: &str) {
    let hosts = t.objects().all("host");
    let named = hosts.map(|host| (host.reference().clone(), host.text("hostname").to_owned()));
    for (host, before) in named.collect::<Vec<_>>() {
        let domain = t.get("host", &host).map(|host| host.to("control_domain"));
        let names = [
            (Some(host), before.clone(), hostname.to_owned()),
            (domain.ok(), control_domain_name(&before), control_domain_name(hostname)),
        ];
        for (object, before, now) in names {
            let Some(object) = object else { continue };
            if t.objects().find(&object).is_some_and(|it| it.text("name_label") == before) {
                t.set(&object, "name_label", now);
            }
        }
    }
}

/// What the control domain of a host is called.
pub fn control_domain_name(hostname: &str) -> String {
    format!("Control domain on host: {hostname}")
}

#[cfg(test)]
mod tests {
    use xapi_model::classes;

    use super::*;
    use crate::database::MemoryDatabase;
    use crate::derived;
    use crate::store::Store;

    fn handover(id: &str, pool_name: &str) -> Handover {
        Handover {
            pool_name: pool_name.into(),
            reinstallation: Some(id.into()),
            ..Handover::default()
        }
    }

    /// A host called `old` with that label or another.
    fn host(label: &str) -> Store {
        let store = Store::open(Box::new(MemoryDatabase::default()), derived::derive).unwrap();
        let made = store.write(|t| {
            let domain = t.create(&classes::VM, vec![("is_control_domain", true.into())]);
            t.set(&domain, "name_label", control_domain_name("old"));
            let host = t.create(
                &classes::HOST,
                vec![
                    ("hostname", "old".into()),
                    ("name_label", label.into()),
                    ("control_domain", domain.into()),
                ],
            );
            t.create(
                &classes::POOL,
                vec![("name_label", "Rack 4".into()), ("master", host.into())],
            );
            Ok(())
        });
        made.unwrap();
        store
    }

    fn labels(store: &Store) -> [String; 3] {
        store.read(|objects| {
            ["host", "VM", "pool"]
                .map(|class| objects.all(class).next().unwrap().text("name_label").to_owned())
        })
    }

    #[test]
    fn names_that_the_host_gave_follow_it() {
        let store = host("old");
        store.write(|t| settle(t, &handover("1", ""), "new")).unwrap();
        assert_eq!(labels(&store), ["new", "Control domain on host: new", "Rack 4"]);
        let store = host("by hand");
        store.write(|t| settle(t, &handover("1", "Rack 5"), "new")).unwrap();
        assert_eq!(labels(&store), ["by hand", "Control domain on host: new", "Rack 5"]);
    }

    #[test]
    fn settings_are_taken_over_once_for_each_reinstallation() {
        let store = host("old");
        let settle = |id: &str| store.write(|t| settle(t, &handover(id, "Rack 5"), "new")).unwrap();
        let name = |name: &'static str| {
            let changed = store.write(|t| {
                let pool = t.objects().all("pool").next().unwrap().reference().clone();
                t.set(&pool, "name_label", name);
                Ok(())
            });
            changed.unwrap();
        };
        settle("1");
        name("renamed since");
        settle("1");
        assert_eq!(labels(&store)[2], "renamed since");
        settle("2");
        assert_eq!(labels(&store)[2], "Rack 5");
        name("renamed since");
        let none = Handover::default();
        store.write(|t| super::settle(t, &none, "other")).unwrap();
        assert_eq!(labels(&store)[2], "renamed since");
    }
}
