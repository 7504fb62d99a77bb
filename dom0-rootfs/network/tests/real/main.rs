// SPDX-License-Identifier: MIT OR Apache-2.0
//! The backend on an Open vSwitch of its own, in a network namespace of its own, with links of its
//! own. Needs root and the programs of Open vSwitch; files that would go to `/etc` go to a folder
//! that is removed.

mod bridges;
mod guards;
mod lab;
