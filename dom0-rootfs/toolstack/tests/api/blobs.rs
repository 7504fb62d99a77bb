// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secrets, blobs and users: who sees them, and where they go.

use crate::common::{Client, Served, Wire, record};
use toolstack::session::Owner;
use xapi_model::{Ref, Role, Value};

fn somebody(served: &Served, role: Role) -> Client {
    let mut client = served.client(Wire::Json);
    client.session = served.toolstack.sessions.open(Owner::Host(role), "a", "test").to_string();
    client
}

fn blob_url(client: &Client, uuid: &str) -> String {
    format!("{}/blob?session_id={}&uuid={uuid}", client.url, client.session)
}

fn put(client: &Client, uuid: &str, data: &[u8]) -> u16 {
    client.agent.put(blob_url(client, uuid)).send(data).unwrap().status().as_u16()
}

fn get(client: &Client, uuid: &str) -> (u16, Vec<u8>) {
    let mut response = client.agent.get(blob_url(client, uuid)).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_vec().unwrap())
}

#[test]
fn blobs_keep_what_is_sent() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("guest").vm;
    let create = |name: &str| {
        let params = vec![vm.as_str().into(), name.into(), "".into()];
        client.call("VM.create_new_blob", params)
    };
    let blob = create("notes").unwrap().text();
    assert_eq!(create("notes").unwrap_err().code, "MAP_DUPLICATE_KEY");
    let fields = client.record("blob", &blob);
    assert_eq!(fields["mime_type"].text(), "application/octet-stream");
    let uuid = fields["uuid"].text();
    assert_eq!(get(&client, &uuid), (200, vec![]));
    let data = vec![7; 300_000];
    assert_eq!(put(&client, &uuid, &data), 200);
    assert_eq!(get(&client, &uuid), (200, data));
    assert_eq!(put(&client, &uuid, b"less"), 200);
    assert_eq!(client.text("blob.get_size", vec![blob.as_str().into()]), "4");
    // Some may look, others not even that; who knows a public one needs nothing.
    let reader = somebody(&served, Role::ReadOnly);
    assert_eq!(get(&reader, &uuid).0, 200);
    assert_eq!(put(&reader, &uuid, b"x"), 403);
    let stranger = served.client(Wire::Json);
    assert_eq!(get(&stranger, &uuid).0, 401);
    client.ok("blob.set_public", vec![blob.as_str().into(), true.into()]);
    assert_eq!(get(&stranger, &uuid), (200, b"less".to_vec()));
    assert_eq!(put(&stranger, &uuid, b"x"), 401);
    assert_eq!(get(&client, "nonsense").0, 404);
    let big = vec![0; (16 << 20) + 1];
    assert_eq!(put(&client, &uuid, &big), 413);
    assert_eq!(get(&client, &uuid).1, b"less");
    client.ok("blob.destroy", vec![blob.as_str().into()]);
    assert_eq!(get(&client, &uuid).0, 404);
    let blobs = client.ok("VM.get_blobs", vec![vm.as_str().into()]);
    assert_eq!(blobs, Value::Map(Default::default()));
    let folder = served.folder.path().join("blobs");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    // Those of an object go with it.
    let blob = create("other").unwrap().text();
    client.ok("VM.destroy", vec![vm.as_str().into()]);
    assert_eq!(client.err("blob.get_uuid", vec![blob.into()]).code, "HANDLE_INVALID");
}

#[test]
fn secrets_are_for_pool_operators_alone() {
    let served = Served::new();
    let operator = somebody(&served, Role::PoolOperator);
    let fields = [("value", "top-secret".into())];
    let secret = operator.text("secret.create", vec![record(fields)]);
    assert_eq!(operator.text("secret.get_value", vec![secret.as_str().into()]), "top-secret");
    let admin = somebody(&served, Role::VmPowerAdmin);
    for message in ["get_value", "get_record", "get_uuid", "get_other_config"] {
        let error = admin.err(&format!("secret.{message}"), vec![secret.as_str().into()]);
        assert_eq!(error.code, "RBAC_PERMISSION_DENIED", "{message}");
    }
    for message in ["get_all", "get_all_records"] {
        let error = admin.err(&format!("secret.{message}"), vec![]);
        assert_eq!(error.code, "RBAC_PERMISSION_DENIED", "{message}");
    }
    // Events do not tell either.
    let everything = vec![Value::strings(["*", "secret"]), "".into(), 0.0.into()];
    let told = format!("{:?}", admin.ok("event.from", everything));
    assert!(!told.contains("top-secret") && !told.contains(&secret));
    operator.ok("secret.destroy", vec![secret.as_str().into()]);
    assert_eq!(operator.err("secret.get_value", vec![secret.into()]).code, "HANDLE_INVALID");
}

#[test]
fn sessions_name_their_user() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let user = client.text("session.get_this_user", vec![client.session.as_str().into()]);
    assert_eq!(client.text("user.get_short_name", vec![user.as_str().into()]), "root");
    let create =
        |name: &str| client.call("user.create", vec![record([("short_name", name.into())])]);
    assert_eq!(create("root").unwrap_err().code, "DB_UNIQUENESS_CONSTRAINT_VIOLATION");
    assert_eq!(create("").unwrap_err().code, "INVALID_VALUE");
    create("ann").unwrap();
    client.ok("user.destroy", vec![user.into()]);
    let user = client.text("session.get_this_user", vec![client.session.as_str().into()]);
    assert_eq!(user, Ref::NULL);
}
