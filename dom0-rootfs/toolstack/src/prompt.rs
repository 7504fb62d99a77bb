// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console's login prompt, which says where the host is reached.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

use crate::program;

/// agetty(8) adds every file in here to `/etc/issue`.
const FOLDER: &str = "/run/issue.d";

/// Where the prompt's part with the addresses is written.
#[derive(Debug)]
pub struct Prompt {
    /// None: there is no console.
    file: Option<PathBuf>,
    shown: Mutex<Option<String>>,
}

impl Prompt {
    /// Of this host's consoles.
    pub fn of_host() -> Self {
        Self::at(Path::new(FOLDER))
    }

    /// Nobody sees it.
    pub fn nowhere() -> Self {
        Self { file: None, shown: Mutex::default() }
    }

    fn at(folder: &Path) -> Self {
        Self { file: Some(folder.join("xenith.issue")), shown: Mutex::default() }
    }

    /// Shows these addresses from now on. A failure is logged.
    pub fn show(&self, addresses: &[&str]) {
        let Some(file) = &self.file else { return };
        let text = text(addresses);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref() == Some(&text) {
            return;
        }
        match write(file, &text) {
            Ok(()) => {
                // Prompts that are shown already are drawn anew. Before the first one there is
                // nobody to tell.
                if let Err(error) = program::run("/sbin/agetty", &["--reload"]) {
                    tracing::debug!("{error:#}");
                }
                *shown = Some(text);
            }
            Err(error) => tracing::warn!("{error:#}"),
        }
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("new");
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| format!("writing {}", file.display()))
}

/// A line for each address; agetty understands a backslash, of which addresses have none.
fn text(addresses: &[&str]) -> String {
    if addresses.is_empty() {
        return "XenAPI: no address yet (xenith-installer network-test says why)\n\n".to_owned();
    }
    let lines = addresses.iter().map(|address| match address.contains(':') {
        true => format!("XenAPI: https://[{address}]\n"),
        false => format!("XenAPI: https://{address}\n"),
    });
    lines.collect::<String>() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_shown_as_a_url() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("issue.d");
        let prompt = Prompt::at(&folder);
        let shown = || fs::read_to_string(folder.join("xenith.issue")).unwrap();
        prompt.show(&[]);
        assert!(shown().starts_with("XenAPI: no address yet"));
        prompt.show(&["192.0.2.10", "2001:db8::10"]);
        assert_eq!(shown(), "XenAPI: https://192.0.2.10\nXenAPI: https://[2001:db8::10]\n\n");
        prompt.show(&["2001:db8::10"]);
        assert_eq!(shown(), "XenAPI: https://[2001:db8::10]\n\n");
    }
}
