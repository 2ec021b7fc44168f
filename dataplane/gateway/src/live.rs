//! What is in force at this moment, as one core knows it: what was revoked, what has just ended,
//! and when the control plane was last heard. It comes in answers of `GET /node/v1/live`, made
//! ready once on the sync thread for all cores.
//!
//! An event may overtake the answer that it makes untrue: a grant ends while "go" is on its way. So
//! a core remembers what was decided or ended for longer than any question is out, and asks again
//! where that came while the question was out.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use penstock_config::digest::hex;
use penstock_config::hold::{Live, LiveEvent};
use penstock_config::identity::{Identity, TokenSource};
use serde::{Deserialize, Serialize};

use crate::session::SessionId;
use crate::upstream_tls::digest;

/// Stands for an identity or a token: SHA-256, so that every entry of a table is as small, and
/// nothing of a token is kept.
pub(crate) type Mark = [u8; 32];

/// Revoked identities, and revoked tokens, that a core keeps.
pub(crate) const REVOCATIONS_MAX: usize = 100_000;

/// Share of a full table that goes at once: those that were issued or revoked first, whose tokens
/// are the first to have ended by themselves.
const DROPPED_SHARE: usize = 16;

/// Things that were decided or ended lately, of each kind.
const RECENT_MAX: usize = 10_000;

/// How long they are remembered: longer than a question is out.
const RECENT_FOR: Duration = Duration::from_secs(120);

/// What of a verified token a revocation may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// The whole token: its SHA-256.
    pub(crate) token: Mark,
    /// Its `jti` and issuer.
    token_id: Option<Mark>,
    /// Issuer and subject.
    identity: Mark,
    /// When it was issued, milliseconds since the Unix epoch; 0 where it does not say.
    pub(crate) issued_ms: u64,
    /// What it was exchanged for, where it was.
    source: Option<SourceMarks>,
}

/// What a revocation may name of the token that another one was exchanged for.
#[derive(Clone, Copy, Debug)]
struct SourceMarks {
    token: Mark,
    token_id: Option<Mark>,
    identity: Mark,
}

impl SourceMarks {
    fn of(source: TokenSource<'_>) -> Option<Self> {
        let TokenSource { issuer, subject, sha256, id } = source;
        Some(Self {
            token: mark(sha256).ok()?,
            token_id: id.map(|id| token_id(issuer, id)),
            identity: identity_mark(issuer, subject),
        })
    }
}

impl Marks {
    /// What stands for who it is.
    pub(crate) fn identity(&self) -> &Mark {
        &self.identity
    }

    /// Of a token and what was verified of it.
    pub(crate) fn of(token: &[u8], identity: &Identity) -> Self {
        let id = identity.claims.get("jti").and_then(serde_json::Value::as_str);
        let issued = identity.claims.get("iat").and_then(serde_json::Value::as_u64);
        Self {
            token: penstock_config::digest::sha256(token),
            token_id: id.map(|id| token_id(&identity.issuer, id)),
            identity: identity_mark(&identity.issuer, &identity.subject),
            issued_ms: issued.unwrap_or(0).saturating_mul(1_000),
            source: identity.source().and_then(SourceMarks::of),
        }
    }
}

fn identity_mark(issuer: &str, subject: &str) -> Mark {
    digest(&[Some(b"identity"), Some(issuer.as_bytes()), Some(subject.as_bytes())])
}

fn token_id(issuer: &str, id: &str) -> Mark {
    digest(&[Some(b"token"), Some(issuer.as_bytes()), Some(id.as_bytes())])
}

/// One answer of the control plane, ready for every core.
#[derive(Debug, Default)]
pub(crate) struct LiveChange {
    /// Counts the changes of this process; cores say which they have acted on.
    pub(crate) number: u64,
    /// Boot time at which the answer came.
    pub(crate) heard: Duration,
    /// The control plane's clock.
    pub(crate) server_ms: u64,
    /// Where everything is replaced: ids of the grants in force.
    in_force: Option<HashSet<String>>,
    decided: HashSet<String>,
    ended: HashSet<String>,
    killed: HashSet<SessionId>,
    identities: HashMap<Mark, u64>,
    tokens: HashSet<Mark>,
}

/// An answer with a part that can't be read: none of it counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unreadable;

impl LiveChange {
    /// Of an answer.
    ///
    /// # Errors
    /// A hash or session that is none: what was revoked must not be passed over.
    pub(crate) fn new(number: u64, heard: Duration, live: Live) -> Result<Self, Unreadable> {
        let mut change = Self { number, heard, server_ms: live.server_ms, ..Self::default() };
        let mut in_force = HashSet::new();
        for event in live.events {
            match event {
                LiveEvent::Approval { id } => drop(change.decided.insert(id)),
                LiveEvent::GrantLive { id, .. } => drop(in_force.insert(id)),
                LiveEvent::GrantEnded { id } => drop(change.ended.insert(id)),
                LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max } => {
                    let mark = identity_mark(&issuer, &subject);
                    let known = change.identities.entry(mark).or_insert(0);
                    *known = issued_ms_max.max(*known);
                }
                LiveEvent::TokenRevoked { sha256, id } => {
                    let by_id = id.as_ref().map(|(issuer, id)| token_id(issuer, id));
                    let by_hash = sha256.as_deref().map(mark).transpose()?;
                    if by_id.is_none() && by_hash.is_none() {
                        return Err(Unreadable);
                    }
                    change.tokens.extend(by_id);
                    change.tokens.extend(by_hash);
                }
                LiveEvent::SessionKilled { session } => {
                    change.killed.insert(SessionId::parse(&session).ok_or(Unreadable)?);
                }
            }
        }
        change.in_force = live.full.then_some(in_force);
        Ok(change)
    }

    /// Whether a core has anything to look through.
    pub(crate) fn concerns_exchanges(&self) -> bool {
        self.in_force.is_some()
            || !(self.decided.is_empty()
                && self.ended.is_empty()
                && self.killed.is_empty()
                && self.identities.is_empty()
                && self.tokens.is_empty())
    }

    /// Whether something else is revoked after it than before.
    pub(crate) fn may_revoke(&self) -> bool {
        self.is_full() || !(self.identities.is_empty() && self.tokens.is_empty())
    }

    /// Whether everything is replaced.
    pub(crate) fn is_full(&self) -> bool {
        self.in_force.is_some()
    }

    /// Whether an approval was decided, or may have been.
    pub(crate) fn may_have_decided(&self, approval: Option<&str>) -> bool {
        self.is_full() || approval.is_some_and(|id| self.decided.contains(id))
    }

    /// Whether somebody killed this session.
    pub(crate) fn kills(&self, session: &SessionId) -> bool {
        self.killed.contains(session)
    }

    /// Whether this token, or whoever it speaks for, is revoked by it.
    pub(crate) fn revokes(&self, marks: &Marks) -> bool {
        revokes(marks, |mark| self.identities.get(mark).copied(), |mark| self.tokens.contains(mark))
    }

    /// Whether one of these grants has ended; they were live at `server_ms`. What is not in a whole
    /// answer has ended, unless it is younger than the answer.
    pub(crate) fn ends(&self, grants: &[String], server_ms: u64) -> bool {
        let is_gone = |id: &String| {
            let missing = self.in_force.as_ref().is_some_and(|live| !live.contains(id));
            self.ended.contains(id) || (missing && server_ms <= self.server_ms)
        };
        grants.iter().any(is_gone)
    }
}

fn revokes(
    marks: &Marks,
    identity: impl Fn(&Mark) -> Option<u64>,
    token: impl Fn(&Mark) -> bool,
) -> bool {
    let issued_before = |until: u64| marks.issued_ms <= until;
    let is_revoked = |of: &Mark, whole: &Mark, id: Option<&Mark>| {
        identity(of).is_some_and(issued_before) || token(whole) || id.is_some_and(&token)
    };
    is_revoked(&marks.identity, &marks.token, marks.token_id.as_ref())
        || marks.source.as_ref().is_some_and(|source| {
            is_revoked(&source.identity, &source.token, source.token_id.as_ref())
        })
}

/// 64 hex digits.
fn mark(hex: &str) -> Result<Mark, Unreadable> {
    crate::declared::sha256_of_hex(hex.as_bytes()).ok_or(Unreadable)
}

/// What one core knows.
#[derive(Debug, Default)]
pub(crate) struct LiveState {
    heard: Cell<Option<Duration>>,
    /// When everything was replaced last.
    replaced: Cell<Option<Duration>>,
    decided: RefCell<Recent>,
    ended: RefCell<Recent>,
    /// Until when the tokens of these were issued that do not hold.
    identities: RefCell<HashMap<Mark, u64>>,
    /// And tokens, with when that came.
    tokens: RefCell<HashMap<Mark, Duration>>,
}

/// What was revoked, as a node keeps it: marks only, so that nobody can be read off it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocations {
    /// Identities, each with until when the tokens were issued that do not hold.
    pub(crate) identities: Vec<(HexMark, u64)>,
    /// Tokens, the earliest revoked first.
    pub(crate) tokens: Vec<HexMark>,
}

/// A mark that is written as hex digits.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct HexMark(pub(crate) Mark);

impl From<HexMark> for String {
    fn from(HexMark(mark): HexMark) -> Self {
        hex(&mark)
    }
}

impl TryFrom<String> for HexMark {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        mark(&text).map(Self).map_err(|Unreadable| "not 64 hex digits")
    }
}

impl LiveState {
    /// What was known before, and nothing heard.
    pub(crate) fn knowing(known: &Revocations) -> Self {
        let state = Self::default();
        {
            let mut identities = state.identities.borrow_mut();
            let mut tokens = state.tokens.borrow_mut();
            identities
                .extend(known.identities.iter().map(|(HexMark(mark), until)| (*mark, *until)));
            tokens.extend(known.tokens.iter().map(|HexMark(mark)| (*mark, Duration::ZERO)));
            bound(&mut identities);
            bound(&mut tokens);
        }
        state
    }

    /// What is revoked, in an order that depends on nothing else: no more than a core keeps.
    pub(crate) fn known(&self) -> Revocations {
        let identities = self.identities.borrow();
        let mut identities: Vec<_> =
            identities.iter().map(|(mark, until)| (HexMark(*mark), *until)).collect();
        identities.sort_unstable();
        let tokens = self.tokens.borrow();
        let mut tokens: Vec<_> = tokens.iter().map(|(mark, at)| (*at, HexMark(*mark))).collect();
        tokens.sort_unstable();
        Revocations { identities, tokens: tokens.into_iter().map(|(_, mark)| mark).collect() }
    }

    /// Whether the control plane was heard within `silence_max` before this boot time.
    pub(crate) fn is_fresh(&self, boot: Duration, silence_max: Duration) -> bool {
        self.heard.get().is_some_and(|heard| boot.saturating_sub(heard) <= silence_max)
    }

    /// Whether this token, or whoever it speaks for, was revoked.
    pub(crate) fn is_revoked(&self, marks: &Marks) -> bool {
        let (identities, tokens) = (self.identities.borrow(), self.tokens.borrow());
        if identities.is_empty() && tokens.is_empty() {
            return false;
        }
        revokes(marks, |mark| identities.get(mark).copied(), |mark| tokens.contains_key(mark))
    }

    /// How many revocations are in force.
    pub(crate) fn revocations(&self) -> usize {
        self.identities.borrow().len().saturating_add(self.tokens.borrow().len())
    }

    /// Whether this approval may have been decided since a question was asked.
    pub(crate) fn decided_since(&self, approval: &str, asked: Duration) -> bool {
        self.was_replaced_since(asked) || self.decided.borrow().has_since(approval, asked)
    }

    /// Whether one of these grants may have ended since a question was asked.
    pub(crate) fn ended_since(&self, grants: &[String], asked: Duration) -> bool {
        let ended = self.ended.borrow();
        self.was_replaced_since(asked) || grants.iter().any(|id| ended.has_since(id, asked))
    }

    fn was_replaced_since(&self, asked: Duration) -> bool {
        self.replaced.get().is_some_and(|replaced| replaced >= asked)
    }

    /// Takes what an answer says, at this monotonic time.
    pub(crate) fn take(&self, change: &LiveChange, now: Duration) {
        let (mut identities, mut tokens) = (self.identities.borrow_mut(), self.tokens.borrow_mut());
        if change.is_full() {
            identities.clear();
            tokens.clear();
            self.replaced.set(Some(now));
        }
        for (mark, until) in &change.identities {
            let known = identities.entry(*mark).or_insert(0);
            *known = (*known).max(*until);
        }
        tokens.extend(change.tokens.iter().map(|mark| (*mark, now)));
        bound(&mut identities);
        bound(&mut tokens);
        self.decided.borrow_mut().note(&change.decided, now);
        self.ended.borrow_mut().note(&change.ended, now);
        let heard = self.heard.get().map_or(change.heard, |heard| heard.max(change.heard));
        self.heard.set(Some(heard));
    }
}

/// Makes room in a table that is too large.
fn bound<V: Copy + Ord>(table: &mut HashMap<Mark, V>) {
    while table.len() > REVOCATIONS_MAX {
        let mut values: Vec<V> = table.values().copied().collect();
        let share = (values.len() / DROPPED_SHARE).max(1);
        let (below, least, _) = values.select_nth_unstable(share);
        let least = *least;
        let mut ties = below.iter().filter(|value| **value == least).count();
        table.retain(|_, value| {
            let is_tie = *value == least && ties > 0;
            ties -= usize::from(is_tie);
            !is_tie && *value >= least
        });
    }
}

/// Ids of what happened lately, with when that was heard.
#[derive(Debug, Default)]
struct Recent {
    at: HashMap<String, Duration>,
    order: VecDeque<(Duration, String)>,
    /// When one was last forgotten before its time: about everything before, nothing is known.
    lost: Option<Duration>,
}

impl Recent {
    fn note(&mut self, ids: &HashSet<String>, now: Duration) {
        for id in ids {
            self.at.insert(id.clone(), now);
            self.order.push_back((now, id.clone()));
        }
        while let Some((at, _)) = self.order.front() {
            let too_many = self.order.len() > RECENT_MAX;
            if !too_many && now.saturating_sub(*at) <= RECENT_FOR {
                return;
            }
            if too_many {
                self.lost = Some(*at);
            }
            let Some((at, id)) = self.order.pop_front() else { return };
            if self.at.get(&id) == Some(&at) {
                self.at.remove(&id);
            }
        }
    }

    fn has_since(&self, id: &str, asked: Duration) -> bool {
        self.lost.is_some_and(|lost| lost >= asked)
            || self.at.get(id).is_some_and(|at| *at >= asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(subject: &str, claims: &str) -> Identity {
        let claims = serde_json::from_str(claims).unwrap();
        Identity {
            issuer: "company".into(),
            subject: subject.into(),
            claims,
            ..Identity::default()
        }
    }

    fn live(full: bool, server_ms: u64, events: Vec<LiveEvent>) -> LiveChange {
        let live = Live { run: "one".into(), sequence: 1, full, events, server_ms };
        LiveChange::new(1, Duration::ZERO, live).unwrap()
    }

    fn ended(id: &str) -> LiveEvent {
        LiveEvent::GrantEnded { id: id.to_owned() }
    }

    fn revoked_until(issued_ms_max: u64) -> LiveEvent {
        let (issuer, subject) = ("company".to_owned(), "ann".to_owned());
        LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max }
    }

    #[test]
    fn a_revoked_identity_is_refused_with_tokens_issued_up_to_then_or_at_no_stated_time() {
        let state = LiveState::default();
        state.take(&live(false, 1, vec![revoked_until(5_000)]), Duration::ZERO);
        let is_revoked =
            |subject, claims| state.is_revoked(&Marks::of(b"token", &identity(subject, claims)));
        assert!(is_revoked("ann", r#"{"iat": 5}"#));
        assert!(!is_revoked("ann", r#"{"iat": 6}"#));
        assert!(is_revoked("ann", "{}"));
        assert!(!is_revoked("bob", r#"{"iat": 5}"#));
    }

    #[test]
    fn a_token_is_revoked_by_its_hash_or_by_its_id_of_its_issuer() {
        let hash = penstock_config::digest::hex(&penstock_config::digest::sha256(b"one"));
        let by_hash = LiveEvent::TokenRevoked { sha256: Some(hash), id: None };
        let by_id =
            LiveEvent::TokenRevoked { sha256: None, id: Some(("company".into(), "id-7".into())) };
        let state = LiveState::default();
        state.take(&live(false, 1, vec![by_hash, by_id]), Duration::ZERO);
        let ann = identity("ann", r#"{"jti": "id-7"}"#);
        assert!(state.is_revoked(&Marks::of(b"two", &ann)));
        assert!(state.is_revoked(&Marks::of(b"one", &identity("ann", "{}"))));
        assert!(!state.is_revoked(&Marks::of(b"two", &identity("ann", "{}"))));
        let other = Identity { issuer: "ci".into(), ..ann };
        assert!(!state.is_revoked(&Marks::of(b"two", &other)), "another issuer's id");
        state.take(&live(true, 2, Vec::new()), Duration::ZERO);
        assert_eq!(state.revocations(), 0, "everything was replaced");
    }

    #[test]
    fn what_revokes_a_token_ends_what_it_was_exchanged_for() {
        let hash = hex(&penstock_config::digest::sha256(b"one"));
        let claims = format!(
            r#"{{"iat": 5, "jti": "new", "source":
                {{"iss": "company", "sub": "ann", "sha256": "{hash}", "jti": "id-7"}}}}"#
        );
        let job = Identity { issuer: "penstock".into(), ..identity("company:ann", &claims) };
        let by_hash = LiveEvent::TokenRevoked { sha256: Some(hash), id: None };
        let by_id =
            LiveEvent::TokenRevoked { sha256: None, id: Some(("company".into(), "id-7".into())) };
        for (event, expected) in [
            (by_hash, true),
            (by_id, true),
            (revoked_until(5_000), true),
            (revoked_until(4_999), false),
            (LiveEvent::TokenRevoked { sha256: Some("ab".repeat(32)), id: None }, false),
        ] {
            let change = live(false, 1, vec![event]);
            assert_eq!(change.revokes(&Marks::of(b"new", &job)), expected, "what runs");
            let state = LiveState::default();
            state.take(&change, Duration::ZERO);
            assert_eq!(state.is_revoked(&Marks::of(b"new", &job)), expected, "what begins");
            // Nobody else's claim says anything.
            let other = Identity { issuer: "ci".into(), ..job.clone() };
            assert!(!state.is_revoked(&Marks::of(b"new", &other)));
        }
    }

    #[test]
    fn what_was_revoked_is_known_again_from_what_was_kept_and_names_nobody() {
        let sha256 = penstock_config::digest::sha256;
        let by_hash = LiveEvent::TokenRevoked { sha256: Some(hex(&sha256(b"one"))), id: None };
        let by_id =
            LiveEvent::TokenRevoked { sha256: None, id: Some(("company".into(), "id-7".into())) };
        let state = LiveState::default();
        state.take(&live(false, 1, vec![revoked_until(5_000), by_hash, by_id]), Duration::ZERO);
        let kept = serde_json::to_string(&state.known()).unwrap();
        for word in ["company", "ann", "id-7"] {
            assert!(!kept.contains(word), "{kept}");
        }
        let known = LiveState::knowing(&serde_json::from_str(&kept).unwrap());
        assert_eq!(known.known(), state.known());
        let is_revoked = |token: &[u8], subject, claims| {
            known.is_revoked(&Marks::of(token, &identity(subject, claims)))
        };
        assert!(is_revoked(b"x", "ann", r#"{"iat": 5}"#));
        assert!(!is_revoked(b"x", "ann", r#"{"iat": 6}"#));
        assert!(is_revoked(b"one", "bob", r#"{"iat": 6}"#));
        assert!(is_revoked(b"x", "bob", r#"{"iat": 6, "jti": "id-7"}"#));
        assert!(!known.is_fresh(Duration::ZERO, Duration::MAX), "nothing was heard");
    }

    #[test]
    fn an_answer_with_a_part_that_is_not_understood_does_not_count() {
        for event in [
            LiveEvent::TokenRevoked { sha256: Some("ff".into()), id: None },
            LiveEvent::TokenRevoked { sha256: None, id: None },
            LiveEvent::SessionKilled { session: "x".into() },
        ] {
            let live = Live {
                run: String::new(),
                sequence: 0,
                full: false,
                events: vec![event],
                server_ms: 0,
            };
            assert_eq!(LiveChange::new(1, Duration::ZERO, live).err(), Some(Unreadable));
        }
    }

    #[test]
    fn a_grant_that_a_whole_answer_lacks_has_ended_unless_it_is_younger() {
        let grants = ["grt-1".to_owned()];
        let change = live(true, 100, Vec::new());
        assert!(change.ends(&grants, 100));
        assert!(!change.ends(&grants, 101));
        let grant =
            LiveEvent::GrantLive { id: "grt-1".into(), connection: "llama".into(), ends_ms: 1 };
        assert!(!live(true, 100, vec![grant]).ends(&grants, 100));
        assert!(live(false, 100, vec![ended("grt-1")]).ends(&grants, 200));
        assert!(!live(false, 100, Vec::new()).ends(&grants, 1));
    }

    #[test]
    fn what_ended_while_a_question_was_out_is_remembered_and_what_ended_before_does_not_count() {
        let state = LiveState::default();
        let second = Duration::from_secs;
        state.take(&live(false, 1, vec![ended("grt-1")]), second(10));
        let grants = ["grt-1".to_owned()];
        assert!(state.ended_since(&grants, second(10)));
        assert!(!state.ended_since(&grants, second(11)));
        state.take(&live(true, 1, Vec::new()), second(20));
        assert!(state.ended_since(&[], second(15)), "everything was replaced");
    }

    #[test]
    fn when_too_much_ends_at_once_questions_from_before_are_asked_again() {
        let state = LiveState::default();
        let second = Duration::from_secs;
        let many = (0..RECENT_MAX).map(|number| ended(&format!("grt-{number}"))).collect();
        state.take(&live(false, 1, many), second(10));
        state.take(&live(false, 1, vec![ended("one-more")]), second(20));
        assert!(state.ended_since(&["never".to_owned()], second(10)));
        assert!(!state.ended_since(&["never".to_owned()], second(11)));
        assert!(state.ended.borrow().order.len() <= RECENT_MAX);
    }

    #[test]
    fn revocations_are_kept_within_a_bound_and_the_oldest_go_first() {
        let mut table: HashMap<Mark, u64> = HashMap::new();
        for number in 0..=u64::try_from(REVOCATIONS_MAX).unwrap() {
            table.insert(digest(&[Some(&number.to_be_bytes())]), number);
        }
        let mut equal: HashMap<Mark, u64> = table.keys().map(|mark| (*mark, 7)).collect();
        bound(&mut table);
        assert!(table.len() <= REVOCATIONS_MAX && table.len() > REVOCATIONS_MAX / 2);
        assert!(table.values().all(|number| *number > 1_000));
        bound(&mut equal);
        assert!(equal.len() <= REVOCATIONS_MAX && equal.len() > REVOCATIONS_MAX / 2);
    }
}
