// SPDX-License-Identifier: MIT OR Apache-2.0
//! The outer form of a `.deb`: an ar archive with a compressed tar archive in it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::UnpackError;

/// The `data.tar` of a package, decompressed.
pub(super) fn data(deb: &Path) -> Result<Vec<u8>, UnpackError> {
    let read = |part: &str| {
        let part = part.to_owned();
        move |source| UnpackError::Read { deb: deb.to_owned(), part, source }
    };
    let file = File::open(deb).map_err(read("the file"))?;
    let mut archive = ar::Archive::new(BufReader::new(file));
    let mut version_seen = false;
    while let Some(member) = archive.next_entry() {
        let mut member = member.map_err(read("the members"))?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let name = name.trim_end_matches('/');
        if name == "debian-binary" {
            let mut text = String::new();
            member.read_to_string(&mut text).map_err(read(name))?;
            version_seen = text.starts_with("2.");
        } else if let Some(compression) = name.strip_prefix("data.tar") {
            if !version_seen {
                break;
            }
            let mut data = Vec::new();
            decompress(compression, member, &mut data).map_err(read(name))?;
            return Ok(data);
        }
    }
    let what = if version_seen { "it has no data.tar" } else { "it is not of format 2" };
    Err(UnpackError::Form { deb: deb.to_owned(), what: what.to_owned() })
}

fn decompress(suffix: &str, mut member: impl Read, into: &mut Vec<u8>) -> io::Result<()> {
    match suffix {
        "" => member.read_to_end(into)?,
        ".xz" => lzma_rust2::XzReader::new(member, true).read_to_end(into)?,
        ".gz" => flate2::read::MultiGzDecoder::new(member).read_to_end(into)?,
        ".zst" => {
            let mut reader = ruzstd::decoding::StreamingDecoder::new(member)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
            reader.read_to_end(into)?
        }
        other => return Err(io::Error::other(format!("unknown compression {other}"))),
    };
    Ok(())
}

/// Decompresses a whole `.xz` file in memory.
///
/// # Errors
/// It is not one, or is damaged.
pub(crate) fn unxz(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    decompress(".xz", bytes, &mut text)?;
    Ok(text)
}
