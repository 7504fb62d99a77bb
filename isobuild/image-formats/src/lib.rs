// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pure writers of image formats: ISO 9660, El Torito, GPT, FAT, cpio.
