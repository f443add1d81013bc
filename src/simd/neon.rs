//! NEON: a vector is four registers.

use std::arch::aarch64::*;

use super::{Isa, Kernel, LANES, Simd};

/// Proof that this CPU has NEON, as every AArch64 CPU that runs an operating system does.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl super::private::Sealed for Neon {}

impl Neon {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }

    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon")]
        fn inner<K: Kernel>(token: Neon, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token exists, so detection found NEON.
        unsafe { inner(self, kernel) }
    }
}

/// An intrinsic on all four registers; NEON is proved by the token.
macro_rules! four {
    ($intrinsic:ident ($($arg:expr),*)) => {
        // SAFETY: the token exists, so detection found NEON; the intrinsic touches registers only.
        unsafe {
            [$intrinsic($($arg[0]),*), $intrinsic($($arg[1]),*), $intrinsic($($arg[2]),*), $intrinsic($($arg[3]),*)]
        }
    };
}

impl Simd for Neon {
    const ISA: Isa = Isa::Neon;
    const REGISTERS: usize = 8;

    type F32 = [float32x4_t; 4];
    type U32 = [uint32x4_t; 4];
    type Mask = [uint32x4_t; 4];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        // SAFETY: the token proves NEON; registers only.
        [unsafe { vdupq_n_f32(value) }; 4]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F32 {
        let at = from.as_ptr();
        // SAFETY: the token proves NEON; all four quarters of the array are readable without alignment.
        unsafe { [vld1q_f32(at), vld1q_f32(at.add(4)), vld1q_f32(at.add(8)), vld1q_f32(at.add(12))] }
    }
    #[inline(always)]
    fn store(self, value: Self::F32, to: &mut [f32; LANES]) {
        let at = to.as_mut_ptr();
        // SAFETY: the token proves NEON; all four quarters of the array are writable without alignment.
        unsafe {
            vst1q_f32(at, value[0]);
            vst1q_f32(at.add(4), value[1]);
            vst1q_f32(at.add(8), value[2]);
            vst1q_f32(at.add(12), value[3]);
        }
    }
    #[inline(always)]
    fn load_u8(self, from: &[u8; LANES]) -> Self::F32 {
        // SAFETY: the token proves NEON; an array of 16 bytes is readable without alignment.
        unsafe {
            let bytes = vld1q_u8(from.as_ptr());
            let low = vmovl_u8(vget_low_u8(bytes));
            let high = vmovl_u8(vget_high_u8(bytes));
            [
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vcvtq_f32_u32(vmovl_u16(vget_high_u16(high))),
            ]
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        four!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        four!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        four!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        four!(vdivq_f32(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        four!(vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        four!(vfmsq_f32(c, a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F32) -> Self::F32 {
        four!(vsqrtq_f32(a))
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        // vmaxq_f32 treats NaN and signed zeros otherwise than the other sets.
        self.select(self.lt(b, a), a, b)
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        self.select(self.lt(a, b), a, b)
    }
    #[inline(always)]
    fn round_i32(self, a: Self::F32) -> Self::U32 {
        let rounded = four!(vcvtnq_s32_f32(a));
        four!(vreinterpretq_u32_s32(rounded))
    }
    #[inline(always)]
    fn from_i32(self, a: Self::U32) -> Self::F32 {
        let signed = four!(vreinterpretq_s32_u32(a));
        four!(vcvtq_f32_s32(signed))
    }
    #[inline(always)]
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        four!(vcltq_f32(a, b))
    }
    #[inline(always)]
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        four!(vcleq_f32(a, b))
    }
    #[inline(always)]
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        four!(vceqq_f32(a, b))
    }
    #[inline(always)]
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32 {
        four!(vbslq_f32(mask, yes, no))
    }
    #[inline(always)]
    fn mask_bits(self, mask: Self::Mask) -> u16 {
        let mut lanes = [0; LANES];
        self.store_u32(mask, &mut lanes);
        (0..LANES).fold(0, |bits, i| bits | ((lanes[i] & 1) as u16) << i)
    }
    #[inline(always)]
    fn to_bits(self, a: Self::F32) -> Self::U32 {
        four!(vreinterpretq_u32_f32(a))
    }
    #[inline(always)]
    fn from_bits(self, a: Self::U32) -> Self::F32 {
        four!(vreinterpretq_f32_u32(a))
    }
    #[inline(always)]
    fn splat_u32(self, value: u32) -> Self::U32 {
        // SAFETY: the token proves NEON; registers only.
        [unsafe { vdupq_n_u32(value) }; 4]
    }
    #[inline(always)]
    fn load_u32(self, from: &[u32; LANES]) -> Self::U32 {
        let at = from.as_ptr();
        // SAFETY: the token proves NEON; all four quarters of the array are readable without alignment.
        unsafe { [vld1q_u32(at), vld1q_u32(at.add(4)), vld1q_u32(at.add(8)), vld1q_u32(at.add(12))] }
    }
    #[inline(always)]
    fn store_u32(self, value: Self::U32, to: &mut [u32; LANES]) {
        let at = to.as_mut_ptr();
        // SAFETY: the token proves NEON; all four quarters of the array are writable without alignment.
        unsafe {
            vst1q_u32(at, value[0]);
            vst1q_u32(at.add(4), value[1]);
            vst1q_u32(at.add(8), value[2]);
            vst1q_u32(at.add(12), value[3]);
        }
    }
    #[inline(always)]
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        four!(vaddq_u32(a, b))
    }
    #[inline(always)]
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        four!(vsubq_u32(a, b))
    }
    #[inline(always)]
    fn and(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        four!(vandq_u32(a, b))
    }
    #[inline(always)]
    fn or(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        four!(vorrq_u32(a, b))
    }
    #[inline(always)]
    fn xor(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        four!(veorq_u32(a, b))
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: Self::U32) -> Self::U32 {
        const { assert!(N < 32) };
        // SAFETY: the token proves NEON; registers only.
        let count = [unsafe { vdupq_n_s32(N as i32) }; 4];
        four!(vshlq_u32(a, count))
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: Self::U32) -> Self::U32 {
        const { assert!(N < 32) };
        // A shift left by a negative count is the shift right.
        // SAFETY: the token proves NEON; registers only.
        let count = [unsafe { vdupq_n_s32(-(N as i32)) }; 4];
        four!(vshlq_u32(a, count))
    }
    #[inline(always)]
    fn reduce_add(self, value: Self::F32) -> f32 {
        // SAFETY: the token proves NEON; registers only.
        unsafe {
            let low = vaddq_f32(value[0], value[2]);
            let high = vaddq_f32(value[1], value[3]);
            let four = vaddq_f32(low, high);
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
    }
    #[inline(always)]
    fn reduce_add_each(self, values: [Self::F32; LANES]) -> Self::F32 {
        let mut sums = values[0];
        for quarter in 0..4 {
            // SAFETY: the token proves NEON; registers only.
            unsafe {
                let mut four = values[0];
                for i in 0..4 {
                    let value = values[4 * quarter + i];
                    four[i] = vaddq_f32(vaddq_f32(value[0], value[2]), vaddq_f32(value[1], value[3]));
                }
                // Lane i with i + 2 of two vectors, then the lanes side by side.
                let mut two = [four[0]; 2];
                for i in 0..2 {
                    let (a, b) = (vreinterpretq_f64_f32(four[2 * i]), vreinterpretq_f64_f32(four[2 * i + 1]));
                    let (low, high) = (vtrn1q_f64(a, b), vtrn2q_f64(a, b));
                    two[i] = vaddq_f32(vreinterpretq_f32_f64(low), vreinterpretq_f32_f64(high));
                }
                sums[quarter] = vpaddq_f32(two[0], two[1]);
            }
        }
        sums
    }
}
