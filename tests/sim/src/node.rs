//! A model of a node: what it keeps of each exchange, and what it does about what it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use penstock_config::hold::{
    End, EndOutcome, Go, HoldAnswer, HoldRequest, Live, LiveEvent, SKEW_MS_MAX,
};

use crate::network::{Message, Network, Sender};
use crate::schedule::Fault;
use crate::truth::Truth;

/// Longest silence of the control plane, in milliseconds.
pub(crate) const SILENCE_MS_MAX: u64 = 10_000;

/// One exchange.
#[derive(Clone, Debug)]
pub(crate) enum Exchange {
    /// It waits; nothing went up.
    Held(Arc<HoldRequest>),
    /// It went up.
    Running { request: Arc<HoldRequest>, grants: Vec<String>, deadline_ms: u64 },
    /// It is over, and nothing went up.
    Left,
    /// It is over, and something went up.
    Over,
}

/// One node. Its boot time is the true time; its clock is not.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) sender: Sender,
    /// What its clock shows less the true time, in milliseconds.
    pub(crate) skew_ms: i64,
    pub(crate) exchanges: BTreeMap<String, Exchange>,
    run: String,
    after: u64,
    /// When the last poll that was answered was sent; none: there was none.
    heard_ms: Option<u64>,
    /// When the poll that is under way was sent.
    polled_ms: Option<u64>,
    /// Answers to holds that were asked before this are void: what ended meanwhile is not known.
    void_before_ms: u64,
    /// Grants that ended, as far as it was told.
    ended: BTreeSet<String>,
    revoked: Vec<(String, String, u64)>,
    tokens: BTreeSet<String>,
    killed: BTreeSet<String>,
}

impl Node {
    pub(crate) fn new(node: usize, life: u32, skew_ms: i64) -> Self {
        Self {
            sender: Sender { node, life },
            skew_ms,
            exchanges: BTreeMap::new(),
            run: String::new(),
            after: 0,
            heard_ms: None,
            polled_ms: None,
            void_before_ms: 0,
            ended: BTreeSet::new(),
            revoked: Vec::new(),
            tokens: BTreeSet::new(),
            killed: BTreeSet::new(),
        }
    }

    /// What its clock shows.
    fn clock_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.skew_ms)
    }

    /// Sessions in some state.
    pub(crate) fn sessions(&self, is: fn(&Exchange) -> bool) -> Vec<String> {
        let found = self.exchanges.iter().filter(|(_, exchange)| is(exchange));
        found.map(|(session, _)| session.clone()).collect()
    }

    pub(crate) fn begin(&mut self, request: HoldRequest, network: &mut Network, now_ms: u64) {
        let request = Arc::new(request);
        self.exchanges.insert(request.session.clone(), Exchange::Held(request.clone()));
        network.send(Message::Hold { from: self.sender, request, asked_ms: now_ms });
    }

    /// Asks again for an exchange that waits.
    pub(crate) fn ask_again(&self, session: &str, network: &mut Network, now_ms: u64) {
        if let Some(Exchange::Held(request)) = self.exchanges.get(session) {
            let request = request.clone();
            network.send(Message::Hold { from: self.sender, request, asked_ms: now_ms });
        }
    }

    /// The caller left, or has waited long enough.
    pub(crate) fn leave(&mut self, session: &str, outcome: EndOutcome, network: &mut Network) {
        if matches!(self.exchanges.get(session), Some(Exchange::Held(_))) {
            self.exchanges.insert(session.to_owned(), Exchange::Left);
            self.say(session, outcome, network);
        }
    }

    /// An exchange that went up is over.
    pub(crate) fn finish(&mut self, session: &str, network: &mut Network) {
        if matches!(self.exchanges.get(session), Some(Exchange::Running { .. })) {
            self.exchanges.insert(session.to_owned(), Exchange::Over);
            self.say(session, EndOutcome::Ended, network);
        }
    }

    fn say(&self, session: &str, outcome: EndOutcome, network: &mut Network) {
        let ends = vec![End { session: session.to_owned(), outcome }];
        network.send(Message::Ends { from: self.sender, ends });
    }

    pub(crate) fn poll(&mut self, network: &mut Network, now_ms: u64) {
        self.polled_ms = Some(now_ms);
        network.send(Message::Poll {
            from: self.sender,
            run: self.run.clone(),
            after: self.after,
            asked_ms: now_ms,
        });
    }

    /// A poll whose answer is there before anything else is.
    pub(crate) fn polls_at_once(&mut self, now_ms: u64) -> (String, u64) {
        self.polled_ms = Some(now_ms);
        (self.run.clone(), self.after)
    }

    /// Time passed: what runs past its end, and, without a heartbeat, all that runs, is cut.
    pub(crate) fn timers(&mut self, network: &mut Network, truth: &mut Truth, now_ms: u64) {
        let silent = !self.is_heard(now_ms);
        let running = self.exchanges.iter().filter_map(|(session, exchange)| match exchange {
            Exchange::Running { deadline_ms, .. } => {
                (silent || *deadline_ms <= now_ms).then(|| session.clone())
            }
            Exchange::Held(_) | Exchange::Left | Exchange::Over => None,
        });
        for session in running.collect::<Vec<_>>() {
            truth.cut += 1;
            self.finish(&session, network);
        }
    }

    /// Counted from when the poll was sent: its answer may have been long on its way.
    fn is_heard(&self, now_ms: u64) -> bool {
        self.heard_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < SILENCE_MS_MAX)
    }

    /// The answer to a hold.
    pub(crate) fn answered(
        &mut self,
        (session, asked_ms): (&str, u64),
        answer: &HoldAnswer,
        network: &mut Network,
        truth: &mut Truth,
        now_ms: u64,
    ) {
        let exchange = self.exchanges.get(session).cloned();
        match (exchange, answer) {
            (Some(Exchange::Held(request)), HoldAnswer::Go(go)) => {
                if asked_ms < self.void_before_ms {
                    self.ask_again(session, network, now_ms);
                } else if let Some(deadline_ms) = self.deadline(&request, go, asked_ms, now_ms) {
                    truth.forward(session, &go.grants, now_ms);
                    let grants = go.grants.clone();
                    let running = Exchange::Running { request, grants, deadline_ms };
                    self.exchanges.insert(session.to_owned(), running);
                } else {
                    self.leave(session, EndOutcome::NothingSent, network);
                }
            }
            // The caller had left: of the use that was taken for it nothing was sent.
            (Some(Exchange::Left), HoldAnswer::Go(_)) => {
                self.say(session, EndOutcome::NothingSent, network);
            }
            (Some(Exchange::Held(_)), HoldAnswer::Refused(_)) => {
                self.exchanges.insert(session.to_owned(), Exchange::Left);
            }
            (Some(Exchange::Held(_)), HoldAnswer::Pending(_))
            | (Some(Exchange::Left), HoldAnswer::Pending(_) | HoldAnswer::Refused(_))
            | (Some(Exchange::Running { .. } | Exchange::Over) | None, _) => {}
        }
    }

    /// Until when it may run; none where it may not begin.
    fn deadline(&self, request: &HoldRequest, go: &Go, asked_ms: u64, now_ms: u64) -> Option<u64> {
        let clock_ms = self.clock_ms(now_ms);
        let server_ms = go.server_ms.saturating_add(now_ms.saturating_sub(asked_ms));
        let is_skewed = clock_ms.abs_diff(server_ms) > SKEW_MS_MAX;
        let is_ended = go.grants.iter().any(|grant| self.ended.contains(grant));
        if is_skewed || is_ended || !self.is_heard(now_ms) || self.is_revoked(request) {
            return None;
        }
        let by_boot_ms = asked_ms.saturating_add(go.left_ms);
        let by_clock_ms = now_ms.saturating_add(go.ends_ms.saturating_sub(clock_ms));
        let deadline_ms = by_boot_ms.min(by_clock_ms);
        (deadline_ms > now_ms).then_some(deadline_ms)
    }

    fn is_revoked(&self, request: &HoldRequest) -> bool {
        let identity = &request.identity;
        let of = |(issuer, subject, max_ms): &(String, String, u64)| {
            *issuer == identity.issuer
                && *subject == identity.subject
                && request.token_issued_ms <= *max_ms
        };
        self.revoked.iter().any(of)
            || self.tokens.contains(&request.token_sha256)
            || self.killed.contains(&request.session)
    }

    /// What came since, or everything.
    pub(crate) fn heard(
        &mut self,
        live: &Live,
        asked_ms: u64,
        fault: Fault,
        (network, truth): (&mut Network, &mut Truth),
        now_ms: u64,
    ) {
        if self.polled_ms != Some(asked_ms) {
            return;
        }
        self.polled_ms = None;
        self.heard_ms = Some(asked_ms);
        self.run.clone_from(&live.run);
        self.after = live.sequence;
        if fault == Fault::DeafNodes {
            return;
        }
        let mut in_force = BTreeSet::new();
        let mut woken = live.full;
        for event in &live.events {
            match event.clone() {
                LiveEvent::Approval { .. } => woken = true,
                LiveEvent::GrantLive { id, .. } => {
                    in_force.insert(id);
                }
                LiveEvent::GrantEnded { id } => {
                    self.ended.insert(id);
                }
                LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max } => {
                    self.revoked.push((issuer, subject, issued_ms_max));
                }
                LiveEvent::TokenRevoked { sha256, .. } => self.tokens.extend(sha256),
                LiveEvent::SessionKilled { session } => {
                    self.killed.insert(session);
                }
            }
        }
        if live.full {
            self.void_before_ms = now_ms;
        }
        self.cut(live.full.then_some(&in_force), network, truth);
        if woken {
            for session in self.sessions(|one| matches!(one, Exchange::Held(_))) {
                self.ask_again(&session, network, now_ms);
            }
        }
    }

    /// Cuts what runs under something that ended; where everything in force is known, also what
    /// runs under nothing that is.
    fn cut(
        &mut self,
        in_force: Option<&BTreeSet<String>>,
        network: &mut Network,
        truth: &mut Truth,
    ) {
        let is_over = |grant: &String| {
            self.ended.contains(grant) || in_force.is_some_and(|known| !known.contains(grant))
        };
        let over = self.exchanges.iter().filter_map(|(session, exchange)| match exchange {
            Exchange::Running { request, grants, .. } => {
                let is_cut = grants.iter().any(is_over) || self.is_revoked(request);
                is_cut.then(|| session.clone())
            }
            Exchange::Held(_) | Exchange::Left | Exchange::Over => None,
        });
        for session in over.collect::<Vec<_>>() {
            truth.cut += 1;
            self.finish(&session, network);
        }
    }
}
