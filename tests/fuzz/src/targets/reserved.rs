// SPDX-License-Identifier: MIT OR Apache-2.0
//! No image makes the editor of reserved files panic, grow it, or change one that it refuses. The
//! input changes a good image, from its descriptors on: where (2 bytes), and by what (exclusive or).

use std::io::Cursor;
use std::sync::LazyLock;

use image_formats::iso::{BLOCK, IsoBoot, IsoWriter, ReservedFile, Source};

const PATH: &str = "xenith/answers.toml";

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut boot_hybrid = vec![0; 512];
    boot_hybrid[510..].copy_from_slice(&[0x55, 0xaa]);
    let boot = IsoBoot {
        bios_image: "boot/eltorito.img".to_owned(),
        boot_hybrid,
        esp: Source::Bytes(vec![0; 4096]),
    };
    let mut iso = IsoWriter::new("XENITH", 0, 0).expect("a name and a time");
    iso.file(&boot.bios_image, Source::Bytes(vec![0; 5000])).expect("a path");
    iso.reserve(PATH, 5000).expect("a path");
    let mut out = Cursor::new(Vec::new());
    iso.write(&mut out, boot).expect("writing to memory");
    out.into_inner()
});

pub(crate) fn run(data: &[u8]) {
    let mut image = GOOD.clone();
    let structures = &mut image[16 * BLOCK as usize..];
    for change in data.as_chunks().0 {
        let [low, high, by] = *change;
        if let Some(byte) = structures.get_mut(usize::from(u16::from_le_bytes([low, high]))) {
            *byte ^= by;
        }
    }
    let before = image.clone();
    let mut image = Cursor::new(image);
    match ReservedFile::find(&mut image, PATH) {
        Ok(found) => {
            found.read(&mut image).expect("what was found lies in the image");
            let contents = vec![0x61; found.room().into()];
            found.fill(&mut image, &contents).expect("as large as the room");
            assert_eq!(image.get_ref().len(), before.len());
        }
        Err(_) => assert!(*image.get_ref() == before),
    }
}
