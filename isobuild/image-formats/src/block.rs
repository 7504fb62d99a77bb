// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to whatever an image is written to: a file, a disk, memory.

use std::io::{Read, Seek, Write};

/// A file, a block device or a `Cursor` over memory.
pub trait BlockIo: Read + Write + Seek {}

impl<T: Read + Write + Seek> BlockIo for T {}
