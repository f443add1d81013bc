use super::*;

const MAP: Map = Map { rows: 20, cols: 40 };

fn setting_names(result: crate::Result<ReceptiveField>) -> (String, String) {
    match result {
        Err(Error::Setting { name, found, .. }) => (name, found),
        other => panic!("expected an error of setting, got {other:?}"),
    }
}

#[test]
fn a_zero_sized_map_is_refused() {
    for map in [Map { rows: 0, cols: 4 }, Map { rows: 4, cols: 0 }] {
        assert_eq!(setting_names(ReceptiveField::new(map, &[Rectangle::new(0..1, 0..1)])).0, "map");
    }
}

#[test]
fn a_map_beyond_counting_is_refused() {
    for map in [Map { rows: usize::MAX, cols: 2 }, Map { rows: 1 << 16, cols: 1 << 15 }] {
        assert_eq!(setting_names(ReceptiveField::new(map, &[Rectangle::new(0..1, 0..1)])).0, "map");
    }
}

#[test]
fn a_field_of_no_rectangles_or_of_empty_ones_is_refused() {
    assert_eq!(setting_names(ReceptiveField::new(MAP, &[])).1, "none");
    #[allow(clippy::reversed_empty_ranges)]
    for empty in [Rectangle::new(3..3, 0..5), Rectangle::new(0..5, 7..7), Rectangle::new(5..2, 0..5)] {
        let found = setting_names(ReceptiveField::new(MAP, &[Rectangle::new(0..1, 0..1), empty.clone()]));
        assert_eq!(found, ("receptive field".to_owned(), empty.to_string()));
    }
}

#[test]
fn a_field_outside_the_map_is_refused() {
    for outside in [Rectangle::new(11..21, 0..5), Rectangle::new(0..5, 31..41), Rectangle::new(0..usize::MAX, 0..1)] {
        let found = setting_names(ReceptiveField::new(MAP, &[Rectangle::new(0..20, 0..40), outside.clone()]));
        assert_eq!(found, ("receptive field".to_owned(), outside.to_string()));
    }
}

#[test]
fn runs_list_the_columns_in_order_and_merge_where_they_touch() {
    let field = ReceptiveField::new(MAP, &[Rectangle::new(1..3, 5..8), Rectangle::new(1..3, 5..8)]).unwrap();
    assert_eq!(field.len(), 12, "a rectangle given twice counts twice");
    assert_eq!(field.columns().collect::<Vec<_>>(), [45, 46, 47, 85, 86, 87, 45, 46, 47, 85, 86, 87]);
    let rows = ReceptiveField::new(MAP, &[Rectangle::new(2..5, 0..40)]).unwrap();
    assert_eq!(rows.runs(), &[Run { start: 80, len: 120 }]);
}

/// Fields with runs below, at and above the lanes, one column, whole rows, overlaps.
pub(super) fn some_fields() -> Vec<ReceptiveField> {
    [
        vec![Rectangle::new(0..10, 20..30), Rectangle::new(0..10, 20..30)],
        vec![Rectangle::new(19..20, 39..40)],
        vec![Rectangle::new(3..7, 0..40)],
        vec![Rectangle::new(0..20, 5..15), Rectangle::new(4..9, 10..26), Rectangle::new(4..6, 9..26)],
        vec![Rectangle::new(0..3, 0..15), Rectangle::new(0..3, 1..34), Rectangle::new(0..1, 7..39)],
    ]
    .iter()
    .map(|rectangles| ReceptiveField::new(MAP, rectangles).unwrap())
    .collect()
}

#[test]
fn gathering_copies_and_scattering_adds_exactly_the_field() {
    for field in some_fields() {
        for batch in [0, 1, 5, 65] {
            let mut x = random(batch, MAP.len(), "x");
            let inside: std::collections::HashSet<usize> = field.columns().collect();
            for b in 0..batch {
                for (col, value) in x.row_mut(b).iter_mut().enumerate() {
                    if !inside.contains(&col) {
                        *value = f32::NAN;
                    }
                }
            }
            let mut want = Matrix::zeros(batch, field.len());
            reference::gather(x.view(), &field, want.view_mut());
            let mut back = x.clone();
            reference::scatter_add(want.view(), &field, back.view_mut());
            for mut context in contexts() {
                // A stride and canaries behind every row.
                let stride = field.len() + 3;
                let mut out = vec![7.0; batch * stride];
                let view = MatMut::with_stride(&mut out, batch, field.len(), stride).unwrap();
                gather(&mut context, x.view(), &field, view);
                for b in 0..batch {
                    assert_eq!(&out[b * stride..b * stride + field.len()], want.row(b));
                    assert_eq!(out[b * stride + field.len()..(b + 1) * stride], [7.0; 3]);
                }
                let mut got = x.clone();
                scatter_add(&mut context, want.view(), &field, got.view_mut());
                assert_eq!(bits(got.as_slice()), bits(back.as_slice()), "{context:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "gather: the maps are 2 x 799, the field has 1 of 20 x 40 values, what is gathered is 2 x 1")]
fn gather_names_disagreeing_shapes() {
    let field = ReceptiveField::new(MAP, &[Rectangle::new(0..1, 0..1)]).unwrap();
    gather(&mut Context::new().unwrap(), Matrix::zeros(2, 799).view(), &field, Matrix::zeros(2, 1).view_mut());
}

/// Units anywhere on the map, some seeing a place twice, some whole rows, one a single value; more than a block of units.
fn layers() -> Vec<FieldLayer> {
    let one = some_fields();
    let many = (0..131).map(|u| {
        let (r, c) = (u * 7 % 11, u * 13 % 31);
        let second = Rectangle::new(u % 13..u % 13 + 7, u % 23..u % 23 + 17);
        ReceptiveField::new(MAP, &[Rectangle::new(r..r + 10, c..c + 10), second]).unwrap()
    });
    let wide = Map { rows: 2, cols: 3000 };
    let wide_fields =
        [0, 1, 2].map(|u| ReceptiveField::new(wide, &[Rectangle::new(u % 2..2, u * 900..3000 - u)]).unwrap());
    let tiny = ReceptiveField::new(Map { rows: 1, cols: 1 }, &[Rectangle::new(0..1, 0..1)]).unwrap();
    [one, many.collect(), wide_fields.into(), vec![tiny]].map(|fields| FieldLayer::new(fields).unwrap()).into()
}

#[test]
fn a_layer_of_no_fields_or_of_fields_on_different_maps_is_refused() {
    assert!(matches!(FieldLayer::new(vec![]), Err(Error::Setting { .. })));
    let other = ReceptiveField::new(Map { rows: 3, cols: 3 }, &[Rectangle::new(0..1, 0..1)]).unwrap();
    let found = FieldLayer::new(vec![some_fields()[0].clone(), other]).unwrap_err().to_string();
    assert_eq!(found, "receptive field of unit 1: expected a map of 20 x 40, found 3 x 3");
}

/// Each column is seen by some field, or holds NaN.
fn nan_where_unseen(layer: &FieldLayer, mut x: Matrix) -> Matrix {
    let seen: std::collections::HashSet<usize> = layer.fields().iter().flat_map(|field| field.columns()).collect();
    for b in 0..x.rows() {
        for (column, value) in x.row_mut(b).iter_mut().enumerate() {
            if !seen.contains(&column) {
                *value = f32::NAN;
            }
        }
    }
    x
}

#[test]
fn field_layers_stay_within_their_bound_on_every_set_with_the_same_bits() {
    for layer in layers() {
        let (units, map) = (layer.units(), layer.map().len());
        let weights = random(1, layer.weights(), "weights");
        for batch in [0, 1, 16, 33, 130] {
            let x = nan_where_unseen(&layer, random(batch, map, "x"));
            let y = random(batch, units, "y");
            let forward = reference::field_matmul(x.view(), &layer, weights.as_slice());
            let back = reference::field_matmul_nt(y.view(), &layer, weights.as_slice());
            let gradient = reference::field_weight_gradient(x.view(), y.view(), &layer);
            for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
                let start = |rows, cols, purpose| {
                    let old = random(rows, cols, purpose);
                    if write == Write::Replace { Matrix::from_fn(rows, cols, |_, _| f32::NAN) } else { old }
                };
                let (old_y, old_x) = (start(batch, units, "old y"), start(batch, map, "old x"));
                let mut first: Option<[Vec<u32>; 3]> = None;
                for mut context in contexts() {
                    let (mut got, mut sent) = (old_y.clone(), old_x.clone());
                    let mut slopes = Matrix::from_fn(1, layer.weights(), |_, _| f32::NAN);
                    field_matmul(&mut context, x.view(), &layer, weights.as_slice(), got.view_mut(), write);
                    assert_within(&got, &old_y, &forward, 2 * map, write);
                    field_matmul_nt(&mut context, y.view(), &layer, weights.as_slice(), sent.view_mut(), write);
                    assert_within(&sent, &old_x, &back, 2 * units, write);
                    field_weight_gradient(&mut context, x.view(), y.view(), &layer, slopes.as_mut_slice());
                    assert_within(&slopes, &slopes, &gradient, 12 + batch / 128, Write::Replace);
                    let all = [bits(got.as_slice()), bits(sent.as_slice()), bits(slopes.as_slice())];
                    assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "{context:?} batch {batch}");
                }
            }
        }
    }
}

#[test]
fn a_sample_has_its_bits_however_many_there_are_beside_it() {
    for layer in layers() {
        let weights = random(1, layer.weights(), "weights");
        let (x, old) = (random(40, layer.map().len(), "x"), random(40, layer.units(), "old y"));
        let of_first = |threads: Threads, isa, batch: usize| {
            let mut context = Context::on(isa).unwrap().with_threads(threads);
            let mut y = Matrix::from_fn(batch, layer.units(), |b, u| old[(b, u)]);
            let (x, write) = (x.view().rows_range(0..batch), Write::Add(0.5));
            field_matmul(&mut context, x, &layer, weights.as_slice(), y.view_mut(), write);
            bits(y.as_slice())
        };
        for isa in Isa::available() {
            let many = of_first(Threads::ONE, isa, 40);
            for batch in [1, 2, 3, 5, 8, 9, 17] {
                for threads in [Threads::ONE, Threads::always(3).unwrap()] {
                    let few = of_first(threads, isa, batch);
                    assert_eq!(few, many[..few.len()], "{isa}, {batch} samples, {threads:?}");
                }
            }
        }
    }
}

#[test]
fn a_batch_of_nothing_asks_for_no_scratch() {
    // A map whose panels alone would be 4 GB.
    let map = Map { rows: 1 << 15, cols: 1 << 15 };
    let field = ReceptiveField::new(map, &[Rectangle::new(0..1, 0..1)]).unwrap();
    let layer = FieldLayer::new(vec![field]).unwrap();
    let (mut x, mut y) = (Matrix::zeros(0, map.len()), Matrix::zeros(0, 1));
    let mut context = Context::new().unwrap();
    let before = context.scratch([0])[0].as_ptr();
    field_matmul(&mut context, x.view(), &layer, &[1.0], y.view_mut(), Write::Replace);
    field_matmul_nt(&mut context, y.view(), &layer, &[1.0], x.view_mut(), Write::Replace);
    assert_eq!(context.scratch([0])[0].as_ptr(), before);
}

#[test]
fn masked_and_gathered_forms_agree() {
    let field = &some_fields()[0];
    let layer = FieldLayer::new(vec![field.clone(); 3]).unwrap();
    let (x, weights) = (random(20, MAP.len(), "x"), random(3, field.len(), "weights"));
    let mut context = Context::new().unwrap();
    let (mut gathered, mut want, mut got) =
        (Matrix::zeros(20, field.len()), Matrix::zeros(20, 3), Matrix::zeros(20, 3));
    gather(&mut context, x.view(), field, gathered.view_mut());
    crate::kernels::dense::matmul_nt(&mut context, gathered.view(), weights.view(), want.view_mut(), Write::Replace);
    field_matmul(&mut context, x.view(), &layer, weights.as_slice(), got.view_mut(), Write::Replace);
    for (got, want) in got.as_slice().iter().zip(want.as_slice()) {
        assert!((got - want).abs() <= 2.0 * gamma(field.len()) as f32 * field.len() as f32);
    }
}

#[test]
#[should_panic(expected = "field_matmul: the maps are 2 x 800, the layer has")]
fn field_products_name_disagreeing_shapes() {
    let layer = FieldLayer::new(some_fields()).unwrap();
    let (maps, mut y) = (Matrix::zeros(2, 800), Matrix::zeros(3, layer.units()));
    let weights = vec![0.0; layer.weights()];
    field_matmul(&mut Context::new().unwrap(), maps.view(), &layer, &weights, y.view_mut(), Write::Replace);
}
