// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames on the socket between daemon and worker: length (4 bytes, little-endian), then JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame in bytes, without its length: a list of some 4,000 domains.
pub(crate) const MAX_FRAME: usize = 8 << 20;

/// Why a frame could not be sent or received. The connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("reading or writing a frame")]
    Io(#[source] io::Error),
    #[error("a frame of {0} bytes is longer than {MAX_FRAME}")]
    TooLong(usize),
    #[error("the connection ended in the middle of a frame")]
    Torn,
    #[error("understanding a frame")]
    Garbage(#[source] serde_json::Error),
}

/// Sends one message, in a single write.
pub(crate) fn send<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message).map_err(FrameError::Garbage)?;
    let length = frame.len() - 4;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    to.write_all(&frame).map_err(FrameError::Io)
}

/// Receives one message; none when the other side has closed between two frames.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>, FrameError> {
    let mut length = [0; 4];
    let mut have = 0;
    while have < length.len() {
        match from.read(&mut length[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Torn),
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io(error)),
        }
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Torn,
        _ => FrameError::Io(error),
    })?;
    serde_json::from_slice(&body).map(Some).map_err(FrameError::Garbage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Noise};
    use crate::worker::protocol::{Call, FromWorker, Request};

    fn call() -> Call {
        Call { id: 7, request: Request::Create(Box::new(testing::hvm())) }
    }

    #[test]
    fn what_is_sent_arrives() {
        let mut wire = Vec::new();
        send(&mut wire, &call()).unwrap();
        send(&mut wire, &call()).unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(receive(&mut wire).unwrap(), Some(call()));
        assert_eq!(receive(&mut wire).unwrap(), Some(call()));
        assert_eq!(receive::<Call>(&mut wire).unwrap(), None);
    }

    #[test]
    fn torn_long_and_garbled_frames_are_told_apart() {
        let mut wire = Vec::new();
        send(&mut wire, &call()).unwrap();
        for cut in 1..wire.len() {
            let torn = receive::<Call>(&mut &wire[..cut]);
            assert!(matches!(torn, Err(FrameError::Torn)), "{cut}: {torn:?}");
        }
        let long = (MAX_FRAME as u32 + 1).to_le_bytes();
        assert!(matches!(receive::<Call>(&mut &long[..]), Err(FrameError::TooLong(_))));
        let garbage = [2, 0, 0, 0, b'{', b'?'];
        assert!(matches!(receive::<Call>(&mut &garbage[..]), Err(FrameError::Garbage(_))));
        assert!(matches!(
            send(&mut Vec::new(), &"x".repeat(MAX_FRAME)),
            Err(FrameError::TooLong(_))
        ));
    }

    #[test]
    fn noise_never_breaks_the_decoder() {
        let mut clean = Vec::new();
        send(&mut clean, &call()).unwrap();
        let mut noise = Noise::new(0x5eed_0001);
        let mut refused = 0;
        for _ in 0..20_000 {
            let dirty = noise.spoil(&clean);
            let mut wire = dirty.as_slice();
            refused += u32::from(receive::<Call>(&mut wire).is_err());
            let _ = receive::<FromWorker>(&mut dirty.as_slice());
        }
        assert!(refused > 10_000, "only {refused} of the spoilt frames were noticed");
    }
}
