use std::ops::ControlFlow;
use std::sync::Arc;

use super::base::{Engine, Epoch, latents};
use super::images::Prepared;
use super::network::Situation;
use super::sweep::Plan;
use super::topology::{Geometry, fields, neighbours, random_place, shifted};
use super::train::{Material, Session};
use super::units::Unit;
use super::*;
use crate::datasets::batches::{Batches, Order};
use crate::datasets::transforms::grayscale;
use crate::datasets::{Dataset, Shape, embedded};
use crate::kernels::masked::{Map, ReceptiveField, Rectangle};
use crate::random::Stream;
use crate::systems::{Learner, Progress};
use crate::{Context, Error, Isa, Matrix, Threads};

fn context(isa: Isa, threads: usize) -> Context {
    Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap())
}

fn config(topology: Named) -> Config {
    let base = Base { epochs: 1, ..Base::default() };
    let read_out = ReadOut { epochs: 2, ..ReadOut::default() };
    Config { seed: 7, topology: Topology::Named(topology), base, read_out, ..Config::default() }
}

fn network(config: &Config) -> Network {
    Network::new(config.clone(), 784, 10).unwrap()
}

fn go(_: &Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// All parameters of all units, as bits.
fn bits(situation: &Situation) -> Vec<u32> {
    let layers = situation.units.iter().flat_map(|unit| [&unit.encoder, &unit.decoder]);
    layers.flat_map(|layer| layer.weights.as_slice().iter().chain(&layer.bias)).map(|value| value.to_bits()).collect()
}

/// A few batches of base learning on the embedded digits: losses and the state they lead to.
fn learn(context: &Context, config: &Config, batches: u64, complete: bool) -> (Vec<f64>, Situation) {
    learn_from(&embedded().train, context, config, batches, complete)
}

/// The same on other images.
fn learn_from(
    data: &Dataset,
    context: &Context,
    config: &Config,
    batches: u64,
    complete: bool,
) -> (Vec<f64>, Situation) {
    let mut network = Network::new(config.clone(), data.pixels(), data.classes()).unwrap();
    let images = Prepared::new(context, config.images, data).unwrap();
    let stream = Stream::new(config.seed, "test batches");
    let mut order = Batches::new(data.labels(), 10, None, config.base.batch, Order::Shuffled, stream).unwrap();
    let mut plan = network.plan(&network.current);
    if complete {
        plan = plan.complete();
    }
    let epoch = Epoch {
        plan: &plan,
        base: &config.base,
        images: &images,
        first: 3,
        batches,
        adam_steps: 0,
        stream: Stream::new(config.seed, "test"),
    };
    let (mut engine, mut losses) = (Engine::new(), Vec::new());
    let flow = engine.epoch(context, epoch, &mut order, &mut network.current.units, &mut |_, loss| {
        losses.push(loss);
        ControlFlow::Continue(())
    });
    assert!(flow.is_continue());
    network.current.entropies = engine.entropies(context, config.base.bins);
    (losses, network.current)
}

#[test]
fn a_golden_run_has_the_same_bits_on_every_set_and_any_number_of_threads() {
    let config = config(Named::Ar1);
    let digest = |situation: &Situation| {
        bits(situation)
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, bits| (hash ^ u64::from(*bits)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    for isa in Isa::available() {
        for threads in [1, 3] {
            let (losses, situation) = learn(&context(isa, threads), &config, 4, false);
            assert_eq!(digest(&situation), GOLDEN, "{isa}, {threads} threads, losses {losses:?}");
        }
    }
}

/// What four batches on AR1 with seed 7 lead to.
const GOLDEN: u64 = 2_368_196_305_523_503_083;

#[test]
fn masked_and_gathered_form_agree_to_the_bit_while_the_fields_stand_still() {
    let context = context(Isa::best(), 1);
    for topology in [Named::A1, Named::A3, Named::Ar1, Named::Ar2, Named::Ar3, Named::Random] {
        let gathered = config(topology);
        let masked = Config { form: Form::Masked, ..gathered.clone() };
        let (losses, one) = learn(&context, &gathered, 5, false);
        let (others, other) = learn(&context, &masked, 5, false);
        assert_eq!(losses, others, "{topology:?}");
        assert_eq!(bits(&one), bits(&other), "{topology:?}");
        assert_eq!(one.entropies, other.entropies);
        assert!(losses.iter().all(|loss| *loss > 0.0) && one.entropies.iter().all(|entropy| *entropy > 0.1));
    }
    // A2's units see their cells twice in the one form and once in the other.
    assert_eq!(network(&config(Named::A2)).current.units[1].encoder.weights.cols(), 200);
    let masked = Config { form: Form::Masked, ..config(Named::A2) };
    assert_eq!(network(&masked).current.units[1].encoder.weights.cols(), 100);
}

#[test]
fn what_nobody_reads_can_be_left_out() {
    let context = context(Isa::best(), 1);
    for topology in [Named::A2, Named::Ar2, Named::Random] {
        let config = config(topology);
        let (lazy, all) = (learn(&context, &config, 3, false), learn(&context, &config, 3, true));
        assert_eq!((lazy.0, bits(&lazy.1)), (all.0, bits(&all.1)), "{topology:?}");
    }
    let plan = |topology| {
        let network = network(&config(topology));
        (network.plan(&network.current).work(), network.plan(&network.current).complete().work())
    };
    // All of A1 lies on the image: only what learns is left. AR1's third unit reads itself and the first.
    assert_eq!(plan(Named::A1), ([300_000, 60_000], [480_000, 240_000]));
    let (live, all) = plan(Named::Ar1);
    assert!(live[0] > 300_000 && live[0] <= all[0]);
}

/// Algorithm 1 without dropout, in `f64`, with weights read from the units: losses and gradients of one batch.
struct Naive {
    map: Vec<f64>,
    loss: f64,
    encoders: Vec<Vec<f64>>,
    decoders: Vec<Vec<f64>>,
}

/// Of images as they lie on the map.
fn naive(plan: &Network, images: &[Vec<f64>]) -> Naive {
    let (geometry, units, fields) = (plan.geometry(), &plan.current.units, &plan.current.fields);
    let (cells, side) = (geometry.map().len(), geometry.image().rows.len());
    let zeros = || -> Vec<Vec<f64>> { units.iter().map(|u| vec![0.0; u.encoder.weights.as_slice().len()]).collect() };
    let mut out = Naive { map: Vec::new(), loss: 0.0, encoders: zeros(), decoders: zeros() };
    let values: usize = fields.iter().map(|field| field.len() * images.len()).sum();
    for image in images {
        let mut map = vec![0.0f64; cells];
        for (pixel, &value) in image.iter().enumerate() {
            map[pixel / side * geometry.map().cols + pixel % side] = value;
        }
        let encode = |map: &[f64], k: usize| -> (Vec<f64>, Vec<f64>) {
            let x: Vec<f64> = fields[k].columns().map(|cell| map[cell]).collect();
            let layer = &units[k].encoder;
            let h = (0..layer.bias.len()).map(|j| {
                let sum: f64 = x.iter().enumerate().map(|(i, x)| x * f64::from(layer.weights[(j, i)])).sum();
                (sum + f64::from(layer.bias[j])).max(0.0)
            });
            let h = h.collect();
            (x, h)
        };
        let write = |map: &mut [f64], k: usize, h: &[f64]| {
            let tile = ReceptiveField::new(geometry.map(), &geometry.latents()[k..=k]).unwrap();
            tile.columns().zip(h).for_each(|(cell, h)| map[cell] = *h);
        };
        for sweep in 0..=units.len() {
            for k in 0..units.len() {
                let (x, h) = encode(&map, k);
                write(&mut map, k, &h);
                if sweep < units.len() {
                    continue;
                }
                let layer = &units[k].decoder;
                let (inputs, hidden) = (x.len(), h.len());
                let mut by_h = vec![0.0; hidden];
                for i in 0..inputs {
                    let sum: f64 = (0..hidden).map(|j| h[j] * f64::from(layer.weights[(j, i)])).sum();
                    let y = (sum + f64::from(layer.bias[i])).max(0.0);
                    out.loss += (y - x[i]).powi(2) / values as f64;
                    if y > 0.0 {
                        let g = 2.0 * (y - x[i]) / (images.len() * inputs) as f64;
                        for j in 0..hidden {
                            out.decoders[k][j * inputs + i] += g * h[j];
                            by_h[j] += g * f64::from(layer.weights[(j, i)]);
                        }
                    }
                }
                for j in (0..hidden).filter(|&j| h[j] > 0.0) {
                    for i in 0..inputs {
                        out.encoders[k][j * inputs + i] += by_h[j] * x[i];
                    }
                }
            }
        }
        out.map = map;
    }
    out
}

#[test]
fn a_batch_follows_algorithm_1_and_the_gradient() {
    for isa in Isa::available() {
        follows_the_gradient(&context(isa, 1));
    }
}

fn follows_the_gradient(context: &Context) {
    let base = Base { dropout: 0.0, decay: 0.0, batch: 37, ..Base::default() };
    for topology in [Named::A2, Named::Ar1, Named::Ar3] {
        let config = Config { base: base.clone(), ..config(topology) };
        let network = network(&config);
        let data = embedded().train;
        let images = Prepared::new(context, config.images, &data).unwrap();
        let stream = Stream::new(config.seed, "test batches");
        let mut order = Batches::new(data.labels(), 10, None, 37, Order::Shuffled, stream).unwrap();
        let values = |&index: &u32| images.row(index)[..400].iter().map(|byte| f64::from(*byte) / 255.0).collect();
        let exact = naive(&network, &order.indices(3).iter().map(values).collect::<Vec<_>>());
        let (losses, after) = learn(context, &config, 1, false);
        close(&exact, losses[0], &after);
        // The map that one sees is that of algorithm 1, too.
        let plan = network.plan(&network.current);
        let mut map = Matrix::zeros(1, 800);
        let last = [*order.indices(3).last().unwrap()];
        let seen = latents(context, &plan, &network.current.units, &images, &last, Some(map.view_mut()));
        let worst = map.row(0).iter().zip(&exact.map).map(|(m, e)| (f64::from(*m) - e).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "worst {worst}");
        assert_eq!(seen.row(0)[..10], map.row(0)[20..30], "latents stand where their tile begins");
    }
}

/// Whether the first batch has this loss and these gradients.
#[track_caller]
fn close(exact: &Naive, loss: f64, after: &Situation) {
    assert!((loss - exact.loss).abs() < 1e-5 * exact.loss, "{loss} for {}", exact.loss);
    for (k, unit) in after.units.iter().enumerate() {
        for (layer, exact) in [(&unit.encoder, &exact.encoders[k]), (&unit.decoder, &exact.decoders[k])] {
            // Adam's first mean is a tenth of the first gradient. A ReLU at zero may fall to either side.
            let largest = exact.iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
            let wrong = |(got, exact): &(&f32, &f64)| (f64::from(**got) * 10.0 - **exact).abs() > 1e-4 * largest;
            let count = layer.moments.first.iter().zip(exact).filter(wrong).count();
            assert!(largest > 0.0 && count * 1000 <= exact.len(), "unit {k}: {count} of {} differ", exact.len());
        }
    }
}

/// Colour images whose rows, columns, planes and classes differ.
fn colours(count: usize) -> Dataset {
    let pixel = |at: usize| {
        let (image, channel, row, col) = (at / 3072, at / 1024 % 3, at / 32 % 32, at % 32);
        (20 * (image % 10) + 7 * image + 3 * col + (2 * channel + 1) * row + row * col / 4) as u8
    };
    let labels = (0..count).map(|image| (image % 10) as u8).collect();
    Dataset::new((0..count * 3072).map(pixel).collect::<Vec<u8>>(), labels, Shape::new(3, 32, 32).unwrap(), 10).unwrap()
}

fn colour_config(topology: Named) -> Config {
    Config { images: Images::Cifar10, ..config(topology) }
}

#[test]
fn colour_images_are_padded_cropped_and_mirrored() {
    let data = colours(3);
    let images = Prepared::new(&context(Isa::best(), 1), Images::Cifar10, &data).unwrap();
    // Everything that may come of the last image: colours first, grey in the end.
    let mut padded = vec![[[0u8; 40]; 40]; 3];
    for (at, &byte) in data.image(2).iter().enumerate() {
        padded[at / 1024][4 + at / 32 % 32][4 + at % 32] = byte;
    }
    let mut counts = std::collections::HashMap::new();
    for (top, left, mirrored) in (0..162).map(|n| (n / 18, n / 2 % 9, n % 2 == 1)) {
        let col = |col: usize| left + if mirrored { 31 - col } else { col };
        let cut = (0..3072).map(|at| padded[at / 1024][top + at / 32 % 32][col(at % 32)]).collect::<Vec<u8>>();
        let mut grey = vec![0; 1024];
        grayscale(&cut, &mut grey);
        assert!(counts.insert(grey, ([top, left], mirrored, 0)).is_none(), "images that cannot be told apart");
    }
    let mut out = vec![0; images.stride()];
    for n in 0..4000 {
        images.augment(2, Stream::new(1, "test").item(n), &mut out);
        counts.get_mut(&out[..1024]).expect("a crop of the padded image, or its mirror image").2 += 1;
    }
    assert!(counts.values().all(|found| found.2 > 0), "places that no crop came to");
    let mirrored: i32 = counts.values().filter(|found| found.1).map(|found| found.2).sum();
    assert!((1800..2200).contains(&mirrored), "{mirrored} of 4000 are mirrored");
    for place in 0..9 {
        for axis in 0..2 {
            let there: i32 = counts.values().filter(|found| found.0[axis] == place).map(|found| found.2).sum();
            assert!((350..540).contains(&there), "{there} of 4000 are shifted to {place}");
        }
    }
}

#[test]
fn a_colour_batch_follows_algorithm_1_and_the_gradient() {
    let context = context(Isa::best(), 1);
    let base = Base { dropout: 0.0, decay: 0.0, batch: 37, ..Base::default() };
    let config = Config { base, ..colour_config(Named::Ar1) };
    let data = colours(40);
    let images = Prepared::new(&context, config.images, &data).unwrap();
    let network = Network::new(config.clone(), 3072, 10).unwrap();
    let stream = Stream::new(config.seed, "test batches");
    let mut order = Batches::new(data.labels(), 10, None, 37, Order::Shuffled, stream).unwrap();
    // As base learning names the changes: by batch, chunk and place in the chunk.
    let changes = Stream::new(config.seed, "test").item(3).item(0);
    let mut bytes = vec![0; images.stride()];
    let mut values = |(at, &index): (u64, &u32)| {
        images.augment(index, changes.item(at / 32).item(at % 32), &mut bytes);
        bytes[..1024].iter().map(|byte| f64::from(*byte) / 127.5 - 1.0).collect()
    };
    let seen: Vec<Vec<f64>> = (0..).zip(order.indices(3)).map(&mut values).collect();
    let (losses, after) = learn_from(&data, &context, &config, 1, false);
    close(&naive(&network, &seen), losses[0], &after);
}

#[test]
fn colour_images_that_are_not_learnt_from_lie_on_the_map_as_they_are() {
    let (mut context, data) = (context(Isa::best(), 1), colours(2));
    let network = Network::new(colour_config(Named::A3), 3072, 10).unwrap();
    let images = Matrix::from_fn(2, 3072, |image, at| f32::from(data.image(image)[at]) / 255.0);
    let maps = network.feature_maps(&mut context, images.view());
    assert_eq!((maps.rows(), maps.cols()), (2, 32 * 64));
    for image in 0..2 {
        let mut grey = vec![0; 1024];
        grayscale(data.image(image), &mut grey);
        for (pixel, byte) in grey.into_iter().enumerate() {
            let value = maps[(image, pixel / 32 * 64 + pixel % 32)];
            assert!((value - (f32::from(byte) / 127.5 - 1.0)).abs() < 1e-6, "pixel {pixel}: {value} for {byte}");
        }
    }
}

#[test]
fn colour_images_lead_to_the_same_bits_however_they_are_learnt() {
    let data = colours(120);
    // A chunk of samples and part of one.
    let base = Base { epochs: 2, batch: 40, ..Base::default() };
    let meta = Meta { steps: 1, perturbations: 2, epochs: Some(1), ..Meta::default() };
    let read_out = ReadOut { epochs: 2, batch: 32, ..ReadOut::default() };
    let config = Config { base, meta: Some(meta), read_out, ..colour_config(Named::Random) };
    let untrained = || Network::new(config.clone(), 3072, 10).unwrap();
    let train = |isa, threads| {
        let mut network = untrained();
        let flow = network.train(&mut context(isa, threads), &data, Some(&data), &mut go).unwrap();
        assert!(flow.is_continue() && network.finished());
        network
    };
    let whole = train(Isa::best(), 1);
    assert_ne!(bits(&whole.current), bits(&untrained().current));
    // The best set, and another.
    let sets: Vec<Isa> = Isa::available().collect();
    for isa in &sets[sets.len().saturating_sub(2)..] {
        for threads in [1, 2, 3, 7] {
            assert_eq!(train(*isa, threads), whole, "{isa}, {threads} threads");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.safetensors");
    let (mut pieces, mut rounds) = (untrained(), 0);
    loop {
        let mut left = 3u32;
        let flow = pieces.train(&mut context(Isa::best(), 2), &data, Some(&data), &mut |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        pieces.save(&path).unwrap();
        pieces = Network::load(&path).unwrap();
        rounds += 1;
        if flow.unwrap().is_continue() {
            break;
        }
        assert!(rounds < 20, "no progress");
    }
    assert!(rounds > 2);
    assert_eq!(pieces, whole, "stopped, saved and continued");
}

#[test]
fn training_can_be_stopped_anywhere_saved_and_continued() {
    let data = embedded();
    let few: Vec<u32> = (0..2000).step_by(5).collect();
    let train = data.train.subset(&few).unwrap();
    let mut contexts = context(Isa::best(), 1);
    for (form, rule, criterion, rejected, topology) in [
        (Form::Gathered, Rule::StochasticHillClimbing, Criterion::Unit, Rejected::Undone, Named::Random),
        (Form::Masked, Rule::StochasticHillClimbing, Criterion::Unit, Rejected::KeepsWeights, Named::Random),
        (Form::Gathered, Rule::StochasticHillClimbing, Criterion::UnitBest, Rejected::KeepsWeights, Named::Random),
        (Form::Masked, Rule::LocalSearch, Criterion::Median, Rejected::Undone, Named::Random),
        // Two units of A2 have two areas each, a random place has one.
        (Form::Gathered, Rule::RandomSearch, Criterion::Unit, Rejected::Undone, Named::A2),
    ] {
        let meta = Meta { rule, steps: 2, perturbations: 3, epochs: Some(1), criterion, rejected };
        let config = Config { form, meta: Some(meta), ..config(topology) };
        let mut whole = network(&config);
        let mut steps = 0u64;
        let flow = whole.train(&mut contexts, &train, None, &mut |_| {
            steps += 1;
            ControlFlow::Continue(())
        });
        assert!(flow.unwrap().is_continue() && whole.finished());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h.safetensors");
        // Stops everywhere: within epochs, at their ends, between phases.
        let mut pieces = network(&config);
        let mut rounds = 0u32;
        loop {
            let mut left = 4u32;
            let flow = pieces.train(&mut context(Isa::best(), 2), &train, None, &mut |_| {
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let done = flow.unwrap().is_continue();
            pieces.save(&path).unwrap();
            let loaded = Network::load(&path).unwrap();
            assert_eq!(loaded, pieces);
            pieces = loaded;
            rounds += 1;
            if done {
                break;
            }
            assert!(u64::from(rounds) < steps, "no progress");
        }
        assert!(rounds > 5);
        assert_eq!(pieces, whole, "{form:?} {rule:?}");
        assert_eq!(whole.entropy_history().len() as u64, whole.epochs);
        assert_eq!(whole.entropy_history().last().unwrap().len(), 3);
        for made in whole.moves() {
            assert!(made.entropy[1] > made.entropy[0]);
        }
        let before = whole.accuracy(&mut contexts, &data.test).unwrap();
        assert_eq!(before, pieces.accuracy(&mut contexts, &data.test).unwrap());
    }
}

#[test]
fn a_unit_is_compared_with_its_best_where_that_is_asked_for() {
    for (criterion, accepted) in [(Criterion::Unit, true), (Criterion::UnitBest, false)] {
        let meta = Meta { criterion, perturbations: 9, ..Meta::default() };
        let mut network = network(&Config { meta: Some(meta), ..config(Named::A2) });
        network.current.entropies = vec![2.0; 3];
        (network.best, network.highest) = (Some(network.current.clone()), vec![2.0; 3]);
        let mut judge = |unit: u64, entropies: [f64; 3]| {
            network.tried = unit;
            network.current.entropies = entropies.to_vec();
            network.judge()
        };
        // What unit 1 gains costs unit 0 half of its entropy.
        assert!(judge(1, [1.0, 3.0, 2.0]));
        // More than unit 0 has now, less than it had.
        assert_eq!(judge(0, [1.5, 3.0, 2.0]), accepted, "{criterion:?}");
        assert!(judge(0, [2.5, 3.0, 2.0]));
        assert_eq!(network.highest, [2.5, 3.0, 2.0]);
        let made: Vec<[f64; 2]> = network.moves().map(|made| made.entropy).collect();
        let last = if accepted { vec![[1.0, 1.5], [1.5, 2.5]] } else { vec![[2.0, 2.5]] };
        assert_eq!((made[0], &made[1..]), ([2.0, 3.0], &last[..]));
    }
}

#[test]
fn entropies_of_every_epoch_are_kept() {
    let data = embedded().train.subset(&(0..300).collect::<Vec<u32>>()).unwrap();
    let meta = Meta { steps: 2, perturbations: 2, epochs: Some(1), ..Meta::default() };
    let base = Base { epochs: 3, batch: 60, ..Base::default() };
    let mut network = network(&Config { base, meta: Some(meta), ..config(Named::Random) });
    let mut context = context(Isa::best(), 1);
    let still = Config { meta: None, ..network.config().clone() };
    let mut first = Network::new(still, 784, 10).unwrap();
    for network in [&mut network, &mut first] {
        assert!(network.train(&mut context, &data, None, &mut go).unwrap().is_continue());
    }
    let history: Vec<&[f64]> = network.entropy_history().collect();
    assert_eq!(first.entropy_history().collect::<Vec<_>>(), history[..3]);
    assert_eq!(history[2], first.entropies());
    assert_eq!(history.len() as u64, 3 + network.trainings - 1);
    assert!(network.trainings > 2 && history.contains(&network.entropies()));
}

#[test]
fn a_hierarchy_learns_the_embedded_digits() {
    let data = embedded();
    let mut context = context(Isa::best(), 2);
    let base = Base { epochs: 8, batch: 32, ..Base::default() };
    let read_out = ReadOut { batch: 32, epochs: 20, ..ReadOut::default() };
    let config = Config { base, read_out, ..config(Named::A3) };
    let mut network = network(&config);
    let before = network.accuracy(&mut context, &data.test).unwrap();
    let mut phases = Vec::new();
    let flow = network.train(&mut context, &data.train, Some(&data.test), &mut |progress| {
        if phases.last().is_none_or(|last| last != progress.phase) {
            phases.push(progress.phase.to_owned());
        }
        go(progress)
    });
    assert!(flow.unwrap().is_continue());
    assert_eq!(phases, ["base", "read-out"]);
    let after = network.accuracy(&mut context, &data.test).unwrap();
    assert!(before < 0.3 && after > 0.8, "{before} before, {after} after");
    assert_eq!(network.entropies().len(), 3);
    assert!(network.curve().iter().any(|point| point.accuracy.is_some()));
    let first = &network.curve()[0];
    let last = network.curve().iter().rfind(|point| &*point.phase == "base").unwrap();
    assert!(last.loss < first.loss);
    let maps = network.feature_maps(&mut context, Matrix::zeros(2, 784).view());
    assert_eq!((maps.rows(), maps.cols()), (2, 800));
}

#[test]
fn data_of_another_shape_are_refused() {
    let data = embedded().train;
    let mut context = context(Isa::best(), 1);
    let cifar = Config { images: Images::Cifar10, ..config(Named::A1) };
    assert!(matches!(Network::new(cifar.clone(), 784, 10), Err(Error::Setting { .. })));
    let mut network = Network::new(cifar, 3072, 10).unwrap();
    assert!(matches!(network.train(&mut context, &data, None, &mut go), Err(Error::Setting { .. })));
    assert_eq!(network.geometry().map(), Map { rows: 32, cols: 64 });
    assert_eq!(network.fields()[2].rectangles(), [Rectangle::new(0..32, 16..32)]);
    assert_eq!((network.geometry().hidden(), network.fields()[0].len()), (256, 512));
}

#[test]
fn the_papers_topologies_stand_where_they_should() {
    let geometry = Geometry::of_paper(20, 3).unwrap();
    assert_eq!(geometry.map(), Map { rows: 20, cols: 40 });
    for topology in Named::FIXED {
        let fields = fields(&Topology::Named(topology), &geometry, 0).unwrap();
        assert_eq!(fields.iter().map(ReceptiveField::len).collect::<Vec<_>>(), [200; 3], "{topology:?}");
    }
    for (units, cols) in [(5, 50), (7, 60)] {
        let geometry = Geometry::of_paper(20, units).unwrap();
        assert_eq!((geometry.map().cols, geometry.latents().len(), geometry.hidden()), (cols, units, 100));
        let random = fields(&Topology::Named(Named::Random), &geometry, 5).unwrap();
        assert!(random.iter().all(|field| field.len() == 200));
    }
    assert!(fields(&Topology::Named(Named::A1), &Geometry::of_paper(20, 5).unwrap(), 0).is_err());
    let upright = (0..100).filter(|&n| random_place(&geometry, Stream::new(n, "t")).unwrap().rows.len() == 20).count();
    assert!((30..70).contains(&upright), "{upright} of 100 stand upright");
}

#[test]
fn shifts_stay_on_the_map() {
    let map = Map { rows: 20, cols: 40 };
    let field = |rows, cols| ReceptiveField::new(map, &[Rectangle::new(rows, cols)]).unwrap();
    assert_eq!(shifted(&field(5..15, 7..27), [1, -1]), field(6..16, 6..26));
    assert_eq!(shifted(&field(0..10, 20..40), [-1, 1]), field(1..11, 19..39), "inward");
    assert_eq!(shifted(&field(0..20, 5..15), [1, 1]), field(0..20, 6..16), "an axis it spans stays");
    assert_eq!(neighbours(&field(5..15, 7..27)).len(), 8);
    assert_eq!(neighbours(&field(0..20, 5..15)).len(), 2);
    assert_eq!(neighbours(&field(0..10, 20..40)).len(), 3);
    assert!(neighbours(&field(0..20, 0..40)).is_empty());
}

#[test]
fn a_field_that_moves_leaves_weights_behind_and_finds_others() {
    let map = Map { rows: 20, cols: 40 };
    let field = |cols| ReceptiveField::new(map, &[Rectangle::new(0..20, cols)]).unwrap();
    let (here, there) = (field(5..15), field(6..16));
    let mut unit = Unit::new(Form::Masked, &here, 100, Stream::new(1, "w"));
    let initial = unit.store.clone().unwrap();
    unit.encoder.weights.as_mut_slice().fill(9.0);
    unit.decoder.bias.fill(8.0);
    let moved = unit.moved(Form::Masked, &here, &there);
    // Row by row: nine columns are still seen, the tenth is new.
    assert_eq!(moved.encoder.weights.row(3)[..9], [9.0; 9]);
    assert_eq!(moved.encoder.weights[(3, 9)], initial.encoder[(3, 15)]);
    assert_eq!(moved.decoder.bias[9], initial.decoder_bias[15]);
    assert_eq!(moved.store.as_ref().unwrap().encoder[(3, 5)], 9.0, "as it was when the field left");
    let back = moved.moved(Form::Masked, &there, &here);
    assert_eq!(back.encoder.weights, unit.encoder.weights);
    let gathered = Unit::new(Form::Gathered, &here, 100, Stream::new(1, "w"));
    assert_eq!(gathered.moved(Form::Gathered, &here, &there), gathered);
}

#[test]
fn configurations_go_to_toml_and_back() {
    let given =
        Topology::Given(vec![vec![[0, 20, 0, 10]], vec![[0, 10, 0, 10], [5, 15, 3, 13]], vec![[0, 20, 20, 30]]]);
    for config in [
        Config::default(),
        Config { meta: Some(Meta::default()), form: Form::Masked, ..config(Named::Random) },
        Config { topology: given, ..Config::default() },
        Config { images: Images::Cifar10, ..config(Named::Ar3) },
    ] {
        assert_eq!(Config::from_toml(&config.to_toml(), "again").unwrap(), config);
    }
    let without_epochs = Config::from_toml("[meta]\nsteps = 3", "test").unwrap();
    assert_eq!(without_epochs.meta, Some(Meta { steps: 3, epochs: None, ..Meta::default() }));
}

#[test]
fn configurations_that_cannot_be_are_refused_by_name() {
    let map = "units = 1\ntopology = [[[0, 20, 0, 10]]]\n[map]\n";
    for (text, because) in [
        ("topologie = \"a1\"", "topologie"),
        ("topology = \"a4\"", "topology"),
        ("units = 0", "units"),
        ("units = 8", "units"),
        ("units = 5\ntopology = \"a1\"", "topology A1"),
        ("units = 2\ntopology = [[[0, 10, 0, 10]]]", "topology"),
        ("units = 1\ntopology = [[[0, 10, 31, 41]]]", "topology of unit 0"),
        ("units = 1\ntopology = [[[0, 10, 5, 5]]]", "topology of unit 0"),
        ("units = 1\ntopology = [[[9, 3, 5, 15]]]", "topology of unit 0"),
        ("units = 1\ntopology = [[]]", "topology of unit 0"),
        (&format!("{map}rows = 0\ncols = 40\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 20\ncols = 0\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 19\ncols = 40\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 9000000\ncols = 9000000\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 20, 30], [10, 20, 20, 30]]"), "map.latents"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 20, 20]]"), "map.latents[0]"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 35, 45]]"), "map.latents[0]"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 19, 29]]"), "map.latents[0]"),
        ("validation = 1.0", "validation"),
        ("seed = 9223372036854775808", "seed"),
        ("[base]\nbatch = 0", "base.batch"),
        ("[base]\nrate = 0.0", "base.rate"),
        ("[base]\ndecay = -1.0", "base.decay"),
        ("[base]\ndropout = 1.0", "base.dropout"),
        ("[base]\nbins = 0", "base.bins"),
        ("[base]\nepochs = 0\n[meta]\n", "base.epochs"),
        ("[meta]\nperturbations = 0", "meta.perturbations"),
        ("[meta]\nepochs = 0", "meta.epochs"),
        ("[read_out]\npatience = 0", "read_out.patience"),
        ("[read_out]\nbatch = 0", "read_out.batch"),
        ("[meta]\nrule = 'local_search'\nrejected = 'keeps_weights'", "meta.rejected"),
        ("units = 1\ntopology = [[[0, 20, 0, 20]]]\n[meta]\nrule = 'random_search'", "topology of unit 0"),
        (
            "topology = [[[0, 20, 0, 10]], [[0, 20, 0, 10]], [[0, 9, 0, 9]]]\n[meta]\nrule = 'random_search'",
            "topology of unit 2",
        ),
        (&format!("topology = 'a1'\n{OTHER_MAP}"), "map"),
        // What no memory holds.
        (&format!("{map}rows = 1024\ncols = 1024\nlatents = [[0, 25, 20, 60]]"), "map"),
        (&format!("form = 'masked'\n{map}rows = 1024\ncols = 1024\nlatents = [[0, 25, 20, 60]]"), "map"),
        (
            "units = 1\ntopology = [[[0, 200, 0, 200]]]\nbase.batch = 65536\n
             map = { rows = 200, cols = 200, latents = [[0, 1, 20, 21]] }",
            "base.batch",
        ),
        (
            "units = 2\ntopology = [[[0, 1, 0, 1]], [[0, 1, 0, 1]]]\nread_out.hidden = 65536\n
             map = { rows = 120, cols = 220, latents = [[20, 120, 20, 120], [20, 120, 120, 220]] }",
            "read_out.hidden",
        ),
        ("read_out = { batch = 1048576, hidden = 65536 }", "read_out.batch"),
    ] {
        match Config::from_toml(text, "test.toml") {
            Err(Error::Setting { name, .. }) => assert!(name.starts_with(because), "{text}: {name}"),
            Err(Error::Format { found, .. }) => assert!(found.contains(because), "{text}: {found}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let overlapping = "units = 2\ntopology = [[[0, 20, 0, 10]], [[0, 20, 0, 10]]]\n[map]\nrows = 20\ncols = 40\n\
                       latents = [[0, 10, 20, 30], [5, 15, 25, 35]]";
    match Config::from_toml(overlapping, "test.toml") {
        Err(Error::Setting { name, expected, .. }) => {
            assert_eq!(
                (name.as_str(), expected.as_str()),
                ("map.latents[1]", "an area without a cell of [0, 10, 20, 30]")
            );
        }
        other => panic!("{other:?}"),
    }
}

/// Latents below the image, not beside it.
const OTHER_MAP: &str =
    "map = { rows = 40, cols = 40, latents = [[20, 30, 0, 10], [20, 30, 10, 20], [20, 30, 20, 30]] }";

#[test]
fn what_random_search_and_maps_of_ones_own_allow() {
    for text in [
        "topology = 'a2'\nmeta = { rule = 'random_search' }",
        "units = 1\ntopology = [[[0, 20, 0, 20]]]\nform = 'masked'\nmeta = { rule = 'random_search' }",
        "units = 1\ntopology = [[[0, 10, 20, 30], [0, 10, 20, 30]]]\nmeta = { rule = 'random_search' }",
        "images = 'cifar10'\ntopology = 'ar2'\nmeta = { rule = 'random_search' }",
        "topology = 'a1'\nmap = { rows = 20, cols = 40, latents = [[0, 10, 20, 30], [10, 20, 20, 30], [0, 10, 30, 40]] }",
        &format!("topology = 'random'\n{OTHER_MAP}"),
    ] {
        Config::from_toml(text, "test.toml").unwrap();
    }
    match Config::from_toml("units = 1\ntopology = [[[0, 20, 0, 20]]]\n[meta]\nrule = 'random_search'", "test.toml") {
        Err(Error::Setting { expected, found, .. }) => {
            assert!(expected.starts_with("200 cells") && found == "400", "{expected}, {found}");
        }
        other => panic!("{other:?}"),
    }
}

/// A network as after so many meta-steps of one candidate each, all accepted.
fn moved_often(config: &Config, steps: u64) -> Network {
    let mut network = network(config);
    network.current.entropies = vec![1.0; 3];
    network.best = Some(network.current.clone());
    (network.trainings, network.epochs, network.meta_steps) = (1 + steps, 1 + steps, steps);
    (network.highest, network.history) = (vec![1.0; 3], vec![1.0; 3 * (1 + steps as usize)]);
    for step in 0..steps {
        let field = network.current.fields[(step % 3) as usize].clone();
        network.moves.push(&Move { step, unit: (step % 3) as usize, field, entropy: [0.5, 1.0] });
    }
    network
}

#[test]
fn states_are_saved_however_many_moves_there_were() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.safetensors");
    for rule in [Rule::StochasticHillClimbing, Rule::RandomSearch] {
        let config = Config { meta: Some(Meta { rule, steps: 60_000, ..Meta::default() }), ..config(Named::A2) };
        let network = moved_often(&config, 50_000);
        network.save(&path).unwrap();
        let loaded = Network::load(&path).unwrap();
        assert_eq!(loaded, network);
        assert_eq!(loaded.moves().len(), 50_000);
        let last = loaded.moves().last().unwrap();
        assert_eq!((last.step, last.unit, last.entropy), (49_999, 1, [0.5, 1.0]));
        assert_eq!(last.field, network.fields()[1]);
    }
}

#[test]
fn states_that_training_does_not_come_to_are_refused() {
    let meta = Meta { steps: 20, perturbations: 2, epochs: Some(1), ..Meta::default() };
    let config = Config { meta: Some(meta), ..config(Named::A2) };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("h.safetensors");
    let answer = |change: &dyn Fn(&mut Network)| {
        let mut network = moved_often(&config, 5);
        change(&mut network);
        // As many as a file can be expected to have.
        network.history.resize(3 * network.epochs.min(100) as usize, 1.0);
        network.save(&path).unwrap();
        Network::load(&path)
    };
    answer(&|_| ()).unwrap();
    answer(&|n| (n.tried, n.trainings, n.epochs) = (1, 7, 7)).unwrap();
    answer(&|n| (n.epoch, n.epochs) = (1, 7)).unwrap();
    let refused = |because: &str, change: &dyn Fn(&mut Network)| match answer(change) {
        Err(Error::Format { expected, found, .. }) => {
            assert!(expected.contains(because) && !found.is_empty(), "{because}: {expected}, {found}");
        }
        other => panic!("{because}: {:?}", other.map(|_| "accepted")),
    };
    let impossible = "counters that training comes to";
    refused(impossible, &|n| n.epochs += 1);
    refused(impossible, &|n| n.trainings += 1);
    refused("epochs of a training, an integer from 0 to 1", &|n| (n.epoch, n.epochs) = (2, 8));
    refused(impossible, &|n| n.meta_steps = 6);
    refused(impossible, &|n| n.meta_steps = 2);
    refused(impossible, &|n| n.tried = 1);
    refused(impossible, &|n| (n.trainings, n.epochs) = (0, 0));
    refused("candidates of a meta-step, an integer from 0 to 2", &|n| n.tried = 3);
    refused("meta-steps, an integer from 0 to 20", &|n| n.meta_steps = 21);
    refused("epochs, an integer from 0 to 9007199254740992", &|n| n.epochs = u64::MAX);
    refused("trainings, an integer", &|n| n.trainings = u64::MAX);
    refused("losses since the last point", &|n| n.journal.losses.1 = u64::MAX);
    refused("'best.entropies'", &|n| n.best.as_mut().unwrap().entropies.clear());
    refused("'entropies.highest'", &|n| n.highest.clear());
    refused("'current.entropies'", &|n| n.current.entropies.clear());
    refused("the step of a move, above that of the one before, an integer from 4 to 4", &|n| {
        let made = n.moves().next().unwrap();
        n.moves = Default::default();
        (0..5).for_each(|_| n.moves.push(&Move { step: 3, ..made.clone() }));
    });
    // In the gathered form weights go from field to field: all are as large as configured.
    let field = |rows, cols| ReceptiveField::new(Map { rows: 20, cols: 40 }, &[Rectangle::new(rows, cols)]).unwrap();
    refused("areas as large as (0-20, 5-15)", &|n| {
        n.current.fields[0] = field(0..20, 5..16);
        n.current.units[0] = Unit::zeros(220, 100);
    });
    refused("areas as large as (0-10, 20-30), (0-10, 20-30)", &|n| n.current.fields[1] = field(0..20, 5..15));
}

#[test]
fn steps_beyond_counting_are_the_most_there_can_be_counted() {
    let data = embedded().train.subset(&(0..100).collect::<Vec<u32>>()).unwrap();
    let meta = Meta { steps: 1 << 20, perturbations: 1 << 20, epochs: Some(1 << 20), ..Meta::default() };
    let base = Base { epochs: 1, batch: 4, ..Base::default() };
    let mut network = network(&Config { base, meta: Some(meta), ..config(Named::A1) });
    let mut told = None;
    let flow = network.train(&mut context(Isa::best(), 1), &data, None, &mut |progress| {
        told = (progress.phase == "meta").then_some((progress.step, progress.steps));
        if told.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(flow.unwrap().is_break());
    assert_eq!(told, Some((1, u64::MAX)));
}

#[test]
fn a_broken_off_epoch_is_as_if_it_had_not_begun() {
    let data = embedded().train;
    let context = context(Isa::best(), 1);
    let config = config(Named::A1);
    let mut network = network(&config);
    let material = Material::new(&config, Arc::new(Prepared::new(&context, config.images, &data).unwrap())).unwrap();
    assert_eq!((material.train.len(), material.validation.len()), (1600, 400));
    let mut session = Session::new(&network, &material).unwrap();
    let before = network.clone();
    let flow = network.advance(&context, &mut session, &mut |_| ControlFlow::Break(())).unwrap();
    assert!(flow.is_break());
    assert_eq!(bits(&network.current), bits(&before.current));
    assert_eq!(network.journal, before.journal);
    let _ = Plan::new(network.geometry(), network.fields(), config.form, 3);
}

#[test]
fn latents_that_no_memory_holds_are_refused() {
    let data = embedded().train;
    let config = config(Named::A1);
    let network = network(&config);
    let images = Arc::new(Prepared::new(&context(Isa::Scalar, 1), config.images, &data).unwrap());
    let latents = network.geometry.latents().len() * network.geometry.hidden();
    // One image over and over has as many latents as different ones, and is refused for that where there are not too many.
    for (more, expected) in [(0, "every image once"), (1, "activities of the training images")] {
        let train = vec![0; (1 << 30) / latents + more];
        let material = Material { images: images.clone(), train, validation: Vec::new() };
        let error = Session::new(&network, &material).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
