// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands made from messages of the API: `VM.pause` is `vm-pause`, `PBD.plug` is `pbd-plug uuid=`.

use xapi_model::{Class, Described, Field, Kind, Param, Qualifier, Type, Value, catalogue};

use crate::api::{Api, is_listed};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::views::{self, View};
use crate::{fields, names, parse, select};

/// A message as a command.
#[derive(Debug, Clone)]
pub(crate) struct Message(&'static Described);

/// What cannot be left out when an object is made from its fields.
const NEEDED: &[(&str, &[&str])] = &[
    ("VM", &["name-label"]),
    ("VDI", &["sr-uuid", "name-label", "virtual-size"]),
    ("VBD", &["vm-uuid", "device"]),
    ("VIF", &["device", "network-uuid", "vm-uuid"]),
    ("network", &["name-label"]),
    ("PBD", &["host-uuid", "sr-uuid"]),
    ("VM_appliance", &["name-label"]),
    ("VM_group", &["name-label"]),
    ("VMSS", &["name-label", "type", "frequency"]),
    ("secret", &["value"]),
];

/// Fields that XenServer's xe calls otherwise when an object is made.
const CALLED: &[(&str, &str, &str)] = &[("VBD", "userdevice", "device"), ("VIF", "MAC", "mac")];

/// Every message that makes a command.
pub(crate) fn all() -> Vec<Message> {
    let fits = |message: &&Described| match message.kind {
        Kind::Create | Kind::Destroy => true,
        Kind::Own(own) => {
            // Reading and setting have commands of their own; the rest is for other programs.
            let inner = ["get_", "set_", "update_", "assert_", "list_"];
            let makes = own.name == "create";
            !makes && own.name != "get" && !inner.iter().any(|prefix| own.name.starts_with(prefix))
        }
        _ => false,
    };
    catalogue().all().filter(|m| is_listed(m.class)).filter(fits).map(Message).collect()
}

impl Message {
    /// `vm-pause`.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", names::class(self.0.class), names::dashed(&self.0.name))
    }

    /// What it does.
    pub(crate) fn help(&self) -> String {
        self.0.doc()
    }

    /// VMs and hosts are picked by their fields, other objects by uuid.
    pub(crate) fn selects(&self) -> Option<View> {
        let picks = ["VM", "host"].contains(&self.0.class.name) && self.this().is_some();
        if !picks || matches!(self.0.kind, Kind::Create | Kind::Destroy) {
            return None;
        }
        views::find(&names::class(self.0.class))
    }

    /// The parameter that is the object itself.
    fn this(&self) -> Option<&'static Param> {
        self.0.params.first().filter(|first| first.ty == Type::Ref(self.0.class.name))
    }

    fn others(&self) -> &'static [Param] {
        let params: &'static [Param] = &self.0.params;
        if self.this().is_some() { &params[1..] } else { params }
    }

    fn named(param: &Param) -> String {
        let name = names::param(param.name, &param.ty);
        if matches!(param.ty, Type::Map(..)) { format!("{name}:") } else { name }
    }

    pub(crate) fn required(&self) -> Vec<String> {
        if self.0.kind == Kind::Create {
            return needed(self.0.class).iter().map(|name| (*name).to_owned()).collect();
        }
        let mut required = Vec::new();
        if self.this().is_some() && self.selects().is_none() {
            required.push("uuid".to_owned());
        }
        let must = self.others().iter().filter(|p| p.default.is_none() && !is_map(&p.ty));
        required.extend(must.map(Self::named));
        required
    }

    pub(crate) fn optional(&self) -> Vec<String> {
        if self.0.kind == Kind::Create {
            let needed = needed(self.0.class);
            let all = settable(self.0.class).map(|(name, field)| match field.ty {
                Type::Map(..) => format!("{name}:"),
                _ => name,
            });
            return all.filter(|name| !needed.contains(&name.as_str())).collect();
        }
        let may = self.others().iter().filter(|p| p.default.is_some() || is_map(&p.ty));
        may.map(Self::named).collect()
    }

    /// The type of a parameter, or of a field of the object that is made.
    pub(crate) fn type_of(&self, name: &str) -> Option<Type> {
        if self.0.kind == Kind::Create {
            return settable(self.0.class).find(|(known, _)| known == name).map(|(_, f)| f.ty);
        }
        self.others().iter().find(|p| names::param(p.name, &p.ty) == name).map(|p| p.ty)
    }

    pub(crate) fn run(
        &self,
        api: &mut Api,
        params: &Params,
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let method = self.0.full_name();
        if self.0.kind == Kind::Create {
            let record = record(self.0.class, api, params)?;
            let made = api.act(&method, [record])?;
            let uuid = api.uuid_of(self.0.class.name, &made.text())?;
            return out.value(&uuid);
        }
        let mut rest = Vec::new();
        for param in self.others() {
            rest.push(argument(param, api, params)?);
        }
        let Some(view) = self.selects() else {
            let this = match self.this() {
                Some(_) => Some(api.by_uuid(self.0.class, params.require("uuid")?)?.0),
                None => None,
            };
            return self.call(api, this, rest, out);
        };
        let own: Vec<String> = self.required().into_iter().chain(self.optional()).collect();
        let own: Vec<&str> = own.iter().map(|name| name.trim_end_matches(':')).collect();
        let found = select::selected(api, &view, params, &own)?;
        select::each(&found, |one| self.call(api, Some(one.reference.clone()), rest.clone(), out))
    }

    fn call(
        &self,
        api: &mut Api,
        this: Option<Value>,
        rest: Vec<Value>,
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let answer = api.act(&self.0.full_name(), this.into_iter().chain(rest))?;
        if self.0.result == Type::Void {
            return Ok(());
        }
        let text = fields::shown(api, &self.0.result, &answer)?;
        out.value(&text)
    }
}

fn is_map(ty: &Type) -> bool {
    matches!(ty, Type::Map(..))
}

fn needed(class: &Class) -> &'static [&'static str] {
    NEEDED.iter().find(|(name, _)| *name == class.name).map_or(&[], |(_, needed)| needed)
}

/// Fields that an object can be made with, by their name on the command line.
fn settable(class: &'static Class) -> impl Iterator<Item = (String, &'static Field)> {
    let fields: &'static [Field] = class.fields;
    fields.iter().filter(|field| field.qualifier != Qualifier::Runtime).map(move |field| {
        let odd = CALLED.iter().find(|(c, f, _)| *c == class.name && *f == field.name);
        let name = odd.map_or_else(|| names::field(class, field), |(_, _, n)| (*n).to_owned());
        (name, field)
    })
}

/// The record of a new object: what is given, and for the rest what the API says is usual.
fn record(class: &'static Class, api: &mut Api, params: &Params) -> Result<Value, Failure> {
    let mut record = std::collections::BTreeMap::new();
    for (name, field) in settable(class) {
        let value = match (field.ty, params.get(&name)) {
            (Type::Map(..), _) => Value::string_map(params.map(&name)),
            // The server makes one up.
            (_, Some("random")) if field.name == "MAC" => field.initial(),
            (ty, Some(text)) => parse::value(api, &name, &ty, text)?,
            _ if field.name == "empty" => Value::Bool(params.get("vdi-uuid").is_none()),
            _ => field.initial(),
        };
        record.insert(field.name.to_owned(), value);
    }
    Ok(Value::Map(record))
}

fn argument(param: &Param, api: &mut Api, params: &Params) -> Result<Value, Failure> {
    let name = names::param(param.name, &param.ty);
    match (param.ty, params.get(&name), param.default) {
        (Type::Map(..), _, _) => Ok(Value::string_map(params.map(&name))),
        (ty, Some(text), _) => parse::value(api, &name, &ty, text),
        (ty, None, Some(default)) => Ok(default.value(&ty)),
        (_, None, None) => Err(Failure::Missing(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> Message {
        all().into_iter().find(|message| message.name() == name).unwrap()
    }

    #[test]
    fn messages_become_commands() {
        let plug = find("pbd-plug");
        assert_eq!((plug.required(), plug.optional()), (vec!["uuid".to_owned()], vec![]));
        assert!(plug.selects().is_none());
        assert_eq!(find("vm-pause").selects().unwrap().name, "vm");
        assert_eq!(find("vm-destroy").required(), ["uuid"]);
        let insert = find("vbd-insert");
        assert_eq!(insert.required(), ["uuid", "vdi-uuid"]);
        assert!(!all().iter().any(|message| message.name().contains("-get-")));
    }

    #[test]
    fn objects_are_made_from_fields() {
        let vbd = find("vbd-create");
        assert_eq!(vbd.required(), ["vm-uuid", "device"]);
        for name in ["vdi-uuid", "bootable", "mode", "type", "other-config:"] {
            assert!(vbd.optional().iter().any(|known| known == name), "{name}");
        }
        for (class, names) in NEEDED {
            let class = xapi_model::classes::find(class).unwrap();
            for name in *names {
                assert!(settable(class).any(|(known, _)| known == *name), "{name}");
            }
        }
    }
}
