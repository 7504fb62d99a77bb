// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system itself, into slot A and back again.

use appliance_model::Digest;
use appliance_model::medium as paths;
use image_formats::gpt::Role;
use sha2::{Digest as _, Sha256};

use super::{Run, StepError};
use crate::medium::{CHUNK, MediumError, compare, fill};
use crate::plan::ARRAY_START;

impl Run<'_> {
    pub(super) fn copy_root_image(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let path = plan.source(paths::ROOT_IMAGE);
        let (slot, total) = (self.device(Role::SlotA), plan.medium.root_image_size);
        let expected = self.listed()?.expected(paths::ROOT_IMAGE)?;
        let mut file = self.system.open(&path)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        loop {
            let read = fill(&mut file, &mut buffer);
            let name = paths::ROOT_IMAGE.to_owned();
            let read = read.map_err(|source| MediumError::Read { name, source })?;
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
        // The first step has read the same file whole: what comes now may differ all the same.
        compare(paths::ROOT_IMAGE, expected, digest)?;
        self.system.sync(&slot)?;
        Ok(())
    }

    /// Each disk's copy: an array answers from either.
    pub(super) fn verify_root_image(&mut self) -> Result<(), StepError> {
        let total = self.plan.medium.root_image_size;
        let expected = self.listed()?.expected(paths::ROOT_IMAGE)?;
        let start = if self.plan.mirror.is_some() { ARRAY_START } else { 0 };
        let partitions = self.partitions(Role::SlotA);
        let all = total * partitions.len() as u64;
        let mut buffer = vec![0; CHUNK];
        for (index, slot) in partitions.iter().enumerate() {
            let before = total * index as u64;
            // What was read of the partition before the array was written is forgotten.
            self.system.sync(slot)?;
            let mut digest = Sha256::new();
            let mut done = 0;
            while done < total {
                let length = usize::try_from(total - done).map_or(CHUNK, |left| left.min(CHUNK));
                self.system.read_at(slot, start + done, &mut buffer[..length])?;
                digest.update(&buffer[..length]);
                done += length as u64;
                self.progress(before + done, all);
            }
            let found = Digest::new(digest.finalize().into());
            if found != expected {
                let what = format!("the system in {}", slot.display());
                return Err(StepError::ReadBack { what, expected, found });
            }
            tracing::info!("{} holds the root image, SHA-256 {found}", slot.display());
        }
        Ok(())
    }
}
