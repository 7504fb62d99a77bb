// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file for each target.

pub(crate) mod alarm;
pub(crate) mod answers;
pub(crate) mod answers_xml;
pub(crate) mod boot_line;
pub(crate) mod call;
pub(crate) mod certificate;
pub(crate) mod compression;
pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod deb;
pub(crate) mod destination;
pub(crate) mod figures_file;
pub(crate) mod framed;
pub(crate) mod guest_report;
pub(crate) mod inventory;
pub(crate) mod jsonrpc;
pub(crate) mod kernel_words;
pub(crate) mod lease;
pub(crate) mod partition_table;
pub(crate) mod perfmon;
pub(crate) mod qcow2;
pub(crate) mod reserved;
pub(crate) mod ssh_line;
pub(crate) mod sums;
pub(crate) mod suspend_image;
pub(crate) mod txt_record;
pub(crate) mod vhd;
pub(crate) mod xmlrpc;
pub(crate) mod xva;
