// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting and ending the worker process.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
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
        hang_up_at_exit(&child, ours.try_clone()?)?;
        Ok((ours, Box::new(Running(child))))
    }
}

/// Closes the socket when the process ends. The kernel alone does not: libxl forks children that
/// never exec, and as long as one of them lives it holds the worker's end open.
fn hang_up_at_exit(child: &Child, socket: UnixStream) -> io::Result<()> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let wait = move || {
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut ended, None) {}
        // It fails only if the socket is closed already.
        let _ = socket.shutdown(Shutdown::Both);
    };
    thread::Builder::new().name("xenops-worker-end".into()).spawn(wait).map(drop)
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shell(script: &str) -> (UnixStream, Box<dyn Peer>) {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        Program { path: "/bin/sh".into(), arguments }.launch().unwrap()
    }

    #[test]
    fn the_socket_closes_with_the_process_though_a_child_holds_it() {
        let (mut socket, mut peer) = shell("sleep 60 <&0 & echo $! >&0; exit 3");
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let child = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        assert_eq!(peer.end(Duration::from_secs(30)), "exited with status 3");
    }

    #[test]
    fn what_does_not_end_is_killed() {
        let (_socket, mut peer) = shell("exec sleep 60");
        assert_eq!(peer.end(Duration::ZERO), "exited with signal 9");
    }
}
