//! The policies that schedules swap, and the state that each of them begins with.

use std::sync::OnceLock;

use penstock_app::event::{Apply, Joined};
use penstock_app::state::{SignedSnapshot, StoredDocument};
use penstock_app::{Change, Durable, Effect, Event, Requester, State, Tuning};
use penstock_config::documents::{Source, parse};
use penstock_config::identity::Identity;
use penstock_config::node::Position;

/// When every schedule begins, milliseconds since the Unix epoch.
pub(crate) const BEGIN_MS: u64 = 1_000_000_000;
/// The nodes.
pub(crate) const NODES: [&str; 3] = ["node-0", "node-1", "node-2"];

const COMMON: &str = "
kind: issuer
name: dev
issuer: http://127.0.0.1:9000
audiences: [penstock]
---
kind: role
name: administrators
role: admin
subjects: [{groups: [admins]}]
---
kind: connection
name: llama
protocol: llamacpp
version: b11434
endpoints: [http://127.0.0.1:8080]
---
kind: person
name: eve
identities: [{issuer: dev, subject: eve}, {issuer: dev, subject: eve-root}]
---
kind: person
name: lea
identities: [{issuer: dev, subject: lea}, {issuer: dev, subject: lea-two}]
";

const RULE: &str = "
---
kind: rule
name: adapters
effect: approve
subjects: [{groups: [engineers]}]
operations: [adapter.*, model.*]
approval:
  answer_ms_max: 600000
  hold_ms_max: 30000
  grant: {minutes_max: 5, uses_max: 3}
  break_glass: {subjects: [{users: [zoe]}], minutes_max: 4, justify_ms_max: 300000}
";

/// What each policy adds to what all of them have.
const VARIANTS: [&str; 6] = [
    "  reviewers: [{groups: [leads]}]\n",
    "  reviewers: [{groups: [leads]}]\n  quorum: 2\n",
    "  one_from_each: [{groups: [leads]}, {groups: [security]}]\n  quorum: 2\n",
    "  reviewers: [{groups: [leads]}]
---
kind: rule
name: models
effect: approve
subjects: [{groups: [engineers]}]
operations: [adapter.load]
models: [m1]
approval:
  reviewers: [{groups: [security]}]
  grant: {minutes_max: 3, uses_max: 2}
",
    "  reviewers: [{groups: [leads]}]
---
kind: rule
name: never
effect: deny
operations: [adapter.load]
models: [m2]
",
    // The rule stands under another name: grants of the old one are good for nothing.
    "",
];

/// Everything that schedules share.
pub(crate) struct Base {
    /// After the first run, with the first policy and all nodes.
    pub(crate) state: State,
    /// Documents of each policy.
    pub(crate) policies: Vec<Vec<StoredDocument>>,
}

/// Made once a process: parsing documents takes longer than a schedule. One of the two does not
/// know who is one person.
pub(crate) fn base(without_persons: bool) -> &'static Base {
    static BASES: [OnceLock<Base>; 2] = [OnceLock::new(), OnceLock::new()];
    let [with, without] = &BASES;
    if without_persons {
        without.get_or_init(|| make(COMMON.split("---\nkind: person").next().unwrap_or_default()))
    } else {
        with.get_or_init(|| make(COMMON))
    }
}

fn text(common: &str, variant: &str) -> String {
    if variant.is_empty() {
        let other = RULE.replace("name: adapters", "name: other");
        return format!("{common}{other}  reviewers: [{{groups: [security]}}]\n");
    }
    format!("{common}{RULE}{variant}")
}

fn source(text: String) -> Source {
    Source { name: "policy.yaml".to_owned(), text }
}

pub(crate) fn admin() -> Requester {
    let groups = vec!["admins".to_owned()];
    let (issuer, subject, user) = ("dev".to_owned(), "ada".to_owned(), "ada".to_owned());
    Requester::Identity(Box::new(Identity { issuer, subject, user, groups, ..Identity::default() }))
}

fn make(common: &str) -> Base {
    let durable = Durable {
        cluster: "sim".to_owned(),
        position: Position { epoch: 1, version: 0, revision: 0 },
        ..Durable::default()
    };
    let mut state = State::new(durable, Tuning::default());
    let mut policies = Vec::new();
    for (number, variant) in VARIANTS.into_iter().enumerate().rev() {
        let sources = vec![source(text(common, variant))];
        let event = if number + 1 == VARIANTS.len() {
            let placed = parse(&sources).unwrap_or_default();
            Event::FirstRun { documents: placed.into_iter().map(|one| one.document).collect() }
        } else {
            let by = admin();
            let (prune, dry_run, expect_version, cut_open) = (true, false, None, false);
            Event::ApplyDocuments(Apply { by, sources, prune, dry_run, expect_version, cut_open })
        };
        state = step(&state, event);
        policies.insert(0, state.durable.documents.values().cloned().collect());
    }
    for node in NODES {
        let token_sha256 = format!("token of {node}");
        let by = admin();
        let event = Event::JoinFileIssued { by, token_sha256: token_sha256.clone() };
        state = step(&state, event);
        state = step(&state, joined(node, token_sha256));
    }
    Base { state, policies }
}

fn joined(node: &str, token_sha256: String) -> Event {
    Event::NodeJoined(Joined {
        token_sha256,
        node: node.to_owned(),
        name: "host".to_owned(),
        certificate_sha256: node.to_owned(),
    })
}

/// One event that is not refused.
fn step(state: &State, event: Event) -> State {
    match state.apply(event, BEGIN_MS) {
        Ok(outcome) => {
            let mut next = outcome.state;
            let published = outcome.effects.into_iter().find_map(|effect| match effect {
                Effect::Publish(snapshot) => Some(snapshot),
                Effect::Persist(_) | Effect::FetchKeys { .. } | Effect::Notify(_) => None,
            });
            if let Some(snapshot) = published {
                sign(&mut next, snapshot.position);
            }
            next
        }
        Err(refusal) => panic!("a schedule can't begin: {refusal:?}"),
    }
}

/// What stands for a signature: nothing here looks at it.
pub(crate) fn sign(state: &mut State, position: Position) -> Change {
    state.signed(SignedSnapshot {
        position,
        issued_ms: 0,
        expires_ms: u64::MAX,
        sha256: String::new(),
        signer: String::new(),
        bytes: Vec::new().into(),
    })
}
