// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an answer file says of scripts, and of the server that is told how it ended.

use certificate_pin::Fingerprint;

use super::Problem;
use super::check::Findings;
use super::raw::{RawHooks, RawWebhook};
use crate::hooks::{HookAnswers, Script, ScriptSource, Stage};
use crate::report::Webhook;
use crate::web::{Proxy, Url};

pub(super) fn hooks(findings: &mut Findings, raw: RawHooks) -> HookAnswers {
    let mut scripts = Vec::new();
    for (stage, text) in Stage::ALL.into_iter().zip([raw.before, raw.populated, raw.completed]) {
        let Some(text) = text else { continue };
        let key = format!("hooks.{stage}");
        match ScriptSource::parse(&text) {
            Ok(source) => {
                if let ScriptSource::Inline(text) = &source
                    && let Err(error) = Script::interpreter(text.as_bytes())
                {
                    findings.add(Problem::new(&key, error.to_string()));
                }
                scripts.push((stage, source));
            }
            // The text may be a script with secrets in it.
            Err(_) if text.contains([' ', '\n']) => findings.add(
                Problem::new(&key, "is neither a script nor the place of one")
                    .hint("a script begins with #!, such as #!/bin/bash"),
            ),
            Err(error) => findings.add(Problem::new(&key, error.to_string())),
        }
    }
    let timeout = match raw.timeout.map(u32::try_from) {
        None => HookAnswers::TIMEOUT,
        Some(Ok(seconds)) if (1..=HookAnswers::LONGEST).contains(&seconds) => seconds,
        Some(_) => {
            let text = format!("must be 1 to {} seconds", HookAnswers::LONGEST);
            findings.add(Problem::new("hooks.timeout", text));
            HookAnswers::TIMEOUT
        }
    };
    let pin = fingerprint(findings, "hooks.certificate-sha256", raw.certificate_sha256.as_deref());
    let answers = HookAnswers { scripts, timeout, pin };
    let secure = |source: &ScriptSource| match source {
        ScriptSource::Place(place) => place.url().is_some_and(Url::is_secure),
        ScriptSource::Inline(_) => false,
    };
    if pin.is_some() && !answers.scripts.iter().any(|(_, source)| secure(source)) {
        let problem = Problem::new("hooks.certificate-sha256", "no script comes over https");
        findings.add(problem.hint("there is no certificate that could be compared"));
    }
    answers
}

pub(super) fn webhook(findings: &mut Findings, raw: RawWebhook) -> Option<Webhook> {
    const PIN: &str = "webhook.certificate-sha256";
    let pin = fingerprint(findings, PIN, raw.certificate_sha256.as_deref());
    let Some(text) = raw.url else {
        let problem = Problem::new("webhook.url", "is missing");
        findings.add(problem.hint("such as \"https://deploy.example.org/installed\""));
        return None;
    };
    let url: Url = match text.parse() {
        Ok(url) => url,
        Err(error) => {
            let error: crate::web::BadAddress = error;
            findings.add(Problem::new("webhook.url", error.to_string()));
            return None;
        }
    };
    if pin.is_some() && !url.is_secure() {
        let problem = Problem::new(PIN, "is given, and the address is not https");
        findings.add(problem.hint("there is no certificate that could be compared"));
    }
    Some(Webhook { url, pin })
}

pub(super) fn proxy(findings: &mut Findings, text: Option<&str>) -> Option<Proxy> {
    let parsed = text?.parse::<Proxy>();
    parsed.map_err(|error| findings.add(Problem::new("network.proxy", error.to_string()))).ok()
}

fn fingerprint(findings: &mut Findings, key: &str, text: Option<&str>) -> Option<Fingerprint> {
    let parsed = text?.parse::<Fingerprint>();
    parsed.map_err(|error| findings.add(Problem::new(key, error.to_string()))).ok()
}
