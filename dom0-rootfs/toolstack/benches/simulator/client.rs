// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client with a connection that it keeps.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ureq::tls::TlsConfig;
use xapi_model::{Call, Value, xmlrpc};

/// Root's password on a made-up host.
const PASSWORD: &str = "xenith";
/// Biggest answer in bytes.
const BIGGEST: u64 = 1 << 30;

/// A client that is logged in.
pub struct Client {
    agent: ureq::Agent,
    url: String,
    session: String,
}

impl Client {
    /// Logs in as root. The daemon is our own, so its certificate is not looked at.
    pub fn login(url: &str) -> Result<Client> {
        let tls = TlsConfig::builder().disable_verification(true).build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(Duration::from_secs(600)))
            .build()
            .into();
        let mut client = Client { agent, url: url.to_owned(), session: String::new() };
        let answer =
            client.post("session.login_with_password", vec!["root".into(), PASSWORD.into()])?;
        client.session = value(&answer)?.text();
        Ok(client)
    }

    /// Calls with the session and reads the answer.
    pub fn call(&self, method: &str, params: Vec<Value>) -> Result<Value> {
        value(&self.fetch(method, params)?).with_context(|| method.to_owned())
    }

    /// Calls with the session; the answer is only known to be no failure.
    pub fn fetch(&self, method: &str, params: Vec<Value>) -> Result<String> {
        let session = Value::from(self.session.as_str());
        let answer = self.post(method, std::iter::once(session).chain(params).collect())?;
        let head = answer.get(..200).unwrap_or(&answer);
        ensure!(head.contains("<value>Success</value>"), "{method}: {head}");
        Ok(answer)
    }

    /// Makes an object.
    pub fn create<const N: usize>(&self, class: &str, fields: [(&str, Value); N]) -> Result<Value> {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        self.call(&format!("{class}.create"), vec![Value::Map(fields.collect())])
    }

    /// Seconds to the last byte of an answer.
    pub fn time(&self, method: &str, params: Vec<Value>) -> Result<f64> {
        let begun = Instant::now();
        self.fetch(method, params)?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// The only or first object of a class with this name.
    pub fn named(&self, class: &str, name: &str) -> Result<Value> {
        let found = self.call(&format!("{class}.get_by_name_label"), vec![name.into()])?;
        let first = found.as_set().and_then(<[Value]>::first).cloned();
        first.with_context(|| format!("no {class} is called {name}"))
    }

    fn post(&self, method: &str, params: Vec<Value>) -> Result<String> {
        let body = xmlrpc::encode_call(&Call { method: method.to_owned(), params });
        let mut response =
            self.agent.post(&self.url).send(body).with_context(|| format!("calling {method}"))?;
        let answer = response.body_mut().with_config().limit(BIGGEST).read_to_string();
        answer.with_context(|| format!("reading the answer of {method}"))
    }
}

fn value(answer: &str) -> Result<Value> {
    Ok(xmlrpc::decode_reply(answer).context("reading an answer")??)
}
