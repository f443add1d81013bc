//! The command line as a user meets it: help, wrong usage, damaged files, interruption and resumption.
#![cfg(feature = "cli")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use neuropil::datasets::{MNIST_FILES, Set, cifar, idx};
use serde_json::Value;

/// The command in an environment that finds no data and forces nothing.
fn neuropil(arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("neuropil"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["NEUROPIL_SIMD", "NEUROPIL_DATA", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    command.env("HOME", "/nonexistent").env("NO_COLOR", "1");
    command
}

#[track_caller]
fn run(arguments: &[&str], code: i32) -> (String, String) {
    expect(neuropil(arguments).output().unwrap(), code)
}

#[track_caller]
fn expect(output: Output, code: i32) -> (String, String) {
    let texts = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", texts.0, texts.1);
    texts
}

/// The command fails with this exit code and says all of `words` on standard error, nothing on standard output.
#[track_caller]
fn fails(arguments: &[&str], code: i32, words: &[&str]) {
    let (out, err) = run(arguments, code);
    assert_eq!(out, "", "{arguments:?}");
    assert!(!err.contains("panicked"), "{err}");
    for word in words {
        assert!(err.contains(word), "{arguments:?} should say '{word}': {err}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_command_explains_itself() {
    let (out, _) = run(&["--help"], 0);
    for command in ["reproduce", "train", "verify", "data", "info", "completions"] {
        assert!(out.contains(command), "{command}: {out}");
        let (out, _) = run(&[command, "--help"], 0);
        assert!(out.contains("Usage: neuropil"), "{command}: {out}");
    }
    assert!(run(&["--help"], 0).0.contains("NEUROPIL_DATA"));
    let (out, _) = run(&["reproduce", "--help"], 0);
    assert!(out.contains("nn-hebbian-wp") && out.contains("images-linear") && out.contains("theory"), "{out}");
    let (out, _) = run(&["train", "--help"], 0);
    assert!(out.contains("neuropil::systems::hebbian::Config"), "{out}");
    assert_eq!(run(&["--version"], 0).0, format!("neuropil {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    fails(&[], 2, &["Usage"]);
    fails(&["learn"], 2, &["unrecognized subcommand", "learn"]);
    fails(&["train", "hebbian"], 2, &["--config", "--resume"]);
    fails(&["train", "hopfield", "--config", "x"], 2, &["krotov-hopfield"]);
    fails(&["train", "hebbian", "--config", "x", "--resume", "y"], 2, &["cannot be used with"]);
    fails(&["reproduce", "--threads", "0"], 2, &["--threads", "1 to 1024"]);
    fails(&["reproduce", "--threads", "many"], 2, &["--threads", "1 to 1024"]);
    fails(&["reproduce", "--runs", "0"], 2, &["--runs"]);
    fails(&["reproduce", "--quick", "--data", "x"], 2, &["cannot be used with"]);
    fails(&["verify", "--shapes", "0"], 2, &["--shapes"]);
    // Configurations hold seeds up to 2^63 - 1; what is beyond would be another seed.
    fails(&["reproduce", "--quick", "--seed", "9223372036854775808"], 2, &["--seed", "9223372036854775807"]);
    fails(&["reproduce", "--quick", "--seed", "9223372036854775807", "--runs", "2"], 1, &["--seed", "2 runs"]);
    fails(&["completions", "elvish-but-wrong"], 2, &["bash", "zsh"]);
}

#[test]
fn instruction_sets_that_cannot_be_had_are_refused() {
    for arguments in [&["info"][..], &["verify"]] {
        let output = neuropil(arguments).env("NEUROPIL_SIMD", "sse9").output().unwrap();
        let (_, err) = expect(output, 1);
        assert!(err.starts_with("error: ") && err.contains("sse9") && err.contains("portable"), "{err}");
    }
}

#[test]
fn info_tells_what_was_found_and_chosen() {
    let info: Value = serde_json::from_str(&run(&["info", "--json"], 0).0).unwrap();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let sets: Vec<&str> =
        info["instruction_sets"].as_array().unwrap().iter().map(|set| set.as_str().unwrap()).collect();
    assert!(sets.contains(&"scalar") && sets.contains(&info["instruction_set"].as_str().unwrap()), "{info}");
    assert!(info["threads"].as_u64().unwrap() >= 1);
    assert_eq!(info["data"]["mnist"], Value::Null, "no folder has it");
    let output = neuropil(&["info"]).env("NEUROPIL_SIMD", "scalar").output().unwrap();
    let (out, _) = expect(output, 0);
    assert!(out.contains("scalar (forced by NEUROPIL_SIMD)"), "{out}");
    assert!(out.contains("neuropil data fetch mnist"), "{out}");
}

/// Folders may have names that are no text.
#[cfg(target_os = "linux")]
#[test]
fn info_bears_folders_whose_names_are_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join(OsStr::from_bytes(b"d\xff"));
    fs::create_dir_all(data.join("mnist")).unwrap();
    for name in MNIST_FILES {
        fs::write(data.join("mnist").join(name), "").unwrap();
    }
    let output = neuropil(&["info", "--json"]).env("NEUROPIL_DATA", &data).output().unwrap();
    let info: Value = serde_json::from_str(&expect(output, 0).0).unwrap();
    assert!(info["data"]["mnist"].as_str().unwrap().ends_with("mnist"), "{info}");
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (out, _) = run(&["completions", shell], 0);
        assert!(out.contains("neuropil") && out.contains("reproduce"), "{shell}");
    }
}

#[test]
fn verify_reports_every_kernel_on_every_set() {
    let report: Value = serde_json::from_str(&run(&["verify", "--shapes", "4", "--json"], 0).0).unwrap();
    assert_eq!(report["passed"], true);
    let kernels = report["kernels"].as_array().unwrap();
    let has = |kernel: &str, set: &str| {
        kernels.iter().any(|report| report["kernel"] == kernel && report["instruction_set"] == set)
    };
    for kernel in ["dense::matmul", "hebbian::oja_subspace", "perturb::gaussian", "activation::relu", "pixels::to_f32"]
    {
        assert!(has(kernel, "scalar") && has(kernel, "portable"), "{kernel}");
    }
    for report in kernels {
        assert_eq!(report["shapes"], 4);
        assert!(report["worst_error"].as_f64().unwrap() <= 1.0, "{report}");
        assert_eq!(report["equals_scalar"], true, "{report}");
    }
    // A forced set is the only one.
    let output = neuropil(&["verify", "--shapes", "2"]).env("NEUROPIL_SIMD", "portable").output().unwrap();
    let (out, _) = expect(output, 0);
    assert!(out.contains("checks passed on portable: ") && !out.contains("scalar  "), "{out}");
}

/// A reader that goes away is no failure and no panic.
#[test]
fn output_may_close_early() {
    for arguments in [&["completions", "bash"][..], &["info", "--json"], &["verify", "--shapes", "1"]] {
        let mut child = neuropil(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (_, err) = expect(child.wait_with_output().unwrap(), 0);
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn missing_data_are_reported_with_the_remedy() {
    fails(&["reproduce"], 1, &["error: ", "neuropil data fetch mnist"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = text(folder.path());
    fails(&["reproduce", "--data", folder], 1, &["error: ", folder]);
    let config = Path::new(folder).join("empty.toml");
    fs::write(&config, "").unwrap();
    fails(&["train", "softmax", "--config", text(&config), "--data", folder], 1, &["error: ", folder]);
    fails(
        &["train", "softmax", "--config", text(&config), "--set", "embedded", "--data", folder],
        1,
        &["leave out --data"],
    );
    // Both sets in one folder: neither is chosen in silence.
    for name in [Set::Mnist, Set::Cifar10].iter().flat_map(|set| set.files()) {
        fs::write(Path::new(folder).join(name), "").unwrap();
    }
    let both = ["train", "softmax", "--config", text(&config), "--data", folder];
    fails(&both, 1, &[folder, "--set mnist or --set cifar10"]);
}

#[test]
fn printed_configurations_are_those_of_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("printed.toml");
    for (system, key) in
        [("softmax", "[output]"), ("hebbian", "layers"), ("hierarchy", "topology"), ("evolution", "genes")]
    {
        let (printed, _) = run(&["train", system, "--print-config"], 0);
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
        ("layers = [0]", &["layers[0]", "found 0"]),
        ("layers = 'wide'", &["config.toml"]),
        ("[hidden]\nrate = -1.0", &["hidden.rate"]),
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

    // Finished: resuming only measures.
    let (again, _) = run(&["train", "softmax", "--resume", text(&state)], 0);
    let accuracies = |out: &str| out.lines().find(|line| line.starts_with("accuracy")).map(str::to_owned);
    assert_eq!(accuracies(&again), accuracies(&out));
    assert!(fs::read(&state).unwrap() == saved, "what is only measured stays as it is");
    let remedy = format!("use `neuropil train softmax --resume {}`", text(&state));
    fails(&["train", "hebbian", "--resume", text(&state)], 1, &["not 'hebbian'", &remedy]);

    let damaged = folder.path().join("damaged");
    let mut flipped = saved.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for bytes in [&flipped[..], &saved[..saved.len() - 1], &saved[..7], b"", b"not a state at all"] {
        fs::write(&damaged, bytes).unwrap();
        fails(&["train", "softmax", "--resume", text(&damaged)], 1, &["error: ", "damaged"]);
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
    assert!(rest.contains("interrupted: state saved; continue with --resume"), "{rest}");
    assert_ne!(fs::read(&part).unwrap(), fs::read(&whole).unwrap());

    // Without --save it is saved where it came from.
    run(&["train", "hebbian", "--resume", text(&part), "--threads", "3"], 0);
    assert!(fs::read(&part).unwrap() == fs::read(&whole).unwrap(), "the resumed state differs");
    // Nothing temporary is left behind.
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

/// A training of the small network, begun by a shell that does `first`, until it has taken a step.
#[cfg(target_os = "linux")]
fn begun(first: &str, config: &str, state: &Path) -> (std::process::Child, impl BufRead) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{first}exec \"$0\" \"$@\""), text(cargo_bin!("neuropil"))]);
    command.args(["train", "hebbian", "--config", config, "--threads", "1", "--save", text(state)]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("hebbian: hidden 1 "), "{line}");
    (child, err)
}

#[cfg(target_os = "linux")]
fn signal(child: &std::process::Child, signals: &[&str]) {
    let script: Vec<String> = signals.iter().map(|signal| format!("kill -{signal} {}", child.id())).collect();
    assert!(Command::new("sh").args(["-c", &script.join(" && ")]).status().unwrap().success());
}

/// `timeout` signals the process and then its group, a terminal that closes hangs up and ends.
#[cfg(target_os = "linux")]
#[test]
fn two_signals_at_once_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (small(folder.path()), folder.path().join("state"));
    let (mut child, mut err) = begun("", &config, &state);
    // All are there when it goes on.
    signal(&child, &["STOP", "INT", "TERM", "HUP", "CONT"]);
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("interrupted: state saved"), "{rest}");
    assert!(state.exists());
}

/// `nohup` ignores SIGHUP, a shell without job control SIGINT too for what it runs in the background.
#[cfg(target_os = "linux")]
#[test]
fn signals_that_were_ignored_stay_so() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (small(folder.path()), folder.path().join("state"));
    let (mut child, mut err) = begun("trap '' HUP INT; ", &config, &state);
    signal(&child, &["HUP", "INT"]);
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
}

#[test]
fn a_reproduction_writes_report_results_and_figures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/out");
    let arguments = ["reproduce", "hebbian", "--quick", "--only", "softmax", "--out", text(&out), "--json"];
    let (printed, _) = run(&arguments, 0);
    let results: Value = serde_json::from_str(&fs::read_to_string(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), results);
    let result = &results[0];
    assert_eq!(result["system"], "hebbian");
    assert!(result["ours"].as_f64().unwrap() > 80.0, "{result}");
    assert_eq!(result["runs"].as_array().unwrap().len(), 1);
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(report.contains("softmax regression") && report.contains("2000 to train"), "{report}");
    for figure in report.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(out.join(figure).exists(), "{figure}");
    }
    assert!(fs::read(out.join("learning-curves.png")).unwrap().starts_with(b"\x89PNG"));
    // The same seed gives the same figures, and existing files are replaced.
    let (again, _) = run(&arguments, 0);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again[0]["runs"], result["runs"]);

    fails(&["reproduce", "--quick", "--only", "softmacks", "--out", text(&out)], 1, &["softmacks", "hebbian-wp"]);
    // The images of another set would be answered with those of this one.
    for system in ["hebbian", "organism", "evolution"] {
        fails(&["reproduce", system, "--set", "cifar10", "--out", text(&out)], 1, &["MNIST alone", "--set"]);
    }
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fails(&["reproduce", "--quick", "--out", text(&file)], 1, &["cannot create", "file"]);
}

#[test]
fn a_report_that_cannot_be_written_costs_neither_the_training_nor_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Space behind the commas of a list is no part of a name.
    let only = ["reproduce", "--quick", "--only", "softmax, theory", "--out", text(&out)];
    // In the way of the report: found out before anything is trained.
    fs::create_dir_all(out.join("evolution/report.md")).unwrap();
    let (printed, err) = run(&only, 1);
    assert!(printed.is_empty() && err.contains("evolution/report.md: cannot replace: it is a directory"), "{err}");
    assert!(!err.contains("softmax"), "nothing was trained: {err}");
    fs::remove_dir(out.join("evolution/report.md")).unwrap();
    // In the way of a figure: what was trained is told.
    fs::create_dir_all(out.join("evolution/linear-target.svg")).unwrap();
    let (printed, err) = run(&only, 1);
    assert!(err.contains("linear-target.svg"), "{err}");
    assert!(printed.contains("softmax regression") && printed.contains("cosine of the rounded genotype"), "{printed}");
    assert!(out.join("hebbian/report.md").exists());
}

/// Populations lie beside their report, wherever it is: the command for evolution alone finds those of the one for all.
#[cfg(target_os = "linux")]
#[test]
fn interrupted_evolution_says_where_its_states_are() {
    let folder = tempfile::tempdir().unwrap();
    let (out, data) = (folder.path().join("out"), Path::new(env!("CARGO_MANIFEST_DIR")).join("data"));
    let mut child = neuropil(&["reproduce", "--only", "softmax,nne-10", "--data", text(&data), "--out", text(&out)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut err, mut line) = (BufReader::new(child.stderr.take().unwrap()), String::new());
    while !line.contains("nne-10") {
        line.clear();
        assert!(err.read_line(&mut line).unwrap() > 0, "it ended");
    }
    // Both, as above.
    signal(&child, &["INT", "TERM"]);
    let (mut printed, mut rest) = (String::new(), String::new());
    err.read_to_string(&mut rest).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    let states = out.join("evolution/states");
    let words = format!("the populations are saved in {}, and the same command goes on there", states.display());
    assert!(rest.contains(&words), "{rest}");
    assert_eq!(fs::read_dir(&states).unwrap().count(), 1);
    assert!(!out.join("states").exists());
    assert!(printed.contains("softmax regression"), "{printed}");
}

#[test]
fn the_hierarchy_is_reproduced_with_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments =
        ["reproduce", "hierarchy", "--quick", "--only", "a3,meta", "--threads", "2", "--out", text(&out), "--json"];
    let (printed, _) = run(&arguments, 0);
    let results: Value = serde_json::from_str(&printed).unwrap();
    let has =
        |quantity: &str| results.as_array().unwrap().iter().any(|r| r["quantity"].as_str().unwrap().contains(quantity));
    assert!(has("test accuracy, %") && has("after") && has("accepted moves"), "{printed}");
    assert!(results[0]["ours"].as_f64().unwrap() > 80.0, "{}", results[0]);
    for file in [
        "report.md",
        "results.json",
        "topologies.svg",
        "topologies-animated.png",
        "meta-steps.png",
        "entropy-accuracy.png",
    ] {
        assert!(out.join(file).exists(), "{file}");
    }
    // A name that belongs to one system leaves the others out.
    let (again, _) = run(&["reproduce", "--quick", "--only", "a3", "--threads", "1", "--out", text(&out), "--json"], 0);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again[0]["runs"], results[0]["runs"], "threads do not show");
    fails(&["reproduce", "hierarchy", "--quick", "--only", "softmax", "--out", text(&out)], 1, &["softmax", "ar3"]);
    fails(&["reproduce", "hebbian", "--set", "cifar10", "--out", text(&out)], 1, &["MNIST alone"]);
}

#[test]
fn a_hierarchy_is_trained_and_continued() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (folder.path().join("h.toml"), folder.path().join("h.safetensors"));
    fs::write(&config, "topology = \"random\"\n[base]\nepochs = 2\n[meta]\nsteps = 1\nperturbations = 2\n").unwrap();
    let arguments = ["train", "hierarchy", "--config", text(&config), "--set", "embedded", "--save", text(&state)];
    assert!(run(&arguments, 0).0.contains("hierarchy on"));
    let again = ["train", "hierarchy", "--resume", text(&state), "--set", "embedded"];
    assert!(run(&again, 0).0.contains("accuracy: "));
    fs::write(&config, "units = 9\n").unwrap();
    fails(&arguments, 1, &["units", "1 to 7"]);
}

#[test]
fn an_organism_is_reproduced_trained_and_continued() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments =
        ["reproduce", "organism", "--quick", "--only", "addition", "--runs", "2", "--out", text(&out), "--json"];
    let (printed, _) = run(&arguments, 0);
    let results: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(results[0]["runs"], serde_json::json!([100.0, 100.0]), "every particle reproduces itself");
    assert!(results[1]["ours"].as_f64().unwrap() < -5.0, "{printed}");
    for file in ["report.md", "results.json", "addition-classes.svg", "addition-losses.png", "addition-robustness.png"]
    {
        assert!(out.join(file).exists(), "{file}");
    }
    fails(&["reproduce", "organism", "--quick", "--only", "a3", "--out", text(&out)], 1, &["a3", "images-linear"]);
    fails(&["reproduce", "organism", "--set", "cifar10", "--out", text(&out)], 1, &["MNIST alone"]);

    let (config, state) = (folder.path().join("o.toml"), folder.path().join("o.safetensors"));
    fs::write(&config, "batch = 200\nepochs = 2\nside = 7\n[self_replication]\nsteps = 2\n").unwrap();
    let arguments = ["train", "organism", "--config", text(&config), "--set", "embedded", "--save", text(&state)];
    assert!(run(&arguments, 0).0.contains("organism on"));
    let again = ["train", "organism", "--resume", text(&state), "--set", "embedded"];
    assert!(run(&again, 0).0.contains("accuracy: "));
    fs::write(&config, "epsilon = 0.0\n").unwrap();
    fails(&arguments, 1, &["epsilon", "above 0"]);
}

#[test]
fn a_colour_set_is_cut_with_its_channels_and_never_over_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let (full, small) = (folder.path().join("full"), folder.path().join("small"));
    fs::create_dir(&full).unwrap();
    let labels: Vec<u8> = (0..20).map(|image| image % 10).collect();
    let pixels: Vec<u8> = (0..20 * 3 * 2 * 4).map(|pixel| (pixel % 251) as u8).collect();
    let [images, digits, test_images, test_digits] = MNIST_FILES.map(|name| full.join(name));
    for (path, dimensions, values) in [
        (&images, &[20, 3, 2, 4][..], &pixels),
        (&digits, &[20], &labels),
        (&test_images, &[20, 3, 2, 4], &pixels),
        (&test_digits, &[20], &labels),
    ] {
        fs::write(path, idx::encode(dimensions, values).unwrap()).unwrap();
    }
    let subset = |into: &Path| {
        neuropil(&["data", "subset", "--train", "1", "--test", "2", "--from", text(&full), "--into", text(into)])
            .output()
            .unwrap()
    };
    expect(subset(&small), 0);
    let split = neuropil::datasets::mnist(&small).unwrap();
    assert_eq!((split.train.len(), split.test.len(), split.train.channels()), (10, 20, 3));
    assert_eq!(split.train.image(9), &pixels[9 * 24..10 * 24]);
    let before = fs::read(&images).unwrap();
    let (_, err) = expect(subset(&folder.path().join("small/../full")), 1);
    assert!(err.contains("--into is the folder of the full set"), "{err}");
    let (_, err) = expect(subset(&small), 1);
    assert!(err.contains("is there already"), "{err}");
    assert_eq!(fs::read(&images).unwrap(), before);
}

#[test]
fn files_are_described_one_by_one_and_by_their_headers_first() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, cut, absent) = (folder.path().join("labels"), folder.path().join("cut"), folder.path().join("absent"));
    fs::write(&labels, idx::encode(&[5], &[3, 0, 3, 9, 0]).unwrap()).unwrap();
    // Cut off to a length that records of CIFAR-10 could have, with labels that could be theirs.
    let images = idx::encode(&[100, 28, 28], &[0; 78_400]).unwrap();
    fs::write(&cut, &images[..2 * cifar::RECORD]).unwrap();
    let (out, err) = run(&["data", "info", text(&absent), text(&cut), text(&labels)], 1);
    assert!(out.starts_with(text(&labels)) && out.contains("classes  0: 2, 3: 2, 9: 1"), "{out}");
    assert!(err.contains("absent: cannot open") && err.contains("2 of 3 files"), "{err}");
    assert!(err.contains("expected 78416 bytes for 100 x 28 x 28 unsigned bytes, found a file of 6146 bytes"), "{err}");
    fails(&["data", "info", text(&cut)], 1, &["found a file of 6146 bytes"]);
    // Labels in more pieces than one.
    fs::write(&labels, idx::encode(&[200_000], &vec![7; 200_000]).unwrap()).unwrap();
    assert!(run(&["data", "info", text(&labels)], 0).0.contains("classes  7: 200000\n"));
    let records: Vec<u8> = (0..50 * cifar::RECORD).map(|at| if at % cifar::RECORD == 0 { 4 } else { 200 }).collect();
    fs::write(&cut, &records).unwrap();
    assert!(run(&["data", "info", text(&cut)], 0).0.contains("50 records"));
    assert!(run(&["data", "info", text(&cut)], 0).0.contains("classes  4: 50\n"));
    let mut wrong = records;
    wrong[40 * cifar::RECORD] = 11;
    fs::write(&cut, &wrong).unwrap();
    fails(&["data", "info", text(&cut)], 1, &["byte 122920: expected a label below 10, found 11"]);
}

/// A file of a hundred kilobytes that promises as many megabytes and has them: they go by, and are not held.
#[cfg(target_os = "linux")]
#[test]
fn a_large_compressed_file_is_described_in_little_memory() {
    use flate2::write::GzEncoder;
    use std::io::Write;

    const MEBIBYTES: usize = 96;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-images-idx3-ubyte.gz");
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut header = vec![0, 0, 8, 3];
    [MEBIBYTES as u32, 1 << 10, 1 << 10].iter().for_each(|side| header.extend(side.to_be_bytes()));
    fs::write(&path, [member(&header), member(&vec![0; 1 << 20]).repeat(MEBIBYTES)].concat()).unwrap();
    // The shell limits addresses to as many kibibytes as the contents have.
    let limited = |arguments: &str| {
        let script = format!("ulimit -v {} && exec \"$0\" data {arguments}", MEBIBYTES << 10);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(cargo_bin!("neuropil")).arg(folder.path()).output().unwrap()
    };
    let (out, _) = expect(limited("info \"$1/train-images-idx3-ubyte.gz\""), 0);
    assert!(out.contains("IDX, 96 x 1024 x 1024 unsigned bytes"), "{out}");
    // To be cut it has to be held: an error, and no abort.
    for name in &MNIST_FILES[1..] {
        fs::write(folder.path().join(name), idx::encode(&[1], &[0]).unwrap()).unwrap();
    }
    let (_, err) = expect(limited("subset --train 1 --test 1 --from \"$1\" --into \"$1/small\""), 1);
    assert!(err.contains("cannot decompress: no memory for its 100663312 bytes"), "{err}");
}

/// Servers of one archive: what answers do to the part of it that an earlier run brought.
#[test]
fn what_has_arrived_outlives_answers_that_are_no_archive() {
    use flate2::write::GzEncoder;
    use std::io::Write;
    use std::net::TcpListener;

    let page = "<html>Please log in</html>";
    let login = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len());
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\nConnection: close\r\n\r\n\u{1f}".to_owned();
    let nothing = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    let mut archive = GzEncoder::new(Vec::new(), flate2::Compression::default());
    archive.write_all(&idx::encode(&[100], &[3; 100]).unwrap()).unwrap();
    let part = &archive.finish().unwrap()[..20];
    for (answer, words) in [
        (login, "sent something other than the archive"),
        (endless, "1000000000000 bytes or more"),
        (nothing, "sent something other than the archive"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("mnist/.train-images-idx3-ubyte.gz.part");
        fs::create_dir(folder.path().join("mnist")).unwrap();
        fs::write(&kept, part).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                while request.next().is_some_and(|line| !line.is_empty()) {}
                // A client that has enough hangs up.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let mut command = neuropil(&["data", "fetch", "mnist", "--mirror", &mirror, "--into", text(folder.path())]);
        for proxy in ["http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let (_, err) = expect(command.output().unwrap(), 1);
        assert!(err.contains(words) && err.contains("20 bytes of it are kept"), "{err}");
        assert_eq!(fs::read(&kept).unwrap(), part);
    }
}

/// What would wait for a reader for ever, or lose what it leads to.
#[cfg(unix)]
#[test]
fn fetching_replaces_regular_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("mnist/train-images-idx3-ubyte");
    fs::create_dir(folder.path().join("mnist")).unwrap();
    assert!(Command::new("mkfifo").arg(&place).status().unwrap().success());
    fails(
        &["data", "fetch", "mnist", "--mirror", "http://127.0.0.1:1", "--into", text(folder.path())],
        1,
        &["train-images-idx3-ubyte", "not a regular file"],
    );
}
