// SPDX-License-Identifier: MIT OR Apache-2.0
//! SRs that a driver is about to make, until the SR's object is there as well, or to remove, until that is
//! gone: a note says where.

use std::sync::Arc;

use serde_json::json;
use storage::{DeviceConfig, Place, SrDriver, SrSpec};
use uuid::Uuid;
use xapi_model::ApiError;

use super::left::Leftover;
use crate::api::sr;
use crate::failure;
use crate::store::Transaction;
use crate::toolstack::Toolstack;

/// How notes of SRs begin.
const NOTES: &str = "repository/";

fn note(sr: Uuid) -> String {
    format!("{NOTES}{sr}")
}

/// Notes that an SR is about to be made, or is to go.
pub fn begin(t: &mut Transaction<'_>, kind: &str, spec: &SrSpec) {
    let text = json!({ "type": kind, "device_config": spec.device_config });
    t.set_note(&note(spec.uuid), Some(text.to_string()));
}

/// Its object is there.
pub fn finish(t: &mut Transaction<'_>, sr: Uuid) {
    t.set_note(&note(sr), None);
}

fn noted(toolstack: &Toolstack, sr: Uuid) -> Option<(Arc<dyn SrDriver>, SrSpec)> {
    let text = toolstack.store.read(|objects| objects.note(&note(sr)).map(str::to_owned))?;
    let text: serde_json::Value = serde_json::from_str(&text).ok()?;
    let driver = toolstack.drivers.get(text["type"].as_str()?)?.clone();
    let device_config: DeviceConfig = serde_json::from_value(text["device_config"].clone()).ok()?;
    Some((driver, SrSpec { uuid: sr, device_config }))
}

/// Removes an SR that was made in vain, whatever there is of it. One that cannot be removed now is removed
/// later.
pub fn remove(toolstack: &Toolstack, sr: Uuid) {
    if !try_remove(toolstack, sr) {
        try_again(toolstack, sr);
    }
}

/// Removes an SR with a note soon, which could not be removed now.
pub fn try_again(toolstack: &Toolstack, sr: Uuid) {
    toolstack.left.add([Leftover::Repository(sr)]);
}

/// The same, once; whether it is gone.
pub(super) fn try_remove(toolstack: &Toolstack, sr: Uuid) -> bool {
    if let Some((driver, spec)) = noted(toolstack, sr) {
        let gone = driver.detach(&spec).and_then(|()| driver.destroy(&spec));
        if let Err(error) = gone {
            tracing::error!(error = failure::chain(&error), %sr, "removing a half-made SR");
            return false;
        }
    }
    let object = toolstack.store.read(|objects| {
        objects.by_uuid("SR", &sr.to_string()).map(|object| object.reference().clone())
    });
    let forgotten = match object {
        Some(object) => sr::remove(toolstack, &object),
        None => forget(toolstack, sr),
    };
    if let Err(error) = &forgotten {
        tracing::error!(%error, %sr, "forgetting a half-made SR");
    }
    forgotten.is_ok()
}

/// Nothing of it was made.
pub fn forget(toolstack: &Toolstack, sr: Uuid) -> Result<(), ApiError> {
    toolstack.store.write(|t| {
        finish(t, sr);
        Ok(())
    })
}

/// Removes those that the last run of the daemon left on this host; those on servers wait.
pub(super) fn sweep(toolstack: &Toolstack) {
    let left: Vec<Uuid> = toolstack.store.read(|objects| {
        let names = objects.notes(NOTES).map(|(key, _)| &key[NOTES.len()..]);
        names.filter_map(|name| Uuid::parse_str(name).ok()).collect()
    });
    for sr in left {
        tracing::warn!(%sr, "removing an SR that was left half-made or half-removed");
        let place = noted(toolstack, sr).map(|(driver, spec)| driver.place(&spec));
        if matches!(place, Some(Ok(Place::Elsewhere { .. }))) {
            try_again(toolstack, sr);
        } else {
            remove(toolstack, sr);
        }
    }
}
