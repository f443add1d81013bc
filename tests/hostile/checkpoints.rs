//! Saved states of every kind of learner.

use std::collections::BTreeMap;

use super::*;

/// A few images of this side, as many of each of two classes.
fn images(side: usize) -> Dataset {
    let pixels = (0..20 * side * side).map(|at| (at * 31 % 256) as u8).collect::<Vec<u8>>();
    Dataset::new(pixels, (0..20).map(|at| at % 2).collect(), Shape::new(1, side, side).unwrap(), 2).unwrap()
}

/// Every kind of learner, as small as can be and with all it may have to keep, and the side of its images.
pub(crate) fn learners() -> Vec<(Box<dyn Learner>, usize)> {
    fn text(lines: &str) -> (&str, &'static str) {
        (lines, "test")
    }
    macro_rules! learner {
        ($system:path, $side:literal, $lines:literal) => {{
            use $system as system;
            let (lines, origin) = text($lines);
            let config = system::Config::from_toml(lines, origin).unwrap();
            let learner: Box<dyn Learner> = Box::new(system::Network::new(config, $side * $side, 2).unwrap());
            (learner, $side)
        }};
    }
    vec![
        learner!(
            hebbian,
            4,
            "layers = [3, 2]\nhidden.batch = 10\nhidden.epochs = 1\n[output.perturbation]\nbatch = 10\nsteps = 3\ninputs = 'standardised'"
        ),
        learner!(
            hebbian,
            4,
            "layers = [3]\nhidden.batch = 10\nhidden.epochs = 1\n[output.backpropagation]\nbatch = 10\nepochs = 1"
        ),
        learner!(
            hierarchy,
            28,
            "units = 2\ntopology = [[[0, 2, 3, 5]], [[1, 2, 2, 5], [0, 1, 20, 21]]]\nform = 'masked'\n
             map = { rows = 20, cols = 21, latents = [[0, 1, 20, 21], [1, 2, 20, 21]] }\n
             base = { epochs = 1, batch = 4 }\nmeta = { steps = 1, perturbations = 4 }\n
             read_out = { hidden = 2, epochs = 2, batch = 8 }"
        ),
        learner!(
            hierarchy,
            28,
            "units = 1\ntopology = [[[0, 2, 3, 5]]]\nmap = { rows = 20, cols = 21, latents = [[0, 1, 20, 21]] }\n
             base = { epochs = 1, batch = 4 }\nread_out = { hidden = 0, epochs = 1, batch = 8 }"
        ),
        learner!(
            organism,
            4,
            "hidden = [2]\nparticle = [2]\nside = 2\nbatch = 10\nepochs = 2\n
             self_replication = { steps = 1, persistent = true }"
        ),
        learner!(
            evolution,
            4,
            "genes = 20\ndensity = 0.3\nhidden = 5\nedge_probability = 0.4\npopulation = 10\nimages_per_class = 0\n
             generations = 4\ncurve_generations = 2\n
             [lifetime.output]\nrule = 'adam'\nrate = 0.01\nschedule = 'linear'\nbatch = 10\nepochs = 2"
        ),
        learner!(
            dopaminergic,
            4,
            "hidden = 6\nimages_per_class = 0\noutput = { rule = 'adam', rate = 0.01, schedule = 'linear', batch = 10, epochs = 2 }"
        ),
        learner!(krotov_hopfield, 4, "layers = [7]\nbatch = 10\nepochs = 1\n[output]\nbatch = 10\nepochs = 1"),
        learner!(backprop, 4, "layers = [3]\nbatch = 10\nepochs = 1"),
        learner!(softmax, 4, "output = { batch = 10, epochs = 1 }"),
    ]
}

/// The state of each after its training, as a file; and after so many steps of it.
pub(crate) fn checkpoints(steps: usize) -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let mut context = Context::new().unwrap();
    let bytes = learners().into_iter().map(|(mut learner, side)| {
        let mut left = steps;
        let mut observer = |_: &neuropil::systems::Progress<'_>| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let data = images(side);
        let _ = learner.train(&mut context, &data, Some(&data), &mut observer).unwrap();
        learner.save(&path).unwrap();
        (learner.kind(), std::fs::read(&path).unwrap())
    });
    bytes.collect()
}

/// Where the tensors begin.
fn list_of(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(*file.first_chunk().unwrap()) as usize
}

#[test]
fn checkpoints_cut_off_or_changed_are_refused() {
    let _alone = alone();
    for (kind, file) in checkpoints(usize::MAX) {
        let whole = frugal(file.len(), kind, || checkpoint::parse(file.clone(), "file")).unwrap();
        assert_eq!(whole.kind(), kind);
        let parse = |what: &str, wrong: &[u8]| {
            let what = format!("{kind}: {what}");
            match frugal(wrong.len(), &what, || checkpoint::parse(wrong.to_vec(), "file")) {
                Err(Error::Format { .. }) => (),
                Err(other) => panic!("{what}: {other}"),
                Ok(_) => panic!("{what}: accepted"),
            }
        };
        // Of the tensors of a larger file every sixteenth byte is enough.
        let list = list_of(&file);
        let step = if file.len() < 1 << 13 { 1 } else { 16 };
        for length in (0..list).chain((list..file.len()).step_by(step)).chain([file.len() - 1]) {
            parse(&format!("the first {length} of {}", file.len()), &file[..length]);
        }
        // Every byte of the list and the header.
        for at in (0..list).chain((list..file.len()).step_by(step)) {
            for change in [1, 0x80] {
                let mut wrong = file.clone();
                wrong[at] ^= change;
                parse(&format!("byte {at} ^ {change}"), &wrong);
            }
        }
    }
}

/// The file with some of its header's text replaced, and a checksum that fits: what one makes who means harm.
fn forged(file: &[u8], changes: &[(&str, &str)]) -> Vec<u8> {
    let list = list_of(file);
    let mut json: serde_json::Value = serde_json::from_slice(&file[8..list]).unwrap();
    let mut text = json["__metadata__"]["neuropil"].as_str().unwrap().to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replacen(from, to, 1);
    }
    let start = text.find("checksum = \"").unwrap() + 12;
    text.replace_range(start..start + 16, "");
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |bytes: &[u8]| {
        bytes.iter().for_each(|&byte| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    };
    add(text.as_bytes());
    let mut tensors: Vec<_> = json.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__").collect();
    tensors.sort_by_key(|(name, _)| name.as_str());
    for (name, info) in tensors {
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
        let shape: Vec<usize> = info["shape"].as_array().unwrap().iter().map(number).collect();
        add(format!("{name} {} {shape:?} ", info["dtype"].as_str().unwrap()).as_bytes());
        add(&file[list + number(&info["data_offsets"][0])..list + number(&info["data_offsets"][1])]);
    }
    text.insert_str(start, &format!("{hash:016x}"));
    json["__metadata__"]["neuropil"] = text.into();
    let json = serde_json::to_vec(&json).unwrap();
    [&(json.len() as u64).to_le_bytes(), &json[..], &file[list..]].concat()
}

/// Type, shape and bytes of tensors by their names.
type Tensors = BTreeMap<String, (serde_json::Value, Vec<usize>, Vec<u8>)>;

/// The file with other tensors, and a checksum that fits.
fn with_tensors(file: &[u8], change: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let list = list_of(file);
    let json: serde_json::Value = serde_json::from_slice(&file[8..list]).unwrap();
    let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
    let tensor = |info: &serde_json::Value| {
        let [start, end] = [0, 1].map(|end| list + number(&info["data_offsets"][end]));
        let shape = info["shape"].as_array().unwrap().iter().map(number).collect();
        (info["dtype"].clone(), shape, file[start..end].to_vec())
    };
    let named = json.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    let mut tensors: Tensors = named.map(|(name, info)| (name.clone(), tensor(info))).collect();
    change(&mut tensors);
    let mut new = serde_json::json!({ "__metadata__": json["__metadata__"] });
    let mut all = Vec::new();
    for (name, (dtype, shape, bytes)) in tensors {
        let start = all.len();
        all.extend(bytes);
        new[name] = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, all.len()] });
    }
    let text = serde_json::to_vec(&new).unwrap();
    forged(&[&(text.len() as u64).to_le_bytes(), &text[..], &all[..]].concat(), &[])
}

/// The file with another number at this place of a tensor of `F64`.
fn with_number(file: &[u8], name: &str, at: usize, change: impl Fn(f64) -> f64) -> Vec<u8> {
    with_tensors(file, |tensors| {
        let place = tensors.get_mut(name).unwrap().2[8 * at..].first_chunk_mut().unwrap();
        *place = change(f64::from_le_bytes(*place)).to_le_bytes();
    })
}

/// More tensors than the list of a small file may have.
#[test]
fn a_state_of_many_small_tensors_is_saved_and_read() {
    let _alone = alone();
    let areas = |col: usize| (0..20).map(|row| format!("[{row}, {}, {col}, {}]", row + 1, col + 1)).collect::<Vec<_>>();
    let config = format!(
        "units = 20\ntopology = [[{}]]\nmap = {{ rows = 20, cols = 21, latents = [{}] }}\nbase = {{ epochs = 1, batch = 4 }}\n\
         meta = {{ steps = 1, perturbations = 1 }}\nread_out = {{ hidden = 0, epochs = 1, batch = 8 }}",
        areas(10).join("], ["),
        areas(20).join(", ")
    );
    let config = hierarchy::Config::from_toml(&config, "many").unwrap();
    let mut network = hierarchy::Network::new(config, 28 * 28, 2).unwrap();
    let mut observer = |_: &neuropil::systems::Progress<'_>| ControlFlow::Continue(());
    let _ = network.train(&mut Context::new().unwrap(), &images(28), None, &mut observer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    network.save(&path).unwrap();
    let file = std::fs::read(&path).unwrap();
    let list = u64::from_le_bytes(file[..8].try_into().unwrap());
    assert!(list > 1 << 15, "{list} bytes: not what this test is about");
    let read = frugal(file.len(), "many", || checkpoint::parse(file.clone(), "file")).unwrap();
    read.save(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == file, "what was read is not what was saved");
}

#[test]
fn forged_states_that_training_cannot_come_to_are_refused() {
    let _alone = alone();
    let mut count = 0;
    let mut refuse = |what: String, wrong: Vec<u8>| {
        match frugal(wrong.len(), &what, || checkpoint::parse(wrong.clone(), "file")) {
            Err(Error::Format { expected, found, .. }) => {
                assert!(!expected.is_empty() && !found.is_empty(), "{what}");
            }
            Err(other) => panic!("{what}: {other}"),
            Ok(_) => panic!("{what}: accepted"),
        }
        count += 1;
    };
    let of = |kind: &'static str, steps: usize| {
        checkpoints(steps).into_iter().filter(move |(name, _)| *name == kind).map(|(_, file)| file)
    };
    for (name, file) in checkpoints(2) {
        for wrong in [-1.0, 0.5, f64::NAN, f64::INFINITY, 1e300] {
            refuse(format!("{name}, {wrong} losses"), with_number(&file, "running_loss", 1, |_| wrong));
        }
    }
    // Within the first training, within a candidate's, in the end.
    for steps in [2, 5, 8, usize::MAX] {
        for (number, file) in of("hierarchy", steps).enumerate() {
            let what = format!("hierarchy {number} after {steps} steps");
            assert!(checkpoint::parse(with_tensors(&file, |_| ()), "file").is_ok(), "{what}");
            let mut names = Vec::new();
            with_tensors(&file, |tensors| names.extend(tensors.keys().cloned()));
            for name in &names {
                refuse(format!("{what} without {name}"), with_tensors(&file, |tensors| drop(tensors.remove(name))));
            }
            for at in 0..6 {
                for wrong in [f64::NAN, f64::INFINITY, -1.0, 0.5, 9007199254740992.0, 18446744073709549568.0] {
                    refuse(format!("{what}, counter {at}: {wrong}"), with_number(&file, "counters", at, |_| wrong));
                }
                refuse(format!("{what}, counter {at} by one"), with_number(&file, "counters", at, |value| value + 1.0));
            }
            for name in names.iter().filter(|name| name.ends_with("field") || *name == "moves.fields") {
                for wrong in [0.5, 1.0, f64::NAN, -4.0, 1e300] {
                    let changed = with_number(&file, name, 1, |value| value + wrong);
                    refuse(format!("{what}, {name} + {wrong}"), changed);
                }
            }
            for (name, places) in [("moves", [0, 1, 4].as_slice()), ("read_out", &[1, 2])] {
                for at in places.iter().filter(|_| names.iter().any(|other| other == name)) {
                    for wrong in [0.5, 1e300, f64::NAN] {
                        refuse(format!("{what}, {name} {at} + {wrong}"), with_number(&file, name, *at, |n| n + wrong));
                    }
                }
            }
        }
    }
    // The last has one unit of four inputs and one latent, in the gathered form: all of it with six.
    let gathered = of("hierarchy", usize::MAX).next_back().unwrap();
    for situation in ["current.0", "best.0"] {
        let larger = with_tensors(&gathered, |tensors| {
            for (name, (_, shape, bytes)) in tensors.iter_mut().filter(|(name, _)| name.starts_with(situation)) {
                if name.ends_with("field") {
                    bytes[24..].copy_from_slice(&6.0f64.to_le_bytes());
                } else if shape.last() == Some(&4) {
                    *shape.last_mut().unwrap() = 6;
                    bytes.resize(24, 0);
                }
            }
        });
        refuse(format!("{situation} with larger fields"), larger);
    }
    for file in of("organism", usize::MAX) {
        for wrong in [0.5, -1.0, 1.0, 1e300, f64::NAN] {
            refuse(format!("organism, epochs + {wrong}"), with_number(&file, "epochs", 2, |value| value + wrong));
        }
    }
    assert!(count > 500, "{count}");
}

#[test]
fn forged_checkpoints_reserve_nothing_for_what_is_not_there() {
    let _alone = alone();
    let files = checkpoints(usize::MAX);
    let of = |kind: &'static str| files.iter().filter(move |(name, _)| *name == kind).map(|(_, file)| &file[..]);
    let mut count = 0;
    let mut refuse = |file: &[u8], changes: &[(&str, &str)]| {
        let wrong = forged(file, changes);
        let answer = frugal(wrong.len(), changes, || checkpoint::parse(wrong.clone(), "file"));
        assert!(matches!(answer, Err(Error::Format { .. })), "{changes:?}: {:?}", answer.err());
        count += 1;
    };
    for (kind, file) in &files {
        let untouched = forged(file, &[]);
        assert!(checkpoint::parse(untouched, "file").is_ok(), "{kind}: the checksum is computed as the library does");
        refuse(file, &[("classes = 2", "classes = 200")]);
        if *kind != "dopaminergic" {
            refuse(file, &[("inputs = ", "inputs = 9")]);
        }
        refuse(file, &[("version = 1", "version = 9")]);
    }
    for file in of("hebbian") {
        refuse(file, &[("layers = [3", "layers = [1048576")]);
        refuse(file, &[("layers = [", "layers = [1, 1048576, 1048576, ")]);
    }
    of("krotov-hopfield").for_each(|file| refuse(file, &[("layers = [7]", "layers = [1000000]")]));
    of("backprop").for_each(|file| refuse(file, &[("layers = [3]", "layers = [3, 1000000]")]));
    of("dopaminergic").for_each(|file| refuse(file, &[("hidden = 6", "hidden = 4000000")]));
    for file in of("organism") {
        refuse(file, &[("side = 2", "side = 1000")]);
        refuse(file, &[("hidden = [2]", "hidden = [2, 65536, 65536]")]);
    }
    for file in of("evolution") {
        refuse(file, &[("genes = 20", "genes = 16000000")]);
        refuse(file, &[("hidden = 5", "hidden = 1000000")]);
        refuse(file, &[("edge_probability = 0.4", "edge_probability = 1.0"), ("hidden = 5", "hidden = 6")]);
        refuse(file, &[("edge_probability = 0.4", "edge_probability = 0.9")]);
    }
    for file in of("hierarchy") {
        // In the masked form there are weights for every cell.
        if forged_text(file).contains("masked") {
            refuse(file, &[("rows = 20", "rows = 49000")]);
        }
        refuse(file, &[("[0, 2, 3, 5]", "[0, 2, 3, 5], [0, 2, 3, 5]")]);
        let units = if forged_text(file).contains("units = 1") { "units = 1" } else { "units = 2" };
        refuse(file, &[(units, "units = 3")]);
    }
    assert_eq!(count, 47);
}

fn forged_text(file: &[u8]) -> String {
    String::from_utf8_lossy(&file[8..list_of(file)]).into_owned()
}

#[test]
fn a_seed_that_stands_for_gigabytes_costs_nothing_until_it_is_used() {
    let _alone = alone();
    // Neither the hidden weights (23 GB) nor the matrix (20 GB) are in the file. Of evolution the state before a lifetime.
    let (_, file) = checkpoints(1).into_iter().find(|(kind, _)| *kind == "evolution").unwrap();
    let wrong = forged(&file, &[("inputs = 16", "inputs = 60000"), ("density = 0.3", "density = 1.0")]);
    frugal(wrong.len(), "evolution", || checkpoint::parse(wrong.clone(), "file")).unwrap();
    let (_, file) = checkpoints(1).into_iter().find(|(kind, _)| *kind == "dopaminergic").unwrap();
    let wrong = forged(&file, &[("inputs = 16", "inputs = 16000000")]);
    let learner = frugal(wrong.len(), "dopaminergic", || checkpoint::parse(wrong.clone(), "file")).unwrap();
    assert_eq!(learner.inputs(), 16_000_000);
}

/// A file of this list with this many zeros behind it.
fn of_list(list: &str, tensors: usize) -> Vec<u8> {
    let mut file = (list.len() as u64).to_le_bytes().to_vec();
    file.extend(list.as_bytes());
    file.resize(file.len() + tensors, 0);
    file
}

#[test]
fn lists_and_headers_made_to_take_memory_are_refused() {
    let _alone = alone();
    let refuse = |what: &str, file: Vec<u8>| {
        let answer = frugal(file.len(), what, || checkpoint::parse(file.clone(), "file"));
        assert!(matches!(answer, Err(Error::Format { .. })), "{what}");
    };
    for count in [10, 300, 340, 3000, 30_000] {
        let tensors =
            (0..count).map(|n| format!(r#""{n:x}":{{"dtype":"U8","shape":[1],"data_offsets":[{n},{}]}}"#, n + 1));
        let list = tensors.collect::<Vec<_>>().join(",");
        refuse(&format!("{count} tensors"), of_list(&format!("{{{list}}}"), count));
        let keys: Vec<String> = (0..count).map(|n| format!(r#""{n:x}":"""#)).collect();
        refuse(&format!("{count} keys"), of_list(&format!(r#"{{"__metadata__":{{{}}}}}"#, keys.join(",")), 0));
        let text: String = (0..count).map(|n| format!("[{n:x}.a.b.c]\\n")).collect();
        refuse(&format!("{count} tables"), of_list(&format!(r#"{{"__metadata__":{{"neuropil":"{text}"}}}}"#), 0));
        refuse(&format!("{count} lists"), of_list(&format!(r#"{{"a":{}"#, "[".repeat(count)), 0));
        let text = format!(r#"phases = [{}]"#, "'',".repeat(count));
        refuse(&format!("{count} phases"), of_list(&format!(r#"{{"__metadata__":{{"neuropil":"{text}"}}}}"#), 0));
    }
    for length in [0, 1, 1 << 14, 1 << 20, 1 << 40, u64::MAX] {
        let mut file = length.to_le_bytes().to_vec();
        file.resize(1 << 16, b' ');
        refuse(&format!("a list of {length}"), file);
    }
}

/// Matrices of large pages have addresses to spare before they begin.
#[test]
fn large_checkpoints_take_no_more_memory_than_small_ones() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    // 784 x 669 weights: little more than a large page; with their moments three such matrices.
    for lines in ["layers = [669]\nepochs = 1", "layers = [2000]\nepochs = 1"] {
        let config = backprop::Config::from_toml(lines, "test").unwrap();
        backprop::Network::new(config, 784, 10).unwrap().save(&path).unwrap();
        let size = std::fs::metadata(&path).unwrap().len() as usize;
        assert!(size > 2 << 20);
        frugal(size, lines, || checkpoint::load(&path)).unwrap();
    }
}

/// A point of the curve is 32 bytes of the file.
#[test]
fn long_curves_take_no_more_memory_than_weights() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let config = softmax::Config::from_toml("output = { batch = 20, epochs = 100000 }", "test").unwrap();
    let mut learner = softmax::Network::new(config, 1, 2).unwrap();
    let flow = learner.train(&mut Context::new().unwrap(), &images(1), None, &mut |_| ControlFlow::Continue(()));
    assert!(flow.unwrap().is_continue());
    learner.save(&path).unwrap();
    let size = std::fs::metadata(&path).unwrap().len() as usize;
    assert!(size > 3_200_000);
    let back = frugal(size, "a curve", || checkpoint::load(&path)).unwrap();
    assert_eq!(back.curve(), learner.curve());
}

#[test]
fn what_is_no_file_is_refused() {
    let _alone = alone();
    for path in ["/dev/zero", "/dev/null", "/", "/nowhere/at/all"] {
        let answer = frugal(0, path, || checkpoint::load(Path::new(path)));
        assert!(matches!(answer, Err(Error::Io { .. } | Error::Format { .. })), "{path}");
    }
}
