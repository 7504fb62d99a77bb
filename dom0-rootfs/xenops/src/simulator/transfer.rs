// SPDX-License-Identifier: MIT OR Apache-2.0
//! Made-up guests' memory, which is two numbers in an image.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use super::{Call, Manners, Simulator, XEN_VERSION};
use crate::error::XenopsError;
use crate::hypervisor::{Created, DomId, DomainSpec, ShutdownReason};
use crate::image;
use crate::onlooker::Onlooker;

/// How often what is stuck looks whether it still is.
const LOOK: Duration = Duration::from_millis(10);

impl Simulator {
    /// Has operations with a guest's memory come to a halt in the middle, until they are stopped or go on.
    pub fn set_stuck(&self, stuck: bool) {
        self.lock().stuck = stuck;
    }

    pub(super) fn save(
        &self,
        id: DomId,
        path: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<(), XenopsError> {
        let mut state = self.begin(Call::Suspend)?;
        let manners = state.manners(id)?;
        let domain = state.domain(id)?;
        if manners == Manners::Ignores || domain.paused {
            return Err(XenopsError::SuspendTimedOut(id));
        }
        let doing = format!("suspending domain {} to {}", id.0, path.display());
        let io = |error: io::Error| XenopsError::failed(doing.clone(), error);
        let mut file = File::options().read(true).write(true).open(path).map_err(io)?;
        image::begin(&file).map_err(io)?;
        file.seek(SeekFrom::Start(image::LENGTH as u64)).map_err(io)?;
        let memory_kib = domain.spec.memory_kib;
        drop(state);
        self.transfer(&doing, memory_kib, onlooker)?;
        let mut state = self.lock();
        let domain = state.domain(id)?;
        let body = (domain.spec.memory_kib, domain.cpu_time_ns);
        serde_json::to_writer(&file, &body).map_err(|error| io(error.into()))?;
        writeln!(file).map_err(io)?;
        let header = image::Header { vm: domain.spec.uuid, xen: XEN_VERSION.into() };
        image::finish(&file, &header).map_err(io)?;
        state.end(id, ShutdownReason::Suspend)
    }

    pub(super) fn load(
        &self,
        spec: &DomainSpec,
        path: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<Created, XenopsError> {
        drop(self.begin(Call::Restore)?);
        let bad =
            |detail: String| XenopsError::BadImage { image: path.display().to_string(), detail };
        let mut file = File::open(path).map_err(|error| bad(error.to_string()))?;
        image::check(&file, path, spec.uuid)?;
        let mut line = String::new();
        file.seek(SeekFrom::Start(image::LENGTH as u64)).map_err(|error| bad(error.to_string()))?;
        BufReader::new(file).read_line(&mut line).map_err(|error| bad(error.to_string()))?;
        let (memory_kib, cpu_time_ns): (u64, u64) =
            serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
        if memory_kib != spec.memory_kib {
            return Err(bad(format!("it has {memory_kib} KiB of memory")));
        }
        self.transfer(&format!("restoring the domain of VM {}", spec.uuid), memory_kib, onlooker)?;
        let mut state = self.lock();
        self.build(&mut state, spec, cpu_time_ns)
    }

    /// Moves a guest's memory, in two halves.
    fn transfer(
        &self,
        doing: &str,
        memory_kib: u64,
        onlooker: &dyn Onlooker,
    ) -> Result<(), XenopsError> {
        onlooker.moved(memory_kib * 1024 / 2);
        loop {
            if onlooker.stop() {
                return Err(XenopsError::Stopped { doing: doing.to_owned() });
            }
            if !self.lock().stuck {
                break;
            }
            std::thread::park_timeout(LOOK);
        }
        onlooker.moved(memory_kib * 1024);
        Ok(())
    }
}
