// SPDX-License-Identifier: MIT OR Apache-2.0
//! A simulated guest's screen: a VNC server (RFB 3.8, RFC 6143) on a Unix socket.
//!
//! It has one colour, which is another one after each key.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::XenopsError;

const VERSION: &[u8; 12] = b"RFB 003.008\n";
/// The security type without a password.
const NONE: u8 = 1;
const WIDTH: u16 = 160;
const HEIGHT: u16 = 120;
/// Red, green, blue.
const COLOURS: [[u8; 3]; 4] = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]];

/// Connections to a screen, as long as there is one.
type Clients = Arc<Mutex<Option<Vec<Weak<UnixStream>>>>>;

/// A screen; it ends, and its connections with it, when it is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    path: PathBuf,
    listener: Arc<UnixListener>,
    clients: Clients,
}

impl Screen {
    /// One at a socket in a folder, which is made if it is not there.
    pub(super) fn open(folder: &Path, number: u32, name: &str) -> Result<Screen, XenopsError> {
        Screen::listen(folder.join(number.to_string()), name)
            .map_err(|error| XenopsError::failed("opening a simulated screen", error))
    }

    fn listen(path: PathBuf, name: &str) -> io::Result<Screen> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        // One that was killed leaves its sockets behind.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = Arc::new(UnixListener::bind(&path)?);
        let clients: Clients = Arc::new(Mutex::new(Some(Vec::new())));
        let (accepting, all, name) = (listener.clone(), clients.clone(), name.to_owned());
        std::thread::Builder::new().name("screen".into()).spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let stream = Arc::new(stream);
                match &mut *all.lock().unwrap_or_else(PoisonError::into_inner) {
                    None => return,
                    Some(all) => {
                        all.retain(|one| one.strong_count() > 0);
                        all.push(Arc::downgrade(&stream));
                    }
                }
                let name = name.clone();
                let served =
                    std::thread::Builder::new().name("screen-client".into()).spawn(move || {
                        match serve(&stream, &name) {
                            Ok(()) => {}
                            Err(error) => tracing::debug!(%error, "a client of a simulated screen"),
                        }
                    });
                if let Err(error) = served {
                    tracing::warn!(%error, "serving a simulated screen");
                }
            }
        })?;
        Ok(Screen { path, listener, clients })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // What fails here is gone already.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let all = self.clients.lock().unwrap_or_else(PoisonError::into_inner).take();
        for stream in all.iter().flatten().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read<const N: usize>(mut stream: &UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads what is of no interest.
fn skip(stream: &UnixStream, count: u64) -> io::Result<()> {
    io::copy(&mut stream.take(count), &mut io::sink()).map(drop)
}

/// Text after its length.
fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// Serves one client to its end.
fn serve(mut stream: &UnixStream, name: &str) -> io::Result<()> {
    stream.write_all(VERSION)?;
    if read::<12>(stream)? != *VERSION {
        return Err(bad("another version"));
    }
    stream.write_all(&[1, NONE])?;
    if read::<1>(stream)? != [NONE] {
        stream.write_all(&[&[0, 0, 0, 1], &*text("there is no password")].concat())?;
        return Err(bad("another security type"));
    }
    stream.write_all(&[0; 4])?;
    // Others stay connected, whatever this one says to it.
    read::<1>(stream)?;
    let mut format = Format::OURS;
    let size = [WIDTH.to_be_bytes(), HEIGHT.to_be_bytes()].concat();
    stream.write_all(&[&*size, &format.0, &*text(name)].concat())?;
    let (mut keys, mut changed, mut waits) = (0, true, false);
    loop {
        let mut kind = [0];
        if stream.read(&mut kind)? == 0 {
            return Ok(());
        }
        let mut asked_for_all = false;
        match kind {
            // The pixel format.
            [0] => {
                let [_, _, _, new @ ..] = read::<19>(stream)?;
                format = Format(new);
            }
            // Encodings: it uses the one that every client knows.
            [2] => {
                let [_, count @ ..] = read::<3>(stream)?;
                skip(stream, 4 * u64::from(u16::from_be_bytes(count)))?;
            }
            // Asks for the screen, or for what changed.
            [3] => {
                let [incremental, ..] = read::<9>(stream)?;
                asked_for_all = incremental == 0;
                waits = true;
            }
            // A key, down or up.
            [4] => {
                let [down, ..] = read::<7>(stream)?;
                keys += usize::from(down != 0);
                changed |= down != 0;
            }
            // The mouse.
            [5] => skip(stream, 5)?,
            // The clipboard.
            [6] => {
                let [_, _, _, length @ ..] = read::<7>(stream)?;
                skip(stream, u32::from_be_bytes(length).into())?;
            }
            _ => return Err(bad("an unknown message")),
        }
        if waits && (changed || asked_for_all) {
            stream.write_all(&picture(&format.pixel(COLOURS[keys % COLOURS.len()])?))?;
            (changed, waits) = (false, false);
        }
    }
}

/// An update of the whole screen, each pixel the same, not compressed.
fn picture(pixel: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1, 0, 0, 0, 0];
    bytes.extend(WIDTH.to_be_bytes());
    bytes.extend(HEIGHT.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(pixel.repeat(usize::from(WIDTH) * usize::from(HEIGHT)));
    bytes
}

/// How a pixel is written.
struct Format([u8; 16]);

impl Format {
    /// 32 bits: blue, green, red, nothing.
    const OURS: Format = Format([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);

    fn pixel(&self, colour: [u8; 3]) -> io::Result<Vec<u8>> {
        let [bits, _, big_endian, _, rest @ ..] = self.0;
        let bytes = match bits {
            8 | 16 | 32 => usize::from(bits / 8),
            _ => return Err(bad("an unknown size of pixels")),
        };
        let mut value = 0;
        for (number, part) in colour.into_iter().enumerate() {
            let most = u16::from_be_bytes([rest[2 * number], rest[2 * number + 1]]);
            let scaled = u32::from(part) * u32::from(most) / 255;
            value |= scaled.checked_shl(rest[6 + number].into()).unwrap_or(0);
        }
        Ok(match big_endian {
            0 => value.to_le_bytes()[..bytes].to_vec(),
            _ => value.to_be_bytes()[4 - bytes..].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(screen: &Screen) -> UnixStream {
        UnixStream::connect(screen.path()).unwrap()
    }

    /// Shakes hands; returns the name.
    fn enter(stream: &UnixStream) -> String {
        let mut to = stream;
        assert_eq!(&read::<12>(stream).unwrap(), VERSION);
        to.write_all(VERSION).unwrap();
        assert_eq!(read::<2>(stream).unwrap(), [1, NONE]);
        to.write_all(&[NONE]).unwrap();
        assert_eq!(read::<4>(stream).unwrap(), [0; 4]);
        to.write_all(&[1]).unwrap();
        let [.., length] = read::<24>(stream).unwrap();
        let mut name = vec![0; length.into()];
        to.read_exact(&mut name).unwrap();
        String::from_utf8(name).unwrap()
    }

    /// The colour of an update's first and last pixel.
    fn colour<const N: usize>(mut stream: &UnixStream) -> [u8; N] {
        let head = read::<16>(stream).unwrap();
        assert_eq!(head, [0, 0, 0, 1, 0, 0, 0, 0, 0, 160, 0, 120, 0, 0, 0, 0]);
        let mut pixels = vec![0; 160 * 120 * N];
        stream.read_exact(&mut pixels).unwrap();
        assert_eq!(pixels[..N], pixels[pixels.len() - N..]);
        pixels[..N].try_into().unwrap()
    }

    const ALL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 160, 0, 120];
    const CHANGES: [u8; 10] = [3, 1, 0, 0, 0, 0, 0, 160, 0, 120];
    const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0, 65];

    #[test]
    fn a_key_changes_the_colour() {
        let folder = tempfile::tempdir().unwrap();
        let screen = Screen::open(&folder.path().join("vnc"), 7, "guest").unwrap();
        let stream = connect(&screen);
        assert_eq!(enter(&stream), "guest");
        (&stream).write_all(&ALL).unwrap();
        assert_eq!(colour(&stream), [0, 0, 0, 0]);
        // Encodings, the mouse and the clipboard are heard.
        (&stream).write_all(&[2, 0, 0, 1, 0, 0, 0, 0, 5, 0, 0, 1, 0, 1]).unwrap();
        (&stream).write_all(&[6, 0, 0, 0, 0, 0, 0, 2, b'h', b'i']).unwrap();
        // What changes is shown when it does.
        (&stream).write_all(&CHANGES).unwrap();
        (&stream).write_all(&KEY).unwrap();
        assert_eq!(colour(&stream), [0, 0, 255, 0]);
        // 16 bits, five each, the high byte first.
        let format = [0, 0, 0, 0, 16, 15, 1, 1, 0, 31, 0, 31, 0, 31, 10, 5, 0, 0, 0, 0];
        (&stream).write_all(&format).unwrap();
        (&stream).write_all(&ALL).unwrap();
        assert_eq!(colour(&stream), [0x7c, 0]);
    }

    #[test]
    fn who_asks_for_more_than_it_has_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let screen = Screen::open(folder.path(), 1, "guest").unwrap();
        let stream = connect(&screen);
        read::<12>(&stream).unwrap();
        (&stream).write_all(VERSION).unwrap();
        read::<2>(&stream).unwrap();
        (&stream).write_all(&[2]).unwrap();
        let mut said = Vec::new();
        (&stream).read_to_end(&mut said).unwrap();
        assert!(said.ends_with(b"there is no password"), "{said:?}");
    }

    #[test]
    fn connections_end_with_the_screen() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("1");
        drop(UnixListener::bind(&left).unwrap());
        let screen = Screen::open(folder.path(), 1, "guest").unwrap();
        let stream = connect(&screen);
        enter(&stream);
        drop(screen);
        assert_eq!((&stream).read(&mut [0]).unwrap(), 0);
        assert!(!left.exists());
    }
}
