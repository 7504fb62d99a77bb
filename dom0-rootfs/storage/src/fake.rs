// SPDX-License-Identifier: MIT OR Apache-2.0
//! SRs for tests and for the simulator: real files in a folder, no block devices, no root.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use uuid::Uuid;

use crate::driver::{About, DeviceConfig, Found, Mode, Place, SrDriver, SrSpec, SrStat, VdiInfo};
use crate::error::StorageError;
use crate::folder::Folder;
use crate::format::{self, ImageFormat};
use crate::program::io;

/// Calls that shall fail.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<(String, StorageError)>>);

impl Faults {
    /// The next call of the driver's method `call` (`vdi_create`, `attach`, …) fails with `error`,
    /// before it does anything. Several faults for one call come in order.
    pub fn once(&self, call: &str, error: StorageError) {
        self.lock().push_back((call.to_owned(), error));
    }

    fn check(&self, call: &str) -> Result<(), StorageError> {
        let mut faults = self.lock();
        match faults.iter().position(|(name, _)| name == call).and_then(|at| faults.remove(at)) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, StorageError)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The file that says that an SR is attached.
const ATTACHED: &str = "attached";

/// A driver over plain files. An activated VDI is its file itself, so its contents can be read and
/// written. Its SRs promise no more room than they have.
pub struct FakeDriver {
    kind: &'static str,
    folder: PathBuf,
    capacity: u64,
    active: Mutex<Vec<(Uuid, Mode)>>,
    faults: Faults,
    tidied: AtomicUsize,
    lost: AtomicBool,
}

impl FakeDriver {
    /// A driver that takes the place of the one called `kind`, with its SRs below `folder`, each of
    /// `capacity` bytes.
    pub fn new(kind: &'static str, folder: PathBuf, capacity: u64) -> Self {
        Self {
            kind,
            folder,
            capacity,
            active: Mutex::default(),
            faults: Faults::default(),
            tidied: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
        }
    }

    /// The server of its SRs answers no more, or again, where that is asked for.
    pub fn lose_server(&self, lost: bool) {
        self.lost.store(lost, Ordering::SeqCst);
    }

    /// How often [`SrDriver::tidy`] was called.
    pub fn tidied(&self) -> usize {
        self.tidied.load(Ordering::SeqCst)
    }

    /// VDIs that are active now.
    pub fn activated(&self) -> BTreeSet<Uuid> {
        self.active().iter().map(|(vdi, _)| *vdi).collect()
    }

    /// Files and folders of all SRs, as far as they belong to VDIs.
    pub fn files(&self) -> BTreeSet<String> {
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten());
        let names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != ATTACHED).collect()
    }

    /// Says of a VDI that it is of format qcow2; its file is the same.
    fn qcow2_marker(&self, sr: &SrSpec, vdi: Uuid) -> PathBuf {
        self.path(sr).join(format!("{vdi}.format"))
    }

    fn mark(&self, sr: &SrSpec, vdi: Uuid, format: ImageFormat) -> Result<(), StorageError> {
        let marker = self.qcow2_marker(sr, vdi);
        match format {
            ImageFormat::Raw => Ok(()),
            ImageFormat::Qcow2 => {
                fs::write(&marker, "").map_err(io(format!("writing {}", marker.display())))
            }
        }
    }

    /// As a driver with several formats tells it.
    fn marked(&self, sr: &SrSpec, info: VdiInfo) -> VdiInfo {
        let qcow2 = self.qcow2_marker(sr, info.uuid).exists();
        let format = if qcow2 { ImageFormat::Qcow2 } else { ImageFormat::Raw };
        VdiInfo { format: (self.formats().len() > 1).then_some(format), ..info }
    }

    /// Calls that shall fail.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn path(&self, sr: &SrSpec) -> PathBuf {
        self.folder.join(sr.uuid.to_string())
    }

    fn marker(&self, sr: &SrSpec) -> PathBuf {
        self.path(sr).join(ATTACHED)
    }

    fn folder(&self, sr: &SrSpec) -> Result<Folder, StorageError> {
        if self.marker(sr).exists() {
            return Ok(Folder::new(self.path(sr)));
        }
        Err(StorageError::NotAttached(sr.uuid))
    }

    fn reserve(&self, folder: &Folder, bytes: u64) -> Result<(), StorageError> {
        let used: u64 = folder.scan()?.iter().map(|vdi| vdi.virtual_size).sum();
        let free = self.capacity.saturating_sub(used);
        if bytes > free {
            return Err(StorageError::NoSpace { free, needed: bytes });
        }
        Ok(())
    }

    fn active(&self) -> std::sync::MutexGuard<'_, Vec<(Uuid, Mode)>> {
        self.active.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn refuse_active(&self, vdi: Uuid) -> Result<(), StorageError> {
        if self.active().iter().any(|(uuid, _)| *uuid == vdi) {
            return Err(StorageError::VdiInUse(vdi));
        }
        Ok(())
    }
}

impl SrDriver for FakeDriver {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn about(&self) -> About {
        About {
            name: "Simulated",
            description: "Files of the simulator",
            configuration: &[],
            features: crate::folder_driver::FEATURES,
        }
    }

    fn formats(&self) -> Vec<ImageFormat> {
        match self.kind {
            "lvmthin" => vec![ImageFormat::Raw],
            _ => vec![ImageFormat::Raw, ImageFormat::Qcow2],
        }
    }

    fn place(&self, sr: &SrSpec) -> Result<Place, StorageError> {
        Ok(match self.kind {
            "nfs" => Place::Elsewhere { attached: self.marker(sr).exists() },
            _ => Place::Here,
        })
    }

    fn reach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        if self.lost.load(Ordering::SeqCst) {
            return Err(StorageError::NoAnswer(sr.uuid));
        }
        Ok(())
    }

    fn probe(&self, _config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        self.faults.check("probe")?;
        if self.kind == "file" {
            return Ok(None);
        }
        let names = fs::read_dir(&self.folder).map_err(io("reading the simulator's folder"))?;
        let uuid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        let uuids = names.filter_map(Result::ok).filter_map(uuid);
        let found = uuids.map(|uuid| Found { uuid, devices: Vec::new(), size: None });
        Ok(Some(found.collect()))
    }

    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.faults.check("create")?;
        let path = self.path(sr);
        fs::create_dir_all(&path).map_err(io(format!("creating {}", path.display())))
    }

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.faults.check("destroy")?;
        let path = self.path(sr);
        if !path.exists() {
            return Ok(());
        }
        for vdi in Folder::new(path.clone()).scan()? {
            self.refuse_active(vdi.uuid)?;
        }
        fs::remove_dir_all(&path).map_err(io(format!("removing {}", path.display())))
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.faults.check("attach")?;
        let marker = self.marker(sr);
        fs::write(&marker, "").map_err(io(format!("writing {}", marker.display())))?;
        self.folder(sr)?.clean()
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.faults.check("detach")?;
        let marker = self.marker(sr);
        if !marker.exists() {
            return Ok(());
        }
        for vdi in self.folder(sr)?.scan()? {
            self.refuse_active(vdi.uuid)?;
        }
        fs::remove_file(&marker).map_err(io(format!("removing {}", marker.display())))
    }

    fn stat(&self, sr: &SrSpec) -> Result<SrStat, StorageError> {
        self.faults.check("stat")?;
        let used = self.folder(sr)?.scan()?.iter().map(|vdi| vdi.virtual_size).sum();
        Ok(SrStat { physical_size: self.capacity, physical_utilisation: used })
    }

    fn scan(&self, sr: &SrSpec) -> Result<Vec<VdiInfo>, StorageError> {
        self.faults.check("scan")?;
        let found = self.folder(sr)?.scan()?;
        Ok(found.into_iter().map(|info| self.marked(sr, info)).collect())
    }

    fn vdi_create(
        &self,
        sr: &SrSpec,
        vdi: Uuid,
        size: u64,
        format: Option<ImageFormat>,
    ) -> Result<VdiInfo, StorageError> {
        self.faults.check("vdi_create")?;
        let format = format::choose(sr, &self.formats(), format)?;
        let folder = self.folder(sr)?;
        if !folder.file(vdi).exists() {
            self.reserve(&folder, size)?;
        }
        self.mark(sr, vdi, format)?;
        folder.create(vdi, size).map(|info| self.marked(sr, info))
    }

    fn vdi_destroy(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        self.faults.check("vdi_destroy")?;
        self.refuse_active(vdi)?;
        self.folder(sr)?.destroy(vdi)?;
        let marker = self.qcow2_marker(sr, vdi);
        match fs::remove_file(&marker) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io(format!("removing {}", marker.display()))(error))
            }
            _ => Ok(()),
        }
    }

    fn vdi_clone(&self, sr: &SrSpec, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError> {
        self.faults.check("vdi_clone")?;
        let folder = self.folder(sr)?;
        if !folder.file(to).exists() {
            self.reserve(&folder, folder.info(from)?.virtual_size)?;
        }
        if self.qcow2_marker(sr, from).exists() {
            self.mark(sr, to, ImageFormat::Qcow2)?;
        }
        folder.copy(from, to).map(|info| self.marked(sr, info))
    }

    fn vdi_resize(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        self.faults.check("vdi_resize")?;
        let folder = self.folder(sr)?;
        self.reserve(&folder, size.saturating_sub(folder.info(vdi)?.virtual_size))?;
        folder.grow(vdi, size).map(|info| self.marked(sr, info))
    }

    fn vdi_activate(&self, sr: &SrSpec, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError> {
        self.faults.check("vdi_activate")?;
        let folder = self.folder(sr)?;
        folder.info(vdi)?;
        let mut active = self.active();
        match active.iter().find(|(uuid, _)| *uuid == vdi) {
            Some((_, now)) if *now != mode => return Err(StorageError::VdiInUse(vdi)),
            Some(_) => {}
            None => active.push((vdi, mode)),
        }
        Ok(folder.file(vdi))
    }

    fn vdi_deactivate(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        self.faults.check("vdi_deactivate")?;
        // As LVM, which does not take away a volume that somebody has open.
        if self.folder(sr).is_ok_and(|folder| is_open(&folder.file(vdi))) {
            return Err(StorageError::VdiInUse(vdi));
        }
        self.active().retain(|(uuid, _)| *uuid != vdi);
        Ok(())
    }

    fn tidy(&self, _sr: &SrSpec) -> Result<bool, StorageError> {
        self.tidied.fetch_add(1, Ordering::SeqCst);
        self.faults.check("tidy")?;
        Ok(false)
    }
}

/// Whether this process has a file open.
fn is_open(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let files = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sr() -> SrSpec {
        SrSpec { uuid: Uuid::from_u128(7), device_config: BTreeMap::new() }
    }

    #[test]
    fn faults_hit_once_and_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let fake = FakeDriver::new("ext", dir.path().to_owned(), 1 << 30);
        let vdi = Uuid::from_u128(1);
        assert!(fake.attach(&sr()).is_err(), "nothing was created yet");
        fake.create(&sr()).unwrap();
        assert!(fake.scan(&sr()).is_err(), "nothing is attached yet");
        fake.attach(&sr()).unwrap();
        fake.faults().once("vdi_create", StorageError::NoSpace { free: 0, needed: 1 });
        assert!(fake.vdi_create(&sr(), vdi, 4096, None).is_err());
        assert_eq!(fake.scan(&sr()).unwrap(), []);
        fake.vdi_create(&sr(), vdi, 4096, None).unwrap();
        assert_eq!(fake.scan(&sr()).unwrap().len(), 1);
    }

    #[test]
    fn room_and_use_are_respected() {
        let dir = tempfile::tempdir().unwrap();
        let fake = FakeDriver::new("ext", dir.path().to_owned(), 3 << 20);
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        fake.create(&sr()).unwrap();
        fake.attach(&sr()).unwrap();
        fake.vdi_create(&sr(), one, 2 << 20, None).unwrap();
        let full = fake.vdi_clone(&sr(), one, two).unwrap_err();
        assert!(matches!(full, StorageError::NoSpace { free: 1_048_576, needed: 2_097_152 }));
        let path = fake.vdi_activate(&sr(), one, Mode::ReadWrite).unwrap();
        assert_eq!(path.metadata().unwrap().len(), 2 << 20);
        assert!(matches!(fake.vdi_destroy(&sr(), one), Err(StorageError::VdiInUse(_))));
        assert!(matches!(fake.detach(&sr()), Err(StorageError::VdiInUse(_))));
        let opened = fs::File::open(fake.folder(&sr()).unwrap().file(one)).unwrap();
        let refused = fake.vdi_deactivate(&sr(), one).unwrap_err();
        assert!(matches!(refused, StorageError::VdiInUse(vdi) if vdi == one), "{refused:?}");
        drop(opened);
        fake.vdi_deactivate(&sr(), one).unwrap();
        fake.vdi_destroy(&sr(), one).unwrap();
        fake.detach(&sr()).unwrap();
        fake.destroy(&sr()).unwrap();
        fake.destroy(&sr()).unwrap();
    }
}
