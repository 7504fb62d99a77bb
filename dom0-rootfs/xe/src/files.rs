// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that go to the server and come from it. Either may be a pipe.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use crate::api::Api;
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::progress::Metered;

/// Names of standard output. The second cannot always be opened, and where it can it might be a file
/// that something else goes to as well.
const STDOUT: &[&str] = &["", "/dev/stdout"];

/// Whether a new file would be in the way of nothing: what takes bytes and passes them on is no file
/// that could be lost. A disk could.
fn passes_on(name: &str) -> bool {
    std::fs::metadata(name).is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || kind.is_char_device()
    })
}

/// Writes what the server has at a path to the new file or pipe that `filename=` names, or to standard
/// output. `total` is how long it is, where that is known.
pub(crate) fn fetch(
    api: &mut Api,
    params: &Params,
    path: &str,
    total: Option<u64>,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let name = params.require("filename")?;
    if STDOUT.contains(&name) {
        let written = copy(api, params, path, total, out.contents());
        return written.map_err(|error| match error {
            Copied::Not(failure) => failure,
            Copied::Unwritten(error) => Failure::plain(format!("writing: {error}")),
        });
    }
    let failed = |what: &str, e: io::Error| Failure::plain(format!("{what} '{name}': {e}"));
    let pipe = passes_on(name);
    let file = OpenOptions::new().write(true).create_new(!pipe).mode(0o600).open(name);
    let mut file = file.map_err(|error| failed("creating", error))?;
    let fetched = copy(api, params, path, total, &mut file);
    if matches!(fetched, Err(Copied::Not(_))) && !pipe {
        // Half an image must not be taken for one; why it failed is what counts.
        let _ = std::fs::remove_file(name);
    }
    fetched.map_err(|error| match error {
        Copied::Not(failure) => failure,
        Copied::Unwritten(error) => failed("writing", error),
    })
}

/// Why a file is not there.
enum Copied {
    /// It did not come.
    Not(Failure),
    /// It came, and the end of it could not be written.
    Unwritten(io::Error),
}

fn copy(
    api: &mut Api,
    params: &Params,
    path: &str,
    total: Option<u64>,
    sink: &mut dyn Write,
) -> Result<(), Copied> {
    let mut stderr = io::stderr();
    let shown = params.flag("progress").map_err(Copied::Not)?;
    let screen = shown.then_some(&mut stderr as &mut dyn Write);
    let mut sink = Metered::new(sink, total, screen);
    let fetched = api.get(path, &mut sink);
    let ended = sink.flush().and_then(|()| sink.finish());
    fetched.map_err(Copied::Not)?;
    ended.map_err(Copied::Unwritten)
}

/// Sends the file that `filename=` names. What has no end yet, as a pipe, goes to where it ends.
pub(crate) fn send(api: &mut Api, params: &Params, path: &str) -> Result<(), Failure> {
    let name = params.require("filename")?;
    let failed = |error: io::Error| Failure::plain(format!("reading '{name}': {error}"));
    let mut file = File::open(name).map_err(failed)?;
    let length = length(&mut file).map_err(failed)?;
    let mut stderr = io::stderr();
    let screen = params.flag("progress")?.then_some(&mut stderr as &mut dyn Write);
    let mut file = Metered::new(file, length, screen);
    let sent = api.put(path, length, &mut file as &mut dyn Read);
    file.finish().map_err(failed)?;
    sent
}

/// How long a file is; none where only reading it tells.
fn length(file: &mut File) -> io::Result<Option<u64>> {
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        return Ok(None);
    }
    // Block devices have a length too, but only the end tells it.
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::testing::run;

    /// Makes a pipe and gives its name.
    fn pipe(folder: &Path) -> String {
        let path = folder.join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn what_is_exported_to_standard_output_stands_there_alone() {
        for (line, calls) in [
            ("xe vdi-export uuid=1-vdi filename=", 4),
            ("xe vdi-export uuid=1-vdi filename=/dev/stdout --minimal", 4),
            ("xe vm-export uuid=1-web filename=", 4),
            ("xe template-export template-uuid=9-tmpl filename=", 4),
            ("xe snapshot-export-to-template snapshot-uuid=3-snap filename=", 4),
            ("xe blob-get uuid=1-blob filename=", 1),
            ("xe audit-log-get filename=", 1),
        ] {
            let said = run(line);
            assert!(said.starts_with("image> "), "{line}: {said}");
            assert_eq!(said.lines().count(), calls, "{line}: {said}");
        }
    }

    #[test]
    fn pipes_take_exports_and_files_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let name = pipe(folder.path());
        let reader = std::thread::spawn({
            let name = name.clone();
            move || fs::read_to_string(name).unwrap()
        });
        let said = run(&format!("xe vdi-export uuid=1-vdi filename={name}"));
        assert!(!said.contains('!'), "{said}");
        assert_eq!(reader.join().unwrap(), "image");
        assert!(passes_on("/dev/null"));
        let file = folder.path().join("file");
        fs::write(&file, "dear").unwrap();
        let said = run(&format!("xe vdi-export uuid=1-vdi filename={}", file.display()));
        assert!(said.contains("! Error: creating"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "dear");
    }

    #[test]
    fn what_comes_through_a_pipe_goes_to_its_end() {
        for (line, at) in [
            ("xe vdi-import uuid=1-vdi", "/import_raw_vdi?"),
            ("xe vm-import", "/import?"),
            ("xe blob-put uuid=1-blob", "/blob?"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let name = pipe(folder.path());
            let writer = std::thread::spawn({
                let name = name.clone();
                move || fs::write(name, "contents").unwrap()
            });
            let said = run(&format!("{line} filename={name}"));
            writer.join().unwrap();
            assert!(said.contains(&format!("> PUT {at}")), "{said}");
            assert!(said.contains(" to the end: contents\n"), "{said}");
        }
    }
}
