// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text is either understood or refused with a reason, and no secret is shown.

use installer_core::answers::Answers;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Answers::from_toml(text) {
        Ok(answers) => {
            assert!(answers.root_password.as_crypt().starts_with("$6$"));
            assert!(!format!("{answers:?}").contains("$6$"));
        }
        Err(error) => assert!(!error.problems.is_empty() && !error.to_string().is_empty()),
    }
}
