// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that qemu-img has written (its `vpc`, 7.2: dynamic and fixed with `force_size`, dynamic of
//! whole cylinders), and ours, which it accepts: `qemu-img compare` finds them equal to the disk.
//! The same for qcow2 (10.0), in each form in which qemu-img writes it. All are kept compressed, as they are
//! mostly zeros.

use std::io::Read;
use std::path::Path;

use disk_format::Target;
use disk_format::compression::unpack;
use disk_format::qcow2::{self, Qcow2Error};
use disk_format::vhd::{self, BLOCK, VhdError};

/// The disk that all images are of.
fn disk() -> Vec<u8> {
    let mut disk = vec![0; (5 << 20) + 512 * 3];
    for at in 0..3000 {
        disk[100 + at] = (at * 7 % 251) as u8;
    }
    for at in 0..5000 {
        disk[(4 << 20) + 512 * 9 + at] = (at * 13 % 241) as u8;
    }
    *disk.last_mut().unwrap() = 9;
    disk
}

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    unpack(file).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

struct Memory(Vec<u8>);

/// Why an image of either format is none.
#[derive(Debug)]
struct Wrong(#[expect(dead_code, reason = "for whoever reads of a failed test")] String);

impl From<VhdError> for Wrong {
    fn from(error: VhdError) -> Wrong {
        Wrong(error.to_string())
    }
}

impl From<Qcow2Error> for Wrong {
    fn from(error: Qcow2Error) -> Wrong {
        Wrong(error.to_string())
    }
}

impl Target for Memory {
    type Error = Wrong;

    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), Wrong> {
        self.0[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, at: u64, length: u64) -> Result<(), Wrong> {
        self.0[at as usize..(at + length) as usize].fill(0);
        Ok(())
    }
}

fn read(image: &[u8]) -> Vec<u8> {
    let mut memory = Memory(Vec::new());
    // The whole disk is known to fit before anything of it comes.
    let size = vhd::read(image, &mut Memory(vec![1; 8 << 20]), |_| Ok(())).unwrap().size;
    memory.0 = vec![1; size as usize];
    vhd::read(image, &mut memory, |_| Ok(())).unwrap();
    memory.0
}

#[test]
fn images_of_qemu_are_read() {
    assert!(read(&golden("qemu-dynamic.vhd.gz")) == disk());
    assert!(read(&golden("qemu-fixed.vhd.gz")) == disk());
    // The disk is longer, by what makes it whole cylinders.
    let longer = read(&golden("qemu-geometry.vhd.gz"));
    assert!(longer.len() > disk().len() && longer.starts_with(&disk()));
    assert!(disk_format::is_zero(&longer[disk().len()..]));
}

#[test]
fn qcow2_of_qemu_is_read() {
    // As it is by default, as older ones write it, compressed in both ways, in small and in large clusters, and with
    // room for clusters that are zeros.
    for name in ["plain", "old", "deflate", "zstd", "small", "large", "prealloc"] {
        let image = golden(&format!("qemu-{name}.qcow2.gz"));
        let mut memory = Memory(vec![1; disk().len()]);
        let size = qcow2::read(&image[..], &mut memory, |_| Ok(())).unwrap();
        assert_eq!(size, disk().len() as u64, "{name}");
        assert!(memory.0 == disk(), "{name}");
    }
}

/// Compares with a golden image. A different one is kept for whoever looks at it with qemu-img.
fn same(name: &str, image: &[u8]) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&kept, image).unwrap();
    let golden = golden(&format!("{name}.gz"));
    assert!(image == golden, "another image than before: {}", kept.display());
}

#[test]
fn ours_are_those_that_qemu_accepts() {
    let disk = disk();
    let blocks: Vec<&[u8]> = disk.chunks(BLOCK as usize).collect();
    let present: Vec<bool> = blocks.iter().map(|block| !disk_format::is_zero(block)).collect();
    let mut writer =
        vhd::Writer::begin(Vec::new(), disk.len() as u64, 1000, [0xab; 16], &present, None)
            .unwrap();
    for (block, _) in blocks.iter().zip(present).filter(|(_, present)| *present) {
        writer.block(block).unwrap();
    }
    same("dynamic.vhd", &writer.finish().unwrap());
    // Over that one, as libvhdi reads it (20210425): its last block is another one.
    let mut other = disk.clone();
    *other.last_mut().unwrap() = 10;
    let parent = vhd::Parent { id: [0xab; 16], name: "dynamic.vhd".into() };
    let (size, differs) = (disk.len() as u64, [false, false, true]);
    let mut writer =
        vhd::Writer::begin(Vec::new(), size, 1000, [0xcd; 16], &differs, Some(parent)).unwrap();
    writer.block(&other[2 * BLOCK as usize..]).unwrap();
    same("differencing.vhd", &writer.finish().unwrap());
    let footer = vhd::fixed_footer(disk.len() as u64, 1000, [0xab; 16]);
    same("fixed.vhd", &[&disk[..], &footer].concat());
    let clusters: Vec<&[u8]> = disk.chunks(qcow2::CLUSTER as usize).collect();
    let present: Vec<bool> = clusters.iter().map(|part| !disk_format::is_zero(part)).collect();
    let mut writer = qcow2::Writer::begin(Vec::new(), disk.len() as u64, &present).unwrap();
    for (cluster, _) in clusters.iter().zip(present).filter(|(_, present)| *present) {
        writer.cluster(cluster).unwrap();
    }
    same("written.qcow2", &writer.finish());
}
