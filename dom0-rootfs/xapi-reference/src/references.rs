// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which class refers to which, by which fields.

use std::collections::BTreeMap;

use xapi_model::{Class, Type, classes};

/// The fields of each class, by the class that they refer to. Fields that only mirror a reference of
/// the other side are left out, and classes that are not there too.
pub(crate) type References = BTreeMap<&'static str, BTreeMap<&'static str, Vec<&'static str>>>;

/// All references of the model: from, to, fields.
pub(crate) fn all() -> References {
    let mut all = References::new();
    for class in classes::ALL {
        for field in class.fields.iter().filter(|field| field.mirrors.is_none()) {
            for target in targets(&field.ty) {
                let fields = all.entry(class.name).or_default().entry(target).or_default();
                fields.push(field.name);
            }
        }
    }
    all
}

/// Classes that a type refers to and that have objects.
fn targets(ty: &Type) -> Vec<&'static str> {
    match ty {
        Type::Ref(name) => classes::ALL
            .iter()
            .map(|class: &&'static Class| class.name)
            .filter(|known| known == name)
            .filter(|known| classes::ABSENT.iter().all(|absent| absent.name != *known))
            .collect(),
        Type::Set(item) => targets(item),
        Type::Map(key, value) => [targets(key), targets(value)].concat(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_and_absent_classes_are_no_references() {
        let all = all();
        assert_eq!(all["VBD"]["VM"], ["VM"]);
        assert!(!all["VM"].contains_key("VBD"));
        assert!(!all["VM"].contains_key("VGPU"));
        assert_eq!(all["network"]["VIF"], ["assigned_ips"]);
    }
}
