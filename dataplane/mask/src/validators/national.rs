//! Numbers that states give to persons, firms and things.
use super::{count, digit, digits, luhn, number, same_separators, weighted};

/// A number of the US Social Security Administration: area, group and serial that are given out.
pub fn us_ssn(value: &[u8]) -> bool {
    let (all, area) = (number(value), number(value) / 1_000_000);
    count(value) == 9
        && !matches!(area, 0 | 666 | 900..)
        && !(all / 10_000).is_multiple_of(100)
        && !all.is_multiple_of(10_000)
        && !matches!(all, 78_051_120 | 219_099_999 | 123_456_789)
        && same_separators(value)
}

/// A taxpayer number of the IRS: its fourth and fifth digit.
pub fn us_itin(value: &[u8]) -> bool {
    let group = number(value) / 10_000 % 100;
    matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// A provider number of CMS: Luhn with 80840 before it, which adds 24.
pub fn us_npi(value: &[u8]) -> bool {
    let sum: u32 = digits(value)
        .rev()
        .enumerate()
        .map(|(index, digit)| if index % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    (sum + 24).is_multiple_of(10)
}

/// A patient's number of the NHS: modulus 11.
pub fn uk_nhs(value: &[u8]) -> bool {
    let check = 11 - weighted(value, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    count(value) == 10 && check % 11 == digit(value, 9) && check != 10
}

/// Prefixes that HMRC gives out (NIM39110).
pub fn uk_nino(value: &[u8]) -> bool {
    let prefix = value.get(..2).unwrap_or_default().to_ascii_uppercase();
    !matches!(&*prefix, b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ")
}

/// Australian tax file number of 9 digits, or an old one of 8.
pub fn au_tfn(value: &[u8]) -> bool {
    let weights: &[u32] = match count(value) {
        8 => &[10, 7, 8, 4, 6, 3, 5, 1],
        9 => &[1, 4, 3, 7, 5, 8, 6, 9, 10],
        _ => return false,
    };
    weighted(value, weights).is_multiple_of(11)
}

/// Australian business number.
pub fn au_abn(value: &[u8]) -> bool {
    let sum = weighted(value, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    digit(value, 0) > 0 && (sum - 10).is_multiple_of(89)
}

/// Australian company number.
pub fn au_acn(value: &[u8]) -> bool {
    (weighted(value, &[8, 7, 6, 5, 4, 3, 2, 1]) + digit(value, 8)).is_multiple_of(10)
}

/// Australian Medicare number.
pub fn au_medicare(value: &[u8]) -> bool {
    weighted(value, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == digit(value, 8)
}

/// Aadhaar: Verhoeff's check digit.
pub fn verhoeff(value: &[u8]) -> bool {
    const TURN: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let turned = |digit: u32, times: usize| {
        (0..times % 8).fold(digit, |digit, _| TURN.get(digit as usize).copied().unwrap_or(0))
    };
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    digits(value).rev().enumerate().fold(0, |sum, (index, d)| product(sum, turned(d, index))) == 0
}

/// The letter of a Spanish NIF or NIE: its number modulo 23.
pub fn es_nif(value: &[u8]) -> bool {
    let first = match value.first().map(u8::to_ascii_uppercase) {
        Some(b'Y') => 10_000_000,
        Some(b'Z') => 20_000_000,
        _ => 0,
    };
    let index = ((first + number(value)) % 23) as usize;
    let letter = value.last().map(u8::to_ascii_uppercase);
    number(value) > 0 && b"TRWAGMYFPDXBNJZSQVHLCKE".get(index).copied() == letter
}

/// The last letter of an Italian codice fiscale.
pub fn it_fiscal_code(value: &[u8]) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let place = |byte: u8| match char::from(byte).to_digit(36).unwrap_or(0) {
        digit @ 0..=9 => digit,
        letter => letter - 10,
    };
    let sum: u32 = value
        .iter()
        .take(15)
        .enumerate()
        .map(|(index, byte)| match index % 2 {
            0 => ODD.get(place(*byte) as usize).copied().unwrap_or(0),
            _ => place(*byte),
        })
        .sum();
    value.last().is_some_and(|last| sum % 26 == place(*last))
}

/// The key of a French NIR, with a month (also the made-up ones of INSEE) and, in Corsica, 2A or
/// 2B.
pub fn fr_nir(value: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let all = value.iter().filter_map(|byte| match byte {
        b'A' | b'a' => Some(9),
        b'B' | b'b' => Some(8),
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        _ => None,
    });
    let number = all.clone().take(15).fold(0, |sum: u64, digit| sum * 10 + digit);
    let in_corsica = value.iter().any(is_letter);
    // 2A counts as 19 and 2B as 18: read as 29 and 28, both are ten departments too many.
    let body = (number / 100).saturating_sub(if in_corsica { 10_000_000 } else { 0 });
    let (month, department) = (number / 10_000_000_000 % 100, number / 100_000_000 % 100);
    let is_month = matches!(month, 1..=12 | 20..=42 | 50..=99);
    all.count() == 15
        && is_month
        && department > 0
        && (!in_corsica || matches!(department, 28 | 29))
        && 97 - body % 97 == number % 100
}

/// A German tax number of a person: one digit of the first ten stands there twice or three times,
/// and ISO 7064 MOD 11,10.
pub fn de_tax_id(value: &[u8]) -> bool {
    let mut seen = [false; 10];
    for digit in digits(value).take(10) {
        if let Some(seen) = seen.get_mut(digit as usize) {
            *seen = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    matches!(different, 8 | 9) && mod_11_10(value)
}

/// ISO 7064 MOD 11,10.
pub fn mod_11_10(value: &[u8]) -> bool {
    let length = count(value);
    let product = digits(value).take(length.saturating_sub(1)).fold(10, |product, digit| {
        match (product + digit) % 10 {
            0 => 20 % 11,
            sum => sum * 2 % 11,
        }
    });
    (11 - product) % 10 == digit(value, length.saturating_sub(1))
}

/// A number of the German pension insurance (VKVV section 4): a day, and a check digit.
pub fn de_social_security(value: &[u8]) -> bool {
    const WEIGHTS: [u32; 12] = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let mut places = [0; 13];
    let mut at = 0;
    let mut put = |digit: u32| {
        if let Some(place) = places.get_mut(at) {
            *place = digit;
        }
        at += 1;
    };
    for byte in value.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        if byte.is_ascii_digit() {
            put(u32::from(byte - b'0'));
        } else {
            let letter = u32::from(byte.to_ascii_uppercase() - b'A') + 1;
            put(letter / 10);
            put(letter % 10);
        }
    }
    let sum: u32 = places
        .iter()
        .zip(WEIGHTS)
        .map(|(digit, weight)| {
            let product = digit * weight;
            product / 10 + product % 10
        })
        .sum();
    let [_, _, d1, d2, m1, m2, .., check] = places;
    let day = d1 * 10 + d2;
    (1..=31).contains(&day) && (1..=12).contains(&(m1 * 10 + m2)) && sum % 10 == check
}

/// The letter of a number of Singapore.
pub fn sg_nric(value: &[u8]) -> bool {
    let sum = weighted(value, &[2, 7, 6, 5, 4, 3, 2]);
    let (add, letters) = match value.first().map(u8::to_ascii_uppercase) {
        Some(b'S') => (0, b"JZIHGFEDCBA"),
        Some(b'T') => (4, b"JZIHGFEDCBA"),
        Some(b'F') => (0, b"XWUTRQPNMLK"),
        Some(b'G') => (4, b"XWUTRQPNMLK"),
        Some(b'M') => (3, b"XWUTRQPNJLK"),
        _ => return false,
    };
    let letter = letters.get(((sum + add) % 11) as usize).copied();
    value.last().map(u8::to_ascii_uppercase) == letter
}

/// A South African number: a day and Luhn.
pub fn za_id(value: &[u8]) -> bool {
    let front = digits(value).take(6).fold(0, |sum, digit| sum * 10 + digit);
    (1..=12).contains(&(front / 100 % 100)) && (1..=31).contains(&(front % 100)) && luhn(value)
}

/// An Indian PAN: its number is not zero.
pub fn in_pan(value: &[u8]) -> bool {
    number(value) > 0
}

/// A US passport: a letter and 8 digits, or 9 digits.
pub fn passport(value: &[u8]) -> bool {
    value.len() == 9
}

/// Polish PESEL: a day, with its century in the month, and a check digit.
pub fn pl_pesel(value: &[u8]) -> bool {
    let front = digits(value).take(6).fold(0, |sum, digit| sum * 10 + digit);
    let (month, day) = (front / 100 % 100 % 20, front % 100);
    (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && weighted(value, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Dutch BSN of 9 digits, or of 8 without the zero in front.
pub fn nl_bsn(value: &[u8]) -> bool {
    let (count, all) = (count(value), number(value));
    let sum: u64 =
        (2..=9).map(|weight| all / 10_u64.pow(weight - 1) % 10 * u64::from(weight)).sum();
    matches!(count, 8 | 9) && all > 0 && sum % 11 == all % 10
}

/// Belgian national number, of either century.
pub fn be_nn(value: &[u8]) -> bool {
    let (body, check) = (number(value) / 100, number(value) % 100);
    97 - body % 97 == check || 97 - (2_000_000_000 + body) % 97 == check
}

/// Swedish personnummer: a day (or, of a samordningsnummer, one with 60 added), and Luhn over its
/// last ten digits.
pub fn se_personnummer(value: &[u8]) -> bool {
    let ten = number(value) % 10_000_000_000;
    let (month, day) = (ten / 1_000_000 % 100, ten / 10_000 % 100);
    let skip = count(value).saturating_sub(10);
    let sum: u32 = digits(value)
        .skip(skip)
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => digit * 2 / 10 + digit * 2 % 10,
            _ => digit,
        })
        .sum();
    (1..=12).contains(&month) && matches!(day, 1..=31 | 61..=91) && sum.is_multiple_of(10)
}

/// A day and the check character of a Finnish identity code.
pub fn fi_code(value: &[u8]) -> bool {
    let body = digits(value).take(9).fold(0, |sum, digit| sum * 10 + digit);
    let (day, month) = (body / 10_000_000, body / 100_000 % 100);
    let last = value.last().map(u8::to_ascii_uppercase);
    let is_day = (1..=31).contains(&day) && (1..=12).contains(&month);
    is_day && b"0123456789ABCDEFHJKLMNPRSTUVWXY".get((body % 31) as usize).copied() == last
}

/// Portuguese NIF.
pub fn pt_nif(value: &[u8]) -> bool {
    let rest = weighted(value, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    digit(value, 8) == if rest < 2 { 0 } else { 11 - rest }
}

/// Brazilian CPF.
pub fn br_cpf(value: &[u8]) -> bool {
    let check = |sum: u32| sum * 10 % 11 % 10;
    let first = digit(value, 0);
    check(weighted(value, &[10, 9, 8, 7, 6, 5, 4, 3, 2])) == digit(value, 9)
        && check(weighted(value, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])) == digit(value, 10)
        && digits(value).any(|digit| digit != first)
}

/// Brazilian CNPJ, of digits or (from July 2026) of letters and digits.
pub fn br_cnpj(value: &[u8]) -> bool {
    const WEIGHTS: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let plain = || value.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let worth = |byte: &u8| u32::from(byte.to_ascii_uppercase()).saturating_sub(48);
    let check = |weights: &[u32]| {
        let sum: u32 = plain().zip(weights).map(|(byte, weight)| worth(byte) * weight).sum();
        if sum % 11 < 2 { 0 } else { 11 - sum % 11 }
    };
    let at = |index: usize| plain().nth(index).map_or(99, worth);
    let first = plain().next();
    plain().count() == 14
        && check(WEIGHTS.get(1..).unwrap_or_default()) == at(12)
        && check(&WEIGHTS) == at(13)
        && plain().any(|byte| Some(byte) != first)
}

/// The day in a Korean resident number: since October 2020 they are given out without a check
/// digit.
pub fn kr_birth(value: &[u8]) -> bool {
    let front = digits(value).take(6).fold(0, |sum, digit| sum * 10 + digit);
    count(value) == 13
        && (1..=12).contains(&(front / 100 % 100))
        && (1..=31).contains(&(front % 100))
}

/// Thai identity number.
pub fn th_tnin(value: &[u8]) -> bool {
    let sum = weighted(value, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    (11 - sum % 11) % 10 == digit(value, 12)
}

/// Turkish identity number.
pub fn tr_id(value: &[u8]) -> bool {
    let odd = weighted(value, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = weighted(value, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let ten: u32 = digits(value).take(10).sum();
    (odd * 7 + 90 - even) % 10 == digit(value, 9) && ten % 10 == digit(value, 10)
}

/// Chinese identity number: a day, and ISO 7064 MOD 11-2.
pub fn cn_id(value: &[u8]) -> bool {
    let sum = weighted(value, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let last = value.last().map(u8::to_ascii_uppercase);
    let day = digits(value).skip(10).take(4).fold(0, |sum, digit| sum * 10 + digit);
    (1..=12).contains(&(day / 100))
        && (1..=31).contains(&(day % 100))
        && b"10X98765432".get((sum % 11) as usize).copied() == last
}

/// A vehicle's number: its ninth character (49 CFR 565).
pub fn vin(value: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let worth = |byte: u8| match byte.to_ascii_uppercase() {
        digit @ b'0'..=b'9' => u32::from(digit - b'0'),
        letter @ b'A'..=b'H' => u32::from(letter - b'A') + 1,
        letter @ b'J'..=b'R' => u32::from(letter - b'J') + 1,
        letter => u32::from(letter.saturating_sub(b'S')) + 2,
    };
    let sum: u32 = value.iter().zip(WEIGHTS).map(|(byte, weight)| worth(*byte) * weight).sum();
    let check = b"0123456789X".get((sum % 11) as usize);
    value.get(8).map(u8::to_ascii_uppercase).as_ref() == check
}

/// A number of the US Drug Enforcement Administration.
pub fn dea(value: &[u8]) -> bool {
    weighted(value, &[1, 2, 1, 2, 1, 2]) % 10 == digit(value, 6)
}

/// A Swiss number of social insurance: the check digit of EAN-13.
pub fn ch_ahv(value: &[u8]) -> bool {
    let sum = weighted(value, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]);
    count(value) == 13 && sum.is_multiple_of(10)
}

/// A Norwegian fødselsnummer or D-nummer: two check digits modulo 11.
pub fn no_fodselsnummer(value: &[u8]) -> bool {
    let first = weighted(value, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]);
    let second = weighted(value, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    first.is_multiple_of(11) && second.is_multiple_of(11)
}

/// Begins with a day as `DDMMYY`.
pub fn day_first(value: &[u8]) -> bool {
    let front = digits(value).take(4).fold(0, |sum, digit| sum * 10 + digit);
    (1..=31).contains(&(front / 100)) && (1..=12).contains(&(front % 100))
}
