// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Xen component: hypervisor and tools compiled from source.
