//! The reproduction of the Hebbian paper.

use std::borrow::Cow;

use neuropil::Context;
use neuropil::analysis::Family;
use neuropil::systems::hebbian::experiment::{self, ATTACKS, EPSILONS, Images, Options, Report, Row, Run, SEEN};

use super::curves::{CURVE, accuracies, curve_lines, of_runs, tables};
use super::{Arguments, ImageSet, Reproduction};
use crate::failure::Failure;
use crate::figures::{self, Banded, Figure, Kernels, Plot, Series};
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
        figures: draw(&report, images, [data.train.channels(), data.train.rows(), data.train.cols()]),
        files: files(&report, arguments),
        departures: experiment::DEPARTURES,
        finished: report.runs.len(),
        ending: report.ending,
    })
}

/// The figures' data, and each row's configuration with its first seed, as `neuropil train` takes it.
fn files(report: &Report, arguments: &Arguments) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let mut files: Vec<_> = tables([
        ("curves.tsv", curves_table(report)),
        ("attacks.tsv", attacks_table(report)),
        ("fits.tsv", fits_table(report)),
    ])
    .collect();
    for run in by_row(report).iter().map(|runs| runs[0]) {
        let mut about = format!("# {}\n# {}\n", run.row.description, arguments.train(run.kind));
        if let Some(shots) = run.row.shots {
            about += &format!("# (which trains on all images of a class; here it was on {shots})\n");
        }
        files.push((super::configuration_file(run.row.name), (about + &run.config).into_bytes()));
    }
    files
}

/// The learning curve of every run.
fn curves_table(report: &Report) -> String {
    let lines = report.runs.iter().map(|run| curve_lines(&format!("{}\t{}", run.row.name, run.seed), &run.curve));
    format!("row\tseed\t{CURVE}") + &lines.collect::<String>()
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

/// The runs of each row.
fn by_row(report: &Report) -> Vec<Vec<&Run>> {
    let mut rows: Vec<Vec<&Run>> = Vec::new();
    for run in &report.runs {
        match rows.iter_mut().find(|runs| runs[0].row.name == run.row.name) {
            Some(runs) => runs.push(run),
            None => rows.push(vec![run]),
        }
    }
    rows
}

fn draw(report: &Report, images: &str, [channels, rows, cols]: [usize; 3]) -> Result<Vec<Figure>, Failure> {
    let grouped = by_row(report);
    let whose = of_runs(report.runs.iter().map(|run| run.seed));
    let curves = |non_negative: bool| -> Vec<Banded> {
        let of = |runs: &Vec<&Run>| {
            let name = runs[0].row.description.trim_start_matches("non-negative: ");
            Banded::over(name, &runs.iter().map(|run| accuracies(&run.curve)).collect::<Vec<_>>())
        };
        grouped.iter().filter(|runs| runs[0].row.non_negative == non_negative).map(of).collect()
    };
    let first: Vec<&Run> = grouped.iter().map(|runs| runs[0]).collect();
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
        figures::learning_curves("learning-curves", &format!("Learning curves on {images}"), &whose, curves(false))?,
        figures::learning_curves(
            "learning-curves-non-negative",
            &format!("Non-negative weights: learning curves on {images}"),
            &whose,
            curves(true),
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
    // Empty bins have no place on a logarithmic axis, and break the line.
    let density = |count: usize| count as f64 / (seen.len() as f64 * width);
    let points = counts.iter().enumerate().map(|(bin, &count)| (middle(bin), density(count)));
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
    for runs in by_row(report) {
        let Some(curves) = runs.iter().map(|run| Some(run.attacked?[at])).collect::<Option<Vec<_>>>() else { continue };
        let mean = |epsilon: usize| curves.iter().map(|curve| curve[epsilon]).sum::<f64>() / curves.len() as f64;
        let points = EPSILONS.iter().enumerate().map(|(index, &epsilon)| (f64::from(epsilon), mean(index)));
        series.push(Series { name: hidden_rule(&runs[0].row), points: points.collect() });
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
    for runs in by_row(report) {
        let Some(shots) = runs[0].row.shots else { continue };
        let name = hidden_rule(&runs[0].row);
        let point = (shots as f64, runs.iter().map(|run| run.accuracy).sum::<f64>() / runs.len() as f64);
        match series.iter_mut().find(|series| series.name == name) {
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

fn has_one_hidden_layer(row: &Row) -> bool {
    row.layers == 1 && row.shots.is_none()
}

/// The rule that trained a row's hidden layer, short enough for a title.
fn hidden_rule(row: &Row) -> String {
    let rule = match row.name.trim_start_matches("nn-") {
        name if name.ends_with("-printed") => "Hebbian as printed",
        name if name.starts_with("hebbian") => "Hebbian (Oja subspace)",
        name if name.starts_with("kh") => "Krotov-Hopfield",
        name if name.starts_with("bp") => "backpropagation",
        _ => row.description,
    };
    if row.non_negative { format!("{rule}, non-negative") } else { rule.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_layers_that_learn_differently_have_names_of_their_own() {
        for images in [Images::Embedded, Images::Mnist, Images::Cifar10] {
            // What a row's name says of its hidden layer: all but the output, which the part behind the rule is, and that it is as printed.
            let trained = |row: &Row| {
                let rule = row.name.trim_start_matches("nn-").split('-').next();
                (rule, row.non_negative, row.name.ends_with("-printed"))
            };
            let rows: Vec<&Row> = experiment::rows(images).iter().filter(|row| has_one_hidden_layer(row)).collect();
            for (a, b) in rows.iter().flat_map(|a| rows.iter().map(move |b| (a, b))) {
                assert_eq!(trained(a) == trained(b), hidden_rule(a) == hidden_rule(b), "{}, {}", a.name, b.name);
            }
        }
    }
}
