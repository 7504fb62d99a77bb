// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the database knows of earlier runs of the daemon, and the tokens by which clients say how far
//! they have heard.
//!
//! Not each number reaches the database: changes whose loss does no harm have none there. A token
//! therefore says beside its number how far behind the database was, and in which run that was.
//! After a start the database either has everything up to there, and everything since is known; or it
//! is another one, or an older copy, and the token means nothing.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::BLOCK;

/// So many runs are remembered.
const RUNS: usize = 100;
/// Bits of a token's second number that say how far behind the database was; less than [`BLOCK`].
const BEHIND: u32 = BLOCK.trailing_zeros();
/// Bits for the run; SQLite, XML-RPC and clients have signed numbers.
const ID: u32 = 63 - BEHIND;

/// How far a client has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Number of the newest transaction that it knows.
    pub generation: u64,
    /// The run of the daemon, and how far behind the database was.
    mark: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020},{:020}", self.generation, self.mark)
    }
}

impl FromStr for Token {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Token, Self::Err> {
        let (generation, mark) = text.split_once(',').unwrap_or((text, "0"));
        Ok(Token { generation: generation.parse()?, mark: mark.parse()? })
    }
}

/// A run of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// Tells it from those of other databases, too.
    id: u64,
    /// The newest number that is in the database.
    last: u64,
}

impl Run {
    fn read(text: &str) -> Option<Run> {
        let (id, last) = text.split_once(':')?;
        Some(Run { id: id.parse().ok()?, last: last.parse().ok()? })
    }
}

/// The run under way and those before it.
#[derive(Debug)]
pub(super) struct History {
    earlier: Vec<Run>,
    present: Run,
}

impl Default for History {
    fn default() -> History {
        // Never nought, which is what a token has that names no run.
        let id = (Uuid::new_v4().as_u128() as u64 >> (64 - ID)).max(1);
        History { earlier: Vec::new(), present: Run { id, last: 0 } }
    }
}

impl History {
    /// Begins a run after those of a note. If other numbers are set aside than it says, a program
    /// has run since that does not keep it, and what that did is not known. `newest` is the newest
    /// number in the database.
    pub(super) fn open(note: Option<&str>, reserved: u64, newest: u64) -> History {
        let mut words = note.unwrap_or_default().split(' ');
        let ours = words.next().and_then(|word| word.parse().ok()) == Some(reserved);
        let runs: Option<Vec<Run>> = words.map(Run::read).collect();
        let mut earlier = runs.filter(|_| ours).unwrap_or_default();
        if let Some(latest) = earlier.last_mut() {
            latest.last = latest.last.max(newest);
        }
        earlier.drain(..earlier.len().saturating_sub(RUNS));
        History { earlier, ..History::default() }
    }

    /// The note for the next run, if numbers below `reserved` are set aside and this is the newest.
    pub(super) fn note(&self, reserved: u64, newest: u64) -> String {
        let present = Run { last: newest, ..self.present };
        let runs = self.earlier.iter().chain([&present]);
        let runs: String = runs.map(|run| format!(" {}:{}", run.id, run.last)).collect();
        format!("{reserved}{runs}")
    }

    /// Whether there is no run before this one.
    pub(super) fn is_new(&self) -> bool {
        self.earlier.is_empty()
    }

    /// The database has this number.
    pub(super) fn written(&mut self, generation: u64) {
        self.present.last = generation;
    }

    /// The token of whoever knows all up to now.
    pub(super) fn token(&self, generation: u64) -> Token {
        // One that is further behind, as the disk is full, will not be understood by another run.
        let behind = generation.saturating_sub(self.present.last).min(BLOCK - 1);
        Token { generation, mark: (self.present.id << BEHIND) | behind }
    }

    /// Whether all that happened since a token is known, but for deletions that are forgotten.
    pub(super) fn knows(&self, token: Token) -> bool {
        let (id, behind) = (token.mark >> BEHIND, token.mark & (BLOCK - 1));
        let written = token.generation.checked_sub(behind);
        let earlier = |run: &Run| run.id == id && written.is_some_and(|number| number <= run.last);
        id == self.present.id || self.earlier.iter().any(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next run, of a database with this newest number.
    fn next(history: &History, reserved: u64, newest: u64) -> History {
        History::open(Some(&history.note(reserved, 5)), reserved, newest)
    }

    #[test]
    fn a_token_says_how_far_the_database_was() {
        let mut first = History::default();
        first.written(10);
        let token = first.token(13);
        assert_eq!(token.to_string().parse(), Ok(token));
        assert_eq!(token.to_string().len(), 41);
        assert!(first.knows(token));
        assert!(next(&first, 99, 10).knows(token), "what came after 10 is not in the database");
        assert!(!next(&first, 99, 9).knows(token), "a copy from before 10");
        // It comes to know the number by another run, which has not seen what the client has.
        let second = next(&first, 99, 9);
        assert!(!next(&second, 199, 150).knows(token));
        assert!(next(&next(&first, 99, 10), 199, 150).knows(token));
        first.written(2 * BLOCK);
        let behind = first.token(4 * BLOCK);
        assert!(first.knows(behind) && !next(&first, 99, 2 * BLOCK).knows(behind));
    }

    #[test]
    fn others_tokens_mean_nothing() {
        let (one, other) = (History::default(), History::default());
        assert!(one.is_new() && !one.knows(other.token(1)));
        for text in ["1", "1,0", "0,0", "18446744073709551615,18446744073709551615"] {
            assert!(!one.knows(text.parse().unwrap()), "{text}");
        }
        for text in ["", "x", "1,", "1,x", "-1,0", "1,2,3"] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
        // A program that does not keep the note has run meanwhile.
        let again = History::open(Some(&one.note(99, 5)), 100, 50);
        assert!(again.is_new() && !again.knows(one.token(1)));
        assert!(History::open(Some("99 nonsense"), 99, 50).is_new());
    }

    #[test]
    fn the_oldest_runs_are_forgotten() {
        let mut history = History::default();
        let token = history.token(5);
        for _ in 0..RUNS {
            history = next(&history, 99, 5);
            assert!(history.knows(token));
        }
        assert!(!next(&history, 99, 5).knows(token));
    }
}
