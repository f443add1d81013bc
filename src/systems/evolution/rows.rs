//! The rows of the reproduction, with the figures of the paper's table 1.

/// One row of the reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// A short name, unique: `nne-10`.
    pub name: &'static str,
    /// What is trained, in words.
    pub description: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A population on so many classes, by the recipe or as the paper's setting is printed.
    Population { classes: usize, printed: bool },
    /// Adam on the same images, classes.
    Baseline(usize),
    /// Populations of fewer and more genes, classes: figure 1.
    Genes(usize),
    /// Output layers on so many random hidden units: table 2.
    Lifetime { hidden: usize },
    /// Lemma 1 and the linear target.
    Theory,
}

/// The rows: table 1, table 2, figure 1, the theory.
pub const ROWS: &[Row] = &[
    Row {
        name: "nne-10",
        description: "evolution, digits 0-9",
        kind: Kind::Population { classes: 10, printed: false },
    },
    Row { name: "nne-5", description: "evolution, digits 0-4", kind: Kind::Population { classes: 5, printed: false } },
    Row {
        name: "nne-10-printed",
        description: "evolution as printed, digits 0-9",
        kind: Kind::Population { classes: 10, printed: true },
    },
    Row { name: "sgd-10", description: "backpropagation (Adam), digits 0-9", kind: Kind::Baseline(10) },
    Row { name: "sgd-5", description: "backpropagation (Adam), digits 0-4", kind: Kind::Baseline(5) },
    Row { name: "dnn-1000", description: "1,000 random hidden units", kind: Kind::Lifetime { hidden: 1000 } },
    Row { name: "dnn-100000", description: "100,000 random hidden units", kind: Kind::Lifetime { hidden: 100_000 } },
    Row { name: "genes-10", description: "evolution by number of genes, digits 0-9", kind: Kind::Genes(10) },
    Row { name: "genes-5", description: "evolution by number of genes, digits 0-4", kind: Kind::Genes(5) },
    Row { name: "theory", description: "one linear output, 6 inputs, 60 genes", kind: Kind::Theory },
];

/// Table 1: NNE, NNE + SignSGD, SGD.
pub(super) fn table_1(classes: usize) -> [Option<f64>; 3] {
    match classes {
        5 => [Some(92.1), Some(91.6), Some(96.0)],
        _ => [Some(78.8), Some(86.3), Some(88.2)],
    }
}
