//! Whether a value that matches a pattern is one: check digits, ranges, dates, entropy.
//!
//! In: the bytes of one folded value, separators included. Out: yes or no. Never: an allocation
//! that grows with the text, a panic.
#![allow(clippy::arithmetic_side_effects, reason = "sums over at most 64 digits of 2 characters")]

mod keccak;
mod money;
mod national;
mod network;
mod person;
mod secret;
#[cfg(test)]
mod tests;

pub use money::*;
pub use national::*;
pub use network::*;
pub use person::*;
pub use secret::*;

fn digits(value: &[u8]) -> impl DoubleEndedIterator<Item = u32> + Clone + '_ {
    value.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'))
}

fn count(value: &[u8]) -> usize {
    digits(value).count()
}

fn number(value: &[u8]) -> u64 {
    digits(value).take(18).fold(0, |sum, digit| sum * 10 + u64::from(digit))
}

fn digit(value: &[u8], index: usize) -> u32 {
    digits(value).nth(index).unwrap_or(0)
}

fn weighted(value: &[u8], weights: &[u32]) -> u32 {
    digits(value).zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn same_separators(value: &[u8]) -> bool {
    let mut others = value.iter().filter(|byte| !byte.is_ascii_digit());
    let first = others.next();
    others.all(|other| Some(other) == first)
}
