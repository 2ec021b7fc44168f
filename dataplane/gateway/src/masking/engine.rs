//! The names of `penstock-mask` that the gateway uses, in one place.

pub(super) use penstock_mask::analysis::{Analysis, Found, Question, Unusable};
pub(super) use penstock_mask::channel::mask_text;
pub(super) use penstock_mask::event::{Step, Unmaskable as Refused};
pub(super) use penstock_mask::profile::{Action, HashKey, Masking, Problem, Profile, Scratch};
pub(super) use penstock_mask::stream::{EVENT_BYTES_MAX, StreamMask, Terms};
pub(super) use penstock_mask::surface::{Surface, surface};
pub(super) use penstock_mask::whole::{Direction, Field, Media, WholeMask, unmaskable_request};
