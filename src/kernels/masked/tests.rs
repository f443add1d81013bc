use super::*;
use crate::Context;
use crate::error::Error;
use crate::matrix::{MatMut, Matrix};
use crate::parallel::Threads;
use crate::random::Stream;
use crate::simd::Isa;

fn random(rows: usize, cols: usize, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(5, purpose).item((rows * 10_000 + cols) as u64).uniform(-1.0, 1.0, matrix.as_mut_slice());
    matrix
}

/// Every instruction set on one thread, and the best on several.
fn contexts() -> Vec<Context> {
    let several = [2, 3, 7].map(|n| Context::new().unwrap().with_threads(Threads::new(n).unwrap()));
    Isa::available().map(|isa| Context::on(isa).unwrap()).chain(several).collect()
}

fn bits(matrix: &Matrix) -> Vec<u32> {
    matrix.as_slice().iter().map(|v| v.to_bits()).collect()
}

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
fn fields() -> Vec<ReceptiveField> {
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
    for field in fields() {
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
                assert_eq!(bits(&got), bits(&back), "{context:?}");
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
