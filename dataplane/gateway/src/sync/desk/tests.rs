use std::cell::Cell;
use std::future::pending;

use futures_util::future::{Either, select};
use penstock_config::hold::{Go, LiveEvent, Pending};
use penstock_config::settings::DataplaneSettings;
use penstock_reactor::mailbox::{MailReceiver, bounded};

use super::*;

/// A control plane that says what the test wrote for it, and notes what it was asked.
#[derive(Default)]
struct Script {
    holds: RefCell<VecDeque<Result<HoldAnswer, ControlError>>>,
    /// Answers of holds wait for this many permits, where there is a gate.
    gate: Option<tokio::sync::Semaphore>,
    asked: RefCell<Vec<Vec<u8>>>,
    out: Cell<usize>,
    out_max: Cell<usize>,
    ends_fail: Cell<u32>,
    ends: RefCell<Vec<Vec<End>>>,
    lives: RefCell<VecDeque<Live>>,
    polls: RefCell<Vec<(String, u64)>>,
    sessions: RefCell<Vec<OpenSessions>>,
}

impl Plane for Rc<Script> {
    async fn hold(&self, question: &[u8]) -> Result<HoldAnswer, ControlError> {
        self.asked.borrow_mut().push(question.to_vec());
        self.out.set(self.out.get() + 1);
        self.out_max.set(self.out_max.get().max(self.out.get()));
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.out.set(self.out.get() - 1);
        let answer = self.holds.borrow_mut().pop_front();
        answer.unwrap_or(Err(ControlError::Unreachable))
    }

    async fn ends(&self, ends: &Ends) -> Result<(), ControlError> {
        if let Some(left) = self.ends_fail.get().checked_sub(1) {
            self.ends_fail.set(left);
            return Err(ControlError::Refused(503));
        }
        self.ends.borrow_mut().push(ends.ends.clone());
        Ok(())
    }

    async fn live(&self, run: &str, after: u64, _wait_ms: u64) -> Result<Live, ControlError> {
        self.polls.borrow_mut().push((run.to_owned(), after));
        let live = self.lives.borrow_mut().pop_front();
        match live {
            Some(live) => Ok(live),
            None => pending().await,
        }
    }

    async fn sessions(&self, open: &OpenSessions) -> Result<(), ControlError> {
        self.sessions.borrow_mut().push(open.clone());
        Ok(())
    }
}

/// What a test has in its hands.
struct Hands {
    script: Rc<Script>,
    mail: mpsc::Sender<DeskMail>,
    cores: Vec<MailReceiver<Letter>>,
    counters: Arc<[Arc<Counters>]>,
    node: Arc<Node>,
    disk: Disk,
    stop: watch::Sender<bool>,
}

/// Runs a desk for so many cores beside a test; whether it ended by itself first.
fn beside<T>(cores: usize, script: Script, test: impl AsyncFnOnce(&mut Hands) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    beside_disk(cores, script, disk, false, test)
}

/// The same with a disk of its own; `unknown`: what it says of revocations can't be read.
fn beside_disk<T>(
    cores: usize,
    script: Script,
    disk: Disk,
    unknown: bool,
    test: impl AsyncFnOnce(&mut Hands) -> T,
) -> T {
    let source = penstock_config::documents::Source {
        name: "test".to_owned(),
        text: "listen: 127.0.0.1:0\nstate_dir: state\n".to_owned(),
    };
    let mut node = Node::new(DataplaneSettings::parse(&source).unwrap());
    node.revocations = disk.revocations().unwrap_or_default();
    node.revocations_unknown = unknown.into();
    let node = Arc::new(node);
    let counters: Arc<[_]> = (0..cores).map(|_| Arc::new(Counters::default())).collect();
    let (letters, cores) = (0..cores).map(|_| bounded(8)).unzip();
    let (to_desk, mail) = mpsc::channel(256);
    let (stop, stopped) = watch::channel(false);
    let parts = DeskParts {
        letters,
        mail,
        node: Arc::clone(&node),
        counters: Arc::clone(&counters),
        disk: disk.clone(),
    };
    let script = Rc::new(script);
    let script_of_test = Rc::clone(&script);
    let mut hands =
        Hands { script: script_of_test, mail: to_desk, cores, counters, node, disk, stop };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let desk = Box::pin(run(script, parts, |_| {}, stopped));
        let test = Box::pin(test(&mut hands));
        match select(desk, test).await {
            Either::Left(((), test)) => test.await,
            Either::Right((value, _)) => value,
        }
    })
}

/// Waits until something holds.
async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        // tidy: a poll of a condition that another task brings about
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came about");
}

fn session(number: usize) -> SessionId {
    SessionId::parse(&format!("{number:032x}")).unwrap()
}

fn question(core: usize, number: usize) -> Arc<Question> {
    let body = number.to_string().into_bytes();
    Arc::new(Question::new(core, number as u64, session(number), body))
}

fn go() -> HoldAnswer {
    HoldAnswer::Go(Go {
        grants: vec!["grt-1".into()],
        rules: Vec::new(),
        approval: None,
        ends_ms: 1,
        left_ms: 1,
        server_ms: 1,
    })
}

fn waits() -> HoldAnswer {
    HoldAnswer::Pending(Pending {
        approval: "apr-1".into(),
        url: String::new(),
        hold_ms: 1,
        commit: false,
        server_ms: 1,
    })
}

fn live(run: &str, sequence: u64, events: Vec<LiveEvent>) -> Live {
    Live { run: run.into(), sequence, full: false, events, server_ms: 1 }
}

/// The next letter that is an answer.
async fn answer(core: &mut MailReceiver<Letter>) -> (u64, Result<HoldAnswer, Unanswered>) {
    loop {
        if let Some(Letter::Answer { question, answer, .. }) = core.receive().await {
            return (question.ticket, answer);
        }
    }
}

fn outcomes(script: &Script) -> Vec<EndOutcome> {
    script.ends.borrow().iter().flatten().map(|end| end.outcome).collect()
}

#[test]
fn a_question_that_fails_is_asked_again_and_its_answer_comes_to_the_core_that_asked() {
    let script = Script::default();
    script.holds.borrow_mut().extend([
        Err(ControlError::Unreachable),
        Err(ControlError::Refused(503)),
        Ok(waits()),
        Err(ControlError::Refused(400)),
    ]);
    beside(2, script, async |hands| {
        hands.mail.send(DeskMail::Ask(question(1, 7))).await.unwrap();
        assert_eq!(answer(&mut hands.cores[1]).await, (7, Ok(waits())));
        assert_eq!(hands.script.asked.borrow().as_slice(), [b"7", b"7", b"7"]);
        hands.mail.send(DeskMail::Ask(question(0, 8))).await.unwrap();
        let refused = answer(&mut hands.cores[0]).await;
        assert_eq!(refused, (8, Err(Unanswered)), "a question that is refused is not asked again");
    });
}

#[test]
fn the_end_of_a_request_that_left_is_told_after_its_question_came_back() {
    let script = Script { gate: Some(tokio::sync::Semaphore::new(0)), ..Script::default() };
    script.holds.borrow_mut().extend([Ok(go()), Ok(waits()), Err(ControlError::Unreachable)]);
    beside(1, script, async |hands| {
        let ends = |hands: &Hands| outcomes(&hands.script);
        for expected in [
            vec![EndOutcome::NothingSent],
            vec![EndOutcome::Withdrawn],
            vec![EndOutcome::NothingSent, EndOutcome::Withdrawn],
        ] {
            hands.script.ends.borrow_mut().clear();
            let question = question(0, 1);
            hands.mail.send(DeskMail::Ask(Arc::clone(&question))).await.unwrap();
            until(|| hands.script.out.get() == 1).await;
            question.leave(EndOutcome::Withdrawn);
            assert_eq!(ends(hands), []);
            hands.script.gate.as_ref().unwrap().add_permits(1);
            until(|| ends(hands).len() >= expected.len()).await;
            assert_eq!(ends(hands), expected);
        }
    });
}

#[test]
fn a_request_that_left_before_it_was_asked_about_is_not_asked_about() {
    beside(1, Script::default(), async |hands| {
        let gone = question(0, 1);
        gone.leave(EndOutcome::Withdrawn);
        hands.mail.send(DeskMail::Ask(gone)).await.unwrap();
        hands.mail.send(DeskMail::Ask(question(0, 2))).await.unwrap();
        until(|| !hands.script.asked.borrow().is_empty()).await;
        assert_eq!(hands.script.asked.borrow()[0], b"2");
        assert_eq!(outcomes(&hands.script), []);
    });
}

#[test]
fn no_more_questions_are_out_than_may_be() {
    let script = Script { gate: Some(tokio::sync::Semaphore::new(0)), ..Script::default() };
    beside(1, script, async |hands| {
        for number in 0..200 {
            hands.mail.send(DeskMail::Ask(question(0, number))).await.unwrap();
        }
        until(|| hands.script.out.get() == ASKING_MAX).await;
        hands.script.holds.borrow_mut().extend((0..200).map(|_| Ok(waits())));
        hands.script.gate.as_ref().unwrap().add_permits(200);
        for _ in 0..200 {
            answer(&mut hands.cores[0]).await.1.unwrap();
        }
        assert_eq!(hands.script.out_max.get(), ASKING_MAX);
    });
}

#[test]
fn ends_that_could_not_be_told_are_told_again_and_many_in_one_call() {
    let script = Script::default();
    script.ends_fail.set(1);
    beside(1, script, async |hands| {
        for number in 0..1_500 {
            let mail = DeskMail::End(session(number), EndOutcome::Ended);
            hands.mail.send(mail).await.unwrap();
        }
        until(|| outcomes(&hands.script).len() == 1_500).await;
        let calls = hands.script.ends.borrow();
        assert!(calls.len() <= 16, "{} calls", calls.len());
        assert!(calls.iter().all(|ends| ends.len() <= ENDS_MAX));
        let told: std::collections::HashSet<_> =
            calls.iter().flatten().map(|end| end.session.clone()).collect();
        assert_eq!(told.len(), 1_500);
    });
}

#[test]
fn a_poll_names_as_acted_on_only_what_every_core_has_acted_on() {
    let ended = vec![LiveEvent::GrantEnded { id: "grt-1".into() }];
    let script = Script::default();
    script.lives.borrow_mut().extend([
        live("one", 4, ended.clone()),
        live("one", 4, ended),
        live("one", 9, Vec::new()),
    ]);
    beside(2, script, async |hands| {
        async fn acts(core: &mut MailReceiver<Letter>, counters: &Counters) {
            loop {
                if let Some(Letter::Live(change)) = core.receive().await {
                    return counters.set_live_acted(change.number);
                }
            }
        }
        acts(&mut hands.cores[0], &hands.counters[0]).await;
        // The other core is behind: the same is asked for once more.
        until(|| hands.script.polls.borrow().len() == 2).await;
        assert_eq!(hands.script.polls.borrow()[1], (String::new(), 0));
        acts(&mut hands.cores[0], &hands.counters[0]).await;
        for _ in 0..2 {
            acts(&mut hands.cores[1], &hands.counters[1]).await;
        }
        until(|| hands.script.polls.borrow().len() == 3).await;
        assert_eq!(hands.script.polls.borrow()[2], ("one".to_owned(), 4));
        acts(&mut hands.cores[0], &hands.counters[0]).await;
        acts(&mut hands.cores[1], &hands.counters[1]).await;
        until(|| hands.script.polls.borrow().len() == 4).await;
        assert_eq!(hands.script.polls.borrow()[3], ("one".to_owned(), 9));
    });
}

#[test]
fn an_answer_that_cannot_be_read_counts_as_none() {
    let script = Script::default();
    let broken = vec![LiveEvent::SessionKilled { session: "x".into() }];
    script.lives.borrow_mut().extend([live("one", 4, broken), live("one", 5, Vec::new())]);
    beside(1, script, async |hands| {
        let change = loop {
            if let Some(Letter::Live(change)) = hands.cores[0].receive().await {
                break change;
            }
        };
        assert_eq!(change.number, 2, "no core hears of the first");
        assert_eq!(hands.script.polls.borrow()[1], (String::new(), 0));
    });
}

#[test]
fn what_is_left_at_the_end_is_told() {
    let script = Script { gate: Some(tokio::sync::Semaphore::new(0)), ..Script::default() };
    script.holds.borrow_mut().push_back(Ok(go()));
    let script = beside(1, script, async |hands| {
        let question = question(0, 1);
        hands.mail.send(DeskMail::Ask(Arc::clone(&question))).await.unwrap();
        until(|| hands.script.out.get() == 1).await;
        hands.mail.send(DeskMail::End(session(2), EndOutcome::HoldOver)).await.unwrap();
        hands.stop.send(true).unwrap();
        question.leave(EndOutcome::HoldOver);
        hands.script.gate.as_ref().unwrap().add_permits(1);
        until(|| outcomes(&hands.script).len() == 2).await;
        Rc::clone(&hands.script)
    });
    let mut told = outcomes(&script);
    told.sort_by_key(|outcome| format!("{outcome:?}"));
    assert_eq!(told, [EndOutcome::HoldOver, EndOutcome::NothingSent]);
}

#[test]
fn open_sessions_are_asked_for_and_told() {
    beside(1, Script::default(), async |hands| {
        while !matches!(hands.cores[0].receive().await, Some(Letter::Sessions)) {}
        let mail = DeskMail::Sessions { core: 0, sessions: Vec::new(), open: 3 };
        hands.mail.send(mail).await.unwrap();
        until(|| !hands.script.sessions.borrow().is_empty()).await;
        assert_eq!(hands.script.sessions.borrow()[0].open, 3);
    });
}

fn ann_revoked() -> LiveEvent {
    let (issuer, subject) = ("company".to_owned(), "ann".to_owned());
    LiveEvent::IdentityRevoked { issuer, subject, issued_ms_max: 5_000 }
}

#[test]
fn what_is_revoked_is_on_disk_soon_after_and_what_is_not_revoked_any_more_is_gone() {
    let lives = RefCell::new(VecDeque::from([live("one", 1, vec![ann_revoked()])]));
    let script = Script { lives, ..Script::default() };
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    beside_disk(0, script, disk.clone(), false, async |hands: &mut Hands| {
        until(|| hands.disk.revocations().unwrap().identities.len() == 1).await;
    });
    // The next process knows it; the control plane says that nothing is revoked.
    let empty = Live { full: true, ..live("two", 1, Vec::new()) };
    let script = Script { lives: RefCell::new(VecDeque::from([empty])), ..Script::default() };
    beside_disk(0, script, disk, false, async |hands: &mut Hands| {
        assert_eq!(hands.node.revocations.identities.len(), 1);
        until(|| hands.disk.revocations().unwrap().identities.is_empty()).await;
    });
}

#[test]
fn what_was_revoked_just_before_the_end_is_kept() {
    let two = LiveEvent::TokenRevoked { sha256: Some("ab".repeat(32)), id: None };
    let lives = [live("one", 1, vec![ann_revoked()]), live("one", 2, vec![two])];
    let script = Script { lives: RefCell::new(lives.into()), ..Script::default() };
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    let source = penstock_config::documents::Source {
        name: "test".to_owned(),
        text: "listen: 127.0.0.1:0\nstate_dir: state\n".to_owned(),
    };
    let node = Arc::new(Node::new(DataplaneSettings::parse(&source).unwrap()));
    let (_mail, mail) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let counters: Arc<[_]> = Arc::new([]);
    let parts = DeskParts { letters: Vec::new(), mail, node, counters, disk: disk.clone() };
    let script = Rc::new(script);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let both = async {
            // The second one comes within the second in which nothing more is written.
            until(|| script.polls.borrow().len() == 3).await;
            stop.send(true).unwrap();
        };
        futures_util::join!(run(Rc::clone(&script), parts, |_| {}, stopped), both);
    });
    let kept = disk.revocations().unwrap();
    assert_eq!((kept.identities.len(), kept.tokens.len()), (1, 1));
}

#[test]
fn what_can_not_be_read_is_unknown_until_the_control_plane_has_said_everything() {
    let full = Live { full: true, ..live("one", 2, Vec::new()) };
    let lives = RefCell::new(VecDeque::from([live("one", 1, Vec::new()), full]));
    let script = Script { lives, ..Script::default() };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("revocations.json"), "{").unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    beside_disk(1, script, disk, true, async |hands: &mut Hands| {
        let unknown = || hands.node.revocations_unknown.load(Ordering::Acquire);
        let counters = Arc::clone(&hands.counters);
        for is_full in [false, true] {
            let change = loop {
                if let Some(Letter::Live(change)) = hands.cores[0].receive().await {
                    break change;
                }
            };
            assert_eq!(change.is_full(), is_full);
            assert!(unknown(), "no core has acted on it");
            counters[0].set_live_acted(change.number);
        }
        until(|| !unknown()).await;
        until(|| hands.disk.revocations().is_ok()).await;
    });
}
