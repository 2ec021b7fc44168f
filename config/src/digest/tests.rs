use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::*;
use crate::catalogue::{Operation, Risk};

/// Everything that a digest covers, owned.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    connection: String,
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    operations: Vec<String>,
    model: Option<String>,
    other_models: Vec<String>,
    unnamed_model: bool,
    body: Vec<u8>,
}

impl Request {
    fn digest(&self) -> [u8; DIGEST_BYTES] {
        let operations: Vec<Operation> =
            self.operations.iter().map(|name| Operation::named(name).unwrap()).collect();
        let mut classified = Classified::new(&operations, Risk::None, self.model.as_deref());
        classified.other_models.clone_from(&self.other_models);
        classified.unnamed_model = self.unnamed_model;
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let digest = RequestDigest {
            connection: &self.connection,
            method: &self.method,
            target: &self.target,
            headers: &headers,
            classified: &classified,
            body_sha256: sha256(&self.body),
            body_bytes: self.body.len() as u64,
        };
        assert_eq!(digest.hex(), hex(&digest.finish()));
        digest.finish()
    }
}

fn chat() -> Request {
    Request {
        connection: "llama".to_owned(),
        method: "POST".to_owned(),
        target: b"/v1/chat/completions?a=b".to_vec(),
        headers: vec![("content-type".to_owned(), b"application/json".to_vec())],
        operations: vec!["infer.chat".to_owned()],
        model: Some("m".to_owned()),
        other_models: Vec::new(),
        unnamed_model: false,
        body: b"{}".to_vec(),
    }
}

fn with_headers(headers: &[(&str, &str)]) -> Request {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Request { headers: headers.collect(), ..chat() }
}

#[test]
fn a_digest_stays_what_it_is_from_version_to_version() {
    // Pending approvals are bound to it: a change of the encoding needs a new version of it.
    let expected = "a46cd032c68a9b5881778e1a97c400e90fc6e541b2d3cef533759b36ecb74bc8";
    assert_eq!(hex(&chat().digest()), expected);
}

#[test]
fn a_header_counts_in_any_case_and_wherever_it_stands() {
    let pair = |one, other| with_headers(&[one, other]).digest();
    let (kind, key) = (("content-type", "application/json"), ("idempotency-key", "1"));
    assert_eq!(pair(kind, key), pair(key, kind));
    assert_eq!(pair(kind, key), pair(("Content-Type", "application/json"), key));
    assert_ne!(pair(kind, key), pair(kind, ("idempotency-key", "2")));
    assert_ne!(pair(kind, key), with_headers(&[kind]).digest());
    let twice = |first, second| pair(("x-model", first), ("x-model", second));
    assert_ne!(twice("a", "b"), twice("b", "a"), "the order of one header's values counts");
}

#[test]
fn what_changes_from_one_sending_to_the_next_does_not_count() {
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("date", "Fri, 27 Nov 2026 12:00:00 GMT"),
        ("traceparent", "00-1-2-3"),
        ("user-agent", "curl"),
        ("penstock-reason", "a better one"),
    ] {
        let more = with_headers(&[("content-type", "application/json"), (name, value)]);
        assert_eq!(more.digest(), chat().digest(), "{name}");
    }
}

#[test]
fn hex_has_two_digits_a_byte() {
    assert_eq!(hex(&[0, 15, 160, 255]), "000fa0ff");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex(&sha256(b"")), empty);
}

fn request() -> impl Strategy<Value = Request> {
    let header = (select(&HEADERS[..]), vec(any::<u8>(), 0..4));
    let header = header.prop_map(|(name, value)| (name.to_owned(), value));
    let operations = subsequence(&["infer.chat", "list", "adapter.load", "exec"][..], 1..=3);
    (
        ("[a-c]{1,3}", "[A-C]{1,3}", vec(any::<u8>(), 0..6)),
        vec(header, 0..3),
        operations,
        (option::of("[a-c]{0,3}"), vec("[a-c]{0,3}", 0..3), any::<bool>()),
        vec(any::<u8>(), 0..6),
    )
        .prop_map(|((connection, method, target), mut headers, operations, models, body)| {
            // Their order among names does not count.
            headers.sort_by_key(|(name, _)| HEADERS.iter().position(|one| one == name));
            let (model, other_models, unnamed_model) = models;
            let operations = operations.into_iter().map(str::to_owned).collect();
            Request {
                connection,
                method,
                target,
                headers,
                operations,
                model,
                other_models,
                unnamed_model,
                body,
            }
        })
}

/// A request that differs in exactly one part.
fn changed(mut request: Request, part: usize) -> Request {
    match part {
        0 => request.connection.push('x'),
        1 => request.method.push('X'),
        2 => request.target.push(b'x'),
        3 => request.headers.push(("x-model-name".to_owned(), b"x".to_vec())),
        4 => request.operations.push("metrics".to_owned()),
        5 => request.model = Some(format!("{}x", request.model.unwrap_or_default())),
        6 => request.model = request.model.is_none().then(String::new),
        7 => request.other_models.push("x".to_owned()),
        8 => request.unnamed_model = !request.unnamed_model,
        _ => request.body.push(b'x'),
    }
    request
}

/// The same bytes with the last one of one part moved over the border to the next one.
fn moved(mut request: Request, border: usize) -> Option<Request> {
    match border {
        0 => request.method.insert(0, request.connection.pop()?),
        1 => request.target.insert(0, u8::try_from(request.method.pop()?).ok()?),
        2 => {
            let byte = request.target.pop()?;
            request.headers.first_mut()?.1.insert(0, byte);
        }
        3 => {
            let [(_, first), (_, second), ..] = request.headers.as_mut_slice() else {
                return None;
            };
            second.insert(0, first.pop()?);
        }
        4 => {
            let character = request.model.as_mut()?.pop()?;
            request.other_models.first_mut()?.insert(0, character);
        }
        5 => {
            let [first, second, ..] = request.other_models.as_mut_slice() else { return None };
            second.insert(0, first.pop()?);
        }
        _ => {
            let name = request.other_models.pop()?;
            request.model.as_mut()?.push_str(&name);
        }
    }
    Some(request)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn changing_any_single_part_changes_the_digest(request in request(), part in 0_usize..10) {
        let other = changed(request.clone(), part);
        prop_assert_ne!(&other, &request);
        prop_assert_ne!(other.digest(), request.digest());
    }

    #[test]
    fn moving_a_byte_over_the_border_of_two_parts_changes_the_digest(
        request in request(),
        border in 0_usize..7,
    ) {
        let other = moved(request.clone(), border);
        if let Some(other) = other.filter(|other| *other != request) {
            prop_assert_ne!(other.digest(), request.digest());
        }
    }

    #[test]
    fn two_requests_have_one_digest_only_if_they_are_one(
        requests in vec(request(), 2..20),
        indexes in (any::<Index>(), any::<Index>()),
    ) {
        let (one, other) = (indexes.0.get(&requests), indexes.1.get(&requests));
        prop_assert_eq!(one == other, one.digest() == other.digest());
    }
}
