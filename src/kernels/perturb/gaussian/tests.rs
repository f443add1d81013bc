use super::super::reference::{self, normal_distribution};
use super::*;
use crate::kernels::bits;
use crate::{Isa, Threads};

fn context(isa: Isa, threads: usize) -> Context {
    Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap())
}

fn draw(isa: Isa, threads: usize, stream: Stream, sigma: f32, count: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; count];
    gaussian(&mut context(isa, threads), stream, sigma, &mut out);
    out
}

#[test]
fn values_follow_the_transform_within_its_bound() {
    for (seed, count) in [(11, 3 * BLOCK), (12, 77), (13, 50 * BLOCK + 1)] {
        let stream = Stream::new(seed, "transform");
        let (exact, bounds) = reference::gaussian(stream, 2.0, count);
        assert!(bounds.iter().all(|&bound| bound < 1e-3), "a bound that says nothing");
        let got = draw(Isa::best(), 1, stream, 2.0, count);
        for ((got, exact), bound) in got.into_iter().zip(exact).zip(bounds) {
            assert!((f64::from(got) - exact).abs() <= bound, "{got}, exactly {exact}, within {bound}");
        }
    }
}

#[test]
fn bits_are_pinned() {
    // Saved experiments depend on these: a change here is a breaking change.
    let got = draw(Isa::Scalar, 1, Stream::new(42, "noise"), 1.0, 2 * BLOCK);
    let hash = got
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, v| (hash ^ u64::from(v.to_bits())).wrapping_mul(0x0100_0000_01b3));
    assert_eq!((got[0].to_bits(), got[BLOCK].to_bits(), hash), PINNED);
}

const PINNED: (u32, u32, u64) = (1_052_569_860, 3_180_860_992, 3_147_873_727_493_082_055);

#[test]
fn sets_threads_and_lengths_never_show() {
    let stream = Stream::new(5, "same");
    let count = 80 * BLOCK + 77;
    let expected = bits(&draw(Isa::Scalar, 1, stream, 0.5, count));
    for isa in Isa::available() {
        for threads in [1, 2, 3, 7] {
            assert!(bits(&draw(isa, threads, stream, 0.5, count)) == expected, "{isa} {threads} threads");
        }
        for count in [0, 1, 15, 16, 17, 31, 32, 33, BLOCK - 1, BLOCK, BLOCK + 1] {
            assert!(bits(&draw(isa, 1, stream, 0.5, count)) == expected[..count], "{isa} {count} values");
        }
    }
    let unit = draw(Isa::best(), 1, stream, 1.0, 1000);
    for sigma in [0.5, 8.0, 2f32.powi(-60), 2f32.powi(100)] {
        let scaled: Vec<f32> = unit.iter().map(|v| sigma * v).collect();
        assert_eq!(draw(Isa::best(), 1, stream, sigma, 1000), scaled, "{sigma}");
    }
    // Two roundings each, of different products.
    let other = draw(Isa::best(), 1, stream, 0.3, 1000);
    assert!(other.iter().zip(&unit).any(|(&got, v)| got != 0.3 * v));
    for (&got, &v) in other.iter().zip(&unit) {
        let scaled = f64::from(0.3f32) * f64::from(v);
        assert!((f64::from(got) / scaled - 1.0).abs() <= 2.01 * f64::from(f32::EPSILON), "{got}, scaled {scaled}");
    }
    assert!(draw(Isa::best(), 1, stream, 0.0, 100).iter().all(|&v| v == 0.0), "no width, no noise");
}

const COUNT: usize = 2_000_000;

#[test]
fn the_distribution_is_normal_by_kolmogorov_and_smirnov() {
    for seed in 0..3 {
        let mut values = draw(Isa::best(), 2, Stream::new(seed, "ks"), 1.0, COUNT);
        values.sort_unstable_by(f32::total_cmp);
        assert!(values.iter().all(|value| value.is_finite()));
        let n = COUNT as f64;
        let distance = values.iter().enumerate().fold(0f64, |worst, (index, &value)| {
            let phi = normal_distribution(f64::from(value));
            worst.max((phi - index as f64 / n).abs()).max((phi - (index + 1) as f64 / n).abs())
        });
        // P(D sqrt n > 1.95) = 0.001
        assert!(distance * n.sqrt() < 1.95, "seed {seed}: D sqrt n = {}", distance * n.sqrt());
    }
}

#[test]
fn moments_tails_and_signs_are_a_normals() {
    let values = draw(Isa::best(), 2, Stream::new(9, "moments"), 1.0, COUNT);
    let n = COUNT as f64;
    let moment = |k: i32| values.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n;
    // Five standard errors of each: the variance of x^k is E x^2k - (E x^k)^2.
    for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0), (6, 15.0, 10_170.0)] {
        let error = (moment(k) - expected).abs();
        assert!(error < 5.0 * f64::sqrt(variance / n), "moment {k} off by {error}");
    }
    for limit in [0.5, 1.0, 2.0, 3.0, 4.0] {
        for sign in [1.0, -1.0] {
            let p = normal_distribution(-limit);
            let found = values.iter().filter(|&&v| f64::from(sign * v) > limit).count() as f64;
            assert!(
                (found - n * p).abs() < 5.0 * (n * p).sqrt(),
                "beyond {}: {found}, expected {}",
                sign as f64 * limit,
                n * p
            );
        }
    }
    assert!(values.iter().all(|v| v.abs() < 6.67));
}

#[test]
fn neighbours_partners_and_blocks_are_uncorrelated() {
    let values = draw(Isa::best(), 2, Stream::new(10, "correlation"), 1.0, COUNT);
    // 16: the two values of one transform; 32: the next step of a lane; 8192: the same place in the next block.
    for lag in [1, 2, 3, 15, 16, 17, 32, 64, BLOCK] {
        for (name, f) in [("values", (|v| v) as fn(f64) -> f64), ("squares", |v| (v * v - 1.0) / 2f64.sqrt())] {
            let pairs = values.iter().zip(&values[lag..]);
            let count = (COUNT - lag) as f64;
            let correlation = pairs.map(|(&a, &b)| f(f64::from(a)) * f(f64::from(b))).sum::<f64>() / count;
            assert!(correlation.abs() < 5.0 / count.sqrt(), "{name} at lag {lag}: {correlation}");
        }
    }
}

#[test]
#[should_panic(expected = "gaussian: sigma is -1, not a finite number of zero or above")]
fn a_negative_deviation_is_refused() {
    draw(Isa::best(), 1, Stream::new(0, ""), -1.0, 1);
}
