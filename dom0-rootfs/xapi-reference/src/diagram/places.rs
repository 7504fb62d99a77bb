// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything lies. Columns are groups, rows the places of classes within them; channels are
//! left of each column, right of the last, and above each row.

use std::collections::BTreeMap;

use super::nets::{Net, Wire};
use crate::groups;

/// Width of a class's box.
const WIDTH: i32 = 132;
/// Least height of one.
const HEIGHT: i32 = 24;
/// Between two lines.
const STEP: i32 = 7;
/// Least width of a channel.
const CHANNEL: i32 = 30;
/// Where the first row's channel begins: below the groups' titles.
const TOP: i32 = 30;

/// A class's box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// Everything's place.
#[derive(Debug)]
pub(super) struct Places {
    classes: BTreeMap<&'static str, Place>,
    /// Left edge of each column.
    columns: Vec<i32>,
    size: (i32, i32),
    wires: Vec<Vec<Wire>>,
}

/// A column and a row.
type Cell = (usize, usize);

/// What a net needs before columns have their places.
struct Route {
    /// Where each source's line begins: its column and height.
    starts: Vec<(usize, i32)>,
    /// The target's column and height.
    end: (usize, i32),
    /// Height of the line across, if there is one.
    across: Option<i32>,
    /// What it spans in each vertical channel.
    spans: BTreeMap<usize, (i32, i32)>,
}

impl Places {
    /// Lays everything out.
    pub(super) fn of(nets: &[Net]) -> Places {
        let cells = cells();
        let leaving = leaving(nets, &cells);
        let rows = Rows::of(nets, &cells, &leaving);
        let routes: Vec<Route> = nets.iter().map(|net| rows.route(net, &cells, &leaving)).collect();
        let count = groups::ALL.len();
        // Tracks of each vertical channel, each with the nets on it.
        let tracks: Vec<Vec<Vec<usize>>> =
            (0..=count).map(|channel| packed(&routes, channel)).collect();
        let mut x = 12;
        let mut columns = Vec::new();
        let mut track_x = BTreeMap::new();
        for (channel, tracks) in tracks.iter().enumerate() {
            let lines = length(tracks.len());
            let width = ((lines + 1) * STEP + 14).max(if lines == 0 { 4 } else { CHANNEL });
            for (track, at) in tracks.iter().zip(1..) {
                for net in track {
                    track_x.insert((*net, channel), x + 4 + at * STEP);
                }
            }
            x += width;
            if channel < count {
                columns.push(x);
                x += WIDTH;
            }
        }
        let classes = cells
            .iter()
            .map(|(name, (column, row))| {
                let height = height_of(leaving.get(name).map_or(0, Vec::len));
                let y = rows.top(*row) + (rows.height(*row) - height) / 2;
                (*name, Place { x: columns[*column], y, width: WIDTH, height })
            })
            .collect();
        let wires = routes
            .iter()
            .enumerate()
            .map(|(net, route)| route.wires(&columns, |channel| track_x[&(net, channel)]))
            .collect();
        Places { classes, columns, size: (x + 12, rows.bottom() + 16), wires }
    }

    /// The box of a class.
    pub(super) fn class(&self, name: &str) -> Place {
        self.classes[name]
    }

    /// Left edge, width and height of a column.
    pub(super) fn column(&self, column: usize) -> (i32, i32, i32) {
        (self.columns[column], WIDTH, self.size.1)
    }

    /// Width and height of the whole.
    pub(super) fn size(&self) -> (i32, i32) {
        self.size
    }

    /// The lines of a net.
    pub(super) fn wires(&self, net: usize) -> Vec<Wire> {
        self.wires[net].clone()
    }
}

fn length(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX / STEP / 4)
}

fn height_of(lines: usize) -> i32 {
    HEIGHT.max((length(lines) + 1) * STEP)
}

fn cells() -> BTreeMap<&'static str, Cell> {
    let columns = groups::ALL.iter().enumerate();
    columns
        .flat_map(|(column, group)| {
            let rows = group.classes.iter().enumerate();
            rows.map(move |(row, name)| (*name, (column, row)))
        })
        .collect()
}

/// Targets of each class's lines, topmost first.
fn leaving(
    nets: &[Net],
    cells: &BTreeMap<&'static str, Cell>,
) -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for net in nets {
        for (source, _) in &net.sources {
            all.entry(source).or_default().push(net.target);
        }
    }
    for targets in all.values_mut() {
        targets.sort_by_key(|target| {
            let (column, row) = cells[target];
            (row, column)
        });
    }
    all
}

/// Rows and the channels above them.
struct Rows {
    /// Top and height of each row's boxes.
    boxes: Vec<(i32, i32)>,
    /// Height of the line across to each target that has one.
    across: BTreeMap<&'static str, i32>,
}

impl Rows {
    fn of(
        nets: &[Net],
        cells: &BTreeMap<&'static str, Cell>,
        leaving: &BTreeMap<&'static str, Vec<&'static str>>,
    ) -> Rows {
        let count = cells.values().map(|(_, row)| row + 1).max().unwrap_or(0);
        let mut y = TOP;
        let mut rows = Rows { boxes: Vec::new(), across: BTreeMap::new() };
        for row in 0..count {
            let crossing = nets.iter().filter(|net| {
                let (column, at) = cells[net.target];
                at == row && net.sources.iter().any(|(source, _)| cells[source].0 + 1 != column)
            });
            y += STEP;
            for net in crossing {
                rows.across.insert(net.target, y);
                y += STEP;
            }
            y += STEP;
            let inside = cells.iter().filter(|(_, (_, at))| *at == row);
            let height = inside
                .map(|(name, _)| height_of(leaving.get(name).map_or(0, Vec::len)))
                .max()
                .unwrap_or(HEIGHT);
            rows.boxes.push((y, height));
            y += height;
        }
        rows
    }

    fn top(&self, row: usize) -> i32 {
        self.boxes[row].0
    }

    fn height(&self, row: usize) -> i32 {
        self.boxes[row].1
    }

    fn bottom(&self) -> i32 {
        self.boxes.last().map_or(TOP, |(top, height)| top + height)
    }

    fn route(
        &self,
        net: &Net,
        cells: &BTreeMap<&'static str, Cell>,
        leaving: &BTreeMap<&'static str, Vec<&'static str>>,
    ) -> Route {
        let middle = |row: usize| self.top(row) + self.height(row) / 2;
        let starts: Vec<(usize, i32)> = net
            .sources
            .iter()
            .map(|(source, _)| {
                let (column, row) = cells[source];
                let lines = &leaving[source];
                let at = lines.iter().position(|target| *target == net.target).unwrap_or(0);
                let above = middle(row) - (length(lines.len()) - 1) / 2 * STEP;
                (column, above + length(at) * STEP)
            })
            .collect();
        let (column, row) = cells[net.target];
        // Between the places where lines leave boxes of the row.
        let end = (column, middle(row) + STEP / 2);
        let across = self.across.get(net.target).copied();
        let mut spans: BTreeMap<usize, (i32, i32)> = BTreeMap::new();
        let mut reach = |channel: usize, y: i32| {
            let span = spans.entry(channel).or_insert((y, y));
            *span = (span.0.min(y), span.1.max(y));
        };
        reach(column, end.1);
        for (from, y) in &starts {
            reach(from + 1, *y);
        }
        if let Some(y) = across {
            let channels: Vec<usize> =
                starts.iter().map(|(from, _)| from + 1).chain([column]).collect();
            channels.into_iter().for_each(|channel| reach(channel, y));
        }
        Route { starts, end, across, spans }
    }
}

/// Nets of a channel on as few tracks as there can be: those whose spans do not meet share one.
fn packed(routes: &[Route], channel: usize) -> Vec<Vec<usize>> {
    let mut inside: Vec<(i32, i32, usize)> = routes
        .iter()
        .enumerate()
        .filter_map(|(net, route)| route.spans.get(&channel).map(|(a, b)| (*a, *b, net)))
        .collect();
    inside.sort_unstable();
    let mut tracks: Vec<(i32, Vec<usize>)> = Vec::new();
    for (from, to, net) in inside {
        match tracks.iter_mut().find(|(end, _)| *end + STEP < from) {
            Some((end, nets)) => {
                *end = to;
                nets.push(net);
            }
            None => tracks.push((to, vec![net])),
        }
    }
    tracks.into_iter().map(|(_, nets)| nets).collect()
}

impl Route {
    fn wires(&self, columns: &[i32], track: impl Fn(usize) -> i32) -> Vec<Wire> {
        let mut wires = Vec::new();
        for (channel, (from, to)) in &self.spans {
            wires.push(Wire::Down { x: track(*channel), from: *from, to: *to });
        }
        for (column, y) in &self.starts {
            let (from, x) = (columns[*column] + WIDTH, track(column + 1));
            wires.push(Wire::Across { y: *y, from, to: x });
            wires.extend(self.joint(column + 1, x, *y));
        }
        if let Some(y) = self.across {
            let xs = self.spans.keys().map(|channel| track(*channel));
            let (from, to) = (xs.clone().min().unwrap_or(0), xs.clone().max().unwrap_or(0));
            wires.push(Wire::Across { y, from, to });
            for channel in self.spans.keys() {
                wires.extend(self.joint(*channel, track(*channel), y));
            }
        }
        let (column, y) = self.end;
        let (from, to) = (track(column), columns[column]);
        wires.push(Wire::Across { y, from, to });
        wires.push(Wire::Arrow { x: to, y });
        wires
    }

    /// A dot where a line meets another in its middle; corners need none.
    fn joint(&self, channel: usize, x: i32, y: i32) -> Option<Wire> {
        let (from, to) = self.spans[&channel];
        let inside = from < y && y < to;
        inside.then_some(Wire::Joint { x, y })
    }
}
