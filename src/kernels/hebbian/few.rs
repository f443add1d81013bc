//! Updates by a handful of samples: legal for batches up to [`FEW`], where reading and writing w is all the cost.
//!
//! For each two rows of w: for residuals dot products with the samples' z along the units, then the update, while the rows are in L1. Two share
//! what is loaded of z; where registers are few, each row is by itself.

use crate::kernels::dense::blocked::Epilogue;
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Kernel, LANES, Simd};

/// The largest batch that goes this way.
pub(super) const FEW: usize = 4;

/// Accumulators of a dot product: enough to hide the latency of a multiply-add.
const PARTS: usize = 8;
/// Vectors of w that are updated at a time.
const UNROLLED: usize = 4;

/// `w += scale (r^T z + diagonal o w)` for the rows of w from `first` on.
pub(super) struct FewRows<'a, 'b> {
    pub(super) x: MatRef<'a>,
    pub(super) z: MatRef<'a>,
    pub(super) first: usize,
    pub(super) w: MatMut<'b>,
    pub(super) epilogue: Epilogue<'a>,
    pub(super) from: From,
}

/// What r is, which z is multiplied with.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum From {
    /// x
    Inputs,
    /// x - z w^T
    Residuals,
}

impl Kernel for FewRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.x.rows() {
            1 => self.batch::<S, 1>(s),
            2 => self.batch::<S, 2>(s),
            3 => self.batch::<S, 3>(s),
            _ => self.batch::<S, 4>(s),
        }
    }
}

impl FewRows<'_, '_> {
    #[inline(always)]
    fn batch<S: Simd, const BATCH: usize>(self, s: S) {
        let FewRows { x, z, first, w: mut rest, epilogue, from } = self;
        let mut row = first;
        while rest.rows() > 0 {
            let count = if S::REGISTERS >= 32 && rest.rows() > 1 { 2 } else { 1 };
            let (rows, below) = rest.split_rows(count);
            let x = |i: usize, b: usize| x.row(b)[row + i];
            if count == 2 {
                visit::<S, 2, BATCH>(s, x, z, rows, below.as_ref(), epilogue, from);
            } else {
                visit::<S, 1, BATCH>(s, x, z, rows, below.as_ref(), epilogue, from);
            }
            (rest, row) = (below, row + count);
        }
    }
}

/// `ROWS` rows of w, of which row i belongs to an input that is `x(i, b)` in sample b; and those below.
#[inline(always)]
fn visit<S: Simd, const ROWS: usize, const BATCH: usize>(
    s: S,
    x: impl Fn(usize, usize) -> f32,
    z: MatRef<'_>,
    rows: MatMut<'_>,
    below: MatRef<'_>,
    epilogue: Epilogue<'_>,
    from: From,
) {
    let cols = rows.cols();
    let mut factors = [[0.0; BATCH]; ROWS];
    for b in 0..BATCH {
        for i in 0..ROWS {
            factors[i][b] = x(i, b);
        }
        if from == From::Residuals {
            let w = std::array::from_fn(|i| &rows.row(i)[..cols]);
            let dots = dots::<S, ROWS>(s, w, &z.row(b)[..cols]);
            for i in 0..ROWS {
                factors[i][b] -= dots[i];
            }
        }
    }
    // Without dot products to wait for, the hardware is early enough.
    let asks = from == From::Residuals;
    let next = std::array::from_fn(|i| if asks && i < below.rows() { below.row(i) } else { &[] });
    let mut blocks = rows.row_blocks(1);
    let mut rows: [MatMut<'_>; ROWS] = std::array::from_fn(|_| blocks.next().expect("as many rows"));
    let w = rows.each_mut().map(|row| row.row_mut(0));
    match epilogue.diagonal {
        Some(diagonal) => update::<S, ROWS, BATCH, true>(s, w, next, z, factors, diagonal, epilogue),
        None => update::<S, ROWS, BATCH, false>(s, w, next, z, factors, &[], epilogue),
    }
}

/// Vector v goes to accumulator v mod 8; accumulators are then folded in halves, and the lanes after them.
#[inline(always)]
fn dots<S: Simd, const ROWS: usize>(s: S, a: [&[f32]; ROWS], b: &[f32]) -> [f32; ROWS] {
    let (b_vectors, b_rest) = b.as_chunks::<LANES>();
    let whole = b_vectors.len() / PARTS * PARTS;
    let mut a_vectors = [&[][..]; ROWS];
    for i in 0..ROWS {
        a_vectors[i] = &a[i].as_chunks::<LANES>().0[..b_vectors.len()];
    }
    let mut acc = [[s.zero(); PARTS]; ROWS];
    let mut v = 0;
    while v < whole {
        for part in 0..PARTS {
            let b = s.load(&b_vectors[v + part]);
            for i in 0..ROWS {
                acc[i][part] = s.mul_add(s.load(&a_vectors[i][v + part]), b, acc[i][part]);
            }
        }
        v += PARTS;
    }
    for part in 0..PARTS {
        if whole + part < b_vectors.len() {
            let b = s.load(&b_vectors[whole + part]);
            for i in 0..ROWS {
                acc[i][part] = s.mul_add(s.load(&a_vectors[i][whole + part]), b, acc[i][part]);
            }
        }
    }
    let mut dots = [0.0; ROWS];
    for i in 0..ROWS {
        let acc = &mut acc[i];
        if !b_rest.is_empty() {
            let a_rest = a[i].as_chunks::<LANES>().1;
            acc[PARTS - 1] = s.mul_add(s.load_partial(a_rest), s.load_partial(b_rest), acc[PARTS - 1]);
        }
        let mut half = PARTS / 2;
        while half > 0 {
            for part in 0..half {
                acc[part] = s.add(acc[part], acc[part + half]);
            }
            half /= 2;
        }
        dots[i] = s.reduce_add(acc[0]);
    }
    dots
}

/// `w += scale (sum_b factor_b z_b + diagonal o w)`, for so many rows of w at a time; those after them are asked for.
#[inline(always)]
fn update<S: Simd, const ROWS: usize, const BATCH: usize, const DIAGONAL: bool>(
    s: S,
    w: [&mut [f32]; ROWS],
    next: [&[f32]; ROWS],
    z: MatRef<'_>,
    factors: [[f32; BATCH]; ROWS],
    diagonal: &[f32],
    epilogue: Epilogue<'_>,
) {
    let count = w[0].len() / LANES;
    let (mut z_vectors, mut z_rest) = ([&[][..]; BATCH], [&[][..]; BATCH]);
    for b in 0..BATCH {
        let (whole, partial) = z.row(b).as_chunks::<LANES>();
        (z_vectors[b], z_rest[b]) = (&whole[..count], partial);
    }
    let mut vectors: [&mut [[f32; LANES]]; ROWS] = std::array::from_fn(|_| &mut [][..]);
    let mut rests: [&mut [f32]; ROWS] = std::array::from_fn(|_| &mut [][..]);
    let mut ahead = [&[][..]; ROWS];
    for (i, w) in w.into_iter().enumerate() {
        let (whole, partial) = w.as_chunks_mut::<LANES>();
        (vectors[i], rests[i]) = (&mut whole[..count], partial);
        ahead[i] = next[i].as_chunks::<LANES>().0;
    }
    let mut r = [[s.zero(); BATCH]; ROWS];
    for i in 0..ROWS {
        for b in 0..BATCH {
            r[i][b] = s.splat(factors[i][b]);
        }
    }
    let rate = s.splat(epilogue.scale.expect("a rate"));
    // The maximum with minus infinity is the value itself: no branch in the loops.
    let lowest = s.splat(if epilogue.non_negative { 0.0 } else { f32::NEG_INFINITY });
    let (diagonals, diagonal_rest) = diagonal.as_chunks::<LANES>();
    let diagonals = &diagonals[..if DIAGONAL { count } else { 0 }];
    let unrolled = count / UNROLLED * UNROLLED;
    // A dot product alone would wait for the next rows; of several samples, only the first does.
    let asked = if BATCH == 1 && ahead[ROWS - 1].len() == count { unrolled } else { 0 };
    let mut block = 0;
    while block < unrolled {
        if block < asked {
            for i in 0..ROWS {
                for v in block..block + UNROLLED {
                    s.prefetch(&ahead[i][v][0]);
                }
            }
        }
        for v in block..block + UNROLLED {
            let mut sums = [s.zero(); ROWS];
            for b in 0..BATCH {
                let z = s.load(&z_vectors[b][v]);
                for i in 0..ROWS {
                    sums[i] = s.mul_add(r[i][b], z, sums[i]);
                }
            }
            for i in 0..ROWS {
                let old = s.load(&vectors[i][v]);
                if DIAGONAL {
                    sums[i] = s.mul_add(s.load(&diagonals[v]), old, sums[i]);
                }
                s.store(s.max(lowest, s.mul_add(rate, sums[i], old)), &mut vectors[i][v]);
            }
        }
        block += UNROLLED;
    }
    for i in 0..ROWS {
        for v in unrolled..count {
            let old = s.load(&vectors[i][v]);
            let mut sum = step(s, r[i], |b| s.load(&z_vectors[b][v]));
            if DIAGONAL {
                sum = s.mul_add(s.load(&diagonals[v]), old, sum);
            }
            s.store(s.max(lowest, s.mul_add(rate, sum, old)), &mut vectors[i][v]);
        }
        if !rests[i].is_empty() {
            let old = s.load_partial(rests[i]);
            let mut sum = step(s, r[i], |b| s.load_partial(z_rest[b]));
            if DIAGONAL {
                sum = s.mul_add(s.load_partial(diagonal_rest), old, sum);
            }
            s.store_partial(s.max(lowest, s.mul_add(rate, sum, old)), rests[i]);
        }
    }
}

/// `sum_b r[b] z(b)`.
#[inline(always)]
fn step<S: Simd, const BATCH: usize>(s: S, r: [S::F32; BATCH], z: impl Fn(usize) -> S::F32) -> S::F32 {
    let mut sum = s.zero();
    for b in 0..BATCH {
        sum = s.mul_add(r[b], z(b), sum);
    }
    sum
}
