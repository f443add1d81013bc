//! What the fuzzers begin with.

use super::checkpoints::{checkpoints, learners};
use super::configurations::configurations;
use super::*;

/// The seeds of the fuzzers (`fuzz/seeds`) hold a valid file of every kind. With `NEUROPIL_SEEDS=write` this makes them anew, but for those of
/// `pattern` and `fields`, which no file is behind: the smallest set of inputs that covers what a minute of fuzzing had (`-set_cover_merge=1`).
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

/// A fuzz target names the families of the kernels that it computes: each family has one.
#[test]
fn every_kernel_has_a_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    if !folder.exists() {
        return;
    }
    let targets: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .filter(|target| target.contains("differential("))
        .collect();
    for kernel in neuropil::kernels::verify::kernels() {
        let family = format!("\"{}\"", kernel.split("::").next().unwrap());
        assert!(targets.iter().any(|target| target.contains(&family)), "{kernel}");
    }
}

/// Whatever takes a context computes something, which a check has to see.
#[test]
fn every_kernel_is_verified() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels");
    let mut folders = vec![folder.clone()];
    let (mut kernels, mut checks) = (Vec::new(), String::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.extend((name != "tests").then_some(path));
            } else if path.parent().unwrap().ends_with("verify") {
                checks += &std::fs::read_to_string(path).unwrap();
            } else if !["tests.rs", "reference.rs"].contains(&name) {
                let text = std::fs::read_to_string(&path).unwrap();
                let functions = text.split("    pub fn ").flat_map(|part| part.split("\npub fn ")).skip(1);
                for function in functions {
                    let (head, _) = function.split_once(')').unwrap();
                    let (name, arguments) = head.split_once('(').unwrap();
                    if arguments.contains("context: &") {
                        kernels.push(name.split('<').next().unwrap().to_owned());
                    }
                }
            }
        }
    }
    assert!(kernels.len() > 60 && checks.len() > 10_000, "{} kernels", kernels.len());
    // It chooses how the same weights are kept.
    for kernel in kernels.iter().filter(|kernel| *kernel != "planned_for") {
        let called = [format!("{kernel}("), format!("::{kernel};"), format!("run: {kernel} "), format!("{kernel},")];
        assert!(called.iter().any(|call| checks.contains(call)), "{kernel} is in no check");
    }
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
