// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit log: who called what, on which objects, and how it ended.
//!
//! Its lines are those of XAPI, which programs for XenServer read:
//! `[20240101T00:00:00Z|audit|HOST|ROLES] ('SESSION' 'SUBJECT' 'USER' 'ALLOWED' 'OK' 'API' 'VM.start'
//! (('vm' 'NAME' 'UUID' 'REFERENCE')))`. Of the parameters only references are written, never a text: a
//! password or a secret cannot be among them. What only looks is logged where it was denied, or the pool
//! says so ([`READS`]): programs look at everything every few seconds.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use xapi_model::{ApiError, DateTime, Described, Kind, Ref, Reply, Type, Value, http};

use crate::store::Objects;
use crate::toolstack::{Context, Peer, Toolstack};

/// Bytes of a file of the log; then the next one begins.
const BIGGEST: u64 = 8 << 20;
/// Files that are kept beside the newest.
const KEPT: usize = 4;
/// Name of the newest file; older ones have `.1`, `.2`, … behind it.
const FILE: &str = "audit.log";
/// Most references of one parameter that are written.
const REFERENCES: usize = 16;

/// Key of `pool.other_config`; with `true` what only looks is logged too.
pub const READS: &str = "audit-reads";

/// The log, in files of a folder.
#[derive(Debug)]
pub struct Audit {
    folder: PathBuf,
    biggest: u64,
    newest: Mutex<Option<(File, u64)>>,
}

impl Audit {
    /// The log in a folder, which is made when the first line is written.
    pub fn new(folder: PathBuf) -> Audit {
        Audit { folder, biggest: BIGGEST, newest: Mutex::default() }
    }

    /// Adds a line. A log that cannot be written does not stop the host from being managed: that is
    /// an error in the journal.
    fn add(&self, line: &str) {
        if let Err(error) = self.try_add(line) {
            tracing::error!(%error, line, "writing the audit log");
        }
    }

    fn try_add(&self, line: &str) -> io::Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_some_and(|(_, length)| *length >= self.biggest) {
            *newest = None;
            self.rotate()?;
        }
        let (mut file, length) = match newest.take() {
            Some(open) => open,
            None => self.open()?,
        };
        file.write_all(format!("{line}\n").as_bytes())?;
        *newest = Some((file, length + line.len() as u64 + 1));
        Ok(())
    }

    fn open(&self) -> io::Result<(File, u64)> {
        fs::create_dir_all(&self.folder)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(self.path(0))?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    fn path(&self, age: usize) -> PathBuf {
        let name = if age == 0 { FILE.to_owned() } else { format!("{FILE}.{age}") };
        self.folder.join(name)
    }

    fn rotate(&self) -> io::Result<()> {
        for age in (0..KEPT).rev() {
            match fs::rename(self.path(age), self.path(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The files that exist, oldest first.
    pub fn files(&self) -> Vec<PathBuf> {
        let all = (0..=KEPT).rev().map(|age| self.path(age));
        all.filter(|path| path.exists()).collect()
    }
}

/// Whether a line of the log is not older than `since`, as text in the form of [`DateTime`].
pub fn is_since(line: &str, since: &str) -> bool {
    line.strip_prefix('[').is_none_or(|line| line >= since)
}

/// A call that is to be logged once it has ended.
pub struct Entry {
    who: Who,
    name: String,
    objects: String,
}

struct Who {
    session: String,
    subject: String,
    user: String,
    role: &'static str,
    from: String,
}

impl Who {
    fn of(context: &Context) -> Who {
        let session = context.toolstack.sessions.look(&context.session);
        let from = match &context.peer {
            Peer::Network(address) => address.clone(),
            Peer::Local(user) => format!("local user {user}"),
            Peer::Myself => "the daemon".into(),
        };
        let (session, subject, user) = match session {
            None => Default::default(),
            Some(session) => {
                let subject = session.owner.identifier();
                let subject = if subject.is_empty() { "LOCAL_SUPERUSER" } else { subject };
                (session.uuid.clone(), subject.to_owned(), session.user.clone())
            }
        };
        Who { session, subject, user, role: context.role.name(), from }
    }
}

impl Entry {
    /// The entry of a call; none for one that only looks, as a rule. Names are taken now, as the call may remove
    /// what they belong to.
    pub fn of(context: &Context, message: &Described, params: &[Value]) -> Option<Entry> {
        let wanted = changes(message) || reads(&context.toolstack);
        wanted.then(|| Entry::always(context, message, params))
    }

    fn always(context: &Context, message: &Described, params: &[Value]) -> Entry {
        let mut who = Who::of(context);
        if !message.session {
            who.role = "";
            let named = message.params.iter().position(|param| param.name == "uname");
            who.user = named.and_then(|at| params.get(at)).map(Value::text).unwrap_or_default();
        }
        let objects = context.store().read(|objects| {
            let named = message.params.iter().zip(params);
            named
                .map(|(param, value)| named_objects(objects, param.name, &param.ty, value))
                .collect()
        });
        Entry { who, name: message.full_name(), objects }
    }

    /// Logs how it ended.
    pub fn ended(self, toolstack: &Toolstack, reply: &Reply) {
        let result = match reply {
            Ok(_) => "OK".to_owned(),
            // Arguments of errors may be texts that were given.
            Err(error) => format!("ERROR:{}", error.code),
        };
        let made = match reply {
            Ok(Value::Ref(made)) if !self.who.session.is_empty() => toolstack
                .store
                .read(|objects| named_object(objects, "result", made))
                .unwrap_or_default(),
            _ => String::new(),
        };
        self.write(toolstack, "ALLOWED", &result, &made);
    }

    fn write(&self, toolstack: &Toolstack, allowed: &str, result: &str, made: &str) {
        let host = toolstack.store.read(|objects| {
            objects.all("host").next().map(|host| host.text("hostname").to_owned())
        });
        let time = DateTime::now();
        let who = &self.who;
        let head = [who.role, &who.from].map(plain).join("|");
        let host = plain(&host.unwrap_or_default());
        let words = [&who.session, &who.subject, &who.user, allowed, result, "API", &self.name];
        let words = words.map(quoted).join(" ");
        let line = format!("[{time}|audit|{host}|{head}] ({words} ({}{made}))", self.objects);
        toolstack.audit.add(&line);
    }
}

/// Logs a call that was denied, whatever it would do, and gives the error back.
pub fn denied(
    context: &Context,
    message: &Described,
    params: &[Value],
    error: ApiError,
) -> ApiError {
    let entry = Entry::always(context, message, params);
    entry.write(&context.toolstack, "DENIED", &format!("ERROR:{}", error.code), "");
    error
}

/// Whether what only looks is logged too.
fn reads(toolstack: &Toolstack) -> bool {
    toolstack.store.read(|objects| {
        let mut pools = objects.all("pool");
        pools.next().is_some_and(|pool| pool.entry("other_config", READS) == Some("true"))
    })
}

/// Requests that only look at figures, which programs make every few seconds.
const FIGURES: [&str; 4] =
    [http::GET_METRICS.name, http::HOST_RRD.name, http::RRD_UPDATES.name, http::VM_RRD.name];

/// Logs a request that is no call, by the name of its handler: `put_import_raw_vdi`. One that only
/// looks at figures is logged as a call that only looks is.
pub fn request(context: &Context, handler: &str, allowed: bool) {
    if allowed && FIGURES.contains(&handler) && !reads(&context.toolstack) {
        return;
    }
    let entry =
        Entry { who: Who::of(context), name: format!("http/{handler}"), objects: String::new() };
    let (allowed, result) = if allowed { ("ALLOWED", "OK") } else { ("DENIED", "ERROR") };
    entry.write(&context.toolstack, allowed, result, "");
}

/// Whether a message does more than look.
fn changes(message: &Described) -> bool {
    match message.kind {
        Kind::Set(_) | Kind::Add(_) | Kind::Remove(_) | Kind::Create | Kind::Destroy => true,
        Kind::Own(own) => {
            let looks = ["get_", "list_", "assert_", "compute_", "query_"];
            let heard = message.class.name == "event" || own.name == "get";
            !heard && !looks.iter().any(|prefix| own.name.starts_with(prefix))
        }
        _ => false,
    }
}

/// The objects that a parameter refers to, those within a record too.
fn named_objects(objects: &Objects, name: &str, ty: &Type, value: &Value) -> String {
    match (ty, value) {
        (Type::Ref(_), Value::Ref(reference)) => {
            named_object(objects, name, reference).unwrap_or_default()
        }
        (Type::Set(item), Value::Set(items)) => {
            let first = items.iter().take(REFERENCES);
            first.map(|value| named_objects(objects, name, item, value)).collect()
        }
        (Type::Record(class), Value::Map(record)) => {
            let fields = xapi_model::classes::find(class).map_or(&[][..], |class| class.fields);
            let given = fields.iter().filter_map(|f| Some((f, record.get(f.name)?)));
            given
                .map(|(field, value)| named_objects(objects, field.name, &field.ty, value))
                .collect()
        }
        _ => String::new(),
    }
}

fn named_object(objects: &Objects, name: &str, reference: &Ref) -> Option<String> {
    if reference.is_null() {
        return None;
    }
    let object = objects.find(reference);
    let label = object
        .filter(|object| object.class().named())
        .map(|object| object.text("name_label").to_owned());
    let uuid = object.map(|object| object.uuid().to_owned());
    let (label, uuid) = (label.unwrap_or_default(), uuid.unwrap_or_default());
    // A session's reference is as good as a password.
    let known = object.map_or("", |_| reference.as_str());
    let words = [name, &label, &uuid, known].map(quoted).join(" ");
    Some(format!("({words})"))
}

/// A word in quotes, on one line whatever is in it.
fn quoted(word: &str) -> String {
    let mut text = String::from("'");
    for letter in word.chars() {
        match letter {
            '\'' | '\\' => text.extend(['\\', letter]),
            other if other.is_control() => drop(write!(text, "\\u{{{:x}}}", u32::from(other))),
            other => text.push(other),
        }
    }
    text + "'"
}

/// A word of the line's head, which ends at a bar or bracket.
fn plain(word: &str) -> String {
    word.replace(|letter: char| letter.is_control() || "|[]".contains(letter), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_in_their_quotes_and_on_their_line() {
        assert_eq!(quoted("it's\\a\nline"), r"'it\'s\\a\u{a}line'");
        assert_eq!(plain("a|b]\r\nc"), "a_b___c");
    }

    #[test]
    fn a_full_file_gives_way_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit { biggest: 10, ..Audit::new(folder.path().join("log")) };
        for number in 0..KEPT + 3 {
            audit.add(&format!("line number {number}"));
        }
        let files = audit.files();
        assert_eq!(files.len(), KEPT + 1);
        assert_eq!(fs::read_to_string(&files[0]).unwrap(), "line number 2\n");
        let newest = format!("line number {}\n", KEPT + 2);
        assert_eq!(fs::read_to_string(&files[KEPT]).unwrap(), newest);
        // Another run of the daemon goes on in the same file.
        let again = Audit { biggest: 100, ..Audit::new(folder.path().join("log")) };
        again.add("after");
        assert_eq!(fs::read_to_string(&files[KEPT]).unwrap(), newest + "after\n");
    }

    #[test]
    fn lines_are_told_apart_by_time() {
        let line = "[20240102T00:00:00Z|audit|h|r] (...)";
        assert!(is_since(line, "20240101T00:00:00Z"));
        assert!(is_since(line, "20240102T00:00:00Z"));
        assert!(!is_since(line, "20240102T00:00:01Z"));
    }
}
