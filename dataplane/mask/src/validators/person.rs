//! E-mail, telephones, days, ages.

use super::{count, digit, digits, number, same_separators};

/// A number in North America's plan: area and exchange not N11.
pub fn nanp(value: &[u8]) -> bool {
    let front = digits(value).take(3).fold(0, |sum, digit| sum * 10 + digit);
    let skip = match front {
        1 => 3,
        100..=199 => 1,
        _ => 0,
    };
    let service = |at: usize| digit(value, at + 1) == 1 && digit(value, at + 2) == 1;
    let begins = |at: usize| digit(value, at) >= 2;
    begins(skip) && begins(skip + 3) && !service(skip) && !service(skip + 3)
}

/// An international number: 8 to 15 digits (E.164) behind `+` or `00`, a country's code that is
/// given out, brackets in pairs.
pub fn e164(value: &[u8]) -> bool {
    let plain = value.iter().take_while(|byte| !matches!(byte, b'x' | b'e' | b'#'));
    let length = plain.clone().filter(|byte| byte.is_ascii_digit()).count();
    let skip = if digit(value, 0) == 0 { 2 } else { 0 };
    let code = digits(value).skip(skip).take(3).fold(0, |sum, digit| sum * 10 + digit);
    // ITU-T E.164's list of assigned codes, turned round.
    let is_given = !matches!(
        code,
        0..=99 | 210 | 214 | 215 | 217 | 219 | 259 | 280..=289 | 292..=296 | 384 | 388 | 422
            | 424..=429 | 693..=699 | 801..=807 | 809 | 830..=839 | 851 | 854 | 857..=859
            | 884 | 885 | 887 | 889..=899 | 969 | 978 | 990 | 991 | 997 | 999
    );
    let opened = plain.clone().filter(|byte| **byte == b'(').count();
    let closed = plain.filter(|byte| **byte == b')').count();
    // North America's have 11 digits, give or take one.
    let lengths = if (100..=199).contains(&code) { 10..=12 } else { 8..=15 };
    is_given && opened == closed && lengths.contains(&length.saturating_sub(skip))
}

/// A national number with the trunk's zero: 8 to 13 digits, brackets in pairs.
pub fn national_phone(value: &[u8]) -> bool {
    let opened = value.iter().filter(|byte| **byte == b'(').count();
    let closed = value.iter().filter(|byte| **byte == b')').count();
    let first = value.iter().position(|byte| *byte == b')');
    let is_pair = first.is_none_or(|at| value.iter().position(|byte| *byte == b'(') < Some(at));
    (8..=13).contains(&count(value)) && opened == closed && is_pair
}

/// A national number without a trunk's zero: 8 to 11 digits in groups, no day.
pub fn grouped_phone(value: &[u8]) -> bool {
    let first = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (8..=11).contains(&count(value)) && !(first == 4 && date(value)) && !is_octets(value)
}

/// A national number that nothing but its form names: 10 digits or more.
pub fn long_national_phone(value: &[u8]) -> bool {
    count(value) >= 10 && same_separators(value) && national_phone(value)
}

/// A number directly behind a word that says so: 7 to 13 digits, no day.
pub fn led_phone(value: &[u8]) -> bool {
    let groups = value.split(|byte| !byte.is_ascii_digit()).filter(|part| !part.is_empty());
    let first = groups.clone().next().unwrap_or_default();
    let opened = value.iter().filter(|byte| **byte == b'(').count();
    let closed = value.iter().filter(|byte| **byte == b')').count();
    (7..=13).contains(&count(value))
        && opened == closed
        && !((first.len() == 4 || groups.count() == 3) && date(value))
        && !is_octets(value)
}

fn is_octets(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok_and(|text| text.parse::<std::net::Ipv4Addr>().is_ok())
}

/// A day between 1900 and 2099 that the calendar has, in either order of day and month.
pub fn date(value: &[u8]) -> bool {
    let mut numbers = value.split(|byte| !byte.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut next = || numbers.next().map(|part| (part.len(), number(part)));
    let day_of = |day: u64, month: u64| {
        let longest = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 29,
            _ => 0,
        };
        (1..=longest).contains(&day)
    };
    let year = |(width, year): (usize, u64)| width == 2 || (1900..=2099).contains(&year);
    let Some(a) = next() else { return false };
    let Some(b) = next() else {
        let (front, day) = (a.1 / 10_000, a.1 % 10_000);
        return a.0 == 8 && year((4, front)) && day_of(day % 100, day / 100);
    };
    let Some(c) = next() else {
        let (day, year) = if a.0 == 4 { (b.1, a.1) } else { (a.1, b.1) };
        return (1..=31).contains(&day) && (1900..=2099).contains(&year);
    };
    if a.0 == 4 {
        return year(a) && day_of(c.1, b.1);
    }
    year(c) && (day_of(a.1, b.1) || day_of(b.1, a.1))
}

/// Years that a person may have.
pub fn age(value: &[u8]) -> bool {
    (1..=120).contains(&number(value))
}

/// At least one letter and one digit.
pub fn has_both(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic)
}

/// An address of e-mail (RFC 5321): lengths, no dot at an end of the name or beside a dot, no
/// hyphen at an end of a label; not the user of a code host and not the version of a package.
pub fn email(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|byte| *byte == b'@') else { return false };
    let (local, host) = value.split_at_checked(at).unwrap_or_default();
    let host = host.get(1..).unwrap_or_default();
    let mut labels = host.split(|byte| *byte == b'.');
    let is_label = |label: &[u8]| {
        !label.is_empty() && label.first() != Some(&b'-') && label.last() != Some(&b'-')
    };
    (1..=64).contains(&local.len())
        && local.first() != Some(&b'.')
        && local.last() != Some(&b'.')
        && !local.windows(2).any(|pair| pair == b"..")
        && local != b"git"
        && host.len() <= 253
        && labels.all(is_label)
        && !is_version(host)
}

fn is_version(host: &[u8]) -> bool {
    let host = host.strip_prefix(b"v").unwrap_or(host);
    let mut labels = host.split(|byte| *byte == b'.');
    let is_number = |label: Option<&[u8]>| {
        label.is_some_and(|label| label.first().is_some_and(u8::is_ascii_digit) && label.len() <= 3)
    };
    is_number(labels.next()) && is_number(labels.next())
}
