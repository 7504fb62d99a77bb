// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that the host makes to others over HTTP.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy, SendBody};
use xapi_model::{ApiError, errors};

use crate::certificates::Authorities;
use crate::toolstack::Args;

/// How long one may take, with all that is sent.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long until somebody answers.
const CONNECTING: Duration = Duration::from_secs(30);
/// Longest answer that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// A client that trusts the installed authorities and nobody else.
fn agent(authorities: &Authorities, proxy: Option<&str>) -> Result<Agent> {
    let mut roots = Vec::new();
    for (name, pem) in authorities.all()? {
        let root = Certificate::from_pem(pem.as_bytes());
        roots.push(root.with_context(|| format!("reading the certificate {name}"))?);
    }
    let roots = RootCerts::new_with_certs(&roots);
    let tls = TlsConfig::builder().root_certs(roots).build();
    let proxy = proxy.map(Proxy::new).transpose().context("understanding the proxy's address")?;
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECTING))
        .timeout_global(Some(PATIENCE))
        .build();
    Ok(config.into())
}

/// Where a call of the API wants something sent: `url`, and the proxy in `options`.
pub fn target<'a>(args: &'a Args<'_>) -> Result<(&'a str, Option<&'a str>), ApiError> {
    let url = args.text("url");
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(errors::INVALID_VALUE.with(["url", url]));
    }
    let options = args.get("options").as_map();
    let proxy = options.and_then(|options| options.get("http_proxy")?.as_str());
    Ok((url, proxy.filter(|proxy| !proxy.is_empty())))
}

/// Sends a text by POST and returns the answer's.
pub fn post(authorities: &Authorities, url: &str, body: &str) -> Result<String> {
    let doing = || format!("sending to {url}");
    let answer = agent(authorities, None)?.post(url).send(body).with_context(doing)?;
    let status = answer.status();
    let text = answer.into_body().into_with_config().limit(LONGEST).read_to_string();
    let text = text.with_context(doing)?;
    if !status.is_success() {
        bail!("sending to {url}: {status}: {text}");
    }
    Ok(text)
}

/// Sends what `body` has by PUT.
pub fn put(
    authorities: &Authorities,
    url: &str,
    proxy: Option<&str>,
    body: &mut dyn Read,
) -> Result<()> {
    let mut body = body;
    let sent = agent(authorities, proxy)?.put(url).send(SendBody::from_reader(&mut body));
    let status = sent.with_context(|| format!("sending to {url}"))?.status();
    if !status.is_success() {
        bail!("sending to {url}: {status}");
    }
    Ok(())
}
