// SPDX-License-Identifier: MIT OR Apache-2.0

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};

use appliance_model::lock::{Archive, LockedFile};

use super::super::{Downloader, Mirror};
use super::*;
use crate::digest;
use crate::progress::Silent;

/// What the server does with a request.
enum Reply {
    /// The file, resumed where asked, but cut off at this byte.
    File { body: Vec<u8>, cut: usize, resumes: bool },
    /// Only a status.
    Status(u16),
    /// The file up to this byte, then nothing more until the client hangs up.
    Silence { body: Vec<u8>, cut: usize },
}

fn whole(body: &[u8]) -> Reply {
    Reply::File { body: body.to_vec(), cut: usize::MAX, resumes: true }
}

/// Of the request's number, where it asked to begin, and its path.
type Handler = dyn Fn(usize, Option<usize>, &str) -> Reply + Send + Sync;

/// A server on the loopback interface. Its thread ends with the process.
struct Server {
    mirror: Mirror,
    /// Where each request asked to begin.
    requests: Arc<Mutex<Vec<Option<usize>>>>,
}

fn serve(handler: impl Fn(usize, Option<usize>) -> Reply + Send + Sync + 'static) -> Server {
    serve_by_path(move |number, range, _| handler(number, range))
}

fn serve_by_path(
    handler: impl Fn(usize, Option<usize>, &str) -> Reply + Send + Sync + 'static,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/debian", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (handler, log): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&requests));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
            std::thread::spawn(move || answer(stream.unwrap(), &*handler, &log));
        }
    });
    Server { mirror: Mirror::at(&address, "the test").unwrap(), requests }
}

fn answer(mut stream: TcpStream, handler: &Handler, log: &Mutex<Vec<Option<usize>>>) {
    let (mut range, mut path) = (None, String::new());
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap_or_default().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("get ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = value.trim_end_matches('-').parse().ok();
        }
    }
    let number = {
        let mut log = log.lock().unwrap();
        log.push(range);
        log.len() - 1
    };
    // A client that hung up is one of the tests.
    let _ = match handler(number, range, &path) {
        Reply::Status(status) => {
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Reply::Silence { body, cut } => {
            let length = body.len();
            let head = format!("HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\n");
            stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&body[..cut]))
                .and_then(|()| stream.read_to_end(&mut Vec::new()).map(drop))
        }
        Reply::File { body, cut, resumes } => {
            let start = range.filter(|_| resumes).unwrap_or(0);
            if start > body.len() {
                let _ = write!(stream, "HTTP/1.1 416 X\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            let range = format!("Content-Range: bytes {start}-{0}/{0}\r\n", body.len());
            let status = if start > 0 { "206 X" } else { "200 X" };
            let header = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
                body.len() - start,
                if start > 0 { &range } else { "" }
            );
            let end = cut.clamp(start, body.len().max(start));
            stream
                .write_all(header.as_bytes())
                .and_then(|()| stream.write_all(&body[start..end.min(body.len())]))
        }
    };
}

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    interrupt: Interrupt,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path()).unwrap();
        Self { _dir: dir, store, interrupt: Interrupt::new() }
    }

    fn fetch(&self, servers: &[&Server], files: &[LockedFile]) -> Result<u64, FetchError> {
        let mirrors = Mirrors(servers.iter().map(|s| s.mirror.clone()).collect());
        Downloader::new(&self.store, mirrors, false, &Silent, self.interrupt.clone())
            .fetch_all(files)
    }

    fn part(&self, file: &LockedFile) -> std::path::PathBuf {
        self.store.object(&file.sha256).with_extension("part")
    }

    fn got(&self, file: &LockedFile) -> Option<Vec<u8>> {
        fs::read(self.store.object(&file.sha256)).ok()
    }
}

fn body() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n % 251) as u8).collect()
}

fn locked(body: &[u8]) -> LockedFile {
    LockedFile {
        archive: Archive::Debian,
        path: "pool/main/a/app_1_all.deb".into(),
        size: body.len() as u64,
        sha256: digest::of_bytes(body),
    }
}

/// As many files of different contents as bodies, and the server's answer to a path.
fn many(count: u8) -> (Vec<LockedFile>, impl Fn(&str) -> Reply + Send + Sync) {
    let bodies: Vec<Vec<u8>> = (0..count).map(|n| vec![n; 1000 + usize::from(n)]).collect();
    let named =
        |(n, body): (usize, &Vec<u8>)| LockedFile { path: format!("pool/{n}"), ..locked(body) };
    let files = bodies.iter().enumerate().map(named).collect();
    let reply = move |path: &str| match path.rsplit('/').next().map(str::parse::<usize>) {
        Some(Ok(n)) => whole(&bodies[n]),
        _ => Reply::Status(404),
    };
    (files, reply)
}

#[test]
fn many_files_come_whole_and_only_once() {
    let (files, reply) = many(20);
    let total = files.iter().map(|file| file.size).sum::<u64>();
    let (bench, server) = (Bench::new(), serve_by_path(move |_, _, path| reply(path)));
    assert_eq!(bench.fetch(&[&server], &files).unwrap(), total);
    assert!(files.iter().all(|file| bench.got(file).unwrap().len() as u64 == file.size));
    assert_eq!(bench.fetch(&[&server], &files).unwrap(), 0);
    assert_eq!(server.requests.lock().unwrap().len(), 20);
}

#[test]
fn files_are_fetched_at_once() {
    let (files, reply) = many(4);
    // Nobody gets an answer before all have asked.
    let all = std::sync::Barrier::new(files.len());
    let server = serve_by_path(move |_, _, path| {
        all.wait();
        reply(path)
    });
    Bench::new().fetch(&[&server], &files).unwrap();
}

#[test]
fn a_short_download_is_resumed_where_it_stopped() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let server = serve(|number, _| Reply::File {
        body: body(),
        cut: if number == 0 { 100_000 } else { usize::MAX },
        resumes: true,
    });
    assert_eq!(bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap(), 300_000);
    assert_eq!(bench.got(&file).unwrap(), body());
    assert_eq!(*server.requests.lock().unwrap(), [None, Some(100_000)]);
    assert!(!bench.part(&file).exists());
}

#[test]
fn a_server_that_does_not_resume_is_read_from_the_start() {
    let (bench, file) = (Bench::new(), locked(&body()));
    fs::create_dir_all(bench.part(&file).parent().unwrap()).unwrap();
    fs::write(bench.part(&file), &body()[..1000]).unwrap();
    let server = serve(|_, _| Reply::File { body: body(), cut: usize::MAX, resumes: false });
    bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap();
    assert_eq!(bench.got(&file).unwrap(), body());
    assert_eq!(*server.requests.lock().unwrap(), [Some(1000)]);
}

#[test]
fn a_download_that_stays_short_keeps_its_part_and_says_how_to_go_on() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let server = serve(|_, _| Reply::File { body: body(), cut: 5000, resumes: true });
    let error = bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap_err().to_string();
    assert!(error.contains("pool/main/a/app_1_all.deb (300000 bytes) cannot be had"), "{error}");
    assert!(error.contains("ended after 5000 bytes: Peer disconnected"), "{error}");
    assert!(error.contains("run the same command again"), "{error}");
    assert_eq!(bench.got(&file), None);
    assert_eq!(fs::metadata(bench.part(&file)).unwrap().len(), 5000);
}

#[test]
fn a_server_that_falls_silent_is_said_to_be() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let server = serve(|_, _| Reply::Silence { body: body(), cut: 5000 });
    let mirrors = Mirrors(vec![server.mirror]);
    let mut downloader =
        Downloader::new(&bench.store, mirrors, false, &Silent, bench.interrupt.clone());
    downloader.http = Http::patient_for(std::time::Duration::from_millis(200));
    let error = downloader.fetch_all(&[file]).unwrap_err().to_string();
    assert!(error.contains("ended after 5000 bytes: timeout"), "{error}");
    assert!(error.contains("run the same command again"), "{error}");
}

#[test]
fn a_changed_byte_is_never_kept_and_another_mirror_is_asked() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let changed = || {
        let mut body = body();
        body[77] ^= 1;
        whole(&body)
    };
    let evil = serve(move |_, _| changed());
    let error = bench.fetch(&[&evil], std::slice::from_ref(&file)).unwrap_err().to_string();
    assert!(error.contains("other contents than the lock says"), "{error}");
    assert!(error.contains("use another one with --mirror"), "{error}");
    assert!(bench.got(&file).is_none() && !bench.part(&file).exists());
    let good = serve(|_, _| whole(&body()));
    bench.fetch(&[&evil, &good], std::slice::from_ref(&file)).unwrap();
    assert_eq!(bench.got(&file).unwrap(), body());
}

#[test]
fn a_longer_file_is_refused() {
    let (bench, file) = (Bench::new(), locked(&body()[..1000]));
    let server = serve(|_, _| whole(&body()));
    let error = bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap_err().to_string();
    assert!(error.contains("more bytes than the lock says"), "{error}");
    assert!(bench.got(&file).is_none() && !bench.part(&file).exists());
}

#[test]
fn a_part_of_something_else_does_not_stay_in_the_way() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let server = serve(|_, _| whole(&body()));
    fs::create_dir_all(bench.part(&file).parent().unwrap()).unwrap();
    // Wrong bytes of the right length so far: found out at the end, then read anew.
    fs::write(bench.part(&file), [9; 1000]).unwrap();
    assert!(bench.fetch(&[&server], std::slice::from_ref(&file)).is_err());
    bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap();
    assert_eq!(bench.got(&file).unwrap(), body());
}

#[test]
fn a_missing_package_says_to_refresh_the_lock() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let (gone, other) = (serve(|_, _| Reply::Status(404)), serve(|_, _| Reply::Status(410)));
    let error = bench.fetch(&[&gone, &other], std::slice::from_ref(&file)).unwrap_err().to_string();
    assert_eq!(error.matches("is not there").count(), 2, "{error}");
    assert!(error.contains("cargo xtask lock"), "{error}");
}

#[test]
fn a_server_in_trouble_is_asked_again_then_named() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let server = serve(|_, _| Reply::Status(503));
    let error = bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap_err().to_string();
    assert!(error.contains("the server answers 503"), "{error}");
    assert_eq!(server.requests.lock().unwrap().len(), TRIES);
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mirrors = Mirrors(vec![Mirror::at(&format!("http://{port}"), "x").unwrap()]);
    let downloader =
        Downloader::new(&bench.store, mirrors, false, &Silent, bench.interrupt.clone());
    let error = downloader.fetch_all(&[file]).unwrap_err().to_string();
    assert!(error.contains("asking http://127.0.0.1"), "{error}");
}

#[test]
fn a_full_disk_names_the_file_and_what_to_do() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let server = serve(|_, _| whole(&body()));
    fs::create_dir_all(bench.part(&file).parent().unwrap()).unwrap();
    symlink("/dev/full", bench.part(&file)).unwrap();
    let error = bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap_err();
    let text = chain(&error);
    assert!(text.contains("storing pool/main/a/app_1_all.deb"), "{text}");
    assert!(text.contains("the disk is full") && text.contains("XENITH_CACHE"), "{text}");
    assert_eq!(bench.got(&file), None);
}

#[test]
fn ctrl_c_in_the_middle_keeps_the_part_and_the_next_run_goes_on() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let interrupt = bench.interrupt.clone();
    // The first answer stops in the middle for good: the client notices the interrupt only.
    let server = serve(move |number, _| {
        let cut = if number == 0 {
            interrupt.trip();
            200_000
        } else {
            usize::MAX
        };
        Reply::File { body: body(), cut, resumes: true }
    });
    let error = bench.fetch(&[&server], std::slice::from_ref(&file)).unwrap_err();
    assert!(
        matches!(&error, FetchError::Interrupted { path } if path.ends_with(".deb")),
        "{error}"
    );
    assert!(error.to_string().contains("goes on where it stopped"));
    assert_eq!(bench.got(&file), None);
    let again = Bench { interrupt: Interrupt::new(), ..bench };
    again.fetch(&[&server], std::slice::from_ref(&file)).unwrap();
    assert_eq!(again.got(&file).unwrap(), body());
}

#[test]
fn offline_asks_nobody() {
    let (bench, file) = (Bench::new(), locked(&body()));
    let downloader =
        Downloader::new(&bench.store, Mirrors::default(), true, &Silent, Interrupt::new());
    let error = downloader.fetch_all(&[file.clone(), file.clone()]).unwrap_err().to_string();
    assert!(error.contains("nor are 1 other files") && error.contains("--offline"), "{error}");
    let nobody =
        Downloader::new(&bench.store, Mirrors::default(), false, &Silent, Interrupt::new());
    let error = nobody.fetch_all(&[file]).unwrap_err().to_string();
    assert!(error.contains("app_1_all.deb") && error.contains("--mirror"), "{error}");
    assert_eq!(nobody.fetch_all(&[]).unwrap(), 0);
}
