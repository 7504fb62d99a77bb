// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder that an NFS server exports, and how it is mounted (nfs(5)).

use std::net::Ipv6Addr;

use crate::driver::SrSpec;
use crate::error::StorageError;

/// Versions of NFS that `nfsversion` may ask for.
const VERSIONS: &[&str] = &["3", "4", "4.0", "4.1", "4.2"];

/// A server that does not answer is waited for as long as it takes: an error would reach guests as a
/// broken disk. `soft` lets whoever waits be killed meanwhile. Mounting is tried once (`retry=0`):
/// whoever asked decides. Attributes of folders are not kept, as other hosts write there too. Locks of
/// NFS 3 would need further services; its hosts keep their own.
const OPTIONS: &str =
    ",soft,timeo=133,retrans=2147483647,retry=0,proto=tcp,acdirmin=0,acdirmax=0,nolock";

/// A folder on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    server: String,
    path: String,
    options: String,
}

impl Export {
    /// That of `device_config:server` and `device_config:serverpath`.
    pub(crate) fn of(sr: &SrSpec) -> Result<Self, StorageError> {
        let get = |key: &str, example: &str| {
            sr.device_config
                .get(key)
                .map(String::as_str)
                .ok_or_else(|| wrong(key, format!("is missing: {example}")))
        };
        let server = get("server", "the name or address of an NFS server")?;
        let path = get("serverpath", "a folder that the server exports")?;
        Self::new(sr, ("server", server), ("serverpath", path))
    }

    /// That of `device_config:location` written as `server:/folder`; none if it is written otherwise.
    pub(crate) fn of_location(sr: &SrSpec, location: &str) -> Result<Option<Self>, StorageError> {
        match location.split_once(":/") {
            Some((server, path)) => {
                let path = format!("/{path}");
                Self::new(sr, ("location", server), ("location", &path)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn new(
        sr: &SrSpec,
        (server_key, server): (&str, &str),
        (path_key, path): (&str, &str),
    ) -> Result<Self, StorageError> {
        // Brackets are what mount.nfs(8) needs around an IPv6 address.
        let bare = server.trim_start_matches('[').trim_end_matches(']');
        let server = match bare.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => {
                let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
                if server.is_empty() || server.starts_with('-') || !server.chars().all(fits) {
                    return Err(wrong(server_key, format!("has {server:?}, no name or address")));
                }
                server.to_owned()
            }
        };
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(wrong(path_key, format!("has {path:?}, no absolute path without ..")));
        }
        let mut options = OPTIONS.to_owned();
        if let Some(version) = sr.device_config.get("nfsversion") {
            if !VERSIONS.contains(&version.as_str()) {
                let known = VERSIONS.join(", ");
                return Err(wrong("nfsversion", format!("is {version}, none of {known}")));
            }
            options.push_str(&format!(",vers={version}"));
        }
        if let Some(more) = sr.device_config.get("options").filter(|more| !more.is_empty()) {
            let fits = |c: char| c.is_ascii_alphanumeric() || ",.=_-:".contains(c);
            if !more.chars().all(fits) {
                let problem = format!("is {more:?}, no options of nfs(5) with commas between them");
                return Err(wrong("options", problem));
            }
            // Later ones win.
            options.push_str(&format!(",{more}"));
        }
        let path = match path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        Ok(Self { server, path, options })
    }

    /// As mount(8) takes it.
    pub(crate) fn source(&self) -> String {
        format!("{}:{}", self.server, self.path)
    }

    /// Options of the mount, each after a comma.
    pub(crate) fn options(&self) -> &str {
        &self.options
    }

    /// A folder in this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let path = format!("{}/{name}", self.path.trim_end_matches('/'));
        Self { path, ..self.clone() }
    }
}

fn wrong(key: &str, problem: String) -> StorageError {
    StorageError::Config { key: key.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn export(config: &[(&str, &str)]) -> Result<Export, String> {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let sr = SrSpec { uuid: Uuid::nil(), device_config: config.collect() };
        match sr.device_config.get("location") {
            Some(location) => Export::of_location(&sr, location).map(Option::unwrap),
            None => Export::of(&sr),
        }
        .map_err(|error| error.to_string())
    }

    #[test]
    fn servers_and_folders() {
        for (server, path, source) in [
            ("nas", "/vms", "nas:/vms"),
            ("nas.example.org", "/", "nas.example.org:/"),
            ("192.0.2.1", "/a b/c/", "192.0.2.1:/a b/c"),
            ("2001:db8::1", "/vms", "[2001:db8::1]:/vms"),
            ("[2001:db8::1]", "/vms", "[2001:db8::1]:/vms"),
        ] {
            let found = export(&[("server", server), ("serverpath", path)]).unwrap();
            assert_eq!(found.source(), source);
            let found = export(&[("location", &format!("{server}:{path}"))]).unwrap();
            assert_eq!(found.source(), source);
        }
        let root = export(&[("server", "nas"), ("serverpath", "/")]).unwrap();
        assert_eq!(root.below("x").source(), "nas:/x");
    }

    #[test]
    fn versions_and_options() {
        let base = [("server", "nas"), ("serverpath", "/vms")];
        let found =
            export(&[&base[..], &[("nfsversion", "4.1"), ("options", "timeo=50,ro")]].concat());
        let options = found.unwrap().options().to_owned();
        assert!(options.starts_with(OPTIONS) && options.ends_with(",vers=4.1,timeo=50,ro"));
    }

    #[test]
    fn what_cannot_be_mounted_is_named() {
        for (config, message) in [
            (&[("serverpath", "/x")][..], "device_config:server is missing"),
            (&[("server", "nas")], "device_config:serverpath is missing"),
            (&[("server", "-o nas"), ("serverpath", "/x")], "device_config:server has"),
            (&[("server", ""), ("serverpath", "/x")], "device_config:server has"),
            (&[("server", "nas"), ("serverpath", "x")], "device_config:serverpath has"),
            (&[("server", "nas"), ("serverpath", "/x/../y")], "device_config:serverpath has"),
            (&[("location", "na s:/x")], "device_config:location has"),
            (
                &[("server", "nas"), ("serverpath", "/x"), ("nfsversion", "2")],
                "device_config:nfsversion is 2, none of 3, 4,",
            ),
            (
                &[("server", "nas"), ("serverpath", "/x"), ("options", "ro -o x")],
                "device_config:options is",
            ),
        ] {
            let error = export(config).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
