//! IDX files: header, images, labels, and a dataset of both.
#![no_main]

use neuropil::datasets::storage::Bytes;
use neuropil::datasets::{Dataset, idx};
use neuropil_fuzz::frugal;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The first byte says where the images end and the labels begin, in 255ths.
    let Some((&at, data)) = data.split_first() else { return };
    let (images, labels) = data.split_at(data.len() * usize::from(at) / 255);
    let dataset = frugal(data.len(), || {
        if let Ok(header) = idx::Header::of_file(images, "fuzz") {
            let count: usize = header.dimensions().iter().product();
            assert_eq!(header.header_length() + count * header.value_type().size(), images.len());
            assert_eq!(header.values(), header.header_length()..images.len());
        }
        let images: Bytes = images.to_vec().into();
        let labels: Bytes = labels.to_vec().into();
        let _ = idx::labels(&labels, 256, "fuzz").map(|labels| assert!(!labels.is_empty()));
        Dataset::from_idx_bytes(images, "images", labels, "labels", 10)
    });
    let Ok(dataset) = dataset else { return };
    let pixels = dataset.channels() * dataset.rows() * dataset.cols();
    let headers = data.len() - dataset.len() * (pixels + 1);
    assert!(headers == 16 + 8 || headers == 20 + 8, "{dataset:?} in {} bytes", data.len());
    assert!((0..dataset.len()).all(|index| dataset.image(index).len() == pixels));
    assert!(dataset.labels().len() == dataset.len() && dataset.labels().iter().all(|&label| label < 10));
});
