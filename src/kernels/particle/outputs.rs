//! What particles answer to inputs they are shown.

use super::{ITEM, Lanes, Net, Particles, ROW, collapsed, direct, threads_for, workspaces};
use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// `out[b, p]` = the output of particle p for the row b of `x` \[batch, 5\], which all particles are shown.
///
/// Cost: P multiply-adds a particle and 5 a value if linear, P a value otherwise. Error: `g` (see the [module](super)) times the same
/// net of absolute values, 5.2e-6 of it for 5-3-3-1.
///
/// ```
/// use neuropil::kernels::particle::{Activation, Net, Particles, forward};
/// use neuropil::{Context, Matrix};
/// let net = Net::new(&[1], Activation::Linear)?; // 5-1-1
/// let mut particles = Particles::zeros(&net, 2);
/// particles.set(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0]);
/// particles.set(1, &[0.0, 0.0, 0.0, 0.0, 1.0, -1.0]);
/// let x = Matrix::from_slice(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0], 2, 5)?;
/// let mut out = Matrix::zeros(2, 2);
/// forward(&mut Context::new()?, &particles, x.view(), out.view_mut());
/// assert_eq!(out.as_slice(), &[60.0, -1.0, 20.0, 0.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If x has not five columns, or out is not \[batch, particles\].
#[track_caller]
pub fn forward(context: &mut Context, particles: &Particles, x: MatRef<'_>, out: MatMut<'_>) {
    assert!(
        x.cols() == ROW && out.rows() == x.rows() && out.cols() == particles.len(),
        "forward: x is {} x {}, out is {} x {}, for {} particles of {ROW} inputs",
        x.rows(),
        x.cols(),
        out.rows(),
        out.cols(),
        particles.len()
    );
    outputs(context, particles, Inputs::Shared(x), out);
}

/// The same for inputs of each particle's own: `x` is \[5 batch, particles\], row `5 b + i` holding the input i of sample b.
///
/// For out \[batch, particles\]. Cost: the multiply-adds of [`forward`], and five reads and a write a value. Error as there.
///
/// ```
/// use neuropil::kernels::particle::{Activation, Net, Particles, forward_each};
/// use neuropil::{Context, Matrix};
/// let net = Net::new(&[], Activation::Linear)?; // five weights, one for each input
/// let rows = [[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 1.0, 1.0, 1.0]];
/// let particles = Particles::from_rows(&net, Matrix::from_slice(rows.as_flattened(), 2, 5)?.view())?;
/// let x = Matrix::from_slice(&[0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 10.0, 1.0], 5, 2)?; // a column a particle
/// let mut out = Matrix::zeros(1, 2);
/// forward_each(&mut Context::new()?, &particles, x.view(), out.view_mut());
/// assert_eq!(out.as_slice(), &[52.0, 5.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn forward_each(context: &mut Context, particles: &Particles, x: MatRef<'_>, out: MatMut<'_>) {
    assert!(
        Some(x.rows()) == out.rows().checked_mul(ROW) && x.cols() == particles.len() && out.cols() == particles.len(),
        "forward_each: x is {} x {}, out is {} x {}, for {} particles of {ROW} inputs",
        x.rows(),
        x.cols(),
        out.rows(),
        out.cols(),
        particles.len()
    );
    outputs(context, particles, Inputs::Each(x), out);
}

#[derive(Clone, Copy)]
enum Inputs<'a> {
    Shared(MatRef<'a>),
    Each(MatRef<'a>),
}

impl Inputs<'_> {
    /// The input row of a sample for 16 particles from `first` on.
    #[inline(always)]
    fn row<S: Simd>(self, s: S, sample: usize, first: usize) -> [S::F32; ROW] {
        let mut row = [s.zero(); ROW];
        match self {
            Inputs::Shared(x) => {
                let x = x.row(sample);
                for i in 0..ROW {
                    row[i] = s.splat(x[i]);
                }
            }
            Inputs::Each(x) => {
                for i in 0..ROW {
                    let x = &x.row(sample * ROW + i)[first..];
                    row[i] = match x.first_chunk() {
                        Some(x) => s.load(x),
                        None => s.load_partial(x),
                    };
                }
            }
        }
        row
    }
}

fn outputs(context: &mut Context, particles: &Particles, inputs: Inputs<'_>, out: MatMut<'_>) {
    let isa = context.isa();
    let net = particles.net();
    // The row of a collapsed net is made once.
    let each = if net.is_collapsed() {
        net.weights().saturating_add(out.rows().saturating_mul(ROW))
    } else {
        net.answer().saturating_mul(out.rows())
    };
    let threads = threads_for(context, particles, each);
    let workspaces = workspaces(context, threads, net, 0);
    let mut rest = out;
    let mut items = Vec::with_capacity(particles.blocks().div_ceil(ITEM));
    for (index, blocks) in particles.lanes().chunks(ITEM * net.weights()).enumerate() {
        let (item, right) = std::mem::replace(&mut rest, MatMut::new(&mut [], 0, 0).expect("nothing"))
            .split_columns((particles.len() - index * ITEM * LANES).min(ITEM * LANES));
        rest = right;
        items.push((index * ITEM * LANES, blocks, item));
    }
    for_each_with(threads, workspaces, items, |scratch, (first, blocks, out)| {
        dispatch(isa, Outputs { net, blocks, inputs, first, scratch, out });
    });
}

struct Outputs<'a, 'b> {
    net: &'a Net,
    blocks: &'a [Lanes],
    inputs: Inputs<'a>,
    first: usize,
    scratch: &'b mut [Lanes],
    out: MatMut<'b>,
}

impl Kernel for Outputs<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (net, cols) = (self.net, self.out.cols());
        for (index, w) in self.blocks.chunks_exact(net.weights()).enumerate() {
            let start = index * LANES;
            let v = if net.is_collapsed() { collapsed::row(s, net, w, self.scratch) } else { [s.zero(); ROW] };
            for sample in 0..self.out.rows() {
                let x = self.inputs.row(s, sample, self.first + start);
                let y = if net.is_collapsed() {
                    collapsed::dot(s, v, x)
                } else {
                    direct::forward(s, net, w, x, self.scratch)
                };
                let to = &mut self.out.row_mut(sample)[start..cols.min(start + LANES)];
                match to.first_chunk_mut() {
                    Some(to) => s.store(y, to),
                    None => s.store_partial(y, to),
                }
            }
        }
    }
}
