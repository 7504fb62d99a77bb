// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every step of every operation fails in turn, and the daemon is killed in every step: nothing is lost,
//! nothing is left, and the operation can be done again.

mod disks;
mod fate;
mod guests;
mod host;
mod operation;
mod program;
mod soundness;
mod vms;
