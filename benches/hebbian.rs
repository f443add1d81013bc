//! Hebbian updates at 784 inputs and 2000 units, beside the same updates written as faer products and as plain loops, and at a tenth of
//! that beside the references.

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
    pub(crate) mod rules;
}

use common::{answers::assert_close, beside::Beside, contexts::contexts, groups::group, inputs::uniform, rules};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use faer::linalg::matmul::matmul as faer_matmul;
use neuropil::kernels::hebbian::reference::{self, Tied};
use neuropil::kernels::hebbian::{self, Competition, KrotovHopfield, Reduction, SparseWorkspace, Update};
use neuropil::kernels::masked::SparseMatrix;
use neuropil::{Context, Isa, MatMut, MatRef, Matrix};

const INPUTS: usize = 784;
const UNITS: usize = 2000;
/// So small that weights stay what they are over any number of updates.
const RATE: f32 = 1e-6;
/// So large that a change left out would show, as answers are compared.
const COMPARED: f32 = 0.1;

const fn update(rate: f32) -> Update {
    Update { rate, reduction: Reduction::Mean, non_negative: false }
}

struct Batch {
    x: Matrix,
    z: Matrix,
    w: Matrix,
}

fn batch(samples: usize, inputs: usize, units: usize) -> Batch {
    Batch {
        x: uniform(samples, inputs, 0.05, 1.0, "x"),
        z: uniform(samples, units, 0.05, 1.0, "z"),
        w: uniform(inputs, units, -0.05, 0.05, "w"),
    }
}

/// (X - Z W^T)^T Z by two faer products.
fn faer_residual(x: &Matrix, z: &Matrix, w: &mut Matrix, rate: f32) {
    let (samples, inputs, units) = (x.rows(), x.cols(), z.cols());
    let mut residual = x.clone();
    let z = z.view().to_faer();
    let view = faer::MatMut::from_row_major_slice_mut(residual.as_mut_slice(), samples, inputs);
    faer_matmul(view, faer::Accum::Add, z, w.view().to_faer().transpose(), -1.0, faer::Par::Seq);
    let w = faer::MatMut::from_row_major_slice_mut(w.as_mut_slice(), inputs, units);
    let rate = rate / samples as f32;
    faer_matmul(w, faer::Accum::Add, residual.view().to_faer().transpose(), z, rate, faer::Par::Seq);
}

type Rule = fn(&mut Context, MatRef<'_>, MatRef<'_>, MatMut<'_>, &Update);
type Other = fn(&Matrix, &Matrix, &mut Matrix, f32);

/// Scalar code, portable vectors and plain loops are timed up to so many samples: of more they take seconds.
const SLOW: usize = 64;

/// Ours on every set and two threads, and others, beside the plain loop that they must agree with.
fn beside(criterion: &mut Criterion, name: &str, batch: &Batch, rule: Rule, plain: Other, others: &[(&str, Other)]) {
    let (samples, slow) = (batch.x.rows(), batch.x.rows() > SLOW);
    let mut group = group(criterion, &format!("{name} batch {samples}"));
    group.throughput(Throughput::Elements((samples * INPUTS * UNITS) as u64));
    let mut want = batch.w.clone();
    plain(&batch.x, &batch.z, &mut want, COMPARED);
    for (name, other) in [("plain loop", plain)].iter().skip(usize::from(slow)).chain(others) {
        let mut w = batch.w.clone();
        other(&batch.x, &batch.z, &mut w, COMPARED);
        assert_close(name, w.as_slice(), want.as_slice(), 1e-4);
        group.bench_function(*name, |bencher| bencher.iter(|| other(&batch.x, &batch.z, &mut w, RATE)));
    }
    for (name, mut context) in contexts() {
        if slow && matches!(context.isa(), Isa::Scalar | Isa::Portable) {
            continue;
        }
        let mut w = batch.w.clone();
        let mut ours = |w: MatMut<'_>, rate| rule(&mut context, batch.x.view(), batch.z.view(), w, &update(rate));
        ours(w.view_mut(), COMPARED);
        assert_close(&name, w.as_slice(), want.as_slice(), 1e-4);
        group.bench_function(format!("ours, {name}"), |bencher| bencher.iter(|| ours(w.view_mut(), RATE)));
    }
}

fn oja(criterion: &mut Criterion) {
    for samples in [1, 16, 64, 256, 1000] {
        let batch = batch(samples, INPUTS, UNITS);
        let faer: (&str, Other) = ("faer, two products", faer_residual);
        beside(criterion, "oja", &batch, hebbian::oja_subspace, rules::oja, &[faer]);
    }
}

fn other_rules(criterion: &mut Criterion) {
    let soft: Rule = |c, x, z, w, u| hebbian::winner_take_all(c, x, z, w, Competition::Soft { temperature: 1.0 }, u);
    let rules: [(&str, Rule, Other); 7] = [
        ("sanger", hebbian::sanger, rules::sanger),
        ("oja_excluding_self", hebbian::oja_excluding_self, rules::excluding_self),
        ("oja_per_unit", hebbian::oja_per_unit, rules::per_unit),
        ("ica", |c, _, z, w, u| hebbian::ica(c, z, z, w, u), rules::ica),
        (
            "winner_take_all hard",
            |c, x, z, w, u| hebbian::winner_take_all(c, x, z, w, Competition::Hard, u),
            |x, z, w, rate| rules::gated(x, &rules::winners(z, 1), w, rate),
        ),
        (
            "winner_take_all top 10",
            |c, x, z, w, u| hebbian::winner_take_all(c, x, z, w, Competition::Top(10), u),
            |x, z, w, rate| rules::gated(x, &rules::winners(z, 10), w, rate),
        ),
        ("winner_take_all soft", soft, |x, z, w, rate| rules::gated(x, &rules::shares(z), w, rate)),
    ];
    let batch = batch(64, INPUTS, UNITS);
    for (name, rule, plain) in rules {
        beside(criterion, name, &batch, rule, plain, &[]);
    }
}

fn krotov_hopfield(criterion: &mut Criterion) {
    for (p, k) in [(2, 2), (3, 7)] {
        let mut group = group(criterion, &format!("krotov_hopfield p {p} batch 100"));
        let rule = KrotovHopfield { p, k, delta: 0.4, non_negative: false };
        let (x, start) = (uniform(100, INPUTS, 0.05, 1.0, "x"), uniform(UNITS, INPUTS, -1.0, 1.0, "w"));
        let mut want = start.clone();
        rules::krotov_hopfield(&x, &mut want, &rule, COMPARED);
        let mut w = start.clone();
        group.bench_function("plain loop", |bencher| {
            bencher.iter(|| rules::krotov_hopfield(&x, &mut w, &rule, RATE));
        });
        for (name, mut context) in contexts() {
            let mut w = start.clone();
            hebbian::krotov_hopfield(&mut context, x.view(), w.view_mut(), &rule, COMPARED);
            assert_close(&name, w.as_slice(), want.as_slice(), 1e-4);
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| hebbian::krotov_hopfield(&mut context, x.view(), w.view_mut(), &rule, RATE));
            });
        }
    }
}

/// Who wins, by itself.
fn gates(criterion: &mut Criterion) {
    let mut group = group(criterion, &format!("gates of {UNITS} units, batch 64"));
    let (z, start) = (uniform(64, UNITS, 0.05, 1.0, "z"), Matrix::zeros(64, UNITS));
    group.throughput(Throughput::Elements((64 * UNITS) as u64));
    let soft = Competition::Soft { temperature: 1.0 };
    type Plain = fn(&Matrix) -> Matrix;
    let competitions: [(&str, Competition, Plain); 3] = [
        ("hard", Competition::Hard, |z| rules::winners(z, 1)),
        ("top 10", Competition::Top(10), |z| rules::winners(z, 10)),
        ("soft", soft, rules::shares),
    ];
    for (name, competition, plain) in competitions {
        Beside::reference(&mut group, name, "reference", 1e-5, || reference::gates(z.view(), competition))
            .timed("plain loop", &start, |gates| *gates = plain(&z))
            .ours(64 * UNITS, &start, |context, gates| {
                hebbian::gates(context, z.view(), competition, gates.view_mut());
            });
    }
}

/// The rule by the entries of compressed weights, a tenth of all; its reference is that of the rule, which sums zeros too.
fn sparse(criterion: &mut Criterion) {
    let mut context = Context::new().expect("an instruction set");
    for (inputs, units, samples) in [(49, 32, 16), (INPUTS, UNITS, SLOW)] {
        let Batch { x, z, mut w } = batch(samples, inputs, units);
        let kept = uniform(inputs, units, 0.0, 1.0, "kept");
        w.as_mut_slice().iter_mut().zip(kept.as_slice()).for_each(|(w, &kept)| *w *= f32::from(kept < 0.1));
        let weights = SparseMatrix::compress(&mut context, w.view()).expect("a small matrix");
        let mut group = group(criterion, &format!("oja_subspace_sparse {inputs}x{units} at 0.1, batch {samples}"));
        group.throughput(Throughput::Elements((samples * inputs * units) as u64));
        let start = (w.clone(), COMPARED);
        let plain = |w: &mut Matrix, rate| rules::oja_sparse(&x, &z, &weights, w, rate);
        let beside = if inputs == INPUTS {
            // By the loop over all weights, which is compared with ours elsewhere.
            Beside::untimed(&mut group, "", 1e-4, || {
                let mut want = w.clone();
                rules::oja(&x, &z, &mut want, COMPARED);
                want.as_slice().iter().map(|&w| w.into()).collect()
            })
        } else {
            Beside::reference(&mut group, "", "reference", 1e-4, || {
                reference::oja(x.view(), z.view(), w.view(), Tied::All, &update(COMPARED)).weights
            })
        };
        beside
            .timed("plain loop", &start, |(w, rate)| {
                plain(w, *rate);
                *rate = RATE;
            })
            .ours(
                samples * inputs * units,
                &(start.clone(), SparseWorkspace::default()),
                |context, (answer, scratch)| {
                    let (w, rate) = answer;
                    hebbian::oja_subspace_sparse(
                        context,
                        x.view(),
                        z.view(),
                        &weights,
                        w.view_mut(),
                        &update(*rate),
                        scratch,
                    );
                    *rate = RATE;
                },
            );
    }
}

/// The references sum over all units for every weight: only small shapes are bearable. Ours is compared at a rate that shows, and timed at one
/// that hardly changes the weights.
fn references(criterion: &mut Criterion) {
    let batch = batch(16, 49, 32);
    let (x, z) = (batch.x.view(), batch.z.view());
    let mut context = Context::new().expect("an instruction set");
    let mut group = group(criterion, "hebbian references, 49 inputs, 32 units, batch 16");
    let rules: [(&str, Rule, Tied); 4] = [
        ("oja", hebbian::oja_subspace, Tied::All),
        ("sanger", hebbian::sanger, Tied::UpToSelf),
        ("oja_excluding_self", hebbian::oja_excluding_self, Tied::Others),
        ("oja_per_unit", hebbian::oja_per_unit, Tied::SelfOnly),
    ];
    for (name, rule, tied) in rules {
        let exact = |rate| reference::oja(x, z, batch.w.view(), tied, &update(rate));
        Beside::untimed(&mut group, name, 1e-5, || exact(COMPARED).weights).timed(
            "ours",
            &(batch.w.clone(), COMPARED),
            |(w, rate)| {
                rule(&mut context, x, z, w.view_mut(), &update(*rate));
                *rate = RATE;
            },
        );
        group.bench_function(format!("{name}, reference"), |bencher| bencher.iter(|| exact(RATE)));
    }
    for (name, competition) in [
        ("hard", Competition::Hard),
        ("top 10", Competition::Top(10)),
        ("soft", Competition::Soft { temperature: 1.0 }),
    ] {
        let name = format!("winner_take_all {name}");
        let exact = |rate| reference::winner_take_all(x, z, batch.w.view(), competition, &update(rate));
        Beside::untimed(&mut group, &name, 1e-5, || exact(COMPARED).weights).timed(
            "ours",
            &(batch.w.clone(), COMPARED),
            |(w, rate)| {
                hebbian::winner_take_all(&mut context, x, z, w.view_mut(), competition, &update(*rate));
                *rate = RATE;
            },
        );
        group.bench_function(format!("{name}, reference"), |bencher| bencher.iter(|| exact(RATE)));
    }
    let exact = |rate| reference::ica(z, z, batch.w.view(), &update(rate));
    Beside::untimed(&mut group, "ica", 1e-5, || exact(COMPARED).weights).timed(
        "ours",
        &(batch.w.clone(), COMPARED),
        |(w, rate)| {
            hebbian::ica(&mut context, z, z, w.view_mut(), &update(*rate));
            *rate = RATE;
        },
    );
    group.bench_function("ica, reference", |bencher| bencher.iter(|| exact(RATE)));
    let rule = KrotovHopfield::default();
    let start = uniform(32, 49, -1.0, 1.0, "w");
    let exact = |rate| reference::krotov_hopfield(x, start.view(), &rule, rate, 0.0);
    Beside::untimed(&mut group, "krotov_hopfield", 1e-5, || exact(COMPARED).expect("winners").0).timed(
        "ours",
        &(start.clone(), COMPARED),
        |(w, rate)| {
            hebbian::krotov_hopfield(&mut context, x, w.view_mut(), &rule, *rate);
            *rate = RATE;
        },
    );
    group.bench_function("krotov_hopfield, reference", |bencher| bencher.iter(|| exact(RATE)));
}

criterion_group!(benches, oja, other_rules, krotov_hopfield, gates, sparse, references);
criterion_main!(benches);
