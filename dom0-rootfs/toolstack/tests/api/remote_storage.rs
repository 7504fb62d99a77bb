// SPDX-License-Identifier: MIT OR Apache-2.0
//! SRs on servers, and libraries of images.

use std::fs;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::common::{PASSWORD, Served, Wire, record};
use storage::{FakeDriver, Host, IsoDriver, Mode, SrDriver, SrSpec, StorageError};
use toolstack::database::SqliteDatabase;
use toolstack::server::Identity;
use toolstack::simulate::Simulation;
use toolstack::store::Store;
use toolstack::toolstack::{Context, Toolstack};
use toolstack::{api, derived, remote_storage, startup, vdis};
use uuid::Uuid;
use xapi_model::{Ref, Value, classes};

/// Far longer than it takes.
const LONG: Duration = Duration::from_secs(60);

const SR: Uuid = Uuid::from_u128(77);

fn spec() -> SrSpec {
    SrSpec { uuid: SR, device_config: Default::default() }
}

/// A daemon that starts over what is in `folder`; nothing is served.
fn start(folder: &Path) -> (Arc<Toolstack>, Arc<FakeDriver>) {
    let simulation = Simulation::new(folder, PASSWORD, false).unwrap();
    let handover = simulation.handover.clone();
    let nfs = Arc::new(FakeDriver::new("nfs", folder.join("server"), 1 << 30));
    let mut outside = simulation.into_outside();
    outside.drivers.push(nfs.clone());
    let database = SqliteDatabase::open(&folder.join("state.db")).unwrap();
    let store = Store::open(Box::new(database), derived::derive).unwrap();
    let identity = Arc::new(Identity::open(&folder.join("tls"), &["host".into()]).unwrap());
    let toolstack = Arc::new(Toolstack::new(store, outside, identity));
    startup::start(&toolstack, &handover).unwrap();
    (toolstack, nfs)
}

fn attached(toolstack: &Toolstack, pbd: &Ref) -> bool {
    toolstack.look("PBD", pbd, |pbd, _| pbd.bool("currently_attached")).unwrap()
}

#[test]
fn a_host_starts_without_its_servers_and_attaches_them_when_they_answer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let (toolstack, nfs) = start(folder.path());
    nfs.create(&spec()).unwrap();
    let host = toolstack.host();
    let pbd = toolstack
        .store
        .write(|t| {
            let fields = vec![("uuid", SR.to_string().into()), ("type", "nfs".into())];
            let sr = t.create(&classes::SR, fields);
            Ok(t.create(&classes::PBD, vec![("host", host.into()), ("SR", sr.into())]))
        })
        .unwrap();
    api::plug(&Context::myself(&toolstack), &pbd).unwrap();
    assert!(attached(&toolstack, &pbd));
    nfs.vdi_create(&spec(), Uuid::from_u128(1), 4096, None).unwrap();
    drop(toolstack);

    // The daemon alone starts again: guests may be using the SR.
    let (toolstack, nfs) = start(folder.path());
    assert!(attached(&toolstack, &pbd));
    drop(toolstack);

    // The host starts again.
    nfs.detach(&spec()).unwrap();
    let (toolstack, nfs) = start(folder.path());
    assert!(!attached(&toolstack, &pbd));
    let lost = StorageError::Failed { doing: "mounting".into(), detail: "no route".into() };
    nfs.faults().once("attach", lost);
    remote_storage::attach_waiting(&toolstack);
    assert!(!attached(&toolstack, &pbd), "the server is not there yet");
    remote_storage::attach_waiting(&toolstack);
    assert!(attached(&toolstack, &pbd));
    let vdis = toolstack.store.read(|objects| {
        objects.all("VDI").filter(|vdi| vdi.uuid() == Uuid::from_u128(1).to_string()).count()
    });
    assert_eq!(vdis, 1, "what it holds is known");
    drop(toolstack);

    // Nor after somebody said that it should not be.
    nfs.detach(&spec()).unwrap();
    let (toolstack, _nfs) = start(folder.path());
    toolstack.waiting_pbds.forget(&pbd);
    remote_storage::attach_waiting(&toolstack);
    assert!(!attached(&toolstack, &pbd));
}

/// Runs work twice at the same time, of which one waits for whoever holds a lock.
fn twice_at_once(
    toolstack: &Arc<Toolstack>,
    lock: &Ref,
    work: fn(&Arc<Toolstack>),
    meanwhile: impl FnOnce(),
) {
    let lock = toolstack.lock_of(lock);
    let held = lock.lock().unwrap();
    let (ended, end) = mpsc::channel();
    for _ in 0..2 {
        let (toolstack, ended) = (toolstack.clone(), ended.clone());
        std::thread::spawn(move || {
            work(&toolstack);
            ended.send(()).unwrap();
        });
    }
    end.recv_timeout(LONG).expect("both wait");
    meanwhile();
    drop(held);
    end.recv_timeout(LONG).unwrap();
}

#[test]
fn a_server_that_makes_it_last_keeps_nobody_from_the_others() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let (toolstack, nfs) = start(folder.path());
    let host = toolstack.host();
    let mut pbds = [78, 79].map(|uuid| {
        let spec = SrSpec { uuid: Uuid::from_u128(uuid), device_config: Default::default() };
        nfs.create(&spec).unwrap();
        let made = toolstack.store.write(|t| {
            let fields = vec![("uuid", spec.uuid.to_string().into()), ("type", "nfs".into())];
            let sr = t.create(&classes::SR, fields);
            let fields = vec![("host", host.clone().into()), ("SR", sr.clone().into())];
            Ok((t.create(&classes::PBD, fields), sr))
        });
        made.unwrap()
    });
    // The first one is tried first.
    pbds.sort();
    for (pbd, _) in &pbds {
        assert!(remote_storage::defer(&toolstack, pbd).unwrap());
    }
    twice_at_once(&toolstack, &pbds[0].1, remote_storage::attach_waiting, || {
        assert!(attached(&toolstack, &pbds[1].0) && !attached(&toolstack, &pbds[0].0));
    });
    assert!(attached(&toolstack, &pbds[0].0));

    // What could not be closed is tried again every few seconds: not by one thread more each time.
    let context = Context::myself(&toolstack);
    let vdi = toolstack.store.write(|t| {
        let fields =
            vec![("uuid", Uuid::from_u128(5).to_string().into()), ("SR", (&pbds[0].1).into())];
        Ok(t.create(&classes::VDI, fields))
    });
    let (vdi, user) = (vdi.unwrap(), Ref::new("somebody"));
    let spec = vdis::sr(&toolstack, &pbds[0].1).unwrap().spec;
    nfs.vdi_create(&spec, Uuid::from_u128(5), 4096, None).unwrap();
    let activations = &context.toolstack.activations;
    activations.activate(&toolstack, &user, &vdi, Mode::ReadWrite).unwrap();
    nfs.faults().once("vdi_deactivate", StorageError::NoAnswer(spec.uuid));
    activations.deactivate(&toolstack, &user, &vdi).unwrap_err();
    let close = |toolstack: &Arc<Toolstack>| toolstack.activations.close_unused(toolstack);
    twice_at_once(&toolstack, &vdi, close, || assert_eq!(nfs.activated().len(), 1));
    assert_eq!(nfs.activated().len(), 0);
}

#[test]
fn who_asks_a_server_that_is_gone_is_told_so() {
    let place = tempfile::tempdir().unwrap();
    let nfs = Arc::new(FakeDriver::new("nfs", place.path().join("server"), 1 << 30));
    let served = Served::with(|outside| outside.drivers.push(nfs.clone()));
    let client = served.login(Wire::Json);
    let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].text();
    let empty = || Value::Map(Default::default());
    let texts = ["0", "shared", "", "nfs", "user"].map(Value::from);
    let args = [host.into(), empty()].into_iter().chain(texts).chain([true.into(), empty()]);
    let sr = client.ok("SR.create", args.collect()).text();
    let vdi = |name: &str| {
        let (size, kind) = (Value::from("4096"), Value::from("user"));
        let sr = Value::from(sr.clone());
        record([("name_label", name.into()), ("SR", sr), ("virtual_size", size), ("type", kind)])
    };
    let before = client.ok("VDI.create", vec![vdi("before")]).text();
    nfs.lose_server(true);
    // Somebody waits for the server since before it was lost.
    let lock = served.toolstack.lock_of(&Ref::new(&sr));
    let held = lock.lock().unwrap();
    for (message, args) in [
        ("SR.scan", vec![sr.clone().into()]),
        ("SR.update", vec![sr.clone().into()]),
        ("VDI.create", vec![vdi("later")]),
        ("VDI.update", vec![before.clone().into()]),
        ("VDI.destroy", vec![before.clone().into()]),
        ("VDI.resize", vec![before.clone().into(), Value::from("8192")]),
        ("VDI.snapshot", vec![before.clone().into()]),
        ("VDI.clone", vec![before.clone().into()]),
    ] {
        let (client, sent) = (client.clone(), mpsc::channel());
        std::thread::spawn(move || sent.0.send(client.call(message, args)).unwrap());
        let error = sent.1.recv_timeout(LONG).expect(message).unwrap_err();
        assert_eq!(error.code, "SR_BACKEND_FAILURE", "{message}: {error:?}");
        assert!(error.args.iter().any(|said| said.ends_with("does not answer")), "{error:?}");
    }
    nfs.lose_server(false);
    drop(held);
    client.ok("SR.scan", vec![sr.into()]);
    client.ok("VDI.destroy", vec![before.into()]);
}

#[test]
fn images_of_a_library_are_called_as_their_files() {
    let library = tempfile::tempdir().unwrap();
    fs::write(library.path().join("debian.iso"), [1; 600]).unwrap();
    let served = Served::with(|outside| {
        outside.drivers.push(Arc::new(IsoDriver::new(Arc::new(Host))));
    });
    let client = served.login(Wire::Json);
    let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].text();
    let create = |location: &str| {
        let config = record([("location", location.into())]);
        let texts = ["", "ISOs", "", "iso", "iso"].map(Value::from);
        let [_, name, description, kind, content] = texts;
        let sm_config = Value::Map(Default::default());
        client.call(
            "SR.create",
            vec![
                host.clone().into(),
                config,
                Value::from("0"),
                name,
                description,
                kind,
                content,
                false.into(),
                sm_config,
            ],
        )
    };
    let missing = create("/nowhere/at/all").unwrap_err();
    assert_eq!(missing.code, "INVALID_VALUE", "{missing:?}");
    let sr = create(library.path().to_str().unwrap()).unwrap().text();
    let operations = |class: &str, object: &str| {
        let record = client.record(class, object);
        let set = record["allowed_operations"].as_set().unwrap().to_vec();
        set.iter().map(Value::text).collect::<Vec<_>>()
    };
    assert!(operations("SR", &sr).contains(&"scan".to_owned()));
    assert!(!operations("SR", &sr).contains(&"vdi_create".to_owned()));

    let vdi = client.named("VDI", "debian.iso");
    let found = client.record("VDI", &vdi);
    assert_eq!(found["location"].text(), "debian.iso");
    assert_eq!(found["read_only"], true.into());
    assert_eq!(found["virtual_size"].as_int(), Some(512));
    assert_eq!(operations("VDI", &vdi), ["copy", "forget"]);
    let refused = client.err("VDI.destroy", vec![vdi.clone().into()]);
    assert_eq!(refused.code, "SR_OPERATION_NOT_SUPPORTED");

    fs::rename(library.path().join("debian.iso"), library.path().join("other.iso")).unwrap();
    client.ok("SR.scan", vec![sr.clone().into()]);
    client.named("VDI", "other.iso");
    let left = client.ok("VDI.get_by_name_label", vec!["debian.iso".into()]);
    assert_eq!(left.as_set().unwrap().len(), 0);

    let pbd = client.record("SR", &sr)["PBDs"].as_set().unwrap()[0].text();
    client.ok("PBD.unplug", vec![pbd.into()]);
    client.ok("SR.forget", vec![sr.into()]);
    assert!(library.path().join("other.iso").exists());
}
