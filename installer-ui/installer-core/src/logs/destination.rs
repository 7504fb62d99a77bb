// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where logs are saved, as a person names it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place that logs can be brought to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A folder that is there.
    Folder(PathBuf),
    /// A file system on a block device, mounted for the moment.
    Device(PathBuf),
    /// The same, found by its label.
    Label(String),
    /// Another machine, by scp(1).
    Scp(Scp),
    /// A server, by HTTP.
    Http {
        /// `http://` or `https://`; one that ends with `/` gets the file's name added.
        url: String,
        /// How it is sent.
        method: Method,
    },
}

/// What scp(1) is given as its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scp(String);

/// Requests that carry a body (RFC 9110, sections 9.3.3 and 9.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Stores it at the URL.
    #[default]
    Put,
    /// Hands it to what is at the URL.
    Post,
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDestination {
    /// Nothing was given.
    #[error("no destination is given: {FORMS}")]
    Empty,
    /// Of none of the known forms.
    #[error("{0:?} is no destination: {FORMS}")]
    Form(String),
    /// A URL of another kind.
    #[error("{0:?} cannot be used: only http://, https:// and scp:// are known")]
    Scheme(String),
    /// A URL without a server.
    #[error("{0:?} names no server")]
    NoHost(String),
    /// A character that nothing of it may hold.
    #[error("{0:?} holds a blank or a control character")]
    Character(String),
    /// A port that is none.
    #[error("{0:?} has no port between 1 and 65535 after the colon")]
    Port(String),
    /// A label without text, or one with a `/`.
    #[error("{0:?} names no label of a volume")]
    Label(String),
}

/// All forms, for messages.
const FORMS: &str = "give a folder (/mnt), a device (/dev/sdb1), label:LABEL, user@host:path, \
                     scp://user@host/path, http://server/path or https://server/path";

impl FromStr for Destination {
    type Err = BadDestination;

    fn from_str(text: &str) -> Result<Self, BadDestination> {
        let own = || text.to_owned();
        if text.is_empty() {
            return Err(BadDestination::Empty);
        }
        if text.chars().any(|c| c.is_control()) {
            return Err(BadDestination::Character(own()));
        }
        if let Some(label) = text.strip_prefix("label:") {
            return match label.is_empty() || label.contains('/') {
                true => Err(BadDestination::Label(own())),
                false => Ok(Self::Label(label.to_owned())),
            };
        }
        if text.starts_with("/dev/") {
            return Ok(Self::Device(text.into()));
        }
        if text.starts_with('/') {
            return Ok(Self::Folder(text.into()));
        }
        if text.contains(' ') {
            return Err(BadDestination::Character(own()));
        }
        match text.split_once("://") {
            Some(("http" | "https", rest)) => {
                host(text, rest.split(['/', '?', '#']).next().unwrap_or_default())?;
                Ok(Self::Http { url: own(), method: Method::default() })
            }
            Some(("scp", rest)) => {
                host(text, rest.split('/').next().unwrap_or_default())?;
                Ok(Self::Scp(Scp(own())))
            }
            Some(_) => Err(BadDestination::Scheme(own())),
            None => Scp::short(text).map(Self::Scp),
        }
    }
}

/// Checks `user@host:port` of a URL (RFC 3986, section 3.2).
fn host(text: &str, authority: &str) -> Result<(), BadDestination> {
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (name, port) = match place.strip_prefix('[') {
        // An IPv6 address has colons of its own.
        Some(rest) => {
            let (name, after) = rest.split_once(']').unwrap_or(("", ""));
            (name, after.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (place, None),
        },
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(BadDestination::NoHost(text.to_owned()));
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(_) => Err(BadDestination::Port(text.to_owned())),
    }
}

impl Scp {
    /// `user@host:path`, the path may be empty: the home folder.
    fn short(text: &str) -> Result<Self, BadDestination> {
        let form = || BadDestination::Form(text.to_owned());
        let (place, _) = match text.find("]:") {
            Some(at) => text.split_at(at + 1),
            None => text.split_once(':').ok_or_else(form)?,
        };
        if place.contains('/') || place.starts_with(['-', ':']) {
            return Err(form());
        }
        host(text, place)?;
        Ok(Self(text.to_owned()))
    }

    /// As scp(1) takes it.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.0
    }
}

impl Destination {
    /// The same place, but over HTTP with this method.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        match self {
            Self::Http { url, .. } => Self::Http { url, method },
            other => other,
        }
    }

    /// Whether the network must be up.
    #[must_use]
    pub fn needs_network(&self) -> bool {
        matches!(self, Self::Scp(_) | Self::Http { .. })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "PUT",
            Self::Post => "POST",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let parse = |text: &str| text.parse::<Destination>().unwrap();
        assert_eq!(parse("/mnt/with blank"), Destination::Folder("/mnt/with blank".into()));
        assert_eq!(parse("/dev/sdb1"), Destination::Device("/dev/sdb1".into()));
        assert_eq!(parse("label:MY STICK"), Destination::Label("MY STICK".into()));
        for text in [
            "me@192.0.2.1:",
            "me@host.example:logs/",
            "host:x",
            "me@[2001:db8::1]:x",
            "scp://me@host:2222/logs",
            "scp://[2001:db8::1]:22/",
        ] {
            assert_eq!(parse(text), Destination::Scp(Scp(text.to_owned())), "{text}");
            assert!(parse(text).needs_network());
        }
        for text in ["http://192.0.2.1/in/", "https://a:b@s:8443/x?y=1", "http://[2001:db8::1]/"] {
            let method = Method::Post;
            let expected = Destination::Http { url: text.to_owned(), method };
            assert_eq!(parse(text).with_method(method), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_says_why() {
        let said = |text: &str| text.parse::<Destination>().unwrap_err().to_string();
        for (text, part) in [
            ("", "no destination is given: give a folder"),
            ("usb", "\"usb\" is no destination: give a folder"),
            ("relative/path", "is no destination"),
            ("-oProxyCommand=x:y", "is no destination"),
            ("me@-oX:y", "names no server"),
            ("me@:x", "names no server"),
            ("a/b:c", "is no destination"),
            ("ftp://server/x", "only http://, https:// and scp:// are known"),
            ("http:///x", "names no server"),
            ("http://server:0/x", "no port between 1 and 65535"),
            ("http://server:http/x", "no port between 1 and 65535"),
            ("scp://me@host:99999/x", "no port between 1 and 65535"),
            ("http://a b/", "holds a blank"),
            ("http://a\n/", "control character"),
            ("label:", "names no label"),
            ("label:a/b", "names no label"),
            ("scp://[2001:db8::1/x", "names no server"),
        ] {
            assert!(said(text).contains(part), "{text:?}: {}", said(text));
        }
    }
}
