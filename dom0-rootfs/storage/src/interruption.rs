// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every call of every driver that runs programs, cut off before and after each of its changes, then repeated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::driver::{Mode, SrDriver, SrSpec};
use crate::error::StorageError;
use crate::ext::ExtDriver;
use crate::lvmthin::LvmThinDriver;
use crate::nfs::NfsDriver;
use crate::testing::{Death, FakeHost, Lv};

type Make = fn(Arc<FakeHost>) -> Box<dyn SrDriver>;
type Step = fn(&dyn SrDriver) -> Result<(), StorageError>;

/// Those over LVM.
const DRIVERS: [(&str, Make); 2] = [
    ("ext", |host| Box::new(ExtDriver::new(host))),
    ("lvmthin", |host| Box::new(LvmThinDriver::new(host))),
];

const ALL: [(&str, Make); 3] =
    [DRIVERS[0], DRIVERS[1], ("nfs", |host| Box::new(NfsDriver::new(host)))];

const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);

fn sr(config: &[(&str, &str)]) -> SrSpec {
    let device_config: BTreeMap<_, _> =
        config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SrSpec { uuid: Uuid::from_u128(0xabc), device_config }
}

fn sdb() -> SrSpec {
    sr(&[("device", "/dev/sdb"), ("server", "nas"), ("serverpath", "/vms")])
}

/// The life of an SR, one call after the other.
const LIFE: &[(&str, Step)] = &[
    ("create", |driver| driver.create(&sdb())),
    ("attach", |driver| driver.attach(&sdb())),
    ("vdi_create", |driver| driver.vdi_create(&sdb(), ONE, 10 << 20, None).map(drop)),
    ("vdi_activate", |driver| driver.vdi_activate(&sdb(), ONE, Mode::ReadWrite).map(drop)),
    ("vdi_clone", |driver| driver.vdi_clone(&sdb(), ONE, TWO).map(drop)),
    ("vdi_resize", |driver| driver.vdi_resize(&sdb(), ONE, 20 << 20).map(drop)),
    ("vdi_deactivate", |driver| driver.vdi_deactivate(&sdb(), ONE)),
    ("vdi_activate read-only", |driver| driver.vdi_activate(&sdb(), ONE, Mode::ReadOnly).map(drop)),
    ("vdi_deactivate again", |driver| driver.vdi_deactivate(&sdb(), ONE)),
    ("scan", |driver| {
        let sizes: Vec<_> = driver.scan(&sdb())?.iter().map(|v| (v.uuid, v.virtual_size)).collect();
        // Extents of 4 MiB make 12 of 10.
        assert!(
            matches!(sizes[..], [(ONE, 20_971_520), (TWO, 10_485_760 | 12_582_912)]),
            "{sizes:?}"
        );
        Ok(())
    }),
    ("vdi_destroy", |driver| driver.vdi_destroy(&sdb(), TWO)),
    ("detach", |driver| driver.detach(&sdb())),
    ("destroy", |driver| driver.destroy(&sdb())),
];

#[test]
fn every_call_can_be_cut_off_anywhere_and_made_again() {
    let mut cuts = 0;
    for (kind, make) in ALL {
        for (at, (name, step)) in LIFE.iter().enumerate() {
            for nth in 0.. {
                let mut reached = false;
                for death in [Death::Before(nth), Death::After(nth)] {
                    let host = Arc::new(FakeHost::new());
                    let driver = make(host.clone());
                    for (_, earlier) in &LIFE[..at] {
                        earlier(&*driver).unwrap();
                    }
                    host.die(Some(death));
                    let cut = step(&*driver);
                    reached |= host.changes() > nth;
                    assert_eq!(cut.is_err(), host.changes() > nth, "{kind} {name} {death:?}");
                    host.die(None);
                    for (later_name, later) in &LIFE[at..] {
                        if let Err(error) = later(&*driver) {
                            panic!("{kind}: {later_name} after {name} was cut {death:?}: {error}");
                        }
                    }
                    assert_eq!(host.model(), FakeHost::new().model(), "{kind} {name} {death:?}");
                    assert_eq!(
                        host.exported(),
                        [""; 0].map(PathBuf::from),
                        "{kind} {name} {death:?}"
                    );
                    cuts += 1;
                }
                if !reached {
                    break;
                }
            }
        }
    }
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_second_call_changes_nothing() {
    for (kind, make) in ALL {
        let host = Arc::new(FakeHost::new());
        let driver = make(host.clone());
        for (name, step) in LIFE {
            step(&*driver).unwrap();
            let before = host.model();
            step(&*driver).unwrap();
            assert_eq!(host.model(), before, "{kind} {name}");
        }
    }
}

/// Prepares a host, and says what `create` has to answer; an empty text: it has to succeed.
type Case = (fn(&FakeHost), &'static [(&'static str, &'static str)], &'static str);

#[test]
fn devices_in_use_are_refused_with_nothing_changed() {
    let plain: &[(&str, &str)] = &[("device", "/dev/sdb")];
    let force: &[(&str, &str)] = &[("device", "/dev/sdb"), ("force", "true")];
    let mounted =
        |host: &FakeHost| host.edit(|m| drop(m.mounts.insert("/srv".into(), "8:16".into())));
    let gpt = |host: &FakeHost| {
        host.edit(|m| {
            drop(m.signatures.insert("/dev/sdb".into(), vec!["gpt".into(), "PMBR".into()]))
        });
    };
    let cases: &[Case] = &[
        (|_| {}, plain, ""),
        (|_| {}, &[], "device_config:device is missing: a block device, for example /dev/sdb"),
        (|_| {}, &[("device", "/dev/nope")], "device_config:device is /dev/nope, no block device"),
        (
            |_| {},
            &[("device", "/dev/sdb"), ("force", "yes")],
            "device_config:force is yes, not true or false",
        ),
        (mounted, plain, "device /dev/sdb is in use: mounted at /srv"),
        (mounted, force, "device /dev/sdb is in use: mounted at /srv"),
        (
            gpt,
            plain,
            "device /dev/sdb is in use: it holds gpt, PMBR (device_config:force=true overwrites it)",
        ),
        (gpt, force, ""),
        (
            |host| host.write("sys/dev/block/8:16/holders/md0/dev", "9:0"),
            force,
            "device /dev/sdb is in use: held by md0",
        ),
        (
            |host| {
                host.write("sys/dev/block/8:16/sdb1/partition", "1");
                host.write("sys/dev/block/8:16/sdb1/dev", "8:17\n");
                host.edit(|m| drop(m.mounts.insert("/boot/efi".into(), "8:17".into())));
            },
            force,
            "device /dev/sdb is in use: mounted at /boot/efi",
        ),
        (
            |host| {
                host.write(
                    "proc/swaps",
                    "Filename Type Size Used Priority\n/dev/sdb partition 9 0 -2\n",
                )
            },
            force,
            "device /dev/sdb is in use: swap",
        ),
        (
            |host| host.edit(|m| drop(m.pvs.insert("/dev/sdb".into(), "vg0".into()))),
            force,
            "device /dev/sdb is in use: belongs to volume group vg0",
        ),
        (|host| host.edit(|m| drop(m.pvs.insert("/dev/sdb".into(), String::new()))), plain, ""),
        (
            |host| {
                let ours = format!("xsr-{}", sdb().uuid);
                host.edit(|m| drop(m.pvs.insert("/dev/sdc".into(), ours)));
            },
            plain,
            "device /dev/sdb is in use: volume group xsr-00000000-0000-0000-0000-000000000abc is on another device",
        ),
    ];
    for (kind, make) in DRIVERS {
        for (number, (prepare, config, expected)) in cases.iter().enumerate() {
            let host = Arc::new(FakeHost::new());
            prepare(&host);
            let before = host.model();
            let result = make(host.clone()).create(&sr(config));
            match result {
                Ok(()) => assert_eq!(*expected, "", "{kind} case {number}"),
                Err(error) => {
                    assert_eq!(error.to_string(), *expected, "{kind} case {number}");
                    assert_eq!(host.model(), before, "{kind} case {number}");
                }
            }
        }
    }
}

#[test]
fn destroy_leaves_other_groups_alone() {
    for (kind, make) in DRIVERS {
        let host = Arc::new(FakeHost::new());
        host.edit(|m| {
            m.pvs.insert("/dev/sdb".into(), "vg0".into());
            m.lvs.insert("vg0/root".into(), Lv::default());
        });
        let before = host.model();
        let error = make(host.clone()).destroy(&sdb()).unwrap_err();
        assert!(
            error.to_string().contains("belongs to volume group vg0, not to this SR"),
            "{error}"
        );
        assert_eq!(host.model(), before, "{kind}");
    }
}

#[test]
fn an_sr_that_the_installer_made_is_used_and_removed_without_its_device_being_named() {
    for (kind, make) in DRIVERS {
        let host = Arc::new(FakeHost::new());
        let driver = make(host.clone());
        driver.create(&sdb()).unwrap();
        let bare = sr(&[]);
        driver.attach(&bare).unwrap();
        driver.vdi_create(&bare, ONE, 1 << 20, None).unwrap();
        driver.detach(&bare).unwrap();
        driver.destroy(&bare).unwrap();
        assert_eq!(host.model(), FakeHost::new().model(), "{kind}");
        driver.destroy(&bare).unwrap();
    }
}

#[test]
fn an_active_vdi_is_neither_destroyed_nor_changes_its_mode() {
    for (kind, make) in DRIVERS {
        let host = Arc::new(FakeHost::new());
        let driver = make(host.clone());
        driver.create(&sdb()).unwrap();
        driver.attach(&sdb()).unwrap();
        driver.vdi_create(&sdb(), ONE, 1 << 20, None).unwrap();
        let first = driver.vdi_activate(&sdb(), ONE, Mode::ReadWrite).unwrap();
        assert_eq!(driver.vdi_activate(&sdb(), ONE, Mode::ReadWrite).unwrap(), first, "{kind}");
        host.edit(|model| model.lvs.values_mut().for_each(|lv| lv.open = true));
        for refused in [
            driver.vdi_activate(&sdb(), ONE, Mode::ReadOnly).map(drop),
            driver.vdi_destroy(&sdb(), ONE),
        ] {
            assert!(matches!(refused, Err(StorageError::VdiInUse(ONE))), "{kind}: {refused:?}");
        }
        for missing in [
            driver.vdi_clone(&sdb(), TWO, Uuid::from_u128(3)).map(drop),
            driver.vdi_resize(&sdb(), TWO, 1).map(drop),
            driver.vdi_activate(&sdb(), TWO, Mode::ReadOnly).map(drop),
        ] {
            assert!(matches!(missing, Err(StorageError::NoSuchVdi(TWO))), "{kind}: {missing:?}");
        }
        driver.vdi_deactivate(&sdb(), TWO).unwrap();
        driver.vdi_destroy(&sdb(), TWO).unwrap();
    }
}

#[test]
fn thin_volumes_are_made_as_documented() {
    let host = Arc::new(FakeHost::new());
    let driver = LvmThinDriver::new(host.clone());
    driver.create(&sdb()).unwrap();
    driver.attach(&sdb()).unwrap();
    let made = driver.vdi_create(&sdb(), ONE, (4 << 20) + 1, None).unwrap();
    assert_eq!(made.virtual_size, 8 << 20);
    driver.vdi_clone(&sdb(), ONE, TWO).unwrap();
    let group = "xsr-00000000-0000-0000-0000-000000000abc";
    let model = host.model();
    let clone = &model.lvs[&format!("{group}/vdi-{TWO}")];
    assert_eq!(clone.origin, Some(format!("{group}/vdi-{ONE}")));
    let path = driver.vdi_activate(&sdb(), TWO, Mode::ReadWrite).unwrap();
    assert_eq!(path.to_str().unwrap(), format!("/dev/{group}/vdi-{TWO}"));
    let stat = driver.stat(&sdb()).unwrap();
    assert_eq!((stat.physical_size, stat.physical_utilisation), (1 << 30, 273_804_165));
    let log = host.log().join("\n");
    assert!(log.contains(&format!(
        "lvcreate --yes --activate n --setactivationskip n --virtualsize 4194305b --name vdi-{ONE} --thinpool pool {group}"
    )), "{log}");
}

#[test]
fn a_thin_pool_that_is_full_says_so() {
    let host = Arc::new(FakeHost::new());
    let driver = LvmThinDriver::new(host.clone());
    driver.create(&sdb()).unwrap();
    driver.attach(&sdb()).unwrap();
    driver.vdi_create(&sdb(), ONE, 4 << 20, None).unwrap();
    host.edit(|model| model.full = true);
    let free = (1 << 30) - 273_804_165;
    for error in [
        driver.vdi_create(&sdb(), TWO, 8 << 20, None).unwrap_err(),
        driver.vdi_clone(&sdb(), ONE, TWO).unwrap_err(),
    ] {
        let StorageError::NoSpace { free: said, needed } = error else { panic!("{error}") };
        assert_eq!(said, free);
        assert!(needed >= 4 << 20);
    }
    // One that is there already is no new one.
    driver.vdi_create(&sdb(), ONE, 4 << 20, None).unwrap();
}

#[test]
fn an_sr_on_a_server_takes_only_its_own_folder() {
    let host = Arc::new(FakeHost::new());
    let driver = NfsDriver::new(host.clone());
    driver.create(&sdb()).unwrap();
    host.write("nas/vms/others", "theirs");
    driver.attach(&sdb()).unwrap();
    driver.vdi_create(&sdb(), ONE, 1 << 20, None).unwrap();
    driver.detach(&sdb()).unwrap();
    let log = host.log().join("\n");
    let options = "noatime,nodev,nosuid,noexec,soft,timeo=133,retrans=2147483647,retry=0,proto=tcp,\
                   acdirmin=0,acdirmax=0,nolock";
    let uuid = sdb().uuid;
    assert!(
        log.contains(&format!("mount -t nfs -o {options} nas:/vms/{uuid} /run/sr-mount/{uuid}")),
        "{log}"
    );
    driver.destroy(&sdb()).unwrap();
    assert_eq!(host.exported().len(), 1, "what others keep there stays");
    let gone = driver.attach(&sdb()).unwrap_err().to_string();
    assert!(gone.contains("access denied by server"), "{gone}");
}
