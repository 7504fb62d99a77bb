// SPDX-License-Identifier: MIT OR Apache-2.0
//! End-to-end tests: QEMU harness and cases.

pub mod cases;
pub mod clients;
pub mod cpu;
pub mod file_server;
pub mod guest;
pub mod https;
pub mod inner;
pub mod install;
pub mod interrupt_lock;
pub mod lab;
pub mod nfs;
pub mod old_system;
pub mod own_network;
pub mod qmp;
pub mod remains;
pub mod runner;
pub mod screen;
pub mod serial;
pub mod shell;
pub mod uefi_variables;
pub mod vm;
pub mod web;
pub mod write_log;
