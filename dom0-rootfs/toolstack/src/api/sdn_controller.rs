// SPDX-License-Identifier: MIT OR Apache-2.0
//! `SDN_controller`, and what else is set for all switches of the pool.

use std::net::Ipv4Addr;

use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::store::Transaction;
use crate::switches;
use crate::toolstack::{Args, Context};

/// Port of a controller that is not told otherwise, as on XenServer.
const PORT: i64 = 6632;

pub(super) const HANDLERS: &[Entry] = &[
    ("SDN_controller.introduce", |context, args| {
        let (protocol, address) = (args.text("protocol"), args.text("address"));
        introduce(context, protocol, address, args.int("port")).map(Value::from)
    }),
    ("SDN_controller.forget", |context, args| {
        let controller = args.to("self");
        context.toolstack.look("SDN_controller", &controller, |_, _| ())?;
        change(context, |t| {
            t.remove(&controller);
            note_address(t, "");
        })
    }),
    ("pool.set_vswitch_controller", set_vswitch_controller),
    ("pool.set_igmp_snooping_enabled", |context, args| {
        let (pool, enabled) = (args.to("self"), args.bool("value"));
        context.toolstack.look("pool", &pool, |_, _| ())?;
        change(context, |t| t.set(&pool, "igmp_snooping_enabled", enabled))
    }),
];

/// Changes objects, then the switches. Where these refuse the objects are put back.
fn change(context: &Context, change: impl FnOnce(&mut Transaction<'_>)) -> Reply {
    let toolstack = &context.toolstack;
    let _turn = toolstack.switches.turn();
    let before = toolstack.store.read(Before::of);
    toolstack.store.write(|t| {
        change(t);
        Ok(())
    })?;
    if let Err(error) = switches::keep(toolstack) {
        toolstack.store.write(|t| {
            before.restore(t);
            Ok(())
        })?;
        return Err(error);
    }
    Ok(Value::Void)
}

/// What a change that fails goes back to.
struct Before {
    controller: Option<[Value; 4]>,
    pool: Ref,
    address: Value,
    snooping: Value,
}

/// Fields of a controller that make it again.
const FIELDS: [&str; 4] = ["uuid", "protocol", "address", "port"];

impl Before {
    fn of(objects: &crate::store::Objects) -> Before {
        let controller = objects.all("SDN_controller").next();
        let pool = objects.all("pool").next();
        let field = |name: &str| pool.map_or(Value::Void, |pool| pool.get(name).clone());
        Before {
            controller: controller.map(|one| FIELDS.map(|field| one.get(field).clone())),
            pool: pool.map_or_else(Ref::null, |pool| pool.reference().clone()),
            address: field("vswitch_controller"),
            snooping: field("igmp_snooping_enabled"),
        }
    }

    fn restore(self, t: &mut Transaction<'_>) {
        remove_all(t);
        if let Some(fields) = self.controller {
            t.create(&classes::SDN_CONTROLLER, FIELDS.into_iter().zip(fields).collect());
        }
        t.set(&self.pool, "vswitch_controller", self.address);
        t.set(&self.pool, "igmp_snooping_enabled", self.snooping);
    }
}

fn remove_all(t: &mut Transaction<'_>) {
    let all: Vec<Ref> =
        t.objects().all("SDN_controller").map(|one| one.reference().clone()).collect();
    all.iter().for_each(|controller| t.remove(controller));
}

fn note_address(t: &mut Transaction<'_>, address: &str) {
    let pools: Vec<Ref> = t.objects().all("pool").map(|p| p.reference().clone()).collect();
    for pool in &pools {
        t.set(pool, "vswitch_controller", address);
    }
}

fn introduce(context: &Context, protocol: &str, address: &str, port: i64) -> Result<Ref, ApiError> {
    if context.store().read(|objects| objects.all("SDN_controller").next().is_some()) {
        let reason = "there is a controller; forget it first";
        return Err(errors::OPERATION_NOT_ALLOWED.with([reason]));
    }
    let passive = protocol == "pssl";
    let fits = if passive { address.is_empty() } else { address.parse::<Ipv4Addr>().is_ok() };
    if !fits {
        return Err(errors::INVALID_VALUE.with(["address", address]));
    }
    if (passive && port != 0) || !(0..=65_535).contains(&port) {
        return Err(errors::INVALID_VALUE.with(["port", &port.to_string()]));
    }
    let port = if !passive && port == 0 { PORT } else { port };
    let protocol = if passive { "pssl" } else { "ssl" };
    let mut made = Ref::null();
    change(context, |t| {
        let fields = vec![
            ("protocol", Value::Enum(protocol)),
            ("address", address.into()),
            ("port", port.into()),
        ];
        made = t.create(&classes::SDN_CONTROLLER, fields);
    })?;
    Ok(made)
}

fn set_vswitch_controller(context: &Context, args: &Args<'_>) -> Reply {
    let address = args.text("address");
    if !address.is_empty() && address.parse::<Ipv4Addr>().is_err() {
        return Err(errors::INVALID_VALUE.with(["address", address]));
    }
    change(context, |t| {
        remove_all(t);
        if !address.is_empty() {
            let fields = vec![
                ("protocol", Value::Enum("ssl")),
                ("address", address.into()),
                ("port", PORT.into()),
            ];
            t.create(&classes::SDN_CONTROLLER, fields);
        }
        note_address(t, address);
    })
}
