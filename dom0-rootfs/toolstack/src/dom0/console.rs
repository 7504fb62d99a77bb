// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shells that nobody types into.

use anyhow::Result;

use super::Dom0;

/// Read by every login shell, from `/etc/profile`.
const FILE: &str = "/etc/profile.d/console-timeout.sh";
const LINE: &str = "export TMOUT=";

impl Dom0 {
    /// Seconds after which a shell ends that nobody types into; 0 is never.
    pub(super) fn console_timeout(&self) -> i64 {
        let text = self.text(FILE);
        let value = text.lines().find_map(|line| line.strip_prefix(LINE));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    /// Sets that for logins from now on.
    pub fn set_console_timeout(&self, seconds: i64) -> Result<()> {
        match seconds {
            0 => self.remove(FILE),
            _ => self.write(FILE, &format!("{LINE}{seconds}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_shells_read_the_file() {
        let profile =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlay/etc/profile");
        assert!(std::fs::read_to_string(profile).unwrap().contains(FILE));
    }
}
