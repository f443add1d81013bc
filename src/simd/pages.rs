//! Large pages for large buffers.
//!
//! A matrix of 6 MB lies on 1500 pages of 4 KiB, and a tile of a product visits one for each of its rows: more than a core can translate at
//! once, and where the hardware that asks for memory ahead stops. On three pages of 2 MiB neither happens.

/// Bytes of a large page (x86-64; AArch64 with small pages of 4 KiB). Smaller buffers are not worth one.
pub(crate) const LARGE: usize = 2 << 20;

/// Asks the system to put a buffer on large pages, for all of them that are whole and that nothing touched yet.
///
/// Advice only: no value changes, and nothing depends on its being taken. Elsewhere than on Linux it is not asked for.
pub(crate) fn prefer_large<T>(buffer: &[T]) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let range = buffer.as_ptr_range();
        let (first, end) = (range.start.addr().next_multiple_of(LARGE), range.end.addr() & !(LARGE - 1));
        if first < end {
            let first = range.start.cast_mut().cast::<u8>().with_addr(first);
            // SAFETY: the range lies within the buffer, whose values this advice does not touch.
            unsafe { libc::madvise(first.cast(), end - first.addr(), libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = buffer;
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    /// Whether the system has noted the advice for the memory at this address; nothing if it does not say.
    fn advised(address: usize) -> Option<bool> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut lines = smaps.lines();
        let holds = |line: &str| {
            let (start, end) = line.split_whitespace().next()?.split_once('-')?;
            Some((usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?).contains(&address))
        };
        lines.find(|line| holds(line) == Some(true))?;
        Some(lines.find_map(|line| line.strip_prefix("VmFlags:"))?.split_whitespace().any(|flag| flag == "hg"))
    }

    #[test]
    fn large_buffers_are_advised_and_keep_their_values() {
        // What the system notes of advice that it surely got: emulators take none, and some sandboxes do not say.
        let control = vec![1u8; 4 * LARGE];
        let first = control.as_ptr().addr().next_multiple_of(LARGE);
        let page = control.as_ptr().cast_mut().with_addr(first);
        // SAFETY: one whole page within the buffer, whose values this advice does not touch.
        unsafe { libc::madvise(page.cast(), LARGE, libc::MADV_HUGEPAGE) };
        let large = vec![7u8; 4 * LARGE];
        prefer_large(&large);
        assert_eq!(advised(large.as_ptr().addr().next_multiple_of(LARGE)), advised(first));
        assert!(large.iter().all(|&value| value == 7));
        // Shorter than a page, and none at all.
        prefer_large(&large[1..LARGE]);
        prefer_large::<u8>(&[]);
    }
}
