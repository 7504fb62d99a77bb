// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which format an SR keeps a VDI, as XCP-ng 8.3 names it: `device_config:preferred-image-formats`
//! says what an SR makes, `sm_config:image-format` what one VDI shall be.

use crate::driver::SrSpec;
use crate::error::StorageError;

/// How a VDI lies in its SR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageFormat {
    /// As it is: a file or a volume with the disk's bytes.
    Raw,
    /// QEMU's format with copy on write.
    Qcow2,
}

/// The key of `device_config`.
pub(crate) const PREFERRED: &str = "preferred-image-formats";

impl ImageFormat {
    /// As the API has it: `raw`, `qcow2`.
    pub fn name(self) -> &'static str {
        match self {
            ImageFormat::Raw => "raw",
            ImageFormat::Qcow2 => "qcow2",
        }
    }

    /// Reads what [`ImageFormat::name`] gives.
    pub fn parse(name: &str) -> Option<ImageFormat> {
        [ImageFormat::Raw, ImageFormat::Qcow2].into_iter().find(|format| format.name() == name)
    }
}

fn list(formats: &[ImageFormat]) -> String {
    let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
    names.join(", ")
}

/// The formats that an SR makes, the one for VDIs that ask for none first. `able` is what the driver can
/// on this host, in its own order.
pub(crate) fn preferred(
    sr: &SrSpec,
    able: &[ImageFormat],
) -> Result<Vec<ImageFormat>, StorageError> {
    let Some(text) = sr.device_config.get(PREFERRED) else { return Ok(able.to_vec()) };
    let mut formats = Vec::new();
    for word in text.split(',').map(str::trim) {
        match ImageFormat::parse(word).filter(|format| able.contains(format)) {
            Some(format) if !formats.contains(&format) => formats.push(format),
            Some(_) => {}
            None => {
                return Err(StorageError::Config {
                    key: PREFERRED.to_owned(),
                    problem: format!("is {text}; of {} only", list(able)),
                });
            }
        }
    }
    Ok(formats)
}

/// The format of a new VDI.
pub(crate) fn choose(
    sr: &SrSpec,
    able: &[ImageFormat],
    asked: Option<ImageFormat>,
) -> Result<ImageFormat, StorageError> {
    let formats = preferred(sr, able)?;
    match asked {
        Some(asked) if formats.contains(&asked) => Ok(asked),
        Some(asked) => Err(StorageError::Format { asked, made: list(&formats) }),
        None => Ok(formats[0]),
    }
}

#[cfg(test)]
mod tests {
    use ImageFormat::{Qcow2, Raw};

    use super::*;

    fn sr(preferred: Option<&str>) -> SrSpec {
        let config = preferred.map(|text| (PREFERRED.to_owned(), text.to_owned()));
        SrSpec { uuid: uuid::Uuid::nil(), device_config: config.into_iter().collect() }
    }

    #[test]
    fn the_first_is_made_and_others_when_asked_for() {
        let cases = [
            (None, None, Ok(Raw)),
            (None, Some(Qcow2), Ok(Qcow2)),
            (Some("qcow2"), None, Ok(Qcow2)),
            (Some("qcow2, raw"), None, Ok(Qcow2)),
            (Some("qcow2,raw"), Some(Raw), Ok(Raw)),
            (Some("raw,qcow2"), None, Ok(Raw)),
            (Some("qcow2"), Some(Raw), Err("this SR makes VDIs of format qcow2, not raw")),
            (
                Some("vhd,qcow2"),
                None,
                Err("device_config:preferred-image-formats is vhd,qcow2; of raw, qcow2 only"),
            ),
            (Some(""), None, Err("device_config:preferred-image-formats is ; of raw, qcow2 only")),
        ];
        for (preferred, asked, expected) in cases {
            let chosen = choose(&sr(preferred), &[Raw, Qcow2], asked).map_err(|e| e.to_string());
            assert_eq!(chosen, expected.map_err(str::to_owned), "{preferred:?} {asked:?}");
        }
        assert!(choose(&sr(Some("qcow2")), &[Raw], None).is_err(), "no programs for it here");
        assert!(choose(&sr(None), &[Raw], Some(Qcow2)).is_err());
    }

    #[test]
    fn names_are_read_back() {
        for format in [Raw, Qcow2] {
            assert_eq!(ImageFormat::parse(format.name()), Some(format));
        }
        assert_eq!(ImageFormat::parse("vhd"), None);
    }
}
