//! That the checks see what is wrong, and run small under an interpreter.

use super::*;

/// Small cases of every kernel of a family, on every set.
///
/// Miri, which takes seconds to minutes for one, is given the smallest that is a block and a part of the next, and none of the checks
/// whose shapes are never small.
fn small_cases_pass(family: &[Check]) {
    let sets: Vec<Isa> = Isa::available().collect();
    let shapes = [[17, 3, 2, 18, 2], [1, 18, 5, 1, 3], [0, 0, 0, 0, 0], [3, 2, 17, 3, 19], [33, 16, 31, 2, 1]];
    let shapes = if cfg!(miri) { &[[17, 1, 2, 2, 2]][..] } else { &shapes[..] };
    let smallest = |check: &Check| check.dims.iter().map(|dim| dim.min.max(1)).product::<usize>();
    for check in family.iter().filter(|check| !cfg!(miri) || smallest(check) < 500) {
        for (seed, sizes) in shapes.iter().enumerate() {
            for report in case(check.kernel, &sets, sizes, seed as u64).unwrap() {
                assert!(report.passed(), "{report:?}");
            }
        }
    }
}

/// A test for each family: Miri runs several at a time.
macro_rules! small_cases {
    ($($family:ident)*) => {
        mod small_cases {
            $(
                #[test]
                fn $family() {
                    super::small_cases_pass(super::$family::CHECKS);
                }
            )*
        }

        #[test]
        fn every_family_has_its_small_cases() {
            let tested = [$($family::CHECKS),*];
            assert!(tested.iter().copied().flatten().map(|check| check.kernel).eq(kernels()));
        }
    };
}

small_cases! { dense hebbian masked genotype particle perturb elementwise entropy plasticity }

#[test]
fn a_case_is_asked_for_by_the_name_of_its_kernel() {
    for check in LARGE {
        let reports = case(check.kernel, &[Isa::best()], &[], 0).unwrap();
        assert!(reports[0].passed(), "{reports:?}");
    }
    assert!(case("dense::matmul", &[Isa::best()], &[1], 0).is_ok());
    let error = case("dense::nothing", &[Isa::best()], &[1], 0).unwrap_err().to_string();
    assert!(error.contains("dense::nothing"), "{error}");
}

#[test]
fn a_full_run_has_a_hundred_thousand_cases() {
    for sets in 1..6 {
        let cases = full(sets) * kernels().count() * sets;
        assert!((100_000..101_000).contains(&cases), "{cases}");
    }
}

#[test]
fn a_fault_in_any_result_of_any_kernel_is_seen() {
    for kernel in kernels() {
        for result in 0.. {
            let mut worst = 0.0f64;
            let mut results = 0;
            // A hundredth more in the first, the middle or the last of a result's values: where counts depend on a rounding, some may be off.
            for part in 0..3 {
                // The scalar token's and the set's, for each result that the check compares.
                let mut runs = 0;
                let mut spoil = |got: &mut [f32]| {
                    if runs / 2 == result {
                        let at = (part * got.len() / 2).min(got.len() - 1);
                        got[at] = 1.01 * got[at] + 0.01;
                    }
                    runs += 1;
                };
                let reports = spoiled_case(kernel, &[Isa::Scalar], &[17, 9, 7, 18, 5], 0, &mut spoil).unwrap();
                worst = worst.max(reports[0].worst);
                results = runs / 2;
            }
            assert!(results > 0, "{kernel} compares nothing");
            if result == results {
                break;
            }
            assert!(worst > 1.0, "{kernel}: a fault in result {result} of {results} is {worst} times the bound");
        }
    }
}

#[test]
fn every_fourth_case_is_tiny_and_every_fourth_special() {
    let kinds = |kind| (0..12).filter(|&number| Values::of(number) == kind).collect::<Vec<_>>();
    assert_eq!((kinds(Values::Tiny), kinds(Values::Special)), (vec![2, 6, 10], vec![3, 7, 11]));
}

#[test]
fn what_is_written_beside_a_matrix_is_seen() {
    let memory = Matrix::from_fn(4, 5, |_, _| f32::from_bits(CANARY));
    let mut laid = Laid { memory, rows: 1..3, cols: 1..3 };
    laid.view_mut().fill(1.0);
    assert_eq!(laid.values(), [1.0; 4]);
    for (count, (row, col)) in (5..).zip([(0, 1), (1, 0), (2, 3), (3, 4)]) {
        // Another NaN is something written too.
        laid.memory[(row, col)] = f32::NAN;
        assert_eq!(laid.values().len(), count, "{row}, {col}");
    }
}

#[test]
fn what_is_wrong_is_seen() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    assert_eq!(worst_ratio(&[1.0, f32::NAN], &[1.0, nan], &[0.0, 0.0]), 0.0);
    assert_eq!(worst_ratio(&[1.5], &[1.0], &[0.25]).round(), 2.0);
    assert_eq!(worst_ratio(&[f32::NAN], &[1.0], &[1.0]), inf);
    assert_eq!(worst_ratio(&[1.0], &[nan], &[1.0]), inf);
    assert_eq!(worst_ratio(&[1.0], &[inf], &[inf]), inf);
    assert_eq!(worst_ratio(&[f32::NAN], &[inf], &[inf]), 0.0, "an infinity less another, met earlier");
    let (exact, mut bound) = ([inf, nan, 1.0], [inf, nan, 0.5]);
    strict(&exact, &mut bound);
    assert_eq!(bound, [0.0, 0.0, 0.5]);
    assert_eq!(worst_ratio(&[f32::INFINITY, f32::NAN, 1.0], &exact, &bound), 0.0);
    for got in [[f32::NEG_INFINITY, f32::NAN, 1.0], [f32::NAN, f32::NAN, 1.0], [f32::INFINITY, f32::INFINITY, 1.0]] {
        assert_eq!(worst_ratio(&got, &exact, &bound), inf, "{got:?} for an infinity, a NaN and one");
    }
    assert_eq!(worst_ratio(&[], &[1.0], &[1.0]), inf);
}
