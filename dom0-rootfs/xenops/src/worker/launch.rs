// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting and ending the worker process.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How a worker comes to life. Tests put threads in place of processes.
pub(crate) trait Launch: Send {
    fn launch(&mut self) -> io::Result<(UnixStream, Box<dyn Peer>)>;
}

/// The living worker.
pub(crate) trait Peer: Send {
    /// Ends it, if it still runs after `grace`, and says how it ended: "exited with status 1".
    fn end(&mut self, grace: Duration) -> String;
}

/// The worker program, started by exec with its end of a socket pair as standard input.
///
/// Standard input, for that is the one descriptor that can be handed over without code between
/// fork and exec. The worker ends when its socket closes, so it never outlives the daemon;
/// `PR_SET_PDEATHSIG` would follow the thread that started it, not the process.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Launch for Program {
    #[expect(clippy::disallowed_methods, reason = "the one program that this crate runs")]
    fn launch(&mut self) -> io::Result<(UnixStream, Box<dyn Peer>)> {
        let (ours, theirs) = UnixStream::pair()?;
        tracing::info!(program = %self.path.display(), arguments = ?self.arguments, "starting the hypervisor worker");
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        Ok((ours, Box::new(Running(child))))
    }
}

struct Running(Child);

impl Peer for Running {
    fn end(&mut self, grace: Duration) -> String {
        // A child that is dead keeps its own status: it has not been waited for.
        if !self.ends_within(grace)
            && let Err(error) = self.0.kill()
        {
            tracing::warn!(pid = self.0.id(), %error, "killing the hypervisor worker failed");
        }
        match self.0.wait() {
            Ok(status) => describe(status),
            Err(error) => format!("could not be waited for: {error}"),
        }
    }
}

impl Running {
    /// Waits for the process to end by itself; false if it has not, or that cannot be known.
    fn ends_within(&self, grace: Duration) -> bool {
        let Ok(grace) = Timespec::try_from(grace) else { return false };
        let Ok(process) = pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty()) else {
            return false;
        };
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        poll(&mut ended, Some(&grace)).is_ok_and(|count| count == 1)
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("exited with signal {signal}"),
        (None, None) => format!("ended: {status}"),
    }
}
