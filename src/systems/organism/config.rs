//! The configuration of an organism that classifies images.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::particle::{Activation, Net};
use crate::systems::settings;

/// An organism and how it is trained. Every key has a default, the paper's; unknown keys are refused.
///
/// ```
/// use neuropil::systems::organism::Config;
/// let text = r#"
///     hidden = [5, 5]
///     activation = "linear"
///     [self_replication]
///     steps = 1
/// "#;
/// let config = Config::from_toml(text, "example.toml")?;
/// assert_eq!(config, Config::from_toml(&config.to_toml(), "again")?);
/// assert!(Config::from_toml("hiden = [5]", "typo.toml").is_err());
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// Cells of the hidden layers, first to last.
    pub hidden: Vec<usize>,
    /// Units of each particle's hidden layers, first to last.
    pub particle: Vec<usize>,
    /// What follows the organism's hidden layers.
    pub activation: Between,
    /// Rows and columns that images are resized to.
    pub side: usize,
    /// Standard deviation of the noise on every pixel (of 0 to 1), drawn anew for every batch.
    pub noise: f64,
    /// Images of a batch.
    pub batch: usize,
    /// Passes over the training images.
    pub epochs: u64,
    /// A particle reproduces itself if each weight is off by less than this, and is zero if none is further from zero.
    pub epsilon: f64,
    /// How the task is learned.
    pub task: Task,
    /// How particles learn to reproduce themselves, before each step of the task.
    pub self_replication: Replication,
}

/// What follows the organism's hidden layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// Nothing, as in the authors' code.
    Linear,
    /// GELU, as in the paper.
    #[default]
    Gelu,
}

/// Gradient descent on the task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Task {
    /// Learning rate.
    pub rate: f64,
    /// Momentum.
    pub momentum: f64,
}

impl Default for Task {
    fn default() -> Self {
        Task { rate: 0.004, momentum: 0.9 }
    }
}

/// Gradient descent on self-replication.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Replication {
    /// Learning rate.
    pub rate: f64,
    /// Momentum.
    pub momentum: f64,
    /// Steps before each step of the task.
    pub steps: usize,
    /// Whether momentum outlives these steps, rather than starting from zero each time as the authors' does.
    pub persistent: bool,
}

impl Default for Replication {
    fn default() -> Self {
        Replication { rate: 0.004, momentum: 0.9, steps: 5, persistent: false }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            hidden: vec![5, 5],
            particle: vec![5, 5],
            activation: Between::Gelu,
            side: 15,
            noise: 1e-4,
            batch: 2000,
            epochs: 200,
            epsilon: 1e-5,
            task: Task::default(),
            self_replication: Replication::default(),
        }
    }
}

settings::toml_form!(Config);

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        settings::seed(self.seed)?;
        settings::within("hidden", self.hidden.len() as u64, 0, 16)?;
        for &cells in &self.hidden {
            settings::within("hidden", cells as u64, 1, 1 << 16)?;
        }
        self.net()?;
        settings::within("side", self.side as u64, 1, 1024)?;
        settings::not_negative("noise", self.noise)?;
        settings::within("batch", self.batch as u64, 1, 1 << 24)?;
        let widths = (self.side * self.side + self.hidden.iter().sum::<usize>()) as u128;
        settings::values("batch", "values of a batch", self.batch as u128 * widths)?;
        settings::within("epochs", self.epochs, 0, 1 << 32)?;
        settings::positive("epsilon", self.epsilon)?;
        settings::not_negative("task.rate", self.task.rate)?;
        settings::between("task.momentum", self.task.momentum, 0.0, 1.0)?;
        settings::not_negative("self_replication.rate", self.self_replication.rate)?;
        settings::between("self_replication.momentum", self.self_replication.momentum, 0.0, 1.0)?;
        settings::within("self_replication.steps", self.self_replication.steps as u64, 0, 1 << 20)
    }

    /// The particles' shape.
    pub(super) fn net(&self) -> Result<Net> {
        net(&self.particle)
    }
}

/// The shape of particles with these hidden layers.
pub(super) fn net(particle: &[usize]) -> Result<Net> {
    Net::new(particle, Activation::Linear).map_err(|error| match error {
        // The particles' hidden layers, not the organism's.
        Error::Setting { expected, found, .. } => Error::setting("particle", expected, found),
        other => other,
    })
}
