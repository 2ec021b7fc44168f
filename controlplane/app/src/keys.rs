//! Issuers' keys: when they are fetched, and which ones count.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_config::documents::Issuer;
use serde_json::{Value, json};

use crate::draft::Draft;
use crate::event::{Actor, Answer, Change, Outcome};
use crate::publish::is_due;
use crate::state::{Fetch, IssuerKeys, KeySet, KeySource, State};

/// A fetch that said nothing for this long is given up: it has 5 s in total.
const FETCH_MS_MAX: u64 = 15_000;
/// Members of a key that verifying takes (RFC 7517 section 4, RFC 7518 section 6): the others, such
/// as certificates, are neither compared nor kept.
const KEY_MEMBERS: [&str; 10] = ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"];
/// Longest key id.
const KID_BYTES_MAX: usize = 256;

/// Gives each issuer in force its place in the schedule, and forgets the others. One that is new,
/// or whose keys come from another place now, is due at once.
pub(crate) fn reconcile(state: &mut State) {
    let scheduled = |issuer: &Issuer| {
        let source = KeySource::of(issuer);
        let held = state.fetches.get(&issuer.name).filter(|held| held.source == source);
        (issuer.name.clone(), held.cloned().unwrap_or_else(|| Fetch::due(source)))
    };
    let fetches: BTreeMap<String, Fetch> = state.issuers().map(scheduled).collect();
    state.fetches = Arc::new(fetches);
}

/// After documents changed: keys from another place count no more, new issuers are fetched at once.
pub(crate) fn follow_documents(draft: &mut Draft, now_ms: u64) {
    let held = draft.state.durable.keys.clone();
    for (name, keys) in held.iter() {
        if !is_current(&draft.state, name, &keys.source) {
            Arc::make_mut(&mut draft.state.durable.keys).remove(name);
            draft.change(Change::KeysDeleted(name.clone()));
        }
    }
    reconcile(&mut draft.state);
    start_due(draft, now_ms);
}

/// Starts every fetch that is due.
pub(crate) fn start_due(draft: &mut Draft, now_ms: u64) {
    let fetches = draft.state.fetches.clone();
    let tuning = &draft.state.tuning;
    let longest_ms = tuning.jwks_refresh_ms.max(tuning.backoff_ms_max);
    let due = fetches
        .iter()
        .filter(|(_, f)| is_due(f.next_ms, longest_ms, now_ms) && !in_flight(f, now_ms));
    for (name, fetch) in due {
        start(draft, name, &fetch.source, now_ms);
    }
}

fn start(draft: &mut Draft, name: &str, source: &KeySource, now_ms: u64) {
    if let Some(fetch) = Arc::make_mut(&mut draft.state.fetches).get_mut(name) {
        fetch.in_flight_ms = Some(now_ms);
        draft.fetch(name.to_owned(), source.clone());
    }
}

fn in_flight(fetch: &Fetch, now_ms: u64) -> bool {
    let until_ms = |began_ms: u64| began_ms.saturating_add(FETCH_MS_MAX);
    fetch.in_flight_ms.is_some_and(|began_ms| !is_due(until_ms(began_ms), FETCH_MS_MAX, now_ms))
}

/// Whether the issuer is in force and its keys still come from there.
fn is_current(state: &State, name: &str, source: &KeySource) -> bool {
    state.issuers().any(|issuer| issuer.name == name && KeySource::of(issuer) == *source)
}

/// A good set arrived. One that differs is in force from now on, in a new snapshot: a key that is
/// not in it is removed.
pub(crate) fn fetched(
    state: &State,
    name: &str,
    source: &KeySource,
    mut keys: KeySet,
    now_ms: u64,
) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    if keys.is_empty() || !is_current(state, name, source) {
        return draft.finish(Answer::Done);
    }
    if let Some(fetch) = Arc::make_mut(&mut draft.state.fetches).get_mut(name) {
        fetch.in_flight_ms = None;
        fetch.next_ms = now_ms.saturating_add(state.tuning.jwks_refresh_ms);
        fetch.fetched_ms = Some(now_ms);
        fetch.failures = 0;
        fetch.problem = None;
    }
    for key in &mut keys {
        key.retain(|member, _| KEY_MEMBERS.contains(&member.as_str()));
    }
    keys.sort_by_cached_key(|key| Value::Object(key.clone()).to_string());
    let before = state.durable.keys.get(name).map(|held| held.keys.clone()).unwrap_or_default();
    if *before == keys {
        return draft.finish(Answer::Done);
    }
    let held = IssuerKeys { source: source.clone(), keys: Arc::new(keys), changed_ms: now_ms };
    let (old, new) = (shown(&before), shown(&held.keys));
    Arc::make_mut(&mut draft.state.durable.keys).insert(name.to_owned(), held.clone());
    draft.change(Change::KeysSet(name.to_owned(), held));
    draft.publish_revision();
    draft.act(Actor::system(), "keys.change", format!("issuer/{name}"), &old, &new);
    draft.finish(Answer::Done)
}

/// A fetch failed: the last good keys stay, and the next try waits longer.
pub(crate) fn failed(
    state: &State,
    name: &str,
    source: &KeySource,
    problem: String,
    jitter: u16,
    now_ms: u64,
) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    let fetches = Arc::make_mut(&mut draft.state.fetches);
    if let Some(fetch) = fetches.get_mut(name).filter(|fetch| fetch.source == *source) {
        let doubled = state.tuning.backoff_ms_min.saturating_mul(1 << fetch.failures.min(20));
        let half = doubled.min(state.tuning.backoff_ms_max) / 2;
        let spread = half.saturating_mul(u64::from(jitter.min(1_000))) / 1_000;
        fetch.in_flight_ms = None;
        fetch.failures = fetch.failures.saturating_add(1);
        fetch.next_ms = now_ms.saturating_add(half).saturating_add(spread);
        fetch.problem = Some(problem);
    }
    draft.finish(Answer::Done)
}

impl State {
    /// Whether a key id that nobody knows is a reason to fetch an issuer's keys now: one fetch, and
    /// then none for a while, whatever ids callers make up.
    pub fn is_worth_fetching(&self, issuer: &str, kid: &str, now_ms: u64) -> bool {
        let document = self.issuers().find(|document| document.name == issuer);
        let (Some(document), Some(fetch)) = (document, self.fetches.get(issuer)) else {
            return false;
        };
        let keys = self.keys_of(document);
        let known = keys.iter().any(|key| key.get("kid").and_then(Value::as_str) == Some(kid));
        let interval = self.tuning.unknown_key_interval_ms;
        let soon = fetch
            .unknown_ms
            .is_some_and(|last| !is_due(last.saturating_add(interval), interval, now_ms));
        !known && !soon && kid.len() <= KID_BYTES_MAX && !in_flight(fetch, now_ms)
    }
}

/// A node met an unknown key id.
pub(crate) fn unknown(state: &State, name: &str, kid: &str, now_ms: u64) -> Outcome {
    let mut draft = Draft::new(state, now_ms);
    let fetch = state.fetches.get(name).filter(|_| state.is_worth_fetching(name, kid, now_ms));
    let Some(source) = fetch.map(|fetch| &fetch.source) else { return draft.finish(Answer::Done) };
    if let Some(fetch) = Arc::make_mut(&mut draft.state.fetches).get_mut(name) {
        fetch.unknown_ms = Some(now_ms);
    }
    start(&mut draft, name, source, now_ms);
    draft.finish(Answer::Done)
}

/// Keys as an act keeps them.
fn shown(keys: &KeySet) -> Value {
    let members = ["kid", "kty", "alg", "crv"];
    let shown: Vec<Value> = keys
        .iter()
        .map(|key| {
            let kept = members.iter().filter_map(|m| Some((*m, key.get(*m)?.clone())));
            Value::Object(kept.map(|(member, value)| (member.to_owned(), value)).collect())
        })
        .collect();
    json!({"keys": shown})
}
