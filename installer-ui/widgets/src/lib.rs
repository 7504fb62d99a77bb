// SPDX-License-Identifier: MIT OR Apache-2.0
//! What screens for a terminal of 80x24 characters are made of: lines, fields, keys, and the
//! terminal itself. ASCII and reverse video only, so that every terminal shows them.

mod body;
mod field;
mod key;
mod page;
mod screen;
mod wrap;

pub use body::{Body, WIDTH};
pub use field::Field;
pub use key::Key;
pub use page::{BODY_ROWS, Page};
pub use screen::Screen;
pub use wrap::wrap;
