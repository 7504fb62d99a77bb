// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes of a client make the daemon panic or keep it from ending the connection; who has no session
//! gets no more than that.
//!
//! The word `SESSION` becomes a session that may only look.

use crate::daemon;

const WORD: &[u8] = b"SESSION";

pub(crate) fn run(data: &[u8]) {
    daemon::with(|daemon| {
        let answer = daemon.in_session(|session| daemon.connection(&named(data, session.as_str())));
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "an answer that is none");
    });
}

/// With the session in the place of the word.
fn named(data: &[u8], session: &str) -> Vec<u8> {
    let mut sent = Vec::with_capacity(data.len() + session.len());
    let mut rest = data;
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(WORD) {
            Some(tail) => {
                sent.extend_from_slice(session.as_bytes());
                rest = tail;
            }
            None => {
                sent.push(*first);
                rest = tail;
            }
        }
    }
    sent
}
