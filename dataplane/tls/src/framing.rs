//! Where records begin and end (RFC 8446 section 5.1). Only headers are looked at: what is in a
//! record, and whether it may be there, is the library's to say.

/// Bytes of a record's header.
pub(crate) const HEADER_BYTES: usize = 5;

/// Bytes of a record's payload at most: TLS 1.2 allows 2048 beyond the plaintext's 16384.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 + 2048;

/// How bytes divide into records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Measured {
    /// Bytes of the whole records in front.
    pub(crate) whole: usize,
    /// How many those are.
    pub(crate) records: u32,
    /// Bytes that the record behind them lacks, as far as one can tell: 0 if none has begun.
    pub(crate) missing: usize,
    /// Whether what is behind them can't be a record.
    pub(crate) broken: bool,
}

/// Divides bytes that begin with a record.
pub(crate) fn measure(bytes: &[u8]) -> Measured {
    let mut measured = Measured::default();
    loop {
        let rest = bytes.get(measured.whole..).unwrap_or_default();
        match record(rest) {
            Record::None => return measured,
            Record::Broken => return Measured { broken: true, ..measured },
            Record::Lacks(missing) => return Measured { missing, ..measured },
            Record::Whole(length) => {
                measured.whole = measured.whole.saturating_add(length);
                measured.records = measured.records.saturating_add(1);
            }
        }
    }
}

enum Record {
    None,
    Broken,
    Lacks(usize),
    Whole(usize),
}

fn record(bytes: &[u8]) -> Record {
    let Some([kind, major, _minor, high, low]) = bytes.first_chunk::<HEADER_BYTES>() else {
        return match bytes.len() {
            0 => Record::None,
            count => Record::Lacks(HEADER_BYTES.saturating_sub(count)),
        };
    };
    let payload = usize::from(u16::from_be_bytes([*high, *low]));
    // Change cipher spec, alert, handshake, application data.
    if !(20..=23).contains(kind) || *major != 3 || payload > PAYLOAD_BYTES_MAX {
        return Record::Broken;
    }
    let length = payload.saturating_add(HEADER_BYTES);
    match length.checked_sub(bytes.len()) {
        None | Some(0) => Record::Whole(length),
        Some(missing) => Record::Lacks(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_are_told_from_one_that_has_only_begun() {
        let bytes = [23, 3, 3, 0, 1, b'x', 22, 3, 1, 0, 2, b'y'];
        let expected = Measured { whole: 6, records: 1, missing: 1, broken: false };
        assert_eq!(measure(&bytes), expected);
        assert_eq!(measure(&bytes[..6]), Measured { missing: 0, ..expected });
        assert_eq!(measure(&bytes[..8]), Measured { missing: 3, ..expected });
        assert_eq!(measure(&[]), Measured::default());
    }

    #[test]
    fn what_can_not_be_a_record_is_broken() {
        for bytes in [&b"GET / HTTP/1.1"[..], &[22, 2, 0, 0, 1], &[23, 3, 3, 0xff, 0xff]] {
            assert!(measure(bytes).broken, "{bytes:?}");
        }
        assert!(!measure(&[23, 3, 3, 0x48, 0]).broken);
    }
}
