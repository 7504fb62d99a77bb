// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text that looks like XenServer's is either understood or refused with a reason, what is
//! understood names a disk and a host, and no secret is shown.

use installer_core::answers::{AnswerFile, DiskChoice};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Behind a comment everything is read as XML, so that no run is lost to TOML.
    match AnswerFile::read(&format!("<!---->{text}")) {
        Ok(AnswerFile { answers, notes }) => {
            let storage = answers.storage.iter().flat_map(|storage| &storage.disks);
            for disk in std::iter::once(&answers.disk).chain(&answers.mirror).chain(storage) {
                assert!(matches!(disk, DiskChoice::Device(path) if path.starts_with("/dev")));
            }
            assert!(!answers.hostname.as_str().is_empty());
            assert!(answers.root_password.as_crypt().starts_with("$6$"));
            assert!(!format!("{answers:?}{notes:?}").contains("$6$"));
        }
        Err(error) => assert!(!error.problems.is_empty() && !error.to_string().is_empty()),
    }
}
