use super::*;
use crate::kernels::bits;
use crate::matrix::Matrix;
use crate::random::Stream;

fn random(rows: usize, cols: usize, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(5, purpose).item((rows * 10_000 + cols) as u64).uniform(-1.0, 1.0, matrix.as_mut_slice());
    matrix
}

/// Shapes at, one below and one above every tile, panel, chunk and depth, and empty ones.
fn shapes() -> Vec<(usize, usize, usize)> {
    let mut shapes = vec![(0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (57, 49, 257), (113, 97, 513)];
    // So wide that panels are packed one by one, and the next asked for: the least width, panels that are not whole, empty sums.
    shapes.extend([(64, 384, 3), (70, 399, 257), (64, 400, 0), (0, 400, 3), (9, 385, 17)]);
    for m in [1, 7, 8, 9, 56] {
        for n in [1, 4, 8, 9, 10, 15, 16, 17, 23, 47, 48, 49] {
            for k in [1, 5, 255, 256, 257] {
                shapes.push((m, n, k));
            }
        }
    }
    shapes
}

type Call = fn(&mut Context, MatRef<'_>, MatRef<'_>, MatMut<'_>, Write);

#[test]
fn products_stay_within_their_bound_on_every_set_with_the_same_bits() {
    for (m, n, k) in shapes() {
        let (a, b, old) = (random(m, k, "a"), random(k, n, "b"), random(m, n, "c"));
        let (at, bt) = (a.transposed(), b.transposed());
        let want = reference::product(m, n, k, |i, k| a[(i, k)], |k, j| b[(k, j)]);
        for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
            let cases: [(&Matrix, &Matrix, Call); 3] = [(&a, &b, matmul), (&a, &bt, matmul_nt), (&at, &b, matmul_tn)];
            for (left, right, call) in cases {
                let mut first: Option<Vec<u32>> = None;
                for isa in Isa::available() {
                    // Replace must not read what is there.
                    let mut c =
                        if write == Write::Replace { Matrix::from_fn(m, n, |_, _| f32::NAN) } else { old.clone() };
                    call(&mut Context::on(isa).unwrap(), left.view(), right.view(), c.view_mut(), write);
                    for (at, &got) in c.as_slice().iter().enumerate() {
                        let exact = write.apply(f64::from(old.as_slice()[at]), want.sums[at]);
                        let gamma = f64::from(f32::EPSILON) / 2.0;
                        let scale =
                            if let Write::Add(s) | Write::AddNonNegative(s) = write { f64::from(s.abs()) } else { 1.0 };
                        let blocks = k.div_ceil(256) as f64;
                        let magnitude = scale * want.magnitudes[at];
                        let old = f64::from(old.as_slice()[at].abs());
                        let bound = match write {
                            Write::Replace => 1.01 * gamma * k as f64 * magnitude,
                            // Each block is added to what is there.
                            _ => {
                                1.01 * gamma * ((k as f64 + 2.0 * blocks) * magnitude + 2.0 * blocks * exact.abs())
                                    + blocks * gamma * old
                            }
                        };
                        assert!(
                            (f64::from(got) - exact).abs() <= bound,
                            "{isa} {m}x{n}x{k} {write:?}: {got} for {exact}, bound {bound}"
                        );
                    }
                    let c = bits(c.as_slice());
                    assert_eq!(&c, first.get_or_insert_with(|| c.clone()), "{isa} {m}x{n}x{k}");
                }
            }
        }
    }
}

#[test]
fn threads_do_not_show() {
    // Work is split by rows and by columns, and enough of it to be split; by rows where there are more threads than columns are for.
    for (rows, depth, cols) in [(300, 400, 130), (250, 120, 400), (700, 50, 400)] {
        let (a, b) = (random(rows, depth, "a"), random(depth, cols, "b"));
        let run = |threads| {
            let mut c = Matrix::zeros(rows, cols);
            let mut context = Context::new().unwrap().with_threads(Threads::always(threads).unwrap());
            matmul(&mut context, a.view(), b.view(), c.view_mut(), Write::Replace);
            let mut d = Matrix::zeros(depth, cols);
            matmul_tn(&mut context, a.view(), c.view(), d.view_mut(), Write::Replace);
            bits(d.as_slice())
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert_eq!(run(threads), one, "{threads} threads");
        }
    }
}

#[test]
fn skinny_products_stay_within_their_bound_with_the_same_bits_on_every_set_and_any_threads() {
    // Tiles of samples and panels of outputs that are not whole, several groups of panels, several blocks of inputs; the last is shared out.
    let shapes =
        [(1, 1, 1), (5, 15, 3), (7, 16, 4), (13, 530, 21), (50, 1041, 43), (3, 0, 2), (0, 4, 2), (101, 2000, 51)];
    for (batch, inputs, outputs) in shapes {
        let (z, w) = (random(batch, inputs, "z"), random(inputs, outputs, "w"));
        let want = reference::product(batch, outputs, inputs, |i, k| z[(i, k)], |k, j| w[(k, j)]);
        let bound = 1.01 * (inputs as f64 / 16.0 + 6.0) * f64::from(f32::EPSILON) / 2.0;
        let mut first: Option<Vec<u32>> = None;
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
            // Whatever scratch memory held before must not show.
            context.scratch([200_000])[0].fill(f32::NAN);
            let mut y = Matrix::from_fn(batch, outputs, |_, _| f32::NAN);
            matmul_skinny(&mut context, z.view(), w.view(), y.view_mut());
            for (at, &got) in y.as_slice().iter().enumerate() {
                let error = (f64::from(got) - want.sums[at]).abs();
                assert!(
                    error <= bound * want.magnitudes[at],
                    "{batch} x {inputs} x {outputs} on {isa}: {got} for {}",
                    want.sums[at]
                );
            }
            let y = bits(y.as_slice());
            assert_eq!(
                &y,
                first.get_or_insert_with(|| y.clone()),
                "{batch} x {inputs} x {outputs} on {isa}, {threads} threads"
            );
        }
    }
}

#[test]
fn a_matrix_packed_once_gives_the_bits_of_one_that_is_not() {
    for (rows, depth, cols) in [(3, 5, 17), (64, 1, 384), (70, 257, 401), (100, 300, 400)] {
        let (a, b) = (random(rows, depth, "a"), random(depth, cols, "b"));
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
            let packed = PackedMatrix::new(isa, b.view());
            let mut want = random(rows, cols, "c");
            let mut got = want.clone();
            matmul(&mut context, a.view(), b.view(), want.view_mut(), Write::Add(0.5));
            matmul_packed(&mut context, a.view(), &packed, got.view_mut(), Write::Add(0.5));
            assert_eq!(
                bits(got.as_slice()),
                bits(want.as_slice()),
                "{rows} x {depth} x {cols} on {isa}, {threads} threads"
            );
            let few = if registers(isa) >= 32 { 32 } else { 8 };
            assert_eq!(packed.fits(isa, rows), rows > few && cols >= 384);
            let others = Isa::available().filter(|&other| registers(other) != registers(isa));
            assert!(others.into_iter().all(|other| !packed.fits(other, 1000)), "laid out for another set");
        }
    }
}

#[test]
fn a_few_rows_have_the_bits_that_they_have_among_many() {
    // Rows on both sides of every group, and of what is few for each width, and of columns that are few beside them; columns of no, part of, several and more than a strip's vectors;
    // two blocks of k and a rest. Of so many rows b is packed on every set.
    const MANY: usize = 67;
    let shapes = [
        (1, 1),
        (5, 15),
        (17, 16),
        (600, 17),
        (256, 63),
        (300, 64),
        (40, 65),
        (257, 200),
        (258, 390),
        (19, 530),
        (20, 1041),
    ];
    for (depth, cols) in shapes {
        let (a, b) = (random(MANY, depth, "a"), random(depth, cols, "b"));
        let (tall, wide) = (a.transposed(), b.transposed());
        for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
            let old = if write == Write::Replace {
                Matrix::from_fn(MANY, cols, |_, _| f32::NAN)
            } else {
                random(MANY, cols, "c")
            };
            // One thread too, on the set that is quickest.
            for (isa, threads) in Isa::available().map(|isa| (isa, 3)).chain([(Isa::best(), 1)]) {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                context.scratch([100_000])[0].fill(f32::NAN);
                let mut want = old.clone();
                matmul(&mut context, a.view(), b.view(), want.view_mut(), write);
                for rows in (1..=9).chain([12, 13, 16, 17, 24, 25, 32, 33, 64, 65]) {
                    let (few, few_tall) = (a.view().rows_range(2..2 + rows), tall.view().columns(2..2 + rows));
                    let part = old.view().rows_range(2..2 + rows).to_owned();
                    let [mut plain, mut nt, mut tn] = [part.clone(), part.clone(), part];
                    matmul(&mut context, few, b.view(), plain.view_mut(), write);
                    matmul_nt(&mut context, few, wide.view(), nt.view_mut(), write);
                    matmul_tn(&mut context, few_tall, b.view(), tn.view_mut(), write);
                    let want = bits(want.view().rows_range(2..2 + rows).to_owned().as_slice());
                    let dots = dots::wins(rows, depth, cols) || dots::transpose_wins(rows, depth, cols);
                    for (name, got) in [("matmul", plain), ("matmul_nt", nt), ("matmul_tn", tn)] {
                        let (got, label) =
                            (bits(got.as_slice()), format!("{name} {rows} x {depth} x {cols}, {write:?}"));
                        assert_eq!(got == want, !(dots && name == "matmul_nt"), "{label}, {isa}, {threads} threads");
                    }
                }
            }
        }
    }
}

#[test]
fn dot_products_are_sixteen_chains_added_in_a_tree() {
    // Every number of rows and columns of a tile and of a group; k of whole vectors, with a rest, and of more than the first-level cache holds.
    let mut shapes =
        vec![(1, 64, 33), (2, 65, 100), (33, 96, 3), (1, 1100, 40), (16, 513, 40), (40, 2070, 12), (25, 1024, 40)];
    shapes.extend((1..=16).map(|few| (few, 512, 20)).chain((1..=12).map(|few| (20, 512 + few, few))));
    for (rows, depth, cols) in shapes {
        assert!(dots::wins(rows, depth, cols) || dots::transpose_wins(rows, depth, cols), "{rows} x {depth} x {cols}");
        let (a, b, old) = (random(rows, depth, "a"), random(cols, depth, "b"), random(rows, cols, "c"));
        let sum = |row: usize, col: usize| {
            let mut lanes = [0.0f32; LANES];
            for k in 0..depth {
                lanes[k % LANES] = a[(row, k)].mul_add(b[(col, k)], lanes[k % LANES]);
            }
            for half in [8, 4, 2, 1] {
                for lane in 0..half {
                    lanes[lane] += lanes[lane + half];
                }
            }
            lanes[0]
        };
        for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
            let want = Matrix::from_fn(rows, cols, |row, col| match write {
                Write::Replace => sum(row, col),
                Write::Add(scale) => scale.mul_add(sum(row, col), old[(row, col)]),
                Write::AddNonNegative(scale) => scale.mul_add(sum(row, col), old[(row, col)]).max(0.0),
            });
            for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                let mut got =
                    if write == Write::Replace { Matrix::from_fn(rows, cols, |_, _| f32::NAN) } else { old.clone() };
                let start = got.clone();
                matmul_nt(&mut context, a.view(), b.view(), got.view_mut(), write);
                let label = format!("{rows} x {depth} x {cols}, {write:?}, {isa}, {threads} threads");
                assert_eq!(bits(got.as_slice()), bits(want.as_slice()), "{label}");
                let (transposed, mut plain) = (b.transposed(), start);
                matmul(&mut context, a.view(), transposed.view(), plain.view_mut(), write);
                let same = bits(plain.as_slice()) == bits(want.as_slice());
                assert_eq!(same, dots::transposed_wins(rows, depth, cols), "matmul, {label}");
                if write == Write::Replace {
                    matmul_skinny(&mut context, a.view(), transposed.view(), got.view_mut());
                    assert_eq!(bits(got.as_slice()), bits(want.as_slice()), "matmul_skinny, {label}");
                }
            }
        }
    }
}

#[test]
fn strided_views_are_read_and_written_in_place() {
    let (a, b) = (random(20, 40, "a"), random(40, 30, "b"));
    let (part_a, part_b) = (a.view().columns(3..17).rows_range(2..13), b.view().rows_range(5..19).columns(1..24));
    let mut whole = vec![7.0f32; 11 * 40];
    matmul(
        &mut Context::new().unwrap(),
        part_a,
        part_b,
        MatMut::with_stride(&mut whole, 11, 23, 40).unwrap(),
        Write::Replace,
    );
    let mut want = Matrix::zeros(11, 23);
    matmul(
        &mut Context::new().unwrap(),
        part_a.to_owned().view(),
        part_b.to_owned().view(),
        want.view_mut(),
        Write::Replace,
    );
    for row in 0..11 {
        assert_eq!(&whole[row * 40..row * 40 + 23], want.row(row));
        assert!(whole[row * 40 + 23..(row + 1) * 40].iter().all(|&v| v == 7.0), "canaries of row {row}");
    }
}

#[test]
fn nan_spreads_to_its_row_and_column_only() {
    let (mut a, b) = (random(9, 20, "a"), random(20, 17, "b"));
    a[(4, 3)] = f32::NAN;
    let mut c = random(9, 17, "c");
    matmul(&mut Context::new().unwrap(), a.view(), b.view(), c.view_mut(), Write::AddNonNegative(1.0));
    for row in 0..9 {
        assert!(c.row(row).iter().all(|v| v.is_nan() == (row == 4)), "row {row}");
    }
}

#[test]
#[should_panic(expected = "matmul: a is 2 x 3, b is 4 x 5, c is 2 x 5")]
fn disagreeing_shapes_are_named() {
    let mut c = Matrix::zeros(2, 5);
    matmul(
        &mut Context::new().unwrap(),
        Matrix::zeros(2, 3).view(),
        Matrix::zeros(4, 5).view(),
        c.view_mut(),
        Write::Replace,
    );
}

#[test]
fn biases_are_added_to_every_row_with_the_same_bits_on_every_set() {
    for (rows, cols) in [(0, 3), (3, 0), (1, 1), (4, 15), (3, 16), (5, 17), (40, 1000), (70_000, 1)] {
        let (y, bias) = (random(rows, cols, "y"), random(1, cols, "bias"));
        let want = reference::add_bias(y.view(), bias.as_slice());
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 2), (isa, 3), (isa, 7)]) {
            let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
            // Rows with a stride, and values behind them that stay.
            let mut wide = Matrix::from_fn(rows, cols + 3, |row, col| if col < cols { y[(row, col)] } else { 7.0 });
            add_bias(&mut context, wide.view_mut().split_columns(cols).0, bias.as_slice());
            for row in 0..rows {
                let (got, behind) = wide.row(row).split_at(cols);
                let exact = want[row * cols..(row + 1) * cols].iter().map(|&sum| sum as f32);
                assert!(got.iter().copied().eq(exact), "{isa}, {threads} threads, {rows} x {cols}, row {row}");
                assert_eq!(behind, [7.0; 3]);
            }
        }
    }
    let mut y = Matrix::from_slice(&[f32::NAN, 1.0, f32::INFINITY, 1.0], 2, 2).unwrap();
    add_bias(&mut Context::new().unwrap(), y.view_mut(), &[f32::NEG_INFINITY, 0.5]);
    assert!(y[(0, 0)].is_nan() && y[(1, 0)].is_nan() && y[(0, 1)] == 1.5 && y[(1, 1)] == 1.5);
}

#[test]
#[should_panic(expected = "add_bias: y is 2 x 3, there are 2 biases")]
fn a_bias_for_every_column_is_expected() {
    add_bias(&mut Context::new().unwrap(), Matrix::zeros(2, 3).view_mut(), &[0.0; 2]);
}

#[test]
#[should_panic(expected = "matmul_skinny: z is 2 x 3, w is 3 x 4, y is 2 x 5")]
fn disagreeing_shapes_of_few_outputs_are_named() {
    let (z, w, mut y) = (Matrix::zeros(2, 3), Matrix::zeros(3, 4), Matrix::zeros(2, 5));
    matmul_skinny(&mut Context::new().unwrap(), z.view(), w.view(), y.view_mut());
}

#[test]
fn which_products_read_a_matrix_as_it_lies_is_as_documented() {
    // On sets with many registers up to 64 rows, but for what lines or panels do better; on others fewer.
    for (registers, rows, depth, cols, wins) in [
        (32, 1, 784, 383, true),
        (32, 2, 784, 384, false),
        (32, 3, 784, 2000, true),
        (32, 3, 1 << 11, 1 << 11, true),
        (32, 4, (1 << 11) + 1, 1 << 11, false),
        (32, 5, 1 << 12, 1 << 12, true),
        (32, 24, 784, 3, true),
        (32, 25, 784, 8, false),
        (32, 25, 784, 9, true),
        (32, 32, 784, 9, true),
        (32, 33, 784, 176, true),
        (32, 33, 784, 184, false),
        (32, 33, 784, 185, true),
        (32, 64, 784, 192, true),
        (32, 64, 784, 200, true),
        (32, 65, 784, 2000, false),
        (16, 2, 784, 64, true),
        (16, 2, 784, 65, false),
        (16, 3, 784, 191, true),
        (16, 3, 784, 192, false),
        (16, 32, 784, 191, true),
        (16, 33, 784, 191, false),
    ] {
        let label = format!("{rows} rows, {depth} x {cols}, {registers} registers");
        assert_eq!(unpacked::wins(rows, depth, cols, registers), wins, "{label}");
    }
    for (rows, registers, loses) in [(24, 32, false), (25, 32, true), (8, 16, false), (9, 16, true)] {
        assert_eq!(unpacked::loses_to_packed(rows, registers), loses, "{rows} rows, {registers} registers");
    }
    // By dot products: a k that is long for so many rows or columns, and a factor that caches hold.
    for (rows, depth, cols, rows_win, columns_win) in [
        (1, 63, 9, false, false),
        (1, 64, 1, true, false),
        (1, 1 << 12, 1 << 11, true, false),
        (2, 64, 1, true, true),
        (3, 95, 9, false, false),
        (3, 96, 2, true, true),
        (16, 512, 2000, true, false),
        (17, 544, 2000, false, false),
        (17, 544, 60, true, false),
        (18, 544, 60, false, false),
        (2000, 384, 12, false, true),
        (2000, 383, 12, false, false),
        (2000, 784, 13, false, false),
        (60, 784, 13, false, true),
        (32, 1024, 32, true, false),
        (2, 1 << 11, 1 << 11, true, false),
        (2, 1 << 11, (1 << 11) + 1, false, false),
        (1 << 11, 1 << 11, 10, false, true),
        (1 << 11, (1 << 11) + 1, 10, false, false),
        (1 << 12, 1 << 12, 1, false, true),
    ] {
        let label = format!("{rows} x {depth} x {cols}");
        assert_eq!(dots::wins(rows, depth, cols), rows_win, "{label}");
        assert_eq!(dots::transpose_wins(rows, depth, cols), columns_win, "{label}");
    }
    for (rows, depth, cols, wins) in [(16, 128, 4, true), (15, 128, 4, false), (16, 127, 4, false), (16, 200, 5, false)]
    {
        assert_eq!(dots::transposed_wins(rows, depth, cols), wins, "{rows} x {depth} x {cols}");
    }
    for (rows, cols, wins) in [(4, 63, true), (5, 63, false), (5, 64, true), (8, 64, true), (9, 64, false)] {
        assert_eq!(few_rows::wins(rows, cols), wins, "{rows} x {cols}");
    }
    // Of one width, as many for each thread, and whose sums the first-level cache holds.
    for (rows, cols, threads, width) in [
        (1, 4096, 1, 4096),
        (1, 4097, 1, 2064),
        (1, 10_000, 2, 2512),
        (2, 2048, 1, 2048),
        (2, 2049, 1, 1040),
        (3, 1024, 1, 1024),
        (5, 513, 1, 272),
        (8, 100, 7, 16),
    ] {
        assert_eq!(few_rows::strip(rows, cols, threads), width, "{rows} x {cols} on {threads} threads");
    }
}
