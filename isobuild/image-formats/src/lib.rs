// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pure writers of image formats: ISO 9660, El Torito, GPT, FAT, cpio.
//!
//! Nothing here reads a clock, draws a random number or opens a file of its own accord: times and
//! ids are parameters, and bytes go through `std::io` traits.

pub mod cpio;
