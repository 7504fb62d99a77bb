// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an installation tells while it runs.

use std::fmt;

use crate::hooks::{Hooks, Stage};
use crate::plan::Plan;

/// The steps in their order. Whatever makes the disk start a host comes last, so that a power cut
/// before that leaves a disk that does not start, never half a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Reads every file of the medium that will be written.
    Medium,
    /// Reads what the host that is there knows of its guests, and whether both disks of its mirror are whole.
    Records,
    /// Takes down what the kernel keeps on top of the disk.
    Release,
    /// Overwrites the signatures of what was on the disk.
    Wipe,
    /// Makes the system that is there start no more.
    Unboot,
    /// Writes the partition table, without boot code.
    Partition,
    /// Copies the root image into slot A.
    RootImage,
    /// Reads slot A back and compares.
    Verify,
    /// Makes the state partition with the host's own settings.
    State,
    /// Makes the local storage repository.
    Storage,
    /// Makes the EFI system partition with hypervisor and kernel, still without a boot loader.
    BootFiles,
    /// Writes the boot loaders for UEFI and BIOS.
    BootLoader,
    /// Runs the script for [`Stage::Before`], where there is one: first of all.
    Before,
    /// Runs the script for [`Stage::Populated`], where there is one: before the boot loader.
    Populated,
}

impl Step {
    /// Those of every installation that wipes the disk, in order.
    pub const ALL: [Self; 10] = [
        Self::Medium,
        Self::Release,
        Self::Wipe,
        Self::Partition,
        Self::RootImage,
        Self::Verify,
        Self::State,
        Self::Storage,
        Self::BootFiles,
        Self::BootLoader,
    ];

    /// Those of every reinstallation that keeps guests and their storage, in order.
    pub const KEEPING: [Self; 9] = [
        Self::Medium,
        Self::Release,
        Self::Records,
        Self::Unboot,
        Self::RootImage,
        Self::Verify,
        Self::State,
        Self::BootFiles,
        Self::BootLoader,
    ];

    /// Those of a plan with these scripts, in order.
    pub fn of(plan: &Plan, hooks: &Hooks) -> Vec<Self> {
        let mut steps = match plan.kept {
            Some(_) => Self::KEEPING.to_vec(),
            None => Self::ALL.to_vec(),
        };
        if hooks.script(Stage::Populated).is_some() {
            steps.insert(steps.len() - 1, Self::Populated);
        }
        if hooks.script(Stage::Before).is_some() {
            steps.insert(0, Self::Before);
        }
        steps
    }

    /// What it does, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Medium => "checking the installation medium",
            Self::Release => "releasing the disk",
            Self::Records => "reading the records of the guests",
            Self::Unboot => "switching the old system off",
            Self::Wipe => "wiping old signatures",
            Self::Partition => "writing the partition table",
            Self::RootImage => "copying the system",
            Self::Verify => "verifying the copy",
            Self::State => "writing the host's settings",
            Self::Storage => "making the local storage",
            Self::BootFiles => "copying hypervisor and kernel",
            Self::BootLoader => "writing the boot loader",
            Self::Before => "running the script before the installation",
            Self::Populated => "running the script for the installed system",
        }
    }

    /// What the disk is like when this step of a plan fails.
    pub fn disk_state(self, plan: &Plan) -> DiskState {
        match self {
            Self::Medium | Self::Release | Self::Records | Self::Before => DiskState::Untouched,
            _ if plan.kept.is_some() => DiskState::GuestsOnly,
            Self::Unboot
            | Self::Wipe
            | Self::Partition
            | Self::RootImage
            | Self::Verify
            | Self::State
            | Self::Storage
            | Self::BootFiles
            | Self::Populated => DiskState::DoesNotStart,
            Self::BootLoader => DiskState::MayStart,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// The disk after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// As it was before.
    Untouched,
    /// What was on it is lost, and it does not start anything.
    DoesNotStart,
    /// Everything but the boot loader is complete; it may start the host or not.
    MayStart,
    /// Guests, their storage and their records are as they were; the system is not whole.
    GuestsOnly,
}

impl fmt::Display for DiskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untouched => "Nothing was written: the disk is as it was before.",
            Self::DoesNotStart => {
                "What was on the disk is lost. It starts nothing until an installation is complete."
            }
            Self::MayStart => {
                "The host is on the disk, but its boot loader is not complete: install again."
            }
            Self::GuestsOnly => {
                "The system on the disk is not whole. Guests, their storage and their records are kept: \
                 reinstall once more in the same way; an installation that wipes the disk would lose them."
            }
        })
    }
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step begins.
    Started(Step),
    /// How far the running step is, in bytes. Not every step tells.
    Progress {
        /// Done so far.
        done: u64,
        /// To be done in all.
        total: u64,
    },
    /// A line that a script wrote.
    Said(String),
    /// A step ended well.
    Done(Step),
    /// Everything ended well.
    Complete,
    /// A step failed; nothing follows.
    Failed {
        /// Which.
        step: Step,
        /// The error with its causes.
        error: String,
    },
}
