// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables say nothing that contradicts itself.

use std::collections::BTreeSet;

use xapi_model::{Literal, Type, Value, catalogue, classes, coerce, errors, http, left_out};

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for class in classes::ALL {
        assert!(seen.insert(class.name.to_lowercase()), "{}", class.name);
        let mut fields = BTreeSet::new();
        for field in class.fields {
            assert!(fields.insert(field.name), "{}.{}", class.name, field.name);
        }
    }
    let written: usize = classes::ALL.iter().map(|c| c.messages.len()).sum();
    let own = catalogue().all().filter(|m| matches!(m.kind, xapi_model::Kind::Own(_))).count();
    assert_eq!(own, written, "a written message has the name of a generated one");
}

#[test]
fn defaults_fit_their_types() {
    for class in classes::ALL {
        for field in class.fields {
            let initial = field.initial();
            let fits = coerce(&field.ty, initial.clone());
            assert_eq!(fits.as_ref(), Ok(&initial), "{}.{}", class.name, field.name);
            if let (Type::Enum(e), Some(Literal::Str(text))) = (field.ty, field.default) {
                assert!(e.values.contains(&text), "{}.{}", class.name, field.name);
            }
        }
    }
}

#[test]
fn mirrors_mirror_a_reference_back() {
    for class in classes::ALL {
        for field in class.fields {
            let Some(back) = field.mirrors else { continue };
            let Type::Set(Type::Ref(other)) = field.ty else {
                panic!("{}.{} is no set of references", class.name, field.name);
            };
            let (_, back) = classes::find(other).unwrap().field(back).unwrap();
            assert_eq!(back.ty, Type::Ref(class.name), "{}.{}", class.name, field.name);
        }
    }
}

#[test]
fn optional_parameters_come_last() {
    for message in catalogue().all() {
        let first = message.params.iter().position(|p| p.default.is_some());
        let rest = &message.params[first.unwrap_or(message.params.len())..];
        assert!(rest.iter().all(|p| p.default.is_some()), "{}", message.full_name());
    }
}

#[test]
fn every_error_is_there_once_and_told_apart() {
    let names: BTreeSet<_> = errors::ALL.iter().map(|e| e.name).collect();
    assert_eq!(names.len(), errors::ALL.len());
}

#[test]
fn values_are_coerced_as_clients_send_them() {
    let (_, mtu) = classes::VIF.field("MTU").unwrap();
    for sent in [Value::Int(1500), "1500".into(), Value::Float(1500.0)] {
        assert_eq!(coerce(&mtu.ty, sent), Ok(Value::Int(1500)));
    }
    assert!(coerce(&mtu.ty, "1500 bytes".into()).is_err());
    assert!(coerce(&Type::Int, Value::Float(1e300)).is_err());
    let (_, state) = classes::VM.field("power_state").unwrap();
    assert_eq!(coerce(&state.ty, "running".into()), Ok(Value::Enum("Running")));
    let mismatch = coerce(&Type::STRING_MAP, Value::Map([("a".into(), true.into())].into()));
    assert_eq!(mismatch.unwrap_err().at, "[a]");
}

#[test]
fn a_time_that_is_none_is_refused_where_one_is_wanted() {
    let sent = Value::from("111T0:0:0");
    assert!(coerce(&Type::DateTime, sent.clone()).is_err());
    // Go's clients send it so in records of new objects, where the host decides.
    let record = Value::Map([("snapshot_time".into(), sent)].into());
    assert_eq!(coerce(&Type::Record("VM"), record), Ok(Value::Map([].into())));
}

/// The class of a reference, however deep it is.
fn target(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Ref(class) | Type::Record(class) => Some(class),
        Type::Set(item) => target(item),
        Type::Map(key, value) => target(key).or_else(|| target(value)),
        _ => None,
    }
}

#[test]
fn what_is_left_out_is_not_there_and_said_once() {
    let mut seen = BTreeSet::new();
    for left_out in left_out::ALL {
        assert!(!left_out.reason.is_empty() && seen.insert(left_out.topic), "{}", left_out.topic);
        for class in left_out.classes {
            let described = classes::find(class).is_some_and(|class| !class.fields.is_empty());
            assert!(!described, "{class} is described: it is not left out");
            assert!(seen.insert(class), "{class} is there twice");
        }
        for message in left_out.messages {
            let (class, _) = message.split_once('.').unwrap();
            assert!(classes::find(class).is_some(), "{message}: no such class");
            let found = catalogue().find(message);
            assert!(found.is_none(), "{message} is described: it is not left out");
            assert!(seen.insert(message), "{message} is there twice");
        }
    }
}

#[test]
fn paths_that_are_left_out_have_no_handler() {
    let mut seen = BTreeSet::new();
    for left_out::Path { path, reason } in left_out::PATHS {
        assert!(path.starts_with('/') && !reason.is_empty() && seen.insert(path), "{path}");
        let there = |handler: &&http::Handler| handler.doc.contains(&format!(" {path}`"));
        assert_eq!(http::ALL.iter().find(there), None, "{path}");
    }
}

#[test]
fn classes_without_objects_are_left_out() {
    for class in classes::ABSENT {
        assert!(left_out::of_class(class.name).is_some(), "{}: why are there none?", class.name);
        let all = catalogue().all().filter(|message| message.class.name == class.name);
        let names: Vec<_> = all.map(|message| message.name.as_str()).collect();
        assert_eq!(names, ["get_all", "get_all_records", "get_all_records_where"]);
    }
}

#[test]
fn references_lead_to_classes_or_to_what_is_left_out() {
    let fields = classes::ALL.iter().flat_map(|class| class.fields).map(|field| field.ty);
    let messages = catalogue().all();
    let types = messages.flat_map(|m| m.params.iter().map(|p| p.ty).chain([m.result]));
    for class in fields.chain(types).filter_map(|ty| target(&ty)) {
        let known = classes::ALL.iter().any(|known| known.name == class);
        assert!(known || left_out::of_class(class).is_some(), "{class}");
    }
}

#[test]
fn everything_is_described() {
    let sentence = |what: &str, doc: &str| {
        assert!(doc.ends_with('.') && doc.len() > 4, "{what}: {doc:?}");
    };
    for class in classes::ALL {
        sentence(class.name, class.doc);
        for field in class.fields {
            sentence(&format!("{}.{}", class.name, field.name), field.doc);
        }
    }
    for message in catalogue().all() {
        let name = message.full_name();
        sentence(&name, &message.doc());
        for param in &message.params {
            assert!(param.doc.len() > 2, "{name} {}: {:?}", param.name, param.doc);
        }
    }
    errors::ALL.iter().for_each(|error| sentence(error.name, error.doc));
    http::ALL.iter().for_each(|handler| sentence(handler.name, handler.doc));
}
