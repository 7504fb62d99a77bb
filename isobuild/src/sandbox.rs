// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs programs of a locked tools tree, cut off from the host.
//!
//! A program sees the tools tree as its root (read-only), a small `/dev`, its own `/proc`, `/tmp`
//! and `/run`, and what was bound in; no network, host name `xenith`, `LANG=C.UTF-8`, `TZ=UTC`,
//! umask 022. User namespaces do it, so an ordinary user may, and root gets the same.
//!
//! The calling process executes itself again (see [`enter_if_asked`]), which is single-threaded at
//! that point: it makes the namespaces, then a second one becomes process 1 in them, builds the
//! root and runs the program. All of them end when the caller does, however it ends.
//!
//! The user outside is `root` inside and there is no other: files of other owners appear as
//! `nobody`, and `chown` to anyone else fails.

mod child;
mod enter;
mod error;
mod root;
mod spec;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use child::{Child, Streams};
pub use enter::enter_if_asked;
pub use error::SandboxError;
use spec::{Bind, Spec};

use crate::interrupt::Interrupt;

/// The host name inside.
pub const HOSTNAME: &str = "xenith";

static HELPER: OnceLock<PathBuf> = OnceLock::new();

/// Names the program that is executed to enter sandboxes; it must call [`enter_if_asked`] first.
/// For programs whose own `main` cannot (test harnesses). Only the first call counts.
pub fn use_helper(program: impl Into<PathBuf>) {
    let _ = HELPER.set(program.into());
}

/// What a program runs in. Cheap to clone; every method returns a changed one.
#[derive(Debug, Clone)]
pub struct Sandbox {
    root: Result<PathBuf, String>,
    binds: Vec<Bind>,
    env: BTreeMap<String, String>,
    cwd: PathBuf,
    network: bool,
    log: Option<PathBuf>,
    interrupt: Option<Interrupt>,
}

impl Sandbox {
    /// A sandbox whose root is the tree at `root` (an unpacked set of packages).
    pub fn over(root: impl Into<PathBuf>) -> Self {
        Self::new(Ok(root.into()))
    }

    /// A sandbox that nothing can run in; `why` is what the error says.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::new(Err(why.into()))
    }

    fn new(root: Result<PathBuf, String>) -> Self {
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/tmp"),
            ("TMPDIR", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("TERM", "dumb"),
            ("USER", "root"),
            ("LOGNAME", "root"),
        ];
        Self {
            root,
            binds: Vec::new(),
            env: env.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            cwd: PathBuf::from("/"),
            network: false,
            log: None,
            interrupt: None,
        }
    }

    /// Shows the file or folder `host` at `inside`, read-only. Where `inside` lies in a folder of
    /// the tools tree (`/usr/…`) it must exist there already; elsewhere it is made.
    #[must_use]
    pub fn bind_ro(self, host: impl Into<PathBuf>, inside: impl Into<PathBuf>) -> Self {
        self.bind(host.into(), inside.into(), false)
    }

    /// As [`Sandbox::bind_ro`], writable.
    #[must_use]
    pub fn bind_rw(self, host: impl Into<PathBuf>, inside: impl Into<PathBuf>) -> Self {
        self.bind(host.into(), inside.into(), true)
    }

    /// Shows a device of the host (`/dev/kvm`) at the same path.
    #[must_use]
    pub fn device(self, host: impl Into<PathBuf>) -> Self {
        let host = host.into();
        self.bind(host.clone(), host, true)
    }

    fn bind(mut self, host: PathBuf, inside: PathBuf, writable: bool) -> Self {
        self.binds.push(Bind { host, inside, writable });
        self
    }

    /// Sets a variable of the environment, which holds nothing of the caller's.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The folder to start in, a path inside; `/` otherwise.
    #[must_use]
    pub fn cwd(mut self, inside: impl Into<PathBuf>) -> Self {
        self.cwd = inside.into();
        self
    }

    /// Whether the host's network is shared. Only for the emulator's port forwards: builds must
    /// not ask for it.
    #[must_use]
    pub fn network(mut self, shared: bool) -> Self {
        self.network = shared;
        self
    }

    /// The file that command lines and whole outputs are appended to.
    #[must_use]
    pub fn log(mut self, file: impl Into<PathBuf>) -> Self {
        self.log = Some(file.into());
        self
    }

    /// Ends running programs when the person asks to stop.
    #[must_use]
    pub fn interrupt(mut self, interrupt: &Interrupt) -> Self {
        self.interrupt = Some(interrupt.clone());
        self
    }

    /// The tree that is the root, as a path of the host.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref().ok()
    }

    /// Runs a program to its end with empty standard input; output goes to the log.
    ///
    /// # Errors
    /// The sandbox cannot be made, the program cannot be started, or it does not end with 0: then
    /// with its command line, status and the last lines of its output.
    pub fn run<I, S>(&self, program: &str, args: I) -> Result<(), SandboxError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let spec = self.spec(program, args)?;
        child::run(spec, self.log.as_deref(), self.interrupt.as_ref())
    }

    /// Runs a program to its end and returns its standard output, which the log gets too.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn output<I, S>(&self, program: &str, args: I) -> Result<Vec<u8>, SandboxError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let spec = self.spec(program, args)?;
        child::output(spec, self.log.as_deref(), None, self.interrupt.as_ref())
    }

    /// As [`Sandbox::output`], with `input` as its standard input.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn filter<I, S>(
        &self,
        program: &str,
        args: I,
        input: &[u8],
    ) -> Result<Vec<u8>, SandboxError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let spec = self.spec(program, args)?;
        child::output(spec, self.log.as_deref(), Some(input), self.interrupt.as_ref())
    }

    /// Starts a program that lives on. It is killed when the returned [`Child`] is dropped, and
    /// when the calling process ends.
    ///
    /// # Errors
    /// The helper process cannot be started. What goes wrong later, a missing program for
    /// instance, shows in [`Child::wait`].
    pub fn spawn<I, S>(
        &self,
        program: &str,
        args: I,
        streams: Streams,
    ) -> Result<Child, SandboxError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let spec = self.spec(program, args)?;
        child::spawn(&spec, streams, self.log.as_deref())
    }

    fn spec<I, S>(&self, program: &str, args: I) -> Result<Spec, SandboxError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let root = match &self.root {
            Ok(root) => root.clone(),
            Err(why) => return Err(SandboxError::Unavailable { why: why.clone() }),
        };
        let text = |arg: S| {
            arg.as_ref().to_str().map(str::to_owned).ok_or_else(|| SandboxError::NotUtf8 {
                text: arg.as_ref().to_string_lossy().into_owned(),
            })
        };
        Ok(Spec {
            root,
            binds: self.binds.clone(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            network: self.network,
            program: program.to_owned(),
            args: args.into_iter().map(text).collect::<Result<_, _>>()?,
        })
    }
}
