// SPDX-License-Identifier: MIT OR Apache-2.0
//! Enters sandboxes for programs whose own main cannot (this crate's tests).

fn main() {
    isobuild::sandbox::enter_if_asked();
    eprintln!("this program is only started by others");
    std::process::exit(2);
}
