//! Noise of its own for every sample, drawn where it is used and never stored: 16 GB it would be, for a batch of 2000 on 2000 x 1000
//! weights.
//!
//! The noise of sample b is value `j K + i` of the stream's item b for the weight from input i to output j, where K is the number of
//! inputs rounded up to 32: unit by unit, so that vectors of noise lie along the inputs, as z does, and each unit begins with a fresh pair.
//! The same values come again for the update.

use super::gaussian::{BLOCK, COST, Normals, check_sigma};
use super::same_shape;
use crate::context::Context;
use crate::kernels::xoshiro::PAIR;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each;
use crate::random::Stream;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Samples of a work item of the outputs.
const SAMPLES: usize = 16;
/// Parts the batch is cut into for the update, whatever the number of threads; each has a sum of its own.
pub(crate) const PARTS: usize = 16;

/// The noise that [`perturbed_per_sample`] adds to the weights for one sample, into a matrix [inputs, outputs]: for checks and curiosity,
/// as the kernels never store it.
///
/// These are the bits that the kernels use; their error is that of [`gaussian`](super::gaussian). Cost: a draw and a copy a weight.
/// Memory: another copy of `out`, its inputs rounded up to 32.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::perturb, random::Stream};
/// let (context, stream) = (&mut Context::new()?, Stream::new(1, "noise"));
/// let z = Matrix::from_slice(&[1.0, 0.0, 0.0, 1.0], 2, 2)?; // sample 0 sees the first weight of an output alone, sample 1 the second
/// let (clean, mut perturbed, mut noise) = (Matrix::zeros(2, 3), Matrix::zeros(2, 3), Matrix::zeros(2, 3));
/// perturb::perturbed_per_sample(context, z.view(), clean.view(), stream, 0.5, perturbed.view_mut());
/// perturb::noise_of_sample(context, stream, 1, 0.5, noise.view_mut());
/// assert_eq!(perturbed.row(1), noise.row(1));
/// assert_ne!(perturbed.row(0), noise.row(0)); // that was noise of another sample
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If `sigma` is negative or not finite.
#[track_caller]
pub fn noise_of_sample(context: &mut Context, stream: Stream, sample: u64, sigma: f32, mut out: MatMut<'_>) {
    check_sigma("noise_of_sample", sigma);
    // However many rows of nothing there are.
    if out.cols() == 0 {
        return;
    }
    let stride = out.rows().next_multiple_of(PAIR);
    let mut values = vec![0.0; stride * out.cols()];
    super::gaussian(context, stream.item(sample), sigma, &mut values);
    for row in 0..out.rows() {
        for (col, value) in out.row_mut(row).iter_mut().enumerate() {
            *value = values[col * stride + row];
        }
    }
}

/// `perturbed_b = clean_b + z_b N_b`, with noise `N_b` ~ N(0, sigma^2) of its own for every sample b: the outputs that perturbed weights
/// give, from those of the weights themselves. z [batch, inputs], clean and perturbed [batch, outputs].
///
/// [`noise_of_sample`] tells `N_b`. Error beside that of `clean`: `2^-24 ((n/16 + 6) sum |z| |N_b| + |result|)` for n inputs, the last for the
/// rounding of the addition. **NaN and infinity** in z reach all outputs of their sample: a NaN makes them NaN, an infinity infinite, or NaN
/// where it meets noise of zero or another infinity; in `clean` they reach their own output alone. Noise that is infinite, as of a `sigma` above
/// 5e37 it may be, makes its output infinite, or NaN where z is zero or it meets another infinity. Cost: a draw and a multiply-add for each
/// weight and sample.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::perturb, random::Stream};
/// let z = Matrix::from_fn(2, 400, |_, _| 1.0);
/// let clean = Matrix::from_slice(&[1.0, -1.0], 2, 1)?;
/// let mut perturbed = Matrix::zeros(2, 1);
/// let (context, stream) = (&mut Context::new()?, Stream::new(1, "noise"));
/// perturb::perturbed_per_sample(context, z.view(), clean.view(), stream, 0.0, perturbed.view_mut());
/// assert_eq!(perturbed, clean);
/// perturb::perturbed_per_sample(context, z.view(), clean.view(), stream, 0.1, perturbed.view_mut());
/// let [a, b] = [perturbed[(0, 0)] - 1.0, perturbed[(1, 0)] + 1.0]; // two draws from N(0, 4)
/// assert!(a != b && a.abs() < 10.0 && b.abs() < 10.0);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If shapes disagree, or `sigma` is negative or not finite.
#[track_caller]
pub fn perturbed_per_sample(
    context: &mut Context,
    z: MatRef<'_>,
    clean: MatRef<'_>,
    stream: Stream,
    sigma: f32,
    perturbed: MatMut<'_>,
) {
    check_sigma("perturbed_per_sample", sigma);
    let shape = (z.rows(), perturbed.cols());
    same_shape("perturbed_per_sample", "clean", (clean.rows(), clean.cols()), shape);
    same_shape("perturbed_per_sample", "perturbed", (perturbed.rows(), perturbed.cols()), shape);
    if perturbed.cols() == 0 {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([z.rows(), z.cols(), clean.cols(), COST]);
    for_each(threads, perturbed.row_blocks(SAMPLES).enumerate(), |(block, perturbed)| {
        let first = block * SAMPLES;
        dispatch(isa, Outputs { z, clean, stream, sigma, perturbed, first });
    });
}

struct Outputs<'a> {
    z: MatRef<'a>,
    clean: MatRef<'a>,
    stream: Stream,
    sigma: f32,
    perturbed: MatMut<'a>,
    first: usize,
}

impl Kernel for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let inputs = self.z.cols();
        for row in 0..self.perturbed.rows() {
            let sample = self.first + row;
            let stream = self.stream.item(sample as u64);
            let (z, clean) = (self.z.row(sample), self.clean.row(sample));
            let (full, tail) = z.as_chunks::<PAIR>();
            let (first, second) = tail.split_at(tail.len().min(LANES));
            let there = (1u32 << tail.len()) - 1;
            let masks = [s.mask_from_bits(there as u16), s.mask_from_bits((there >> LANES) as u16)];
            let mut normals = Normals::seeded(s, stream.item(0), self.sigma);
            let mut position = 0;
            for (output, &clean) in self.perturbed.row_mut(row).iter_mut().zip(clean) {
                let mut sum = [s.zero(); 2];
                let mut done = 0;
                while done < full.len() {
                    normals = at(s, normals, stream, position, self.sigma);
                    // Up to the end of the inputs or of the block of noise.
                    let count = (full.len() - done).min((BLOCK - position % BLOCK) / PAIR);
                    for pair in &full[done..done + count] {
                        let (a, b) = normals.pair();
                        let halves = pair.as_chunks::<LANES>().0;
                        sum[0] = s.mul_add(s.load(&halves[0]), a, sum[0]);
                        sum[1] = s.mul_add(s.load(&halves[1]), b, sum[1]);
                    }
                    done += count;
                    position += count * PAIR;
                }
                if !tail.is_empty() {
                    normals = at(s, normals, stream, position, self.sigma);
                    let (a, b) = normals.pair();
                    // Beyond the last input noise may be infinite too, and NaN times zero.
                    let (a, b) = (s.select(masks[0], a, s.zero()), s.select(masks[1], b, s.zero()));
                    sum[0] = s.mul_add(s.load_partial(first), a, sum[0]);
                    sum[1] = s.mul_add(s.load_partial(second), b, sum[1]);
                    position += PAIR;
                }
                debug_assert_eq!(position % inputs.next_multiple_of(PAIR).max(1), 0);
                *output = clean + s.reduce_add(s.add(sum[0], sum[1]));
            }
        }
    }
}

/// The generator for the values from `position`, which is new at the start of every block.
#[inline(always)]
fn at<S: Simd>(s: S, normals: Normals<S>, stream: Stream, position: usize, sigma: f32) -> Normals<S> {
    if position > 0 && position.is_multiple_of(BLOCK) {
        Normals::seeded(s, stream.item((position / BLOCK) as u64), sigma)
    } else {
        normals
    }
}

/// `w += sum_b gains[b] N_b` where `w != 0`, with the noise that [`perturbed_per_sample`] drew from the same `stream` and `sigma`. With
/// gains `-(eta / sigma^2) (E_perturbed,b - E_b) / batch` this is weight perturbation with a draw a sample.
///
/// The support is as in [`reward_update`](super::reward_update), and so is `non_negative`: zeros of either sign stay. The sum over the batch
/// runs in 16 parts, each in the order of the samples, added in order: error
/// `2^-24 ((batch/16 + 17) sum_b |gains[b] N_b| + |w + sum|)`, the last for the rounding of the new weight. A NaN gain reaches every non-zero
/// weight; an infinite one makes them infinite (clamped, where that is minus infinity, zero), or NaN where its noise is zero or two infinities meet.
/// Without gains nothing is added, but the clamp still holds afterwards. Cost: a draw and a multiply-add for each weight and sample.
/// Memory: a copy of w, its inputs rounded up to 32, for each part: of up to 16 gains there are as many, of more at most 16. The context keeps it.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::perturb, random::Stream};
/// let (context, stream) = (&mut Context::new()?, Stream::new(1, "noise"));
/// let mut noise = Matrix::zeros(2, 2);
/// perturb::noise_of_sample(context, stream, 1, 0.5, noise.view_mut());
/// let mut w = Matrix::from_slice(&[1.0, 0.0, 0.0, 3.0], 2, 2)?;
/// perturb::reward_update_per_sample(context, stream, 0.5, &[0.0, -2.0], w.view_mut(), false);
/// assert_eq!(w.as_slice(), &[1.0 - 2.0 * noise[(0, 0)], 0.0, 0.0, 3.0 - 2.0 * noise[(1, 1)]]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If `sigma` is negative or not finite.
#[track_caller]
pub fn reward_update_per_sample(
    context: &mut Context,
    stream: Stream,
    sigma: f32,
    gains: &[f32],
    mut w: MatMut<'_>,
    non_negative: bool,
) {
    check_sigma("reward_update_per_sample", sigma);
    let (inputs, outputs) = (w.rows(), w.cols());
    if inputs == 0 || outputs == 0 {
        return;
    }
    let (isa, threads) = (context.isa(), context.threads());
    let stride = inputs.next_multiple_of(PAIR);
    let len = stride * outputs;
    let threads = threads.for_work([len, gains.len(), COST]);
    let part = gains.len().div_ceil(PARTS).max(1);
    let parts = gains.len().div_ceil(part).max(1);
    let [sums] = context.scratch([parts * len]);
    if gains.is_empty() {
        // Nothing to add, but the clamp still holds afterwards.
        sums.fill(0.0);
    }
    let items = sums.chunks_mut(len).zip(gains.chunks(part)).enumerate();
    for_each(threads, items, |(index, (sum, gains))| {
        dispatch(isa, Sums { stream, sigma, gains, first: index * part, sum });
    });
    let (total, rest) = sums.split_at_mut(len);
    for part in rest.chunks(len) {
        total.iter_mut().zip(part).for_each(|(total, value)| *total += value);
    }
    for row in 0..inputs {
        for (col, w) in w.row_mut(row).iter_mut().enumerate() {
            if *w != 0.0 {
                *w += total[col * stride + row];
            }
            // Zeros of either sign stay as they are.
            if non_negative && *w < 0.0 {
                *w = 0.0;
            }
        }
    }
}

struct Sums<'a> {
    stream: Stream,
    sigma: f32,
    gains: &'a [f32],
    first: usize,
    sum: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // A block of sums stays in the first-level cache while every sample adds to it.
        for (block, sums) in self.sum.chunks_mut(BLOCK).enumerate() {
            sums.fill(0.0);
            let pairs = sums.as_chunks_mut::<PAIR>().0;
            for (index, &gain) in self.gains.iter().enumerate() {
                let stream = self.stream.item((self.first + index) as u64).item(block as u64);
                let (mut normals, gain) = (Normals::seeded(s, stream, self.sigma), s.splat(gain));
                for pair in pairs.iter_mut() {
                    let (a, b) = normals.pair();
                    let halves = pair.as_chunks_mut::<LANES>().0;
                    s.store(s.mul_add(gain, a, s.load(&halves[0])), &mut halves[0]);
                    s.store(s.mul_add(gain, b, s.load(&halves[1])), &mut halves[1]);
                }
            }
        }
    }
}
