// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system itself, into slot A and back again.

use std::ops::ControlFlow;

use appliance_model::medium as paths;
use image_formats::gpt::Role;

use super::{Run, StepError};
use crate::copy::{CopyError, copy, read_back};
use crate::events::Event;
use crate::medium::MediumError;
use crate::plan::ARRAY_START;

impl Run<'_> {
    /// To both disks of a mirror at once: the array writes each piece to either.
    pub(super) fn copy_root_image(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let path = plan.source(paths::ROOT_IMAGE);
        let (slot, total) = (self.device(Role::SlotA), plan.medium.root_image_size);
        let file = self.system.open(&path)?;
        let sink = &mut *self.sink;
        let copied = copy(self.system, file, &slot, total, &mut |done| {
            sink(Event::Progress { done, total });
        });
        copied.map_err(|error| match error {
            CopyError::Read(source) => {
                MediumError::Read { name: paths::ROOT_IMAGE.to_owned(), source }.into()
            }
            CopyError::Size { expected, found } => StepError::Size { path, expected, found },
            CopyError::System(error) => error.into(),
        })?;
        self.system.sync(&slot)?;
        Ok(())
    }

    /// Compares what is on each disk with the medium's list: an array answers from either. If it differs,
    /// the medium may have come out different when it was copied, although the first step has read the
    /// same file whole.
    pub(super) fn verify_root_image(&mut self) -> Result<(), StepError> {
        let total = self.plan.medium.root_image_size;
        let listed = self.listed()?;
        let expected = listed.expected(paths::ROOT_IMAGE)?;
        let start = if self.plan.mirror.is_some() { ARRAY_START } else { 0 };
        let partitions = self.partitions(Role::SlotA);
        let all = total * partitions.len() as u64;
        for (index, slot) in partitions.iter().enumerate() {
            let before = total * index as u64;
            // What was read of the partition before the array was written is forgotten.
            self.system.sync(slot)?;
            let sink = &mut *self.sink;
            let found = read_back(self.system, slot, start, total, &mut |done| {
                sink(Event::Progress { done: before + done, total: all });
            })?;
            if found != expected {
                let again = &mut |_: &[u8]| ControlFlow::Continue(());
                let _: ControlFlow<()> = listed.check(self.system, paths::ROOT_IMAGE, again)?;
                let what = format!("the system in {}", slot.display());
                return Err(StepError::ReadBack { what, expected, found });
            }
            tracing::info!("{} holds the root image, SHA-256 {found}", slot.display());
        }
        Ok(())
    }
}
