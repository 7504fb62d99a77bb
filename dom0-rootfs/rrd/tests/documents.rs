// SPDX-License-Identifier: MIT OR Apache-2.0
//! Documents byte for byte (`RRD_BLESS=1` writes them anew; `rrdtool restore` was seen to take `whole.xml`),
//! and files that are not what they should be.

use std::path::Path;

use rrd::{Consolidation, Kind, Rrd, SHAPES, Shape, Source, Updates, Wanted, checksum};

const fn shape(consolidation: Consolidation, steps: u32, rows: u32) -> Shape {
    Shape { consolidation, steps, rows, unknown: 0.5 }
}

static FEW: [Shape; 4] = [
    shape(Consolidation::Average, 1, 5),
    shape(Consolidation::Average, 2, 4),
    shape(Consolidation::Max, 2, 4),
    shape(Consolidation::Max, 4, 3),
];

fn gauge(name: &str) -> Source {
    let (min, max) = (f64::NEG_INFINITY, f64::INFINITY);
    Source { name: name.into(), kind: Kind::Gauge, min, max, inverse: false }
}

fn busy(name: &str) -> Source {
    Source { name: name.into(), kind: Kind::Derive, min: 0.0, max: 1.0, inverse: true }
}

fn sample(shapes: &'static [Shape], seconds: u32) -> Rrd {
    let mut rrd = Rrd::new(shapes, 1_700_000_000.0);
    rrd.add(gauge("memory"));
    rrd.add(busy("cpu0"));
    for second in (5..=seconds).step_by(5) {
        let now = 1_700_000_000.0 + f64::from(second);
        let says = |name: &str| match name {
            "memory" => (second != 20).then_some(f64::from(second) * 1e6),
            _ => Some(f64::from(second) * 0.25),
        };
        rrd.update(now, 5.0, says).unwrap();
    }
    rrd
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = text.replace("><", ">\n<").replace("},{", "},\n{") + "\n";
    if std::env::var_os("RRD_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{name}");
}

#[test]
fn whole_databases() {
    let rrd = sample(&FEW, 33);
    golden("whole.xml", &rrd.xml());
    golden("whole.json", &rrd.json());
}

#[test]
fn updates() {
    let (mut host, mut vm) = (sample(&FEW, 35), sample(&FEW, 25));
    host.add(gauge("<\"&\\\u{1}"));
    vm.remove("cpu0");
    let all = [("host:H:".to_owned(), &host), ("vm:V:".to_owned(), &vm)];
    let cf = Some(Consolidation::Average);
    let wanted = |start, interval| Wanted { start, interval, consolidation: cf };
    let seconds = Updates::of(&all, wanted(-21, 5));
    golden("seconds.xml", &seconds.xml());
    golden("seconds.json", &seconds.json());
    // Further back, or by longer rows, and with all consolidations.
    golden("long.xml", &Updates::of(&all, wanted(1_700_000_001, 0)).xml());
    let every = Wanted { consolidation: None, ..wanted(-40, 10) };
    golden("all.xml", &Updates::of(&all, every).xml());
    // What no archive has.
    assert!(Updates::of(&all, wanted(i64::MAX, 5)).xml().contains("<rows>0</rows>"));
    assert!(Updates::of(&all, wanted(i64::MIN, 5)).xml().contains("<step>10</step>"));
    assert!(Updates::of(&all, wanted(0, i64::MAX)).xml().contains("<step>10</step>"));
    assert!(Updates::of(&[], wanted(-5, 5)).json().contains("\"columns\":0"));
}

#[test]
fn files_come_back_and_broken_ones_are_refused() {
    let rrd = sample(&SHAPES, 4000);
    let bytes = rrd.encode();
    let read = Rrd::decode(&SHAPES, &bytes).unwrap();
    assert_eq!(read.xml().replace("last_ds>U<", ""), {
        let mut forgotten = rrd.clone();
        forgotten.restart_counters();
        forgotten.xml().replace("last_ds>U<", "")
    });
    assert!(Rrd::decode(&FEW, &bytes).unwrap_err().to_string().contains("other archives"));
    for length in [0, 3, 7, 8, 40, bytes.len() - 1] {
        assert!(Rrd::decode(&SHAPES, &bytes[..length]).is_err());
    }
    let mended = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = bytes[..bytes.len() - 8].to_vec();
        change(&mut body);
        let sum = checksum(&body);
        body.extend_from_slice(&sum.to_le_bytes());
        Rrd::decode(&SHAPES, &body).map(drop).map_err(|error| error.to_string())
    };
    let refused = |why: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let error = mended(change).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    };
    assert_eq!(mended(&|_| {}), Ok(()));
    // Magic, version, time, archives, sources; then the first source: name, flags, limits.
    refused("something else", &|body| body[0] = b'Y');
    refused("another version", &|body| body[4] = 2);
    refused("its time", &|body| body[8..16].copy_from_slice(&f64::NAN.to_le_bytes()));
    refused("its time", &|body| body[8..16].copy_from_slice(&1e300f64.to_le_bytes()));
    refused("too many sources", &|body| body[20..24].copy_from_slice(&[0xff; 4]));
    refused("cut off", &|body| body[20] = 3);
    refused("too long", &|body| body.push(0));
    refused("wrong length", &|body| body[24] = 0);
    refused("no text", &|body| body[25] = 0xff);
    refused("of no kind", &|body| body[31] = 4);
    refused("a limit", &|body| body[32..40].copy_from_slice(&f64::NAN.to_le_bytes()));
    refused("a step", &|body| body[48..56].copy_from_slice(&f64::INFINITY.to_le_bytes()));
    refused("a step", &|body| body[56..64].copy_from_slice(&1e9f64.to_le_bytes()));
    refused("an archive", &|body| body[72..76].copy_from_slice(&[0xff; 4]));
    refused("an archive", &|body| body[76..80].copy_from_slice(&[0xff; 4]));
    refused("twice", &|body| {
        let at = body.windows(4).position(|w| w == b"cpu0").unwrap();
        body[at - 1] = 6;
        body.splice(at..at + 4, *b"memory");
    });
}

#[test]
fn memory_ends_somewhere() {
    let mut rrd = Rrd::new(&SHAPES, 0.0);
    // A VM with two virtual CPUs, a disk and a network card.
    for number in 0..12 {
        rrd.add(gauge(&format!("vbd_xvda_iops_{number}")));
    }
    let young = rrd.bytes();
    let mut now = 0.0;
    for round in 0..500 {
        // Days of hours of steps, in as few updates as fill every archive.
        for pause in [5.0, 5.0, 60.0, 290.0, 3600.0, 86400.0 - 3960.0] {
            now += pause;
            rrd.update(now, pause, |_| Some(f64::from(round))).unwrap();
        }
    }
    let old = rrd.bytes();
    println!("12 sources take {young} bytes at first and {old} at last");
    assert!(young < 12_000 && old < 112_000, "{young} {old}");
}

#[test]
fn a_clock_that_goes_back() {
    let mut rrd = sample(&SHAPES, 4000);
    let now = 1_700_003_000.0;
    assert!(rrd.update(now, 5.0, |_| Some(1.0)).is_err());
    rrd.rewind(now);
    let mut shorter = sample(&SHAPES, 3000);
    let wanted = |start| Wanted { start, interval: 5, consolidation: None };
    for (step, interval) in [(5, 5), (60, 60), (3600, 3600)] {
        let of = |rrd: &Rrd| {
            let wanted = Wanted { interval, ..wanted(1_700_000_000) };
            Updates::of(&[(String::new(), rrd)], wanted).json()
        };
        // The first archive has lost what fell out of it meanwhile.
        if step > 5 {
            assert_eq!(of(&rrd), of(&shorter), "{step}");
        }
    }
    assert_eq!(rrd.latest("memory").map(f64::is_nan), Some(true));
    for later in [5.0, 10.0] {
        for rrd in [&mut rrd, &mut shorter] {
            rrd.update(now + later, 5.0, |_| Some(3.0)).unwrap();
        }
    }
    assert_eq!((rrd.latest("memory"), rrd.latest("cpu0")), (Some(3.0), Some(1.0)));
    let json = Updates::of(&[(String::new(), &rrd)], wanted(-6)).json();
    assert!(json.contains("{\"t\":1700003010,\"values\":[3.0,1.0]}"), "{json}");
}

#[test]
fn figures_beyond_their_limits_are_not_known() {
    let mut rrd = Rrd::new(&SHAPES, 0.0);
    rrd.add(busy("busy"));
    rrd.add(Source { inverse: false, ..busy("runs") });
    let mut now = 0.0;
    let mut say = |busy: f64, runs: f64| {
        now += 5.0;
        rrd.update(now, 5.0, |name| Some(if name == "busy" { busy } else { runs })).unwrap();
        (rrd.latest("busy").unwrap(), rrd.latest("runs").unwrap())
    };
    assert!(say(0.0, 0.0).0.is_nan());
    assert_eq!(say(2.5, 5.0), (0.5, 1.0));
    // A little too much, as the clock and the counters are read one after the other.
    assert_eq!(say(7.55, 10.05), (0.0, 1.0));
    // Counters that go back, and that ran too fast.
    let (busy, runs) = say(0.0, 1.0);
    assert!(busy.is_nan() && runs.is_nan());
    let (busy, runs) = say(9.0, 9.0);
    assert!(busy.is_nan() && runs.is_nan());
}
