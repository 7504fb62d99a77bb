// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the installer decides and does: answers, discovery, plan, steps.
//!
//! [`answers`] (typed or from a file) and [`discovery`] (what the machine has) make a
//! [`plan::Plan`], purely. The plan can be printed; nothing is written before that. Then
//! [`steps::install`] runs it through a [`system::System`] and reports [`events::Event`]s, which
//! screens, log and serial console read alike. No terminal is known here.
//!
//! [`media`] puts answers into an image of the medium, before any machine starts from it.

pub mod answers;
pub mod boot_menu;
pub mod cmdline;
pub mod copy;
pub mod delivery;
pub mod discovery;
pub mod events;
#[cfg(test)]
mod golden;
pub mod hardware;
pub mod hooks;
pub mod layout;
pub mod lock;
pub mod logs;
pub mod media;
pub mod medium;
pub mod network;
pub mod pace;
pub mod plan;
pub mod program;
pub mod regional;
pub mod report;
pub mod size;
pub mod ssh;
pub mod steps;
pub mod system;
pub mod web;
