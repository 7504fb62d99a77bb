// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host that is only recorded, for tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::error::NetworkError;
use crate::program::{Ran, System};

/// A host that notes every program and answers from a list.
pub(crate) struct Recorder {
    pub(crate) root: tempfile::TempDir,
    pub(crate) answers: Vec<(&'static str, String)>,
    /// Of Open vSwitch's database: each row with its table.
    pub(crate) rows: Vec<(&'static str, Value)>,
    pub(crate) fail: Mutex<Option<&'static str>>,
    /// How often systemd-networkd says that it is reading its files.
    pub(crate) busy: Mutex<u32>,
    pub(crate) log: Mutex<Vec<String>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            answers: Vec::new(),
            rows: Vec::new(),
            fail: Mutex::default(),
            busy: Mutex::default(),
            log: Mutex::default(),
        }
    }

    pub(crate) fn nic(
        &self,
        name: &str,
        device: &str,
        subsystem: &str,
        attributes: &[(&str, &str)],
    ) {
        let root = self.root.path();
        let class = root.join("sys/class/net").join(name);
        fs::create_dir_all(&class).unwrap();
        for (key, value) in attributes {
            fs::write(class.join(key), format!("{value}\n")).unwrap();
        }
        if !device.is_empty() {
            let target = root.join("sys/devices").join(device);
            fs::create_dir_all(&target).unwrap();
            symlink(format!("/sys/bus/{subsystem}"), target.join("subsystem")).unwrap();
            symlink("/sys/bus/pci/drivers/e1000e", target.join("driver")).unwrap();
            symlink(&target, class.join("device")).unwrap();
        }
    }

    pub(crate) fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root.path().join("etc/systemd/network").join(name)).ok()
    }

    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl System for Recorder {
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, NetworkError> {
        let line = format!("{program} {}", args.join(" "));
        let failing = self.fail.lock().unwrap().is_some_and(|part| line.contains(part));
        let stdout = self.answers.iter().find(|(part, _)| line.contains(part));
        let stdout = stdout.map(|(_, answer)| answer.clone()).unwrap_or_default();
        self.log.lock().unwrap().push(line);
        let mut busy = self.busy.lock().unwrap();
        if program == "networkctl" && *busy > 0 {
            *busy -= 1;
            let stderr = "Failed to reload network settings: Already reloading.\n".to_owned();
            return Ok(Ran { code: 1, stdout: String::new(), stderr });
        }
        if failing {
            return Ok(Ran { code: 1, stdout: String::new(), stderr: "database is gone\n".into() });
        }
        Ok(Ran { code: 0, stdout, stderr: String::new() })
    }

    /// A database that has nothing, and takes everything.
    fn transact(&self, operations: &[Value]) -> Result<Vec<Value>, String> {
        if self.fail.lock().unwrap().is_some_and(|part| part == "database") {
            return Err("database is gone".to_owned());
        }
        let changes = operations.iter().filter(|operation| operation["op"] != "select");
        self.log.lock().unwrap().extend(changes.map(Value::to_string));
        let table = |operation: &Value| {
            let name = operation["table"].as_str().unwrap();
            let rows = self.rows.iter().filter(|(table, _)| *table == name).map(|(_, row)| row);
            json!({"rows": rows.collect::<Vec<_>>()})
        };
        Ok(operations.iter().map(table).collect())
    }

    fn raise(&self, link: &str, mtu: Option<u32>) -> std::io::Result<()> {
        if self.fail.lock().unwrap().is_some_and(|part| part == "raise") {
            return Err(std::io::Error::other("database is gone"));
        }
        let mtu = mtu.map_or(String::new(), |mtu| format!(" mtu {mtu}"));
        self.log.lock().unwrap().push(format!("raise {link}{mtu}"));
        Ok(())
    }

    fn joined(&self, link: &str) -> std::io::Result<bool> {
        Ok(self.root.path().join("sys/class/net").join(link).join("master").exists())
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}
