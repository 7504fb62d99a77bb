// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs as one file.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tar::{Builder, EntryType, Header};

use super::Secrets;

/// One file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of the file.
    pub name: String,
    /// What is in it, or why that could not be had.
    pub content: Result<String, String>,
}

/// A tar archive (POSIX.1-1988 ustar), compressed with gzip (RFC 1952).
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    /// A name that tells machines and times apart.
    pub name: String,
    /// The archive.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({:?}, {} bytes)", self.name, self.bytes.len())
    }
}

impl Bundle {
    /// Packs the parts, without the secrets. `machine` is what the machine calls itself, `now` is in
    /// seconds since 1970.
    ///
    /// # Errors
    /// A name that is too long for an archive.
    pub fn pack(
        machine: Option<&str>,
        now: u64,
        parts: &[Part],
        secrets: &Secrets,
    ) -> io::Result<Self> {
        let stem = stem(machine, now);
        let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for part in parts {
            let text = match &part.content {
                Ok(text) => text.clone(),
                Err(error) => format!("This could not be had: {error}\n"),
            };
            let text = secrets.remove_from(&text);
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(now);
            archive.append_data(&mut header, format!("{stem}/{}", part.name), text.as_bytes())?;
        }
        let bytes = archive.into_inner()?.finish()?;
        Ok(Self { name: format!("{stem}.tar.gz"), bytes })
    }
}

/// `xenith-logs-example-server-2000-20251124T160000Z`: letters that every file system takes.
fn stem(machine: Option<&str>, now: u64) -> String {
    let time = i64::try_from(now).ok().and_then(|now| Timestamp::from_second(now).ok());
    let time = time.unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    let words = machine.unwrap_or_default().to_lowercase();
    let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut stem = "xenith-logs".to_owned();
    for word in words {
        if stem.len() + word.len() < 48 {
            stem.push('-');
            stem.push_str(word);
        }
    }
    format!("{stem}-{time}")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn parts_come_back_without_secrets() {
        let part = |name: &str, content: Result<&str, &str>| Part {
            name: name.into(),
            content: content.map(str::to_owned).map_err(str::to_owned),
        };
        let parts = [
            part("dmesg.txt", Ok("Command line: xenith.ssh-password=hunter22 quiet\n")),
            part("xen.txt", Err("starting `xl dmesg`: no such file")),
        ];
        let secrets = Secrets::of("xenith.ssh-password=hunter22");
        let machine = Some("Example Server/2000 (rev. A)");
        let bundle = Bundle::pack(machine, 1_764_000_000, &parts, &secrets).unwrap();
        let stem = "xenith-logs-example-server-2000-rev-a-20251124T160000Z";
        assert_eq!(bundle.name, format!("{stem}.tar.gz"));
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bundle.bytes[..]));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 1_764_000_000);
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        let first = "Command line: xenith.ssh-password=[removed] quiet\n".to_owned();
        let second = "This could not be had: starting `xl dmesg`: no such file\n".to_owned();
        let expected = [(format!("{stem}/dmesg.txt"), first), (format!("{stem}/xen.txt"), second)];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(stem(None, 0), "xenith-logs-19700101T000000Z");
        let long = "ü".repeat(50) + &"x".repeat(200) + " y";
        assert_eq!(stem(Some(&long), u64::MAX), "xenith-logs-y-19700101T000000Z");
    }
}
