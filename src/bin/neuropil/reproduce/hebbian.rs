//! The reproduction of the Hebbian paper.

use std::borrow::Cow;
use std::collections::HashSet;

use neuropil::Context;
use neuropil::analysis::Family;
use neuropil::systems::hebbian::experiment::{self, ATTACKS, EPSILONS, Images, Options, Report, Row, Run, SEEN};

use super::{Arguments, ImageSet, Reproduction};
use crate::failure::Failure;
use crate::figures::{self, Figure, Kernels, Plot, Series};
use crate::progress::Monitor;

pub(super) const TITLE: &str = "Hebbian learning with weight perturbation";

/// The images, as its experiments name them.
pub(super) fn images(quick: bool, set: ImageSet) -> Images {
    match set {
        _ if quick => Images::Embedded,
        ImageSet::Mnist => Images::Mnist,
        ImageSet::Cifar10 => Images::Cifar10,
    }
}

/// Names of the rows that these have.
pub(super) fn names(images: Images) -> impl Iterator<Item = &'static str> {
    experiment::rows(images).iter().map(|row| row.name)
}

/// Trains and measures.
pub(super) fn run(context: &mut Context, arguments: &Arguments, only: &[String]) -> Result<Reproduction, Failure> {
    let kind = self::images(arguments.quick, arguments.set);
    let (data, images) = arguments.images()?;
    let (runs, seed, only) = (arguments.runs as usize, arguments.seed, only.to_vec());
    let options = Options { images: kind, runs, seed, only, states: arguments.states()? };
    let told = Arguments::told(images, &data, "to train")?;
    let mut monitor = Monitor::new();
    let report = experiment::reproduce(context, &data, &options, &mut |stage, progress| {
        let label = format!("[{}/{}] {}", stage.done + 1, stage.all, stage.row.name);
        monitor.observe(&label, progress)
    })?;
    drop(monitor);
    Ok(Reproduction {
        title: TITLE,
        images: told,
        outcomes: report.outcomes(),
        figures: draw(&report, images, [data.train.channels(), data.train.rows(), data.train.cols()])?,
        files: files(&report, arguments),
        departures: experiment::DEPARTURES,
        finished: report.runs.len(),
        ending: report.ending,
    })
}

/// The figures' data, and each row's configuration with its first seed, as `neuropil train` takes it.
fn files(report: &Report, arguments: &Arguments) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let mut files = vec![
        ("curves.tsv".into(), curves_table(report).into_bytes()),
        ("attacks.tsv".into(), attacks_table(report).into_bytes()),
        ("fits.tsv".into(), fits_table(report).into_bytes()),
    ];
    let mut seen = HashSet::new();
    for run in report.runs.iter().filter(|run| seen.insert(run.row.name)) {
        let mut about = format!("# {}\n# {}\n", run.row.description, arguments.train(run.kind));
        if let Some(shots) = run.row.shots {
            about += &format!("# (which trains on all images of a class; here it was on {shots})\n");
        }
        files.push((super::configuration_file(run.row.name), (about + &run.config).into_bytes()));
    }
    files
}

/// The learning curve of every run. Points of hidden layers, which have neither loss nor accuracy, are left out.
fn curves_table(report: &Report) -> String {
    let mut text = "row\tseed\tphase\tstep\tloss\ttest accuracy, %\n".to_owned();
    let optional = |value: Option<f64>, digits| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    for run in &report.runs {
        for point in run.curve.iter().filter(|point| point.loss.is_some() || point.accuracy.is_some()) {
            let (loss, accuracy) = (optional(point.loss, 6), optional(point.accuracy.map(|share| 100.0 * share), 2));
            text += &format!("{}\t{}\t{}\t{}\t{loss}\t{accuracy}\n", run.row.name, run.seed, point.phase, point.step);
        }
    }
    text
}

/// Figure 4: accuracies at every epsilon.
fn attacks_table(report: &Report) -> String {
    let mut text = "row\tseed\tattack\tepsilon\ttest accuracy, %\n".to_owned();
    for run in &report.runs {
        for ((attack, _), accuracies) in ATTACKS.iter().zip(run.attacked.iter().flatten()) {
            for (epsilon, accuracy) in EPSILONS.iter().zip(accuracies) {
                text += &format!("{}\t{}\t{attack}\t{epsilon}\t{accuracy:.2}\n", run.row.name, run.seed);
            }
        }
    }
    text
}

/// Figure 3: parameters of every distribution fitted. An exponential of a power is stretched if beta is below 1, compressed above.
fn fits_table(report: &Report) -> String {
    let mut text = "row\tseed\tdistribution\tmu\tsigma\ttau\tbeta\tlog-likelihood\tdistance\n".to_owned();
    for run in &report.runs {
        for fit in run.fits.iter().flatten() {
            let [a, b] = fit.parameters;
            let (distribution, parameters) = match fit.family {
                Family::LogNormal => ("lognormal", format!("{a:.4}\t{b:.4}\t\t")),
                Family::Exponential if b < 1.0 => ("stretched exponential", format!("\t\t{a:.4}\t{b:.4}")),
                Family::Exponential => ("compressed exponential", format!("\t\t{a:.4}\t{b:.4}")),
            };
            let (row, seed) = (run.row.name, run.seed);
            text += &format!(
                "{row}\t{seed}\t{distribution}\t{parameters}\t{:.4}\t{:.4}\n",
                fit.log_likelihood, fit.distance
            );
        }
    }
    text
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
    let mut figures: Vec<Figure> = figures.into_iter().flatten().collect();
    for (at, name) in ["attack-fgsm", "attack-pgd"].into_iter().enumerate() {
        figures.extend(under_attack(report, images, name, at)?);
    }
    figures.extend(few_shots(report, images)?);
    for (run, name) in
        first.iter().filter(|run| run.fits.is_some()).zip(["weights-fit-1", "weights-fit-2", "weights-fit-3"])
    {
        figures.extend(fitted(run, name)?);
    }
    Ok(figures)
}

/// Figure 3: the density of a network's weights and of the distributions fitted to it.
fn fitted(run: &Run, name: &'static str) -> Result<Option<Figure>, Failure> {
    const BINS: usize = 100;
    let (Some(fits), Some(fields)) = (run.fits, run.receptive_fields()) else { return Ok(None) };
    let seen = experiment::seen(fields);
    let (mut counts, width) = ([0usize; BINS], (1.0 - SEEN) / BINS as f64);
    for weight in &seen {
        counts[(((weight - SEEN) / width) as usize).min(BINS - 1)] += 1;
    }
    let middle = |bin: usize| SEEN + width * (bin as f64 + 0.5);
    let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let points = counted.map(|(bin, &count)| (middle(bin), count as f64 / (seen.len() as f64 * width)));
    let mut series = vec![Series { name: "weights".to_owned(), points: points.collect() }];
    for fit in fits {
        let [a, b] = fit.parameters;
        let name = match fit.family {
            Family::LogNormal => format!("lognormal, mu {a:.2}, sigma {b:.2}"),
            Family::Exponential => format!("exp(-(x / {a:.3})^{b:.2})"),
        };
        let curve = (0..BINS).map(|bin| (middle(bin), fit.density(middle(bin)))).filter(|(_, density)| *density > 1e-6);
        series.push(Series { name, points: curve.collect() });
    }
    let plot = Plot {
        title: &format!("Hidden weights: {}", hidden_rule(&run.row)),
        x: "weight / largest weight",
        y: "density",
        caption: "Hidden weights from 0.005 of the largest on, and distributions fitted to them, of the run of the first seed.",
        logarithmic: [false, true],
    };
    figures::lines(name, &plot, &series)
}

/// Figure 4: accuracy under an attack; means over the runs.
fn under_attack(report: &Report, images: &str, name: &'static str, at: usize) -> Result<Option<Figure>, Failure> {
    let (attack, _) = ATTACKS[at];
    let mut series: Vec<Series> = Vec::new();
    let mut seen = HashSet::new();
    for row in report.runs.iter().map(|run| &run.row).filter(|row| seen.insert(row.name)) {
        let runs = report.runs.iter().filter(|run| run.row.name == row.name);
        let Some(curves) = runs.map(|run| Some(run.attacked?[at])).collect::<Option<Vec<_>>>() else { continue };
        let mean = |epsilon: usize| curves.iter().map(|curve| curve[epsilon]).sum::<f64>() / curves.len() as f64;
        let points = EPSILONS.iter().enumerate().map(|(index, &epsilon)| (f64::from(epsilon), mean(index)));
        series.push(Series { name: hidden_rule(row), points: points.collect() });
    }
    let plot = Plot {
        title: &format!("{attack} on {images}"),
        x: "largest change of a pixel",
        y: "test accuracy, %",
        caption: &format!("Accuracy on test images changed by {attack}, means over the runs."),
        logarithmic: [false, false],
    };
    figures::lines(name, &plot, &series)
}

/// Figure 4: accuracy of networks that learned from few images; means over the runs.
fn few_shots(report: &Report, images: &str) -> Result<Option<Figure>, Failure> {
    let mut series: Vec<Series> = Vec::new();
    for run in &report.runs {
        let Some(shots) = run.row.shots else { continue };
        let name = hidden_rule(&run.row);
        let same = report.runs.iter().filter(|other| other.row.name == run.row.name);
        let accuracies: Vec<f64> = same.map(|other| other.accuracy).collect();
        let point = (shots as f64, accuracies.iter().sum::<f64>() / accuracies.len() as f64);
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) if series.points.contains(&point) => (),
            Some(series) => series.points.push(point),
            None => series.push(Series { name, points: vec![point] }),
        }
    }
    let plot = Plot {
        title: &format!("Learning {images} from few images"),
        x: "images of each class",
        y: "test accuracy, %",
        caption: "Accuracy of networks that learned from few images of each class, means over the runs.",
        logarithmic: [true, false],
    };
    figures::lines("few-shots", &plot, &series)
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
    row.layers == 1 && row.shots.is_none()
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
