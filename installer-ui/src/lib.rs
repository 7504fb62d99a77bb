// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the installer shares with `xenith-answers`, which runs anywhere.

pub mod offline;
