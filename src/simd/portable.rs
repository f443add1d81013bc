//! The `wide` crate: any architecture, at whatever features the build enables. No run-time detection, no `std::arch`.

use wide::{f32x16, u32x16};

use super::{Isa, LANES, Simd};

/// The portable token; always available.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl super::private::Sealed for Portable {}

/// `a * b + c` rounded once, from correctly rounded `f64` operations alone.
///
/// The product of two `f32` is exact in `f64`. The sum is rounded to odd (Boldo & Melquiond, "Emulation of FMA and correctly
/// rounded sums", IEEE Trans. Computers 57(4), 2008), after which rounding to `f32` is as if from the exact value.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    // TwoSum (Knuth): the exact error of the addition.
    let part = sum - product;
    let error = (product - (sum - part)) + (c - part);
    let bits = sum.to_bits();
    // Inexact, and the last bit even: step to the neighbour on the error's side. NaN errors (infinite sums) compare false.
    let step = if (error > 0.0) == (sum > 0.0) { 1 } else { u64::MAX };
    // Not `!= 0.0`: that holds for NaN.
    #[allow(clippy::double_comparisons)]
    let inexact = error > 0.0 || error < 0.0;
    let odd = if inexact && bits & 1 == 0 { bits.wrapping_add(step) } else { bits };
    f64::from_bits(odd) as f32
}

/// The same on every lane. Some 250 operations: once, not at every use, of which a kernel has hundreds.
#[inline(never)]
fn fused_lanes(a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
    let (a, b, c) = (a.to_array(), b.to_array(), c.to_array());
    f32x16::new(std::array::from_fn(|i| fused(a[i], b[i], c[i])))
}

/// Whether the build's own multiply-add instruction rounds once.
const FUSED_IN_HARDWARE: bool =
    cfg!(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon")));

impl Simd for Portable {
    const ISA: Isa = Isa::Portable;
    const REGISTERS: usize = 8;

    type F32 = f32x16;
    type U32 = u32x16;
    type Mask = f32x16;

    #[inline(always)]
    fn splat(self, value: f32) -> f32x16 {
        f32x16::splat(value)
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> f32x16 {
        f32x16::new(*from)
    }
    #[inline(always)]
    fn store(self, value: f32x16, to: &mut [f32; LANES]) {
        *to = value.to_array();
    }
    #[inline(always)]
    fn load_u8(self, from: &[u8; LANES]) -> f32x16 {
        f32x16::new(from.map(f32::from))
    }
    #[inline(always)]
    fn add(self, a: f32x16, b: f32x16) -> f32x16 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32x16, b: f32x16) -> f32x16 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32x16, b: f32x16) -> f32x16 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32x16, b: f32x16) -> f32x16 {
        a / b
    }
    #[inline(always)]
    fn mul_add(self, a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        if FUSED_IN_HARDWARE { a.mul_add(b, c) } else { fused_lanes(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        self.mul_add(-a, b, c)
    }
    #[inline(always)]
    fn sqrt(self, a: f32x16) -> f32x16 {
        a.sqrt()
    }
    #[inline(always)]
    fn max(self, a: f32x16, b: f32x16) -> f32x16 {
        // wide's own max leaves NaN and signed zeros to the platform.
        b.simd_lt(a).bitselect(a, b)
    }
    #[inline(always)]
    fn min(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_lt(b).bitselect(a, b)
    }
    #[inline(always)]
    fn round_i32(self, a: f32x16) -> u32x16 {
        u32x16::new(a.to_array().map(|a| (a.round_ties_even() as i32).cast_unsigned()))
    }
    #[inline(always)]
    fn from_i32(self, a: u32x16) -> f32x16 {
        f32x16::new(a.to_array().map(|a| a.cast_signed() as f32))
    }
    #[inline(always)]
    fn lt(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_lt(b)
    }
    #[inline(always)]
    fn le(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_le(b)
    }
    #[inline(always)]
    fn eq(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_eq(b)
    }
    #[inline(always)]
    fn select(self, mask: f32x16, yes: f32x16, no: f32x16) -> f32x16 {
        mask.bitselect(yes, no)
    }
    #[inline(always)]
    fn mask_bits(self, mask: f32x16) -> u16 {
        mask.to_bitmask() as u16
    }
    #[inline(always)]
    fn to_bits(self, a: f32x16) -> u32x16 {
        u32x16::new(a.to_array().map(f32::to_bits))
    }
    #[inline(always)]
    fn from_bits(self, a: u32x16) -> f32x16 {
        f32x16::new(a.to_array().map(f32::from_bits))
    }
    #[inline(always)]
    fn splat_u32(self, value: u32) -> u32x16 {
        u32x16::splat(value)
    }
    #[inline(always)]
    fn load_u32(self, from: &[u32; LANES]) -> u32x16 {
        u32x16::new(*from)
    }
    #[inline(always)]
    fn store_u32(self, value: u32x16, to: &mut [u32; LANES]) {
        *to = value.to_array();
    }
    #[inline(always)]
    fn add_u32(self, a: u32x16, b: u32x16) -> u32x16 {
        a + b
    }
    #[inline(always)]
    fn sub_u32(self, a: u32x16, b: u32x16) -> u32x16 {
        a - b
    }
    #[inline(always)]
    fn and(self, a: u32x16, b: u32x16) -> u32x16 {
        a & b
    }
    #[inline(always)]
    fn or(self, a: u32x16, b: u32x16) -> u32x16 {
        a | b
    }
    #[inline(always)]
    fn xor(self, a: u32x16, b: u32x16) -> u32x16 {
        a ^ b
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: u32x16) -> u32x16 {
        const { assert!(N < 32) };
        a << N
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: u32x16) -> u32x16 {
        const { assert!(N < 32) };
        a >> N
    }
    #[inline(always)]
    fn transpose(self, rows: [f32x16; LANES]) -> [f32x16; LANES] {
        f32x16::transpose(rows)
    }
}
