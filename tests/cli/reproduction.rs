//! The reproductions of the papers and what they write.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{expect, fails, neuropil, run, text};

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
    // Less than the paper's by intent, which is said elsewhere.
    assert!(report.contains("This is the quick reproduction") && !report.contains("not the whole of"), "{report}");
    for figure in report.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(out.join(figure).exists(), "{figure}");
    }
    assert!(fs::read(out.join("learning-curves.png")).unwrap().starts_with(b"\x89PNG"));
    // The figures' data, and what was trained: a configuration that trains the same once more.
    let curves = fs::read_to_string(out.join("curves.tsv")).unwrap();
    let (head, points) = curves.split_once('\n').unwrap();
    assert_eq!(head, "row\tseed\tphase\tstep\tloss\ttest accuracy, %");
    let last: Vec<&str> = points.lines().last().unwrap().split('\t').collect();
    assert_eq!(last[..3], ["softmax", "0", "output"]);
    let ours = result["ours"].as_f64().unwrap();
    assert!((last[5].parse::<f64>().unwrap() - ours).abs() < 0.006, "{last:?}");
    for file in ["attacks.tsv", "fits.tsv"] {
        assert!(!out.join(file).exists(), "none was attacked: {file}");
    }
    let config = out.join("configurations/softmax.toml");
    let again = ["train", "softmax", "--config", text(&config), "--set", "embedded"];
    let (printed, _) = run(&again, 0);
    assert!(printed.contains(&format!("{ours:.2} %")), "{printed}");
    // The same seed gives the same figures, and existing files are replaced.
    let (again, _) = run(&arguments, 0);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again[0]["runs"], result["runs"]);

    fails(
        &["reproduce", "--quick", "--only", "softmacks", "--out", text(&out)],
        2,
        &["--only", "softmacks", "hebbian-wp"],
    );
    // A row that only other images have: found out before a folder is made.
    let colour = folder.path().join("colour");
    let only = ["reproduce", "hebbian", "--set", "cifar10", "--only", "hebbian-2", "--out", text(&colour)];
    fails(&only, 2, &["--only", "hebbian-2"]);
    assert!(!colour.exists());
    // The images of another set would be answered with those of this one.
    for system in ["organism", "evolution"] {
        fails(&["reproduce", system, "--set", "cifar10", "--out", text(&out)], 2, &["MNIST alone", "--set"]);
    }
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fails(&["reproduce", "--quick", "--out", text(&file)], 1, &["file: cannot create", "a folder"]);
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

#[test]
fn an_error_in_a_later_row_keeps_the_report_of_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let (out, data) = (folder.path().join("out"), Path::new(env!("CARGO_MANIFEST_DIR")).join("data"));
    let state = out.join("states/bp-seed-0.safetensors");
    fs::create_dir_all(state.parent().unwrap()).unwrap();
    fs::write(&state, "no state").unwrap();
    let both = ["reproduce", "hebbian", "--only", "softmax,bp", "--data", text(&data), "--out", text(&out)];
    let (printed, err) = run(&both, 1);
    assert!(printed.contains("softmax regression"), "{printed}");
    assert!(err.contains("1 training was finished") && err.contains("error: ") && err.contains(text(&state)), "{err}");
    let report = fs::read_to_string(out.join("report-partial.md")).unwrap();
    assert!(report.contains("**Ended by an error (") && report.contains("softmax regression"), "{report}");
    assert!(!out.join("report.md").exists() && fs::read(&state).unwrap() == b"no state");
    // Where nothing was finished there is nothing to tell but the error.
    let (printed, err) = run(&["reproduce", "hebbian", "--only", "bp", "--data", text(&data), "--out", text(&out)], 1);
    assert!(printed.is_empty() && err.contains(text(&state)), "{err}");
}

/// Populations lie beside their report, wherever it is: the command for evolution alone finds those of the one for all.
#[cfg(target_os = "linux")]
#[test]
fn interrupted_evolution_says_where_its_states_are() {
    use super::states::signal;
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

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
    let words = format!("what was trained is saved in {}, and the same command goes on there", states.display());
    assert!(rest.contains(&words), "{rest}");
    assert!(fs::read_dir(&states).unwrap().count() == 2 && states.join("evolution-images.toml").exists());
    assert!(!out.join("states").exists());
    assert!(printed.contains("softmax regression"), "{printed}");
}

#[test]
fn a_hierarchy_that_was_trained_is_not_trained_again() {
    let folder = tempfile::tempdir().unwrap();
    let (out, data) = (folder.path().join("out"), Path::new(env!("CARGO_MANIFEST_DIR")).join("data"));
    let once = || {
        let only = ["reproduce", "hierarchy", "--only", "a2", "--data", text(&data), "--out", text(&out), "--json"];
        let (printed, err) = run(&only, 0);
        let results: Value = serde_json::from_str(&printed).unwrap();
        let figures: Vec<Value> = results.as_array().unwrap().iter().map(|result| result["ours"].clone()).collect();
        assert!(err.starts_with("2000 + 1000 images are not the whole of MNIST"), "before training: {err}");
        (figures, err.contains("a2 seed 0"))
    };
    let (first, trained) = once();
    // The digits inside the program are a part of MNIST.
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    let words =
        "**2000 + 1000 images are not the whole of MNIST, 60000 + 10000 images: figures of them are not those of";
    assert!(report.lines().nth(2).unwrap().contains(words), "{report}");
    assert!(trained && first[0].as_f64().unwrap() > 50.0, "{first:?}");
    let mut states: Vec<_> = fs::read_dir(out.join("states")).unwrap().map(|file| file.unwrap().file_name()).collect();
    states.sort();
    assert_eq!(states, ["a2-seed-0.safetensors", "a2-seed-0.toml", "hierarchy-images.toml"]);
    assert_eq!(once(), (first, false));
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
        "unit-entropies.svg",
        "fixed-topologies.png",
    ] {
        assert!(out.join(file).exists(), "{file}");
    }
    let read = |file: &str| fs::read_to_string(out.join(file)).unwrap();
    let report = read("report.md");
    for part in ["(topologies-animated.png)", "(fixed-topologies.svg)", "the r of table 1 alone"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    // What the figures are made of.
    let steps = read("steps.tsv");
    let header = "row\tseed\tmeta-step\taccuracy\tlogistic\tvalidation\tentropy 0\tentropy 1\tentropy 2\tfield 0\tfield 1\tfield 2";
    assert_eq!(steps.lines().next(), Some(header));
    let accuracy = format!("a3\t0\t0\t{:.4}\t", results[0]["ours"].as_f64().unwrap());
    assert!(steps.lines().nth(1).unwrap().starts_with(&accuracy), "{steps}");
    assert!(steps.contains("\t(0-20, 0-10)\t(0-20, 10-20)\t(0-20, 20-30)\n"), "{steps}");
    assert!(steps.lines().skip(1).all(|line| line.split('\t').count() == 12));
    // Twenty epochs of a3, more of the other with its candidates.
    assert!(read("entropies.tsv").lines().filter(|line| line.starts_with("a3\t")).count() == 20);
    assert!(read("entropies.tsv").lines().count() > 45);
    let (config, state) = (out.join("configurations/meta.toml"), out.join("state"));
    assert!(read("configurations/meta.toml").contains("[meta]") && !out.join("configurations/a1.toml").exists());
    let training = ["train", "hierarchy", "--config", text(&config), "--set", "embedded", "--save", text(&state)];
    assert!(run(&training, 0).0.contains("accepted moves: "));
    // A name that belongs to one system leaves the others out.
    let (again, _) = run(&["reproduce", "--quick", "--only", "a3", "--threads", "1", "--out", text(&out), "--json"], 0);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again[0]["runs"], results[0]["runs"], "threads do not show");
    fails(&["reproduce", "hierarchy", "--quick", "--only", "softmax", "--out", text(&out)], 2, &["softmax", "ar3"]);
}

#[test]
fn a_hierarchy_is_trained_and_continued() {
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (folder.path().join("h.toml"), folder.path().join("h.safetensors"));
    fs::write(&config, "topology = \"random\"\n[base]\nepochs = 2\n[meta]\nsteps = 1\nperturbations = 2\n").unwrap();
    let arguments = ["train", "hierarchy", "--config", text(&config), "--set", "embedded", "--save", text(&state)];
    let (told, _) = run(&arguments, 0);
    for part in
        ["hierarchy on", "\nunit 2: ", " bits, sees (", "\nepoch 2 of the first training: ", "\naccepted moves: "]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("zero hidden weights"), "{told}");
    let described = ["train", "hierarchy", "--resume", text(&state), "--set", "embedded", "--json"];
    let described: Value = serde_json::from_str(&run(&described, 0).0).unwrap();
    let units = described["units"].as_array().unwrap();
    assert_eq!((units.len(), described.get("zero_weights_percent")), (3, None));
    for (number, unit) in units.iter().enumerate() {
        let (entropy, field) = (unit["entropy_bits"].as_f64().unwrap(), unit["field"].as_str().unwrap());
        assert!(told.contains(&format!("\nunit {number}: {entropy:.3} bits, sees {field}\n")), "{unit}: {told}");
    }
    let moves = described["accepted_moves"].as_array().unwrap().len();
    assert!(told.contains(&format!("\naccepted moves: {moves} in 1 meta-steps\n")), "{moves}: {told}");
    let again = ["train", "hierarchy", "--resume", text(&state), "--set", "embedded"];
    let (again, _) = run(&again, 0);
    let after = |told: &str| told[told.find("accuracy: ").unwrap()..].to_owned();
    assert_eq!(after(&again), after(&told));
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
    for file in [
        "report.md",
        "results.json",
        "addition-classes.svg",
        "addition-losses.png",
        "addition-robustness.png",
        "addition-resubstitution.png",
    ] {
        assert!(out.join(file).exists(), "{file}");
    }
    // Both runs, whole: what they were before training and after 60 epochs, ten levels of noise, 18 particles, 1000 pairs.
    for (file, lines) in
        [("epochs.tsv", 61), ("robustness.tsv", 10), ("particles.tsv", 18), ("resubstitution.tsv", 1000)]
    {
        assert_eq!(fs::read_to_string(out.join(file)).unwrap().lines().count(), 1 + 2 * lines, "{file}");
    }
    assert!(!out.join("pixels.tsv").exists(), "no images");
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(report.contains("- images: none\n") && report.contains("Ours is the mean over the runs"), "{report}");
    for words in ["on the test images", "measured on", "This is the quick reproduction"] {
        assert!(!report.contains(words), "addition is trained as in full, and sees none: {words}");
    }
    fails(&["reproduce", "organism", "--quick", "--only", "a3", "--out", text(&out)], 2, &["a3", "images-linear"]);
    fails(&["reproduce", "organism", "--set", "cifar10", "--out", text(&out)], 2, &["MNIST alone"]);

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
fn output_layers_are_reproduced_and_trained_by_what_that_left() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let only = ["reproduce", "evolution", "--quick", "--only", "dnn-1000", "--out", text(&out), "--json"];
    let results: Value = serde_json::from_str(&run(&only, 0).0).unwrap();
    let results = results.as_array().unwrap();
    assert!(results.len() > 1);
    // The accuracies that were measured last are those of the results.
    let curves = fs::read_to_string(out.join("lifetimes.tsv")).unwrap();
    for result in results {
        let (experiment, ours) = (result["experiment"].as_str().unwrap(), result["ours"].as_f64().unwrap());
        let learner = experiment.split(": ").last().unwrap();
        let mut lines = curves.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let last = lines.rfind(|line| line[2] == learner).unwrap();
        assert_eq!((last.len(), last[0], last[1], last[6]), (7, "dnn-1000", "0", &*format!("{ours:.2}")));
    }
    assert!(out.join("output-layers-1000.png").exists() && !out.join("lifetime-learning.png").exists());
    assert!(!out.join("populations.tsv").exists(), "none evolved");
    for (index, result) in results.iter().enumerate() {
        let config = out.join(format!("configurations/dnn-1000-{index}.toml"));
        let command = fs::read_to_string(&config).unwrap();
        let command = command.lines().nth(1).unwrap().trim_start_matches("# neuropil ").replace("THIS", text(&config));
        let words: Vec<&str> = command.split(' ').chain(["--json"]).collect();
        let trained: Value = serde_json::from_str(&run(&words, 0).0).unwrap();
        let [ours, again] = [&result["ours"], &trained["test_accuracy_percent"]].map(|value| value.as_f64().unwrap());
        assert!((ours - again).abs() < 1e-9, "{index}: {ours} and {again}");
    }
}

/// Whether it runs alone or with others.
#[test]
fn every_system_has_a_folder_of_its_own_unless_it_is_given_one() {
    let folder = tempfile::tempdir().unwrap();
    let reproduce = |arguments: &[&str]| {
        let mut command = neuropil(&[&["reproduce", "--quick"], arguments].concat());
        expect(command.current_dir(folder.path()).output().unwrap(), 0)
    };
    for (arguments, reports) in [
        (&["evolution", "--only", "theory"][..], &["reproduction/quick/evolution"][..]),
        (&["--only", "theory,softmax"], &["reproduction/quick/evolution", "reproduction/quick/hebbian"]),
        (&["evolution", "--only", "theory", "--out", "mine"], &["mine"]),
        (&["--only", "theory,softmax", "--out", "ours"], &["ours/evolution", "ours/hebbian"]),
    ] {
        reproduce(arguments);
        let theory = folder.path().join(reports[0]).join("report.md");
        let said = fs::read_to_string(theory).unwrap();
        assert!(said.contains("the linear target evolves for 100,000 generations"), "{said}");
        assert!(!said.contains("on the test images, after") && !said.contains("200 training images a class"), "{said}");
        for report in reports {
            assert!(folder.path().join(report).join("report.md").exists(), "{arguments:?}: {report}");
            assert!(!folder.path().join(report).join("report-some.md").exists(), "{arguments:?}: {report}");
        }
    }
}
