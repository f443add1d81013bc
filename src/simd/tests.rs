use super::*;

/// Numbers that go wrong first: zeros, ones, extremes, denormals, infinities, NaN, halfway cases, and plain ones.
fn awkward() -> Vec<f32> {
    let mut values =
        vec![0.0, 1.0, 0.5, 1.5, 2.5, 3.0, 1e-45, 1e-39, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NAN];
    values.extend([f32::EPSILON, 1.0 + f32::EPSILON, 16_777_215.0, 16_777_217.0, 1e30, 1e-30, 0.1, 1.0 / 3.0]);
    let mut state = 1u32;
    for _ in 0..200 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        values.push(f32::from_bits(state));
        values.push((state >> 8) as f32 / 1e6 - 8.0);
    }
    let negative: Vec<f32> = values.iter().map(|v| -v).collect();
    values.extend(negative);
    values
}

/// Where stores past the caches do go past them.
#[repr(align(64))]
struct Line([f32; LANES]);

/// Every operation of a token on lanes `a`, `b`, `c`, as bits. NaN payloads are not promised, so NaN is one value.
struct Everything {
    a: [f32; LANES],
    b: [f32; LANES],
    c: [f32; LANES],
}

impl Kernel for Everything {
    type Output = Vec<(&'static str, [u32; LANES])>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let (a, b, c) = (s.load(&self.a), s.load(&self.b), s.load(&self.c));
        let canonical = |v: f32| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
        let float = |v| s.lanes(v).map(canonical);
        let unsigned = |v| {
            let mut to = [0; LANES];
            s.store_u32(v, &mut to);
            to
        };
        let mask = |m| [u32::from(s.mask_bits(m)); LANES];
        let (p, q) = (s.to_bits(a), s.to_bits(b));
        // Only in-range numbers may be rounded to integers.
        let small = self.a.map(|v| if v.abs() < 1e9 { v } else { 7.5 });
        let bytes = self.a.map(|v| v.to_bits() as u8);
        let mut partial = [9.0f32; 5];
        s.store_partial(a, &mut partial);
        let mut streamed = Line([0.0; LANES]);
        s.store_past_caches(b, &mut streamed.0, FENCES_BEFORE_READING);
        s.fence();
        let mut block = [a; LANES];
        for i in 0..LANES {
            let mut row = self.b;
            row.rotate_left(i);
            row[i] = self.c[i];
            block[i] = s.load(&row);
        }
        let transposed = s.transpose(block);
        vec![
            ("splat", float(s.splat(self.a[3]))),
            ("load_u8", float(s.load_u8(&bytes))),
            ("add", float(s.add(a, b))),
            ("sub", float(s.sub(a, b))),
            ("mul", float(s.mul(a, b))),
            ("div", float(s.div(a, b))),
            ("mul_add", float(s.mul_add(a, b, c))),
            ("neg_mul_add", float(s.neg_mul_add(a, b, c))),
            ("sqrt", float(s.sqrt(a))),
            ("max", float(s.max(a, b))),
            ("min", float(s.min(a, b))),
            ("abs", float(s.abs(a))),
            ("round_i32", unsigned(s.round_i32(s.load(&small)))),
            ("from_i32", float(s.from_i32(p))),
            ("lt", mask(s.lt(a, b))),
            ("le", mask(s.le(a, b))),
            ("eq", mask(s.eq(a, b))),
            ("select", float(s.select(s.lt(a, c), a, b))),
            ("splat_u32", unsigned(s.splat_u32(self.a[1].to_bits()))),
            ("add_u32", unsigned(s.add_u32(p, q))),
            ("sub_u32", unsigned(s.sub_u32(p, q))),
            ("and", unsigned(s.and(p, q))),
            ("or", unsigned(s.or(p, q))),
            ("xor", unsigned(s.xor(p, q))),
            ("shl", unsigned(s.shl::<7>(p))),
            ("shr", unsigned(s.shr::<9>(p))),
            ("rotate_left", unsigned(s.rotate_left::<11, 21>(p))),
            ("load_partial", float(s.load_partial(&self.b[..11]))),
            ("store_partial", float(s.load_partial(&partial))),
            ("store_past_caches", streamed.0.map(canonical)),
            ("compress", float(s.compress(s.mask_bits(s.lt(b, c)), a))),
            ("transpose", float(transposed[usize::from(self.a[0].to_bits() as u8) % LANES])),
            ("reduce_add", [canonical(s.reduce_add(b)); LANES]),
            ("reduce_add_each", float(s.reduce_add_each(block))),
            ("reduce_add of each", block.map(|row| canonical(s.reduce_add(row)))),
            ("reduce_max", [canonical(s.reduce_max(b)); LANES]),
        ]
    }
}

#[test]
fn every_available_set_gives_the_scalar_tokens_bits() {
    let values = awkward();
    let pick = |start: usize, step: usize| std::array::from_fn(|i| values[(start + i * step) % values.len()]);
    let mut ran = Vec::new();
    for isa in Isa::available() {
        for round in 0..if cfg!(miri) { 2 } else { 400 } {
            let inputs = || Everything { a: pick(round, 1), b: pick(round * 7 + 3, 5), c: pick(round * 13 + 1, 3) };
            let expected = dispatch(Isa::Scalar, inputs());
            for ((name, want), (_, got)) in expected.into_iter().zip(dispatch(isa, inputs())) {
                assert_eq!(got, want, "{isa} {name} round {round}");
            }
        }
        ran.push(isa);
    }
    // Guards against a set being skipped in silence. All that a set needs: there are CPUs with FMA and no AVX2, and with AVX-512 F alone.
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        assert_eq!(ran.contains(&Isa::Avx2), avx2);
        assert_eq!(ran.contains(&Isa::Avx512), avx512 && avx2);
    }
    assert!(ran.contains(&Isa::Portable));
}

#[test]
fn sixteen_sums_at_once_are_sixteen_sums() {
    let values = awkward();
    for isa in Isa::available() {
        for start in 0..40 {
            let pick = |step: usize| std::array::from_fn(|i| values[(start + i * step) % values.len()]);
            let got = dispatch(isa, Everything { a: pick(1), b: pick(5), c: pick(3) });
            let of = |name| got.iter().find(|(n, _)| *n == name).unwrap().1;
            assert_eq!(of("reduce_add_each"), of("reduce_add of each"), "{isa}, from {start}");
        }
    }
}

#[test]
fn scalar_operations_are_the_languages_own() {
    let values = awkward();
    for window in values.windows(3) {
        let [a, b, c] = [window[0], window[1], window[2]];
        let got = dispatch(Isa::Scalar, Everything { a: [a; LANES], b: [b; LANES], c: [c; LANES] });
        let of = |name| f32::from_bits(got.iter().find(|(n, _)| *n == name).unwrap().1[0]);
        for (name, want) in [
            ("add", a + b),
            ("mul", a * b),
            ("div", a / b),
            ("mul_add", a.mul_add(b, c)),
            ("neg_mul_add", (-a).mul_add(b, c)),
        ] {
            assert!(of(name) == want || (of(name).is_nan() && want.is_nan()), "{name} of {a} {b} {c}");
        }
    }
}

/// Values through a partial load and a partial store.
struct Through<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Through<'_> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let values = s.load_partial(self.from);
        s.store_partial(values, self.to);
        s.lanes(values)
    }
}

#[test]
fn parts_of_a_vector_are_as_long_as_they_are_and_no_longer_than_a_vector() {
    let values: Vec<f32> = (1..=2 * LANES).map(|value| value as f32).collect();
    for isa in Isa::available() {
        for len in 0..=LANES {
            let mut to = vec![-1.0; len];
            let lanes = dispatch(isa, Through { from: &values[..len], to: &mut to });
            assert_eq!(to, values[..len], "{isa:?}, {len}");
            assert!(
                lanes[..len] == values[..len] && lanes[len..].iter().all(|&lane| lane == 0.0),
                "{isa:?}, {lanes:?}"
            );
        }
        for (from, to) in [(LANES + 1, LANES), (LANES, LANES + 1)] {
            let mut to = vec![0.0; to];
            let through =
                std::panic::AssertUnwindSafe(|| dispatch(isa, Through { from: &values[..from], to: &mut to }));
            assert!(std::panic::catch_unwind(through).is_err(), "{isa:?}: {from} values");
        }
    }
}

#[test]
fn unknown_and_missing_sets_are_named_in_the_error() {
    let message = "sse9".parse::<Isa>().unwrap_err().to_string();
    assert!(message.contains("sse9") && message.contains("scalar, portable"), "{message}");
    let foreign = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
    assert!(matches!(foreign.parse::<Isa>(), Err(Error::InstructionSet { .. })));
    assert_eq!("portable".parse::<Isa>().unwrap(), Isa::Portable);
}

/// Rounding, flushing of denormals, masked exceptions: what the thread computes next with must not depend on what ran before.
#[test]
#[cfg(target_arch = "x86_64")]
fn kernels_leave_the_floating_point_control_state_as_it_was() {
    // The exceptions seen so far, the low six bits, may change.
    let control = || {
        let mut mxcsr = 0u32;
        // SAFETY: stores MXCSR, which every x86-64 CPU has, to a `u32` of ours.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut mxcsr, options(nostack)) };
        mxcsr & !0x3f
    };
    let sets: Vec<Isa> = Isa::available().collect();
    let before = control();
    let reports = crate::kernels::verify::run(&sets, 4, 1).unwrap();
    assert!(reports.iter().all(crate::kernels::verify::Report::passed));
    assert_eq!(control(), before, "mxcsr");
    // As found also where denormals were to be flushed.
    let flushing = before | 0x8040;
    // SAFETY: loads what was just read, with flush-to-zero and denormals-are-zero added; put back below.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &flushing, options(nostack, readonly)) };
    crate::kernels::verify::run(&sets, 4, 1).unwrap();
    let after = control();
    // SAFETY: as above.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &before, options(nostack, readonly)) };
    assert_eq!(after, flushing, "mxcsr");
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarrays_without_values_are_views_whatever_their_strides() {
    use crate::matrix::{MatMut, MatRef};
    for (rows, cols) in [(0, 5), (5, 0), (0, 0), (0, 1), (1, 0)] {
        let mut array = ndarray::Array2::<f32>::zeros((rows, cols));
        let view = MatRef::from_ndarray(array.view()).unwrap_or_else(|| panic!("{rows} x {cols}"));
        assert_eq!((view.rows(), view.cols()), (rows, cols));
        assert_eq!(view.iter_rows().map(<[f32]>::len).collect::<Vec<_>>(), vec![0; rows]);
        assert_eq!(view.to_ndarray().dim(), (rows, cols));
        let view = MatMut::from_ndarray(array.view_mut()).unwrap_or_else(|| panic!("{rows} x {cols}"));
        assert_eq!(view.into_ndarray().dim(), (rows, cols));
        // The columns of such an array are its rows.
        let turned = MatRef::from_ndarray(array.t()).unwrap_or_else(|| panic!("{cols} x {rows}"));
        assert_eq!((turned.rows(), turned.cols()), (cols, rows));
    }
    let array = ndarray::Array2::<f32>::zeros((4, 6));
    for empty in [array.slice(ndarray::s![2..2, ..;2]), array.slice(ndarray::s![..;-1, 3..3])] {
        assert_eq!(MatRef::from_ndarray(empty).map(|view| (view.rows(), view.cols())), Some(empty.dim()));
    }
    // One row is walked along its columns all the same.
    assert!(MatRef::from_ndarray(array.slice(ndarray::s![..1, ..;2])).is_none());
}

#[cfg(feature = "faer")]
#[test]
fn faer_matrices_without_values_are_views_whatever_their_strides() {
    use crate::matrix::{MatMut, MatRef};
    for (rows, cols) in [(0, 5), (5, 0), (0, 0), (0, 1), (1, 0)] {
        // Columns follow each other in faer: as they lie, such rows are not contiguous.
        let mut matrix = faer::Mat::<f32>::zeros(rows, cols);
        let view = MatRef::from_faer(matrix.as_ref()).unwrap_or_else(|| panic!("{rows} x {cols}"));
        assert_eq!((view.rows(), view.cols()), (rows, cols));
        assert_eq!(view.iter_rows().map(<[f32]>::len).collect::<Vec<_>>(), vec![0; rows]);
        assert_eq!(view.to_faer().shape(), (rows, cols));
        let view = MatMut::from_faer(matrix.as_mut()).unwrap_or_else(|| panic!("{rows} x {cols}"));
        assert_eq!(view.into_faer().shape(), (rows, cols));
    }
    let matrix = faer::Mat::<f32>::zeros(4, 6);
    let view = MatRef::from_faer(matrix.submatrix(1, 2, 0, 3)).expect("no rows");
    assert_eq!((view.rows(), view.cols()), (0, 3));
    assert!(MatRef::from_faer(matrix.as_ref()).is_none());
}
