// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VLAN` and `tunnel`, and the messages of other classes that make them.

use xapi_model::{ApiError, Ref, Reply, Value, errors};

use super::Entry;
use crate::host_network;
use crate::store::Transaction;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("VLAN.create", |context, args| {
        let (pif, network) = (args.to("tagged_PIF"), args.to("network"));
        make(context, &pif, args.int("tag"), &network).map(|(vlan, _)| vlan.into())
    }),
    ("VLAN.destroy", |context, args| {
        destroy(context, |t| host_network::separate(t, &args.to("self")))
    }),
    ("PIF.create_VLAN", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        on_device(context, args).map(Value::Ref)
    }),
    ("PIF.destroy", destroy_interface),
    ("pool.create_VLAN", |context, args| Ok(Value::Set(vec![on_device(context, args)?.into()]))),
    ("pool.create_VLAN_from_PIF", |context, args| {
        let made = make(context, &args.to("pif"), args.int("VLAN"), &args.to("network"))?;
        Ok(Value::Set(vec![made.1.into()]))
    }),
    ("tunnel.create", create_tunnel),
    ("tunnel.destroy", |context, args| {
        destroy(context, |t| host_network::untunnel(t, &args.to("self")))
    }),
];

/// Makes a VLAN; returns it and its interface.
fn make(context: &Context, tagged: &Ref, tag: i64, network: &Ref) -> Result<(Ref, Ref), ApiError> {
    let made = host_network::change(context, |t| host_network::vlan(t, tagged, tag, network))?;
    let untagged = context.toolstack.look("VLAN", &made, |vlan, _| vlan.to("untagged_PIF"))?;
    Ok((made, untagged))
}

fn on_device(context: &Context, args: &Args<'_>) -> Result<Ref, ApiError> {
    let device = args.text("device");
    let pif = context.store().read(|objects| {
        let mut pifs = objects.all("PIF");
        let pif = pifs.find(|pif| pif.text("device") == device && pif.int("VLAN") < 0);
        pif.map(|pif| pif.reference().clone())
    });
    let pif = pif.ok_or_else(|| errors::INVALID_VALUE.with(["device", device]))?;
    Ok(make(context, &pif, args.int("VLAN"), &args.to("network"))?.1)
}

fn destroy(
    context: &Context,
    separate: impl FnOnce(&mut Transaction<'_>) -> Result<(), ApiError>,
) -> Reply {
    host_network::change(context, separate).map(|()| Value::Void)
}

fn destroy_interface(context: &Context, args: &Args<'_>) -> Reply {
    let pif = args.to("self");
    destroy(context, |t| {
        let vlan = t.get("PIF", &pif)?.to("VLAN_master_of");
        if vlan.is_null() {
            return Err(errors::PIF_IS_PHYSICAL.with([pif.as_str()]));
        }
        host_network::separate(t, &vlan)
    })
}

fn create_tunnel(context: &Context, args: &Args<'_>) -> Reply {
    let (transport, network) = (args.to("transport_PIF"), args.to("network"));
    host_network::change(context, |t| {
        host_network::tunnel(t, &transport, &network, args.get("protocol").clone())
    })
    .map(Value::Ref)
}
