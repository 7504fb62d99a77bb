// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process that is a fully virtualized guest's machine.

use std::time::Duration;

use super::real::connect;
use super::sysfs::Sysfs;
use crate::hypervisor::DomId;

/// For how long the device model of a domain has run, if it has one.
pub(super) fn age(domain: DomId) -> Option<Duration> {
    // libxl writes it when it has started the process (`libxl__spawn_local_dm`).
    let node = format!("/local/domain/{}/image/device-model-pid", domain.0);
    let process = connect().ok()?.read(&node).ok()??;
    Sysfs::new("/".into()).age(process.parse().ok()?)
}
