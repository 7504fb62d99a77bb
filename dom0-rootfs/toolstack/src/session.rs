// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sessions and the brake on guessing passwords.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;
use xapi_model::{ApiError, DateTime, Ref, Role, Value, classes, errors};

use crate::rbac;
use crate::store::{Objects, Token};

/// A session that nobody uses for so long ends.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// Most sessions; the one unused for longest makes room.
const MOST: usize = 2000;
/// So many wrong passwords from one address within [`WINDOW`] and no more are checked.
const FAILURES: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Most addresses whose failures are remembered; all others then count as one.
const ADDRESSES: usize = 1000;
/// So many wrong passwords from those others.
const FAILURES_OF_OTHERS: usize = 100;
/// What they are remembered by.
const OTHERS: &str = "others";

/// For whom a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A user of the host itself, with a role that does not change: root, or the daemon.
    Host(Role),
    /// A user whose subjects' roles are looked up at each call.
    Subject {
        /// The user's identifier.
        identifier: String,
        /// That and those of the user's groups, as they were at login.
        identifiers: Vec<String>,
    },
}

impl Owner {
    /// Identifier of the user; empty for those of the host itself.
    pub fn identifier(&self) -> &str {
        match self {
            Owner::Host(_) => "",
            Owner::Subject { identifier, .. } => identifier,
        }
    }

    /// What it may do now, and by which subject; none once there is no role any more.
    pub fn standing(&self, objects: &Objects) -> Option<(Option<Ref>, Role)> {
        match self {
            Owner::Host(role) => Some((None, *role)),
            Owner::Subject { identifiers, .. } => {
                rbac::strongest(objects, identifiers).map(|(subject, role)| (Some(subject), role))
            }
        }
    }
}

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its uuid.
    pub uuid: String,
    /// For whom it is.
    pub owner: Owner,
    /// Name that was used to log in.
    pub user: String,
    /// What the client called itself.
    pub originator: String,
    /// `session.other_config`.
    pub other_config: Value,
    /// Classes of `event.register`, and the newest change that `event.next` has given.
    pub registered: Option<(Vec<String>, Token)>,
    made: DateTime,
    last_active: DateTime,
    used: Instant,
}

impl Session {
    /// All fields.
    pub fn record(&self, objects: &Objects) -> Value {
        let host = objects.all("host").next().map_or_else(Ref::null, |h| h.reference().clone());
        let mut fields: std::collections::BTreeMap<String, Value> =
            classes::SESSION.fields.iter().map(|f| (f.name.to_owned(), f.initial())).collect();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("uuid", self.uuid.clone().into());
        put("this_host", host.into());
        let user = objects.all("user").find(|user| user.text("short_name") == self.user);
        put("this_user", user.map_or_else(Ref::null, |user| user.reference().clone()).into());
        put("last_active", self.last_active.into());
        put("validation_time", self.made.into());
        put("other_config", self.other_config.clone());
        put("auth_user_name", self.user.clone().into());
        put("auth_user_sid", self.owner.identifier().into());
        match self.owner.standing(objects) {
            Some((Some(subject), role)) => {
                put("subject", subject.into());
                put("rbac_permissions", Value::strings(rbac::permissions(role)));
            }
            _ => drop(put("is_local_superuser", true.into())),
        }
        put("originator", self.originator.clone().into());
        Value::Map(fields)
    }
}

/// A wrong password.
#[derive(Debug, Clone, Copy)]
struct Failure {
    at: Instant,
    /// Of the name that it was tried for. Names are as long as strangers like.
    name: u64,
}

/// Wrong passwords by address.
type Failures = HashMap<String, Vec<Failure>>;

/// All sessions. They end with the daemon.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<Ref, Session>>,
    failures: Mutex<Failures>,
    /// Nobody outside can tell two names with one hash.
    names: RandomState,
}

impl Sessions {
    /// Opens a session.
    pub fn open(&self, owner: Owner, user: &str, originator: &str) -> Ref {
        let reference = Ref::new(&format!("OpaqueRef:{}", Uuid::new_v4()));
        let session = Session {
            uuid: Uuid::new_v4().to_string(),
            owner,
            user: user.into(),
            originator: originator.into(),
            other_config: Value::Map(Default::default()),
            registered: None,
            made: DateTime::now(),
            last_active: DateTime::now(),
            used: Instant::now(),
        };
        let mut open = self.lock();
        open.retain(|_, session| session.used.elapsed() < IDLE);
        if open.len() >= MOST
            && let Some(oldest) = open.iter().min_by_key(|(_, s)| s.used).map(|(r, _)| r.clone())
        {
            open.remove(&oldest);
        }
        open.insert(reference.clone(), session);
        reference
    }

    /// The session, marked as used, or `SESSION_INVALID`.
    pub fn use_session(&self, reference: &str) -> Result<Session, ApiError> {
        let mut open = self.lock();
        match open.get_mut(&Ref::new(reference)) {
            Some(session) if session.used.elapsed() < IDLE => {
                session.used = Instant::now();
                session.last_active = DateTime::now();
                Ok(session.clone())
            }
            _ => Err(errors::SESSION_INVALID.with([reference])),
        }
    }

    /// The session without using it.
    pub fn look(&self, reference: &Ref) -> Option<Session> {
        self.lock().get(reference).cloned()
    }

    /// The session with this uuid.
    pub fn by_uuid(&self, uuid: &str) -> Option<Ref> {
        self.lock().iter().find(|(_, s)| s.uuid == uuid).map(|(r, _)| r.clone())
    }

    /// Changes a session.
    pub fn change<T>(&self, reference: &Ref, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.lock().get_mut(reference).map(change)
    }

    /// Identifiers of all users that are logged in, each once, without those of the host itself.
    pub fn identifiers(&self) -> Vec<String> {
        let open = self.lock();
        let all = open.values().map(|session| session.owner.identifier());
        let all: BTreeSet<&str> = all.filter(|identifier| !identifier.is_empty()).collect();
        all.into_iter().map(str::to_owned).collect()
    }

    /// Ends all sessions of a user but one.
    pub fn close_all_of(&self, identifier: &str, but: &Ref) {
        self.lock().retain(|reference, session| {
            reference == but || session.owner.identifier() != identifier
        });
    }

    /// Ends a session.
    pub fn close(&self, reference: &Ref) {
        self.lock().remove(reference);
    }

    /// Whether passwords from this address are not even checked for now.
    pub fn braked(&self, address: &str) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (address, most) = bucket(&failures, address);
        let Some(times) = failures.get_mut(address) else { return false };
        times.retain(|failure| failure.at.elapsed() < WINDOW);
        times.len() >= most
    }

    /// Counts a wrong password for a user's name.
    pub fn failed(&self, address: &str, user: &str) {
        let failure = Failure { at: Instant::now(), name: self.names.hash_one(user) };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES {
            failures.retain(|_, times| times.last().is_some_and(|f| f.at.elapsed() < WINDOW));
        }
        let (address, _) = bucket(&failures, address);
        failures.entry(address.into()).or_default().push(failure);
    }

    /// Forgets a user's wrong passwords after a right one. Those for other names stay: otherwise whoever
    /// has an account could guess between two logins of its own, and never be stopped.
    pub fn succeeded(&self, address: &str, user: &str) {
        let name = self.names.hash_one(user);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = failures.get_mut(address) {
            times.retain(|failure| failure.name != name);
            if times.is_empty() {
                failures.remove(address);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ref, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What failures from an address are counted under, and how many there may be.
fn bucket<'a>(failures: &Failures, address: &'a str) -> (&'a str, usize) {
    if failures.len() < ADDRESSES || failures.contains_key(address) {
        return (address, FAILURES);
    }
    (OTHERS, FAILURES_OF_OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_open_and_close() {
        let sessions = Sessions::default();
        let reference = sessions.open(Owner::Host(Role::PoolAdmin), "root", "test");
        assert_eq!(sessions.use_session(reference.as_str()).unwrap().user, "root");
        sessions.close(&reference);
        assert!(sessions.use_session(reference.as_str()).unwrap_err().is(&errors::SESSION_INVALID));
        assert!(sessions.use_session("").is_err());
        assert!(sessions.use_session(Ref::NULL).is_err());
    }

    #[test]
    fn too_many_sessions_end_the_oldest() {
        let sessions = Sessions::default();
        let first = sessions.open(Owner::Host(Role::PoolAdmin), "root", "");
        for _ in 0..MOST {
            sessions.open(Owner::Host(Role::PoolAdmin), "root", "");
        }
        assert!(sessions.use_session(first.as_str()).is_err());
    }

    #[test]
    fn guessing_is_braked_by_address() {
        let sessions = Sessions::default();
        for _ in 0..FAILURES {
            assert!(!sessions.braked("192.0.2.1"));
            sessions.failed("192.0.2.1", "root");
        }
        assert!(sessions.braked("192.0.2.1"));
        assert!(!sessions.braked("192.0.2.2"));
        sessions.succeeded("192.0.2.1", "ann");
        assert!(sessions.braked("192.0.2.1"), "ann's password says nothing of root's");
        sessions.succeeded("192.0.2.1", "root");
        assert!(!sessions.braked("192.0.2.1"));
        assert!(sessions.failures.lock().unwrap().is_empty());
    }

    #[test]
    fn guessing_from_everywhere_is_braked() {
        let sessions = Sessions::default();
        sessions.failed("192.0.2.1", "root");
        let mut guesses = 0;
        for number in 0..10 * ADDRESSES {
            let address = format!("10.0.{}.{}", number / 256, number % 256);
            if !sessions.braked(&address) {
                guesses += 1;
                sessions.failed(&address, "root");
            }
        }
        assert_eq!(guesses, ADDRESSES - 1 + FAILURES_OF_OTHERS);
        assert!(!sessions.braked("192.0.2.1"), "whoever is remembered counts for itself");
        assert!(sessions.failures.lock().unwrap().len() <= ADDRESSES + 1);
    }
}
