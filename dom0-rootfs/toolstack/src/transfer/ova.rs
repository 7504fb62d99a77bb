// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description of exported VMs, `ova.xml`: their objects, and those that they refer to, as a value
//! of XML-RPC. See `ocaml/xapi/export.ml` and `importexport.ml` of xapi.

use std::collections::BTreeMap;

use xapi_model::{ApiError, Class, DateTime, Ref, Type, Value, classes, coerce, errors, xmlrpc};

use crate::store::{Object, Objects};

/// Version of the format: checksums are behind what they are of.
const EXPORT_VERSION: i64 = 2;
/// Versions of xapi that the format is of; those that are newer read it.
const XAPI_VERSION: (i64, i64) = (1, 3);

/// Fields of an object by name.
pub(super) type Record = BTreeMap<String, Value>;

/// Objects under their identifiers in an archive.
pub(super) struct Table {
    ids: BTreeMap<Ref, String>,
    order: Vec<Ref>,
}

impl Table {
    /// VMs with everything that goes with them.
    pub(super) fn of(objects: &Objects, vms: &[Ref]) -> Table {
        let mut table = Table { ids: BTreeMap::new(), order: Vec::new() };
        for vm in vms.iter().filter_map(|vm| objects.find(vm)) {
            table.add(objects, vm.reference());
            for vif in vm.refs("VIFs").iter().filter_map(|vif| objects.find(vif)) {
                table.add(objects, vif.reference());
                table.add(objects, &vif.to("network"));
            }
            for vbd in vm.refs("VBDs").iter().filter_map(|vbd| objects.find(vbd)) {
                table.add(objects, vbd.reference());
                let vdi = vbd.to("VDI");
                table.add(objects, &vdi);
                table.add(objects, &objects.find(&vdi).map_or_else(Ref::null, |v| v.to("SR")));
            }
        }
        table
    }

    fn add(&mut self, objects: &Objects, reference: &Ref) {
        if objects.find(reference).is_some() && !self.ids.contains_key(reference) {
            self.ids.insert(reference.clone(), format!("Ref:{}", self.order.len()));
            self.order.push(reference.clone());
        }
    }

    /// Identifier of an object.
    pub(super) fn id(&self, reference: &Ref) -> Option<&str> {
        self.ids.get(reference).map(String::as_str)
    }

    /// A value with identifiers in the place of references; what is not in the table goes.
    fn outside(&self, value: &Value) -> Value {
        match value {
            Value::Ref(reference) => self.id(reference).unwrap_or(Ref::NULL).into(),
            Value::Set(items) => {
                let known = |item: &&Value| item.as_ref().is_none_or(|r| self.id(r).is_some());
                Value::Set(items.iter().filter(known).map(|item| self.outside(item)).collect())
            }
            Value::Map(entries) => {
                let entries = entries.iter();
                Value::Map(entries.map(|(k, v)| (k.clone(), self.outside(v))).collect())
            }
            other => other.clone(),
        }
    }

    fn object(&self, object: &Object) -> Value {
        let fields = object.record();
        let fields = fields.entries().map(|(name, value)| (name.to_owned(), self.outside(value)));
        let mut record: Record = fields.collect();
        // What is true only here and now.
        let mut now: Vec<(&str, Value)> = vec![
            ("allowed_operations", Value::Set(Vec::new())),
            ("current_operations", Value::Map(Record::new())),
            ("currently_attached", false.into()),
        ];
        if object.class().name == "VM" {
            now.extend([
                ("power_state", Value::Enum("Halted")),
                ("suspend_VDI", Ref::NULL.into()),
                ("is_a_snapshot", false.into()),
                ("snapshot_of", Ref::NULL.into()),
                ("snapshot_time", DateTime(0).into()),
                ("domid", Value::Int(-1)),
            ]);
        }
        for (name, value) in now {
            record.entry(name.to_owned()).and_modify(|field| *field = value);
        }
        let id = self.id(object.reference()).unwrap_or(Ref::NULL);
        structure([
            ("class", object.class().name.into()),
            ("id", id.into()),
            ("snapshot", Value::Map(record)),
        ])
    }

    /// The description.
    pub(super) fn describe(&self, objects: &Objects) -> String {
        let host = objects.all("host").next();
        let about = |key: &str| {
            let text = host.and_then(|host| host.entry("software_version", key));
            Value::from(text.unwrap_or_default())
        };
        let version = structure([
            ("hostname", host.map_or("", |host| host.text("hostname")).into()),
            ("date", DateTime::now().to_string().into()),
            ("product_version", about("product_version")),
            ("product_brand", about("product_brand")),
            ("build_number", about("build_number")),
            ("xapi_major", Value::Int(XAPI_VERSION.0)),
            ("xapi_minor", Value::Int(XAPI_VERSION.1)),
            ("export_vsn", Value::Int(EXPORT_VERSION)),
        ]);
        let all = self.order.iter().filter_map(|reference| objects.find(reference));
        let all = Value::Set(all.map(|object| self.object(object)).collect());
        let value = structure([("version", version), ("objects", all)]);
        format!("<?xml version=\"1.0\"?>{}", xmlrpc::encode_value(&value))
    }
}

fn structure<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An object of an archive.
pub(super) struct Described {
    pub(super) class: &'static Class,
    pub(super) id: String,
    record: Record,
}

/// Reads a description. Objects of classes that are not there here are passed over.
pub(super) fn read(text: &str) -> Result<Vec<Described>, ApiError> {
    let wrong = |text: String| errors::IMPORT_ERROR_GENERIC.with([format!("ova.xml: {text}")]);
    let value = xmlrpc::decode_value(text).map_err(|error| wrong(error.to_string()))?;
    let field = |value: &Value, name: &str| value.as_map().and_then(|m| m.get(name)).cloned();
    let version = field(&value, "version").ok_or_else(|| wrong("there is no version".into()))?;
    let export = field(&version, "export_vsn").map_or(0, |v| v.text().parse().unwrap_or(i64::MAX));
    if export > EXPORT_VERSION {
        return Err(errors::IMPORT_INCOMPATIBLE_VERSION.bare());
    }
    let Some(Value::Set(objects)) = field(&value, "objects") else {
        return Err(wrong("there are no objects".into()));
    };
    let mut all = Vec::new();
    for object in &objects {
        let text = |name| field(object, name).map(|value| value.text()).unwrap_or_default();
        let (class, id) = (text("class"), text("id"));
        let Some(Value::Map(record)) = field(object, "snapshot") else {
            return Err(wrong(format!("the object {id:?} has no record")));
        };
        if let Some(class) = classes::find(&class) {
            all.push(Described { class, id, record });
        }
    }
    Ok(all)
}

impl Described {
    /// A field; what the class has for new objects where the archive has none. `force` takes that
    /// also for what is not understood.
    pub(super) fn get(&self, name: &str, force: bool) -> Result<Value, ApiError> {
        let Some((_, field)) = self.class.field(name) else { return Ok(Value::Void) };
        let Some(value) = self.record.get(name) else { return Ok(field.initial()) };
        match coerce(&field.ty, value.clone()) {
            Ok(value) => Ok(value),
            Err(mismatch) if force => {
                tracing::warn!(class = self.class.name, name, %mismatch, "left out of an import");
                Ok(field.initial())
            }
            Err(mismatch) => {
                let text = format!("{} {}: {name}{mismatch}", self.class.name, self.id);
                Err(errors::IMPORT_ERROR_GENERIC.with([text]))
            }
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> String {
        self.record.get(name).map(Value::text).unwrap_or_default()
    }

    /// Those fields that a client could give to a new object.
    pub(super) fn settings(&self, force: bool) -> Result<Record, ApiError> {
        let runtime = xapi_model::Qualifier::Runtime;
        let fields = self.class.fields.iter().filter(|field| field.qualifier != runtime);
        // Whatever it refers to is found by whoever makes the object.
        let fields = fields.filter(|field| !matches!(field.ty, Type::Ref(_)));
        fields.map(|field| Ok((field.name.to_owned(), self.get(field.name, force)?))).collect()
    }
}
