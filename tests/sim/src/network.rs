//! Between nodes and the control plane: what was said may be lost, come twice, or in another order.

use std::sync::Arc;

use penstock_config::hold::{End, HoldAnswer, HoldRequest, Live};

use crate::random::Random;

/// Most messages on their way; the oldest is lost then.
const MESSAGES_MAX: usize = 32;

/// One message.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A node asks.
    Hold { from: Sender, request: Arc<HoldRequest>, asked_ms: u64 },
    /// The answer, in the same exchange.
    HoldAnswer { to: Sender, session: String, asked_ms: u64, answer: HoldAnswer },
    /// A node says what is over.
    Ends { from: Sender, ends: Vec<End> },
    /// A node asks what is live.
    Poll { from: Sender, run: String, after: u64, asked_ms: u64 },
    /// The answer.
    Live { to: Sender, asked_ms: u64, live: Live },
}

/// One life of a node: what was for an earlier one finds nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sender {
    pub(crate) node: usize,
    pub(crate) life: u32,
}

/// What is on its way.
#[derive(Debug, Default)]
pub(crate) struct Network {
    messages: Vec<Message>,
}

impl Network {
    pub(crate) fn send(&mut self, message: Message) {
        self.messages.push(message);
        if self.messages.len() > MESSAGES_MAX {
            self.messages.remove(0);
        }
    }

    /// Any of them arrives; often the oldest.
    pub(crate) fn arrive(&mut self, random: &mut Random) -> Option<Message> {
        if self.messages.is_empty() {
            return None;
        }
        let index = if random.one_in(3) { random.below(self.messages.len()) } else { 0 };
        Some(self.messages.remove(index))
    }

    pub(crate) fn lose(&mut self, random: &mut Random) {
        if !self.messages.is_empty() {
            let index = random.below(self.messages.len());
            self.messages.remove(index);
        }
    }

    /// One comes twice. Answers do not: each belongs to one exchange.
    pub(crate) fn repeat(&mut self, random: &mut Random) {
        let index = random.below(self.messages.len());
        match self.messages.get(index).cloned() {
            Some(again @ (Message::Hold { .. } | Message::Ends { .. })) => self.send(again),
            Some(Message::HoldAnswer { .. } | Message::Poll { .. } | Message::Live { .. })
            | None => {}
        }
    }
}
