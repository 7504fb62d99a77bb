// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the missing recipes on worker threads.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use walkdir::WalkDir;

use super::env::Env;
use super::{Engine, GraphError, Node};
use crate::recipe::BoxError;
use crate::report::{Outcome, Step};
use crate::store::{Record, StoreError, failed, remove_tree};

/// What the workers share.
struct Plan<'n, 'r> {
    waiting: Vec<&'n Node<'r>>,
    running: usize,
    done: Vec<Step>,
    error: Option<GraphError>,
}

/// Builds all of `missing`, which is in dependency order; `nodes` has the rest too.
pub(super) fn all(
    engine: &Engine<'_>,
    missing: &[&Node<'_>],
    nodes: &[Node<'_>],
) -> Result<Vec<Step>, GraphError> {
    let plan = Plan { waiting: missing.to_vec(), running: 0, done: Vec::new(), error: None };
    let plan = Mutex::new(plan);
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..engine.workers.max(1).min(missing.len()) {
            scope.spawn(|| work(engine, nodes, &plan, &changed));
        }
    });
    let plan = plan.into_inner().unwrap_or_else(PoisonError::into_inner);
    plan.error.map_or(Ok(plan.done), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One worker: takes recipes whose needs are met until none is left.
fn work(engine: &Engine<'_>, nodes: &[Node<'_>], plan: &Mutex<Plan<'_, '_>>, changed: &Condvar) {
    let mut state = lock(plan);
    loop {
        // A recipe that is running reports the interrupt itself.
        if state.error.is_none() && state.running == 0 && engine.interrupt.is_set() {
            state.error = Some(GraphError::Interrupted { during: None });
        }
        if state.error.is_some() || state.waiting.is_empty() {
            changed.notify_all();
            return;
        }
        let ready = state.waiting.iter().position(|node| {
            let unmet = |need: &String| state.waiting.iter().any(|other| other.name == *need);
            let built = |need: &String| {
                // A need that was neither waiting nor done is one that is running now.
                state.done.iter().any(|step| step.name == *need)
                    || nodes.iter().any(|n| n.name == *need && engine.cached(n).is_some())
            };
            node.needs.iter().all(|need| !unmet(need) && built(need))
        });
        if ready.is_none() && state.running == 0 {
            // Nobody is left who could wake us.
            state.error = gone(engine, &state, nodes);
            continue;
        }
        let Some(ready) = ready.filter(|_| !engine.interrupt.is_set()) else {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let node = state.waiting.remove(ready);
        state.running += 1;
        drop(state);
        // Without this the other workers would wait for the end of a recipe that has none.
        let result = catch_unwind(AssertUnwindSafe(|| build(engine, node, nodes)))
            .unwrap_or_else(|panic| Err(panicked(engine, node, &*panic)));
        state = lock(plan);
        state.running -= 1;
        match result {
            Ok(step) => state.done.push(step),
            // The first error counts: later ones follow from Ctrl-C more often than not.
            Err(error) => drop(state.error.get_or_insert(error)),
        }
        changed.notify_all();
    }
}

/// What a waiting recipe waits for in vain: the store had it when the build began. None if it has
/// come back.
fn gone(engine: &Engine<'_>, plan: &Plan<'_, '_>, nodes: &[Node<'_>]) -> Option<GraphError> {
    let there = |need: &&String| {
        plan.done.iter().any(|step| step.name == **need)
            || plan.waiting.iter().any(|node| node.name == **need)
            || nodes.iter().any(|node| node.name == **need && engine.cached(node).is_some())
    };
    plan.waiting.iter().find_map(|node| {
        let need = node.needs.iter().find(|need| !there(need))?.clone();
        Some(GraphError::Gone { recipe: node.name.clone(), need })
    })
}

/// Builds one recipe, or finds that another build did meanwhile.
fn build(engine: &Engine<'_>, node: &Node<'_>, nodes: &[Node<'_>]) -> Result<Step, GraphError> {
    let progress = engine.reporter.begin(&node.name, None);
    let _claim = engine.store.claim_artifact(&node.name, &node.key, || {
        progress.status("waiting for another build of the same");
    })?;
    if let Some(step) = engine.cached(node) {
        progress.finish("built by another run");
        return Ok(step);
    }
    let begun = Instant::now();
    let log = log_of(engine, node);
    fs::write(&log, "").map_err(failed("writing the log", &log))?;
    let workspace = engine.store.workspace(&node.name, &node.key)?;
    let (out, scratch) = (workspace.join("out"), workspace.join("scratch"));
    for dir in [&out, &scratch] {
        fs::create_dir(dir).map_err(failed("creating", dir))?;
    }
    let mut deps = BTreeMap::new();
    for need in nodes.iter().filter(|n| node.needs.contains(&n.name)) {
        deps.insert(need.name.clone(), engine.store.artifact(&need.name, &need.key));
    }
    let env = Env {
        name: &node.name,
        key: &node.key,
        out: out.clone(),
        scratch,
        log: log.clone(),
        deps,
        locked: &node.locked,
        store: &engine.store,
        lock: &engine.lock,
        progress: &*progress,
        interrupt: &engine.interrupt,
    };
    let built = catch_unwind(AssertUnwindSafe(|| node.recipe.build(&env)))
        .unwrap_or_else(|panic| Err(panic_text(&*panic).into()));
    let finished = built.map_err(|source| wrong(engine, node, &log, source)).and_then(|()| {
        engine
            .interrupt
            .check()
            .map_err(|_| GraphError::Interrupted { during: Some(during(node)) })?;
        let bytes = settle(&out, engine.lock.source_date_epoch())?;
        let seconds = begun.elapsed().as_secs_f64();
        let record = Record { key: node.key, bytes, seconds, inputs: node.lines.clone() };
        let folder = engine.store.commit(&node.name, &record, &out)?;
        let outcome = Outcome::Built;
        Ok(Step { name: node.name.clone(), key: node.key, outcome, seconds, bytes, folder })
    });
    let cleaned = remove_tree(&workspace);
    match &finished {
        Ok(step) => progress.finish(&format!("built in {:.1} s", step.seconds)),
        Err(_) => progress.finish("failed"),
    }
    let step = finished?;
    cleaned?;
    Ok(step)
}

fn wrong(engine: &Engine<'_>, node: &Node<'_>, log: &Path, source: BoxError) -> GraphError {
    if engine.interrupt.is_set() {
        return GraphError::Interrupted { during: Some(during(node)) };
    }
    GraphError::Build { recipe: node.name.clone(), log: log.to_owned(), source }
}

fn during(node: &Node<'_>) -> String {
    format!("building {}", node.name)
}

fn log_of(engine: &Engine<'_>, node: &Node<'_>) -> PathBuf {
    engine.output.join("logs").join(format!("{}.log", node.name))
}

/// Our own code around a recipe has a fault.
fn panicked(engine: &Engine<'_>, node: &Node<'_>, panic: &(dyn Any + Send)) -> GraphError {
    wrong(engine, node, &log_of(engine, node), panic_text(panic).into())
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(|text| &**text));
    format!("a fault of this program: {}", text.unwrap_or("it panicked"))
}

/// Clamps the times of everything in `out` to `epoch` and returns the sum of the files' sizes.
fn settle(out: &Path, epoch: u64) -> Result<u64, StoreError> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    // Contents first: a folder's own time must not change any more after it was set.
    for entry in WalkDir::new(out).contents_first(true) {
        let entry = entry.map_err(|e| failed("reading", out)(e.into()))?;
        let meta = entry.metadata().map_err(|e| failed("reading", entry.path())(e.into()))?;
        if meta.is_file() {
            bytes += meta.len();
        }
        if meta.mtime() > epoch || (meta.mtime() == epoch && meta.mtime_nsec() > 0) {
            let time = Timespec { tv_sec: epoch, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, entry.path(), &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| failed("setting the time of", entry.path())(e.into()))?;
        }
    }
    Ok(bytes)
}
