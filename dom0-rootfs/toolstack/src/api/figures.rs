// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures of a host or VM as they are now. None is recorded over time.

use std::collections::BTreeMap;

use xapi_model::{ApiError, Ref, Reply, Value, errors};
use xenops::DomainInfo;

use super::Entry;
use crate::failure;
use crate::toolstack::Context;
use crate::vm::stop;

pub(super) const HANDLERS: &[Entry] = &[
    ("host.get_data_sources", |context, args| Ok(records(&of_host(context, &args.to("host"))?))),
    ("host.query_data_source", |context, args| {
        one(&of_host(context, &args.to("host"))?, args.text("data_source"))
    }),
    ("VM.get_data_sources", |context, args| {
        let vm = args.to("self");
        match domain(context, &vm)? {
            Some(domain) => Ok(records(&of_domain(&domain))),
            None => Ok(Value::Set(Vec::new())),
        }
    }),
    ("VM.query_data_source", |context, args| {
        let vm = args.to("self");
        let domain = domain(context, &vm)?;
        let halted = || errors::VM_BAD_POWER_STATE.with([vm.as_str(), "running", "halted"]);
        one(&of_domain(&domain.ok_or_else(halted)?), args.text("data_source"))
    }),
];

/// A figure, under the name that XenServer's round robin databases have for it.
struct Figure {
    name: &'static str,
    doc: &'static str,
    units: &'static str,
    value: f64,
}

const fn figure(name: &'static str, doc: &'static str, units: &'static str, value: f64) -> Figure {
    Figure { name, doc, units, value }
}

fn of_host(context: &Context, host: &Ref) -> Result<Vec<Figure>, ApiError> {
    context.toolstack.look("host", host, |_, _| ())?;
    let hypervisor = &context.toolstack.hypervisor;
    let failed = |error| errors::INTERNAL_ERROR.with([failure::chain(&error)]);
    let info = hypervisor.host().map_err(failed)?;
    let domains = hypervisor.domains().map_err(failed)?;
    Ok(vec![
        figure("memory_total_kib", "Memory of the host", "KiB", info.memory_total_kib as f64),
        figure("memory_free_kib", "Memory that no VM has", "KiB", info.memory_free_kib as f64),
        figure("running_domains", "Domains, Dom0 among them", "", domains.len() as f64),
        figure(
            "running_vcpus",
            "Virtual CPUs of all domains",
            "",
            domains.iter().map(|domain| f64::from(domain.vcpus)).sum(),
        ),
        figure("pcpus", "CPUs of the host", "", f64::from(info.cpus)),
    ])
}

/// The domain of a VM that runs.
fn domain(context: &Context, vm: &Ref) -> Result<Option<DomainInfo>, ApiError> {
    let Some(id) = context.toolstack.look("VM", vm, |vm, _| stop::domain(vm))? else {
        return Ok(None);
    };
    let domains = context.toolstack.hypervisor.domains();
    let domains = domains.map_err(|error| failure::xenops(&error, vm))?;
    Ok(domains.into_iter().find(|domain| domain.id == id))
}

fn of_domain(domain: &DomainInfo) -> Vec<Figure> {
    vec![
        figure("memory", "Memory that it has", "B", domain.memory_kib as f64 * 1024.0),
        figure("vcpus", "Virtual CPUs that it runs on", "", f64::from(domain.vcpus)),
        figure(
            "cpu_time",
            "Time that its virtual CPUs have run",
            "s",
            domain.cpu_time_ns as f64 / 1e9,
        ),
    ]
}

fn records(figures: &[Figure]) -> Value {
    let record = |figure: &Figure| {
        let fields: [(&str, Value); 8] = [
            ("name_label", figure.name.into()),
            ("name_description", figure.doc.into()),
            ("enabled", false.into()),
            ("standard", true.into()),
            ("units", figure.units.into()),
            ("min", 0.0.into()),
            ("max", f64::MAX.into()),
            ("value", figure.value.into()),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Map(fields.collect::<BTreeMap<_, _>>())
    };
    Value::Set(figures.iter().map(record).collect())
}

fn one(figures: &[Figure], name: &str) -> Reply {
    let found = figures.iter().find(|figure| figure.name == name);
    let found = found.ok_or_else(|| errors::INVALID_VALUE.with(["data_source", name]))?;
    Ok(found.value.into())
}
