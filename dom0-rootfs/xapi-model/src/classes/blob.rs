// SPDX-License-Identifier: MIT OR Apache-2.0
//! `blob`, and the message that makes one of an object.

use super::prelude::*;
use crate::message::Param;

/// Binary data.
pub static BLOB: Class = class(
    "blob",
    "Binary data of clients, sent and fetched at /blob of the host.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("size", Int, "Bytes."),
        rw("public", Bool, "Whoever knows its uuid may fetch it, without a session."),
        fixed("last_updated", DateTime, "When its data was last sent."),
        fixed("mime_type", STRING, "Type of its data."),
    ],
    &[
        message("create", Role::PoolOperator, "Makes a blob that belongs to nothing.")
            .takes(&[MIME, PUBLIC])
            .gives(Ref("blob")),
        message("destroy", Role::PoolOperator, "Removes a blob and its data.")
            .takes(&[param("self", Ref("blob"), "the blob")])
            .fails(&[&HANDLE_INVALID]),
    ],
);

/// Name of a new blob among those of its object.
pub(super) const NAME: Param = param("name", STRING, "name among the object's blobs");
/// Type of a new blob.
pub(super) const MIME: Param =
    param("mime_type", STRING, "type of its data; application/octet-stream when empty");
/// Whether a new blob is for everybody; left out with `create_new_blob` only.
const PUBLIC: Param = param("public", Bool, "whoever knows its uuid may fetch it");

/// Why a new blob cannot be the object's.
const CLASH: &[&crate::error::ErrorCode] = &[&MAP_DUPLICATE_KEY];

/// `create_new_blob` of a class; the first parameter is the object.
pub(super) const fn of_object(role: Role, params: &'static [Param]) -> Message {
    message("create_new_blob", role, "Makes a blob that belongs to the object.")
        .takes(params)
        .gives(Ref("blob"))
        .fails(CLASH)
}

/// Whether a new blob is for everybody.
pub(super) const MAYBE_PUBLIC: Param =
    optional("public", Bool, Literal::Bool(false), "whoever knows its uuid may fetch it");
