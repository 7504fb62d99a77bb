// SPDX-License-Identifier: MIT OR Apache-2.0
//! The beginning of a suspend image, which says whose it is and that it is whole.
//!
//! It fills [`LENGTH`] bytes: a line that names the format, a line of JSON ([`Header`]), then zeros.
//! What follows is the hypervisor's own stream (`docs/specs/libxl-migration-stream.pandoc` of Xen).
//! It is written last, after everything else is on the disk, so an image that was cut off has none.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::XenopsError;

/// Bytes before the stream.
pub const LENGTH: usize = 4096;
/// Format and its version.
const MAGIC: &[u8] = b"XENITH-SUSPEND 1\n";

/// Whose image it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The VM's uuid.
    pub vm: Uuid,
    /// The Xen that wrote it: `4.20.3`.
    pub xen: String,
}

impl Header {
    /// As it is written.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut bytes = MAGIC.to_vec();
        serde_json::to_writer(&mut bytes, self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        if bytes.len() > LENGTH {
            return Err(format!("its header of {} bytes is longer than {LENGTH}", bytes.len()));
        }
        bytes.resize(LENGTH, 0);
        Ok(bytes)
    }

    /// The reverse of [`Header::encode`], or what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Header, String> {
        let rest = bytes.get(..LENGTH).and_then(|bytes| bytes.strip_prefix(MAGIC));
        let rest = rest.ok_or("it is not whole, or no suspend image")?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("its header has no end")?;
        if rest[end + 1..].iter().any(|byte| *byte != 0) {
            return Err("there is something behind its header".into());
        }
        serde_json::from_slice(&rest[..end]).map_err(|error| format!("its header: {error}"))
    }
}

/// Removes the header of what lay in a file before, so that a cut off image is not taken for whole.
pub(crate) fn begin(image: &File) -> io::Result<()> {
    image.write_all_at(&[0; LENGTH], 0)?;
    image.sync_data()
}

/// Declares an image whole.
pub(crate) fn finish(image: &File, header: &Header) -> io::Result<()> {
    image.sync_data()?;
    image.write_all_at(&header.encode().map_err(io::Error::other)?, 0)?;
    image.sync_data()
}

fn read(image: &File) -> Result<Header, String> {
    let mut bytes = vec![0; LENGTH];
    let read = image.read_exact_at(&mut bytes, 0);
    read.map_err(|error| format!("reading its header: {error}"))?;
    Header::decode(&bytes)
}

/// Fails unless `image` at `path` is whole and of the VM.
pub(crate) fn check(image: &File, path: &Path, vm: Uuid) -> Result<Header, XenopsError> {
    let bad = |detail: String| XenopsError::BadImage { image: path.display().to_string(), detail };
    let header = read(image).map_err(bad)?;
    if header.vm != vm {
        return Err(bad(format!("it is of VM {}", header.vm)));
    }
    Ok(header)
}

/// Makes a whole image that of another VM.
///
/// # Errors
/// [`XenopsError::BadImage`] where it is not whole, or cannot be written to.
pub fn hand_over(path: &Path, vm: Uuid) -> Result<(), XenopsError> {
    let bad = |detail: String| XenopsError::BadImage { image: path.display().to_string(), detail };
    let image = File::options().read(true).write(true).open(path);
    let image = image.map_err(|error| bad(format!("opening it: {error}")))?;
    let header = Header { vm, ..read(&image).map_err(bad)? };
    finish(&image, &header).map_err(|error| bad(format!("writing its header: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;

    fn header() -> Header {
        Header { vm: Uuid::from_u128(7), xen: "4.20.3".into() }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = header().encode().unwrap();
        assert_eq!(bytes.len(), LENGTH);
        assert_eq!(Header::decode(&bytes), Ok(header()));
        assert!(Header { xen: "x".repeat(LENGTH), ..header() }.encode().is_err());
    }

    #[test]
    fn bad_headers_are_refused() {
        let good = header().encode().unwrap();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Header::decode(&bytes).unwrap_err()
        };
        let refused = |bytes: &[u8]| Header::decode(bytes).unwrap_err();
        assert_eq!(refused(&[]), "it is not whole, or no suspend image");
        assert_eq!(refused(&[0; LENGTH]), "it is not whole, or no suspend image");
        assert_eq!(refused(&good[..LENGTH - 1]), "it is not whole, or no suspend image");
        assert_eq!(with(15, b'2'), "it is not whole, or no suspend image");
        assert_eq!(with(LENGTH - 1, 1), "there is something behind its header");
        assert!(with(MAGIC.len(), b'?').starts_with("its header: "));
        let mut endless = good.clone();
        endless[MAGIC.len()..].fill(b' ');
        assert_eq!(refused(&endless), "its header has no end");
        let mut more = MAGIC.to_vec();
        more.extend(br#"{"vm":"00000000-0000-0000-0000-000000000007","xen":"4","more":1}"#);
        more.push(b'\n');
        more.resize(LENGTH, 0);
        assert!(refused(&more).contains("unknown field"));
    }

    #[test]
    fn a_whole_image_becomes_that_of_another_vm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let (one, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
        std::fs::write(&path, [&header().encode().unwrap()[..], b"memory"].concat()).unwrap();
        hand_over(&path, other).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(Header::decode(&bytes), Ok(Header { vm: other, ..header() }));
        assert_eq!(&bytes[LENGTH..], b"memory");
        let image = File::open(&path).unwrap();
        assert!(check(&image, &path, other).is_ok() && check(&image, &path, one).is_err());
        // One that was cut off has no header, and gets none.
        std::fs::write(&path, [0; LENGTH + 6]).unwrap();
        assert!(hand_over(&path, other).unwrap_err().to_string().contains("it is not whole"));
        assert_eq!(std::fs::read(&path).unwrap(), [0; LENGTH + 6]);
        assert!(hand_over(&folder.path().join("none"), other).is_err());
    }

    #[test]
    fn noise_never_breaks_the_decoder() {
        let clean = header().encode().unwrap();
        let mut noise = Noise::new(0x5eed_0003);
        let refused = (0..5_000).filter(|_| Header::decode(&noise.spoil(&clean)).is_err()).count();
        assert!(refused > 500, "only {refused} of the spoilt headers were noticed");
    }

    #[test]
    fn an_image_is_whole_only_at_the_end_and_of_one_vm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        finish(&file, &header()).unwrap();
        assert_eq!(check(&file, &path, header().vm).unwrap(), header());
        let other = check(&file, &path, Uuid::from_u128(8)).unwrap_err().to_string();
        assert!(other.contains("it is of VM 00000000-0000-0000-0000-000000000007"), "{other}");
        begin(&file).unwrap();
        assert!(check(&file, &path, header().vm).is_err());
    }
}
