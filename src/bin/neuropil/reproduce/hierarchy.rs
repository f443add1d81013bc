//! The reproduction of the self-organising hierarchy.

use neuropil::Context;
use neuropil::systems::experiment::Scale;
use neuropil::systems::hierarchy::Images;
use neuropil::systems::hierarchy::Named;
use neuropil::systems::hierarchy::experiment::{self, Options, ROWS, Report, Run};

use super::{Arguments, ImageSet, Reproduction};
use crate::failure::Failure;
use crate::figures::{self, Figure, Plot, Series, Sheet};
use crate::progress::Monitor;

pub(super) const TITLE: &str = "The self-organising hierarchy";

/// Names of all rows.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

/// Trains and measures.
pub(super) fn run(context: &mut Context, arguments: &Arguments, only: &[String]) -> Result<Reproduction, Failure> {
    let scale = if arguments.quick { Scale::Quick } else { Scale::Full };
    let kind = if arguments.set == ImageSet::Cifar10 { Images::Cifar10 } else { Images::Mnist };
    let (data, name) = arguments.images()?;
    let options = Options {
        runs: arguments.runs as usize,
        seed: arguments.seed,
        only: only.to_vec(),
        ..Options::new(scale, kind)
    };
    let mut monitor = Monitor::new();
    let report = experiment::reproduce(context, &data, &options, &mut |stage, progress| {
        let run = format!("{} seed {}", stage.row.name, stage.seed);
        monitor.observe_one((stage.done, stage.all), &run, progress)
    })?;
    drop(monitor);
    let learned = longest(&report);
    let mut figures = Vec::new();
    figures.extend(correlation(&report, name)?);
    figures.extend(by_step(&report, name)?);
    let mut files = Vec::new();
    if let Some(run) = learned {
        let sheets = sheets(run, report.map);
        figures.push(figures::feature_maps("topologies", &sheets)?);
        files.push(("topologies-animated.png", figures::animation(&sheets)?));
    }
    Ok(Reproduction {
        title: TITLE,
        images: format!("{name}: {} to train, {} to test", data.train.len(), data.test.len()),
        outcomes: report.outcomes(),
        figures,
        files,
        departures: &experiment::DEPARTURES,
        finished: report.runs.len(),
        interrupted: report.interrupted,
    })
}

/// The run whose fields moved most often.
fn longest(report: &Report) -> Option<&Run> {
    report.runs.iter().filter(|run| run.row.topology == Named::Random).max_by_key(|run| run.steps.len())
}

/// Figure 5: largest entropy and accuracy.
fn correlation(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let mut series = Vec::new();
    for row in &ROWS {
        let mut add = |name: &str, pick: fn(&Run) -> (f64, f64)| {
            let points: Vec<(f64, f64)> = report.of(row).map(pick).collect();
            if !points.is_empty() {
                series.push(Series { name: name.to_owned(), points });
            }
        };
        let last: fn(&Run) -> (f64, f64) = |run| (run.last().largest_entropy(), run.last().accuracy);
        if row.topology == Named::Random {
            add("random", |run| (run.first().largest_entropy(), run.first().accuracy));
            add("meta-learned", last);
        } else {
            add(row.description, last);
        }
    }
    let plot = Plot {
        title: &format!("Entropy and accuracy on {images}"),
        x: "largest entropy of a unit, bits",
        y: "test accuracy, %",
        caption: "Every trained network: the largest entropy of its units' latents, and its accuracy.",
        logarithmic: [false, false],
    };
    figures::scatter("entropy-accuracy", &plot, &series)
}

/// Figure 6: accuracy by meta-step.
fn by_step(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let runs = report.runs.iter().filter(|run| run.row.topology == Named::Random);
    let series: Vec<Series> = runs
        .map(|run| Series {
            name: format!("seed {}", run.seed),
            points: run.steps.iter().map(|step| (step.meta_step as f64, step.accuracy)).collect(),
        })
        .collect();
    let plot = Plot {
        title: &format!("Accuracy by meta-step on {images}"),
        x: "meta-step",
        y: "test accuracy, %",
        caption: "A classifier's accuracy after each move of a receptive field that was accepted, for each seed.",
        logarithmic: [false, false],
    };
    figures::lines("meta-steps", &plot, &series)
}

/// The feature map after every accepted move.
fn sheets(run: &Run, [rows, cols]: [usize; 2]) -> Vec<Sheet> {
    let sheet = |step: &experiment::Measured| Sheet {
        title: format!("step {}: {:.2} %", step.meta_step, step.accuracy),
        rows,
        cols,
        activity: step.activity.clone(),
        fields: step
            .fields
            .iter()
            .map(|field| field.iter().map(|r| [r.rows.start, r.rows.end, r.cols.start, r.cols.end]).collect())
            .collect(),
    };
    run.steps.iter().map(sheet).collect()
}
