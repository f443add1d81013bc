//! The reproduction of neural net evolution and dopaminergic networks.

use std::borrow::Cow;
use std::collections::HashSet;

use neuropil::Context;
use neuropil::systems::evolution::experiment::{self, Evolved, Finding, Learned, Options, ROWS, Report, Row, Run};

use super::curves::{CURVE, accuracies, curve_lines, of_runs, tables};
use super::{Arguments, NO_IMAGES, Reproduction};
use crate::failure::Failure;
use crate::figures::{self, Banded, Figure, Plot, Series};
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
    Ok(Reproduction {
        title: TITLE,
        images: told.unwrap_or_else(|| NO_IMAGES.to_owned()),
        outcomes: report.outcomes(),
        figures: draw(&report, images.unwrap_or_default()),
        files: files(&report, arguments),
        departures: experiment::DEPARTURES,
        finished: report.runs.len(),
        ending: report.ending,
    })
}

fn draw(report: &Report, images: &str) -> Result<Vec<Figure>, Failure> {
    let drawn = [
        learning(report, images)?,
        by_genes(report, "genes-10", "genes-digits-0-9", "digits 0-9", images)?,
        by_genes(report, "genes-5", "genes-digits-0-4", "digits 0-4", images)?,
        convergence(report, images)?,
        lifetimes(report, images)?,
        output_layers(report, "dnn-1000", "output-layers-1000", images)?,
        output_layers(report, "dnn-100000", "output-layers-100000", images)?,
        linear(report)?,
    ];
    Ok(drawn.into_iter().flatten().collect())
}

/// The figures' data, and what each row's networks are trained by with its first seed, as `neuropil train` takes it.
fn files(report: &Report, arguments: &Arguments) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let mut files: Vec<_> = tables([
        ("populations.tsv", curves(report)),
        ("alleles.tsv", alleles(report)),
        ("lifetimes.tsv", learned(report)),
        ("theory.tsv", losses(report)),
    ])
    .collect();
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

/// The populations of a run.
fn populations(run: &Run) -> &[Evolved] {
    match &run.finding {
        Finding::Populations(all) => all,
        _ => &[],
    }
}

/// What learned in a run.
fn learners(run: &Run) -> &[Learned] {
    match &run.finding {
        Finding::Learners(all) => all,
        _ => &[],
    }
}

/// Whether a row has this name, or one that goes on behind a dash.
fn belongs(row: &Row, name: &str) -> bool {
    row.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Runs of these rows.
fn of<'a>(report: &'a Report, rows: &'a str) -> impl Iterator<Item = &'a Run> {
    report.runs.iter().filter(move |run| belongs(&run.row, rows))
}

fn seeds<'a>(report: &'a Report, rows: &'a str) -> impl Iterator<Item = u64> {
    of(report, rows).map(|run| run.seed)
}

/// What these rows have in each run, all seeds' together: one for a row, or several that differ in another way.
fn together<'a, T>(report: &'a Report, rows: &str, all: fn(&Run) -> &[T]) -> Vec<(&'static Row, Vec<&'a T>)> {
    let rows = ROWS.iter().filter(|row| belongs(row, rows));
    let same = |row: &'static Row, index: usize| -> Option<(&'static Row, Vec<&'a T>)> {
        let same: Vec<&T> = report.of(row).filter_map(|run| all(run).get(index)).collect();
        (!same.is_empty()).then_some((row, same))
    };
    rows.flat_map(|row| (0..).map_while(move |index| same(row, index))).collect()
}

fn banded<T>(name: impl Into<String>, runs: &[&T], points: impl Fn(&T) -> Vec<(f64, f64)>) -> Banded {
    Banded::over(name, &runs.iter().map(|run| points(run)).collect::<Vec<_>>())
}

/// Accuracy of the expected weights by generation.
fn accuracy(evolved: &Evolved) -> Vec<(f64, f64)> {
    evolved.points.iter().filter_map(|p| Some((p.generation as f64, 100.0 * p.expected?))).collect()
}

fn learning(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let rows = together(report, "nne", populations);
    let series = rows.iter().map(|(row, same)| banded(row.description, same, accuracy)).collect();
    let whose = of_runs(seeds(report, "nne"));
    let plot = Plot {
        title: &format!("Accuracy by generation on {images}"),
        x: "generations (logarithmic)",
        y: "test accuracy by W p, %",
        caption: &format!("Accuracy of the expected weights on the test images while a population evolves. {whose}"),
        logarithmic: [true, false],
    };
    figures::bands("generations", &plot, &[], series)
}

/// Figure 1.
fn by_genes(
    report: &Report,
    row: &str,
    name: &'static str,
    digits: &str,
    images: &str,
) -> Result<Option<Figure>, Failure> {
    let numbers = together(report, row, populations);
    let series = numbers.iter().map(|(_, same)| banded(format!("{} genes", same[0].genes), same, accuracy)).collect();
    let whose = of_runs(seeds(report, row));
    let plot = Plot {
        title: &format!("Number of genes: {digits} of {images}"),
        x: "generations (logarithmic)",
        y: "test accuracy by W p, %",
        caption: &format!(
            "Figure 1: accuracy of the expected weights by generation, for fewer and more genes. {whose}"
        ),
        logarithmic: [true, false],
    };
    figures::bands(name, &plot, &[], series)
}

/// Figure 2.
fn convergence(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let first = of(report, "nne").find_map(|run| Some((run, populations(run).first()?)));
    let Some((run, evolved)) = first else { return Ok(None) };
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
        title: &format!("Convergence of the allele distribution on {images}"),
        x: "distance d",
        y: "share of genes further than d from 0 and 1",
        caption: &format!(
            "Figure 2: how many allele frequencies are still far from 0 and 1: {}, seed {}.",
            run.row.description, run.seed
        ),
        logarithmic: [false, false],
    };
    figures::lines("allele-convergence", &plot, &series)
}

/// Lifetime learning of populations, beside backpropagation on the same images.
fn lifetimes(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let evolved = together(report, "nne", populations).into_iter().map(|(row, same)| {
        banded(format!("{}, then SignSGD", row.description), &same, |evolved| accuracies(&evolved.lifetime))
    });
    let backpropagation = together(report, "sgd", learners)
        .into_iter()
        .map(|(row, same)| banded(row.description, &same, |learned| accuracies(&learned.curve)));
    let whose = of_runs(seeds(report, "nne").chain(seeds(report, "sgd")));
    let title = format!("Lifetime learning and backpropagation on {images}");
    figures::learning_curves("lifetime-learning", &title, &whose, evolved.chain(backpropagation).collect())
}

/// The output layers of table 2: accuracies, or losses of those whose accuracies are measured in the end alone.
fn output_layers(report: &Report, row: &str, name: &'static str, images: &str) -> Result<Option<Figure>, Failure> {
    let rules = together(report, row, learners);
    let Some(units) = rules.first().and_then(|(_, same)| same[0].hidden) else { return Ok(None) };
    let (title, whose) =
        (format!("Output layers on {units} random hidden units: {images}"), of_runs(seeds(report, row)));
    let series = |points: fn(&Learned) -> Vec<(f64, f64)>| -> Vec<Banded> {
        rules.iter().map(|(_, same)| banded(same[0].what, same, points)).collect()
    };
    if rules.iter().any(|(_, same)| !accuracies(&same[0].curve).is_empty()) {
        return figures::learning_curves(name, &title, &whose, series(|learned| accuracies(&learned.curve)));
    }
    let plot = Plot {
        title: &title,
        x: "batches (logarithmic)",
        y: "cross-entropy (logarithmic)",
        caption: &format!("Loss on the training images while the output layer learns. {whose}"),
        logarithmic: [true, true],
    };
    let losses = |learned: &Learned| learned.curve.iter().filter_map(|p| Some((p.step as f64, p.loss?))).collect();
    figures::bands(name, &plot, &[], series(losses))
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

/// Every point of every population.
fn curves(report: &Report) -> String {
    let mut text = "population\tgenes\tgeneration\treward\tcorrect\tfixed\texpected\trounded\n".to_owned();
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    for run in &report.runs {
        for evolved in populations(run) {
            for p in &evolved.points {
                text += &format!(
                    "{}, seed {}\t{}\t{}\t{:.4}\t{:.4}\t{:.4}\t{}\t{}\n",
                    run.row.description,
                    run.seed,
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
    }
    text
}

/// Figure 2.
fn alleles(report: &Report) -> String {
    let mut text = "row\tseed\tgeneration\tdistance\tshare of genes beyond\n".to_owned();
    for run in of(report, "nne") {
        for distances in populations(run).iter().flat_map(|evolved| &evolved.distances) {
            for (step, share) in distances.beyond.iter().enumerate() {
                let (row, seed, generation) = (run.row.name, run.seed, distances.generation);
                text += &format!("{row}\t{seed}\t{generation}\t{:.2}\t{share:.4}\n", step as f64 * 0.01);
            }
        }
    }
    text
}

/// The curves of lifetime learning, output layers and backpropagation.
fn learned(report: &Report) -> String {
    let mut text = format!("row\tseed\tlearner\t{CURVE}");
    for run in &report.runs {
        let evolved = populations(run).iter().map(|evolved| ("SignSGD", &evolved.lifetime));
        let learned = learners(run).iter().map(|learned| (learned.what, &learned.curve));
        for (what, curve) in evolved.chain(learned) {
            text += &curve_lines(&format!("{}\t{}\t{what}", run.row.name, run.seed), curve);
        }
    }
    text
}

/// The linear target's losses.
fn losses(report: &Report) -> String {
    let mut text = "seed\tgeneration\tloss\n".to_owned();
    for run in &report.runs {
        if let Finding::Theory(theory) = &run.finding {
            for (generation, loss) in &theory.losses {
                text += &format!("{}\t{generation}\t{loss:e}\n", run.seed);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use neuropil::systems::CurvePoint;
    use neuropil::systems::evolution::{Accuracies, Distances, Point};
    use neuropil::systems::experiment::Ending;

    use super::*;

    fn curve(loss: f64, accuracy: Option<f64>) -> Vec<CurvePoint> {
        let point = |step| CurvePoint { phase: "output".into(), step, loss: Some(loss), accuracy };
        vec![point(10), point(20)]
    }

    fn evolved(genes: usize, expected: f64) -> Evolved {
        let point = |generation| Point {
            generation,
            reward: 0.0,
            correct: 0.5,
            fixed: 0.25,
            expected: Some(expected),
            rounded: None,
        };
        Evolved {
            genes,
            generations: 50,
            accuracies: Accuracies { sampled: 0.0, rounded: 0.0, expected, lifetime: None },
            points: vec![point(25), point(50)],
            lifetime: curve(1.0, Some(0.75)),
            distances: vec![Distances { generation: 0, beyond: vec![1.0, 0.5] }],
            config: String::new(),
        }
    }

    fn run(name: &str, seed: u64) -> Run {
        let row = *ROWS.iter().find(|row| row.name == name).unwrap();
        let learned = |what, accuracy| Learned {
            what,
            hidden: Some(7),
            paper: None,
            accuracy: 0.0,
            curve: curve(0.5, accuracy),
            kind: "dopaminergic",
            config: String::new(),
        };
        let finding = match name {
            "theory" => Finding::Theory(experiment::Theory {
                lemma: 0.0,
                distance: [0.0; 2],
                cosine: 1.0,
                losses: vec![(0, 2.0), (10, 1.0)],
            }),
            "genes-5" => Finding::Populations(vec![evolved(250, 0.5), evolved(500, 0.75)]),
            name if name.starts_with("nne") => Finding::Populations(vec![evolved(100, 0.25)]),
            "dnn-100000" => Finding::Learners(vec![learned("one rule", None), learned("another rule", None)]),
            _ => Finding::Learners(vec![learned("one rule", Some(0.5)), learned("another rule", Some(0.25))]),
        };
        Run { row, seed, finding, seconds: 0.0 }
    }

    #[test]
    fn figures_have_a_line_for_what_differs_and_none_for_each_seed() {
        let rows = ["nne-10", "sgd-5", "dnn-1000", "dnn-100000", "genes-5", "theory"];
        let runs = rows.into_iter().flat_map(|row| [0, 1, 2].map(|seed| run(row, seed))).collect();
        let report = Report { runs, ending: Ending::Whole, seconds: 0.0 };
        let names = |figure: Result<Option<Figure>, Failure>| {
            let figure = figure.unwrap().unwrap();
            assert!(figure.caption.ends_with("Means of 3 runs, in bands from their least to their largest."));
            let names =
                ["evolution, digits 0-9", "backpropagation", "one rule", "another rule", "250 genes", "500 genes"];
            names.map(|name| figure.svg.matches(name).count())
        };
        assert_eq!(names(learning(&report, "digits")), [1, 0, 0, 0, 0, 0]);
        assert_eq!(names(by_genes(&report, "genes-5", "g", "digits 0-4", "digits")), [0, 0, 0, 0, 1, 1]);
        // That of backpropagation is in the title too.
        let series = lifetimes(&report, "digits");
        assert_eq!(names(series), [1, 2 + 1, 0, 0, 0, 0]);
        for (row, axis) in [("dnn-1000", "test accuracy"), ("dnn-100000", "cross-entropy")] {
            let drawn = || output_layers(&report, row, "o", "digits");
            assert_eq!(names(drawn()), [0, 0, 1, 1, 0, 0], "{row}");
            assert!(drawn().unwrap().unwrap().svg.contains(axis), "{row}");
        }
        let lines = |table: String| table.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(curves(&report)).len(), 1 + 3 * (1 + 2) * 2);
        assert_eq!(lines(alleles(&report))[2], "nne-10\t0\t0\t0.01\t0.5000");
        assert_eq!(lines(learned(&report))[1], "nne-10\t0\tSignSGD\toutput\t10\t1.000000\t75.00");
        assert_eq!(lines(losses(&report)).last().unwrap(), "2\t10\t1e0");
    }
}
