// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields as xe shows them: the class's own, names of what it refers to, figures of its metrics.

use xapi_model::{Class, EnumType, Field, Qualifier, Type, Value, classes};

use crate::api::{Api, NOBODY, Record, has, known, text};
use crate::failure::Failure;
use crate::names;

/// Where a field's value is found.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    /// In the record.
    Own(&'static Field),
    /// The name of what a field of the record refers to.
    NameOf(&'static Field),
    /// In the metrics object that a field of the record refers to.
    Metrics(&'static Field, &'static Field),
    /// The one host that an SR is connected to.
    HostOfSr,
    /// What a message answers, which the server works out for one object at a time.
    Asked(&'static str, &'static str, Type),
}

/// A field of a class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CliField {
    /// `power-state`.
    pub(crate) name: String,
    source: Source,
    /// The API sets it by a message of its own.
    by_message: bool,
}

/// Fields that clients do not set as such, but by a message called so: `host.set_timezone`.
const BY_MESSAGE: &[(&str, &str)] = &[
    ("host", "console_idle_timeout"),
    ("host", "iscsi_iqn"),
    ("host", "ntp_custom_servers"),
    ("host", "ntp_mode"),
    ("host", "ssh_auto_mode"),
    ("host", "ssh_enabled_timeout"),
    ("host", "timezone"),
    ("pool", "igmp_snooping_enabled"),
];

/// Fields that XenServer shows right after the names, in this order, where the API has another.
const EARLY: &[(&str, &[&str])] = &[
    ("VBD", &["vm-uuid", "vm-name-label", "vdi-uuid", "vdi-name-label", "empty", "device"]),
    ("VIF", &["vm-uuid", "vm-name-label", "device", "MAC", "MTU", "currently-attached"]),
    ("PIF", &["device", "MAC", "physical", "managed", "currently-attached", "MTU", "VLAN"]),
    ("console", &["vm-uuid", "vm-name-label", "protocol", "location"]),
];

/// Fields that are no fields of the API: class, behind which one, name, message, type. Their order is
/// XenServer's.
const ASKED: &[(&str, &str, &str, &str, Type)] = &[
    ("VM", "blocked_operations", "possible-hosts", "get_possible_hosts", HOSTS),
    ("VM", "blocked_operations", "allowed-VIF-devices", "get_allowed_VIF_devices", NUMBERS),
    ("VM", "blocked_operations", "allowed-VBD-devices", "get_allowed_VBD_devices", NUMBERS),
];
const HOSTS: Type = Type::Set(&Type::Ref("host"));
const NUMBERS: Type = Type::Set(&Type::String);

/// Shown for a field that costs the server work for every object, where all fields are.
const EXPENSIVE: &str = "<expensive field>";

/// Every field of a class, in the order of `param-list`.
pub(crate) fn of(class: &'static Class) -> Vec<CliField> {
    let mut all = Vec::new();
    let own: &'static [Field] = class.fields;
    for field in own {
        if let Some(metrics) = metrics_class(field) {
            let figures: &'static [Field] = metrics.fields;
            let shown = figures.iter().filter(|f| {
                !["uuid", "last_updated", "other_config"].contains(&f.name)
                    && class.field(f.name).is_none()
            });
            all.extend(shown.map(|figure| CliField {
                name: names::field(metrics, figure),
                source: Source::Metrics(field, figure),
                by_message: false,
            }));
            continue;
        }
        // Fields that refer to classes which the API does not have are always empty.
        if refers_to(&field.ty).is_some_and(no_objects) {
            continue;
        }
        let by_message = BY_MESSAGE.contains(&(class.name, field.name))
            && has(&format!("{}.set_{}", class.name, field.name));
        let name = names::field(class, field);
        all.push(CliField { name, source: Source::Own(field), by_message });
        if let Some(target) = names::names_its_class(field)
            && classes::find(target).is_some_and(Class::named)
        {
            let name = format!("{}-name-label", names::dashed(target).to_lowercase());
            all.push(CliField { name, source: Source::NameOf(field), by_message: false });
        }
    }
    for (_, behind, name, message, ty) in ASKED.iter().filter(|(name, ..)| *name == class.name) {
        if !has(&format!("{}.{message}", class.name)) {
            continue;
        }
        let own = |field: &CliField| field.own().is_some_and(|own| own.name == *behind);
        let at = all.iter().position(own).map_or(all.len(), |at| at + 1);
        let source = Source::Asked(class.name, message, *ty);
        all.insert(at, CliField { name: (*name).to_owned(), source, by_message: false });
    }
    if class.name == "SR" {
        let name = "host".to_owned();
        all.push(CliField { name, source: Source::HostOfSr, by_message: false });
    }
    let early = EARLY.iter().find(|(name, _)| *name == class.name).map_or(&[][..], |(_, e)| e);
    let first = ["uuid", "name-label", "name-description", "host"];
    let rank = |field: &CliField| {
        let first = first.iter().position(|name| {
            *name == field.name && (*name != "host" || field.source == Source::HostOfSr)
        });
        let early = early.iter().position(|name| *name == field.name);
        first.or_else(|| early.map(|at| 10 + at)).unwrap_or(100)
    };
    all.sort_by_key(rank);
    all
}

fn metrics_class(field: &Field) -> Option<&'static Class> {
    match field.ty {
        Type::Ref(target) if ["metrics", "guest_metrics"].contains(&field.name) => known(target),
        _ => None,
    }
}

fn refers_to(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Ref(target) => Some(target),
        Type::Set(item) | Type::Map(_, item) => refers_to(item),
        _ => None,
    }
}

impl CliField {
    /// The field of the record that it is, for setting it.
    pub(crate) fn own(&self) -> Option<&'static Field> {
        match self.source {
            Source::Own(field) => Some(field),
            _ => None,
        }
    }

    /// Its type.
    pub(crate) fn ty(&self) -> Type {
        match self.source {
            Source::Own(field) | Source::Metrics(_, field) => field.ty,
            Source::Asked(_, _, ty) => ty,
            Source::NameOf(_) | Source::HostOfSr => Type::String,
        }
    }

    /// Whether it is set as a whole, by a message of its own.
    pub(crate) fn by_message(&self) -> bool {
        self.by_message
    }

    /// Whether clients may set it.
    pub(crate) fn writable(&self) -> bool {
        self.by_message || self.own().is_some_and(|field| field.qualifier == Qualifier::Rw)
    }

    /// `power-state ( RO)`: S for sets, M for maps.
    pub(crate) fn title(&self) -> String {
        let kind = match self.ty() {
            Type::Set(_) => 'S',
            Type::Map(..) => 'M',
            _ => ' ',
        };
        format!("{} ({kind}{})", self.name, if self.writable() { "RW" } else { "RO" })
    }

    /// The value in a record.
    fn value(&self, api: &mut Api, record: &Record) -> Result<Option<Value>, Failure> {
        match self.source {
            Source::Own(field) => Ok(record.get(field.name).cloned()),
            Source::Metrics(link, figure) => {
                let Some(class) = metrics_class(link) else { return Ok(None) };
                let records = api.records(class)?;
                let metrics = records.get(&text(record, link.name));
                Ok(metrics.and_then(|metrics| metrics.get(figure.name)).cloned())
            }
            Source::NameOf(link) => {
                let Type::Ref(target) = link.ty else { return Ok(None) };
                let name = api.field_of(target, &text(record, link.name), "name_label")?;
                Ok(Some(Value::from(name)))
            }
            Source::HostOfSr => host_of_sr(api, record).map(|host| Some(Value::from(host))),
            Source::Asked(class, message, _) => {
                let this = api.reference(class, &text(record, "uuid"))?;
                api.ask(&format!("{class}.{message}"), [this]).map(Some)
            }
        }
    }

    /// The value as text where all fields are shown: those that cost work say only so.
    pub(crate) fn among_all(&self, api: &mut Api, record: &Record) -> Result<String, Failure> {
        match self.source {
            Source::Asked(..) => Ok(EXPENSIVE.to_owned()),
            _ => self.text(api, record),
        }
    }

    /// The value as text; sets and maps with `; ` between their members.
    pub(crate) fn text(&self, api: &mut Api, record: &Record) -> Result<String, Failure> {
        let value = self.value(api, record)?;
        // Metrics of what does not run.
        let Some(value) = value else { return Ok(NOBODY.to_owned()) };
        shown(api, &self.ty(), &value)
    }

    /// Members of a set.
    pub(crate) fn members(&self, api: &mut Api, record: &Record) -> Result<Vec<String>, Failure> {
        match (self.ty(), self.value(api, record)?) {
            (Type::Set(item), Some(Value::Set(items))) => {
                items.iter().map(|value| shown(api, item, value)).collect()
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Entries of a map.
    pub(crate) fn entries(
        &self,
        api: &mut Api,
        record: &Record,
    ) -> Result<Vec<(String, String)>, Failure> {
        match (self.ty(), self.value(api, record)?) {
            (Type::Map(_, item), Some(Value::Map(entries))) => entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), shown(api, item, value)?)))
                .collect(),
            _ => Ok(Vec::new()),
        }
    }
}

fn host_of_sr(api: &mut Api, record: &Record) -> Result<String, Failure> {
    let pbds = record.get("PBDs").and_then(Value::as_set).unwrap_or_default();
    match pbds {
        [] => Ok(NOBODY.to_owned()),
        [one] => {
            let Some(class) = known("PBD") else { return Ok(NOBODY.to_owned()) };
            let pbds = api.records(class)?;
            let host = pbds.get(&one.text()).map(|pbd| text(pbd, "host")).unwrap_or_default();
            api.field_of("host", &host, "name_label")
        }
        _ => Ok("<shared>".to_owned()),
    }
}

/// A value of a type as xe shows it.
pub(crate) fn shown(api: &mut Api, ty: &Type, value: &Value) -> Result<String, Failure> {
    Ok(match (ty, value) {
        (Type::Ref(class), value) => api.uuid_of(class, &value.text())?,
        (Type::Enum(kind), value) => enum_text(kind, &value.text()),
        (_, Value::Float(number)) => format!("{number:.3}"),
        (Type::Set(item), Value::Set(items)) => {
            let items: Result<Vec<_>, _> =
                items.iter().map(|value| shown(api, item, value)).collect();
            items?.join("; ")
        }
        (Type::Map(key, item), Value::Map(entries)) => {
            let mut parts = Vec::new();
            for (name, value) in entries {
                let name = match key {
                    Type::Ref(class) => api.uuid_of(class, name)?,
                    _ => name.clone(),
                };
                parts.push(format!("{name}: {}", shown(api, item, value)?));
            }
            parts.join("; ")
        }
        (_, value) => value.text(),
    })
}

/// Enums that XenServer's xe does not show as they go over the wire.
pub(crate) fn enum_text(kind: &EnumType, value: &str) -> String {
    let sentence = |text: &str| {
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>().replace('_', " ")
    };
    match (kind.name, value) {
        ("vm_power_state", _) => value.to_lowercase(),
        ("console_protocol", _) => value.to_uppercase(),
        ("on_crash_behaviour", "coredump_and_destroy") => "Core dump and destroy".to_owned(),
        ("on_crash_behaviour", "coredump_and_restart") => "Core dump and restart".to_owned(),
        ("vdi_type", "ha_statefile") => "HA statefile".to_owned(),
        ("vdi_type", "pvs_cache") => "PVS cache".to_owned(),
        ("vdi_type", "cbt_metadata") => "CBT metadata".to_owned(),
        ("vdi_type", "rrd") => "rrd".to_owned(),
        ("on_normal_exit" | "on_crash_behaviour" | "vdi_type" | "task_allowed_operations", _) => {
            sentence(value)
        }
        _ => value.to_owned(),
    }
}

/// There are no objects of a class that is not there, or that is without fields.
fn no_objects(class: &str) -> bool {
    classes::find(class).is_none_or(|class| class.fields.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(class: &str) -> Vec<String> {
        of(classes::find(class).unwrap()).into_iter().map(|field| field.name).collect()
    }

    #[test]
    fn names_come_first_and_metrics_belong_to_their_object() {
        let vm = names("VM");
        assert_eq!(vm[..3], ["uuid", "name-label", "name-description"]);
        for name in ["power-state", "memory-actual", "start-time", "dom-id", "other-config"] {
            assert!(vm.iter().any(|known| known == name), "{name}");
        }
        let at = vm.iter().position(|name| name == "blocked-operations").unwrap();
        let asked = ["allowed-VBD-devices", "allowed-VIF-devices", "possible-hosts"];
        assert_eq!(vm[at + 1..at + 4], asked);
        for absent in ["metrics", "guest-metrics", "VUSBs", "last-updated"] {
            assert!(!vm.iter().any(|known| known == absent), "{absent}");
        }
        assert_eq!(
            names("VBD")[..7],
            ["uuid", "vm-uuid", "vm-name-label", "vdi-uuid", "vdi-name-label", "empty", "device"]
        );
        assert_eq!(names("SR")[..4], ["uuid", "name-label", "name-description", "host"]);
    }

    #[test]
    fn no_name_is_used_twice() {
        for class in classes::ALL {
            let mut all = names(class.name);
            let count = all.len();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count, "{}", class.name);
        }
    }

    #[test]
    fn titles_tell_access_and_kind() {
        let title = |class: &str, name: &str| {
            let fields = of(classes::find(class).unwrap());
            fields.into_iter().find(|field| field.name == name).unwrap().title()
        };
        assert_eq!(title("VM", "name-label"), "name-label ( RW)");
        assert_eq!(title("VM", "power-state"), "power-state ( RO)");
        assert_eq!(title("VM", "other-config"), "other-config (MRW)");
        assert_eq!(title("VM", "allowed-operations"), "allowed-operations (SRO)");
        assert_eq!(title("VM", "memory-actual"), "memory-actual ( RO)");
        assert_eq!(title("VBD", "vm-uuid"), "vm-uuid ( RO)");
    }

    #[test]
    fn enums_look_as_in_xenserver() {
        let power = EnumType { name: "vm_power_state", values: &[] };
        let exit = EnumType { name: "on_normal_exit", values: &[] };
        let vdi = EnumType { name: "vdi_type", values: &[] };
        assert_eq!(enum_text(&power, "Running"), "running");
        assert_eq!(enum_text(&exit, "restart"), "Restart");
        assert_eq!(enum_text(&vdi, "redo_log"), "Redo log");
    }
}
