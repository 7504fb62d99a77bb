// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lets a person use the installer over SSH, if the kernel command line asks for it. What is
//! decided is in [`installer_core::ssh`]; systemd runs `prepare-ssh`, and then sshd.

use std::fs::{self, OpenOptions};
use std::io::{Write as _, stdout};
use std::mem::MaybeUninit;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use anyhow::{Context as _, Result, bail};
use installer_core::cmdline;
use installer_core::program::Program;
use installer_core::ssh::{Access, Proof, USER, WORD, addresses};
use installer_core::steps::chain;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use uuid::Uuid;

use crate::online;
use crate::state::Event;

/// Everything that sshd reads, and what the consoles show.
const FOLDER: &str = "/run/xenith/ssh";
/// What the consoles show; there once it is known.
const ACCESS: &str = "/run/xenith/ssh/access";
/// What runs for whoever comes in.
const SESSION: &str = "/usr/libexec/xenith/installer-session";
const ACCOUNTS: &str = "/etc/passwd";

/// Makes everything that sshd needs, and says on the consoles how to come in, or why nobody can.
pub fn prepare(cmdline: &str) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(FOLDER)
        .with_context(|| format!("creating {FOLDER}"))?;
    match access(cmdline) {
        Ok(access) => show(&access.to_string()),
        Err(error) => {
            show(&format!("Nobody can come in over SSH: {error:#}"))?;
            Err(error)
        }
    }
}

fn access(cmdline: &str) -> Result<Access> {
    let proof = match Proof::of(cmdline, Uuid::new_v4()) {
        Ok(Some(proof)) => proof,
        Ok(None) => bail!("the kernel command line does not have the word xenith.ssh"),
        Err(error) => bail!(chain(&error)),
    };
    let key = format!("{FOLDER}/host_key");
    if !Path::new(&key).exists() {
        Program::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "xenith-installer", "-f", &key])
            .run()
            .context("making this machine's SSH key")?;
    }
    let said = Program::new("ssh-keygen").args(["-l", "-f", &key]).run()?;
    let fingerprint = said.split(' ').nth(1).unwrap_or_default().to_owned();
    write("authorized_keys", &proof.authorized_keys())?;
    write("sshd_config", &proof.configuration(FOLDER, SESSION))?;
    add_account(&proof.account()?)?;
    online::bring_up(&mut |text| tracing::info!("{text}"))?;
    let json = Program::new("ip").args(["-json", "address", "show", "scope", "global"]).run()?;
    let addresses = addresses(&json).context("understanding what ip prints")?;
    Ok(Access { addresses, proof, fingerprint })
}

fn write(name: &str, text: &str) -> Result<()> {
    let path = Path::new(FOLDER).join(name);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("writing {}", path.display()))
}

/// Puts the account's line in the place of an earlier one. The file is in memory, and no host gets it.
fn add_account(line: &str) -> Result<()> {
    let text = fs::read_to_string(ACCOUNTS).with_context(|| format!("reading {ACCOUNTS}"))?;
    let new = format!("{ACCOUNTS}.new");
    let text = with_account(&text, line);
    fs::write(&new, text).with_context(|| format!("writing {new}"))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644))
        .and_then(|()| fs::rename(&new, ACCOUNTS))
        .with_context(|| format!("replacing {ACCOUNTS}"))
}

fn with_account(text: &str, line: &str) -> String {
    let own = format!("{USER}:");
    let others = text.lines().filter(|other| !other.starts_with(&own));
    others.map(|other| format!("{other}\n")).collect::<String>() + line
}

/// Whole at once, so that who waits for it never reads half.
fn show(text: &str) -> Result<()> {
    write("access.new", text)?;
    fs::rename(format!("{FOLDER}/access.new"), ACCESS).with_context(|| format!("writing {ACCESS}"))
}

/// Whether this process shows screens, which lines would spoil.
static SCREENS: AtomicBool = AtomicBool::new(false);

/// Says how to come in, in lines, as long as this process does not show screens.
pub fn announce_in_lines(cmdline: &str) {
    if !cmdline::has(cmdline, WORD) {
        return;
    }
    thread::spawn(|| {
        let told = announce(|lines| {
            if SCREENS.load(Ordering::Relaxed) {
                return false;
            }
            for line in lines.lines() {
                // Not logged: a password is in it.
                let _ = writeln!(stdout(), "{line}\r");
            }
            true
        });
        if let Err(error) = told {
            tracing::warn!("{error:#}");
        }
    });
}

/// Says how to come in, as events for the screens; lines end.
pub fn announce_on_screens(cmdline: &str, sender: &Sender<Event>) {
    SCREENS.store(true, Ordering::Relaxed);
    if !cmdline::has(cmdline, WORD) {
        return;
    }
    let waiting = "Over SSH: waiting for an address on the network ...".to_owned();
    // The receiver is gone only when the installer ends.
    let _ = sender.send(Event::Remote(waiting));
    let sender = sender.clone();
    thread::spawn(move || {
        let told = announce(|lines| sender.send(Event::Remote(lines)).is_ok());
        if let Err(error) = told {
            tracing::warn!("{error:#}");
        }
    });
}

/// Hands on how to come in, as lines for people, each time it changes; never returns unless that
/// returns false. They hold a password, and so never go into a log.
fn announce(mut told: impl FnMut(String) -> bool) -> Result<()> {
    let doing = || format!("watching {FOLDER}");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(FOLDER).with_context(doing)?;
    let watch = inotify::init(CreateFlags::CLOEXEC).with_context(doing)?;
    inotify::add_watch(&watch, FOLDER, WatchFlags::MOVED_TO).with_context(doing)?;
    let mut last = String::new();
    loop {
        let now = fs::read_to_string(ACCESS).unwrap_or_default();
        if now != last && !told(now.clone()) {
            return Ok(());
        }
        last = now;
        let mut buffer = [MaybeUninit::uninit(); 1024];
        inotify::Reader::new(&watch, &mut buffer).next().with_context(doing)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_there_once() {
        let text = "root:x:0:0::/root:/bin/bash\ninstaller:old:0:0::/:/bin/sh\nbin:x:2:2::/:/no\n";
        let expected = "root:x:0:0::/root:/bin/bash\nbin:x:2:2::/:/no\ninstaller:new\n";
        assert_eq!(with_account(text, "installer:new\n"), expected);
    }
}
