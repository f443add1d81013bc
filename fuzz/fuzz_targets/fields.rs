//! Receptive fields: rectangles on a map, and the layers made of them.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use neuropil::kernels::dense::Write;
use neuropil::kernels::masked::{
    FieldLayer, Map, ReceptiveField, Rectangle, field_matmul, gather, reference, scatter_add,
};
use neuropil::{Context, Matrix};
use neuropil_fuzz::frugal;

fn run(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let wild: bool = data.arbitrary()?;
    let number = |data: &mut Unstructured<'_>| if wild { data.arbitrary() } else { data.int_in_range(0..=40usize) };
    let map = Map { rows: number(data)?, cols: number(data)? };
    let (mut fields, mut rows) = (Vec::new(), 0);
    while !data.is_empty() && fields.len() < 20 {
        let mut rectangles = Vec::new();
        for _ in 0..data.int_in_range(0..=3)? {
            let (row, end, col, last) = (number(data)?, number(data)?, number(data)?, number(data)?);
            // A field keeps a run for each row that it covers, which is not what is looked at here.
            if row < end && end - row > 1 << 12 && end <= map.rows {
                return Ok(());
            }
            rows += if row < end { (end - row).min(1 << 12) } else { 0 };
            rectangles.push(Rectangle::new(row..end, col..last));
        }
        let size = 32 * rectangles.len() + 16 * rows;
        let Ok(field) = frugal(size, || ReceptiveField::new(map, &rectangles)) else { continue };
        let cells: usize = rectangles.iter().map(|r| r.rows.len() * r.cols.len()).sum();
        assert_eq!(field.len(), cells);
        assert_eq!(field.runs().iter().map(|run| run.len).sum::<usize>(), cells);
        assert!(field.runs().iter().all(|run| run.len > 0 && run.start + run.len <= map.len()));
        fields.push(field);
    }
    if wild || fields.is_empty() {
        return Ok(());
    }
    let mut context = Context::new().expect("an instruction set");
    let x = Matrix::from_fn(2, map.len(), |row, col| (row * 7 + col % 11) as f32);
    for field in &fields {
        let mut seen = Matrix::zeros(2, field.len());
        gather(&mut context, x.view(), field, seen.view_mut());
        assert!(field.columns().enumerate().all(|(at, column)| seen[(1, at)] == x[(1, column)]));
        let mut back = Matrix::zeros(2, map.len());
        scatter_add(&mut context, seen.view(), field, back.view_mut());
        let sum = |matrix: &Matrix| matrix.as_slice().iter().map(|&value| f64::from(value)).sum::<f64>();
        assert_eq!(sum(&back), sum(&seen), "small whole numbers add exactly");
    }
    let Ok(layer) = FieldLayer::new(fields) else { return Ok(()) };
    let weights: Vec<f32> = (0..layer.weights()).map(|index| (index % 5) as f32).collect();
    let exact = reference::field_matmul(x.view(), &layer, &weights);
    let mut y = Matrix::zeros(2, layer.units());
    field_matmul(&mut context, x.view(), &layer, &weights, y.view_mut(), Write::Replace);
    assert!(y.as_slice().iter().zip(&exact.sums).all(|(&got, &exact)| f64::from(got) == exact));
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});
