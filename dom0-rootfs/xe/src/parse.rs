// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts of the command line as values.

use xapi_model::{EnumType, Type, Value};

use crate::api::Api;
use crate::failure::Failure;
use crate::nearest::nearest;

/// A truth value.
pub(crate) fn boolean(name: &str, text: &str) -> Result<bool, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "0" => Ok(false),
        _ => Err(Failure::plain(format!(
            "Failed to parse parameter '{name}': Expected 'true','t','yes','y','1','false','f',\
             'no','n','0' got {text}"
        ))),
    }
}

/// An integer, for bytes with a unit: `2GiB`.
pub(crate) fn integer(name: &str, text: &str) -> Result<i64, Failure> {
    let text = text.trim();
    let digits =
        text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        "t" | "tb" | "tib" => Some(40),
        _ => None,
    };
    let value = number.parse::<i64>().ok().zip(shift);
    value.and_then(|(number, shift)| number.checked_mul(1 << shift)).ok_or_else(|| {
        Failure::plain(format!(
            "Failed to parse field '{name}': expecting an integer (possibly with suffix KiB, MiB, \
             GiB, TiB), got '{text}'"
        ))
    })
}

fn enumeration(name: &str, kind: &'static EnumType, text: &str) -> Result<Value, Failure> {
    kind.find(text).map(Value::Enum).ok_or_else(|| {
        let known = kind.values.join(", ");
        let why = format!("Failed to parse parameter '{name}': {text:?} is none of {known}");
        Failure::with_hint(why, nearest(text, kind.values.iter().copied()))
    })
}

/// The value of a parameter or field. References are given as uuids, sets with commas between.
pub(crate) fn value(api: &mut Api, name: &str, ty: &Type, text: &str) -> Result<Value, Failure> {
    Ok(match ty {
        Type::String => Value::from(text),
        Type::Int => Value::Int(integer(name, text)?),
        Type::Bool => Value::Bool(boolean(name, text)?),
        Type::Float => Value::Float(text.trim().parse().map_err(|_| {
            Failure::plain(format!("Parameter {name} must be a floating-point number"))
        })?),
        Type::Enum(kind) => enumeration(name, kind, text)?,
        Type::Ref(class) => api.reference(class, text)?,
        Type::Set(item) => Value::Set(
            text.split(',')
                .filter(|part| !part.is_empty())
                .map(|part| value(api, name, item, part))
                .collect::<Result<_, _>>()?,
        ),
        other => {
            let text =
                format!("Parameter {name} cannot be given here: it is a {}", other.describe());
            return Err(Failure::plain(text));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("12", 12), ("2GiB", 2 << 30), ("3 m", 3 << 20), ("-1", -1)]
        {
            assert_eq!(integer("size", text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "GiB", "1.5GiB", "1x", "9999999999999TiB"] {
            assert!(integer("size", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn truths() {
        assert!(boolean("force", "Yes").unwrap() && !boolean("force", "0").unwrap());
        let error = boolean("force", "maybe").unwrap_err().render();
        assert!(
            error.starts_with("Error: Failed to parse parameter 'force': Expected "),
            "{error}"
        );
    }
}
