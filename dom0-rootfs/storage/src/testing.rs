// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host made of a temporary folder and a small model of LVM, mkfs, mount and losetup. It dies
//! before or after any program that changes something, as a power cut would have it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use crate::error::StorageError;
use crate::fake_qemu::{self, Served, Words};
use crate::program::{Change, Device, Ran, System};
use crate::qmp::Until;

/// When the host dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Instead of the n-th change.
    Before(usize),
    /// After the n-th change was made, before anybody learns of it.
    After(usize),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lv {
    pub(crate) size: u64,
    pub(crate) active: bool,
    pub(crate) read_only: bool,
    pub(crate) origin: Option<String>,
    pub(crate) filesystem: bool,
    pub(crate) errors_when_full: bool,
    /// Somebody has its device open.
    pub(crate) open: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    /// Signatures on devices that LVM does not own.
    pub(crate) signatures: BTreeMap<String, Vec<String>>,
    /// Physical volumes and their group, empty for none.
    pub(crate) pvs: BTreeMap<String, String>,
    pub(crate) lvs: BTreeMap<String, Lv>,
    /// Thin pools have no room for any more volumes.
    pub(crate) full: bool,
    pub(crate) mounts: BTreeMap<String, String>,
    pub(crate) loops: BTreeMap<String, (String, bool)>,
    /// Programs that serve qcow2 VDIs, by their sockets.
    pub(crate) served: BTreeMap<PathBuf, Served>,
}

impl Model {
    /// Whether losetup detaches what lies over a file of a server.
    fn closes_on_server(&self, args: &[&str]) -> bool {
        let node = args.last().copied().unwrap_or_default();
        let all = self.loops.iter().filter(|(_, (name, _))| args[0] == "--detach" && name == node);
        all.into_iter().any(|(file, _)| file.contains("/run/sr-mount/"))
    }
}

#[derive(Default)]
struct State {
    model: Model,
    devices: BTreeMap<String, (u32, u32)>,
    /// Folders of the host's temporary one that are mounted, by mount point.
    contents: BTreeMap<String, PathBuf>,
    /// Its servers do not answer.
    alone: bool,
    death: Option<Death>,
    changes: usize,
    log: Vec<String>,
}

pub(crate) struct FakeHost {
    root: tempfile::TempDir,
    state: Mutex<State>,
}

impl FakeHost {
    /// A host with disks `/dev/sdb` (8:16) and `/dev/sdc` (8:32), both empty, that reaches the export
    /// `nas:/vms`.
    pub(crate) fn new() -> Self {
        // In memory where that is possible: hundreds of hosts are made, and files are synced.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let root = tempfile::tempdir_in(folder).unwrap();
        let folders = ["proc/self", "sys/dev/block/8:16", "sys/dev/block/8:32", "run", "nas/vms"];
        for folder in folders.iter().chain(&["usr/bin"]) {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("usr/bin/qemu-storage-daemon"), "").unwrap();
        fs::write(root.path().join("proc/swaps"), "Filename Type Size Used Priority\n").unwrap();
        let host = Self { root, state: Mutex::default() };
        host.state().devices =
            [("/dev/sdb".to_owned(), (8, 16)), ("/dev/sdc".to_owned(), (8, 32))].into();
        host.write_mounts(&BTreeMap::new());
        host.write_blocks(&Model::default());
        host
    }

    pub(crate) fn die(&self, death: Option<Death>) {
        let mut state = self.state();
        state.death = death;
        state.changes = 0;
    }

    /// Its servers answer no more, or again.
    pub(crate) fn lose_servers(&self, lost: bool) {
        self.state().alone = lost;
    }

    /// Changes made since [`FakeHost::die`].
    pub(crate) fn changes(&self) -> usize {
        self.state().changes
    }

    pub(crate) fn model(&self) -> Model {
        self.state().model.clone()
    }

    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Model)) {
        let mut state = self.state();
        edit(&mut state.model);
        self.write_mounts(&state.model.mounts);
        self.write_blocks(&state.model);
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Its power is cut, and it starts again: what was in memory is gone.
    pub(crate) fn reboot(&self) {
        self.edit(|model| {
            model.loops.clear();
            model.served.clear();
        });
        fs::remove_dir_all(self.root.path().join("run/xenith-disks")).unwrap();
    }

    /// Whether anything is in a folder of the host.
    pub(crate) fn has_any(&self, folder: &str) -> bool {
        fs::read_dir(self.root.path().join(folder)).is_ok_and(|mut list| list.next().is_some())
    }

    /// The program of a VDI, if it runs.
    pub(crate) fn served(&self, sr: uuid::Uuid, vdi: uuid::Uuid) -> Option<Served> {
        let socket = self.path_of(&format!("/run/xenith-disks/{sr}/{vdi}/qmp"));
        self.state().model.served.get(&socket).cloned()
    }

    fn path_of(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    /// What a guest reads of a VDI, or what somebody finds in its files who starts its program.
    pub(crate) fn read(&self, folder: &Path, sr: uuid::Uuid, vdi: uuid::Uuid) -> Words {
        match self.served(sr, vdi) {
            Some(served) => served.read(),
            None => fake_qemu::read(&folder.join(format!("{vdi}.qcow2"))).unwrap(),
        }
    }

    /// Counts a change and says whether the host dies before or after it.
    fn dies(state: &mut State) -> (bool, bool) {
        let number = state.changes;
        state.changes += 1;
        let death = state.death;
        (death == Some(Death::Before(number)), death == Some(Death::After(number)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Names of what is in the export `nas:/vms`.
    pub(crate) fn exported(&self) -> Vec<PathBuf> {
        let list = fs::read_dir(self.root.path().join("nas/vms")).unwrap();
        list.map(|entry| entry.unwrap().path()).collect()
    }

    /// Where the content of what is mounted lies while it is not.
    fn content(&self, source: &str) -> PathBuf {
        match source.split_once(":/") {
            Some((server, path)) => self.root.path().join(server).join(path),
            None => {
                let disk = self.root.path().join("disk");
                fs::create_dir_all(&disk).unwrap();
                disk
            }
        }
    }

    /// What lies in a mount point is there only while the filesystem is mounted.
    fn switch_folder(&self, mount: &str, content: &Path) {
        let at = self.root.path().join(mount.trim_start_matches('/'));
        let spare = self.root.path().join("spare");
        fs::rename(&at, &spare).unwrap();
        fs::rename(content, &at).unwrap();
        fs::rename(&spare, content).unwrap();
    }

    /// What `/sys/block` shows of a model.
    fn write_blocks(&self, model: &Model) {
        let block = self.root.path().join("sys/block");
        if block.exists() {
            fs::remove_dir_all(&block).unwrap();
        }
        fs::create_dir_all(&block).unwrap();
        let ro = |ro: bool| if ro { "1\n" } else { "0\n" };
        for (file, (node, read_only)) in &model.loops {
            let name = node.strip_prefix("/dev/").unwrap();
            self.write(&format!("sys/block/{name}/loop/backing_file"), &format!("{file}\n"));
            self.write(&format!("sys/block/{name}/loop/autoclear"), "0\n");
            self.write(&format!("sys/block/{name}/ro"), ro(*read_only));
        }
        let active = model.lvs.iter().filter(|(_, lv)| lv.active);
        for (number, (full, lv)) in active.enumerate() {
            let (group, volume) = full.split_once('/').unwrap();
            let name = format!("{}-{}\n", group.replace('-', "--"), volume.replace('-', "--"));
            self.write(&format!("sys/block/dm-{number}/dm/name"), &name);
            self.write(&format!("sys/block/dm-{number}/ro"), ro(lv.read_only));
        }
    }

    fn write_mounts(&self, mounts: &BTreeMap<String, String>) {
        let lines: String = mounts
            .iter()
            .map(|(at, numbers)| format!("30 1 {numbers} / {at} rw - ext4 /dev/x rw\n"))
            .collect();
        self.write("proc/self/mountinfo", &lines);
    }
}

impl System for FakeHost {
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, StorageError> {
        let mut state = self.state();
        state.log.push(format!("{program} {}", args.join(" ")));
        let (limited, program, args) = match (program, args) {
            ("timeout", ["--signal=KILL", _, program, args @ ..]) => (true, *program, args),
            (program, args) => (false, program, args),
        };
        // Both wait for the server; the one before, the other after it has done its work.
        let mounts = program == "mount" && args[1] == "nfs";
        let closes = program == "losetup" && state.model.closes_on_server(args);
        let waits = state.alone && (mounts || closes);
        assert!(limited || !waits, "{program} {args:?} has no end");
        if waits && mounts {
            return Ok(Ran { code: -1, ..Ran::default() });
        }
        let State { model, devices, .. } = &*state;
        if let Some(answer) = query(model, devices, program, args) {
            return Ok(Ran { code: 0, stdout: answer, stderr: String::new() });
        }
        if let Some(answer) = fake_qemu_query(program, args) {
            return Ok(match answer {
                Ok(stdout) => Ran { code: 0, stdout, stderr: String::new() },
                Err(stderr) => Ran { code: 1, stdout: String::new(), stderr },
            });
        }
        let (before, after) = Self::dies(&mut state);
        if before {
            return Err(dead());
        }
        let mut next = state.model.clone();
        let content = (program == "mount").then(|| self.content(args[args.len() - 2]));
        let there = content.as_ref().is_none_or(|content| content.is_dir());
        let done = match there {
            true => change(&mut next, program, args),
            false => Err("access denied by server".to_owned()),
        };
        let ran = match done {
            Ok(stdout) => {
                state.model = next;
                let last = args[args.len() - 1];
                if let Some(content) = content {
                    self.switch_folder(last, &content);
                    state.contents.insert(last.to_owned(), content);
                } else if program == "umount" {
                    let content = state.contents.remove(last).unwrap();
                    self.switch_folder(last, &content);
                }
                self.write_mounts(&state.model.mounts);
                self.write_blocks(&state.model);
                Ran { code: 0, stdout, stderr: String::new() }
            }
            Err(stderr) => Ran { code: 5, stdout: String::new(), stderr },
        };
        let ran = if waits { Ran { code: -1, ..Ran::default() } } else { ran };
        if after { Err(dead()) } else { Ok(ran) }
    }

    fn qmp(
        &self,
        socket: &Path,
        command: &str,
        arguments: &Value,
        _: Until<'_>,
    ) -> Result<Option<Value>, StorageError> {
        let mut state = self.state();
        if !state.model.served.contains_key(socket) {
            return Ok(None);
        }
        let mut after = false;
        if !Served::is_query(command) {
            state.log.push(format!("{command} {arguments}"));
            let before;
            (before, after) = Self::dies(&mut state);
            if before {
                return Err(dead());
            }
        }
        let served = state.model.served.get_mut(socket).unwrap();
        let answer = served.ask(command, arguments);
        if command == "quit" {
            state.model.served.remove(socket);
            fs::remove_file(socket).unwrap();
        }
        if after {
            return Err(dead());
        }
        let failed = |detail| StorageError::Failed { doing: command.to_owned(), detail };
        answer.map(Some).map_err(failed)
    }

    fn alter(&self, change: Change<'_>) -> Result<(), StorageError> {
        let mut state = self.state();
        state.log.push(format!("{change:?}"));
        let (before, after) = Self::dies(&mut state);
        if before {
            return Err(dead());
        }
        change.make()?;
        if after { Err(dead()) } else { Ok(()) }
    }

    fn device(&self, path: &Path) -> Option<Device> {
        let (major, minor) = *self.state().devices.get(path.to_str()?)?;
        Some(Device { path: path.to_owned(), major, minor })
    }

    fn answers(&self, _: &Path) -> bool {
        !self.state().alone
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

fn dead() -> StorageError {
    StorageError::Failed { doing: "living".into(), detail: "power cut".into() }
}

fn fake_qemu_query(program: &str, args: &[&str]) -> Option<Result<String, String>> {
    if program == "qemu-img" { fake_qemu::query(args) } else { None }
}

fn query(
    model: &Model,
    devices: &BTreeMap<String, (u32, u32)>,
    program: &str,
    args: &[&str],
) -> Option<String> {
    let last = *args.last()?;
    let rows = |what: &str, rows: Vec<serde_json::Value>| {
        Some(serde_json::json!({ "report": [{ what: rows }] }).to_string())
    };
    match program {
        "pvs" => rows(
            "pv",
            model
                .pvs
                .iter()
                .map(|(path, group)| {
                    let (major, minor) = devices[path];
                    serde_json::json!({"pv_name": path, "vg_name": group, "pv_major": major.to_string(),
                        "pv_minor": minor.to_string()})
                })
                .collect(),
        ),
        "vgs" => {
            let mut names: Vec<_> = model.pvs.values().filter(|name| !name.is_empty()).collect();
            names.dedup();
            rows(
                "vg",
                names
                    .into_iter()
                    .map(|name| serde_json::json!({"vg_name": name, "vg_size": "1073741824"}))
                    .collect(),
            )
        }
        "lvs" => {
            let group = last.strip_prefix("vg_name=")?;
            rows(
                "lv",
                model
                    .lvs
                    .iter()
                    .filter_map(|(full, lv)| {
                        let (vg, name) = full.split_once('/')?;
                        (vg == group).then(|| {
                            serde_json::json!({"lv_name": name, "lv_size": lv.size.to_string(),
                                "lv_when_full": if lv.errors_when_full { "error" } else { "queue" },
                                "lv_active": if lv.active { "active" } else { "" },
                                "data_percent": if lv.active { "25.50" } else { "" },
})
                        })
                    })
                    .collect(),
            )
        }
        "wipefs" if args[0] == "--no-act" => {
            let kinds = if let Some(full) = last.strip_prefix("/dev/xsr-") {
                let lv = model.lvs.get(&format!("xsr-{full}")).filter(|lv| lv.active)?;
                if lv.filesystem { vec!["ext4".to_owned()] } else { vec![] }
            } else {
                model.signatures.get(last).cloned().unwrap_or_default()
            };
            let list: Vec<_> =
                kinds.iter().map(|kind| serde_json::json!({"device": "x", "type": kind})).collect();
            Some(serde_json::json!({ "signatures": list }).to_string())
        }
        _ => None,
    }
}

fn change(model: &mut Model, program: &str, args: &[&str]) -> Result<String, String> {
    let last = (*args.last().unwrap()).to_owned();
    let after = |flag: &str| {
        args.iter()
            .position(|arg| *arg == flag)
            .and_then(|at| args.get(at + 1))
            .map(|s| (*s).to_owned())
    };
    match program {
        "wipefs" => {
            model.signatures.remove(&last);
        }
        "vgcreate" => {
            if model.pvs.get(&last).is_some_and(|group| !group.is_empty()) {
                return Err(format!("{last} is already in a group"));
            }
            model.pvs.insert(last, args[args.len() - 2].to_owned());
        }
        "vgremove" => {
            model.lvs.retain(|full, _| !full.starts_with(&format!("{last}/")));
            model.pvs.values_mut().filter(|g| **g == last).for_each(|group| group.clear());
        }
        "vgchange" => {
            for (full, lv) in &mut model.lvs {
                if full.starts_with(&format!("{last}/")) {
                    lv.active = false;
                }
            }
        }
        "pvremove" => match model.pvs.remove(&last).as_deref() {
            Some("") => {}
            _ => return Err(format!("{last} is no free physical volume")),
        },
        "lvcreate" if model.full => {
            let group = last.split_once('/').map_or(&*last, |(group, _)| group);
            return Err(format!(
                "  Cannot create new thin volume, free space in thin pool {group}/pool reached threshold."
            ));
        }
        "lvcreate" => {
            let name = after("--name").unwrap();
            let mut lv = Lv { size: 1 << 30, active: true, ..Lv::default() };
            let mut group = last.clone();
            if after("--type").as_deref() == Some("thin") {
                let origin = model.lvs.get(&last).ok_or("no origin")?;
                lv = Lv { origin: Some(last.clone()), ..origin.clone() };
                group = last.split_once('/').unwrap().0.to_owned();
            } else if let Some(size) = after("--virtualsize") {
                let bytes: u64 = size.trim_end_matches('b').parse().unwrap();
                lv.size = bytes.next_multiple_of(4 << 20);
                lv.active = false;
            }
            if model.lvs.insert(format!("{group}/{name}"), lv).is_some() {
                return Err(format!("{name} already exists"));
            }
        }
        "lvremove" => {
            model.lvs.remove(&last).ok_or("no such volume")?;
        }
        "lvextend" => {
            let bytes: u64 = after("--size").unwrap().trim_end_matches('b').parse().unwrap();
            model.lvs.get_mut(&last).ok_or("no such volume")?.size =
                bytes.next_multiple_of(4 << 20);
        }
        "lvchange" => {
            let lv = model.lvs.get_mut(&last).ok_or("no such volume")?;
            if let Some(active) = after("--activate") {
                if active == "n" && lv.open {
                    return Err("Logical volume in use".to_owned());
                }
                lv.active = active == "y";
            }
            if after("--errorwhenfull").is_some() {
                if lv.errors_when_full {
                    return Err("Error when full is already set".to_owned());
                }
                lv.errors_when_full = true;
            }
            if let Some(permission) = after("--permission") {
                lv.read_only = permission == "r";
            }
        }
        "mkfs.ext4" => {
            let full = last.strip_prefix("/dev/").unwrap();
            let lv = model.lvs.get_mut(full).filter(|lv| lv.active).ok_or("no such device")?;
            if lv.filesystem {
                return Err("data would be lost".to_owned());
            }
            lv.filesystem = true;
        }
        "mount" if args[1] == "nfs" => {
            model.mounts.insert(last, "0:50".to_owned());
        }
        "mount" => {
            let full = args[args.len() - 2].strip_prefix("/dev/").unwrap();
            model.lvs.get(full).filter(|lv| lv.active && lv.filesystem).ok_or("bad superblock")?;
            model.mounts.insert(last, "253:0".to_owned());
        }
        "umount" => {
            if !model.loops.is_empty() && args[0] != "--lazy" {
                return Err("target is busy".to_owned());
            }
            model.mounts.remove(&last).ok_or("not mounted")?;
        }
        "losetup" if args.contains(&"--find") => {
            let name = format!("/dev/loop{}", model.loops.len());
            model.loops.insert(last, (name.clone(), args.contains(&"--read-only")));
            return Ok(name + "\n");
        }
        "losetup" if args[0] == "--detach" => model.loops.retain(|_, (name, _)| *name != last),
        "losetup" if args[0] == "--set-capacity" => {}
        "qemu-img" => return fake_qemu::change(args),
        "qemu-storage-daemon" => {
            let (socket, served) = Served::start(args)?;
            if model.served.values().any(|other| other.conflicts(&served)) {
                return Err("Failed to get shared \"write\" lock".to_owned());
            }
            model.served.insert(socket, served);
        }
        other => panic!("the driver ran {other} {args:?}"),
    }
    Ok(String::new())
}
