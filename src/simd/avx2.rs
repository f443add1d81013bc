//! AVX2 with FMA: a vector is two registers.

use std::arch::x86_64::*;

use super::{Isa, Kernel, LANES, Simd};

/// Proof that this CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl super::private::Sealed for Avx2 {}

impl Avx2 {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }

    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
            super::align_frame();
            kernel.run(token)
        }
        // SAFETY: the token exists, so detection found every feature `inner` enables.
        unsafe { inner(self, kernel) }
    }
}

/// The sum of eight lanes in the order of [`Simd::reduce_add`].
///
/// # Safety
/// Needs AVX.
#[inline(always)]
pub(crate) unsafe fn fold_add(eight: __m256) -> f32 {
    // SAFETY: the caller has AVX, and with it SSE3; registers only.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// Lane i: [`fold_add`] of vector i.
///
/// # Safety
/// Needs AVX.
#[inline(always)]
unsafe fn fold_add_each(mut r: [__m256; 8]) -> __m256 {
    // Each step folds two vectors into one; after the first a half belongs to one vector, 4 k + i in r[i].
    // SAFETY: the caller has AVX; registers only.
    unsafe {
        for i in 0..4 {
            let (a, b) = (r[i], r[i + 4]);
            r[i] = _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
        }
        for i in 0..2 {
            let (a, b) = (r[2 * i], r[2 * i + 1]);
            r[i] = _mm256_add_ps(_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b));
        }
        _mm256_add_ps(_mm256_shuffle_ps::<0x88>(r[0], r[1]), _mm256_shuffle_ps::<0xdd>(r[0], r[1]))
    }
}

/// The transpose of an 8 x 8 block.
///
/// # Safety
/// Needs AVX.
#[inline(always)]
unsafe fn transpose_eight(r: [__m256; 8]) -> [__m256; 8] {
    let (mut p, mut q) = (r, r);
    // SAFETY: the caller has AVX; registers only.
    unsafe {
        for g in 0..4 {
            p[2 * g] = _mm256_unpacklo_ps(r[2 * g], r[2 * g + 1]);
            p[2 * g + 1] = _mm256_unpackhi_ps(r[2 * g], r[2 * g + 1]);
        }
        for g in 0..2 {
            for h in 0..2 {
                q[4 * g + 2 * h] = _mm256_shuffle_ps::<0x44>(p[4 * g + h], p[4 * g + h + 2]);
                q[4 * g + 2 * h + 1] = _mm256_shuffle_ps::<0xee>(p[4 * g + h], p[4 * g + h + 2]);
            }
        }
        for c in 0..4 {
            p[c] = _mm256_permute2f128_ps::<0x20>(q[c], q[4 + c]);
            p[4 + c] = _mm256_permute2f128_ps::<0x31>(q[c], q[4 + c]);
        }
    }
    p
}

/// An intrinsic on both registers; its features are proved by the token.
macro_rules! both {
    ($intrinsic:ident $(::<$n:ident>)? ($($arg:expr),*)) => {
        // SAFETY: the token exists, so detection found the feature; the intrinsic touches registers only.
        unsafe { [$intrinsic$(::<$n>)?($($arg[0]),*), $intrinsic$(::<$n>)?($($arg[1]),*)] }
    };
}

impl Simd for Avx2 {
    const ISA: Isa = Isa::Avx2;
    const REGISTERS: usize = 8;

    type F32 = [__m256; 2];
    type U32 = [__m256i; 2];
    type Mask = [__m256; 2];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        // SAFETY: the token proves the feature; registers only.
        let one = unsafe { _mm256_set1_ps(value) };
        [one, one]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F32 {
        // SAFETY: the token proves the feature; both halves of the array are readable without alignment.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, value: Self::F32, to: &mut [f32; LANES]) {
        // SAFETY: the token proves the feature; both halves of the array are writable without alignment.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), value[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), value[1]);
        }
    }
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> Self::F32 {
        if let Ok(whole) = from.try_into() {
            return self.load(whole);
        }
        assert!(from.len() < LANES, "{} values for {LANES} lanes", from.len());
        // SAFETY: the token proves the feature; masked-out lanes are not read, and the second half is not addressed beyond the first.
        unsafe {
            let (count, lanes) = (_mm256_set1_epi32(from.len() as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            let masks = [
                _mm256_cmpgt_epi32(count, lanes),
                _mm256_cmpgt_epi32(count, _mm256_add_epi32(lanes, _mm256_set1_epi32(8))),
            ];
            [_mm256_maskload_ps(from.as_ptr(), masks[0]), _mm256_maskload_ps(from.as_ptr().wrapping_add(8), masks[1])]
        }
    }
    #[inline(always)]
    fn store_past_caches(self, value: Self::F32, to: &mut [f32; LANES], _: super::private::FencesBeforeReading) {
        // Miri knows neither these stores nor their fence.
        if !cfg!(miri) && to.as_ptr().addr().is_multiple_of(64) {
            // SAFETY: the token proves the feature; the array is writable, was just found aligned, and is not read before a fence, which is promised.
            unsafe {
                _mm256_stream_ps(to.as_mut_ptr(), value[0]);
                _mm256_stream_ps(to.as_mut_ptr().add(8), value[1]);
            }
        } else {
            self.store(value, to);
        }
    }
    #[inline(always)]
    fn fence(self) {
        if !cfg!(miri) {
            // SAFETY: every x86_64 CPU has it.
            unsafe { _mm_sfence() }
        }
    }
    #[inline(always)]
    fn prefetch(self, at: &f32) {
        // SAFETY: every x86_64 CPU has it; a prefetch cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) }
    }
    #[inline(always)]
    fn load_u8(self, from: &[u8; LANES]) -> Self::F32 {
        // SAFETY: the token proves the features; an array of 16 bytes is readable without alignment.
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let high = _mm_unpackhi_epi64(bytes, bytes);
            [_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high))]
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        both!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        both!(_mm256_fnmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F32) -> Self::F32 {
        both!(_mm256_sqrt_ps(a))
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn round_i32(self, a: Self::F32) -> Self::U32 {
        both!(_mm256_cvtps_epi32(a))
    }
    #[inline(always)]
    fn from_i32(self, a: Self::U32) -> Self::F32 {
        both!(_mm256_cvtepi32_ps(a))
    }
    #[inline(always)]
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        both!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        both!(_mm256_cmp_ps::<_CMP_LE_OQ>(a, b))
    }
    #[inline(always)]
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        both!(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32 {
        both!(_mm256_blendv_ps(no, yes, mask))
    }
    #[inline(always)]
    fn mask_from_bits(self, bits: u16) -> Self::Mask {
        let lanes = self.load_u32(&super::LANE_BITS);
        let own = self.and(self.splat_u32(bits.into()), lanes);
        let masks = both!(_mm256_cmpeq_epi32(own, lanes));
        both!(_mm256_castsi256_ps(masks))
    }
    #[inline(always)]
    fn mask_bits(self, mask: Self::Mask) -> u16 {
        let bits = both!(_mm256_movemask_ps(mask));
        (bits[0] | bits[1] << 8) as u16
    }
    #[inline(always)]
    fn to_bits(self, a: Self::F32) -> Self::U32 {
        both!(_mm256_castps_si256(a))
    }
    #[inline(always)]
    fn from_bits(self, a: Self::U32) -> Self::F32 {
        both!(_mm256_castsi256_ps(a))
    }
    #[inline(always)]
    fn splat_u32(self, value: u32) -> Self::U32 {
        // SAFETY: the token proves the feature; registers only.
        let one = unsafe { _mm256_set1_epi32(value.cast_signed()) };
        [one, one]
    }
    #[inline(always)]
    fn load_u32(self, from: &[u32; LANES]) -> Self::U32 {
        // SAFETY: the token proves the feature; both halves of the array are readable without alignment.
        unsafe { [_mm256_loadu_si256(from.as_ptr().cast()), _mm256_loadu_si256(from.as_ptr().add(8).cast())] }
    }
    #[inline(always)]
    fn store_u32(self, value: Self::U32, to: &mut [u32; LANES]) {
        // SAFETY: the token proves the feature; both halves of the array are writable without alignment.
        unsafe {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), value[0]);
            _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), value[1]);
        }
    }
    #[inline(always)]
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_sub_epi32(a, b))
    }
    #[inline(always)]
    fn and(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_and_si256(a, b))
    }
    #[inline(always)]
    fn or(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_or_si256(a, b))
    }
    #[inline(always)]
    fn xor(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        both!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: Self::U32) -> Self::U32 {
        const { assert!(N < 32) };
        // The intrinsic wants an i32 constant; counting in a register compiles to the same immediate form.
        // SAFETY: the token proves the feature; registers only.
        let count = unsafe { _mm_cvtsi32_si128(N as i32) };
        let count = [count, count];
        both!(_mm256_sll_epi32(a, count))
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: Self::U32) -> Self::U32 {
        const { assert!(N < 32) };
        // SAFETY: as in `shl`.
        let count = unsafe { _mm_cvtsi32_si128(N as i32) };
        let count = [count, count];
        both!(_mm256_srl_epi32(a, count))
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::F32; LANES]) -> [Self::F32; LANES] {
        let mut to = rows;
        for half in 0..2 {
            for side in 0..2 {
                let mut block = [rows[0][0]; 8];
                for i in 0..8 {
                    block[i] = rows[8 * half + i][side];
                }
                // SAFETY: the token proves AVX.
                let block = unsafe { transpose_eight(block) };
                for i in 0..8 {
                    to[8 * side + i][half] = block[i];
                }
            }
        }
        to
    }
    #[inline(always)]
    fn reduce_add(self, value: Self::F32) -> f32 {
        // SAFETY: the token proves the features; registers only.
        unsafe { fold_add(_mm256_add_ps(value[0], value[1])) }
    }
    #[inline(always)]
    fn reduce_add_each(self, values: [Self::F32; LANES]) -> Self::F32 {
        let mut sums = values[0];
        for half in 0..2 {
            let mut eight = [values[0][0]; 8];
            for i in 0..8 {
                let [low, high] = values[8 * half + i];
                // SAFETY: the token proves AVX.
                eight[i] = unsafe { _mm256_add_ps(low, high) };
            }
            // SAFETY: the token proves AVX.
            sums[half] = unsafe { fold_add_each(eight) };
        }
        sums
    }
}
