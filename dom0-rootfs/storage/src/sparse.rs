// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies of sparse files.

use std::fs::File;
use std::io;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Makes `to`, an empty file, a copy of `from` that takes no more room: blocks are shared where the
/// filesystem can do that, and holes stay holes everywhere.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<()> {
    let size = from.metadata()?.len();
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => return to.set_len(size),
        // Filesystems without shared blocks say one of these; then the data is copied.
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::XDEV) => {}
        Err(error) => return Err(error.into()),
    }
    to.set_len(size)?;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start))?;
        copy_range(from, to, start, end)?;
        at = end;
    }
    Ok(())
}

fn copy_range(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let wanted = usize::try_from(end - read_at).unwrap_or(usize::MAX).min(1 << 30);
        let copied =
            rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), wanted)?;
        if copied == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was copied",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn data_is_equal_and_holes_stay_holes() {
        let from = tempfile::tempfile().unwrap();
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"first", 0).unwrap();
        from.write_all_at(b"middle", 20 << 20).unwrap();
        from.write_all_at(b"last", (64 << 20) - 4).unwrap();
        let to = tempfile::tempfile().unwrap();
        copy(&from, &to).unwrap();

        let metadata = to.metadata().unwrap();
        assert_eq!(metadata.len(), 64 << 20);
        assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks allocated", metadata.blocks());
        let (mut left, mut right) = (vec![0; 64 << 20], vec![0; 64 << 20]);
        from.read_exact_at(&mut left, 0).unwrap();
        to.read_exact_at(&mut right, 0).unwrap();
        assert!(left == right);
    }

    #[test]
    fn an_empty_and_a_hollow_file_copy_to_their_size() {
        for size in [0, 10 << 20] {
            let from = tempfile::tempfile().unwrap();
            from.set_len(size).unwrap();
            let to = tempfile::tempfile().unwrap();
            copy(&from, &to).unwrap();
            assert_eq!(to.metadata().unwrap().len(), size);
        }
    }
}
