// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any kernel command line asks for nothing, for answers at a place, or is refused with a reason. A
//! fingerprint is there only where a certificate is, and a proxy's password is not shown.

use std::path::Path;

use installer_core::delivery::{AnswerSource, Asked, Place, Words};

pub(crate) fn run(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let medium = Path::new("/run/xenith/medium");
    match Asked::parse(Words::of(line), Some(medium)) {
        Ok(None) => {}
        Ok(Some(asked)) => {
            let secure = match &asked.source {
                AnswerSource::Post(url) => url.is_secure(),
                AnswerSource::Place(place) => place.url().is_some_and(|url| url.is_secure()),
                AnswerSource::Announced => true,
                AnswerSource::Label(_) => false,
            };
            assert!(secure || asked.web.pin.is_none());
            if let AnswerSource::Place(Place::File(path)) = &asked.source {
                assert!(path.starts_with(medium));
            }
            if let Some(proxy) = &asked.web.proxy {
                let secret = proxy.as_str().rsplit_once('@').map(|(secret, _)| secret.len());
                assert_eq!(secret.is_some(), proxy.to_string().contains('…'));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
