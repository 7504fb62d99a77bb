// SPDX-License-Identifier: MIT OR Apache-2.0
//! One fact about the machine and what follows from it.

use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works.
    Ok,
    /// Something will not work, or may not; a host can be installed all the same.
    Warning,
    /// Nothing can be installed here.
    Refusal,
}

/// What was found out about one part of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Of what, one or two words.
    pub subject: &'static str,
    /// What it is and what follows, without a full stop.
    pub text: String,
}

impl Finding {
    pub(crate) fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, subject, text: text.into() }
    }

    pub(crate) fn warning(subject: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, subject, text: text.into() }
    }

    /// Something could not even be looked at.
    pub fn failed(subject: &'static str, text: impl Into<String>) -> Self {
        Self::refusal(subject, text)
    }

    pub(crate) fn refusal(subject: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Refusal, subject, text: text.into() }
    }
}

/// `[warn] Memory: …`; the mark is always six columns wide.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.severity {
            Severity::Ok => "[ ok ]",
            Severity::Warning => "[warn]",
            Severity::Refusal => "[STOP]",
        };
        write!(f, "{mark} {}: {}", self.subject, self.text)
    }
}
