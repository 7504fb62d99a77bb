// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an HVM guest finds of a PC, beyond its disks and cards.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Settings of the emulated machine. The default is a PC for a guest that asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// What Windows takes from Xen; none: it sees no hypervisor that it knows.
    pub viridian: BTreeSet<Viridian>,
    /// High precision event timer.
    pub hpet: bool,
    /// A pointer with absolute positions (USB tablet), which a viewer's follows.
    pub tablet: bool,
    /// Graphics card.
    pub video: Video,
    /// Its memory in MiB.
    pub video_mib: u32,
    /// How far the clock of the machine is ahead of UTC, in seconds.
    pub clock_offset: i32,
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            viridian: BTreeSet::new(),
            hpet: true,
            tablet: false,
            video: Video::Standard,
            video_mib: Video::Standard.least_mib(),
            clock_offset: 0,
        }
    }
}

/// The emulated graphics card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Video {
    /// Bochs's VGA with VESA modes.
    Standard,
    /// Cirrus Logic GD5446, for systems of the last century.
    Cirrus,
    /// None: the guest has its text console.
    None,
}

impl Video {
    /// The least memory in MiB that libxl lets it have (`libxl__domain_build_info_setdefault`).
    pub const fn least_mib(self) -> u32 {
        match self {
            Self::Standard => 16,
            Self::Cirrus => 8,
            Self::None => 0,
        }
    }
}

/// A group of Microsoft's enlightenments for guests (`libxl_viridian_enlightenment`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Viridian {
    /// That there is a hypervisor; what all others need.
    Base,
    /// The frequencies of TSC and APIC.
    Frequencies,
    /// A counter of time.
    TimeReferenceCount,
    /// The same without a call, from the TSC.
    ReferenceTsc,
    /// A hint at the end of interrupts.
    ApicAssist,
    /// Where a crash is told.
    CrashControl,
    /// Synthetic interrupts.
    Synic,
    /// Synthetic timers.
    Timers,
    /// Interrupts between processors by a call.
    InterruptCalls,
    /// Masks for more than 64 processors.
    ProcessorMasks,
    /// More than 64 processors.
    NoProcessorLimit,
    /// Processors that come while it runs.
    ProcessorHotplug,
}

impl Viridian {
    /// Its number in `libxl_types.idl`.
    #[cfg(any(feature = "libxl", test))]
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Base => 0,
            Self::Frequencies => 1,
            Self::TimeReferenceCount => 2,
            Self::ReferenceTsc => 3,
            Self::ApicAssist => 5,
            Self::CrashControl => 6,
            Self::Synic => 7,
            Self::Timers => 8,
            Self::InterruptCalls => 9,
            Self::ProcessorMasks => 10,
            Self::NoProcessorLimit => 11,
            Self::ProcessorHotplug => 12,
        }
    }
}
