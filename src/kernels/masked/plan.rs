//! Which way of computing a masked layer is the fastest for its batch and density, as measured.

use std::fmt;

/// How a masked layer is computed. More ways may come.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// As a dense product with zeros where the mask is.
    Dense,
    /// By the runs of the units' receptive fields.
    Field,
    /// By lists of entries.
    Sparse,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::Dense => "dense",
            Strategy::Field => "field",
            Strategy::Sparse => "sparse",
        })
    }
}

/// Up to which density a strategy wins over the dense product, by the least batch it holds from.
type Crossovers = [(usize, f64)];

/// All were measured on AVX-512 and one thread by benches/peers/crossovers.py, and hold for every set: strategies sum in different orders,
/// so the choice must not depend on the CPU. Lists, 784 x 2000:
const SPARSE: &Crossovers =
    &[(0, 0.09), (2, 0.11), (3, 0.14), (4, 0.17), (5, 0.21), (7, 0.26), (9, 0.35), (49, 0.44), (1500, 0.55)];
/// Receptive fields, 100 units on a map of 30 x 30; up to 32 samples the product and the gradient by the inputs together, of which the product
/// alone crosses later.
const FIELD: &Crossovers =
    &[(0, 0.12), (3, 0.15), (4, 0.18), (5, 0.24), (7, 0.28), (8, 0.30), (9, 0.55), (17, 0.48), (33, 0.55), (49, 0.72)];
/// Gradients by the weights, 784 x 2000.
const SAMPLED: &Crossovers = &[(0, 0.50), (2, 0.12), (5, 0.18), (9, 0.25), (97, 0.30)];

/// The crossover that holds for a batch.
fn crossover(table: &Crossovers, batch: usize) -> f64 {
    table.iter().rfind(|(least, _)| *least <= batch).expect("the first holds from 0").1
}

/// What was chosen for a batch and a density, and why.
///
/// The choice asks for the batch and the density alone: inputs and units are kept to be shown, and change nothing. Lists or runs are chosen
/// up to the density at which they were seen to win over the dense product with such a batch, on AVX-512 and one thread:
///
/// | batch from | 0 | 2 | 3 | 4 | 5 | 7 | 8 | 9 | 17 | 33 | 49 | 97 | 1500 | measured |
/// |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
/// | a pattern up to | 0.09 | 0.11 | 0.14 | 0.17 | 0.21 | 0.26 | 0.26 | 0.35 | 0.35 | 0.35 | 0.44 | 0.44 | 0.55 | 784 inputs, 2000 units |
/// | receptive fields up to | 0.12 | 0.12 | 0.15 | 0.18 | 0.24 | 0.28 | 0.30 | 0.55 | 0.48 | 0.55 | 0.72 | 0.72 | 0.72 | 100 units on a map of 30 x 30 |
/// | the gradient by a pattern's weights up to | 0.50 | 0.12 | 0.12 | 0.12 | 0.18 | 0.18 | 0.18 | 0.25 | 0.25 | 0.25 | 0.25 | 0.30 | 0.30 | 784 inputs, 2000 units |
///
/// The last is the choice of [`MaskedWeights::gradient`](super::MaskedWeights::gradient), which is made by itself: [`strategy`](Self::strategy) tells the others'.
///
/// Layers of other shapes may cross elsewhere: where it matters, measure [`sparse_matmul`](super::sparse_matmul) or
/// [`field_matmul`](super::field_matmul) and [`matmul`](crate::kernels::dense::matmul) on yours, and choose by
/// [`MaskedWeights::with_strategy`](super::MaskedWeights::with_strategy).
///
/// ```
/// use neuropil::kernels::masked::{Plan, Strategy};
/// let plan = Plan::for_pattern(256, 784, 2000, 0.01);
/// assert_eq!(plan.strategy(), Strategy::Sparse);
/// println!("{plan}"); // sparse: 784 x 2000 at density 0.010, batch 256: at most the crossover to dense, 0.44
/// assert_eq!(Plan::for_pattern(256, 784, 2000, 0.9).strategy(), Strategy::Dense);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    strategy: Strategy,
    batch: usize,
    inputs: usize,
    units: usize,
    density: f64,
    crossover: f64,
    /// Whether somebody else has chosen the strategy.
    told: bool,
}

impl Plan {
    /// The plan for a pattern of this density. Inputs and units do not enter the choice.
    pub fn for_pattern(batch: usize, inputs: usize, units: usize, density: f64) -> Self {
        Self::new(Strategy::Sparse, SPARSE, [batch, inputs, units], density)
    }

    /// The plan for receptive fields with this share of all connections. Inputs and units do not enter the choice.
    pub fn for_fields(batch: usize, inputs: usize, units: usize, density: f64) -> Self {
        Self::new(Strategy::Field, FIELD, [batch, inputs, units], density)
    }

    fn new(sparse: Strategy, table: &Crossovers, [batch, inputs, units]: [usize; 3], density: f64) -> Self {
        let crossover = crossover(table, batch);
        let strategy = if density <= crossover { sparse } else { Strategy::Dense };
        Plan { strategy, batch, inputs, units, density, crossover, told: false }
    }

    /// What was chosen.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The batch it was chosen for.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The inputs of the layer it was chosen for.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The units of the layer it was chosen for.
    pub fn units(&self) -> usize {
        self.units
    }

    /// The density it was chosen for.
    pub fn density(&self) -> f64 {
        self.density
    }

    /// The same with a strategy that somebody else has chosen.
    pub(super) fn told(self, strategy: Strategy) -> Self {
        Plan { strategy, told: true, ..self }
    }

    /// Whether gradients by a pattern's weights are sampled, rather than picked from the whole product.
    pub(super) fn samples_gradients(&self) -> bool {
        self.density <= crossover(SAMPLED, self.batch)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { strategy, batch, inputs, units, density, crossover, told } = self;
        write!(f, "{strategy}: {inputs} x {units} at density {density:.3}, batch {batch}: ")?;
        if *told {
            return f.write_str("as it was told");
        }
        let side = if *strategy == Strategy::Dense { "above" } else { "at most" };
        write!(f, "{side} the crossover to dense, {crossover:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_crossovers_are_those_in_use() {
        let row = |name: &str| -> Vec<String> {
            let start = format!("/// | {name} |");
            let line =
                include_str!("plan.rs").lines().find(|line| line.starts_with(&start)).expect("a row of the table");
            line[start.len()..].split('|').map(|cell| cell.trim().to_owned()).take(13).collect()
        };
        let batches: Vec<usize> = row("batch from").iter().map(|batch| batch.parse().unwrap()).collect();
        for (name, table) in [
            ("a pattern up to", SPARSE),
            ("receptive fields up to", FIELD),
            ("the gradient by a pattern's weights up to", SAMPLED),
        ] {
            let used: Vec<String> = batches.iter().map(|&batch| format!("{:.2}", crossover(table, batch))).collect();
            assert_eq!(row(name), used, "{name}");
            assert!(table.iter().all(|(least, _)| batches.contains(least)), "{name}");
        }
    }
}
