//! Linear particles by their row of five numbers, `v = W_L ... W_1`. Legal for linear nets only; it always wins there.
//!
//! ```text
//! chain_L = 1,  chain_(l-1) = chain_l W_l,  v = chain_0           one product of a row and a matrix per layer
//! dE/dv   = d,  pull_0 = d,  pull_l = W_l pull_(l-1)
//! dE/dW_l = chain_l^T pull_(l-1)                                   an outer product: nothing is summed
//! ```
//! For self-replication `E = (1/P) sum_i (v . x_i - w_i)^2` with `x_i = (w_i, p_i, 0)`, and so, with a = v_0 - 1, q = (v_1, v_2, v_3),
//! ```text
//! d_0 = (2/P) (a sum_i w_i^2 + q . m),   d_123 = (2/P) (a m + C q),   d_4 = 0,   m = sum_i w_i p_i,   C = sum_i p_i p_i^T
//! ```
//! C is a constant of the net. Layer and cell are the same for all weights of a unit, so m takes a sum and a weighted sum per unit:
//! 3 multiply-adds a weight in place of 10 for `sum_i (v . x_i - w_i) x_i`. At a fixpoint a and q vanish, and nothing cancels.
//!
//! Nets 5-h-h-1 with h of 3 and 5 have bodies whose loops unroll, with every intermediate in a register; the others walk through
//! scratch memory that stays in L1, doing the same operations in the same order.

use super::net::{Net, ROW};
use super::{Lanes, SelfReplication};
use crate::simd::{Isa, LANES, Simd};

/// The h of a net 5-h-h-1 whose body is unrolled. Only where vectors are registers: with arrays for vectors the unrolled body has
/// tens of thousands of instructions and takes minutes to compile. Both bodies do the same operations in the same order.
#[inline(always)]
fn unrolled<S: Simd>(net: &Net) -> usize {
    if matches!(S::ISA, Isa::Scalar | Isa::Portable) { 0 } else { net.twice() }
}

/// The dot product of a row and an input.
#[inline(always)]
pub(super) fn dot<S: Simd>(s: S, v: [S::F32; ROW], x: [S::F32; ROW]) -> S::F32 {
    let mut sum = s.mul(v[0], x[0]);
    for i in 1..ROW {
        sum = s.mul_add(v[i], x[i], sum);
    }
    sum
}

/// `v`, of 16 particles.
#[inline(always)]
pub(super) fn row<S: Simd>(s: S, net: &Net, w: &[Lanes], chain: &mut [Lanes]) -> [S::F32; ROW] {
    match unrolled::<S>(net) {
        3 => Layers::<S, 3>::load(s, w).row(s).1,
        5 => Layers::<S, 5>::load(s, w).row(s).1,
        _ => chains(s, net, w, chain),
    }
}

/// The weights of 16 particles 5-h-h-1 in registers.
struct Layers<S: Simd, const H: usize> {
    first: [[S::F32; ROW]; H],
    second: [[S::F32; H]; H],
    third: [S::F32; H],
}

impl<S: Simd, const H: usize> Layers<S, H> {
    const WEIGHTS: usize = H * ROW + H * H + H;

    #[inline(always)]
    fn load(s: S, w: &[Lanes]) -> Self {
        let w = &w[..Self::WEIGHTS];
        let mut layers = Layers { first: [[s.zero(); ROW]; H], second: [[s.zero(); H]; H], third: [s.zero(); H] };
        for j in 0..H {
            for k in 0..ROW {
                layers.first[j][k] = s.load(&w[j * ROW + k]);
            }
            for k in 0..H {
                layers.second[j][k] = s.load(&w[H * ROW + j * H + k]);
            }
            layers.third[j] = s.load(&w[H * ROW + H * H + j]);
        }
        layers
    }

    /// `W_3 W_2` and `W_3 W_2 W_1`.
    #[inline(always)]
    fn row(&self, s: S) -> ([S::F32; H], [S::F32; ROW]) {
        let mut chain = [s.zero(); H];
        for k in 0..H {
            chain[k] = s.mul(self.third[0], self.second[0][k]);
            for j in 1..H {
                chain[k] = s.mul_add(self.third[j], self.second[j][k], chain[k]);
            }
        }
        let mut v = [s.zero(); ROW];
        for k in 0..ROW {
            v[k] = s.mul(chain[0], self.first[0][k]);
            for j in 1..H {
                v[k] = s.mul_add(chain[j], self.first[j][k], v[k]);
            }
        }
        (chain, v)
    }

    /// Sums over all weights: `w^2`, and `w` times layer, cell and index.
    #[inline(always)]
    fn moments(&self, s: S, net: &Net) -> (S::F32, [S::F32; 3]) {
        let (units, index) = (&net.units[..2 * H + 1], &net.index[..if H > ROW { H } else { ROW }]);
        let mut moments = (s.zero(), [s.zero(); 3]);
        for j in 0..H {
            moment(s, &self.first[j], units[j].layer, units[j].cell, index, &mut moments);
        }
        for j in 0..H {
            moment(s, &self.second[j], units[H + j].layer, units[H + j].cell, index, &mut moments);
        }
        moment(s, &self.third, units[2 * H].layer, units[2 * H].cell, index, &mut moments);
        moments
    }
}

/// Adds the sums of one unit's weights.
#[inline(always)]
fn moment<S: Simd, const N: usize>(
    s: S,
    w: &[S::F32; N],
    layer: f32,
    cell: f32,
    index: &[f32],
    moments: &mut (S::F32, [S::F32; 3]),
) {
    let mut sums = (s.mul(w[0], w[0]), w[0], s.mul(w[0], s.splat(index[0])));
    for k in 1..N {
        add_to_moment(s, w[k], index[k], &mut sums);
    }
    add_moment(s, sums, layer, cell, moments);
}

/// A unit's sums of `w^2`, `w` and `w` times its index.
#[inline(always)]
fn add_to_moment<S: Simd>(s: S, w: S::F32, index: f32, (square, sum, along): &mut (S::F32, S::F32, S::F32)) {
    *square = s.mul_add(w, w, *square);
    *sum = s.add(*sum, w);
    *along = s.mul_add(w, s.splat(index), *along);
}

#[inline(always)]
fn add_moment<S: Simd>(
    s: S,
    (square, sum, along): (S::F32, S::F32, S::F32),
    layer: f32,
    cell: f32,
    moments: &mut (S::F32, [S::F32; 3]),
) {
    let (squares, [layers, cells, indices]) = moments;
    *squares = s.add(*squares, square);
    *layers = s.mul_add(sum, s.splat(layer), *layers);
    *cells = s.mul_add(sum, s.splat(cell), *cells);
    *indices = s.add(*indices, along);
}

/// `factor dE/dv` of self-replication.
#[inline(always)]
fn row_gradient<S: Simd>(
    s: S,
    net: &Net,
    v: [S::F32; ROW],
    (squares, m): (S::F32, [S::F32; 3]),
    factor: f32,
) -> [S::F32; ROW] {
    let factor = s.splat(factor);
    let a = s.mul(s.sub(v[0], s.splat(1.0)), factor);
    let q = [s.mul(v[1], factor), s.mul(v[2], factor), s.mul(v[3], factor)];
    let mut d = [s.zero(); ROW];
    d[0] = s.mul(a, squares);
    for k in 0..3 {
        d[0] = s.mul_add(q[k], m[k], d[0]);
        d[k + 1] = s.mul(a, m[k]);
        for j in 0..3 {
            d[k + 1] = s.mul_add(q[j], s.splat(net.gram[k][j]), d[k + 1]);
        }
    }
    d
}

/// One step of self-replication.
#[inline(always)]
pub(super) fn replicate<S: Simd>(
    s: S,
    net: &Net,
    w: &mut [Lanes],
    velocity: Option<&mut [Lanes]>,
    rule: &SelfReplication,
    scratch: &mut [Lanes],
) {
    // Without momentum the rate joins the one factor of everything.
    let factor = 2.0 / net.weights() as f32 * if velocity.is_none() { rule.rate } else { 1.0 };
    match unrolled::<S>(net) {
        3 => replicate_layers::<S, 3>(s, net, w, velocity, rule, factor),
        5 => replicate_layers::<S, 5>(s, net, w, velocity, rule, factor),
        _ => {
            let v = chains(s, net, w, scratch);
            let mut moments = (s.zero(), [s.zero(); 3]);
            for unit in &net.units {
                let own = &w[unit.start..unit.start + unit.inputs];
                let first = s.load(&own[0]);
                let mut sums = (s.mul(first, first), first, s.mul(first, s.splat(net.index[0])));
                for (w, &index) in own[1..].iter().zip(&net.index[1..]) {
                    add_to_moment(s, s.load(w), index, &mut sums);
                }
                add_moment(s, sums, unit.layer, unit.cell, &mut moments);
            }
            let d = row_gradient(s, net, v, moments, factor);
            descend(s, net, w, velocity, rule, d, scratch);
        }
    }
}

#[inline(always)]
fn replicate_layers<S: Simd, const H: usize>(
    s: S,
    net: &Net,
    w: &mut [Lanes],
    velocity: Option<&mut [Lanes]>,
    rule: &SelfReplication,
    factor: f32,
) {
    let layers = Layers::<S, H>::load(s, w);
    let (chain, v) = layers.row(s);
    let d = row_gradient(s, net, v, layers.moments(s, net), factor);
    descend_layers(s, &layers, chain, d, w, velocity, rule);
}

/// `w -= gradient`, or with momentum `m = momentum m + gradient; w -= rate m`.
#[inline(always)]
fn update<S: Simd>(
    s: S,
    at: usize,
    old: S::F32,
    chain: S::F32,
    pull: S::F32,
    w: &mut [Lanes],
    velocity: &mut Option<&mut [Lanes]>,
    rule: &SelfReplication,
) {
    let new = match velocity {
        None => s.neg_mul_add(chain, pull, old),
        Some(velocity) => {
            let before = s.mul(s.splat(rule.momentum), s.load(&velocity[at]));
            let now = s.mul_add(chain, pull, before);
            s.store(now, &mut velocity[at]);
            s.neg_mul_add(s.splat(rule.rate), now, old)
        }
    };
    s.store(new, &mut w[at]);
}

/// The update of every weight from `d = dE/dv`, times the rate if there is no momentum.
#[inline(always)]
fn descend_layers<S: Simd, const H: usize>(
    s: S,
    layers: &Layers<S, H>,
    chain: [S::F32; H],
    d: [S::F32; ROW],
    w: &mut [Lanes],
    velocity: Option<&mut [Lanes]>,
    rule: &SelfReplication,
) {
    let w = &mut w[..Layers::<S, H>::WEIGHTS];
    let mut velocity = velocity.map(|velocity| &mut velocity[..Layers::<S, H>::WEIGHTS]);
    let (mut first, mut second) = ([s.zero(); H], [s.zero(); H]);
    for j in 0..H {
        first[j] = s.mul(layers.first[j][0], d[0]);
        for k in 1..ROW {
            first[j] = s.mul_add(layers.first[j][k], d[k], first[j]);
        }
    }
    for j in 0..H {
        second[j] = s.mul(layers.second[j][0], first[0]);
        for k in 1..H {
            second[j] = s.mul_add(layers.second[j][k], first[k], second[j]);
        }
    }
    for j in 0..H {
        for k in 0..ROW {
            update(s, j * ROW + k, layers.first[j][k], chain[j], d[k], w, &mut velocity, rule);
        }
    }
    for j in 0..H {
        for k in 0..H {
            let at = H * ROW + j * H + k;
            update(s, at, layers.second[j][k], layers.third[j], first[k], w, &mut velocity, rule);
        }
    }
    for j in 0..H {
        update(s, H * ROW + H * H + j, layers.third[j], s.splat(1.0), second[j], w, &mut velocity, rule);
    }
}

/// `v` of any net, leaving `chain_l` of every hidden layer in `chain`, first layer first.
#[inline(always)]
fn chains<S: Simd>(s: S, net: &Net, w: &[Lanes], chain: &mut [Lanes]) -> [S::F32; ROW] {
    let widths = net.widths();
    let hidden = &widths[1..widths.len() - 1];
    let mut end: usize = hidden.iter().sum();
    let mut start = net.weights();
    // The output's chain is one: its weights are the chain of the last hidden layer.
    for l in (0..hidden.len()).rev() {
        let (inputs, outputs) = (hidden[l], widths[l + 2]);
        start -= inputs * outputs;
        let (to, from) = chain[end - inputs..].split_at_mut(inputs);
        for k in 0..inputs {
            let mut sum = s.load(&w[start + k]);
            if l + 1 < hidden.len() {
                sum = s.mul(s.load(&from[0]), sum);
                for j in 1..outputs {
                    sum = s.mul_add(s.load(&from[j]), s.load(&w[start + j * inputs + k]), sum);
                }
            }
            s.store(sum, &mut to[k]);
        }
        end -= inputs;
    }
    let mut v = [s.zero(); ROW];
    for k in 0..ROW {
        v[k] = s.load(&w[k]);
        if !hidden.is_empty() {
            v[k] = s.mul(s.load(&chain[0]), v[k]);
            for j in 1..hidden[0] {
                v[k] = s.mul_add(s.load(&chain[j]), s.load(&w[j * ROW + k]), v[k]);
            }
        }
    }
    v
}

/// The update of every weight of any net, after [`chains`].
#[inline(always)]
fn descend<S: Simd>(
    s: S,
    net: &Net,
    w: &mut [Lanes],
    mut velocity: Option<&mut [Lanes]>,
    rule: &SelfReplication,
    d: [S::F32; ROW],
    scratch: &mut [Lanes],
) {
    let widths = net.widths();
    let hidden: usize = widths[1..widths.len() - 1].iter().sum();
    let (chain, pulls) = scratch.split_at_mut(hidden);
    let (mut pull, mut next) = pulls.split_at_mut(pulls.len() / 2);
    for k in 0..ROW {
        s.store(d[k], &mut pull[k]);
    }
    let (mut start, mut first) = (0, 0);
    for layer in widths.windows(2) {
        let (inputs, outputs) = (layer[0], layer[1]);
        for j in 0..outputs {
            let chain = if first + j < hidden { s.load(&chain[first + j]) } else { s.splat(1.0) };
            let mut sum = s.mul(s.load(&w[start + j * inputs]), s.load(&pull[0]));
            for k in 0..inputs {
                let at = start + j * inputs + k;
                let (old, pull) = (s.load(&w[at]), s.load(&pull[k]));
                sum = if k > 0 { s.mul_add(old, pull, sum) } else { sum };
                update(s, at, old, chain, pull, w, &mut velocity, rule);
            }
            s.store(sum, &mut next[j]);
        }
        std::mem::swap(&mut pull, &mut next);
        start += inputs * outputs;
        first += outputs;
    }
}

/// One step from the gradient of `c = v_4`.
#[inline(always)]
pub(super) fn effective_step<S: Simd>(
    s: S,
    net: &Net,
    w: &mut [Lanes],
    velocity: &mut [Lanes],
    gradient: S::F32,
    rule: &SelfReplication,
    scratch: &mut [Lanes],
) {
    let mut d = [s.zero(); ROW];
    d[ROW - 1] = gradient;
    match unrolled::<S>(net) {
        3 => effective_layers::<S, 3>(s, w, velocity, d, rule),
        5 => effective_layers::<S, 5>(s, w, velocity, d, rule),
        _ => {
            chains(s, net, w, scratch);
            descend(s, net, w, Some(velocity), rule, d, scratch);
        }
    }
}

#[inline(always)]
fn effective_layers<S: Simd, const H: usize>(
    s: S,
    w: &mut [Lanes],
    velocity: &mut [Lanes],
    d: [S::F32; ROW],
    rule: &SelfReplication,
) {
    let layers = Layers::<S, H>::load(s, w);
    let (chain, _) = layers.row(s);
    descend_layers(s, &layers, chain, d, w, Some(velocity), rule);
}

/// `w_i = v . x_i`.
#[inline(always)]
pub(super) fn self_apply<S: Simd>(s: S, net: &Net, w: &mut [Lanes], scratch: &mut [Lanes]) {
    let v = row(s, net, w, scratch);
    for unit in &net.units {
        let base = s.mul_add(v[1], s.splat(unit.layer), s.mul(v[2], s.splat(unit.cell)));
        for (w, &index) in w[unit.start..unit.start + unit.inputs].iter_mut().zip(&net.index) {
            let place = s.mul_add(v[3], s.splat(index), base);
            s.store(s.mul_add(v[0], s.load(w), place), w);
        }
    }
}

/// The mean square of `v . x_i - w_i`, and its largest magnitude, NaN if one is not finite.
#[inline(always)]
pub(super) fn deviations<S: Simd>(s: S, net: &Net, w: &[Lanes], scratch: &mut [Lanes]) -> (S::F32, S::F32) {
    let v = row(s, net, w, scratch);
    let a = s.sub(v[0], s.splat(1.0));
    let (mut squares, mut largest, mut finite) = (s.zero(), s.zero(), s.zero());
    for unit in &net.units {
        let base = s.mul_add(v[1], s.splat(unit.layer), s.mul(v[2], s.splat(unit.cell)));
        for (w, &index) in w[unit.start..unit.start + unit.inputs].iter().zip(&net.index) {
            let error = s.mul_add(a, s.load(w), s.mul_add(v[3], s.splat(index), base));
            squares = s.mul_add(error, error, squares);
            largest = s.max(s.abs(error), largest);
            finite = s.mul_add(error, s.zero(), finite);
        }
    }
    (s.div(squares, s.splat(net.weights() as f32)), s.add(largest, finite))
}

const _: () = assert!(LANES == 16, "blocks of Particles hold one vector a weight");
