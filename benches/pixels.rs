//! Bytes to numbers, over all of MNIST.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
}

use common::{answers::assert_close, contexts::contexts, groups::group};
use criterion::{Criterion, Throughput};
use neuropil::Matrix;
use neuropil::kernels::pixels::{self, reference};

const IMAGES: usize = 60_000;
const PIXELS: usize = 784;

fn main() {
    let mut c = Criterion::default().configure_from_args();
    let mut group = group(&mut c, "pixels/to_f32");
    let len = IMAGES * PIXELS;
    // Bytes read and written.
    group.throughput(Throughput::Bytes(5 * len as u64));
    let bytes: Vec<u8> = (0..len).map(|i| (i * 37 + i / 256) as u8).collect();
    let mut out = Matrix::zeros(IMAGES, PIXELS);
    group.bench_function("reference", |b| b.iter(|| reference::to_f32(&bytes, 1.0 / 255.0, 0.0)));
    group.bench_function("plain", |b| {
        b.iter(|| {
            for (value, &byte) in out.as_mut_slice().iter_mut().zip(&bytes) {
                *value = f32::from(byte) * (1.0 / 255.0);
            }
        });
    });
    let exact: Vec<f32> = reference::to_f32(&bytes[..10_000], 1.0 / 255.0, 0.0).into_iter().map(|v| v as f32).collect();
    for (name, mut context) in contexts() {
        out.view_mut().fill(f32::NAN);
        group.bench_function(&name, |b| {
            b.iter(|| pixels::to_f32(&mut context, &bytes, 1.0 / 255.0, 0.0, out.as_mut_slice()));
        });
        assert_close(&name, &out.as_slice()[..10_000], &exact, 1e-7);
    }
    group.finish();
    c.final_summary();
}
