// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file on an NFS server, by NFS 4 or 3, whichever the server has.

use std::fmt;
use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;
use std::str::FromStr;

use super::place::{self, PlaceError};
use crate::answers::Hostname;
use crate::program::Program;

/// Where exports are mounted while a file is read.
const MOUNT_POINT: &str = "/run/xenith/nfs";
/// How many seconds mounting may take.
const PATIENCE: &str = "60";
/// Nothing is written or executed there, and a server that goes away is an error after 30 seconds and
/// not a wait without end (nfs(5): `timeo` in tenths of a second, doubled by the second try).
const OPTIONS: &str = "ro,soft,nolock,nosuid,nodev,noexec,timeo=100,retrans=1,retry=0";

/// `nfs://SERVER[:PORT]/FOLDER/FILE` (RFC 2224, with the folder mounted as it is written).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsFile {
    /// Name or address; IPv6 in brackets.
    server: String,
    port: Option<u16>,
    folder: String,
    file: String,
}

impl NfsFile {
    /// Reads the file.
    pub(super) fn read(&self) -> Result<Vec<u8>, PlaceError> {
        let failed = |source| PlaceError::Nfs { file: self.to_string(), source };
        let folder = Path::new(MOUNT_POINT);
        let io = |source| PlaceError::Read { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io)?;
        tracing::info!("waiting for the NFS server {}, at most {PATIENCE} s", self.server);
        let mut mounted = Ok(String::new());
        for mount in self.mounts() {
            mounted = mount.run();
            if mounted.is_ok() {
                break;
            }
        }
        mounted.map_err(failed)?;
        let read = place::read(&folder.join(&self.file));
        Program::new("umount").arg(MOUNT_POINT).run().map_err(failed)?;
        read
    }

    /// The commands that mount the folder, to be tried in their order.
    fn mounts(&self) -> Vec<Program> {
        let Some(port) = self.port else { return vec![self.mount("")] };
        // NFS 4 needs nothing but its port. For NFS 3 a portmapper would be asked, which a single port
        // does not have: mountd is behind it too.
        let old = format!(",vers=3,proto=tcp,port={port},mountproto=tcp,mountport={port}");
        vec![self.mount(&format!(",vers=4,port={port}")), self.mount(&old)]
    }

    fn mount(&self, more: &str) -> Program {
        Program::new("timeout")
            .args(["--kill-after=5", PATIENCE, "mount", "-t", "nfs", "-o"])
            .arg(format!("{OPTIONS}{more}"))
            .arg(format!("{}:{}", self.server, self.folder))
            .arg(MOUNT_POINT)
    }
}

impl FromStr for NfsFile {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("nfs://").ok_or(())?;
        let (authority, path) = rest.split_at(rest.find('/').ok_or(())?);
        let bracket = authority.find(']').map_or(0, |at| at + 1);
        let (server, port) = match authority[bracket..].split_once(':') {
            Some((end, port)) => {
                let port = port.parse().ok().filter(|port: &u16| *port != 0).ok_or(())?;
                (&authority[..bracket + end.len()], Some(port))
            }
            None => (authority, None),
        };
        let inside = server.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let right = match inside {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                server.parse::<std::net::Ipv4Addr>().is_ok() || server.parse::<Hostname>().is_ok()
            }
        };
        let strange = |c: char| c.is_whitespace() || c.is_control() || "?#%\\".contains(c);
        let (folder, file) = path.rsplit_once('/').ok_or(())?;
        if !right
            || path.contains(strange)
            || file.is_empty()
            || path.split('/').any(|part| part == "..")
        {
            return Err(());
        }
        let folder = if folder.is_empty() { "/" } else { folder };
        Ok(Self {
            server: server.to_owned(),
            port,
            folder: folder.to_owned(),
            file: file.to_owned(),
        })
    }
}

impl fmt::Display for NfsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nfs://{}", self.server)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}/{}", self.folder.trim_end_matches('/'), self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_mounted_and_the_file_read() {
        for (text, mounted) in [
            ("nfs://192.0.2.1/srv/answers/node1.toml", "192.0.2.1:/srv/answers"),
            ("nfs://nas.example.org/node1.toml", "nas.example.org:/"),
            ("nfs://[2001:db8::1]/a/b", "[2001:db8::1]:/a"),
        ] {
            let file: NfsFile = text.parse().unwrap();
            assert_eq!(file.to_string(), text);
            let commands: Vec<String> = file.mounts().iter().map(Program::to_string).collect();
            let expected = format!(
                "timeout --kill-after=5 60 mount -t nfs -o {OPTIONS} {mounted} /run/xenith/nfs"
            );
            assert_eq!(commands, [expected]);
        }
        let file: NfsFile = "nfs://[2001:db8::1]:20490/a/b".parse().unwrap();
        assert_eq!(file.to_string(), "nfs://[2001:db8::1]:20490/a/b");
        let [new, old] = file.mounts().try_into().unwrap();
        assert!(new.to_string().contains(",vers=4,port=20490 "));
        assert!(old.to_string().contains(",port=20490,mountproto=tcp,mountport=20490 "));
    }

    #[test]
    fn other_texts_are_none() {
        for bad in [
            "nfs://",
            "nfs://a",
            "nfs://a/",
            "nfs:///a/b",
            "nfs://a/b/../c",
            "nfs://a:0/b",
            "nfs://a:x/b",
            "nfs://[a]/b",
            "nfs://[::1/b",
            "nfs://a,b/c",
            "nfs://a b/c",
            "nfs://a/b c",
            "nfs://a/b?c",
            "http://a/b",
            "nfs://::1/b",
            "nfs://-a/b",
        ] {
            assert_eq!(bad.parse::<NfsFile>(), Err(()), "{bad}");
        }
    }
}
