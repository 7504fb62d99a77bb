// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is mounted or swapped to.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DiscoveryError, Roots};

/// One line of `/proc/self/mountinfo`, or of `/proc/swaps`.
#[derive(Debug)]
struct Use {
    /// `major:minor`; empty for swap.
    number: String,
    /// Device path or another source.
    source: String,
    /// Mount point; empty for swap.
    target: PathBuf,
}

#[derive(Debug)]
pub(super) struct Mounts(Vec<Use>);

impl Mounts {
    pub(super) fn read(roots: &Roots) -> Result<Self, DiscoveryError> {
        let path = roots.proc.join("self/mountinfo");
        let text = fs::read_to_string(&path).map_err(DiscoveryError::read(path))?;
        let mut uses: Vec<Use> = text.lines().filter_map(mount).collect();
        let path = roots.proc.join("swaps");
        let text = fs::read_to_string(&path).map_err(DiscoveryError::read(path))?;
        let names = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
        uses.extend(names.map(|name| Use {
            number: String::new(),
            source: name.to_owned(),
            target: PathBuf::new(),
        }));
        Ok(Self(uses))
    }

    /// What uses the device `name` with this number, in words.
    pub(super) fn uses(&self, number: &str, name: &str) -> Vec<String> {
        let path = format!("/dev/{name}");
        let using = self.0.iter().filter(|u| u.number == number || u.source == path);
        let (swaps, mounts): (Vec<&Use>, Vec<&Use>) =
            using.partition(|u| u.target.as_os_str().is_empty());
        let mut words = Vec::new();
        if let Some(first) = mounts.first() {
            let more = match mounts.len() {
                1 => String::new(),
                n => format!(" and {} more places", n - 1),
            };
            words.push(format!("{name} is mounted at {}{more}", first.target.display()));
        }
        if !swaps.is_empty() {
            words.push(format!("{name} is swap space in use"));
        }
        words
    }

    /// `major:minor` of the device that is mounted exactly there.
    pub(super) fn device_of(&self, target: &Path) -> Option<String> {
        self.0.iter().rev().find(|u| u.target == target).map(|u| u.number.clone())
    }
}

fn mount(line: &str) -> Option<Use> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let number = mount.next()?.to_owned();
    let target = unescape(mount.nth(1)?).into();
    let source = unescape(file_system.split(' ').nth(1)?);
    Some(Use { number, source, target })
}

/// The kernel writes blanks as `\040` and so on.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
