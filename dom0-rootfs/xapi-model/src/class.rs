// SPDX-License-Identifier: MIT OR Apache-2.0
//! Classes.

use crate::field::Field;
use crate::message::Message;
use crate::role::Role;

/// A class of objects.
#[derive(Debug, PartialEq)]
pub struct Class {
    /// `VM`.
    pub name: &'static str,
    /// What its objects are.
    pub doc: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// Messages that are not generated.
    pub messages: &'static [Message],
    /// Role that may look at its objects.
    pub read: Role,
    /// Role that may set fields.
    pub write: Role,
    /// Role that may use the generated `create` and `destroy`; none: it has neither.
    pub lifecycle: Option<Role>,
    /// `get_all`, `get_all_records` and `get_all_records_where` exist.
    pub listed: bool,
    /// `get_FIELD` exists for each field; otherwise they are read by the record.
    pub getters: bool,
    /// Objects are kept in the database; otherwise they live as long as the daemon.
    pub stored: bool,
    /// Changes of its objects are events.
    pub events: bool,
}

impl Class {
    /// Position and description of a field.
    pub fn field(&self, name: &str) -> Option<(usize, &'static Field)> {
        let fields: &'static [Field] = self.fields;
        fields.iter().enumerate().find(|(_, field)| field.name == name)
    }

    /// Whether objects have a `name_label`.
    pub fn named(&self) -> bool {
        self.field("name_label").is_some()
    }

    /// Changes the role that may look at its objects. Events do not ask for roles, so there are none
    /// of a class that not everybody may see.
    pub(crate) const fn read_by(mut self, role: Role) -> Class {
        self.read = role;
        self.events = false;
        self
    }

    /// Takes the messages for single fields away.
    pub(crate) const fn without_getters(mut self) -> Class {
        self.getters = false;
        self
    }

    /// Changes the role that may set fields.
    pub(crate) const fn written_by(mut self, role: Role) -> Class {
        self.write = role;
        self
    }

    /// Gives it the generated `create` and `destroy`.
    pub(crate) const fn made_by(mut self, role: Role) -> Class {
        self.lifecycle = Some(role);
        self
    }

    /// Takes it out of the database.
    pub(crate) const fn transient(mut self) -> Class {
        self.stored = false;
        self
    }

    /// Takes it out of the lists and the events.
    pub(crate) const fn unlisted(mut self) -> Class {
        self.listed = false;
        self.events = false;
        self
    }
}

/// A class kept in the database, listed, set by pool operators, that clients cannot create.
pub(crate) const fn class(
    name: &'static str,
    doc: &'static str,
    fields: &'static [Field],
    messages: &'static [Message],
) -> Class {
    Class {
        name,
        doc,
        fields,
        messages,
        read: Role::ReadOnly,
        write: Role::PoolOperator,
        lifecycle: None,
        listed: true,
        getters: true,
        stored: true,
        events: true,
    }
}
