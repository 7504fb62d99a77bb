// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Dom0 component: root image, kernel, initramfs, our programs.
