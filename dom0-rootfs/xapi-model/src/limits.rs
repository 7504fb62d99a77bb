// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits of the decoders, against messages made to exhaust the daemon.

/// Deepest nesting of sets and maps that is decoded.
pub const MAX_DEPTH: usize = 16;

/// Most values in one message.
pub const MAX_VALUES: usize = 200_000;

/// Why a message cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is no XML, or no JSON.
    #[error("reading the message: {0}")]
    Syntax(String),
    /// It is well-formed but no call and no answer.
    #[error("the message is not as the protocol has it: {0}")]
    Shape(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("values are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More than [`MAX_VALUES`] values.
    #[error("the message holds more than {MAX_VALUES} values")]
    TooMany,
}

/// Counts values while decoding.
#[derive(Default)]
pub(crate) struct Budget(usize);

impl Budget {
    /// One more value at this depth.
    pub(crate) fn spend(&mut self, depth: usize) -> Result<(), DecodeError> {
        self.0 += 1;
        if depth > MAX_DEPTH {
            Err(DecodeError::TooDeep)
        } else if self.0 > MAX_VALUES {
            Err(DecodeError::TooMany)
        } else {
            Ok(())
        }
    }
}
