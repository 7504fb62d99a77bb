// SPDX-License-Identifier: MIT OR Apache-2.0
//! An operation, interrupted at each of its steps, one after the other.

use std::time::{Duration, Instant};

use xapi_model::Reply;

use super::fate::Blow;
use super::host::{Host, Run};
use super::soundness::{difference, problems, told};

/// An operation.
pub struct Operation {
    /// Makes what it needs; gives the references.
    pub prepare: fn(&Run) -> Vec<String>,
    /// Does it.
    pub act: fn(&Run, &[String]) -> Reply,
    /// Whether it has taken effect.
    pub done: fn(&Run, &[String]) -> bool,
    /// It has steps between which nothing is lost, though it is not as it was.
    pub by_steps: bool,
}

/// How long what others do afterwards may take.
const SOON: Duration = Duration::from_secs(5);

/// Waits until nothing is wrong.
fn settle(host: &Host, run: &Run, when: &str) {
    let begun = Instant::now();
    loop {
        let wrong = problems(host, run);
        if wrong.is_empty() {
            return;
        }
        assert!(begun.elapsed() < SOON, "{when}:\n{}", wrong.join("\n"));
        run.follow();
        std::thread::yield_now();
    }
}

impl Operation {
    /// Kills the daemon before each call with which the operation changes something, and after the last of
    /// them, and lets each call fail.
    pub fn interrupt(&self) {
        for blow in [Blow::Killed, Blow::Fails] {
            let last = (1..).find(|number| !self.once(blow(*number)));
            println!("until {:?}", last.map(blow));
        }
    }

    /// Whether the operation came to that call.
    fn once(&self, blow: Blow) -> bool {
        let host = Host::new();
        let mut run = host.start();
        let given = (self.prepare)(&run);
        settle(&host, &run, "before");
        let before = told(&run);
        run.fate.expect(blow);
        let reply = run.attempt(self.act, &given);
        let struck = run.fate.struck();
        let when = format!("{blow:?} {struck:?}, which answered {reply:?}");
        if !matches!(blow, Blow::Fails(_)) {
            // Also when it has just ended.
            run.fate.kill();
            run = host.start();
        }
        settle(&host, &run, &when);
        let answered = matches!(reply, Some(Ok(_)));
        if (self.done)(&run, &given) {
            let failed = matches!(blow, Blow::Fails(_)) && !answered;
            assert!(!failed || self.by_steps, "{when}, and yet it is done");
        } else {
            assert!(!answered, "{when}, and it is not done");
            let changed = difference(&before, &told(&run));
            assert!(self.by_steps || changed.is_empty(), "{when}:\n{}", changed.join("\n"));
            let again = (self.act)(&run, &given);
            assert!(again.is_ok(), "{when}; again: {again:?}");
            settle(&host, &run, &format!("{when}; done again"));
            assert!((self.done)(&run, &given), "{when}; done again in vain");
        }
        struck.is_some()
    }
}
