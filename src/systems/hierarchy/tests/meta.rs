//! Meta-learning with entropies that were set: which candidates there are, and which of them is taken.

use super::*;

/// A network whose first training came to these entropies.
fn after_first_training(meta: Meta, topology: Named, entropies: &[f64]) -> Network {
    let units = entropies.len();
    let mut network = network(&Config { units, meta: Some(meta), ..config(topology) });
    network.current.entropies = entropies.to_vec();
    (network.best, network.highest) = (Some(network.current.clone()), entropies.to_vec());
    network
}

/// Proposes a candidate and judges it as if its training had come to these entropies: the candidate, and whether one was taken.
fn try_one(network: &mut Network, entropies: [f64; 3]) -> (Situation, bool) {
    network.propose().unwrap();
    network.current.entropies = entropies.to_vec();
    // So that candidates differ in more than their fields.
    network.current.units[0].encoder.bias[0] = network.tried as f32;
    (network.current.clone(), network.judge())
}

#[test]
fn a_local_search_takes_the_best_neighbour_of_the_unit_whose_turn_it_is() {
    let meta = Meta { rule: Rule::LocalSearch, perturbations: 20, steps: 9, ..Meta::default() };
    let mut network = after_first_training(meta, Named::Ar1, &[2.0; 3]);
    let first = network.best.clone().unwrap();
    // Neither the first that is better nor the last: the best, the first of equals. The other units' entropies are not looked at.
    let tried = [2.5, 3.0, 1.0, 3.0, 2.75].map(|entropy| try_one(&mut network, [entropy, 9.0 - entropy, 1.0]));
    assert_eq!(tried.each_ref().map(|(_, accepted)| *accepted), [false, false, false, false, true]);
    assert_eq!(network.best.as_ref(), Some(&tried[1].0));
    let places = neighbours(&first.fields[0]);
    assert_eq!(places.len(), tried.len());
    for (candidate, _) in &tried {
        assert_eq!(candidate.fields[1..], first.fields[1..]);
        assert_eq!(tried.iter().filter(|(other, _)| other.fields[0] == candidate.fields[0]).count(), 1);
        assert!(places.contains(&candidate.fields[0]));
    }
    // The turn of the next unit, none of whose neighbours is better: everything stays as it is.
    assert_eq!((network.meta_steps, network.tried, &network.leading), (1, 0, &None));
    let best = network.best.clone();
    for place in neighbours(&first.fields[1]) {
        assert_eq!(network.meta_steps, 1);
        let (candidate, accepted) = try_one(&mut network, [9.0, 6.0, 9.0]);
        assert!(!accepted && candidate.fields[1] != first.fields[1], "{place:?}");
    }
    assert_eq!((network.meta_steps, network.tried, &network.best), (2, 0, &best));
    // As many as there may be, where that is fewer than the neighbours.
    let Some(Meta { perturbations, .. }) = &mut network.config.meta else { unreachable!("it was configured") };
    *perturbations = 2;
    assert!(neighbours(&first.fields[2]).len() > 2);
    assert!(!try_one(&mut network, [1.0, 1.0, 1.5]).1);
    let (last, accepted) = try_one(&mut network, [1.0, 1.0, 1.25]);
    assert!(accepted && network.best.as_ref().unwrap().entropies == [1.0, 1.0, 1.5]);
    assert_ne!(network.best.as_ref().unwrap().fields[2], last.fields[2]);
    assert_eq!((network.meta_steps, network.tried), (3, 0));
    let moves: Vec<(u64, usize, [f64; 2])> = network.moves().map(|made| (made.step, made.unit, made.entropy)).collect();
    assert_eq!(moves, [(0, 0, [2.0, 3.0]), (2, 2, [1.0, 1.5])]);
}

#[test]
fn the_median_of_all_units_is_what_counts_where_that_is_asked_for() {
    let meta = Meta { criterion: Criterion::Median, perturbations: 9, ..Meta::default() };
    let of = |best: &[f64], candidates: &[(&[f64], bool)]| -> Vec<[f64; 2]> {
        let mut network = after_first_training(meta.clone(), Named::Random, best);
        for &(entropies, accepted) in candidates {
            network.propose().unwrap();
            network.current.entropies = entropies.to_vec();
            assert_eq!(network.judge(), accepted, "{entropies:?} after {best:?}");
        }
        network.moves().map(|made| made.entropy).collect()
    };
    // The first unit's own rises, then the mean of all, at last the median alone.
    let candidates: [(&[f64], bool); 3] =
        [(&[9.0, 1.9, 1.0], false), (&[2.0, 2.0, 90.0], false), (&[0.5, 2.5, 2.75], true)];
    assert_eq!(of(&[1.0, 2.0, 3.0], &candidates), [[2.0, 2.5]]);
    // Of an even number the mean of the middle two.
    let candidates: [(&[f64], bool); 3] =
        [(&[8.0, 2.0, 3.5, 1.0], false), (&[2.5, 4.0, 1.0, 8.0], true), (&[1.0, 2.5, 4.5, 8.0], true)];
    assert_eq!(of(&[1.0, 2.0, 4.0, 8.0], &candidates), [[3.0, 3.25], [3.25, 3.5]]);
}

#[test]
fn a_random_search_looks_anywhere_on_the_map() {
    let meta = Meta { rule: Rule::RandomSearch, perturbations: 30, ..Meta::default() };
    let mut network = after_first_training(meta, Named::Ar1, &[2.0; 3]);
    let best = network.best.clone().unwrap();
    let (mut uprights, mut far) = (0, 0);
    let mut corners = Vec::new();
    for number in 0..30 {
        let (candidate, accepted) = try_one(&mut network, [1.0; 3]);
        assert!(!accepted);
        let unit = number % 3;
        for other in (0..3).filter(|other| *other != unit) {
            assert_eq!(candidate.fields[other], best.fields[other]);
        }
        let [place] = candidate.fields[unit].rectangles() else { panic!("{:?}", candidate.fields[unit]) };
        let (rows, cols) = (place.rows.len(), place.cols.len());
        assert!([(20, 10), (10, 20)].contains(&(rows, cols)), "{place:?}");
        uprights += usize::from(rows == 20);
        far += usize::from(!neighbours(&best.fields[unit]).contains(&candidate.fields[unit]));
        corners.push((place.rows.start, place.cols.start));
    }
    // Of each orientation many, few near where the field lies, and hardly one place like another.
    assert!((8..=22).contains(&uprights) && far > 25, "{uprights} upright, {far} far");
    corners.sort_unstable();
    corners.dedup();
    assert!(corners.len() > 20 && corners.iter().any(|&(row, _)| row > 0), "{corners:?}");
    assert!(corners.iter().any(|&(_, col)| col < 10) && corners.iter().any(|&(_, col)| col > 20), "{corners:?}");
}
