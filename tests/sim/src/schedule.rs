//! One schedule: some steps, each of them chosen by the seed, and the invariants after each.

use penstock_app::{Answer, Event};
use penstock_config::hold::{EndOutcome, HoldAnswer};

use crate::control::{Control, Crash};
use crate::invariants::{self, Broken};
use crate::network::{Message, Network, Sender};
use crate::node::{Exchange, Node};
use crate::people;
use crate::policies::{BEGIN_MS, NODES, base};
use crate::random::Random;
use crate::truth::Truth;

/// A mistake that is made on purpose: the invariants must see each of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// None.
    None,
    /// Nobody knows that two identities are one person.
    UnknownPersons,
    /// A restart loses which session took a use.
    ForgetsUses,
    /// What is answered is not on the disk yet.
    AnswersBeforePersist,
    /// Uses come back also where something was sent.
    GivesBackWhatWasSent,
    /// Nodes do not act on what ended.
    DeafNodes,
}

/// What happened in a schedule that kept the invariants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Requests that went up.
    pub forwarded: u64,
    /// Exchanges that were cut.
    pub cut: u64,
    /// Approvals that there were in the end.
    pub approvals: u64,
}

struct Schedule {
    random: Random,
    control: Control,
    nodes: Vec<Node>,
    network: Network,
    truth: Truth,
    now_ms: u64,
    sessions: u64,
    fresh: u64,
    /// Where the process dies with the next event.
    crash: Crash,
    fault: Fault,
}

/// Runs a schedule.
///
/// # Errors
/// The invariant that broke, with the number of the step.
pub fn run(seed: u64, steps: usize, fault: Fault) -> Result<Report, Broken> {
    let mut random = Random::new(seed);
    let control = Control::new(base(fault == Fault::UnknownPersons), fault);
    let nodes = (0..NODES.len()).map(|node| Node::new(node, 0, skew(&mut random)));
    let mut schedule = Schedule {
        nodes: nodes.collect(),
        random,
        control,
        network: Network::default(),
        truth: Truth::default(),
        now_ms: BEGIN_MS + 1,
        sessions: 0,
        fresh: 0,
        crash: Crash::No,
        fault,
    };
    for node in 0..NODES.len() {
        schedule.heartbeat(node);
    }
    for step in 0..steps {
        let at = |Broken(what)| Broken(format!("step {step}: {what}"));
        schedule.step().map_err(at)?;
        schedule.look().map_err(at)?;
    }
    schedule.end()
}

/// Mostly less than nodes hold with, at times more.
fn skew(random: &mut Random) -> i64 {
    let most = if random.one_in(8) { 9_000 } else { 4_000 };
    let skew_ms = i64::try_from(random.between(0, most)).unwrap_or(0);
    if random.one_in(2) { skew_ms } else { -skew_ms }
}

impl Schedule {
    fn step(&mut self) -> Result<(), Broken> {
        if self.fault == Fault::DeafNodes && self.random.one_in(6) {
            // Otherwise it takes many schedules until one is revoked while something runs.
            if let Some(event) = people::revoke(&mut self.random, &self.control.state) {
                return self.handle(event).map(drop);
            }
        }
        match self.random.below(100) {
            0..=29 => self.deliver_some(),
            30..=41 => self.request(),
            42..=62 => self.vote(),
            63..=70 => self.on_a_node(),
            71..=79 => self.time(),
            80..=83 => {
                let fresh = self.fresh();
                match people::act(&mut self.random, &self.control.state, &fresh) {
                    Some(event) => self.handle(event).map(drop),
                    None => Ok(()),
                }
            }
            84..=91 => self.poll(),
            92..=93 => self.handle(Event::Tick).map(drop),
            94 => {
                self.network.lose(&mut self.random);
                Ok(())
            }
            95..=96 => {
                self.network.repeat(&mut self.random);
                Ok(())
            }
            97 => self.die(),
            98 if self.random.one_in(2) => self.policy(),
            _ => {
                self.crash =
                    if self.random.one_in(2) { Crash::BeforePersist } else { Crash::AfterPersist };
                Ok(())
            }
        }
    }

    /// Somebody answers; mostly nodes hear of it at once.
    fn vote(&mut self) -> Result<(), Broken> {
        let Some(event) = people::vote(&mut self.random, &self.control.state) else {
            return self.request();
        };
        let before = self.control.state.live_sequence();
        self.handle(event)?;
        if self.control.state.live_sequence() != before && !self.random.one_in(4) {
            (0..self.nodes.len()).for_each(|node| self.heartbeat(node));
        }
        Ok(())
    }

    /// A few messages arrive.
    fn deliver_some(&mut self) -> Result<(), Broken> {
        for _ in 0..=self.random.below(6) {
            self.deliver()?;
        }
        Ok(())
    }

    fn fresh(&mut self) -> String {
        self.fresh += 1;
        format!("{:020}", self.fresh)
    }

    fn handle(&mut self, event: Event) -> Result<Option<Answer>, Broken> {
        let crash = std::mem::replace(&mut self.crash, Crash::No);
        let answered = self.control.handle(event, crash, &mut self.truth, self.now_ms)?;
        Ok(answered.and_then(Result::ok))
    }

    fn request(&mut self) -> Result<(), Broken> {
        self.sessions += 1;
        let clock_ms = self.control.clock_ms(self.now_ms);
        let request = people::request(&mut self.random, self.sessions, clock_ms);
        let index = self.random.below(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(index) {
            node.begin(request, &mut self.network, self.now_ms);
        }
        self.deliver()
    }

    fn poll(&mut self) -> Result<(), Broken> {
        let index = self.random.below(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(index) {
            node.poll(&mut self.network, self.now_ms);
        }
        self.deliver()
    }

    /// Something happens to an exchange on a node.
    fn on_a_node(&mut self) -> Result<(), Broken> {
        let index = self.random.below(self.nodes.len());
        let choice = self.random.below(6);
        let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
        let is = match choice {
            0..=3 => |one: &Exchange| matches!(one, Exchange::Held(_)),
            _ => |one: &Exchange| matches!(one, Exchange::Running { .. }),
        };
        let sessions = node.sessions(is);
        let Some(session) = self.random.of(&sessions) else { return Ok(()) };
        match choice {
            0 | 1 => node.ask_again(session, &mut self.network, self.now_ms),
            2 => node.leave(session, EndOutcome::Withdrawn, &mut self.network),
            3 => node.leave(session, EndOutcome::HoldOver, &mut self.network),
            _ => node.finish(session, &mut self.network),
        }
        Ok(())
    }

    /// Time passes; a clock may be set.
    fn time(&mut self) -> Result<(), Broken> {
        let passed_ms = match self.random.below(8) {
            0..=4 => self.random.between(1, 4_000),
            5 | 6 => self.random.between(4_000, 200_000),
            _ => self.random.between(200_000, 1_200_000),
        };
        self.now_ms += passed_ms;
        if self.random.one_in(12) {
            let by_ms = i64::try_from(self.random.between(1_000, 90_000_000)).unwrap_or(0);
            let by_ms = if self.random.one_in(2) { by_ms } else { -by_ms };
            self.control.offset_ms = self.control.offset_ms.saturating_add(by_ms);
            // Nodes follow the same source of time, each in its own way.
            for node in &mut self.nodes {
                node.skew_ms = self.control.offset_ms.saturating_add(skew(&mut self.random));
            }
        }
        for index in 0..self.nodes.len() {
            if passed_ms < crate::node::SILENCE_MS_MAX && !self.random.one_in(4) {
                self.heartbeat(index);
            }
        }
        for node in &mut self.nodes {
            node.timers(&mut self.network, &mut self.truth, self.now_ms);
        }
        Ok(())
    }

    /// A poll that is answered at once, as most are.
    fn heartbeat(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let (run, after) = node.polls_at_once(self.now_ms);
        let live = self.control.state.live(&run, after, self.control.clock_ms(self.now_ms));
        let parts = (&mut self.network, &mut self.truth);
        node.heard(&live, self.now_ms, self.fault, parts, self.now_ms);
    }

    /// A node, or the control plane, ends and begins anew.
    fn die(&mut self) -> Result<(), Broken> {
        let index = self.random.below(self.nodes.len() + 1);
        match self.nodes.get_mut(index) {
            Some(node) => {
                let Sender { node: number, life } = node.sender;
                *node = Node::new(number, life + 1, node.skew_ms);
                Ok(())
            }
            None => self.control.restart(),
        }
    }

    fn policy(&mut self) -> Result<(), Broken> {
        let policies = &base(self.fault == Fault::UnknownPersons).policies;
        let index = self.random.below(policies.len());
        let Some(documents) = policies.get(index).cloned() else { return Ok(()) };
        let (by, version) = (crate::policies::admin(), 1);
        self.handle(Event::RollBack { by, version, documents: documents.clone() })?;
        // Where the process died, the documents say which policy is in force.
        if documents.iter().eq(self.control.state.durable.documents.values()) {
            self.control.policy = index;
        }
        Ok(())
    }

    /// A message arrives.
    fn deliver(&mut self) -> Result<(), Broken> {
        let Some(message) = self.network.arrive(&mut self.random) else { return Ok(()) };
        match message {
            Message::Hold { from, request, asked_ms } => {
                let (node, fresh) = (name(from), self.fresh());
                if self.fault == Fault::AnswersBeforePersist && self.random.one_in(2) {
                    self.crash = Crash::BeforePersist;
                }
                let event = Event::Hold { node, request: Box::new((*request).clone()), fresh };
                let Some(Answer::Hold(answer)) = self.handle(event)? else { return Ok(()) };
                self.look_at_answer(&request, &answer)?;
                let session = request.session.clone();
                self.network.send(Message::HoldAnswer { to: from, session, asked_ms, answer });
            }
            Message::HoldAnswer { to, session, asked_ms, answer } => {
                return self.answered(to, &session, asked_ms, &answer);
            }
            Message::Ends { from, mut ends } => {
                if self.fault == Fault::GivesBackWhatWasSent {
                    ends.iter_mut().for_each(|end| end.outcome = EndOutcome::NothingSent);
                }
                self.handle(Event::Ends { node: name(from), ends })?;
            }
            Message::Poll { from, run, after, asked_ms } => {
                let live = self.control.state.live(&run, after, self.control.clock_ms(self.now_ms));
                self.network.send(Message::Live { to: from, asked_ms, live });
            }
            Message::Live { to, asked_ms, live } => {
                let parts = (&mut self.network, &mut self.truth);
                let node = self.nodes.get_mut(to.node).filter(|node| node.sender == to);
                if let Some(node) = node {
                    node.heard(&live, asked_ms, self.fault, parts, self.now_ms);
                }
            }
        }
        Ok(())
    }

    fn look_at_answer(
        &self,
        request: &penstock_config::hold::HoldRequest,
        answer: &HoldAnswer,
    ) -> Result<(), Broken> {
        // A process that dies answers by a state that is gone.
        if self.fault == Fault::AnswersBeforePersist {
            return Ok(());
        }
        let HoldAnswer::Go(go) = answer else { return Ok(()) };
        if people::is_denied(self.control.policy, request) {
            return Err(Broken(format!("what is denied goes: {request:?}")));
        }
        let needed = people::needed(self.control.policy, request);
        let clock_ms = self.control.clock_ms(self.now_ms);
        invariants::of_go(&self.control.state, request, go, &needed, clock_ms)
    }

    fn answered(
        &mut self,
        to: Sender,
        session: &str,
        asked_ms: u64,
        answer: &HoldAnswer,
    ) -> Result<(), Broken> {
        let before = self.truth.forwarded;
        let node = self.nodes.get_mut(to.node).filter(|node| node.sender == to);
        let Some(node) = node else { return Ok(()) };
        let asked = (session, asked_ms);
        node.answered(asked, answer, &mut self.network, &mut self.truth, self.now_ms);
        match answer {
            HoldAnswer::Go(go) if self.truth.forwarded > before => {
                let state = &self.control.state;
                invariants::of_forward(state, &self.truth, &go.grants, self.now_ms)
            }
            HoldAnswer::Go(_) | HoldAnswer::Pending(_) | HoldAnswer::Refused(_) => Ok(()),
        }
    }

    /// What runs, runs under something that was not revoked long ago.
    fn look(&self) -> Result<(), Broken> {
        for node in &self.nodes {
            for exchange in node.exchanges.values() {
                if let Exchange::Running { grants, .. } = exchange {
                    for grant in grants {
                        invariants::of_revoked(&self.truth, grant, self.now_ms)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<Report, Broken> {
        // It is made anew for this, which takes as long as several steps.
        if self.random.one_in(8) && !self.control.state.index_holds() {
            return Err(Broken("what is looked up is not what is kept".to_owned()));
        }
        Ok(Report {
            forwarded: self.truth.forwarded,
            cut: self.truth.cut,
            approvals: u64::try_from(self.control.state.durable.approvals.len()).unwrap_or(0),
        })
    }
}

fn name(sender: Sender) -> String {
    NODES.get(sender.node).map(|name| (*name).to_owned()).unwrap_or_default()
}
