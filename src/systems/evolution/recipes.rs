//! What the rows are trained by.

use super::config::{Config, JudgedOn, Lifetime};
use super::output::{Learning, Rule};
use crate::kernels::plasticity::Reading;
use crate::systems::Schedule;
use crate::systems::experiment::Scale;

/// The population of a run.
///
/// Brightness, which is how sharp the loss is, decides whether classes get lost: at 0.3 a population never answered three of the ten digits again, at
/// 0.02 none forgot any. A few hundred generations learn more from a sharp loss.
pub fn recipe(scale: Scale, classes: usize, genes: Option<usize>, seed: u64) -> Config {
    let lifetime = genes.is_none().then(Lifetime::default);
    let config = Config {
        seed,
        classes: Some(classes),
        batch: Some(20),
        judged_on: JudgedOn::OneClass,
        lifetime,
        ..Config::default()
    };
    match scale {
        Scale::Quick => Config {
            genes: genes.unwrap_or(1000),
            hidden: 300,
            population: 64,
            brightness: 0.3,
            epsilon: 0.5,
            generations: if genes.is_some() { 150 } else { 500 },
            curve_generations: 25,
            ..config
        },
        Scale::Full => Config {
            genes: genes.unwrap_or(8000),
            population: 256,
            brightness: 0.02,
            generations: if genes.is_some() { 5_000 } else { 15_000 },
            curve_generations: 250,
            ..config
        },
    }
}

/// The population of a run in the paper's own setting, with as many genes and generations as there was time for: every genotype of 1000
/// is judged on all images, eps is 1.
pub fn printed_recipe(scale: Scale, classes: usize, seed: u64) -> Config {
    let config = Config { seed, classes: Some(classes), curve_generations: 50, ..Config::default() };
    match scale {
        Scale::Quick => {
            Config { genes: 1000, hidden: 300, population: 64, generations: 20, curve_generations: 5, ..config }
        }
        Scale::Full => config,
    }
}

/// Numbers of genes of figure 1.
pub(super) fn genes(scale: Scale) -> &'static [usize] {
    match scale {
        Scale::Quick => &[250, 1000, 4000],
        Scale::Full => &[500, 1000, 2000, 4000, 8000],
    }
}

/// The output layers of table 2: what learns, how, with how many firing units, and the paper's figure.
pub(super) fn table_2(hidden: usize) -> Vec<(&'static str, Option<usize>, Learning, Option<f64>)> {
    let [sgd, sign, dopaminergic] =
        if hidden == 1000 { [90.34, 86.84, 84.84] } else { [92.56, 90.21, 90.76] }.map(Some);
    let large = hidden > 1000;
    // Rate and epochs, of few units or of many.
    let of = |few: (f64, u64), many: (f64, u64)| if large { many } else { few };
    let learning = |rule, (rate, epochs), batch, schedule| Learning { rule, rate, batch, schedule, epochs };
    let read = |reading| Rule::Dopaminergic { reading, loss: 0.75 };
    let signed = read(Reading::Signed);
    let adam = learning(Rule::Adam, of((1e-3, 500), (1e-5, 500)), 50, Schedule::Linear);
    let sign_sgd = learning(Rule::SignSgd, of((3e-4, 500), (3e-6, 200)), 50, Schedule::Linear);
    let in_batches = learning(signed, (1.0, 500), 2000, Schedule::Linear);
    let few_firing = learning(signed, of((1.0, 500), (1.0, 20)), 1, Schedule::Constant);
    let other = |reading| learning(read(reading), (1.0, 20), 1, Schedule::Constant);
    vec![
        ("SGD (Adam)", None, adam, sgd),
        ("SignSGD", None, sign_sgd, sign),
        ("dopaminergic plasticity", None, in_batches, dopaminergic),
        ("dopaminergic plasticity, 256 units fire", Some(256), few_firing, dopaminergic),
        ("the printed rule", None, other(Reading::Printed), dopaminergic),
        ("the rule of the prose", None, other(Reading::Prose), dopaminergic),
    ]
}
