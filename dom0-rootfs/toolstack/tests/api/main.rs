// SPDX-License-Identifier: MIT OR Apache-2.0
//! The API over HTTPS, against the simulator. One program, as linking the daemon takes longer than most
//! tests.

mod appliances;
mod archives;
mod audit;
mod bad_input;
mod blobs;
mod certificates;
mod common;
mod consoles;
mod controls;
mod crashes;
mod disks;
mod events;
mod failing_starts;
mod fields;
mod figures;
mod guards;
mod guests;
mod hotplug;
mod leaks;
mod lifecycle;
mod machine;
mod management;
mod memory;
mod messages;
mod networks;
mod reinstallation;
mod remote_storage;
mod restarts;
mod services;
mod snapshots;
mod subjects;
mod suspend;
mod switches;
mod unauthorised;
