//! Durations on the command line: a whole number and a unit.

use std::time::Duration;

/// Longest duration, in milliseconds: the largest whole number that every JSON reader keeps.
pub(crate) const DURATION_MS_MAX: u64 = (1 << 53) - 1;

/// Reads `250ms`, `10s`, `5m`, `2h` or `30d`.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err("a unit is missing: ms, s, m, h or d, as in 10m".to_owned()),
        _ => return Err("expected a whole number and ms, s, m, h or d, as in 10m".to_owned()),
    };
    if number.is_empty() {
        return Err("a number is missing before the unit, as in 10m".to_owned());
    }
    let number: Option<u64> = number.parse().ok();
    match number.and_then(|number| number.checked_mul(unit_ms)) {
        Some(ms) if ms <= DURATION_MS_MAX => Ok(Duration::from_millis(ms)),
        _ => Err("longer than can be written into a token, 104249991d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        let cases =
            [("0s", 0), ("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000)];
        for (text, ms) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse("36500d"), Ok(Duration::from_millis(36_500 * 86_400_000)));
        assert_eq!(parse("104249991d").map(|d| d.as_secs()), Ok(104_249_991 * 86_400));
    }

    #[test]
    fn what_is_not_a_number_and_a_unit_is_refused() {
        for text in ["", "10", "m", "-1s", "1.5h", "1h30m", "10 m", "10M", "104249992d", "٣s"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse("99999999999999999999d").is_err());
    }
}
