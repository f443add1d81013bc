//! Records of CIFAR-10.
#![no_main]

use neuropil::datasets::cifar;
use neuropil_fuzz::frugal;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // A record is 3073 bytes, most of which mean nothing: every input byte stands for a record's label and its pixels, the first for a rest.
    let Some((&rest, labels)) = data.split_first() else { return };
    let mut file = Vec::with_capacity(labels.len() * cifar::RECORD + 255);
    for &label in labels {
        file.push(label);
        file.resize(file.len() + cifar::PIXELS, label);
    }
    file.resize(file.len() + usize::from(rest), 0);
    for file in [&file, data] {
        let records = frugal(file.len(), || cifar::records(file, "fuzz"));
        let sound = !file.is_empty() && file.len().is_multiple_of(cifar::RECORD);
        let sound = sound && file.chunks(cifar::RECORD).all(|record| record[0] < 10);
        assert_eq!(records.as_ref().ok(), sound.then_some(&(file.len() / cifar::RECORD)), "{records:?}");
    }
});
