use std::collections::HashSet;

use super::table::{Index, server_table_texts};
use super::{Classified, ClassifyError, Need, Operation, Risk, Table};
use crate::documents::{OperatorRow, Protocol};
use crate::json::Body;
use crate::target::Target;

mod servers;

fn table(protocol: Protocol) -> Table {
    Table::build(protocol, None, &[]).unwrap().0
}

fn target(below: &str) -> Target {
    Target::parse(format!("/m{below}").as_bytes()).unwrap()
}

/// What the gateway does with a request: rows, body where it is needed, operations.
fn classify(
    table: &Table,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Classified, ClassifyError> {
    let target = target(path);
    let Some(candidates) = table.candidates(method, &target) else {
        return Ok(Classified::unknown());
    };
    let body = match candidates.need() {
        Need::Head => None,
        Need::Body => Some(Body::parse(body.as_bytes().to_vec(), candidates.wanted()).unwrap()),
    };
    candidates.resolve(&target, body.as_ref())
}

fn row(methods: &[&str], path: &str, operations: &[&str], model: Option<&str>) -> OperatorRow {
    OperatorRow {
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        path: path.to_owned(),
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
        risk: Risk::Low,
        model: model.map(str::to_owned),
    }
}

fn generic(rows: &[OperatorRow]) -> Result<Table, (usize, String)> {
    Table::build(Protocol::Generic, None, rows).map(|(table, _)| table)
}

fn names(request: &Classified) -> Vec<&'static str> {
    request.operations.iter().map(|operation| operation.name()).collect()
}

#[test]
fn every_operation_has_its_own_name_and_is_found_by_it() {
    let all: Vec<Operation> = Operation::all().collect();
    let names: HashSet<&str> = all.iter().map(|operation| operation.name()).collect();
    assert_eq!((all.len(), names.len()), (Operation::COUNT, Operation::COUNT));
    for operation in all {
        assert_eq!(Operation::named(operation.name()), Some(operation));
    }
    assert_eq!(Operation::named("unknown"), Some(Operation::UNKNOWN));
    assert_eq!(Operation::named("infer.*"), None);
    assert_eq!(Operation::UNKNOWN.default_risk(), Risk::Critical);
}

#[test]
fn code_theft_outage_and_identities_are_critical_by_default() {
    let critical: Vec<&str> = Operation::all()
        .filter(|operation| operation.default_risk() == Risk::Critical)
        .map(Operation::name)
        .collect();
    let expected = [
        "unknown",
        "exec",
        "fleet.write",
        "identity.read",
        "identity.write",
        "lifecycle",
        "secret.read",
        "secret.write",
        "weights.export",
        "weights.import",
    ];
    assert_eq!(critical, expected);
}

#[test]
fn every_server_table_is_sound() {
    for (version, text) in server_table_texts() {
        if let Err(problem) = Index::of_text(text) {
            panic!("{version}: {problem}");
        }
    }
}

#[test]
fn a_table_that_is_not_sound_is_refused() {
    let good = "GET /x list low -\n";
    assert!(Index::of_text(good).is_ok());
    for (text, problem) in [
        ("GET /x list low", "neither a row"),
        ("GET /x fly low -", "`fly` is not an operation"),
        ("GET /x unknown critical -", "`unknown` is not an operation"),
        ("GET /x list+list low -", "`list` stands twice"),
        ("GET /x list tiny -", "`tiny` is not a risk"),
        ("GET /x exec high -", "below the risk"),
        ("TRACE /x list low -", "`TRACE` is not one of"),
        ("get /x list low -", "`get` is not one of"),
        ("GET,GET /x list low -", "`GET` stands twice"),
        ("GET x list low -", "begins with `/`"),
        ("GET /x//y list low -", "segment is empty"),
        ("GET /x/ list low -", "segment is empty"),
        ("GET /x/../y list low -", "dot segment"),
        ("GET /x;y list low -", "`;` may not"),
        ("GET /{} list low -", "needs a name"),
        ("GET /{a}/{a} list low -", "stands twice"),
        ("GET /{a*}/b list low -", "nothing may follow"),
        ("GET /x list low model", "is not a place"),
        ("GET /x list low path:id", "no segment `{id}`"),
        ("GET /x list low body:a[].b", "single places"),
        ("GET /x list low -\nGET /x list low -", "stands before it"),
        ("GET /{a} list low -\nGET /{b} list low -", "stands before it"),
        ("? true(a)", "no row above"),
        ("+ true(a) list low", "no row above"),
        ("GET /x list low -\n+ a", "no set `a`"),
        ("set a\nset a", "stands twice"),
        ("set a\n+ true(b) = none\nGET /x list low -\n+ a", "below the risk"),
        ("GET /x list low -\nset a\n? true(b)", "no row above"),
        ("GET /x list low -\n? below(a.b)", "not a condition"),
        ("GET /x list low -\n? wrong(a)", "not a condition"),
        ("GET /x list low -\n? is(a)", "not a condition"),
        ("GET /x list low -\n? true(a,b)", "not a condition"),
        ("GET /x list low -\n? true(query:a)", "not a condition"),
        ("GET /x list low -\n? true(a..b)", "not a place"),
        ("GET /x list low -\n? true(a)\nGET /x list low -\n? true(a)", "same conditions"),
    ] {
        let error = Index::of_text(text).map(|_| ()).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn a_path_without_a_row_is_unknown() {
    let unknown = Classified::unknown();
    assert_eq!(names(&unknown), ["unknown"]);
    assert_eq!(unknown.risk, Risk::Critical);
    for protocol in [Protocol::Vllm, Protocol::Ollama, Protocol::Llamacpp, Protocol::Openai] {
        let table = table(protocol);
        for path in ["/v1/model", "/v1/models/", "/V1/models", "/v1/files", "/v2/x", "/v1"] {
            assert_eq!(classify(&table, "GET", path, "").unwrap(), unknown, "{path}");
        }
    }
    assert_eq!(classify(&table(Protocol::Generic), "GET", "/", "").unwrap(), unknown);
}

#[test]
fn head_reads_as_get_where_it_has_no_row_of_its_own() {
    let vllm = table(Protocol::Vllm);
    assert_eq!(names(&classify(&vllm, "HEAD", "/v1/models", "").unwrap()), ["list"]);
    let ollama = table(Protocol::Ollama);
    assert_eq!(names(&classify(&ollama, "HEAD", "/api/blobs/sha256:1", "").unwrap()), ["list"]);
    assert!(ollama.candidates("GET", &target("/api/blobs/sha256:1")).is_none());
    assert!(vllm.candidates("HEAD", &target("/v1/completions")).is_none());
}

#[test]
fn another_method_on_a_known_path_is_told_apart_from_an_unknown_path() {
    let table = table(Protocol::Llamacpp);
    assert!(table.candidates("PUT", &target("/v1/models")).is_none());
    assert!(table.knows_path(&target("/v1/models")));
    assert!(table.knows_path(&target("/slots/3")));
    assert!(!table.knows_path(&target("/slots/3/x")));
    assert!(!table.knows_path(&target("/predict")));
}

#[test]
fn methods_are_compared_by_their_bytes() {
    let table = table(Protocol::Vllm);
    for method in ["get", "Get", "", "GETX", "CONNECT"] {
        assert!(table.candidates(method, &target("/v1/models")).is_none(), "{method}");
    }
}

#[test]
fn a_path_is_matched_by_its_decoded_form() {
    let table = table(Protocol::Vllm);
    assert_eq!(names(&classify(&table, "GET", "/v1/mod%65ls", "").unwrap()), ["list"]);
    let request = classify(&table, "DELETE", "/adapters/my%20one", "").unwrap();
    assert_eq!(request.model.as_deref(), Some("my one"));
}

#[test]
fn a_body_is_needed_only_where_a_row_reads_it() {
    let table = table(Protocol::Vllm);
    let need = |method, path| table.candidates(method, &target(path)).unwrap().need();
    assert_eq!(need("POST", "/v1/chat/completions"), Need::Body);
    assert_eq!(need("GET", "/v1/models"), Need::Head);
    assert_eq!(need("POST", "/sleep"), Need::Head);
    assert_eq!(need("POST", "/v1/audio/transcriptions"), Need::Head);
}

#[test]
fn without_the_body_that_decides_nothing_is_resolved() {
    let table = table(Protocol::Vllm);
    let target = target("/v1/chat/completions");
    let candidates = table.candidates("POST", &target).unwrap();
    assert_eq!(candidates.resolve(&target, None), Err(ClassifyError::NotRead));
    let other = Body::parse(b"{}".to_vec(), &crate::json::Wanted::default()).unwrap();
    assert_eq!(candidates.resolve(&target, Some(&other)), Err(ClassifyError::NotRead));
}

#[test]
fn a_decision_field_in_another_case_or_of_another_type_is_refused() {
    let table = table(Protocol::Ollama);
    let ambiguous = |name: &str| Err(ClassifyError::Ambiguous(name.to_owned()));
    let wrong = |name: &str| Err(ClassifyError::WrongType(name.to_owned()));
    for (body, expected) in [
        (r#"{"MODEL":"forbidden"}"#, ambiguous("model")),
        (r#"{"model":"a","Keep_alive":0}"#, ambiguous("keep_alive")),
        (r#"{"model":["a"],"messages":[{}]}"#, wrong("model")),
        (r#"{"model":"a ","messages":[{}]}"#, wrong("model")),
        (r#"{"model":"a","keep_alive":false}"#, wrong("keep_alive")),
        ("[]", wrong("messages")),
    ] {
        assert_eq!(classify(&table, "POST", "/api/chat", body), expected, "{body}");
    }
}

#[test]
fn a_query_parameter_that_decides_must_stand_once() {
    let table = table(Protocol::Llamacpp);
    let ambiguous = Err(ClassifyError::Ambiguous("action".to_owned()));
    for query in ["action=erase&action=save", "action=erase&x=1;action=save", "action&action"] {
        let path = format!("/slots/1?{query}");
        assert_eq!(classify(&table, "POST", &path, ""), ambiguous, "{query}");
    }
    let path = "/models?model=a&model=b";
    let ambiguous = Err(ClassifyError::Ambiguous("model".to_owned()));
    assert_eq!(classify(&table, "DELETE", path, ""), ambiguous);
    assert!(classify(&table, "GET", "/v1/models?a=1&a=2;b", "").is_ok());
}

#[test]
fn an_operators_rows_are_added() {
    let rows = [
        row(&["GET"], "/items/{id}", &["list"], Some("path:id")),
        row(&["GET"], "/items/all", &["metrics"], None),
        row(&["POST"], "/run", &["infer.chat", "exec"], Some("body:options.model")),
        row(&["GET", "PUT"], "/files/{rest*}", &["file.read"], Some("query:m")),
    ];
    let table = generic(&rows).unwrap();
    let request = classify(&table, "GET", "/items/7", "").unwrap();
    assert_eq!((names(&request), request.model.as_deref()), (vec!["list"], Some("7")));
    assert_eq!(names(&classify(&table, "GET", "/items/all", "").unwrap()), ["metrics"]);
    let request = classify(&table, "POST", "/run", r#"{"options":{"model":"x"}}"#).unwrap();
    assert_eq!(names(&request), ["infer.chat", "exec"]);
    assert_eq!(request.model.as_deref(), Some("x"));
    let request = classify(&table, "PUT", "/files/a/b/c?m=y", "").unwrap();
    assert_eq!((names(&request), request.model.as_deref()), (vec!["file.read"], Some("y")));
    assert_eq!(names(&classify(&table, "PUT", "/files/", "").unwrap()), ["unknown"]);
    assert_eq!(names(&classify(&table, "PUT", "/files", "").unwrap()), ["unknown"]);
    assert_eq!(names(&classify(&table, "GET", "/items/", "").unwrap()), ["unknown"]);
}

#[test]
fn an_operators_row_cannot_lower_the_risk_of_an_operation() {
    let table = generic(&[row(&["POST"], "/run", &["list", "exec"], None)]).unwrap();
    let request = classify(&table, "POST", "/run", "").unwrap();
    assert_eq!(request.operation_risks, [Risk::Low, Risk::Critical]);
    assert_eq!(request.risk, Risk::Critical);
}

#[test]
fn an_operators_problem_is_told_with_the_index_of_its_row() {
    let good = row(&["GET"], "/x", &["list"], None);
    for (bad, problem) in [
        (row(&["FETCH"], "/y", &["list"], None), "`FETCH` is not one of"),
        (row(&[], "/y", &["list"], None), "needs a method"),
        (row(&["GET"], "/y", &["infer.*"], None), "`infer.*` is not an operation"),
        (row(&["GET"], "/y", &[], None), "needs an operation"),
        (row(&["GET"], "y", &["list"], None), "begins with"),
        (row(&["GET"], "/y", &["list"], Some("header:x")), "is not a place"),
        (row(&["GET"], "/x", &["metrics"], None), "stands before it"),
    ] {
        let (index, message) = generic(&[good.clone(), bad]).unwrap_err();
        assert_eq!(index, 1);
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn an_operators_row_cannot_replace_one_of_the_servers_table() {
    for (path, operation) in [("/collective_rpc", "list"), ("/v1/responses/{other}/cancel", "list")]
    {
        let rows = [row(&["POST"], path, &[operation], None)];
        let (_, message) = Table::build(Protocol::Vllm, None, &rows).unwrap_err();
        assert!(message.contains("has `POST"), "{message}");
    }
    let rows = [row(&["PUT"], "/collective_rpc", &["exec"], None)];
    assert!(Table::build(Protocol::Vllm, None, &rows).is_ok());
}

#[test]
fn a_wide_row_of_an_operator_does_not_cover_rows_of_the_servers_table() {
    let rows = [row(&["GET", "POST"], "/{rest*}", &["list"], None)];
    let (table, _) = Table::build(Protocol::Vllm, None, &rows).unwrap();
    assert_eq!(names(&classify(&table, "POST", "/collective_rpc", "").unwrap()), ["exec"]);
    let stored = classify(&table, "GET", "/v1/responses/7", "").unwrap();
    assert_eq!(names(&stored), ["read.predictions"]);
    assert_eq!(names(&classify(&table, "GET", "/else/where", "").unwrap()), ["list"]);
}

#[test]
fn the_newest_table_that_is_not_newer_than_the_server_counts() {
    let version = |protocol, version| Table::build(protocol, version, &[]).unwrap().1;
    assert_eq!(version(Protocol::Vllm, None), "0.33.0");
    assert_eq!(version(Protocol::Vllm, Some("0.33.0")), "0.33.0");
    assert_eq!(version(Protocol::Vllm, Some("v0.40.1")), "0.33.0");
    assert_eq!(version(Protocol::Vllm, Some("0.9.1")), "0.33.0");
    assert_eq!(version(Protocol::Llamacpp, Some("b99999")), "b11434");
    assert_eq!(version(Protocol::Generic, Some("7")), "any");
}
