//! The configuration of neural net evolution.

use serde::{Deserialize, Serialize};

use super::output::{Learning, Rule};
use crate::error::{Error, Result};
use crate::systems::settings;

/// A population that evolves, and how. Every key has a default, the paper's where it says, but for those of `dawn`, which have to be given
/// with it; unknown keys are refused.
///
/// ```
/// use neuropil::systems::evolution::Config;
/// let text = r#"
///     genes = 8000
///     generations = 20000
///     batch = 20
///     [lifetime]
///     start = "sampled"
/// "#;
/// let config = Config::from_toml(text, "example.toml")?;
/// assert_eq!(config, Config::from_toml(&config.to_toml(), "again")?);
/// assert!(Config::from_toml("jeans = 8000", "typo.toml").is_err());
/// let error = Config::from_toml("epsilon = 1.5", "here").unwrap_err();
/// assert!(error.to_string().contains("theorem 1"));
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names every random number of the run (0 to 2^63 - 1).
    pub seed: u64,
    /// Number of genes n; the paper says "a few thousand".
    pub genes: usize,
    /// Share beta of the genes that a link's weight depends on.
    pub density: f64,
    /// Hidden units.
    pub hidden: usize,
    /// Probability of an edge between an input and a hidden unit.
    pub edge_probability: f64,
    /// Genotypes of a generation.
    pub population: usize,
    /// Training images of each class, drawn by the seed; 0 for all there are.
    pub images_per_class: usize,
    /// Images that a generation is judged on; all of the training sample if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Which classes a batch's images are of.
    pub judged_on: JudgedOn,
    /// Classes to tell apart, the first ones; images of others are left out. All if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// What a white pixel is worth. As there are no biases it scales the logits and changes no answer, but how sharp the loss is.
    pub brightness: f64,
    /// How brightness rises to that; it is the same from the beginning if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dawn: Option<Dawn>,
    /// The strength of selection: eps of equation 3, at most 1 (theorem 1).
    pub epsilon: f64,
    /// Generations.
    pub generations: u64,
    /// Generations from one point of the learning curve to the next.
    pub curve_generations: u64,
    /// What the output layer learns after evolution; nothing if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
}

/// Which classes the images are of that a generation is judged on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgedOn {
    /// Equally many of each.
    #[default]
    AllClasses,
    /// One class, the next in the next generation. A class that hardly any genotype answers then selects those that do: among the images of other
    /// classes they would count for nothing, as the rewards of all are much larger than the difference. So no class is forgotten for good.
    OneClass,
}

/// The first generations see darker images. A sharp loss rewards a class that no genotype ever answers with nothing at all, max(0, a^2 - L^2) being
/// zero for its images: it stays forgotten. Where all losses are near a chance's, a, every class earns something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dawn {
    /// What a white pixel is worth in the first generation.
    pub brightness: f64,
    /// Generations until it is worth what it stays at: it rises by the same factor in each.
    pub generations: u64,
}

/// Learning of the output layer within a life, from evolved weights on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifetime {
    /// The weights to begin with.
    pub start: Genotype,
    /// The rule and its schedule; what is not given is as [`Learning::of_lifetime`] has it, for SignSGD if no rule is.
    #[serde(deserialize_with = "Learning::read_of_lifetime")]
    pub output: Learning,
}

/// Which weights stand for a population.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Genotype {
    /// Those of one genotype drawn from the allele frequencies: the paper's start of lifetime learning.
    #[default]
    Sampled,
    /// Those of the genotype that has the more frequent allele of every gene.
    Rounded,
    /// The expected weights W p.
    Expected,
}

impl Default for Lifetime {
    /// SignSGD in batches of 50 over a few hundred steps; start and rate were chosen on held-out images.
    fn default() -> Self {
        Lifetime { start: Genotype::Rounded, output: Learning::of_lifetime(Rule::SignSgd) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            genes: 4000,
            density: 0.0025,
            hidden: 1000,
            edge_probability: 0.1,
            population: 1000,
            images_per_class: 200,
            batch: None,
            judged_on: JudgedOn::AllClasses,
            classes: None,
            brightness: 1.0,
            dawn: None,
            epsilon: 1.0,
            generations: 1000,
            curve_generations: 100,
            lifetime: None,
        }
    }
}

settings::toml_form!(Config);

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming key, range and value.
    pub fn validate(&self) -> Result<()> {
        use settings::{between, positive, within};
        settings::seed(self.seed)?;
        within("genes", self.genes as u64, 1, 1 << 24)?;
        between("density", self.density, 0.0, 1.0)?;
        within("hidden", self.hidden as u64, 1, 1 << 20)?;
        between("edge_probability", self.edge_probability, 0.0, 1.0)?;
        // Of one genotype everybody carries the same alleles, and none is ever better.
        within("population", self.population as u64, 2, 1 << 24)?;
        // Their alleles take at most 4 GiB.
        let words = (self.population as u64).div_ceil(64) * self.genes as u64;
        within("population x genes, in words of 64 alleles", words, 1, 1 << 29)?;
        within("images_per_class", self.images_per_class as u64, 0, 1 << 24)?;
        within("batch", self.batch.unwrap_or(1) as u64, 1, 1 << 24)?;
        if self.judged_on == JudgedOn::OneClass && self.batch.is_none() {
            return Err(Error::setting("judged_on", "'all_classes' without a batch", "'one_class'"));
        }
        within("classes", self.classes.unwrap_or(2) as u64, 2, 256)?;
        positive("brightness", self.brightness)?;
        if let Some(dawn) = &self.dawn {
            positive("dawn.brightness", dawn.brightness)?;
            within("dawn.generations", dawn.generations, 1, 1 << 40)?;
        }
        if !(self.epsilon > 0.0 && self.epsilon <= 1.0) {
            let expected = "above 0, at most 1 (the most theorem 1 ever allows)";
            return Err(Error::setting("epsilon", expected, settings::number(self.epsilon)));
        }
        within("generations", self.generations, 0, 1 << 40)?;
        within("curve_generations", self.curve_generations, 1, 1 << 40)?;
        match &self.lifetime {
            Some(lifetime) => lifetime.output.validate("lifetime.output"),
            None => Ok(()),
        }
    }
    /// What a white pixel is worth in a generation, from 0. While it dawns, a power of the platform's library: other platforms may round it otherwise.
    pub fn brightness_at(&self, generation: u64) -> f64 {
        match &self.dawn {
            Some(dawn) if generation < dawn.generations => {
                let share = generation as f64 / dawn.generations as f64;
                dawn.brightness * (self.brightness / dawn.brightness).powf(share)
            }
            _ => self.brightness,
        }
    }
}
