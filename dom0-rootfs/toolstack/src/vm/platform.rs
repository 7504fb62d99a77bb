// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM.platform`: what a fully virtualized guest finds of a PC. Keys and defaults are XAPI's; a value
//! that says nothing is the default, as there, so that a VM from elsewhere starts.

use std::collections::BTreeSet;

use xenops::{MAX_VIDEO_MIB, Platform, Video, Viridian};

use crate::store::Object;

/// What `viridian` switches on, and what keys of their own add to it.
const ENLIGHTENMENTS: &[(&str, &[Viridian])] = &[
    ("viridian", &[Viridian::Base, Viridian::Frequencies]),
    ("viridian_time_ref_count", &[Viridian::TimeReferenceCount]),
    ("viridian_reference_tsc", &[Viridian::ReferenceTsc]),
    ("viridian_apic_assist", &[Viridian::ApicAssist]),
    ("viridian_crash_ctl", &[Viridian::CrashControl]),
    // Timers end in synthetic interrupts.
    ("viridian_stimer", &[Viridian::Synic, Viridian::Timers]),
    ("viridian_hcall_ipi", &[Viridian::InterruptCalls]),
    ("viridian_ex_processor_masks", &[Viridian::ProcessorMasks]),
    ("viridian_no_vp_limit", &[Viridian::NoProcessorLimit]),
    ("viridian_cpu_hotplug", &[Viridian::ProcessorHotplug]),
];

/// The machine that a VM's settings ask for.
pub fn of(vm: &Object) -> Platform {
    let video = match vm.entry("platform", "vga") {
        Some("cirrus") => Video::Cirrus,
        Some("none") => Video::None,
        _ => Video::Standard,
    };
    let number = |key| vm.entry("platform", key).and_then(|text| text.trim().parse::<i32>().ok());
    let asked_mib = number("videoram").and_then(|mib| u32::try_from(mib).ok()).unwrap_or(0);
    // XenServer's templates have 8 MiB for a card that has 16 at least here.
    let video_mib = match video {
        Video::None => 0,
        _ => asked_mib
            .clamp(video.least_mib(), MAX_VIDEO_MIB)
            .checked_next_power_of_two()
            .unwrap_or(MAX_VIDEO_MIB),
    };
    Platform {
        viridian: viridian(vm),
        hpet: is_on(vm, "hpet", true),
        tablet: is_on(vm, "usb", true) && is_on(vm, "usb_tablet", true),
        video,
        video_mib,
        clock_offset: number("timeoffset").unwrap_or(0),
    }
}

fn viridian(vm: &Object) -> BTreeSet<Viridian> {
    if !is_on(vm, "viridian", false) {
        return BTreeSet::new();
    }
    let on = ENLIGHTENMENTS.iter().filter(|(key, _)| is_on(vm, key, false));
    on.flat_map(|(_, groups)| groups.iter().copied()).collect()
}

fn is_on(vm: &Object, key: &str, otherwise: bool) -> bool {
    match vm.entry("platform", key) {
        Some("true" | "1") => true,
        Some("false" | "0") => false,
        _ => otherwise,
    }
}
