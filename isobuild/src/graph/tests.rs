// SPDX-License-Identifier: MIT OR Apache-2.0

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::progress::Silent;
use crate::recipe::Build;

type Action = dyn Fn(&Build<'_>) -> Result<(), BoxError> + Send + Sync;

struct Fake {
    name: &'static str,
    needs: &'static [&'static str],
    input: String,
    action: Arc<Action>,
}

impl Recipe for Fake {
    fn name(&self) -> String {
        self.name.into()
    }
    fn needs(&self) -> Vec<String> {
        self.needs.iter().map(|n| (*n).to_owned()).collect()
    }
    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.value("input", &self.input);
        Ok(())
    }
    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        (self.action)(build)
    }
}

fn fake(
    name: &'static str,
    needs: &'static [&'static str],
    input: &str,
    action: impl Fn(&Build<'_>) -> Result<(), BoxError> + Send + Sync + 'static,
) -> Box<dyn Recipe> {
    Box::new(Fake { name, needs, input: input.into(), action: Arc::new(action) })
}

struct NoFetch;

impl Fetcher for NoFetch {
    fn fetch(&self, files: &[LockedFile]) -> Result<u64, BoxError> {
        assert!(files.is_empty());
        Ok(0)
    }
}

struct Bench {
    dir: tempfile::TempDir,
    interrupt: Interrupt,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), interrupt: Interrupt::new() }
    }

    fn build(&self, recipes: &[Box<dyn Recipe>], target: &str) -> Result<Report, GraphError> {
        self.build_with(&NoFetch, recipes, target)
    }

    fn build_with(
        &self,
        fetcher: &dyn Fetcher,
        recipes: &[Box<dyn Recipe>],
        target: &str,
    ) -> Result<Report, GraphError> {
        let map = BTreeMap::new;
        let lock = Lock::new("20260101T000000Z".into(), map(), BTreeMap::new(), BTreeMap::new());
        Engine {
            repository: self.dir.path().to_owned(),
            output: self.dir.path().join("target"),
            store: Store::at(&self.dir.path().join("cache")).unwrap(),
            lock: Arc::new(lock.unwrap()),
            fetcher,
            reporter: &Silent,
            interrupt: self.interrupt.clone(),
            workers: 2,
        }
        .build(recipes, &[target])
    }

    fn leftovers(&self) -> usize {
        fs::read_dir(self.dir.path().join("cache/v1/tmp")).unwrap().count()
    }
}

fn copying(dep: &'static str) -> impl Fn(&Build<'_>) -> Result<(), BoxError> + Send + Sync {
    move |build| {
        fs::copy(build.dep(dep)?.join("file"), build.out().join("file"))?;
        Ok(())
    }
}

fn writing(text: &'static str) -> impl Fn(&Build<'_>) -> Result<(), BoxError> + Send + Sync {
    move |build| Ok(fs::write(build.out().join("file"), text)?)
}

fn outcomes(report: &Report) -> Vec<(&str, Outcome)> {
    report.steps.iter().map(|s| (&*s.name, s.outcome)).collect()
}

#[test]
fn a_second_run_builds_nothing_and_a_change_rebuilds_what_follows() {
    let bench = Bench::new();
    let recipes = |input: &str| {
        vec![
            fake("top", &["left", "right"], "", copying("left")),
            fake("left", &["base"], input, copying("base")),
            fake("right", &["base"], "", copying("base")),
            fake("base", &[], "", writing("x")),
        ]
    };
    let first = bench.build(&recipes("1"), "top").unwrap();
    assert!(first.steps.iter().all(|s| s.outcome == Outcome::Built) && first.steps.len() == 4);
    assert_eq!(fs::read_to_string(first.artifact("top").unwrap().join("file")).unwrap(), "x");
    let second = bench.build(&recipes("1"), "top").unwrap();
    assert_eq!(outcomes(&second), [("top", Outcome::Cached)]);
    let third = bench.build(&recipes("2"), "top").unwrap();
    assert_eq!(
        outcomes(&third),
        [
            ("base", Outcome::Cached),
            ("left", Outcome::Built),
            ("right", Outcome::Cached),
            ("top", Outcome::Built)
        ]
    );
    assert_eq!(bench.leftovers(), 0);
}

#[test]
fn a_failed_build_leaves_nothing_and_names_its_log() {
    let bench = Bench::new();
    let recipes = vec![fake("bad", &[], "", |build| {
        fs::write(build.out().join("half"), "x")?;
        Err("the compiler is on strike".into())
    })];
    let error = bench.build(&recipes, "bad").unwrap_err();
    assert!(error.to_string().contains("logs/bad.log"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the compiler is on strike");
    assert_eq!(bench.leftovers(), 0);
    assert_eq!(fs::read_dir(bench.dir.path().join("cache/v1/artifacts")).unwrap().count(), 0);
}

#[test]
fn an_interrupt_keeps_what_was_finished_and_nothing_else() {
    let bench = Bench::new();
    let trip = bench.interrupt.clone();
    let recipes = vec![
        fake("base", &[], "", writing("x")),
        fake("slow", &["base"], "", move |build| {
            trip.trip();
            writing("half")(build)
        }),
        fake("after", &["slow"], "", |_| panic!("must not begin")),
    ];
    let error = bench.build(&recipes, "after").unwrap_err();
    assert!(
        matches!(&error, GraphError::Interrupted { during: Some(d) } if d == "building slow"),
        "{error}"
    );
    assert_eq!(bench.leftovers(), 0);
    let names: Vec<_> = fs::read_dir(bench.dir.path().join("cache/v1/artifacts"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|n| n.starts_with("base-")) && names.len() == 2, "{names:?}");
}

#[test]
fn a_disk_that_fills_up_under_a_recipe_says_what_to_do() {
    let tail = "FATAL ERROR: Failed to write to output filesystem: No space left on device";
    let recipes = [
        fake("own", &[], "", |build| {
            let mut full = fs::OpenOptions::new().write(true).open("/dev/full")?;
            std::io::Write::write_all(&mut full, b"x")?;
            writing("x")(build)
        }),
        fake("program", &[], "", move |_| {
            let (command, status) = ("mksquashfs".to_owned(), "status 1".to_owned());
            Err(crate::sandbox::SandboxError::Program { command, status, tail: tail.into() }.into())
        }),
        fake("other", &[], "", |_| Err("the compiler is on strike".into())),
    ];
    for (name, full) in [("own", true), ("program", true), ("other", false)] {
        let error = Bench::new().build(&recipes, name).unwrap_err();
        let hint = crate::store::full_disk_hint(&error);
        assert_eq!(hint.is_some_and(|hint| hint.contains("XENITH_CACHE")), full, "{name}: {error}");
    }
}

#[test]
fn an_interrupt_while_fetching_names_the_file() {
    struct Stopped;
    impl Fetcher for Stopped {
        fn fetch(&self, _: &[LockedFile]) -> Result<u64, BoxError> {
            Err(FetchError::Interrupted { path: "pool/a.deb".into() }.into())
        }
    }
    let recipes = [fake("a", &[], "", writing("x"))];
    let error = Bench::new().build_with(&Stopped, &recipes, "a").unwrap_err();
    assert!(matches!(error, GraphError::Interrupted { .. }), "{error}");
    assert!(error.to_string().starts_with("interrupted while fetching pool/a.deb;"), "{error}");
}

#[test]
fn a_recipe_that_panics_is_named_and_ends_the_build() {
    let bench = Bench::new();
    let recipes = [
        fake("bad", &[], "", |_| panic!("out of {}", "luck")),
        fake("good", &[], "", writing("x")),
        fake("top", &["bad", "good"], "", writing("x")),
    ];
    let error = bench.build(&recipes, "top").unwrap_err();
    assert!(matches!(&error, GraphError::Build { recipe, .. } if recipe == "bad"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "a fault of this program: out of luck");
    assert_eq!(bench.leftovers(), 0);
}

#[test]
fn an_artifact_that_is_removed_meanwhile_is_named() {
    let bench = Bench::new();
    let base = || fake("base", &[], "", writing("x"));
    bench.build(&[base()], "base").unwrap();
    let store = Store::at(&bench.dir.path().join("cache")).unwrap();
    let recipes = [
        base(),
        fake("first", &[], "", move |build| {
            store.clean(true, false)?;
            // What a real `clean` takes away from under a running build too.
            fs::create_dir_all(build.out())?;
            writing("x")(build)
        }),
        fake("top", &["first", "base"], "", writing("x")),
    ];
    let error = bench.build(&recipes, "top").unwrap_err();
    assert!(
        matches!(&error, GraphError::Gone { recipe, need } if recipe == "top" && need == "base"),
        "{error}"
    );
    assert!(error.to_string().contains("run the same command again"), "{error}");
}

#[test]
fn two_builds_at_once_build_once() {
    let bench = Bench::new();
    let count = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let count = Arc::clone(&count);
                let recipes = vec![fake("one", &[], "", move |build| {
                    count.fetch_add(1, Ordering::SeqCst);
                    writing("x")(build)
                })];
                barrier.wait();
                reports.lock().unwrap().push(bench.build(&recipes, "one").unwrap());
            });
        }
    });
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(reports.into_inner().unwrap().len(), 2);
}

#[test]
fn recipes_that_do_not_fit_together_are_refused() {
    let bench = Bench::new();
    let a = || fake("a", &["b"], "", writing(""));
    let error = bench.build(&[a()], "a").unwrap_err().to_string();
    assert_eq!(error, "there is no recipe b, which a needs");
    let error = bench.build(&[a(), a()], "a").unwrap_err().to_string();
    assert_eq!(error, "there are two recipes named a");
    let b = fake("b", &["a"], "", writing(""));
    let error = bench.build(&[a(), b], "a").unwrap_err().to_string();
    assert_eq!(error, "these recipes need each other: a → b → a");
}

#[test]
fn undeclared_reads_are_refused_and_times_are_clamped() {
    let bench = Bench::new();
    let recipes = vec![fake("a", &[], "", |build| {
        assert!(build.dep("tools").is_err());
        assert!(build.locked_file(&crate::digest::of_bytes(b"")).is_err());
        let error = build.sandbox().run("true", [""; 0]).unwrap_err().to_string();
        assert!(error.contains("does not need the tools"), "{error}");
        writing("x")(build)
    })];
    let report = bench.build(&recipes, "a").unwrap();
    let file = report.artifact("a").unwrap().join("file");
    let time = fs::metadata(file).unwrap().modified().unwrap();
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_767_225_600);
}

#[test]
fn what_a_recipe_needs_is_named_though_the_store_has_it_all() {
    let bench = Bench::new();
    let recipes = [
        fake("tools", &[], "", writing("tools")),
        fake("base", &["tools"], "", copying("tools")),
        fake("image", &["base"], "", copying("base")),
        fake("other", &["tools"], "", copying("tools")),
    ];
    bench.build(&recipes, "image").unwrap();
    assert_eq!(outcomes(&bench.build(&recipes, "image").unwrap()), [("image", Outcome::Cached)]);
    assert_eq!(needed(&recipes, "image").unwrap(), ["tools", "base", "image"]);
    assert!(matches!(needed(&recipes, "iso"), Err(GraphError::Unknown { .. })));
}
