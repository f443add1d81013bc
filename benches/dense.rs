//! Dense products beside faer, gemm and matrixmultiply, and beside the loop a compiler vectorises.

#![allow(unsafe_code, reason = "two of the peers are called through pointers")]

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::dense::{Write, matmul, matmul_nt, matmul_tn, reference};
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
            if context.isa() == Isa::Scalar && m * k * n > 10_000_000 {
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

fn transposed(criterion: &mut Criterion) {
    let mut group = group(criterion, "dense transposed 256x784x2000");
    let (a, b) = (uniform(256, 784, 0.1, 1.0, "a"), uniform(784, 2000, -1.0, 1.0, "b"));
    let (at, bt) = (a.transposed(), b.transposed());
    let mut context = neuropil::Context::new().expect("an instruction set");
    let (mut c, mut want) = (Matrix::zeros(256, 2000), Matrix::zeros(256, 2000));
    plain(&a, &b, &mut want);
    matmul_nt(&mut context, a.view(), bt.view(), c.view_mut(), Write::Replace);
    assert_close("nt", c.as_slice(), want.as_slice(), 1e-4);
    group.bench_function("nt", |bencher| {
        bencher.iter(|| matmul_nt(&mut context, a.view(), bt.view(), c.view_mut(), Write::Replace))
    });
    matmul_tn(&mut context, at.view(), b.view(), c.view_mut(), Write::Replace);
    assert_close("tn", c.as_slice(), want.as_slice(), 1e-4);
    group.bench_function("tn", |bencher| {
        bencher.iter(|| matmul_tn(&mut context, at.view(), b.view(), c.view_mut(), Write::Replace))
    });
}

criterion_group!(benches, products, transposed);
criterion_main!(benches);
