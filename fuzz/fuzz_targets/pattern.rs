//! Sparse patterns: compressed rows, bit masks, and what is built on them.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use neuropil::kernels::dense::Write;
use neuropil::kernels::masked::{Pattern, SparseMatrix, sparse_matmul, sparse_matmul_nt};
use neuropil::{Context, Matrix};
use neuropil_fuzz::frugal;

fn sound(pattern: &Pattern) {
    assert_eq!(pattern.offsets().len(), pattern.rows() + 1);
    assert_eq!((0..pattern.rows()).map(|row| pattern.row(row).len()).sum::<usize>(), pattern.entries());
    for row in 0..pattern.rows() {
        assert!(pattern.row(row).is_sorted_by(|a, b| a < b));
        assert!(pattern.row(row).iter().all(|&col| (col as usize) < pattern.cols()));
    }
}

fn run(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let size = data.len();
    let (rows, cols): (u32, u32) =
        if data.arbitrary()? { data.arbitrary()? } else { (data.int_in_range(0..=20)?, data.int_in_range(0..=70)?) };
    let (rows, cols) = (rows as usize, cols as usize);
    let small: bool = data.arbitrary()?;
    let number =
        |data: &mut Unstructured<'_>| if small { data.arbitrary::<u8>().map(u32::from) } else { data.arbitrary() };
    if data.arbitrary()? {
        let mut bits = Vec::new();
        while !data.is_empty() {
            bits.push(data.arbitrary::<u64>()?);
        }
        // A pattern keeps an offset for each row, whatever is in it.
        if let Ok(pattern) = frugal(size + 36 * bits.len() * 8 + 4 * rows.min(1 << 16), || {
            if rows < 1 << 16 { Pattern::from_bits(rows, cols, &bits) } else { Pattern::new(0, 0, vec![0], vec![]) }
        }) {
            sound(&pattern);
        }
        return Ok(());
    }
    let count = if rows < 64 && data.ratio(9, 10)? { rows + 1 } else { data.int_in_range(0..=64)? };
    let mut offsets = Vec::new();
    let (rising, mut last): (bool, u32) = (data.arbitrary()?, 0);
    for index in 0..count {
        let next = number(data)?;
        last = if rising && index > 0 {
            last.saturating_add(next % 8)
        } else if rising {
            0
        } else {
            next
        };
        offsets.push(last);
    }
    let mut indices = Vec::new();
    while !data.is_empty() && indices.len() < 4096 {
        indices.push(number(data)?);
    }
    if rising {
        indices.resize(last.min(4096) as usize, 0);
    }
    let size = size + 4 * indices.len();
    let Ok(pattern) = frugal(size, || Pattern::new(rows, cols, offsets, indices)) else { return Ok(()) };
    sound(&pattern);
    if rows > 64 || cols > 256 {
        return Ok(());
    }
    // What was accepted is used: both products, by rows and by columns.
    let values = (0..pattern.entries()).map(|entry| entry as f32 + 0.5).collect();
    let w = SparseMatrix::new(pattern, values).expect("a value for each entry");
    let dense = w.to_dense();
    let mut context = Context::new().expect("an instruction set");
    let eye = |size: usize| Matrix::from_fn(size, size, |row, col| if row == col { 1.0 } else { 0.0 });
    let mut y = Matrix::zeros(rows, cols);
    sparse_matmul(&mut context, eye(rows).view(), &w, y.view_mut(), Write::Replace);
    assert_eq!(y, dense);
    let mut x = Matrix::zeros(cols, rows);
    sparse_matmul_nt(&mut context, eye(cols).view(), &w, x.view_mut(), Write::Replace);
    assert_eq!(x, dense.transposed());
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});
