//! The control plane as the test plays it: what cores ask is read off the desk, and answered by
//! letters.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::hold::{
    EndOutcome, Go, HoldAnswer, HoldRequest, Live, LiveEvent, Pending, Refused, RefusedCode,
};
use penstock_reactor::memory::{Link, Peer};

use super::stage::{Answer, DOCUMENTS, Stage};
use crate::letters::{DeskMail, Letter, Question};
use crate::live::LiveChange;

/// A grant of an hour that satisfies these rules.
pub(super) fn go(stage: &Stage, rules: &[&str]) -> Go {
    let server_ms = stage.core.wall_ms();
    Go {
        grants: vec!["grt-1".to_owned()],
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        approval: Some("apr-1".to_owned()),
        ends_ms: server_ms + 3_600_000,
        left_ms: 3_600_000,
        server_ms,
    }
}

/// The usual rule that wants approval.
pub(super) const RULE: &str = "scaling-needs-a-second-person";

/// The usual documents, and rules that want approval for adapters and for what is not known.
pub(super) fn documents() -> String {
    let documents = DOCUMENTS.replace("[engineers]", "[engineers, contractors]");
    format!(
        "{documents}---
kind: rule
name: {RULE}
effect: approve
subjects: [{{groups: [engineers]}}]
operations: [adapter.scale, unknown]
approval:
  reviewers: [{{groups: [leads]}}]
  show: [scale, note]
"
    )
}

/// The same, and chats need it too.
pub(super) fn documents_with_chat() -> String {
    documents().replace("[adapter.scale, unknown]", "[adapter.scale, unknown, infer.chat]")
}

impl Stage {
    /// A stage with the usual rules, whose control plane was just heard.
    pub(super) fn for_holds() -> Self {
        Self::holding(&documents(), "{}")
    }

    /// The same with documents and limits of one's own.
    pub(super) fn holding(documents: &str, limits: &str) -> Self {
        let mut stage = Self::limited(1, Link::default(), documents, limits);
        stage.tell(Vec::new());
        stage
    }

    /// The control plane says what came since.
    pub(super) fn tell(&mut self, events: Vec<LiveEvent>) {
        let server_ms = self.core.wall_ms();
        self.tell_live(Live { run: "one".into(), sequence: 1, full: false, events, server_ms });
    }

    /// The control plane says everything that is in force.
    pub(super) fn tell_all(&mut self, events: Vec<LiveEvent>) {
        let server_ms = self.core.wall_ms();
        self.tell_live(Live { run: "two".into(), sequence: 1, full: true, events, server_ms });
    }

    fn tell_live(&mut self, live: Live) {
        let heard = self.core.boot();
        let change = LiveChange::new(1, heard, live).unwrap();
        self.letter(Letter::Live(Arc::new(change)));
    }

    /// A letter to the core.
    pub(super) fn letter(&mut self, letter: Letter) {
        let core = Rc::clone(&self.core);
        self.simulation.run_until(async move { core.receive(letter).await }).unwrap();
        self.simulation.settle();
    }

    /// What the core wrote, once it has nothing left to do.
    pub(super) fn mail(&mut self) -> Option<DeskMail> {
        self.simulation.settle();
        self.desk.try_recv().ok()
    }

    /// The next question.
    pub(super) fn question(&mut self) -> Arc<Question> {
        match self.mail() {
            Some(DeskMail::Ask(question)) => question,
            other => panic!("no question but {other:?}"),
        }
    }

    /// What a question says.
    pub(super) fn asked(question: &Question) -> HoldRequest {
        serde_json::from_slice(&question.body).unwrap()
    }

    /// Answers a question.
    pub(super) fn answer(&mut self, question: &Arc<Question>, answer: HoldAnswer) {
        let question = Arc::clone(question);
        let at = self.core.boot();
        self.letter(Letter::Answer { question, answer: Ok(answer), at });
    }

    /// Reviewers have not decided.
    pub(super) fn pending(&mut self, question: &Arc<Question>) {
        self.pending_for(question, 300_000, false);
    }

    /// The same for so long, perhaps with `stream: commit`.
    pub(super) fn pending_for(&mut self, question: &Arc<Question>, hold_ms: u64, commit: bool) {
        let pending = Pending {
            approval: "apr-1".to_owned(),
            url: "https://penstock/approvals/apr-1".to_owned(),
            hold_ms,
            commit,
            server_ms: self.core.wall_ms(),
        };
        self.answer(question, HoldAnswer::Pending(pending));
    }

    /// It may go, under one grant of an hour.
    pub(super) fn grant(&mut self, question: &Arc<Question>) {
        let go = go(self, &[RULE]);
        self.answer(question, HoldAnswer::Go(go));
    }

    /// It may not go.
    pub(super) fn refuse(&mut self, question: &Arc<Question>, code: RefusedCode) {
        let refused = Refused {
            code,
            approval: Some("apr-1".to_owned()),
            url: Some("https://penstock/approvals/apr-1".to_owned()),
            rule: Some(RULE.to_owned()),
            message: "ben said no: not on a Friday".to_owned(),
            server_ms: self.core.wall_ms(),
        };
        self.answer(question, HoldAnswer::Refused(refused));
    }

    /// An approval was decided: the question that follows.
    pub(super) fn decided(&mut self) -> Arc<Question> {
        self.tell(vec![LiveEvent::Approval { id: "apr-1".to_owned() }]);
        self.question()
    }

    /// How exchanges ended, as the control plane is told.
    pub(super) fn ends(&mut self) -> Vec<EndOutcome> {
        let mut ends = Vec::new();
        while let Some(mail) = self.mail() {
            if let DeskMail::End(_, outcome) = mail {
                ends.push(outcome);
            }
        }
        ends
    }

    /// A request that is on its way, with a token of an engineer.
    pub(super) fn send(&mut self, request: &str) -> Peer {
        let mut caller = self.caller(Link::default());
        self.simulation.run_until(caller.write(request.as_bytes())).unwrap().unwrap();
        caller
    }

    /// The answer that has come, or comes within a second.
    pub(super) fn answer_to(&mut self, caller: &mut Peer) -> Answer {
        let head = self.simulation.run_until(caller.read_until(b"\r\n\r\n")).unwrap().unwrap();
        let text = String::from_utf8(head.clone()).unwrap().to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok()).unwrap_or(0);
        let body = self.simulation.run_until(caller.read_exact(length)).unwrap().unwrap();
        Answer::parse(&[head, body].concat())
    }

    /// The model server's side of the request that went up, with its head read.
    pub(super) fn server(&mut self) -> (Peer, String) {
        let Self { simulation, upstream, .. } = self;
        let reached = async {
            let mut server = upstream.accept().await;
            let head = server.read_until(b"\r\n\r\n").await.unwrap();
            (server, String::from_utf8(head).unwrap())
        };
        simulation.run_until(reached).unwrap()
    }

    /// Lets time pass with the control plane heard all along.
    pub(super) fn pass(&mut self, time: Duration) {
        let ends = self.simulation.now() + time;
        while self.simulation.now() < ends {
            let step = (ends - self.simulation.now()).min(Duration::from_secs(2));
            self.simulation.advance(step);
            self.tell(Vec::new());
        }
    }

    /// What the core does each second.
    pub(super) fn tick(&mut self) {
        self.core.tick();
        self.simulation.settle();
    }
}
