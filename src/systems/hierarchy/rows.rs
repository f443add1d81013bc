//! The rows of the tables, and what each is trained by.

use super::config::{Base, Config, Images, Meta, ReadOut, Rule};
use super::topology::{Named, Topology};
use crate::systems::experiment::Scale;

/// One row of the reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// A short name, unique: `a1`.
    pub name: &'static str,
    /// What is trained, in words.
    pub description: &'static str,
    /// The topology, or what it begins as.
    pub topology: Named,
    /// How the receptive fields learn, if they do.
    pub rule: Option<Rule>,
    /// The paper's test accuracies in per cent, on MNIST and CIFAR-10: means of table 1.
    pub paper: [Option<f64>; 2],
}

impl Row {
    /// Whether it belongs to the paper's tables. Others are run only if they are named.
    pub fn in_tables(&self) -> bool {
        matches!(self.rule, None | Some(Rule::StochasticHillClimbing))
    }
}

/// The rows: table 1, the random topologies of table 2, and those under the other rules of section 2.2.
pub const ROWS: &[Row] = &[
    row("a1", "A1, flat", Named::A1, [96.4, 31.69]),
    row("a2", "A2, columnar", Named::A2, [94.21, 30.79]),
    row("a3", "A3, pyramidal", Named::A3, [96.6, 32.84]),
    row("ar1", "AR1, random", Named::Ar1, [93.03, 31.97]),
    row("ar2", "AR2, random", Named::Ar2, [93.76, 27.21]),
    row("ar3", "AR3, random", Named::Ar3, [90.28, 29.86]),
    meta("meta", "a random topology for each seed, meta-learned", Rule::StochasticHillClimbing),
    meta("local", "a random topology for each seed, by local search", Rule::LocalSearch),
    meta("random-search", "a random topology for each seed, by random search", Rule::RandomSearch),
];

const fn row(name: &'static str, description: &'static str, topology: Named, paper: [f64; 2]) -> Row {
    Row { name, description, topology, rule: None, paper: [Some(paper[0]), Some(paper[1])] }
}

const fn meta(name: &'static str, description: &'static str, rule: Rule) -> Row {
    Row { name, description, topology: Named::Random, rule: Some(rule), paper: [None, None] }
}

/// The recipe of a run.
pub fn recipe(scale: Scale, images: Images, row: &Row, seed: u64) -> Config {
    let (base, read_out, meta) = match scale {
        Scale::Full => (Base::default(), ReadOut::default(), Meta::default()),
        // A fortieth of the images: more passes, smaller batches.
        Scale::Quick => (
            Base { epochs: 20, batch: 32, ..Base::default() },
            ReadOut { batch: 32, ..ReadOut::default() },
            Meta { steps: 6, epochs: Some(4), ..Meta::default() },
        ),
    };
    let meta = row.rule.map(|rule| Meta { rule, ..meta });
    Config { seed, images, topology: Topology::Named(row.topology), base, read_out, meta, ..Config::default() }
}
