// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client against a xenstored of a few lines.

use std::collections::BTreeMap;
use std::thread;

use super::*;

/// Serves one connection: a flat store, watches on whole paths, and `collisions` transactions
/// that end with EAGAIN.
fn stored(mut socket: UnixStream, mut nodes: BTreeMap<String, String>, mut collisions: u32) {
    let mut watches: Vec<(String, String)> = Vec::new();
    let mut staged: Vec<(String, Option<String>)> = Vec::new();
    while let Ok(message) = Message::receive(&mut socket) {
        let text = String::from_utf8(message.payload.clone()).unwrap();
        let mut parts = text.split('\0').map(str::to_owned);
        let (first, second) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let ok = |payload: &str| (message.kind, payload.to_owned());
        let mut fire: Vec<(String, String)> = Vec::new();
        let (kind, payload) = match message.kind {
            Kind::Read => match nodes.get(&first) {
                Some(value) => ok(value),
                None => (Kind::Error, "ENOENT\0".into()),
            },
            Kind::Write if first.starts_with("/forbidden") => (Kind::Error, "EACCES\0".into()),
            Kind::Write if message.transaction == 0 => {
                nodes.insert(first, second);
                ok("OK\0")
            }
            Kind::Write => {
                assert_eq!(message.transaction, 42);
                staged.push((first, Some(second)));
                ok("OK\0")
            }
            Kind::SetPermissions => {
                // The owner and what all others may; who may more.
                let more = parts.next().unwrap();
                staged.push((format!("{first}#"), Some(format!("{second} {more}"))));
                ok("OK\0")
            }
            Kind::Remove if message.transaction == 42 => match has(&nodes, &first) {
                true => {
                    staged.push((first, None));
                    ok("OK\0")
                }
                false => (Kind::Error, "ENOENT\0".into()),
            },
            Kind::Remove => match has(&nodes, &first) {
                true => {
                    nodes.retain(|node, _| !is_below(node, &first));
                    ok("OK\0")
                }
                false => (Kind::Error, "ENOENT\0".into()),
            },
            Kind::Directory => {
                let below = format!("{first}/");
                let names = nodes.keys().filter_map(|path| path.strip_prefix(&below));
                let names: Vec<String> =
                    names.map(|rest| format!("{}\0", rest.split('/').next().unwrap())).collect();
                if names.is_empty() && !nodes.contains_key(&first) {
                    (Kind::Error, "ENOENT\0".into())
                } else {
                    let mut names = names;
                    names.dedup();
                    ok(&names.concat())
                }
            }
            Kind::TransactionStart => ok("42\0"),
            Kind::TransactionEnd if first == "T" && collisions > 0 => {
                collisions -= 1;
                staged.clear();
                (Kind::Error, "EAGAIN\0".into())
            }
            Kind::TransactionEnd => {
                let written = std::mem::take(&mut staged);
                if first == "T" {
                    for (path, value) in written {
                        let Some(value) = value else {
                            nodes.retain(|node, _| !is_below(node, &path));
                            continue;
                        };
                        // Guests that let go of a device, and that do not.
                        let device = path.strip_suffix("/state").unwrap_or_default();
                        let obeys = device.starts_with("/obeys") && value == "5";
                        if device.starts_with("/refuses") {
                            nodes.insert(format!("{device}/error"), "16 in use".into());
                        }
                        nodes.insert(path, if obeys { "6".into() } else { value });
                    }
                }
                ok("OK\0")
            }
            Kind::Watch if watches.contains(&(first.clone(), second.clone())) => {
                (Kind::Error, "EEXIST\0".into())
            }
            Kind::Watch => {
                fire.push((first.clone(), second.clone()));
                watches.push((first.clone(), second.clone()));
                // The node appears only after the watch was registered.
                if first == "/late" {
                    nodes.insert("/late/tty".into(), "x".into());
                    nodes.insert(first.clone(), "/dev/pts/7".into());
                    fire.push((first, second));
                }
                ok("OK\0")
            }
            Kind::Unwatch => {
                watches.retain(|(path, _)| *path != first);
                ok("OK\0")
            }
            other => panic!("{other:?}"),
        };
        let mut send = |kind, request, payload: String| {
            let payload = payload.into_bytes();
            let answer = Message { kind, request, transaction: 0, payload };
            socket.write_all(&answer.encode().unwrap())
        };
        for (path, token) in fire {
            send(Kind::WatchEvent, 0, format!("{path}\0{token}\0")).unwrap();
        }
        send(kind, message.request, payload).unwrap();
    }
}

fn is_below(node: &str, path: &str) -> bool {
    node.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '#']))
}

fn has(nodes: &BTreeMap<String, String>, path: &str) -> bool {
    nodes.keys().any(|node| is_below(node, path))
}

fn client(collisions: u32) -> Xenstore {
    serving(&[("/a", "1")], collisions)
}

/// A connection to a store that holds `nodes`.
pub(crate) fn serving(nodes: &[(&str, &str)], collisions: u32) -> Xenstore {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let nodes = nodes.iter().map(|(path, value)| pair(path, value)).collect();
    thread::spawn(move || stored(theirs, nodes, collisions));
    Xenstore { socket: ours, requests: 0, events: VecDeque::new() }
}

fn pair(path: &str, value: &str) -> (String, String) {
    (path.into(), value.into())
}

#[test]
fn nodes_are_read_and_written() {
    let mut store = client(0);
    assert_eq!(store.read("/a").unwrap().as_deref(), Some("1"));
    assert_eq!(store.read("/b").unwrap(), None);
    store.write_all(&[pair("/b", "2"), pair("/c", "")]).unwrap();
    assert_eq!(store.read("/b").unwrap().as_deref(), Some("2"));
    assert_eq!(store.read("/c").unwrap().as_deref(), Some(""));
}

#[test]
fn collisions_are_repeated_but_not_for_ever() {
    let mut store = client(3);
    store.write_all(&[pair("/b", "2")]).unwrap();
    assert_eq!(store.read("/b").unwrap().as_deref(), Some("2"));
    let error = client(1000).write_all(&[pair("/b", "2")]).unwrap_err();
    assert!(matches!(error, XenstoreError::Refused { code, .. } if code == "EAGAIN"));
}

#[test]
fn what_needs_no_transaction_is_done_as_far_as_it_goes() {
    let mut store = client(0);
    let mut changes: Vec<Change> =
        (0..150).map(|n| Change::Write(format!("/many/{n}"), n.to_string())).collect();
    changes.insert(3, Change::Write("/forbidden/1".into(), "x".into()));
    changes.insert(90, Change::Remove("/missing".into()));
    changes.insert(100, Change::Write("/forbidden/2".into(), "x".into()));
    let error = store.change_each(&changes).unwrap_err().to_string();
    assert_eq!(error, "writing /forbidden/1 in xenstore: EACCES");
    let paths: Vec<_> = (0..150).map(|n| format!("/many/{n}")).chain(["/no".into()]).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let values = store.read_all(&paths).unwrap();
    let expected = (0..150).map(|n| Some(n.to_string())).chain([None]);
    assert_eq!(values, expected.collect::<Vec<_>>());
    let children = store.children_all(&["/missing", "/many"]).unwrap();
    assert_eq!(children.iter().map(Vec::len).collect::<Vec<_>>(), [0, 150]);
    store.change_each(&[]).unwrap();
}

#[test]
fn a_refused_write_writes_nothing() {
    let mut store = client(0);
    let error = store.write_all(&[pair("/b", "2"), pair("/forbidden", "")]).unwrap_err();
    assert_eq!(error.to_string(), "writing /forbidden in xenstore: EACCES");
    assert_eq!(store.read("/b").unwrap(), None);
}

#[test]
fn a_transaction_writes_permits_and_removes() {
    let mut store = serving(&[("/a/b", "1"), ("/ab", "2")], 1);
    let write = |at: usize| Change::Write(format!("/many/{at}"), at.to_string());
    let mut changes: Vec<Change> = (0..3 * TOGETHER).map(write).collect();
    changes.push(Change::Permit("/many/7".into(), ["n7".into(), "r0".into()]));
    changes.extend(["/a", "/none"].map(|path| Change::Remove(path.into())));
    store.change(&changes).unwrap();
    assert_eq!(store.children("/many").unwrap().len(), 3 * TOGETHER + 1);
    assert_eq!(store.read("/many/7#").unwrap().as_deref(), Some("n7 r0"));
    assert_eq!((store.read("/a/b").unwrap(), store.children("/a").unwrap().len()), (None, 0));
    assert_eq!(store.read("/ab").unwrap().as_deref(), Some("2"));

    let refused = [write(1000), Change::Write("/forbidden".into(), String::new()), write(1001)];
    let error = store.change(&refused).unwrap_err();
    assert_eq!(error.to_string(), "writing /forbidden in xenstore: EACCES");
    assert_eq!(store.read("/many/1000").unwrap(), None);
    store.change(&[]).unwrap();
}

#[test]
fn a_watch_ends() {
    let mut store = client(0);
    store.watch("/a", "token").unwrap();
    assert_eq!(store.next_event().unwrap().path, "/a");
    store.unwatch("/a", "token").unwrap();
    assert_eq!(store.read("/a").unwrap().as_deref(), Some("1"));
}

#[test]
fn a_value_that_comes_late_is_waited_for() {
    let mut store = client(0);
    let within = Duration::from_secs(30);
    let value = store.wait_for("/late", within, |value| !value.is_empty()).unwrap();
    assert_eq!(value, "/dev/pts/7");
    assert_eq!(store.wait_for("/late", within, |_| true).unwrap(), "/dev/pts/7", "once more");
    let error = store.wait_for("/never", Duration::from_millis(50), |_| true).unwrap_err();
    assert!(matches!(error, XenstoreError::TimedOut { .. }), "{error}");
    assert_eq!(store.read("/a").unwrap().as_deref(), Some("1"), "the connection still works");
}

#[test]
fn a_value_too_long_is_refused_before_it_is_sent() {
    let error = client(0).write_all(&[pair("/b", &"x".repeat(5000))]).unwrap_err();
    assert!(matches!(error, XenstoreError::Refused { code, .. } if code == "E2BIG"));
}

#[test]
fn nodes_are_listed_and_removed() {
    let mut store = serving(&[("/a/b", "1"), ("/a/c/d", "2"), ("/a/c/e", "3")], 0);
    assert_eq!(store.children("/a").unwrap(), ["b", "c"]);
    assert_eq!(store.children("/none").unwrap(), [""; 0]);
    store.remove("/a/b").unwrap();
    store.remove("/a/b").unwrap();
    assert_eq!(store.children("/a").unwrap(), ["c"]);
}
