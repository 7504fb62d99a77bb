// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM.provision`: from the clone of a template to a VM, with the disks that the template asks for.
//!
//! Templates ask for disks in `other_config:disks`:
//! `<provision><disk device="0" size="8589934592" sr="" bootable="true" type="system"/></provision>`.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;
use xapi_model::{ApiError, Ref, Reply, Value, errors};

use super::{Entry, vbd, vdi};
use crate::toolstack::{Args, Context};
use crate::unfinished;
use crate::vm::operation::Operation;

pub(super) const HANDLERS: &[Entry] = &[("VM.provision", provision)];

/// Most disks of one template.
const MOST: usize = 16;

/// A disk that a template asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    device: String,
    size: i64,
    sr: String,
    bootable: bool,
    kind: String,
}

fn wanted(text: &str) -> Result<Vec<Wanted>, String> {
    let mut reader = Reader::from_str(text);
    let mut all = Vec::new();
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(tag) | Event::Empty(tag) if tag.name().as_ref() == "disk" => {
                let mut disk = Wanted::default();
                for attribute in tag.attributes() {
                    let attribute = attribute.map_err(|e| e.to_string())?;
                    let value = attribute
                        .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                        .map_err(|e| e.to_string())?
                        .into_owned();
                    match attribute.key.as_ref() {
                        "device" => disk.device = value,
                        "size" => {
                            disk.size = value.parse().map_err(|_| format!("size {value:?}"))?;
                        }
                        "sr" => disk.sr = value,
                        "bootable" => disk.bootable = value == "true",
                        "type" => disk.kind = value,
                        _ => {}
                    }
                }
                all.push(disk);
                if all.len() > MOST {
                    return Err(format!("more than {MOST} disks"));
                }
            }
            Event::Eof => return Ok(all),
            _ => {}
        }
    }
}

fn provision(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("vm");
    let _operation = Operation::begin(context, &vm, "provision")?;
    let (disks, name) = context.toolstack.look("VM", &vm, |vm, _| {
        let disks = vm.entry("other_config", "disks").unwrap_or_default().to_owned();
        (disks, vm.text("name_label").to_owned())
    })?;
    let disks = wanted(&disks)
        .map_err(|problem| errors::INVALID_VALUE.with(["other_config:disks", &problem]))?;
    let mut made = Vec::new();
    let result = make_disks(context, &name, &disks, &mut made).and_then(|()| {
        context.store().write(|t| {
            for (disk, vdi) in disks.iter().zip(&made) {
                vbd::make(t, &attachment(disk, &vm, vdi))?;
                unfinished::finish(t, vdi);
            }
            t.set_entry(&vm, "other_config", "disks", None);
            t.set(&vm, "is_a_template", false);
            Ok(Value::Void)
        })
    });
    if result.is_err() {
        made.iter().for_each(|vdi| unfinished::remove(&context.toolstack, vdi));
    }
    result
}

/// The disks, each with a note that it is unfinished: the VM gets all of them at once.
fn make_disks(
    context: &Context,
    name: &str,
    disks: &[Wanted],
    made: &mut Vec<Ref>,
) -> Result<(), ApiError> {
    for disk in disks {
        let sr = context.store().read(|objects| match disk.sr.as_str() {
            "" => objects.all("pool").next().map(|pool| pool.to("default_SR")),
            uuid => objects.by_uuid("SR", uuid).map(|sr| sr.reference().clone()),
        });
        let sr = sr.ok_or_else(|| errors::UUID_INVALID.with(["SR", &disk.sr]))?;
        let kind = if disk.kind == "system" { "system" } else { "user" };
        let fields = vec![
            ("name_label", format!("{name} {}", disk.device).into()),
            ("name_description", "Made from a template".into()),
            ("type", Value::Enum(kind)),
        ];
        made.push(vdi::make(context, &sr, disk.size, fields, true)?);
    }
    Ok(())
}

/// The record of a disk's VBD.
fn attachment(disk: &Wanted, vm: &Ref, vdi: &Ref) -> BTreeMap<String, Value> {
    let record = [
        ("VM", Value::from(vm)),
        ("VDI", vdi.into()),
        ("userdevice", disk.device.as_str().into()),
        ("bootable", disk.bootable.into()),
        ("mode", Value::Enum("RW")),
        ("type", Value::Enum("Disk")),
        // Whoever removes the VM removes it too.
        ("other_config", Value::string_map([("owner", "")])),
    ];
    record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_ask_for_disks() {
        let text = r#"<provision><disk device="0" size="8589934592" sr="" bootable="true" type="system"/></provision>"#;
        let disk = Wanted {
            device: "0".into(),
            size: 8 << 30,
            sr: String::new(),
            bootable: true,
            kind: "system".into(),
        };
        assert_eq!(wanted(text), Ok(vec![disk]));
        assert_eq!(wanted(""), Ok(vec![]));
        assert!(wanted(r#"<disk size="big"/>"#).is_err());
        assert!(wanted("<provision></disk>").is_err());
    }
}
