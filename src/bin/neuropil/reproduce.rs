//! `neuropil reproduce`: the papers' experiments, their figures beside ours.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use neuropil::datasets::{self, Set};
use neuropil::systems::hebbian::experiment::{self, Options, Report, Row, Run, Scale};

use crate::failure::Failure;
use crate::figures::{self, Figure, Kernels, Series};
use crate::progress::{Monitor, duration, note};
use crate::report::{self, Circumstances};
use crate::source::Machine;
use crate::{info, interrupt, output};

/// A learning system of the papers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum System {
    /// Hebbian learning with weight perturbation: table 1 and figure 2
    Hebbian,
}

/// Arguments of `neuropil reproduce`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The system
    #[arg(default_value = "hebbian")]
    system: System,
    /// Train on the 2000 digits inside the program instead of all of MNIST
    #[arg(long, conflicts_with = "data")]
    quick: bool,
    /// The folder of MNIST's files [default: the data folder, see `neuropil info`]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Runs of each experiment, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// The first run's seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    machine: Machine,
    /// Where the report, the results and the figures go
    #[arg(long, value_name = "DIR", default_value = "reproduction")]
    out: PathBuf,
    /// Only these experiments, by their short names, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// Trains, measures, and writes report, results and figures.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let System::Hebbian = arguments.system;
    let mut context = arguments.machine.context()?;
    let (scale, data, images) = if arguments.quick {
        (Scale::Quick, datasets::embedded(), "the MNIST digits inside the program")
    } else {
        (Scale::Full, datasets::open(Set::Mnist, arguments.data.as_deref())?, "MNIST")
    };
    output::create_directory(&arguments.out)?;
    interrupt::listen()?;

    let options = Options {
        runs: arguments.runs as usize,
        seed: arguments.seed,
        only: arguments.only.clone(),
        ..Options::new(scale)
    };
    let began = Instant::now();
    let mut monitor = Monitor::new();
    let report = experiment::reproduce(&mut context, &data, &options, &mut |stage, progress| {
        let label = format!("[{}/{}] {}", stage.done + 1, stage.all, stage.row.name);
        monitor.observe(&label, progress)
    })?;
    drop(monitor);
    let seconds = began.elapsed().as_secs_f64();

    let outcomes = report.outcomes();
    let figures = draw(&report, images, [data.train.channels(), data.train.rows(), data.train.cols()])?;
    let circumstances = Circumstances {
        quick: arguments.quick,
        interrupted: report.interrupted,
        images: format!("{images}: {} to train, {} to test", data.train.len(), data.test.len()),
        cpu: info::cpu_model(),
        isa: context.isa(),
        threads: context.threads().get(),
        runs: arguments.runs,
        seed: arguments.seed,
        seconds,
    };
    // What an unfinished run has goes beside the results of a finished one, not over them.
    let suffix = if report.interrupted { "-partial" } else { "" };
    let json = report::json(&outcomes)?;
    if !report.runs.is_empty() {
        for figure in &figures {
            let path = |extension| arguments.out.join(format!("{}{suffix}.{extension}", figure.name));
            output::write_file(&path("svg"), figure.svg.as_bytes())?;
            output::write_file(&path("png"), &figure.png)?;
        }
        output::write_file(&arguments.out.join(format!("results{suffix}.json")), json.as_bytes())?;
        let text = report::markdown(&circumstances, &outcomes, &figures, suffix);
        output::write_file(&arguments.out.join(format!("report{suffix}.md")), text.as_bytes())?;
    }
    if arguments.json {
        output::print(&json)?;
    } else {
        output::print(&report::table(&outcomes))?;
    }
    if report.interrupted {
        return Err(Failure::Interrupted(match report.runs.len() {
            0 => "no training was finished".to_owned(),
            finished => format!("{finished} trainings were finished: {}/report-partial.md", arguments.out.display()),
        }));
    }
    note(&format!("report.md, results.json and figures are in {}; {}", arguments.out.display(), duration(seconds)));
    Ok(())
}

fn draw(report: &Report, images: &str, [channels, rows, cols]: [usize; 3]) -> Result<Vec<Figure>, Failure> {
    // One line for each row: its first seed.
    let mut seen = HashSet::new();
    let first: Vec<&Run> = report.runs.iter().filter(|run| seen.insert(run.row.name)).collect();
    let curves = |non_negative: bool| -> Vec<Series> {
        first.iter().filter(|run| run.row.non_negative == non_negative).map(|run| curve(run)).collect()
    };
    // Rows that differ in the output alone have the same hidden units: they are shown once.
    let mut networks: Vec<Kernels> = Vec::new();
    for run in first.iter().filter(|run| has_one_hidden_layer(&run.row)) {
        let Some(fields) = run.receptive_fields() else { continue };
        let weights = fields.to_owned();
        if networks.iter().all(|network| network.weights != weights) {
            networks.push(Kernels { name: hidden_rule(&run.row), weights, channels, rows, cols });
        }
    }
    let figures = [
        figures::learning_curves("learning-curves", &format!("Learning curves on {images}"), &curves(false))?,
        figures::learning_curves(
            "learning-curves-non-negative",
            &format!("Non-negative weights: learning curves on {images}"),
            &curves(true),
        )?,
        figures::weight_kernels(&networks)?,
        figures::weight_histogram(&networks)?,
    ];
    Ok(figures.into_iter().flatten().collect())
}

/// Test accuracies, in per cent, of the last phase that has any.
fn curve(run: &Run) -> Series {
    let measured = || run.curve.iter().filter_map(|point| Some((point, point.accuracy?)));
    let phase = measured().next_back().map(|(point, _)| point.phase.clone());
    let points = measured()
        .filter(|(point, _)| Some(&point.phase) == phase.as_ref())
        .map(|(point, accuracy)| (point.step as f64, 100.0 * accuracy))
        .collect();
    Series { name: run.row.description.trim_start_matches("non-negative: ").to_owned(), points }
}

fn has_one_hidden_layer(row: &Row) -> bool {
    row.name != "softmax" && !row.name.ends_with("-2")
}

/// The rule that trained a row's hidden layer, short enough for a title.
fn hidden_rule(row: &Row) -> String {
    let rule = match row.name.trim_start_matches("nn-") {
        name if name.starts_with("hebbian") => "Hebbian (Oja subspace)",
        name if name.starts_with("kh") => "Krotov-Hopfield",
        name if name.starts_with("bp") => "backpropagation",
        _ => row.description,
    };
    if row.non_negative { format!("{rule}, non-negative") } else { rule.to_owned() }
}
