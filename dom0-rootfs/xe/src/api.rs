// SPDX-License-Identifier: MIT OR Apache-2.0
//! A session with the server, and the objects that were looked at in it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::rc::Rc;

use xapi_model::{ApiError, Call, Class, Ref, Value, catalogue, classes, errors};

use crate::failure::Failure;
use crate::transport::Transport;

/// Fields by name, as they came over the wire.
pub(crate) type Record = BTreeMap<String, Value>;

/// Objects of a class by reference.
pub(crate) type Records = Rc<BTreeMap<String, Record>>;

/// Shown for a reference to nothing.
pub(crate) const NOBODY: &str = "<not in database>";

/// A session.
pub(crate) struct Api {
    transport: Box<dyn Transport>,
    session: Value,
    seen: HashMap<&'static str, Records>,
}

impl Api {
    pub(crate) fn log_in(
        transport: Box<dyn Transport>,
        user: &str,
        password: &str,
    ) -> Result<Api, Failure> {
        let mut api = Api { transport, session: Value::Void, seen: HashMap::new() };
        let params = [user, password, "1.0", "xe"].map(Value::from).to_vec();
        api.session = api.send("session.login_with_password", params)?;
        Ok(api)
    }

    pub(crate) fn log_out(&mut self) -> Result<(), Failure> {
        self.send("session.logout", vec![self.session.clone()]).map(drop)
    }

    /// The session's reference.
    pub(crate) fn session(&self) -> String {
        self.session.text()
    }

    /// A call that changes nothing.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        params: impl IntoIterator<Item = Value>,
    ) -> Result<Value, Failure> {
        let params = std::iter::once(self.session.clone()).chain(params).collect();
        match self.send(method, params) {
            Err(Failure::Api(error)) => Err(Failure::Api(self.explain(error))),
            other => other,
        }
    }

    /// A call that may change anything, so nothing that was seen before counts afterwards.
    pub(crate) fn act(
        &mut self,
        method: &str,
        params: impl IntoIterator<Item = Value>,
    ) -> Result<Value, Failure> {
        let answer = self.ask(method, params);
        self.seen.clear();
        answer
    }

    /// Every object of a class.
    pub(crate) fn records(&mut self, class: &'static Class) -> Result<Records, Failure> {
        if let Some(seen) = self.seen.get(class.name) {
            return Ok(seen.clone());
        }
        let method = format!("{}.get_all_records", class.name);
        let Value::Map(all) = self.send(&method, vec![self.session.clone()])? else {
            return Err(Failure::plain(format!("the server's list of {} is none", class.name)));
        };
        let records = all.into_iter().filter_map(|(reference, record)| match record {
            Value::Map(record) => Some((reference, record)),
            _ => None,
        });
        let records: Records = Rc::new(records.collect());
        self.seen.insert(class.name, records.clone());
        Ok(records)
    }

    /// The object of a class with this uuid.
    pub(crate) fn by_uuid(
        &mut self,
        class: &'static Class,
        uuid: &str,
    ) -> Result<(Value, Record), Failure> {
        let reference = self.find(class, uuid)?;
        let seen = self.seen.get(class.name).and_then(|seen| seen.get(&reference.text()));
        if let Some(record) = seen {
            return Ok((reference, record.clone()));
        }
        let method = format!("{}.get_record", class.name);
        match self.send(&method, vec![self.session.clone(), reference.clone()])? {
            Value::Map(record) => Ok((reference, record)),
            other => Err(Failure::plain(format!("the server's {} is {other:?}", class.name))),
        }
    }

    /// The reference to what a uuid names; of nothing when it is empty.
    pub(crate) fn reference(&mut self, class: &str, uuid: &str) -> Result<Value, Failure> {
        if uuid.is_empty() || uuid == Ref::NULL || uuid == NOBODY {
            return Ok(Value::Ref(Ref::null()));
        }
        let class = known(class).ok_or_else(|| errors::UUID_INVALID.with([class, uuid]))?;
        self.find(class, uuid)
    }

    /// The reference to the object of a class with this uuid. Asks for it alone: of a large pool all objects of a
    /// class are megabytes.
    fn find(&mut self, class: &'static Class, uuid: &str) -> Result<Value, Failure> {
        if let Some(seen) = self.seen.get(class.name) {
            let found = seen.iter().find(|(_, record)| text(record, "uuid") == uuid);
            let (reference, _) =
                found.ok_or_else(|| errors::UUID_INVALID.with([class.name, uuid]))?;
            return Ok(Value::Ref(Ref::new(reference)));
        }
        let method = format!("{}.get_by_uuid", class.name);
        let found = self.send(&method, vec![self.session.clone(), uuid.into()])?;
        Ok(Value::Ref(Ref::new(&found.text())))
    }

    /// A field of what a reference goes to, as text.
    pub(crate) fn field_of(
        &mut self,
        class: &str,
        reference: &str,
        field: &str,
    ) -> Result<String, Failure> {
        let Some(class) = known(class).filter(|_| reference != Ref::NULL) else {
            return Ok(NOBODY.to_owned());
        };
        let records = self.records(class)?;
        Ok(records.get(reference).map_or_else(|| NOBODY.to_owned(), |record| text(record, field)))
    }

    /// The uuid of what a reference goes to.
    pub(crate) fn uuid_of(&mut self, class: &str, reference: &str) -> Result<String, Failure> {
        self.field_of(class, reference, "uuid")
    }

    /// Sends a file to a handler of the server; one without a length to its end.
    pub(crate) fn put(
        &mut self,
        path: &str,
        length: Option<u64>,
        file: &mut dyn Read,
    ) -> Result<(), Failure> {
        self.transport.put(path, length, file).map_err(Failure::Contact)
    }

    /// Fetches a file from a handler of the server.
    pub(crate) fn get(&mut self, path: &str, file: &mut dyn Write) -> Result<(), Failure> {
        self.transport.get(path, file).map_err(Failure::Contact)
    }

    /// Connects a console to the terminal until it ends.
    pub(crate) fn console(&mut self, path: &str) -> Result<(), Failure> {
        self.transport.console(path).map_err(Failure::Contact)
    }

    fn send(&mut self, method: &str, params: Vec<Value>) -> Result<Value, Failure> {
        let call = Call { method: method.to_owned(), params };
        let reply = self.transport.call(&call).map_err(Failure::Contact)?;
        reply.map_err(Failure::Api)
    }

    /// Puts uuid and name in the place of references.
    pub(crate) fn explain(&mut self, mut error: ApiError) -> ApiError {
        for arg in &mut error.args {
            if !arg.starts_with("OpaqueRef:") || arg == Ref::NULL {
                continue;
            }
            for class in classes::ALL.iter().filter(|class| is_listed(class)) {
                // Another error on the way must not hide the first.
                let Ok(records) = self.records(class) else { continue };
                if let Some(record) = records.get(arg.as_str()) {
                    *arg = match record.get("name_label") {
                        Some(name) => format!("{} ({})", text(record, "uuid"), name.text()),
                        None => text(record, "uuid"),
                    };
                    break;
                }
            }
        }
        error
    }
}

/// A class of the API whose objects can be listed.
pub(crate) fn known(class: &str) -> Option<&'static Class> {
    classes::find(class).filter(|class| is_listed(class))
}

pub(crate) fn is_listed(class: &Class) -> bool {
    // One without fields has no objects.
    !class.fields.is_empty() && class.listed && has(&format!("{}.get_all_records", class.name))
}

/// Whether the API has a message.
pub(crate) fn has(message: &str) -> bool {
    catalogue().find(message).is_some()
}

/// A field of a record as text; empty if it is not there.
pub(crate) fn text(record: &Record, field: &str) -> String {
    record.get(field).map(Value::text).unwrap_or_default()
}
