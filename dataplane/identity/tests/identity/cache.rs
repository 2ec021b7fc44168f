//! The cache of verified tokens.

use penstock_identity::{TokenCache, TokenKey};

use crate::support::{Company, NOW_MS, claims, with};

fn key(number: u64) -> TokenKey {
    TokenCache::<()>::key(&number.to_le_bytes())
}

#[test]
fn an_entry_is_found_between_its_two_times_and_never_outside() {
    let mut cache = TokenCache::new(4);
    cache.insert(key(1), 2_000, 1_000, "one");
    assert_eq!(cache.get(&key(1), 999), None);
    assert_eq!(cache.get(&key(1), 1_000), Some(&"one"), "it stayed");
    assert_eq!(cache.get(&key(1), 1_999), Some(&"one"));
    assert_eq!(cache.get(&key(2), 1_500), None);
    assert_eq!(cache.get(&key(1), 2_000), None);
    assert!(cache.is_empty(), "an expired entry is removed");
    assert_eq!(cache.get(&key(1), 1_500), None, "also when the clock goes back");
}

#[test]
fn the_cache_is_bounded() {
    let mut cache = TokenCache::new(64);
    for number in 0..10_000 {
        cache.insert(key(number), u64::MAX, 0, number);
        assert!(cache.len() <= 64);
    }
    assert_eq!(cache.len(), 64);
    let found = (0..10_000).filter(|number| cache.get(&key(*number), 1) == Some(number)).count();
    assert_eq!(found, 64);
}

#[test]
fn a_cache_of_no_entries_keeps_none() {
    let mut cache = TokenCache::new(0);
    cache.insert(key(1), u64::MAX, 0, ());
    assert_eq!(cache.len(), 0);
    assert_eq!(cache.get(&key(1), 1), None);
}

#[test]
fn an_entry_in_use_outlives_a_flood_of_others() {
    let mut cache = TokenCache::new(8);
    cache.insert(key(0), u64::MAX, 0, 0);
    for number in 1..1_000 {
        assert_eq!(cache.get(&key(0), 1), Some(&0));
        cache.insert(key(number), u64::MAX, 0, number);
    }
    assert_eq!(cache.get(&key(0), 1), Some(&0));
}

#[test]
fn a_new_entry_finds_a_place_when_all_others_are_in_use() {
    let mut cache = TokenCache::new(3);
    for number in 0..20 {
        cache.insert(key(number), u64::MAX, 0, number);
        assert!((0..=number).filter(|old| cache.get(&key(*old), 1).is_some()).count() <= 3);
        assert_eq!(cache.get(&key(number), 1), Some(&number));
    }
}

#[test]
fn a_second_value_for_a_token_takes_the_place_of_the_first() {
    let mut cache = TokenCache::new(2);
    cache.insert(key(1), 100, 0, "old");
    cache.insert(key(2), 100, 0, "other");
    cache.insert(key(1), 200, 0, "new");
    assert_eq!(cache.len(), 2);
    assert_eq!(cache.get(&key(1), 150), Some(&"new"));
    assert_eq!(cache.get(&key(2), 50), Some(&"other"));
}

#[test]
fn places_of_expired_entries_are_used_again() {
    let mut cache = TokenCache::new(4);
    for round in 0..100 {
        for number in 0..4 {
            cache.insert(key(number), round + 1, 0, round);
        }
        for number in 0..4 {
            assert_eq!(cache.get(&key(number), round), Some(&round));
        }
        for number in 0..4 {
            assert_eq!(cache.get(&key(number), round + 1), None);
        }
        assert!(cache.is_empty());
    }
}

#[test]
fn a_cleared_cache_is_empty_and_works_on() {
    let mut cache = TokenCache::new(3);
    for number in 0..5 {
        cache.insert(key(number), 100, 0, number);
    }
    assert_eq!(cache.get(&key(4), 100), None, "expired: its place is free");
    cache.clear();
    assert!(cache.is_empty());
    assert!((0..5).all(|number| cache.get(&key(number), 1).is_none()));
    for number in 0..3 {
        cache.insert(key(number), 100, 0, number);
    }
    assert!((0..3).all(|number| cache.get(&key(number), 1) == Some(&number)));
}

#[test]
fn the_cache_agrees_with_a_plain_list() {
    // Against a model: whatever the cache gives back is the newest value for that token in time.
    use proptest::prelude::*;
    let step = (0_u8..4, 0_u64..12, 0_u64..100);
    proptest!(ProptestConfig::with_cases(64), |(steps in prop::collection::vec(step, 1..200))| {
        let mut cache = TokenCache::new(5);
        let mut model = std::collections::HashMap::new();
        for (serial, (what, number, time)) in steps.into_iter().enumerate() {
            if what == 0 {
                cache.insert(key(number), time, time / 2, serial);
                model.insert(number, (time, time / 2, serial));
            } else if let Some(found) = cache.get(&key(number), time) {
                let (expires, not_before, value) = model[&number];
                prop_assert_eq!(*found, value);
                prop_assert!(not_before <= time && time < expires);
            }
            prop_assert!(cache.len() <= 5);
        }
    });
}

#[test]
fn tokens_that_share_a_beginning_have_keys_of_their_own() {
    let company = Company::new();
    let token = |sub: &str| {
        let claims = with(claims(), "sub", sub.into()).to_string();
        company.signer.token(&company.header().to_string(), &claims)
    };
    let (ada, adb) = (token("ada"), token("adb"));
    let shared = ada.bytes().zip(adb.bytes()).take_while(|(a, b)| a == b).count();
    assert!(shared > 40, "header and first claims are the same");
    let mut cache = TokenCache::new(10);
    for token in [&ada, &adb] {
        let verified = company.issuers.verify(token.as_bytes(), NOW_MS).unwrap();
        let key = TokenCache::<String>::key(token.as_bytes());
        cache.insert(key, verified.expires_ms, verified.not_before_ms, verified.identity.subject);
    }
    for (token, subject) in [(&ada, "ada"), (&adb, "adb")] {
        let key = TokenCache::<String>::key(token.as_bytes());
        assert_eq!(cache.get(&key, NOW_MS).map(String::as_str), Some(subject));
        for length in 0..token.len() {
            let prefix = TokenCache::<String>::key(&token.as_bytes()[..length]);
            assert_eq!(cache.get(&prefix, NOW_MS), None);
        }
    }
}
