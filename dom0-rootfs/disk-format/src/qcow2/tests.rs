// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::Target;

/// A disk in memory, full of something else.
struct Memory {
    bytes: Vec<u8>,
    told: u64,
}

impl Target for Memory {
    type Error = Qcow2Error;

    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), Qcow2Error> {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
        self.told += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, at: u64, length: u64) -> Result<(), Qcow2Error> {
        self.bytes[at as usize..][..length as usize].fill(0);
        self.told += length;
        Ok(())
    }
}

fn decoded(image: &[u8], size: usize) -> Result<Vec<u8>, Qcow2Error> {
    let mut memory = Memory { bytes: vec![0xee; size], told: 0 };
    let found = read(image, &mut memory, |wanted| match wanted <= size as u64 {
        true => Ok(()),
        false => Err(invalid(format!("{wanted} bytes do not fit"))),
    })?;
    assert_eq!(memory.told, found, "every byte once");
    Ok(memory.bytes)
}

fn disk() -> Vec<u8> {
    let mut disk = vec![0; 3 * 1024 * 1024 + 1536];
    disk[5] = 1;
    disk[1 << 20..(1 << 20) + 70_000].fill(7);
    *disk.last_mut().unwrap() = 9;
    disk
}

fn image(disk: &[u8]) -> Vec<u8> {
    let clusters: Vec<&[u8]> = disk.chunks(CLUSTER as usize).collect();
    let present: Vec<bool> = clusters.iter().map(|cluster| !crate::is_zero(cluster)).collect();
    let mut writer = Writer::begin(Vec::new(), disk.len() as u64, &present).unwrap();
    for (cluster, _) in clusters.iter().zip(present).filter(|(_, present)| *present) {
        writer.cluster(cluster).unwrap();
    }
    writer.finish()
}

#[test]
fn what_is_written_is_read_again() {
    // Header, list of counts, counts, two tables, four clusters.
    assert_eq!(image(&disk()).len() as u64, 9 * CLUSTER);
    assert!(decoded(&image(&disk()), disk().len()).unwrap() == disk());
    assert_eq!(image(&[0; 4096]).len() as u64, 4 * CLUSTER);
    assert_eq!(decoded(&image(&[0; 4096]), 4096).unwrap(), [0; 4096]);
    // A disk of half sectors is rounded up.
    assert_eq!(decoded(&image(&[1; 700]), 1024).unwrap()[..700], [1; 700]);
    assert_eq!(decoded(&image(&[]), 0).unwrap(), []);
}

#[test]
fn a_large_disk_has_as_many_tables_as_it_needs() {
    // 5 TiB: a first table of more than a cluster, of which the last entry leads somewhere.
    let count = (5u64 << 40) / CLUSTER;
    let mut present = vec![false; count as usize];
    *present.last_mut().unwrap() = true;
    let mut writer = Writer::begin(Vec::new(), 5 << 40, &present).unwrap();
    writer.cluster(&[3; CLUSTER as usize]).unwrap();
    let image = writer.finish();
    assert_eq!(image.len() as u64, 7 * CLUSTER);
    struct Last(u64);
    impl Target for Last {
        type Error = Qcow2Error;
        fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), Qcow2Error> {
            assert_eq!((at, bytes), ((5 << 40) - CLUSTER, &[3; CLUSTER as usize][..]));
            self.zeros(at, CLUSTER)
        }
        fn zeros(&mut self, _: u64, length: u64) -> Result<(), Qcow2Error> {
            self.0 += length;
            Ok(())
        }
    }
    let mut last = Last(0);
    assert_eq!(read(&image[..], &mut last, |_| Ok(())).unwrap(), 5 << 40);
    assert_eq!(last.0, 5 << 40);
    // So many clusters that their counts fill more than one.
    let present = vec![true; 33_000];
    let writer = Writer::begin(Vec::new(), 33_000 * CLUSTER, &present).unwrap();
    assert_eq!(writer.sink.len() as u64, (1 + 1 + 2 + 1 + 5) * CLUSTER);
    assert_eq!(&writer.sink[(2 * CLUSTER) as usize..][..4], [0, 1, 0, 1]);
    let counted = writer.sink[(2 * CLUSTER) as usize..][..(2 * CLUSTER) as usize].chunks(2);
    assert_eq!(counted.filter(|count| count[1] == 1).count(), 33_000 + 10);
}

#[test]
fn the_end_of_what_was_read_can_be_looked_at_again() {
    let source: Vec<u8> = (0..2u32 << 20).map(|at| (at % 251) as u8).collect();
    let mut stream = super::stream::Stream::new(&source[..]);
    stream.keep(1000);
    for at in [0, 5, 3, 700_000, 699_000, 1 << 20, (1 << 20) - 1000] {
        assert_eq!(stream.some(at, 10).unwrap(), &source[at as usize..][..10]);
    }
    let error = stream.some(0, 1).unwrap_err().to_string();
    assert!(error.contains("what lies at 0 is told of behind it"), "{error}");
    assert_eq!(stream.some((2 << 20) - 3, 10).unwrap(), &source[(2 << 20) - 3..]);
    assert!(stream.some(9 << 20, 1).unwrap().is_empty());
    assert!(stream.all(9 << 20, 1, "here").is_err());
}

fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = image(&disk());
    image[at..at + bytes.len()].copy_from_slice(bytes);
    image
}

#[test]
fn what_cannot_be_read_says_why() {
    let size = disk().len();
    let says = |image: &[u8], expected: &str| {
        let error = decoded(image, size).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    };
    says(b"", "ends in the middle: within its header");
    says(&disk(), "no qcow2 image");
    says(&with(7, &[9]), "another version than 2 and 3");
    says(&with(8, &[1]), "what differs from another image");
    says(&with(20, &[0, 0, 0, 30]), "clusters have 2^30 bytes");
    says(&with(28, &[1]), "19924480 bytes do not fit");
    says(&with(35, &[1]), "is encrypted");
    says(&with(36, &[0; 4]), "its first table has 0 entries");
    says(&with(47, &[1]), "is not on a cluster");
    says(&with(79, &[2]), "marked as corrupt");
    says(&with(79, &[4]), "data in another file");
    says(&with(79, &[16]), "extended_l2");
    says(&with(72, &[1]), "features that are not known");
    says(&with(100, &[9]), "its header has");
    let (first, second) = (3 * CLUSTER as usize, 4 * CLUSTER as usize);
    says(&with(first + 6, &[2]), "which is not on a cluster");
    says(&with(second + 7, &[0, 0x80, 0, 0, 0, 0, 0, 9, 0]), "cannot be read");
    // Two clusters of the disk at one place.
    let mut twice = image(&disk());
    let entry = twice[second..second + 8].to_vec();
    twice[second + 8..second + 16].copy_from_slice(&entry);
    says(&twice, "two things lie at 327680");
    let all = image(&disk());
    says(&all[..first + 3], "within its first table");
    says(&all[..second + 3], "within a table");
    says(&all[..second + CLUSTER as usize + 3], "within a cluster");
    // A cluster that is said to be compressed, and is not.
    says(&with(second, &[0x40]), "a compressed cluster: ");
}

#[test]
fn zeros_may_have_a_place_all_the_same() {
    let second = 4 * CLUSTER as usize;
    let mut expected = disk();
    expected[..CLUSTER as usize].fill(0);
    assert!(decoded(&with(second + 7, &[1]), expected.len()).unwrap() == expected);
}
