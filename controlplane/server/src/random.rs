//! Randomness of the operating system.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use penstock_app::hex;
use zeroize::Zeroizing;

/// Random bytes, zeroised when they are dropped.
///
/// # Errors
/// The system gives none.
pub(crate) fn bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, String> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| "the system has no random bytes".to_owned())?;
    Ok(bytes)
}

/// 20 random characters that ids end with: ten bytes, hex.
///
/// # Errors
/// The system gives none.
pub(crate) fn fresh() -> Result<String, String> {
    bytes::<10>().map(|bytes| hex(&*bytes))
}
