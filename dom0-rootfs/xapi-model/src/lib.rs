// SPDX-License-Identifier: MIT OR Apache-2.0
//! The XenAPI written once: classes, fields, messages, roles, errors, wire values.
//!
//! [`classes::ALL`] is the description; [`catalogue`] derives every message from it, the generated
//! ones (`get_record`, `set_name_label`, …) included. [`xmlrpc`] and [`jsonrpc`] carry [`Value`]s
//! over the wire. A message is described here only when the toolstack implements it.

mod catalogue;
mod class;
pub mod classes;
mod coerce;
mod datetime;
mod error;
pub mod errors;
mod field;
pub mod http;
pub mod jsonrpc;
pub mod left_out;
mod limits;
mod message;
mod record;
mod role;
mod stored;
mod types;
mod value;
pub mod xmlrpc;

pub use catalogue::{Catalogue, Described, Kind, catalogue};
pub use class::Class;
pub use coerce::{Mismatch, coerce};
pub use datetime::{DateTime, LocalTime};
pub use error::{ApiError, ErrorCode};
pub use field::{Field, Qualifier};
pub use limits::{DecodeError, MAX_DEPTH, MAX_VALUES};
pub use message::{Message, Param};
pub use record::Record;
pub use role::Role;
pub use stored::{decode_fields, encode_fields};
pub use types::{EnumType, Literal, Type};
pub use value::{Call, Ref, Reply, Value};
