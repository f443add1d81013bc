//! The SIMD layer: one token per instruction set, one trait of 16 logical lanes, dispatch at run time.
//!
//! Kernels are written once against [`Simd`], whose vectors always have 16 lanes of `f32` (one AVX-512 register, two AVX2, four
//! NEON, an array). Every operation is either exactly rounded or a fixed composition of such, so a kernel gives the same bits on
//! every set: [`mul_add`](Simd::mul_add) is always fused, [`reduce_add`](Simd::reduce_add) is always the same tree.
//!
//! | set | needs | chosen |
//! |---|---|---|
//! | `avx512` | AVX-512 F, BW, DQ, VL, AVX2, FMA | first, where the CPU has it |
//! | `avx2` | AVX2, FMA | second |
//! | `neon` | AArch64 | there |
//! | `portable` | nothing: the `wide` crate, at the features of the build | otherwise |
//! | `scalar` | nothing: plain arrays, the oracle of the tests | on request |
//!
//! `NEUROPIL_SIMD=scalar|portable|avx2|avx512|neon` forces one, and so does [`Context::on`](crate::Context::on).
//!
//! # Why it is fast
//! A token is a zero-size proof that its set was detected. [`dispatch`] enters a function compiled for the set and runs the
//! kernel's generic body inside it; all methods are `#[inline(always)]`, so that the whole body is compiled for the set. A
//! function that does not inline falls out of that frame and is some thirty times slower: kernel bodies mark every helper
//! `#[inline(always)]` and pass no closures to code that might not inline.

#![allow(unsafe_code)]

use std::fmt;

use crate::error::{Error, Result};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod pages;
mod portable;
pub(crate) mod rows;
mod scalar;

/// Logical lanes of every vector.
pub const LANES: usize = 16;

/// Lane i has bit i.
const LANE_BITS: [u32; LANES] =
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15];

/// Sixteen lanes of `f32` and `u32`, and what can be done with them. Implemented by the tokens of this module only.
///
/// Floating-point results are exactly rounded (IEEE 754, to nearest even) and NaN in any operand gives NaN, except where a method
/// says otherwise.
#[allow(clippy::wrong_self_convention)] // The token is the receiver of every operation.
pub trait Simd: Copy + Send + Sync + 'static + private::Sealed {
    /// The instruction set.
    const ISA: Isa;
    /// Vectors of 16 lanes that fit in registers: what blocking may depend on, and results may not.
    const REGISTERS: usize;

    /// 16 x `f32`.
    type F32: Copy;
    /// 16 x `u32`.
    type U32: Copy;
    /// 16 x yes or no.
    type Mask: Copy;

    /// All lanes the same.
    fn splat(self, value: f32) -> Self::F32;
    /// Lane i is `from[i]`.
    fn load(self, from: &[f32; LANES]) -> Self::F32;
    /// `to[i]` is lane i.
    fn store(self, value: Self::F32, to: &mut [f32; LANES]);
    /// As [`store`](Self::store), past the caches where the set can and `to` is aligned to 64 bytes. For this library's own kernels: nothing may
    /// read `to`, not even the same thread, before [`fence`](Self::fence), and only they can promise it.
    #[doc(hidden)]
    fn store_past_caches(self, value: Self::F32, to: &mut [f32; LANES], _: private::FencesBeforeReading) {
        self.store(value, to);
    }
    /// Ends stores past the caches.
    #[doc(hidden)]
    fn fence(self) {}
    /// Asks for the cache line of a value to be near when it is needed. Changes no result.
    #[inline(always)]
    fn prefetch(self, _at: &f32) {}
    /// Lane i is `from[i]` as a number.
    fn load_u8(self, from: &[u8; LANES]) -> Self::F32;

    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `c - a * b`, rounded once.
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// Square root.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// `if a > b { a } else { b }`: the second operand if either is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `if a < b { a } else { b }`: the second operand if either is NaN.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// To the nearest integer, ties to even, as `i32` bits. Valid for |a| < 2^31.
    fn round_i32(self, a: Self::F32) -> Self::U32;
    /// Lanes read as `i32`, to `f32`.
    fn from_i32(self, a: Self::U32) -> Self::F32;

    /// `a < b`; no if either is NaN.
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a <= b`; no if either is NaN.
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a == b`; no if either is NaN.
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// Lane by lane, `yes` where the mask says so.
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32;
    /// Bit i is lane i.
    fn mask_bits(self, mask: Self::Mask) -> u16;
    /// The inverse of [`mask_bits`](Self::mask_bits).
    #[inline(always)]
    fn mask_from_bits(self, bits: u16) -> Self::Mask {
        let own = self.and(self.splat_u32(bits.into()), self.load_u32(&LANE_BITS));
        self.lt(self.zero(), self.from_i32(own))
    }
    /// Lane i is bit `first + i` of a word in memory.
    #[inline(always)]
    fn mask_from_word(self, word: &u64, first: usize) -> Self::Mask {
        self.mask_from_bits((word >> first) as u16)
    }

    /// The bits of the lanes.
    fn to_bits(self, a: Self::F32) -> Self::U32;
    /// Lanes from bits.
    fn from_bits(self, a: Self::U32) -> Self::F32;
    /// All lanes the same.
    fn splat_u32(self, value: u32) -> Self::U32;
    /// Lane i is `from[i]`.
    fn load_u32(self, from: &[u32; LANES]) -> Self::U32;
    /// `to[i]` is lane i.
    fn store_u32(self, value: Self::U32, to: &mut [u32; LANES]);
    /// `a + b`, wrapping.
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a - b`, wrapping.
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise and.
    fn and(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise or.
    fn or(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise exclusive or.
    fn xor(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a << N`, for N below 32: more does not compile.
    fn shl<const N: u32>(self, a: Self::U32) -> Self::U32;
    /// `a >> N`, zeros coming in, for N below 32.
    fn shr<const N: u32>(self, a: Self::U32) -> Self::U32;

    /// `a` rotated left by `N` bits; `M` must be `32 - N` (constants cannot be computed from constants yet).
    #[inline(always)]
    fn rotate_left<const N: u32, const M: u32>(self, a: Self::U32) -> Self::U32 {
        const { assert!(N + M == 32) };
        self.or(self.shl::<N>(a), self.shr::<M>(a))
    }
    /// All lanes zero.
    #[inline(always)]
    fn zero(self) -> Self::F32 {
        self.splat(0.0)
    }
    /// `|a|`
    #[inline(always)]
    fn abs(self, a: Self::F32) -> Self::F32 {
        self.from_bits(self.and(self.to_bits(a), self.splat_u32(0x7fff_ffff)))
    }
    /// Lane i is `from[i]`, zero beyond its end. `from` holds at most 16 values; if none, and at an address that is not mapped, this takes 100 ns.
    ///
    /// # Panics
    /// If `from` holds more than 16 values.
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> Self::F32 {
        if let Ok(whole) = from.try_into() {
            return self.load(whole);
        }
        let mut lanes = [0.0; LANES];
        lanes[..from.len()].copy_from_slice(from);
        self.load(&lanes)
    }
    /// `to[i]` is lane i, for as many as `to` holds: at most 16.
    ///
    /// # Panics
    /// If `to` holds more than 16 values.
    #[inline(always)]
    fn store_partial(self, value: Self::F32, to: &mut [f32]) {
        if let Ok(whole) = <&mut [f32; LANES]>::try_from(&mut *to) {
            return self.store(value, whole);
        }
        let mut lanes = [0.0; LANES];
        self.store(value, &mut lanes);
        to.copy_from_slice(&lanes[..to.len()]);
    }
    /// The transpose of a 16 x 16 block: lane j of vector i becomes lane i of vector j.
    #[inline(always)]
    fn transpose(self, rows: [Self::F32; LANES]) -> [Self::F32; LANES] {
        let mut from = [[0.0; LANES]; LANES];
        for i in 0..LANES {
            self.store(rows[i], &mut from[i]);
        }
        let mut to = rows;
        for j in 0..LANES {
            let mut lanes = [0.0; LANES];
            for i in 0..LANES {
                lanes[i] = from[i][j];
            }
            to[j] = self.load(&lanes);
        }
        to
    }
    /// The lanes whose bits are set, moved to the front in order; zero behind them.
    #[inline(always)]
    fn compress(self, bits: u16, value: Self::F32) -> Self::F32 {
        let (from, mut to, mut count) = (self.lanes(value), [0.0; LANES], 0);
        let mut left = bits;
        while left != 0 {
            to[count] = from[left.trailing_zeros() as usize];
            count += 1;
            left &= left - 1;
        }
        self.load(&to)
    }
    /// The lanes as an array.
    #[inline(always)]
    fn lanes(self, value: Self::F32) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        self.store(value, &mut lanes);
        lanes
    }
    /// The sum of the lanes, halves folded onto each other: i with i + 8, then 4, 2, 1.
    #[inline(always)]
    fn reduce_add(self, value: Self::F32) -> f32 {
        fold(self.lanes(value), |a, b| a + b)
    }
    /// Lane i: [`reduce_add`](Self::reduce_add) of vector i.
    #[inline(always)]
    fn reduce_add_each(self, values: [Self::F32; LANES]) -> Self::F32 {
        self.add_all(self.transpose(values))
    }
    /// The sum of all vectors, in the order in which [`reduce_add`](Self::reduce_add) sums lanes.
    #[inline(always)]
    fn add_all(self, mut values: [Self::F32; LANES]) -> Self::F32 {
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                values[i] = self.add(values[i], values[i + half]);
            }
            half /= 2;
        }
        values[0]
    }
    /// The largest lane by [`max`](Self::max), halves folded onto each other.
    #[inline(always)]
    fn reduce_max(self, value: Self::F32) -> f32 {
        fold(self.lanes(value), |a, b| if a > b { a } else { b })
    }
}

/// Folds 16 lanes in the one order every instruction set follows.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

mod private {
    pub trait Sealed {}

    /// The promise that nothing reads what is stored past the caches before a fence.
    #[derive(Clone, Copy, Debug)]
    pub struct FencesBeforeReading(pub(super) ());
}

/// What a kernel hands to [`Simd::store_past_caches`], and then keeps.
pub(crate) const FENCES_BEFORE_READING: private::FencesBeforeReading = private::FencesBeforeReading(());

/// A computation written once for all instruction sets. Mark `run` and all it calls `#[inline(always)]`.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The body, to be compiled for the set of the token.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel compiled for an instruction set.
///
/// # Panics
/// If this CPU lacks the set: ask [`Isa::is_available`].
// Not `#[inline]`: the bodies would be compiled once more for every codegen unit that has a call.
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    let lacks = || -> ! { panic!("dispatch: this CPU lacks the instruction set '{isa}'") };
    match isa {
        Isa::Scalar => kernel.run(scalar::Scalar),
        Isa::Portable => kernel.run(portable::Portable),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::Avx2::detect().unwrap_or_else(|| lacks()).run(kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::Avx512::detect().unwrap_or_else(|| lacks()).run(kernel),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => neon::Neon::detect().unwrap_or_else(|| lacks()).run(kernel),
        #[allow(unreachable_patterns, reason = "which sets exist depends on the architecture")]
        other => panic!("instruction set '{other}' does not exist on this architecture"),
    }
}

/// The vector registers that a set's token states, for cutting work outside of a kernel.
pub(crate) fn registers(isa: Isa) -> usize {
    struct Registers;
    impl Kernel for Registers {
        type Output = usize;
        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> usize {
            S::REGISTERS
        }
    }
    dispatch(isa, Registers)
}

/// Has the frame that it is inlined into begin on a cache line.
///
/// Vectors for which there is no register are otherwise kept at any multiple of 16 bytes: most lie across two lines, and how many depends
/// on the thread.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn align_frame() {
    #[repr(align(64))]
    struct Line(std::mem::MaybeUninit<u8>);
    let line = Line(std::mem::MaybeUninit::uninit());
    std::hint::black_box(line.0.as_ptr());
}

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain arrays and `f32::mul_add`: slow, obvious, the oracle the others are compared with bit by bit.
    Scalar,
    /// The `wide` crate at whatever the build enables; fused multiply-add is emulated exactly where the build has none.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// NEON.
    Neon,
}

impl Isa {
    /// Every set there is, worst first.
    pub const ALL: &'static [Isa] = &[Isa::Scalar, Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar | Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::Avx512::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::Neon::detect().is_some(),
            #[allow(unreachable_patterns, reason = "which sets exist depends on the architecture")]
            _ => false,
        }
    }

    /// The sets this CPU has, worst first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.iter().copied().filter(|isa| isa.is_available())
    }

    /// The best set this CPU has.
    pub fn best() -> Isa {
        Isa::available().last().unwrap_or(Isa::Portable)
    }

    /// This set, if the CPU has it.
    ///
    /// # Errors
    /// [`Error::InstructionSet`] otherwise.
    pub fn require(self) -> Result<Isa> {
        if self.is_available() { Ok(self) } else { Err(unavailable(self.name(), "this CPU or this build lacks it")) }
    }

    /// The set that the variable `NEUROPIL_SIMD` names, or the best if it is unset or empty.
    ///
    /// # Errors
    /// [`Error::InstructionSet`] if it names one that does not exist or cannot be had.
    pub fn from_environment() -> Result<Isa> {
        match std::env::var_os("NEUROPIL_SIMD") {
            None => Ok(Isa::best()),
            Some(name) if name.is_empty() => Ok(Isa::best()),
            Some(name) => name.to_string_lossy().parse().map_err(|error| match error {
                Error::InstructionSet { wanted, reason, available } => {
                    let reason = format!("NEUROPIL_SIMD asks for it, but {reason}");
                    Error::InstructionSet { wanted, reason, available }
                }
                other => other,
            }),
        }
    }

    /// Its name, as `NEUROPIL_SIMD` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }
}

fn unavailable(wanted: &str, reason: &str) -> Error {
    let available = Isa::available().map(Isa::name).collect::<Vec<_>>().join(", ");
    Error::InstructionSet { wanted: wanted.into(), reason: reason.into(), available }
}

impl std::str::FromStr for Isa {
    type Err = Error;

    /// Parses a name and checks that this CPU has the set.
    fn from_str(name: &str) -> Result<Isa> {
        match Isa::ALL.iter().copied().find(|isa| isa.name() == name) {
            Some(isa) => isa.require(),
            None => Err(unavailable(name, "it is not one of scalar, portable, avx2, avx512, neon")),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
