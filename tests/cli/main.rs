//! The command line as a user meets it: help, wrong usage, damaged files, interruption and resumption.
#![cfg(feature = "cli")]

mod data;
mod reproduction;
mod states;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use neuropil::datasets::MNIST_FILES;
use serde_json::Value;

/// The command in an environment that finds no data and forces nothing.
pub(crate) fn neuropil(arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("neuropil"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["NEUROPIL_SIMD", "NEUROPIL_DATA", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    command.env("HOME", "/nonexistent").env("NO_COLOR", "1");
    command
}

#[track_caller]
pub(crate) fn run(arguments: &[&str], code: i32) -> (String, String) {
    expect(neuropil(arguments).output().unwrap(), code)
}

#[track_caller]
pub(crate) fn expect(output: Output, code: i32) -> (String, String) {
    let texts = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", texts.0, texts.1);
    texts
}

/// The command fails with this exit code and says all of `words` on standard error, nothing on standard output.
#[track_caller]
pub(crate) fn fails(arguments: &[&str], code: i32, words: &[&str]) {
    let (out, err) = run(arguments, code);
    assert_eq!(out, "", "{arguments:?}");
    assert!(!err.contains("panicked"), "{err}");
    for word in words {
        assert!(err.contains(word), "{arguments:?} should say '{word}': {err}");
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_command_explains_itself() {
    let (out, _) = run(&["--help"], 0);
    for command in ["reproduce", "train", "test", "verify", "data", "info", "completions"] {
        assert!(out.contains(&format!("\n  {command} ")), "{command}: {out}");
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
    fails(&["reproduce", "--quick", "--seed", "9223372036854775807", "--runs", "2"], 2, &["--seed", "2 runs"]);
    for command in [&["reproduce", "--quick"][..], &["train", "softmax", "--config", "x"], &["verify"]] {
        let most = if command[0] == "verify" { u64::MAX } else { i64::MAX as u64 };
        let range = format!("expected an integer from 0 to {most}");
        for seed in ["-1", "many", "18446744073709551616"] {
            fails(&[command, &["--seed", seed]].concat(), 2, &["--seed", seed, &range]);
        }
    }
    fails(&["completions", "elvish-but-wrong"], 2, &["bash", "zsh"]);
}

#[test]
fn instruction_sets_that_cannot_be_had_are_refused() {
    for arguments in [&["info"][..], &["verify"]] {
        let output = neuropil(arguments).env("NEUROPIL_SIMD", "sse9").output().unwrap();
        let (_, err) = expect(output, 1);
        let said = "error: instruction set 'sse9' is not available: NEUROPIL_SIMD asks for it, but it is not one of ";
        assert!(err.starts_with(said) && err.contains("portable"), "{err}");
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
    assert!(out.contains("`neuropil data fetch mnist` downloads it\n"), "{out}");
    // Nowhere to download to, unless it is said.
    let (out, _) = expect(neuropil(&["info"]).env_remove("HOME").env_remove("LOCALAPPDATA").output().unwrap(), 0);
    assert!(out.contains("`neuropil data fetch mnist --into DIR` downloads it"), "{out}");
    assert!(out.contains("\ndata folder: none\n"), "{out}");
    // Where it looked, and who said so.
    let of = |arguments: &[&str]| expect(neuropil(arguments).env("NEUROPIL_DATA", "/no/data").output().unwrap(), 0).0;
    assert!(of(&["info"]).contains("\ndata folder: /no/data (named by NEUROPIL_DATA)\n"), "{}", of(&["info"]));
    let told: Value = serde_json::from_str(&of(&["info", "--json"])).unwrap();
    assert_eq!((&told["data_folder"], &told["data_folder_named_by"]), (&"/no/data".into(), &"NEUROPIL_DATA".into()));
    if cfg!(not(windows)) {
        let folder = Path::new("/nonexistent/.cache/neuropil");
        assert_eq!((&info["data_folder"], &info["data_folder_named_by"]), (&text(folder).into(), &Value::Null));
        assert!(run(&["info"], 0).0.contains("\ndata folder: /nonexistent/.cache/neuropil (in the user's cache)\n"));
    }
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
    // Alone a kernel has the shapes and values that it has among all.
    let only =
        ["verify", "--shapes", "4", "--only", "genotype::evaluate, converged", "--only", "dense::matmul", "--json"];
    let some: Value = serde_json::from_str(&run(&only, 0).0).unwrap();
    let some = some["kernels"].as_array().unwrap();
    assert!(some.len() >= 4 && some.iter().all(|report| kernels.contains(report)), "{some:?}");
    fails(&["verify", "--only", "dense::matmull"], 2, &["--only", "'dense::matmul',", "found 'dense::matmull'"]);
    // A forced set is the only one.
    let output = neuropil(&["verify", "--shapes", "2"]).env("NEUROPIL_SIMD", "portable").output().unwrap();
    let (out, _) = expect(output, 0);
    assert!(out.contains("checks passed on portable: ") && !out.contains("scalar  "), "{out}");
    assert!(out.ends_with(" cases; 2 checks of large shapes were left out: they need --shapes 50\n"), "{out}");
}

/// A reader that goes away is no failure and no panic.
#[test]
fn output_may_close_early() {
    for arguments in [
        &["completions", "bash"][..],
        &["info", "--json"],
        &["verify", "--shapes", "1"],
        &["train", "--help"],
        &["--version"],
    ] {
        let mut child = neuropil(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (_, err) = expect(child.wait_with_output().unwrap(), 0);
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    for arguments in [&["--help"][..], &["train", "--help"], &["--version"], &["info"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let (_, err) = expect(neuropil(arguments).stdout(full).output().unwrap(), 1);
        assert!(err.starts_with("error: cannot write to standard output: "), "{arguments:?}: {err}");
    }
}
