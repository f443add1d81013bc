//! Checkpoints of every kind of learner. Checksums are not compared here: whoever means harm can compute them.
#![no_main]

use neuropil::systems::checkpoint;
use neuropil_fuzz::frugal;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(learner) = frugal(data.len(), || checkpoint::parse(data.to_vec(), "fuzz")) else { return };
    assert!(learner.inputs() > 0 && learner.classes() > 1);
    let mut weights = 0;
    for layer in (0..).map_while(|layer| learner.weights(layer)) {
        weights += layer.rows() * layer.cols();
    }
    assert!(learner.curve().len() <= data.len() / 32 && !learner.config_toml().is_empty());
    let _ = weights;
});
