//! AVX-512: a vector is one register.

use std::arch::x86_64::*;

use super::{Isa, Kernel, LANES, Simd};

/// Proof that this CPU has AVX-512 F, BW, DQ and VL, AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl super::private::Sealed for Avx512 {}

impl Avx512 {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        found.then_some(Avx512(()))
    }

    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn inner<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
            super::align_frame();
            kernel.run(token)
        }
        // SAFETY: the token exists, so detection found every feature `inner` enables.
        unsafe { inner(self, kernel) }
    }
}

/// An intrinsic whose features the token proves.
macro_rules! op {
    ($intrinsic:ident $(::<$n:tt>)? ($($arg:expr),*)) => {
        // SAFETY: the token exists, so detection found the feature; the intrinsic touches registers only.
        unsafe { $intrinsic$(::<$n>)?($($arg),*) }
    };
}

impl Simd for Avx512 {
    const ISA: Isa = Isa::Avx512;
    const REGISTERS: usize = 32;

    type F32 = __m512;
    type U32 = __m512i;
    type Mask = __mmask16;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        op!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        // SAFETY: the token proves the feature; an array of 16 values is readable without alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, value: __m512, to: &mut [f32; LANES]) {
        // SAFETY: the token proves the feature; an array of 16 values is writable without alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
    }
    #[inline(always)]
    fn store_past_caches(self, value: __m512, to: &mut [f32; LANES], _: super::private::FencesBeforeReading) {
        // Miri knows neither these stores nor their fence.
        if !cfg!(miri) && to.as_ptr().addr().is_multiple_of(64) {
            // SAFETY: the token proves the feature; the array is writable, was just found aligned, and is not read before a fence, which is promised.
            unsafe { _mm512_stream_ps(to.as_mut_ptr(), value) }
        } else {
            self.store(value, to);
        }
    }
    #[inline(always)]
    fn fence(self) {
        if !cfg!(miri) {
            op!(_mm_sfence());
        }
    }
    #[inline(always)]
    fn prefetch(self, at: &f32) {
        // SAFETY: every x86_64 CPU has it; a prefetch cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) }
    }
    #[inline(always)]
    fn load_u8(self, from: &[u8; LANES]) -> __m512 {
        // SAFETY: the token proves the features; an array of 16 bytes is readable without alignment.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fnmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        op!(_mm512_sqrt_ps(a))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn round_i32(self, a: __m512) -> __m512i {
        op!(_mm512_cvtps_epi32(a))
    }
    #[inline(always)]
    fn from_i32(self, a: __m512i) -> __m512 {
        op!(_mm512_cvtepi32_ps(a))
    }
    #[inline(always)]
    fn lt(self, a: __m512, b: __m512) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn le(self, a: __m512, b: __m512) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b))
    }
    #[inline(always)]
    fn eq(self, a: __m512, b: __m512) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, mask: __mmask16, yes: __m512, no: __m512) -> __m512 {
        op!(_mm512_mask_blend_ps(mask, no, yes))
    }
    #[inline(always)]
    fn compress(self, bits: u16, value: __m512) -> __m512 {
        op!(_mm512_maskz_compress_ps(bits, value))
    }
    #[inline(always)]
    fn mask_bits(self, mask: __mmask16) -> u16 {
        mask
    }
    #[inline(always)]
    fn mask_from_bits(self, bits: u16) -> __mmask16 {
        bits
    }
    #[inline(always)]
    fn mask_from_word(self, word: &u64, first: usize) -> __mmask16 {
        if !first.is_multiple_of(LANES) {
            return (word >> first) as u16;
        }
        // Each from memory: what the compiler makes of shifts is a mask register that shifts one at a time.
        let parts = std::ptr::from_ref(word).cast::<[u16; 4]>();
        // SAFETY: 8 bytes are readable as four numbers of 2, whose alignment is less; the lowest comes first on x86-64.
        unsafe { (*parts)[first / LANES] }
    }
    #[inline(always)]
    fn to_bits(self, a: __m512) -> __m512i {
        op!(_mm512_castps_si512(a))
    }
    #[inline(always)]
    fn from_bits(self, a: __m512i) -> __m512 {
        op!(_mm512_castsi512_ps(a))
    }
    #[inline(always)]
    fn splat_u32(self, value: u32) -> __m512i {
        op!(_mm512_set1_epi32(value.cast_signed()))
    }
    #[inline(always)]
    fn load_u32(self, from: &[u32; LANES]) -> __m512i {
        // SAFETY: the token proves the feature; an array of 16 values is readable without alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_u32(self, value: __m512i, to: &mut [u32; LANES]) {
        // SAFETY: the token proves the feature; an array of 16 values is writable without alignment.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
    }
    #[inline(always)]
    fn add_u32(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_u32(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_sub_epi32(a, b))
    }
    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_or_si512(a, b))
    }
    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: __m512i) -> __m512i {
        const { assert!(N < 32) };
        op!(_mm512_slli_epi32::<N>(a))
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: __m512i) -> __m512i {
        const { assert!(N < 32) };
        op!(_mm512_srli_epi32::<N>(a))
    }
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> __m512 {
        let mask = partial_mask(from.len());
        // SAFETY: the token proves the feature; masked-out lanes are not read.
        unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr()) }
    }
    #[inline(always)]
    fn store_partial(self, value: __m512, to: &mut [f32]) {
        let mask = partial_mask(to.len());
        // SAFETY: the token proves the feature; masked-out lanes are not written.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), mask, value) }
    }
    #[inline(always)]
    fn transpose(self, r: [__m512; LANES]) -> [__m512; LANES] {
        // Pairs of rows, then pairs of pairs, interleaved within 128-bit quarters: q[4 g + c] holds, in its quarters, columns
        // c, 4 + c, 8 + c and 12 + c of rows 4 g to 4 g + 3. What is left is a 4 x 4 transpose of quarters.
        let (mut p, mut q) = (r, r);
        for g in 0..8 {
            p[2 * g] = op!(_mm512_unpacklo_ps(r[2 * g], r[2 * g + 1]));
            p[2 * g + 1] = op!(_mm512_unpackhi_ps(r[2 * g], r[2 * g + 1]));
        }
        for g in 0..4 {
            for h in 0..2 {
                let (a, b) = (op!(_mm512_castps_pd(p[4 * g + h])), op!(_mm512_castps_pd(p[4 * g + h + 2])));
                let (low, high) = (op!(_mm512_unpacklo_pd(a, b)), op!(_mm512_unpackhi_pd(a, b)));
                q[4 * g + 2 * h] = op!(_mm512_castpd_ps(low));
                q[4 * g + 2 * h + 1] = op!(_mm512_castpd_ps(high));
            }
        }
        for c in 0..4 {
            let (a, b, c4, d) = (q[c], q[4 + c], q[8 + c], q[12 + c]);
            // SAFETY: the token proves the feature; registers only.
            unsafe {
                let even_low = _mm512_shuffle_f32x4::<0x88>(a, b);
                let odd_low = _mm512_shuffle_f32x4::<0xdd>(a, b);
                let even_high = _mm512_shuffle_f32x4::<0x88>(c4, d);
                let odd_high = _mm512_shuffle_f32x4::<0xdd>(c4, d);
                p[c] = _mm512_shuffle_f32x4::<0x88>(even_low, even_high);
                p[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even_low, even_high);
                p[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high);
                p[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high);
            }
        }
        p
    }
    #[inline(always)]
    fn reduce_add(self, value: __m512) -> f32 {
        // SAFETY: the token proves the features; registers only.
        unsafe {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(value), _mm512_extractf32x8_ps::<1>(value));
            super::avx2::fold_add(eight)
        }
    }
    #[inline(always)]
    fn reduce_add_each(self, mut r: [__m512; LANES]) -> __m512 {
        // Each step folds two vectors into one; after the second a quarter belongs to one vector, 4 k + i in r[i].
        for i in [0, 1, 2, 3, 8, 9, 10, 11] {
            let (a, b) = (r[i], r[i + 4]);
            let (low, high) = (op!(_mm512_shuffle_f32x4::<0x44>(a, b)), op!(_mm512_shuffle_f32x4::<0xee>(a, b)));
            r[i] = op!(_mm512_add_ps(low, high));
        }
        for i in 0..4 {
            let (a, b) = (r[i], r[i + 8]);
            let (even, odd) = (op!(_mm512_shuffle_f32x4::<0x88>(a, b)), op!(_mm512_shuffle_f32x4::<0xdd>(a, b)));
            r[i] = op!(_mm512_add_ps(even, odd));
        }
        for i in 0..2 {
            let (a, b) = (op!(_mm512_castps_pd(r[2 * i])), op!(_mm512_castps_pd(r[2 * i + 1])));
            let (low, high) = (op!(_mm512_unpacklo_pd(a, b)), op!(_mm512_unpackhi_pd(a, b)));
            let (low, high) = (op!(_mm512_castpd_ps(low)), op!(_mm512_castpd_ps(high)));
            r[i] = op!(_mm512_add_ps(low, high));
        }
        let (even, odd) = (op!(_mm512_shuffle_ps::<0x88>(r[0], r[1])), op!(_mm512_shuffle_ps::<0xdd>(r[0], r[1])));
        op!(_mm512_add_ps(even, odd))
    }
}

#[inline(always)]
fn partial_mask(len: usize) -> __mmask16 {
    assert!(len <= LANES, "{len} values for {LANES} lanes");
    ((1u32 << len) - 1) as __mmask16
}
