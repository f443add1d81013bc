//! The reproduction of the organism networks.

use neuropil::Context;
use neuropil::kernels::particle::Class;
use neuropil::systems::organism::experiment::{self, ImageRun, Options, ROWS, Report};
use neuropil::systems::organism::{Between, Census, Robustness};

use super::{Arguments, Reproduction};
use crate::failure::Failure;
use crate::figures::{self, Figure, Kernels, Plot, Series};
use crate::progress::Monitor;

pub(super) const TITLE: &str = "Organism networks of self-replicators";

/// Names of all experiments.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.into_iter()
}

/// Trains and measures.
pub(super) fn run(context: &mut Context, arguments: &Arguments, only: &[String]) -> Result<Reproduction, Failure> {
    let (scale, data, images) = arguments.digits("the organism's paper")?;
    let options = Options { scale, runs: arguments.runs as usize, seed: arguments.seed, only: only.to_vec() };
    let mut monitor = Monitor::new();
    let report = experiment::reproduce(context, &data, &options, &mut |name, seed, progress| {
        monitor.observe(&format!("{name} seed {seed}"), progress)
    })?;
    drop(monitor);
    Ok(Reproduction {
        title: TITLE,
        images: match report.images.is_empty() {
            true => "none".to_owned(),
            false => format!("{images}: {} to train, {} to test", data.train.len(), data.test.len()),
        },
        outcomes: report.outcomes(),
        figures: draw(&report)?,
        files: Vec::new(),
        departures: &experiment::DEPARTURES,
        finished: report.additions.len() + report.images.len(),
        interrupted: report.interrupted,
    })
}

fn series(name: impl Into<String>, values: impl Iterator<Item = f64>) -> Series {
    Series { name: name.into(), points: values.enumerate().map(|(at, value)| (at as f64, value)).collect() }
}

/// The share of each class that occurs, by epoch.
fn shares<'a>(censuses: impl Iterator<Item = &'a Census> + Clone) -> Vec<Series> {
    let share = |class| {
        censuses
            .clone()
            .map(move |census| 100.0 * census.count(class) as f64 / census.counts.iter().sum::<usize>().max(1) as f64)
    };
    let occurring = Class::ALL.into_iter().filter(|class| share(*class).any(|share| share > 0.0));
    occurring.map(|class| series(class.name(), share(class))).collect()
}

fn survival(levels: &[Robustness]) -> Vec<Series> {
    let mean = |steps: &[u32]| steps.iter().sum::<u32>() as f64 / steps.len().max(1) as f64;
    let points = |of: fn(&Robustness) -> &[u32]| {
        levels.iter().filter(|level| !level.fixpoint.is_empty()).map(|level| (level.noise, mean(of(level)))).collect()
    };
    vec![
        Series { name: "a fixpoint".to_owned(), points: points(|level| &level.fixpoint) },
        Series { name: "not diverged (200 at most)".to_owned(), points: points(|level| &level.diverged) },
    ]
}

fn plot<'a>(title: &'a str, x: &'a str, y: &'a str, caption: &'a str, logarithmic: [bool; 2]) -> Plot<'a> {
    Plot { title, x, y, caption, logarithmic }
}

fn draw(report: &Report) -> Result<Vec<Figure>, Failure> {
    let mut drawn = Vec::new();
    if let Some(run) = report.additions.first() {
        let text = "Figure 2 of the paper: what the 18 particles are, by epoch, in the run of the first seed.";
        let plot_of = plot("Addition: classes of particles", "epoch", "particles, %", text, [false, false]);
        drawn.push(figures::lines(
            "addition-classes",
            &plot_of,
            &shares(run.epochs.iter().map(|epoch| &epoch.census)),
        )?);
        let text = "Figure 3: errors of self-replication and of the task, first seed.";
        let plot_of = plot("Addition: losses", "epoch", "error", text, [false, true]);
        let epochs = || run.epochs.iter();
        let losses = [
            series("self-replication, mean squared", epochs().map(|epoch| epoch.census.loss)),
            series("addition, mean squared, training", epochs().map(|epoch| epoch.train)),
            series("addition, mean squared, test", epochs().map(|epoch| epoch.test)),
            series("addition, mean absolute, test", epochs().map(|epoch| epoch.absolute)),
        ];
        drawn.push(figures::lines("addition-losses", &plot_of, &losses)?);
        let text = "Figure 4: steps of self-application that self-replicators survive, by the noise on their weights, first seed.";
        let plot_of = plot("Addition: robustness", "standard deviation of the noise", "steps", text, [true, false]);
        drawn.push(figures::lines("addition-robustness", &plot_of, &survival(&run.robustness))?);
    }
    let first = |between| report.images.iter().find(|run| run.between == between);
    if let Some(run) = first(Between::Gelu).or(first(Between::Linear)) {
        drawn.extend(images(run)?);
    }
    if !report.images.is_empty() {
        let all: Vec<Series> = report
            .images
            .iter()
            .map(|run| {
                let kind = if run.between == Between::Gelu { "GELU" } else { "linear" };
                series(format!("{kind}, seed {}", run.seed), run.accuracy.into_iter())
            })
            .collect();
        let text = "Figure 8: test accuracy of the whole (0), without self-replicators (1), with as many of the smallest weights \
                    pruned (2), and without the particles that reproduce nothing (3).";
        let plot_of = plot("Images: particles dropped", "what was dropped", "test accuracy, %", text, [false, false]);
        drawn.push(figures::lines("images-dropped", &plot_of, &all)?);
    }
    Ok(drawn.into_iter().flatten().collect())
}

fn images(run: &ImageRun) -> Result<Vec<Option<Figure>>, Failure> {
    let mut drawn = Vec::new();
    let epochs = || run.epochs.iter();
    let text = "Figure 9: what the 1200 particles are, by epoch, first seed.";
    let plot_of = plot("Images: classes of particles", "epoch", "particles, %", text, [false, false]);
    drawn.push(figures::lines("images-classes", &plot_of, &shares(epochs().map(|epoch| &epoch.census)))?);
    let text = "Figure 6: losses of self-replication (mean squared) and of the task (cross-entropy), and the share of test images \
                classified wrongly, first seed.";
    let plot_of = plot("Images: losses", "epoch", "loss", text, [false, true]);
    let losses = [
        series("self-replication", epochs().map(|epoch| epoch.census.loss)),
        series("classification", epochs().map(|epoch| epoch.loss)),
        series("test images wrong", epochs().map(|epoch| 1.0 - epoch.accuracy)),
    ];
    drawn.push(figures::lines("images-losses", &plot_of, &losses)?);
    let text =
        "Figure 7: steps of self-application that self-replicators survive, by the noise on their weights, first seed.";
    let plot_of = plot("Images: robustness", "standard deviation of the noise", "steps", text, [true, false]);
    drawn.push(figures::lines("images-robustness", &plot_of, &survival(&run.robustness))?);
    let text = "Figure 11: where the particles of each class are: their number in each layer, first seed.";
    let plot_of = plot("Images: connectivity", "layer", "particles", text, [false, true]);
    let layers: Vec<Series> = Class::ALL
        .into_iter()
        .enumerate()
        .filter(|(at, _)| run.connectivity.iter().any(|layer| layer[*at] > 0))
        .map(|(at, class)| Series {
            name: class.name().to_owned(),
            points: run.connectivity.iter().enumerate().map(|(layer, of)| (layer as f64, of[at] as f64)).collect(),
        })
        .collect();
    drawn.push(figures::lines("images-connectivity", &plot_of, &layers)?);
    let side = run.pixels.cols().isqrt();
    let names = ["self-replicators", "sum of weights", "mean of test images"];
    let panels: Vec<Kernels> = names
        .into_iter()
        .enumerate()
        .map(|(row, name)| Kernels {
            name: name.to_owned(),
            weights: neuropil::Matrix::from_slice(run.pixels.row(row), 1, side * side).expect("a square"),
            channels: 1,
            rows: side,
            cols: side,
        })
        .collect();
    let caption = "Figure 10: per pixel, how many of its particles reproduce themselves, the sum of the weights they stand for, and the \
                   mean of the test images, first seed; each scaled by its largest.";
    let heat = figures::weight_kernels(&panels)?;
    drawn.push(heat.map(|heat| Figure { name: "images-pixels", caption: caption.to_owned(), ..heat }));
    let text = "Figure 12: weights of particles of the second layer during training, every fifth epoch, along the two principal \
                components of all shown; first seed.";
    let plot_of = plot("Images: trajectories", "first component", "second component", text, [false, false]);
    let paths: Vec<Series> = run
        .trajectories
        .iter()
        .map(|path| Series { name: format!("{} {}", path.class.name(), path.particle), points: path.points.clone() })
        .collect();
    drawn.push(figures::lines("images-trajectories", &plot_of, &paths)?);
    Ok(drawn)
}
