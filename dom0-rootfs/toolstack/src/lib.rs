// SPDX-License-Identifier: MIT OR Apache-2.0
//! The XenAPI daemon.
//!
//! A call goes [`server`] → [`dispatch`] (existence, session, role, parameters) → [`generated`] or
//! a handler of [`api`], which reads and changes objects in the [`store`] and works on Xen, storage
//! and network through the traits of their crates. Messages are described in `xapi-model` alone.

pub mod alerts;
pub mod api;
pub mod arrivals;
pub mod audit;
pub mod auth;
pub mod blobs;
pub mod certificates;
pub mod console_users;
pub mod consoles;
pub mod copy;
pub mod daemon;
pub mod database;
pub mod derived;
pub mod dispatch;
pub mod dom0;
pub mod event;
pub mod failure;
pub mod generated;
pub mod guards;
pub mod guest;
pub mod hardware;
pub mod host_network;
mod housekeeping;
pub mod memory;
pub mod metrics;
pub mod notify;
pub mod outgoing;
pub mod patience;
pub mod perfmon;
pub mod program;
pub mod prompt;
pub mod query;
pub mod rbac;
pub mod reconcile;
pub mod records;
pub mod reinstallation;
pub mod remote_storage;
pub mod schedule;
pub mod server;
pub mod session;
pub mod simulate;
pub mod startup;
pub mod store;
pub mod subtask;
pub mod switches;
pub mod task;
pub mod templates;
pub mod toolstack;
pub mod transfer;
pub mod unfinished;
pub mod user_agents;
pub mod vdis;
pub mod vm;
