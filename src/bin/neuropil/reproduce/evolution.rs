//! The reproduction of neural net evolution and dopaminergic networks.

use std::borrow::Cow;
use std::collections::HashSet;

use neuropil::Context;
use neuropil::systems::evolution::experiment::{self, Evolved, Finding, Options, ROWS, Report};

use super::{Arguments, NO_IMAGES, Reproduction};
use crate::failure::Failure;
use crate::figures::{self, Figure, Plot, Series};
use crate::progress::Monitor;

pub(super) const TITLE: &str = "Neural net evolution and dopaminergic networks";

/// Names of all rows.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

/// The row of the linear target, which is a function and no image.
const THEORY: &str = "theory";

/// Trains and measures.
pub(super) fn run(context: &mut Context, arguments: &Arguments, only: &[String]) -> Result<Reproduction, Failure> {
    let (scale, data, images) = arguments.digits(only, THEORY)?;
    let states = arguments.states()?;
    let (runs, seed, only) = (arguments.runs as usize, arguments.seed, only.to_vec());
    let options = Options { scale, runs, seed, only, states };
    let told = images.map(|name| Arguments::told(name, &data, "to draw 200 a class from")).transpose()?;
    let mut monitor = Monitor::new();
    let report = experiment::reproduce(context, &data, &options, &mut |stage, progress| {
        let run = format!("{} seed {}", stage.row.name, stage.seed);
        monitor.observe_one((stage.done, stage.all), &run, progress)
    })?;
    drop(monitor);
    let name = images.unwrap_or_default();
    let drawn = [
        learning(&report, name)?,
        by_genes(&report, "genes-10", "genes-digits-0-9", "digits 0-9", name)?,
        by_genes(&report, "genes-5", "genes-digits-0-4", "digits 0-4", name)?,
        convergence(&report, name)?,
        lifetimes(&report, name)?,
        linear(&report)?,
    ];
    Ok(Reproduction {
        title: TITLE,
        images: told.unwrap_or_else(|| NO_IMAGES.to_owned()),
        outcomes: report.outcomes(),
        figures: drawn.into_iter().flatten().collect(),
        files: files(&report, arguments),
        departures: experiment::DEPARTURES,
        finished: report.runs.len(),
        ending: report.ending,
    })
}

/// The figures' data, and what each row's networks are trained by with its first seed, as `neuropil train` takes it.
fn files(report: &Report, arguments: &Arguments) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let mut files = vec![("populations.tsv".into(), curves(report).into_bytes())];
    let mut seen = HashSet::new();
    for run in report.runs.iter().filter(|run| seen.insert(run.row.name)) {
        let (name, description) = (run.row.name, run.row.description);
        let mut write = |name: String, about: String, kind, config: &str| {
            let text = format!("# {about}\n# {}\n{config}", arguments.train(kind));
            files.push((super::configuration_file(&name), text.into_bytes()));
        };
        match &run.finding {
            Finding::Populations(all) => {
                for evolved in all {
                    let genes = if all.len() > 1 { format!("-{}", evolved.genes) } else { String::new() };
                    write(format!("{name}{genes}"), description.to_owned(), "evolution", &evolved.config);
                }
            }
            Finding::Learners(all) => {
                for (index, learned) in all.iter().enumerate() {
                    let which = if all.len() > 1 { format!("-{index}") } else { String::new() };
                    // What no configuration of it can hold.
                    let sample = match learned.kind {
                        "backprop" => {
                            "\n# (which trains on all images of all classes; here it was on those that are named above)"
                        }
                        _ => "",
                    };
                    let about = format!("{description}: {}{sample}", learned.what);
                    write(format!("{name}{which}"), about, learned.kind, &learned.config);
                }
            }
            Finding::Theory(_) => (),
        }
    }
    files
}

/// Every population of these rows, with the row's name and the seed.
fn populations<'a>(report: &'a Report, prefix: &'a str) -> impl Iterator<Item = (String, &'a Evolved)> {
    report.runs.iter().filter(move |run| run.row.name.starts_with(prefix)).flat_map(|run| {
        let all: &[Evolved] = match &run.finding {
            Finding::Populations(all) => all,
            _ => &[],
        };
        all.iter().map(move |evolved| (format!("{}, seed {}", run.row.description, run.seed), evolved))
    })
}

/// Accuracy of the expected weights by generation.
fn accuracy(name: String, evolved: &Evolved) -> Series {
    let measured = evolved.points.iter().filter_map(|p| Some((p.generation as f64, 100.0 * p.expected?)));
    Series { name, points: measured.collect() }
}

fn learning(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let series: Vec<Series> = populations(report, "nne").map(|(name, evolved)| accuracy(name, evolved)).collect();
    let plot = Plot {
        title: &format!("Accuracy by generation on {images}"),
        x: "generations (logarithmic)",
        y: "test accuracy by W p, %",
        caption: "Accuracy of the expected weights on the test images while a population evolves.",
        logarithmic: [true, false],
    };
    figures::lines("generations", &plot, &series)
}

/// Figure 1.
fn by_genes(
    report: &Report,
    row: &str,
    name: &'static str,
    digits: &str,
    images: &str,
) -> Result<Option<Figure>, Failure> {
    let of = |(label, evolved): (String, &Evolved)| {
        let seed = label.rsplit(", ").next().unwrap_or_default().to_owned();
        accuracy(format!("{} genes, {seed}", evolved.genes), evolved)
    };
    let series: Vec<Series> = populations(report, row).map(of).collect();
    let plot = Plot {
        title: &format!("Number of genes: {digits} of {images}"),
        x: "generations (logarithmic)",
        y: "test accuracy by W p, %",
        caption: "Figure 1: accuracy of the expected weights by generation, for fewer and more genes.",
        logarithmic: [true, false],
    };
    figures::lines(name, &plot, &series)
}

/// Figure 2.
fn convergence(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let Some((label, evolved)) = populations(report, "nne").next() else { return Ok(None) };
    let last = evolved.distances.len().saturating_sub(1);
    let shown =
        evolved.distances.iter().enumerate().filter(|(at, d)| d.generation != 3 && (d.generation != 1 || *at == last));
    let series: Vec<Series> = shown
        .map(|(_, distances)| Series {
            name: format!("generation {}", distances.generation),
            points: distances.beyond.iter().enumerate().map(|(d, &share)| (d as f64 * 0.01, share)).collect(),
        })
        .collect();
    let plot = Plot {
        title: &format!("Convergence of the allele distribution on {images}: {label}"),
        x: "distance d",
        y: "share of genes further than d from 0 and 1",
        caption: "Figure 2: how many allele frequencies are still far from 0 and 1.",
        logarithmic: [false, false],
    };
    figures::lines("allele-convergence", &plot, &series)
}

/// Output layers of table 2, and lifetime learning of populations.
fn lifetimes(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let mut series = Vec::new();
    let mut add = |name: String, curve: &[neuropil::systems::CurvePoint]| {
        let points: Vec<(f64, f64)> =
            curve.iter().filter_map(|point| Some((point.step as f64, 100.0 * point.accuracy?))).collect();
        if !points.is_empty() {
            series.push(Series { name, points });
        }
    };
    for run in report.runs.iter().filter(|run| run.row.name.starts_with("dnn")) {
        if let Finding::Learners(all) = &run.finding {
            all.iter().for_each(|l| add(format!("{}: {}, seed {}", run.row.name, l.what, run.seed), &l.curve));
        }
    }
    for (name, evolved) in populations(report, "nne") {
        add(format!("{name}: SignSGD"), &evolved.lifetime);
    }
    figures::learning_curves("lifetime-learning", &format!("Output layers on {images}"), &series)
}

/// The linear target.
fn linear(report: &Report) -> Result<Option<Figure>, Failure> {
    let mut series = Vec::new();
    for run in &report.runs {
        if let Finding::Theory(theory) = &run.finding {
            let points = theory.losses.iter().map(|&(generation, loss)| (generation.max(1) as f64, loss)).collect();
            series.push(Series { name: format!("seed {}", run.seed), points });
        }
    }
    let plot = Plot {
        title: "A linear target: the loss never rises",
        x: "generations (logarithmic)",
        y: "L(p) (logarithmic)",
        caption: "Theorem 2's case: the expected squared error of an infinite population.",
        logarithmic: [true, true],
    };
    figures::lines("linear-target", &plot, &series)
}

/// Every point of every population, as a table.
fn curves(report: &Report) -> String {
    let mut text = "population\tgenes\tgeneration\treward\tcorrect\tfixed\texpected\trounded\n".to_owned();
    for (name, evolved) in populations(report, "") {
        for p in &evolved.points {
            let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
            text += &format!(
                "{name}\t{}\t{}\t{:.4}\t{:.4}\t{:.4}\t{}\t{}\n",
                evolved.genes,
                p.generation,
                p.reward,
                p.correct,
                p.fixed,
                optional(p.expected),
                optional(p.rounded)
            );
        }
    }
    text
}
