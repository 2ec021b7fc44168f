//! What root finds in the memory of a data plane once its callers are gone: everything that is
//! written to, of which a core dump is a part. Nothing of a caller's token may be left there, and
//! of a model server's credential nothing but what stands in locked memory while it is leased.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use penstock_harness::{AutonomousUpstream, Dev, RawClient, eventually, wait_until};
use penstock_journeys::search::Needle;
use penstock_journeys::secured::{Certificate, SecuredNode};
use penstock_journeys::tls::{OpenSsl, TlsServer};
use penstock_journeys::{documents, requests};

/// How much memory is read at once.
const PIECE_BYTES: usize = 4 << 20;
const PAGE_BYTES: usize = 4 << 10;

/// The end of a caller's connection reaches the data plane a little after the caller is gone.
const CLEAN_PATIENCE: Duration = Duration::from_secs(5);

/// What ends a lease is told to the data plane by its control plane, a moment later.
const CREDENTIAL_PATIENCE: Duration = Duration::from_secs(10);

/// Names that stand in documents in force: what the search must find.
const CONNECTION: &str = "connection-that-is-in-force";
const RULE: &str = "rule-that-is-in-force";

/// A way in which a token comes to the data plane, and what makes it come so.
type Way = (&'static str, fn(&Stage, &str));

/// Requests that are answered.
const USES: [Way; 7] = [
    ("a plain request", plain),
    ("five requests on one connection", kept),
    ("x-api-key", api_key),
    ("a streamed answer", streamed),
    ("a chunked body", chunked),
    ("three pipelined requests", pipelined),
    ("a head in pieces", in_pieces),
];

/// Requests that are refused, or never end.
const MISUSES: [Way; 11] = [
    ("a connection that does not exist", |stage, token| {
        stage.expect(404, &requests::get("/other/v1/models", token));
    }),
    ("a path that is denied", |stage, token| stage.expect(403, &stage.get("/v1/nothing", token))),
    ("a signature that is wrong", |stage, token| {
        let cut = &token[..token.len() - 10];
        stage.expect(401, &stage.chat(&format!("{cut}AAAAAAAAAA")));
    }),
    ("two fields with a token", |stage, token| {
        let twice = format!("x-api-key: {token}\r\nAuthorization:");
        stage.expect(400, &stage.chat(token).replace("Authorization:", &twice));
    }),
    ("a head that is malformed", |stage, token| {
        stage.expect(400, &stage.get("/v1/models", token).replace("Host", "H st"));
    }),
    ("a head that is too large", too_large),
    ("a body that is no JSON", |stage, token| {
        stage.expect(400, &requests::post(&stage.chat_path(), token, "no json"));
    }),
    ("a head without an end", |stage, token| {
        let mut client = stage.client();
        client.send(format!("GET /x HTTP/1.1\r\nAuthorization: Bearer {token}\r\nx-a"));
        client.reset();
    }),
    ("an answer that is not waited for", abandoned),
    ("a request behind one that is refused", behind_a_refusal),
    ("a request whose turn never comes", behind_an_abandoned_one),
];

struct Stage {
    dev: Dev,
    upstream: AutonomousUpstream,
    /// For what a way needs beside the token that is looked for.
    other: String,
}

impl Stage {
    fn start() -> Self {
        let upstream = AutonomousUpstream::start();
        let documents = documents::connection(CONNECTION, "openai", &upstream.url())
            + &documents::allow(RULE, "engineers", "infer.*, list");
        let dev = Dev::start(&documents);
        let other = dev.token("other", &["engineers"], &[]);
        Self { dev, upstream, other }
    }

    fn client(&self) -> RawClient {
        RawClient::connect(&self.dev.ready().gateway)
    }

    fn chat_path(&self) -> String {
        format!("/{CONNECTION}/v1/chat/completions")
    }

    fn chat(&self, token: &str) -> String {
        requests::post(&self.chat_path(), token, requests::CHAT)
    }

    fn streamed_chat(&self, token: &str) -> String {
        requests::post(&self.chat_path(), token, requests::CHAT_STREAMED)
    }

    fn get(&self, path: &str, token: &str) -> String {
        requests::get(&format!("/{CONNECTION}{path}"), token)
    }

    #[track_caller]
    fn expect(&self, status: u16, request: &str) {
        let response = self.client().exchange(request);
        assert_eq!(response.status, status, "{}", response.text());
    }

    /// Uses a token of its own in this way; what is left of it, and where.
    fn left_by(&self, (name, act): Way) -> Option<String> {
        let token = self.dev.token("ada@example.com", &["engineers"], &[]);
        act(self, &token);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let needles = [("its claims", signed), ("its signature", &signature[..70])];
        let needles = needles.map(|(what, text)| Needle::exact(what, text));
        let mut left = Vec::new();
        let clean = wait_until(Instant::now() + CLEAN_PATIENCE, || {
            left = found(self.dev.pids().dataplane, &needles);
            left.is_empty()
        });
        (!clean).then(|| format!("a token that came by {name} leaves {}", left.join(", ")))
    }
}

/// Everything of these that stands in the memory of a process now.
fn found(id: u32, needles: &[Needle]) -> Vec<String> {
    let memory = File::open(format!("/proc/{id}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let mut found = Vec::new();
    for map in maps.lines() {
        let Some((begin, end)) = written(map) else { continue };
        written_parts(&memory, begin, end, |part| {
            let here = needles.iter().filter(|needle| needle.is_in(part));
            found.extend(here.map(|needle| format!("{} in {map}", needle.what())));
        });
    }
    found
}

/// First and last address of a map, unless it is a part of a file that can't be written to.
fn written(map: &str) -> Option<(u64, u64)> {
    let mut words = map.split_whitespace();
    let (begin, end) = words.next()?.split_once('-')?;
    let rights = words.next()?;
    let is_file = words.nth(3).is_some_and(|name| name.starts_with('/'));
    let address = |text| u64::from_str_radix(text, 16).ok();
    let counts = rights.starts_with('r') && (rights.contains('w') || !is_file);
    counts.then_some((address(begin)?, address(end)?))
}

/// Hands over each run of pages of a map that hold anything but zeros.
fn written_parts(memory: &File, begin: u64, end: u64, mut part: impl FnMut(&[u8])) {
    let zeros = vec![0; PAGE_BYTES];
    let mut run = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = begin;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap().min(PIECE_BYTES);
        // Some maps can't be read, as those of devices; they are not dumped either.
        let Ok(count @ 1..) = memory.read_at(&mut piece[..wanted], at) else { break };
        at += count as u64;
        for page in piece[..count].chunks(PAGE_BYTES) {
            if page != &zeros[..page.len()] {
                run.extend_from_slice(page);
            } else if !run.is_empty() {
                part(&run);
                run.clear();
            }
        }
    }
    part(&run);
}

/// Maps that are locked, as their ranges: what stands there is in no core dump.
fn locked_maps(id: u32) -> HashSet<String> {
    let mut locked = HashSet::new();
    let mut range = String::new();
    for line in fs::read_to_string(format!("/proc/{id}/smaps")).unwrap().lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first.contains('-') {
            first.clone_into(&mut range);
        }
        if first == "VmFlags:" {
            let flags: Vec<&str> = words.collect();
            if flags.contains(&"lo") && flags.contains(&"dd") {
                locked.insert(range.clone());
            }
        }
    }
    locked
}

/// The same as [`found`], but for what stands in locked memory.
fn found_in_the_open(id: u32, needles: &[Needle]) -> Vec<String> {
    let locked = locked_maps(id);
    assert!(!locked.is_empty(), "no memory is locked");
    let mut found = found(id, needles);
    found.retain(|hit| !locked.iter().any(|range| hit.contains(&format!(" in {range} "))));
    found
}

fn plain(stage: &Stage, token: &str) {
    stage.expect(200, &stage.chat(token));
}

fn kept(stage: &Stage, token: &str) {
    let mut client = stage.client();
    for _ in 0..5 {
        assert_eq!(client.exchange(stage.chat(token)).status, 200);
    }
}

fn api_key(stage: &Stage, token: &str) {
    stage.expect(200, &stage.chat(token).replace("Authorization: Bearer", "x-api-key:"));
}

fn streamed(stage: &Stage, token: &str) {
    stage.upstream.set_events(20, Duration::from_millis(5));
    stage.expect(200, &stage.streamed_chat(token));
}

fn chunked(stage: &Stage, token: &str) {
    let body = requests::CHAT;
    let framed =
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let request = requests::post(&stage.chat_path(), token, "");
    stage.expect(200, &request.replace("Content-Length: 0\r\n\r\n", &framed));
}

fn pipelined(stage: &Stage, token: &str) {
    let mut client = stage.client();
    client.send(stage.get("/v1/models", token).repeat(3));
    for _ in 0..3 {
        assert_eq!(client.read_response().unwrap().status, 200);
    }
}

fn in_pieces(stage: &Stage, token: &str) {
    let request = stage.chat(token);
    let begin = request.find(token).unwrap();
    let end = begin + token.len();
    let mut client = stage.client();
    client.send_split(request.as_bytes(), &[9, begin + 20, begin + 90, end - 10, end + 40]);
    assert_eq!(client.read_response().unwrap().status, 200);
}

fn too_large(stage: &Stage, token: &str) {
    let filler = format!("x-filler: {}\r\n", "a".repeat(10_000)).repeat(2);
    let request = stage.get("/v1/models", token);
    stage.expect(431, &request.replace("Authorization:", &format!("{filler}Authorization:")));
}

fn abandoned(stage: &Stage, token: &str) {
    stage.upstream.set_events(400, Duration::from_millis(5));
    let mut client = stage.client();
    client.send(stage.streamed_chat(token));
    client.read_until(b"word3 ").unwrap();
    client.reset();
}

fn behind_a_refusal(stage: &Stage, token: &str) {
    let refused = requests::post(&stage.chat_path(), &stage.other, "no json");
    let head_bytes = refused.len() - "no json".len();
    let mut client = stage.client();
    client.send_split((refused + &stage.get("/v1/models", token)).as_bytes(), &[head_bytes]);
    assert_eq!(client.read_response().unwrap().status, 400);
}

fn behind_an_abandoned_one(stage: &Stage, token: &str) {
    stage.upstream.set_events(400, Duration::from_millis(5));
    let mut client = stage.client();
    client.send(stage.streamed_chat(&stage.other));
    client.read_until(b"word3 ").unwrap();
    client.send(stage.get("/v1/models", token));
    client.read_until(b"word9 ").unwrap();
    client.reset();
}

fn may_read() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!("skipped: only root may read the memory of a process that is not dumpable");
    }
    may
}

#[track_caller]
fn assert_nothing_is_left_by(ways: &[Way]) {
    if !may_read() {
        return;
    }
    let stage = Stage::start();
    for name in [CONNECTION, RULE] {
        let found = found(stage.dev.pids().dataplane, &[Needle::exact("a name", name)]);
        assert!(!found.is_empty(), "the search does not find {name}");
    }
    let left: Vec<String> = ways.iter().filter_map(|way| stage.left_by(*way)).collect();
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn a_token_is_gone_from_memory_after_the_last_exchange_that_it_opened() {
    assert_nothing_is_left_by(&USES);
}

#[test]
fn a_token_is_gone_from_memory_also_after_requests_that_were_refused_or_never_ended() {
    assert_nothing_is_left_by(&MISUSES);
}

#[test]
fn a_token_is_gone_from_memory_also_where_both_sides_speak_tls() {
    if !may_read() {
        return;
    }
    let mut tls = OpenSsl::start();
    let certificate = Certificate::make();
    let server = tls.serve(&TlsServer::showing(&certificate));
    let documents = documents::connection(CONNECTION, "openai", &server)
        + &documents::allow(RULE, "engineers", "infer.*, list");
    let dev = Dev::start(&documents);
    let node = SecuredNode::join(&dev, &certificate.authority());
    let name = found(node.process_id(), &[Needle::exact("a name", CONNECTION)]);
    assert!(!name.is_empty(), "the search does not find {CONNECTION}");
    for version in ["1.2", "1.3"] {
        let token = dev.token("ada@example.com", &["engineers"], &[]);
        let path = format!("/{CONNECTION}/v1/models");
        let authority = node.certificate().authority();
        assert!(tls.connect(version, node.address(), &authority, version, None).is_ok());
        for _ in 0..3 {
            assert_eq!(tls.get(version, &path, &token).0, 200);
        }
        // A token that is refused, too.
        assert_eq!(tls.get(version, &path, &token[..token.len() - 10]).0, 401);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let needles = [("its claims", signed), ("its signature", &signature[..70])];
        let needles = needles.map(|(what, text)| Needle::exact(what, text));
        tls.close(version);
        let mut left = Vec::new();
        let clean = wait_until(Instant::now() + CLEAN_PATIENCE, || {
            left = found(node.process_id(), &needles);
            left.is_empty()
        });
        assert!(clean, "over TLS {version}: {}", left.join(", "));
    }
}

/// The value of the model server's own credential.
const CREDENTIAL: &str = "sk-of-the-model-server-4711-0815-1234567890";

/// Shapes in which it could stand.
fn credential() -> [Needle; 1] {
    [Needle::secret("the credential", CREDENTIAL)]
}

/// What root finds of the credential in the end, which is nothing if it goes in time.
fn left_of_the_credential(id: u32, look: impl Fn(u32, &[Needle]) -> Vec<String>) -> String {
    let mut left = Vec::new();
    let _ = wait_until(Instant::now() + CREDENTIAL_PATIENCE, || {
        left = look(id, &credential());
        left.is_empty()
    });
    left.join(", ")
}

/// A connection whose model server takes a credential in this scheme, with a rule for it.
fn keyed(upstream: &AutonomousUpstream, scheme: &str, rule: &str) -> Dev {
    let connection = documents::connection_with_secret(CONNECTION, &upstream.url(), "model-key");
    let dev = Dev::start(&(connection.replace("scheme: bearer", scheme) + rule));
    let output = dev.penstock_with_input(&["secret", "set", "model-key"], CREDENTIAL);
    assert_eq!(output.code, 0, "{}", output.stderr);
    dev
}

fn chat(token: &str, body: &str) -> String {
    requests::post(&format!("/{CONNECTION}/v1/chat/completions"), token, body)
}

/// Sends requests, plain and streamed, until the model server saw the credential.
fn use_credential(dev: &Dev, upstream: &AutonomousUpstream) {
    let token = dev.token("ada@example.com", &["engineers"], &[]);
    eventually("a request with the credential", || {
        let mut client = RawClient::connect(&dev.ready().gateway);
        let plain = client.exchange(chat(&token, requests::CHAT)).status;
        let streamed = client.exchange(chat(&token, requests::CHAT_STREAMED)).status;
        ((plain, streamed) == (200, 200)).then_some(())
    });
    let seen = upstream.take_seen();
    let came = seen.last().and_then(|one| one.authorization()).unwrap_or_default();
    assert!(credential()[0].is_in(came.as_bytes()), "the model server saw {came}");
}

#[test]
fn a_credential_stands_in_locked_memory_alone_and_nowhere_once_its_rule_is_gone() {
    if !may_read() {
        return;
    }
    for scheme in ["scheme: bearer", "scheme: basic"] {
        let upstream = AutonomousUpstream::start();
        let rule = documents::allow(RULE, "engineers", "infer.*, list");
        let dev = keyed(&upstream, scheme, &rule);
        use_credential(&dev, &upstream);
        let left = left_of_the_credential(dev.pids().dataplane, found_in_the_open);
        assert_eq!(left, "", "while it is leased, {scheme}");
        assert_eq!(dev.penstock(&["delete", "rule", RULE]).code, 0);
        let left = left_of_the_credential(dev.pids().dataplane, found);
        assert_eq!(left, "", "once its rule is gone, {scheme}");
    }
}

#[test]
fn a_replaced_credential_is_gone_from_memory() {
    if !may_read() {
        return;
    }
    let upstream = AutonomousUpstream::start();
    let dev = keyed(&upstream, "scheme: bearer", &documents::allow(RULE, "engineers", "infer.*"));
    use_credential(&dev, &upstream);
    let output = dev.penstock_with_input(&["secret", "set", "model-key"], "another-one");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(left_of_the_credential(dev.pids().dataplane, found), "");
}

#[test]
fn a_credential_that_needs_approval_is_in_memory_only_while_a_grant_lives() {
    if !may_read() {
        return;
    }
    let upstream = AutonomousUpstream::start();
    let rule = format!(
        "kind: rule\nname: {RULE}\neffect: approve\nsubjects: [{{groups: [engineers]}}]\n\
         operations: [infer.*]\napproval: {{reviewers: [{{groups: [leads]}}], \
         grant: {{minutes_max: 30, uses_max: 5}}}}\n---\n"
    );
    let dev = keyed(&upstream, "scheme: bearer", &rule);
    let token = dev.token("ada@example.com", &["engineers"], &[]);
    let mut held = RawClient::connect(&dev.ready().gateway);
    held.send(chat(&token, requests::CHAT));
    let as_lead = ["--as-user", "lea", "--as-groups", "leads"];
    let first = |kind: &str, state: &str| {
        eventually(&format!("{kind} that are {state}"), || {
            let output =
                dev.penstock(&[&[kind, "list", "--output", "json"], &as_lead[..]].concat());
            let rows: Vec<serde_json::Value> = serde_json::from_str(&output.stdout).ok()?;
            let row = rows.iter().find(|row| row["state"] == state)?;
            row["id"].as_str().map(str::to_owned)
        })
    };
    let approval = first("approvals", "pending");
    assert_eq!(found(dev.pids().dataplane, &credential()), Vec::<String>::new(), "not approved");

    let yes = ["approve", &approval, "--uses", "5", "--minutes", "30"];
    assert_eq!(dev.penstock(&[&yes[..], &as_lead[..]].concat()).code, 0);
    assert_eq!(held.read_response().unwrap().status, 200);
    let expected = format!("Bearer {CREDENTIAL}");
    assert_eq!(upstream.seen().last().unwrap().authorization(), Some(expected.as_str()));
    assert_eq!(
        left_of_the_credential(dev.pids().dataplane, found_in_the_open),
        "",
        "while the grant lives"
    );

    let grant = first("grants", "active");
    let revoke = ["grants", "revoke", &grant];
    let output = dev.penstock(&[&revoke[..], &as_lead[..]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(left_of_the_credential(dev.pids().dataplane, found), "", "once it is revoked");
}

#[test]
fn a_credential_is_gone_from_memory_also_where_the_model_server_speaks_tls() {
    if !may_read() {
        return;
    }
    let mut tls = OpenSsl::start();
    let certificate = Certificate::make();
    let server = tls.serve(&TlsServer::showing(&certificate));
    let documents = documents::connection_with_secret(CONNECTION, &server, "model-key")
        + &documents::allow(RULE, "engineers", "infer.*, list");
    let dev = Dev::start(&documents);
    let output = dev.penstock_with_input(&["secret", "set", "model-key"], CREDENTIAL);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let node = SecuredNode::join(&dev, &certificate.authority());
    let token = dev.token("ada@example.com", &["engineers"], &[]);
    let authority = node.certificate().authority();
    assert!(tls.connect("caller", node.address(), &authority, "1.3", None).is_ok());
    let path = format!("/{CONNECTION}/v1/models");
    eventually("a request with the credential", || {
        (tls.get("caller", &path, &token).0 == 200).then_some(())
    });
    tls.close("caller");
    let left = left_of_the_credential(node.process_id(), found_in_the_open);
    assert_eq!(left, "", "while it is leased");
    assert_eq!(dev.penstock(&["delete", "rule", RULE]).code, 0);
    assert_eq!(left_of_the_credential(node.process_id(), found), "", "once its rule is gone");
}
