//! Weight perturbation: learning the output layer from a reward alone.
//!
//! The loss is evaluated with the weights as they are and with Gaussian noise added, and the noise is followed or undone by how the loss
//! changed (rule (3) of the Hebbian networks; Werfel, Xie & Seung, Neural Computation 17(12), 2005):
//!
//! `dW = -(eta / sigma^2) (E_perturbed - E) xi  where W != 0,   xi ~ N(0, sigma^2)`
//!
//! with one draw of `xi` for the whole batch, or one for every sample:
//!
//! | | one draw a batch | one draw a sample |
//! |---|---|---|
//! | noise | [`gaussian`] into a matrix | regenerated where it is used, never stored |
//! | outputs | [`clean_and_perturbed`] | [`perturbed_per_sample`] |
//! | update | [`reward_update`] | [`reward_update_per_sample`] |
//! | all of it | [`weight_perturbation`] with [`Draws::Batch`] | with [`Draws::Sample`] |
//!
//! All give the same bits on every instruction set and for any number of threads.

pub mod reference;

pub(crate) mod gaussian;
mod per_sample;

pub use gaussian::gaussian;
#[cfg(feature = "systems")]
pub(crate) use per_sample::PARTS;
pub use per_sample::{noise_of_sample, perturbed_per_sample, reward_update_per_sample};

use crate::context::Context;
use crate::kernels::dense::{add_bias, add_bias_here, skinny};
use crate::kernels::finite;
use crate::kernels::loss;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::{ITEM_VALUES, TOUCHED, for_each};
use crate::random::Stream;
use crate::simd::{Kernel, LANES, Simd, dispatch};

#[track_caller]
fn same_shape(kernel: &str, what: &str, found: (usize, usize), expected: (usize, usize)) {
    let ((rows, cols), (wanted_rows, wanted_cols)) = (found, expected);
    assert!(found == expected, "{kernel}: {what} is {rows} x {cols}, expected {wanted_rows} x {wanted_cols}");
}

/// `clean = z w` and `perturbed = z (w + noise)` in one pass over z. z [batch, inputs], w and noise [inputs, outputs], both results
/// [batch, outputs].
///
/// Error: `|got - exact| <= (n/16 + 6) 2^-24 sum |z| |w|` for n inputs, and one rounding of `w + noise` more for the second. NaN and
/// infinities pass into the outputs they reach. Cost: 2 n c multiply-adds a sample; any number of outputs c is right, few (some tens)
/// are fast, as the transposed weights are meant to stay in the second-level cache: beyond, two [`matmul`](crate::kernels::dense::matmul)s are.
///
/// # Panics
/// If shapes disagree.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::perturb};
/// let z = Matrix::from_slice(&[1.0, 2.0], 1, 2)?;
/// let w = Matrix::from_slice(&[3.0, 4.0], 2, 1)?;
/// let noise = Matrix::from_slice(&[0.5, 0.0], 2, 1)?;
/// let (mut clean, mut perturbed) = (Matrix::zeros(1, 1), Matrix::zeros(1, 1));
/// let context = &mut Context::new()?;
/// perturb::clean_and_perturbed(context, z.view(), w.view(), noise.view(), clean.view_mut(), perturbed.view_mut());
/// assert_eq!((clean[(0, 0)], perturbed[(0, 0)]), (11.0, 11.5));
/// # Ok::<(), neuropil::Error>(())
/// ```
#[track_caller]
pub fn clean_and_perturbed(
    context: &mut Context,
    z: MatRef<'_>,
    w: MatRef<'_>,
    noise: MatRef<'_>,
    clean: MatMut<'_>,
    perturbed: MatMut<'_>,
) {
    const NAME: &str = "clean_and_perturbed";
    same_shape(NAME, "w", (w.rows(), w.cols()), (z.cols(), w.cols()));
    same_shape(NAME, "noise", (noise.rows(), noise.cols()), (w.rows(), w.cols()));
    same_shape(NAME, "clean", (clean.rows(), clean.cols()), (z.rows(), w.cols()));
    same_shape(NAME, "perturbed", (perturbed.rows(), perturbed.cols()), (z.rows(), w.cols()));
    skinny::products(context, z, w, Some(noise), clean, Some(perturbed));
}

/// `w += gain * noise` where `w != 0`: the update of weight perturbation with `gain = -(eta / sigma^2) (E_perturbed - E)`.
///
/// "On the support only": a weight that is zero (of either sign) stays as it is, so that what became sparse stays sparse. With
/// `non_negative` the result is `max(0, .)`, of NaN it is NaN, of a zero that zero. One fused rounding a weight. The gain is a result, not a
/// setting, so one that is NaN or infinite is no panic: NaN makes every non-zero weight NaN, and infinity infinite (clamped, where that is
/// minus infinity, zero), or NaN where the noise is zero or it meets the other infinity: so check the losses before. Traffic: w twice, noise once.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::perturb};
/// let noise = Matrix::from_slice(&[0.5, 0.5, 0.5], 1, 3)?;
/// let mut w = Matrix::from_slice(&[1.0, 0.0, -3.0], 1, 3)?;
/// perturb::reward_update(&mut Context::new()?, noise.view(), 2.0, w.view_mut(), false);
/// assert_eq!(w.as_slice(), &[2.0, 0.0, -2.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If shapes disagree.
#[track_caller]
pub fn reward_update(context: &mut Context, noise: MatRef<'_>, gain: f32, w: MatMut<'_>, non_negative: bool) {
    let (rows, cols) = (w.rows(), w.cols());
    same_shape("reward_update", "noise", (noise.rows(), noise.cols()), (rows, cols));
    if rows == 0 || cols == 0 {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([rows, cols, TOUCHED]);
    let block = ITEM_VALUES.div_ceil(cols);
    let items = w.row_blocks(block).enumerate();
    for_each(threads, items, |(index, w)| {
        let noise = noise.rows_range(index * block..index * block + w.rows());
        dispatch(isa, RewardUpdate { noise, gain, w, non_negative });
    });
}

struct RewardUpdate<'a> {
    noise: MatRef<'a>,
    gain: f32,
    w: MatMut<'a>,
    non_negative: bool,
}

impl Kernel for RewardUpdate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let gain = s.splat(self.gain);
        for row in 0..self.w.rows() {
            let (noise, noise_tail) = self.noise.row(row).as_chunks::<LANES>();
            let (w, w_tail) = self.w.row_mut(row).as_chunks_mut::<LANES>();
            for (noise, w) in noise.iter().zip(w) {
                s.store(followed(s, s.load(w), gain, s.load(noise), self.non_negative), w);
            }
            if !w_tail.is_empty() {
                let value = followed(s, s.load_partial(w_tail), gain, s.load_partial(noise_tail), self.non_negative);
                s.store_partial(value, w_tail);
            }
        }
    }
}

/// `w + gain noise` on the support.
#[inline(always)]
fn followed<S: Simd>(s: S, w: S::F32, gain: S::F32, noise: S::F32, non_negative: bool) -> S::F32 {
    let moved = s.select(s.eq(w, s.zero()), w, s.mul_add(gain, noise, w));
    // NaN passes, as the second operand.
    if non_negative { s.max(s.zero(), moved) } else { moved }
}

/// How often noise is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Draws {
    /// Once for the whole batch, as in the paper.
    Batch,
    /// For every sample: as many directions tried as samples, each with its own reward.
    Sample,
}

/// Settings of [`weight_perturbation`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct WeightPerturbation {
    /// Learning rate, eta: a finite number.
    pub rate: f32,
    /// Standard deviation of the noise, sigma: a finite number above zero.
    pub sigma: f32,
    /// Clamp the weights at zero afterwards.
    pub non_negative: bool,
    /// One draw a batch, or one a sample.
    pub draws: Draws,
}

/// The losses seen by a step of [`weight_perturbation`], means over the batch in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// With the weights as they were.
    pub clean: f64,
    /// With noise added.
    pub perturbed: f64,
}

/// Reused memory of [`weight_perturbation`].
#[derive(Clone, Debug)]
pub struct Workspace {
    noise: Matrix,
    clean: Matrix,
    perturbed: Matrix,
    losses: [Vec<f32>; 2],
}

impl Default for Workspace {
    /// Grows with the first step.
    fn default() -> Self {
        let empty = || Matrix::zeros(0, 0);
        Workspace { noise: empty(), clean: empty(), perturbed: empty(), losses: [Vec::new(), Vec::new()] }
    }
}

/// One whole step of weight perturbation on a softmax read-out: outputs `z w + bias` with and without noise on w, their cross-entropy with
/// the labels, and the update of w on its support. z [batch, inputs], w [inputs, classes], bias \[classes\].
///
/// With [`Draws::Batch`] the gain is `-(rate / sigma^2) (E_perturbed - E)` of the batch means. With [`Draws::Sample`] each sample b has its own
/// noise and the gain `-(rate / sigma^2) (E_perturbed,b - E_b) / batch`. `stream` names the step's noise: give each step its own item.
///
/// Labels are bytes: at most 256 classes.
///
/// If one of the two losses is NaN or infinite, or there are no samples, the weights stay as they are, not even clamped; the caller sees it in
/// the result.
/// A gain beyond the range of `f32` is infinite, and so are the weights it reaches (NaN, where noise is zero).
///
/// **Error.** Losses as those of [`softmax_cross_entropy`](crate::kernels::loss::softmax_cross_entropy) on outputs as
/// [`clean_and_perturbed`] or [`perturbed_per_sample`] state; a gain carries the absolute error of two losses times `rate / sigma^2`, so that small
/// sigmas see little but rounding; [`reference::weight_perturbation`] bounds it all, step by step.
/// **Determinism.** The same bits on every instruction set and for any number of threads.
/// **Cost.** Per sample 2 inputs classes multiply-adds, and a draw for each weight; two draws a weight and sample with [`Draws::Sample`].
///
/// # Panics
/// If shapes disagree, a label is out of range, `sigma` is not a finite number above zero, or `rate` is not finite.
///
/// ```
/// use neuropil::kernels::perturb::{Draws, WeightPerturbation, Workspace, weight_perturbation};
/// use neuropil::{Context, Matrix, random::Stream};
/// let z = Matrix::from_slice(&[1.0, 0.0, 0.0, 1.0], 2, 2)?;
/// let mut w = Matrix::from_fn(2, 2, |_, _| 0.1);
/// let rule = WeightPerturbation { rate: 0.1, sigma: 0.01, non_negative: false, draws: Draws::Sample };
/// let (context, workspace) = (&mut Context::new()?, &mut Workspace::default());
/// let mut last = 0.0;
/// for step in 0..200 {
///     let stream = Stream::new(7, "noise").item(step);
///     last = weight_perturbation(context, z.view(), &[0, 1], w.view_mut(), &[0.0; 2], &rule, stream, workspace).clean;
/// }
/// assert!(last < 0.3, "{last}");
/// # Ok::<(), neuropil::Error>(())
/// ```
#[track_caller]
pub fn weight_perturbation(
    context: &mut Context,
    z: MatRef<'_>,
    labels: &[u8],
    mut w: MatMut<'_>,
    bias: &[f32],
    rule: &WeightPerturbation,
    stream: Stream,
    workspace: &mut Workspace,
) -> Losses {
    let (batch, inputs, classes) = (z.rows(), w.rows(), w.cols());
    assert!(bias.len() == classes, "weight_perturbation: {} biases for {classes} classes", bias.len());
    same_shape("weight_perturbation", "w", (inputs, classes), (z.cols(), classes));
    let sigma = rule.sigma;
    assert!(sigma > 0.0 && sigma.is_finite(), "weight_perturbation: sigma is {sigma}, not a finite number above zero");
    finite("weight_perturbation", "rate", rule.rate);
    let Workspace { noise, clean, perturbed, losses: [clean_losses, perturbed_losses] } = workspace;
    reshape(clean, batch, classes);
    reshape(perturbed, batch, classes);
    clean_losses.resize(batch, 0.0);
    perturbed_losses.resize(batch, 0.0);
    loss::check_labels("weight_perturbation", clean.view(), labels);
    let losses = match rule.draws {
        Draws::Batch => {
            reshape(noise, inputs, classes);
            gaussian(context, stream, rule.sigma, noise.as_mut_slice());
            let isa = context.isa();
            let losses = clean_losses.chunks_mut(skinny::ROWS).zip(perturbed_losses.chunks_mut(skinny::ROWS));
            let samples = labels.chunks(skinny::ROWS).zip(losses);
            let (clean, perturbed) = (clean.view_mut(), Some(perturbed.view_mut()));
            skinny::products_then(
                context,
                z,
                w.as_ref(),
                Some(noise.view()),
                clean,
                perturbed,
                samples,
                |(labels, (clean_losses, perturbed_losses)), clean, perturbed: Option<MatMut<'_>>| {
                    let losses_of = |mut logits: MatMut<'_>, losses| {
                        add_bias_here(logits.reborrow(), bias);
                        dispatch(isa, loss::CrossEntropy { logits: logits.as_ref(), labels, losses, gradient: None });
                    };
                    losses_of(clean, clean_losses);
                    losses_of(perturbed.expect("as given"), perturbed_losses);
                },
            );
            Losses { clean: loss::mean(clean_losses), perturbed: loss::mean(perturbed_losses) }
        }
        Draws::Sample => {
            skinny::products(context, z, w.as_ref(), None, clean.view_mut(), None);
            perturbed_per_sample(context, z, clean.view(), stream, rule.sigma, perturbed.view_mut());
            let mut mean = |outputs: &mut Matrix, losses: &mut Vec<f32>| {
                add_bias(context, outputs.view_mut(), bias);
                loss::softmax_cross_entropy(context, outputs.view(), labels, Some(losses), None)
            };
            Losses { clean: mean(clean, clean_losses), perturbed: mean(perturbed, perturbed_losses) }
        }
    };
    let difference = losses.perturbed - losses.clean;
    if batch == 0 || !difference.is_finite() {
        return losses;
    }
    let factor = -f64::from(rule.rate) / f64::from(rule.sigma).powi(2);
    match rule.draws {
        Draws::Batch => {
            reward_update(context, noise.view(), (factor * difference) as f32, w.reborrow(), rule.non_negative);
        }
        Draws::Sample => {
            let gains = perturbed_losses;
            for (gain, clean) in gains.iter_mut().zip(&*clean_losses) {
                *gain = (factor * (f64::from(*gain) - f64::from(*clean)) / batch as f64) as f32;
            }
            reward_update_per_sample(context, stream, rule.sigma, gains, w.reborrow(), rule.non_negative);
        }
    }
    losses
}

/// Makes the matrix anew if it has another shape.
fn reshape(matrix: &mut Matrix, rows: usize, cols: usize) {
    if (matrix.rows(), matrix.cols()) != (rows, cols) {
        *matrix = Matrix::zeros(rows, cols);
    }
}

#[cfg(test)]
mod tests;
