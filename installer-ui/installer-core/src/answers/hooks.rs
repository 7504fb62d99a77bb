// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an answer file says of scripts.

use certificate_pin::Fingerprint;

use super::Problem;
use super::check::Findings;
use super::raw::RawHooks;
use crate::hooks::{HookAnswers, Script, ScriptSource, Stage};

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
        ScriptSource::Place(place) => place.url().is_some_and(crate::web::Url::is_secure),
        ScriptSource::Inline(_) => false,
    };
    if pin.is_some() && !answers.scripts.iter().any(|(_, source)| secure(source)) {
        let problem = Problem::new("hooks.certificate-sha256", "no script comes over https");
        findings.add(problem.hint("there is no certificate that could be compared"));
    }
    answers
}

pub(super) fn fingerprint(
    findings: &mut Findings,
    key: &str,
    text: Option<&str>,
) -> Option<Fingerprint> {
    let parsed = text?.parse::<Fingerprint>();
    parsed.map_err(|error| findings.add(Problem::new(key, error.to_string()))).ok()
}
