// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses of HTTP servers and proxies.

use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is none.
    #[error("{0:?} is not an address such as https://192.0.2.1/answers.toml")]
    Url(String),
    /// A name or password in it would be in logs and on consoles.
    #[error("there is a user name in the address of {0}, which is not supported")]
    User(String),
    /// Not the address of a proxy. The text may hold a password and is not shown.
    #[error("that is not the address of a proxy such as http://192.0.2.1:3128")]
    Proxy,
}

/// An `http` or `https` address.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Host and port.
    server: (String, u16),
    secure: bool,
}

impl Url {
    /// Whether it begins like one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("http://") || text.starts_with("https://")
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether both are of the same server: one protocol, host and port.
    pub fn is_same_server(&self, other: &Self) -> bool {
        (self.secure, &self.server) == (other.secure, &other.server)
    }
}

impl FromStr for Url {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress::Url(text.to_owned());
        let secure = text.starts_with("https://");
        if !Self::is_meant(text)
            || text.contains(|c: char| c.is_whitespace() || "#\\\"'".contains(c))
        {
            return Err(bad());
        }
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let host = authority.host().to_ascii_lowercase();
        if authority.as_str().contains('@') {
            return Err(BadAddress::User(host));
        }
        // The parser takes a port that is none for no port.
        let port = match authority.as_str().get(authority.host().len()..) {
            None | Some("") => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or_else(bad)?,
        };
        match host.is_empty() {
            true => Err(bad()),
            false => Ok(Self { text: text.to_owned(), server: (host, port), secure }),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// An HTTP proxy that connects to servers by CONNECT (RFC 9110, 9.3.6), for `http` too.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(String);

impl Proxy {
    /// With name and password, if it has them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The variables that curl and other programs take it from.
    pub fn env(&self) -> Vec<(String, String)> {
        ["http_proxy", "https_proxy"].map(|name| (name.to_owned(), self.0.clone())).to_vec()
    }
}

impl FromStr for Proxy {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let plain =
            !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\`$".contains(c));
        let rest = text.strip_prefix("http://").filter(|_| plain).ok_or(BadAddress::Proxy)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
        let url: Url = format!("http://{server}").parse().map_err(|_| BadAddress::Proxy)?;
        if server.contains(['/', '?']) || url.server.0.is_empty() {
            return Err(BadAddress::Proxy);
        }
        ureq::Proxy::new(text).map_err(|_| BadAddress::Proxy)?;
        Ok(Self(format!("http://{rest}")))
    }
}

/// Without name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.rsplit_once('@') {
            Some((_, server)) => write!(f, "http://…@{server}"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers() {
        let url = |text: &str| text.parse::<Url>();
        let one = url("https://Example.org/a?b=c").unwrap();
        assert!(one.is_secure() && one.to_string() == "https://Example.org/a?b=c");
        assert!(one.is_same_server(&url("https://example.org:443/").unwrap()));
        for other in ["http://example.org:443/", "https://example.org:8443/", "https://example.com"]
        {
            assert!(!one.is_same_server(&url(other).unwrap()), "{other}");
        }
        assert!(
            url("http://[2001:db8::1]:8080/x")
                .unwrap()
                .is_same_server(&url("http://[2001:db8::1]:8080").unwrap())
        );
        for bad in [
            "",
            "http://",
            "https:///a",
            "ftp://x/",
            "example.org",
            "http://a b/",
            "http://x:0/",
            "http://x:99999/",
            "http://x:/",
            "http://x/\n",
            "http://x/#top",
            "HTTP://x/",
        ] {
            assert_eq!(url(bad), Err(BadAddress::Url(bad.to_owned())), "{bad}");
        }
        let user = url("https://me:secret@example.org/").unwrap_err().to_string();
        assert!(user.contains("example.org") && !user.contains("secret"), "{user}");
    }

    #[test]
    fn addresses_of_proxies() {
        let proxy = |text: &str| text.parse::<Proxy>();
        assert_eq!(proxy("http://192.0.2.1:3128/").unwrap().as_str(), "http://192.0.2.1:3128");
        let secret = proxy("http://me:secret@proxy.example.org:3128").unwrap();
        assert_eq!(format!("{secret} {secret:?}").matches("secret").count(), 0);
        assert_eq!(secret.as_str(), "http://me:secret@proxy.example.org:3128");
        for bad in [
            "",
            "proxy:3128",
            "https://proxy",
            "socks5://proxy",
            "http://",
            "http://p/x",
            "http://p:x",
            "http://a b",
        ] {
            assert_eq!(proxy(bad), Err(BadAddress::Proxy), "{bad}");
        }
    }
}
