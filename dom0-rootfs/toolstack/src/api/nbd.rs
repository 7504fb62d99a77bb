// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VDI` as a network block device: as no network has that purpose, as on XenServer's hosts of which
//! nobody asked for it, the answer is that it is served nowhere.

use xapi_model::Value;

use super::Entry;

pub(super) const HANDLERS: &[Entry] = &[("VDI.get_nbd_info", |context, args| {
    context.toolstack.look("VDI", &args.to("self"), |_, _| Value::Set(Vec::new()))
})];
