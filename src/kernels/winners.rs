//! Which values of a row are its largest: who wins a [competition](super::hebbian::Competition), and what
//! [`k_winners`](super::activation::k_winners) keeps.

use crate::matrix::MatRef;

/// Winners up to which a row is read once, and each value that is among the largest so far inserted in its place: that moves k values at
/// most, and hardly ever does. For more of them the row's indices are cut in two, in a time that does not depend on k.
const INSERTED: usize = 32;

/// Calls `each` with a row's number and the indices of its k largest values, in no order, row after row. Of equals the first wins, NaN
/// never does: so there may be fewer.
pub(super) fn of_rows(values: MatRef<'_>, k: usize, mut each: impl FnMut(usize, &mut Vec<u32>)) {
    let mut winners = Vec::new();
    for (row, values) in values.iter_rows().enumerate() {
        of_row(values, k, &mut winners);
        each(row, &mut winners);
    }
}

/// The indices of the k largest values, k one or more, in place of those of the row before.
pub(super) fn of_row(values: &[f32], k: usize, winners: &mut Vec<u32>) {
    if k <= INSERTED { by_insertion(values, k, winners) } else { by_selection(values, k, winners) }
}

fn by_insertion(values: &[f32], k: usize, winners: &mut Vec<u32>) {
    winners.clear();
    for (index, &value) in values.iter().enumerate() {
        let full = winners.len() == k;
        if value.is_nan() || (full && winners.last().is_none_or(|&last| values[last as usize] >= value)) {
            continue;
        }
        let at = winners.partition_point(|&other| values[other as usize] >= value);
        winners.insert(at, index as u32);
        winners.truncate(k);
    }
}

fn by_selection(values: &[f32], k: usize, winners: &mut Vec<u32>) {
    winners.clear();
    winners.extend((0..values.len() as u32).filter(|&index| !values[index as usize].is_nan()));
    if winners.len() > k {
        // Zeros of either sign are equal. Without NaN there is an order, and indices make it strict: one answer.
        winners.select_nth_unstable_by(k, |&a, &b| {
            let (of_a, of_b) = (values[a as usize], values[b as usize]);
            of_b.partial_cmp(&of_a).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b))
        });
        winners.truncate(k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn selection_and_insertion_have_the_same_winners() {
        let mut random = vec![0.0; if cfg!(miri) { 40 } else { 300 }];
        Stream::new(3, "winners").uniform(-4.0, 4.0, &mut random);
        // Ties of all kinds, zeros of either sign, and what is no number.
        let rounded: Vec<f32> = random.iter().map(|value| value.round()).collect();
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::NAN];
        let odd: Vec<f32> =
            rounded.iter().enumerate().map(|(at, &v)| if at % 3 == 0 { odd[at / 3 % 6] } else { v }).collect();
        let equal = vec![1.0; random.len()];
        let none = vec![f32::NAN; random.len()];
        for values in [random, rounded, odd, equal, none, Vec::new()] {
            for k in [1, 2, 31, 32, 33, 34, 150, 299, 300, 301] {
                let (mut inserted, mut selected, mut either) = (Vec::new(), vec![7], vec![7; 500]);
                by_insertion(&values, k, &mut inserted);
                by_selection(&values, k, &mut selected);
                of_row(&values, k, &mut either);
                let numbers = values.iter().filter(|value| !value.is_nan()).count();
                assert_eq!(inserted.len(), k.min(numbers));
                for winners in [&mut inserted, &mut selected, &mut either] {
                    winners.sort_unstable();
                }
                assert_eq!((&selected, &either), (&inserted, &inserted), "{k} of {values:?}");
            }
        }
    }
}
