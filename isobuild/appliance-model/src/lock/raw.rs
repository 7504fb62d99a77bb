// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lock as it is written.

use serde::{Deserialize, Serialize};

use super::{Archive, Request, Source};
use crate::Digest;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLock {
    pub(super) version: u32,
    pub(super) revision: u32,
    pub(super) timestamp: String,
    #[serde(rename = "set", default)]
    pub(super) sets: Vec<RawSet>,
    #[serde(rename = "source", default)]
    pub(super) sources: Vec<RawSource>,
    #[serde(rename = "package", default)]
    pub(super) packages: Vec<RawPackage>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSet {
    pub(super) name: String,
    pub(super) packages: Vec<String>,
    pub(super) request: Request,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RawSource {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) source: Source,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPackage {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) archive: Archive,
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: Digest,
}
