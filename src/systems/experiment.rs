//! What all reproductions share: how much is trained, which rows and seeds, and independent runs side by side.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::replace::create;
use super::{LONGEST_CONFIG, Learner, Observer, Progress, settings};
use crate::context::Context;
use crate::datasets::{Dataset, Split};
use crate::error::{Error, Result};

/// How much is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The embedded images, in less than a minute a system on two cores.
    Quick,
    /// All of a data set.
    Full,
}

/// Where a reproduction stands, for its observer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage<Row> {
    /// The row in training.
    pub row: Row,
    /// Its seed.
    pub seed: u64,
    /// Trainings done so far.
    pub done: usize,
    /// Trainings in all.
    pub all: usize,
}

/// How a reproduction ended: its report has what was finished before, in any case.
#[derive(Debug, Default)]
pub enum Ending {
    /// All was trained.
    #[default]
    Whole,
    /// The observer ended it.
    Interrupted,
    /// A training, or a saved state, ended it with this error.
    Failed(Error),
}

impl Ending {
    /// That of trainings that ended so, of which as many were finished: where none was, an error is all there is.
    pub(crate) fn of(flow: Result<ControlFlow<()>>, finished: usize) -> Result<Ending> {
        match flow {
            Ok(ControlFlow::Continue(())) => Ok(Ending::Whole),
            Ok(ControlFlow::Break(())) => Ok(Ending::Interrupted),
            Err(error) if finished == 0 => Err(error),
            Err(error) => Ok(Ending::Failed(error)),
        }
    }

    /// Whether all was trained.
    pub fn is_whole(&self) -> bool {
        matches!(self, Ending::Whole)
    }
}

/// Called after every few steps, always by the thread that called for the reproduction; `Break` ends it with what was finished.
pub type StageObserver<'a, Row> = dyn FnMut(&Stage<Row>, &Progress<'_>) -> ControlFlow<()> + 'a;

/// Checks that there is something to run and that every name in `only` is a row.
pub(crate) fn check<'a>(runs: usize, only: &[String], rows: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    if runs == 0 {
        return Err(Error::setting("runs", "at least 1", 0));
    }
    match only.iter().find(|name| !rows.clone().any(|row| row == name.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let names: Vec<&str> = rows.collect();
            Err(Error::setting("row", format!("one of {}", names.join(", ")), unknown))
        }
    }
}

/// Whether a row is asked for: it is named, or none is.
pub(crate) fn wanted(only: &[String], row: &str) -> bool {
    only.is_empty() || only.iter().any(|name| name == row)
}

/// The seeds of as many runs. Streams are hashed: neighbouring seeds share nothing.
pub(crate) fn seeds(first: u64, runs: usize) -> impl Iterator<Item = u64> {
    // TOML's integers end at 2^63 - 1.
    (0..runs as u64).map(move |run| first.wrapping_add(run) & i64::MAX as u64)
}

/// Seconds from one saved state to the next.
pub(crate) const PAUSE: f64 = 120.0;

/// Or more: this many times what it takes to begin, or to go on.
const PREPARATIONS: f64 = 10.0;

/// Trains a learner from where it is to the end of its schedule, by calls of `train`, and saves it to `path` every two minutes and wherever
/// it stops; `Break` if the observer stopped it.
pub(crate) fn train_saving<L: Learner + ?Sized>(
    learner: &mut L,
    path: Option<&Path>,
    observer: &mut Observer<'_>,
    train: &mut dyn FnMut(&mut L, &mut Observer<'_>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    loop {
        // Of one that is finished, whether the data are those that it was trained on is still to be checked.
        let (called, done, mut stopped) = (Instant::now(), learner.finished(), false);
        let mut began = None;
        let flow = train(learner, &mut |progress| {
            stopped = observer(progress).is_break();
            // To go on is to prepare anew, which on a slow machine may take longer than the pause.
            let (began, preparation) = *began.get_or_insert_with(|| (Instant::now(), called.elapsed().as_secs_f64()));
            let due = path.is_some() && began.elapsed().as_secs_f64() > PAUSE.max(PREPARATIONS * preparation);
            if stopped || due { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(path) = path.filter(|_| !done) {
            learner.save(path)?;
        }
        if flow.is_continue() || stopped {
            return Ok(flow);
        }
    }
}

/// What a name is among the saved, where CIFAR-10 has its own.
pub(crate) fn of_set(cifar10: bool, name: &str) -> String {
    format!("{}{name}", if cifar10 { "cifar10-" } else { "" })
}

/// The file of a run's state in this folder, and whether it is there already.
pub(crate) fn state(folder: Option<&Path>, name: &str, seed: u64) -> (Option<PathBuf>, bool) {
    let path = folder.map(|folder| folder.join(format!("{name}-seed-{seed}.safetensors")));
    let exists = path.as_ref().is_some_and(|path| path.exists());
    (path, exists)
}

/// What the states of an experiment were trained and measured on, in hexadecimal: [`Dataset::digest`](crate::datasets::Dataset::digest).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digests {
    train: String,
    test: String,
}

impl Digests {
    fn read(path: &Path) -> Result<Self> {
        let text = settings::text(path, LONGEST_CONFIG as u64)?;
        let wrong =
            |found| Error::format(path.display().to_string(), 0, "the digests of the images that states are of", found);
        settings::readable(&text, LONGEST_CONFIG).map_err(wrong)?;
        toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))
    }
}

/// Notes in the folder of states, under an experiment's name, on which images they are trained and measured, or checks that they are these:
/// a state holds its learning curve, and results of one set of images beside those of another would be of neither.
pub(crate) fn keep_to_images(states: Option<&Path>, name: &str, data: &Split) -> Result<()> {
    let Some(folder) = states else { return Ok(()) };
    let path = folder.join(format!("{name}-images.toml"));
    let digest = |images: &Dataset| images.intact_digest().map(|digest| format!("{digest:016x}"));
    let these = Digests { train: digest(&data.train)?, test: digest(&data.test)? };
    let of_kind = |error: &Error, kind| matches!(error, Error::Io { cause, .. } if cause.kind() == kind);
    let those = match Digests::read(&path) {
        Err(error) if of_kind(&error, io::ErrorKind::NotFound) => {
            let text = toml::to_string(&these).expect("two strings have a form in TOML");
            match create(&path, text.as_bytes()) {
                // Another process was faster.
                Err(error) if of_kind(&error, io::ErrorKind::AlreadyExists) => Digests::read(&path)?,
                created => return created,
            }
        }
        read => read?,
    };
    if those == these {
        return Ok(());
    }
    let which = if those.train == these.train { "other test images" } else { "others" };
    let expected =
        format!("those that the states in {} are of; move the folder away or use the same", folder.display());
    Err(Error::setting("images", expected, which))
}

/// What is wrong with a state in the place of a run's.
pub(crate) fn another_state(path: &Path) -> Error {
    let found = format!("another one in {}; move it away or use its configuration", path.display());
    Error::setting("configuration", "that of the saved state", found)
}

/// What a worker tells.
enum News<R> {
    Progress {
        task: usize,
        phase: String,
        step: u64,
        steps: u64,
        loss: Option<f64>,
        accuracy: Option<f64>,
        whole: bool,
    },
    Finished {
        task: usize,
        result: R,
    },
    Stopped,
    Failed(Error),
}

/// Called with the task, how many are done, and where the task stands.
pub(crate) type TaskObserver<'a> = dyn FnMut(usize, usize, &Progress<'_>) -> ControlFlow<()> + 'a;

/// Does independent tasks side by side, which share the threads of the context: each has one if there are as many tasks. The observer is
/// called by the calling thread alone. `run` gives nothing if its observer stopped it. The results of the finished tasks, in the order of these, and how it
/// ended: the first error stops the other tasks, as the observer's `Break` does.
pub(crate) fn side_by_side<R: Send>(
    context: &Context,
    tasks: usize,
    run: impl Fn(&mut Context, usize, &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>) -> Result<Option<R>> + Sync,
    observer: &mut TaskObserver<'_>,
) -> (Vec<R>, Result<ControlFlow<()>>) {
    let (stop, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    // So that no task runs far ahead of an observer that will stop it.
    let (sender, news) = mpsc::sync_channel(1);
    let mut finished: Vec<Option<R>> = (0..tasks).map(|_| None).collect();
    let mut flow = Ok(ControlFlow::Continue(()));
    let own = context.clone().with_threads(context.threads().shared_by(tasks));
    std::thread::scope(|scope| {
        for _ in 0..context.threads().get().min(tasks) {
            let (sender, mut context) = (sender.clone(), own.clone());
            let (stop, next, run) = (&stop, &next, &run);
            scope.spawn(move || {
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= tasks || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut report = |progress: &Progress<'_>| {
                        // A display is not the place to wait. Accuracies are few.
                        let told = progress.step.is_multiple_of(8) || progress.step == progress.steps;
                        if told || progress.accuracy.is_some() {
                            let Progress { phase, step, steps, loss, accuracy, whole } = *progress;
                            let phase = phase.to_owned();
                            let _ = sender.send(News::Progress { task, phase, step, steps, loss, accuracy, whole });
                        }
                        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    };
                    let result = run(&mut context, task, &mut report);
                    // A receiver that went away has no use for more.
                    let _ = sender.send(match result {
                        Ok(Some(result)) => News::Finished { task, result },
                        Ok(None) => News::Stopped,
                        Err(error) => News::Failed(error),
                    });
                }
            });
        }
        drop(sender);
        let mut done = 0;
        for message in news {
            match message {
                News::Progress { task, phase, step, steps, loss, accuracy, whole } => {
                    let progress = Progress { phase: &phase, step, steps, loss, accuracy, whole };
                    if observer(task, done, &progress).is_break() {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                News::Finished { task, result } => {
                    done += 1;
                    finished[task] = Some(result);
                }
                News::Stopped => (),
                News::Failed(error) => {
                    stop.store(true, Ordering::Relaxed);
                    if flow.is_ok() {
                        flow = Err(error);
                    }
                }
            }
        }
    });
    if flow.is_ok() && finished.iter().any(Option::is_none) {
        flow = Ok(ControlFlow::Break(()));
    }
    (finished.into_iter().flatten().collect(), flow)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::parallel::Threads;

    fn context(threads: usize) -> Context {
        Context::new().unwrap().with_threads(Threads::always(threads).unwrap())
    }

    fn progress(step: u64) -> Progress<'static> {
        Progress { phase: "counting", step, steps: 100, loss: None, accuracy: Some(0.5), whole: true }
    }

    #[test]
    fn results_are_in_the_order_of_the_tasks() {
        for threads in [1, 3] {
            let run = |_: &mut Context, task: usize, report: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>| {
                assert!(report(&progress(8)).is_continue());
                Ok(Some(task * task))
            };
            let mut seen = [false; 7];
            let found = side_by_side(&context(threads), 7, run, &mut |task, _, progress| {
                assert_eq!((progress.phase, progress.accuracy), ("counting", Some(0.5)));
                seen[task] = true;
                ControlFlow::Continue(())
            });
            assert_eq!(found.0, (0..7).map(|task| task * task).collect::<Vec<_>>());
            assert!(found.1.unwrap().is_continue());
            assert_eq!(seen, [true; 7]);
        }
        let (none, flow) = side_by_side(&context(2), 0, |_, _, _| Ok(Some(())), &mut |_, _, _| ControlFlow::Break(()));
        assert!(none.is_empty() && flow.unwrap().is_continue());
    }

    #[test]
    fn threads_without_a_task_help_the_others() {
        for (threads, tasks, expected) in [(4, 1, 4), (4, 2, 2), (5, 2, 2), (2, 5, 1), (1, 1, 1)] {
            let run = |context: &mut Context, _, _: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>| {
                Ok(Some(context.threads().get()))
            };
            let found = side_by_side(&context(threads), tasks, run, &mut |_, _, _| ControlFlow::Continue(()));
            assert_eq!(found.0, vec![expected; tasks], "{threads} threads for {tasks} tasks");
        }
    }

    #[test]
    fn a_stop_ends_every_task_and_keeps_what_was_finished() {
        let run = |_: &mut Context, task: usize, report: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>| {
            if task == 0 {
                return Ok(Some(task));
            }
            while report(&progress(8)).is_continue() {}
            Ok(None)
        };
        let found = side_by_side(&context(1), 4, run, &mut |_, done, _| {
            assert_eq!(done, 1);
            ControlFlow::Break(())
        });
        assert_eq!(found.0, [0]);
        assert!(found.1.unwrap().is_break());
    }

    #[test]
    fn states_keep_to_their_images() {
        use crate::datasets::embedded;
        let (folder, split) = (tempfile::tempdir().unwrap(), embedded());
        let keep = |name: &str, split: &Split| keep_to_images(Some(folder.path()), name, split);
        keep_to_images(None, "a", &split).unwrap();
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
        let others = Split { train: split.test.clone(), test: split.test.clone() };
        for (name, images) in [("a", &split), ("b", &others), ("a", &split)] {
            keep(name, images).unwrap();
        }
        let error = keep("a", &others).unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()) && error.ends_with("found others"), "{error}");
        let error = keep("b", &Split { test: split.train.clone(), ..others.clone() }).unwrap_err().to_string();
        assert!(error.ends_with("found other test images"), "{error}");
        keep("b", &others).unwrap();
        std::fs::write(folder.path().join("a-images.toml"), "a = 1").unwrap();
        let error = keep("a", &split).unwrap_err();
        assert!(matches!(&error, Error::Format { origin, .. } if origin.contains("a-images.toml")), "{error}");
    }

    #[test]
    fn of_many_who_begin_with_different_images_one_keeps_the_folder() {
        use crate::datasets::embedded;
        let (folder, split) = (tempfile::tempdir().unwrap(), embedded());
        let (path, others) = (folder.path(), Split { train: split.test.clone(), test: split.test.clone() });
        let outcomes = std::thread::scope(|scope| {
            let keep = |images| scope.spawn(move || keep_to_images(Some(path), "a", images).is_ok());
            [&split, &others, &split, &others].map(keep).map(|keeper| keeper.join().unwrap())
        });
        assert!(outcomes == [true, false, true, false] || outcomes == [false, true, false, true], "{outcomes:?}");
    }

    #[test]
    fn states_are_of_no_images_whose_file_was_cut_off() {
        use crate::datasets::{embedded, tests::cut_off};
        let (states, (_folder, set)) = (tempfile::tempdir().unwrap(), cut_off());
        for split in [Split { train: set.clone(), ..embedded() }, Split { test: set, ..embedded() }] {
            let error = keep_to_images(Some(states.path()), "a", &split).unwrap_err().to_string();
            assert!(error.contains("cut off while in use"), "{error}");
        }
        assert!(std::fs::read_dir(states.path()).unwrap().next().is_none());
    }

    #[test]
    fn what_are_no_digests_is_an_error() {
        let (folder, whole) = (tempfile::tempdir().unwrap(), crate::datasets::embedded());
        let path = folder.path().join("a-images.toml");
        let keep = |split: &Split| keep_to_images(Some(folder.path()), "a", split).unwrap_err().to_string();
        for (text, found) in [
            ("#".repeat(LONGEST_CONFIG + 1), "expected at most 6144 bytes, found 6145 bytes"),
            (format!("a = '{}'", ".".repeat(300)), "300 points and tables, more than 256"),
            ("train = '0'".to_owned(), "missing field"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = keep(&whole);
            assert!(error.contains("images.toml") && error.contains(found), "{error}");
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert!(keep(&whole).contains("images.toml: cannot read"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(keep(&whole).contains("images.toml: cannot open: it is a folder"));
        #[cfg(unix)]
        {
            std::fs::remove_dir(&path).unwrap();
            std::os::unix::fs::symlink("/dev/null", &path).unwrap();
            assert!(keep(&whole).contains("images.toml: cannot open: it is not a regular file"));
        }
    }

    #[test]
    fn a_failure_stops_the_others_and_loses_nothing() {
        let run = |_: &mut Context, task: usize, report: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>| match task {
            0 => Ok(Some(task)),
            1 => Err(Error::setting("task", "another", task)),
            _ => {
                while report(&progress(8)).is_continue() {}
                Ok(None)
            }
        };
        for threads in [1, 2] {
            let (found, flow) = side_by_side(&context(threads), 3, run, &mut |_, _, _| ControlFlow::Continue(()));
            assert_eq!(found, [0]);
            assert!(matches!(Ending::of(flow, 1), Ok(Ending::Failed(Error::Setting { .. }))));
        }
        assert!(matches!(Ending::of(Err(Error::setting("task", "another", 0)), 0), Err(Error::Setting { .. })));
        assert!(Ending::of(Ok(ControlFlow::Continue(())), 0).unwrap().is_whole());
        assert!(!Ending::of(Ok(ControlFlow::Break(())), 0).unwrap().is_whole());
    }

    #[test]
    fn rows_and_runs_are_checked() {
        let rows = || ["a", "b"].into_iter();
        assert!(check(1, &[], rows()).is_ok() && check(1, &["b".to_owned()], rows()).is_ok());
        assert!(check(0, &[], rows()).is_err());
        let error = check(1, &["c".to_owned()], rows()).unwrap_err().to_string();
        assert!(error.contains("a, b") && error.contains('c'), "{error}");
        assert!(wanted(&[], "a") && wanted(&["a".to_owned()], "a") && !wanted(&["a".to_owned()], "b"));
        assert_eq!(seeds(i64::MAX as u64, 2).collect::<Vec<_>>(), [i64::MAX as u64, 0]);
    }
}
