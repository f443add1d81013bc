//! Dense products beside faer, gemm and matrixmultiply, and beside the loop a compiler vectorises.

#![allow(unsafe_code, reason = "two of the peers are called through pointers")]

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, beside::Beside, contexts::contexts, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::dense::{Write, add_bias, matmul, matmul_nt, matmul_skinny, matmul_tn, reference};
use neuropil::{Isa, Matrix};

/// `c[i] += a[i, k] b[k]` row by row: unit strides everywhere.
fn plain(a: &Matrix, b: &Matrix, c: &mut Matrix) {
    c.as_mut_slice().fill(0.0);
    for i in 0..a.rows() {
        for k in 0..a.cols() {
            let value = a[(i, k)];
            for (c, b) in c.row_mut(i).iter_mut().zip(b.row(k)) {
                *c += value * b;
            }
        }
    }
}

fn faer_product(a: &Matrix, b: &Matrix, c: &mut Matrix) {
    let (rows, cols) = (c.rows(), c.cols());
    let c = faer::MatMut::from_row_major_slice_mut(c.as_mut_slice(), rows, cols);
    faer::linalg::matmul::matmul(c, faer::Accum::Replace, a.view().to_faer(), b.view().to_faer(), 1.0, faer::Par::Seq);
}

fn matrixmultiply_product(a: &Matrix, b: &Matrix, c: &mut Matrix) {
    let (m, k, n) = (a.rows(), a.cols(), b.cols());
    let strides = |m: &Matrix| m.cols() as isize;
    // SAFETY: the three matrices have these shapes and row strides, and c is exclusive.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_slice().as_ptr(),
            strides(a),
            1,
            b.as_slice().as_ptr(),
            strides(b),
            1,
            0.0,
            c.as_mut_slice().as_mut_ptr(),
            n as isize,
            1,
        );
    }
}

fn gemm_product(a: &Matrix, b: &Matrix, c: &mut Matrix) {
    let (m, k, n) = (a.rows(), a.cols(), b.cols());
    // SAFETY: as above.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_slice().as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_slice().as_ptr(),
            1,
            k as isize,
            b.as_slice().as_ptr(),
            1,
            n as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

fn products(criterion: &mut Criterion) {
    type Product = fn(&Matrix, &Matrix, &mut Matrix);
    let peers: [(&str, Product); 4] = [
        ("plain loop", plain),
        ("faer", faer_product),
        ("gemm", gemm_product),
        ("matrixmultiply", matrixmultiply_product),
    ];
    for (m, k, n) in [(256, 784, 2000), (2000, 784, 2000), (16, 784, 2000), (2000, 2000, 10), (10, 100, 10)] {
        let mut group = group(criterion, &format!("dense {m}x{k}x{n}"));
        group.throughput(Throughput::Elements((m * k * n) as u64));
        let (a, b) = (uniform(m, k, 0.1, 1.0, "a"), uniform(k, n, -1.0, 1.0, "b"));
        let (mut c, mut want) = (Matrix::zeros(m, n), Matrix::zeros(m, n));
        plain(&a, &b, &mut want);
        if m * k * n < 100_000 {
            group.bench_function("reference", |bencher| {
                bencher.iter(|| reference::matmul(a.view(), b.view(), c.view_mut(), Write::Replace));
            });
        }
        for (name, product) in peers {
            product(&a, &b, &mut c);
            assert_close(name, c.as_slice(), want.as_slice(), 1e-4);
            group.bench_function(name, |bencher| bencher.iter(|| product(&a, &b, &mut c)));
        }
        for (name, mut context) in contexts() {
            // They take seconds.
            if (context.isa() == Isa::Scalar && m * k * n > 10_000_000)
                || (context.isa() == Isa::Portable && m * k * n > 1_000_000_000)
            {
                continue;
            }
            matmul(&mut context, a.view(), b.view(), c.view_mut(), Write::Replace);
            assert_close(&name, c.as_slice(), want.as_slice(), 1e-4);
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| matmul(&mut context, a.view(), b.view(), c.view_mut(), Write::Replace));
            });
        }
    }
}

/// `c[i, j] = sum_k a[i, k] b[j, k]` in 16 parts, as the compiler may not reorder a sum.
fn plain_nt(a: &Matrix, b: &Matrix, c: &mut Matrix) {
    for i in 0..a.rows() {
        for j in 0..b.rows() {
            let mut sums = [0.0f32; 16];
            let ((a, rest_of_a), (b, rest_of_b)) = (a.row(i).as_chunks::<16>(), b.row(j).as_chunks::<16>());
            for (a, b) in a.iter().zip(b) {
                (0..16).for_each(|at| sums[at] += a[at] * b[at]);
            }
            let rest: f32 = rest_of_a.iter().zip(rest_of_b).map(|(a, b)| a * b).sum();
            c[(i, j)] = sums.iter().sum::<f32>() + rest;
        }
    }
}

/// `c[i] += a[k, i] b[k]` row by row of b.
fn plain_tn(a: &Matrix, b: &Matrix, c: &mut Matrix) {
    c.as_mut_slice().fill(0.0);
    for k in 0..a.rows() {
        for i in 0..a.cols() {
            let value = a[(k, i)];
            c.row_mut(i).iter_mut().zip(b.row(k)).for_each(|(c, b)| *c += value * b);
        }
    }
}

/// The reference makes the first rows only. At a tenth of the large shape scalar code is bearable, too.
fn transposed(criterion: &mut Criterion) {
    const FEW: usize = 4;
    for (m, k, n) in [(256, 784, 2000), (24, 784, 2000), (1, 784, 2000), (64, 2000, 10)] {
        let mut group = group(criterion, &format!("dense transposed {m}x{k}x{n}"));
        group.throughput(Throughput::Elements((m * k * n) as u64));
        let (a, b) = (uniform(m, k, 0.1, 1.0, "a"), uniform(k, n, -1.0, 1.0, "b"));
        let (at, bt, c) = (a.transposed(), b.transposed(), Matrix::zeros(m, n));
        let few = m.min(FEW);
        let exact = || reference::product(few, n, k, |i, k| a[(i, k)], |k, j| b[(k, j)]).sums;
        Beside::reference(&mut group, "nt", &format!("reference, rows: {few}"), 1e-4, exact)
            .timed("plain loop", &c, |c| plain_nt(&a, &bt, c))
            .ours(m * k * n, &c, |context, c| matmul_nt(context, a.view(), bt.view(), c.view_mut(), Write::Replace))
            .named("tn")
            .timed("plain loop", &c, |c| plain_tn(&at, &b, c))
            .ours(m * k * n, &c, |context, c| matmul_tn(context, at.view(), b.view(), c.view_mut(), Write::Replace));
    }
}

/// Few outputs, beside the product for any number of them.
fn skinny(criterion: &mut Criterion) {
    for (m, k, n) in [(2000, 2000, 10), (256, 784, 40)] {
        let mut group = group(criterion, &format!("dense skinny {m}x{k}x{n}"));
        group.throughput(Throughput::Elements((m * k * n) as u64));
        let (z, w, y) = (uniform(m, k, 0.1, 1.0, "z"), uniform(k, n, -1.0, 1.0, "w"), Matrix::zeros(m, n));
        let exact = || reference::product(m, n, k, |i, k| z[(i, k)], |k, j| w[(k, j)]).sums;
        Beside::reference(&mut group, "", "reference", 1e-4, exact)
            .timed("plain loop", &y, |y| plain(&z, &w, y))
            .timed("matrixmultiply", &y, |y| matrixmultiply_product(&z, &w, y))
            .ours(m * k * n, &y, |context, y| matmul_skinny(context, z.view(), w.view(), y.view_mut()))
            .named("matmul")
            .ours(m * k * n, &y, |context, y| matmul(context, z.view(), w.view(), y.view_mut(), Write::Replace));
    }
}

/// In place: biases of the first time, when answers are compared, are large; those that are timed hardly change what they are added to.
fn biases(criterion: &mut Criterion) {
    let (rows, cols) = (2000, 2000);
    let mut group = group(criterion, &format!("dense add_bias {rows}x{cols}"));
    group.throughput(Throughput::Elements((rows * cols) as u64));
    let (y, bias) = (uniform(rows, cols, -1.0, 1.0, "y"), uniform(1, cols, -1.0, 1.0, "bias"));
    let small = vec![1e-9; cols];
    let start = (y.clone(), bias.as_slice().to_vec());
    Beside::reference(&mut group, "", "reference", 1e-7, || reference::add_bias(y.view(), bias.as_slice()))
        .timed("plain loop", &start, |(y, bias)| {
            for row in y.as_mut_slice().chunks_exact_mut(cols) {
                row.iter_mut().zip(bias.iter()).for_each(|(y, bias)| *y += bias);
            }
            bias.copy_from_slice(&small);
        })
        .ours(rows * cols, &start, |context, (y, bias)| {
            add_bias(context, y.view_mut(), bias);
            bias.copy_from_slice(&small);
        });
}

criterion_group!(benches, products, transposed, skinny, biases);
criterion_main!(benches);
