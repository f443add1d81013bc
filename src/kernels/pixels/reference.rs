//! The formula as it is written, in `f64`.

/// `scale * byte + offset`
pub fn to_f32(bytes: &[u8], scale: f32, offset: f32) -> Vec<f64> {
    bytes.iter().map(|&byte| f64::from(scale) * f64::from(byte) + f64::from(offset)).collect()
}
