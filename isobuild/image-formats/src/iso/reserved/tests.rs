// SPDX-License-Identifier: MIT OR Apache-2.0

use std::io::{Cursor, Read, Seek, Write};
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::iso::tests::{boot, writer};
use crate::iso::{IsoError, IsoWriter, Source};

const PATH: &str = "xenith/answers.toml";
const ROOM: u16 = 5000;
const OLD: &[u8] = b"old = true\n";

fn written(mut iso: IsoWriter) -> Vec<u8> {
    iso.reserve(PATH, ROOM).unwrap();
    let mut out = Cursor::new(Vec::new());
    iso.write(&mut out, boot()).unwrap();
    out.into_inner()
}

fn image() -> Vec<u8> {
    written(writer())
}

fn find(image: &mut Vec<u8>) -> Result<ReservedFile, ReservedError> {
    ReservedFile::find(&mut Cursor::new(image), PATH)
}

fn fill(image: &mut Vec<u8>, bytes: &[u8]) {
    find(image).unwrap().fill(&mut Cursor::new(image), bytes).unwrap();
}

/// Where the file's record is in the tree that has this identifier of it, found without any parser.
fn record(image: &[u8], identifier: &[u8]) -> usize {
    let found = image.windows(identifier.len()).position(|bytes| bytes == identifier).unwrap();
    found - 33
}

fn records(image: &[u8]) -> [usize; 2] {
    let joliet: Vec<u8> = "answers.toml".encode_utf16().flat_map(u16::to_be_bytes).collect();
    [record(image, b"ANSWERS.TOML;1"), record(image, &joliet)]
}

/// What a reader of each tree sees.
fn seen(image: &[u8]) -> [&[u8]; 2] {
    records(image).map(|at| {
        let both = |at: usize| {
            let little = u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
            let big = u32::from_be_bytes(image[at + 4..at + 8].try_into().unwrap());
            assert_eq!(little, big);
            little as usize
        };
        let start = both(at + 2) * BLOCK as usize;
        &image[start..start + both(at + 10)]
    })
}

#[test]
fn it_is_empty_until_it_is_filled_and_again_when_it_is_cleared() {
    let built = image();
    assert!(built == image(), "the same twice");
    assert_eq!(seen(&built), [b"", b""]);
    let mut image = built.clone();
    let largest = vec![0x61; ROOM.into()];
    for contents in [OLD, b"newer and longer = true\n", b"", &largest, b"short"] {
        fill(&mut image, contents);
        assert_eq!(seen(&image), [contents, contents]);
        let found = find(&mut image).unwrap();
        assert_eq!((found.is_empty(), found.room()), (contents.is_empty(), ROOM));
        assert_eq!(found.read(&mut Cursor::new(&mut image)).unwrap(), contents);
    }
    find(&mut image).unwrap().clear(&mut Cursor::new(&mut image)).unwrap();
    assert!(image == built, "nothing of it is left");
}

#[test]
fn more_than_the_room_is_refused() {
    let mut image = image();
    fill(&mut image, OLD);
    let before = image.clone();
    for bytes in [usize::from(ROOM) + 1, usize::from(u16::MAX) + 1 + 10] {
        let found = find(&mut image).unwrap();
        let error = found.fill(&mut Cursor::new(&mut image), &vec![0x61; bytes]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{bytes} bytes are too many, there is room for 5000")
        );
    }
    assert!(image == before);
}

#[test]
fn what_the_writer_did_not_write_is_refused() {
    type Harm = fn(&mut Vec<u8>);
    let cases: &[(Harm, &str)] = &[
        (|image| image.clear(), "it is not an ISO image with Joliet names"),
        (|image| image.truncate(17 * 2048), "it is not an ISO image with Joliet names"),
        (|image| image[16 * 2048 + 1] = b'X', "it is not an ISO image with Joliet names"),
        // Without its escape sequence the second descriptor is not Joliet's.
        (|image| image[18 * 2048 + 88] = 0, "it is not an ISO image with Joliet names"),
        (|image| image.truncate(24 * 2048), "it is cut off: it has 49152 bytes of"),
        (|image| image.truncate(image.len() - 1), "it is cut off: it has"),
        (|image| *image = other(&[]), "it is an ISO image without the file /xenith/answers.toml"),
        (|image| *image = other(&["xenith"]), "it is an ISO image without the file"),
        (|image| *image = other(&[PATH]), "no room was reserved for the file /xenith/answers.toml"),
        (
            |image| *image = other(&["xenith/answers.toml/x"]),
            "it is damaged: what should be a plain",
        ),
        (
            |image| {
                let [primary, _] = records(image);
                image[primary + 13] = 1;
            },
            "it is damaged: invalid directory record",
        ),
        (
            |image| {
                for at in records(image) {
                    set(image, at + 10, u32::from(ROOM) + 1);
                }
            },
            "it is damaged: the file's length cannot be",
        ),
        (
            |image| {
                let [primary, joliet] = records(image);
                set(image, primary + 10, 3);
                set(image, joliet + 10, 4);
            },
            "it is damaged: the file's length cannot be",
        ),
        (
            |image| {
                let [primary, _] = records(image);
                set(image, primary + 2, 30);
            },
            "it is damaged: the file has other contents by its Joliet name",
        ),
        (
            |image| {
                for at in records(image) {
                    set(image, at + 2, 1 << 30);
                }
            },
            "it is damaged: the file lies outside it",
        ),
        (
            |image| {
                let marker = marker(image);
                image[marker + 16..marker + 18].copy_from_slice(&[0xff, 0xff]);
                let blocks = (marker / 2048 + 2) as u32;
                let volume = 16 * 2048 + 80;
                set(image, volume, blocks);
            },
            "it is damaged: the file lies outside it",
        ),
        (
            |image| {
                let marker = marker(image);
                image[marker] = b'x';
            },
            "no room was reserved for the file /xenith/answers.toml",
        ),
    ];
    for (number, (harm, expected)) in cases.iter().enumerate() {
        let mut image = image();
        harm(&mut image);
        let error = find(&mut image).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{number}: {error:?} is not {expected:?}");
    }
}

/// Writes a number into a record.
fn set(image: &mut [u8], at: usize, number: u32) {
    image[at..at + 8].copy_from_slice(&both_endian(number));
}

fn marker(image: &[u8]) -> usize {
    image.windows(MAGIC.len()).position(|bytes| bytes == MAGIC).unwrap()
}

/// An image by the same writer, without reserved room.
fn other(paths: &[&str]) -> Vec<u8> {
    let mut iso = IsoWriter::new("XENITH", 1_700_000_000, 42).unwrap();
    iso.file("boot/grub/eltorito.img", Source::Bytes(vec![0x22; 5000])).unwrap();
    for path in paths {
        iso.file(path, Source::Bytes(OLD.to_vec())).unwrap();
    }
    let mut out = Cursor::new(Vec::new());
    iso.write(&mut out, boot()).unwrap();
    out.into_inner()
}

#[test]
fn a_length_is_never_in_two_sectors() {
    let mut refused = 0;
    // Files before it in its folder move the record about.
    for length in 1..=50 {
        let mut iso = writer();
        for number in 0..3 {
            let name = format!("xenith/a{number}{}", "a".repeat(length));
            iso.file(&name, Source::Bytes(OLD.to_vec())).unwrap();
        }
        iso.reserve(PATH, ROOM).unwrap();
        let mut out = Cursor::new(Vec::new());
        match iso.write(&mut out, boot()) {
            Ok(_) => {
                let image = out.into_inner();
                for at in records(&image) {
                    assert_eq!((at + 10) / 512, (at + 17) / 512);
                }
            }
            Err(IsoError::Reserve { source: ReservedError::TwoSectors, .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!((1..10).contains(&refused), "{refused}");
}

/// A disk that keeps what was written since the last flush in any order, and fails after some writes.
struct Disk {
    now: Cursor<Vec<u8>>,
    writes_left: usize,
    /// What was written between two flushes, in pieces that a disk writes whole.
    epochs: Vec<Vec<(Range<usize>, Vec<u8>)>>,
}

impl Disk {
    fn new(image: &[u8]) -> Self {
        let now = Cursor::new(image.to_vec());
        Self { now, writes_left: usize::MAX, epochs: vec![Vec::new()] }
    }
}

impl Read for Disk {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.now.read(buf)
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.now.seek(to)
    }
}

impl Write for Disk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writes_left = self.writes_left.checked_sub(1).ok_or(io::ErrorKind::WriteZero)?;
        let (start, mut at) = (self.now.position() as usize, 0);
        while at < buf.len() {
            let end = (start + at + 1).next_multiple_of(512).min(start + buf.len());
            let piece = &buf[at..end - start];
            if let Some(epoch) = self.epochs.last_mut() {
                epoch.push((start + at..end, piece.to_vec()));
            }
            at = end - start;
        }
        self.now.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.epochs.push(Vec::new());
        Ok(())
    }
}

/// Every subset of few pieces; of many all, none, each alone, and all but each.
fn subsets(pieces: usize) -> Vec<Vec<usize>> {
    let chosen = |chosen: &dyn Fn(usize) -> bool| (0..pieces).filter(|at| chosen(*at)).collect();
    if pieces <= 6 {
        return (0..1_u32 << pieces).map(|set| chosen(&|at| set >> at & 1 == 1)).collect();
    }
    let mut sets = vec![chosen(&|_| true), chosen(&|_| false)];
    for one in 0..pieces {
        sets.push(chosen(&|at| at == one));
        sets.push(chosen(&|at| at != one));
    }
    sets
}

#[test]
fn a_power_cut_leaves_the_old_contents_or_none_or_the_new_ones() {
    let long = [b'n'; ROOM as usize];
    for (old, new) in [(&b""[..], OLD), (OLD, &long[..]), (&long, b"new"), (OLD, b"")] {
        let mut start = image();
        fill(&mut start, old);
        let mut disk = Disk::new(&start);
        ReservedFile::find(&mut disk, PATH).unwrap().fill(&mut disk, new).unwrap();
        assert!(disk.epochs.iter().any(|epoch| epoch.len() > 1));
        let mut safe = start.clone();
        for epoch in &disk.epochs {
            for set in subsets(epoch.len()) {
                let mut cut = safe.clone();
                for piece in set {
                    let (range, bytes) = &epoch[piece];
                    cut[range.clone()].copy_from_slice(bytes);
                }
                for seen in seen(&cut) {
                    assert!(seen.is_empty() || seen == old || seen == new, "{seen:?}");
                }
                fill(&mut cut, new);
                assert_eq!(seen(&cut), [new, new], "it can be done again");
            }
            for (range, bytes) in epoch {
                safe[range.clone()].copy_from_slice(bytes);
            }
        }
        assert_eq!(seen(&safe), [new, new], "all is flushed at the end");
    }
}

#[test]
fn a_disk_that_fails_leaves_the_old_contents_or_none_or_the_new_ones() {
    let mut start = image();
    fill(&mut start, OLD);
    let writes = 5;
    for left in 0..=writes {
        let mut disk = Disk::new(&start);
        disk.writes_left = left;
        let found = ReservedFile::find(&mut disk, PATH).unwrap();
        let filled = found.fill(&mut disk, b"new");
        assert_eq!(filled.is_ok(), left == writes, "{left}: {filled:?}");
        let mut image = disk.now.into_inner();
        let read = find(&mut image).unwrap().read(&mut Cursor::new(&mut image)).unwrap();
        let expected: &[&[u8]] = match left {
            0 => &[OLD],
            5 => &[b"new"],
            _ => &[b"", b"new"],
        };
        assert!(expected.contains(&&*read), "{left}: {read:?}");
    }
}

proptest! {
    /// Nothing that happens to the structures of an image makes the finder or the editor panic, or
    /// write anything but the lengths and the contents.
    #[test]
    fn harmed_images_are_refused_or_right(
        harm in prop::collection::vec((0_usize..33 * 2048, any::<u8>()), 1..8),
        near in prop::collection::vec((0_usize..140, any::<u8>()), 0..4),
    ) {
        let mut image = image();
        let [primary, _] = records(&image);
        // Beyond 16 blocks nothing but structures, up to the marker.
        let near = near.into_iter().map(|(at, byte)| (primary + at, byte));
        for (at, byte) in harm.into_iter().map(|(at, byte)| (16 * 2048 + at, byte)).chain(near) {
            image[at] = byte;
        }
        let before = image.clone();
        if let Ok(found) = find(&mut image) {
            found.read(&mut Cursor::new(&mut image)).unwrap();
            let room = usize::from(found.room());
            found.fill(&mut Cursor::new(&mut image), &OLD[..room.min(OLD.len())]).unwrap();
            let changed = before.iter().zip(&image).filter(|(old, new)| old != new).count();
            prop_assert!(changed <= 16 + room);
            prop_assert_eq!(before.len(), image.len());
        } else {
            prop_assert!(image == before);
        }
    }
}
