//! Plain arrays: the oracle. Nothing here is meant to be fast.

use super::{Isa, LANES, Simd};

/// The scalar token; always available.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl super::private::Sealed for Scalar {}

macro_rules! lanes {
    (|$($name:ident),+| $body:expr) => { std::array::from_fn(|i| { $(let $name = $name[i];)+ $body }) };
}

impl Simd for Scalar {
    const ISA: Isa = Isa::Scalar;
    const REGISTERS: usize = 8;

    type F32 = [f32; LANES];
    type U32 = [u32; LANES];
    type Mask = [bool; LANES];

    fn splat(self, value: f32) -> Self::F32 {
        [value; LANES]
    }
    fn load(self, from: &[f32; LANES]) -> Self::F32 {
        *from
    }
    fn store(self, value: Self::F32, to: &mut [f32; LANES]) {
        *to = value;
    }
    fn load_u8(self, from: &[u8; LANES]) -> Self::F32 {
        lanes!(|from| f32::from(from))
    }
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        lanes!(|a, b| a + b)
    }
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        lanes!(|a, b| a - b)
    }
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        lanes!(|a, b| a * b)
    }
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        lanes!(|a, b| a / b)
    }
    // Sixteen calls of `fmaf` on a machine whose baseline lacks it: once, not at every use.
    #[inline(never)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        lanes!(|a, b, c| f32::mul_add(a, b, c))
    }
    #[inline(never)]
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        lanes!(|a, b, c| f32::mul_add(-a, b, c))
    }
    fn sqrt(self, a: Self::F32) -> Self::F32 {
        lanes!(|a| a.sqrt())
    }
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        lanes!(|a, b| if a > b { a } else { b })
    }
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        lanes!(|a, b| if a < b { a } else { b })
    }
    fn round_i32(self, a: Self::F32) -> Self::U32 {
        lanes!(|a| (a.round_ties_even() as i32).cast_unsigned())
    }
    fn from_i32(self, a: Self::U32) -> Self::F32 {
        lanes!(|a| a.cast_signed() as f32)
    }
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        lanes!(|a, b| a < b)
    }
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        lanes!(|a, b| a <= b)
    }
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        lanes!(|a, b| a == b)
    }
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32 {
        lanes!(|mask, yes, no| if mask { yes } else { no })
    }
    fn mask_bits(self, mask: Self::Mask) -> u16 {
        (0..LANES).fold(0, |bits, i| bits | u16::from(mask[i]) << i)
    }
    fn to_bits(self, a: Self::F32) -> Self::U32 {
        lanes!(|a| a.to_bits())
    }
    fn from_bits(self, a: Self::U32) -> Self::F32 {
        lanes!(|a| f32::from_bits(a))
    }
    fn splat_u32(self, value: u32) -> Self::U32 {
        [value; LANES]
    }
    fn load_u32(self, from: &[u32; LANES]) -> Self::U32 {
        *from
    }
    fn store_u32(self, value: Self::U32, to: &mut [u32; LANES]) {
        *to = value;
    }
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        lanes!(|a, b| a.wrapping_add(b))
    }
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        lanes!(|a, b| a.wrapping_sub(b))
    }
    fn and(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        lanes!(|a, b| a & b)
    }
    fn or(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        lanes!(|a, b| a | b)
    }
    fn xor(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        lanes!(|a, b| a ^ b)
    }
    fn shl<const N: u32>(self, a: Self::U32) -> Self::U32 {
        const { assert!(N < 32) };
        lanes!(|a| a << N)
    }
    fn shr<const N: u32>(self, a: Self::U32) -> Self::U32 {
        const { assert!(N < 32) };
        lanes!(|a| a >> N)
    }
}
