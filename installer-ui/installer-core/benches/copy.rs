// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installer's copy of a file beside writing the same bytes with direct I/O, and its reading back
//! beside reading them so, each to and from the same place. `cargo xtask bench install-copy` runs it:
//! `copy SOURCE TARGET`, where the target is a file or a device that is overwritten. Prints JSON.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use installer_core::copy::{PIECE, Piece, copy, read_back};
use installer_core::system::{RealSystem, System};
use rustix::fs::OFlags;

/// Rounds; each does everything once, so that what else the machine does hits all alike.
const ROUNDS: usize = 9;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [source, target] = &args[..] else { return Err("copy SOURCE TARGET".into()) };
    let (source, target) = (Path::new(source), Path::new(target));
    let total = std::fs::metadata(source)?.len();
    // Both sides find a file whose blocks are all there, and a source that is in memory.
    let mut pieces = read_pieces(source)?;
    fill(target, &pieces)?;

    let mut seconds = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        let mut ways: [(usize, &mut dyn FnMut() -> Result<()>); 2] = [
            (0, &mut || write_direct(target, &pieces)),
            (1, &mut || installer_copy(source, target, total)),
        ];
        // Who goes first takes turns.
        ways.rotate_left(round % 2);
        for (way, run) in ways {
            seconds[way].push(timed(run)?);
        }
        seconds[2].push(timed(&mut || read_direct(target, &mut pieces, total))?);
        seconds[3].push(timed(&mut || installer_read_back(target, total))?);
    }
    let [write, copied, read, verified] = seconds;
    let ratio = |of: &[f64], by: &[f64]| median(of.iter().zip(by).map(|(of, by)| of / by));
    let figures = [
        ("copy / direct write", ratio(&copied, &write), "x"),
        ("verification / direct read", ratio(&verified, &read), "x"),
        ("copy, wall", median(copied.into_iter()), "s"),
        ("direct write, wall", median(write.into_iter()), "s"),
        ("verification, wall", median(verified.into_iter()), "s"),
        ("direct read, wall", median(read.into_iter()), "s"),
    ];
    let figures = figures.map(
        |(name, value, unit)| serde_json::json!({ "name": name, "value": value, "unit": unit }),
    );
    println!("{}", serde_json::Value::from(figures.to_vec()));
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn timed(run: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    run()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// A file in whole pieces; what is behind its end in the last one is zero.
fn read_pieces(source: &Path) -> Result<Vec<Piece>> {
    let bytes = std::fs::read(source)?;
    let pieces = bytes.chunks(PIECE).map(|chunk| {
        let mut piece = Piece::default();
        piece.room()[..chunk.len()].copy_from_slice(chunk);
        piece
    });
    Ok(pieces.collect())
}

fn fill(target: &Path, pieces: &[Piece]) -> Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(target)?;
    for (number, _) in pieces.iter().enumerate() {
        file.write_all_at(&vec![0xa5; PIECE], (number * PIECE) as u64)?;
    }
    Ok(file.sync_all()?)
}

fn open_direct(target: &Path, write: bool) -> Result<File> {
    let flags = i32::try_from(OFlags::DIRECT.bits())?;
    Ok(OpenOptions::new().read(!write).write(write).custom_flags(flags).open(target)?)
}

fn write_direct(target: &Path, pieces: &[Piece]) -> Result<()> {
    let file = open_direct(target, true)?;
    for (number, piece) in pieces.iter().enumerate() {
        file.write_all_at(piece.whole(), (number * PIECE) as u64)?;
    }
    Ok(file.sync_all()?)
}

fn read_direct(target: &Path, pieces: &mut [Piece], total: u64) -> Result<()> {
    let file = open_direct(target, false)?;
    assert!(total <= (pieces.len() * PIECE) as u64);
    for (number, piece) in pieces.iter_mut().enumerate() {
        file.read_exact_at(piece.room(), (number * PIECE) as u64)?;
    }
    Ok(())
}

fn installer_copy(source: &Path, target: &Path, total: u64) -> Result<()> {
    let mut system = RealSystem::default();
    let from = system.open(source)?;
    copy(&mut system, from, target, total, &mut |_| {})?;
    Ok(system.sync(target)?)
}

fn installer_read_back(target: &Path, total: u64) -> Result<()> {
    read_back(&mut RealSystem::default(), target, 0, total, &mut |_| {})?;
    Ok(())
}
