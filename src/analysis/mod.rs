//! What the papers judge their results by.
//!
//! - [`wilcoxon`]: the signed-rank test of paired samples, as in *before* and *after* of the same networks.
//! - `attack`, `accuracy_under` (feature `systems`): images changed by the gradient of the loss, to deceive a network.
//! - [`fit`]: lognormal, stretched and compressed exponential distributions of what lies within a range.
//! - [`pearson`]: the correlation of two quantities, as of entropy and accuracy, with its p-value and confidence interval.
//!
//! Statistics are in `f64`, and tested against SciPy's figures.
//!
//! ```
//! use neuropil::analysis::{Alternative, Wilcoxon, pearson, wilcoxon};
//! let before = [91.0, 90.2, 92.5, 89.9, 91.7];
//! let after = [92.5, 91.3, 92.2, 91.8, 93.9];
//! let differences: Vec<f64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
//! let test = Wilcoxon { alternative: Alternative::Greater, ..Wilcoxon::default() };
//! let outcome = wilcoxon(&differences, &test)?;
//! assert_eq!((outcome.positive, outcome.negative), (14.0, 1.0));
//! assert_eq!(outcome.p, 2.0 / 32.0); // of the 32 ways to sign five ranks, two give a sum of 14 or more
//! assert!(pearson(&before, &after)?.r > 0.5);
//! # Ok::<(), neuropil::Error>(())
//! ```

#[cfg(feature = "systems")]
mod adversarial;
mod correlation;
mod distribution;
mod signed_rank;
mod tails;

#[cfg(feature = "systems")]
pub use adversarial::{Attack, accuracy_under, attack};
pub use correlation::{Correlation, pearson};
pub use distribution::{Family, Fit, fit};
pub use signed_rank::{Method, SignedRank, Wilcoxon, Zeros, wilcoxon};

use crate::error::{Error, Result};

/// What a test is to find evidence for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alternative {
    /// A difference in either direction.
    #[default]
    TwoSided,
    /// Less: the differences tend to be negative.
    Less,
    /// Greater: the differences tend to be positive.
    Greater,
}

/// Refuses NaN and infinities.
fn all_finite(name: &str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::setting(name, "finite numbers", format_args!("{} at {at}", values[at]))),
    }
}

#[cfg(test)]
mod tests;
