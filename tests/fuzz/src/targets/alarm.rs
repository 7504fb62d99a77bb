// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows that findings are made and reported: panics at a word that chance does not write, but who
//! follows which comparisons fail finds letter by letter.

pub(crate) fn run(data: &[u8]) {
    if let [b'x', b'e', b'n', b'!', ..] = data {
        panic!("the word was found");
    }
}
