use super::*;
use crate::simd::pages::LARGE;

#[test]
fn owned_matrices_start_on_a_cache_line_and_stay_there_when_cloned() {
    for len in [0, 1, 7, 100] {
        let matrix = Matrix::from_fn(len, 3, |r, c| (r * 3 + c) as f32);
        let copy = matrix.clone();
        assert_eq!(copy, matrix);
        for m in [&matrix, &copy] {
            assert_eq!(m.as_slice().as_ptr() as usize % 64, 0);
        }
    }
}

// Miri takes an hour for borrows of so many values.
#[cfg(not(miri))]
#[test]
fn large_matrices_start_on_a_large_page() {
    for (len, alignment) in [(LARGE / 4 - 1, 64), (LARGE / 4, LARGE), (3 * LARGE / 4 + 7, LARGE)] {
        let mut matrix = Matrix::zeros(1, len);
        assert_eq!(matrix.as_slice().as_ptr() as usize % alignment, 0, "{len}");
        assert!(matrix.as_slice().iter().all(|&value| value == 0.0));
        matrix.as_mut_slice().fill(1.0);
        assert_eq!(matrix.clone(), matrix);
    }
}

#[test]
fn views_refuse_slices_that_are_short_or_long() {
    let values = [0.0; 12];
    assert!(MatRef::new(&values, 3, 4).is_ok());
    for (rows, cols) in [(3, 5), (2, 4), (4, 4), (usize::MAX, 2), (usize::MAX, usize::MAX)] {
        assert!(MatRef::new(&values, rows, cols).is_err(), "{rows} x {cols}");
    }
    assert!(MatRef::with_stride(&values, 2, 3, 9).is_ok());
    assert!(MatRef::with_stride(&values, 2, 4, 9).is_err());
    assert!(MatRef::with_stride(&values, 2, 4, 3).is_err(), "rows must not overlap");
    assert!(MatRef::with_stride(&values, 1, 4, 0).is_ok(), "one row overlaps nothing");
    assert!(MatRef::new(&[], 0, 5).is_ok());
}

#[test]
fn matrices_are_equal_if_shape_and_values_are() {
    let matrix = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3).unwrap();
    assert_eq!((matrix.rows(), matrix.cols()), (2, 3));
    assert_eq!(matrix, Matrix::from_fn(2, 3, |r, c| (3 * r + c + 1) as f32));
    assert_ne!(matrix, Matrix::from_slice(matrix.as_slice(), 3, 2).unwrap());
    let mut other = matrix.clone();
    assert_eq!(other[(1, 0)], 4.0);
    other[(1, 0)] = -4.0;
    assert_eq!(other.as_slice(), [1.0, 2.0, 3.0, -4.0, 5.0, 6.0]);
    assert_ne!(matrix, other);
}

#[test]
fn only_rows_without_gaps_are_one_slice() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0];
    let slice = |rows, cols, stride| MatRef::with_stride(&values, rows, cols, stride).unwrap().as_contiguous();
    assert_eq!(slice(2, 2, 2), Some(&values[..4]));
    assert_eq!(slice(2, 2, 3), None);
    assert_eq!(slice(1, 2, 3), Some(&values[..2]));
    assert_eq!(slice(0, 2, 3), Some(&[][..]));
}

#[test]
fn transposes_of_any_shape_have_each_value_in_its_place() {
    for (rows, cols) in [(0, 0), (0, 3), (3, 0), (1, 1), (1, 40), (16, 16), (17, 15), (33, 50)] {
        let matrix = Matrix::from_fn(rows, cols + 2, |r, c| (100 * r + c) as f32);
        let transposed = matrix.view().columns(1..cols + 1).transposed();
        assert_eq!((transposed.rows(), transposed.cols()), (cols, rows));
        for row in 0..cols {
            for (col, &value) in transposed.row(row).iter().enumerate() {
                assert_eq!(value, (100 * col + row + 1) as f32);
            }
        }
    }
    assert_eq!(MatRef::new(&[], isize::MAX as usize, 0).unwrap().transposed().rows(), 0);
}

#[test]
fn sub_views_reach_the_same_values() {
    let matrix = Matrix::from_fn(5, 6, |r, c| (10 * r + c) as f32);
    let part = matrix.view().rows_range(1..4).columns(2..5);
    assert_eq!((part.rows(), part.cols(), part.stride()), (3, 3, 6));
    assert_eq!(part.row(2), &[32.0, 33.0, 34.0]);
    assert_eq!(part.to_owned().transposed().row(1), &[13.0, 23.0, 33.0]);
    assert_eq!(matrix.view().rows_range(5..5).rows(), 0);
    assert_eq!(matrix.view().columns(6..6).row(4), &[] as &[f32]);
}

#[test]
fn views_to_change_reach_the_same_values_by_parts_and_rows() {
    let mut matrix = Matrix::from_fn(5, 6, |r, c| (10 * r + c) as f32);
    let expected = matrix.view().rows_range(1..4).columns(2..5).to_owned();
    let part = matrix.view_mut().rows_range(1..4).columns(2..5);
    assert_eq!((part.rows(), part.cols(), part.stride()), (3, 3, 6));
    assert_eq!(part.as_ref().to_owned(), expected);
    let mut rows = part.into_rows();
    assert_eq!(rows.len(), 3);
    // All of them at once, as they are apart.
    let mut all = [rows.next().unwrap(), rows.next().unwrap(), rows.next().unwrap()];
    assert!(rows.next().is_none() && rows.len() == 0);
    drop(rows);
    for (number, row) in all.iter_mut().enumerate() {
        assert_eq!(**row, *expected.row(number));
        row.fill(-1.0);
    }
    let inside = |r, c| (1..4).contains(&r) && (2..5).contains(&c);
    assert_eq!(matrix, Matrix::from_fn(5, 6, |r, c| if inside(r, c) { -1.0 } else { (10 * r + c) as f32 }));
    let mut view = matrix.view_mut();
    assert_eq!(view.reborrow().rows_range(5..5).rows(), 0);
    assert_eq!(view.reborrow().columns(6..6).row(4), &[] as &[f32]);
    assert!(view.columns(0..0).into_rows().all(|row| row.is_empty()));
}

#[test]
fn parts_out_of_range_are_refused() {
    let refused = |part: fn(MatMut<'_>) -> usize| {
        let mut matrix = Matrix::zeros(3, 2);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| part(matrix.view_mut()))).is_err()
    };
    assert!(refused(|view| view.rows_range(1..4).rows()) && refused(|view| view.columns(1..3).cols()));
    #[allow(clippy::reversed_empty_ranges, reason = "these are what is refused")]
    let reversed = refused(|view| view.rows_range(2..1).rows()) && refused(|view| view.columns(2..1).cols());
    assert!(reversed && !refused(|view| view.rows_range(3..3).rows()));
}

#[test]
fn row_blocks_cover_every_row_once() {
    let mut matrix = Matrix::zeros(7, 3);
    let mut first = 0;
    let mut blocks = MatMut::with_stride(matrix.as_mut_slice(), 7, 2, 3).unwrap().row_blocks(3);
    for left in (0..3).rev() {
        let mut block = blocks.next().unwrap();
        assert_eq!(blocks.len(), left);
        for row in 0..block.rows() {
            block.row_mut(row).fill((first + row + 1) as f32);
            assert_eq!((block.row(row), block.stride()), (&[(first + row + 1) as f32; 2][..], 3));
            assert_eq!(block[(row, 1)], (first + row + 1) as f32);
        }
        first += block.rows();
    }
    assert!(blocks.next().is_none());
    for row in 0..7 {
        assert_eq!(matrix.row(row), &[(row + 1) as f32, (row + 1) as f32, 0.0]);
    }
}

#[test]
#[should_panic(expected = "row 3 of a matrix of 3 rows")]
fn a_row_out_of_range_names_both() {
    Matrix::zeros(3, 2).view().row(3);
}

#[test]
#[should_panic(expected = "row 18446744073709551615 of a matrix of 3 rows")]
#[cfg(target_pointer_width = "64")]
fn so_does_one_beyond_counting_of_an_owned_matrix() {
    let _ = Matrix::zeros(3, 2)[(usize::MAX, 0)];
}

#[test]
#[should_panic(expected = "matrix does not fit in memory")]
fn a_matrix_beyond_the_address_space_is_refused() {
    Matrix::zeros(1, usize::MAX);
}

#[test]
#[should_panic(expected = "matrix does not fit in memory")]
fn so_is_one_whose_bytes_are_beyond_it() {
    Matrix::zeros(isize::MAX as usize / 4, 1);
}

#[test]
fn debug_output_is_the_shape_the_first_values_and_dots() {
    let matrix = |rows, cols| Matrix::from_fn(rows, cols, |row, col| (100 * row + col) as f32);
    assert_eq!(format!("{:?}", matrix(2, 2)), "2 x 2 [[0.0, 1.0], [100.0, 101.0]]");
    let long = format!("{:?}", matrix(20, 1));
    assert!(long.contains("[1500.0]") && long.ends_with(", ..]") && !long.contains("1600"), "{long}");
    let wide = format!("{:?}", matrix(1, 1000));
    assert!(wide.contains("15.0") && wide.ends_with(", ..]]") && !wide.contains("16.0"), "{wide}");
    let just = format!("{:?}", matrix(1, 16).view());
    assert!(just.starts_with("1 x 16 [[0.0, ") && just.ends_with(", 15.0]]"), "{just}");
    assert_eq!(matrix(3, 4).view()[(2, 3)], 203.0);
}

#[test]
fn panics_are_at_the_callers_line() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let hook = std::panic::take_hook();
    let file = seen.clone();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("panics here") {
            *file.lock().unwrap() = info.location().map_or(String::new(), |place| place.file().to_owned());
        }
    }));
    let builder = std::thread::Builder::new().name("panics here".to_owned());
    assert!(builder.spawn(|| Matrix::zeros(usize::MAX, 2)).unwrap().join().is_err());
    std::panic::set_hook(hook);
    assert!(seen.lock().unwrap().ends_with("tests.rs"), "{}", seen.lock().unwrap());
}

#[test]
fn strides_that_lead_nowhere_are_not_kept() {
    // Rows of no columns need no memory, whatever their stride.
    let empty = MatRef::with_stride(&[], 3, 0, 5).unwrap();
    assert_eq!((empty.row(2), empty.stride()), (&[][..], 0));
    let mut none = [];
    assert!(MatMut::with_stride(&mut none, 3, 0, usize::MAX / 2).unwrap().row_mut(2).is_empty());
    let one = MatRef::with_stride(&[1.0], 1, 1, usize::MAX).unwrap();
    assert_eq!((one[(0, 0)], one.stride()), (1.0, 1));
    #[cfg(feature = "faer")]
    assert_eq!(one.to_faer()[(0, 0)], 1.0);
}

#[cfg(feature = "faer")]
#[test]
fn faer_round_trip_is_the_same_memory() {
    let matrix = Matrix::from_fn(4, 5, |r, c| (10 * r + c) as f32);
    let part = matrix.view().columns(1..4);
    let faer = part.to_faer();
    assert_eq!(faer[(3, 2)], 33.0);
    let back = MatRef::from_faer(faer).unwrap();
    assert_eq!(back.row(3), part.row(3));
    assert_eq!(back.row(3).as_ptr(), part.row(3).as_ptr());
    assert!(MatRef::from_faer(faer.transpose()).is_none(), "columns are not rows");
}

#[cfg(feature = "faer")]
#[test]
fn faer_views_with_padded_rows_are_read_and_written_in_place() {
    // faer pads its columns: the transpose has gaps between its rows.
    let mut columns = faer::Mat::<f32>::from_fn(5, 3, |r, c| (10 * c + r) as f32);
    let view = MatRef::from_faer(columns.as_ref().transpose()).unwrap();
    assert_eq!((view.rows(), view.cols()), (3, 5));
    assert_eq!(view.row(2), &[20.0, 21.0, 22.0, 23.0, 24.0]);
    let mut view = MatMut::from_faer(columns.as_mut().transpose_mut()).unwrap();
    view[(1, 4)] = -1.0;
    assert!(format!("{view:?}").starts_with("3 x 5 [[0.0, 1.0"));
    view.into_faer()[(2, 0)] = -2.0;
    assert_eq!((columns[(4, 1)], columns[(0, 2)]), (-1.0, -2.0));
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_views_are_the_same_memory_if_their_rows_are_contiguous() {
    let mut array = ndarray::Array2::from_shape_fn((4, 6), |(r, c)| (10 * r + c) as f32);
    let part = array.slice(ndarray::s![1..3, 2..5]);
    let view = MatRef::from_ndarray(part).unwrap();
    assert_eq!((view.rows(), view.cols(), view.stride()), (2, 3, 6));
    assert_eq!(view.row(1), &[22.0, 23.0, 24.0]);
    assert!(MatRef::from_ndarray(array.t()).is_none(), "columns are not rows");
    assert!(MatRef::from_ndarray(array.slice(ndarray::s![..;-1, ..])).is_none(), "rows run backwards");
    MatMut::from_ndarray(array.slice_mut(ndarray::s![.., 1..3])).unwrap().fill(7.0);
    assert_eq!(array[(3, 2)], 7.0);
    assert_eq!(array[(3, 3)], 33.0);
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_sees_a_block_of_a_matrix_in_place() {
    let mut matrix = Matrix::from_fn(4, 5, |row, col| (10 * row + col) as f32);
    let block = matrix.view().rows_range(1..3).columns(2..5);
    let seen = block.to_ndarray();
    assert_eq!((seen.dim(), seen.strides()), ((2, 3), &[5, 1][..]));
    assert_eq!(seen, ndarray::array![[12.0, 13.0, 14.0], [22.0, 23.0, 24.0]]);
    assert_eq!(seen.as_ptr(), block.row(0).as_ptr());
    matrix.view_mut().split_columns(3).1.into_ndarray().row_mut(3).fill(7.0);
    assert_eq!(
        (matrix.row(3), matrix.row(2)),
        (&[30.0, 31.0, 32.0, 7.0, 7.0][..], &[20.0, 21.0, 22.0, 23.0, 24.0][..])
    );
    for (rows, cols) in [(0, 3), (3, 0), (0, 0), (1, 1)] {
        let mut matrix = Matrix::zeros(rows, cols);
        assert_eq!(matrix.view().to_ndarray().dim(), (rows, cols));
        assert_eq!(matrix.view_mut().into_ndarray().dim(), (rows, cols));
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_steps_over_rows_and_columns_without_values_in_place() {
    let mut whole = Matrix::zeros(3, 4);
    let (no_columns, no_rows) = (whole.view().columns(4..4), whole.view().rows_range(3..3));
    for empty in [MatRef::new(&[], 3, 0).unwrap(), no_columns] {
        let seen = empty.to_ndarray();
        assert_eq!((seen.dim(), seen.row(2).len(), seen.row(2).as_ptr()), ((3, 0), 0, seen.as_ptr()));
    }
    for empty in [MatRef::new(&[], 0, 4).unwrap(), no_rows] {
        let seen = empty.to_ndarray();
        assert_eq!((seen.dim(), seen.column(3).len(), seen.column(3).as_ptr()), ((0, 4), 0, seen.as_ptr()));
    }
    let mut empty = whole.view_mut().split_columns(4).1.into_ndarray();
    let start = empty.as_ptr();
    assert_eq!((empty.dim(), empty.row_mut(2).as_ptr()), ((3, 0), start));
}

#[test]
fn no_more_rows_or_columns_than_pointers_step_over() {
    let most = isize::MAX as usize;
    let shape = |rows, cols| MatRef::new(&[], rows, cols).map(|view| (view.rows(), view.cols()));
    assert_eq!((shape(most, 0).unwrap(), shape(0, most).unwrap()), ((most, 0), (0, most)));
    let message = |error: crate::Error| error.to_string();
    for (rows, cols) in [(most + 1, 0), (0, most + 1), (usize::MAX, 0), (0, usize::MAX)] {
        let expected = format!(
            "matrix shape: expected a size that fits in memory, at most isize::MAX rows and columns, found {rows} x {cols}"
        );
        assert_eq!(shape(rows, cols).map_err(message), Err(expected.clone()));
        assert_eq!(MatRef::with_stride(&[], rows, cols, cols).map(|_| ()).map_err(message), Err(expected.clone()));
        assert_eq!(MatMut::new(&mut [], rows, cols).map(|_| ()).map_err(message), Err(expected));
        assert!(std::panic::catch_unwind(|| Matrix::zeros(rows, cols)).is_err());
        #[cfg(feature = "faer")]
        assert!(MatRef::from_faer(faer::MatRef::from_repeated_ref(&0.0, rows, cols)).is_none());
    }
    #[cfg(feature = "ndarray")]
    assert_eq!(MatRef::new(&[], most, 0).unwrap().to_ndarray().row(most - 1).len(), 0);
}

#[test]
fn rows_of_nothing_cost_nothing_however_many_there_are() {
    let most = isize::MAX as usize;
    let mut to = MatMut::new(&mut [], most, 0).unwrap();
    to.fill(1.0);
    to.copy_from(MatRef::new(&[], most, 0).unwrap());
}

#[test]
fn another_shape_takes_the_memory_there_is_or_new_zeros() {
    let matrix = Matrix::from_fn(4, 6, |_, _| 1.0);
    let place = matrix.as_slice().as_ptr();
    let same = matrix.reshaped(3, 8);
    assert_eq!((same.rows(), same.cols(), same.as_slice().as_ptr()), (3, 8, place));
    let smaller = same.reshaped(2, 5);
    assert_eq!((smaller.rows(), smaller.cols(), smaller.as_slice()), (2, 5, &[1.0; 10][..]));
    assert_eq!(smaller.as_slice().as_ptr(), place);
    // One value more than there is room for behind the first.
    let most = smaller.data.len() - smaller.offset;
    let more = smaller.reshaped(1, most + 1);
    assert!(more.as_slice().len() == most + 1 && more.as_slice().iter().all(|&value| value == 0.0));
    let larger = more.reshaped(40, 60);
    assert_eq!((larger.rows(), larger.cols()), (40, 60));
    assert!(larger.as_slice().iter().all(|&value| value == 0.0));
}

#[test]
fn blocks_of_any_sizes_are_the_whole_in_order() {
    let mut whole = Matrix::from_fn(5, 7, |r, c| (r * 7 + c) as f32);
    let want = whole.clone();
    // Two, then all that is left, however many are asked for.
    let sizes = |all: usize| move |left: usize| if left == all { 2 } else { 100 };
    let rows: Vec<_> =
        whole.view_mut().row_blocks_by(sizes(5)).map(|(first, b)| (first, b.as_ref().to_owned())).collect();
    assert_eq!(rows.iter().map(|(first, b)| (*first, b.rows(), b.cols())).collect::<Vec<_>>(), [(0, 2, 7), (2, 3, 7)]);
    assert!(rows.iter().all(|(first, b)| *b == want.view().rows_range(*first..first + b.rows()).to_owned()));
    let cols: Vec<_> =
        whole.view_mut().column_blocks_by(sizes(7)).map(|(first, b)| (first, b.as_ref().to_owned())).collect();
    assert_eq!(cols.iter().map(|(first, b)| (*first, b.rows(), b.cols())).collect::<Vec<_>>(), [(0, 5, 2), (2, 5, 5)]);
    assert!(cols.iter().all(|(first, b)| *b == want.view().columns(*first..first + b.cols()).to_owned()));
    assert_eq!(Matrix::zeros(0, 3).view_mut().row_blocks_by(|_| 1).count(), 0);
    assert_eq!(Matrix::zeros(3, 0).view_mut().column_blocks_by(|_| 1).count(), 0);
}
