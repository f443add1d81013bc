//! The numbers behind the figures, of every run, as tables whose columns tabs separate.

use std::borrow::Cow;

use neuropil::kernels::particle::Class;
use neuropil::systems::organism::experiment::{Particle, Report, TRAJECTORY};
use neuropil::systems::organism::{Census, Robustness};

use super::name;

/// A table of which no line is written yet, with the names of its columns.
struct Table(String);

impl Table {
    fn of(columns: &str) -> Self {
        Table(columns.replace(' ', "\t") + "\n")
    }

    /// Adds a line; its fields are separated as the columns' names were.
    fn line(&mut self, fields: &str) {
        self.0 += &fields.replace(' ', "\t");
        self.0.push('\n');
    }
}

/// File names and contents; what was not run has no file.
pub(super) fn tables(report: &Report) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let all = [
        ("epochs.tsv", epochs(report)),
        ("robustness.tsv", robustness(report)),
        ("particles.tsv", particles(report)),
        ("resubstitution.tsv", resubstitution(report)),
        ("dropped.tsv", dropped(report)),
        ("pixels.tsv", pixels(report)),
        ("trajectories.tsv", trajectories(report)),
        ("components.tsv", components(report)),
    ];
    super::super::curves::tables(all.map(|(name, table)| (name, table.0))).collect()
}

/// Shares of the classes, in per cent, and losses: figures 2, 3, 6 and 9. What an experiment does not measure is empty.
fn epochs(report: &Report) -> Table {
    let classes = Class::ALL.map(|class| class.name().to_owned() + "_%").join(" ");
    let mut table = Table::of(&format!(
        "experiment seed epoch {classes} self_replication_loss training_loss test_squared_error test_absolute_error test_accuracy_%"
    ));
    let start = |name: &str, seed: u64, epoch: usize, census: &Census| {
        let shares = Class::ALL.map(|class| format!("{:.4}", super::share(census, class))).join(" ");
        format!("{name} {seed} {epoch} {shares} {:e}", census.loss)
    };
    for run in &report.additions {
        for (at, epoch) in run.epochs.iter().enumerate() {
            let start = start("addition", run.seed, at, &epoch.census);
            table.line(&format!("{start} {:e} {:e} {:e} ", epoch.train, epoch.test, epoch.absolute));
        }
    }
    for run in &report.images {
        for (at, epoch) in run.epochs.iter().enumerate() {
            let start = start(name(run.between), run.seed, at, &epoch.census);
            table.line(&format!("{start} {:e}   {:.4}", epoch.loss, 100.0 * epoch.accuracy));
        }
    }
    table
}

/// Steps of self-application over the self-replicators of a run: figures 4 and 7.
fn robustness(report: &Report) -> Table {
    let of = |what| format!("{what}_mean {what}_deviation {what}_least {what}_most");
    let mut table =
        Table::of(&format!("experiment seed noise self-replicators {} {}", of("fixpoint"), of("not_diverged")));
    let additions = report.additions.iter().map(|run| ("addition", run.seed, &run.robustness));
    let images = report.images.iter().map(|run| (name(run.between), run.seed, &run.robustness));
    for (name, seed, levels) in additions.chain(images) {
        for Robustness { noise, fixpoint, diverged } in levels.iter().filter(|level| !level.fixpoint.is_empty()) {
            let (steps, survived) = (spread(fixpoint), spread(diverged));
            table.line(&format!("{name} {seed} {noise:e} {} {steps} {survived}", fixpoint.len()));
        }
    }
    table
}

/// Mean, standard deviation (over n), least and largest.
fn spread(steps: &[u32]) -> String {
    let mean = |of: &dyn Fn(f64) -> f64| steps.iter().map(|&step| of(step.into())).sum::<f64>() / steps.len() as f64;
    let middle = mean(&|step| step);
    let deviation = mean(&|step| (step - middle).powi(2)).sqrt();
    let (least, most) = (steps.iter().min().unwrap_or(&0), steps.iter().max().unwrap_or(&0));
    format!("{middle:.4} {deviation:.4} {least} {most}")
}

/// What every particle is at the end, and what it connects: figures 10 and 11.
fn particles(report: &Report) -> Table {
    let mut table = Table::of("experiment seed particle layer input cell class weight deviation");
    let additions = report.additions.iter().map(|run| ("addition", run.seed, &run.particles));
    let images = report.images.iter().map(|run| (name(run.between), run.seed, &run.particles));
    for (name, seed, particles) in additions.chain(images) {
        for (at, Particle { layer, input, cell, class, weight, deviation }) in particles.iter().enumerate() {
            let class = class.name();
            table.line(&format!("{name} {seed} {at} {layer} {input} {cell} {class} {weight:e} {deviation:e}"));
        }
    }
    table
}

/// What is off the sum, pair by pair: figure 5.
fn resubstitution(report: &Report) -> Table {
    let mut table = Table::of("experiment seed pair organism_error plain_network_error");
    for run in &report.additions {
        for (at, [organism, plain]) in run.resubstitution.errors.iter().enumerate() {
            table.line(&format!("addition {} {at} {organism:e} {plain:e}", run.seed));
        }
    }
    table
}

/// Test accuracies in per cent: figure 8.
fn dropped(report: &Report) -> Table {
    let mut table = Table::of("experiment seed whole without_self-replicators smallest_pruned without_others");
    for run in &report.images {
        let accuracies = run.accuracy.map(|accuracy| format!("{accuracy:.4}")).join(" ");
        table.line(&format!("{} {} {accuracies}", name(run.between), run.seed));
    }
    table
}

/// Figure 10.
fn pixels(report: &Report) -> Table {
    let mut table = Table::of("experiment seed row column self-replicators sum_of_their_weights mean_of_images");
    for run in &report.images {
        let side = run.pixels.cols().isqrt();
        for pixel in 0..run.pixels.cols() {
            let [count, sum, mean] = [0, 1, 2].map(|row| run.pixels[(row, pixel)]);
            let (name, row, column) = (name(run.between), pixel / side, pixel % side);
            table.line(&format!("{name} {} {row} {column} {count} {sum:e} {mean:e}", run.seed));
        }
    }
    table
}

/// Figure 12: particles are numbered within the last layer.
fn trajectories(report: &Report) -> Table {
    let mut table = Table::of("experiment seed particle class epoch first_component second_component");
    for run in &report.images {
        for path in &run.trajectories.paths {
            let start = format!("{} {} {} {}", name(run.between), run.seed, path.particle, path.class.name());
            for (at, (first, second)) in path.points.iter().enumerate() {
                table.line(&format!("{start} {} {first:e} {second:e}", at * TRAJECTORY));
            }
        }
    }
    table
}

/// How much of the variance figure 12 shows.
fn components(report: &Report) -> Table {
    let mut table = Table::of("experiment seed first_share second_share");
    for run in report.images.iter().filter(|run| !run.trajectories.paths.is_empty()) {
        let [first, second] = run.trajectories.variance;
        table.line(&format!("{} {} {first:.6} {second:.6}", name(run.between), run.seed));
    }
    table
}
