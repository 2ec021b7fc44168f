//! Targets and hosts that two readers could take in two ways, as raw bytes through the real
//! gateway: what is ambiguous reaches no model server, and what reaches one is what was decided on.
//!
//! The caller may do everything, `unknown` included, so nothing but the reading of the request
//! stands between these bytes and the model server.

use std::cell::Cell;
use std::collections::BTreeSet;

use penstock_config::catalogue::Operation;
use penstock_config::target::Target;
use penstock_harness::{AutonomousUpstream, Dev, RawClient, Response, Seen};
use penstock_journeys::catalogue::{self, Row};
use penstock_journeys::{documents, requests};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Tables with rows of their own, and the protocol of each.
const TABLES: [(&str, &str); 4] = [
    ("llamacpp-b11434", "llamacpp"),
    ("ollama-0.22", "ollama"),
    ("openai-v1", "openai"),
    ("vllm-0.33.0", "vllm"),
];

/// What no `Host` may be (RFC 9110 section 7.2).
const BAD_HOSTS: [&str; 20] = [
    "Host: gateway.test/m/v1/models",
    "Host: gateway.test?x=",
    "Host: gateway.test#x",
    "Host: a@gateway.test",
    "Host: a:b@gateway.test",
    "Host: gateway.test:99999",
    "Host: gateway.test:80x",
    "Host: gateway.test:-1",
    "Host: gateway.test:80:80",
    "Host: [::1",
    "Host: ::1]",
    "Host: [::1]x",
    "Host: [gateway.test]",
    "Host: gateway test",
    "Host: gateway.test, other.test",
    "Host: gateway.test\\other",
    "Host: gateway\u{0}.test",
    "Host: http://gateway.test",
    "Host: gateway.test\r\nHost: gateway.test",
    "X-Host: gateway.test",
];

struct Stage {
    dev: Dev,
    upstream: AutonomousUpstream,
    token: String,
}

impl Stage {
    /// One connection for each protocol, named after it.
    fn start(operations: &str) -> Self {
        let upstream = AutonomousUpstream::start();
        let mut text = documents::allow("rule", "engineers", operations);
        for (_, protocol) in TABLES {
            text += &documents::connection(protocol, protocol, &upstream.url());
        }
        let dev = Dev::start(&text);
        let token = dev.token("ada", &["engineers"], &[]);
        Self { dev, upstream, token }
    }

    /// Allows every operation there is by its name.
    fn start_open() -> Self {
        let names: Vec<&str> = Operation::all().map(Operation::name).collect();
        assert!(names.contains(&"unknown"));
        Self::start(&names.join(", "))
    }

    fn exchange(&self, request: impl AsRef<[u8]>) -> Response {
        RawClient::connect(&self.dev.ready().gateway).exchange(request)
    }

    fn request(&self, method: &str, target: &str, host_line: &str) -> Vec<u8> {
        let token = &self.token;
        format!(
            "{method} {target} HTTP/1.1\r\n{host_line}\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .into_bytes()
    }

    fn ask(&self, method: &str, target: &str) -> Response {
        self.exchange(self.request(method, target, "Host: gateway.test"))
    }

    /// Refuses all of them with 400, and the model server hears of none.
    fn assert_all_refused(&self, requests: &BTreeSet<(String, String)>) {
        let answers = requests.iter().map(|(method, target)| {
            let status = self.ask(method, target).status;
            (status != 400).then(|| format!("{method} {target} is answered with {status}"))
        });
        let wrong: Vec<String> = answers.flatten().collect();
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
        assert_eq!(self.upstream.connections(), 0, "{:?}", self.upstream.seen());
    }
}

/// All rows of all tables, below their connection.
fn rows() -> Vec<Row> {
    let tables = TABLES.iter().flat_map(|(table, protocol)| {
        let rows = catalogue::rows(table).into_iter();
        rows.map(move |row| Row { path: format!("/{protocol}{}", row.path), ..row })
    });
    tables.collect()
}

/// Every row's path through `mangle`, for each of the slashes below the connection's name.
fn at_each_slash(mangle: impl Fn(&str, &str) -> Vec<String>) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for row in rows() {
        for (at, _) in row.path.match_indices('/').skip(1) {
            let (before, from) = row.path.split_at(at);
            let targets = mangle(before, from).into_iter();
            all.extend(targets.map(|target| (row.method.clone(), target)));
        }
    }
    assert!(all.len() > 500, "only {} targets", all.len());
    all
}

#[test]
fn a_dot_segment_in_a_known_path_reaches_nobody() {
    let stage = Stage::start_open();
    let dots = [".", "..", "%2e", "%2E%2e", ".%2E"];
    stage.assert_all_refused(&at_each_slash(|before, from| {
        dots.iter().map(|dots| format!("{before}/{dots}{from}")).collect()
    }));
}

#[test]
fn an_encoded_slash_or_backslash_in_a_known_path_reaches_nobody() {
    let stage = Stage::start_open();
    let slashes = ["%2f", "%2F", "%5c", "\\", "%252f"];
    stage.assert_all_refused(&at_each_slash(|before, from| {
        slashes.iter().map(|slash| format!("{before}{slash}{}", &from[1..])).collect()
    }));
}

#[test]
fn a_doubled_slash_in_a_known_path_reaches_nobody() {
    let stage = Stage::start_open();
    stage.assert_all_refused(&at_each_slash(|before, from| {
        vec![format!("{before}/{from}"), format!("/{before}{from}"), format!("{before}//{from}")]
    }));
}

#[test]
fn a_parameter_of_a_segment_in_a_known_path_reaches_nobody() {
    let stage = Stage::start_open();
    stage.assert_all_refused(&at_each_slash(|before, from| {
        let parameters = [";", ";x=y", "%3b", ";/.."];
        parameters.iter().map(|parameter| format!("{before}{parameter}{from}")).collect()
    }));
}

#[test]
fn an_odd_host_before_a_known_path_reaches_nobody() {
    let stage = Stage::start_open();
    let mut wrong = Vec::new();
    for row in rows() {
        for host in BAD_HOSTS {
            let status = stage.exchange(stage.request(&row.method, &row.path, host)).status;
            if status != 400 {
                wrong.push(format!("{} {} {host:?}: {status}", row.method, row.path));
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
    assert_eq!(stage.upstream.connections(), 0, "{:?}", stage.upstream.seen());
}

#[test]
fn a_valid_host_whatever_it_says_decides_nothing() {
    let stage = Stage::start_open();
    let own = stage.upstream.address().to_string();
    for host in ["ollama", "other.test:1", "[::1]:80", "169.254.169.254", &own, ""] {
        let request = stage.request("GET", "/vllm/v1/models", &format!("Host: {host}"));
        let response = stage.exchange(request);
        // An empty one is valid (RFC 9112 section 3.2), and a gateway may want one that says more.
        if response.status == 400 && host.is_empty() {
            continue;
        }
        assert_eq!(response.status, 200, "{host:?}: {}", response.text());
        let [seen] = &stage.upstream.take_seen()[..] else { panic!("{host:?}: not one request") };
        assert_eq!(seen.request.target(), "/v1/models");
        assert_eq!(seen.request.headers_named("host"), [own.as_str()]);
    }
}

/// The tests above would say nothing if the same paths were not let through as they stand.
#[test]
fn the_same_paths_as_they_stand_do_reach_the_model_server() {
    let stage = Stage::start_open();
    let reading: Vec<Row> = rows().into_iter().filter(|row| row.method == "GET").collect();
    assert!(reading.len() > 30);
    for row in reading {
        let response = stage.ask("GET", &row.path);
        assert_eq!(response.status, 200, "{}: {}", row.path, response.text());
        let [seen] = &stage.upstream.take_seen()[..] else { panic!("{}: not one", row.path) };
        let below = row.path.splitn(3, '/').nth(2).unwrap();
        assert_eq!(seen.request.target(), format!("/{below}"));
    }
}

#[test]
fn an_unknown_path_is_denied_to_whoever_may_do_everything_known() {
    let names = Operation::all().map(Operation::name).filter(|name| *name != "unknown");
    let stage = Stage::start(&names.collect::<Vec<_>>().join(", "));
    for (_, protocol) in TABLES {
        for below in ["", "/", "/v1", "/v1/nothing", "/v1/models/", "/V1/models", "/metrics/x"] {
            // llama.cpp and Ollama list something at their root.
            if below.len() < 2 && ["llamacpp", "ollama"].contains(&protocol) {
                continue;
            }
            let target = format!("/{protocol}{below}");
            let response = stage.ask("GET", &target);
            assert_eq!(response.status, 403, "{target}: {}", response.text());
            assert!(response.text().contains("unknown"), "{target}: {}", response.text());
        }
    }
    assert_eq!(stage.upstream.connections(), 0, "{:?}", stage.upstream.seen());
}

/// Pieces of targets: what stands in real ones, and what tears them apart.
fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "/", "v1", "models", "slots", "p", "api", "tags", "?", "&", "a=b", "%20", "%41",
            "%C3%A4",
        ]),
        3 => prop::sample::select(vec![
            "//", ".", "..", "/./", "/../", "%2e", "%2E%2E", "%2f", "%2F", "%5c", "\\", ";", "%3b",
            "#", "%", "%zz", "%00", "%0d%0a", "%7f", "%80", "%25", "%252e", "+", "*", ":", "@", "~",
            "\"", "<", "{", "|", "^", "`", "\u{e4}", "\u{7f}",
        ]),
    ];
    let begin = prop::sample::select(vec![
        "/openai",
        "/openai/",
        "/openai/v1/",
        "/vllm/",
        "/ollama/",
        "/llamacpp/",
        "/OpenAI/",
        "/%6fpenai/",
        "/other/",
        "//openai/",
        "/",
        "openai/",
        "",
    ]);
    (begin, prop::collection::vec(piece, 0..8))
        .prop_map(|(begin, pieces)| begin.to_owned() + &pieces.concat())
}

fn host() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "gateway",
        ".",
        "test",
        ":",
        "80",
        "/",
        "@",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        "%2f",
        "\\",
        " ",
        "?",
        "#",
        ",",
        "-",
        "_",
        "A",
        "\u{e4}",
    ]);
    prop_oneof![
        3 => Just("gateway.test".to_owned()),
        1 => prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat()),
    ]
}

/// What must come of a target with a good host, by the one reader that decides.
fn expected(target: &str) -> (u16, Option<String>) {
    match Target::parse(target.as_bytes()) {
        Err(_) => (400, None),
        Ok(read) if TABLES.iter().any(|(_, protocol)| *protocol == read.connection()) => {
            (200, Some(read.forwarded().to_owned()))
        }
        Ok(_) => (404, None),
    }
}

fn targets(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|one| one.request.target().to_owned()).collect()
}

#[test]
fn whatever_reaches_a_model_server_has_exactly_the_path_that_was_decided_on() {
    let stage = Stage::start_open();
    let authority = stage.upstream.address().to_string();
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(1_500) });
    let reached = Cell::new(0);
    let tried = runner.run(&(target(), host()), |(target, host)| {
        let request = stage.request("GET", &target, &format!("Host: {host}"));
        let response = stage.exchange(request);
        let seen = stage.upstream.take_seen();
        let (status, forwarded) = expected(&target);
        // A path that only other methods take is not let through either.
        let as_expected = response.status == status || (status, response.status) == (200, 405);
        let refused_for_its_host = host != requests::HOST && response.status == 400;
        prop_assert!(as_expected || refused_for_its_host, "not {status}: {response:?}");
        if response.status == 200 {
            reached.set(reached.get() + 1);
            prop_assert_eq!(targets(&seen), [forwarded.unwrap_or_default()]);
            prop_assert_eq!(seen[0].request.headers_named("host"), [authority.as_str()]);
        } else {
            prop_assert_eq!(targets(&seen), [] as [String; 0]);
        }
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reached.get() > 50, "only {} requests were let through", reached.get());
}
