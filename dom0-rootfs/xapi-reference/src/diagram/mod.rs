// SPDX-License-Identifier: MIT OR Apache-2.0
//! The diagram of all classes: a column for each group, and a line to each class that others refer to.
//!
//! Lines are laid as on a circuit board: those to one class are one net, in one colour. A net leaves
//! its sources to the right, runs in the channels between columns and rows, where each net has a
//! track of its own, and enters its target from the left. So no line crosses a box, and none lies on
//! another. Simple as it is, it needs no program that lays out graphs, and the same model gives the
//! same picture.

mod nets;
mod places;

use crate::groups;
use crate::svg;
use nets::{Net, Wire};
use places::Places;

/// Colours that are told apart on light and dark ground.
const COLOURS: &[&str] = &[
    "#e6550d", "#3182bd", "#31a354", "#756bb1", "#d62790", "#8c6d31", "#0b9ca8", "#c9a800",
    "#7f7f7f", "#ad494a",
];

/// The page.
pub(crate) fn body() -> String {
    "<h1>Diagram of the classes</h1>\n<p>A line leads from a class to one that a field of it refers to; all \
     lines to one class have one colour. Fields that only list what refers back are left out. ↺: a class \
     refers to itself. The page of a class names the fields.</p>\n"
        .to_owned()
        + &picture()
}

fn picture() -> String {
    let nets = nets::all();
    let places = Places::of(&nets);
    let mut groups = String::new();
    for (group, column) in groups::ALL.iter().zip(0..) {
        let (x, width, height) = places.column(column);
        groups += &svg::rect("group", x - 6, 4, width + 12, height - 8);
        groups += &svg::text("title", x + width / 2, 22, "middle", group.title);
    }
    let mut wires = String::new();
    for (net, at) in nets.iter().zip(0..) {
        wires += &drawn(net, &places.wires(at), COLOURS[at % COLOURS.len()]);
    }
    let mut boxes = String::new();
    for group in groups::ALL {
        for name in group.classes {
            let place = places.class(name);
            boxes += &svg::class(name, place.x, place.y, place.width, place.height);
            if nets::refers_to_itself(name) {
                let (right, middle) = (place.x + place.width - 10, place.y + place.height / 2 + 4);
                boxes += &svg::text("", right, middle, "middle", "↺");
            }
        }
    }
    let (width, height) = places.size();
    svg::picture(width, height, "Classes and their references", &(groups + &wires + &boxes))
}

/// A net with its arrow, and its fields for who points at it.
fn drawn(net: &Net, wires: &[Wire], colour: &str) -> String {
    let mut path = String::new();
    let mut dots = String::new();
    for wire in wires {
        path += &match *wire {
            Wire::Across { y, from, to } => format!("M{from} {y}H{to}"),
            Wire::Down { x, from, to } => format!("M{x} {from}V{to}"),
            Wire::Joint { x, y } => {
                dots += &format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"2.4\" fill=\"{colour}\"/>\n");
                String::new()
            }
            Wire::Arrow { x, y } => {
                dots += &format!("<path d=\"M{x} {y}l-8 -4v8z\" fill=\"{colour}\"/>\n");
                String::new()
            }
        };
    }
    let fields: Vec<String> = net
        .sources
        .iter()
        .flat_map(|(class, fields)| fields.iter().map(move |field| format!("{class}.{field}")))
        .collect();
    format!(
        "<g><title>{} ← {}</title>\n<path class=\"wire\" fill=\"none\" stroke=\"{colour}\" d=\"{path}\"/>\n{dots}</g>\n",
        net.target,
        fields.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of lines that lie on each other, of different nets, are one line to who looks.
    #[test]
    fn no_line_lies_on_another_or_goes_through_a_box() {
        let nets = nets::all();
        let places = Places::of(&nets);
        let all: Vec<(usize, Wire)> = (0..nets.len())
            .flat_map(|at| places.wires(at).into_iter().map(move |w| (at, w)))
            .collect();
        let meet =
            |(a, b): (i32, i32), (c, d): (i32, i32)| a.min(b) < c.max(d) && c.min(d) < a.max(b);
        for (at, (one, wire)) in all.iter().enumerate() {
            for (other, against) in &all[at + 1..] {
                let hidden = match (*wire, *against) {
                    (Wire::Across { y, from, to }, Wire::Across { y: y2, from: f2, to: t2 }) => {
                        y == y2 && meet((from, to), (f2, t2))
                    }
                    (Wire::Down { x, from, to }, Wire::Down { x: x2, from: f2, to: t2 }) => {
                        x == x2 && meet((from, to), (f2, t2))
                    }
                    _ => false,
                };
                assert!(one == other || !hidden, "{wire:?} {against:?}");
            }
            for name in groups::ALL.iter().flat_map(|group| group.classes) {
                let place = places.class(name);
                let (xs, ys) =
                    ((place.x, place.x + place.width), (place.y, place.y + place.height));
                let through = match *wire {
                    Wire::Across { y, from, to } => ys.0 < y && y < ys.1 && meet((from, to), xs),
                    Wire::Down { x, from, to } => xs.0 < x && x < xs.1 && meet((from, to), ys),
                    _ => false,
                };
                assert!(!through, "{wire:?} goes through {name}");
            }
        }
    }
}
