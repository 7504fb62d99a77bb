// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether whoever serves a folder answers.
//!
//! A call that looks into a folder of a server that is gone lasts until the server is back, and nothing ends
//! it. So it is asked for first, by a thread that may last, and whoever wants to know waits for a while only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxFlags};

/// How long a server may take to answer: one that is busy takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Questions of this process that were not answered yet.
static OPEN: Questions = Questions::new();

/// Whether what is mounted at a folder answers. A server that was silent for long is not waited for again until it has
/// answered.
pub(crate) fn answers(folder: &Path) -> bool {
    OPEN.ask(folder, PATIENCE, |folder| {
        // What it answers does not matter.
        let _ = rustix::fs::statx(CWD, folder, AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS);
    })
}

/// At most one for each folder.
struct Questions(Mutex<BTreeMap<PathBuf, Arc<Question>>>);

struct Question {
    asked: Instant,
    answered: Mutex<bool>,
    bell: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Questions {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Whether the question, which `look` asks, is answered before it is older than `patience`.
    fn ask(
        &'static self,
        folder: &Path,
        patience: Duration,
        look: impl FnOnce(&Path) + Send + 'static,
    ) -> bool {
        let question = {
            let mut open = lock(&self.0);
            match open.get(folder) {
                Some(question) => question.clone(),
                None => {
                    let question = Arc::new(Question {
                        asked: Instant::now(),
                        answered: Mutex::new(false),
                        bell: Condvar::new(),
                    });
                    let (folder, asked) = (folder.to_owned(), question.clone());
                    let begun = std::thread::Builder::new().name("server".into()).spawn({
                        let folder = folder.clone();
                        move || {
                            look(&folder);
                            lock(&self.0).remove(&folder);
                            *lock(&asked.answered) = true;
                            asked.bell.notify_all();
                        }
                    });
                    if let Err(error) = begun {
                        tracing::warn!(%error, "asking whether a server answers");
                        return true;
                    }
                    open.insert(folder, question.clone());
                    question
                }
            }
        };
        let left = patience.saturating_sub(question.asked.elapsed());
        let answered = lock(&question.answered);
        let waited = question.bell.wait_timeout_while(answered, left, |answered| !*answered);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn silence_is_noticed_once_and_ends_with_an_answer() {
        static QUESTIONS: Questions = Questions::new();
        let folder = Path::new("/nowhere");
        let (back, silent) = mpsc::channel::<()>();
        let gone = QUESTIONS.ask(folder, Duration::from_millis(20), move |_| {
            silent.recv().unwrap();
        });
        assert!(!gone);
        for _ in 0..100 {
            let again = |_: &Path| panic!("it is asked again");
            assert!(!QUESTIONS.ask(folder, Duration::from_millis(20), again), "it is silent");
        }
        assert!(QUESTIONS.ask(Path::new("/elsewhere"), LONG, |_| ()), "another one answers");
        // Whoever asks meanwhile hears the answer, and whoever asks later asks anew.
        let waiting = std::thread::spawn(move || QUESTIONS.ask(folder, LONG, |_| ()));
        back.send(()).unwrap();
        assert!(waiting.join().unwrap());
        let (again, asked) = mpsc::channel();
        assert!(QUESTIONS.ask(folder, LONG, move |_| again.send(()).unwrap()));
        asked.recv().unwrap();
        assert!(lock(&QUESTIONS.0).is_empty());
    }

    #[test]
    fn a_folder_of_this_host_answers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(answers(folder.path()));
        assert!(answers(&folder.path().join("missing")), "an error is an answer");
    }
}
