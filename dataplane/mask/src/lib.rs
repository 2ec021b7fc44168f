//! Masks sensitive values in texts that come in pieces.
//!
//! In: a mask's document, texts and streams of events in the pieces in which they come. Out: the
//! same with values replaced, each piece as soon as none of its text can still be part of a value.
//! Never: I/O, a clock, a byte of a value.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)
)]

pub mod action;
pub mod analysis;
mod automaton;
pub mod catalogue;
pub mod channel;
pub mod event;
mod find;
pub mod fold;
mod hold;
pub mod json;
pub mod literals;
mod pattern;
mod places;
pub mod profile;
pub mod rule;
mod run;
#[cfg(test)]
mod sample;
pub mod stream;
pub mod surface;
pub mod text;
pub mod validators;
#[cfg(feature = "vectorscan")]
mod vectorscan;
pub mod whole;
mod widest;
