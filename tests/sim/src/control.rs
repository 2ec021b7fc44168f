//! The control plane: the real core, a disk that is what its changes say, and a process that may
//! die at any point.

use penstock_app::grants::GrantState;
use penstock_app::{Answer, Change, Durable, Effect, Event, Refusal, State};

use crate::invariants::{self, Broken};
use crate::policies::{BEGIN_MS, Base, sign};
use crate::schedule::Fault;
use crate::truth::Truth;

/// Where the process dies while it answers an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Crash {
    No,
    BeforePersist,
    AfterPersist,
}

/// See the module.
pub(crate) struct Control {
    pub(crate) state: State,
    disk: Durable,
    /// What its clock shows less the true time, in milliseconds.
    pub(crate) offset_ms: i64,
    runs: u32,
    fault: Fault,
    /// The policy in force.
    pub(crate) policy: usize,
}

/// What became of an event.
pub(crate) type Answered = Option<Result<Answer, Refusal>>;

impl Control {
    pub(crate) fn new(base: &Base, fault: Fault) -> Self {
        let state = base.state.clone().with_run("run-0".to_owned());
        let disk = state.durable.clone();
        Self { state, disk, offset_ms: 0, runs: 0, fault, policy: 0 }
    }

    /// What its clock shows.
    pub(crate) fn clock_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.offset_ms).max(BEGIN_MS / 2)
    }

    /// One event; none: the process died and nobody is answered.
    pub(crate) fn handle(
        &mut self,
        event: Event,
        crash: Crash,
        truth: &mut Truth,
        now_ms: u64,
    ) -> Result<Answered, Broken> {
        let outcome = match self.state.apply(event, self.clock_ms(now_ms)) {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Some(Err(refusal))),
        };
        let mut next = outcome.state;
        let mut changes: Vec<Change> = Vec::new();
        for effect in outcome.effects {
            match effect {
                Effect::Persist(rows) => changes.extend(rows),
                Effect::Publish(snapshot) => changes.push(sign(&mut next, snapshot.position)),
                Effect::FetchKeys { .. } | Effect::Notify(_) => {}
            }
        }
        if crash == Crash::BeforePersist {
            self.restart()?;
            let is_hasty = self.fault == Fault::AnswersBeforePersist;
            return Ok(is_hasty.then_some(Ok(outcome.answer)));
        }
        for change in &changes {
            invariants::of_change(&self.state.durable, &next, change)?;
            note(truth, change, now_ms);
        }
        for change in &changes {
            self.disk.take(change);
        }
        self.state = next;
        if crash == Crash::AfterPersist {
            self.restart()?;
            return Ok(None);
        }
        Ok(Some(Ok(outcome.answer)))
    }

    /// The process begins anew, with what is on the disk.
    pub(crate) fn restart(&mut self) -> Result<(), Broken> {
        if self.disk != self.state.durable {
            return Err(Broken("what is on the disk is not what was in memory".to_owned()));
        }
        self.runs += 1;
        let mut durable = self.disk.clone();
        if self.fault == Fault::ForgetsUses {
            forget_uses(&mut durable);
            self.disk = durable.clone();
        }
        let state = State::new(durable, self.state.tuning.clone());
        self.state = state.with_run(format!("run-{}", self.runs));
        Ok(())
    }
}

/// As if uses were counted in memory alone.
fn forget_uses(durable: &mut Durable) {
    durable.uses = Default::default();
    for grant in durable.grants.clone().values().filter(|grant| grant.ended.is_none()) {
        let mut grant = (**grant).clone();
        (grant.uses, grant.state) = (0, GrantState::Approved);
        (grant.first_used_ms, grant.ends_ms) = (None, None);
        durable.grants.insert(grant.id.clone(), grant.into());
    }
}

/// When something was revoked: nodes have so long to hear of it.
fn note(truth: &mut Truth, change: &Change, now_ms: u64) {
    if let Change::GrantSet(grant) = change
        && grant.state == GrantState::Revoked
    {
        truth.revoked_ms.entry(grant.id.clone()).or_insert(now_ms);
    }
}
