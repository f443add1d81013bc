use std::fs;

use super::*;
use crate::systems::hebbian::{Config, Network, Output, Perturbation};

fn network() -> Network {
    let output = Output::Perturbation(Perturbation { steps: 3, ..Perturbation::default() });
    Network::new(Config { layers: vec![3], output, ..Config::default() }, 4, 2).unwrap()
}

fn saved() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    network().save(&path).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary stays behind");
    fs::read(path).unwrap()
}

#[test]
fn losses_that_are_no_numbers_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut network = network();
    let bits = [f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001), f64::INFINITY, -0.0];
    for (step, loss) in bits.map(Some).into_iter().chain([None]).enumerate() {
        network.journal.curve.push(CurvePoint { phase: "output".into(), step: step as u64, loss, accuracy: None });
    }
    network.save(&path).unwrap();
    let first = fs::read(&path).unwrap();
    let back = Network::load(&path).unwrap();
    let kept = |network: &Network| {
        let losses = network.journal.curve.iter().map(|point| point.loss.map(|loss| (loss.is_nan(), loss)));
        losses.map(|loss| loss.map(|(nan, loss)| if nan { None } else { Some(loss) })).collect::<Vec<_>>()
    };
    assert_eq!(kept(&back), kept(&network));
    assert_eq!(kept(&back), [Some(None), Some(None), Some(None), Some(Some(f64::INFINITY)), Some(Some(-0.0)), None]);
    back.save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
}

#[test]
fn steps_of_a_curve_are_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut network = network();
    network.journal.curve.push(CurvePoint { phase: "output".into(), step: u64::MAX, loss: None, accuracy: None });
    network.save(&path).unwrap();
    let error = Network::load(&path).unwrap_err().to_string();
    assert!(error.contains("a whole step of the curve"), "{error}");
}

/// What loading these bytes says.
fn answer(bytes: &[u8]) -> Result<Network> {
    Reader::new(bytes.to_vec().into(), "bytes".into())?.all(Network::read)
}

#[track_caller]
fn refused(bytes: &[u8], because: &str) {
    match answer(bytes) {
        Err(Error::Format { expected, found, .. }) => {
            assert!(expected.contains(because) || found.contains(because), "expected {expected}, found {found}");
        }
        other => panic!("not refused as damaged: {other:?}"),
    }
}

/// A checkpoint changed by `change`, with a checksum that fits.
fn changed(change: impl Fn(&mut Writer)) -> Vec<u8> {
    let network = network();
    let mut writer =
        Writer::new(hebbian::KIND, &network.config().to_toml(), 4, 2, &Journal { step: 1, ..Journal::default() });
    writer.values("hidden.0.weights", &[4, 3], &[0.5; 12]);
    writer.values("output.weights", &[3, 2], &[0.5; 6]);
    writer.values("output.bias", &[2], &[0.5; 2]);
    writer.doubles("output.reward_square", &[1], &[0.0]);
    change(&mut writer);
    writer.bytes().unwrap()
}

#[test]
fn what_is_saved_is_loaded() {
    assert_eq!(answer(&saved()).unwrap(), network());
    assert_eq!(saved(), saved(), "the same state is the same bytes");
    assert_eq!(answer(&changed(|_| ())).unwrap().journal, Journal { step: 1, ..Journal::default() });
}

#[test]
fn every_truncation_is_refused() {
    let bytes = saved();
    for length in 0..bytes.len() {
        assert!(answer(&bytes[..length]).is_err(), "the first {length} of {} bytes", bytes.len());
    }
    refused(&[], "an empty file");
    refused(&bytes[..7], "another format: 7 bytes that begin with [");
    refused(b"seed = 3\nlayers = [5]\n", "another format: 22 bytes that begin with [73 65 65 64 20 3d 20 33]");
    let list = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap());
    refused(&bytes[..100], &format!("cut off to 100 bytes of at least {list}"));
    let most = bytes.len() - 1;
    refused(&bytes[..most], &format!("cut off to {most} bytes of {}", bytes.len()));
    let mut long = bytes.clone();
    long.push(0);
    assert!(answer(&long).is_err(), "a byte too many");
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = saved();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << bit;
            assert!(answer(&damaged).is_err(), "bit {bit} of byte {index}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    refused(&changed(|w| w.header.version = 2), "checkpoint version 1");
    refused(&changed(|w| w.header.kind = "softmax".into()), "'softmax'");
    refused(&changed(|w| w.header.config = "lairs = 3".into()), "lairs");
    refused(&changed(|w| drop(w.tensors.remove("output.bias"))), "'output.bias'");
    refused(&changed(|w| w.values("stowaway", &[1], &[1.0])), "'stowaway'");
    refused(&changed(|w| w.values("output.bias", &[1, 2], &[1.0; 2])), "F32 [2]");
    refused(&changed(|w| w.doubles("output.bias", &[2], &[1.0; 2])), "F64 [2]");
    refused(&changed(|w| w.doubles("curve", &[1, 4], &[3.0; 4])), "number of a phase");
    refused(&changed(|w| w.doubles("curve", &[1, 3], &[3.0; 3])), "F64 [1, 4]");
    // A header that lies about sizes: nothing is reserved before the tensors are seen to have them.
    refused(&changed(|w| w.header.config = "layers = [1048576]".into()), "F32 [4, 1048576]");
    for (inputs, classes) in [(0, 2), (4, 1), (1 << 40, 2), (4, 1000)] {
        let bytes = changed(|w| (w.header.inputs, w.header.classes) = (inputs, classes));
        assert!(matches!(answer(&bytes), Err(Error::Format { .. })));
    }
    let other = safetensors::serialize(std::iter::empty::<(&str, TensorView<'_>)>(), None).unwrap();
    refused(&other, "'neuropil'");
    refused(b"PK\x03\x04 something else entirely", "safetensors");
}

#[test]
fn saving_replaces_whole_files_or_leaves_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    fs::write(&path, "old").unwrap();
    network().save(&path).unwrap();
    assert_eq!(Network::load(&path).unwrap(), network());
    assert!(load(&path).unwrap().kind() == hebbian::KIND);
    let nowhere = directory.path().join("missing").join("a.safetensors");
    assert!(matches!(network().save(&nowhere), Err(Error::Io { .. })));
    // A directory in the way cannot be replaced: the temporary goes, the directory stays.
    let taken = directory.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("content"), "x").unwrap();
    assert!(matches!(network().save(&taken), Err(Error::Io { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    assert!(matches!(Network::load(&nowhere), Err(Error::Io { .. })));
}

/// Calls the macro `$check` with a small network of each kind and its `parse`.
macro_rules! of_each_kind {
    ($check:ident) => {
        $check!(hebbian::Network::new(hebbian::Config { layers: vec![3], ..Default::default() }, 4, 2));
        $check!(hierarchy::Network::new(Default::default(), 784, 2));
        $check!(organism::Network::new(organism::Config { side: 2, hidden: vec![2], ..Default::default() }, 4, 2));
        $check!(evolution::Network::new(evolution::Config { genes: 5, hidden: 3, ..Default::default() }, 4, 2));
        $check!(dopaminergic::Network::new(dopaminergic::Config { hidden: 3, ..Default::default() }, 4, 2));
        $check!(krotov_hopfield::Network::new(krotov_hopfield::Config { layers: vec![7], ..Default::default() }, 4, 2));
        $check!(backprop::Network::new(backprop::Config { layers: vec![3, 2], ..Default::default() }, 4, 2));
        $check!(softmax::Network::new(Default::default(), 4, 2));
    };
}

#[test]
fn states_go_through_memory_as_through_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fn check<N: Learner + PartialEq>(path: &Path, network: N, parse: fn(Vec<u8>) -> Result<N>) {
        let bytes = network.to_bytes().unwrap();
        network.save(path).unwrap();
        assert_eq!(fs::read(path).unwrap(), bytes);
        assert_eq!(parse(bytes.clone()).unwrap(), network);
        assert_eq!(super::parse(bytes.clone(), "memory").unwrap().to_bytes().unwrap(), bytes);
        let other = if network.kind() == "softmax" {
            backprop::Network::new(backprop::Config { layers: vec![3], ..Default::default() }, 4, 2).unwrap().to_bytes()
        } else {
            softmax::Network::new(Default::default(), 4, 2).unwrap().to_bytes()
        };
        let error = parse(other.unwrap()).map(|_| ()).unwrap_err().to_string();
        let expected = format!("memory, byte 0: expected a checkpoint of kind '{}'", network.kind());
        assert!(error.starts_with(&expected), "{error}");
    }
    macro_rules! check {
        ($system:ident::Network::new($($arguments:tt)*)) => {
            check(&path, $system::Network::new($($arguments)*).unwrap(), |bytes| $system::Network::parse(bytes, "memory"))
        };
    }
    of_each_kind!(check);
}

#[test]
fn networks_are_made_and_loaded_whatever_the_environment_names() {
    const NAME: &str = "NEUROPIL_SIMD";
    if std::env::var_os(NAME).is_some_and(|set| set == "none-of-them") {
        assert!(matches!(crate::Context::new(), Err(Error::InstructionSet { .. })));
        macro_rules! check {
            ($system:ident::Network::new($($arguments:tt)*)) => {
                let network = $system::Network::new($($arguments)*).unwrap();
                assert!($system::Network::parse(network.to_bytes().unwrap(), "memory").unwrap() == network);
            };
        }
        of_each_kind!(check);
        return;
    }
    // Other tests run beside this one in the same environment: so in a process of its own.
    let this = "systems::checkpoint::tests::networks_are_made_and_loaded_whatever_the_environment_names";
    let program = std::env::current_exe().unwrap();
    let output =
        std::process::Command::new(program).args(["--exact", this]).env(NAME, "none-of-them").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
