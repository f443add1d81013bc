//! The configurations of all systems. What is accepted is written and read back the same, unless it is too long with every key.
#![no_main]

use neuropil::systems::baselines::{backprop, krotov_hopfield, softmax};
use neuropil::systems::evolution::{self, dopaminergic};
use neuropil::systems::{LONGEST_CONFIG, hebbian, hierarchy, organism};
use neuropil_fuzz::frugal;

macro_rules! round_trip {
    ($config:ty, $text:expr) => {
        if let Ok(config) = frugal($text.len(), || <$config>::from_toml($text, "fuzz")) {
            let written = config.to_toml();
            if written.len() <= LONGEST_CONFIG {
                assert_eq!(<$config>::from_toml(&written, "again").expect("what was written is read"), config);
            }
        }
    };
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    round_trip!(hebbian::Config, text);
    round_trip!(hierarchy::Config, text);
    round_trip!(organism::Config, text);
    round_trip!(evolution::Config, text);
    round_trip!(dopaminergic::Config, text);
    round_trip!(krotov_hopfield::Config, text);
    round_trip!(backprop::Config, text);
    round_trip!(softmax::Config, text);
});
