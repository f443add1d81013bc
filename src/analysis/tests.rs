use super::*;

// Inputs made by hand or by numpy.random.default_rng; figures by SciPy 1.17.1, as each table says.
const PLAIN: [f64; 10] = [1.5, 0.3, -0.9, 2.2, 1.1, -0.2, 0.7, 1.9, 0.6, 3.1];
const TIES: [f64; 10] = [2.0, 1.0, -1.0, 3.0, 3.0, -2.0, 4.0, 1.0, 5.0, 2.0];
const ZEROS: [f64; 9] = [0.0, 1.5, -0.4, 0.0, 2.5, 0.8, -1.1, 3.2, 0.0];
const BOTH: [f64; 12] = [0.0, 1.0, 1.0, -1.0, 2.0, 0.0, 2.0, -2.0, 3.0, 5.0, 3.0, -4.0];
const LARGE: [f64; 80] = [
    -2.0, -4.0, 0.0, 2.0, 4.0, 1.0, -1.0, -2.0, 3.0, 5.0, 1.0, -3.0, -2.0, 5.0, 1.0, -5.0, 0.0, -3.0, -1.0, -1.0, -2.0,
    2.0, 0.0, -1.0, 2.0, 3.0, -5.0, 0.0, -3.0, 0.0, -3.0, 0.0, 0.0, -1.0, -3.0, -1.0, -3.0, -4.0, 1.0, -3.0, 4.0, 3.0,
    -6.0, 1.0, -3.0, 0.0, 1.0, -6.0, 0.0, 0.0, 3.0, -3.0, 3.0, -3.0, -1.0, -2.0, 5.0, 2.0, 8.0, 2.0, 3.0, 3.0, -1.0,
    0.0, 4.0, -1.0, 1.0, 0.0, 2.0, -1.0, 0.0, 1.0, 1.0, -2.0, 3.0, -3.0, -3.0, -3.0, 3.0, -1.0,
];
const THIRTY: [f64; 30] = [
    16.0, 23.0, 26.0, 18.0, 5.0, -14.0, 15.0, 24.0, 19.0, 8.0, 3.0, 13.0, -25.0, -7.0, 27.0, 4.0, -2.0, -1.0, 22.0,
    -20.0, 9.0, 11.0, -28.0, 29.0, -6.0, -30.0, 17.0, 21.0, 12.0, 10.0,
];

const EXACT: Method = Method::Exact;
const NORMAL: Method = Method::Normal { continuity: false };
const CORRECTED: Method = Method::Normal { continuity: true };

/// Data, zeros, method, W+, and the p-values against two-sided, less, greater.
type Row = (&'static [f64], Zeros, Method, f64, [f64; 3]);

/// `scipy.stats.wilcoxon(data, zero_method="wilcox" or "pratt", alternative=..., method=..., correction=...)`; the exact ones with ties
/// or zeros by `method=PermutationMethod(n_resamples=inf)`.
#[rustfmt::skip]
const WILCOXON: [Row; 25] = {
    use Zeros::{Discard, Pratt};
    [
        (&PLAIN, Discard, EXACT, 49.0, [0.02734375, 0.990234375, 0.013671875]),
        (&PLAIN, Discard, NORMAL, 49.0, [0.02841686417486375, 0.9857915679125682, 0.014208432087431874]),
        (&PLAIN, Discard, CORRECTED, 49.0, [0.03231291124324414, 0.9875337721985684, 0.01615645562162207]),
        (&TIES, Discard, EXACT, 48.0, [0.0390625, 0.9892578125, 0.01953125]),
        (&TIES, Discard, NORMAL, 48.0, [0.035564379058193644, 0.9822178104709032, 0.017782189529096822]),
        (&TIES, Discard, CORRECTED, 48.0, [0.04030513050073345, 0.9843461010457298, 0.020152565250366725]),
        (&ZEROS, Discard, EXACT, 17.0, [0.21875, 0.921875, 0.109375]),
        (&ZEROS, Discard, NORMAL, 17.0, [0.17295491798842066, 0.9135225410057897, 0.08647745899421033]),
        (&ZEROS, Discard, CORRECTED, 17.0, [0.2084128036841486, 0.9288933790318038, 0.1042064018420743]),
        (&ZEROS, Pratt, EXACT, 29.0, [0.28125, 0.875, 0.140625]),
        (&ZEROS, Pratt, NORMAL, 29.0, [0.24843137925153003, 0.875784310374235, 0.12421568962576501]),
        (&ZEROS, Pratt, CORRECTED, 29.0, [0.27420850121572937, 0.8878004537393269, 0.13710425060786469]),
        (&BOTH, Discard, EXACT, 39.0, [0.251953125, 0.88671875, 0.1259765625]),
        (&BOTH, Discard, NORMAL, 39.0, [0.23835850336167475, 0.8808207483191626, 0.11917925168083737]),
        (&BOTH, Discard, CORRECTED, 39.0, [0.2593898477365092, 0.8907197428513074, 0.1296949238682546]),
        (&BOTH, Pratt, EXACT, 53.0, [0.25, 0.892578125, 0.125]),
        (&BOTH, Pratt, NORMAL, 53.0, [0.22061131457301264, 0.8896943427134937, 0.11030565728650632]),
        (&BOTH, Pratt, CORRECTED, 53.0, [0.23586282150467996, 0.8969598472459304, 0.11793141075233998]),
        (&LARGE, Discard, NORMAL, 1069.0, [0.6592366694264731, 0.32961833471323654, 0.6703816652867635]),
        (&LARGE, Discard, CORRECTED, 1069.0, [0.66151855879131, 0.330759279395655, 0.6715210263622391]),
        (&LARGE, Pratt, NORMAL, 1472.0, [0.6204308039626809, 0.31021540198134046, 0.6897845980186595]),
        (&LARGE, Pratt, CORRECTED, 1472.0, [0.622136898626077, 0.3110684493130385, 0.690636625373063]),
        (&THIRTY, Discard, EXACT, 332.0, [0.04048972204327583, 0.9807907911017537, 0.020244861021637917]),
        (&THIRTY, Discard, NORMAL, 332.0, [0.040702311426277726, 0.9796488442868612, 0.020351155713138863]),
        (&THIRTY, Discard, CORRECTED, 332.0, [0.04172369252896859, 0.9801488987168914, 0.020861846264484295]),
    ]
};

const ALTERNATIVES: [Alternative; 3] = [Alternative::TwoSided, Alternative::Less, Alternative::Greater];

/// SciPy's own special functions are good to some 1e-14.
#[track_caller]
fn close(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() <= 1e-12 * want.abs(), "{what}: {got:e}, expected {want:e}");
}

#[test]
fn signed_ranks_are_those_of_scipy() {
    for (data, zeros, method, positive, p) in WILCOXON {
        for (alternative, p) in ALTERNATIVES.into_iter().zip(p) {
            let test = Wilcoxon { alternative, zeros, method };
            let outcome = wilcoxon(data, &test).unwrap();
            assert_eq!(outcome.positive, positive, "{test:?}");
            assert_eq!(outcome.z.is_none(), method == EXACT);
            close(outcome.p, p, &format!("{test:?} of {data:?}"));
        }
    }
}

#[test]
fn ranks_sum_up_whatever_the_ties() {
    for (data, zeros, method, ..) in WILCOXON {
        let outcome = wilcoxon(data, &Wilcoxon { zeros, method, ..Wilcoxon::default() }).unwrap();
        let (n, zeros) = (outcome.n, if zeros == Zeros::Pratt { data.len() - outcome.n } else { 0 });
        assert_eq!(outcome.n, data.iter().filter(|&&d| d != 0.0).count());
        let sum = |n: usize| (n * (n + 1)) as f64 / 2.0;
        assert_eq!(outcome.positive + outcome.negative, sum(n + zeros) - sum(zeros));
        assert_eq!(outcome.statistic(), outcome.positive.min(outcome.negative));
    }
}

#[test]
fn turning_the_differences_turns_the_alternative() {
    for (data, zeros, method, ..) in WILCOXON {
        let turned: Vec<f64> = data.iter().map(|d| -d).collect();
        let p = |data: &[f64], alternative| wilcoxon(data, &Wilcoxon { alternative, zeros, method }).unwrap().p;
        close(p(data, Alternative::Less), p(&turned, Alternative::Greater), "turned");
        close(p(data, Alternative::TwoSided), p(&turned, Alternative::TwoSided), "turned");
    }
}

#[test]
fn exact_p_values_are_those_of_all_signings() {
    // The obvious way: every pattern of signs over the ranks of |d|.
    for data in [&PLAIN[..], &TIES, &ZEROS, &BOTH, &[1.0], &[-2.0, 2.0]] {
        for zeros in [Zeros::Discard, Zeros::Pratt] {
            let kept: Vec<f64> = data.iter().copied().filter(|&d| d != 0.0 || zeros == Zeros::Pratt).collect();
            let rank = |d: f64| {
                let below = kept.iter().filter(|other| other.abs() < d.abs()).count() as f64;
                below + (kept.iter().filter(|other| other.abs() == d.abs()).count() as f64 + 1.0) / 2.0
            };
            let ranks: Vec<f64> = kept.iter().filter(|&&d| d != 0.0).map(|&d| rank(d)).collect();
            let found: f64 = kept.iter().filter(|&&d| d > 0.0).map(|&d| rank(d)).sum();
            let signings = 1u32 << ranks.len();
            let sums =
                (0..signings).map(|signs| (0..ranks.len()).filter(|i| signs >> i & 1 == 1).map(|i| ranks[i]).sum());
            let sums: Vec<f64> = sums.collect();
            let share = |count: usize| count as f64 / f64::from(signings);
            let less = share(sums.iter().filter(|&&sum| sum <= found).count());
            let greater = share(sums.iter().filter(|&&sum| sum >= found).count());
            for (alternative, p) in ALTERNATIVES.into_iter().zip([(2.0 * less.min(greater)).min(1.0), less, greater]) {
                let outcome = wilcoxon(data, &Wilcoxon { alternative, zeros, method: Method::Exact }).unwrap();
                assert_eq!((outcome.positive, outcome.p), (found, p), "{alternative:?} {zeros:?} {data:?}");
            }
        }
    }
}

#[test]
fn automatic_is_exact_while_differences_are_few() {
    let data = |n: usize| -> Vec<f64> { (1..=n).map(|i| if i % 2 == 0 { -(i as f64) } else { i as f64 }).collect() };
    assert_eq!(wilcoxon(&data(50), &Wilcoxon::default()).unwrap().z, None);
    let automatic = wilcoxon(&data(51), &Wilcoxon::default()).unwrap();
    let normal = Wilcoxon { method: Method::Normal { continuity: false }, ..Wilcoxon::default() };
    assert_eq!(automatic, wilcoxon(&data(51), &normal).unwrap());
    // The exact distribution nears the normal one.
    let exact = wilcoxon(&data(300), &Wilcoxon { method: Method::Exact, ..Wilcoxon::default() }).unwrap();
    let normal = wilcoxon(&data(300), &normal).unwrap();
    assert!((exact.p / normal.p - 1.0).abs() < 0.02, "{} and {}", exact.p, normal.p);
}

#[test]
fn a_sum_of_ranks_at_its_mean_is_no_evidence() {
    // W+ = W- = 5: with a continuity correction too there is nothing to move.
    for method in [EXACT, NORMAL, CORRECTED] {
        let outcome = wilcoxon(&[1.0, -2.0, -3.0, 4.0], &Wilcoxon { method, ..Wilcoxon::default() }).unwrap();
        assert_eq!((outcome.positive, outcome.negative, outcome.p), (5.0, 5.0, 1.0), "{method:?}");
        assert_eq!(outcome.z, (method != EXACT).then_some(0.0));
    }
}

#[test]
fn nothing_to_rank_is_an_error() {
    let refused = |data: &[f64], method, message: &str| {
        let error = wilcoxon(data, &Wilcoxon { method, ..Wilcoxon::default() }).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }));
        assert!(error.to_string().contains(message), "{error}");
    };
    refused(&[], Method::Automatic, "at least one other than zero");
    refused(&[0.0, -0.0, 0.0], Method::Automatic, "at least one other than zero");
    refused(&[1.0, f64::NAN], Method::Automatic, "finite numbers, found NaN at 1");
    refused(&[f64::INFINITY], Method::Automatic, "finite numbers, found inf at 0");
    refused(&[1.0; 301], Method::Exact, "up to 300 differences, found 301");
}

#[test]
fn zeros_that_hold_ranks_do_not_make_the_exact_distribution_large() {
    // One difference above so many zeros has the rank after theirs.
    let outcome = |zeros: usize, method| {
        let data: Vec<f64> = std::iter::repeat_n(0.0, zeros).chain([1.0]).collect();
        wilcoxon(&data, &Wilcoxon { zeros: Zeros::Pratt, method, ..Wilcoxon::default() })
    };
    for method in [Method::Automatic, EXACT] {
        let most = outcome(45_149, method).unwrap();
        assert_eq!((most.positive, most.p, most.z), (45_150.0, 1.0, None));
    }
    for zeros in [45_150, 3_000_000] {
        assert_eq!(outcome(zeros, Method::Automatic).unwrap(), outcome(zeros, NORMAL).unwrap());
        let error = outcome(zeros, EXACT).unwrap_err().to_string();
        assert!(error.contains(&format!("ranks that sum up to 45150 at most, found {}", zeros + 1)), "{error}");
    }
}

const X_SMALL: [f64; 10] = [9.51, 9.42, 9.66, 9.3, 9.38, 9.03, 9.21, 9.62, 9.44, 9.17];
const Y_SMALL: [f64; 10] = [4.1, 3.6, 4.4, 3.3, 3.9, 2.8, 3.5, 4.2, 3.1, 3.4];
#[rustfmt::skip]
const X_FORTY: [f64; 40] = [6.0, 27.0, 10.0, 12.0, 2.0, 49.0, 10.0, 9.0, 30.0, 7.0, 44.0, 39.0, 17.0, 20.0, 18.0, 36.0, 20.0, 14.0, 34.0, 6.0, 39.0, 21.0, 47.0, 13.0, 18.0, 43.0, 35.0, 2.0, 17.0, 0.0, 41.0, 20.0, 11.0, 36.0, 43.0, 5.0, 25.0, 18.0, 36.0, 46.0];
#[rustfmt::skip]
const Y_FORTY: [f64; 40] = [-0.37, 0.26, -0.6, -0.37, -0.18, -1.17, -0.66, -0.07, -0.06, 0.17, -1.34, -1.35, -0.28, -0.75, -0.68, -1.56, 0.58, 0.18, -1.17, 0.33, -0.11, -1.61, -1.21, -0.45, -0.04, -0.92, -0.82, -0.07, 0.59, 1.08, -1.08, -0.86, 1.13, -1.21, -1.15, -0.08, -0.26, 0.15, -0.52, -1.36];

#[test]
fn correlations_are_those_of_scipy() {
    // Two thousand pairs: x = i * 37 % 101 and y = i * 53 % 97 + x / 10.
    let x_many: Vec<f64> = (0..2000).map(|i| f64::from(i * 37 % 101)).collect();
    let y_many: Vec<f64> = (0..2000).map(|i| f64::from(i * 53 % 97) + f64::from(i * 37 % 101) * 0.1).collect();
    // r = scipy.stats.pearsonr(x, y): r.statistic, r.pvalue, *r.confidence_interval(0.95)
    let cases: [(&[f64], &[f64], [f64; 4]); 4] = [
        (&X_SMALL, &Y_SMALL, [0.8332323438361637, 0.002752694121556519, 0.42830616375911046, 0.9594875107849821]),
        (&X_FORTY, &Y_FORTY, [-0.6683547008898549, 2.4427896033426767e-06, -0.811012310510647, -0.4506754016828852]),
        (&x_many, &y_many, [0.110240378722678, 7.729077352613353e-07, 0.06673189047961922, 0.15333042814764858]),
        (&[1.0, 2.0, 4.0], &[3.0, 1.0, 1.0], [-0.7559289460184544, 0.45437105165701014, -1.0, 1.0]),
    ];
    for (x, y, [r, p, low, high]) in cases {
        let found = pearson(x, y).unwrap();
        assert_eq!(found.n, x.len());
        close(found.r, r, "r");
        close(found.p, p, "p");
        close(found.confidence_95().0, low, "lower end");
        close(found.confidence_95().1, high, "upper end");
        // Neither order nor scale nor sign matters to the magnitude, up to rounding.
        let scaled: Vec<f64> = x.iter().map(|x| x * -1e300).collect();
        let turned = pearson(y, &scaled).unwrap();
        close(turned.r, -r, "r of the turned pairs");
        close(turned.p, p, "p of the turned pairs");
        let tiny: Vec<f64> = x.iter().map(|x| x * 1e-300).collect();
        close(pearson(&tiny, y).unwrap().r, r, "r of tiny values");
    }
}

#[test]
fn lines_correlate_fully() {
    let x = [1.0, 2.0, 3.0, 4.0, 5.0];
    let found = pearson(&x, &x.map(|x| 3.0 * x - 7.0)).unwrap();
    assert!(found.r > 1.0 - 1e-15 && found.p < 1e-20, "{found:?}");
    // Milliseconds since 1970, and integers at the end of those that f64 has: no digit of their differences is lost.
    for base in [1.7e12, 4e15] {
        let found = pearson(&x.map(|x| base + x), &x).unwrap();
        assert!(found.r > 1.0 - 1e-15, "{base}: {found:?}");
    }
    let two = pearson(&[0.0, 1.0], &[5.0, -1.0]).unwrap();
    assert_eq!(two, Correlation { r: -1.0, p: 1.0, n: 2 });
    assert_eq!(two.confidence_95(), (-1.0, 1.0));
    // Symmetric about the middle: no correlation at all.
    let none = pearson(&[-1.0, 0.0, 1.0], &[1.0, 0.0, 1.0]).unwrap();
    assert_eq!((none.r.abs(), none.p), (0.0, 1.0));
}

#[test]
fn what_cannot_correlate_is_an_error() {
    assert!(matches!(pearson(&[1.0, 2.0], &[1.0]), Err(Error::Length { expected: 2, found: 1, .. })));
    let refused = |x: &[f64], y: &[f64], message: &str| {
        let error = pearson(x, y).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(matches!(error, Error::Setting { .. }));
    };
    refused(&[], &[], "at least two pairs, found 0");
    refused(&[1.0], &[1.0], "at least two pairs, found 1");
    refused(
        &[2.5; 4],
        &[1.0, 2.0, 3.0, 4.0],
        "first sample of a correlation: expected values that differ, found 2.5 throughout",
    );
    refused(&[1.0, 2.0], &[0.0, -0.0], "second sample of a correlation: expected values that differ");
    refused(&[1.0, f64::NAN], &[1.0, 2.0], "finite numbers, found NaN at 1");
    refused(&[1.0, 2.0], &[f64::NEG_INFINITY, 2.0], "finite numbers, found -inf at 0");
}
