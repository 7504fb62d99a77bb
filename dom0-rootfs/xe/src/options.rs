// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which server, and as whom: from `~/.xe`, then `XE_EXTRA_ARGS`, then the command line.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::failure::Failure;

/// What `xe` without a command says.
pub(crate) const USAGE: &str = "\
Usage:
  xe <command>
    [ -s <server> ]            host, through TLS; without it this host itself
    [ -p <port> ]              port number, 443
    [ -u <username> -pw <password> | -pwf <password file> ]
                               user authentication (password or file)
    [ --no-ssl-verify ]        take any certificate
    [ --minimal ]              output only values, in a comma-separated list
    [ <other arguments> ... ]  command-specific options

To get help on a specific command:
  xe help <command>
";

/// Where and who.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Host name or address; none: this host's socket.
    pub(crate) server: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Any certificate will do.
    pub(crate) unverified: bool,
}

impl Options {
    /// Reads all three sources; also gives what belongs to the command.
    pub(crate) fn from_surroundings(args: Vec<String>) -> Result<(Options, Vec<String>), Failure> {
        let file = home().map(|home| home.join(".xe"));
        let rc = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let extra = std::env::var("XE_EXTRA_ARGS").unwrap_or_default();
        Options::from_sources(&rc, &extra, args)
    }

    pub(crate) fn from_sources(
        rc: &str,
        extra: &str,
        args: Vec<String>,
    ) -> Result<(Options, Vec<String>), Failure> {
        let mut options = Options { user: "root".to_owned(), ..Options::default() };
        let lines =
            rc.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let from_rc = options.take(lines.map(str::to_owned).collect())?;
        let from_extra = options.take(split(extra))?;
        if args.iter().any(|arg| arg == "--help" || arg == "-help") {
            return Err(Failure::Usage);
        }
        // What the command line says comes first, as the first of a name counts.
        let mut rest = options.take(args)?;
        if rest.is_empty() {
            return Err(Failure::Usage);
        }
        rest.extend(from_extra);
        rest.extend(from_rc);
        Ok((options, rest))
    }

    /// Takes what is ours out of a list of arguments.
    fn take(&mut self, args: Vec<String>) -> Result<Vec<String>, Failure> {
        let mut rest = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let name = match arg.as_str() {
                "-s" | "-h" => Some("server"),
                "-p" => Some("port"),
                "-u" => Some("username"),
                "-pw" => Some("password"),
                "-pwf" => Some("passwordfile"),
                "--no-ssl-verify" => {
                    self.unverified = true;
                    continue;
                }
                "--nossl" => {
                    let text = "--nossl: this server speaks TLS only; without -s xe uses the \
                                host's own socket";
                    return Err(Failure::plain(text));
                }
                // XenServer's xe has these; there is nothing that they could add here.
                "--debug" | "--debug-on-fail" => continue,
                _ => None,
            };
            if let Some(name) = name {
                let value = args
                    .next()
                    .ok_or_else(|| Failure::Syntax(format!("Switch {arg} requires a parameter")))?;
                self.set(name, &value)?;
            } else if let Some((key, value)) = arg.split_once('=')
                && ["server", "port", "username", "password", "passwordfile"].contains(&key)
            {
                self.set(key, value)?;
            } else {
                rest.push(arg);
            }
        }
        Ok(rest)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match name {
            "server" => self.server = Some(value.to_owned()),
            "port" => {
                self.port = Some(
                    value
                        .parse()
                        .map_err(|_| Failure::plain("Port number must be an integer (0-65535)"))?,
                );
            }
            "username" => self.user = value.to_owned(),
            "password" => self.password = value.to_owned(),
            _ => {
                let text = fs::read_to_string(value)
                    .with_context(|| format!("opening password file '{value}'"))
                    .map_err(Failure::Contact)?;
                let mut lines = text.lines();
                let (Some(user), Some(password)) = (lines.next(), lines.next()) else {
                    return Err(Failure::plain(
                        "password file format: expecting username on the first line, password \
                         on the second line",
                    ));
                };
                (self.user, self.password) = (user.to_owned(), password.to_owned());
            }
        }
        Ok(())
    }
}

/// The user's home folder.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Splits at commas that have no backslash before them.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => parts.last_mut().expect("never empty").extend(letters.next()),
            ',' => parts.push(String::new()),
            other => parts.last_mut().expect("never empty").push(other),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rc: &str, extra: &str, line: &str) -> Result<(Options, Vec<String>), Failure> {
        let args = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Options::from_sources(rc, extra, args)
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
        let rc = "server=one\nport=1\nusername=file\n\n# remark\nparams=all\n";
        let extra = "server=two,password=a\\,b,--minimal";
        let (options, rest) = parse(rc, extra, "-s three vm-list uuid=1").unwrap();
        assert_eq!(
            options,
            Options {
                server: Some("three".into()),
                port: Some(1),
                user: "file".into(),
                password: "a,b".into(),
                unverified: false,
            }
        );
        assert_eq!(rest, ["vm-list", "uuid=1", "--minimal", "params=all"]);
    }

    #[test]
    fn without_anything_it_is_root_on_this_host() {
        let (options, rest) = parse("", "", "vm-list --no-ssl-verify").unwrap();
        assert_eq!((options.server, options.user.as_str()), (None, "root"));
        assert!(options.unverified);
        assert_eq!(rest, ["vm-list"]);
    }

    #[test]
    fn password_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "admin\nsecret\n").unwrap();
        let line = format!("vm-list -pwf {}", file.path().display());
        let (options, _) = parse("", "", &line).unwrap();
        assert_eq!((options.user.as_str(), options.password.as_str()), ("admin", "secret"));
        fs::write(file.path(), "admin").unwrap();
        assert!(parse("", "", &line).is_err());
        assert!(parse("", "", "vm-list -pwf /nope").is_err());
    }

    #[test]
    fn what_cannot_be() {
        assert!(matches!(parse("", "", ""), Err(Failure::Usage)));
        assert!(matches!(parse("", "", "vm-list --help"), Err(Failure::Usage)));
        assert!(matches!(parse("", "", "vm-list -s"), Err(Failure::Syntax(_))));
        assert!(matches!(parse("", "", "vm-list -p 99999"), Err(Failure::Plain { .. })));
        assert!(matches!(parse("", "", "vm-list --nossl"), Err(Failure::Plain { .. })));
    }
}
