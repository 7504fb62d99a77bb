// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ending domains.
//!
//! libxl ends one device after the other, waits for each, then starts a process that has Xen take the domain
//! apart. Where all of a domain is in Xen, in Dom0's kernel and in xenstore that is done here, and Xen and the
//! kernel work at the same time. What has a device model, or a device that we do not make, is libxl's.
//!
//! Everything is safe to repeat, also after the domain itself has gone: until the kernel has let go of its
//! devices they are known below `/libxl`. That its number was used a moment ago, which libxl writes down, is
//! not: Xen gives away all others before it gives one again.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use crate::hypervisor::DomId;
use crate::libxl::devices::{self, Device};
use crate::xenstore::{Change, Xenstore, XenstoreError};

/// What of a domain is known in xenstore.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    domain: DomId,
    /// What the kernel serves.
    pub(crate) devices: Vec<Device>,
    /// Whether it has what only libxl can end.
    pub(crate) libxls: bool,
}

impl Remains {
    pub(crate) fn of(store: &mut Xenstore, domain: DomId) -> Result<Self, XenstoreError> {
        let tool = format!("/libxl/{}", domain.0);
        let classes = store.children(&format!("{tool}/device"))?;
        let folders: Vec<_> =
            classes.iter().map(|class| format!("{tool}/device/{class}")).collect();
        let folders: Vec<_> = folders.iter().map(String::as_str).collect();
        let numbers = store.children_all(&folders)?;
        let (mut devices, mut libxls) = (Vec::new(), false);
        for (class, numbers) in classes.iter().zip(&numbers) {
            for number in numbers {
                match Device::named(domain, class, number) {
                    Some(device) => devices.push(device),
                    // The console is xenconsoled's, which sees the domain go.
                    None => libxls |= class != "console",
                }
            }
        }
        let mut paths = vec![format!("{tool}/type")];
        paths.extend(devices.iter().map(|device| format!("{}/backend", device.tool())));
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let mut found = store.read_all(&paths)?.into_iter();
        libxls |= found.next().flatten().is_some_and(|kind| kind != "pv" && kind != "pvh");
        // A disk may be served by QEMU.
        devices.retain(|device| {
            let ours = found.next().flatten().is_some_and(|at| at == device.backend());
            libxls |= !ours;
            ours
        });
        Ok(Self { domain, devices, libxls })
    }

    /// What makes the kernel let go, and the guest's own part go, with what is known of its VM.
    pub(crate) fn leave(&self, vm: Uuid) -> Vec<Change> {
        let mut changes = devices::leave(&self.devices);
        changes.push(Change::Remove(format!("/local/domain/{}", self.domain.0)));
        changes.push(Change::Remove(format!("/vm/{vm}")));
        changes
    }

    /// Waits until the kernel has let go, then removes the rest.
    pub(crate) fn forget(
        &self,
        store: &mut Xenstore,
        patience: Duration,
    ) -> Result<(), XenstoreError> {
        devices::await_closed(store, &self.devices, patience)?;
        let mut changes = devices::folders(self.domain);
        // xenconsoled serves it from Dom0, and leaves libxl's nodes alone.
        changes.push(Change::Remove(format!("/local/domain/0/backend/console/{}", self.domain.0)));
        // What a repetition goes by goes last.
        changes.push(Change::Remove(format!("/libxl/{}", self.domain.0)));
        store.change_each(&changes)
    }
}

/// What makes a device go that the domain's device model serves and libxl gives to every fully virtualized guest:
/// keyboard and pointer. libxl ends the device model first, and then gives it two seconds to close this
/// (`LIBXL_QEMU_BODGE_TIMEOUT` of `tools/libs/light/libxl_internal.h`).
pub(crate) fn device_models(domain: DomId) -> Vec<Change> {
    let id = domain.0;
    let nodes = [
        format!("/local/domain/0/backend/vkbd/{id}"),
        format!("/local/domain/{id}/device/vkbd"),
        format!("/libxl/{id}/device/vkbd"),
    ];
    nodes.map(Change::Remove).into()
}

/// Removes the files that libxl has below `folder` of a domain, `userdata-d.7.UUID.libxl-json`.
pub(crate) fn remove_userdata(folder: &Path, domain: DomId) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let mut parts = name.to_str().unwrap_or_default().split('.');
        let ours = parts.next().is_some_and(|part| part.starts_with("userdata-"))
            && parts.next().and_then(|number| number.parse().ok()) == Some(domain.0);
        if ours {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libxl::hotplug;
    use crate::spec::CheckedSpec;
    use crate::testing;
    use crate::xenstore::tests::serving;

    const QUICK: Duration = Duration::from_millis(50);
    const VM: &str = "8d3f0c6e-47b1-4a52-9e0d-000000000001";

    /// A PVH guest as libxl and we leave it in xenstore, with `nodes` more.
    fn built(nodes: &[(&str, &str)]) -> Xenstore {
        let mut all = vec![
            ("/libxl/7/type", "pvh"),
            ("/libxl/7/device/console/0/backend", "/local/domain/0/backend/console/7/0"),
            ("/local/domain/0/backend/console/7/0/state", "1"),
            ("/local/domain/7/name", "guest"),
            ("/local/domain/7/console/tty", "/dev/pts/1"),
            ("/vm/8d3f0c6e-47b1-4a52-9e0d-000000000001/uuid", VM),
            ("/local/domain/8/name", "another"),
            ("/libxl/8/type", "pvh"),
        ];
        all.extend(nodes);
        let mut store = serving(&all, 0);
        let spec = testing::pvh();
        let checked = CheckedSpec::check(&spec, &testing::host()).unwrap();
        let numbers = vec![None; spec.disks.len()];
        store.change(&hotplug::changes(DomId(7), &checked, &numbers)).unwrap();
        store
    }

    #[test]
    fn a_guest_ends_without_libxl_and_leaves_nothing() {
        let mut store = built(&[]);
        let remains = Remains::of(&mut store, DomId(7)).unwrap();
        assert!(!remains.libxls);
        assert_eq!(remains.devices.len(), 2);
        store.change(&remains.leave(VM.parse().unwrap())).unwrap();
        for gone in ["/local/domain/7/name", "/vm/8d3f0c6e-47b1-4a52-9e0d-000000000001/uuid"] {
            assert_eq!(store.read(gone).unwrap(), None, "{gone}");
        }
        // A worker that died here leaves what the next one goes by.
        assert_eq!(Remains::of(&mut store, DomId(7)).unwrap(), remains);
        for _ in 0..2 {
            remains.forget(&mut store, QUICK).unwrap();
        }
        let nothing = Remains { domain: DomId(7), devices: Vec::new(), libxls: false };
        assert_eq!(Remains::of(&mut store, DomId(7)).unwrap(), nothing);
        for class in ["console", "vbd", "vif"] {
            let left = format!("/local/domain/0/backend/{class}/7");
            assert_eq!(store.children(&left).unwrap(), [""; 0], "{left}");
        }
        assert_eq!(store.children("/libxl/7").unwrap(), [""; 0]);
        for kept in ["/local/domain/8/name", "/libxl/8/type"] {
            assert!(store.read(kept).unwrap().is_some(), "{kept}");
        }
    }

    #[test]
    fn what_others_serve_is_libxls() {
        let ends =
            |nodes: &[(&str, &str)]| Remains::of(&mut built(nodes), DomId(7)).unwrap().libxls;
        let qemus = "/local/domain/0/backend/qdisk/7/51728";
        assert!(ends(&[("/libxl/7/device/vbd/51728/backend", qemus)]));
        assert!(ends(&[("/libxl/7/device/pci/0/backend", "/local/domain/0/backend/pci/7/0")]));
        assert!(ends(&[("/libxl/7/device/vbd/new/backend", "/x")]));
        let mut hvm = serving(&[("/libxl/7/type", "hvm")], 0);
        assert!(Remains::of(&mut hvm, DomId(7)).unwrap().libxls);
    }

    #[test]
    fn what_the_device_model_serves_goes_with_it() {
        let mut store = built(&[
            ("/libxl/7/device/vkbd/0/backend", "/local/domain/0/backend/vkbd/7/0"),
            ("/local/domain/0/backend/vkbd/7/0/state", "2"),
            ("/local/domain/0/backend/vkbd/8/0/state", "2"),
            ("/local/domain/7/device/vkbd/0/state", "1"),
        ]);
        assert!(Remains::of(&mut store, DomId(7)).unwrap().libxls);
        // A second time as well.
        for _ in 0..2 {
            store.change_each(&device_models(DomId(7))).unwrap();
        }
        let children = |store: &mut Xenstore, at: &str| store.children(at).unwrap();
        assert_eq!(children(&mut store, "/local/domain/0/backend/vkbd"), ["8"]);
        for others in ["/libxl/7/device", "/local/domain/7/device"] {
            let left = children(&mut store, others);
            assert!(!left.is_empty() && !left.contains(&"vkbd".to_owned()), "{others}: {left:?}");
        }
    }

    #[test]
    fn only_the_files_of_the_domain_go() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            "userdata-d.7.8d3f0c6e-47b1-4a52-9e0d-000000000001.libxl-json",
            "userdata-l.7.8d3f0c6e-47b1-4a52-9e0d-000000000001.domain-userdata-lock",
            "userdata-d.77.8d3f0c6e-47b1-4a52-9e0d-000000000002.libxl-json",
            "xenstore.7.x",
            "userdata-d",
        ];
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        for _ in 0..2 {
            remove_userdata(folder.path(), DomId(7)).unwrap();
        }
        let there = files.map(|file| folder.path().join(file).exists());
        assert_eq!(there, [false, false, true, true, true]);
        remove_userdata(&folder.path().join("missing"), DomId(7)).unwrap();
    }
}
