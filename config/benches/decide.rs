//! What a decision costs: 1,000 and 10,000 rules of as many teams, each with its own group, some
//! with models of their own, and rules that concern everybody. An engineer of three teams asks.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use penstock_config::catalogue::{Classified, Operation, Risk, Table};
use penstock_config::decision::{
    ConnectionIndex, Decision, LiveGrant, LiveGrants, Policy, SubjectRules,
};
use penstock_config::documents::{
    Approval, Connection, ConnectionLimits, Effect, Endpoint, GrantLimits, HeldStream, Hours,
    Issuer, Protocol, Reason, Rule, Subject,
};
use penstock_config::identity::Identity;
use penstock_config::json::Body;
use penstock_config::target::Target;

const CONNECTIONS: usize = 100;

/// 2026-11-27 12:00:00 UTC.
const NOW_MS: u64 = 1_795_780_800_000;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn issuer() -> Issuer {
    Issuer {
        name: "company".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        jwks_uri: None,
        audiences: strings(&["penstock"]),
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        leeway_ms: 30_000,
        lifetime_ms_max: 86_400_000,
        token_types: strings(&["JWT"]),
        client_id: None,
    }
}

fn connection(index: usize) -> Connection {
    Connection {
        name: format!("server-{index}"),
        protocol: Protocol::Vllm,
        version: None,
        endpoints: vec![Endpoint {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            base_path: String::new(),
        }],
        tls: None,
        credential: None,
        mask: None,
        limits: ConnectionLimits { decision_bytes_max: 1, body_bytes_max: 1, stream_ms_max: 1 },
        table: Vec::new(),
    }
}

/// One rule in ten concerns everybody; one in four is for models of its own.
fn rule(index: usize) -> Rule {
    let team = format!("team-{index}");
    let everybody = index.is_multiple_of(10);
    let groups = if everybody { "everybody".to_owned() } else { team.clone() };
    Rule {
        name: format!("rule-{index}"),
        effect: if index.is_multiple_of(7) { Effect::Deny } else { Effect::Allow },
        subjects: vec![Subject { groups: Some(vec![groups]), ..Subject::default() }],
        except: Vec::new(),
        connections: match index % 3 {
            0 => strings(&["*"]),
            1 => vec![format!("server-{}", index % CONNECTIONS)],
            _ => vec![format!("server-{}*", index % 10)],
        },
        operations: match index % 5 {
            _ if index.is_multiple_of(7) => strings(&["weights.*", "exec", "lifecycle"]),
            0 => strings(&["list"]),
            1 => strings(&["infer.*", "embed"]),
            2 => strings(&["infer.chat", "tokenize"]),
            3 => strings(&["metrics", "read.config"]),
            _ => strings(&["adapter.*", "cache.flush"]),
        },
        models: match index % 8 {
            0 => vec![format!("{team}-model")],
            1 => vec![format!("{team}/*")],
            _ => strings(&["*"]),
        },
        when: Vec::new(),
        end_with_token: false,
        approval: None,
    }
}

struct Case {
    policy: Policy,
    identity: Identity,
    subject: SubjectRules,
    connection: ConnectionIndex,
}

fn case(rules: Vec<Rule>, groups: &[String]) -> Case {
    let connections: Vec<Connection> = (0..CONNECTIONS).map(connection).collect();
    let policy = Policy::compile(&[issuer()], &connections, &rules).expect("rules that hold");
    let identity = Identity {
        issuer: "company".to_owned(),
        user: "ann@example.com".to_owned(),
        groups: groups.to_vec(),
        ..Identity::default()
    };
    let subject = policy.subject_rules(&identity);
    let connection = policy.connection("server-1").expect("a connection of that name");
    Case { policy, identity, subject, connection }
}

fn operation(name: &str) -> Operation {
    Operation::named(name).expect("an operation of that name")
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for count in [1_000, 10_000] {
        let rules: Vec<Rule> = (0..count).map(rule).collect();
        let last = count - 9;
        let groups = ["everybody".to_owned(), "team-7".to_owned(), format!("team-{last}")];
        let case = case(rules.clone(), &groups);
        let chat = Classified::new(&[operation("infer.chat")], Risk::Low, Some("llama-3"));
        let denied = Classified::new(&[operation("debug.profile")], Risk::High, None);
        for (name, request) in [("allowed", &chat), ("no_rule", &denied)] {
            group.bench_function(BenchmarkId::new(name, count), |b| {
                let Case { policy, identity, subject, connection } = &case;
                b.iter(|| {
                    policy.decide(identity, subject, *connection, black_box(request), NOW_MS)
                });
            });
        }
        group.bench_function(BenchmarkId::new("subject_rules", count), |b| {
            b.iter(|| case.policy.subject_rules(black_box(&case.identity)));
        });

        // Every rule concerns the identity, and each is for one model: the last one decides.
        let named = rules.iter().enumerate().map(|(index, rule)| Rule {
            effect: Effect::Allow,
            subjects: vec![Subject { groups: Some(strings(&["everybody"])), ..Subject::default() }],
            connections: strings(&["*"]),
            operations: strings(&["infer.*"]),
            models: vec![format!("model-{index}")],
            ..rule.clone()
        });
        let case = self::case(named.collect(), &groups);
        let model = format!("model-{}", count - 1);
        let chat = Classified::new(&[operation("infer.chat")], Risk::Low, Some(&model));
        group.bench_function(BenchmarkId::new("a_rule_a_model", count), |b| {
            let Case { policy, identity, subject, connection } = &case;
            b.iter(|| policy.decide(identity, subject, *connection, black_box(&chat), NOW_MS));
        });
    }
    group.finish();
}

/// Every tenth rule asks for approval; a third of these have hours, and so do rules for everybody.
fn full_rule(index: usize, groups: usize) -> Rule {
    let rule = rule(index);
    let asks = index % 10 == 3;
    let group = format!("team-{}", index % groups);
    let everybody = index.is_multiple_of(100);
    let hours = Hours { days: Vec::new(), from: 420, to: 1_200, zone: "Europe/Berlin".to_owned() };
    let named = if everybody { "everybody".to_owned() } else { group };
    Rule {
        effect: if asks { Effect::Approve } else { rule.effect },
        subjects: vec![Subject { groups: Some(vec![named]), ..Subject::default() }],
        operations: if asks { strings(&["adapter.*", "weights.*"]) } else { rule.operations },
        models: if asks { strings(&["*"]) } else { rule.models },
        when: if everybody || index % 30 == 3 { vec![hours] } else { Vec::new() },
        approval: asks.then(approval),
        ..rule
    }
}

fn approval() -> Approval {
    Approval {
        reviewers: vec![Subject { groups: Some(strings(&["leads"])), ..Subject::default() }],
        quorum: 1,
        one_from_each: Vec::new(),
        reason: Reason::Optional,
        ticket: None,
        hold_ms_max: 60_000,
        answer_ms_max: 3_600_000,
        stream: HeldStream::Wait,
        grant: GrantLimits { minutes_max: 30, uses_max: 1 },
        show: Vec::new(),
        auto_approve: Vec::new(),
        break_glass: None,
    }
}

/// 1,000 grants of 100 people, ten each, five of them on the connection that is asked for. Each
/// lists the rules that a request named, as grants do.
fn live_grants(rules: &[Arc<str>]) -> LiveGrants {
    let mut grants = LiveGrants::default();
    for index in 0..1_000 {
        let place = if index % 10 < 5 { 1 } else { index % 10 };
        grants.insert(LiveGrant {
            id: Arc::from(format!("grt-{index}")),
            issuer: "company".to_owned(),
            subject: format!("person-{}", index / 10),
            connection: format!("server-{place}"),
            operations: strings(if index % 10 == 4 { &["adapter.*"] } else { &["weights.*"] }),
            models: strings(&["*"]),
            rules: rules.to_vec(),
        });
    }
    grants
}

/// 200 more of one person on that connection: past so many the control plane gives no further ones
/// by itself. The last one alone covers what is asked for.
fn more_grants(grants: &mut LiveGrants, rules: &[Arc<str>]) {
    for index in 0..200 {
        grants.insert(LiveGrant {
            id: Arc::from(format!("one-{index}")),
            issuer: "company".to_owned(),
            subject: "collector".to_owned(),
            connection: "server-1".to_owned(),
            operations: strings(&["adapter.*"]),
            models: vec![if index == 199 { "*".to_owned() } else { format!("model-{index}") }],
            rules: rules.to_vec(),
        });
    }
}

/// What a request under an approve rule costs, each time anew: the decision among 10,000 rules that
/// name 1,000 groups, and whether 1,000 live grants satisfy all rules that it names. What is made
/// once a token (`subject_rules`) is measured by itself.
fn decide_full(c: &mut Criterion) {
    let rules: Vec<Rule> = (0..10_000).map(|index| full_rule(index, 1_000)).collect();
    let groups = ["everybody".to_owned(), "team-7".to_owned(), "team-13".to_owned()];
    let Case { policy, identity, connection, .. } = case(rules.clone(), &groups);
    let identity = Identity { subject: "person-42".to_owned(), ..identity };
    let subject = policy.subject_rules(&identity);
    let chat = Classified::new(&[operation("infer.chat")], Risk::Low, Some("llama-3"));
    let load = Classified::new(&[operation("adapter.load")], Risk::High, Some("llama-3"));
    let ask = |grants: &LiveGrants, identity: &Identity, request: &Classified| match policy
        .decide(identity, &subject, connection, request, NOW_MS)
    {
        Decision::Allow { .. } => Some((0, 0)),
        Decision::Approve { rules, .. } => {
            let left = grants.unsatisfied(identity, "server-1", request, &rules).count();
            Some((rules.len(), left))
        }
        Decision::Deny { .. } => None,
    };
    let named = |request: &Classified| match policy
        .decide(&identity, &subject, connection, request, NOW_MS)
    {
        Decision::Approve { rules, .. } => rules.to_vec(),
        Decision::Allow { .. } | Decision::Deny { .. } => Vec::new(),
    };
    let grants = live_grants(&named(&load));
    let mut many = live_grants(&named(&load));
    more_grants(&mut many, &named(&load));
    let holder = Identity { subject: "collector".to_owned(), ..identity.clone() };
    let stranger = Identity { subject: "somebody".to_owned(), ..identity.clone() };
    let rules = named(&load).len();
    assert!(rules > 0, "it needs approval");
    assert_eq!(ask(&grants, &identity, &chat), Some((0, 0)), "allowed");
    assert_eq!(ask(&grants, &identity, &load), Some((rules, 0)), "granted");
    assert_eq!(ask(&grants, &stranger, &load), Some((rules, rules)), "not granted");
    assert_eq!(ask(&many, &holder, &load), Some((rules, 0)), "granted by the last");
    let mut group = c.benchmark_group("decide-full");
    for (name, grants, identity, request) in [
        ("allowed", &grants, &identity, &chat),
        ("granted", &grants, &identity, &load),
        ("not_granted", &grants, &stranger, &load),
        ("granted_by_the_last_of_200", &many, &holder, &load),
    ] {
        group.bench_function(name, |b| b.iter(|| ask(grants, identity, black_box(request))));
    }
    group.finish();
}

fn compile(c: &mut Criterion) {
    let rules: Vec<Rule> = (0..10_000).map(rule).collect();
    let connections: Vec<Connection> = (0..CONNECTIONS).map(connection).collect();
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    group.bench_function(BenchmarkId::from_parameter(rules.len()), |b| {
        b.iter(|| Policy::compile(&[issuer()], &connections, black_box(&rules)));
    });
    group.finish();
}

fn classify(c: &mut Criterion) {
    let mut group = c.benchmark_group("classify");
    let (table, _) = Table::build(Protocol::Vllm, None, &[]).expect("a table that is sound");
    let raw: &[u8] = b"/server-1/v1/chat/completions";
    group.bench_function("target", |b| b.iter(|| Target::parse(black_box(raw))));
    for kilobytes in [1, 64, 1_024] {
        let prompt = "some words and \\\"quotes\\\" of a prompt. ".repeat(kilobytes * 27);
        let body =
            format!(r#"{{"model":"llama-3","stream":true,"messages":[{{"content":"{prompt}"}}]}}"#);
        let target = Target::parse(raw).expect("a good target");
        group.bench_function(BenchmarkId::new("chat_kilobytes", kilobytes), |b| {
            let scratch = || {
                let mut scratch = Vec::with_capacity(body.len() + 64);
                scratch.extend_from_slice(body.as_bytes());
                scratch
            };
            let classify = |scratch: Vec<u8>| {
                let candidates = table.candidates("POST", &target).expect("a known path");
                let body = Body::parse(scratch, candidates.wanted()).expect("a good body");
                candidates.resolve(&target, Some(&body))
            };
            b.iter_batched(scratch, classify, BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// Bodies of 8 MiB that are made to cost the most; those with too many keys or values are refused.
fn hostile(c: &mut Criterion) {
    const BYTES: usize = 8 << 20;
    let (table, _) = Table::build(Protocol::Vllm, None, &[]).expect("a table that is sound");
    let target = Target::parse(b"/server-1/v1/chat/completions").expect("a good target");
    let candidates = table.candidates("POST", &target).expect("a known path");
    let object = |count: usize, padding: usize| {
        let padding = "x".repeat(padding);
        let members: Vec<String> = (0..count).map(|key| format!("\"{padding}{key}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let mut group = c.benchmark_group("hostile_body");
    group.sample_size(10);
    for (name, body) in [
        ("many_keys", object(700_000, 0)),
        ("long_keys", object(4_096, 2_030)),
        ("numbers", format!("[{}0]", "-0.12345678e-1,".repeat(520_000))),
        ("escapes", format!("\"{}\"", "\\\"".repeat(BYTES / 2 - 1))),
    ] {
        assert!(body.len() <= BYTES, "{name}");
        group.bench_function(name, |b| {
            let scratch = || {
                let mut scratch = Vec::with_capacity(body.len() + 64);
                scratch.extend_from_slice(body.as_bytes());
                scratch
            };
            let parse = |scratch: Vec<u8>| Body::parse(scratch, candidates.wanted());
            b.iter_batched(scratch, parse, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, decide, decide_full, compile, classify, hostile);
criterion_main!(benches);
