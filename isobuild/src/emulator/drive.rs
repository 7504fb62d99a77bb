// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hard disks, and what a test puts between them and their image files.

/// A hard disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// Image file.
    pub file: String,
    /// `raw` or `qcow2`.
    pub format: &'static str,
    /// Serial number shown to the guest, 20 characters at most.
    pub serial: String,
    /// Logical and physical sectors of 4096 bytes instead of 512.
    pub large_sectors: bool,
    /// Writes do not wait for the host's disk. Lost when the host crashes, not when QEMU is killed.
    pub unsafe_cache: bool,
    /// What is between the disk and its file.
    pub layer: Layer,
}

/// What is between a disk and its image file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Layer {
    /// Nothing.
    #[default]
    None,
    /// Each write and each flush is entered in this file, which is there and empty (QEMU's
    /// `blklogwrites`, in the format of Linux' device mapper target `log-writes`).
    Log(String),
    /// Some requests fail (QEMU's `blkdebug`).
    Fault(Fault),
    /// One path of several to a SCSI disk with this name in the world (an NAA, SCSI SPC): other drives have
    /// the same file, each at a controller of its own. The device is called `path<index>`.
    Path(u64),
}

/// Requests that fail, every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Writes, not reads.
    pub writes: bool,
    /// Only requests that touch this sector of 512 bytes.
    pub sector: u64,
    /// The disk says that it has no room left, as thin ones do, and not that it cannot.
    pub full: bool,
}

impl Drive {
    /// The options of `-drive` for the drive `disk<index>`.
    pub(super) fn options(&self, index: usize) -> String {
        let Self { file, format, .. } = self;
        let cache = if self.unsafe_cache { "unsafe" } else { "writeback" };
        let id = format!("if=none,id=disk{index}");
        match &self.layer {
            Layer::None => format!(
                "{id},file={file},format={format},cache={cache},discard=unmap,detect-zeroes=unmap"
            ),
            Layer::Path(_) => format!(
                "{id},file={file},format={format},cache={cache},discard=unmap,detect-zeroes=unmap,\
                 file.locking=off"
            ),
            // A flush has to reach the layer, and no more than that.
            Layer::Log(log) => format!(
                "{id},driver=blklogwrites,cache=writeback,discard=unmap,file.driver={format},\
                 file.discard=unmap,file.file.driver=file,file.file.filename={file},\
                 file.file.discard=unmap,file.file.cache.no-flush=on,log.driver=file,\
                 log.filename={log},log.cache.no-flush=on"
            ),
            Layer::Fault(Fault { writes, sector, full }) => format!(
                "{id},driver={format},cache={cache},file.driver=blkdebug,file.image.driver=file,\
                 file.image.filename={file},file.inject-error.0.event=none,\
                 file.inject-error.0.iotype={},file.inject-error.0.sector={sector},\
                 file.inject-error.0.errno={},file.inject-error.0.once=off,\
                 rerror=report,werror=report",
                if *writes { "write" } else { "read" },
                // ENOSPC and EIO of Linux.
                if *full { 28 } else { 5 },
            ),
        }
    }

    /// The values of `-device` for it; `boot` is its place among what firmware starts. A virtio disk
    /// cannot say that it is full, a SCSI disk can.
    pub(super) fn devices(&self, index: usize, boot: usize) -> Vec<String> {
        let serial = &self.serial;
        let sectors = match self.large_sectors {
            true => ",logical_block_size=4096,physical_block_size=4096",
            false => "",
        };
        let device = |kind: &str| {
            format!("{kind},drive=disk{index},serial={serial},bootindex={boot}{sectors}")
        };
        match &self.layer {
            Layer::Fault(Fault { full: true, .. }) => vec![
                format!("virtio-scsi-pci,id=scsi{index}"),
                format!("{},bus=scsi{index}.0", device("scsi-hd")),
            ],
            Layer::Path(name) => vec![
                format!("virtio-scsi-pci,id=scsi{index}"),
                format!(
                    "{},bus=scsi{index}.0,id=path{index},wwn={name:#x},share-rw=on",
                    device("scsi-hd")
                ),
            ],
            _ => vec![device("virtio-blk-pci")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(layer: Layer) -> Drive {
        let (file, serial) = ("/vm/disk.img".into(), "S".into());
        Drive { file, format: "raw", serial, large_sectors: false, unsafe_cache: true, layer }
    }

    #[test]
    fn layers_are_above_the_file() {
        let plain = drive(Layer::None);
        assert_eq!(
            plain.options(0),
            "if=none,id=disk0,file=/vm/disk.img,format=raw,cache=unsafe,discard=unmap,\
             detect-zeroes=unmap"
        );
        assert_eq!(plain.devices(0, 2), ["virtio-blk-pci,drive=disk0,serial=S,bootindex=2"]);
        let large = Drive { large_sectors: true, ..plain }.devices(1, 3);
        assert!(
            large[0].ends_with(",bootindex=3,logical_block_size=4096,physical_block_size=4096")
        );
        let logged = drive(Layer::Log("/vm/log".into())).options(1);
        assert!(logged.starts_with("if=none,id=disk1,driver=blklogwrites,cache=writeback,"));
        assert!(logged.contains(",file.file.filename=/vm/disk.img,"), "{logged}");
        assert!(logged.contains(",log.filename=/vm/log,"), "{logged}");
    }

    #[test]
    fn paths_share_a_file_and_a_name() {
        let drive = drive(Layer::Path(0x5000_0000_0000_0001));
        assert!(drive.options(1).ends_with(",file.locking=off"), "{}", drive.options(1));
        assert_eq!(
            drive.devices(1, 3),
            [
                "virtio-scsi-pci,id=scsi1",
                "scsi-hd,drive=disk1,serial=S,bootindex=3,bus=scsi1.0,id=path1,\
                 wwn=0x5000000000000001,share-rw=on"
            ]
        );
    }

    #[test]
    fn only_a_scsi_disk_says_that_it_is_full() {
        let fault = |full| drive(Layer::Fault(Fault { writes: true, sector: 7, full }));
        let options = fault(false).options(0);
        assert!(options.contains("iotype=write,file.inject-error.0.sector=7,"), "{options}");
        assert!(options.contains(".errno=5,") && fault(true).options(0).contains(".errno=28,"));
        assert_eq!(fault(false).devices(0, 2).len(), 1);
        assert_eq!(
            fault(true).devices(0, 2),
            ["virtio-scsi-pci,id=scsi0", "scsi-hd,drive=disk0,serial=S,bootindex=2,bus=scsi0.0"]
        );
    }
}
