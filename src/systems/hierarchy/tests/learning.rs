//! Base learning against plain loops over algorithm 1, and what meta-learning accepts.

use super::*;

/// What four batches on AR1 with seed 7 lead to.
const GOLDEN: u64 = 2_368_196_305_523_503_083;

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
        for (seen, exact) in map.row(0).iter().zip(&exact.map) {
            assert!((f64::from(*seen) - exact).abs() < 1e-5, "{seen} for {exact}");
        }
        assert_eq!(seen.row(0)[..10], map.row(0)[20..30], "latents stand where their tile begins");
    }
}

#[test]
fn a_unit_is_compared_with_its_best_where_that_is_asked_for() {
    for (criterion, accepted) in [(Criterion::Unit, true), (Criterion::UnitBest, false)] {
        let meta = Meta { criterion, perturbations: 9, ..Meta::default() };
        let mut network = network(&Config { meta: Some(meta), ..config(Named::A2) });
        network.current.entropies = vec![2.0; 3];
        (network.best, network.highest) = (Some(network.current.clone()), vec![2.0; 3]);
        let mut judge = |unit: usize, entropies: [f64; 3]| {
            network.tried = unit as u64;
            let best = network.best.clone().unwrap();
            network.current.fields = best.fields.clone();
            network.current.fields[unit] = neighbours(&best.fields[unit])[0].clone();
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
fn what_stays_where_it_was_is_no_move() {
    let mut network = network(&Config { meta: Some(Meta::default()), ..config(Named::A2) });
    network.current.entropies = vec![2.0; 3];
    (network.best, network.highest) = (Some(network.current.clone()), vec![2.0; 3]);
    network.current.entropies = vec![3.0; 3];
    assert!(network.judge());
    assert_eq!((network.moves().len(), network.entropies()), (0, &[3.0; 3][..]));
}

#[test]
fn units_that_diverged_are_never_accepted() {
    let data = embedded().train.subset(&(0..300).collect::<Vec<u32>>()).unwrap();
    for criterion in [Criterion::Unit, Criterion::Median] {
        let meta = Meta { steps: 2, perturbations: 2, epochs: Some(1), criterion, ..Meta::default() };
        let base = Base { epochs: 1, batch: 60, rate: 1e30, ..Base::default() };
        let mut network = network(&Config { base, meta: Some(meta), ..config(Named::Random) });
        assert!(network.train(&mut context(Isa::best(), 1), &data, None, &mut go).unwrap().is_continue());
        assert!(network.entropies().iter().all(|entropy| entropy.is_nan()), "{:?}", network.entropies());
        assert_eq!(network.moves().len(), 0);
        let bytes = network.to_bytes().unwrap();
        assert_eq!(Network::parse(bytes.clone(), "memory").unwrap().to_bytes().unwrap(), bytes);
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
