//! Files from anywhere: cut off at every length, changed in every byte of their headers, made to deceive. What reads them
//! answers with an error that says so, or as documented; it never panics, and never holds more than twice the file's size
//! and a mebibyte.
#![cfg(feature = "systems")]

use std::fmt::Debug;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use neuropil::datasets::storage::Bytes;
use neuropil::datasets::{Dataset, Shape, cifar, gz, idx};
use neuropil::systems::baselines::{backprop, krotov_hopfield, softmax};
use neuropil::systems::evolution::{self, dopaminergic};
use neuropil::systems::{LONGEST_CONFIG, Learner, checkpoint, hebbian, hierarchy, organism};
use neuropil::{Context, Error, Result};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory is counted for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs this and checks that it never holds more than twice `size` and a mebibyte.
#[track_caller]
fn frugal<T>(size: usize, what: impl Debug, run: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = run();
    let most = MEMORY.peak_usage().saturating_sub(before);
    assert!(most <= 2 * size + (1 << 20), "{most} bytes of memory for {size}: {what:?}");
    result
}

/// Every beginning of a file, and the file with every other value of each of its first so many bytes.
fn wrong_files(file: &[u8], header: usize) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    let cut = (0..file.len()).map(|length| (format!("{length} of {} bytes", file.len()), file[..length].to_vec()));
    let flipped = (0..header).flat_map(move |at| {
        (1..=255).map(move |change| {
            let mut wrong = file.to_vec();
            wrong[at] ^= change;
            (format!("byte {at} ^ {change}"), wrong)
        })
    });
    cut.chain(flipped)
}

#[track_caller]
fn is_format<T: Debug>(answer: Result<T>, what: &str) {
    match answer {
        Err(Error::Format { origin, expected, found, .. }) => {
            assert!(!origin.is_empty() && !expected.is_empty() && !found.is_empty(), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn idx_files_cut_off_or_changed_are_refused() {
    let _alone = alone();
    let images = idx::encode(&[5, 3, 2], &(0..30).collect::<Vec<u8>>()).unwrap();
    let labels = idx::encode(&[5], &[0, 9, 3, 4, 9]).unwrap();
    let open = |images: &[u8], labels: &[u8], what: &str| {
        frugal(images.len() + labels.len(), what, || {
            Dataset::from_idx_bytes(images.to_vec(), "images", labels.to_vec(), "labels", 10)
        })
    };
    assert_eq!(open(&images, &labels, "whole").unwrap().len(), 5);
    wrong_files(&images, 16).for_each(|(what, wrong)| is_format(open(&wrong, &labels, &what), &what));
    wrong_files(&labels, 8).for_each(|(what, wrong)| is_format(open(&images, &wrong, &what), &what));
    // The same from files, plain and compressed; what was compressed says so itself.
    let folder = tempfile::tempdir().unwrap();
    let (image_path, label_path) = (folder.path().join("images"), folder.path().join("labels"));
    std::fs::write(&label_path, &labels).unwrap();
    for (what, wrong) in wrong_files(&images, 16).step_by(7) {
        for bytes in [&wrong, &compress(&wrong)] {
            std::fs::write(&image_path, bytes).unwrap();
            let size = bytes.len() + wrong.len() + labels.len();
            is_format(frugal(size, &what, || Dataset::from_idx(&image_path, &label_path, 10)), &what);
        }
    }
}

#[test]
fn cifar10_records_cut_off_or_mislabelled_are_refused() {
    let _alone = alone();
    let file: Vec<u8> = (0..2 * cifar::RECORD)
        .map(|at| if at % cifar::RECORD == 0 { (at / cifar::RECORD) as u8 } else { 200 })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("batch.bin");
    let open = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        frugal(bytes.len(), what, || Dataset::from_cifar10(&[&path]))
    };
    assert_eq!(open(&file, "whole").unwrap().len(), 2);
    for length in (0..file.len()).filter(|length| *length != cifar::RECORD) {
        let answer = frugal(length, length, || cifar::records(&file[..length], "file"));
        is_format(answer, &format!("{length} bytes"));
    }
    assert_eq!(open(&file[..cifar::RECORD], "one record").unwrap().len(), 1);
    is_format(open(&file[..cifar::RECORD - 1], "a byte less"), "a byte less");
    // There is no header but the labels: ten values of each are right, and pixels may be anything.
    for record in 0..2 {
        for label in 0..=255 {
            let mut wrong = file.clone();
            wrong[record * cifar::RECORD] = label;
            let (what, answer) = (format!("label {label}"), open(&wrong, "label"));
            if label < 10 { assert_eq!(answer.unwrap().labels()[record], label) } else { is_format(answer, &what) }
        }
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_cut_off_or_changed_never_give_other_contents() {
    let _alone = alone();
    let plain = idx::encode(&[40, 3, 5], &(0..600).map(|at| (at * 7 % 251) as u8).collect::<Vec<u8>>()).unwrap();
    let file = compress(&plain);
    for (what, wrong) in wrong_files(&file, file.len()) {
        match frugal(plain.len().max(wrong.len()), &what, || gz::decompress_idx(&wrong, "file")) {
            // A few bits mean nothing: the time and system of the header.
            Ok(out) => assert!(out == plain, "{what}"),
            other => is_format(other, &what),
        }
    }
}

#[test]
fn compressed_files_take_no_more_memory_than_their_contents() {
    let _alone = alone();
    // Sizes at which vectors that double hold three times what they need.
    for images in [1, 1000, (1 << 22) / 784 + 1, (1 << 23) / 784 + 1] {
        let plain = idx::encode(&[images, 28, 28], &vec![3; images * 784]).unwrap();
        let file = compress(&plain);
        let out = frugal(plain.len(), images, || gz::decompress_idx(&file, "file")).unwrap();
        assert_eq!(out.len(), plain.len());
        frugal(plain.len(), images, || gz::decompress(&file, usize::MAX, "file")).unwrap();
        // Nine tenths of what was promised: what is there counts.
        let short = compress(&plain[..plain.len() / 10 * 9]);
        is_format(frugal(plain.len() / 10 * 9, images, || gz::decompress_idx(&short, "file")), "short");
    }
    let bomb = compress(&idx::encode(&[1 << 24], &vec![0; 1 << 24]).unwrap());
    let error = frugal(bomb.len(), "bomb", || gz::decompress(&bomb, 1 << 18, "file"));
    is_format(error, "a bomb");
}

#[test]
fn files_are_read_into_memory_of_their_own_size() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for size in [0, 1, (1 << 20) - 1, (1 << 22) + 1, (1 << 24) + 1] {
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        let bytes = frugal(size as usize / 2, size, || Bytes::read(&path)).unwrap();
        assert_eq!(bytes.len() as u64, size);
        frugal(size as usize / 2, size, || Bytes::open(&path)).unwrap();
    }
}

/// A few images of this side, as many of each of two classes.
fn images(side: usize) -> Dataset {
    let pixels = (0..20 * side * side).map(|at| (at * 31 % 256) as u8).collect::<Vec<u8>>();
    Dataset::new(pixels, (0..20).map(|at| at % 2).collect(), Shape::new(1, side, side).unwrap(), 2).unwrap()
}

/// Every kind of learner, as small as can be and with all it may have to keep, and the side of its images.
fn learners() -> Vec<(Box<dyn Learner>, usize)> {
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
        learner!(krotov_hopfield, 4, "units = 7\nbatch = 10\nepochs = 1\n[output]\nbatch = 10\nepochs = 1"),
        learner!(backprop, 4, "layers = [3]\nbatch = 10\nepochs = 1"),
        learner!(softmax, 4, "output = { batch = 10, epochs = 1 }"),
    ]
}

/// The state of each after its training, as a file; and after so many steps of it.
fn checkpoints(steps: usize) -> Vec<(&'static str, Vec<u8>)> {
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

#[test]
fn forged_checkpoints_reserve_nothing_for_what_is_not_there() {
    let _alone = alone();
    let files = checkpoints(usize::MAX);
    let of = |kind: &'static str| files.iter().filter(move |(name, _)| *name == kind).map(|(_, file)| &file[..]);
    let mut count = 0;
    let mut refuse = |file: &[u8], changes: &[(&str, &str)]| {
        let wrong = forged(file, changes);
        let answer = frugal(wrong.len(), changes, || checkpoint::parse(wrong.clone(), "file"));
        assert!(matches!(answer, Err(Error::Format { .. } | Error::Setting { .. })), "{changes:?}: accepted");
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
    of("krotov-hopfield").for_each(|file| refuse(file, &[("units = 7", "units = 1000000")]));
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

type Parse = fn(&str) -> Result<String>;

/// The configurations of all systems: what reads them, and gives them back as they are written.
fn configurations() -> [(&'static str, Parse); 8] {
    macro_rules! configuration {
        ($system:ident) => {
            (stringify!($system), |text| $system::Config::from_toml(text, "file").map(|config| config.to_toml()))
        };
    }
    [
        configuration!(hebbian),
        configuration!(hierarchy),
        configuration!(organism),
        configuration!(evolution),
        configuration!(dopaminergic),
        configuration!(krotov_hopfield),
        configuration!(backprop),
        configuration!(softmax),
    ]
}

/// Accepted, and then written in a form that is read back the same; or refused with its place or its name.
fn answered(name: &str, text: &str, parse: Parse) -> bool {
    let start: String = text.chars().take(60).collect();
    match frugal(text.len(), (name, &start), || parse(text)) {
        Ok(written) => assert_eq!(parse(&written).unwrap(), written, "{name}: {start}"),
        Err(Error::Format { .. } | Error::Setting { .. }) => return false,
        Err(other) => panic!("{name}, '{start}': {other}"),
    }
    true
}

#[test]
fn configurations_cut_off_or_changed_are_answered() {
    let _alone = alone();
    for (name, parse) in configurations() {
        let whole = parse("").unwrap();
        assert!(answered(name, &whole, parse));
        for length in (0..whole.len()).filter(|&length| whole.is_char_boundary(length)) {
            answered(name, &whole[..length], parse);
        }
        for at in 0..whole.len() {
            for change in 1..128u8 {
                let mut wrong = whole.clone().into_bytes();
                wrong[at] ^= change;
                answered(name, std::str::from_utf8(&wrong).unwrap(), parse);
            }
        }
    }
}

#[test]
fn configurations_made_to_take_memory_are_refused() {
    let _alone = alone();
    for length in [LONGEST_CONFIG, LONGEST_CONFIG + 1, 1 << 16, 1 << 20] {
        let repeated = |piece: &str| piece.repeat(length / piece.len());
        let numbered = |line: fn(usize) -> String| (0..length / line(0xfff).len()).map(line).collect::<String>();
        let texts = [
            format!("a = [{}]", repeated("0,")),
            format!("layers = [{}]", repeated("1,")),
            format!("layers = [{}]", repeated("[],")),
            format!("layers = [{}]", repeated("{},")),
            format!("topology = [{}]", repeated("[[0,1,0,1]],")),
            format!("topology = [[{}]]", repeated("[0,20,0,1],")),
            format!(
                "map = {{ rows = 49000, cols = 21, latents = [[0,1,20,21]] }}\nunits = 1\ntopology = [[{}]]",
                repeated("[0,48000,0,1],")
            ),
            format!("a{} = 0", repeated(".a")),
            numbered(|n| format!("{n:x}=0\n")),
            numbered(|n| format!("[{n:x}]\n")),
            numbered(|n| format!("[{n:x}.a.b]\n")),
            numbered(|n| format!("{n:x}.0=0\n")),
            format!("a = [{}]", repeated("{a=0},")),
            repeated("[[a]]\n"),
            repeated("["),
            repeated("{a="),
            repeated("]"),
            repeated("= "),
            repeated("\"\"\""),
            repeated("'"),
            repeated("a\n"),
            repeated("1."),
            repeated("\u{fffd}"),
        ];
        for (name, parse) in configurations() {
            for text in &texts {
                assert!(!answered(name, text, parse), "{name}");
            }
            answered(name, &repeated("\n"), parse);
            answered(name, &repeated("#\n"), parse);
        }
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

#[test]
fn what_is_no_file_is_refused() {
    let _alone = alone();
    for path in ["/dev/zero", "/dev/null", "/", "/nowhere/at/all"] {
        let answer = frugal(0, path, || checkpoint::load(Path::new(path)));
        assert!(matches!(answer, Err(Error::Io { .. } | Error::Format { .. })), "{path}");
    }
}

/// The seeds of the fuzzers (`fuzz/seeds`) hold a valid file of every kind. With `NEUROPIL_SEEDS=write` this makes them anew.
#[test]
fn seeds_of_the_fuzzers_are_valid() {
    let _alone = alone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    if std::env::var_os("NEUROPIL_SEEDS").is_some_and(|value| value == "write") {
        write_seeds(&folder);
    }
    // The published package has no fuzzers.
    if !folder.exists() {
        return;
    }
    let read = |target: &str| -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(folder.join(target)).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    };
    let states = read("checkpoint");
    let kinds: std::collections::BTreeSet<_> =
        states.iter().map(|state| checkpoint::parse(state.clone(), "seed").unwrap().kind()).collect();
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    let texts: Vec<String> = read("config").into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
    for (name, parse) in configurations() {
        assert!(texts.iter().any(|text| parse(text).is_ok()), "{name}");
    }
    assert!(read("gz").iter().any(|file| gz::decompress_idx(&file[1..], "seed").is_ok()));
    assert!(read("idx").iter().all(|file| idx::Header::parse(&file[1..], "seed").is_ok()));
}

fn write_seeds(folder: &Path) {
    let write = |target: &str, name: String, bytes: &[u8]| {
        std::fs::create_dir_all(folder.join(target)).unwrap();
        std::fs::write(folder.join(target).join(name), bytes).unwrap();
    };
    for (number, (kind, file)) in checkpoints(usize::MAX).into_iter().enumerate() {
        write("checkpoint", format!("{kind}-{number}"), &file);
    }
    for (number, (kind, file)) in checkpoints(1).into_iter().enumerate() {
        if kind == "evolution" {
            write("checkpoint", format!("{kind}-{number}-begun"), &file);
        }
    }
    for (number, (learner, _)) in learners().into_iter().enumerate() {
        write("config", format!("{}-{number}", learner.kind()), learner.config_toml().as_bytes());
    }
    for (name, parse) in configurations() {
        write("config", format!("{name}-default"), parse("").unwrap().as_bytes());
    }
    let images = idx::encode(&[5, 3, 2], &(0..30).collect::<Vec<u8>>()).unwrap();
    let colours = idx::encode(&[2, 3, 1, 2], &[9; 12]).unwrap();
    for (name, images, labels) in [("grey", &images, 5), ("colour", &colours, 2)] {
        let both = [&images[..], &idx::encode(&[labels], &vec![1; labels]).unwrap()].concat();
        // As the target reads its first byte: where the images end, in 255ths.
        let at = (0..=255).find(|at| both.len() * at / 255 == images.len()).unwrap();
        write("idx", name.to_owned(), &[&[at as u8], &both[..]].concat());
        write("gz", name.to_owned(), &[&[255], &compress(images)[..]].concat());
        write("gz", format!("{name}-plain"), &[&[0], &images[..]].concat());
    }
    write("cifar10", "three".to_owned(), &[0, 1, 2, 9]);
}
