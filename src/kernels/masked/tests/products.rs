use super::*;

/// Batch, inputs, units and density: at, above and below lanes, panels and blocks of outputs; empty, full and one entry.
fn sparse_shapes() -> Vec<(usize, usize, usize, f64)> {
    let mut shapes = vec![(0, 3, 4, 0.5), (3, 0, 4, 0.5), (3, 4, 0, 0.5), (40, 9000, 3, 0.05), (300, 70, 50, 0.1)];
    // Many samples and dense enough that the inputs come in blocks: those of x w, of y w^T, of both.
    shapes.extend([(49, 300, 17, 0.2), (64, 145, 130, 1.0), (129, 33, 700, 0.3), (70, 289, 290, 0.5)]);
    // Few samples, and outputs that several threads share.
    shapes.extend([(1, 90, 250, 0.3), (4, 90, 250, 0.3), (7, 250, 90, 0.3)]);
    for batch in [1, 2, 3, 5, 8, 9, 15, 16, 17, 33, 64, 127, 129] {
        for units in [1, 15, 16, 17, 40] {
            for (inputs, density) in [(1, 1.0), (37, 0.0), (37, 0.1), (20, 1.0)] {
                shapes.push((batch, inputs, units, density));
            }
        }
    }
    shapes
}

#[test]
fn sparse_products_stay_within_their_bound_on_every_set_with_the_same_bits() {
    for (batch, inputs, units, density) in sparse_shapes() {
        let pattern = Pattern::random(inputs, units, density, Stream::new(3, "mask")).unwrap();
        let dense = poisoned_outside(&pattern, "w");
        let w = SparseMatrix::from_masked(dense.view(), pattern).unwrap();
        let present = |k: usize, j: usize| !dense[(k, j)].is_nan();
        let (x, y) = (random(batch, inputs, "x"), random(batch, units, "y"));
        let forward =
            reference::masked_product((batch, units, inputs), |i, k| x[(i, k)], |k, j| dense[(k, j)], present);
        let back = reference::masked_product(
            (batch, inputs, units),
            |i, k| y[(i, k)],
            |k, j| dense[(j, k)],
            |k, j| present(j, k),
        );
        let (xt, wt) = (x.transposed(), SparseMatrix::from_masked(dense.transposed().view(), transposed(&w)).unwrap());
        for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
            let start = |rows, cols, purpose| {
                if write == Write::Replace {
                    Matrix::from_fn(rows, cols, |_, _| f32::NAN)
                } else {
                    random(rows, cols, purpose)
                }
            };
            let (old_y, old_x) = (start(batch, units, "old y"), start(batch, inputs, "old x"));
            let mut first: Option<[Vec<u32>; 3]> = None;
            for mut context in contexts() {
                let (mut got, mut got_back) = (old_y.clone(), old_x.clone());
                sparse_matmul(&mut context, x.view(), &w, got.view_mut(), write);
                assert_within(&got, &old_y, &forward, inputs, write);
                sparse_matmul_nt(&mut context, y.view(), &w, got_back.view_mut(), write);
                assert_within(&got_back, &old_x, &back, units, write);
                let mut left = old_y.transposed();
                sparse_times_dense(&mut context, &wt, xt.view(), left.view_mut(), write);
                assert_eq!(bits(left.transposed().as_slice()), bits(got.as_slice()), "the same chains, transposed");
                let all = [bits(got.as_slice()), bits(got_back.as_slice()), bits(left.as_slice())];
                assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "{context:?} {batch}x{inputs}x{units}");
            }
        }
    }
}

fn transposed(w: &SparseMatrix) -> Pattern {
    Pattern::from_fn(w.cols(), w.rows(), |r, c| w.pattern().contains(c, r)).unwrap()
}

#[test]
fn changed_values_are_seen_by_all_products() {
    let pattern = Pattern::random(300, 310, 0.2, Stream::new(3, "mask")).unwrap();
    let values: Vec<f32> = (0..pattern.entries()).map(|v| v as f32).collect();
    let mut w = SparseMatrix::new(pattern.clone(), vec![0.0; values.len()]).unwrap();
    let mut context = Context::new().unwrap();
    // Few samples and many read their own copies of the entries.
    let mut products = |w: &SparseMatrix| {
        [3, 70].map(|batch| {
            let (x, y) = (random(batch, 300, "x"), random(batch, 310, "y"));
            let (mut forward, mut back) = (Matrix::zeros(batch, 310), Matrix::zeros(batch, 300));
            sparse_matmul(&mut context, x.view(), w, forward.view_mut(), Write::Replace);
            sparse_matmul_nt(&mut context, y.view(), w, back.view_mut(), Write::Replace);
            (forward, back)
        })
    };
    for (forward, back) in products(&w) {
        assert!(forward.as_slice().iter().chain(back.as_slice()).all(|&v| v == 0.0));
    }
    w.update_values(|to| to.copy_from_slice(&values));
    assert_eq!(products(&w), products(&SparseMatrix::new(pattern.clone(), values).unwrap()));
    assert_ne!(w, SparseMatrix::new(pattern.clone(), vec![0.0; pattern.entries()]).unwrap());
    assert!(matches!(SparseMatrix::new(pattern, vec![1.0]), Err(Error::Length { .. })));
}

#[test]
fn threads_do_not_show() {
    // Large enough to be shared: see parallel::WORTH_SHARING.
    let (batch, inputs, units) = (300, 310, 300);
    let pattern = Pattern::random(inputs, units, 0.5, Stream::new(3, "mask")).unwrap();
    let w = SparseMatrix::from_masked(random(inputs, units, "w").view(), pattern).unwrap();
    let (x, y, b) = (random(batch, inputs, "x"), random(batch, units, "y"), random(units, batch, "b"));
    let run = |threads| {
        let mut context = Context::new().unwrap().with_threads(Threads::new(threads).unwrap());
        let mut all = [Matrix::zeros(batch, units), Matrix::zeros(batch, inputs), Matrix::zeros(inputs, batch)];
        let mut gradient = vec![0.0; w.values().len()];
        sparse_matmul(&mut context, x.view(), &w, all[0].view_mut(), Write::Replace);
        sparse_matmul_nt(&mut context, y.view(), &w, all[1].view_mut(), Write::Replace);
        sparse_times_dense(&mut context, &w, b.view(), all[2].view_mut(), Write::Replace);
        sampled_product(&mut context, x.view(), y.view(), w.pattern(), &mut gradient);
        (all, gradient)
    };
    for threads in [2, 3, 7] {
        assert!(run(threads) == run(1), "{threads} threads");
    }
}

#[test]
fn outputs_too_many_for_the_caches_have_the_same_bits() {
    let (batch, inputs, units) = (65, 3, 33_000);
    let pattern = Pattern::random(inputs, units, 0.6, Stream::new(3, "mask")).unwrap();
    let w = SparseMatrix::from_masked(random(inputs, units, "w").view(), pattern).unwrap();
    let x = random(batch, inputs, "x");
    for mut context in contexts() {
        let (mut all, mut few) = (Matrix::zeros(batch, units), Matrix::zeros(batch, units));
        sparse_matmul(&mut context, x.view(), &w, all.view_mut(), Write::Replace);
        for first in [0, 33] {
            let rows = first..batch.min(first + 33);
            let part = few.view_mut().split_rows(first).1.split_rows(rows.len()).0;
            sparse_matmul(&mut context, x.view().rows_range(rows), &w, part, Write::Replace);
        }
        assert!(bits(all.as_slice()) == bits(few.as_slice()), "{context:?}");
    }
}

#[test]
fn what_every_unit_masks_never_leaks() {
    for poison in [f32::NAN, f32::INFINITY] {
        let pattern = Pattern::from_fn(20, 17, |k, j| k % 3 == 0 && (k + j) % 2 == 0).unwrap();
        let mut dense = poisoned_outside(&pattern, "w");
        dense.as_mut_slice().iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = poison);
        let w = SparseMatrix::from_masked(dense.view(), pattern).unwrap();
        let x = Matrix::from_fn(18, 20, |_, k| if k % 3 == 0 { 1.0 } else { poison });
        for mut context in contexts() {
            let mut y = Matrix::from_fn(18, 17, |_, _| poison);
            sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace);
            assert!(y.as_slice().iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
#[should_panic(expected = "sparse_matmul: x is 2 x 3, w is 4 x 5, y is 2 x 5")]
fn sparse_products_name_disagreeing_shapes() {
    let w = SparseMatrix::new(Pattern::full(4, 5).unwrap(), vec![0.0; 20]).unwrap();
    sparse_matmul(
        &mut Context::new().unwrap(),
        Matrix::zeros(2, 3).view(),
        &w,
        Matrix::zeros(2, 5).view_mut(),
        Write::Replace,
    );
}

#[test]
fn sampled_products_stay_within_their_bound_on_every_set_with_the_same_bits() {
    for (batch, inputs, units, density) in sparse_shapes() {
        let pattern = Pattern::random(inputs, units, density, Stream::new(3, "mask")).unwrap();
        let (mut x, mut z) = (random(batch, inputs, "x"), random(batch, units, "z"));
        // What no entry needs is not read.
        let wanted: std::collections::HashSet<u32> = pattern.indices().iter().copied().collect();
        for b in 0..batch {
            (0..inputs).filter(|&row| pattern.row(row).is_empty()).for_each(|row| x[(b, row)] = f32::NAN);
            (0..units).filter(|&col| !wanted.contains(&(col as u32))).for_each(|col| z[(b, col)] = f32::INFINITY);
        }
        let exact = reference::sampled_product(x.view(), z.view(), &pattern);
        let mut first: Option<Vec<u32>> = None;
        for mut context in contexts() {
            let mut got = Matrix::from_fn(1, pattern.entries(), |_, _| f32::NAN);
            sampled_product(&mut context, x.view(), z.view(), &pattern, got.as_mut_slice());
            assert_within(&got, &got, &exact, 12 + batch / 128, Write::Replace);
            assert_eq!(
                first.get_or_insert_with(|| bits(got.as_slice())),
                &bits(got.as_slice()),
                "{context:?} {batch}x{inputs}x{units}"
            );
        }
    }
}

#[test]
fn compressing_keeps_what_is_not_zero_and_reuses_its_memory() {
    let mut context = Context::new().unwrap();
    let mut reused = SparseMatrix::compress(&mut context, Matrix::zeros(3, 3).view()).unwrap();
    assert_eq!(reused.pattern().entries(), 0);
    for (rows, cols, density) in [
        (40, 33, 0.3),
        (0, 5, 0.5),
        (5, 0, 0.5),
        (300, 310, 0.3),
        (7, 16, 1.0),
        (3, 15, 0.5),
        (310, 300, 0.2),
        (1, 1, 1.0),
    ] {
        let pattern = Pattern::random(rows, cols, density, Stream::new(11, "mask")).unwrap();
        let want = SparseMatrix::from_masked(random(rows, cols, "w").view(), pattern).unwrap();
        let mut dense = want.to_dense();
        // Both zeros are zero; NaN and infinities are entries.
        dense.as_mut_slice().iter_mut().step_by(3).filter(|v| **v == 0.0).for_each(|v| *v = -0.0);
        for mut context in contexts() {
            assert_eq!(SparseMatrix::compress(&mut context, dense.view()).unwrap(), want, "{context:?}");
        }
        let room = reused.values().len();
        let before = (reused.pattern().indices().as_ptr(), reused.values().as_ptr());
        reused.recompress(&mut context, dense.view()).unwrap();
        assert_eq!(reused, want);
        if want.values().len() <= room {
            let after = (reused.pattern().indices().as_ptr(), reused.values().as_ptr());
            assert_eq!(after, before, "{rows} x {cols} in the memory of more");
        }
        for (w, batch) in [(&reused, 4), (&want, 4), (&reused, 64), (&want, 64)] {
            let (x, y) = (random(batch, rows, "x"), random(batch, cols, "y"));
            // Columns are used, so that the next compression fills them again.
            let (mut forward, mut back) = (Matrix::zeros(batch, cols), Matrix::zeros(batch, rows));
            sparse_matmul(&mut context, x.view(), w, forward.view_mut(), Write::Replace);
            sparse_matmul_nt(&mut context, y.view(), w, back.view_mut(), Write::Replace);
            let shape = (batch, cols, rows);
            let exact = reference::masked_product(shape, |i, k| x[(i, k)], |k, j| dense[(k, j)], |_, _| true);
            assert_within(&forward, &forward, &exact, rows, Write::Replace);
            let shape = (batch, rows, cols);
            let exact = reference::masked_product(shape, |i, k| y[(i, k)], |k, j| dense[(j, k)], |_, _| true);
            assert_within(&back, &back, &exact, cols, Write::Replace);
        }
    }
    let odd = Matrix::from_slice(&[f32::NAN, 0.0, f32::INFINITY], 1, 3).unwrap();
    for mut context in contexts() {
        let kept = SparseMatrix::compress(&mut context, odd.view()).unwrap();
        assert_eq!(kept.pattern().row(0), &[0, 2]);
        assert!(kept.values()[0].is_nan());
    }
}
