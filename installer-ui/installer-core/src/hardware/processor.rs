// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which guests will start. PV guests need nothing of the processor; PVH and HVM guests need VT-x or
//! AMD-V and a kind of paging that Xen has; HVM guests need a device model (QEMU) in Dom0 as well.

use super::Finding;
use crate::discovery::{Machine, Virtualization};

const GUESTS: &str = "Guests";

pub(super) fn check(machine: &Machine, findings: &mut Vec<Finding>) {
    findings.push(guests(machine));
    if !machine.xen {
        let text =
            "it does not run here; what is said of guests is what Linux sees of the processor";
        findings.push(Finding::warning("Xen", text));
    }
    let Some(caps) = &machine.virt_caps else { return };
    let has = |cap: &str| caps.iter().any(|found| found == cap);
    if !has("pv") {
        findings
            .push(Finding::warning(GUESTS, "PV guests will not start: this Xen is built without"));
    }
    if has("hvm") && !has("hap") && has("shadow") {
        let text = "the processor has no nested paging (EPT, NPT): PVH and HVM guests are slower";
        findings.push(Finding::warning(GUESTS, text));
    }
    let text = match has("hvm_directio") || has("pv_directio") {
        true => "there is one that Xen uses (VT-d, AMD-Vi)",
        false => {
            "none, or it is off in the firmware (VT-d, AMD-Vi): only handing whole devices over to \
             guests would need it"
        }
    };
    findings.push(Finding::ok("IOMMU", text));
}

fn guests(machine: &Machine) -> Finding {
    const ONLY_PV: &str = "HVM and PVH guests will not start: the processor has no";
    let caps = machine.virt_caps.as_deref();
    let has = |cap: &str| caps.is_none_or(|caps| caps.iter().any(|found| found == cap));
    let pv_too = if has("pv") { "; PV guests will" } else { "" };
    match machine.virtualization {
        Virtualization::Unknown => {
            Finding::warning(GUESTS, "which kinds will start could not be found out")
        }
        Virtualization::Absent => Finding::warning(
            GUESTS,
            format!("{ONLY_PV} VT-x or AMD-V, or it is switched off in the firmware{pv_too}"),
        ),
        Virtualization::Present if !has("hap") && !has("shadow") => Finding::warning(
            GUESTS,
            format!(
                "{ONLY_PV} nested paging (EPT, NPT), and this Xen is built without shadow page \
                 tables{pv_too}"
            ),
        ),
        Virtualization::Present if !machine.device_model => Finding::ok(
            GUESTS,
            "PV and PVH guests will start; HVM guests will not, as this medium has no device model",
        ),
        Virtualization::Present => Finding::ok(GUESTS, "PV, PVH and HVM guests will start"),
    }
}
