// SPDX-License-Identifier: MIT OR Apache-2.0
//! `init/netboot` under the very busybox that the initramfs has, against servers that fail in every
//! way that matters. (The package is fetched first if the store does not have it.)

mod busybox;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use isobuild::digest;
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/init/netboot");
/// Large enough that a break in the middle is one.
const IMAGE: usize = 3_000_000;

/// What the server does to a request, beside giving out the file.
#[derive(Clone, Copy)]
enum Fault {
    /// Hangs up after this many bytes of the body, the first two times.
    Break(usize),
    /// The same, and it does not know ranges either.
    BreakWithoutRanges(usize),
    /// One bit of the body is another, the first so many times.
    Flip(usize),
    /// This status line, the first so many times.
    Status(&'static str, usize),
    /// Sends half and then nothing, the first time.
    Stall,
}

#[derive(Default)]
struct Served {
    files: BTreeMap<String, Vec<u8>>,
    faults: BTreeMap<String, Fault>,
    /// Path and first byte asked for.
    requests: Mutex<Vec<(String, usize)>>,
}

/// A server with a root image, a small file and their manifest.
struct Server {
    served: Arc<Served>,
    url: String,
    manifest: String,
    dir: TempDir,
}

impl Server {
    fn start(faults: &[(&str, Fault)]) -> Self {
        let image: Vec<u8> = (0..IMAGE).map(|at| ((at * at) >> 7) as u8).collect();
        let mut files = BTreeMap::from([
            ("boot/xen.gz".to_owned(), b"the hypervisor".to_vec()),
            ("xenith/root.img".to_owned(), image),
        ]);
        let lines = files.iter().map(|(path, bytes)| {
            format!("# size {}\n{}  {path}\n", bytes.len(), digest::of_bytes(bytes))
        });
        let manifest = lines.collect::<String>().into_bytes();
        let digest = digest::of_bytes(&manifest).to_string();
        files.insert("xenith/manifest".to_owned(), manifest);
        let faults = faults.iter().map(|(path, fault)| ((*path).to_owned(), *fault)).collect();
        let served = Arc::new(Served { files, faults, requests: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/net", listener.local_addr().unwrap());
        let shared = Arc::clone(&served);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(&shared, stream));
            }
        });
        Self { served, url, manifest: digest, dir: TempDir::new().unwrap() }
    }

    /// Fetches everything; what the console shows, and whether it went well.
    fn fetch(&self) -> (bool, String) {
        self.fetch_from(&self.url, &self.manifest)
    }

    fn fetch_from(&self, url: &str, manifest: &str) -> (bool, String) {
        let script = format!(
            "say() {{ echo \"xenith: $*\"; }}\n\
             . {SCRIPT}\n\
             net_target={target} net_tries=4 net_patience=1\n\
             net_url='{url}' net_manifest='{manifest}' net_mac= net_vlan=\n\
             net_words && net_fetch_all && exit\n\
             say \"cannot start: $net_why\"\n\
             exit 1\n",
            target = self.dir.path().display(),
        );
        let output = run(&["sh", "-c", &script]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{text}");
        (output.status.success(), text)
    }

    fn is_whole(&self) -> bool {
        let same = |(path, bytes): (&String, &Vec<u8>)| {
            fs::read(self.dir.path().join(path)).is_ok_and(|found| found == *bytes)
        };
        self.served.files.iter().all(same)
    }

    /// First bytes asked for of a file.
    fn asked(&self, path: &str) -> Vec<usize> {
        let requests = self.served.requests.lock().unwrap();
        requests.iter().filter(|request| request.0 == path).map(|request| request.1).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn run(args: &[&str]) -> Output {
    Command::new(busybox::path()).args(args).env_clear().output().unwrap()
}

fn answer(served: &Served, mut stream: TcpStream) {
    let (mut path, mut from) = (String::new(), 0);
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(rest) = line.strip_prefix("GET /net/") {
            path = rest.split(' ').next().unwrap().to_owned();
        }
        if let Some(rest) = line.strip_prefix("Range: bytes=") {
            from = rest.trim_end_matches('-').parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let time = {
        let mut requests = served.requests.lock().unwrap();
        requests.push((path.clone(), from));
        requests.iter().filter(|request| request.0 == path).count()
    };
    // The other side may have hung up.
    let _ = send(served, &path, from, time, &mut stream);
}

fn send(
    served: &Served,
    path: &str,
    mut from: usize,
    time: usize,
    stream: &mut TcpStream,
) -> std::io::Result<()> {
    let fault = served.faults.get(path).copied();
    if let Some(Fault::Status(status, times)) = fault
        && time <= times
    {
        return write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    }
    if matches!(fault, Some(Fault::BreakWithoutRanges(_))) {
        from = 0;
    }
    let Some(body) = served.files.get(path).map(|bytes| &bytes[from.min(bytes.len())..]) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    if body.is_empty() {
        return write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
    }
    let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    match fault {
        Some(Fault::Break(after) | Fault::BreakWithoutRanges(after)) if time <= 2 => {
            stream.write_all(&body[..after])
        }
        Some(Fault::Stall) if time == 1 => {
            stream.write_all(&body[..body.len() / 2])?;
            // Until the other side has enough of it.
            std::io::copy(stream, &mut std::io::sink()).map(drop)
        }
        Some(Fault::Flip(times)) if time <= times => {
            let mut body = body.to_vec();
            let middle = body.len() / 2;
            body[middle] ^= 1;
            stream.write_all(&body)
        }
        _ => stream.write_all(body),
    }
}

#[test]
fn the_shell_understands_every_script() {
    for script in ["init", "netboot", "netboot-dhcp"] {
        let path = format!("{}/init/{script}", env!("CARGO_MANIFEST_DIR"));
        let output = run(&["sh", "-n", &path]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && error.is_empty(), "{error}");
    }
}

#[test]
fn everything_is_fetched_once() {
    let server = Server::start(&[]);
    let (well, text) = server.fetch();
    assert!(well && server.is_whole(), "{text}");
    assert!(text.contains(&format!("fetching {}/xenith/root.img (2929 KiB)\n", server.url)));
    // "exit" in the rescue shell begins anew, and nothing is fetched again.
    let (well, text) = server.fetch();
    assert!(well && text.is_empty(), "{text}");
    assert_eq!(server.asked("xenith/root.img"), [0]);
}

#[test]
fn the_address_may_be_that_of_the_ipxe_script_or_have_a_slash() {
    for end in ["/xenith.ipxe", "/"] {
        let server = Server::start(&[]);
        let (well, text) = server.fetch_from(&format!("{}{end}", server.url), &server.manifest);
        assert!(well && server.is_whole(), "{text}");
    }
}

#[test]
fn a_broken_connection_goes_on_where_it_broke() {
    let server = Server::start(&[("xenith/root.img", Fault::Break(1_000_000))]);
    let (well, text) = server.fetch();
    assert!(well && server.is_whole(), "{text}");
    assert_eq!(server.asked("xenith/root.img"), [0, 1_000_000, 2_000_000]);
    let told = format!("{}/xenith/root.img: connection closed prematurely; trying", server.url);
    assert!(text.contains(&told), "{text}");
}

#[test]
fn a_server_without_ranges_begins_again() {
    let server = Server::start(&[("xenith/root.img", Fault::BreakWithoutRanges(2_000_000))]);
    let (well, text) = server.fetch();
    assert!(well && server.is_whole(), "{text}");
}

#[test]
fn a_server_that_says_nothing_more_is_asked_again() {
    let server = Server::start(&[("xenith/root.img", Fault::Stall)]);
    let (well, text) = server.fetch();
    assert!(well && server.is_whole(), "{text}");
    assert!(text.contains("root.img: download timed out; trying again"), "{text}");
    assert_eq!(server.asked("xenith/root.img"), [0, IMAGE / 2]);
}

#[test]
fn a_wrong_byte_is_noticed_and_a_second_time_final() {
    let server = Server::start(&[("xenith/root.img", Fault::Flip(1))]);
    let (well, text) = server.fetch();
    assert!(well && server.is_whole(), "{text}");

    let server = Server::start(&[("xenith/root.img", Fault::Flip(9))]);
    let (well, text) = server.fetch();
    let last = text.lines().last().unwrap();
    let begin = format!(
        "xenith: cannot start: {}/xenith/root.img is not the file that belongs to this menu: its \
         SHA-256 is ",
        server.url
    );
    let right = digest::of_bytes(&server.served.files["xenith/root.img"]).to_string();
    assert!(!well && last.starts_with(&begin) && last.ends_with(&right), "{text}");
    assert_eq!(server.asked("xenith/root.img"), [0, 0]);
    assert!(!server.dir.path().join("xenith/root.img").exists());
}

#[test]
fn a_manifest_of_another_build_is_refused_before_anything_is_fetched() {
    let server = Server::start(&[]);
    let (well, text) = server.fetch_from(&server.url, &"0".repeat(64));
    assert!(!well && text.contains("/xenith/manifest is not the file that belongs to this menu"));
    assert!(server.asked("xenith/root.img").is_empty());
}

#[test]
fn what_is_not_there_is_asked_for_once_and_what_passes_again() {
    let server = Server::start(&[("xenith/root.img", Fault::Status("404 Not Found", 9))]);
    let (well, text) = server.fetch();
    let end = "/xenith/root.img: server returned error: HTTP/1.1 404 Not Found\n";
    assert!(!well && text.ends_with(&format!("cannot start: {}{end}", server.url)), "{text}");
    assert_eq!(server.asked("xenith/root.img"), [0]);

    let server = Server::start(&[("boot/xen.gz", Fault::Status("503 Service Unavailable", 1))]);
    let (well, text) = server.fetch();
    assert!(well && server.is_whole(), "{text}");
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let server = Server::start(&[("boot/xen.gz", Fault::Status("500 Internal Server Error", 9))]);
    let (well, text) = server.fetch();
    let end = "server returned error: HTTP/1.1 500 Internal Server Error (tried 4 times)\n";
    assert!(!well && text.ends_with(end), "{text}");
    assert_eq!(server.asked("boot/xen.gz").len(), 4);
    // Nobody listens there any more.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (well, text) = server.fetch_from(&format!("http://{free}"), &server.manifest);
    assert!(!well && text.contains("Connection refused (tried 4 times)"), "{text}");
}

/// What `net_up` and `net_disconnect` do with these words, on a machine with the cards eth0 (no link)
/// and eth1, where nothing is real.
fn connect(words: &str) -> (bool, String) {
    let dir = TempDir::new().unwrap();
    let sys = dir.path().join("sys");
    for (name, last, carrier) in [("eth0", 0, 0), ("eth1", 1, 1)] {
        fs::create_dir_all(sys.join(name).join("device")).unwrap();
        fs::write(sys.join(name).join("address"), format!("52:54:00:00:00:0{last}\n")).unwrap();
        fs::write(sys.join(name).join("carrier"), format!("{carrier}\n")).unwrap();
    }
    let script = format!(
        "say() {{ echo \"say $*\"; }}\n\
         modprobe() {{ echo \"modprobe $*\"; }}\n\
         udhcpc() {{ echo \"udhcpc $*\"; }}\n\
         ip() {{ echo \"ip $*\"; case \"$*\" in \
         'link add xn-bond'*) mkdir -p {sys}/xn-bond/bonding; echo 1 >{sys}/xn-bond/carrier;; \
         esac; }}\n\
         net_url=http://192.0.2.1/x net_mac= net_ip= net_vlan= net_bond= mode=live\n\
         . {SCRIPT}\n\
         net_sys={sys} net_resolv={sys}/resolv\n\
         {words}\n\
         net_up; status=$?\n\
         [ -z \"$net_state\" ] || echo \"state $net_state\"\n\
         [ -e {sys}/xn-bond ] && grep . {sys}/xn-bond/bonding/*\n\
         [ -e {sys}/resolv ] && cat {sys}/resolv\n\
         [ $status != 0 ] || {{ echo ==; net_disconnect; }}\n\
         exit $status\n",
        sys = sys.display(),
    );
    let output = run(&["sh", "-c", &script]);
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), text.replace(&format!("{}/", sys.display()), ""))
}

#[test]
fn the_first_card_with_a_link_is_asked_and_its_vlan() {
    let asked = "ip link set eth0 up\nip link set eth1 up\n\
                 udhcpc -f -q -n -t 5 -T 2 -i eth1 -s /netboot-dhcp\n\
                 say network by eth1 (52:54:00:00:00:01)\n\
                 state eth0 (52:54:00:00:00:00) has no link\n\
                 ==\nip addr flush dev eth1\nip link set eth1 down\n";
    assert_eq!(connect(""), (true, asked.to_owned()));
    let tagged = "ip link set eth1 up\nmodprobe -q 8021q\n\
                  ip link add link eth1 name xn-vlan type vlan id 42\nip link set xn-vlan up\n\
                  udhcpc -f -q -n -t 5 -T 2 -i xn-vlan -s /netboot-dhcp\n\
                  say network by eth1 (52:54:00:00:00:01), VLAN 42\n\
                  ==\nip addr flush dev xn-vlan\nip link delete xn-vlan\nip link set eth1 down\n";
    let words = "net_vlan=42 net_mac=52:54:00:00:00:01";
    assert_eq!(connect(words), (true, tagged.to_owned()));
    let none = "ip link set eth0 up\nstate eth0 (52:54:00:00:00:00) has no link\n";
    assert_eq!(connect("net_vlan=42 net_mac=52:54:00:00:00:00"), (false, none.to_owned()));
}

#[test]
fn a_bond_is_made_of_its_cards_and_taken_down_again() {
    let words = "net_bond=lacp,52-54-00-00-00-01,52:54:00:00:00:00 net_vlan=42";
    let expected = "modprobe -q bonding max_bonds=0\nip link add xn-bond type bond\n\
                    ip link set xn-bond address 52:54:00:00:00:01\n\
                    ip link set eth0 down\nip link set eth1 down\nip link set xn-bond up\n\
                    modprobe -q 8021q\n\
                    ip link add link xn-bond name xn-vlan type vlan id 42\nip link set xn-vlan up\n\
                    udhcpc -f -q -n -t 5 -T 2 -i xn-vlan -s /netboot-dhcp\n\
                    say network by xn-bond (52:54:00:00:00:01), VLAN 42\n\
                    xn-bond/bonding/miimon:100\nxn-bond/bonding/mode:802.3ad\n\
                    xn-bond/bonding/slaves:+eth1\n\
                    ==\nip addr flush dev xn-vlan\nip link delete xn-vlan\n\
                    ip link set xn-bond down\nip link delete xn-bond\n";
    assert_eq!(connect(words), (true, expected.to_owned()));
    let (well, text) = connect("net_bond=balance-slb,52:54:00:00:00:01,52:54:00:00:00:00");
    assert!(well && text.contains("bonding/mode:active-backup"), "{text}");
    let (well, text) = connect("net_bond=802.3ad,52:54:00:00:00:01,52:54:00:00:00:00");
    let expected = "it must begin with active-backup, balance-slb or lacp";
    assert!(!well && text.contains(expected), "{text}");
}

#[test]
fn addresses_of_both_families_are_fixed_and_ipv6_may_be_announced() {
    let words = "net_mac=52:54:00:00:00:01 \
                 net_ip=' 192.0.2.10/24,192.0.2.1,192.0.2.53 2001:db8::10/64,fe80::1,2001:db8::53'";
    let expected = "ip link set eth1 up\nip addr flush dev eth1\n\
                    ip addr add 192.0.2.10/24 dev eth1\n\
                    ip -4 route add default via 192.0.2.1 dev eth1\n\
                    ip addr add 2001:db8::10/64 dev eth1\n\
                    ip -6 route add default via fe80::1 dev eth1\n\
                    say network by eth1 (52:54:00:00:00:01)\n\
                    nameserver 192.0.2.53\nnameserver 2001:db8::53\n\
                    ==\nip addr flush dev eth1\nip link set eth1 down\n";
    assert_eq!(connect(words), (true, expected.to_owned()));
    let (well, text) = connect(
        "ip() { echo \"ip $*\"; [ \"$*\" != '-6 addr show dev eth1 scope global' ] || echo inet6; }\n\
         net_url=http://[2001:db8::1]/x",
    );
    assert!(well && !text.contains("udhcpc"), "{text}");
}

#[test]
fn words_that_cannot_be_meant_are_named() {
    let server = Server::start(&[]);
    for url in ["", "http://", "https://192.0.2.1/x", "tftp://192.0.2.1/x", "/xenith"] {
        let (well, text) = server.fetch_from(url, &server.manifest);
        assert!(!well && text.contains(&format!("xenith.net is '{url}'; it must be")), "{text}");
    }
    for vlan in ["0", "4095", "x", "01", "42 "] {
        let words = format!("net_url={} net_manifest= net_vlan='{vlan}'", server.url);
        let script = format!(". {SCRIPT}\n{words}\nnet_words || echo \"$net_why\"");
        let output = run(&["sh", "-c", &script]);
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = format!("xenith.vlan is '{vlan}'; it must be a number from 1 to 4094\n");
        assert_eq!(text, expected);
    }
    let (well, text) = server.fetch_from(&server.url, "abc");
    assert!(!well && text.contains("xenith.manifest is 'abc'; it must be the SHA-256 of "));
}
