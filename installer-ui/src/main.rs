// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installer: terminal screens and unattended mode.

fn main() {}
