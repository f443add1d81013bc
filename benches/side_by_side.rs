//! Our half of a side-by-side measurement: a process that times one call whenever it is asked to.
//!
//! `benches/peers/compare.py` runs it, alternating with the peers in one run. It reads commands from standard input:
//! `prepare OP key=value ...` sets up random inputs and answers with the instruction set; `round` times calls for some 20 ms and
//! answers with the mean milliseconds per call. Without input it checks that every operation can be prepared and run once.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{BufRead, Write as _};
use std::time::{Duration, Instant};

use neuropil::kernels::dense::{self, Write};
use neuropil::kernels::entropy::{self, Histogram};
use neuropil::kernels::genotype::{self, AlleleFrequencies, Graph, Population, Samples, WeightGeneration};
use neuropil::kernels::hebbian::{self, KrotovHopfield, Reduction, Update};
use neuropil::kernels::masked::{
    self, FieldLayer, Map, MaskedWeights, Pattern, ReceptiveField, Rectangle, SparseMatrix,
};
use neuropil::kernels::particle::{self, Activation, Net, Particles, SelfReplication};
use neuropil::kernels::perturb::{self, Draws, WeightPerturbation, Workspace};
use neuropil::kernels::{activation, loss, pixels};
use neuropil::random::{Stream, below};
use neuropil::{Context, MatMut, MatRef, Matrix, Threads};

type Call = Box<dyn FnMut()>;

/// Shapes by name, with defaults.
struct Shape(HashMap<String, usize>);

impl Shape {
    fn get(&self, name: &str, default: usize) -> usize {
        self.0.get(name).copied().unwrap_or(default)
    }
}

fn uniform(rows: usize, cols: usize, low: f32, high: f32, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(0, purpose).uniform(low, high, matrix.as_mut_slice());
    matrix
}

fn unit(rows: usize, cols: usize) -> Matrix {
    uniform(rows, cols, 0.0, 1.0, "unit")
}

/// Standard normal values, the negative ones zero.
fn rectified(rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    let mut context = Context::new().expect("an instruction set");
    perturb::gaussian(&mut context, Stream::new(0, "rectified"), 1.0, matrix.as_mut_slice());
    activation::relu(&mut context, matrix.view_mut());
    matrix
}

/// The embedded digits, evenly drawn, and their labels.
fn digits(count: usize) -> (Matrix, Vec<u8>) {
    let images = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-images-idx3-ubyte"));
    let labels = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-labels-idx1-ubyte"));
    let place = |image: usize| image * (labels.len() - 8) / count;
    let pixel = |image: usize, pixel: usize| f32::from(images[16 + place(image) * 784 + pixel]) / 255.0;
    (Matrix::from_fn(count, 784, pixel), (0..count).map(|image| labels[8 + place(image)]).collect())
}

/// Allele frequencies of which so many in a thousand are fixed, the others uniform.
fn frequencies(genes: usize, fixed: usize) -> AlleleFrequencies {
    let (p, chance) = (uniform(1, genes, 0.0, 1.0, "frequencies"), uniform(1, genes, 0.0, 1000.0, "fixed"));
    let values = p
        .as_slice()
        .iter()
        .zip(chance.as_slice())
        .map(|(&p, &chance)| if chance < fixed as f32 { f64::from(p.round()) } else { f64::from(p) });
    AlleleFrequencies::new(values.collect()).expect("frequencies")
}

/// The operations, each with the shapes of a quick check.
const OPERATIONS: &[(&str, &[(&str, usize)])] = &[
    ("dense", &[("m", 8), ("k", 20), ("n", 30)]),
    ("oja", &[("batch", 5), ("n", 20), ("k", 30)]),
    ("sanger", &[("batch", 5), ("n", 20), ("k", 60)]),
    ("krotov", &[("batch", 5), ("n", 20), ("units", 30)]),
    ("gaussian", &[("count", 1000)]),
    ("perturb", &[("batch", 20), ("k", 30)]),
    ("normalise", &[("images", 10), ("pixels", 20)]),
    ("spmm", &[("batch", 5), ("n", 20), ("k", 30)]),
    ("sampled", &[("batch", 5), ("n", 20), ("k", 30)]),
    ("field", &[("batch", 5), ("units", 7)]),
    ("histogram", &[("count", 1000)]),
    ("entropy", &[("rows", 100), ("cols", 20)]),
    ("replicate", &[("particles", 40)]),
    ("copy", &[("particles", 40)]),
    ("organism", &[("batch", 20)]),
    ("decode", &[("links", 100), ("genes", 50), ("genotypes", 20)]),
    ("evaluate", &[("genotypes", 3), ("images", 20)]),
    ("generation", &[("genotypes", 70), ("images", 20), ("genes", 100), ("fixed", 900)]),
    ("epoch", &[("images", 40), ("batch", 20), ("n", 20), ("k", 30)]),
];

fn prepare(operation: &str, shape: &Shape, mut context: Context) -> Option<Call> {
    let update = Update { rate: 1e-6, reduction: Reduction::Mean, non_negative: false };
    let (n, k) = (shape.get("n", 784), shape.get("k", 2000));
    Some(match operation {
        "dense" => {
            let (m, k, n) = (shape.get("m", 256), shape.get("k", 784), shape.get("n", 2000));
            let (a, b, mut c) = (uniform(m, k, -1.0, 1.0, "a"), uniform(k, n, -1.0, 1.0, "b"), Matrix::zeros(m, n));
            Box::new(move || dense::matmul(&mut context, a.view(), b.view(), c.view_mut(), Write::Replace))
        }
        "oja" | "sanger" => {
            let batch = shape.get("batch", 64);
            let (x, z) = (uniform(batch, n, 0.05, 1.0, "x"), uniform(batch, k, 0.05, 1.0, "z"));
            let mut w = uniform(n, k, -0.05, 0.05, "w");
            let rule = if operation == "oja" { hebbian::oja_subspace } else { hebbian::sanger };
            Box::new(move || rule(&mut context, x.view(), z.view(), w.view_mut(), &update))
        }
        "krotov" => {
            let (batch, units) = (shape.get("batch", 100), shape.get("units", 2000));
            let rule = KrotovHopfield { p: 2, k: 2, delta: 0.4 };
            let (x, mut w) = (uniform(batch, n, 0.0, 1.0, "x"), uniform(units, n, -1.0, 1.0, "w"));
            Box::new(move || {
                black_box(hebbian::krotov_hopfield(&mut context, x.view(), w.view_mut(), &rule, 1e-4));
            })
        }
        "gaussian" => {
            let mut out = Matrix::zeros(1, shape.get("count", 1_568_000));
            Box::new(move || perturb::gaussian(&mut context, Stream::new(0, "noise"), 1.0, out.as_mut_slice()))
        }
        "perturb" => {
            let (batch, classes) = (shape.get("batch", 2000), 10);
            let (z, mut w) = (uniform(batch, k, 0.05, 1.0, "z"), uniform(k, classes, -0.05, 0.05, "w"));
            let mut generator = Stream::new(0, "labels").generator();
            let labels: Vec<u8> = (0..batch).map(|_| below(&mut generator, classes as u64) as u8).collect();
            let rule = WeightPerturbation { rate: 1e-6, sigma: 0.0126, non_negative: false, draws: Draws::Batch };
            let (bias, stream, mut workspace, mut step) =
                (vec![0.0; classes], Stream::new(0, "noise"), Workspace::default(), 0);
            Box::new(move || {
                step += 1;
                let stream = stream.item(step);
                perturb::weight_perturbation(
                    &mut context,
                    z.view(),
                    &labels,
                    w.view_mut(),
                    &bias,
                    &rule,
                    stream,
                    &mut workspace,
                );
            })
        }
        "normalise" => {
            let (images, pixels) = (shape.get("images", 60_000), shape.get("pixels", 784));
            let mut generator = Stream::new(0, "bytes").generator();
            let bytes: Vec<u8> = (0..images * pixels).map(|_| below(&mut generator, 256) as u8).collect();
            let mut out = Matrix::zeros(images, pixels);
            Box::new(move || pixels::to_f32(&mut context, &bytes, 1.0 / 255.0, 0.0, out.as_mut_slice()))
        }
        // As MaskedWeights chooses: by lists at low densities, dense at high ones.
        "spmm" => {
            let (batch, density) = (shape.get("batch", 256), shape.get("per_mille", 100) as f64 / 1000.0);
            let pattern = Pattern::random(n, k, density, Stream::new(0, "mask")).expect("a density");
            let w = SparseMatrix::from_masked(uniform(n, k, -1.0, 1.0, "w").view(), pattern).expect("one shape");
            let w = MaskedWeights::sparse(&context, w, batch);
            let (x, mut y) = (uniform(batch, n, -1.0, 1.0, "x"), Matrix::zeros(batch, k));
            Box::new(move || w.forward(&mut context, x.view(), y.view_mut(), Write::Replace))
        }
        "sampled" => {
            let (batch, density) = (shape.get("batch", 256), shape.get("per_mille", 100) as f64 / 1000.0);
            let pattern = Pattern::random(n, k, density, Stream::new(0, "mask")).expect("a density");
            let (x, z) = (uniform(batch, n, -1.0, 1.0, "x"), uniform(batch, k, -1.0, 1.0, "z"));
            let mut values = vec![0.0; pattern.entries()];
            Box::new(move || masked::sampled_product(&mut context, x.view(), z.view(), &pattern, &mut values))
        }
        // Every unit sees two squares of a 30 x 30 map, anywhere.
        "field" => {
            let (batch, units, map, side) =
                (shape.get("batch", 256), shape.get("units", 100), Map { rows: 30, cols: 30 }, 10);
            let mut generator = Stream::new(0, "fields").generator();
            let mut place = || below(&mut generator, 21) as usize;
            let mut square = || (place(), place());
            let mut field = || {
                let squares = [square(), square()].map(|(r, c)| Rectangle::new(r..r + side, c..c + side));
                ReceptiveField::new(map, &squares).expect("inside the map")
            };
            let layer = FieldLayer::new((0..units).map(|_| field()).collect()).expect("one map");
            let weights = uniform(1, layer.weights(), -1.0, 1.0, "w").as_slice().to_vec();
            let w = MaskedWeights::fields(&context, layer, weights, batch).expect("a weight for every value");
            let (x, mut y) = (uniform(batch, map.len(), -1.0, 1.0, "x"), Matrix::zeros(batch, units));
            Box::new(move || w.forward(&mut context, x.view(), y.view_mut(), Write::Replace))
        }
        // Weights of genotypes.
        "decode" => {
            let (links, genes) = (shape.get("links", 88_400), shape.get("genes", 4000));
            let genotypes = shape.get("genotypes", 64);
            let w = WeightGeneration::random(links, genes, 0.0025, Stream::new(0, "w")).expect("a density");
            let p = AlleleFrequencies::new(vec![0.5; genes]).expect("frequencies");
            let stream = Stream::new(0, "population");
            let population = Population::sample(&mut context, &p, stream, 0..genotypes as u64).expect("a population");
            let mut out = Matrix::zeros(links, genotypes);
            Box::new(move || genotype::decode(&mut context, &w, &population, 0..genotypes, out.view_mut()))
        }
        // Cross-entropy of genotypes whose weights are given.
        "evaluate" => {
            let (genotypes, count) = (shape.get("genotypes", 8), shape.get("images", 200));
            let graph = Graph::random(784, 1000, 10, 0.1, Stream::new(0, "graph")).expect("a probability");
            let (images, labels) = match shape.get("digits", 0) {
                0 => (uniform(count, 784, 0.05, 1.0, "x"), (0..count).map(|image| (image % 10) as u8).collect()),
                _ => digits(count),
            };
            let samples = Samples::new(&mut context, &graph, images.view(), &labels).expect("images");
            let weights = uniform(genotypes, graph.links(), -0.05, 0.05, "weights");
            Box::new(move || {
                black_box(genotype::evaluate_weights(&mut context, &samples, weights.view()).expect("weights"));
            })
        }
        // A generation of neural net evolution on digits: genotypes, evaluation, rewards of alleles, the next frequencies.
        "generation" => {
            let (genotypes, count) = (shape.get("genotypes", 1000), shape.get("images", 2000));
            let (genes, fixed) = (shape.get("genes", 4000), shape.get("fixed", 0));
            let graph = Graph::random(784, 1000, 10, 0.1, Stream::new(0, "graph")).expect("a probability");
            let w = WeightGeneration::random(graph.links(), genes, 0.0025, Stream::new(0, "w")).expect("a density");
            let (images, labels) = digits(count);
            let samples = Samples::new(&mut context, &graph, images.view(), &labels).expect("images");
            let start = frequencies(genes, fixed);
            let stream = Stream::new(0, "population");
            Box::new(move || {
                let mut p = start.clone();
                let range = 0..genotypes as u64;
                let population = Population::sample(&mut context, &p, stream, range).expect("a population");
                let outcome = genotype::evaluate(&mut context, &w, &samples, &population);
                let rewards = genotype::allele_rewards(&mut context, &population, &outcome.rewards);
                p.update(&rewards, 1.0).expect("rewards");
                black_box(p);
            })
        }
        "histogram" => {
            let x = if shape.get("relu", 0) == 1 { rectified } else { unit };
            let x = x(1, shape.get("count", 10_000_000));
            let range = entropy::range(&mut context, x.view()).expect("values");
            let empty = Histogram::new(range, shape.get("bins", 100)).expect("a number of bins");
            Box::new(move || {
                let mut histogram = empty.clone();
                histogram.add(&mut context, x.view());
                black_box(histogram);
            })
        }
        // The entropy of every column, its own range each.
        "entropy" => {
            let x = rectified(shape.get("rows", 60_000), shape.get("cols", 50));
            let bins = shape.get("bins", 100);
            Box::new(move || {
                let columns = Histogram::of_columns(&mut context, x.view(), bins).expect("a number of bins");
                black_box(columns.iter().map(Histogram::entropy_bits).collect::<Vec<f64>>());
            })
        }
        // Steps of self-replication of every particle 5-cell-cell-1.
        "replicate" => {
            let cell = shape.get("cell", 3);
            let net = Net::new(&[cell, cell], Activation::Linear).expect("a small net");
            let mut particles = Particles::xavier(&net, shape.get("particles", 1125), Stream::new(0, "w"));
            let rule = SelfReplication { rate: 1e-6, momentum: 0.0, steps: shape.get("steps", 1) };
            Box::new(move || particle::self_replicate(&mut context, &mut particles, None, &rule))
        }
        // What a step's memory traffic costs: as many bytes read and written.
        "copy" => {
            let values = 27 * shape.get("particles", 1_000_000);
            let (from, mut to) = (uniform(1, values, 0.0, 1.0, "x"), Matrix::zeros(1, values));
            Box::new(move || to.as_mut_slice().copy_from_slice(from.as_slice()))
        }
        // The task step of an organism 225-5-5-10 of particles 5-5-5-1: forward, backward, update of all particles.
        "organism" => {
            let (batch, widths) = (shape.get("batch", 2000), [225, 5, 5, 10]);
            let net = Net::new(&[5, 5], Activation::Linear).expect("a small net");
            let ranges = [0..1125, 1125..1150, 1150..1200];
            let mut particles = Particles::xavier(&net, 1200, Stream::new(0, "w"));
            let mut velocity = Particles::zeros(&net, 1200);
            let x = unit(batch, 225);
            let labels: Vec<u8> = (0..batch).map(|at| (at % 10) as u8).collect();
            let layer = |l: usize| Matrix::zeros(batch, widths[l + 1]);
            let (mut sums, mut values, mut errors) = ([0, 1, 2].map(layer), [0, 1, 2].map(layer), [0, 1, 2].map(layer));
            let (mut c, mut gradient) = (vec![0.0; 1200], vec![0.0; 1200]);
            Box::new(move || {
                particle::effective_weights(&mut context, &particles, &mut c);
                let w = |l: usize| MatRef::new(&c[ranges[l].clone()], widths[l], widths[l + 1]).expect("a layer");
                for l in 0..3 {
                    let (below, above) = values.split_at_mut(l);
                    let input = below.last().map_or(x.view(), Matrix::view);
                    dense::matmul(&mut context, input, w(l), sums[l].view_mut(), Write::Replace);
                    above[0].view_mut().copy_from(sums[l].view());
                    if l < 2 {
                        activation::gelu(&mut context, above[0].view_mut());
                    }
                }
                let (out, error) = (values[2].view(), errors[2].view_mut());
                black_box(loss::softmax_cross_entropy(&mut context, out, &labels, None, Some(error)));
                for l in (0..3).rev() {
                    let input = if l == 0 { x.view() } else { values[l - 1].view() };
                    let (below, above) = errors.split_at_mut(l);
                    let to = MatMut::new(&mut gradient[ranges[l].clone()], widths[l], widths[l + 1]).expect("a layer");
                    dense::matmul_tn(&mut context, input, above[0].view(), to, Write::Replace);
                    if let Some(below) = below.last_mut() {
                        dense::matmul_nt(&mut context, above[0].view(), w(l), below.view_mut(), Write::Replace);
                        activation::gelu_gradient(&mut context, sums[l - 1].view(), below.view_mut());
                    }
                }
                particle::effective_weight_step(&mut context, &mut particles, &mut velocity, &gradient, 1e-9, 0.9);
            })
        }
        // A pass over the data with the hidden layer's update: z = ReLU(x w), then Oja's subspace rule.
        "epoch" => {
            let (images, batch) = (shape.get("images", 60_000), shape.get("batch", 2000));
            let (x, mut w) = (uniform(batch, n, 0.05, 1.0, "x"), uniform(n, k, -0.01, 0.01, "w"));
            let mut z = Matrix::zeros(batch, k);
            Box::new(move || {
                for _ in 0..images / batch {
                    dense::matmul(&mut context, x.view(), w.view(), z.view_mut(), Write::Replace);
                    activation::relu(&mut context, z.view_mut());
                    hebbian::oja_subspace(&mut context, x.view(), z.view(), w.view_mut(), &update);
                }
            })
        }
        _ => return None,
    })
}

fn milliseconds(call: &mut Call) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    while calls == 0 || start.elapsed() < Duration::from_millis(20) {
        call();
        calls += 1;
    }
    start.elapsed().as_secs_f64() * 1e3 / f64::from(calls)
}

fn serve(line: &str, current: &mut Option<Call>) -> String {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("prepare") => {
            let operation = words.next().unwrap_or_default();
            let mut shape = HashMap::new();
            for word in words {
                match word.split_once('=').and_then(|(key, value)| Some((key, value.parse().ok()?))) {
                    Some((key, value)) => shape.insert(key.to_owned(), value),
                    None => return format!("error: expected key=number, found '{word}'"),
                };
            }
            let shape = Shape(shape);
            let context = Threads::new(shape.get("threads", 1)).and_then(|t| Ok(Context::new()?.with_threads(t)));
            match context {
                Err(error) => format!("error: {error}"),
                Ok(context) => {
                    let isa = context.isa();
                    *current = prepare(operation, &shape, context);
                    match current {
                        None => format!("error: no operation '{operation}'"),
                        Some(call) => {
                            call();
                            format!("ready {isa}")
                        }
                    }
                }
            }
        }
        Some("round") => match current {
            Some(call) => format!("{}", milliseconds(call)),
            None => "error: nothing prepared".into(),
        },
        _ => format!("error: expected 'prepare OP key=number ...' or 'round', found '{line}'"),
    }
}

fn main() {
    let mut current = None;
    if !std::env::args().any(|argument| argument == "--serve") {
        for &(operation, shape) in OPERATIONS {
            let shape: String = shape.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            println!("{operation}: {}", serve(&format!("prepare {operation}{shape}"), &mut current));
            assert!(milliseconds(current.as_mut().expect("a prepared operation")) > 0.0);
        }
        return;
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        println!("{}", serve(&line, &mut current));
        if std::io::stdout().flush().is_err() {
            break;
        }
    }
}
