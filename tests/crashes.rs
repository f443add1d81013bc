//! What becomes of a checkpoint when the process that writes it is killed, the disk is full, or another process writes it
//! too: it is always a whole state, the old one or the new one, from which training ends with the bits it would have had.
//!
//! `.ci/crashes [KILLS]` runs this with more kills than the test suite does.
#![cfg(all(feature = "cli", unix))]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use neuropil::random::{Stream, below};
use neuropil::systems::checkpoint;
use tempfile::TempDir;

/// Every kind of learner that has a checkpoint, to be trained on the digits inside the program in a second or less.
const LEARNERS: [(&str, &str); 10] = [
    (
        "hebbian",
        "layers = [100]\nhidden = { batch = 100, epochs = 4 }\n[output.perturbation]\nbatch = 200\nsteps = 400",
    ),
    (
        "hierarchy",
        "topology = 'random'\nbase = { epochs = 2 }\nmeta = { steps = 1, perturbations = 3 }\nread_out = { epochs = 4 }",
    ),
    (
        "organism",
        "batch = 200\nepochs = 3\nside = 6\nself_replication = { steps = 2, persistent = true }",
    ),
    (
        "evolution",
        "genes = 400\ndensity = 0.02\nhidden = 60\npopulation = 100\nimages_per_class = 20\ngenerations = 60\n
         curve_generations = 10\n[lifetime.output]\nrule = 'adam'\nrate = 0.01\nschedule = 'linear'\nbatch = 20\nepochs = 5",
    ),
    (
        "dopaminergic",
        "hidden = 200\noutput = { rule = 'adam', rate = 0.001, schedule = 'linear', batch = 20, epochs = 6 }",
    ),
    ("krotov-hopfield", "layers = [60]\nbatch = 50\nepochs = 4\n[output]\nbatch = 50\nepochs = 4"),
    ("backprop", "layers = [60, 20]\nbatch = 50\nepochs = 8"),
    ("softmax", "output = { batch = 20, epochs = 8 }"),
    (
        "hebbian",
        "layers = [60, 20]\nmode = 'joint'\nnon_negative = true\n[output.perturbation]\nbatch = 200\nsteps = 200\n[hidden]\nrate = 5e-4\n
         activation = { magnitude_zscore = { axis = 'sample', rescale = false } }",
    ),
    (
        "hierarchy",
        "form = 'masked'\nbase = { epochs = 2 }\nmeta = { rule = 'local_search', steps = 1, perturbations = 2 }\n
         read_out = { epochs = 3, hidden = 0 }",
    ),
];

/// Kills in the test suite, one for each learner; `.ci/crashes` asks for more.
const KILLS: usize = LEARNERS.len();

/// How often what depends on the moment is tried again.
const PATIENCE: usize = 20;

/// Some 20 ms between saves: many of the kills fall into one.
const OFTEN: &str = "0.0003";

/// A configuration and the states of its training, in a folder of their own.
struct Run {
    system: &'static str,
    folder: TempDir,
    config: PathBuf,
}

impl Run {
    fn new((system, text): (&'static str, &str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        fs::write(&config, text).unwrap();
        Run { system, folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Training from this state, or from the beginning if it is not there, with saves of it.
    fn command(&self, state: &Path) -> Command {
        let mut command = Command::new(cargo_bin!("neuropil"));
        for variable in ["NEUROPIL_SIMD", "NEUROPIL_DATA", "XDG_CACHE_HOME"] {
            command.env_remove(variable);
        }
        command.env("HOME", "/nonexistent").env("NO_COLOR", "1");
        command.args(["train", self.system, "--set", "embedded", "--threads", "1"]);
        match state.exists() {
            true => command.arg("--resume").arg(state),
            false => command.arg("--config").arg(&self.config),
        };
        command.arg("--save").arg(state).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn often(&self, state: &Path) -> Child {
        self.command(state).args(["--save-every", OFTEN]).spawn().unwrap()
    }

    /// The state after training that nothing interrupts, and the time that took.
    fn whole(&self, name: &str) -> (Vec<u8>, Duration) {
        let (path, began) = (self.path(name), Instant::now());
        succeeds(self.command(&path).output().unwrap());
        (fs::read(&path).unwrap(), began.elapsed())
    }

    /// Names of temporary files.
    fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with('.')).collect()
    }
}

#[track_caller]
fn succeeds(output: Output) {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// How far a state has come: points of its curve, and bytes that differ from one state to the next.
#[track_caller]
fn steps(path: &Path) -> usize {
    let learner = checkpoint::load(path).unwrap_or_else(|error| panic!("not a whole state: {error}"));
    learner.curve().len()
}

#[test]
fn a_killed_run_leaves_a_whole_state_and_ends_with_the_same_bits() {
    let kills: usize = std::env::var("NEUROPIL_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number of kills"));
    let mut generator = Stream::new(6, "moments to kill").generator();
    let (mut all, mut torn, mut resumed, mut restarted) = (0, 0, 0, 0);
    for (number, learner) in LEARNERS.into_iter().enumerate() {
        let share = kills / LEARNERS.len() + usize::from(number < kills % LEARNERS.len());
        if share == 0 {
            continue;
        }
        let run = Run::new(learner);
        let (whole, time) = run.whole("whole");
        let state = run.path("state");
        let (mut done, mut came) = (0, 0);
        while done < share {
            let mut child = run.often(&state);
            std::thread::sleep(time.mul_f64(below(&mut generator, 1 << 20) as f64 / f64::from(1 << 20)));
            if child.try_wait().unwrap().is_some() {
                // Too late: it was done. That is a result too, and the next kill needs another run.
                succeeds(child.wait_with_output().unwrap());
                assert!(fs::read(&state).unwrap() == whole, "{}: other bits after {done} kills", run.system);
                fs::remove_file(&state).unwrap();
                came = 0;
                restarted += 1;
                continue;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            done += 1;
            torn += usize::from(!run.leftovers().is_empty());
            if state.exists() {
                resumed += 1;
                let now = steps(&state);
                assert!(now >= came, "{}: back to {now} points of the curve from {came}", run.system);
                came = now;
            }
        }
        all += done;
        succeeds(run.often(&state).wait_with_output().unwrap());
        assert!(fs::read(&state).unwrap() == whole, "{}: other bits after {done} kills", run.system);
        assert_eq!(run.leftovers(), [""; 0], "{}: what killed processes left goes with the next save", run.system);
        println!("{}: {done} kills of a run of {:.2} s, ends with the same bits", run.system, time.as_secs_f64());
    }
    println!(
        "{all} kills: {torn} while a state was being written, {resumed} with a state to resume from; {restarted} runs ended first"
    );
    assert_eq!(all, kills);
    assert!(resumed > 0, "nothing was resumed");
}

#[test]
fn processes_that_save_to_one_path_do_not_mix() {
    // Networks of one kind and of two sizes, so that a mixture would be neither.
    let run = Run::new(("softmax", "output = { batch = 20, epochs = 6 }"));
    let other = Run::new(("backprop", "layers = [60]\nbatch = 50\nepochs = 6"));
    let ends = [run.whole("whole").0, other.whole("whole").0];
    let state = run.path("state");
    // Each begins anew.
    let start = |of: &Run| {
        let mut command = of.command(&run.path("none"));
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let at = arguments.iter().position(|argument| argument == "--save").unwrap();
        let program = command.get_program().to_owned();
        command = Command::new(program);
        command.env_remove("NEUROPIL_SIMD").env_remove("NEUROPIL_DATA").env("HOME", "/nonexistent");
        command.args(&arguments[..=at]).arg(&state).args(["--save-every", OFTEN]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut kinds = std::collections::BTreeSet::new();
    // On a busy machine they may run one after the other, and only one be looked at: a few times, until states of both were.
    for _ in 0..PATIENCE {
        let _ = fs::remove_file(&state);
        // The slower first: it is to have looked whether there is a state before another has saved one.
        let mut children = [start(&other), start(&run), start(&run)];
        while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
            if state.exists() {
                kinds.insert(checkpoint::load(&state).expect("a whole state").kind());
            }
        }
        for child in children {
            let output = child.wait_with_output().unwrap();
            // One that begins after another's first save leaves that alone.
            if !String::from_utf8_lossy(&output.stderr).contains("is there already") {
                succeeds(output);
            }
        }
        let end = fs::read(&state).unwrap();
        assert!(ends.contains(&end), "neither of the two");
        assert_eq!(run.leftovers(), [""; 0]);
        if kinds.len() == 2 {
            break;
        }
    }
    assert!(!kinds.is_empty(), "no state was seen while processes saved theirs");
}

#[test]
fn threads_that_save_to_one_path_do_not_mix() {
    let run = Run::new(("softmax", "output = { batch = 20, epochs = 1 }"));
    let other = Run::new(("softmax", "output = { batch = 20, epochs = 2 }"));
    let ends = [run.whole("state").0, other.whole("state").0];
    let path = run.path("both");
    std::thread::scope(|scope| {
        for from in [&run, &other] {
            let (path, from) = (&path, from.path("state"));
            scope.spawn(move || {
                let learner = checkpoint::load(&from).unwrap();
                (0..100).for_each(|_| learner.save(path).unwrap());
            });
        }
        for _ in 0..200 {
            if let Ok(bytes) = fs::read(&path) {
                assert!(ends.contains(&bytes));
            }
        }
    });
    assert!(ends.contains(&fs::read(&path).unwrap()));
    assert_eq!(run.leftovers(), [""; 0]);
}

/// A run that was stopped in its middle: its state, which is as it was after a failing save.
fn begun(run: &Run, state: &Path) -> Vec<u8> {
    for _ in 0..PATIENCE {
        let mut child = run.often(state);
        while !state.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(state.exists(), "no state: {}", String::from_utf8_lossy(&output.stderr));
        // Before half of its eight epochs: it will save itself more than once.
        let learner = checkpoint::load(state).unwrap();
        if learner.curve().len() < 4 {
            return fs::read(state).unwrap();
        }
        fs::remove_file(state).unwrap();
    }
    panic!("{}: {PATIENCE} times training was over before it was stopped after its first save", run.system);
}

#[track_caller]
fn fails_to_save(run: &Run, state: &Path, before: &[u8], output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked") && text.contains(": cannot "), "{text}");
    assert!(words.iter().any(|word| text.contains(word)), "{text}");
    // What came out is told all the same.
    assert!(String::from_utf8_lossy(&output.stdout).contains("accuracy: "), "{text}");
    assert!(fs::read(state).unwrap() == before, "the state before is untouched");
    checkpoint::load(state).unwrap();
    assert_eq!(run.leftovers(), [""; 0]);
}

#[test]
fn a_write_that_fails_leaves_the_state_before() {
    let run = Run::new(("softmax", "output = { batch = 20, epochs = 8 }"));
    let (whole, _) = run.whole("whole");
    let state = run.path("state");
    let before = begun(&run, &state);
    // Files of this process may have 16 blocks of 512 bytes (1024 in some shells): a part of a state.
    let command = run.command(&state);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"]).arg(command.get_program());
    let often = ["--save-every", "0.00001"];
    let output = limited.args(command.get_args()).args(often).env("HOME", "/nonexistent").output().unwrap();
    fails_to_save(&run, &state, &before, &output, &["File too large"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.matches("training goes on").count(), 1, "{text}");
    succeeds(run.command(&state).output().unwrap());
    assert!(fs::read(&state).unwrap() == whole, "and training goes on from it");
}

#[test]
fn a_full_disk_leaves_the_state_before() {
    let run = Run::new(("softmax", "output = { batch = 20, epochs = 8 }"));
    let (whole, _) = run.whole("whole");
    let disk = run.path("disk");
    fs::create_dir(&disk).unwrap();
    let size = format!("size={}", whole.len() / 1024 * 3 / 2 * 1024);
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&disk).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        // Not by a macro, whose lines a test that passes keeps to itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: a full disk, as no small file system can be mounted here ({mounted:?})"
        );
        return;
    }
    let unmount = Unmount(&disk);
    // There is room for one state and a half.
    let state = disk.join("state");
    fs::copy(run.path("whole"), &state).unwrap();
    fs::remove_file(&state).unwrap();
    let full = run.path("begun");
    let before = begun(&run, &full);
    fs::copy(&full, &state).unwrap();
    let output = run.command(&state).output().unwrap();
    fails_to_save(&run, &state, &before, &output, &["No space left"]);
    let names: Vec<_> = fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["state"], "no temporary stays behind");
    // Elsewhere it goes on.
    let moved = run.path("moved");
    fs::copy(&state, &moved).unwrap();
    drop(unmount);
    succeeds(run.command(&moved).output().unwrap());
    assert!(fs::read(&moved).unwrap() == whole);
}

/// Takes the file system away however the test ends.
struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[test]
fn what_is_locked_or_of_another_name_is_not_cleaned_up() {
    let run = Run::new(("softmax", "output = { batch = 200, epochs = 1 }"));
    let state = run.path("state");
    let held = run.path(".state.1-2.tmp");
    let file = fs::File::create(&held).unwrap();
    file.lock().unwrap();
    let others = [".state.1-2.tmp.old", ".state..tmp.x", ".other.1-2.tmp", ".state.x.tmp"].map(|name| run.path(name));
    others.iter().for_each(|path| fs::write(path, "").unwrap());
    fs::write(run.path(".state.77-0.tmp"), "left by a killed process").unwrap();
    succeeds(run.command(&state).output().unwrap());
    assert!(held.exists() && others.iter().all(|path| path.exists()));
    assert_eq!(run.leftovers().len(), 5);
    file.unlock().unwrap();
    checkpoint::load(&state).unwrap().save(&state).unwrap();
    assert!(!held.exists(), "nobody holds it any more");
}
