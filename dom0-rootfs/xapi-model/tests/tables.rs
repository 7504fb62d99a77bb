// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables say nothing that contradicts itself.

use std::collections::BTreeSet;

use xapi_model::{Literal, Type, Value, catalogue, classes, coerce, errors};

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
