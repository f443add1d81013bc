//! The rows of the paper's tables, with its figures.

use super::recipes::Images;

/// One row of the reproduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// A short name, unique: `hebbian-wp`.
    pub name: &'static str,
    /// What is trained, in words.
    pub description: &'static str,
    /// The paper's test accuracy in per cent. Of "45 to 55" for this rule, and "10 to 20" for Krotov and Hopfield's, the end that is harder
    /// to claim less than: 45, and 20.
    pub paper: Option<f64>,
    /// The paper's share of zero weights in per cent ("approximately").
    pub paper_zeros: Option<f64>,
    /// Whether hidden weights are kept at zero or above.
    pub non_negative: bool,
    /// Hidden layers.
    pub layers: usize,
    /// Images of each class that it learns from, if not all.
    pub shots: Option<usize>,
}

/// Rows of table 1 with the paper's figures (MNIST; zero weights: section 3.2.3).
pub(super) const ROWS: [Row; 32] = [
    SOFTMAX,
    row("hebbian-bp", "this rule, 1 layer, output by backpropagation", Some(97.45), None, false),
    row("hebbian-wp", "this rule, 1 layer, output by weight perturbation", Some(95.46), None, false),
    row(
        "hebbian-wp-printed",
        "this rule as printed (algorithm 1, rules (1) to (5), the printed rates), 1 layer, for minutes",
        Some(95.46),
        None,
        false,
    ),
    row("kh-power", "Krotov-Hopfield, 1 layer, power read-out", Some(98.54), None, false),
    row("kh-relu", "Krotov-Hopfield, 1 layer, ReLU read-out", Some(92.56), None, false),
    row("bp", "backpropagation, 1 layer", Some(98.26), None, false),
    row("nn-hebbian-bp", "non-negative: this rule, 1 layer, output by backpropagation", Some(94.20), Some(90.0), true),
    row(
        "nn-hebbian-wp",
        "non-negative: this rule, 1 layer, output by weight perturbation",
        Some(90.77),
        Some(90.0),
        true,
    ),
    row(
        "nn-hebbian-wp-printed",
        "non-negative: this rule as printed (algorithm 1, rules (1) to (6), the printed rates), 1 layer, for minutes",
        Some(90.77),
        Some(90.0),
        true,
    ),
    row("nn-kh-power", "non-negative: Krotov-Hopfield, 1 layer, power read-out", Some(97.98), Some(67.0), true),
    row("nn-kh-relu", "non-negative: Krotov-Hopfield, 1 layer, ReLU read-out", Some(90.31), Some(67.0), true),
    row("nn-bp", "non-negative: backpropagation, 1 layer", Some(94.47), Some(90.0), true),
    deep("hebbian-2", "this rule, 2 layers, output by backpropagation", Some(97.34), false, 2),
    deep("kh-2", "Krotov-Hopfield, 2 layers, power read-out", Some(88.31), false, 2),
    deep("bp-2", "backpropagation, 2 layers", Some(98.53), false, 2),
    deep("nn-hebbian-2", "non-negative: this rule, 2 layers, output by backpropagation", Some(91.82), true, 2),
    deep("nn-kh-2", "non-negative: Krotov-Hopfield, 2 layers, power read-out", Some(30.02), true, 2),
    deep("nn-bp-2", "non-negative: backpropagation, 2 layers", Some(93.82), true, 2),
    deep("nn-hebbian-5", "non-negative: this rule, 5 layers, output by backpropagation", None, true, 5),
    deep("nn-bp-5", "non-negative: backpropagation, 5 layers", None, true, 5),
    deep("nn-hebbian-10", "non-negative: this rule, 10 layers, output by backpropagation", Some(91.33), true, 10),
    deep("nn-bp-10", "non-negative: backpropagation, 10 layers", Some(11.35), true, 10),
    shots("nn-hebbian-bp-1-shot", "non-negative, 1 image a class: this rule (the paper's: 45 to 55)", Some(45.0), 1),
    shots(
        "nn-kh-power-1-shot",
        "non-negative, 1 image a class: Krotov-Hopfield (the paper's: 10 to 20)",
        Some(20.0),
        1,
    ),
    shots("nn-bp-1-shot", "non-negative, 1 image a class: backpropagation", None, 1),
    shots("nn-hebbian-bp-10-shot", "non-negative, 10 images a class: this rule", None, 10),
    shots("nn-kh-power-10-shot", "non-negative, 10 images a class: Krotov-Hopfield", None, 10),
    shots("nn-bp-10-shot", "non-negative, 10 images a class: backpropagation", None, 10),
    shots("nn-hebbian-bp-100-shot", "non-negative, 100 images a class: this rule", None, 100),
    shots("nn-kh-power-100-shot", "non-negative, 100 images a class: Krotov-Hopfield", None, 100),
    shots("nn-bp-100-shot", "non-negative, 100 images a class: backpropagation", None, 100),
];

/// Rows of table 1 with the paper's figures on CIFAR-10.
const CIFAR10_ROWS: [Row; 7] = [
    SOFTMAX,
    row("hebbian-bp", "this rule, 1 layer, output by backpropagation", Some(46.07), None, false),
    row("kh-power", "Krotov-Hopfield, 1 layer, power read-out", Some(55.05), None, false),
    row("bp", "backpropagation, 1 layer", Some(55.27), None, false),
    row("nn-hebbian-bp", "non-negative: this rule, 1 layer, output by backpropagation", Some(33.98), None, true),
    row("nn-kh-power", "non-negative: Krotov-Hopfield, 1 layer, power read-out", None, None, true),
    row("nn-bp", "non-negative: backpropagation, 1 layer", Some(36.28), None, true),
];

const SOFTMAX: Row = Row { layers: 0, ..row("softmax", "softmax regression on pixels", None, None, false) };

const fn row(
    name: &'static str,
    description: &'static str,
    paper: Option<f64>,
    paper_zeros: Option<f64>,
    non_negative: bool,
) -> Row {
    Row { name, description, paper, paper_zeros, non_negative, layers: 1, shots: None }
}

const fn deep(
    name: &'static str,
    description: &'static str,
    paper: Option<f64>,
    non_negative: bool,
    layers: usize,
) -> Row {
    Row { layers, ..row(name, description, paper, None, non_negative) }
}

const fn shots(name: &'static str, description: &'static str, paper: Option<f64>, shots: usize) -> Row {
    Row { shots: Some(shots), ..row(name, description, paper, None, true) }
}

/// The rows for these images. Of the embedded ones, several layers and few images are left out.
pub fn rows(images: Images) -> &'static [Row] {
    match images {
        Images::Embedded => &ROWS[..13],
        Images::Mnist => &ROWS,
        Images::Cifar10 => &CIFAR10_ROWS,
    }
}
