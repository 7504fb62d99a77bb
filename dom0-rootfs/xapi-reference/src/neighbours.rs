// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture of a class between those that refer to it and those that it refers to.

use xapi_model::Class;

use crate::{references, svg};

const WIDTH: i32 = 140;
const HEIGHT: i32 = 24;
/// From the top of one box to the next.
const STEP: i32 = 32;
/// Between two columns of boxes, where the names of the fields stand.
const GAP: i32 = 260;

/// The picture; nothing where there is nothing to see.
pub(crate) fn picture(class: &'static Class) -> String {
    let all = references::all();
    let none = Default::default();
    let incoming: Vec<(&str, String)> = all
        .iter()
        .filter(|(from, _)| **from != class.name)
        .filter_map(|(from, to)| Some((*from, label(to.get(class.name)?))))
        .collect();
    let outgoing: Vec<(&str, String)> = all
        .get(class.name)
        .unwrap_or(&none)
        .iter()
        .map(|(to, fields)| (*to, label(fields)))
        .collect();
    let rows = incoming.len().max(outgoing.len());
    if rows == 0 {
        return String::new();
    }
    let height = i32::try_from(rows).unwrap_or(i32::MAX / STEP) * STEP + 8;
    let middle = height / 2;
    let (own, right) = (WIDTH + GAP, 2 * (WIDTH + GAP));
    let mut lines = String::new();
    let mut boxes = String::new();
    let mut side = |all: &[(&str, String)], left: bool| {
        let count = i32::try_from(all.len()).unwrap_or_default();
        let top = (height - count * STEP) / 2 + (STEP - HEIGHT) / 2;
        for ((name, fields), at) in all.iter().zip(0..) {
            let y = top + at * STEP;
            let (x, from, to) = match left {
                true => (0, WIDTH, own),
                false => (right, own + WIDTH, right),
            };
            let (start, end) = match left {
                true => (y + HEIGHT / 2, middle),
                false => (middle, y + HEIGHT / 2),
            };
            let bend = if left { (to - 40, to - 20) } else { (from + 20, from + 40) };
            lines += &format!(
                "<path class=\"grey\" fill=\"none\" stroke=\"#888\" d=\"M{from} {start} H{} C{} {start} {} {end} {} {end} H{to}\"/>\n",
                bend.0,
                (bend.0 + bend.1) / 2,
                (bend.0 + bend.1) / 2,
                bend.1
            );
            let label = if left { from + 6 } else { to - 6 };
            let anchor = if left { "start" } else { "end" };
            lines += &svg::text("", label, y + HEIGHT / 2 - 4, anchor, fields);
            boxes += &svg::class(name, x, y, WIDTH, HEIGHT);
        }
    };
    side(&incoming, true);
    side(&outgoing, false);
    boxes += &svg::class(class.name, own, middle - HEIGHT / 2, WIDTH, HEIGHT);
    let label = format!("Classes that refer to {0}, and those that {0} refers to", class.name);
    svg::picture(right + WIDTH, height, &label, &(lines + &boxes))
}

/// Names of fields, as many as there is room for.
fn label(fields: &[&str]) -> String {
    let whole = fields.join(", ");
    if whole.len() <= 36 { whole } else { format!("{}, … ({})", fields[0], fields.len()) }
}
