//! Adam (Kingma and Ba 2015, algorithm 1 with its bias corrections), fused into one pass over the parameters: for the read-outs and baselines
//! that stand beside networks that learn without it.
//!
//! ```text
//! g <- scale g + decay w
//! m <- m + (1 - beta1)(g - m)      v <- v + (1 - beta2)(g^2 - v)
//! w <- w - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
//! ```
//! with beta1 = 0.9, beta2 = 0.999 and eps = 1e-8 unless the [`Step`] says otherwise; the decay is an L2 penalty, part of the gradient as in the original (not
//! the decoupled one of AdamW). Every value is updated by itself, in the same order of operations whatever the
//! instruction set and number of threads: the bits never differ, but for the powers of beta, which are those of the system's mathematical library. Bound by memory (seven streams of 4 bytes a value).
//!
//! ```
//! use neuropil::Context;
//! use neuropil::kernels::adam::{Adam, Step};
//! let mut context = Context::new()?;
//! let (mut w, mut adam) = ([1.0, -2.0], Adam::new(2));
//! for number in 1..=500 {
//!     let gradient = w.map(|w| 2.0 * w); // of w^2
//!     adam.update(&mut context, &Step { rate: 0.02, number, ..Step::default() }, &gradient, &mut w);
//! }
//! assert!(w.iter().all(|w| w.abs() < 0.01));
//! # Ok::<(), neuropil::Error>(())
//! ```

pub mod reference;

use std::fmt;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::finite;
use crate::parallel;
use crate::shown::shown;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Values a thread takes at once.
const CHUNK: usize = 1 << 14;

/// The moments of one group of parameters: its whole state beside the parameters themselves.
#[derive(Clone, PartialEq)]
pub struct Adam {
    /// Running mean of the gradient.
    pub(crate) first: Vec<f32>,
    /// Running mean of the squared gradient.
    pub(crate) second: Vec<f32>,
}

impl fmt::Debug for Adam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adam").field("first", &shown(&self.first)).field("second", &shown(&self.second)).finish()
    }
}

/// One step's settings. The default is the first step at a rate of 0.001, without scale, decay or projection, with the constants of the paper.
///
/// ```
/// use neuropil::Context;
/// use neuropil::kernels::adam::{Adam, Step};
/// // Without memory, each parameter goes the rate's way against the sign of its gradient.
/// let (mut w, mut adam) = ([1.0, -2.0], Adam::new(2));
/// let step = Step { rate: 0.25, beta1: 0.0, beta2: 0.0, epsilon: 0.0, ..Step::default() };
/// adam.update(&mut Context::new()?, &step, &[0.5, -8.0], &mut w);
/// assert_eq!(w, [0.75, -1.75]);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The learning rate.
    pub rate: f64,
    /// The step's number, from 1.
    pub number: u64,
    /// What gradients are multiplied by first: 1 / batch for sums over a batch.
    pub scale: f32,
    /// The L2 penalty's gradient on a parameter of one; 0 for none.
    pub decay: f32,
    /// Whether parameters are projected to zero or above afterwards.
    pub non_negative: bool,
    /// What is left of the running mean of the gradient after a step: 0 or more, below 1; 0.9 by default.
    pub beta1: f64,
    /// The same of its square; 0.999 by default.
    pub beta2: f64,
    /// What is added to the root of the second moment, so that small ones do not make large steps: 0 or more; 1e-8 by default. Of 0, a parameter
    /// whose gradients were all zero becomes NaN.
    pub epsilon: f64,
}

impl Default for Step {
    fn default() -> Self {
        Step {
            rate: 1e-3,
            number: 1,
            scale: 1.0,
            decay: 0.0,
            non_negative: false,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

impl Step {
    /// By what the moments are divided, as they begin at zero.
    fn corrections(&self) -> [f64; 2] {
        [self.beta1, self.beta2].map(|beta| {
            1.0 - i32::try_from(self.number).map_or_else(|_| beta.powf(self.number as f64), |number| beta.powi(number))
        })
    }
}

impl Adam {
    /// Moments of zero for this many parameters.
    pub fn new(len: usize) -> Self {
        Adam { first: vec![0.0; len], second: vec![0.0; len] }
    }

    /// Moments that were kept: running means of the gradient and of its square.
    ///
    /// # Errors
    /// [`Error::Length`] if they differ in number.
    pub fn from_moments(first: Vec<f32>, second: Vec<f32>) -> Result<Self> {
        if first.len() != second.len() {
            return Err(Error::Length { what: "second moments", expected: first.len(), found: second.len() });
        }
        Ok(Adam { first, second })
    }

    /// The running mean of each parameter's gradient.
    pub fn first(&self) -> &[f32] {
        &self.first
    }

    /// The running mean of each parameter's squared gradient.
    pub fn second(&self) -> &[f32] {
        &self.second
    }

    /// Updates the parameters by their gradient.
    ///
    /// Each value has some fifteen roundings behind it; [`reference::error`] bounds what they do to parameter and moments. A NaN in the
    /// gradient makes its parameter NaN, for good, and leaves the others alone; so does an infinite one, and one whose square is beyond `f32` at
    /// the step after it. Some fifteen operations and 28 bytes of memory a parameter.
    ///
    /// # Panics
    /// If parameters, gradient and moments have different lengths, the step's number is 0, its rate, scale or decay is not finite, a beta is not
    /// at least 0 and below 1, or epsilon is negative or not finite; a rate, as it is or corrected for the moments' bias, or an epsilon that `f32`
    /// makes infinite (1e39) counts as that.
    #[track_caller]
    pub fn update(&mut self, context: &mut Context, step: &Step, gradient: &[f32], parameters: &mut [f32]) {
        assert!(
            parameters.len() == self.first.len(),
            "Adam: {} parameters for {} moments",
            parameters.len(),
            self.first.len()
        );
        assert!(
            gradient.len() == self.first.len(),
            "Adam: {} gradients for {} moments",
            gradient.len(),
            self.first.len()
        );
        assert!(step.number > 0, "Adam: steps are counted from 1");
        assert!((step.rate as f32).is_finite(), "Adam: rate is {:?}, not a finite number in f32", step.rate);
        for (name, value) in [("scale", step.scale), ("decay", step.decay)] {
            finite("Adam", name, value);
        }
        let Step { beta1, beta2, epsilon, .. } = *step;
        for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
            assert!((0.0..1.0).contains(&beta), "Adam: {name} is {beta:?}, not 0 or more and below 1");
        }
        assert!(
            epsilon >= 0.0 && (epsilon as f32).is_finite(),
            "Adam: epsilon is {epsilon:?}, not 0 or more and finite in f32"
        );
        // Both corrections go into two numbers: w -= c m / (sqrt(v) + e).
        let [one, two] = step.corrections();
        let root = two.sqrt();
        let rate = (step.rate * root / one) as f32;
        assert!(rate.is_finite(), "Adam: rate is {:?}, which its corrections make infinite in f32", step.rate);
        let epsilon = (epsilon * root) as f32;
        let constants = Constants {
            keep: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            rate,
            epsilon,
            scale: step.scale,
            decay: step.decay,
            floor: if step.non_negative { 0.0 } else { f32::NEG_INFINITY },
        };
        let isa = context.isa();
        let threads = context.threads().for_work([parameters.len(), parallel::TOUCHED]);
        let chunks = parameters
            .chunks_mut(CHUNK)
            .zip(gradient.chunks(CHUNK))
            .zip(self.first.chunks_mut(CHUNK).zip(self.second.chunks_mut(CHUNK)));
        parallel::for_each(threads, chunks, |((parameters, gradient), (first, second))| {
            dispatch(isa, Update { constants, gradient, parameters, first, second });
        });
    }
}

/// One step's numbers, the bias corrections folded in.
#[derive(Clone, Copy)]
struct Constants {
    /// 1 - beta, of both moments.
    keep: [f32; 2],
    rate: f32,
    epsilon: f32,
    scale: f32,
    decay: f32,
    floor: f32,
}

struct Update<'a> {
    constants: Constants,
    gradient: &'a [f32],
    parameters: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (gradients, gradient_tail) = self.gradient.as_chunks::<LANES>();
        let (parameters, parameter_tail) = self.parameters.as_chunks_mut::<LANES>();
        let (firsts, first_tail) = self.first.as_chunks_mut::<LANES>();
        let (seconds, second_tail) = self.second.as_chunks_mut::<LANES>();
        for (((w, g), m), v) in parameters.iter_mut().zip(gradients).zip(firsts).zip(seconds) {
            let [next, first, second] = updated(s, self.constants, [s.load(w), s.load(g), s.load(m), s.load(v)]);
            s.store(next, w);
            s.store(first, m);
            s.store(second, v);
        }
        let tail = [&*parameter_tail, gradient_tail, first_tail, second_tail].map(|tail| s.load_partial(tail));
        let [next, first, second] = updated(s, self.constants, tail);
        s.store_partial(next, parameter_tail);
        s.store_partial(first, first_tail);
        s.store_partial(second, second_tail);
    }
}

/// Sixteen parameters and their moments after a step.
#[inline(always)]
fn updated<S: Simd>(s: S, constants: Constants, [w, g, m, v]: [S::F32; 4]) -> [S::F32; 3] {
    let Constants { keep, rate, epsilon, scale, decay, floor } = constants;
    let g = s.mul_add(s.splat(decay), w, s.mul(s.splat(scale), g));
    let m = s.add(m, s.mul(s.splat(keep[0]), s.sub(g, m)));
    let v = s.add(v, s.mul(s.splat(keep[1]), s.sub(s.mul(g, g), v)));
    let next = s.sub(w, s.div(s.mul(s.splat(rate), m), s.add(s.sqrt(v), s.splat(epsilon))));
    // The operands' order keeps NaN.
    [s.max(s.splat(floor), next), m, v]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::kernels::bits;
    use crate::parallel::Threads;
    use crate::random::Stream;

    #[test]
    fn follows_the_published_algorithm() {
        let len = 1000;
        let mut w = vec![0.0f32; len];
        Stream::new(1, "w").uniform(-1.0, 1.0, &mut w);
        let mut exact: Vec<[f64; 3]> = w.iter().map(|&w| [f64::from(w), 0.0, 0.0]).collect();
        let mut adam = Adam::new(len);
        let mut context = Context::on(Isa::Scalar).unwrap();
        for number in 1..=50 {
            let mut gradient = vec![0.0f32; len];
            Stream::new(2, "g").item(number).uniform(-3.0, 3.0, &mut gradient);
            let step = Step { rate: 0.01, number, scale: 0.5, decay: 0.25, ..Step::default() };
            adam.update(&mut context, &step, &gradient, &mut w);
            for (state, g) in exact.iter_mut().zip(&gradient) {
                *state = reference::update(&step, f64::from(*g), *state);
            }
        }
        // Each of 50 steps moves at most about 0.01 and errs by a few units in the last place of that and of w.
        for (&w, exact) in w.iter().zip(&exact) {
            let error = (f64::from(w) - exact[0]).abs();
            assert!(error < 50.0 * (4.0 * f64::from(f32::EPSILON) * 1.5), "{w} for {}", exact[0]);
        }
    }

    #[test]
    fn the_reference_is_the_formula() {
        // Two steps by hand: m = 0.2, v = 0.004, then m = 0.28, v = 0.004996.
        let step = |number| Step { rate: 0.1, number, scale: 2.0, ..Step::default() };
        let one = reference::update(&step(1), 1.0, [3.0, 0.0, 0.0]);
        assert!((one[0] - 2.9).abs() < 1e-8 && (one[1] - 0.2).abs() < 1e-15 && (one[2] - 0.004).abs() < 1e-15);
        let two = reference::update(&step(2), 0.5, one);
        let expected = one[0] - 0.1 * (0.28 / 0.19) / ((0.004996f64 / 0.001999).sqrt() + 1e-8);
        assert!((two[0] - expected).abs() < 1e-12, "{two:?}");
        let clamped = reference::update(&Step { non_negative: true, ..step(1) }, 1.0, [0.05, 0.0, 0.0]);
        assert_eq!(clamped[0], 0.0);
    }

    #[test]
    fn other_betas_and_epsilons_stay_within_the_bound() {
        for (beta1, beta2, epsilon) in [(0.0, 0.0, 0.0), (0.5, 0.9, 1e-3), (0.95, 0.95, 1.0), (0.0, 0.99, 1e-12)] {
            for number in [1, 2, 40] {
                let step = Step { rate: 0.01, number, scale: 0.5, beta1, beta2, epsilon, ..Step::default() };
                for isa in Isa::available() {
                    let (gradient, old) =
                        ([0.3f32, -2.0, 0.1], [[0.5f32, 0.1, 0.2], [-1.0, 0.0, 0.01], [2.0, -0.3, 0.04]]);
                    let mut w = old.map(|old| old[0]);
                    let mut adam = Adam::from_moments(old.map(|o| o[1]).to_vec(), old.map(|o| o[2]).to_vec()).unwrap();
                    adam.update(&mut Context::on(isa).unwrap(), &step, &gradient, &mut w);
                    for at in 0..3 {
                        let exact = reference::update(&step, gradient[at].into(), old[at].map(f64::from));
                        let bound = reference::error(&step, gradient[at].into(), old[at].map(f64::from));
                        for (part, got) in [w[at], adam.first[at], adam.second[at]].into_iter().enumerate() {
                            let error = (f64::from(got) - exact[part]).abs();
                            assert!(error <= bound[part], "{isa} {step:?}: {got}, exactly {}", exact[part]);
                            assert!(bound[part] < 1e-4, "{step:?}: a bound that says nothing, {}", bound[part]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "Adam: beta2 is 1.0, not 0 or more and below 1")]
    fn moments_that_forget_nothing_are_refused() {
        let mut context = Context::on(Isa::Scalar).unwrap();
        Adam::new(1).update(&mut context, &Step { beta2: 1.0, ..Step::default() }, &[1.0], &mut [1.0]);
    }

    #[test]
    fn tiny_moments_stay_within_the_bound() {
        let mut context = Context::new().unwrap();
        for (gradient, beta1) in [(1e-39f32, 0.9), (1e-40, 0.0), (3e-42, 0.9), (1.4e-45, 0.5)] {
            let step = Step { beta1, ..Step::default() };
            let [bound, ..] = reference::error(&step, f64::from(gradient), [0.0; 3]);
            let [want, ..] = reference::update(&step, f64::from(gradient), [0.0; 3]);
            let mut got = [0.0];
            Adam::new(1).update(&mut context, &step, &[gradient], &mut got);
            let error = (f64::from(got[0]) - want).abs();
            assert!(error <= bound, "{gradient:e}: {:e} for {want:e}, more than {bound:e} apart", got[0]);
        }
    }

    #[test]
    fn moments_are_corrected_however_many_steps_there_were() {
        let step = Step { rate: 0.1, number: 1 << 34, beta1: 0.0, beta2: 1.0 - 1e-10, epsilon: 0.0, ..Step::default() };
        let [want, ..] = reference::update(&step, 1.0, [0.0; 3]);
        // 1 - (1 - 1e-10)^(2^34) = 1 - exp(-1.718): the moment of 1e-10 is divided by 0.8205.
        assert!((want + 0.1 * (0.8205f64 / 1e-10).sqrt()).abs() <= 1e-3 * want.abs(), "{want}");
        let mut got = [0.0];
        Adam::new(1).update(&mut Context::new().unwrap(), &step, &[1.0], &mut got);
        assert!((f64::from(got[0]) - want).abs() <= 1e-5 * want.abs(), "{got:?} for {want}");
    }

    #[test]
    #[should_panic(expected = "Adam: rate is 1e38, which its corrections make infinite in f32")]
    fn a_rate_that_its_corrections_make_infinite_is_refused() {
        let step = Step { rate: 1e38, beta2: 0.0, ..Step::default() };
        Adam::new(1).update(&mut Context::new().unwrap(), &step, &[0.0], &mut [1.0]);
    }

    #[test]
    #[should_panic(expected = "Adam: epsilon is NaN")]
    fn an_epsilon_that_is_no_number_is_refused() {
        let mut context = Context::on(Isa::Scalar).unwrap();
        Adam::new(1).update(&mut context, &Step { epsilon: f64::NAN, ..Step::default() }, &[1.0], &mut [1.0]);
    }

    #[test]
    fn what_is_no_number_or_too_large_ends_one_parameter_alone() {
        let mut context = Context::on(Isa::best()).unwrap();
        let (mut adam, mut w) = (Adam::new(4), [1.0f32; 4]);
        adam.update(&mut context, &Step::default(), &[f32::NAN, f32::INFINITY, 2e19, 0.5], &mut w);
        assert!(w[0].is_nan() && w[1].is_nan() && w[2] == 1.0 && w[3] < 1.0, "{w:?}");
        adam.update(&mut context, &Step { number: 2, ..Step::default() }, &[0.5; 4], &mut w);
        assert!(w[..3].iter().all(|w| w.is_nan()) && w[3].is_finite(), "{w:?}");
    }

    #[test]
    #[should_panic(expected = "Adam: rate is NaN, not a finite number")]
    fn a_rate_that_is_no_number_is_refused() {
        let mut context = Context::on(Isa::Scalar).unwrap();
        Adam::new(1).update(&mut context, &Step { rate: f64::NAN, ..Step::default() }, &[1.0], &mut [1.0]);
    }

    #[test]
    #[should_panic(expected = "Adam: rate is 1e39, not a finite number in f32")]
    fn a_rate_beyond_f32_is_refused_by_its_value() {
        let mut context = Context::on(Isa::Scalar).unwrap();
        Adam::new(1).update(&mut context, &Step { rate: 1e39, ..Step::default() }, &[1.0], &mut [1.0]);
    }

    #[test]
    fn bounds_hold_where_scaled_gradient_and_decay_cancel() {
        // Exactly, and all but.
        for (gradient, decay) in [(1.0f32, 1.0), (1.1, 1.1), (1.0 - f32::EPSILON / 2.0, 1.0), (1.0 + f32::EPSILON, 1.0)]
        {
            let step = Step { decay, ..Step::default() };
            let (exact, bound) = (
                reference::update(&step, gradient.into(), [-1.0, 0.0, 0.0]),
                reference::error(&step, gradient.into(), [-1.0, 0.0, 0.0]),
            );
            assert!(bound.iter().all(|&bound| bound >= 0.0), "{gradient}: {bound:?}");
            for isa in Isa::available() {
                let (mut context, mut adam, mut w) = (Context::on(isa).unwrap(), Adam::new(1), [-1.0]);
                adam.update(&mut context, &step, &[gradient], &mut w);
                for ((got, exact), bound) in [w[0], adam.first[0], adam.second[0]].into_iter().zip(exact).zip(bound) {
                    assert!(
                        (f64::from(got) - exact).abs() <= bound,
                        "{gradient}: {got}, exactly {exact}, within {bound}"
                    );
                }
            }
        }
    }

    #[test]
    fn moments_that_were_kept_go_on() {
        let mut context = Context::on(Isa::Scalar).unwrap();
        let (mut one, mut other) = (Adam::new(3), [0.5f32, 0.25, 1.0]);
        let gradient = [0.1, -0.2, 0.3];
        one.update(&mut context, &Step::default(), &gradient, &mut other);
        let mut two = Adam::from_moments(one.first().to_vec(), one.second().to_vec()).unwrap();
        let (mut a, mut b) = (other, other);
        let step = Step { number: 2, ..Step::default() };
        one.update(&mut context, &step, &gradient, &mut a);
        two.update(&mut context, &step, &gradient, &mut b);
        assert_eq!((a, &one), (b, &two));
        assert!(Adam::from_moments(vec![0.0; 2], vec![0.0; 3]).is_err());
    }

    #[test]
    fn threads_do_not_show_and_projection_holds() {
        let len = 1 << 20;
        let mut gradient = vec![0.0; len];
        Stream::new(3, "g").uniform(-1.0, 1.0, &mut gradient);
        let run = |threads| {
            let mut context = Context::on(Isa::Scalar).unwrap().with_threads(Threads::always(threads).unwrap());
            let (mut w, mut adam) = (vec![0.001; len], Adam::new(len));
            for number in 1..4 {
                adam.update(
                    &mut context,
                    &Step { rate: 0.01, number, non_negative: true, ..Step::default() },
                    &gradient,
                    &mut w,
                );
            }
            assert!(w.iter().all(|&w| w >= 0.0) && w.contains(&0.0));
            [&w[..], adam.first(), adam.second()].map(bits)
        };
        let one = run(1);
        assert!(one == run(2) && one == run(7));
    }
}
