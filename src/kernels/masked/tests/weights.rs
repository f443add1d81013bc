use super::*;

#[test]
fn dense_weights_of_another_shape_than_their_pattern_are_refused() {
    let of = |dense: Matrix| SparseMatrix::from_masked(dense.view(), Pattern::full(3, 2).unwrap());
    let error = of(Matrix::zeros(2, 3)).unwrap_err();
    assert!(matches!(error, Error::Length { .. }));
    assert_eq!(error.to_string(), "a column of the dense matrix: expected 3 values, found 2");
    let error = of(Matrix::zeros(3, 1)).unwrap_err();
    assert_eq!(error.to_string(), "a row of the dense matrix: expected 2 values, found 1");
}

#[test]
fn samples_of_no_values_cost_nothing_however_many_there_are() {
    let (most, context) = (isize::MAX as usize, &mut Context::new().unwrap());
    let x = Matrix::zeros(most, 0);
    let matrix = SparseMatrix::new(Pattern::full(0, 0).unwrap(), Vec::new()).unwrap();
    sampled_product(context, x.view(), x.view(), matrix.pattern(), &mut []);
    for strategy in [Strategy::Dense, Strategy::Sparse] {
        let weights = MaskedWeights::sparse(context, matrix.clone(), 1).with_strategy(strategy).unwrap();
        let mut y = Matrix::zeros(most, 0);
        weights.forward(context, x.view(), y.view_mut(), Write::Replace);
        weights.backward(context, x.view(), y.view_mut(), Write::Replace);
        weights.gradient(context, x.view(), x.view(), &mut []);
    }
}

#[test]
fn plans_follow_density_and_say_why() {
    for batch in [1, 16, 256, 2000] {
        let plans = [0.001, 0.05, 0.6, 1.0].map(|density| Plan::for_pattern(batch, 784, 2000, density).strategy());
        assert_eq!(plans, [Strategy::Sparse, Strategy::Sparse, Strategy::Dense, Strategy::Dense]);
        assert_eq!(Plan::for_fields(batch, 900, 100, 0.05).strategy(), Strategy::Field);
        assert_eq!(Plan::for_fields(batch, 900, 100, 1.0).strategy(), Strategy::Dense);
    }
    // A dense product of few samples reads each weight once, as lists do.
    assert_eq!(
        [1, 16].map(|batch| Plan::for_pattern(batch, 784, 2000, 0.2).strategy()),
        [Strategy::Dense, Strategy::Sparse]
    );
    let text = Plan::for_pattern(256, 784, 2000, 0.9).to_string();
    assert!(
        text.starts_with("dense: 784 x 2000 at density 0.900, batch 256: above the crossover to dense, 0."),
        "{text}"
    );
}

#[test]
fn weights_of_a_column_listed_twice_never_overflow_together() {
    // Two units that see both inputs, the first of them twice: half as many weights again as a dense layer has.
    let map = Map { rows: 1, cols: 2 };
    let field = || ReceptiveField::new(map, &[Rectangle::new(0..1, 0..2), Rectangle::new(0..1, 0..1)]).unwrap();
    let layer = FieldLayer::new(vec![field(), field()]).unwrap();
    let large = vec![2e38, 1.0, 2e38, 0.5, 0.25, 0.125];
    let x = Matrix::from_slice(&[0.0, 3.0, 0.5, 1.0], 2, 2).unwrap();
    let y = Matrix::from_slice(&[0.0, 2.0, 0.25, 0.0], 2, 2).unwrap();
    for mut context in contexts() {
        let mut weights = MaskedWeights::fields(&context, layer.clone(), large.clone(), 9).unwrap();
        assert_eq!(weights.plan().strategy(), Strategy::Dense);
        let products = |weights: &MaskedWeights, context: &mut Context| {
            let (mut forward, mut back) = (Matrix::zeros(2, 2), Matrix::zeros(2, 2));
            weights.forward(context, x.view(), forward.view_mut(), Write::Replace);
            weights.backward(context, y.view(), back.view_mut(), Write::Replace);
            (forward, back)
        };
        let (forward, back) = products(&weights, &mut context);
        // An input of zero takes nothing from 2e38 + 2e38, and one of 0.5 half of it.
        assert_eq!(forward.as_slice(), &[3.0, 0.75, 2e38, 0.5625], "{context:?}");
        assert_eq!(back.as_slice(), &[1.25, 0.5, 1e38, 0.25], "{context:?}");
        // To ordinary weights and back.
        let ordinary = MaskedWeights::fields(&context, layer.clone(), vec![0.5; 6], 9).unwrap();
        weights.update_values(|values| values.fill(0.5));
        assert_eq!(products(&weights, &mut context), products(&ordinary, &mut context));
        weights.update_values(|values| values.copy_from_slice(&large));
        assert_eq!(products(&weights, &mut context), (forward, back), "{context:?}");
        // A weight that is infinite by itself spreads as it does in any product.
        weights.update_values(|values| values.copy_from_slice(&[f32::INFINITY, 1.0, 1.0, 1.0, 1.0, 1.0]));
        let (forward, _) = products(&weights, &mut context);
        assert!(forward[(0, 0)].is_nan() && forward[(1, 0)] == f32::INFINITY && forward[(1, 1)] == 2.0);
    }
}

/// Weights of every strategy, with the strategy they should choose.
fn chosen(context: &Context) -> Vec<(MaskedWeights, Strategy)> {
    let map = Map { rows: 6, cols: 7 };
    let field = |rows: std::ops::Range<usize>| {
        ReceptiveField::new(map, &[Rectangle::new(rows.clone(), 1..6), Rectangle::new(rows, 2..4)]).unwrap()
    };
    let layer = |rows: usize| FieldLayer::new((0..17).map(|u| field(u % 2..u % 2 + rows)).collect()).unwrap();
    let fields = |rows| {
        let layer = layer(rows);
        let weights = random(1, layer.weights(), "weights").as_slice().to_vec();
        MaskedWeights::fields(context, layer, weights, 9).unwrap()
    };
    let sparse = |density| {
        let pattern = Pattern::random(42, 17, density, Stream::new(3, "mask")).unwrap();
        let matrix = SparseMatrix::from_masked(poisoned_outside(&pattern, "w").view(), pattern).unwrap();
        MaskedWeights::sparse(context, matrix, 9)
    };
    vec![
        (sparse(0.05), Strategy::Sparse),
        (sparse(0.8), Strategy::Dense),
        (fields(1), Strategy::Field),
        (fields(5), Strategy::Dense),
    ]
}

/// Whether unit `j` of 17 sees input `k` of 42, found by asking.
fn sees(weights: &MaskedWeights, context: &mut Context) -> Vec<Vec<bool>> {
    let mut ones = weights.clone();
    ones.update_values(|values| values.fill(1.0));
    let eye = Matrix::from_fn(42, 42, |i, k| if i == k { 1.0 } else { 0.0 });
    let mut y = Matrix::zeros(42, 17);
    ones.forward(context, eye.view(), y.view_mut(), Write::Replace);
    (0..42).map(|k| y.row(k).iter().map(|&v| v != 0.0).collect()).collect()
}

#[test]
fn every_strategy_gives_the_same_within_bounds_and_masked_values_never_leak() {
    for mut context in contexts() {
        for (mut weights, strategy) in chosen(&context) {
            assert_eq!(weights.plan().strategy(), strategy, "{}", weights.plan());
            let seen = sees(&weights, &mut context);
            for poison in [1.0, f32::NAN, f32::INFINITY] {
                // Sample 2 holds the poison in inputs 5 and 11, and unit 3 sends it back in sample 4.
                let (mut x, mut y) = (random(9, 42, "x"), random(9, 17, "y"));
                (x[(2, 5)], x[(2, 11)], y[(4, 3)]) = (poison, poison, poison);
                let (mut forward, mut back) = (Matrix::zeros(9, 17), Matrix::zeros(9, 42));
                weights.forward(&mut context, x.view(), forward.view_mut(), Write::Replace);
                weights.backward(&mut context, y.view(), back.view_mut(), Write::Replace);
                for b in 0..9 {
                    for j in 0..17 {
                        let reached = b == 2 && (seen[5][j] || seen[11][j]) && !poison.is_finite();
                        assert_eq!(!forward[(b, j)].is_finite(), reached, "{strategy} sample {b} unit {j}");
                    }
                    for k in 0..42 {
                        let reached = b == 4 && seen[k][3] && !poison.is_finite();
                        assert_eq!(!back[(b, k)].is_finite(), reached, "{strategy} sample {b} input {k}");
                    }
                }
            }
            // The gradient is the one that finite differences of the (bilinear) products have.
            let (x, y) = (random(9, 42, "x"), random(9, 17, "y"));
            let mut gradient = vec![f32::NAN; weights.values().len()];
            weights.gradient(&mut context, x.view(), y.view(), &mut gradient);
            let total = |weights: &MaskedWeights, context: &mut Context| -> f64 {
                let mut forward = Matrix::zeros(9, 17);
                weights.forward(context, x.view(), forward.view_mut(), Write::Replace);
                forward.as_slice().iter().zip(y.as_slice()).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let before = total(&weights, &mut context);
            for at in [0, gradient.len() / 2, gradient.len() - 1] {
                weights.update_values(|values| values[at] += 1.0);
                let change = total(&weights, &mut context) - before;
                weights.update_values(|values| values[at] -= 1.0);
                assert!((change - f64::from(gradient[at])).abs() < 1e-3, "{strategy}: {change} {}", gradient[at]);
            }
        }
    }
}

#[test]
fn samples_that_are_not_finite_leave_the_others_their_bits_however_many_they_are() {
    for mut context in contexts() {
        for (weights, strategy) in chosen(&context) {
            // Every third sample, of one range each, and fewer than would be copied.
            for step in [3, 8] {
                let (mut x, mut y) = (random(17, 42, "x"), random(17, 17, "y"));
                for (at, sample) in (1..17).step_by(step).enumerate() {
                    let poison = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][at % 3];
                    (x[(sample, (5 * sample) % 42)], y[(sample, (3 * sample) % 17)]) = (poison, poison);
                }
                for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
                    let old = |cols: usize, purpose: &str| match write {
                        Write::Replace => Matrix::from_fn(17, cols, |_, _| f32::NAN),
                        _ => random(17, cols, purpose),
                    };
                    let (mut forward, mut back) = (old(17, "forward"), old(42, "back"));
                    let (mut alone, mut back_alone) = (forward.clone(), back.clone());
                    weights.forward(&mut context, x.view(), forward.view_mut(), write);
                    weights.backward(&mut context, y.view(), back.view_mut(), write);
                    for (b, (forward, back)) in
                        alone.view_mut().row_blocks(1).zip(back_alone.view_mut().row_blocks(1)).enumerate()
                    {
                        weights.forward(&mut context, x.view().rows_range(b..b + 1), forward, write);
                        weights.backward(&mut context, y.view().rows_range(b..b + 1), back, write);
                    }
                    let same = |a: &Matrix, b: &Matrix| bits(a.as_slice()) == bits(b.as_slice());
                    assert!(same(&forward, &alone), "{strategy} {write:?}, every {step}, {context:?}");
                    assert!(same(&back, &back_alone), "{strategy} {write:?}, every {step}, {context:?}");
                }
            }
        }
    }
}

#[test]
fn a_strategy_can_be_told_and_the_choice_made_again() {
    let mut context = Context::new().unwrap();
    for (weights, strategy) in chosen(&context) {
        let own = if weights.pattern().is_some() { Strategy::Sparse } else { Strategy::Field };
        let foreign = if own == Strategy::Sparse { Strategy::Field } else { Strategy::Sparse };
        let error = weights.clone().with_strategy(foreign).unwrap_err().to_string();
        assert!(error.contains(&format!("dense or {own}")) && error.contains(&foreign.to_string()), "{error}");
        let x = random(9, 42, "x");
        let mut of = |weights: &MaskedWeights| {
            let mut y = Matrix::zeros(9, 17);
            weights.forward(&mut context, x.view(), y.view_mut(), Write::Replace);
            y
        };
        let mut products = Vec::new();
        for told in [own, Strategy::Dense] {
            let mut weights = weights.clone().with_strategy(told).unwrap();
            assert_eq!(weights.plan().strategy(), told);
            assert!(weights.plan().to_string().ends_with("batch 9: as it was told"), "{}", weights.plan());
            // What is told holds when values change.
            weights.update_values(|values| values.iter_mut().for_each(|w| *w *= 2.0));
            weights.update_values(|values| values.iter_mut().for_each(|w| *w *= 0.5));
            products.push(of(&weights));
        }
        let chosen_one = usize::from(strategy == Strategy::Dense);
        assert_eq!(products[chosen_one], of(&weights), "{strategy}");
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        assert!(products[0].as_slice().iter().zip(products[1].as_slice()).all(close), "{strategy}");
        // The same plan as from the start, laid out for any set.
        for isa in Isa::available() {
            let context = Context::on(isa).unwrap();
            for batch in [1, 9, 2000] {
                let again = weights.clone().with_strategy(Strategy::Dense).unwrap().planned_for(&context, batch);
                let values = weights.values().to_vec();
                let fresh = match weights.field_layer() {
                    Some(layer) => MaskedWeights::fields(&context, layer.clone(), values, batch).unwrap(),
                    None => {
                        let pattern = weights.pattern().unwrap().clone();
                        MaskedWeights::sparse(&context, SparseMatrix::new(pattern, values).unwrap(), batch)
                    }
                };
                assert_eq!(again.plan(), fresh.plan());
                assert_eq!(of(&again), of(&fresh), "{} {isa}", again.plan());
            }
        }
        let (pattern, layer, values) =
            (weights.pattern().cloned(), weights.field_layer().cloned(), weights.values().to_vec());
        let parts = weights.clone().into_sparse().map(SparseMatrix::into_parts);
        assert_eq!(parts, pattern.map(|pattern| (pattern, values.clone())));
        assert_eq!(weights.into_fields(), layer.map(|layer| (layer, values)));
    }
}

#[test]
fn many_samples_of_dense_weights_follow_the_definition() {
    let pattern = Pattern::random(30, 400, 0.9, Stream::new(3, "mask")).unwrap();
    let dense = poisoned_outside(&pattern, "w");
    let matrix = SparseMatrix::from_masked(dense.view(), pattern).unwrap();
    let x = random(70, 30, "x");
    let present = |k: usize, j: usize| !dense[(k, j)].is_nan();
    let want = reference::masked_product((70, 400, 30), |i, k| x[(i, k)], |k, j| dense[(k, j)], present);
    for mut context in contexts() {
        let weights = MaskedWeights::sparse(&context, matrix.clone(), 70);
        assert_eq!(weights.plan().strategy(), Strategy::Dense);
        let mut y = Matrix::zeros(70, 400);
        weights.forward(&mut context, x.view(), y.view_mut(), Write::Replace);
        assert_within(&y, &y, &want, 30, Write::Replace);
        // Laid out for one set, used on another.
        for isa in Isa::available() {
            let mut other = Matrix::zeros(70, 400);
            weights.forward(&mut Context::on(isa).unwrap(), x.view(), other.view_mut(), Write::Replace);
            assert!(other == y, "{isa}");
        }
    }
}

#[test]
fn what_is_chosen_and_its_bits_are_the_same_on_every_set() {
    let pattern = Pattern::random(40, 60, 0.5, Stream::new(3, "mask")).unwrap();
    let matrix = SparseMatrix::from_masked(random(40, 60, "w").view(), pattern).unwrap();
    let (x, y) = (random(130, 40, "x"), random(130, 60, "y"));
    for batch in [1, 9, 17, 49, 130] {
        let run = |context: &mut Context| {
            let weights = MaskedWeights::sparse(context, matrix.clone(), batch);
            let (mut forward, mut back) = (Matrix::zeros(130, 60), Matrix::zeros(130, 40));
            weights.forward(context, x.view(), forward.view_mut(), Write::Replace);
            weights.backward(context, y.view(), back.view_mut(), Write::Replace);
            let mut gradient = vec![f32::NAN; weights.values().len()];
            weights.gradient(context, x.view(), y.view(), &mut gradient);
            [forward.as_slice(), back.as_slice(), &gradient].map(bits)
        };
        let want = run(&mut Context::on(Isa::Scalar).unwrap());
        for mut context in contexts() {
            assert!(run(&mut context) == want, "batch {batch}, {context:?}");
        }
    }
}

#[test]
fn fields_with_another_number_of_weights_are_refused() {
    let layer = FieldLayer::new(fields::some_fields()).unwrap();
    let result = MaskedWeights::fields(&Context::new().unwrap(), layer, vec![0.0; 3], 8);
    assert!(matches!(result, Err(Error::Length { found: 3, .. })));
}

#[test]
fn weights_can_be_written_out_and_made_again() {
    let context = Context::new().unwrap();
    for (weights, strategy) in chosen(&context) {
        assert_eq!((weights.inputs(), weights.units(), weights.plan().batch()), (42, 17, 9), "{strategy}");
        assert_eq!(weights.entries(), weights.values().len(), "{strategy}");
        let share = weights.entries() as f64 / (42.0 * 17.0);
        assert_eq!((weights.density(), weights.plan().density()), (share, share), "{strategy}");
        let values = weights.values().to_vec();
        let again = match (weights.pattern(), weights.field_layer()) {
            (Some(pattern), None) => {
                let (offsets, indices) = (pattern.offsets().to_vec(), pattern.indices().to_vec());
                let pattern = Pattern::new(42, 17, offsets, indices).unwrap();
                MaskedWeights::sparse(&context, SparseMatrix::new(pattern, values).unwrap(), 9)
            }
            (None, Some(layer)) => {
                let field = |field: &ReceptiveField| ReceptiveField::new(layer.map(), field.rectangles()).unwrap();
                let layer = FieldLayer::new(layer.fields().iter().map(field).collect()).unwrap();
                MaskedWeights::fields(&context, layer, values, 9).unwrap()
            }
            both => panic!("{strategy}: {both:?}"),
        };
        let x = random(9, 42, "x");
        let of = |weights: &MaskedWeights| {
            let mut y = Matrix::zeros(9, 17);
            weights.forward(&mut Context::new().unwrap(), x.view(), y.view_mut(), Write::Replace);
            y
        };
        assert_eq!(of(&again), of(&weights), "{strategy}");
    }
}

#[test]
#[should_panic(expected = "MaskedWeights::gradient: 2 values for 6 weights")]
fn a_gradient_has_a_value_for_every_weight() {
    let matrix = SparseMatrix::new(Pattern::full(2, 3).unwrap(), vec![0.0; 6]).unwrap();
    let weights = MaskedWeights::sparse(&Context::new().unwrap(), matrix, 1);
    let (x, y) = (Matrix::zeros(1, 2), Matrix::zeros(1, 3));
    weights.gradient(&mut Context::new().unwrap(), x.view(), y.view(), &mut [0.0; 2]);
}

#[test]
#[should_panic(expected = "MaskedWeights::forward: x is 1 x 3, the weights are 2 x 3, y is 1 x 3")]
fn masked_weights_name_disagreeing_shapes() {
    let matrix = SparseMatrix::new(Pattern::full(2, 3).unwrap(), vec![0.0; 6]).unwrap();
    let weights = MaskedWeights::sparse(&Context::new().unwrap(), matrix, 1);
    let (x, mut y) = (Matrix::zeros(1, 3), Matrix::zeros(1, 3));
    weights.forward(&mut Context::new().unwrap(), x.view(), y.view_mut(), Write::Replace);
}
