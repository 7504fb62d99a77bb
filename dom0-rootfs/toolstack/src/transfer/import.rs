// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM with its disks, out of an archive.
//!
//! Disks are made and filled first, each with a note that it is unfinished; the VM appears with all of
//! them, or nothing does.

use std::collections::BTreeMap;
use std::io::Read;

use disk_format::compression::unpack;
use disk_format::xva::{self, Contents, XvaError};
use storage::Mode;
use xapi_model::{ApiError, Ref, Value, errors};

use super::disk::writing;
use super::ova::{self, Described};
use super::{End, Failed, Work};
use crate::api::{network, vbd, vdi, vif, vm};
use crate::copy::Writer;
use crate::store::{Objects, Transaction};
use crate::unfinished;
use crate::vdis::Opened;

/// Keys of `other_config` that belong to where a VM comes from.
const NOT_TAKEN: [&str; 2] = ["import_task", "grant_guest_api_access"];

/// What an import is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where disks go; none if the archive has none and they are here already.
    pub sr: Option<Ref>,
    /// The VM keeps its uuid and its MAC addresses.
    pub restore: bool,
    /// Damage, and what is not understood or not there, is passed over.
    pub force: bool,
}

/// A disk that is being filled.
struct Filling {
    id: String,
    vdi: Ref,
    writer: Writer,
    /// Up to where it has come, with the zeros that were left out.
    reached: u64,
    opened: Opened,
}

struct Import<'a> {
    work: &'a mut Work,
    wish: Wish,
    end: End,
    objects: Vec<Described>,
    /// VDIs here, by identifiers of the archive.
    vdis: BTreeMap<String, Ref>,
    /// Those of them that get contents, with the length of these.
    made: BTreeMap<String, (Ref, u64)>,
    filling: Option<Filling>,
}

/// Reads an archive. Answers the VMs that it made.
pub fn import(work: &mut Work, wish: Wish, source: impl Read, end: End) -> Result<Value, Failed> {
    let context = work.context.clone();
    let mut import = Import {
        work,
        wish,
        end,
        objects: Vec::new(),
        vdis: BTreeMap::new(),
        made: BTreeMap::new(),
        filling: None,
    };
    let imported = import.run(source);
    if imported.is_err() {
        // First what holds them.
        import.filling = None;
        for (vdi, _) in import.made.values() {
            unfinished::remove(&context.toolstack, vdi);
        }
    }
    imported
}

impl Contents for Import<'_> {
    type Error = Failed;

    fn description(&mut self, text: &str) -> Result<(), Failed> {
        self.objects = ova::read(text)?;
        if !self.objects.iter().any(|object| object.class.name == "VM") {
            return Err(errors::IMPORT_ERROR_GENERIC.with(["ova.xml: there is no VM"]).into());
        }
        self.refuse_duplicate()?;
        self.find_vdis()?;
        self.work.total(self.made.values().map(|(_, size)| size).sum());
        Ok(())
    }

    fn data(&mut self, disk: &str, at: u64, bytes: &[u8]) -> Result<(), Failed> {
        if self.filling.as_ref().is_none_or(|filling| filling.id != disk) {
            self.finish()?;
            let Some((vdi, _)) = self.made.get(disk) else {
                let expected = "a piece of a disk that ova.xml names";
                return Err(errors::IMPORT_ERROR_UNEXPECTED_FILE.with([expected, disk]).into());
            };
            let opened = Opened::new(&self.work.context.toolstack, vdi, Mode::ReadWrite)?;
            let writer = Writer::open(&opened.path, opened.size).map_err(writing(&opened))?;
            let (id, vdi) = (disk.to_owned(), vdi.clone());
            self.filling = Some(Filling { id, vdi, writer, reached: 0, opened });
        }
        let Some(filling) = &mut self.filling else { return Ok(()) };
        let end = at.saturating_add(bytes.len() as u64);
        let size = self.made.get(disk).map_or(0, |(_, size)| *size);
        if end > size {
            let words = [filling.vdi.to_string(), end.to_string()];
            return Err(errors::VDI_TOO_SMALL.with(words).into());
        }
        filling.writer.write_at(at, bytes).map_err(writing(&filling.opened))?;
        let further = end.saturating_sub(filling.reached);
        filling.reached = end;
        Ok(self.work.done(further)?)
    }

    fn damaged(&mut self, error: XvaError) -> Result<(), Failed> {
        if !self.wish.force {
            return Err(error.into());
        }
        tracing::warn!(%error, "an import goes on, as it was told to");
        Ok(())
    }

    fn ends(&self) -> bool {
        self.end != End::Open
    }
}

impl Import<'_> {
    fn run(&mut self, source: impl Read) -> Result<Value, Failed> {
        let lengths = xva::read(unpack(source)?, self)?;
        self.finish()?;
        for (id, (_, size)) in &self.made {
            let length = lengths.get(id).copied().unwrap_or_default();
            if length != *size {
                let text = format!("the XVA has {length} bytes of {size} of {id}");
                return Err(errors::IMPORT_ERROR_PREMATURE_EOF.with([text]).into());
            }
        }
        let context = self.work.context.clone();
        let mut made = Vec::new();
        let recorded = context.store().write(|t| {
            let networks = self.find_networks(t, &mut made)?;
            self.record(t, &networks)
        })?;
        for network in &made {
            // A start of the VM makes it if need be.
            if let Err(error) = network::bridge(&context, network) {
                tracing::warn!(%error, %network, "making the bridge of an imported network");
            }
        }
        Ok(Value::Set(recorded.into_iter().map(Value::Ref).collect()))
    }

    /// Everything of the disk under way is on its SR, and it can be used.
    fn finish(&mut self) -> Result<(), Failed> {
        match self.filling.take() {
            Some(filling) => filling.writer.finish().map_err(writing(&filling.opened)),
            None => Ok(()),
        }
    }

    fn of(&self, class: &str) -> impl Iterator<Item = &Described> {
        self.objects.iter().filter(move |object| object.class.name == class)
    }

    fn by_id(&self, class: &str, id: &str) -> Option<&Described> {
        self.of(class).find(|object| object.id == id)
    }

    fn refuse_duplicate(&self) -> Result<(), ApiError> {
        let uuids = self.of("VM").filter(|_| self.wish.restore).map(|vm| vm.text("uuid"));
        let uuids: Vec<String> = uuids.collect();
        self.work.context.store().read(|objects| {
            let twin = uuids.iter().find_map(|uuid| objects.by_uuid("VM", uuid));
            twin.map_or(Ok(()), |vm| Err(errors::DUPLICATE_VM.with([vm.reference().as_str()])))
        })
    }

    /// VDIs of disks, made or found; and of CD drives, found or not.
    fn find_vdis(&mut self) -> Result<(), ApiError> {
        let vbds: Vec<(String, bool)> =
            self.of("VBD").map(|vbd| (vbd.text("VDI"), vbd.text("type") == "CD")).collect();
        for (id, cd) in vbds {
            if self.vdis.contains_key(&id) || id.is_empty() || id == Ref::NULL {
                continue;
            }
            let missing = || errors::IMPORT_ERROR_FAILED_TO_FIND_OBJECT.with([id.as_str()]);
            let described = match self.by_id("VDI", &id) {
                Some(vdi) => vdi,
                None if cd || self.wish.force => continue,
                None => return Err(missing()),
            };
            let sr = self.by_id("SR", &described.text("SR"));
            let iso = sr.is_some_and(|sr| sr.text("content_type") == "iso");
            if let (false, false, Some(sr)) = (cd, iso, self.wish.sr.clone()) {
                let size = described.get("virtual_size", false)?.as_int().unwrap_or_default();
                let mut fields = described.settings(self.wish.force)?;
                // The driver's there, not the client's.
                fields.remove("sm_config");
                fields.remove("virtual_size");
                // Written to first, whatever the original was.
                fields.remove("read_only");
                let fields = fields.iter().map(|(name, value)| (name.as_str(), value.clone()));
                let vdi = vdi::make(&self.work.context, &sr, size, fields.collect(), true)?;
                let length = u64::try_from(size).unwrap_or_default();
                self.made.insert(id.clone(), (vdi.clone(), length));
                self.vdis.insert(id, vdi);
                continue;
            }
            let location = described.text("location");
            let uuid = sr.map(|sr| sr.text("uuid")).unwrap_or_default();
            let found =
                self.work.context.store().read(|objects| located(objects, &location, &uuid));
            match found {
                Some(vdi) => drop(self.vdis.insert(id, vdi)),
                None if cd || iso || self.wish.force => {}
                None => return Err(errors::VDI_LOCATION_MISSING.with([uuid, location])),
            }
        }
        Ok(())
    }

    /// Networks here, by identifiers of the archive: of the same name, or else on a bridge of the same
    /// name, or else new.
    fn find_networks(
        &self,
        t: &mut Transaction<'_>,
        made: &mut Vec<Ref>,
    ) -> Result<BTreeMap<String, Ref>, ApiError> {
        let mut found = BTreeMap::new();
        for described in self.of("network") {
            let mut record = described.settings(self.wish.force)?;
            let name = record.get("name_label").map(Value::text).unwrap_or_default();
            let by = |field: &str, text: &str| {
                let mut all = t.objects().all("network");
                all.find(|network| network.text(field) == text).map(|n| n.reference().clone())
            };
            let known = by("name_label", &name).or_else(|| by("bridge", &described.text("bridge")));
            let network = match known {
                Some(network) => network,
                None => {
                    // The bridge's name would be that of a card's on the other host.
                    record.remove("bridge");
                    let new = network::make(t, &record)?;
                    made.push(new.clone());
                    new
                }
            };
            found.insert(described.id.clone(), network);
        }
        Ok(found)
    }

    fn record(
        &self,
        t: &mut Transaction<'_>,
        networks: &BTreeMap<String, Ref>,
    ) -> Result<Vec<Ref>, ApiError> {
        let force = self.wish.force;
        for (vdi, _) in self.made.values() {
            unfinished::finish(t, vdi);
        }
        let mut vms = BTreeMap::new();
        for described in self.of("VM") {
            vms.insert(described.id.clone(), self.make_vm(t, described)?);
        }
        for described in self.of("VBD") {
            let Some(vm) = vms.get(&described.text("VM")) else { continue };
            let vdi = self.vdis.get(&described.text("VDI"));
            if vdi.is_none() && described.text("type") != "CD" {
                // Only with `force`: what a disk refers to was found or made otherwise.
                continue;
            }
            let mut record = described.settings(force)?;
            record.insert("VM".into(), vm.into());
            record.insert("VDI".into(), vdi.cloned().unwrap_or_else(Ref::null).into());
            vbd::make(t, &record)?;
        }
        for described in self.of("VIF") {
            let Some(vm) = vms.get(&described.text("VM")) else { continue };
            let id = described.text("network");
            let Some(network) = networks.get(&id) else {
                if force {
                    continue;
                }
                return Err(errors::IMPORT_ERROR_FAILED_TO_FIND_OBJECT.with([id]));
            };
            let mut record = described.settings(force)?;
            record.insert("VM".into(), vm.into());
            record.insert("network".into(), network.into());
            if !self.wish.restore {
                record.insert("MAC".into(), "".into());
            }
            vif::make(t, &record)?;
        }
        Ok(vms.into_values().collect())
    }

    fn make_vm(&self, t: &mut Transaction<'_>, described: &Described) -> Result<Ref, ApiError> {
        let mut record = described.settings(self.wish.force)?;
        if let Some(Value::Map(config)) = record.get_mut("other_config") {
            config.retain(|key, _| !NOT_TAKEN.contains(&key.as_str()) && key != "default_template");
        }
        let mut first = Vec::new();
        if self.wish.restore {
            let uuid = described.text("uuid");
            crate::vdis::parse_uuid(&uuid)?;
            first.push(("uuid", uuid.into()));
        }
        let vm = vm::make(t, first);
        vm::set_all(t, &vm, record)?;
        Ok(vm)
    }
}

/// The VDI at a location of the SR with a uuid; for what lies in a drive, of any SR.
fn located(objects: &Objects, location: &str, sr: &str) -> Option<Ref> {
    let mut at = objects.all("VDI").filter(|vdi| vdi.text("location") == location);
    let there = |sr_of: &Ref| objects.find(sr_of).is_some_and(|found| found.uuid() == sr);
    at.find(|vdi| there(&vdi.to("SR"))).map(|vdi| vdi.reference().clone())
}
