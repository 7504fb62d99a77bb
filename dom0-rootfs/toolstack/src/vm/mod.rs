// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual machines: what is allowed, how they start and end.

pub mod appliance;
pub mod bios_strings;
pub mod crash_dump;
pub mod device_operation;
pub mod devices;
pub mod disk_users;
pub mod held;
pub mod hotplug;
pub mod kind;
pub mod operation;
pub mod plan;
mod platform;
pub mod port;
pub mod start;
pub mod steps;
pub mod stop;
pub mod stoppable;
pub mod suspend;
pub mod watcher;
