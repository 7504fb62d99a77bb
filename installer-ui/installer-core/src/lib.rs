// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the installer decides and does: answers, discovery, plan, steps.
