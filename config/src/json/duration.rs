//! Times as Go servers read them from JSON: seconds as a number, or text such as `5m` or `1h30m`.

/// A time, as far as a decision cares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Time {
    Zero,
    Positive,
    Negative,
}

/// Seconds from which a count of nanoseconds overflows: the server is left with a negative time
/// that it takes for none.
const OVERFLOW_SECONDS: f64 = 9.2e9;

/// A count of seconds. Fractions of a nanosecond are cut off.
pub(super) fn of_seconds(seconds: f64) -> Time {
    if seconds < 0.0 {
        Time::Negative
    } else if seconds * 1e9 < 1.0 || seconds >= OVERFLOW_SECONDS {
        Time::Zero
    } else {
        Time::Positive
    }
}

/// A text of Go's `time.ParseDuration`. `None`: the server refuses it.
pub(super) fn of_text(text: &str) -> Option<Time> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Time::Zero);
    }
    if rest.is_empty() {
        return None;
    }
    let mut zero = true;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_end = behind.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, behind) = behind.split_at_checked(unit_end.unwrap_or(behind.len()))?;
        zero &= nanoseconds(whole, fraction, unit)? == 0;
        rest = behind;
    }
    Some(match (zero, negative) {
        (true, _) => Time::Zero,
        (false, true) => Time::Negative,
        (false, false) => Time::Positive,
    })
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// One component; its own fraction of a nanosecond is cut off. More than 18 digits are refused.
fn nanoseconds(whole: &str, fraction: &str, unit: &str) -> Option<u128> {
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let number = |digits: &str| match digits.len() {
        0 => Some(0),
        1..=18 => digits.parse::<u128>().ok(),
        _ => None,
    };
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let below = number(fraction)?.checked_mul(unit)?.checked_div(scale)?;
    number(whole)?.checked_mul(unit)?.checked_add(below)
}

#[cfg(test)]
mod tests {
    use super::{Time, of_seconds, of_text};

    #[test]
    fn texts_are_read_as_go_reads_them() {
        for text in ["0", "0s", "-0", "+0", "0h0m0s", ".0s", "0.s", "0.1ns", "0.6ns0.6ns"] {
            assert_eq!(of_text(text), Some(Time::Zero), "{text}");
        }
        for text in ["5m", "1h30m", "0h5m", "0.5h", ".5s", "1ns", "2us", "3\u{b5}s", "0.0000001s"] {
            assert_eq!(of_text(text), Some(Time::Positive), "{text}");
        }
        assert_eq!(of_text("-1s"), Some(Time::Negative));
        for text in ["", "5", "-", "s", ".s", "1x", "1 s", "1s ", "1e3s", "9999999999999999999s"] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_that_overflows_unloads_like_zero() {
        for seconds in [0.0, 1e-10, 1e10, 1e300] {
            assert_eq!(of_seconds(seconds), Time::Zero, "{seconds}");
        }
        assert_eq!(of_seconds(-0.5), Time::Negative);
        assert_eq!(of_seconds(300.0), Time::Positive);
    }
}
