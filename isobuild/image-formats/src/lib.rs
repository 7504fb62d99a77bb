// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pure writers of image formats: ISO 9660, El Torito, GPT, FAT, cpio.
//!
//! Nothing here reads a clock or draws a random number: times and ids are parameters, and bytes go
//! through [`BlockIo`] or the `std::io` traits. Only [`iso`] opens files by itself, those that it was
//! told to put on the medium.

mod block;
pub mod cpio;
pub mod fat;
pub mod gpt;
pub mod grub;
pub mod iso;
pub mod mbr;

pub use block::BlockIo;
