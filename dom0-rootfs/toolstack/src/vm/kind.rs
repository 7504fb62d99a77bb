// SPDX-License-Identifier: MIT OR Apache-2.0
//! `domain_type`, and `HVM_boot_policy`, by which older clients say the same: each follows the other,
//! as in XAPI.

use xapi_model::{ApiError, Ref, Value, errors};

use crate::store::Transaction;

/// The policy of fully virtualized VMs; there is no other.
const POLICY: &str = "BIOS order";

/// The type that a boot policy stands for.
fn of_policy(policy: &str) -> &'static str {
    if policy.is_empty() { "pv" } else { "hvm" }
}

/// Sets the one of the two that goes with the other, which is about to be set; any other field says
/// nothing.
pub fn follow(
    t: &mut Transaction<'_>,
    vm: &Ref,
    field: &str,
    value: &Value,
) -> Result<(), ApiError> {
    let object = t.get("VM", vm)?;
    let value = value.text();
    match field {
        "domain_type" if value == "unspecified" => {
            return Err(errors::INVALID_VALUE.with([field, &value]));
        }
        "domain_type" if value != "hvm" => t.set(vm, "HVM_boot_policy", ""),
        "domain_type" if object.text("HVM_boot_policy").is_empty() => {
            t.set(vm, "HVM_boot_policy", POLICY);
        }
        "HVM_boot_policy" => {
            // They have no policy either.
            let kept = ["pvh", "pv_in_pvh"].contains(&object.text("domain_type"));
            if !(kept && value.is_empty()) {
                t.set(vm, "domain_type", Value::Enum(of_policy(&value)));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Settles the type of a new VM whose record has none, as those of older clients and archives.
pub fn settle(t: &mut Transaction<'_>, vm: &Ref) -> Result<(), ApiError> {
    let object = t.get("VM", vm)?;
    if object.text("domain_type") == "unspecified" {
        let kind = of_policy(object.text("HVM_boot_policy"));
        t.set(vm, "domain_type", Value::Enum(kind));
    }
    Ok(())
}
