use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 1_440 * MINUTE_MS;

/// Monday 2026-03-23 00:00 UTC: the week at whose end summer time begins in Europe.
const SPRING: u64 = 1_774_224_000_000;
/// Monday 2026-10-19 00:00 UTC: the week at whose end it ends.
const AUTUMN: u64 = 1_792_368_000_000;
/// 01:00 UTC on Sunday of either week: when clocks are set.
const CHANGE: u64 = 6 * DAY_MS + 60 * MINUTE_MS;

const WEEK: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

fn hours(days: &[Day], from: &str, to: &str, zone: &str) -> Hours {
    let clock = |text| parse_clock(text).expect("a time of a day");
    Hours { days: days.to_vec(), from: clock(from), to: clock(to), zone: zone.to_owned() }
}

/// A time of Sunday by the clock of UTC.
fn sunday(week: u64, hour: u64, minute: u64) -> u64 {
    week + 6 * DAY_MS + (hour * 60 + minute) * MINUTE_MS
}

#[test]
fn hours_are_what_the_clock_in_the_zone_shows() {
    let office = hours(&[], "08:00", "18:00", "Europe/Berlin");
    let winter = |hour, minute| sunday(SPRING, hour, minute) - 6 * DAY_MS;
    let summer = |hour, minute| winter(hour, minute) + 7 * DAY_MS;
    for (at, expected) in [
        (winter(6, 59), false),
        (winter(7, 0), true),
        (winter(16, 59), true),
        (winter(17, 0), false),
        (summer(5, 59), false),
        (summer(6, 0), true),
        (summer(15, 59), true),
        (summer(16, 0), false),
    ] {
        assert_eq!(any_holds(std::slice::from_ref(&office), at), expected, "{at}");
    }
}

#[test]
fn the_hour_that_the_clock_skips_in_spring_is_in_no_span() {
    let skipped = hours(&[], "02:00", "03:00", "Europe/Berlin");
    let from_within = hours(&[], "02:30", "04:00", "Europe/Berlin");
    for minute in 0..24 * 60 {
        let at = SPRING + 6 * DAY_MS + minute * MINUTE_MS;
        assert!(!any_holds(std::slice::from_ref(&skipped), at), "{minute}");
        let expected = (60..120).contains(&minute);
        assert_eq!(any_holds(std::slice::from_ref(&from_within), at), expected, "{minute}");
    }
}

#[test]
fn the_hour_that_the_clock_shows_twice_in_autumn_is_in_a_span_both_times() {
    let twice = hours(&[], "02:00", "03:00", "Europe/Berlin");
    let half = hours(&[], "02:30", "03:00", "Europe/Berlin");
    let holding = |one: &Hours| -> Vec<u64> {
        let one = std::slice::from_ref(one);
        (0..240).filter(|m| any_holds(one, AUTUMN + 6 * DAY_MS + m * MINUTE_MS)).collect()
    };
    assert_eq!(holding(&twice), (0..120).collect::<Vec<_>>());
    assert_eq!(holding(&half), (30..60).chain(90..120).collect::<Vec<_>>());
}

#[test]
fn a_span_over_midnight_belongs_to_the_day_on_which_it_begins() {
    let night = [hours(&[Day::Fri], "22:00", "06:00", "UTC")];
    for (day, hour, expected) in [
        (4, 21, false),
        (4, 22, true),
        (4, 23, true),
        (5, 0, true),
        (5, 5, true),
        (5, 6, false),
        (5, 22, false),
        (4, 5, false),
    ] {
        let at = SPRING + day * DAY_MS + hour * 60 * MINUTE_MS;
        assert_eq!(any_holds(&night, at), expected, "day {day}, {hour} o'clock");
    }
    let sunday = [hours(&[Day::Sun], "23:00", "01:00", "UTC")];
    assert!(any_holds(&sunday, SPRING), "it runs into Monday");
}

#[test]
fn a_span_from_a_time_to_the_same_is_a_whole_day() {
    for (from, to) in [("00:00", "24:00"), ("00:00", "00:00"), ("08:00", "08:00")] {
        let always = [hours(&[], from, to, "Europe/Berlin")];
        assert!((0..24 * 14).all(|hour| any_holds(&always, SPRING + hour * 60 * MINUTE_MS)));
    }
    let monday = [hours(&[Day::Mon], "08:00", "08:00", "UTC")];
    let count = (0..24 * 7).filter(|h| any_holds(&monday, SPRING + h * 60 * MINUTE_MS)).count();
    assert_eq!(count, 24);
}

#[test]
fn hours_that_do_not_hold_together_never_hold() {
    let odd = |from, to, zone: &str| Hours { days: vec![], from, to, zone: zone.to_owned() };
    for hours in [odd(1_440, 1_440, "UTC"), odd(0, 1_441, "UTC"), odd(0, 1_440, "Mars/Base")] {
        assert!(Span::new(&hours).is_err(), "{hours:?}");
        assert!(!any_holds(&[hours], SPRING));
    }
    assert!(!any_holds(&[], SPRING));
    assert!(any_holds(&[odd(0, 1_440, "UTC")], u64::MAX), "beyond what a clock can say");
}

#[test]
fn a_zone_is_named_as_the_database_does() {
    for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Etc/GMT+8"] {
        assert!(is_zone(name), "{name}");
    }
    for name in ["", "europe/berlin", "utc", "CEST", "+01:00", "Etc/Unknown", "Mars/Base", "local"]
    {
        assert!(!is_zone(name), "{name}");
    }
    assert!(zones().iter().any(|name| name == "Europe/Berlin"));
}

#[test]
fn a_time_of_a_day_has_two_digits_each() {
    for (text, minutes) in [("00:00", 0), ("08:05", 485), ("23:59", 1_439), ("24:00", 1_440)] {
        assert_eq!(parse_clock(text), Some(minutes));
        assert_eq!(clock_text(minutes), text);
    }
    for text in ["", ":", "8:00", "08:0", "08:60", "24:01", "99:99", "+8:00", "08-00", "08:00:00"] {
        assert_eq!(parse_clock(text), None, "{text}");
    }
}

/// Minutes of Berlin's clock since Monday 00:00, from the rule of the European Union alone.
fn berlin(week: u64, ms: u64) -> u64 {
    let begins_in_winter = week == SPRING;
    let is_summer = begins_in_winter == (ms >= CHANGE);
    ms / MINUTE_MS + if is_summer { 120 } else { 60 }
}

/// From the words of the contract.
fn expected(hours: &Hours, clock: u64) -> bool {
    let (day, minute) = (clock / 1_440, (clock % 1_440) as u16);
    let begins = |day: u64| hours.days.is_empty() || hours.days.contains(&WEEK[(day % 7) as usize]);
    if hours.from < hours.to {
        begins(day) && hours.from <= minute && minute < hours.to
    } else {
        (begins(day) && hours.from <= minute) || (begins(day + 6) && minute < hours.to)
    }
}

proptest! {
    #[test]
    fn spans_hold_as_the_words_of_the_contract_in_both_weeks_in_which_clocks_are_set(
        days in subsequence(&WEEK[..], 0..=7),
        from in 0_u16..1_440,
        to in 0_u16..=1_440,
        week in select(&[SPRING, AUTUMN]),
        minutes in prop::collection::vec(0..9 * 1_440_u64, 20),
        around in prop::collection::vec(0..300_u64, 20),
    ) {
        let hours = Hours { days, from, to, zone: "Europe/Berlin".to_owned() };
        let span = Span::new(&hours).unwrap();
        let around = around.into_iter().map(|minute| CHANGE / MINUTE_MS - 150 + minute);
        for minute in minutes.into_iter().chain(around) {
            let ms = minute * MINUTE_MS + 59_999;
            let clock = berlin(week, ms);
            prop_assert_eq!(span.holds(week + ms), expected(&hours, clock), "{}", minute);
        }
    }
}
