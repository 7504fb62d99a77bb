// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compression around a stream.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::errors::ReadFrameHeaderError::SkipFrame;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::CompressionLevel;

/// What begins a gzip stream (RFC 1952) and a frame of zstd (RFC 8878).
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes between who writes and who compresses.
const BUFFER: usize = 128 << 10;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Compresses what `work` writes, and ends and flushes the stream once that has succeeded.
    ///
    /// # Errors
    /// Those of `work`, and what `sink` fails with.
    pub fn pack<E: From<io::Error>>(
        self,
        mut sink: impl Write + Send,
        work: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Compression::None => {
                work(&mut sink)?;
                Ok(sink.flush()?)
            }
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(sink, flate2::Compression::fast());
                work(&mut encoder)?;
                Ok(encoder.finish()?.flush()?)
            }
            Compression::Zstd => pack_zstd(sink, work),
        }
    }
}

/// The compressor asks for what it compresses, so it has a thread of its own.
fn pack_zstd<E: From<io::Error>>(
    sink: impl Write + Send,
    work: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let (reader, writer) = io::pipe()?;
    std::thread::scope(|scope| {
        let compressing = scope.spawn(move || compress(reader, sink));
        let mut writer = BufWriter::with_capacity(BUFFER, writer);
        let worked = work(&mut writer).and_then(|()| Ok(writer.flush()?));
        // The end of the pipe is the end of the stream.
        drop(writer.into_parts());
        let compressed = compressing.join();
        // Whoever writes into a pipe that broke learns less than who broke it.
        compressed.unwrap_or_else(|_| Err(io::Error::other("the compressor failed")))?;
        worked
    })
}

/// A frame of all that there is to read. The library panics when reading or writing fails, so neither
/// does: the first failure ends both.
fn compress(source: impl Read, sink: impl Write) -> io::Result<()> {
    struct Guarded<'a, T>(T, &'a RefCell<Option<io::Error>>);
    impl<T: Read> Read for Guarded<'_, T> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.1.borrow().is_some() {
                return Ok(0);
            }
            loop {
                match self.0.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        *self.1.borrow_mut() = Some(error);
                        return Ok(0);
                    }
                    read => return read,
                }
            }
        }
    }
    impl<T: Write> Write for Guarded<'_, T> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1.borrow().is_none()
                && let Err(error) = self.0.write_all(bytes)
            {
                *self.1.borrow_mut() = Some(error);
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let failure = RefCell::new(None);
    let (source, mut sink) = (Guarded(source, &failure), Guarded(sink, &failure));
    ruzstd::encoding::compress(source, &mut sink, CompressionLevel::Fastest);
    let flushed = sink.0.flush();
    failure.into_inner().map_or(flushed, Err)
}

/// A stream without its compression, which is found out from how it begins.
///
/// # Errors
/// What reading the beginning fails with. What is wrong later comes while reading.
pub fn unpack<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut first = Vec::new();
    (&mut source).take(4).read_to_end(&mut first)?;
    let (gzip, zstd) = (first.starts_with(&GZIP), first.starts_with(&ZSTD));
    let whole = BufReader::new(io::Cursor::new(first).chain(source));
    Ok(match (gzip, zstd) {
        (true, _) => Box::new(MultiGzDecoder::new(whole)),
        (_, true) => Box::new(Frames { source: whole, decoder: None }),
        _ => Box::new(whole),
    })
}

/// One frame of zstd after the other.
struct Frames<R: BufRead> {
    source: R,
    /// Of the frame under way.
    decoder: Option<FrameDecoder>,
}

/// A decoder's error. A source that ends is the commonest, and says so.
fn zstd(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unpacking zstd: {error}"))
}

impl<R: BufRead> Frames<R> {
    /// Begins the next frame; none at the end.
    fn next(&mut self) -> io::Result<Option<FrameDecoder>> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(None);
            }
            let mut decoder = FrameDecoder::new();
            match decoder.init(&mut self.source) {
                Ok(()) => return Ok(Some(decoder)),
                Err(FrameDecoderError::ReadFrameHeaderError(SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    let skipped = (&mut self.source).take(length);
                    if io::copy(&mut { skipped }, &mut io::sink())? != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(zstd(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let mut decoder = match self.decoder.take() {
                Some(decoder) => decoder,
                None => match self.next()? {
                    Some(decoder) => decoder,
                    None => return Ok(0),
                },
            };
            while decoder.can_collect() == 0 && !decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                decoder.decode_blocks(&mut self.source, one).map_err(zstd)?;
            }
            let count = decoder.read(buffer)?;
            if count > 0 {
                self.decoder = Some(decoder);
                return Ok(count);
            }
            let told = decoder.get_checksum_from_data();
            if told.is_some() && told != decoder.get_calculated_checksum() {
                let text = "unpacking zstd: the checksum is wrong";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        (0..700_000).map(|at| if at % 3 == 0 { random.u8(..) } else { b'x' }).collect()
    }

    /// Has what it was given only once it is flushed.
    #[derive(Default)]
    struct Lazy(Vec<u8>, Vec<u8>);

    impl Write for Lazy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.1.append(&mut self.0);
            Ok(())
        }
    }

    fn packed(compression: Compression) -> Vec<u8> {
        let mut sink = Lazy::default();
        let work = |sink: &mut dyn Write| bytes().chunks(999).try_for_each(|b| sink.write_all(b));
        compression.pack::<io::Error>(&mut sink, work).unwrap();
        sink.1
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        unpack(bytes)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let packed = packed(compression);
            assert_eq!(packed.len() < bytes().len(), compression != Compression::None);
            assert!(unpacked(&packed).unwrap() == bytes(), "{compression:?}");
            // Streams one after the other are one.
            let twice = unpacked(&[packed.clone(), packed].concat()).unwrap();
            assert!(twice == [bytes(), bytes()].concat(), "{compression:?}");
        }
        assert_eq!(unpacked(b"").unwrap(), b"");
        assert_eq!(unpacked(b"abc").unwrap(), b"abc");
        // A skippable frame of three bytes.
        let skipped = b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
        assert_eq!(unpacked(skipped).unwrap(), b"");
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let packed = packed(compression);
            for length in [5, packed.len() / 2, packed.len() - 1] {
                assert!(unpacked(&packed[..length]).is_err(), "{compression:?} {length}");
            }
            let mut damaged = packed;
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x10;
            assert!(unpacked(&damaged).is_err(), "{compression:?}");
        }
    }

    /// Takes a little, then nothing.
    struct Broken(usize);

    impl Write for Broken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::ConnectionReset)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_breaks_ends_the_work() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut random = fastrand::Rng::with_seed(1);
            let error = compression.pack::<io::Error>(Broken(300_000), |sink| {
                loop {
                    let noise: Vec<u8> = (0..9999).map(|_| random.u8(..)).collect();
                    sink.write_all(&noise)?;
                }
            });
            let kind = error.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::ConnectionReset, "{compression:?}");
        }
    }
}
