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
    let exact: Vec<f32> = reference::to_f32(&bytes, 1.0 / 255.0, 0.0).into_iter().map(|v| v as f32).collect();
    let plain = |out: &mut [f32]| {
        for (value, &byte) in out.iter_mut().zip(&bytes) {
            *value = f32::from(byte) * (1.0 / 255.0);
        }
    };
    plain(out.as_mut_slice());
    assert_close("plain", out.as_slice(), &exact, 1e-7);
    group.bench_function("plain", |b| b.iter(|| plain(out.as_mut_slice())));
    for (name, mut context) in contexts() {
        out.view_mut().fill(f32::NAN);
        let mut run = |out: &mut [f32]| pixels::to_f32(&mut context, &bytes, 1.0 / 255.0, 0.0, out);
        run(out.as_mut_slice());
        assert_close(&name, out.as_slice(), &exact, 1e-7);
        group.bench_function(&name, |b| b.iter(|| run(out.as_mut_slice())));
    }
    group.finish();
    c.final_summary();
}
