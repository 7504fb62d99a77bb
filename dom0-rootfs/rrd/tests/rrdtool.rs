// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arithmetic against rrdtool's: `rows.txt` is what rrdtool 1.7.2 made of `series.txt`, whose lines
//! are a time, a level and a counter, with gaps, unknown values, and counters that begin anew:
//! `rrdtool create --start 1700000003 --step 5 DS:level:GAUGE:300:0:100 DS:bytes:DERIVE:300:0:U` with the
//! archives below, and `rrdtool dump`.

use rrd::{Consolidation, Kind, Rrd, Shape, Source};

const fn shape(consolidation: Consolidation, steps: u32, rows: u32, unknown: f64) -> Shape {
    Shape { consolidation, steps, rows, unknown }
}

static SHAPES: [Shape; 5] = [
    shape(Consolidation::Average, 1, 300, 0.5),
    shape(Consolidation::Average, 7, 60, 0.5),
    shape(Consolidation::Min, 7, 60, 0.5),
    shape(Consolidation::Max, 7, 60, 0.5),
    shape(Consolidation::Average, 30, 20, 0.9),
];

#[test]
fn rows_are_those_of_rrdtool() {
    let mut rrd = Rrd::new(&SHAPES, 1_700_000_003.0);
    let source =
        |name: &str, kind, max| Source { name: name.into(), kind, min: 0.0, max, inverse: false };
    rrd.add(source("level", Kind::Gauge, 100.0));
    rrd.add(source("bytes", Kind::Derive, f64::INFINITY));
    for line in include_str!("golden/series.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let now: f64 = words[0].parse().unwrap();
        let says = |name: &str| words[if name == "level" { 1 } else { 2 }].parse().ok();
        let elapsed = now - rrd.updated();
        rrd.update(now, elapsed, says).unwrap();
        // What was written and read again goes on where it was, but for the counters.
        let read = Rrd::decode(&SHAPES, &rrd.encode()).unwrap();
        assert_eq!(read.encode(), rrd.encode());
    }
    let json = rrd.json();
    let mut rows = json
        .split("\"database\":[[")
        .skip(1)
        .flat_map(|archive| archive.split("]]").next().unwrap().split("],[").map(str::to_owned));
    let (mut known, mut unknown) = (0, 0);
    for line in include_str!("golden/rows.txt").lines() {
        let expected: Vec<f32> =
            line.split(' ').skip(3).map(|word| word.parse().unwrap()).collect();
        let row = rows.next().unwrap();
        let found = row.split(',').map(|v| v.trim_matches('"').parse::<f32>().unwrap());
        for (found, expected) in found.zip(expected) {
            let same = (found - expected).abs() <= expected.abs() * 1e-6;
            assert!(same || (found.is_nan() && expected.is_nan()), "{line}: {row}");
            if found.is_nan() { unknown += 1 } else { known += 1 }
        }
    }
    assert!(known > 900 && unknown > 20, "{known} {unknown}");
    assert_eq!(rows.next(), None);
}
