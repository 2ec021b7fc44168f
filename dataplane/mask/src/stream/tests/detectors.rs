//! Every format with real detectors: what a reader gets is what the mask makes of each text alone.

use proptest::prelude::*;
use serde_json::Value;

use super::properties::{Mask, formats, stories, tell};
use crate::sample::{real_masked, real_masking};

/// Values of real detectors, what begins as one, and what holds them together or apart.
fn real_words() -> impl Strategy<Value = String> {
    const VALUES: [&str; 7] = [
        "jane.doe@example.org",
        "4111 1111 1111 1111",
        "ghp_V2V7WErYOTO6TiA3gaAXJLhFz9KjA2Yr3NMh",
        "password: hunter22",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n",
        "jane\u{200b}&#64;ex\u{ad}ample.org",
    ];
    let word = prop_oneof![
        3 => prop::sample::select(&VALUES[..]).prop_map(str::to_owned),
        2 => (prop::sample::select(&VALUES[..]), 0..60_usize)
            .prop_map(|(value, length)| value.chars().take(length).collect()),
        2 => "[ ,.@:-]{1,2}",
        2 => "[a-z ]{1,6}",
        1 => "[0-9]{1,5}",
        1 => "[\"\\\\/\n\té😀１ａ\u{2028}]",
    ];
    prop::collection::vec(word, 0..6).prop_map(|words| words.concat())
}

fn real_masked_data(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let inner = Value::from(text.as_str()).to_string();
            let inner = real_masked(&inner[1..inner.len() - 1], true);
            serde_json::from_str(&format!("\"{inner}\"")).unwrap()
        }
        Value::Array(items) => items.iter().map(real_masked_data).collect(),
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), real_masked_data(value))).collect()
        }
        // A number that is masked is a text.
        Value::Number(number) => {
            let text = real_masked(&number.to_string(), true);
            if text == number.to_string() { value.clone() } else { Value::from(text) }
        }
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

const REAL: Mask = Mask {
    masking: real_masking,
    text: |text| real_masked(text, false),
    data: real_masked_data,
    is_plain: false,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_detectors_mask_every_text_of_every_format_as_the_whole(
        story in stories(real_words().boxed()),
    ) {
        for format in formats() {
            tell(&REAL, &format, &story);
        }
    }
}
