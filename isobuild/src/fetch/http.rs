// SPDX-License-Identifier: MIT OR Apache-2.0
//! The little of HTTP that is needed. Proxies are taken from the environment.

use std::io::Read;
use std::time::Duration;

/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// A client that keeps connections open.
#[derive(Debug, Clone)]
pub struct Http {
    agent: ureq::Agent,
}

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server cannot be reached, or what it says is not HTTP.
    #[error("asking {url}")]
    Transport {
        /// What was asked for.
        url: String,
        /// The cause.
        source: Box<ureq::Error>,
    },
    /// The server refuses.
    #[error("{url}: the server answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status code.
        status: u16,
    },
    /// The answer breaks off.
    #[error("reading {url}")]
    Read {
        /// What was asked for.
        url: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl HttpError {
    /// Whether the server says that it does not have the file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Status { status: 403 | 404 | 410 | 451, .. })
    }
}

/// An answer to a request for a file.
pub(super) struct Answer {
    /// Where in the file the body begins, in bytes.
    pub(super) start: u64,
    pub(super) body: Box<dyn Read + Send>,
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    /// A client.
    pub fn new() -> Self {
        Self::patient_for(SILENCE)
    }

    /// One to which servers may say nothing for so long.
    pub(super) fn patient_for(silence: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(silence))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .user_agent(concat!("xenith-build/", env!("CARGO_PKG_VERSION")))
            // Files are compressed already, and are hashed as they are.
            .accept_encoding("identity")
            .build();
        Self { agent: config.new_agent() }
    }

    /// Reads a small file whole.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn get(&self, url: &str) -> Result<Vec<u8>, HttpError> {
        let answer = self.request(url, 0)?;
        let mut bytes = Vec::new();
        let read = |source| HttpError::Read { url: url.to_owned(), source };
        { answer.body }.read_to_end(&mut bytes).map_err(read)?;
        Ok(bytes)
    }

    /// Whether the server has a file; `None` where it gives no clear answer.
    pub fn has(&self, url: &str) -> Option<bool> {
        for _ in 0..2 {
            if let Ok(answer) = self.agent.head(url).call() {
                let status = answer.status();
                let missing = HttpError::Status { url: String::new(), status: status.as_u16() };
                if status.is_success() || missing.is_missing() {
                    return Some(status.is_success());
                }
            }
        }
        None
    }

    /// Asks for a file from byte `start` on; the server may begin at 0 nevertheless.
    pub(super) fn request(&self, url: &str, start: u64) -> Result<Answer, HttpError> {
        let transport = |e| HttpError::Transport { url: url.to_owned(), source: Box::new(e) };
        let mut request = self.agent.get(url);
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let answer = request.call().map_err(transport)?;
        let status = answer.status().as_u16();
        let begins = match status {
            200 => 0,
            206 => {
                let range = answer.headers().get("content-range").and_then(|v| v.to_str().ok());
                range.and_then(range_start).unwrap_or(start)
            }
            _ => return Err(HttpError::Status { url: url.to_owned(), status }),
        };
        Ok(Answer { start: begins, body: Box::new(answer.into_body().into_reader()) })
    }
}

/// The first byte of `bytes 5-9/10`.
fn range_start(header: &str) -> Option<u64> {
    header.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
