// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings a bundle to its destination.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Bundle, Destination, Method, Scp};
use crate::program::{Program, ProgramError};

/// Where a volume is mounted meanwhile.
const MOUNT: &str = "/run/xenith/log-volume";

/// Why logs did not get there.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A file or folder.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was done, `writing`.
        doing: &'static str,
        /// Of what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The folder is none.
    #[error("{} is not a folder that is there", .0.display())]
    NoFolder(PathBuf),
    /// The device is none.
    #[error("{} is not a block device that is there", .0.display())]
    NoDevice(PathBuf),
    /// No volume has the label.
    #[error("no volume with the label {0:?} was found")]
    NoVolume(String),
    /// Mounting, or another program.
    #[error("{doing}")]
    Program {
        /// What was done.
        doing: String,
        /// The cause.
        #[source]
        source: ProgramError,
    },
    /// The server, or the way to it.
    #[error("sending the logs to {url} by {method}")]
    Http {
        /// To where.
        url: String,
        /// How.
        method: Method,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
    /// Another machine did not take it.
    #[error("copying the logs to {0} by scp: see what scp said above")]
    Scp(String),
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeliverError {
    let path = path.to_owned();
    move |source| DeliverError::Io { doing, path, source }
}

fn program(doing: String) -> impl FnOnce(ProgramError) -> DeliverError {
    move |source| DeliverError::Program { doing, source }
}

/// Brings the bundle there and returns where it is now, in words. In `waiting`, which is made, a file
/// waits for scp; `terminal` runs scp on the person's terminal, where it asks for passwords and shows
/// the other machine's key, and returns whether that was a success.
///
/// # Errors
/// See [`DeliverError`]. A volume is unmounted in any case.
pub fn deliver(
    bundle: &Bundle,
    destination: &Destination,
    waiting: &Path,
    terminal: &mut dyn FnMut(&Program) -> io::Result<bool>,
) -> Result<String, DeliverError> {
    match destination {
        Destination::Folder(folder) => {
            if !folder.is_dir() {
                return Err(DeliverError::NoFolder(folder.clone()));
            }
            write(bundle, folder).map(|path| path.display().to_string())
        }
        Destination::Device(device) => to_device(bundle, device),
        Destination::Label(label) => to_device(bundle, &find(label)?),
        Destination::Scp(scp) => by_scp(bundle, scp, waiting, terminal),
        Destination::Http { url, method } => by_http(bundle, url, *method),
    }
}

/// Writes the file and waits until it is on the disk.
fn write(bundle: &Bundle, folder: &Path) -> Result<PathBuf, DeliverError> {
    let path = folder.join(&bundle.name);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let mut file = file.map_err(io("creating", &path))?;
    let written = file.write_all(&bundle.bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a file would be taken for a whole one; that it cannot be removed adds nothing.
        let _ = fs::remove_file(&path);
        return Err(io("writing", &path)(error));
    }
    let folder_file = File::open(folder).and_then(|folder| folder.sync_all());
    folder_file.map_err(io("flushing", folder))?;
    Ok(path)
}

fn find(label: &str) -> Result<PathBuf, DeliverError> {
    let (_, device, _) = Program::new("blkid")
        .args(["--label"])
        .arg(label)
        .ask()
        .map_err(program(format!("looking for the volume {label:?}")))?;
    match device.trim() {
        "" => Err(DeliverError::NoVolume(label.to_owned())),
        device => Ok(device.into()),
    }
}

fn to_device(bundle: &Bundle, device: &Path) -> Result<String, DeliverError> {
    let name = device.display().to_string();
    if !fs::metadata(device).is_ok_and(|file| file.file_type().is_block_device()) {
        return Err(DeliverError::NoDevice(device.to_owned()));
    }
    let target = Path::new(MOUNT);
    fs::create_dir_all(target).map_err(io("creating", target))?;
    Program::new("mount")
        .args(["-o", "rw,nosuid,nodev,noexec", "--", &name, MOUNT])
        .run()
        .map_err(program(format!("mounting {name}, which should hold a file system")))?;
    let written = write(bundle, target);
    // Unmounting writes what is left, so it counts as much as writing.
    let unmounted = Program::new("umount")
        .args([MOUNT])
        .run()
        .map_err(program(format!("unmounting {name}; do not pull it out")));
    written.and(unmounted)?;
    Ok(format!("{} on {name}, which can be pulled out", bundle.name))
}

fn by_scp(
    bundle: &Bundle,
    scp: &Scp,
    folder: &Path,
    terminal: &mut dyn FnMut(&Program) -> io::Result<bool>,
) -> Result<String, DeliverError> {
    fs::create_dir_all(folder).map_err(io("creating", folder))?;
    let file = write(bundle, folder)?;
    let program = Program::new("scp")
        .args(["-o", "ConnectTimeout=30", "--"])
        .arg(file.display().to_string())
        .arg(scp.target());
    let copied = terminal(&program);
    fs::remove_file(&file).map_err(io("removing", &file))?;
    match copied {
        Ok(true) => Ok(format!("{} at {}", bundle.name, scp.target())),
        Ok(false) => Err(DeliverError::Scp(scp.target().to_owned())),
        Err(error) => Err(io("starting", Path::new("scp"))(error)),
    }
}

fn by_http(bundle: &Bundle, url: &str, method: Method) -> Result<String, DeliverError> {
    let url = match url.ends_with('/') {
        true => format!("{url}{}", bundle.name),
        false => url.to_owned(),
    };
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .new_agent();
    let request = match method {
        Method::Put => agent.put(&url),
        Method::Post => agent.post(&url),
    };
    let sent = request.header("content-type", "application/gzip").send(&bundle.bytes[..]);
    match sent {
        Ok(_) => Ok(url),
        Err(source) => Err(DeliverError::Http { url, method, source: Box::new(source) }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::steps::chain;

    fn bundle() -> Bundle {
        Bundle { name: "logs.tar.gz".into(), bytes: b"packed".to_vec() }
    }

    const NOWHERE: &str = "/nonexistent";

    fn no_scp(_: &Program) -> io::Result<bool> {
        panic!("scp was run")
    }

    #[test]
    fn a_folder_gets_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let destination = Destination::Folder(folder.path().into());
        let path = deliver(&bundle(), &destination, NOWHERE.as_ref(), &mut no_scp).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"packed");
        let nowhere = Destination::Folder(folder.path().join("none"));
        let error =
            deliver(&bundle(), &nowhere, NOWHERE.as_ref(), &mut no_scp).unwrap_err().to_string();
        assert!(error.ends_with("none is not a folder that is there"), "{error}");
        let file = Destination::Device("/dev/null".into());
        let error =
            deliver(&bundle(), &file, NOWHERE.as_ref(), &mut no_scp).unwrap_err().to_string();
        assert_eq!(error, "/dev/null is not a block device that is there");
    }

    #[test]
    fn scp_gets_a_file_that_is_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = folder.path().join("logs");
        let destination: Destination = "me@192.0.2.1:in/".parse().unwrap();
        let mut copied = true;
        let run = |copied: &bool| {
            deliver(&bundle(), &destination, &waiting, &mut |program| {
                let [.., end, file, target] = program.args.as_slice() else { panic!() };
                assert_eq!((program.name.as_str(), end.as_str()), ("scp", "--"));
                assert_eq!(target, "me@192.0.2.1:in/");
                assert_eq!(fs::read(file).unwrap(), b"packed");
                Ok(*copied)
            })
        };
        assert_eq!(run(&copied).unwrap(), "logs.tar.gz at me@192.0.2.1:in/");
        copied = false;
        let error = run(&copied).unwrap_err().to_string();
        assert!(error.starts_with("copying the logs to me@192.0.2.1:in/ by scp: "), "{error}");
        assert_eq!(fs::read_dir(&waiting).unwrap().count(), 0);
    }

    /// Takes one request and answers with `status`; returns its first line, and its body.
    fn serve(listener: &TcpListener, status: &str) -> (String, Vec<u8>) {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        answer(stream, status);
        (first.trim().to_owned(), body)
    }

    fn answer(mut stream: TcpStream, status: &str) {
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
    }

    #[test]
    fn a_server_gets_it_by_put_or_post_and_its_refusal_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            ["201 Created", "200 OK", "403 Forbidden"].map(|status| serve(&listener, status))
        });
        let send = |path: &str, method| {
            let destination: Destination = format!("{base}{path}").parse().unwrap();
            let destination = destination.with_method(method);
            deliver(&bundle(), &destination, NOWHERE.as_ref(), &mut no_scp)
        };
        assert_eq!(send("/in/", Method::Put).unwrap(), format!("{base}/in/logs.tar.gz"));
        assert_eq!(send("/cgi?x=1", Method::Post).unwrap(), format!("{base}/cgi?x=1"));
        let error = chain(&send("/no", Method::Put).unwrap_err());
        let expected = format!("sending the logs to {base}/no by PUT: http status: 403");
        assert_eq!(error, expected);
        let got = server.join().unwrap();
        assert_eq!(got[0], ("PUT /in/logs.tar.gz HTTP/1.1".to_owned(), b"packed".to_vec()));
        assert_eq!(got[1], ("POST /cgi?x=1 HTTP/1.1".to_owned(), b"packed".to_vec()));
        // The server is gone now.
        let error = chain(&send("/x", Method::Put).unwrap_err());
        assert!(error.contains("Connection refused"), "{error}");
    }
}
