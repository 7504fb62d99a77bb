// SPDX-License-Identifier: MIT OR Apache-2.0
//! The XenAPI written once: classes, fields, messages, roles, errors, wire values.
