// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages of the xenstore protocol (`xen/include/public/io/xs_wire.h`).

use std::io::{self, Read};

/// The longest payload in bytes that the protocol allows.
pub(super) const MAX_PAYLOAD: usize = 4096;
const HEADER: usize = 16;

/// Message types, as far as they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Directory = 1,
    Read = 2,
    Watch = 4,
    Unwatch = 5,
    TransactionStart = 6,
    TransactionEnd = 7,
    Write = 11,
    Remove = 13,
    SetPermissions = 14,
    WatchEvent = 15,
    Error = 16,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        use Kind::*;
        [
            Directory,
            Read,
            Watch,
            Unwatch,
            TransactionStart,
            TransactionEnd,
            Write,
            Remove,
            SetPermissions,
            WatchEvent,
            Error,
        ]
        .into_iter()
        .find(|kind| *kind as u32 == number)
    }
}

/// One message, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) request: u32,
    pub(super) transaction: u32,
    pub(super) payload: Vec<u8>,
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Message {
    /// As bytes, or none if the payload is too long.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        if self.payload.len() > MAX_PAYLOAD {
            return None;
        }
        let length = self.payload.len() as u32;
        let header = [self.kind as u32, self.request, self.transaction, length];
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend_from_slice(&self.payload);
        Some(bytes)
    }

    /// Reads one message.
    pub(super) fn receive(from: &mut impl Read) -> io::Result<Message> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header)?;
        let mut words = header
            .chunks_exact(4)
            .map(|word| u32::from_ne_bytes(word.try_into().unwrap_or_default()));
        let mut word = || words.next().unwrap_or_default();
        let (kind, request, transaction, length) = (word(), word(), word(), word() as usize);
        let kind =
            Kind::from_number(kind).ok_or_else(|| invalid(format!("message of type {kind}")))?;
        if length > MAX_PAYLOAD {
            return Err(invalid(format!("a payload of {length} bytes")));
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(Message { kind, request, transaction, payload })
    }
}

/// Splits `path NUL token NUL`.
pub(super) fn watch_event(payload: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(payload).ok()?.strip_suffix('\0')?;
    let (path, token) = text.split_once('\0')?;
    Some((path.to_owned(), token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;

    fn message() -> Message {
        let payload = b"@releaseDomain\0token\0".to_vec();
        Message { kind: Kind::WatchEvent, request: 3, transaction: 0, payload }
    }

    #[test]
    fn what_is_sent_arrives() {
        let bytes = message().encode().unwrap();
        assert_eq!(bytes.len(), 16 + 21);
        assert_eq!(&bytes[..4], 15u32.to_ne_bytes());
        assert_eq!(Message::receive(&mut bytes.as_slice()).unwrap(), message());
        let long = Message { payload: vec![0; MAX_PAYLOAD + 1], ..message() };
        assert_eq!(long.encode(), None);
    }

    #[test]
    fn watch_events_are_two_strings() {
        let event = watch_event(b"/a/b\0token\0");
        assert_eq!(event, Some(("/a/b".into(), "token".into())));
        for bad in [&b""[..], b"/a/b", b"/a\0", b"/a\0t", b"\xff\0t\0"] {
            assert_eq!(watch_event(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn noise_never_breaks_the_decoder() {
        let clean = message().encode().unwrap();
        let mut noise = Noise::new(0x5eed_0002);
        let mut refused = 0;
        for _ in 0..20_000 {
            let dirty = noise.spoil(&clean);
            match Message::receive(&mut dirty.as_slice()) {
                Ok(message) => drop(watch_event(&message.payload)),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 5_000, "only {refused} of the spoilt messages were noticed");
    }
}
