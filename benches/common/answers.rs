//! The comparison that comes before any timing.

/// Panics unless the answers agree to `tolerance` times the largest of them.
#[track_caller]
pub(crate) fn assert_close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}");
    let largest = want.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance * largest, "{name} at {at}: {got} and {want}");
    }
}
