use super::*;

fn length_of(result: crate::Result<Pattern>) -> (usize, usize) {
    match result {
        Err(Error::Length { expected, found, .. }) => (expected, found),
        other => panic!("expected an error of length, got {other:?}"),
    }
}

fn message(result: crate::Result<Pattern>) -> String {
    result.expect_err("a malformed pattern").to_string()
}

#[test]
fn a_pattern_with_too_few_or_too_many_offsets_is_refused() {
    assert_eq!(length_of(Pattern::new(2, 3, vec![0, 1], vec![0])), (3, 2));
    assert_eq!(length_of(Pattern::new(2, 3, vec![0, 1, 1, 1], vec![0])), (3, 4));
    assert_eq!(length_of(Pattern::new(0, 3, vec![], vec![])), (1, 0));
}

#[test]
fn a_pattern_whose_first_offset_is_not_zero_is_refused() {
    assert_eq!(message(Pattern::new(1, 3, vec![1, 1], vec![0])), "pattern, offset 0: expected 0, found 1");
}

#[test]
fn a_pattern_with_decreasing_offsets_is_refused() {
    let found = message(Pattern::new(2, 3, vec![0, 2, 1], vec![0]));
    assert_eq!(found, "pattern, offset 2: expected 2 or more, found 1");
}

#[test]
fn a_pattern_whose_last_offset_is_not_the_number_of_indices_is_refused() {
    assert_eq!(length_of(Pattern::new(1, 3, vec![0, 2], vec![0])), (2, 1));
    assert_eq!(length_of(Pattern::new(1, 3, vec![0, 1], vec![0, 1])), (1, 2));
}

#[test]
fn a_pattern_with_an_index_out_of_range_is_refused() {
    let found = message(Pattern::new(2, 3, vec![0, 1, 2], vec![2, 3]));
    assert_eq!(found, "pattern, row 1, entry 0: expected a column below 3, found 3");
    assert!(Pattern::new(1, 3, vec![0, 1], vec![u32::MAX]).is_err());
}

#[test]
fn a_pattern_with_unsorted_indices_is_refused() {
    let found = message(Pattern::new(1, 3, vec![0, 2], vec![2, 0]));
    assert_eq!(found, "pattern, row 0, entry 1: expected a column above 2, found 0");
}

#[test]
fn a_pattern_with_a_repeated_index_is_refused() {
    let found = message(Pattern::new(1, 3, vec![0, 2], vec![1, 1]));
    assert_eq!(found, "pattern, row 0, entry 1: expected a column above 1, found 1");
}

#[test]
fn a_shape_that_31_bits_cannot_number_is_refused() {
    for (rows, cols) in [(1 << 31, 0), (0, 1 << 31), (usize::MAX, 2)] {
        let found = message(Pattern::new(rows, cols, vec![0], vec![]));
        assert_eq!(found, format!("pattern: expected fewer than 2^31 rows and columns, found {rows} x {cols}"));
    }
}

#[test]
fn a_bit_mask_of_the_wrong_length_or_with_bits_beyond_is_refused() {
    assert_eq!(length_of(Pattern::from_bits(5, 13, &[0])), (2, 1));
    assert!(message(Pattern::from_bits(5, 13, &[0, 2])).contains("no bit set beyond the 65 entries"));
    assert_eq!(Pattern::from_bits(5, 13, &[0, 1]).unwrap().row(4), &[12]);
}

#[test]
fn a_density_that_is_no_probability_is_refused() {
    for density in [-0.1, 1.1, f64::NAN] {
        assert!(message(Pattern::random(2, 2, density, Stream::new(0, "p"))).starts_with("density: expected 0 to 1"));
    }
}

#[test]
fn patterns_from_dense_from_bits_and_from_a_function_agree() {
    let dense = Matrix::from_fn(9, 29, |r, c| if (r * 29 + c) % 3 == 0 { 1.0 } else { -0.0 });
    let want = Pattern::from_fn(9, 29, |r, c| (r * 29 + c).is_multiple_of(3)).unwrap();
    assert_eq!(Pattern::from_dense(dense.view()).unwrap(), want);
    let mut bits = vec![0u64; (9 * 29usize).div_ceil(64)];
    (0..9 * 29).step_by(3).for_each(|bit| bits[bit / 64] |= 1 << (bit % 64));
    assert_eq!(Pattern::from_bits(9, 29, &bits).unwrap(), want);
    assert_eq!(Pattern::new(9, 29, want.offsets().to_vec(), want.indices().to_vec()).unwrap(), want);
}

#[test]
fn a_pattern_contains_its_entries_and_nothing_outside() {
    let there = |row: usize, col: usize| (row * 5 + col * 3) % 4 == 1;
    let pattern = Pattern::from_fn(9, 13, there).unwrap();
    for row in 0..12 {
        for col in 0..16 {
            assert_eq!(pattern.contains(row, col), row < 9 && col < 13 && there(row, col), "{row}, {col}");
        }
    }
    // No column modulo 2^32.
    assert!(pattern.contains(1, 0) && !pattern.contains(1, 1 << 32));
    let (rows, values) = (pattern.clone(), vec![0.5; pattern.entries()]);
    assert_eq!(SparseMatrix::new(pattern, values.clone()).unwrap().into_parts(), (rows, values));
}

#[test]
fn random_patterns_have_their_density_and_repeat() {
    let stream = Stream::new(7, "mask");
    for density in [0.0, 0.01, 0.3, 1.0] {
        let pattern = Pattern::random(300, 400, density, stream).unwrap();
        // Five standard deviations of a binomial share.
        let spread = 5.0 * (density * (1.0 - density) / 120_000.0f64).sqrt();
        assert!((pattern.density() - density).abs() <= spread, "{density}: {}", pattern.density());
        assert_eq!(pattern, Pattern::random(300, 400, density, stream).unwrap());
    }
}
