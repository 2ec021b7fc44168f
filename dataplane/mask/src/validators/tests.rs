//! Values that those who give them out, or those who wrote the rule, publish as examples.

use super::*;

/// Refused with any one digit changed.
fn assert_exact(is_valid: fn(&[u8]) -> bool, value: &str) {
    assert!(is_valid(value.as_bytes()), "{value}");
    for (at, byte) in value.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        let mut other = value.as_bytes().to_vec();
        other[at] = if byte == b'9' { b'0' } else { byte + 1 };
        assert!(!is_valid(&other), "{}", String::from_utf8_lossy(&other));
    }
}

#[test]
fn sums_of_check_digits_notice_each_changed_digit() {
    assert_exact(luhn, "4111111111111111");
    assert_exact(iban, "GB82WEST12345698765432");
    assert_exact(aba, "021000021");
    assert_exact(us_npi, "1234567893");
    assert_exact(uk_nhs, "943 476 5919");
    assert_exact(es_nif, "12345678Z");
    assert_exact(it_fiscal_code, "RCCMNL83S18D969H");
    assert_exact(fr_nir, "2 95 10 99 126 111 93");
    assert_exact(mod_11_10, "36574261809");
    assert_exact(de_social_security, "15070649C103");
    assert_exact(pl_pesel, "44051401359");
    assert_exact(nl_bsn, "111222333");
    assert_exact(be_nn, "85.07.30-033.28");
    assert_exact(se_personnummer, "880320-0016");
    assert_exact(fi_code, "131052-308T");
    assert_exact(pt_nif, "501964843");
    assert_exact(tr_id, "17291716060");
    assert_exact(za_id, "7503305044089");
    assert_exact(cn_id, "360426199101010071");
    assert_exact(verhoeff, "234123412346");
    assert_exact(au_acn, "004085616");
    assert_exact(ch_ahv, "7569217076985");
    assert_exact(dea, "AB1234563");
}

#[test]
fn a_number_of_north_america_has_eleven_digits_give_or_take_one() {
    assert!(e164(b"+1 212 555 0147"));
    assert!(!e164(b"+123456789"));
    assert!(!e164(b"00 11 22 33 44 55 66 77"));
    assert!(e164(b"0049 151 20285263"));
}

#[test]
fn a_time_behind_a_day_makes_no_telephone_of_it() {
    assert!(!led_phone(b"2024-03-25 10"));
    assert!(led_phone(b"2010 1234"));
}

#[test]
fn brazilian_numbers_have_two_check_digits() {
    assert!(br_cpf(b"390.533.447-05"));
    assert!(!br_cpf(b"390.533.447-15"));
    assert!(!br_cpf(b"390.533.447-06"));
    assert!(br_cnpj(b"16.727.230/0001-97"));
    assert!(br_cnpj(b"12.ABC.345/01DE-35"));
    assert!(!br_cnpj(b"16.727.230/0001-87"));
    assert!(!br_cnpj(b"16.727.230/0001-98"));
}

#[test]
fn a_thai_number_has_a_check_digit() {
    assert!(th_tnin(b"1234545678781"));
    assert!(!th_tnin(b"1234545678782"));
}

#[test]
fn a_number_of_corsica_counts_its_department_as_19_or_18() {
    let key = |body: u64| format!("{:02}", 97 - body % 97);
    let south = format!("184122A004001{}", key(1_841_219_004_001));
    let north = format!("279052B033123{}", key(2_790_518_033_123));
    assert_exact(fr_nir, &south);
    assert_exact(fr_nir, &north);
    assert!(!fr_nir(south.replace('A', "B").as_bytes()));
}

#[test]
fn a_dutch_number_may_lack_the_zero_in_front() {
    assert!(nl_bsn(b"010464554"));
    assert!(nl_bsn(b"10464554"));
    assert!(!nl_bsn(b"10464555"));
    assert!(!nl_bsn(b"000000000"));
}

#[test]
fn segwit_addresses_have_the_sum_of_bip_173_or_of_bip_350() {
    assert!(bech32(b"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"));
    assert!(bech32(b"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"));
    assert!(!bech32(b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"));
    assert!(!bech32(b"bc1qw508D6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
}

#[test]
fn base58_addresses_have_the_sum_of_two_hashes() {
    assert!(base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"));
    assert!(base58check(b"1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"));
    assert!(!base58check(b"1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3"));
    assert!(!base58check(b"0BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"));
}

#[test]
fn the_examples_of_eip_55_hold() {
    for address in [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ] {
        assert!(eip55(address.as_bytes()), "{address}");
    }
    assert!(!eip55(b"0xfb6916095ca1df60bB79Ce92cE3Ea74c37c5d359"));
}

#[test]
fn a_card_has_the_length_of_its_scheme() {
    for number in ["4111111111111111", "378282246310005", "30569309025904", "6011111111111117"] {
        assert!(card(number.as_bytes()), "{number}");
    }
    // The sum holds, the length is no card's.
    assert!(!card(b"37828224631000500"));
    assert!(!card(b"0000000000000000"));
}

#[test]
fn the_pattern_of_cards_takes_what_their_check_takes_from_14_digits_on_and_all_of_visa() {
    for (front, length) in (1000..=9999).flat_map(|front| (12..=20).map(move |all| (front, all))) {
        let width = length - 5;
        let body = format!("{front}{:0<width$}", "12");
        let valid = (0..10).map(|last| format!("{body}{last}"));
        let number = valid.into_iter().find(|one| luhn(one.as_bytes())).unwrap();
        let is_card = card(number.as_bytes()) && (length >= 14 || number.starts_with('4'));
        let masked = crate::sample::real_masked(&format!("nr {number} ok"), false);
        assert_eq!(masked == "nr [CREDIT_CARD] ok", is_card, "{number}");
    }
}

#[test]
fn a_day_is_one_that_the_calendar_has() {
    for day in ["1984-02-29", "31.12.1999", "12/31/1999", "31/12/99", "19991231", "3. Mai 1980"] {
        assert!(date(day.as_bytes()), "{day}");
    }
    for day in ["1984-13-01", "31.04.1999", "32 May 1980", "12/31/1799", "19991331", "1999"] {
        assert!(!date(day.as_bytes()), "{day}");
    }
}

#[test]
fn only_a_header_that_names_its_algorithm_begins_a_token() {
    assert!(jwt(b"eyJhbGciOiJIUzI1NiJ9.eyJz"));
    assert!(jwt(b"eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJz"));
    assert!(!jwt(b"eyJ0eXAiOiJKV1QifQ.eyJz"));
    assert!(!jwt(b"eyes-that-are-open.eyJz"));
}

#[test]
fn what_stands_for_a_password_is_none() {
    for value in [
        "${PASSWORD}",
        "$PASSWORD",
        "<password>",
        "changeme",
        "xxxxxxxx",
        "********",
        "None",
        "null",
        "{{ password }}",
        "%(password)s",
        "YOUR_PASSWORD",
        "[redacted]",
        "self.password",
        "getpass.getpass()",
        "os.environ['PW']",
        "[REDACTED]",
        "[REDACTED",
        "{password",
        ":password",
        "new_password",
        "userPassword",
        "!this.form.password1",
    ] {
        assert!(!password_assigned(value.as_bytes()), "{value}");
        assert!(!password_in_prose(value.as_bytes()), "{value}");
    }
    for value in ["hunter2", "%gInbNCUO6t", "$ecret77", "p(a)ss77", "{x9}q!", "Xx-77-xX"] {
        assert!(password_in_prose(value.as_bytes()), "{value}");
    }
    assert!(password_in_prose(b"qWVOFuvwElMFtgbY"));
    for value in ["getUserPasswordFromEnv", "GitHubOAuth", "8-20", "(pw)"] {
        assert!(!password_in_prose(value.as_bytes()), "{value}");
    }
}

#[test]
fn a_password_without_an_operator_is_more_than_a_name_with_a_number() {
    for value in ["Bayern49#", "P@ssw0rd12", "aB3dE6gH9kLm2"] {
        assert!(password_strong(value.as_bytes()), "{value}");
    }
    for value in ["Argon2id", "Base64-encoded", "OAuth2.0", "anna2@example.com", "2024-01-15T10"] {
        assert!(!password_strong(value.as_bytes()), "{value}");
    }
}

#[test]
fn a_password_behind_an_option_is_neither_a_port_nor_a_path() {
    assert!(password_of_option(b"Bayern49#"));
    for value in ["8080:80", "127001:80", "./dir/x1", "/srv/x1", "dir/sub/v2", "flag"] {
        assert!(!password_of_option(value.as_bytes()), "{value}");
    }
}

#[test]
fn a_secret_of_hexadecimal_digits_has_fewer_bits_and_words_are_none() {
    assert!(secret(b"53a583dbbe0ebbd6a114c3deea63041b"));
    assert!(secret(b"f3b1c9d2-7a4e-4c58-9e06-2d8b1f7a3c5e"));
    for value in ["my-database-secret-v2", "projects/123/secrets/x1", "a0a0a0a0a0a0a0a0a0"] {
        assert!(!secret(value.as_bytes()), "{value}");
    }
}

const ALL: &[fn(&[u8]) -> bool] = &[
    luhn,
    card,
    iban,
    us_ssn,
    us_itin,
    aba,
    us_npi,
    uk_nhs,
    uk_nino,
    au_tfn,
    au_abn,
    au_acn,
    au_medicare,
    verhoeff,
    es_nif,
    it_fiscal_code,
    fr_nir,
    de_tax_id,
    de_social_security,
    pl_pesel,
    nl_bsn,
    be_nn,
    se_personnummer,
    fi_code,
    pt_nif,
    br_cpf,
    br_cnpj,
    kr_birth,
    th_tnin,
    tr_id,
    cn_id,
    vin,
    dea,
    sg_nric,
    za_id,
    ch_ahv,
    no_fodselsnummer,
    day_first,
    ipv4,
    ipv6,
    mac,
    nanp,
    e164,
    national_phone,
    grouped_phone,
    led_phone,
    date,
    email,
    key,
    secret,
    bearer,
    basic,
    jwt,
    high_entropy,
    password_quoted,
    password_assigned,
    password_in_prose,
    password_of_url,
    password_of_option,
    password_named,
    password_strong,
    base58check,
    bech32,
    eip55,
    aws_secret,
];

#[test]
fn validators_take_any_bytes() {
    for is_valid in ALL {
        for text in ["", "\u{e9}", "@", "0", "9", ".", "zzzzzzzzzzzzzzzzzzzzzzzz", "1@", "$"] {
            is_valid(text.as_bytes());
        }
        for length in 0..80 {
            is_valid(&vec![b'9'; length]);
            is_valid(&vec![0xff; length]);
            is_valid(&vec![b'Z'; length]);
        }
    }
}
