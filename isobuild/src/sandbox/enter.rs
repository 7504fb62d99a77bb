// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper's side: makes the namespaces, then runs the program in them.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::UnshareFlags;

use super::spec::{INNER, OUTER, SETUP_FAILED, SETUP_WORDS, Spec};
use super::{HOSTNAME, root};

static PREPARED: AtomicBool = AtomicBool::new(false);

/// Whether this process can be executed again as the helper.
pub(super) fn prepared() -> bool {
    PREPARED.load(Ordering::Relaxed)
}

/// To be called first thing in the `main` of every program that uses sandboxes, before any thread
/// is started. Where the process was started as the helper it does that work and never returns.
pub fn enter_if_asked() {
    PREPARED.store(true, Ordering::Relaxed);
    let args: Vec<String> =
        std::env::args_os().skip(1).take(3).map(|a| a.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let code = match args.as_slice() {
        [OUTER, lifeline, json] => outer(lifeline, json),
        [INNER, json] => inner(json),
        _ => return,
    };
    let code = code.unwrap_or_else(|why| {
        let _ = writeln!(io::stderr(), "{SETUP_WORDS}{why}");
        SETUP_FAILED
    });
    std::process::exit(code);
}

/// Makes the namespaces and waits for the process in them, or for the caller's end.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
fn outer(lifeline: &str, json: &str) -> Result<i32, String> {
    let lifeline = adopt(lifeline)?;
    let spec: Spec = serde_json::from_str(json).map_err(|e| format!("reading the order: {e}"))?;
    make_namespaces(spec.network)?;
    let mut child = Command::new("/proc/self/exe")
        .arg(INNER)
        .arg(json)
        .spawn()
        .map_err(|e| format!("executing the helper again: {e}"))?;
    release_output();
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| format!("strange process id {}", child.id()))?;
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(|e| format!("watching process {}: {e}", child.id()))?;
    loop {
        let mut fds = [
            PollFd::new(&ended, PollFlags::IN),
            PollFd::new(&lifeline, PollFlags::IN | PollFlags::HUP),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(format!("waiting for the program: {error}")),
        }
        let (over, orphaned) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if orphaned && !over {
            let _ = child.kill();
        }
        if over || orphaned {
            let status = child.wait().map_err(|e| format!("waiting for the program: {e}"))?;
            return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        }
    }
}

/// Takes the descriptor that the caller left open for us.
fn adopt(number: &str) -> Result<OwnedFd, String> {
    let raw: i32 = number.parse().map_err(|_| format!("not a descriptor: {number:?}"))?;
    if raw < 3 {
        return Err(format!("not a descriptor of ours: {raw}"));
    }
    #[expect(unsafe_code, reason = "a descriptor number comes from the command line")]
    // SAFETY: the descriptor was opened by the process that executed us, for us (`child::start`
    // passes the number of an open pipe end), and nothing else in this single-threaded process
    // knows it, so it stays open for as long as the borrow below lives. If it is not open, the
    // call on it fails with EBADF and we end.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    // A duplicate of our own that the program does not inherit; the original is closed on exec.
    let own = rustix::io::fcntl_dupfd_cloexec(borrowed.as_fd(), 3)
        .map_err(|e| format!("taking descriptor {raw}: {e}"))?;
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)
        .map_err(|e| format!("taking descriptor {raw}: {e}"))?;
    Ok(own)
}

fn make_namespaces(network: bool) -> Result<(), String> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let mut flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    if !network {
        flags |= UnshareFlags::NEWNET;
    }
    #[expect(unsafe_code, reason = "there is no safe function for it")]
    // SAFETY: the call is unsafe because of UnshareFlags::FILES, which is not among the flags; and
    // this process has one thread, as the kernel requires for a new user namespace.
    let made = unsafe { rustix::thread::unshare_unsafe(flags) };
    made.map_err(|error| format!("making namespaces: {error}\n{}", userns_hint()))?;
    let write = |file: &str, text: String| {
        fs::write(file, text).map_err(|e| format!("writing {file}: {e}\n{}", userns_hint()))
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    rustix::system::sethostname(HOSTNAME.as_bytes())
        .map_err(|e| format!("setting the host name: {e}\n{}", userns_hint()))
}

/// What to do where user namespaces are not allowed, by what this kernel says.
pub(super) fn userns_hint() -> String {
    hint_for(&|name| fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok())
}

fn hint_for(sysctl: &dyn Fn(&str) -> Option<String>) -> String {
    let value = |name: &str| sysctl(name).map(|text| text.trim().to_owned());
    let mut wrong = Vec::new();
    if value("kernel.unprivileged_userns_clone").as_deref() == Some("0") {
        wrong.push("kernel.unprivileged_userns_clone=1");
    }
    if value("kernel.apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        wrong.push("kernel.apparmor_restrict_unprivileged_userns=0");
    }
    if value("user.max_user_namespaces").as_deref() == Some("0") {
        wrong.push("user.max_user_namespaces=15000");
    }
    if wrong.is_empty() {
        return "hint: the build runs its tools in user namespaces, which this system refuses, \
                though no sysctl that is known to do so is set; in a container, allow them \
                (for instance with --security-opt seccomp=unconfined --security-opt \
                systempaths=unconfined)"
            .to_owned();
    }
    format!(
        "hint: user namespaces are switched off on this system; switch them on with: \
         sudo sysctl -w {}",
        wrong.join(" ")
    )
}

/// Process 1 of the sandbox: builds the root, runs the program, buries orphans.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
fn inner(json: &str) -> Result<i32, String> {
    let spec: Spec = serde_json::from_str(json).map_err(|e| format!("reading the order: {e}"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| format!("binding our life to the caller's: {e}"))?;
    root::enter(&spec)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let child = Command::new(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .spawn()
        .map_err(|e| format!("executing {} in {}: {e}", spec.program, spec.cwd.display()))?;
    release_output();
    let program = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == program => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signal).unwrap_or(SETUP_FAILED));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("waiting for the program: {error}")),
        }
    }
}

/// Gives up our copies of standard input and output, so that who reads them sees their end when
/// the program closes them.
fn release_output() {
    if let Ok(null) = fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_switch_that_is_off() {
        let ubuntu = |name: &str| {
            (name == "kernel.apparmor_restrict_unprivileged_userns").then(|| "1\n".to_owned())
        };
        assert!(hint_for(&ubuntu).contains("apparmor_restrict_unprivileged_userns=0"));
        let debian =
            |name: &str| (name == "kernel.unprivileged_userns_clone").then(|| "0\n".to_owned());
        assert!(hint_for(&debian).ends_with("sysctl -w kernel.unprivileged_userns_clone=1"));
        let none_left = |name: &str| (name == "user.max_user_namespaces").then(|| "0\n".to_owned());
        assert!(hint_for(&none_left).ends_with("sysctl -w user.max_user_namespaces=15000"));
        let both = |name: &str| ubuntu(name).or_else(|| none_left(name));
        let switches =
            "kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=15000";
        assert!(hint_for(&both).ends_with(switches), "all that is wrong, in one command");
        let on =
            |name: &str| Some(if name.contains("apparmor") { "0\n" } else { "1\n" }.to_owned());
        assert!(hint_for(&on).contains("container"));
        assert!(hint_for(&|_| None).contains("container"));
    }
}
