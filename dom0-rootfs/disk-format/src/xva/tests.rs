// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::BTreeMap;

use super::*;

/// What an archive had.
#[derive(Default)]
struct Seen {
    description: String,
    disks: BTreeMap<String, Vec<u8>>,
    forgiving: bool,
}

impl Contents for Seen {
    type Error = XvaError;

    fn description(&mut self, text: &str) -> Result<(), XvaError> {
        self.description = text.to_owned();
        Ok(())
    }

    fn data(&mut self, disk: &str, at: u64, bytes: &[u8]) -> Result<(), XvaError> {
        let disk = self.disks.entry(disk.to_owned()).or_default();
        disk.resize(at as usize + bytes.len(), 0);
        disk[at as usize..].copy_from_slice(bytes);
        Ok(())
    }

    fn damaged(&mut self, error: XvaError) -> Result<(), XvaError> {
        if self.forgiving { Ok(()) } else { Err(error) }
    }
}

fn disk() -> Vec<u8> {
    let mut disk = vec![0; 5 * PIECE as usize + 700];
    disk[3 * PIECE as usize + 5] = 7;
    disk
}

fn archive() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), 1_700_000_000);
    writer.describe("<value/>").unwrap();
    for (name, disk) in [("Ref:2", disk()), ("Ref:10", vec![5; 9])] {
        let size = disk.len() as u64;
        for number in 0.. {
            let Some((at, length)) = piece(size, number) else { break };
            let bytes = &disk[at as usize..at as usize + length];
            writer.piece(name, size, number, bytes).unwrap();
        }
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let archive = archive();
    // First, last and the one that is not zero.
    assert_eq!(
        archive.len(),
        512 + 512 + 3 * 1024 + 2 * (1 << 20) + 1024 + 3 * 512 + 1024 * 2 + 1024
    );
    let mut seen = Seen::default();
    let lengths = read(&archive[..], &mut seen).unwrap();
    assert_eq!(seen.description, "<value/>");
    assert!(seen.disks["Ref:2"] == disk());
    assert_eq!(seen.disks["Ref:10"], [5; 9]);
    assert_eq!(
        lengths,
        BTreeMap::from([("Ref:2".into(), disk().len() as u64), ("Ref:10".into(), 9)])
    );
}

/// A file of a tar archive.
fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    let rest = vec![0; bytes.len().next_multiple_of(512) - bytes.len()];
    [header.as_bytes(), bytes, &rest].concat()
}

const END: [u8; 1024] = [0; 1024];

#[test]
fn empty_pieces_and_old_checksums_are_read() {
    let sums =
        ["da39a3ee5e6b4b0d3255bfef95601890afd80709", "a9993e364706816aba3e25717850c26c9cd0d89d"];
    let parts = [
        file("ova.xml", b"x"),
        file("Ref:4/00000000", b"abc"),
        file("Ref:4/00000000.checksum", sums[1].as_bytes()),
        // Nothing, where the next piece would be; the number counts for nothing.
        file("Ref:4/00000001", b""),
        file("Ref:4/00000001.checksum", sums[0].as_bytes()),
        file("Ref:4/00000003", b"abc"),
        file("Ref:4/00000003.xxhash", b"44BC2CF5AD770999"),
        END.to_vec(),
    ];
    let mut seen = Seen::default();
    read(&parts.concat()[..], &mut seen).unwrap();
    assert_eq!(seen.disks["Ref:4"], b"abc\0\0\0abc");
}

#[test]
fn what_cannot_be_read_says_why() {
    let says = |parts: &[Vec<u8>], expected: &str| {
        let error = read(&parts.concat()[..], &mut Seen::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    };
    let (ova, end) = (file("ova.xml", b"x"), END.to_vec());
    let sum = |name: &str| file(&format!("{name}.xxhash"), b"44BC2CF5AD770999");
    says(&[], "ends in the middle: before its description");
    says(&[vec![1; 512]], "the checksum of a header is wrong");
    says(&[b"short".to_vec()], "ends in the middle");
    says(&[END.to_vec()], "it is empty");
    says(&[file("disk.vmdk", b"")], "the file \"disk.vmdk\" where ova.xml should be");
    says(&[file("ova.xml", b"\xff"), end.clone()], "its description is not UTF-8");
    says(std::slice::from_ref(&ova), "ends in the middle: before its end");
    let one = [ova.clone(), file("Ref:1/00000000", b"abc")].concat();
    says(std::slice::from_ref(&one), "before the checksum of Ref:1/00000000");
    says(&[one.clone(), end.clone()], "before the checksum of Ref:1/00000000");
    says(&[one.clone(), file("x", b"")], "\"x\" where the checksum of Ref:1/00000000 should be");
    let wrong = file("Ref:1/00000000.xxhash", b"44BC2CF5AD770998");
    says(&[one.clone(), wrong.clone(), end.clone()], "checksum of Ref:1/00000000 is wrong");
    let mut forgiving = Seen { forgiving: true, ..Seen::default() };
    read(&[one.clone(), wrong, end.clone()].concat()[..], &mut forgiving).unwrap();
    assert_eq!(forgiving.disks["Ref:1"], b"abc");
    let whole = [one.clone(), sum("Ref:1/00000000")].concat();
    says(std::slice::from_ref(&whole), "ends in the middle: before its end");
    says(&[one[..one.len() - 100].to_vec()], "ends in the middle: within Ref:1/00000000");
    let again = [file("Ref:1/00000000", b"abc"), sum("Ref:1/00000000")].concat();
    says(&[whole.clone(), again, end.clone()], "piece 00000001 of Ref:1 or a later one");
    let other = [file("Ref:2/00000005", b"abc"), sum("Ref:2/00000005")].concat();
    says(&[whole.clone(), other, end.clone()], "piece 00000000 of Ref:2");
    let second = [file("Ref:2/00000000", b"abc"), sum("Ref:2/00000000")].concat();
    let third = [file("Ref:1/00000001", b"abc"), sum("Ref:1/00000001")].concat();
    says(&[whole.clone(), second, third], "a piece of a disk, such as");
    says(&[ova.clone(), file("etc/passwd", b"")], "a piece of a disk, such as");
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_path("Ref:1").unwrap();
    link.set_size(0);
    link.set_cksum();
    says(&[ova, link.as_bytes().to_vec()], "\"Ref:1\" where an ordinary file should be");
    let mut huge = tar::Header::new_gnu();
    huge.set_path("ova.xml").unwrap();
    huge.set_size(1 << 40);
    huge.set_cksum();
    says(&[huge.as_bytes().to_vec()], "more than 16 MiB");
}
