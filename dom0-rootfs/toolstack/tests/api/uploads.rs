// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents as clients made for XAPI send them: they wait for the answer before the body, tell no length
//! or a made-up one, look first where a request would go, and learn the outcome from a task.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::common::{Client, Served, Wire, eventually, record};
use xapi_model::{Ref, Value, xmlrpc};

const SIZE: usize = 1 << 20;
/// What Xen Orchestra writes for a length that it does not know.
const MADE_UP: &str = "Content-Length: 1125899906842624\r\n";

fn contents(seed: u8) -> Vec<u8> {
    (0..SIZE).map(|at| seed ^ (at / 4096) as u8).collect()
}

fn default_sr(client: &Client) -> Value {
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    client.ok("pool.get_default_SR", vec![pool])
}

fn make_vdi(client: &Client, size: usize) -> String {
    let size = i64::try_from(size).unwrap();
    let fields =
        [("SR", default_sr(client)), ("virtual_size", size.into()), ("type", "user".into())];
    client.text("VDI.create", vec![record(fields)])
}

fn make_task(client: &Client) -> String {
    client.text("task.create", vec!["upload".into(), "".into()])
}

fn get(client: &Client, path: &str) -> (u16, Vec<u8>) {
    let (url, session) = (&client.url, &client.session);
    let url = format!("{url}{path}&session_id={session}");
    let mut response = client.agent.get(url).call().unwrap();
    let status = response.status().as_u16();
    (status, response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap())
}

fn read(client: &Client, vdi: &str) -> Vec<u8> {
    let (status, bytes) = get(client, &format!("/export_raw_vdi?vdi={vdi}"));
    assert_eq!(status, 200);
    bytes
}

fn result(task: &BTreeMap<String, Value>) -> Value {
    assert_eq!(task["status"].text(), "success", "{task:?}");
    xmlrpc::decode_value(&task["result"].text()).unwrap()
}

fn error(task: &BTreeMap<String, Value>) -> String {
    assert_eq!(task["status"].text(), "failure", "{task:?}");
    task["error_info"].as_set().unwrap()[0].text()
}

/// A connection on which nothing is done but what a test does.
struct Plain(UnixStream);

impl Plain {
    fn put(served: &Served, client: &Client, path: &str, version: &str, headers: &str) -> Plain {
        let mut plain = Plain::new(served);
        plain.ask(client, path, version, headers);
        plain
    }

    fn new(served: &Served) -> Plain {
        let stream = UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Plain(stream)
    }

    fn ask(&mut self, client: &Client, path: &str, version: &str, headers: &str) {
        let session = &client.session;
        self.send(
            format!("PUT {path}&session_id={session} HTTP/{version}\r\n{headers}\r\n").as_bytes(),
        );
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Head of the answer, which may be all of it so far.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// The rest of the answer, to where the server hangs up.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => String::from_utf8(rest).unwrap(),
        }
    }
}

#[test]
fn a_slash_behind_a_path_changes_nothing() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    let session = &client.session;
    let url = format!("{}/import_raw_vdi/?vdi={vdi}&session_id={session}", client.url);
    assert_eq!(client.agent.put(url).send(&contents(1)[..]).unwrap().status(), 200);
    assert!(get(&client, &format!("/export_raw_vdi/?vdi={vdi}")) == (200, contents(1)));
    let call =
        format!(r#"{{"id":1,"method":"session.get_uuid","params":["{session}","{session}"]}}"#);
    for (path, status) in
        [("/jsonrpc/", 200), ("/", 200), ("/RPC2/", 200), ("/jsonrpc//", 404), ("/nothing/", 404)]
    {
        let response = client.agent.post(format!("{}{path}", client.url)).send(&call).unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
}

#[test]
fn pages_of_any_origin_may_ask_what_they_may() {
    let served = Served::new();
    let client = served.client(Wire::Json);
    for path in ["/", "/json", "/jsonrpc"] {
        for (asked, told) in
            [(None, "X-Requested-With"), (Some("content-type"), "content-type, X-Requested-With")]
        {
            let mut request = client.agent.options(format!("{}{path}", client.url));
            if let Some(asked) = asked {
                request = request.header("Access-Control-Request-Headers", asked);
            }
            let response = request.call().unwrap();
            assert_eq!(response.status(), 200);
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("Access-Control-Allow-Origin"), "*");
            assert_eq!(header("Access-Control-Allow-Methods"), "PUT");
            assert_eq!(header("Access-Control-Allow-Headers"), told);
        }
    }
    let refused = client.agent.options(format!("{}/export", client.url)).call().unwrap();
    assert_eq!(refused.status(), 405);
}

#[test]
fn who_names_a_task_is_answered_before_the_body() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    let length = format!("Content-Length: {SIZE}\r\n");
    for (seed, version) in [(1, "1.0"), (2, "1.1")] {
        let task = make_task(&client);
        let path = format!("/import_raw_vdi?vdi={vdi}&task_id={task}");
        let mut plain = Plain::put(&served, &client, &path, version, &length);
        let head = plain.head();
        assert!(head.starts_with(&format!("HTTP/{version} 200 OK")), "{head}");
        assert!(head.contains(&format!("task-id: {task}\r\n")), "{head}");
        assert_eq!(client.text("task.get_status", vec![task.as_str().into()]), "pending");
        plain.send(&contents(seed));
        if version == "1.0" {
            assert_eq!(plain.rest(), "");
        } else {
            assert_eq!(plain.head(), "0\r\n\r\n");
        }
        assert_eq!(result(&client.ended(&task)), Value::from(vdi.as_str()));
        assert!(read(&client, &vdi) == contents(seed));
    }
    // The connection serves on where it can.
    let task = make_task(&client);
    let path = format!("/import_raw_vdi?vdi={vdi}&task_id={task}");
    let mut plain = Plain::put(&served, &client, &path, "1.1", &length);
    plain.head();
    plain.send(&contents(3));
    assert_eq!(plain.head(), "0\r\n\r\n");
    plain.ask(&client, "/nothing?a=b", "1.1", "Content-Length: 0\r\n");
    assert!(plain.head().starts_with("HTTP/1.1 404"));
    // What cannot be is refused, in the answer and in the task.
    let task = make_task(&client);
    client.ok("VDI.set_read_only", vec![vdi.as_str().into(), true.into()]);
    let path = format!("/import_raw_vdi?vdi={vdi}&task_id={task}");
    let mut plain = Plain::put(&served, &client, &path, "1.0", &length);
    assert!(plain.head().starts_with("HTTP/1.0 500"));
    assert_eq!(error(&client.ended(&task)), "VDI_READONLY");
}

#[test]
fn who_waits_for_the_answer_gets_it_and_sees_a_failure() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    let length = format!("Content-Length: {SIZE}\r\n");
    for (format, whole) in [("raw", true), ("vhd", false)] {
        let path = format!("/import_raw_vdi?vdi={vdi}&format={format}");
        let mut plain = Plain::put(&served, &client, &path, "1.1", &length);
        assert!(plain.head().starts_with("HTTP/1.1 200 OK"));
        plain.send(&contents(5));
        if whole {
            assert_eq!(plain.head(), "0\r\n\r\n");
        } else {
            assert_eq!(plain.rest(), "");
        }
    }
    assert!(read(&client, &vdi) == contents(5));
    // Who does not wait is told how it ended.
    let path = format!("/import_raw_vdi?vdi={vdi}&format=vhd");
    let mut plain = Plain::put(&served, &client, &path, "1.1", &length);
    plain.send(&contents(6));
    assert!(plain.head().starts_with("HTTP/1.1 500"));
    // So is who waits to be told to go on.
    let headers = format!("{length}Expect: 100-continue\r\n");
    let path = format!("/import_raw_vdi?vdi={vdi}");
    let mut plain = Plain::put(&served, &client, &path, "1.1", &headers);
    assert_eq!(plain.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    plain.send(&contents(6));
    assert!(plain.head().starts_with("HTTP/1.1 200"));
    assert!(read(&client, &vdi) == contents(6));
}

#[test]
fn looking_where_a_request_would_go_does_nothing() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    let session = &client.session;
    let path = format!("/import_raw_vdi?vdi={vdi}");
    let url = format!("{}{path}&session_id={session}", client.url);
    assert_eq!(client.agent.put(url).send(&contents(1)[..]).unwrap().status(), 200);
    let census = || {
        let count = |m: &str| client.ok(m, vec![]).as_set().unwrap().len();
        (count("task.get_all"), count("VM.get_all"), count("VDI.get_all"))
    };
    let before = census();
    let sr = default_sr(&client).text();
    let paths = [
        path.clone(),
        format!("{path}&format=vhd"),
        format!("/import_raw_vdi?sr={sr}"),
        format!("/import?sr_id={sr}"),
        "/import_metadata?a=b".to_owned(),
    ];
    for path in &paths {
        let mut plain = Plain::put(&served, &client, path, "1.1", "Content-Length: 0\r\n");
        assert!(plain.head().starts_with("HTTP/1.1 200"), "{path}");
    }
    assert_eq!(census(), before);
    let nowhere = "/import_raw_vdi?vdi=OpaqueRef:1";
    let mut plain = Plain::put(&served, &client, nowhere, "1.1", "Content-Length: 0\r\n");
    assert!(plain.head().starts_with("HTTP/1.1 404"));
    // With the length that is made up it is cut, and no failure either.
    let tasks = || client.ok("task.get_all_records", vec![]).as_map().unwrap().clone();
    for path in &paths {
        let mut plain = Plain::put(&served, &client, path, "1.1", MADE_UP);
        assert!(plain.head().starts_with("HTTP/1.1 200"), "{path}");
        assert!(!served.toolstack.activations.in_use(&Ref::new(&vdi)));
    }
    eventually("all of them ended", || {
        tasks().values().all(|task| task.as_map().unwrap()["status"].text() != "pending")
    });
    assert!(tasks().values().all(|t| t.as_map().unwrap()["status"].text() != "failure"));
    assert!(read(&client, &vdi) == contents(1));
    let (_, vms, vdis) = census();
    assert_eq!((vms, vdis), (before.1, before.2));
}

/// Sends with a made-up length, waits for the answer's head, and hangs up behind the contents, as Xen
/// Orchestra does; or does not hang up and sees that it ends. Gives what the tasks result in.
fn streamed(served: &Served, client: &Client, path: &str, bytes: &[u8]) -> [Value; 2] {
    [true, false].map(|cut| {
        let task = make_task(client);
        let path = format!("{path}&task_id={task}");
        let mut plain = Plain::put(served, client, &path, "1.1", MADE_UP);
        assert!(plain.head().starts_with("HTTP/1.1 200"));
        plain.send(bytes);
        if !cut {
            assert_eq!(plain.head(), "0\r\n\r\n");
        }
        drop(plain);
        result(&client.ended(&task))
    })
}

#[test]
fn contents_of_a_made_up_length_end_where_their_format_does() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    streamed(&served, &client, &format!("/import_raw_vdi?vdi={vdi}"), &contents(7));
    assert!(read(&client, &vdi) == contents(7));
    let (_, image) = get(&client, &format!("/export_raw_vdi?vdi={vdi}&format=vhd"));
    let copy = make_vdi(&client, SIZE);
    let path = format!("/import_raw_vdi?vdi={copy}&format=vhd");
    streamed(&served, &client, &path, &image);
    assert!(read(&client, &copy) == contents(7));
    let made = client.make_vm("guest");
    for compression in ["false", "true", "zstd"] {
        let path = format!("/export?ref={}&use_compression={compression}", made.vm);
        let (_, archive) = get(&client, &path);
        for vms in streamed(&served, &client, "/import?a=b", &archive) {
            assert_eq!(vms.as_set().unwrap().len(), 1);
        }
    }
    // What is cut off is not whole.
    for (path, bytes, code) in [
        (format!("/import_raw_vdi?vdi={vdi}"), contents(8), "VDI_IO_ERROR"),
        (path, image, "IMPORT_ERROR_PREMATURE_EOF"),
    ] {
        let task = make_task(&client);
        let path = format!("{path}&task_id={task}");
        let mut plain = Plain::put(&served, &client, &path, "1.1", MADE_UP);
        plain.head();
        plain.send(&bytes[..bytes.len() - 512]);
        drop(plain);
        assert_eq!(error(&client.ended(&task)), code);
    }
    let mut expected = contents(8);
    expected[SIZE - 512..].copy_from_slice(&contents(7)[SIZE - 512..]);
    assert!(read(&client, &vdi) == expected, "what came is there");
}

#[test]
fn contents_without_any_length_are_not_lost() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    let cases =
        [("1.0", "Connection: close\r\n", true), ("1.0", "", false), ("1.1", "A: b\r\n", true)];
    for (seed, (version, headers, waits)) in (20..).zip(cases) {
        let task = make_task(&client);
        let path = format!("/import_raw_vdi?vdi={vdi}&task_id={task}");
        let mut plain = Plain::put(&served, &client, &path, version, headers);
        if waits {
            assert!(plain.head().starts_with(&format!("HTTP/{version} 200")));
        }
        plain.send(&contents(seed));
        drop(plain);
        result(&client.ended(&task));
        assert!(read(&client, &vdi) == contents(seed));
    }
    // Without a task the answer comes where the contents end.
    let path = format!("/import_raw_vdi?vdi={vdi}");
    let mut plain = Plain::put(&served, &client, &path, "1.0", "");
    plain.send(&contents(30));
    assert!(plain.head().starts_with("HTTP/1.0 200"));
    drop(plain);
    assert!(read(&client, &vdi) == contents(30));
    // Behind another request nobody can tell.
    let task = make_task(&client);
    let mut plain = Plain::put(&served, &client, "/nothing?a=b", "1.1", "Content-Length: 0\r\n");
    assert!(plain.head().starts_with("HTTP/1.1 404"));
    plain.0.read_exact(&mut [0; "nothing is here\n".len()]).unwrap();
    plain.ask(&client, &format!("/import_raw_vdi?vdi={vdi}&task_id={task}"), "1.1", "");
    assert!(plain.head().starts_with("HTTP/1.1 411"));
    assert_eq!(error(&client.ended(&task)), "IMPORT_ERROR_GENERIC");
    let mut plain = Plain::put(&served, &client, "/blob?uuid=x", "1.0", "");
    assert!(plain.head().starts_with("HTTP/1.0 404"));
}

#[test]
fn pieces_go_where_they_say() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    let piece = |at: u64, bytes: &[u8]| {
        [&at.to_le_bytes()[..], &u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
    };
    let put = |extra: &str, bytes: &[u8]| {
        let (url, session) = (&client.url, &client.session);
        let url = format!("{url}/import_raw_vdi?vdi={vdi}&session_id={session}{extra}");
        let mut response = client.agent.put(url).send(bytes).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    let stream = [piece(8192, b"there"), piece(4096, b"here"), piece(0, b"")].concat();
    assert_eq!(put("&format=raw&chunked=true", &stream), (200, String::new()));
    let mut expected = vec![0; SIZE];
    expected[4096..4100].copy_from_slice(b"here");
    expected[8192..8197].copy_from_slice(b"there");
    assert!(read(&client, &vdi) == expected);
    let (status, text) = put("&chunked=true", &stream[..stream.len() - 12]);
    assert!(status == 500 && text.starts_with("IMPORT_ERROR_PREMATURE_EOF"), "{text}");
    let (status, text) = put("&chunked=true", &piece(SIZE as u64 - 1, b"xy"));
    assert!(status == 500 && text.starts_with("VDI_TOO_SMALL"), "{text}");
    assert_eq!(put("&chunked=true&format=vhd", &stream).0, 400);
    assert!(read(&client, &vdi) == expected);
    let path = format!("/import_raw_vdi?vdi={vdi}&chunked=1");
    streamed(&served, &client, &path, &stream);
}

#[test]
fn a_disk_is_made_for_what_comes() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let sr = default_sr(&client).text();
    let uuid = client.text("SR.get_uuid", vec![sr.as_str().into()]);
    let put = |extra: &str, bytes: &[u8]| {
        let (url, session) = (&client.url, &client.session);
        let url = format!("{url}/import_raw_vdi?session_id={session}{extra}");
        client.agent.put(url).send(bytes).unwrap().status().as_u16()
    };
    for named in [format!("sr={sr}"), format!("sr_id={sr}"), format!("sr_uuid={uuid}")] {
        let task = make_task(&client);
        assert_eq!(put(&format!("&{named}&task_id={task}"), &contents(9)), 200);
        let vdi = result(&client.ended(&task)).text();
        assert_eq!(client.text("VDI.get_name_label", vec![vdi.as_str().into()]), "Imported VDI");
        assert_eq!(client.text("VDI.get_SR", vec![vdi.as_str().into()]), sr);
        assert!(read(&client, &vdi) == contents(9));
    }
    let vdis = || client.ok("VDI.get_all", vec![]).as_set().unwrap().len();
    let before = vdis();
    assert_eq!(put(&format!("&sr={sr}&format=vhd"), &contents(9)), 500);
    assert_eq!(put("&sr=OpaqueRef:1", &contents(9)), 404);
    assert_eq!(put("&a=b", &contents(9)), 404);
    let task = make_task(&client);
    let path = format!("/import_raw_vdi?sr={sr}&task_id={task}");
    let length = format!("Content-Length: {SIZE}\r\n");
    let mut plain = Plain::put(&served, &client, &path, "1.1", &length);
    plain.send(&contents(9)[..5000]);
    drop(plain);
    assert_eq!(client.ended(&task)["status"].text(), "failure");
    assert_eq!(vdis(), before);
}

#[test]
fn tasks_end_whatever_they_were_named_for() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let begun = Instant::now();
    for (path, status) in [
        ("/rrd_updates?start=0&host=true", 200),
        ("/rrd_updates?start=now", 400),
        ("/host_rrd?a=b", 404),
        ("/vm_rrd?uuid=x", 404),
        ("/audit_log?a=b", 200),
        ("/audit_log?since=never", 400),
        ("/blob?uuid=x", 404),
        ("/metrics?a=b", 503),
        ("/console?uuid=x", 404),
        ("/export_metadata?all=true", 200),
        ("/export_raw_vdi?format=vmdk", 400),
    ] {
        let task = make_task(&client);
        assert_eq!(get(&client, &format!("{path}&task_id={task}")).0, status, "{path}");
        let ended = client.ended(&task)["status"].text();
        assert_eq!(ended, if status == 200 { "success" } else { "failure" }, "{path}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    // Others' tasks are not for everybody to end.
    let task = make_task(&client);
    let url = format!("{}/audit_log?task_id={task}", client.url);
    assert_eq!(client.agent.get(url).call().unwrap().status(), 401);
    assert_eq!(client.text("task.get_status", vec![task.into()]), "pending");
}
