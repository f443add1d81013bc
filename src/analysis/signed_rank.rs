//! Wilcoxon's signed-rank test (Biometrics Bulletin 1(6), 1945).

use super::{Alternative, all_finite, tails};
use crate::error::{Error, Result};

/// Differences up to which [`Method::Automatic`] is exact.
const SMALL: usize = 50;
/// Differences up to which the exact distribution is offered.
const MOST_EXACT: usize = 300;
/// Twice the largest sum of ranks for which it is: what so many differences have when no zeros hold ranks below theirs.
const MOST_DOUBLED: u64 = MOST_EXACT as u64 * (MOST_EXACT as u64 + 1);

/// What becomes of differences that are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// They are discarded before ranking (Wilcoxon).
    #[default]
    Discard,
    /// They are ranked with the others, and their ranks then dropped (Pratt, JASA 54(287), 1959).
    Pratt,
}

/// Where the p-value comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// [`Exact`](Method::Exact) up to 50 differences that are not zero, [`Normal`](Method::Normal) without continuity correction beyond, or
    /// where zeros that hold ranks bring the sum of the others' above 45,150.
    #[default]
    Automatic,
    /// The distribution over all ways to sign the ranks at hand: exact with ties and zeros too. Up to 300 differences, and up to a sum of
    /// ranks of 45,150, which 300 have where no zeros hold ranks. It costs differences x twice the sum of ranks additions, and eight bytes
    /// for each of the latter.
    Exact,
    /// The normal approximation, its variance corrected for ties.
    Normal {
        /// Whether the sum of ranks is first moved by 1/2 towards its mean.
        continuity: bool,
    },
}

/// How to test. The default: two-sided, zeros discarded, exact while that is cheap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wilcoxon {
    /// What to find evidence for.
    pub alternative: Alternative,
    /// What becomes of zeros.
    pub zeros: Zeros,
    /// Where the p-value comes from.
    pub method: Method,
}

/// The outcome of a signed-rank test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// The sum of the ranks of positive differences, W+.
    pub positive: f64,
    /// The sum of the ranks of negative differences, W-.
    pub negative: f64,
    /// The number of differences that are not zero.
    pub n: usize,
    /// How likely sums at least as extreme are if positive and negative differences are equally likely at any magnitude.
    pub p: f64,
    /// The standardised W+ that the normal approximation used; none if p is exact.
    pub z: Option<f64>,
}

impl SignedRank {
    /// The smaller of the two sums: what tables of the two-sided test list.
    pub fn statistic(&self) -> f64 {
        self.positive.min(self.negative)
    }
}

/// Tests whether paired differences lie around zero, by the ranks of their magnitudes. Equal magnitudes share the mean of their ranks.
///
/// For two samples, pass their differences in an order that gives [`Alternative::Greater`] its meaning: after minus before.
/// Differences of decimal fractions that look equal may differ in their last bit, and are then no ties: round them, or test counts.
///
/// # Errors
/// [`Error::Setting`] if a difference is not finite, if none differs from zero, or for [`Method::Exact`] with more than 300 of
/// them or, with [`Zeros::Pratt`], a sum of their ranks above 45,150.
pub fn wilcoxon(differences: &[f64], test: &Wilcoxon) -> Result<SignedRank> {
    all_finite("differences of a signed-rank test", differences)?;
    let mut sorted: Vec<f64> =
        differences.iter().copied().filter(|&d| d != 0.0 || test.zeros == Zeros::Pratt).collect();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let zeros = sorted.iter().take_while(|&&d| d == 0.0).count();
    let n = sorted.len() - zeros;
    if n == 0 {
        return Err(Error::setting("differences of a signed-rank test", "at least one other than zero", "none"));
    }

    // Ranks are means of neighbouring integers: doubled, they are whole. Zeros, if they are here, hold the first ranks.
    let mut doubled = Vec::with_capacity(n);
    let (mut positive, mut negative, mut ties) = (0u64, 0u64, 0.0);
    let mut before = zeros;
    for group in sorted[zeros..].chunk_by(|a, b| a.abs() == b.abs()) {
        // Some 60,000 differences have a doubled sum beyond 32 bits.
        let rank = 2 * before as u64 + group.len() as u64 + 1;
        let above = group.iter().filter(|d| d.is_sign_positive()).count();
        positive += rank * above as u64;
        negative += rank * (group.len() - above) as u64;
        doubled.extend(std::iter::repeat_n(rank, group.len()));
        let size = group.len() as f64;
        ties += size * size * size - size;
        before += group.len();
    }

    let sum = positive + negative;
    let exact = match test.method {
        Method::Automatic => n <= SMALL && sum <= MOST_DOUBLED,
        Method::Exact if n > MOST_EXACT => {
            return Err(Error::setting("exact signed-rank test", format!("up to {MOST_EXACT} differences"), n));
        }
        Method::Exact if sum > MOST_DOUBLED => {
            let expected = format!("ranks that sum up to {} at most", MOST_DOUBLED / 2);
            return Err(Error::setting("exact signed-rank test", expected, sum as f64 / 2.0));
        }
        Method::Exact => true,
        Method::Normal { .. } => false,
    };
    let (p, z) = if exact {
        (exact_p(&doubled, positive, test.alternative), None)
    } else {
        // Mean and variance of W+ (Cureton, JASA 62(319), 1967, for the ranks that zeros hold).
        let sum = |n: f64| n * (n + 1.0);
        let squares = |n: f64| n * (n + 1.0) * (2.0 * n + 1.0);
        let (all, zeros) = (sorted.len() as f64, zeros as f64);
        let mean = (sum(all) - sum(zeros)) / 4.0;
        let deviation = ((squares(all) - squares(zeros) - ties / 2.0) / 24.0).sqrt();
        let off = positive as f64 / 2.0 - mean;
        let towards = match test.alternative {
            Alternative::Greater => 0.5,
            Alternative::Less => -0.5,
            // Neither side of the mean itself.
            Alternative::TwoSided if off == 0.0 => 0.0,
            Alternative::TwoSided => 0.5f64.copysign(off),
        };
        let corrected = test.method == Method::Normal { continuity: true };
        let z = if corrected { (off - towards) / deviation } else { off / deviation };
        let p = match test.alternative {
            Alternative::Greater => tails::normal(z),
            Alternative::Less => tails::normal(-z),
            Alternative::TwoSided => (2.0 * tails::normal(z.abs())).min(1.0),
        };
        (p, Some(z))
    };
    Ok(SignedRank { positive: positive as f64 / 2.0, negative: negative as f64 / 2.0, n, p, z })
}

/// The share of the signings of these ranks whose positive ones sum up to as much as found, or more extreme.
fn exact_p(ranks: &[u64], positive: u64, alternative: Alternative) -> f64 {
    // At most MOST_DOUBLED, all of them together.
    let ranks: Vec<usize> = ranks.iter().map(|&rank| rank as usize).collect();
    let positive = positive as usize;
    // After k ranks, chance[s] is the probability of the sum s: each rank is in or out.
    let total: usize = ranks.iter().sum();
    let mut chance = vec![0.0; total + 1];
    chance[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= rank { chance[sum - rank] } else { 0.0 };
            chance[sum] = 0.5 * (chance[sum] + with);
        }
    }
    // Small ones first.
    let less = chance[..=positive].iter().sum::<f64>();
    let greater = chance[positive..].iter().rev().sum::<f64>();
    match alternative {
        Alternative::Less => less.min(1.0),
        Alternative::Greater => greater.min(1.0),
        Alternative::TwoSided => (2.0 * less.min(greater)).min(1.0),
    }
}
