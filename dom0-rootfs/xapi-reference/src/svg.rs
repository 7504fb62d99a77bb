// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pieces of SVG. Places and sizes are in pixels.

use crate::html::{class_address, escaped};

/// The whole picture.
pub(crate) fn picture(width: i32, height: i32, label: &str, inner: &str) -> String {
    format!(
        "<figure><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n{inner}</svg></figure>\n",
        escaped(label)
    )
}

/// A rectangle: a `box` with a border, or a `group` without one. Readers that know no style sheets
/// get colours for light ground.
pub(crate) fn rect(kind: &str, x: i32, y: i32, width: i32, height: i32) -> String {
    let colours = match kind {
        "group" => "fill=\"#eee\"",
        _ => "fill=\"#fff\" stroke=\"#222\"",
    };
    format!(
        "<rect class=\"{kind}\" {colours} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>\n"
    )
}

/// A line of text; `anchor` is `start`, `middle` or `end`.
pub(crate) fn text(kind: &str, x: i32, y: i32, anchor: &str, text: &str) -> String {
    let kind = if kind.is_empty() { String::new() } else { format!(" class=\"{kind}\"") };
    format!("<text{kind} x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>\n", escaped(text))
}

/// A box with a class's name that leads to its page.
pub(crate) fn class(name: &str, x: i32, y: i32, width: i32, height: i32) -> String {
    let inner = rect("box", x, y, width, height)
        + &text("title", x + width / 2, y + height / 2 + 4, "middle", name);
    match class_address(name) {
        Some(address) => format!("<a href=\"{address}\">\n{inner}</a>\n"),
        None => inner,
    }
}
