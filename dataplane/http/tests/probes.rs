//! The raw probes of `tests/probes/http_dev.jsonl`, as far as head and body alone can answer them.

use std::path::Path;

use base64::Engine as _;
use penstock_http::{
    BodyDecoder, HeadLimits, RequestHead, ResponseHead, Step, parse_request, parse_response,
};
use serde_json::Value;

const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 16_384, header_count_max: 100, target_bytes_max: 8_192 };

/// Refused by what reads the target or the body: both are sound for this crate.
const JUDGED_ELSEWHERE: [&str; 5] = ["d-cl0-1", "d-rl-frag", "d-dot-1", "d-dot-2", "d-slash"];

fn probes() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/probes/http_dev.jsonl");
    let text = std::fs::read_to_string(path).expect("the probes are part of the repository");
    text.lines().map(|line| serde_json::from_str(line).expect("a probe is JSON")).collect()
}

fn bytes_of(probe: &Value, field: &str) -> Option<Vec<u8>> {
    let text = probe.get(field)?.as_str()?;
    Some(base64::engine::general_purpose::STANDARD.decode(text).expect("base64"))
}

fn statuses(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().filter_map(Value::as_u64).collect()
}

/// Reads one connection to its end or its refusal: 200 for each request that was read whole, then
/// the refusal's status.
fn read_connection(bytes: &[u8]) -> Vec<u64> {
    let mut answers = Vec::new();
    let mut head = RequestHead::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match parse_request(rest, &LIMITS, &mut head) {
            Err(error) => {
                answers.push(u64::from(error.status()));
                return answers;
            }
            Ok(None) => panic!("a probe ends inside a head"),
            Ok(Some(length)) => rest = &rest[length..],
        }
        let mut body = BodyDecoder::request(head.framing);
        loop {
            match body.decode(rest) {
                Err(error) => {
                    answers.push(u64::from(error.status()));
                    return answers;
                }
                Ok(Step::Skip(length) | Step::Data(length)) => rest = &rest[length..],
                Ok(Step::NeedMore) => panic!("a probe ends inside a body"),
                Ok(Step::Done) => break,
            }
        }
        answers.push(200);
        if !head.keep_alive {
            return answers;
        }
    }
    answers
}

#[test]
fn every_probe_is_answered_as_it_demands() {
    let probes = probes();
    assert_eq!(probes.len(), 90);
    for probe in &probes {
        let id = probe["id"].as_str().expect("an id");
        let answers = read_connection(&bytes_of(probe, "raw_b64").expect("bytes"));
        let expected = statuses(&probe["expect"]["status"]);
        // A request that is sound here may still be refused by policy, or its answer by 502.
        let is_sound =
            expected.iter().any(|status| [200, 204, 401, 403, 404, 502].contains(status));
        let first = answers[0];
        if first == 200 {
            assert!(is_sound || JUDGED_ELSEWHERE.contains(&id), "{id}: accepted");
        } else {
            assert!(expected.contains(&first), "{id}: {first} is none of {expected:?}");
        }
        if first != 200 {
            assert_eq!(answers.len(), 1, "{id}: read on after a refusal");
        }
        for (answer, expected) in
            answers[1..].iter().zip(probe["expect"]["then"].as_array().into_iter().flatten())
        {
            assert!(statuses(expected).contains(answer), "{id}: {answers:?}");
        }
    }
}

#[test]
fn every_class_that_is_about_heads_or_framing_is_refused_here() {
    for probe in probes() {
        let (id, class) = (probe["id"].as_str().unwrap(), probe["class"].as_str().unwrap());
        let is_ours =
            !["positive", "path", "response", "credential", "pipelining", "Upgrade", "CL.0"]
                .contains(&class)
                && !JUDGED_ELSEWHERE.contains(&id)
                && id != "d-conn-strip";
        if is_ours {
            let answers = read_connection(&bytes_of(&probe, "raw_b64").unwrap());
            assert_ne!(answers[0], 200, "{id} ({class})");
        }
    }
}

#[test]
fn a_hostile_response_is_refused_or_cut_where_it_ends() {
    for probe in probes() {
        let Some(bytes) = bytes_of(&probe, "upstream_b64") else { continue };
        let id = probe["id"].as_str().unwrap();
        let mut head = ResponseHead::new();
        let Ok(parsed) = parse_response(&bytes, &LIMITS, false, &mut head) else {
            assert!(statuses(&probe["expect"]["status"]).contains(&502), "{id}");
            continue;
        };
        assert!(statuses(&probe["expect"]["status"]).contains(&u64::from(head.status)), "{id}");
        let mut rest = &bytes[parsed.unwrap()..];
        let mut body = BodyDecoder::response(head.framing);
        let mut text = Vec::new();
        while let Ok(Step::Data(length)) = body.decode(rest) {
            text.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
        }
        assert!(body.is_done() && !rest.is_empty(), "{id}: the rest is not left over");
        assert!(!text.windows(8).any(|window| window == b"poisoned"), "{id}");
    }
}
