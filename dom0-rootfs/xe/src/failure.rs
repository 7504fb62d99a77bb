// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends a run of xe, and how it is said.

use std::fmt::Write as _;

use xapi_model::{ApiError, errors};

use crate::options;

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// How xe is called; no failure for the shell, as in XenServer.
    Usage,
    /// `xe` has no such command.
    UnknownCommand { name: String, hint: Option<String> },
    /// The command line makes no sense.
    Syntax(String),
    /// A parameter that the command cannot do without.
    Missing(String),
    /// Something else, with a hint that stands apart from it.
    Plain { text: String, hint: Option<String> },
    /// The server refused; arguments that are references were given their names already.
    Api(ApiError),
    /// The server could not be talked to.
    Contact(anyhow::Error),
    /// Some of several objects failed: uuid and text each.
    Several(Vec<(String, String)>),
    /// The reader of our output went away.
    Closed,
}

impl Failure {
    pub(crate) fn plain(text: impl Into<String>) -> Failure {
        Failure::Plain { text: text.into(), hint: None }
    }

    pub(crate) fn with_hint(text: impl Into<String>, near: Option<&str>) -> Failure {
        let hint = near.map(|near| format!("did you mean '{near}'?"));
        Failure::Plain { text: text.into(), hint }
    }

    /// Exit code.
    pub(crate) fn code(&self) -> u8 {
        u8::from(!matches!(self, Failure::Usage))
    }

    /// What goes to standard error, lines ended.
    pub(crate) fn render(&self) -> String {
        const SEE: &str = "For usage run: 'xe help'\n";
        match self {
            Failure::Usage => options::USAGE.to_owned(),
            Failure::UnknownCommand { name, hint } => {
                format!("Unknown command: {name}\n{SEE}{}", hinted(hint.as_deref()))
            }
            Failure::Syntax(text) => format!("Syntax error: {text}\n{SEE}"),
            Failure::Missing(name) => format!("Required parameter not found: {name}\n{SEE}"),
            Failure::Plain { text, hint } => {
                format!("Error: {text}\n{}", hinted(hint.as_deref()))
            }
            Failure::Api(error) => describe(error),
            Failure::Contact(error) => format!("Error: {error:#}\n"),
            Failure::Several(failed) => {
                failed.iter().fold(String::new(), |mut text, (uuid, why)| {
                    // Writing to a string cannot fail.
                    let _ = writeln!(text, "operation failed on {uuid}: {}", why.trim_end());
                    text
                })
            }
            Failure::Closed => String::new(),
        }
    }
}

fn hinted(hint: Option<&str>) -> String {
    hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default()
}

/// An error of the server: what it means and its arguments by name, or the bare code of one that
/// the description does not know.
fn describe(error: &ApiError) -> String {
    if error.is(&errors::SESSION_AUTHENTICATION_FAILED) {
        let nobody = error.args.first().is_none_or(String::is_empty);
        return if nobody {
            "Username/password must be specified\n".to_owned()
        } else {
            "Authentication failed\n".to_owned()
        };
    }
    let Some(known) = errors::ALL.iter().find(|known| error.is(known)) else {
        return format!(
            "Error code: {}\nError parameters: {}\n",
            error.code,
            error.args.join(", ")
        );
    };
    let mut text = format!("{}\n", known.doc);
    for (at, value) in error.args.iter().enumerate() {
        let name = known.params.get(at).copied().unwrap_or("<extra>");
        let _ = writeln!(text, "{name}: {value}");
    }
    for name in known.params.iter().skip(error.args.len()) {
        let _ = writeln!(text, "{name}: <unknown>");
    }
    text
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        Failure::Api(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_error_is_explained_and_its_arguments_named() {
        let error = errors::VM_BAD_POWER_STATE.with(["u-1 (web)", "halted", "running"]);
        let expected = "The VM is in another power state than the operation needs.\n\
                        vm: u-1 (web)\nexpected: halted\nactual: running\n";
        assert_eq!(Failure::Api(error).render(), expected);
    }

    #[test]
    fn arguments_too_few_and_too_many_are_shown() {
        let error = errors::SR_FULL.with(["1"]);
        assert!(describe(&error).ends_with("requested: 1\nmaximum: <unknown>\n"));
        let error = errors::NO_HOSTS_AVAILABLE.with(["x"]);
        assert!(describe(&error).ends_with("\n<extra>: x\n"));
    }

    #[test]
    fn an_unknown_error_is_shown_as_it_came() {
        let error = ApiError { code: "ODD".into(), args: vec!["a".into(), "b".into()] };
        assert_eq!(describe(&error), "Error code: ODD\nError parameters: a, b\n");
        assert_eq!(Failure::Api(error).code(), 1);
    }

    #[test]
    fn a_wrong_password_says_no_more() {
        let wrong = errors::SESSION_AUTHENTICATION_FAILED.with(["root", "x"]);
        assert_eq!(describe(&wrong), "Authentication failed\n");
    }
}
