//! Training that is stopped, saved and continued, and states that are refused.

use super::*;

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
        // What answers can be had: as many latents as it writes, as many inputs as its decoder gives back.
        let latents: usize = (0..3).map(|unit| whole.encoder(unit).unwrap().1.len()).sum();
        for unit in 0..3 {
            let ((encoder, _), (decoder, bias)) = (whole.encoder(unit).unwrap(), whole.decoder(unit).unwrap());
            assert_eq!(encoder.to_owned(), whole.weights(unit).unwrap().to_owned());
            assert_eq!((decoder.rows(), decoder.cols(), bias.len()), (encoder.rows(), encoder.cols(), encoder.cols()));
        }
        assert!(whole.encoder(3).is_none() && whole.decoder(3).is_none());
        let read_out: Vec<_> = whole.read_out().map(|(w, bias)| (w.rows(), w.cols(), bias.len())).collect();
        let hidden = config.read_out.hidden;
        assert_eq!(read_out, [(latents, hidden, hidden), (hidden, 10, 10)]);
        assert_eq!(network(&config).read_out().len(), 0);
        let before = whole.accuracy(&mut contexts, &data.test).unwrap();
        assert_eq!(before, pieces.accuracy(&mut contexts, &data.test).unwrap());
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
    refused("epochs, an integer from 0 to 9007199254740991", &|n| n.epochs = u64::MAX);
    refused("trainings, an integer", &|n| n.trainings = u64::MAX);
    refused("epochs, an integer from 0 to 9007199254740991", &|n| n.epochs = 1 << 53);
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
    let mut session = Session::new(&network, &material, 0).unwrap();
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
        let train = vec![0; (1 << 30) / latents / config.base.batch * config.base.batch + more];
        let material = Material { images: images.clone(), train, validation: Vec::new() };
        let error = Session::new(&network, &material, 0).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // Beside few images to learn from, many that stop the read-out or watch it.
    let many = (1 << 30) / latents;
    for (validation, others, refused) in [(many, 0, true), (0, many, true), (10, many - 20, false)] {
        let validation = vec![0; validation];
        let material = Material { images: images.clone(), train: (0..10).collect(), validation };
        match Session::new(&network, &material, others).map(|_| ()) {
            Err(error) => assert!(refused && error.to_string().contains("to stop by and to watch by"), "{error}"),
            Ok(()) => assert!(!refused),
        }
    }
    // A batch of one image takes the memory of a block of samples.
    let base = Base { batch: 1, ..config.base.clone() };
    let network = self::network(&Config { base, ..config });
    let train = vec![0; (1 << 30) / latents / 32 + 1];
    let material = Material { images, train, validation: Vec::new() };
    let error = Session::new(&network, &material, 0).err().unwrap().to_string();
    assert!(error.contains("activities of the training images"), "{error}");
}
