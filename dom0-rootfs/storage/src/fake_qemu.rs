// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small model of QEMU's programs for tests: images are files of JSON, whose data are words at
//! addresses; programs that serve them are in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Contents of a disk: a word at each address that was written.
pub(crate) type Words = BTreeMap<u64, String>;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) size: u64,
    pub(crate) backing: Option<String>,
    pub(crate) words: Words,
}

impl Image {
    pub(crate) fn load(path: &Path) -> Result<Image, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{path:?}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{path:?}: {error}"))
    }

    fn save(&self, path: &Path) {
        fs::write(path, serde_json::to_string(self).unwrap()).unwrap();
    }

    /// Each word counts as many bytes.
    pub(crate) const WORD: u64 = 10 << 20;
}

/// What a disk has whose topmost image is a file, read as its files say.
pub(crate) fn read(path: &Path) -> Result<Words, String> {
    let image = Image::load(path)?;
    let mut words = match &image.backing {
        Some(name) => read(&path.parent().unwrap().join(name))?,
        None => Words::new(),
    };
    words.extend(image.words);
    Ok(words)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    name: String,
    file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    id: String,
    /// Looks that are left until all is copied.
    left: u32,
    /// The chain is changed, or stays as it was.
    over: bool,
    error: Option<String>,
    top: usize,
    base: usize,
    backing: String,
}

/// A running program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// The chain, the topmost last.
    nodes: Vec<Node>,
    added: Vec<Node>,
    /// Not part of the chain any more, and still open.
    merged: Vec<Node>,
    job: Option<Job>,
}

fn node(value: &Value) -> Node {
    Node {
        name: value["node-name"].as_str().unwrap().to_owned(),
        file: value["file"]["filename"].as_str().unwrap().into(),
    }
}

impl Served {
    /// By the arguments of the program.
    pub(crate) fn start(args: &[&str]) -> Result<(PathBuf, Served), String> {
        let after = |flag: &str| args[args.iter().position(|arg| *arg == flag).unwrap() + 1];
        let chardev = after("--chardev");
        let socket = chardev.split(',').find_map(|word| word.strip_prefix("path=")).unwrap();
        let mut now: Value = serde_json::from_str(after("--blockdev")).unwrap();
        let mut nodes = Vec::new();
        while !now.is_null() {
            nodes.insert(0, node(&now));
            Image::load(&nodes[0].file)?;
            now = now["backing"].take();
        }
        let top = &nodes.last().unwrap().name;
        assert!(after("--export").contains(&format!("node-name={top},")), "{args:?}");
        fs::write(socket, "").unwrap();
        Ok((socket.into(), Served { nodes, added: Vec::new(), merged: Vec::new(), job: None }))
    }

    fn top(&self) -> &Node {
        self.nodes.last().unwrap()
    }

    fn find(&self, name: &Value) -> Result<usize, String> {
        let found = self.nodes.iter().position(|node| node.name == *name);
        found.ok_or_else(|| format!("no node {name}"))
    }

    /// Whether it has files open that are no part of its disk.
    pub(crate) fn clings(&self) -> bool {
        !self.merged.is_empty() || !self.added.is_empty()
    }

    /// What a guest writes.
    pub(crate) fn write(&self, at: u64, word: &str) {
        let mut image = Image::load(&self.top().file).unwrap();
        image.words.insert(at, word.to_owned());
        image.save(&self.top().file);
    }

    /// What a guest reads: of the files that are open, whatever they say.
    pub(crate) fn read(&self) -> Words {
        self.nodes.iter().flat_map(|node| Image::load(&node.file).unwrap().words).collect()
    }

    pub(crate) fn is_query(command: &str) -> bool {
        command.starts_with("query")
    }

    pub(crate) fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let blocked = ["blockdev-snapshot", "block_resize", "blockdev-del"].contains(&command);
        if blocked && self.job.is_some() {
            return Err("Node is busy: block device is in use by block job: commit".to_owned());
        }
        match command {
            "query-block-exports" => {
                Ok(json!([{ "id": "disk", "type": "fuse", "node-name": self.top().name }]))
            }
            "query-named-block-nodes" => {
                let all = self.nodes.iter().chain(&self.added).chain(&self.merged);
                Ok(all.map(|node| json!({ "node-name": node.name })).collect())
            }
            "query-jobs" => {
                self.go_on();
                Ok(self.job.iter().map(Job::listed).collect())
            }
            "blockdev-add" => {
                assert_eq!(arguments["backing"], Value::Null);
                let new = node(arguments);
                if self.nodes.iter().chain(&self.added).any(|known| known.name == new.name) {
                    return Err(format!("Duplicate nodes with node-name='{}'", new.name));
                }
                Image::load(&new.file)?;
                self.added.push(new);
                Ok(json!({}))
            }
            "blockdev-snapshot" => {
                if arguments["node"] != self.top().name {
                    return Err("not the topmost".to_owned());
                }
                let at = self.added.iter().position(|node| node.name == arguments["overlay"]);
                self.nodes.push(self.added.remove(at.ok_or("no overlay")?));
                Ok(json!({}))
            }
            "block-commit" => {
                assert_eq!(self.job, None);
                assert_eq!(
                    (&arguments["auto-dismiss"], &arguments["auto-finalize"]),
                    (&json!(false), &json!(false))
                );
                assert_eq!(arguments["device"], self.top().name);
                let top = self.find(&arguments["top-node"])?;
                let base = self.find(&arguments["base-node"])?;
                assert!(base < top && top + 1 < self.nodes.len(), "{arguments}");
                // Some of it is there when it is cut off.
                let from = Image::load(&self.nodes[top].file)?;
                let mut into = Image::load(&self.nodes[base].file)?;
                into.words.extend(from.words.into_iter().take(1));
                into.save(&self.nodes[base].file);
                self.job = Some(Job {
                    id: arguments["job-id"].as_str().unwrap().to_owned(),
                    left: 2,
                    over: false,
                    error: None,
                    top,
                    base,
                    backing: arguments["backing-file"].as_str().unwrap().to_owned(),
                });
                Ok(json!({}))
            }
            "job-cancel" => {
                let job = self.job.as_mut().filter(|job| !job.over).ok_or("no such job")?;
                (job.over, job.error) = (true, Some("Operation canceled".to_owned()));
                Ok(json!({}))
            }
            "job-finalize" => {
                self.change_chain().ok_or("no job that is ready")?;
                Ok(json!({}))
            }
            "job-dismiss" => {
                let job = self.job.take_if(|job| job.over);
                job.map(|_| json!({})).ok_or_else(|| "no job that is over".to_owned())
            }
            "block_resize" => {
                let file = &self.nodes[self.find(&arguments["node-name"])?].file;
                let mut image = Image::load(file)?;
                image.size = arguments["size"].as_u64().unwrap();
                image.save(file);
                Ok(json!({}))
            }
            "blockdev-del" => {
                let at = self.merged.iter().position(|node| node.name == arguments["node-name"]);
                self.merged.remove(at.ok_or("it is in use")?);
                Ok(json!({}))
            }
            "quit" => Ok(json!({})),
            other => panic!("the driver asked for {other}"),
        }
    }

    fn go_on(&mut self) {
        let Some(job) = self.job.as_mut().filter(|job| !job.over && job.left > 0) else { return };
        job.left -= 1;
        if job.left > 0 {
            return;
        }
        let Job { top, base, .. } = job.clone();
        let mut into = Image::load(&self.nodes[base].file).unwrap();
        for above in base + 1..=top {
            into.words.extend(Image::load(&self.nodes[above].file).unwrap().words);
        }
        into.save(&self.nodes[base].file);
    }

    /// Ends the job that is ready.
    fn change_chain(&mut self) -> Option<()> {
        let job = self.job.as_mut().filter(|job| !job.over && job.left == 0)?;
        job.over = true;
        let Job { top, base, backing, .. } = job.clone();
        let overlay = &self.nodes[top + 1].file;
        let mut image = Image::load(overlay).unwrap();
        image.backing = Some(backing);
        image.save(overlay);
        self.merged.extend(self.nodes.drain(base + 1..=top));
        Some(())
    }

    /// Whether another program's merge writes to a file that this one would open.
    pub(crate) fn conflicts(&self, other: &Served) -> bool {
        let Some(job) = self.job.as_ref().filter(|job| !job.over) else { return false };
        other.nodes.iter().any(|node| node.file == self.nodes[job.base].file)
    }
}

impl Job {
    fn listed(&self) -> Value {
        let status = match (self.over, self.left) {
            (true, _) => "concluded",
            (false, 0) => "pending",
            (false, _) => "running",
        };
        let mut listed = json!({ "id": self.id, "type": "commit", "status": status });
        if let Some(error) = &self.error {
            listed["error"] = json!(error);
        }
        listed
    }
}

/// What `qemu-img` says that changes nothing.
pub(crate) fn query(args: &[&str]) -> Option<Result<String, String>> {
    let said = |image: Image| match args[0] {
        "info" => {
            let mut info = json!({
                "format": "qcow2",
                "virtual-size": image.size,
                "actual-size": image.words.len() as u64 * Image::WORD,
                "format-specific": { "type": "qcow2", "data": { "corrupt": false } },
            });
            if let Some(backing) = image.backing {
                info["backing-filename"] = json!(backing);
                info["backing-filename-format"] = json!("qcow2");
            }
            info.to_string()
        }
        _ => {
            let own = image.words.keys().map(|_| json!({ "depth": 0, "present": true }));
            own.chain([json!({ "depth": 0, "present": false })]).collect::<Value>().to_string()
        }
    };
    let last = args.last()?;
    let path = match args[0] {
        "info" => PathBuf::from(last),
        "map" => {
            let options: Value = serde_json::from_str(last.strip_prefix("json:")?).ok()?;
            // QEMU refuses to open a base while another program merges into it.
            assert_eq!(options.get("backing"), Some(&Value::Null), "{last}");
            PathBuf::from(options["file"]["filename"].as_str()?)
        }
        _ => return None,
    };
    Some(Image::load(&path).map(said))
}

/// What `qemu-img` does.
pub(crate) fn change(args: &[&str]) -> Result<String, String> {
    let [.., path, size] = args else { panic!("{args:?}") };
    let (path, size) = (Path::new(path), size.parse().unwrap());
    let image = match args[0] {
        "create" => {
            let at = args.iter().position(|arg| *arg == "-b");
            let backing = at.map(|at| args[at + 1].to_owned());
            Image { size, backing, words: Words::new() }
        }
        "resize" => Image { size, ..Image::load(path)? },
        other => panic!("the driver ran qemu-img {other}"),
    };
    image.save(path);
    Ok(String::new())
}
