//! CIFAR-10: how images come onto the map, and what is learnt from them.

use super::*;

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
fn images_whose_file_was_cut_off_are_not_prepared() {
    let (_folder, set) = crate::datasets::tests::cut_off();
    let error = Prepared::new(&context(Isa::best(), 1), Images::Cifar10, &set).unwrap_err().to_string();
    assert!(error.contains("cut off while in use"), "{error}");
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
