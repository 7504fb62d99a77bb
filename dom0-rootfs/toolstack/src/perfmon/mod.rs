// SPDX-License-Identifier: MIT OR Apache-2.0
//! Alarms on figures, as XenServer's perfmon raises them: `other_config:perfmon` of VMs, the host and SRs says of
//! which figures, and an alarm is a message `ALARM`.
//!
//! Once a minute [`Perfmon::look`] goes through the objects that have the key. The time is that of the figures.

pub mod config;
pub mod judge;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, TryLockError};

use uuid::Uuid;
use xapi_model::{ApiError, Ref, Value};

use crate::alerts::Alert;
use crate::metrics::{Metrics, Owner};
use crate::store::{Object, Objects};
use crate::toolstack::Toolstack;
use crate::vdis;
use config::{Kind, Variable};
use judge::State;

/// The key of `other_config`.
const KEY: &str = "perfmon";
/// `message.name` of an alarm.
const NAME: &str = "ALARM";

/// All variables that are watched.
#[derive(Debug, Default)]
pub struct Perfmon(Mutex<Watch>);

#[derive(Debug, Default)]
struct Watch {
    /// Minutes since the epoch at the last look.
    minute: Option<i64>,
    /// By the uuids of their objects.
    watched: BTreeMap<String, Watched>,
}

/// An object that has the key.
#[derive(Debug)]
struct Watched {
    kind: Kind,
    xml: String,
    variables: Vec<(Variable, State)>,
}

impl Watched {
    fn new(kind: Kind, uuid: &str, xml: &str) -> Watched {
        let mut watched = Watched { kind, xml: String::new(), variables: Vec::new() };
        watched.read(uuid, xml);
        watched
    }

    /// Takes what the key says now. Variables that are as before go on; what is wrong is said once.
    fn read(&mut self, uuid: &str, xml: &str) {
        let (variables, problems) = config::parse(&self.kind, xml);
        for problem in problems {
            tracing::warn!(uuid, problem, "other_config:perfmon is not understood");
        }
        let before = std::mem::take(&mut self.variables);
        let state = |new: &Variable| {
            let known = before.iter().find(|(known, _)| known.text == new.text);
            known.map_or_else(State::default, |(_, state)| *state)
        };
        self.variables =
            variables.into_iter().map(|v| (state(&v), v)).map(|(s, v)| (v, s)).collect();
        xml.clone_into(&mut self.xml);
    }
}

/// An alarm to be told.
struct Alarm {
    class: &'static str,
    uuid: String,
    priority: i64,
    body: String,
}

/// What objects say of themselves.
#[derive(Default)]
struct Facts {
    /// Uuid, kind and configuration of each that has one.
    configured: Vec<(String, Kind, String)>,
    host: String,
    dom0: String,
}

impl Facts {
    fn of(objects: &Objects) -> Facts {
        let mut facts = Facts::default();
        if let Some(host) = objects.all("host").next() {
            host.uuid().clone_into(&mut facts.host);
            let dom0 = objects.find(&host.to("control_domain"));
            facts.dom0 = dom0.map(|dom0| dom0.uuid().to_owned()).unwrap_or_default();
        }
        let mut add = |class: &'static str, kind: &dyn Fn(&Object) -> Kind| {
            for object in objects.all(class) {
                if let Some(xml) = object.entry("other_config", KEY).filter(|xml| !xml.is_empty()) {
                    let uuid = object.uuid().to_owned();
                    facts.configured.push((uuid, kind(object), xml.to_owned()));
                }
            }
        };
        add("VM", &|_| Kind::Vm);
        add("host", &|_| Kind::Host);
        add("SR", &|sr| Kind::Sr(sr.uuid().to_owned()));
        facts
    }
}

impl Perfmon {
    /// Looks at the figures of the newest minute, at `now` in seconds since the epoch; nothing if it did so within
    /// this minute, or does so now. Blocks, also for the server of an SR that is watched.
    pub fn look(&self, toolstack: &Toolstack, metrics: &Metrics, now: f64) {
        let mut watch = match self.0.try_lock() {
            Ok(watch) => watch,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let minute = (now as i64).div_euclid(judge::ROW);
        if watch.minute.replace(minute) == Some(minute) {
            return;
        }
        let facts = toolstack.store.read(Facts::of);
        watch.follow(&facts);
        let mut alarms = Vec::new();
        watch.look(toolstack, metrics, &facts, minute * judge::ROW, &mut alarms);
        drop(watch);
        for alarm in alarms {
            tell(toolstack, alarm);
        }
    }
}

impl Watch {
    /// Takes up what objects say now.
    fn follow(&mut self, facts: &Facts) {
        self.watched.retain(|uuid, _| facts.configured.iter().any(|(known, ..)| known == uuid));
        for (uuid, kind, xml) in &facts.configured {
            match self.watched.get_mut(uuid) {
                Some(watched) if watched.xml == *xml => {}
                Some(watched) => watched.read(uuid, xml),
                None => {
                    let new = Watched::new(kind.clone(), uuid, xml);
                    self.watched.insert(uuid.clone(), new);
                }
            }
        }
    }

    fn look(
        &mut self,
        toolstack: &Toolstack,
        metrics: &Metrics,
        facts: &Facts,
        minute: i64,
        alarms: &mut Vec<Alarm>,
    ) {
        if self.watched.is_empty() {
            return;
        }
        let host = metrics.minute(Owner::Host);
        let names = |watched: &Watched| -> Vec<String> {
            watched.variables.iter().map(|(variable, _)| variable.name.clone()).collect()
        };
        let of_host = self.watched.get(&facts.host).map(names).unwrap_or_default();
        for (uuid, watched) in &mut self.watched {
            let own = match &watched.kind {
                Kind::Host => host.clone(),
                Kind::Vm => of_vm(metrics, facts, uuid),
                Kind::Sr(_) if watched.variables.iter().all(|(variable, _)| variable.of_host) => {
                    None
                }
                Kind::Sr(_) => of_sr(toolstack, uuid).map(|figures| (minute, figures)),
            };
            let class = match &watched.kind {
                Kind::Host => "Host",
                Kind::Vm => "VM",
                Kind::Sr(_) => "SR",
            };
            for (variable, state) in &mut watched.variables {
                // What is said on the host itself has precedence.
                if variable.of_host && of_host.contains(&variable.name) {
                    continue;
                }
                let (figures, class, about) = match variable.of_host {
                    true => (&host, "Host", &facts.host),
                    false => (&own, class, uuid),
                };
                let Some((ended, figures)) = figures else { continue };
                let value = judge::value(variable, figures);
                if state.take(variable, value, *ended) {
                    alarms.push(Alarm {
                        class,
                        uuid: about.clone(),
                        priority: variable.priority,
                        body: format!("value: {value:.6}\nconfig:\n{}", variable.text),
                    });
                }
            }
        }
    }
}

/// When the newest minute ended, and its figures.
type Row = (i64, Vec<(String, f64)>);

fn of_vm(metrics: &Metrics, facts: &Facts, uuid: &str) -> Option<Row> {
    let (ended, mut figures) = metrics.minute(Owner::Vm(Uuid::parse_str(uuid).ok()?))?;
    if uuid == facts.dom0 {
        figures.push((judge::FS_USAGE.to_owned(), fs_usage(metrics.path())));
    }
    Some((ended, figures))
}

/// The part that is in use of the file system with a folder, which need not be there yet; NaN is unknown.
fn fs_usage(folder: &Path) -> f64 {
    let stat = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok());
    // As df has it: what only root may use counts as neither.
    stat.map_or(f64::NAN, |stat| {
        let used = (stat.f_blocks - stat.f_bfree) as f64;
        used / (used + stat.f_bavail as f64)
    })
}

/// Sizes of an SR as its driver tells them now; none if it is not attached, or does not answer.
fn of_sr(toolstack: &Toolstack, uuid: &str) -> Option<Vec<(String, f64)>> {
    let find = |objects: &Objects| objects.by_uuid("SR", uuid).map(|sr| sr.reference().clone());
    let sr: Ref = toolstack.store.read(find)?;
    vdis::reach(toolstack, &sr).ok()?;
    vdis::refresh_sizes(toolstack, &vdis::attached_sr(toolstack, &sr).ok()?);
    let sizes = toolstack.look("SR", &sr, |sr, _| {
        let size = |field: &str| sr.int(field) as f64;
        [
            (judge::SR_USED.to_owned(), size("physical_utilisation")),
            (judge::SR_SIZE.to_owned(), size("physical_size")),
        ]
    });
    sizes.ok().map(Vec::from)
}

fn tell(toolstack: &Toolstack, alarm: Alarm) {
    let Alarm { class, uuid, priority, body } = alarm;
    let told = toolstack.store.write(|t| {
        Alert { name: NAME, priority, class: Value::Enum(class), uuid: &uuid, body }.record(t);
        Ok::<_, ApiError>(())
    });
    if let Err(error) = told {
        tracing::error!(%error, uuid, "recording an alarm");
    }
}
