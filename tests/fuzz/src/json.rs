//! JSON bodies as decisions read them: accepted exactly where another parser accepts one document
//! without a second reading, and with the same model's name.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use penstock_config::catalogue::{Classified, ClassifyError, Risk, Table};
use penstock_config::documents::{OperatorRow, Protocol};
use penstock_config::json::{Body, DEPTH_MAX, JsonError};
use penstock_config::target::Target;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::chance::made_long;

/// One row that reads a body.
struct Case {
    table: Table,
    target: Target,
}

/// A server's rows with a name and many conditions, one with spellings and times, and one that
/// reads nothing but the name.
static CASES: LazyLock<[Case; 3]> = LazyLock::new(|| {
    let own = OperatorRow {
        methods: vec!["POST".to_owned()],
        path: "/v1/items".to_owned(),
        operations: vec!["infer.chat".to_owned()],
        risk: Risk::Low,
        model: Some("body:model".to_owned()),
    };
    [
        case(Protocol::Vllm, &[], b"/m/v1/chat/completions"),
        case(Protocol::Ollama, &[], b"/m/api/generate"),
        case(Protocol::Generic, &[own], b"/m/v1/items"),
    ]
});

fn case(protocol: Protocol, rows: &[OperatorRow], target: &[u8]) -> Case {
    let (table, _) = Table::build(protocol, None, rows).expect("a sound table");
    Case { table, target: Target::parse(target).expect("a sound target") }
}

/// What the gateway makes of a body.
type Outcome = Result<Result<Classified, ClassifyError>, JsonError>;

fn classify(case: &Case, body: &[u8]) -> Outcome {
    let candidates = case.table.candidates("POST", &case.target).expect("the table has the row");
    let body = Body::parse(body.to_vec(), candidates.wanted())?;
    Ok(candidates.resolve(&case.target, Some(&body)))
}

pub(crate) fn check(bytes: &[u8]) -> bool {
    let mut is_understood = false;
    let theirs = read(bytes);
    for case in CASES.iter() {
        let ours = classify(case, bytes);
        match (&ours, &theirs) {
            (Err(_), None) => {}
            (Ok(_), None) => panic!("accepted, and another parser refuses it"),
            (Err(error), Some(theirs)) => {
                let expected = theirs.depth > DEPTH_MAX || theirs.has_twin;
                assert!(expected, "{error}, and another parser reads one document");
            }
            (Ok(ours), Some(theirs)) => {
                assert!(theirs.depth <= DEPTH_MAX && !theirs.has_duplicate && !theirs.top_has_twin);
                check_model(ours, &theirs.value);
                let canonical = serde_json::to_vec(&theirs.value).expect("it was JSON");
                check_same(ours, &classify(case, &canonical));
                is_understood |= ours.is_ok();
            }
        }
    }
    if let Some(long) = made_long(bytes) {
        for long in [long.clone(), [b"[", &*long, b"]"].concat(), [b"{", &*long, b"}"].concat()] {
            let _ = classify(&CASES[0], &long);
        }
    }
    is_understood
}

/// The model's name is what any server finds under `model`.
fn check_model(ours: &Result<Classified, ClassifyError>, body: &Value) {
    let Ok(request) = ours else { return };
    let members = body.as_object().expect("what is read is an object");
    let looks_like = |key: &&String| key.to_lowercase() == "model" && key.as_str() != "model";
    assert_eq!(members.keys().find(looks_like), None, "a second spelling of the key");
    match members.get("model") {
        Some(Value::String(name)) if !name.is_empty() => {
            assert_eq!(request.model.as_ref(), Some(name));
        }
        None | Some(Value::Null | Value::String(_)) => {
            assert!(request.model.is_none() && request.unnamed_model);
        }
        Some(other) => panic!("{other} is no name, and was accepted"),
    }
    assert!(!request.operations.is_empty());
    assert_eq!(request.operations.len(), request.operation_risks.len());
}

/// The same document, written by somebody else, is the same request.
fn check_same(ours: &Result<Classified, ClassifyError>, canonical: &Outcome) {
    match (ours, canonical) {
        (Ok(ours), Ok(Ok(canonical))) => assert_eq!(ours, canonical),
        (Err(_), Ok(Err(_))) => {}
        (ours, canonical) => panic!("{ours:?}, and rewritten {canonical:?}"),
    }
}

/// A document as `serde_json` reads it.
struct Read {
    value: Value,
    depth: usize,
    /// A key stands twice in one object.
    has_duplicate: bool,
    /// Two keys of one object are the same but for case, as servers in Go fold it.
    has_twin: bool,
    /// Those of the outermost object are.
    top_has_twin: bool,
}

fn read(bytes: &[u8]) -> Option<Read> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let mut read =
        Read { value, depth: 0, has_duplicate: false, has_twin: false, top_has_twin: false };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Shape { read: &mut read, depth: 0 }.deserialize(&mut deserializer).ok()?;
    Some(read)
}

/// Walks a document for what a [`Value`] no longer shows.
struct Shape<'r> {
    read: &'r mut Read,
    depth: usize,
}

impl Shape<'_> {
    fn inside(&mut self) -> Shape<'_> {
        let depth = self.depth + 1;
        self.read.depth = self.read.depth.max(depth);
        Shape { read: self.read, depth }
    }

    fn again(&mut self) -> Shape<'_> {
        Shape { read: self.read, depth: self.depth }
    }
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let mut inside = self.inside();
        while items.next_element_seed(inside.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut inside = self.inside();
        let (mut exact, mut folded) = (HashSet::new(), HashSet::new());
        while let Some(key) = members.next_key::<String>()? {
            let is_twin = !folded.insert(fold(&key));
            inside.read.has_twin |= is_twin;
            inside.read.top_has_twin |= is_twin && inside.depth == 1;
            inside.read.has_duplicate |= !exact.insert(key);
            members.next_value_seed(inside.again())?;
        }
        Ok(())
    }
}

/// ASCII letters, and the two others that become one: the Kelvin sign and the long s.
fn fold(key: &str) -> String {
    key.to_ascii_lowercase().replace('\u{212a}', "k").replace('\u{17f}', "s")
}
