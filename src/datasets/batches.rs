//! Which images form which batch: shuffled or class-balanced, resumable at any step, and subsets of n per class.
//!
//! A step's batch depends on the step's number alone, never on the batches drawn before: a run that was killed goes on
//! where it stopped, with the same bits, by asking for the next number.
//!
//! Images come in endless *passes*. A pass visits every image once, in an order of its own; step `s` of batches of `b`
//! takes positions `s b .. (s + 1) b` of the passes laid end to end. No image is left out and no batch is short: where
//! the batch does not divide the number of images, a batch spans the end of one pass and the beginning of the next.
//!
//! ```
//! use neuropil::datasets::{batches::{Batches, Order}, embedded};
//! use neuropil::random::Stream;
//! let train = embedded().train;
//! let mut batches = Batches::new(train.labels(), 10, None, 100, Order::ClassBalanced, Stream::new(1, "batches"))?;
//! assert_eq!(batches.per_epoch(), 20);
//! let tenth = batches.indices(10).to_vec();
//! assert_eq!(tenth.iter().filter(|&&i| train.labels()[i as usize] == 3).count(), 10);
//! batches.indices(500);
//! assert_eq!(batches.indices(10), tenth);
//! # Ok::<(), neuropil::Error>(())
//! ```

use crate::error::{Error, Result};
use crate::random::Stream;

/// How batches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every pass visits all images in a random order.
    Shuffled,
    /// Every batch holds equally many images of each class, or, where the batch is not a multiple of the classes, numbers
    /// that differ by one at most; who gets the surplus goes around. Each class has its own passes, so images of a rare
    /// class come more often. Within a batch the order is random.
    ClassBalanced,
}

/// Images that are visited in turn, one random order after another.
#[derive(Clone, Debug)]
struct Passes {
    members: Vec<u32>,
    stream: Stream,
    pass: Option<u64>,
    order: Vec<u32>,
}

impl Passes {
    fn new(members: Vec<u32>, stream: Stream) -> Self {
        Passes { order: Vec::with_capacity(members.len()), pass: None, members, stream }
    }

    /// The image at this position of the passes laid end to end.
    fn at(&mut self, position: u128) -> u32 {
        let len = self.members.len() as u128;
        // The pass number only names a random stream: beyond 2^64 passes the names may repeat.
        let pass = (position / len) as u64;
        if self.pass != Some(pass) {
            self.order.clone_from(&self.members);
            self.stream.item(pass).shuffle(&mut self.order);
            self.pass = Some(pass);
        }
        self.order[(position % len) as usize]
    }
}

/// The batches of a training run, by their number.
#[derive(Clone, Debug)]
pub struct Batches {
    groups: Vec<Passes>,
    /// The order within a batch, for balanced batches.
    arrangement: Option<Stream>,
    images: usize,
    batch: usize,
    indices: Vec<u32>,
}

impl Batches {
    /// Batches of `batch` images out of `labels` (one below `classes` for each image), or of `subset`'s alone.
    ///
    /// # Errors
    /// [`Error::Setting`] if the batch is empty or there are no images, or if the subset names an image that does not exist
    /// or one twice; for balanced batches also if a label is not below `classes`, or a class has no image.
    pub fn new(
        labels: &[u8],
        classes: usize,
        subset: Option<&[u32]>,
        batch: usize,
        order: Order,
        stream: Stream,
    ) -> Result<Self> {
        if batch == 0 || u32::try_from(batch).is_err() {
            return Err(Error::setting("batch", "1 to 4294967295 images", batch));
        }
        let all = u32::try_from(labels.len()).map_err(|_| Error::setting("images", "at most 32 bits", labels.len()))?;
        let members = match subset {
            Some(subset) => {
                check_subset(subset, labels.len())?;
                subset.to_vec()
            }
            None => (0..all).collect(),
        };
        if members.is_empty() {
            return Err(Error::setting("images", "at least one", 0));
        }
        let images = members.len();
        let (groups, arrangement) = match order {
            Order::Shuffled => (vec![Passes::new(members, stream)], None),
            Order::ClassBalanced => {
                let groups = by_class(labels, classes, &members)?;
                if let Some(class) = groups.iter().position(Vec::is_empty) {
                    return Err(Error::setting(
                        "class-balanced batches",
                        "images of every class",
                        format!("none of class {class}"),
                    ));
                }
                let streams = (0..).map(|class| stream.item(class));
                let groups = groups.into_iter().zip(streams).map(|(members, stream)| Passes::new(members, stream));
                (groups.collect(), Some(stream.item(classes as u64)))
            }
        };
        Ok(Batches { groups, arrangement, images, batch, indices: Vec::with_capacity(batch) })
    }

    /// Batches that see about as many images as there are: their number divided by the batch, rounded up.
    pub fn per_epoch(&self) -> usize {
        self.images.div_ceil(self.batch)
    }

    /// Images of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Images the batches are drawn from.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The images of this step's batch: always [`batch`](Batches::batch) of them.
    ///
    /// Cost: one shuffle of the images each time a step enters another pass than the step asked for before.
    pub fn indices(&mut self, step: u64) -> &[u32] {
        let first = u128::from(step) * self.batch as u128;
        let groups = self.groups.len() as u128;
        self.indices.clear();
        for position in first..first + self.batch as u128 {
            let group = &mut self.groups[(position % groups) as usize];
            self.indices.push(group.at(position / groups));
        }
        if let Some(arrangement) = self.arrangement {
            arrangement.item(step).shuffle(&mut self.indices);
        }
        &self.indices
    }
}

/// Checks that a subset names existing images, each once.
fn check_subset(subset: &[u32], images: usize) -> Result<()> {
    let mut seen = vec![false; images];
    for (place, &index) in subset.iter().enumerate() {
        match seen.get_mut(index as usize) {
            None => return Err(Error::setting(format!("subset[{place}]"), format!("an image below {images}"), index)),
            Some(true) => {
                return Err(Error::setting(format!("subset[{place}]"), "every image once", format!("{index} again")));
            }
            Some(seen) => *seen = true,
        }
    }
    Ok(())
}

/// The members of each class, in the order given.
fn by_class(labels: &[u8], classes: usize, members: &[u32]) -> Result<Vec<Vec<u32>>> {
    if !(1..=256).contains(&classes) {
        return Err(Error::setting("classes", "1 to 256", classes));
    }
    let mut groups = vec![Vec::new(); classes];
    for &index in members {
        let label = labels[index as usize];
        let group = groups
            .get_mut(usize::from(label))
            .ok_or_else(|| Error::setting(format!("labels[{index}]"), format!("a label below {classes}"), label))?;
        group.push(index);
    }
    Ok(groups)
}

/// `n` random images of each class, class by class: a k-shot or n-per-class training set.
///
/// For one stream the sets are nested: the first `n` of each class do not change when more are asked for, so that 1-shot,
/// 10-shot and 100-shot results differ by the images added alone.
///
/// # Errors
/// [`Error::Setting`] if a class has fewer than `n` images, if a label is not below `classes` or if `n` is 0.
///
/// ```
/// use neuropil::datasets::{batches::per_class, embedded};
/// use neuropil::random::Stream;
/// let train = embedded().train;
/// let few = train.subset(&per_class(train.labels(), 10, 5, Stream::new(1, "five-shot"))?)?;
/// assert_eq!(few.len(), 50);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn per_class(labels: &[u8], classes: usize, n: usize, stream: Stream) -> Result<Vec<u32>> {
    choose(labels, classes, n, Some(stream))
}

/// The first `n` images of each class in the order of `labels`, class by class. Labels are bytes: at most 256 classes have images.
///
/// # Errors
/// As [`per_class`].
pub fn first_per_class(labels: &[u8], classes: usize, n: usize) -> Result<Vec<u32>> {
    choose(labels, classes, n, None)
}

fn choose(labels: &[u8], classes: usize, n: usize, stream: Option<Stream>) -> Result<Vec<u32>> {
    if n == 0 {
        return Err(Error::setting("images of each class", "at least one", n));
    }
    let all = u32::try_from(labels.len()).map_err(|_| Error::setting("images", "at most 32 bits", labels.len()))?;
    let mut groups = by_class(labels, classes, &(0..all).collect::<Vec<_>>())?;
    // The smallest says how many there can be.
    if let Some((class, least)) = groups.iter().map(Vec::len).enumerate().min_by_key(|(_, count)| *count)
        && least < n
    {
        return Err(Error::setting("images of each class", format!("at most the {least} of class {class}"), n));
    }
    let mut chosen = Vec::new();
    for (class, group) in groups.iter_mut().enumerate() {
        if let Some(stream) = stream {
            stream.item(class as u64).shuffle(group);
        }
        chosen.extend_from_slice(&group[..n]);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Seventy images of 7, 8, .. 16 per class (not balanced), mixed.
    fn labels() -> Vec<u8> {
        let mut labels: Vec<u8> = (0..10).flat_map(|class| vec![class; 7 + usize::from(class)]).collect();
        Stream::new(0, "labels").shuffle(&mut labels);
        labels
    }

    fn batches(batch: usize, order: Order, seed: u64) -> Batches {
        Batches::new(&labels(), 10, None, batch, order, Stream::new(seed, "test")).unwrap()
    }

    #[test]
    fn a_pass_visits_every_image_once_and_passes_differ() {
        let mut batches = batches(23, Order::Shuffled, 1);
        assert_eq!((batches.images(), batches.batch(), batches.per_epoch()), (115, 23, 5));
        let mut orders = Vec::new();
        for epoch in 0..3 {
            let order: Vec<u32> = (0..5).flat_map(|step| batches.indices(5 * epoch + step).to_vec()).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..115).collect::<Vec<_>>());
            orders.push(order);
        }
        assert!(orders[0] != orders[1] && orders[1] != orders[2] && orders[0] != orders[2]);
    }

    #[test]
    fn balanced_batches_hold_each_class_equally() {
        let labels = labels();
        let mut batches = batches(40, Order::ClassBalanced, 1);
        for step in 0..50 {
            let mut counts = [0; 10];
            batches.indices(step).iter().for_each(|&i| counts[usize::from(labels[i as usize])] += 1);
            assert_eq!(counts, [4; 10]);
        }
    }

    #[test]
    fn every_image_of_a_class_has_its_turn_in_balanced_batches() {
        // 7 batches of 10 x 7 images: class 0 (7 images) is passed through 7 times, class 9 (16 images) 49/16 times.
        let mut batches = batches(70, Order::ClassBalanced, 3);
        let mut counts = [0; 115];
        (0..7).for_each(|step| batches.indices(step).iter().for_each(|&i| counts[i as usize] += 1));
        for (image, label) in labels().into_iter().enumerate() {
            let passes = 49 / (7 + i32::from(label));
            assert!(
                (passes..=passes + 1).contains(&counts[image]),
                "image {image} of class {label}: {}",
                counts[image]
            );
        }
    }

    #[test]
    fn batches_are_pinned() {
        // Saved experiments depend on these: a change here is a breaking change.
        assert_eq!(batches(6, Order::Shuffled, 1).indices(100), [6, 106, 37, 45, 10, 3]);
        assert_eq!(batches(6, Order::ClassBalanced, 1).indices(100), [47, 93, 90, 22, 42, 91]);
        assert_eq!(
            per_class(&labels(), 10, 1, Stream::new(1, "test")).unwrap(),
            [7, 54, 43, 83, 33, 50, 81, 30, 27, 48]
        );
    }

    #[test]
    fn the_last_steps_there_are_do_not_overflow() {
        for order in [Order::Shuffled, Order::ClassBalanced] {
            assert_eq!(batches(200, order, 1).indices(u64::MAX).len(), 200);
        }
    }

    #[test]
    fn impossible_batches_are_refused() {
        let new = |labels: &[u8], subset: Option<&[u32]>, batch, order| {
            Batches::new(labels, 3, subset, batch, order, Stream::new(1, "x")).unwrap_err().to_string()
        };
        use Order::{ClassBalanced, Shuffled};
        assert_eq!(new(&[0, 1, 2], None, 0, Shuffled), "batch: expected 1 to 4294967295 images, found 0");
        assert_eq!(new(&[], None, 1, Shuffled), "images: expected at least one, found 0");
        assert_eq!(new(&[0, 1, 2], Some(&[]), 1, Shuffled), "images: expected at least one, found 0");
        assert_eq!(new(&[0, 1, 2], Some(&[0, 3]), 1, Shuffled), "subset[1]: expected an image below 3, found 3");
        assert_eq!(
            new(&[0, 1, 2], Some(&[1, 0, 1]), 1, Shuffled),
            "subset[2]: expected every image once, found 1 again"
        );
        assert_eq!(new(&[0, 1, 3], None, 1, ClassBalanced), "labels[2]: expected a label below 3, found 3");
        assert_eq!(
            new(&[0, 1, 1], None, 1, ClassBalanced),
            "class-balanced batches: expected images of every class, found none of class 2"
        );
    }

    #[test]
    fn n_per_class_are_n_of_each_and_nested() {
        let labels = labels();
        let stream = Stream::new(5, "shots");
        let most = per_class(&labels, 10, 7, stream).unwrap();
        for n in 1..=7 {
            let chosen = per_class(&labels, 10, n, stream).unwrap();
            assert_eq!(chosen.len(), 10 * n);
            for class in 0..10 {
                let part = &chosen[class * n..][..n];
                assert!(part.iter().all(|&i| usize::from(labels[i as usize]) == class));
                assert_eq!(part, &most[class * 7..][..n]);
            }
        }
        let mut sorted = most.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 70);
        assert_ne!(most, per_class(&labels, 10, 7, Stream::new(6, "shots")).unwrap());
        assert_eq!(first_per_class(&[1, 0, 1, 0], 2, 1).unwrap(), [1, 0]);
    }

    #[test]
    fn more_than_a_class_has_is_refused() {
        let error = per_class(&labels(), 10, 8, Stream::new(1, "x")).unwrap_err().to_string();
        assert_eq!(error, "images of each class: expected at most the 7 of class 0, found 8");
        // Of several classes that are too small, the smallest.
        let error = first_per_class(&[0, 0, 1, 2, 2], 3, 4).unwrap_err().to_string();
        assert_eq!(error, "images of each class: expected at most the 1 of class 1, found 4");
        assert!(per_class(&labels(), 10, 0, Stream::new(1, "x")).is_err());
        assert!(per_class(&labels(), 9, 1, Stream::new(1, "x")).is_err(), "label 9 of 9 classes");
        assert!(per_class(&[], 0, 1, Stream::new(1, "x")).is_err());
    }

    proptest! {
        #[test]
        fn any_step_can_be_asked_for_at_any_time(
            batch in 1usize..300, balanced: bool, seed: u64, mut steps in prop::collection::vec(0u64..200, 1..20),
        ) {
            let order = if balanced { Order::ClassBalanced } else { Order::Shuffled };
            let mut jumping = batches(batch, order, seed);
            let there: Vec<_> = steps.iter().map(|&step| (step, jumping.indices(step).to_vec())).collect();
            steps.sort_unstable();
            for (step, indices) in there {
                let mut fresh = batches(batch, order, seed);
                prop_assert_eq!(fresh.indices(step), &indices);
                prop_assert_eq!(indices.len(), batch);
            }
        }

        #[test]
        fn balance_is_within_one_for_any_batch(batch in 1usize..100, step in 0u64..1000) {
            let labels = labels();
            let mut counts = [0u32; 10];
            batches(batch, Order::ClassBalanced, 9).indices(step).iter()
                .for_each(|&i| counts[usize::from(labels[i as usize])] += 1);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }

        #[test]
        fn subsets_never_leave_themselves(size in 1usize..115, batch in 1usize..50, step in 0u64..100, seed: u64) {
            let mut subset: Vec<u32> = (0..115).collect();
            Stream::new(seed, "subset").shuffle(&mut subset);
            subset.truncate(size);
            let mut drawn =
                Batches::new(&labels(), 10, Some(&subset), batch, Order::Shuffled, Stream::new(seed, "draw")).unwrap();
            prop_assert!(drawn.indices(step).iter().all(|i| subset.contains(i)));
        }
    }
}
