// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel command line says that nobody else should read.

/// What stands where a secret was.
const REMOVED: &str = "[removed]";

/// Words of the kernel command line whose value is a secret as a whole.
const SECRET: &[&str] = &["xenith.ssh-password"];

/// Texts that are taken out of logs. The kernel prints its command line, and so do others.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

/// Never shows them.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// The passwords on a kernel command line: values of words that are secrets, and what a URL has
    /// before its `@` (RFC 3986, section 3.2.1).
    #[must_use]
    pub fn of(cmdline: &str) -> Self {
        let mut found = Vec::new();
        for word in cmdline.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else { continue };
            if SECRET.contains(&key) {
                found.push(value.trim_matches('"').to_owned());
            } else if let Some((_, rest)) = value.split_once("://")
                && let Some((user, _)) = rest.split('/').next().and_then(|a| a.rsplit_once('@'))
            {
                found.push(format!("{user}@"));
            }
        }
        found.retain(|secret| !secret.is_empty());
        Self(found)
    }

    /// The text without them.
    #[must_use]
    pub fn remove_from(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, REMOVED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_taken_out() {
        let line = "quiet xenith.ssh xenith.ssh-password=\"hunter22\" console=hvc0 \
                    xenith.answers=https://me:pa@ss@192.0.2.1/a@b.toml root=/dev/sda";
        let secrets = Secrets::of(line);
        let text = secrets.remove_from(line);
        assert_eq!(
            text,
            "quiet xenith.ssh xenith.ssh-password=\"[removed]\" console=hvc0 \
             xenith.answers=https://[removed]192.0.2.1/a@b.toml root=/dev/sda"
        );
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
        let empty = Secrets::of("xenith.ssh-password= xenith.answers=http://192.0.2.1/a");
        assert_eq!(empty, Secrets::default());
        assert_eq!(empty.remove_from("as it is"), "as it is");
    }
}
