//! A kernel beside its reference, the plain loop and whatever else computes the same.

use criterion::{BenchmarkGroup, measurement::WallTime};
use neuropil::{Context, Isa, Matrix};

use super::answers::assert_close;
use super::contexts::contexts;

/// Multiply-adds that take scalar code, a function call each, a good part of a second: it is not timed on as many.
pub(crate) const SLOW: usize = 100_000_000;

/// What a run leaves, as it is compared.
pub(crate) trait Answer: Clone {
    fn values(&self) -> Vec<f32>;
}

impl Answer for Matrix {
    fn values(&self) -> Vec<f32> {
        self.as_slice().to_vec()
    }
}

/// What is compared, and what else a run changes.
impl<A: Answer, T: Clone> Answer for (A, T) {
    fn values(&self) -> Vec<f32> {
        self.0.values()
    }
}

/// Those that compute the same, each timed after its answer was compared. What works in place goes on from its own answer.
pub(crate) struct Beside<'g, 'c> {
    group: &'g mut BenchmarkGroup<'c, WallTime>,
    /// Before every label.
    name: String,
    want: Vec<f32>,
    /// Of the largest value of the answer.
    tolerance: f32,
}

impl<'g, 'c> Beside<'g, 'c> {
    /// Times the reference. It may answer for the first rows only: the next in line, compared with it there, answers for the others.
    pub(crate) fn reference(
        group: &'g mut BenchmarkGroup<'c, WallTime>,
        name: &str,
        label: &str,
        tolerance: f32,
        mut run: impl FnMut() -> Vec<f64>,
    ) -> Self {
        let beside = Beside::untimed(group, name, tolerance, &mut run);
        beside.group.bench_function(beside.id(label), |bencher| bencher.iter(&mut run));
        beside
    }

    /// The reference where it is timed elsewhere.
    pub(crate) fn untimed(
        group: &'g mut BenchmarkGroup<'c, WallTime>,
        name: &str,
        tolerance: f32,
        run: impl FnOnce() -> Vec<f64>,
    ) -> Self {
        let want = run().into_iter().map(|value| value as f32).collect();
        Beside { group, name: String::new(), want, tolerance }.named(name)
    }

    /// The name of those that follow.
    pub(crate) fn named(self, name: &str) -> Self {
        Beside { name: name.into(), ..self }
    }

    fn id(&self, label: &str) -> String {
        if self.name.is_empty() { label.into() } else { format!("{}, {label}", self.name) }
    }

    pub(crate) fn timed<A: Answer>(mut self, label: &str, start: &A, mut run: impl FnMut(&mut A)) -> Self {
        let (mut answer, id) = (start.clone(), self.id(label));
        run(&mut answer);
        let got = answer.values();
        assert_close(&id, &got[..self.want.len()], &self.want, self.tolerance);
        if self.want.len() < got.len() {
            self.want = got;
        }
        self.group.bench_function(id, |bencher| bencher.iter(|| run(&mut answer)));
        self
    }

    /// On every set, and the best one on two threads; without scalar code from [`SLOW`] multiply-adds a call.
    pub(crate) fn ours<A: Answer>(mut self, work: usize, start: &A, mut run: impl FnMut(&mut Context, &mut A)) -> Self {
        for (name, mut context) in contexts() {
            if context.isa() == Isa::Scalar && work >= SLOW {
                continue;
            }
            self = self.timed(&format!("ours, {name}"), start, |answer| run(&mut context, answer));
        }
        self
    }
}
