//! Hebbian updates at 784 inputs and 2000 units, beside the same updates written as faer products and as plain loops.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use faer::linalg::matmul::matmul as faer_matmul;
use neuropil::kernels::hebbian::{self, Competition, KrotovHopfield, Reduction, Update};
use neuropil::{Context, Isa, MatMut, MatRef, Matrix};

const INPUTS: usize = 784;
const UNITS: usize = 2000;
/// So small that weights stay what they are over any number of updates.
const UPDATE: Update = Update { rate: 1e-6, reduction: Reduction::Mean, non_negative: false };

struct Batch {
    x: Matrix,
    z: Matrix,
    w: Matrix,
}

fn batch(samples: usize) -> Batch {
    Batch {
        x: uniform(samples, INPUTS, 0.05, 1.0, "x"),
        z: uniform(samples, UNITS, 0.05, 1.0, "z"),
        w: uniform(INPUTS, UNITS, -0.05, 0.05, "w"),
    }
}

/// (X - Z W^T)^T Z by two faer products.
fn faer_residual(batch: &Batch, w: &mut Matrix) {
    let (samples, rate) = (batch.x.rows(), UPDATE.rate / batch.x.rows() as f32);
    let mut residual = batch.x.clone();
    let z = batch.z.view().to_faer();
    let view = faer::MatMut::from_row_major_slice_mut(residual.as_mut_slice(), samples, INPUTS);
    faer_matmul(view, faer::Accum::Add, z, w.view().to_faer().transpose(), -1.0, faer::Par::Seq);
    let w = faer::MatMut::from_row_major_slice_mut(w.as_mut_slice(), INPUTS, UNITS);
    faer_matmul(w, faer::Accum::Add, residual.view().to_faer().transpose(), z, rate, faer::Par::Seq);
}

/// The same by loops with unit strides.
fn plain_residual(batch: &Batch, w: &mut Matrix) {
    let rate = UPDATE.rate / batch.x.rows() as f32;
    let mut delta = vec![0.0f32; UNITS];
    for i in 0..INPUTS {
        delta.fill(0.0);
        for b in 0..batch.x.rows() {
            let z = batch.z.row(b);
            let seen: f32 = w.row(i).iter().zip(z).map(|(w, z)| w * z).sum();
            let residual = batch.x[(b, i)] - seen;
            for (delta, z) in delta.iter_mut().zip(z) {
                *delta += residual * z;
            }
        }
        for (w, delta) in w.row_mut(i).iter_mut().zip(&delta) {
            *w += rate * delta;
        }
    }
}

fn oja(criterion: &mut Criterion) {
    for samples in [1, 16, 64, 256, 1000] {
        let batch = batch(samples);
        let mut group = group(criterion, &format!("oja batch {samples}"));
        group.throughput(Throughput::Elements((2 * samples * INPUTS * UNITS) as u64));
        let mut want = batch.w.clone();
        plain_residual(&batch, &mut want);
        let mut w = batch.w.clone();
        faer_residual(&batch, &mut w);
        assert_close("faer", w.as_slice(), want.as_slice(), 1e-4);
        group.bench_function("faer, two products", |bencher| bencher.iter(|| faer_residual(&batch, &mut w)));
        if samples <= 64 {
            group.bench_function("plain loop", |bencher| bencher.iter(|| plain_residual(&batch, &mut w)));
        }
        for (name, mut context) in contexts() {
            if context.isa() == Isa::Scalar && samples > 1 {
                continue;
            }
            let mut w = batch.w.clone();
            hebbian::oja_subspace(&mut context, batch.x.view(), batch.z.view(), w.view_mut(), &UPDATE);
            assert_close(&name, w.as_slice(), want.as_slice(), 1e-4);
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| {
                    hebbian::oja_subspace(&mut context, batch.x.view(), batch.z.view(), w.view_mut(), &UPDATE)
                });
            });
        }
    }
}

type Rule = fn(&mut Context, MatRef<'_>, MatRef<'_>, MatMut<'_>, &Update);

fn other_rules(criterion: &mut Criterion) {
    let rules: [(&str, Rule); 5] = [
        ("sanger", hebbian::sanger),
        ("oja_excluding_self", hebbian::oja_excluding_self),
        ("oja_per_unit", hebbian::oja_per_unit),
        ("winner_take_all hard", |c, x, z, w, u| hebbian::winner_take_all(c, x, z, w, Competition::Hard, u)),
        ("winner_take_all soft", |c, x, z, w, u| {
            hebbian::winner_take_all(c, x, z, w, Competition::Soft { temperature: 1.0 }, u);
        }),
    ];
    let batch = batch(64);
    for (rule_name, rule) in rules {
        let mut group = group(criterion, &format!("{rule_name} batch 64"));
        let mut want = batch.w.clone();
        rule(&mut Context::on(Isa::Scalar).expect("scalar"), batch.x.view(), batch.z.view(), want.view_mut(), &UPDATE);
        for (name, mut context) in contexts().into_iter().filter(|(_, context)| context.isa() != Isa::Scalar) {
            let mut w = batch.w.clone();
            rule(&mut context, batch.x.view(), batch.z.view(), w.view_mut(), &UPDATE);
            assert_close(&name, w.as_slice(), want.as_slice(), 0.0);
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| rule(&mut context, batch.x.view(), batch.z.view(), w.view_mut(), &UPDATE));
            });
        }
    }
}

fn krotov_hopfield(criterion: &mut Criterion) {
    for (p, k) in [(2, 2), (3, 7)] {
        let mut group = group(criterion, &format!("krotov_hopfield p {p} batch 100"));
        let rule = KrotovHopfield { p, k, delta: 0.4, non_negative: false };
        let (x, start) = (uniform(100, INPUTS, 0.05, 1.0, "x"), uniform(UNITS, INPUTS, -1.0, 1.0, "w"));
        let mut want = start.clone();
        hebbian::krotov_hopfield(
            &mut Context::on(Isa::Scalar).expect("scalar"),
            x.view(),
            want.view_mut(),
            &rule,
            1e-6,
        );
        for (name, mut context) in contexts().into_iter().filter(|(_, context)| context.isa() != Isa::Scalar) {
            let mut w = start.clone();
            hebbian::krotov_hopfield(&mut context, x.view(), w.view_mut(), &rule, 1e-6);
            assert_close(&name, w.as_slice(), want.as_slice(), 0.0);
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| hebbian::krotov_hopfield(&mut context, x.view(), w.view_mut(), &rule, 1e-6));
            });
        }
    }
}

fn references(criterion: &mut Criterion) {
    // The references sum over all units for every weight: only small shapes are bearable.
    let mut group = group(criterion, "hebbian references, 49 inputs, 32 units, batch 16");
    let (x, z, w) =
        (uniform(16, 49, 0.05, 1.0, "x"), uniform(16, 32, 0.05, 1.0, "z"), uniform(49, 32, -0.05, 0.05, "w"));
    group.bench_function("oja reference", |bencher| {
        bencher.iter(|| hebbian::reference::oja(x.view(), z.view(), w.view(), hebbian::reference::Tied::All, &UPDATE));
    });
    let mut context = Context::new().expect("an instruction set");
    let mut updated = w.clone();
    group.bench_function("oja ours", |bencher| {
        bencher.iter(|| hebbian::oja_subspace(&mut context, x.view(), z.view(), updated.view_mut(), &UPDATE));
    });
}

criterion_group!(benches, oja, other_rules, krotov_hopfield, references);
criterion_main!(benches);
