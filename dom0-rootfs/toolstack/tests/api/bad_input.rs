// SPDX-License-Identifier: MIT OR Apache-2.0
//! What no client should send, over real connections: the daemon says so and goes on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use xapi_model::{ApiError, Described, Ref, Type, Value, catalogue, errors, jsonrpc, xmlrpc};

use crate::common::{Client, Served, Wire};

/// A bomb is answered within this time, however busy the machine is.
const QUICKLY: Duration = Duration::from_secs(20);
/// A reference to nothing.
const NOBODY: &str = "OpaqueRef:00000000-0000-0000-0000-000000000000";

fn xml(value: &str) -> String {
    format!(
        "<methodCall><methodName>VM.get_all</methodName><params><param>{value}</param></params>\
         </methodCall>"
    )
}

#[test]
fn bombs_are_refused_and_the_next_call_is_answered() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let entities = (1..30).map(|n| format!("<!ENTITY a{n} \"&a{0};&a{0};\">", n - 1));
    let bombs = [
        ("/RPC2", xml(&"<value><array><data>".repeat(100_000))),
        ("/RPC2", xml(&"<value/>".repeat(1 << 19)) + "x"),
        (
            "/RPC2",
            format!(
                "<!DOCTYPE x [{}]>{}",
                entities.collect::<String>(),
                xml("<value>&a29;</value>")
            ),
        ),
        ("/RPC2", xml("<value>&a29;</value>")),
        ("/RPC2", xml(&format!("<value{}/>", " a=\"\"".repeat(1 << 20)))),
        ("/RPC2", xml(&format!("<value><int>{}</int></value>", "9".repeat(1 << 20)))),
        ("/jsonrpc", "[".repeat(1 << 20)),
        ("/jsonrpc", format!("{{\"method\": \"VM.get_all\", \"params\": {}", "[".repeat(1 << 20))),
        (
            "/jsonrpc",
            format!("{{\"method\": \"VM.get_all\", \"params\": [{}1e999999]}}", "9".repeat(9999)),
        ),
        ("/jsonrpc", format!("{{\"method\": {:?}, \"params\": []}}", "x".repeat(1 << 20))),
    ];
    for (path, bomb) in bombs {
        let (begun, head) = (Instant::now(), bomb[..bomb.len().min(60)].to_owned());
        let mut answer = client.agent.post(format!("{}{path}", client.url)).send(bomb).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(begun.elapsed() < QUICKLY, "{head}");
        let reply = match path {
            "/RPC2" => xmlrpc::decode_reply(&text),
            _ => jsonrpc::decode_reply(&text),
        };
        let error = reply.unwrap().unwrap_err();
        assert!(error.args.iter().all(|word| word.len() < 2 << 20), "{head}: {}", error.code);
        client.ok("pool.get_all", vec![]);
    }
}

#[test]
fn a_body_that_is_too_big_is_refused_before_it_has_come() {
    let served = Served::new();
    let mut stream = UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n<methodCall>").unwrap();
    let mut answer = String::new();
    // It also hangs up, as nobody would read the rest.
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    // One that does not say how long it is comes until it is too long.
    let mut stream = UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let piece = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let sent = (0..16 << 10).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(sent < 512, "{sent} pieces of 64 KiB were taken");
}

#[test]
fn half_requests_and_slow_clients_keep_nobody_waiting() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let beginnings: [&[u8]; 5] = [
        b"",
        b"POST ",
        b"POST / HTTP/1.1\r\nContent-Le",
        b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n<methodCall><methodName>VM.get",
    ];
    let address = client.url.trim_start_matches("https://");
    let mut slow: Vec<UnixStream> = Vec::new();
    let mut strangers = Vec::new();
    for beginning in beginnings.iter().cycle().take(100) {
        let mut stream = UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
        stream.write_all(beginning).unwrap();
        slow.push(stream);
        // On the network what comes first is no TLS.
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(beginning).unwrap();
        strangers.push(stream);
    }
    for round in 0..20 {
        let begun = Instant::now();
        client.ok("VM.get_all_records", vec![]);
        assert!(begun.elapsed() < QUICKLY, "round {round}");
        // A letter now and then, as long as they are let.
        for stream in &mut slow {
            let _ = stream.write_all(b"x");
        }
    }
    let other = served.login(Wire::Xml);
    other.ok("pool.get_all", vec![]);
}

/// A value that is of no type like this one.
fn wrong(ty: &Type) -> Option<Value> {
    match ty {
        Type::Void => None,
        Type::Set(_) => Some(Value::Map(Default::default())),
        _ => Some(Value::Set(vec![Value::Set(Vec::new())])),
    }
}

/// Parameters of a message: of each type the emptiest, objects that are there where there are some.
fn fitting(client: &Client, message: &Described) -> Vec<Value> {
    let fit = |ty: &Type| match ty {
        Type::Ref("session") => client.session.as_str().into(),
        Type::Ref("VM") => client.named("VM", "Linux PVH (own boot loader)").into(),
        Type::Ref(class) => {
            let all = client.call(&format!("{class}.get_all"), vec![]);
            let first = all.ok().and_then(|all| all.as_set()?.first().cloned());
            first.unwrap_or_else(|| Ref::null().into())
        }
        ty => ty.zero(),
    };
    message.params.iter().map(|param| fit(&param.ty)).collect()
}

/// Calls each message with a session once for each of its parameters, made bad by `spoil`; gives what was
/// answered instead of what `expected` wants.
fn walk(
    spoil: impl Fn(&Type) -> Option<Value>,
    expected: impl Fn(&ApiError, &Type) -> bool,
) -> Vec<String> {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let mut others = Vec::new();
    for message in catalogue().all().filter(|message| message.session) {
        for (index, param) in message.params.iter().enumerate() {
            let Some(bad) = spoil(&param.ty) else { continue };
            let mut params = fitting(&client, message);
            params[index] = bad;
            match client.call(&message.full_name(), params) {
                Err(error) if expected(&error, &param.ty) => {}
                reply => others.push(format!("{} {}: {reply:?}", message.full_name(), param.name)),
            }
        }
    }
    client.ok("pool.get_all", vec![]);
    others
}

#[test]
fn every_parameter_of_a_wrong_type_is_named() {
    let others = walk(wrong, |error, _| error.is(&errors::FIELD_TYPE_ERROR));
    assert_eq!(others, [""; 0]);
}

/// Parameters that may not be looked up where the other ones are as empty as here.
const NOT_REACHED: &[&str] = &[
    "Bond.create network",
    "PIF.create_VLAN network",
    "VBD.insert vbd",
    "VDI.copy base_vdi",
    "VDI.copy sr",
    "VDI.introduce SR",
    "VDI.introduce metadata_of_pool",
    "VDI.introduce snapshot_of",
    "VLAN.create network",
    "VLAN.create tagged_PIF",
    "VM.send_sysrq vm",
    "VM.send_trigger vm",
    "VM.set_suspend_VDI value",
    "host.evacuate network",
    "pool.create_VLAN network",
    "pool.create_VLAN_from_PIF network",
    "pool.create_VLAN_from_PIF pif",
    "subject.add_to_roles role",
    "subject.remove_from_roles role",
    "tunnel.create network",
];

#[test]
fn every_reference_to_nothing_is_named() {
    let nobody = |ty: &Type| matches!(ty, Type::Ref(_)).then(|| NOBODY.into());
    let others = walk(nobody, |error, ty| {
        let Type::Ref(class) = ty else { return false };
        error.is(&errors::HANDLE_INVALID) && error.args == [*class, NOBODY]
    });
    for other in &others {
        let (parameter, reply) = other.split_once(": ").unwrap();
        assert!(NOT_REACHED.contains(&parameter), "{other}");
        assert!(reply.starts_with("Err(") && !reply.contains("INTERNAL_ERROR"), "{other}");
    }
}
