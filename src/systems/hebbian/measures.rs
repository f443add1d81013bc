//! What the paper's figures 3 and 4 measure of a trained network: how its weights are distributed, and how it holds under attack.

use super::recipes::Images;
use crate::analysis::{Attack, Family, Fit, accuracy_under, fit};
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::matrix::MatRef;
use crate::systems::{Differentiable, Learner};

/// Rows of figures 3 and 4: their networks are attacked, and distributions fitted to their weights.
pub(super) const ATTACKED: [&str; 3] = ["nn-hebbian-bp", "nn-kh-power", "nn-bp"];

/// The attacks of figure 4, as they are called there.
pub const ATTACKS: [(&str, Attack); 2] = [("FGSM", Attack::FastGradientSign), ("PGD", Attack::PROJECTED)];

/// How far an attack may change each pixel, of 1.
pub const EPSILONS: [f32; 6] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3];

/// Weights below this, of the largest, are not seen in figure 3.
pub const SEEN: f64 = 0.005;

/// The weights that figure 3 sees, each divided by the largest.
pub fn seen(fields: MatRef<'_>) -> Vec<f64> {
    let weights = || fields.iter_rows().flatten().map(|&w| f64::from(w));
    let largest = weights().fold(0.0, f64::max);
    weights().map(|w| w / largest).filter(|w| *w >= SEEN).collect()
}

/// Distributions of a network's first hidden weights; none if hardly any is seen.
pub(super) fn fits(network: &dyn Learner) -> Result<Option<[Fit; 2]>> {
    let seen = seen(network.receptive_fields().view());
    if seen.len() < 100 {
        return Ok(None);
    }
    Ok(Some([fit(&seen, (SEEN, 1.0), Family::LogNormal)?, fit(&seen, (SEEN, 1.0), Family::Exponential)?]))
}

/// Accuracies in per cent under each attack, on images from all over the test set.
pub(super) fn under_attack(
    context: &mut Context,
    network: &dyn Differentiable,
    test: &Dataset,
    images: Images,
) -> Result<[[f64; EPSILONS.len()]; ATTACKS.len()]> {
    let most = if images == Images::Embedded { 100 } else { 1000 };
    let every: Vec<u32> = (0..test.len() as u32).step_by(test.len().div_ceil(most).max(1)).collect();
    let attacked = test.subset(&every)?;
    let mut accuracies = [[0.0; EPSILONS.len()]; ATTACKS.len()];
    for ((_, attack), accuracies) in ATTACKS.iter().zip(&mut accuracies) {
        for (epsilon, accuracy) in EPSILONS.iter().zip(accuracies) {
            *accuracy = 100.0 * accuracy_under(context, network, &attacked, *attack, *epsilon)?;
        }
    }
    Ok(accuracies)
}
