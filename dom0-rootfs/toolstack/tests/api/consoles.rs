// SPDX-License-Identifier: MIT OR Apache-2.0
//! `CONNECT /console` turns a connection into the console, both ways; so does a websocket, in frames.

use std::io::{Read, Write};

use crate::common::wire::{
    BINARY, CLOSE, CONTINUES, LAST, PING, PONG, Socket, TEXT, bytes, status, until,
};
use crate::common::{Client, PASSWORD, Served, Wire, eventually};
use base64ct::{Base64, Encoding};
use toolstack::session::Owner;
use xapi_model::{Ref, Role};
use xenops::DomId;

/// A VM from a template that was started; it runs if it is not to wait.
fn start(client: &Client, template: &str, waits: bool) -> String {
    let template = client.named("VM", template);
    let vm = client.text("VM.clone", vec![template.into(), "guest".into()]);
    client.ok("VM.provision", vec![vm.as_str().into()]);
    client.ok("VM.start", vec![vm.as_str().into(), waits.into(), false.into()]);
    vm
}

fn hvm(client: &Client) -> String {
    start(client, "Other install media", false)
}

fn pvh(client: &Client) -> String {
    start(client, "Linux PVH (own boot loader)", false)
}

/// What to ask for to get at a VM's console, without a session.
fn bare(client: &Client, vm: &str, protocol: &str) -> String {
    let consoles = client.ok("VM.get_consoles", vec![vm.into()]);
    let mut consoles = consoles.as_set().unwrap().iter().map(|console| {
        let record = client.record("console", &console.text());
        (record["protocol"].text(), record["location"].text())
    });
    let (_, location) = consoles.find(|(this, _)| this == protocol).unwrap();
    let (_, query) = location.split_once("/console").unwrap();
    format!("/console{query}")
}

fn target(client: &Client, vm: &str, protocol: &str) -> String {
    format!("{}&session_id={}", bare(client, vm, protocol), client.session)
}

fn nobody_uses(served: &Served, vm: &str) {
    let vm = Ref::new(vm);
    eventually("nobody uses it", || served.toolstack.console_users.begin(&vm, true).is_some());
}

#[test]
fn a_client_follows_a_boot_from_its_first_line() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = start(&client, "Linux PVH (own boot loader)", true);
    let target = target(&client, &vm, "vt100");
    let (mut early, head) = served.tunnel(&target);
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    client.ok("VM.unpause", vec![vm.as_str().into()]);
    let said = until(&mut early, "login: ");
    // Whoever comes later sees the same.
    let (mut late, _) = served.tunnel(&target);
    assert_eq!(until(&mut late, "login: "), said);
    // Unless a console is one person's at a time.
    let pool = served.toolstack.pool();
    client.ok("pool.set_limit_console_sessions", vec![pool.into(), true.into()]);
    assert_eq!(status(&served.tunnel(&target).1), 409);
    drop((early, late));
    nobody_uses(&served, &vm);
    let (mut alone, _) = served.tunnel(&target);
    until(&mut alone, "login: ");
}

/// Shakes hands with a VNC server (RFB 3.8), presses a key, and looks at the screen.
fn look_at(mut screen: impl Read + Write, name: &str) {
    assert_eq!(&bytes::<12>(&mut screen), b"RFB 003.008\n");
    screen.write_all(b"RFB 003.008\n").unwrap();
    assert_eq!(bytes::<2>(&mut screen), [1, 1]);
    screen.write_all(&[1]).unwrap();
    assert_eq!(bytes::<4>(&mut screen), [0; 4]);
    screen.write_all(&[1]).unwrap();
    let [0, width, 0, height, ..] = bytes::<20>(&mut screen) else { panic!("a large screen") };
    let length = usize::try_from(u32::from_be_bytes(bytes(&mut screen))).unwrap();
    let mut named = vec![0; length];
    screen.read_exact(&mut named).unwrap();
    assert_eq!(named, name.as_bytes());
    screen.write_all(&[4, 1, 0, 0, 0, 0, 0, b'a']).unwrap();
    screen.write_all(&[3, 0, 0, 0, 0, 0, 0, width, 0, height]).unwrap();
    assert_eq!(bytes::<16>(&mut screen), [0, 0, 0, 1, 0, 0, 0, 0, 0, width, 0, height, 0, 0, 0, 0]);
    let mut pixels = vec![0; usize::from(width) * usize::from(height) * 4];
    screen.read_exact(&mut pixels).unwrap();
    assert!(pixels.chunks(4).all(|pixel| pixel == [0, 0, 255, 0]));
}

#[test]
fn an_hvm_guest_has_a_screen() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = hvm(&client);
    let target = target(&client, &vm, "rfb");
    let (connection, head) = served.tunnel(&target);
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    // A domain is called as its VM's uuid.
    let name = client.text("VM.get_uuid", vec![vm.as_str().into()]);
    look_at(connection, &name);
    look_at(served.socket(&target), &name);
    assert_eq!(status(&served.ask(&format!("GET {target} HTTP/1.0\r\n\r\n")).1), 405);
    // Beside its text; a guest without a device model has only that.
    until(&mut served.socket(&self::target(&client, &vm, "vt100")), "login: ");
    let pvh = pvh(&client);
    let consoles = client.ok("VM.get_consoles", vec![pvh.as_str().into()]);
    assert_eq!(consoles.as_set().unwrap().len(), 1);
    // A VM stands for its screen, be it named by uuid or reference; without one, and read only, for its text.
    let by_uuid = format!("/console?uuid={name}&session_id={}", client.session);
    let by_reference = |vm: &str| format!("/console?ref={vm}&session_id={}", client.session);
    look_at(served.tunnel(&by_uuid).0, &name);
    look_at(served.socket(&by_reference(&vm)), &name);
    until(&mut served.tunnel(&by_reference(&pvh)).0, "login: ");
    until(&mut served.ask(&format!("GET {by_uuid} HTTP/1.0\r\n\r\n")).0, "login: ");
}

#[test]
fn a_text_console_takes_what_is_typed() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let target = target(&client, &pvh(&client), "vt100");
    let typed = |wanted: &str| {
        let mut all = Vec::new();
        eventually("it hears what is typed", || {
            all.extend(served.hypervisor.typed(DomId(1)).unwrap());
            String::from_utf8_lossy(&all) == wanted
        });
    };
    let (mut tunnel, _) = served.tunnel(&target);
    until(&mut tunnel, "login: ");
    tunnel.write_all(b"root\r").unwrap();
    typed("root\r");
    let mut socket = served.socket(&target);
    until(&mut socket, "login: ");
    // Terminals in web pages send text, screens bytes.
    socket.send(LAST | TEXT, "grüße\r".as_bytes());
    typed("grüße\r");
    socket.send(LAST | BINARY, b"\x03");
    typed("\x03");
    // A message in parts, with a question between them; the mask goes on in none of them.
    socket.send(BINARY, b"ls");
    socket.send(LAST | PING, b"there?");
    assert_eq!(socket.frame(), (LAST | PONG, b"there?".to_vec()));
    socket.send(CONTINUES, b" -");
    socket.send(LAST | CONTINUES, b"l\r");
    typed("ls -l\r");
    socket.send(LAST | PONG, b"unasked");
    // One whose length takes eight bytes.
    let long = "x".repeat(70_000);
    socket.send(LAST | BINARY, long.as_bytes());
    typed(&long);
    socket.send(LAST | CLOSE, &1001u16.to_be_bytes());
    assert_eq!(socket.frame(), (LAST | CLOSE, 1001u16.to_be_bytes().to_vec()));
    assert_eq!(socket.connection.read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_connect_is_refused_a_websocket_is_refused_too() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = hvm(&client);
    let refused = |target: &str, expected: u16| {
        assert_eq!(status(&served.tunnel(target).1), expected, "{target}");
        assert_eq!(status(&served.ask_socket(target, &[]).1), expected, "{target}");
    };
    let session = format!("&session_id={}", client.session);
    let reader = served.toolstack.sessions.open(Owner::Host(Role::ReadOnly), "a", "test");
    for protocol in ["vt100", "rfb"] {
        let bare = bare(&client, &vm, protocol);
        refused(&bare, 401);
        refused(&format!("{bare}&session_id=x"), 401);
        refused(&format!("{bare}&session_id={reader}"), 403);
    }
    refused(&format!("/console?uuid=nothing{session}"), 404);
    refused(&format!("/console?x=y{session}"), 404);
    let (text, screen) = (target(&client, &vm, "vt100"), target(&client, &vm, "rfb"));
    let pool = served.toolstack.pool();
    client.ok("pool.set_limit_console_sessions", vec![pool.into(), true.into()]);
    let mut used = served.socket(&text);
    until(&mut used, "login: ");
    refused(&text, 409);
    refused(&screen, 409);
    used.send(LAST | CLOSE, &[]);
    nobody_uses(&served, &vm);
    drop(served.socket(&screen));
    nobody_uses(&served, &vm);
    client.ok("VM.hard_shutdown", vec![vm.as_str().into()]);
    refused(&text, 404);
    refused(&screen, 404);
    refused(&format!("/console?ref={vm}{session}"), 404);
}

#[test]
fn a_handshake_is_checked() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = hvm(&client);
    let (bare, target) = (bare(&client, &vm, "rfb"), target(&client, &vm, "rfb"));
    let (_, head) = served.ask_socket(&target, &["Sec-WebSocket-Protocol: base64, binary"]);
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nsec-websocket-protocol: binary\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    let asks = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let of = |more: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{asks}{more}\r\n");
        status(&served.ask(&request).1)
    };
    assert_eq!(of("Sec-WebSocket-Version: 13\r\n"), 400);
    assert_eq!(of("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"), 400);
    assert_eq!(of("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 426);
    // A name and a password do as well, unless the page that asks is not this host's.
    let root = Base64::encode_string(format!("root:{PASSWORD}").as_bytes());
    let root = format!("Authorization: Basic {root}");
    let cookie = format!("Cookie: session_id={}", client.session);
    let of = |target: &str, headers: &[&str]| status(&served.ask_socket(target, headers).1);
    for known in [&*root, &*cookie] {
        assert_eq!(of(&bare, &[known]), 101);
        assert_eq!(of(&bare, &[known, "Origin: https://127.0.0.1"]), 101);
        assert_eq!(of(&bare, &[known, "Origin: https://elsewhere.example"]), 403);
    }
    assert_eq!(of(&target, &["Origin: https://elsewhere.example"]), 101);
}

#[test]
fn consoles_end_with_their_guest() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = hvm(&client);
    let mut text = served.socket(&target(&client, &vm, "vt100"));
    until(&mut text, "login: ");
    let mut screen = served.socket(&target(&client, &vm, "rfb"));
    bytes::<12>(&mut screen);
    let (mut tunnel, _) = served.tunnel(&target(&client, &vm, "rfb"));
    bytes::<12>(&mut tunnel);
    client.ok("VM.hard_shutdown", vec![vm.as_str().into()]);
    assert_eq!(text.goodbye(), 1000);
    assert_eq!(screen.goodbye(), 1000);
    assert_eq!(tunnel.read(&mut [0]).unwrap(), 0);
    drop(tunnel);
    nobody_uses(&served, &vm);
}

#[test]
fn bad_frames_end_a_websocket() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = hvm(&client);
    let target = target(&client, &vm, "vt100");
    let ends = |code: u16, bad: &dyn Fn(&mut Socket)| {
        let mut socket = served.socket(&target);
        until(&mut socket, "login: ");
        bad(&mut socket);
        let (first, payload) = socket.frame();
        assert_eq!((first, payload), (LAST | CLOSE, code.to_be_bytes().to_vec()));
        assert_eq!(socket.connection.read(&mut [0]).unwrap(), 0);
    };
    let raw = |bytes: &'static [u8]| {
        move |socket: &mut Socket| socket.connection.write_all(bytes).unwrap()
    };
    // Not masked.
    ends(1002, &raw(&[LAST | BINARY, 1, b'x']));
    // Of no known kind; with a bit of an extension; a question in parts; the end of nothing; two beginnings.
    ends(1002, &|socket| socket.send(LAST | 3, b"x"));
    ends(1002, &|socket| socket.send(LAST | 0x40 | BINARY, b"x"));
    ends(1002, &|socket| socket.send(PING, b"x"));
    ends(1002, &|socket| socket.send(LAST | CONTINUES, b"x"));
    ends(1002, &|socket| {
        socket.send(BINARY, b"x");
        socket.send(BINARY, b"x");
    });
    // A question that is too long, a goodbye without a whole code.
    ends(1002, &|socket| socket.send(LAST | PING, &[0; 126]));
    ends(1002, &|socket| socket.send(LAST | CLOSE, &[3]));
    ends(1007, &|socket| socket.send(LAST | TEXT, &[0xff]));
    // Too large, in one frame or in parts.
    let huge = [&[LAST | BINARY, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    ends(1009, &|socket| socket.connection.write_all(&huge).unwrap());
    ends(1009, &|socket| {
        for first in [BINARY, CONTINUES, CONTINUES] {
            socket.send(first, &vec![0; 1 << 20]);
        }
    });
    nobody_uses(&served, &vm);
    // One that breaks off takes nothing with it.
    drop(served.socket(&target));
    nobody_uses(&served, &vm);
}
