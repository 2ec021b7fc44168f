//! An outcome under construction.

use serde_json::Value;

use crate::acts::Act;
use crate::event::{Actor, Answer, Change, Effect, Outcome};
use crate::notify::Notification;
use crate::state::{KeySource, State};

/// Collects what follows from one event.
pub(crate) struct Draft {
    pub(crate) state: State,
    changes: Vec<Change>,
    pub(crate) notifications: Vec<Notification>,
    fetches: Vec<(String, KeySource)>,
    publish: bool,
    now_ms: u64,
}

impl Draft {
    pub(crate) fn new(state: &State, now_ms: u64) -> Self {
        Self {
            state: state.clone(),
            changes: Vec::new(),
            notifications: Vec::new(),
            fetches: Vec::new(),
            publish: false,
            now_ms,
        }
    }

    /// The time, milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// A row to write.
    pub(crate) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Keys to fetch.
    pub(crate) fn fetch(&mut self, issuer: String, source: KeySource) {
        self.fetches.push((issuer, source));
    }

    /// Appends to the chain of acts.
    pub(crate) fn act(
        &mut self,
        actor: Actor,
        action: &'static str,
        object: String,
        before: &Value,
        after: &Value,
    ) {
        let head = &self.state.durable.act_head;
        let act = Act::chained(head, self.now_ms, actor, action, object, before, after);
        self.state.durable.act_head = act.head();
        self.changes.push(Change::Act(act));
    }

    /// A snapshot of a new version of the documents.
    pub(crate) fn publish_version(&mut self) {
        let position = &mut self.state.durable.position;
        position.version = position.version.saturating_add(1);
        position.revision = 0;
        self.publish_position();
    }

    /// A new snapshot of the same documents. Before the first documents there is none.
    pub(crate) fn publish_revision(&mut self) {
        let position = &mut self.state.durable.position;
        if position.version > 0 {
            position.revision = position.revision.saturating_add(1);
        }
        self.publish_position();
    }

    fn publish_position(&mut self) {
        self.publish = self.state.durable.position.version > 0;
        self.change(Change::Position {
            position: self.state.durable.position,
            credentials_generation: self.state.durable.credentials_generation,
        });
    }

    /// The finished outcome.
    pub(crate) fn finish(self, answer: Answer) -> Outcome {
        let mut effects = Vec::new();
        if !self.changes.is_empty() {
            effects.push(Effect::Persist(self.changes));
        }
        if self.publish {
            effects.push(Effect::Publish(Box::new(self.state.snapshot(self.now_ms))));
        }
        let fetches = self.fetches.into_iter();
        effects.extend(fetches.map(|(issuer, source)| Effect::FetchKeys { issuer, source }));
        let told = self.notifications.into_iter();
        effects.extend(told.map(|notification| Effect::Notify(Box::new(notification))));
        Outcome { state: self.state, effects, answer }
    }
}
