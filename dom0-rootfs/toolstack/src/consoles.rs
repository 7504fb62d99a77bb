// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text consoles of running VMs: read all the time, so that a client who connects late still sees
//! how the guest booted, and several can watch at once.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::broadcast;
use xapi_model::Ref;

/// Bytes of output that are kept for those who connect late.
const KEPT: usize = 64 * 1024;
/// Pieces of output that a slow client may be behind before it loses some.
const BEHIND: usize = 256;
/// How long a guest may take to accept what is typed, in seconds.
const TYPING: i64 = 10;
/// Consoles that are looked at in one round.
const ROUND: usize = 32;

/// Output so far, and what follows.
pub type Listening = (Vec<u8>, broadcast::Receiver<Vec<u8>>);

/// All text consoles. One thread reads them all, however many there are.
#[derive(Debug, Default)]
pub struct Consoles(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    consoles: HashMap<Ref, Console>,
    /// What the reading thread waits with; made with the first console.
    waiting: Option<Arc<OwnedFd>>,
    last: u64,
}

#[derive(Debug, Clone)]
struct Console {
    /// What the reading thread knows it by.
    number: u64,
    terminal: Arc<File>,
    output: Arc<Output>,
}

#[derive(Debug)]
struct Output {
    kept: Mutex<VecDeque<u8>>,
    live: broadcast::Sender<Vec<u8>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Consoles {
    /// Begins to read the console of a VM. A console that cannot be read is logged: the guest runs
    /// without it.
    pub fn attach(&self, vm: &Ref, path: &Path) {
        if let Err(error) = self.try_attach(vm, path) {
            tracing::warn!(%vm, path = %path.display(), %error, "opening a console");
        }
    }

    fn try_attach(&self, vm: &Ref, path: &Path) -> io::Result<()> {
        let terminal = Arc::new(open(path)?);
        let mut state = lock(&self.0);
        let waiting = match &state.waiting {
            Some(waiting) => waiting.clone(),
            None => {
                let waiting = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
                let (all, own) = (Arc::downgrade(&self.0), waiting.clone());
                std::thread::Builder::new().name("consoles".into()).spawn(move || {
                    while let Some(all) = all.upgrade() {
                        if let Err(error) = round(&all, &own) {
                            tracing::error!(%error, "reading consoles");
                            return;
                        }
                    }
                })?;
                state.waiting.insert(waiting).clone()
            }
        };
        state.last += 1;
        let number = state.last;
        let output =
            Output { kept: Mutex::new(VecDeque::new()), live: broadcast::Sender::new(BEHIND) };
        let console = Console { number, terminal: terminal.clone(), output: Arc::new(output) };
        state.consoles.insert(vm.clone(), console);
        let data = epoll::EventData::new_u64(number);
        epoll::add(&waiting, &terminal, data, epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Ends it.
    pub fn detach(&self, vm: &Ref) {
        lock(&self.0).consoles.remove(vm);
    }

    /// Listens to a VM's console.
    pub fn listen(&self, vm: &Ref) -> Option<Listening> {
        let console = lock(&self.0).consoles.get(vm).cloned()?;
        let kept = console.output.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock of what is kept, nothing falls between it and what follows.
        let live = console.output.live.subscribe();
        Some((kept.iter().copied().collect(), live))
    }

    /// Types on a VM's console. Blocks while the guest does not take it.
    pub fn write(&self, vm: &Ref, mut bytes: &[u8]) -> io::Result<()> {
        let Some(console) = lock(&self.0).consoles.get(vm).cloned() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        while !bytes.is_empty() {
            match (&*console.terminal).write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut terminal = [PollFd::new(&console.terminal, PollFlags::OUT)];
                    let longest = Timespec { tv_sec: TYPING, tv_nsec: 0 };
                    if poll(&mut terminal, Some(&longest))? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    // Otherwise the terminal would echo the guest's output back to it as input.
    let mut settings = tcgetattr(&terminal)?;
    settings.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &settings)?;
    Ok(terminal)
}

/// Waits for output of any console and takes it.
fn round(state: &Mutex<State>, waiting: &OwnedFd) -> io::Result<()> {
    let mut events = Vec::with_capacity(ROUND);
    // Now and then it wakes up by itself, to see whether anybody still has the consoles.
    let longest = Timespec { tv_sec: 60, tv_nsec: 0 };
    match epoll::wait(waiting, spare_capacity(&mut events), Some(&longest)) {
        Err(rustix::io::Errno::INTR) => return Ok(()),
        result => result?,
    };
    let mut buffer = [0; 4096];
    for event in &events {
        let number = event.data.u64();
        let found = lock(state).consoles.values().find(|c| c.number == number).cloned();
        let Some(console) = found else { continue };
        match (&*console.terminal).read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(count) if count > 0 => console.output.add(&buffer[..count]),
            // The other end is closed when the domain goes.
            _ => {
                if let Err(error) = epoll::delete(waiting, &console.terminal) {
                    tracing::warn!(%error, "leaving a console");
                }
            }
        }
    }
    Ok(())
}

impl Output {
    fn add(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
        // Nobody listening is no error.
        let _ = self.live.send(bytes.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    fn receive(listening: &mut Listening, wanted: &str) {
        let (kept, live) = listening;
        while !String::from_utf8_lossy(kept).contains(wanted) {
            kept.extend(live.blocking_recv().unwrap());
        }
    }

    #[test]
    fn several_see_what_the_guest_says_early_or_late() {
        let guest = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&guest).unwrap();
        unlockpt(&guest).unwrap();
        let name = ptsname(&guest, Vec::new()).unwrap().into_string().unwrap();
        let mut guest = File::from(guest);
        let consoles = Consoles::default();
        let vm = Ref::new("vm");
        assert!(consoles.listen(&vm).is_none());
        consoles.attach(&vm, Path::new(&name));
        let mut early = consoles.listen(&vm).unwrap();
        guest.write_all(b"booting\r\n").unwrap();
        receive(&mut early, "booting\r\n");
        let mut late = consoles.listen(&vm).unwrap();
        assert_eq!(late.0, b"booting\r\n");
        guest.write_all(b"login: ").unwrap();
        receive(&mut early, "login: ");
        receive(&mut late, "login: ");
        // What the guest says is not echoed to it; what is typed reaches it as it is.
        consoles.write(&vm, b"root\r").unwrap();
        let mut typed = [0; 5];
        guest.read_exact(&mut typed).unwrap();
        assert_eq!(&typed, b"root\r");
        consoles.detach(&vm);
        assert!(matches!(late.1.blocking_recv(), Err(broadcast::error::RecvError::Closed)));
    }
}
