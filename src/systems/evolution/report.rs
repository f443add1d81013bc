//! What a reproduction of the paper's tables found: populations, output layers, the theory, and the figures made of them.

use super::curve::{Distances, Point};
use super::rows::{Kind, ROWS, Row, table_1};
use super::seen::Accuracies;
use crate::systems::experiment::Ending;
use crate::systems::{Better, CurvePoint, Outcome};

/// A population after its generations.
#[derive(Clone, Debug, PartialEq)]
pub struct Evolved {
    /// Number of genes.
    pub genes: usize,
    /// Generations.
    pub generations: u64,
    /// On the test images, in per cent.
    pub accuracies: Accuracies,
    /// The curve: test accuracies decide nothing.
    pub points: Vec<Point>,
    /// Lifetime learning's curve.
    pub lifetime: Vec<CurvePoint>,
    /// Figure 2.
    pub distances: Vec<Distances>,
    /// Its configuration, as TOML.
    pub config: String,
}

/// A trained output layer, or network.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// What learned, in words.
    pub what: &'static str,
    /// Random hidden units, for output layers.
    pub hidden: Option<usize>,
    /// The paper's test accuracy in per cent.
    pub paper: Option<f64>,
    /// Test accuracy in per cent.
    pub accuracy: f64,
    /// The learning curve.
    pub curve: Vec<CurvePoint>,
    /// The kind of network: [`Learner::kind`](crate::systems::Learner::kind).
    pub kind: &'static str,
    /// Its configuration, as TOML.
    pub config: String,
}

/// The theory's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Theory {
    /// Largest relative difference between f - f0 and the slope of -L.
    pub lemma: f64,
    /// |W p - a| / |a| where it was least, at the powers of ten of generations, and in the end. Frequencies go on to 0 and 1, where W p can be no
    /// nearer than W's entries are apart.
    pub distance: [f64; 2],
    /// Cosine between the target and the weights of the rounded genotype.
    pub cosine: f64,
    /// L(p) by generation.
    pub losses: Vec<(u64, f64)>,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Populations: one, or one for each number of genes.
    Populations(Vec<Evolved>),
    /// Learners on the same images.
    Learners(Vec<Learned>),
    /// The theory.
    Theory(Theory),
}

/// One run of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The row.
    pub row: Row,
    /// The seed.
    pub seed: u64,
    /// What it found.
    pub finding: Finding,
    /// Time of the run, from where it began or went on.
    pub seconds: f64,
}

/// A finished reproduction, or what was finished of one.
#[derive(Debug, Default)]
pub struct Report {
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
        let mut outcomes = Vec::new();
        for row in ROWS {
            let runs: Vec<&Run> = self.of(row).collect();
            if runs.is_empty() {
                continue;
            }
            let seconds = runs.iter().map(|run| run.seconds).sum();
            let mut add = |experiment: String, quantity: &str, better, paper, figures: Vec<f64>| {
                if !figures.is_empty() {
                    outcomes.push(Outcome::new("evolution", experiment, quantity, better, paper, figures, seconds));
                }
            };
            let populations = |index: usize| -> Vec<&Evolved> {
                runs.iter()
                    .filter_map(|run| match &run.finding {
                        Finding::Populations(all) => all.get(index),
                        _ => None,
                    })
                    .collect()
            };
            match row.kind {
                Kind::Population { classes, .. } => {
                    let [evolved, lifetime, _] = table_1(classes);
                    let all = populations(0);
                    let Some(first) = all.first() else { continue };
                    let experiment =
                        format!("{}: {} genes, {} generations", row.description, first.genes, first.generations);
                    let of = |figure: fn(&Accuracies) -> f64| all.iter().map(|e| figure(&e.accuracies)).collect();
                    add(experiment.clone(), "test accuracy by W p, %", Better::More, evolved, of(|a| a.expected));
                    add(experiment.clone(), "the same, rounded genotype", Better::More, None, of(|a| a.rounded));
                    add(experiment.clone(), "the same, mean of genotypes drawn", Better::More, None, of(|a| a.sampled));
                    let after = all.iter().filter_map(|e| e.accuracies.lifetime).collect();
                    add(experiment.clone(), "after SignSGD, %", Better::More, lifetime, after);
                    let fixed = all.iter().filter_map(|e| e.points.last()).map(|p| 100.0 * p.fixed).collect();
                    add(experiment, "genes within 0.01 of 0 or 1, %", Better::Nearer, None, fixed);
                }
                Kind::Genes(_) => {
                    for index in 0.. {
                        let all = populations(index);
                        let Some(first) = all.first() else { break };
                        let experiment =
                            format!("{}: {}, {} generations", row.description, first.genes, first.generations);
                        let figures = all.iter().map(|e| e.accuracies.expected).collect();
                        add(experiment, "test accuracy by W p, %", Better::More, None, figures);
                    }
                }
                Kind::Baseline(_) | Kind::Lifetime { .. } => {
                    let learners = |index: usize| {
                        runs.iter().filter_map(move |run| match &run.finding {
                            Finding::Learners(all) => all.get(index),
                            _ => None,
                        })
                    };
                    for index in 0.. {
                        let Some(first) = learners(index).next() else { break };
                        let experiment = match (row.kind, first.hidden) {
                            (Kind::Lifetime { hidden }, Some(other)) if hidden != other => {
                                format!("{other} of {}: {}", row.description, first.what)
                            }
                            _ => format!("{}: {}", row.description, first.what),
                        };
                        let figures = learners(index).map(|learned| learned.accuracy).collect();
                        add(experiment, "test accuracy, %", Better::More, first.paper, figures);
                    }
                }
                Kind::Theory => {
                    let of = |figure: fn(&Theory) -> f64| {
                        let theories = runs.iter().filter_map(|run| match &run.finding {
                            Finding::Theory(theory) => Some(figure(theory)),
                            _ => None,
                        });
                        theories.collect::<Vec<f64>>()
                    };
                    let experiment = || row.description.to_owned();
                    add(
                        experiment(),
                        "lemma 1: relative difference of the slopes",
                        Better::Less,
                        Some(0.0),
                        of(|t| t.lemma),
                    );
                    let ratio = of(|t| t.losses.last().map_or(1.0, |last| last.1 / t.losses[0].1));
                    add(experiment(), "loss in the end, share of the first", Better::Less, None, ratio);
                    add(experiment(), "least |W p - a| / |a|", Better::Less, Some(0.0), of(|t| t.distance[0]));
                    add(experiment(), "the same in the end", Better::Less, None, of(|t| t.distance[1]));
                    add(experiment(), "cosine of the rounded genotype", Better::More, Some(1.0), of(|t| t.cosine));
                }
            }
        }
        outcomes
    }
}
