// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages that are written out, not generated.

use crate::error::ErrorCode;
use crate::role::Role;
use crate::types::{Literal, Type};

/// A parameter; the session is not among them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Param {
    /// `start_paused`.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// What it means.
    pub doc: &'static str,
    /// What it is when the caller leaves it out; none: it must be given.
    pub default: Option<Literal>,
}

/// A message of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Message {
    /// `start`.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Parameters after the session.
    pub params: &'static [Param],
    /// What it answers.
    pub result: Type,
    /// Weakest role that may call it.
    pub role: Role,
    /// Codes that it is expected to fail with, apart from those that every message can.
    pub errors: &'static [&'static ErrorCode],
    /// Its first parameter is a session.
    pub session: bool,
    /// `Async.` is offered.
    pub asynchronous: bool,
}

impl Message {
    /// Sets the parameters.
    pub const fn takes(mut self, params: &'static [Param]) -> Message {
        self.params = params;
        self
    }

    /// Sets the type of the result.
    pub const fn gives(mut self, result: Type) -> Message {
        self.result = result;
        self
    }

    /// Sets the codes.
    pub const fn fails(mut self, errors: &'static [&'static ErrorCode]) -> Message {
        self.errors = errors;
        self
    }

    /// Takes no session.
    pub const fn without_session(mut self) -> Message {
        self.session = false;
        self.asynchronous = false;
        self
    }

    /// Has no `Async.` form.
    pub const fn sync_only(mut self) -> Message {
        self.asynchronous = false;
        self
    }
}

/// A message without parameters and result.
pub(crate) const fn message(name: &'static str, role: Role, doc: &'static str) -> Message {
    Message {
        name,
        doc,
        params: &[],
        result: Type::Void,
        role,
        errors: &[],
        session: true,
        asynchronous: true,
    }
}

/// A parameter that must be given.
pub(crate) const fn param(name: &'static str, ty: Type, doc: &'static str) -> Param {
    Param { name, ty, doc, default: None }
}

/// A parameter that may be left out.
pub(crate) const fn optional(
    name: &'static str,
    ty: Type,
    default: Literal,
    doc: &'static str,
) -> Param {
    Param { name, ty, doc, default: Some(default) }
}
