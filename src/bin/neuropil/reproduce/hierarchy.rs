//! The reproduction of the self-organising hierarchy.

use neuropil::Context;
use neuropil::kernels::masked::Rectangle;
use neuropil::systems::experiment::Scale;
use neuropil::systems::hierarchy::experiment::{self, Measured, Options, ROWS, Report, Row, Run};
use neuropil::systems::hierarchy::{Geometry, Images};

use super::curves::tables;
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
        states: arguments.states()?,
        ..Options::new(scale, kind)
    };
    let told = Arguments::told(name, &data, "to train")?;
    let mut monitor = Monitor::new();
    let report = experiment::reproduce(context, &data, &options, &mut |stage, progress| {
        let run = format!("{} seed {}", stage.row.name, stage.seed);
        monitor.observe_one((stage.done, stage.all), &run, progress)
    })?;
    drop(monitor);
    let mut files: Vec<_> = tables([(STEPS, steps(&report)), (ENTROPIES, entropies(&report))]).collect();
    let figures = draw(&report, name).map(|(figures, animation)| {
        files.extend(animation.map(|animation| (ANIMATION.into(), animation)));
        figures
    });
    for row in ROWS {
        let written = |text: String| (super::configuration_file(row.name), text.into_bytes());
        files.extend(configuration(&report, row, arguments).map(written));
    }
    Ok(Reproduction {
        title: TITLE,
        images: told,
        outcomes: report.outcomes(),
        figures,
        files,
        departures: experiment::DEPARTURES,
        finished: report.runs.len(),
        ending: report.ending,
    })
}

/// The figures, and the one that moves.
fn draw(report: &Report, images: &str) -> Result<(Vec<Figure>, Option<Vec<u8>>), Failure> {
    let drawn = [correlation(report, images)?, by_step(report, images)?, fixed(report)?];
    let mut drawn: Vec<Figure> = drawn.into_iter().flatten().collect();
    let Some(run) = longest(report) else { return Ok((drawn, None)) };
    let of_step = |step: &Measured| sheet(format!("step {}", step.meta_step), step, &report.geometry);
    let sheets: Vec<Sheet> = run.steps.iter().map(of_step).collect();
    drawn.extend(unit_entropies(run)?);
    drawn.push(figures::feature_maps("topologies", topologies_caption(run), &sheets)?);
    Ok((drawn, Some(figures::animation(ANIMATION, &sheets)?)))
}

const ANIMATION: &str = "topologies-animated.png";
const STEPS: &str = "steps.tsv";
const ENTROPIES: &str = "entropies.tsv";

/// What a row is trained by, for `neuropil train`.
fn configuration(report: &Report, row: &Row, arguments: &Arguments) -> Option<String> {
    let seeds: Vec<String> = report.of(row).map(|run| run.seed.to_string()).collect();
    let run = report.of(row).next()?;
    // The runs differ in nothing but the seed.
    let word = if seeds.len() > 1 { "seeds" } else { "seed" };
    let about = format!("# {}: {word} {}\n# {}\n", row.description, seeds.join(", "), arguments.train("hierarchy"));
    Some(about + &run.config.to_toml())
}

/// The run whose fields moved most often; the first of several.
fn longest(report: &Report) -> Option<&Run> {
    report.runs.iter().rev().filter(|run| run.row.rule.is_some()).max_by_key(|run| run.steps.len())
}

/// Figure 5: largest entropy and accuracy.
fn correlation(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let mut series = Vec::new();
    for row in ROWS {
        let mut add = |name: &str, pick: fn(&Run) -> (f64, f64)| {
            let points: Vec<(f64, f64)> = report.of(row).map(pick).collect();
            if !points.is_empty() {
                series.push(Series { name: name.to_owned(), points });
            }
        };
        let last: fn(&Run) -> (f64, f64) = |run| (run.last().largest_entropy(), run.last().accuracy);
        match (row.rule.is_some(), row.in_tables()) {
            (true, true) => {
                add("random", |run| (run.first().largest_entropy(), run.first().accuracy));
                add("meta-learned", last);
            }
            (true, false) => add(row.name, last),
            (false, _) => add(row.description, last),
        }
    }
    let mut caption =
        "Figure 5: every trained network, the largest entropy of its units' latents and its accuracy (a run in which no move was accepted has one place \
         before and after meta-learning). The line is the regression through all points"
            .to_owned();
    for (what, found) in report.correlations() {
        let (low, high) = found.confidence_95();
        let number = if found.p < 0.001 { "below 0.001".to_owned() } else { format!("{:.3}", found.p) };
        caption += &format!(
            "; of the {} networks of {what} r is {:.2} (95 % interval {low:.2} to {high:.2}, two-sided p {number})",
            found.n, found.r
        );
    }
    caption += &format!(
        ". The paper's {:.2} is compared with the r of table 1 alone; runs of one topology are counted as if they were independent.",
        report.paper_r()
    );
    let plot = Plot {
        title: &format!("Entropy and accuracy on {images}"),
        x: "largest entropy of a unit, bits",
        y: "test accuracy, %",
        caption: &caption,
        logarithmic: [false, false],
    };
    figures::scatter("entropy-accuracy", &plot, &series)
}

/// Figure 6: accuracy by meta-step.
fn by_step(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let runs = report.runs.iter().filter(|run| run.row.rule.is_some());
    let series: Vec<Series> = runs
        .map(|run| Series {
            name: if run.row.in_tables() { format!("seed {}", run.seed) } else { named(run) },
            points: run.steps.iter().map(|step| (step.meta_step as f64, step.accuracy)).collect(),
        })
        .collect();
    let caption = format!(
        "Figure 6: a classifier's accuracy after each move of a receptive field that was accepted, for each seed ({STEPS} has the numbers, \
         entropies and fields)."
    );
    let plot = Plot {
        title: &format!("Accuracy by meta-step on {images}"),
        x: "meta-step",
        y: "test accuracy, %",
        caption: &caption,
        logarithmic: [false, false],
    };
    figures::lines("meta-steps", &plot, &series)
}

/// A run's row and seed.
fn named(run: &Run) -> String {
    format!("{}, seed {}", run.row.name, run.seed)
}

/// Each unit's entropy in the topologies of a run.
fn unit_entropies(run: &Run) -> Result<Option<Figure>, Failure> {
    let series: Vec<Series> = (0..run.first().entropies.len())
        .map(|unit| Series {
            name: format!("unit {unit}"),
            points: run.steps.iter().map(|step| (step.meta_step as f64, step.entropies[unit])).collect(),
        })
        .collect();
    let caption = format!(
        "The entropy of each unit's latents after each move that was accepted, in the run that is drawn below ({ENTROPIES} has every epoch of \
         every run)."
    );
    let plot = Plot {
        title: &format!("Entropy of each unit by meta-step: {}", named(run)),
        x: "meta-step",
        y: "entropy, bits",
        caption: &caption,
        logarithmic: [false, false],
    };
    figures::lines("unit-entropies", &plot, &series)
}

/// A measured topology, titled by this and what it came to.
fn sheet(title: String, step: &Measured, geometry: &Geometry) -> Sheet {
    let area = |r: &Rectangle| [r.rows.start, r.rows.end, r.cols.start, r.cols.end];
    Sheet {
        title: format!("{title}: {:.2} %, {:.2} bits", step.accuracy, step.largest_entropy()),
        rows: geometry.map().rows,
        cols: geometry.map().cols,
        activity: step.activity.clone(),
        fields: step.fields.iter().map(|field| field.iter().map(area).collect()).collect(),
        tiles: geometry.latents().iter().map(area).collect(),
    }
}

/// What a map shows.
const LEGEND: &str = "The image lies at the left, the units' latents beside it. Each unit has a colour: a frame around what it sees, \
                      dashes around where its latents lie. Above each map: test accuracy and the largest entropy of a unit";

/// Figure 2: the topologies that stand still.
fn fixed(report: &Report) -> Result<Option<Figure>, Failure> {
    let runs = ROWS.iter().filter(|row| row.rule.is_none()).filter_map(|row| report.of(row).next());
    let title = |run: &Run| run.row.name.to_uppercase();
    let sheets: Vec<Sheet> = runs.map(|run| sheet(title(run), run.last(), &report.geometry)).collect();
    if sheets.is_empty() {
        return Ok(None);
    }
    let caption = format!(
        "Figure 2: the topologies of table 1, which stand still, on the feature map of the first test image, first seed. {LEGEND}."
    );
    figures::feature_maps("fixed-topologies", caption, &sheets).map(Some)
}

fn topologies_caption(run: &Run) -> String {
    format!(
        "The feature map of the first test image, at first and after each move that was accepted, in the run with most of them \
         ({}). {LEGEND}. The same as an animation: [{ANIMATION}]({ANIMATION}).",
        named(run)
    )
}

/// A table with a row for every step of every run, or every epoch, and columns for each unit.
fn table(columns: &str, units: usize, per_unit: &[&str], lines: impl Iterator<Item = String>) -> String {
    let mut text = format!("row\tseed\t{columns}");
    for name in per_unit {
        (0..units).for_each(|unit| text += &format!("\t{name} {unit}"));
    }
    text += "\n";
    lines.for_each(|line| text += &(line + "\n"));
    text
}

/// Every topology that was measured.
fn steps(report: &Report) -> String {
    let line = |run: &Run, step: &Measured| {
        let logistic = step.logistic.map_or(String::new(), |logistic| format!("{logistic:.4}"));
        let mut line = format!(
            "{}\t{}\t{}\t{:.4}\t{logistic}\t{:.4}",
            run.row.name, run.seed, step.meta_step, step.accuracy, step.validation
        );
        step.entropies.iter().for_each(|bits| line += &format!("\t{bits:.6}"));
        for field in &step.fields {
            let areas: Vec<String> = field.iter().map(Rectangle::to_string).collect();
            line += &format!("\t{}", areas.join(" "));
        }
        line
    };
    let lines = report.runs.iter().flat_map(|run| run.steps.iter().map(move |step| line(run, step)));
    let columns = "meta-step\taccuracy\tlogistic\tvalidation";
    table(columns, report.geometry.latents().len(), &["entropy", "field"], lines)
}

/// The entropies after every epoch, of candidates that were not accepted too.
fn entropies(report: &Report) -> String {
    let line = |run: &Run, epoch: usize, entropies: &[f64]| {
        let mut line = format!("{}\t{}\t{epoch}", run.row.name, run.seed);
        entropies.iter().for_each(|bits| line += &format!("\t{bits:.6}"));
        line
    };
    let lines =
        report.runs.iter().flat_map(|run| (1..).zip(&run.entropies).map(move |(epoch, all)| line(run, epoch, all)));
    table("epoch", report.geometry.latents().len(), &["entropy"], lines)
}
