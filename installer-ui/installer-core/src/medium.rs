// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the files of the medium are what the build put there.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use appliance_model::medium::SUMS;
use appliance_model::sums::{BadSums, Sums};
use sha2::{Digest as _, Sha256};

use crate::steps::chain;
use crate::system::{System, SystemError};

/// Bytes that are read at once.
pub(crate) const CHUNK: usize = 1 << 20;
/// A longer list is none of ours, in bytes.
const LONGEST_LIST: u64 = 1 << 20;

/// What is wrong with the medium. All say what to do about it, as a person cannot mend a file.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// No list, so that nothing can be checked.
    #[error(
        "the medium has no list of its files ({SUMS}): it is not whole, or an older one; write it \
         again"
    )]
    NoList(#[source] SystemError),
    /// The list is damaged.
    #[error("the medium's list of its files ({SUMS}) is damaged: write the medium again")]
    BadList(#[source] BadSums),
    /// The list is not even text of a plausible size.
    #[error("the medium's list of its files ({SUMS}) is damaged: write the medium again")]
    NoText,
    /// A file that the list does not name.
    #[error("{0} is not in the medium's list of its files: write the medium again")]
    NotListed(String),
    /// A file that cannot be opened.
    #[error("{name} on the medium cannot be opened: write the medium again")]
    Open {
        /// On the medium.
        name: String,
        /// The cause.
        #[source]
        source: SystemError,
    },
    /// A file that cannot be read to its end.
    #[error("{name} on the medium cannot be read: write it again, or to another medium")]
    Read {
        /// On the medium.
        name: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file with other bytes in it.
    #[error(
        "{name} on the medium is damaged: its SHA-256 is {found} instead of {expected}; write the \
         medium again"
    )]
    Damaged {
        /// On the medium.
        name: String,
        /// As listed.
        expected: Digest,
        /// As read.
        found: Digest,
    },
}

/// How a check of the whole medium ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Every file is as listed.
    Whole {
        /// What was read, in bytes.
        bytes: u64,
    },
    /// What is wrong, a line for each file.
    Damaged(Vec<String>),
    /// It was told to stop before it had found anything out.
    Stopped,
}

/// A mounted medium with its list.
#[derive(Debug, Clone)]
pub struct ListedMedium {
    root: PathBuf,
    sums: Sums,
}

impl ListedMedium {
    /// Reads the list of the medium that is mounted at `root`.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn read(system: &mut dyn System, root: &Path) -> Result<Self, MediumError> {
        let file = system.open(&root.join(SUMS)).map_err(MediumError::NoList)?;
        let mut bytes = Vec::new();
        let read = file.take(LONGEST_LIST).read_to_end(&mut bytes);
        read.map_err(|source| MediumError::Read { name: SUMS.to_owned(), source })?;
        let text = String::from_utf8(bytes).map_err(|_| MediumError::NoText)?;
        let sums = text.parse().map_err(MediumError::BadList)?;
        Ok(Self { root: root.to_owned(), sums })
    }

    /// What a file must be like.
    ///
    /// # Errors
    /// It is not listed.
    pub fn expected(&self, name: &str) -> Result<Digest, MediumError> {
        self.sums.get(name).ok_or_else(|| MediumError::NotListed(name.to_owned()))
    }

    /// Reads a file to its end, handing over each piece, and compares; breaks off when it is told to.
    ///
    /// # Errors
    /// It cannot be read, or is not as listed.
    pub fn check(
        &self,
        system: &mut dyn System,
        name: &str,
        piece: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, MediumError> {
        let expected = self.expected(name)?;
        let open = system.open(&self.root.join(name));
        let mut file =
            open.map_err(|source| MediumError::Open { name: name.to_owned(), source })?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = fill(&mut file, &mut buffer)
                .map_err(|source| MediumError::Read { name: name.to_owned(), source })?;
            if read == 0 {
                let found = Digest::new(digest.finalize().into());
                return compare(name, expected, found).map(ControlFlow::Continue);
            }
            digest.update(&buffer[..read]);
            if piece(&buffer[..read]).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Reads every listed file from the medium itself, and tells how many bytes of how many are done,
    /// until it is told to stop.
    pub fn check_all(
        &self,
        system: &mut dyn System,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Checked {
        let names: Vec<String> = self.sums.iter().map(|(name, _)| name.to_owned()).collect();
        // A file that is not there is told below.
        let size = |name: &String| system.size(&self.root.join(name)).unwrap_or(0);
        let total = names.iter().map(size).sum();
        let mut done = 0;
        let mut wrong = Vec::new();
        for name in names {
            // A cache that cannot be dropped is no fault of the medium.
            if let Err(error) = system.forget(&self.root.join(&name)) {
                tracing::warn!("{}", chain(&error));
            }
            let checked = self.check(system, &name, &mut |bytes| {
                done += bytes.len() as u64;
                progress(done, total)
            });
            match checked {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Checked::Stopped,
                Err(error) => wrong.push(chain(&error)),
            }
        }
        match wrong.is_empty() {
            true => Checked::Whole { bytes: done },
            false => Checked::Damaged(wrong),
        }
    }
}

/// Says whether what was read is what is listed.
fn compare(name: &str, expected: Digest, found: Digest) -> Result<(), MediumError> {
    if found == expected {
        return Ok(());
    }
    Err(MediumError::Damaged { name: name.to_owned(), expected, found })
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn fill(file: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    fn medium() -> Fake {
        let mut fake = Fake::new("/dev/sda".as_ref(), 0);
        for (name, size) in [("boot/a", 3 * CHUNK / 2), ("xenith/b", 10), ("xenith/c", CHUNK)] {
            fake.files.insert(Path::new("/m").join(name), vec![7; size]);
        }
        fake.list_medium("/m".as_ref());
        fake
    }

    #[test]
    fn a_whole_medium_is_read_whole() {
        let mut fake = medium();
        // Neither is the build's.
        fake.files.insert("/m/xenith/answers.toml".into(), b"x".to_vec());
        let listed = ListedMedium::read(&mut fake, "/m".as_ref()).unwrap();
        let mut told = Vec::new();
        let wrong = listed.check_all(&mut fake, &mut |done, total| {
            told.push((done, total));
            ControlFlow::Continue(())
        });
        let total = 5 * CHUNK as u64 / 2 + 10;
        assert_eq!(wrong, Checked::Whole { bytes: total });
        let chunk = CHUNK as u64;
        assert_eq!(told.first(), Some(&(chunk, total)));
        assert_eq!(told.last(), Some(&(total, total)));
        assert_eq!(fake.forgotten.len(), 3, "nothing is taken from a cache");
    }

    #[test]
    fn every_damaged_file_is_named() {
        let mut fake = medium();
        fake.files.get_mut(Path::new("/m/boot/a")).unwrap()[CHUNK] = 8;
        fake.files.remove(Path::new("/m/xenith/c"));
        let listed = ListedMedium::read(&mut fake, "/m".as_ref()).unwrap();
        let wrong = listed.check_all(&mut fake, &mut |_, _| ControlFlow::Continue(()));
        let Checked::Damaged(wrong) = wrong else { panic!("{wrong:?}") };
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("boot/a on the medium is damaged: "), "{wrong:?}");
        assert!(wrong[1].starts_with("xenith/c on the medium cannot be opened: "), "{wrong:?}");
    }

    #[test]
    fn the_check_can_be_stopped() {
        let mut fake = medium();
        let listed = ListedMedium::read(&mut fake, "/m".as_ref()).unwrap();
        let stopped = listed.check_all(&mut fake, &mut |_, _| ControlFlow::Break(()));
        assert_eq!(stopped, Checked::Stopped);
        assert_eq!(fake.operations, 2, "list and first file were opened, no more");
    }
}
