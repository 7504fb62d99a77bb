// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's own users and groups, in `/etc/passwd`, `/etc/group` and `/etc/shadow` (passwd(5),
//! group(5), shadow(5)).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use sha_crypt::Sha512Params;
use yescrypt::{PasswordVerifier as _, Yescrypt};

use super::{Account, Accounts, Login};

/// Accounts below this number are the system's own, not people's (`UID_MIN` of login.defs(5)).
const FIRST: u32 = 1000;
/// From here on they are made up by the system (`nobody`, users of containers).
const LAST: u32 = 59_999;
/// Rounds of SHA-512-crypt: its default, and what the installer takes.
const ROUNDS: usize = sha_crypt::ROUNDS_DEFAULT;

/// Users and groups of the host, their passwords as the installer (SHA-512-crypt) and Debian's
/// passwd(1) (yescrypt) write them, see crypt(5). The files are read each time, so a changed
/// password counts at once. No name service is asked.
#[derive(Debug)]
pub struct HostAccounts {
    folder: PathBuf,
    /// One check at a time: each costs milliseconds of CPU, which must not be multiplied.
    turn: Mutex<()>,
    /// One change at a time.
    writing: Mutex<()>,
}

/// A line of `/etc/passwd`.
struct User {
    account: Account,
    gid: u32,
}

impl HostAccounts {
    /// Those of the files in `folder`, which is `/etc`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), turn: Mutex::new(()), writing: Mutex::new(()) }
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    fn users(&self) -> Result<Vec<User>> {
        let text = self.read("passwd")?;
        Ok(text.lines().filter_map(user).collect())
    }

    /// Groups with the names of their members.
    fn all_groups(&self) -> Result<Vec<(Account, Vec<String>)>> {
        let text = self.read("group")?;
        Ok(text.lines().filter_map(group).collect())
    }

    fn password_fits(&self, user: &str, password: &str) -> Result<bool> {
        let text = self.read("shadow")?;
        let Some(line) = text.lines().find(|line| line.split(':').next() == Some(user)) else {
            return Ok(false);
        };
        let fields: Vec<&str> = line.split(':').collect();
        let hash = fields.get(1).copied().unwrap_or_default();
        if user != "root" && expired(&fields) {
            return Ok(false);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(hash_fits(hash, password))
    }
}

/// The text of `/etc/shadow` with another hash of root's password, set today.
fn with_root_hash(shadow: &str, hash: &str) -> Result<String> {
    let today = today().to_string();
    let mut found = false;
    let mut text = String::new();
    for line in shadow.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields[0] == "root" && fields.len() > 2 {
            found = true;
            fields[1] = hash;
            fields[2] = &today;
        }
        text.push_str(&fields.join(":"));
        text.push('\n');
    }
    if !found {
        bail!("root is not in /etc/shadow");
    }
    Ok(text)
}

/// Puts a new file in the place of one, with its owner and mode: a power cut leaves one of them whole.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let before = fs::metadata(path)?;
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&new)?;
    fchown(&file, Some(before.uid()), Some(before.gid()))?;
    file.set_permissions(before.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Days since 1970.
fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs() / 86_400)
}

/// Anything but a known scheme (`*`, `!`, empty, another scheme) lets nobody in.
fn hash_fits(hash: &str, password: &str) -> bool {
    if hash.starts_with("$6$") {
        sha_crypt::sha512_check(password, hash).is_ok()
    } else if hash.starts_with("$y$") {
        Yescrypt::default().verify_password(password.as_bytes(), hash).is_ok()
    } else {
        false
    }
}

fn user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, gecos, ..] = fields.as_slice() else { return None };
    let uid: u32 = uid.parse().ok().filter(|uid| (FIRST..=LAST).contains(uid))?;
    let account = Account {
        identifier: format!("uid-{uid}"),
        name: (*name).to_owned(),
        full_name: gecos.split(',').next().unwrap_or_default().to_owned(),
        group: false,
    };
    Some(User { account, gid: gid.parse().ok()? })
}

fn group(line: &str) -> Option<(Account, Vec<String>)> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members, ..] = fields.as_slice() else { return None };
    let gid: u32 = gid.parse().ok().filter(|gid| (FIRST..=LAST).contains(gid))?;
    let account = Account {
        identifier: format!("gid-{gid}"),
        name: (*name).to_owned(),
        full_name: String::new(),
        group: true,
    };
    Some((account, members.split(',').map(str::to_owned).collect()))
}

/// Whether an account's day has come: the eighth field of shadow(5), in days since 1970.
fn expired(fields: &[&str]) -> bool {
    fields.get(7).and_then(|day| day.parse::<u64>().ok()).is_some_and(|day| day <= today())
}

impl Accounts for HostAccounts {
    fn check(&self, user: &str, password: &str) -> Result<Option<Login>> {
        if user == "root" {
            return Ok(self.password_fits(user, password)?.then_some(Login::Root));
        }
        let found = self.users()?.into_iter().find(|known| known.account.name == user);
        match found {
            Some(found) if self.password_fits(user, password)? => {
                Ok(Some(Login::User(found.account)))
            }
            _ => Ok(None),
        }
    }

    fn by_name(&self, name: &str) -> Result<Option<Account>> {
        let user = self.users()?.into_iter().map(|user| user.account).find(|a| a.name == name);
        if user.is_some() {
            return Ok(user);
        }
        Ok(self.all_groups()?.into_iter().map(|(account, _)| account).find(|a| a.name == name))
    }

    fn by_identifier(&self, identifier: &str) -> Result<Option<Account>> {
        let users = self.users()?.into_iter().map(|user| user.account);
        let groups = self.all_groups()?.into_iter().map(|(account, _)| account);
        Ok(users.chain(groups).find(|account| account.identifier == identifier))
    }

    fn groups(&self, identifier: &str) -> Result<Vec<String>> {
        let users = self.users()?;
        let Some(user) = users.iter().find(|user| user.account.identifier == identifier) else {
            return Ok(Vec::new());
        };
        let own = format!("gid-{}", user.gid);
        let groups = self.all_groups()?;
        let belongs = |(account, members): &&(Account, Vec<String>)| {
            account.identifier == own || members.contains(&user.account.name)
        };
        Ok(groups.iter().filter(belongs).map(|(account, _)| account.identifier.clone()).collect())
    }

    fn set_root_password(&self, password: &str) -> Result<()> {
        let hash = {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let params = Sha512Params::new(ROUNDS)
                .map_err(|error| anyhow!("choosing the cost of a hash: {error:?}"))?;
            sha_crypt::sha512_simple(password, &params)
                .map_err(|error| anyhow!("hashing a password: {error:?}"))?
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = with_root_hash(&self.read("shadow")?, &hash)?;
        let path = self.folder.join("shadow");
        replace(&path, &text).with_context(|| format!("writing {}", path.display()))
    }
}

impl Default for HostAccounts {
    /// Those of the host itself.
    fn default() -> Self {
        Self::new("/etc")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
        ann:x:1000:1000:Ann Example,Room 1,,:/home/ann:/bin/bash\n\
        bob:x:1001:1001::/home/bob:/bin/bash\n\
        old:x:1002:1001::/home/old:/bin/bash\n\
        broken line\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    const GROUP: &str = "root:x:0:\nann:x:1000:\nbob:x:1001:\noperators:x:2000:bob,carl\n\
        sudo:x:27:bob\n";

    fn hash(password: &str) -> String {
        sha_crypt::sha512_simple(password, &sha_crypt::Sha512Params::new(5000).unwrap()).unwrap()
    }

    fn accounts(shadow: &str) -> (tempfile::TempDir, HostAccounts) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("passwd", PASSWD), ("group", GROUP), ("shadow", shadow)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let accounts = HostAccounts::new(folder.path());
        (folder, accounts)
    }

    #[test]
    fn root_of_a_shadow_file() {
        let hash = hash("secret");
        let line = format!("daemon:{hash}:1::::::\nroot:{hash}:19000:0:99999:7:::\n");
        let (folder, accounts) = accounts(&line);
        assert_eq!(accounts.check("root", "secret").unwrap(), Some(Login::Root));
        assert_eq!(accounts.check("root", "Secret").unwrap(), None);
        assert_eq!(accounts.check("root", "").unwrap(), None);
        assert_eq!(accounts.check("daemon", "secret").unwrap(), None, "no person");
        let path = folder.path().join("shadow");
        for hash in ["", "*", "!", "!$6$x$y", "secret"] {
            fs::write(&path, format!("root:{hash}:19000:0:99999:7:::\n")).unwrap();
            assert_eq!(accounts.check("root", "").unwrap(), None, "{hash}");
            assert_eq!(accounts.check("root", "secret").unwrap(), None, "{hash}");
        }
        fs::remove_file(&path).unwrap();
        assert!(accounts.check("root", "secret").is_err());
    }

    #[test]
    fn hashes_of_other_programs_are_understood() {
        for (hash, password) in [
            // openssl passwd -6 -salt saltstring 'Hello world!'
            (
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJu\
                 esI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
                "Hello world!",
            ),
            // What chpasswd of Debian 13 writes, made with crypt(3) of libxcrypt.
            ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0", "secret"),
        ] {
            assert!(hash_fits(hash, password), "{hash}");
            assert!(!hash_fits(hash, "another"), "{hash}");
        }
        for broken in ["$y$", "$y$j9T", "$y$j9T$$", "$y$zzz$x$y", "$6$", "$2b$12$abcdefgh"] {
            assert!(!hash_fits(broken, ""), "{broken}");
        }
    }

    #[test]
    fn people_log_in_and_others_do_not() {
        let hash = hash("secret");
        let shadow = format!(
            "ann:{hash}:19000:0:99999:7:::\nbob:!{hash}:19000:0:99999:7:::\n\
             old:{hash}:19000:0:99999:7::19001:\nnobody:{hash}:1::::::\n"
        );
        let (_folder, accounts) = accounts(&shadow);
        let Some(Login::User(ann)) = accounts.check("ann", "secret").unwrap() else {
            panic!("ann is known");
        };
        assert_eq!((ann.identifier.as_str(), ann.full_name.as_str()), ("uid-1000", "Ann Example"));
        for (user, password) in [
            ("ann", "Secret"),
            ("bob", "secret"),
            ("old", "secret"),
            ("nobody", "secret"),
            ("operators", "secret"),
            ("", "secret"),
            ("carl", "secret"),
        ] {
            assert_eq!(accounts.check(user, password).unwrap(), None, "{user}");
        }
    }

    #[test]
    fn accounts_are_found_by_name_and_identifier() {
        let (_folder, accounts) = accounts("");
        let identifier = |name: &str| accounts.by_name(name).unwrap().map(|a| a.identifier);
        assert_eq!(identifier("ann").as_deref(), Some("uid-1000"), "the user comes first");
        assert_eq!(identifier("operators").as_deref(), Some("gid-2000"));
        for system in ["root", "daemon", "sudo", "nobody", "nothing"] {
            assert_eq!(identifier(system), None, "{system}");
        }
        let group = accounts.by_identifier("gid-2000").unwrap().unwrap();
        assert_eq!((group.name.as_str(), group.group), ("operators", true));
        assert_eq!(group.information()["subject-is-group"], "true");
        assert_eq!(accounts.groups("uid-1001").unwrap(), ["gid-1001", "gid-2000"]);
        assert_eq!(accounts.groups("gid-2000").unwrap(), [""; 0]);
    }

    #[test]
    fn roots_password_is_replaced_as_a_whole() {
        let before = format!("daemon:*:1::::::\nroot:{}:19000:0:99999:7:::\n", hash("secret"));
        let (folder, accounts) = accounts(&before);
        let path = folder.path().join("shadow");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        // What a power cut left.
        fs::write(folder.path().join("shadow.new"), "half").unwrap();
        accounts.set_root_password("other: \u{e4}").unwrap();
        assert_eq!(accounts.check("root", "secret").unwrap(), None);
        assert_eq!(accounts.check("root", "other: \u{e4}").unwrap(), Some(Login::Root));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("daemon:*:1::::::\nroot:$6$"), "{text}");
        assert!(text.ends_with(&format!(":{}:0:99999:7:::\n", today())), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        fs::write(&path, "daemon:*:1::::::\n").unwrap();
        assert!(accounts.set_root_password("x").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "daemon:*:1::::::\n");
    }
}
