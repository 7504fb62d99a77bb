// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's text console in this terminal.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

use crate::Stream;

/// Ctrl-], which ends it, as in telnet.
const ESCAPE: u8 = 0x1d;

/// The terminal passes every key on as it is, until this is dropped.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    fn new(terminal: BorrowedFd<'a>) -> Result<Option<Raw<'a>>> {
        if !isatty(terminal) {
            return Ok(None);
        }
        let before = tcgetattr(terminal).context("asking for the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        let doing = "setting the terminal up";
        tcsetattr(terminal, OptionalActions::Now, &raw).context(doing)?;
        Ok(Some(Raw { terminal, before }))
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // A terminal that went away needs no settings.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Passes on what is typed and shows what comes, until Ctrl-] or until the server hangs up. Without
/// a terminal the end of what is typed ends nothing.
/// `begun` is what came with the connection.
pub fn relay<K: Read + AsFd>(
    begun: &[u8],
    stream: &mut dyn Stream,
    keys: &mut K,
    screen: &mut dyn Write,
) -> Result<()> {
    let terminal = keys.as_fd().try_clone_to_owned().context("opening the terminal")?;
    let raw = Raw::new(terminal.as_fd())?;
    if raw.is_some() {
        screen.write_all(b"Connected; Ctrl-] ends.\r\n").context("writing to the terminal")?;
    }
    screen.write_all(begun).and_then(|()| screen.flush()).context("writing to the terminal")?;
    rustix::io::ioctl_fionbio(&*stream, true).context("setting up the connection")?;
    let mut buffer = vec![0; 64 << 10];
    let mut typing = true;
    loop {
        if show(stream, &mut buffer, screen)? {
            return Ok(());
        }
        let readable = PollFlags::IN;
        let mut waiting = vec![PollFd::from_borrowed_fd(stream.as_fd(), readable)];
        if typing {
            waiting.push(PollFd::new(&terminal, readable));
        }
        poll(&mut waiting, None).context("waiting for the console")?;
        if waiting.get(1).is_none_or(|keys| keys.revents().is_empty()) {
            continue;
        }
        drop(waiting);
        let count = keys.read(&mut buffer).context("reading from the terminal")?;
        typing = count > 0;
        let typed = &buffer[..count];
        let end = typed.iter().position(|byte| *byte == ESCAPE);
        send(stream, &typed[..end.unwrap_or(count)])?;
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Shows what is there. True when nothing more can come.
fn show(stream: &mut dyn Stream, buffer: &mut [u8], screen: &mut dyn Write) -> Result<bool> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Ok(true),
            Ok(count) => {
                screen.write_all(&buffer[..count]).context("writing to the terminal")?;
                screen.flush().context("writing to the terminal")?;
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(false),
                ErrorKind::Interrupted => {}
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => return Ok(true),
                _ => return Err(error).context("reading from the console"),
            },
        }
    }
}

fn send(stream: &mut dyn Stream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) => wait_to_write(stream, error)?,
        }
    }
    while let Err(error) = stream.flush() {
        wait_to_write(stream, error)?;
    }
    Ok(())
}

fn wait_to_write(stream: &dyn Stream, error: io::Error) -> Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock => {
            let mut waiting = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)];
            poll(&mut waiting, None).context("waiting for the console")?;
            Ok(())
        }
        ErrorKind::Interrupted => Ok(()),
        _ => Err(error).context("writing to the console"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// Relays `typed` to a guest that answers with `guest`.
    fn session(typed: &[u8], guest: impl FnOnce(UnixStream) + Send + 'static) -> Vec<u8> {
        let (mut near, far) = UnixStream::pair().unwrap();
        let (mut keys, mut fingers) = UnixStream::pair().unwrap();
        let guest = thread::spawn(move || guest(far));
        fingers.write_all(typed).unwrap();
        let mut screen = Vec::new();
        relay(b"login: ", &mut near, &mut keys, &mut screen).unwrap();
        drop(near);
        guest.join().unwrap();
        screen
    }

    #[test]
    fn what_is_typed_goes_there_and_ctrl_bracket_ends() {
        let screen = session(b"ls\n\x1drest", |mut far| {
            let mut got = String::new();
            far.read_to_string(&mut got).unwrap();
            assert_eq!(got, "ls\n");
        });
        assert_eq!(screen, b"login: ");
    }

    #[test]
    fn what_comes_is_shown_until_the_guest_is_gone() {
        let screen = session(b"", |mut far| far.write_all(&[b'x'; 200_000]).unwrap());
        assert_eq!(screen.len(), 200_007);
    }
}
