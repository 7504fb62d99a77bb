// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields of a class.

use crate::role::Role;
use crate::types::{Literal, Type};
use crate::value::Value;

/// Who gives a field its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    /// Clients, at any time (`RW`): has a `set_` message, maps and sets also `add_` and `remove_`.
    Rw,
    /// Clients, once, in the record that they create the object from (`RO/constructor`).
    Constructor,
    /// The toolstack (`RO/runtime`).
    Runtime,
}

impl Qualifier {
    /// As the API reference writes it.
    pub fn name(self) -> &'static str {
        match self {
            Qualifier::Rw => "RW",
            Qualifier::Constructor => "RO/constructor",
            Qualifier::Runtime => "RO/runtime",
        }
    }
}

/// A field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// `name_label`.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Who gives it its value.
    pub qualifier: Qualifier,
    /// Value of a new object; none is [`Type::zero`].
    pub default: Option<Literal>,
    /// What it means.
    pub doc: &'static str,
    /// For a set of references that only mirrors another class: the field there that refers back
    /// (`VM.VBDs` mirrors `VBD.VM`). The database keeps it right by itself.
    pub mirrors: Option<&'static str>,
    /// Role needed to set it, when it is not the class's.
    pub role: Option<Role>,
    /// Keys of a map that it takes other roles to change, weaker or stronger ones.
    pub keys: &'static [Key],
}

/// A key of a map, or all that begin alike when its name ends with `*`, and the role needed to add
/// and remove it.
pub type Key = (&'static str, Role);

impl Field {
    /// Sets the value of a new object.
    pub const fn or(mut self, default: Literal) -> Field {
        self.default = Some(default);
        self
    }

    /// Sets the role needed to change it.
    pub const fn by(mut self, role: Role) -> Field {
        self.role = Some(role);
        self
    }

    /// Gives some keys of a map roles of their own.
    pub const fn keyed(mut self, keys: &'static [Key]) -> Field {
        self.keys = keys;
        self
    }

    /// Which of its keys, with a role of their own, a key is.
    pub fn key(&self, key: &str) -> Option<Key> {
        let fits = |name: &str| match name.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => key == name,
        };
        self.keys.iter().find(|(name, _)| fits(name)).copied()
    }

    /// The value of a new object.
    pub fn initial(&self) -> Value {
        self.default.map_or_else(|| self.ty.zero(), |literal| literal.value(&self.ty))
    }
}

const fn field(name: &'static str, ty: Type, qualifier: Qualifier, doc: &'static str) -> Field {
    Field { name, ty, qualifier, default: None, doc, mirrors: None, role: None, keys: &[] }
}

/// A field that clients set.
pub(crate) const fn rw(name: &'static str, ty: Type, doc: &'static str) -> Field {
    field(name, ty, Qualifier::Rw, doc)
}

/// A field fixed when the object is made.
pub(crate) const fn fixed(name: &'static str, ty: Type, doc: &'static str) -> Field {
    field(name, ty, Qualifier::Constructor, doc)
}

/// A field that the toolstack sets.
pub(crate) const fn ro(name: &'static str, ty: Type, doc: &'static str) -> Field {
    field(name, ty, Qualifier::Runtime, doc)
}

/// A set of references that mirrors `back` of the class that it refers to.
pub(crate) const fn mirror(
    name: &'static str,
    ty: Type,
    back: &'static str,
    doc: &'static str,
) -> Field {
    let mut made = field(name, ty, Qualifier::Runtime, doc);
    made.mirrors = Some(back);
    made
}
