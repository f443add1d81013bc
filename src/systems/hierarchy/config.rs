//! The configuration of a self-organising hierarchy.

use serde::{Deserialize, Serialize};

use super::sweep::SAMPLES;
use super::topology::{self, Area, Geometry, Topology};
use crate::datasets::Shape;
use crate::error::{Error, Result};
use crate::kernels::activation::Dropout;
use crate::kernels::entropy::MAX_BINS;
use crate::kernels::masked::Rectangle;
use crate::systems::settings;

/// A hierarchy and how it is trained. Every key has a default, but for those of a `map`, which have to be given with it; unknown keys are
/// refused.
///
/// ```
/// use neuropil::systems::hierarchy::{Config, Named, Topology};
/// let text = r#"
///     topology = "random"
///     [meta]
///     rule = "stochastic_hill_climbing"
///     steps = 20
/// "#;
/// let config = Config::from_toml(text, "example.toml")?;
/// assert_eq!(config, Config::from_toml(&config.to_toml(), "again")?);
/// assert!(Config::from_toml("topologie = \"a1\"", "typo.toml").is_err());
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// What is done to the images before they lie on the map, and with it the scale of everything.
    pub images: Images,
    /// The number K of autoencoder units. Without a `map` of your own: 1 to 7.
    pub units: usize,
    /// Share of the training images kept for validation: they stop the read-outs' training and nothing else sees them.
    pub validation: f64,
    /// How weights belong to a receptive field.
    pub form: Form,
    /// Where the receptive fields lie, or begin.
    pub topology: Topology,
    /// The feature map, if it is not the papers' one for these images and this number of units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<FeatureMap>,
    /// The units' own learning.
    pub base: Base,
    /// The learning of the receptive fields; without it they stand still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
    /// The classifier on the frozen latents.
    pub read_out: ReadOut,
}

/// Images of the two data sets, as the paper prepares them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Images {
    /// Grey images of 1 x 28 x 28, of which the central 20 x 20 lie on the map, in [0, 1].
    #[default]
    Mnist,
    /// Colour images of 3 x 32 x 32, which become grey ones in [-1, 1]; in base learning padded by four pixels, cropped at random, and
    /// mirrored at random.
    Cifar10,
}

/// How weights belong to a receptive field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Weights belong to places within the field and move with it: the authors' code.
    #[default]
    Gathered,
    /// Weights belong to cells of the map: theta <- theta * delta, with delta the field's indicator, as the paper says. A
    /// field that moves leaves the weights of the cells it left as they were, and finds those of the cells it comes to. A
    /// cell that lies in both of a unit's rectangles is one cell.
    Masked,
}

/// A feature map of your own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureMap {
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub cols: usize,
    /// Where the units write their latents, a rectangle `[row, row_end, col, col_end]` (half-open) a unit, all equally
    /// large: as many latents as a rectangle has cells. The image lies at row 0, column 0.
    pub latents: Vec<Area>,
}

/// The units' own learning: algorithm 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Base {
    /// Passes over the training images.
    pub epochs: u64,
    /// Images of a batch.
    pub batch: usize,
    /// Adam's learning rate.
    pub rate: f64,
    /// L2 penalty's gradient on a weight of one.
    pub decay: f64,
    /// Probability to drop a latent, or a value of the reconstruction, in training.
    pub dropout: f64,
    /// Sweeps over the units that fill the map before the one that learns, at most 1024; K if absent, as in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweeps: Option<usize>,
    /// Bins of the entropies' histograms.
    pub bins: usize,
}

/// The learning of the receptive fields: algorithm 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Meta {
    /// The rule.
    pub rule: Rule,
    /// Meta-steps M.
    pub steps: u64,
    /// Candidates that a meta-step tries at most. The steps that an observer is told of are those of `steps` meta-steps of so
    /// many candidates: the most there can be.
    pub perturbations: u64,
    /// Epochs of base learning for each candidate, weights retained; as many as `base.epochs` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// What a candidate must raise.
    pub criterion: Criterion,
    /// What a candidate that is not accepted leaves behind.
    pub rejected: Rejected,
}

/// What a candidate must raise to be accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The entropy of the unit whose field moved, against that unit's entropy in the best topology so far, which may be below
    /// what it was in one before: algorithm 2 keeps a topology, not a record of each unit. Hence the default.
    #[default]
    Unit,
    /// The entropy of the unit whose field moved, against the highest that unit had in any topology that was the best one for
    /// a time: a bar that never falls.
    UnitBest,
    /// The median of all units' entropies: that of the authors' code.
    Median,
}

/// How candidates are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// One unit after the other is shifted by one cell along one axis or both, to one of the places where it then can be, each as likely as the
    /// others; the first whose entropy is above its entropy in the best
    /// topology so far is taken, and ends the meta-step. A field that has no other place learns on where it is, which counts as no move.
    #[default]
    StochasticHillClimbing,
    /// All neighbours of one unit are tried (as many as `perturbations` allows); the best is taken if it raises the
    /// entropy. The next meta-step turns to the next unit.
    LocalSearch,
    /// One unit after the other is put at a random place of random orientation. In the gathered form every field must have as
    /// many cells as such a place: two squares of half the image's side.
    RandomSearch,
}

/// What a candidate that is not accepted leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// Nothing: the next candidate starts from the weights of the best topology.
    #[default]
    Undone,
    /// Its weights: only the receptive field goes back, and what later candidates are compared with stays the entropy that the
    /// best topology had when it was accepted. Not for local search, whose candidates all start from one state.
    KeepsWeights,
}

/// The classifier on the frozen latents, trained by backpropagation with Adam, stopped early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOut {
    /// ReLU units between latents and classes; 0 for a multinomial logistic regression.
    pub hidden: usize,
    /// Passes over the training images, at most.
    pub epochs: u64,
    /// Epochs without a lower validation loss before training stops; the weights of the lowest are kept.
    pub patience: u64,
    /// Images of a batch.
    pub batch: usize,
    /// Adam's learning rate.
    pub rate: f64,
    /// L2 penalty's gradient on a weight of one.
    pub decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            images: Images::Mnist,
            units: 3,
            validation: 0.2,
            form: Form::Gathered,
            topology: Topology::default(),
            map: None,
            base: Base::default(),
            meta: None,
            read_out: ReadOut::default(),
        }
    }
}

impl Default for Base {
    fn default() -> Self {
        Base { epochs: 5, batch: 128, rate: 1e-2, decay: 1e-4, dropout: 0.2, sweeps: None, bins: 100 }
    }
}

impl Default for Meta {
    fn default() -> Self {
        Meta {
            rule: Rule::StochasticHillClimbing,
            steps: 20,
            perturbations: 10,
            epochs: None,
            criterion: Criterion::Unit,
            rejected: Rejected::Undone,
        }
    }
}

impl Default for ReadOut {
    fn default() -> Self {
        ReadOut { hidden: 30, epochs: 50, patience: 3, batch: 128, rate: 1e-2, decay: 1e-4 }
    }
}

impl Images {
    /// The side of the square that lies on the map.
    pub fn side(self) -> usize {
        match self {
            Images::Mnist => 20,
            Images::Cifar10 => 32,
        }
    }

    /// The shape of the images as they are read.
    pub(crate) fn shape(self) -> Result<Shape> {
        match self {
            Images::Mnist => Shape::new(1, 28, 28),
            Images::Cifar10 => Shape::new(3, 32, 32),
        }
    }
}

settings::toml_form!(Config);

/// Cells of these rectangles, each as often as it is held.
fn cells(rectangles: &[Rectangle]) -> usize {
    rectangles.iter().map(|rectangle| rectangle.rows.len() * rectangle.cols.len()).sum()
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming key, range and value.
    pub fn validate(&self) -> Result<()> {
        use settings::{not_negative, positive, within};
        settings::seed(self.seed)?;
        settings::between("validation", self.validation, 0.0, 0.9)?;
        let geometry = self.geometry()?;
        let fields = topology::rectangles(&self.topology, &geometry, self.seed)?;
        let Base { epochs, batch, rate, decay, dropout, sweeps, bins } = self.base;
        within("base.epochs", epochs, 0, 1 << 20)?;
        within("base.batch", batch as u64, 1, 1 << 16)?;
        positive("base.rate", rate)?;
        not_negative("base.decay", decay)?;
        Dropout::new(dropout).map_err(|_| Error::setting("base.dropout", Dropout::RANGE, settings::number(dropout)))?;
        let name = if sweeps.is_some() { "base.sweeps" } else { "base.sweeps (absent: as many as units)" };
        within(name, self.sweeps() as u64, 0, 1024)?;
        within("base.bins", bins as u64, 1, MAX_BINS as u64)?;
        if let Some(meta) = &self.meta {
            within("meta.steps", meta.steps, 0, 1 << 20)?;
            within("meta.perturbations", meta.perturbations, 1, 1 << 20)?;
            within("meta.epochs", meta.epochs.unwrap_or(1), 1, 1 << 20)?;
            // Without a first training there is no entropy to raise.
            within("base.epochs (with meta-learning)", epochs, 1, 1 << 20)?;
            if meta.rule == Rule::LocalSearch && meta.rejected != Rejected::Undone {
                let expected =
                    "undone with rule = \"local_search\", which compares neighbours of one and the same state";
                return Err(Error::setting("meta.rejected", expected, "keeps_weights"));
            }
            if meta.rule == Rule::RandomSearch && self.form == Form::Gathered {
                // Weights move with the field: there are as many at the new place.
                let inputs = topology::random_inputs(&geometry);
                if let Some((unit, found)) =
                    (0..).zip(fields.iter().map(|f| cells(f))).find(|(_, found)| *found != inputs)
                {
                    let expected =
                        format!("{inputs} cells, as a random place has: rule = \"random_search\", form = \"gathered\"");
                    return Err(Error::setting(format!("topology of unit {unit}"), expected, found));
                }
            }
        }
        let ReadOut { hidden, epochs, patience, batch, rate, decay } = self.read_out;
        within("read_out.hidden", hidden as u64, 0, 1 << 16)?;
        within("read_out.epochs", epochs, 0, 1 << 20)?;
        within("read_out.patience", patience, 1, 1 << 20)?;
        within("read_out.batch", batch as u64, 1, 1 << 20)?;
        positive("read_out.rate", rate)?;
        not_negative("read_out.decay", decay)?;
        self.affordable(&geometry, &fields)
    }

    /// Checks that there may be memory for all this.
    fn affordable(&self, geometry: &Geometry, fields: &[Vec<Rectangle>]) -> Result<()> {
        let (hidden, map, units) = (geometry.hidden() as u128, geometry.map().len() as u128, fields.len() as u128);
        let inputs = || fields.iter().map(|rectangles| cells(rectangles) as u128);
        // Encoder and decoder.
        let weights = match self.form {
            Form::Gathered => inputs().sum(),
            Form::Masked => units * map,
        };
        settings::values("map", "weights of all units", 2 * hidden * weights)?;
        // Initial weights are drawn for the whole map, once more for every time a field may hold a cell again.
        let most = fields.iter().map(|rectangles| rectangles.len() as u128).max().unwrap_or(0);
        settings::values("map", "initial weights of a unit, for every cell of the map", 2 * hidden * map * most)?;
        let values = inputs().map(|inputs| 2 * (inputs + hidden)).sum::<u128>() + map;
        settings::values(
            "base.batch",
            "values of a batch",
            self.base.batch.next_multiple_of(SAMPLES) as u128 * values,
        )?;
        let (latents, own) = (units * hidden, self.read_out.hidden as u128);
        settings::values("read_out.hidden", "weights between latents and hidden units", latents * own)?;
        settings::values("read_out.batch", "values of a batch", self.read_out.batch as u128 * (latents + own))
    }

    /// The map, where the image lies on it and where the latents do.
    ///
    /// # Errors
    /// [`Error::Setting`] for no units, more than the map has latents for, or a map whose parts overlap, do not fit or
    /// differ in size.
    pub fn geometry(&self) -> Result<Geometry> {
        match &self.map {
            None => Geometry::of_paper(self.images.side(), self.units),
            Some(map) => Geometry::new(map.rows, map.cols, self.images.side(), self.units, &map.latents),
        }
    }

    /// Sweeps before the one that learns.
    pub fn sweeps(&self) -> usize {
        self.base.sweeps.unwrap_or(self.units)
    }
}
