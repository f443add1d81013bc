use super::*;
use crate::kernels::bits;
use crate::random::Stream;
use crate::{Isa, Matrix, Threads};

const EPS: f64 = 1.0 / (1u64 << 24) as f64;

fn random(rows: usize, cols: usize, seed: u64) -> (Matrix, Vec<u8>) {
    let mut logits = Matrix::zeros(rows, cols);
    Stream::new(seed, "logits").uniform(-8.0, 8.0, logits.as_mut_slice());
    let labels = (0..rows).map(|row| ((row * 7 + 3) % cols.max(1)) as u8).collect();
    (logits, labels)
}

fn context(isa: Isa, threads: usize) -> Context {
    Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap())
}

const SHAPES: [(usize, usize); 11] =
    [(0, 3), (1, 1), (15, 10), (16, 10), (17, 10), (3, 15), (5, 16), (33, 17), (2, 100), (300, 48), (3, 2001)];

#[test]
fn losses_gradients_and_softmax_stay_within_their_bounds() {
    for (rows, cols) in SHAPES {
        let (logits, labels) = random(rows, cols, 1);
        for isa in Isa::available() {
            let context = &mut context(isa, 2);
            let mut losses = vec![f32::NAN; rows];
            let mut gradient = Matrix::from_fn(rows, cols, |_, _| f32::NAN);
            let mean =
                softmax_cross_entropy(context, logits.view(), &labels, Some(&mut losses), Some(gradient.view_mut()));
            let mut softened = logits.clone();
            softmax(context, softened.view_mut());
            let mut total = 0.0;
            for row in 0..rows {
                let label = usize::from(labels[row]);
                let (loss, slopes) = reference::softmax_cross_entropy(logits.row(row), label);
                let bound = reference::cross_entropy_bound(logits.row(row), label);
                assert!((f64::from(losses[row]) - loss).abs() <= bound, "{isa} {rows} x {cols} loss {row}");
                total += f64::from(losses[row]);
                let probabilities = reference::softmax(logits.row(row));
                let bounds = reference::softmax_bounds(logits.row(row));
                for col in 0..cols {
                    let (got, exact) = (f64::from(gradient[(row, col)]), slopes[col]);
                    assert!(
                        (got - exact).abs() <= bounds[col] + EPS / 2.0,
                        "{isa} gradient {row} {col}: {got} {exact}"
                    );
                    let got = f64::from(softened[(row, col)]);
                    assert!((got - probabilities[col]).abs() <= bounds[col], "{isa} softmax {row} {col}");
                }
            }
            assert_eq!(mean, if rows == 0 { 0.0 } else { total / rows as f64 });
        }
    }
}

#[test]
fn bits_are_the_same_on_every_set_and_any_number_of_threads() {
    for (rows, cols) in [(2100, 170), (40, 10)] {
        let (logits, labels) = random(rows, cols, 2);
        // A view with gaps between the rows.
        let logits = logits.view().columns(0..cols - 1);
        let labels: Vec<u8> = labels.iter().map(|&label| label.min(cols as u8 - 2)).collect();
        let run = |isa, threads| {
            let mut losses = vec![f32::NAN; rows];
            let mut gradient = Matrix::from_fn(rows, cols - 1, |_, _| f32::NAN);
            let view = Some(gradient.view_mut());
            let mean = softmax_cross_entropy(&mut context(isa, threads), logits, &labels, Some(&mut losses), view);
            let alone = softmax_cross_entropy(&mut context(isa, threads), logits, &labels, None, None);
            assert_eq!(mean, alone, "the mean does not depend on what else is asked for");
            (mean.to_bits(), bits(&losses), bits(gradient.as_slice()))
        };
        let expected = run(Isa::Scalar, 1);
        for isa in Isa::available() {
            for threads in [1, 2, 3, 7] {
                assert!(run(isa, threads) == expected, "{isa} {threads} threads {rows} x {cols}");
            }
        }
    }
}

#[test]
fn items_have_whole_groups_of_rows_and_grow_with_their_width_no_further() {
    for (cols, rows) in
        [(0, ITEM_VALUES), (1, ITEM_VALUES), (10, 3280), (128, 256), (2000, 32), (32_768, 16), (50_000, 16)]
    {
        assert_eq!(rows_per_item(cols), rows, "{cols} columns");
    }
    // Rows in three items, which different threads take.
    let (logits, labels) = random(33, if cfg!(miri) { 20 } else { 2100 }, 4);
    let (mut one, mut several) = (logits.clone(), logits.clone());
    softmax(&mut context(Isa::best(), 1), one.view_mut());
    softmax(&mut context(Isa::best(), 7), several.view_mut());
    assert_eq!(bits(one.as_slice()), bits(several.as_slice()));
    let losses = [1, 7].map(|threads| {
        let mut losses = vec![f32::NAN; 33];
        let context = &mut context(Isa::best(), threads);
        softmax_cross_entropy(context, logits.view(), &labels, Some(&mut losses), None);
        bits(&losses)
    });
    assert_eq!(losses[0], losses[1]);
}

#[test]
fn extreme_logits_give_exact_or_nan_losses() {
    let mut loss_of = {
        let mut context = context(Isa::best(), 1);
        move |row: &[f32], label: u8| {
            softmax_cross_entropy(&mut context, MatRef::new(row, 1, row.len()).unwrap(), &[label], None, None)
        }
    };
    assert_eq!(loss_of(&[1e30, -1e30, 0.0], 0), 0.0);
    assert_eq!(loss_of(&[300.0, 0.0], 1), 300.0);
    assert_eq!(loss_of(&[f32::NEG_INFINITY, 0.0], 1), 0.0);
    assert_eq!(loss_of(&[f32::NEG_INFINITY, 0.0], 0), f64::INFINITY);
    for bad in [f32::NAN, f32::INFINITY] {
        for at in [0, 3, 16, 18] {
            let mut row = [0.5; 19];
            row[at] = bad;
            assert!(loss_of(&row, 4).is_nan(), "{bad} at {at}");
        }
    }
    assert!(loss_of(&[f32::NEG_INFINITY; 5], 0).is_nan());
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let (logits, labels) = random(20, 10, 3);
    let mut gradient = Matrix::zeros(20, 10);
    let context = &mut context(Isa::best(), 1);
    softmax_cross_entropy(context, logits.view(), &labels, None, Some(gradient.view_mut()));
    for (row, &label) in labels.iter().enumerate() {
        for col in 0..10 {
            let moved = |by: f32| {
                let mut moved = logits.row(row).to_vec();
                moved[col] += by;
                (f64::from(moved[col]), reference::softmax_cross_entropy(&moved, usize::from(label)).0)
            };
            let ((above, high), (below, low)) = (moved(1e-3), moved(-1e-3));
            let slope = (high - low) / (above - below);
            assert!((slope - f64::from(gradient[(row, col)])).abs() < 1e-5, "row {row} column {col}");
        }
        assert!(gradient.row(row).iter().sum::<f32>().abs() < 1e-6, "gradients of a row sum to zero");
    }
}

#[test]
fn an_empty_batch_has_no_loss() {
    let logits = Matrix::zeros(0, 3);
    let loss = softmax_cross_entropy(&mut Context::new().unwrap(), logits.view(), &[], None, None);
    assert_eq!(loss.to_bits(), 0, "{loss:?}");
}

#[test]
fn argmax_takes_the_first_of_equals_and_never_nan() {
    assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(argmax(&[f32::NAN, -1.0, f32::NAN, -0.5]), 3);
    assert_eq!((argmax(&[]), argmax(&[f32::NAN; 3])), (0, 0));
    assert_eq!(argmax(&[f32::NAN, f32::NEG_INFINITY]), 1);
}

#[test]
fn bounds_are_those_that_are_stated() {
    let (logits, close) = ([4.0, 1.0], |got: f64, want: f64| assert!((got / want - 1.0).abs() < 1e-12, "{got} {want}"));
    let probabilities = reference::softmax(&logits);
    close(probabilities[1], 1.0 / (1.0 + 3f64.exp()));
    // Exponents of 0 and -3, in two classes.
    for ((bound, p), sum) in reference::softmax_bounds(&logits).into_iter().zip(probabilities).zip([0.0, 3.0]) {
        close(bound, 1.01 * EPS * (sum + 2f64.ln() + 0.125 + 10.0) * p);
    }
    close(reference::cross_entropy_bound(&logits, 1), 1.01 * EPS * (6.0 + 4.0 * 2f64.ln() + 0.125 + 6.0));
    // Exponentials of what the largest leaves, which no largest value takes out of range.
    close(reference::softmax(&[1000.0, 998.0])[1], 1.0 / (1.0 + 2f64.exp()));
}

#[test]
fn answers_are_those_of_the_reference() {
    let values = [f32::NEG_INFINITY, -1.0, 0.0, 1.0, f32::NAN];
    for code in 0..values.len().pow(3) {
        let row = [1, 5, 25].map(|place| values[code / place % values.len()]);
        assert_eq!(argmax(&row), reference::argmax(&row), "{row:?}");
        for label in 0..3 {
            assert_eq!(is_right(&row, label), reference::is_right(&row, label.into()), "{row:?} {label}");
        }
    }
}

#[test]
fn rows_with_nan_are_never_right() {
    let logits = Matrix::from_slice(&[3.0, 1.0, f32::NAN, f32::NAN, 2.0, f32::NAN, 1.0, 1.0], 4, 2).unwrap();
    assert_eq!(accuracy(logits.view(), &[0, 0, 0, 0]), 0.5);
    assert_eq!(accuracy(logits.view(), &[1, 1, 1, 1]), 0.0);
    let logits = Matrix::from_slice(&[1.0, 0.0, 0.0, 1.0, 5.0, 1.0], 3, 2).unwrap();
    assert_eq!(accuracy(logits.view(), &[0, 1, 1]), 2.0 / 3.0);
    assert_eq!(accuracy(logits.view().rows_range(0..0), &[]), 0.0);
}

#[test]
#[should_panic(expected = "softmax_cross_entropy: label 3 of sample 1, but 3 classes")]
fn a_label_out_of_range_is_named() {
    let (logits, _) = random(2, 3, 4);
    softmax_cross_entropy(&mut context(Isa::best(), 1), logits.view(), &[0, 3], None, None);
}

#[test]
#[should_panic(expected = "softmax_cross_entropy: logits are 2 x 3, the gradient is 2 x 4")]
fn a_gradient_of_another_shape_is_named() {
    let (logits, _) = random(2, 3, 4);
    let mut gradient = Matrix::zeros(2, 4);
    softmax_cross_entropy(&mut context(Isa::best(), 1), logits.view(), &[0, 1], None, Some(gradient.view_mut()));
}

#[test]
#[should_panic(expected = "accuracy: 1 labels for 2 samples")]
fn a_label_for_every_sample_is_expected() {
    accuracy(random(2, 3, 4).0.view(), &[0]);
}
