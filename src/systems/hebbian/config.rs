//! The configuration of a Hebbian network.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::systems::{Schedule, read_out, settings};

pub use crate::kernels::activation::Axis;
pub use crate::kernels::hebbian::Reduction;

/// A Hebbian network and how it is trained. Every key has a default, but for those of an activation (`axis`, `rescale`) and of a rule (`k`,
/// `temperature`), which have to be given with it; unknown keys are refused.
///
/// ```
/// use neuropil::systems::hebbian::Config;
/// let text = r#"
///     layers = [500]
///     non_negative = true
///     [hidden]
///     activation = { magnitude_zscore = { axis = "sample", rescale = false } }
///     rate = 5e-4
///     [output.perturbation]
///     steps = 1000
/// "#;
/// let config = Config::from_toml(text, "example.toml")?;
/// assert_eq!(config, Config::from_toml(&config.to_toml(), "again")?);
/// assert!(Config::from_toml("lairs = [500]", "typo.toml").is_err());
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// Widths of the hidden layers, first to last.
    pub layers: Vec<usize>,
    /// Whether the weights of the hidden layers, and weights and biases of an output layer that learns by weight perturbation, are kept
    /// at zero or above; chooses their initial weights too: uniform in [0.01, 0.1] if so, Gaussian with standard deviation 0.01 if
    /// not. An output layer that learns by backpropagation has a setting of its own.
    ///
    /// Hidden layers then need another `hidden.activation` than the default: through plain ReLU every unit fires at every sample, and one batch of rule (1)
    /// takes all weights to zero, where they stay. The paper's is the z-score of magnitudes, with a `hidden.rate` of 5e-4, as in the example above.
    pub non_negative: bool,
    /// How the layers take turns.
    pub mode: Mode,
    /// Memory for the hidden layers' activities on the whole training set, in MiB, while they are frozen. If they need
    /// more, each batch recomputes its own; training refuses that where an activation takes its statistics over a batch
    /// (`axis` of `unit` or `whole`), as they would be others.
    pub feature_memory: u64,
    /// The activation of the last hidden layer as the output layer sees it, where that differs from the one hidden layers
    /// learn with (layer-wise training only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Activation>,
    /// The hidden layers.
    pub hidden: Hidden,
    /// The output layer.
    pub output: Output,
}

/// How the layers take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Algorithm 1 of the paper: every batch updates the output and all hidden layers. Batch size, order and number of
    /// batches are the output's.
    Joint,
    /// One hidden layer after the other, each on the frozen activities of the one before, then the output.
    #[default]
    LayerWise,
}

/// The hidden layers' rule and its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hidden {
    /// The learning rule.
    pub rule: Rule,
    /// What makes activities of the sums.
    pub activation: Activation,
    /// The first layer's learning rate at the beginning.
    pub rate: f64,
    /// What part of the rate of the layer below each further layer learns at.
    pub depth_factor: f64,
    /// How the rate develops.
    pub schedule: Schedule,
    /// What a batch contributes: the mean or the sum over its samples.
    pub reduction: Reduction,
    /// Samples of a batch.
    pub batch: usize,
    /// Passes over the training set, for every layer.
    pub epochs: u64,
    /// Whether batches hold all classes equally.
    pub class_balanced: bool,
}

/// The learning rule of the hidden layers; see [`kernels::hebbian`](crate::kernels::hebbian).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Rule (1): Oja's subspace rule.
    #[default]
    OjaSubspace,
    /// Rule (2): the subspace rule without each unit's own decay.
    OjaExcludingSelf,
    /// Sanger's triangular rule, also called the generalised Hebbian algorithm.
    Sanger,
    /// Oja's rule for every unit by itself.
    OjaPerUnit,
    /// Only the strongest unit learns.
    WinnerTakeAll,
    /// The strongest `k` units learn.
    WinnersTakeAll {
        /// How many.
        k: usize,
    },
    /// Units learn in proportion to the softmax of their activities.
    SoftWinnerTakeAll {
        /// What activities are divided by before the softmax.
        temperature: f64,
    },
}

/// What makes activities of the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, y).
    #[default]
    Relu,
    /// Rule (6): the z-score of |y|, then ReLU, then division by the maximum if `rescale`.
    MagnitudeZscore {
        /// What mean and standard deviation are taken over.
        axis: Axis,
        /// Whether activities are scaled to [0, 1].
        rescale: bool,
    },
}

/// How the output layer is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "Outputs")]
pub enum Output {
    /// By backpropagation, which for one layer of softmax is its gradient: column a of the paper's table 1.
    Backpropagation(read_out::Config),
    /// By Hebbian learning and weight perturbation, rules (2) to (5): column b.
    Perturbation(Perturbation),
}

impl Default for Output {
    fn default() -> Self {
        Output::Perturbation(Perturbation::default())
    }
}

/// [`Output`] as it is read, so that a wrong one is told what is permitted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table 'backpropagation' or 'perturbation'")]
struct Outputs {
    backpropagation: Option<read_out::Config>,
    perturbation: Option<Perturbation>,
}

impl TryFrom<Outputs> for Output {
    type Error = &'static str;

    fn try_from(outputs: Outputs) -> Result<Self, Self::Error> {
        match (outputs.backpropagation, outputs.perturbation) {
            (Some(config), None) => Ok(Output::Backpropagation(config)),
            (None, Some(config)) => Ok(Output::Perturbation(config)),
            (None, None) => Err("neither output.backpropagation nor output.perturbation"),
            (Some(_), Some(_)) => Err("both output.backpropagation and output.perturbation"),
        }
    }
}

/// Rules (2) to (5): dW = eta alpha Hebb + eta beta WP, db = eta gamma (1/K - mean z), where WP holds eta once more. In
/// batches whose classes are not equally frequent, a class's share of the labels stands for 1/K.
///
/// The defaults are the paper's. `reward`, `inputs` and `order` are this library's additions; at their defaults the rule
/// is the one printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Perturbation {
    /// The learning rate eta of rules (3), (4) and (5).
    pub eta: f64,
    /// A factor on all of (4) and (5), by step.
    pub schedule: Schedule,
    /// Weight of the Hebbian part.
    pub alpha: f64,
    /// Weight of weight perturbation.
    pub beta: f64,
    /// Weight of the bias rule.
    pub gamma: f64,
    /// Variance sigma^2 of the perturbation.
    pub variance: f64,
    /// Noise drawn for each batch.
    pub draws: Draws,
    /// What the reward is measured in.
    pub reward: Reward,
    /// What the output layer sees of the hidden activities (layer-wise training only).
    pub inputs: Inputs,
    /// Samples of a batch.
    pub batch: usize,
    /// Number of batches.
    pub steps: u64,
    /// Which samples form a batch.
    pub order: Order,
}

/// What the reward E' - E is measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reward {
    /// As it is: rule (3).
    #[default]
    Plain,
    /// In its own running root mean square over sigma (each step counts 0.99 of the one before); the bias rule is divided
    /// by it too. The noise weight perturbation brings in grows with the square of rate and gradient, so a rate that
    /// suits the end of training drowns its beginning; measured so, the same rate suits both.
    Normalised,
}

/// What the output layer sees of the hidden activities h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inputs {
    /// h.
    #[default]
    Plain,
    /// s h, with one s for which the mean of |s h|^2 over the training set is 1. Initial weights of a non-negative layer are
    /// divided by s.
    Scaled,
    /// s (h - mean h), the mean over the training set, scaled in the same way.
    Centred,
    /// s (h - mean h) / std h, unit by unit, scaled in the same way.
    Standardised,
}

/// Which samples form a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Passes over the training set in random order.
    Shuffled,
    /// Batches hold all classes equally, which the bias rule supposes.
    #[default]
    ClassBalanced,
    /// Windows at random places of one random order, a ring in which every stretch holds the classes in proportion: nothing is
    /// copied to form a batch, which is the whole set if that has fewer images (layer-wise training only).
    Windows,
}

/// Noise drawn for each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draws {
    /// This many perturbations, each tried on the whole batch; their updates are averaged.
    PerBatch(u32),
    /// One perturbation a sample; their updates are averaged.
    PerSample,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            layers: vec![2000],
            non_negative: false,
            mode: Mode::LayerWise,
            feature_memory: 512,
            reading: None,
            hidden: Hidden::default(),
            output: Output::default(),
        }
    }
}

impl Default for Hidden {
    fn default() -> Self {
        Hidden {
            rule: Rule::OjaSubspace,
            activation: Activation::Relu,
            rate: 0.02,
            depth_factor: 1.0,
            schedule: Schedule::Linear,
            reduction: Reduction::Mean,
            batch: 500,
            epochs: 10,
            class_balanced: false,
        }
    }
}

impl Default for Perturbation {
    fn default() -> Self {
        Perturbation {
            eta: 5e-4,
            schedule: Schedule::Constant,
            alpha: 0.04,
            beta: 87_500.0,
            gamma: 0.04,
            variance: 1.6e-4,
            draws: Draws::PerBatch(1),
            reward: Reward::Plain,
            inputs: Inputs::Plain,
            batch: 2000,
            steps: 20_000,
            order: Order::ClassBalanced,
        }
    }
}

impl Hidden {
    /// The learning rate of a layer, from 0, at the beginning: `rate * depth_factor^layer`.
    pub fn rate_of(&self, layer: usize) -> f64 {
        // Not `powi`, whose roundings are not the same everywhere.
        (0..layer).fold(self.rate, |rate, _| rate * self.depth_factor)
    }
}

settings::toml_form!(Config);

/// A choice as it is written in a configuration.
fn as_toml(choice: impl Serialize) -> toml::Value {
    toml::Value::try_from(choice).expect("the name of a choice")
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming key, range and value.
    pub fn validate(&self) -> Result<()> {
        use settings::{not_negative, positive, within};
        settings::seed(self.seed)?;
        settings::layers(&self.layers, 1)?;
        within("feature_memory", self.feature_memory, 0, 1 << 24)?;
        let hidden = &self.hidden;
        positive("hidden.rate", hidden.rate)?;
        positive("hidden.depth_factor", hidden.depth_factor)?;
        positive("hidden.rate * depth_factor^(layers - 1)", hidden.rate_of(self.layers.len() - 1))?;
        within("hidden.batch", hidden.batch as u64, 1, 1 << 20)?;
        within("hidden.epochs", hidden.epochs, 0, 1 << 20)?;
        match hidden.rule {
            Rule::WinnersTakeAll { k } => {
                let narrowest = self.layers.iter().copied().min().unwrap_or(1);
                within("hidden.rule.winners_take_all.k", k as u64, 1, narrowest as u64)?;
            }
            Rule::SoftWinnerTakeAll { temperature } => {
                positive("hidden.rule.soft_winner_take_all.temperature", temperature)?;
            }
            _ => (),
        }
        if self.mode == Mode::Joint && self.reading.is_some() {
            return Err(Error::setting("reading", "none, or mode = \"layer_wise\"", "an activation of its own"));
        }
        match &self.output {
            Output::Backpropagation(read_out) => {
                if self.mode == Mode::Joint && read_out.feature_length.is_some() {
                    let key = "output.backpropagation.feature_length";
                    return Err(Error::setting(key, "none, or mode = \"layer_wise\"", "a length"));
                }
                read_out.validate("output.backpropagation")
            }
            Output::Perturbation(output) => {
                positive("output.perturbation.eta", output.eta)?;
                not_negative("output.perturbation.alpha", output.alpha)?;
                not_negative("output.perturbation.beta", output.beta)?;
                not_negative("output.perturbation.gamma", output.gamma)?;
                positive("output.perturbation.variance", output.variance)?;
                // Rates are numbers of f32, and so is what they are multiplied to.
                not_negative("output.perturbation.eta * alpha", output.eta * output.alpha)?;
                not_negative("output.perturbation.eta * gamma", output.eta * output.gamma)?;
                let perturbation = output.eta * output.eta * output.beta / output.variance;
                not_negative("output.perturbation.eta^2 * beta / variance", perturbation)?;
                within("output.perturbation.batch", output.batch as u64, 1, 1 << 20)?;
                within("output.perturbation.steps", output.steps, 0, 1 << 40)?;
                if self.mode == Mode::Joint {
                    let layer_wise = |key: &str, expected: &str, value: toml::Value| {
                        Error::setting(key, format!("{expected}, or mode = \"layer_wise\""), value)
                    };
                    if output.inputs != Inputs::Plain {
                        return Err(layer_wise("output.perturbation.inputs", "\"plain\"", as_toml(output.inputs)));
                    }
                    if output.order == Order::Windows {
                        let expected = "\"shuffled\" or \"class_balanced\"";
                        return Err(layer_wise("output.perturbation.order", expected, as_toml(output.order)));
                    }
                }
                match output.draws {
                    Draws::PerBatch(draws) => within("output.perturbation.draws.per_batch", draws.into(), 1, 1024),
                    Draws::PerSample => Ok(()),
                }
            }
        }
    }
}
