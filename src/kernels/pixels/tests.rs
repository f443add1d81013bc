use super::*;
use crate::{Isa, Threads};

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 37 + i / 256) as u8).collect()
}

#[test]
fn every_byte_is_within_half_an_ulp_on_every_set() {
    let all: Vec<u8> = (0..=255).collect();
    for (scale, offset) in [(1.0 / 255.0, 0.0), (1.0, 0.0), (2.0 / 255.0, -1.0), (0.012_7, -0.424_2)] {
        let exact = reference::to_f32(&all, scale, offset);
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; 256];
            to_f32(&mut Context::on(isa).unwrap(), &all, scale, offset, &mut out);
            // The fused result is the exact one rounded once.
            assert!(out.iter().zip(&exact).all(|(got, exact)| *got == *exact as f32), "{isa} {scale} {offset}");
        }
    }
}

#[test]
fn any_length_offset_and_thread_count_fills_exactly_the_output() {
    for len in [0, 1, 15, 16, 17, 1000, BYTES + 3, STREAM + 5, 2 * STREAM] {
        let from = bytes(len);
        let expected: Vec<f32> = from.iter().map(|&b| f32::from(b).mul_add(0.5, 1.0)).collect();
        for isa in Isa::available() {
            for (threads, offset) in [(1, 0), (2, 1), (3, 16), (7, 0)] {
                let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
                // The matrix starts on a cache line, so that the large outputs are streamed at offsets 0 and 16.
                let mut out = crate::Matrix::from_fn(1, len + offset + 8, |_, _| f32::NAN);
                to_f32(&mut context, &from, 0.5, 1.0, &mut out.as_mut_slice()[offset..offset + len]);
                assert_eq!(out.as_slice()[offset..offset + len], expected, "{isa} {threads} {len}");
                assert!(out.as_slice()[offset + len..].iter().all(|v| v.is_nan()), "nothing behind it is written");
                if len >= STREAM && isa == Isa::Scalar {
                    break;
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "to_f32: 3 bytes for 2 numbers")]
fn lengths_must_agree() {
    to_f32(&mut Context::new().unwrap(), &[0; 3], 1.0, 0.0, &mut [0.0; 2]);
}
