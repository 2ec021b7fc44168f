//! The trace that a request belongs to (W3C Trace Context, sections 3.2 and 3.3): what a caller
//! says of it goes up as it came, or not at all.

/// `00-`, 32 digits of the trace, `-`, 16 of the parent, `-`, 2 of flags.
const BYTES: usize = 55;

/// Whether a `traceparent` can be read: of version 0, or of a later one that begins like it.
pub(crate) fn is_parent(value: &[u8]) -> bool {
    let Some((known, more)) = value.split_at_checked(BYTES) else { return false };
    let mut parts = known.split(|byte| *byte == b'-');
    let mut part = |bytes: usize| parts.next().filter(|part| part.len() == bytes && is_hex(part));
    let (Some(version), Some(trace), Some(parent), Some(_flags)) =
        (part(2), part(32), part(16), part(2))
    else {
        return false;
    };
    let fits = match version {
        b"ff" => false,
        b"00" => more.is_empty(),
        _ => more.is_empty() || more.starts_with(b"-"),
    };
    fits && !is_zero(trace) && !is_zero(parent)
}

/// Whether the field belongs to a trace.
pub(crate) fn is_trace_field(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"traceparent") || name.eq_ignore_ascii_case(b"tracestate")
}

/// Lower-case digits only: anything else has two texts for one trace.
fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(digits: &[u8]) -> bool {
    digits.iter().all(|digit| *digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_of_this_version_and_the_beginning_of_a_later_one_are_read() {
        assert!(is_parent(PARENT.as_bytes()));
        for later in ["01", "cc", "fe"] {
            let later = PARENT.replacen("00", later, 1);
            assert!(is_parent(later.as_bytes()));
            assert!(is_parent(format!("{later}-more").as_bytes()));
            assert!(!is_parent(format!("{later}.more").as_bytes()));
        }
    }

    #[test]
    fn what_can_not_be_read_is_no_parent() {
        assert!(!is_parent(format!("{PARENT}-").as_bytes()));
        assert!(!is_parent(PARENT.replacen("00", "ff", 1).as_bytes()));
        assert!(!is_parent(PARENT.to_uppercase().as_bytes()));
        assert!(!is_parent(PARENT.replace("b7ad6b7169203331", &"0".repeat(16)).as_bytes()));
        assert!(!is_parent(
            PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)).as_bytes()
        ));
        for cut in 0..PARENT.len() {
            assert!(!is_parent(&PARENT.as_bytes()[..cut]), "{cut}");
            let mut changed = PARENT.as_bytes().to_vec();
            changed[cut] = b'g';
            assert!(!is_parent(&changed), "{cut}");
        }
    }
}
