//! What a reproduction of the hierarchy's tables found: each run's topologies, measured, and the figures made of them.

use serde::{Deserialize, Serialize};

use super::config::{Config, Images, Rule};
use super::rows::{ROWS, Row};
use super::topology::Geometry;
use crate::analysis::{Alternative, Correlation, Wilcoxon, pearson, wilcoxon};
use crate::kernels::masked::Rectangle;
use crate::systems::experiment::Ending;
use crate::systems::{Better, Outcome};

/// Table 2 and the correlations, on MNIST and CIFAR-10: medians before and after, the highest accuracy, p, r.
const TABLE_2: [[f64; 5]; 2] = [[91.24, 92.40, 96.22, 0.009, 0.75], [33.12, 32.46, 35.02, 0.869, 0.48]];

/// A trained topology, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Meta-steps that led to it: the step that accepted its last move is among them, later ones without any are not.
    pub meta_step: u64,
    /// Test accuracy in per cent with the hidden-layer read-out.
    pub accuracy: f64,
    /// Test images that are classified correctly: the accuracy as a whole number.
    pub correct: usize,
    /// Test accuracy in per cent with multinomial logistic regression: of the first and the last topology of a run.
    pub logistic: Option<f64>,
    /// Accuracy in per cent on the validation images, with the hidden-layer read-out.
    pub validation: f64,
    /// Entropy of each unit in bits.
    pub entropies: Vec<f64>,
    /// Each unit's receptive field.
    pub fields: Vec<Vec<Rectangle>>,
    /// The feature map of the first test image, row by row, without dropout.
    pub activity: Vec<f32>,
}

impl Measured {
    /// The largest entropy of a unit; NaN if one is.
    pub fn largest_entropy(&self) -> f64 {
        largest(&self.entropies)
    }
}

/// The largest of values of zero or more; NaN if one is.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest: f64, &value| if largest.is_nan() || largest > value { largest } else { value })
}

/// One run of a row.
#[derive(Clone, Debug)]
pub struct Run {
    /// The row.
    pub row: Row,
    /// The seed.
    pub seed: u64,
    /// What it was trained by.
    pub config: Config,
    /// The topology after the first training, then after every move that was accepted, or after the last alone if moves are
    /// not measured each. Never empty.
    pub steps: Vec<Measured>,
    /// The entropies of all units, in bits, after every epoch, as [`Network::entropy_history`](super::Network::entropy_history).
    pub entropies: Vec<Vec<f64>>,
    /// Moves that were accepted.
    pub accepted: u64,
    /// Candidates that were trained.
    pub candidates: u64,
    /// Time of the base learning, read-outs apart.
    pub learning: f64,
    /// Time of the run.
    pub seconds: f64,
}

impl Run {
    /// The topology as it was at first.
    pub fn first(&self) -> &Measured {
        &self.steps[0]
    }

    /// The topology in the end.
    pub fn last(&self) -> &Measured {
        &self.steps[self.steps.len() - 1]
    }
}

/// A finished reproduction, or what was finished of one.
#[derive(Debug)]
pub struct Report {
    /// The images.
    pub images: Images,
    /// The feature map.
    pub geometry: Geometry,
    /// Every finished run, by row and then by seed.
    pub runs: Vec<Run>,
    /// How it ended.
    pub ending: Ending,
    /// Time of it all.
    pub seconds: f64,
}

impl Report {
    /// Runs of a row.
    pub fn of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.row.name == row.name)
    }

    /// The tables.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let which = usize::from(self.images == Images::Cifar10);
        let set = ["MNIST", "CIFAR-10"][which];
        let mut outcomes = Vec::new();
        for row in ROWS {
            let runs: Vec<&Run> = self.of(row).collect();
            if runs.is_empty() {
                continue;
            }
            let seconds = runs.iter().map(|run| run.seconds).sum();
            let experiment = format!("{set}: {}", row.description);
            let of = |figure: fn(&Measured) -> f64| runs.iter().map(|run| figure(run.last())).collect::<Vec<_>>();
            let mut add = |quantity: &str, better, paper, figures| {
                let new = Outcome::new("hierarchy", experiment.clone(), quantity, better, paper, figures, seconds);
                outcomes.push(if quantity.ends_with("median") { new.of_medians() } else { new });
            };
            if row.rule.is_none() {
                add("test accuracy, %", Better::More, row.paper[which], of(|m| m.accuracy));
                add("the same, logistic regression", Better::More, None, of(|m| m.logistic.unwrap_or(f64::NAN)));
                add("largest entropy, bits", Better::Nearer, None, of(Measured::largest_entropy));
                continue;
            }
            let [before, after, highest, p, _] =
                TABLE_2[which].map(|paper| (row.rule == Some(Rule::StochasticHillClimbing)).then_some(paper));
            let first: Vec<f64> = runs.iter().map(|run| run.first().accuracy).collect();
            let last = of(|m| m.accuracy);
            add("test accuracy before, %, median", Better::More, before, first);
            add("test accuracy after, %, median", Better::More, after, last.clone());
            add("highest test accuracy after, %", Better::More, highest, vec![largest(&last)]);
            // Percentages that look equal may differ in their last bit: counts tie where they should.
            let difference = runs.iter().map(|run| run.last().correct as f64 - run.first().correct as f64);
            let difference: Vec<f64> = difference.collect();
            if let Some(found) = significance(&difference) {
                add("Wilcoxon signed-rank p, one-sided", Better::Less, p, vec![found]);
            }
            add("accepted moves", Better::Nearer, None, runs.iter().map(|run| run.accepted as f64).collect());
            for (quantity, of) in [
                ("logistic regression before, %, median", Run::first as fn(&Run) -> &Measured),
                ("logistic regression after, %, median", Run::last),
            ] {
                let figures: Vec<f64> = runs.iter().map(|run| of(run).logistic.unwrap_or(f64::NAN)).collect();
                add(quantity, Better::More, None, figures);
            }
        }
        for (what, found) in self.correlations() {
            let experiment = format!("{set}: largest entropy and accuracy, networks of {what}");
            let paper = (what == TABLE_1).then_some(TABLE_2[which][4]);
            let (low, high) = found.confidence_95();
            for (quantity, better, paper, figure) in [
                ("Pearson r", Better::Nearer, paper, found.r),
                ("two-sided p of r", Better::Less, None, found.p),
                ("lower end of r's 95 % interval", Better::Nearer, None, low),
                ("upper end of r's 95 % interval", Better::Nearer, None, high),
            ] {
                outcomes.push(Outcome::new(
                    "hierarchy",
                    experiment.clone(),
                    quantity,
                    better,
                    paper,
                    vec![figure],
                    0.0,
                ));
            }
        }
        outcomes
    }

    /// Between the largest entropy and the accuracy of the networks of table 1, and of both tables, where they are defined. The
    /// paper's r is that of table 1.
    pub fn correlations(&self) -> Vec<(&'static str, Correlation)> {
        let runs = || self.runs.iter().filter(|run| run.row.in_tables());
        let fixed: Vec<&Measured> = runs().filter(|run| run.row.rule.is_none()).map(Run::last).collect();
        let ends =
            |run: &'_ Run| if run.accepted > 0 { vec![0, run.steps.len() - 1] } else { vec![run.steps.len() - 1] };
        let all: Vec<&Measured> = runs().flat_map(|run| ends(run).into_iter().map(|step| &run.steps[step])).collect();
        let found = [(TABLE_1, fixed), ("both tables", all)];
        found.into_iter().filter_map(|(what, networks)| Some((what, correlation(&networks)?))).collect()
    }

    /// The paper's r.
    pub fn paper_r(&self) -> f64 {
        TABLE_2[usize::from(self.images == Images::Cifar10)][4]
    }
}

/// What the handcrafted topologies and the paper's random ones are called.
const TABLE_1: &str = "table 1";

/// One-sided p of the differences being above zero, where it is defined.
fn significance(differences: &[f64]) -> Option<f64> {
    let test = Wilcoxon { alternative: Alternative::Greater, ..Wilcoxon::default() };
    wilcoxon(differences, &test).ok().filter(|test| test.n > 0).map(|test| test.p)
}

/// Between the largest entropy and the accuracy, where it is defined.
fn correlation(networks: &[&Measured]) -> Option<Correlation> {
    let x: Vec<f64> = networks.iter().map(|m| m.largest_entropy()).collect();
    let y: Vec<f64> = networks.iter().map(|m| m.accuracy).collect();
    pearson(&x, &y).ok().filter(|found| found.r.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(report: &Report, quantity: &str) -> Option<f64> {
        let outcomes = report.outcomes();
        outcomes.iter().find(|outcome| outcome.quantity == quantity).map(|outcome| outcome.ours)
    }

    /// A topology that classifies so many of 1000 images.
    fn measured(correct: usize, entropies: &[f64]) -> Measured {
        Measured {
            meta_step: 0,
            accuracy: 100.0 * (correct as f64 / 1000.0),
            correct,
            logistic: Some(50.0),
            validation: 50.0,
            entropies: entropies.to_vec(),
            fields: Vec::new(),
            activity: Vec::new(),
        }
    }

    fn report(runs: Vec<(u64, Vec<Measured>)>) -> Report {
        let run = |(seed, (accepted, steps))| Run {
            row: ROWS[6],
            seed,
            config: Config::default(),
            steps,
            entropies: Vec::new(),
            accepted,
            candidates: 9,
            learning: 0.0,
            seconds: 0.0,
        };
        let runs = (0..).zip(runs).map(run).collect();
        let geometry = Config::default().geometry().unwrap();
        Report { images: Images::Mnist, geometry, runs, ending: Ending::Whole, seconds: 0.0 }
    }

    #[test]
    fn ranks_are_those_of_counts() {
        let pairs = [(657, 660), (860, 863), (934, 937), (814, 811)];
        let magnitudes =
            pairs.map(|(before, after)| (measured(after, &[1.0]).accuracy - measured(before, &[1.0]).accuracy).abs());
        assert!(
            magnitudes[..3].iter().all(|other| *other > magnitudes[3]),
            "percentages would not tie: {magnitudes:?}"
        );
        let runs = pairs.map(|(before, after)| (1, vec![measured(before, &[1.0]), measured(after, &[2.0])]));
        // Four differences of one magnitude, one of them negative: 5 of 16 signings are as extreme.
        assert_eq!(figure(&report(runs.to_vec()), "Wilcoxon signed-rank p, one-sided"), Some(5.0 / 16.0));
    }

    #[test]
    fn moves_that_were_not_measured_count() {
        let ends = |accepted| (accepted, vec![measured(900, &[1.0]), measured(901 + accepted as usize, &[2.0])]);
        let report = report(vec![ends(3), ends(5), (0, vec![measured(800, &[1.5])])]);
        assert_eq!(figure(&report, "accepted moves"), Some(8.0 / 3.0));
        let r = figure(&report, "Pearson r").unwrap();
        let x = [1.0, 2.0, 1.0, 2.0, 1.5];
        let expected = pearson(&x, &[90.0, 90.4, 90.0, 90.6, 80.0]).unwrap();
        assert!((r - expected.r).abs() < 1e-12);
        assert!((figure(&report, "two-sided p of r").unwrap() - expected.p).abs() < 1e-12);
        let (low, high) = expected.confidence_95();
        assert!((figure(&report, "lower end of r's 95 % interval").unwrap() - low).abs() < 1e-9);
        assert!((figure(&report, "upper end of r's 95 % interval").unwrap() - high).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_number_stays_visible() {
        for entropies in [[1.0, f64::NAN, 2.0], [f64::NAN, 1.0, 2.0], [1.0, 2.0, f64::NAN]] {
            assert!(measured(1, &entropies).largest_entropy().is_nan());
        }
        assert_eq!(measured(1, &[1.0, 3.0, 2.0]).largest_entropy(), 3.0);
    }
}
