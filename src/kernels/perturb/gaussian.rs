//! Normal deviates, thirty-two at a time and never a table: sixteen lanes of xoshiro128++ and the Box-Muller transform.
//!
//! ```text
//! per block of 8192 values, from its own stream:
//!   seed 16 lanes x 4 words
//!   repeat: a, b = two steps of xoshiro128++ in every lane
//!     u   = (a >> 1) 2^-31 + 2^-32                in (0, 1]
//!     r   = sigma sqrt(-ln u)                     [1]
//!     phi = (b << 2, as a signed number) pi/4 2^-31   in [-pi/4, pi/4)   [2]
//!     emit 16 x  +-r (cos phi - sin phi),  signed by bit 31 of b
//!     emit 16 x  +-r (cos phi + sin phi),  signed by bit 30 of b
//! ```
//! 1. and 2. Box and Muller (Ann. Math. Stat. 29, 1958) emit `sqrt(-2 ln u) (cos t, sin t)` with t uniform on the circle. By symmetry
//!    t need only run over a quarter of it if both signs are drawn apart; turning that quarter to lie around zero leaves
//!    `cos(phi + pi/4) = (cos phi - sin phi) / sqrt 2`, whose root cancels that in the radius. Nothing is left to select by quadrant.

use crate::context::Context;
use crate::kernels::xoshiro::{Generators, PAIR};
use crate::parallel::for_each;
use crate::random::Stream;
use crate::simd::{Kernel, LANES, Simd, dispatch, math};

/// Values that come from one seeding. Part of the definition of the stream: changing it changes every value.
pub(crate) const BLOCK: usize = 8192;
/// What a value costs, in multiply-adds.
pub(super) const COST: usize = 16;

/// Fills `out` with independent draws from N(0, sigma^2).
///
/// Value i depends on `stream`, `sigma` and i alone: a longer slice begins with the values of a shorter one, and threads and instruction
/// set never show. Radii come from 31 bits, so no value lies beyond 6.66 sigma (true deviates do once in 4e10), angles from 32; for a `sigma`
/// above 5e37 that may be infinite. For a power of two s, the values of `sigma` = s are those of `sigma` = 1 times s, exactly, underflow and
/// overflow apart; of another s the radius is scaled and rounded before the angle's factor, so that last bits may differ.
///
/// Error: with gamma = 2^-24 and R the exact radius `sigma sqrt(-2 ln u)` of the same bits, a value is within
/// `8 gamma R + min(2.2 gamma sigma^2 / R, sigma sqrt(2.2 gamma))` of the exact transform, underflow and overflow apart: 6.1e-7 sigma at
/// R = sigma, never more than 3.7e-4 sigma, near R = 0, where u is near one. [`reference::gaussian`](super::reference::gaussian) computes both.
///
/// A value costs some 1.8 vector operations; memory is written once.
///
/// # Panics
/// If `sigma` is negative or not finite.
///
/// ```
/// use neuropil::{Context, kernels::perturb, random::Stream};
/// let mut noise = [0.0; 1000];
/// perturb::gaussian(&mut Context::new()?, Stream::new(1, "noise"), 0.5, &mut noise);
/// let variance = noise.iter().map(|v| v * v).sum::<f32>() / 1000.0;
/// assert!((variance - 0.25).abs() < 0.05);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[track_caller]
pub fn gaussian(context: &mut Context, stream: Stream, sigma: f32, out: &mut [f32]) {
    check_sigma("gaussian", sigma);
    let isa = context.isa();
    let threads = context.threads().for_work([out.len(), COST]);
    for_each(threads, out.chunks_mut(BLOCK).zip(0..), |(out, block)| {
        dispatch(isa, Fill { stream: stream.item(block), sigma, out });
    });
}

#[track_caller]
pub(crate) fn check_sigma(kernel: &str, sigma: f32) {
    assert!(sigma >= 0.0 && sigma.is_finite(), "{kernel}: sigma is {sigma}, not a finite number of zero or above");
}

struct Fill<'a> {
    stream: Stream,
    sigma: f32,
    out: &'a mut [f32],
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut normals = Normals::seeded(s, self.stream, self.sigma);
        let (pairs, tail) = self.out.as_chunks_mut::<PAIR>();
        for pair in pairs {
            let (a, b) = normals.pair();
            let halves = pair.as_chunks_mut::<LANES>().0;
            s.store(a, &mut halves[0]);
            s.store(b, &mut halves[1]);
        }
        if !tail.is_empty() {
            let (a, b) = normals.pair();
            let (first, second) = tail.split_at_mut(tail.len().min(LANES));
            s.store_partial(a, first);
            s.store_partial(b, second);
        }
    }
}

/// Normal deviates from sixteen generators.
#[derive(Clone, Copy)]
pub(crate) struct Normals<S: Simd> {
    generators: Generators<S>,
    sigma: S::F32,
}

impl<S: Simd> Normals<S> {
    #[inline(always)]
    pub(crate) fn seeded(simd: S, stream: Stream, sigma: f32) -> Self {
        Normals { generators: Generators::seeded(simd, stream), sigma: simd.splat(sigma) }
    }

    /// The next two vectors.
    #[inline(always)]
    pub(crate) fn pair(&mut self) -> (S::F32, S::F32) {
        let s = self.generators.simd();
        let (a, b) = (self.generators.bits(), self.generators.bits());
        let u = s.mul_add(s.from_i32(s.shr::<1>(a)), s.splat(1.0 / 2_147_483_648.0), s.splat(1.0 / 4_294_967_296.0));
        // u = 1 gives ln 1 = 0; abs takes its sign off.
        let r = s.mul(s.sqrt(s.abs(math::ln_normal(s, u))), self.sigma);
        let phi = s.mul(s.from_i32(s.shl::<2>(b)), s.splat(std::f32::consts::FRAC_PI_4 / 2_147_483_648.0));
        let square = s.mul(phi, phi);
        let (sin, cos) = (math::sin_quarter(s, phi, square), math::cos_quarter(s, square));
        let sign = s.splat_u32(0x8000_0000);
        let signed = |value: S::F32, bits: S::U32| s.from_bits(s.xor(s.to_bits(value), s.and(bits, sign)));
        let first = signed(s.mul(r, s.sub(cos, sin)), b);
        let second = signed(s.mul(r, s.add(cos, sin)), s.shl::<1>(b));
        (first, second)
    }
}

#[cfg(test)]
mod tests;
