// SPDX-License-Identifier: MIT OR Apache-2.0
//! `Certificate`.

use super::prelude::*;

static TYPE: EnumType =
    EnumType { name: "certificate_type", values: &["ca", "host", "host_internal", "pinned"] };

static PURPOSE: EnumType =
    EnumType { name: "certificate_purpose", values: &["licensing", "ldaps"] };

/// A certificate.
pub static CERTIFICATE: Class = class(
    "Certificate",
    "An X.509 certificate: a host's own, or that of an authority that hosts trust.",
    &[
        UUID,
        ro("name", STRING, "Name of an authority; empty for a host's own."),
        ro("type", Enum(&TYPE), "ca or host.").or(Str("host")),
        ro("host", Ref("host"), "The host whose own it is."),
        ro("not_before", DateTime, "It is valid from then on."),
        ro("not_after", DateTime, "It is valid until then."),
        ro("fingerprint", STRING, "The same as fingerprint_sha256."),
        ro("fingerprint_sha256", STRING, "SHA-256 of it, with colons."),
        ro("fingerprint_sha1", STRING, "SHA-1 of it, with colons."),
        ro("purpose", Set(&Enum(&PURPOSE)), "What it is trusted for; empty is everything."),
    ],
    &[],
);
