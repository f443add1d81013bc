//! Plasticity of an output layer: a few units learn from many inputs by rules that are local to the link.
//!
//! Activities are rows, h [batch, inputs]; w is [units, inputs], a unit a row, so that vectors lie along the many inputs. With z the
//! softmax of the logits, l the one-hot label and d = z - l:
//!
//! ```text
//! logits          y[b, j] = sum_i h[b, i] w[j, i]
//! gradient        g[j, i] = sum_b d[b, j] h[b, i]
//! sign_descent    w[j, i] -= rate sign(g[j, i])                         Gorantla et al., "Biologically Plausible Neural Networks
//!                                                                       via Evolutionary Dynamics and Dopaminergic Plasticity", eq. 4
//! reward_modulated w[j, i] -= rate sum_b s[b, j] 1{h[b, i] > 0}         its section 3.2, s as a [`Reading`] of the rule says
//! ```
//!
//! **Error.** With gamma = 2^-24: a logit of n inputs is within `1.01 (n / 16 + 6) gamma sum |h| |w|`, a gradient over b samples within
//! `1.01 b gamma sum |d| |h|`; a step adds one rounding of w. **Determinism.** Every sum is one chain of fused multiply-adds (a logit: one in
//! each of 16 lanes, folded by the fixed tree), whatever instruction set, tile and number of threads: the bits never differ.
//! **NaN and infinity** in data spread as in the sums; but the sign of NaN is zero, and an input that is NaN has not fired. Of a signal s that is
//! infinite, links that did not fire get zero times it, which is NaN. A rate that is NaN or infinite panics. **Cost.** As many multiply-adds as
//! batch x units x inputs; of logits, h is read once and w once for every 48 samples; of a rule's
//! step, w once, and h once for every five units and each that is left.
//!
//! ```
//! use neuropil::kernels::plasticity::{logits, sign_descent};
//! use neuropil::{Context, Matrix};
//! let mut context = Context::new()?;
//! let h = Matrix::from_slice(&[1.0, 0.0, 2.0], 1, 3)?;
//! let d = Matrix::from_slice(&[0.25, -0.25], 1, 2)?;
//! let mut w = Matrix::zeros(2, 3);
//! sign_descent(&mut context, h.view(), d.view(), w.view_mut(), 0.5);
//! assert_eq!(w.as_slice(), &[-0.5, 0.0, -0.5, 0.5, 0.0, 0.5]);
//! let mut y = Matrix::zeros(1, 2);
//! logits(&mut context, h.view(), w.view(), y.view_mut());
//! assert_eq!(y.as_slice(), &[-1.5, 1.5]);
//! # Ok::<(), neuropil::Error>(())
//! ```

mod logits;
pub mod reference;
mod update;

pub use logits::logits;

use crate::context::Context;
use crate::kernels::finite;
use crate::matrix::{MatMut, MatRef};

/// How the rule of dopaminergic plasticity is read. The paper's formula and its prose disagree with each other, and neither learns.
///
/// With e = (z_j - l_j)^2 and L the sample's cross-entropy, for links that fired:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Reading {
    /// `dw = -eps1 sign(z_j - l_j) 1{e > 1/4} 1{L > eps0}`: what learns, and comes to the paper's figures.
    #[default]
    Signed,
    /// `dw = eps1 1{e < 1/4} 1{L > eps0}`: the printed ratio, which is one where both factors of its numerator are above zero.
    /// It strengthens links to the classes that a wrong answer was right not to choose.
    Printed,
    /// `dw = eps1 1{e <= 1/4} 1{L <= eps0}`: the text, which rewards links after a good answer and never changes a bad one.
    Prose,
}

/// What a reading of the rule makes of a batch: `difference` holds z - l [batch, units] and becomes the signal s, `losses` are the samples'
/// cross-entropies L, `threshold` is eps0.
///
/// Each value of s is -1, 0 or 1, exactly; where a loss or a difference is NaN it is 0, and all are for a threshold that is NaN. The same on every
/// machine. Cost: a read and a write a value, on the calling thread.
///
/// # Panics
/// If there are not as many losses as rows.
///
/// ```
/// use neuropil::kernels::plasticity::{Reading, reward_signal};
/// use neuropil::Matrix;
/// let mut s = Matrix::from_slice(&[0.6, -0.8, 0.2], 1, 3)?;
/// reward_signal(Reading::Signed, 0.75, &[1.6], s.view_mut());
/// assert_eq!(s.as_slice(), &[1.0, -1.0, 0.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[track_caller]
pub fn reward_signal(reading: Reading, threshold: f32, losses: &[f32], mut difference: MatMut<'_>) {
    let samples = difference.rows();
    assert!(losses.len() == samples, "reward_signal: {} losses of {samples} samples", losses.len());
    for (sample, &loss) in losses.iter().enumerate() {
        for value in difference.row_mut(sample) {
            let square = *value * *value;
            *value = match reading {
                Reading::Signed if square > 0.25 && loss > threshold => value.signum(),
                Reading::Printed if square < 0.25 && loss > threshold => -1.0,
                Reading::Prose if square <= 0.25 && loss <= threshold => -1.0,
                _ => 0.0,
            };
        }
    }
}

/// `g = d^T h`: g [units, inputs] of d [batch, units] and h [batch, inputs], replaced; what g held is not read. See [the module](self) for error,
/// NaN, determinism and cost.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::plasticity};
/// let h = Matrix::from_slice(&[1.0, 0.0, 2.0, 1.0, 1.0, 0.0], 2, 3)?;
/// let d = Matrix::from_slice(&[0.25, -0.25, 0.5, -0.5], 2, 2)?;
/// let mut g = Matrix::zeros(2, 3);
/// plasticity::gradient(&mut Context::new()?, h.view(), d.view(), g.view_mut());
/// assert_eq!(g.as_slice(), &[0.75, 0.5, 0.5, -0.75, -0.5, -0.5]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn gradient(context: &mut Context, h: MatRef<'_>, d: MatRef<'_>, g: MatMut<'_>) {
    shapes_agree("gradient", h, d, &g);
    update::update(context, h, d, g, update::Rule::Gradient);
}

/// `w -= rate sign(d^T h)`: SignSGD, equation 4 summed over the batch before the sign is taken. See [the module](self) for shapes, error,
/// NaN, determinism and cost.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::plasticity::sign_descent};
/// let h = Matrix::from_slice(&[1.0, 2.0, 0.0, 3.0, 0.0, 0.0], 2, 3)?;
/// let d = Matrix::from_slice(&[0.5, -0.25], 2, 1)?;
/// let mut w = Matrix::from_slice(&[1.0, 1.0, 1.0], 1, 3)?;
/// sign_descent(&mut Context::new()?, h.view(), d.view(), w.view_mut(), 0.5);
/// assert_eq!(w.as_slice(), &[1.5, 0.5, 1.0]); // sums of -0.25, 1 and 0
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn sign_descent(context: &mut Context, h: MatRef<'_>, d: MatRef<'_>, w: MatMut<'_>, rate: f32) {
    shapes_agree("sign_descent", h, d, &w);
    finite("sign_descent", "rate", rate);
    update::update(context, h, d, w, update::Rule::Sign(rate));
}

/// `w -= rate s^T 1{h > 0}`: links that fired, changed as [`reward_signal`] says. Units whose signal is zero throughout are not visited.
/// See [the module](self) for shapes, error, NaN, determinism and cost.
///
/// Signals of [`reward_signal`] are finite. One that is not reaches every link of its unit, as 1{h > 0} is a factor: a NaN makes them all NaN;
/// an infinity makes links infinite that fired (or NaN, where they meet the other infinity), and NaN those that did not.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::plasticity::reward_modulated};
/// let h = Matrix::from_slice(&[3.0, 0.0, -1.0, 0.5, 0.5, 0.0], 2, 3)?;
/// let s = Matrix::from_slice(&[1.0, 0.0, 1.0, -1.0], 2, 2)?;
/// let mut w = Matrix::zeros(2, 3);
/// reward_modulated(&mut Context::new()?, h.view(), s.view(), w.view_mut(), 0.5);
/// assert_eq!(w.as_slice(), &[-1.0, -0.5, 0.0, 0.5, 0.5, 0.0]); // how strongly an input fired does not count
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite.
#[track_caller]
pub fn reward_modulated(context: &mut Context, h: MatRef<'_>, s: MatRef<'_>, w: MatMut<'_>, rate: f32) {
    shapes_agree("reward_modulated", h, s, &w);
    finite("reward_modulated", "rate", rate);
    update::update(context, h, s, w, update::Rule::Fired(rate));
}

#[track_caller]
fn shapes_agree(name: &str, h: MatRef<'_>, d: MatRef<'_>, w: &MatMut<'_>) {
    assert!(
        h.rows() == d.rows() && (w.rows(), w.cols()) == (d.cols(), h.cols()),
        "{name}: h is {} x {}, the signal {} x {}, w {} x {}",
        h.rows(),
        h.cols(),
        d.rows(),
        d.cols(),
        w.rows(),
        w.cols()
    );
}

#[cfg(test)]
mod tests;
