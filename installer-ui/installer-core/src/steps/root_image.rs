// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system itself, into slot A and back again.

use std::io::Read;

use appliance_model::medium as paths;
use image_formats::gpt::Role;
use sha2::{Digest as _, Sha256};

use super::{Run, StepError, hex};

/// Bytes that are copied at once.
pub(super) const CHUNK: usize = 1 << 20;

impl Run<'_> {
    pub(super) fn copy_root_image(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let path = plan.source(paths::ROOT_IMAGE);
        let (slot, total) = (self.partition(Role::SlotA), plan.medium.root_image_size);
        let mut file = self.system.open(&path)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        loop {
            let read = fill(&mut file, &mut buffer);
            let read = read.map_err(|source| StepError::Medium { path: path.clone(), source })?;
            if read == 0 {
                break;
            }
            if done + read as u64 > total {
                let found = done + read as u64;
                return Err(StepError::Size { path, expected: total, found });
            }
            self.system.write_at(&slot, done, &buffer[..read])?;
            digest.update(&buffer[..read]);
            done += read as u64;
            self.progress(done, total);
        }
        if done != total {
            return Err(StepError::Size { path, expected: total, found: done });
        }
        self.system.sync(&slot)?;
        self.image_digest = Some(hex(digest));
        Ok(())
    }

    pub(super) fn verify_root_image(&mut self) -> Result<(), StepError> {
        let (slot, total) = (self.partition(Role::SlotA), self.plan.medium.root_image_size);
        let mut digest = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        while done < total {
            let length = usize::try_from(total - done).map_or(CHUNK, |left| left.min(CHUNK));
            self.system.read_at(&slot, done, &mut buffer[..length])?;
            digest.update(&buffer[..length]);
            done += length as u64;
            self.progress(done, total);
        }
        let expected = self.image_digest.clone().unwrap_or_default();
        let found = hex(digest);
        if found != expected {
            return Err(StepError::ReadBack { what: "the system", expected, found });
        }
        tracing::info!("slot A holds the root image, SHA-256 {found}");
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
