// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets of references that follow from another class's field: `VM.VBDs` from `VBD.VM`.

use std::collections::HashMap;
use std::sync::LazyLock;

use xapi_model::{Type, classes};

/// The class and field that mirror a reference field, by class and index of that field.
type Mirrors = HashMap<(&'static str, usize), (&'static str, usize)>;

fn mirrors() -> &'static Mirrors {
    static MIRRORS: LazyLock<Mirrors> = LazyLock::new(|| {
        let mut all = HashMap::new();
        for class in classes::ALL {
            for (index, field) in class.fields.iter().enumerate() {
                let (Some(back), Type::Set(Type::Ref(other))) = (field.mirrors, field.ty) else {
                    continue;
                };
                let source = classes::find(other).and_then(|c| Some((c.name, c.field(back)?.0)));
                if let Some(source) = source {
                    all.insert(source, (class.name, index));
                }
            }
        }
        all
    });
    &MIRRORS
}

/// The class and index of the field that mirrors field `index` of `class`.
pub(super) fn of(class: &'static str, index: usize) -> Option<(&'static str, usize)> {
    mirrors().get(&(class, index)).copied()
}
