//! Training from configurations, and the states it saves and goes on from.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use neuropil::datasets::{MNIST_FILES, idx};

#[cfg(target_os = "linux")]
use super::expect;
use super::{fails, neuropil, run, text};

/// A network that trains long enough to be interrupted: a second or so.
const SMALL: &str = "
seed = 3
layers = [300]
[hidden]
epochs = 10
batch = 100
[output.perturbation]
steps = 2000
batch = 200
";

fn small(folder: &Path) -> String {
    let config = folder.join("small.toml");
    fs::write(&config, SMALL).unwrap();
    text(&config).to_owned()
}

#[test]
fn states_resume_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("softmax.toml");
    fs::write(&config, "[output]\nepochs = 2\n").unwrap();
    let state = folder.path().join("state");
    let (out, _) = run(&["train", "softmax", "--config", text(&config), "--save", text(&state)], 0);
    assert!(out.contains("2000 training images") && out.contains("% test"), "{out}");
    let saved = fs::read(&state).unwrap();

    // Another seed than the file's, which has none.
    let seeded = folder.path().join("seeded");
    let other = ["train", "softmax", "--config", text(&config), "--seed", "5", "--save", text(&seeded)];
    run(&other, 0);
    let said = String::from_utf8_lossy(&fs::read(&seeded).unwrap()).into_owned();
    assert!(said.contains("seed = 5") && !said.contains("seed = 0"), "{said:.2000}");
    fails(&["train", "softmax", "--resume", text(&state), "--seed", "5"], 2, &["--seed", "--resume"]);

    // What is there is not begun anew, and neither is another file written over: the configuration say.
    for there in [&state, &config] {
        let before = fs::read(there).unwrap();
        let anew = ["train", "softmax", "--config", text(&config), "--save", text(there)];
        fails(&anew, 1, &[text(there), "is there already", "--resume"]);
        fails(&["train", "softmax", "--resume", text(&state), "--save", text(&config)], 1, &["is there already"]);
        assert!(fs::read(there).unwrap() == before);
    }

    // Finished: resuming only measures.
    let curve = folder.path().join("curve.tsv");
    let (told, _) = run(&["train", "softmax", "--resume", text(&state), "--json", "--curve", text(&curve)], 0);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let test = told["test_accuracy_percent"].as_f64().unwrap();
    assert!(out.contains(&format!("{test:.2} % test")) && told["training_images"] == 2000, "{told}");
    let points = fs::read_to_string(&curve).unwrap();
    let last: Vec<&str> = points.lines().last().unwrap().split('\t').collect();
    assert_eq!((last[0], last.len(), points.lines().count()), ("output", 4, 3), "a point an epoch");
    assert_eq!(last[3].parse::<f64>().unwrap(), test, "{points}");
    assert!(points.lines().skip(1).all(|line| line.rsplit('\t').next().unwrap().len() <= "90.1".len()), "{points}");
    let (again, _) = run(&["train", "softmax", "--resume", text(&state)], 0);
    let accuracies = |out: &str| out.lines().find(|line| line.starts_with("accuracy")).map(str::to_owned);
    assert_eq!(accuracies(&again), accuracies(&out));
    assert!(fs::read(&state).unwrap() == saved, "what is only measured stays as it is");

    // Its answers, and which classes it takes for which.
    let (table, predictions) = (folder.path().join("predictions.tsv"), |on: &str| {
        let told = ["test", text(&state), "--on", on, "--json"];
        serde_json::from_str::<serde_json::Value>(&run(&told, 0).0).unwrap()
    });
    let (printed, _) = run(&["test", text(&state), "--predictions", text(&table)], 0);
    let line = printed.lines().find(|line| line.starts_with("accuracy")).unwrap();
    let percent = line.trim_start_matches("accuracy: ").trim_end_matches(" %");
    assert!(out.contains(&format!("{percent} % test")) && printed.contains("as 9"), "{printed}");
    let answers = fs::read_to_string(&table).unwrap();
    let right = answers.lines().skip(1).filter(|line| line.split('\t').nth(1) == line.split('\t').nth(2)).count();
    assert_eq!(answers.lines().count(), 1001);
    assert_eq!(format!("{:.2}", right as f64 / 10.0), percent);
    for (on, count) in [("test", 1000), ("train", 2000)] {
        let told = predictions(on);
        let rows = told["confusion"].as_array().unwrap();
        let all: u64 = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_u64().unwrap()).sum();
        let right: u64 = (0..10).map(|class| rows[class][class].as_u64().unwrap()).sum();
        assert_eq!((all, told["count"].as_u64()), (count, Some(count)));
        assert!((told["accuracy_percent"].as_f64().unwrap() - 100.0 * right as f64 / count as f64).abs() < 1e-9);
    }
    assert!(fs::read(&state).unwrap() == saved, "a test changes nothing");

    let remedy = format!("use `neuropil train softmax --resume {}`", text(&state));
    fails(&["train", "hebbian", "--resume", text(&state)], 1, &["not 'hebbian'", &remedy]);

    let damaged = folder.path().join("damaged");
    let mut flipped = saved.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let cut = format!("found one that was cut off to {} bytes of {}", saved.len() - 1, saved.len());
    for (bytes, words) in [
        (&flipped[..], "the file is damaged"),
        (&saved[..saved.len() - 1], &cut),
        (&saved[..7], "found another format: 7 bytes that begin with ["),
        (b"", "found an empty file"),
        (b"not a state at all", "found another format: 18 bytes that begin with [6e 6f 74 20 61 20 73 74]"),
    ] {
        fs::write(&damaged, bytes).unwrap();
        fails(&["train", "softmax", "--resume", text(&damaged)], 1, &["error: ", text(&damaged), words]);
    }
    fails(&["train", "softmax", "--resume", text(&folder.path().join("none"))], 1, &["none", "cannot"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_and_ends_bit_for_bit_where_the_whole_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(folder.path());
    let whole = folder.path().join("whole");
    run(&["train", "hebbian", "--config", &config, "--save", text(&whole), "--threads", "2"], 0);

    let part = folder.path().join("part");
    // Long enough to be caught in the middle: the plain lines tell when it has begun.
    let mut child = neuropil(&["train", "hebbian", "--config", &config, "--save", text(&part), "--threads", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("hebbian: hidden 1 "), "{line}");
    // Both: what runs in the background of a shell may have been begun with SIGINT ignored. The shell's own `kill`: a program of that name
    // is not everywhere.
    let kill = "kill -INT \"$0\" && kill -TERM \"$0\"";
    let killed = Command::new("sh").args(["-c", kill, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("interrupted: state saved; continue with `neuropil train hebbian --resume"), "{rest}");
    assert_ne!(fs::read(&part).unwrap(), fs::read(&whole).unwrap());

    // Without --save it is saved where it came from.
    run(&["train", "hebbian", "--resume", text(&part), "--threads", "3"], 0);
    assert!(fs::read(&part).unwrap() == fs::read(&whole).unwrap(), "the resumed state differs");
    // Nothing temporary is left behind.
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

/// A training of the small network in this folder, begun by a shell that does `first`, that has taken a step; and where its state is to be.
#[cfg(target_os = "linux")]
fn begun(first: &str, folder: &Path) -> (PathBuf, Child, BufReader<ChildStderr>) {
    let state = folder.join("state");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{first}exec \"$0\" \"$@\""), text(cargo_bin!("neuropil"))]);
    command.args(["train", "hebbian", "--config", &small(folder), "--threads", "1", "--save", text(&state)]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("hebbian: hidden 1 "), "{line}");
    (state, child, err)
}

#[cfg(target_os = "linux")]
pub(crate) fn signal(child: &Child, signals: &[&str]) {
    let script: Vec<String> = signals.iter().map(|signal| format!("kill -{signal} {}", child.id())).collect();
    assert!(Command::new("sh").args(["-c", &script.join(" && ")]).status().unwrap().success());
}

/// What a training says that these signals end, saved.
#[cfg(target_os = "linux")]
fn interrupted(child: &mut Child, err: &mut impl BufRead, signals: &[&str]) -> String {
    signal(child, signals);
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    rest
}

#[test]
fn outputs_are_not_written_over_what_the_same_command_has() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("softmax.toml");
    fs::write(&config, "[output]\nepochs = 1\n").unwrap();
    let (state, again) = (folder.path().join("state"), folder.path().join(".").join("state"));
    let begin = ["train", "softmax", "--config", text(&config)];
    fails(&[&begin[..], &["--save", text(&state), "--curve", text(&again)]].concat(), 2, &["--curve", "--save"]);
    fails(&[&begin[..], &["--curve", text(&config)]].concat(), 2, &["--curve", "--config"]);
    assert!(!state.exists());
    #[cfg(unix)]
    {
        // A link to what is not there yet.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("state", &link).unwrap();
        fails(&[&begin[..], &["--save", text(&state), "--curve", text(&link)]].concat(), 2, &["--curve", "--save"]);
        assert!(!state.exists());
    }
    run(&[&begin[..], &["--save", text(&state)]].concat(), 0);
    let saved = fs::read(&state).unwrap();
    fails(&["train", "softmax", "--resume", text(&state), "--curve", text(&again)], 2, &["--curve", "--resume"]);
    fails(&["test", text(&state), "--predictions", text(&again)], 2, &["--predictions", "STATE"]);
    assert!(fs::read(&state).unwrap() == saved && fs::read(&config).unwrap().len() == 20);
}

/// A file that replaces the one behind an output of the process would take its place, and what the process goes on to print would be lost.
#[cfg(target_os = "linux")]
#[test]
fn files_that_take_the_output_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state, taken) =
        (folder.path().join("softmax.toml"), folder.path().join("state"), folder.path().join("taken"));
    fs::write(&config, "[output]\nepochs = 1\n").unwrap();
    run(&["train", "softmax", "--config", text(&config), "--save", text(&state)], 0);
    let begin = ["train", "softmax", "--config", text(&config), "--curve"];
    let test = ["test", text(&state), "--predictions"];
    let redirected = |arguments: &[&str], path: &str, to: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\" {to}")]).arg(cargo_bin!("neuropil"));
        command.args(arguments).arg(path).current_dir(&folder).stdin(Stdio::null()).output().unwrap()
    };
    for (arguments, path, to) in [
        (&begin[..], "/dev/stdout", ">taken"),
        (&begin, text(&taken), ">>taken"),
        (&test, "/dev/fd/1", ">taken"),
        (&test, "taken", ">taken"),
    ] {
        let (_, err) = expect(redirected(arguments, path, to), 2);
        let words = format!("error: {path}: expected another file than the one that standard output goes to\n");
        assert_eq!(err, words);
    }
    assert_eq!(redirected(&test, "/dev/stderr", "2>taken").status.code(), Some(2));
    let err = fs::read_to_string(&taken).unwrap();
    assert!(err.contains("/dev/stderr: expected another file than the one that standard error goes to"), "{err}");
    // What is printed into a pipe or a device has no file that could be replaced.
    for (path, to) in [("/dev/stdout", ""), ("/dev/stdout", ">/dev/null"), ("/dev/null", "")] {
        let (_, err) = expect(redirected(&test, path, to), 1);
        assert_eq!(err, format!("error: {path}: cannot replace: it is not a regular file\n"));
    }
    // Another file is written beside.
    expect(redirected(&test, "predictions", ">taken"), 0);
    assert!(fs::read_to_string(&taken).unwrap().contains("accuracy: "));
    assert!(fs::read_to_string(folder.path().join("predictions")).unwrap().starts_with("image\t"));
}

#[test]
fn networks_that_are_saved_under_one_name_at_once_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (folder.path().join("softmax.toml"), folder.path().join("state"));
    fs::write(&config, "[output]\nepochs = 1\n").unwrap();
    let begin = |seed: &str| {
        let arguments = ["train", "softmax", "--config", text(&config), "--seed", seed, "--save", text(&state)];
        neuropil(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let runs: Vec<Child> = ["1", "2", "3", "4"].into_iter().map(begin).collect();
    // One that looks when another has saved already is told so.
    let codes: Vec<i32> = runs.into_iter().map(|mut run| run.wait().unwrap().code().unwrap()).collect();
    assert!(codes.iter().all(|code| [0, 1].contains(code)), "{codes:?}");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let states: Vec<_> = names.iter().filter(|name| name.to_str().unwrap().starts_with("state")).collect();
    assert_eq!(states.len(), codes.iter().filter(|code| **code == 0).count(), "{names:?}");
    for state in states {
        run(&["test", text(&folder.path().join(state))], 0);
    }
}

#[test]
fn configurations_that_a_state_has_no_room_for_are_refused_before_training_and_only_if_it_is_to_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("wide.toml");
    // Short as it is written, long with all its spaces.
    let list = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let latents = list(30, &|unit| format!("[{unit},{},20,21]", unit + 1));
    let areas = list(16, &|row| format!("[{row},{},0,1]", row + 1));
    let topology = list(30, &|_| format!("[{areas}]"));
    let map = format!("units=30\nmap={{rows=30,cols=21,latents=[{latents}]}}\ntopology=[{topology}]\n");
    let short = "[base]\nepochs=1\nbatch=500\nsweeps=1\n[read_out]\nepochs=1\nbatch=500\nhidden=1\n";
    fs::write(&config, map + short).unwrap();
    let (state, train) = (folder.path().join("state"), ["train", "hierarchy", "--config", text(&config)]);
    fails(&[&train[..], &["--save", text(&state)]].concat(), 1, &["wide.toml", "at most 6144 bytes", "without --save"]);
    run(&[&train[..], &["--seed", "4"]].concat(), 0);
    assert!(!state.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn what_others_put_there_meanwhile_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (state, mut child, mut err) = begun("", folder.path());
    fs::write(&state, "mine").unwrap();
    let rest = interrupted(&mut child, &mut err, &["TERM"]);
    let beside = format!("{}-2", text(&state));
    assert!(rest.contains(&format!("--resume {beside}`")) && rest.contains("made by another meanwhile"), "{rest}");
    assert_eq!(fs::read(&state).unwrap(), b"mine");
    run(&["train", "hebbian", "--resume", &beside, "--threads", "1"], 0);
}

#[cfg(target_os = "linux")]
#[test]
fn files_and_images_that_do_not_belong_together_are_both_named() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("small");
    fs::create_dir(&images).unwrap();
    let labels: Vec<u8> = (0..20).map(|image| image % 10).collect();
    for [pixels, classes] in MNIST_FILES.as_chunks::<2>().0 {
        fs::write(images.join(pixels), idx::encode(&[20, 5, 5], &[9; 500]).unwrap()).unwrap();
        fs::write(images.join(classes), idx::encode(&[20], &labels).unwrap()).unwrap();
    }
    let (state, mut child, mut err) = begun("", folder.path());
    interrupted(&mut child, &mut err, &["TERM"]);
    let before = fs::read(&state).unwrap();
    let words = [text(&state), "mnist", "--data", "784", "found 25"];
    fails(&["train", "hebbian", "--resume", text(&state), "--data", text(&images)], 1, &words);
    assert!(fs::read(&state).unwrap() == before);
    fails(&["test", text(&state), "--data", text(&images)], 1, &words);
    let empty = folder.path().join("empty.toml");
    fs::write(&empty, "").unwrap();
    let words = [text(&empty), "mnist", "--data"];
    fails(&["train", "hierarchy", "--config", text(&empty), "--data", text(&images)], 1, &words);
}

#[test]
fn a_training_that_diverges_fails() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("wild.toml");
    for (system, wild) in [
        ("softmax", "[output]\nepochs = 1\nrate = 1e38\n"),
        ("backprop", "layers = [5]\nepochs = 1\nrate = 1e38\n"),
        // Their hidden weights have no part in it.
        ("hebbian", "layers = [5]\nhidden.epochs = 1\n[output.backpropagation]\nepochs = 2\nrate = 1e38\n"),
        (
            "dopaminergic",
            "hidden = 50\noutput = { rule = 'adam', rate = 1e38, schedule = 'linear', batch = 10, epochs = 2 }",
        ),
    ] {
        fs::write(&config, wild).unwrap();
        let (out, err) = run(&["train", system, "--config", text(&config)], 1);
        assert!(out.contains("accuracy: ") && err.contains("training diverged"), "{system}: {out}{err}");
    }
}

/// `timeout` signals the process and then its group, a terminal that closes hangs up and ends.
#[cfg(target_os = "linux")]
#[test]
fn two_signals_at_once_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let (state, mut child, mut err) = begun("", folder.path());
    // All are there when it goes on.
    let rest = interrupted(&mut child, &mut err, &["STOP", "INT", "TERM", "HUP", "CONT"]);
    assert!(rest.contains("interrupted: state saved"), "{rest}");
    assert!(state.exists());
}

/// `nohup` ignores SIGHUP, a shell without job control SIGINT too for what it runs in the background.
#[cfg(target_os = "linux")]
#[test]
fn signals_that_were_ignored_stay_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut child, mut err) = begun("trap '' HUP INT; ", folder.path());
    signal(&child, &["HUP", "INT"]);
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
}

#[test]
fn printed_configurations_are_those_of_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("printed.toml");
    for (system, key) in
        [("softmax", "[output]"), ("hebbian", "layers"), ("hierarchy", "topology"), ("evolution", "genes")]
    {
        let (printed, _) = run(&["train", system, "--print-config", "--set", "cifar10"], 0);
        assert!(printed.contains(key), "{system}: {printed}");
        // Read again, and refused for the sake of what was added alone.
        fs::write(&config, format!("lairs = 3\n{printed}")).unwrap();
        fails(&["train", system, "--config", text(&config)], 1, &["lairs"]);
    }
    fails(&["train", "softmax", "--print-config", "--config", text(&config)], 2, &["cannot be used with"]);
}

#[test]
fn configurations_are_checked_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    fails(&["train", "hebbian", "--config", text(&missing)], 1, &["error: ", "missing.toml", "cannot read"]);
    let config = folder.path().join("config.toml");
    for (contents, words) in [
        ("layers = [", &["config.toml"][..]),
        ("lairs = [500]", &["config.toml", "lairs"]),
        ("layers = [0]", &["config.toml, layers[0]: expected", "found 0"]),
        ("layers = 'wide'", &["config.toml"]),
        ("[hidden]\nrate = -1.0", &["config.toml, hidden.rate: expected", "found -1\n"]),
        ("[hidden]\nrate = 1e300", &["config.toml, hidden.rate: expected", "found 1e300\n"]),
        ("\u{0}", &["config.toml"]),
    ] {
        fs::write(&config, contents).unwrap();
        fails(&["train", "hebbian", "--config", text(&config)], 1, words);
    }
    // Without an end: read as far as a configuration can be long.
    if cfg!(unix) {
        fails(&["train", "hebbian", "--config", "/dev/zero"], 1, &["/dev/zero", "more than 6144"]);
    }
    for pause in ["0", "never", "1e9"] {
        fails(
            &["train", "hebbian", "--config", "x", "--save", "y", "--save-every", pause],
            2,
            &["--save-every", "minutes"],
        );
    }
    // A character of several bytes where reading ends: too long, and text all the same.
    fs::write(&config, format!("{}ä", " ".repeat(6144))).unwrap();
    fails(&["train", "hebbian", "--config", text(&config)], 1, &["config.toml", "more than 6144"]);
    fs::write(&config, [0xff, 0xfe]).unwrap();
    fails(&["train", "hebbian", "--config", text(&config)], 1, &["config.toml"]);
    // Nowhere to save: said before training, not after.
    fs::write(&config, "").unwrap();
    let nowhere = folder.path().join("no/such/folder/state");
    fails(
        &["train", "softmax", "--config", text(&config), "--save", text(&nowhere)],
        1,
        &["no/such/folder/state: cannot create"],
    );
    fails(&["train", "softmax", "--config", text(&config), "--save", text(folder.path())], 1, &["directory"]);
    // Names that no file can have: found out at once, too.
    for end in ["state/", "state/."] {
        let path = folder.path().join(end);
        fails(&["train", "softmax", "--config", text(&config), "--save", text(&path)], 1, &["the name of a file", end]);
    }
    #[cfg(unix)]
    {
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        fails(
            &["train", "softmax", "--config", text(&config), "--save", text(&socket)],
            1,
            &["socket", "not a regular file"],
        );
    }
}

#[test]
fn populations_are_told_of_in_every_way_they_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (folder.path().join("e.toml"), folder.path().join("e.safetensors"));
    let small = "genes = 100\nhidden = 30\npopulation = 64\nbatch = 20\ngenerations = 20\n";
    let lifetime = "[lifetime]\nstart = \"rounded\"\n[lifetime.output]\nrule = \"sign_sgd\"\nrate = 0.04\n\
                    schedule = \"linear\"\nbatch = 50\nepochs = 1\n";
    for (text_of_it, lived) in [(small.to_owned(), false), (format!("{small}{lifetime}"), true)] {
        fs::write(&config, text_of_it).unwrap();
        let (printed, _) = run(&["train", "evolution", "--config", text(&config), "--save", text(&state)], 0);
        let (told, _) = run(&["train", "evolution", "--resume", text(&state), "--json"], 0);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let tests = &told["test_accuracies_percent"];
        for (key, words) in [
            ("sampled_genotypes", "\ntest accuracy of sampled genotypes, their mean: "),
            ("rounded_genotype", "\nof the rounded genotype: "),
            ("expected_weights", "\nof the expected weights W p: "),
            ("after_lifetime", "\nafter the lifetime: "),
        ] {
            let figure = tests[key].as_f64();
            let line = figure.map(|percent| format!("{words}{percent:.2} %\n"));
            assert!(line.is_none_or(|line| printed.contains(&line)), "{key}: {tests} {printed}");
            assert_eq!(
                (figure.is_some(), printed.contains(words)),
                (lived || key != "after_lifetime", figure.is_some())
            );
        }
        let last = if lived { "after_lifetime" } else { "expected_weights" };
        assert_eq!(told["test_accuracy_percent"], tests[last], "{told}");
        fs::remove_file(&state).unwrap();
    }
}
