//! A decoder with a planted bug: proof that the engine sees branches and comparisons.

/// A length, a word, and a body of that length. Panics for inputs that nobody meets by chance: five
/// bytes must be right, which only an engine finds that learns from each of them.
pub(crate) fn check(bytes: &[u8]) -> bool {
    let Some((&length, rest)) = bytes.split_first() else { return false };
    let Some(body) = rest.strip_prefix(b"PEN") else { return false };
    if !body.starts_with(b"S") {
        return false;
    }
    // The bug: a length of 200 and more is not compared with what there is.
    let length = usize::from(length);
    if length < 200 && body.len() < length {
        return false;
    }
    assert!(body.get(..length).is_some(), "the planted bug");
    true
}
