// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors as the API reports them.

use std::fmt;

/// A code that a message can fail with, described.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// `VM_BAD_POWER_STATE`.
    pub name: &'static str,
    /// Names of the arguments that follow the code.
    pub params: &'static [&'static str],
    /// What it means.
    pub doc: &'static str,
}

impl ErrorCode {
    /// The error with these arguments, in the order of [`ErrorCode::params`].
    pub fn with<S: ToString>(&self, args: impl IntoIterator<Item = S>) -> ApiError {
        ApiError { code: self.name.into(), args: args.into_iter().map(|a| a.to_string()).collect() }
    }

    /// The error without arguments.
    pub fn bare(&self) -> ApiError {
        ApiError { code: self.name.into(), args: Vec::new() }
    }
}

/// An error as it goes over the wire: a code and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// `VM_BAD_POWER_STATE`.
    pub code: String,
    /// Arguments.
    pub args: Vec<String>,
}

impl ApiError {
    /// Whether it has this code.
    pub fn is(&self, code: &ErrorCode) -> bool {
        self.code == code.name
    }

    /// Code and arguments in one list: XML-RPC's `ErrorDescription`.
    pub fn description(&self) -> Vec<String> {
        std::iter::once(self.code.clone()).chain(self.args.iter().cloned()).collect()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [ {} ]", self.code, self.args.join("; "))
    }
}

impl std::error::Error for ApiError {}
