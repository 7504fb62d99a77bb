// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of HTTP servers, for what an installation fetches and reports.

mod address;
mod pinned;
#[cfg(test)]
pub(crate) mod testing;

use std::error::Error;
use std::time::Duration;

use certificate_pin::Fingerprint;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};

pub use address::{BadAddress, Proxy, Url};
use pinned::PinnedTls;

/// A longer answer is none of ours, in bytes.
pub const LONGEST: u64 = 1 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a whole request may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How servers are reached and trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Web {
    /// The only certificate that is accepted; none: what public authorities vouch for.
    pub pin: Option<Fingerprint>,
    /// A proxy on the way.
    pub proxy: Option<Proxy>,
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// A fingerprint without a certificate to compare it with.
    #[error(
        "{url} has no certificate whose fingerprint could be compared: it must begin with https://"
    )]
    PinWithoutTls {
        /// The address.
        url: String,
    },
    /// The request.
    #[error("{doing} {url}{}", via(proxy.as_ref()))]
    Request {
        /// What was done, `fetching`.
        doing: &'static str,
        /// The address.
        url: String,
        /// The proxy on the way.
        proxy: Option<Proxy>,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

fn via(proxy: Option<&Proxy>) -> String {
    proxy.map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default()
}

impl Web {
    /// Fetches what is there, at most [`LONGEST`] bytes.
    ///
    /// # Errors
    /// See [`WebError`]; every status but one of success is one.
    pub fn get(&self, url: &Url) -> Result<Vec<u8>, WebError> {
        self.request("fetching", url, |agent| agent.get(url.as_str()).call())
    }

    /// Sends JSON, and returns the answer.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&self, url: &Url, json: &str) -> Result<Vec<u8>, WebError> {
        self.request("posting to", url, |agent| {
            agent.post(url.as_str()).content_type("application/json").send(json)
        })
    }

    fn request(
        &self,
        doing: &'static str,
        url: &Url,
        send: impl FnOnce(&ureq::Agent) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, WebError> {
        if self.pin.is_some() && !url.is_secure() {
            return Err(WebError::PinWithoutTls { url: url.to_string() });
        }
        let answer = self.agent().and_then(|agent| {
            let mut response = send(&agent)?;
            response.body_mut().with_config().limit(LONGEST).read_to_vec()
        });
        answer.map_err(|error| WebError::Request {
            doing,
            url: url.to_string(),
            proxy: self.proxy.clone(),
            source: cause(error),
        })
    }

    fn agent(&self) -> Result<ureq::Agent, ureq::Error> {
        // The environment decides nothing.
        let proxy =
            self.proxy.as_ref().map(|proxy| ureq::Proxy::new(proxy.as_str())).transpose()?;
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(PATIENCE))
            .proxy(proxy)
            // A redirection must not lead away from the certificate.
            .https_only(self.pin.is_some())
            .user_agent(concat!("xenith-installer/", env!("CARGO_PKG_VERSION")))
            .build();
        let Some(pin) = self.pin else { return Ok(config.new_agent()) };
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(PinnedTls::new(pin)?);
        Ok(ureq::Agent::with_parts(config, connector, DefaultResolver::default()))
    }
}

/// Without the words that `ureq` puts before what others said.
fn cause(error: ureq::Error) -> Box<dyn Error + Send + Sync> {
    match error {
        ureq::Error::Other(inner) => inner,
        ureq::Error::Io(inner) => inner.into(),
        ureq::Error::StatusCode(status) => {
            format!("the server answers with status {status}").into()
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
