//! Hold: a request that needs approval waits on its open connection until the control plane says
//! what holds. A [`Ticket`] goes in, a [`Permit`] comes out, or an ending.
//!
//! The body is digested first, so that what is approved is what is sent. Then the control plane is
//! asked, over the sync thread. "Go" is one reserved use of the grants that satisfy the rules;
//! "pending" is waited out, with one receive open to see the caller leave; anything else is an
//! ending. It is asked again when it says that something was decided: its answer is always what is
//! true now. Before the permit everything is decided once more, under the policy in force then.

mod body;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use penstock_config::hold::{
    EndOutcome, Go, HoldAnswer, Pending, Refused, RefusedCode, SKEW_MS_MAX,
};
use penstock_reactor::buffer::{BLOCK_BYTES, Pool};
use penstock_reactor::network::{Network, NetworkError, Receiver};

use crate::client::Client;
use crate::commit::{self, COMMIT_AFTER, may_commit};
use crate::core::Core;
use crate::counters::HoldOutcome;
use crate::decide::{Cleared, Look, Permit, Ticket};
use crate::grants::{Granted, Use};
use crate::guard::Interrupt;
use crate::input::{Input, Kept};
use crate::leases;
use crate::letters::{DeskMail, Question};
use crate::limits::Limit;
use crate::pipeline::Ending;
use crate::question::{DigestedBody, Wish, question};
use crate::reason::{Denial, Notice, Reason};
use crate::registry::Standing;
use crate::session::Session;
use crate::shares::{Keeps, Most, Who};
use crate::waiting::{Answered, News, Place};

/// How long a question may be out.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long a request waits for a policy that the control plane has and this node has not yet.
const POLICY_MAX: Duration = Duration::from_secs(5);

/// How soon a question is asked again that could not go out, or whose answer did not suffice.
const RETRY: Duration = Duration::from_millis(200);

/// How often "go" may be overtaken by something that makes it untrue.
const TRIES_MAX: u32 = 8;

/// Holds a request until it may go.
pub(crate) async fn hold<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    mut ticket: Box<Ticket>,
    session: &mut Session,
) -> Result<(Permit, Cleared), Ending> {
    session.held = true;
    let begun = core.network.now();
    core.counters.holds_open.add(1);
    let held = held(core, client, &mut ticket, session).await;
    core.counters.holds_open.subtract(1);
    let held = held
        .and_then(|granted| ticket.permit(core, client, session, granted).map_err(Ending::from));
    let waited = core.network.now().saturating_sub(begun);
    let outcome = match &held {
        Ok(_) if session.granted.is_some() => HoldOutcome::Granted,
        Ok(_) => HoldOutcome::Allowed,
        Err(ending) => HoldOutcome::of(ending.reason()),
    };
    core.counters.held(outcome, waited);
    held
}

/// What a request may go under; none: rules allow it meanwhile.
type Right = Option<(Rc<Granted>, Use)>;

/// What a waiting request holds is kept small: what happens once, or seldom, is boxed.
async fn held<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    ticket: &mut Ticket,
    session: &mut Session,
) -> Result<Right, Ending> {
    let begun = Box::pin(begin(core, client, ticket, session)).await?;
    let Some(mut course) = begun else { return Ok(None) };
    course.ask(client, ticket, session)?;
    loop {
        let step = course.step(client, ticket, session).await;
        match step.inspect_err(|reason| course.leaves_for(reason))? {
            Step::On => {}
            Step::Allowed => return Ok(None),
            Step::Granted(right) => {
                Box::pin(lease(core, client, &ticket.open().connection)).await?;
                return Ok(Some(*right));
            }
        }
    }
}

/// Digests the body and takes a place among those that wait; none where nobody needs to be asked
/// any more.
async fn begin<'c, N: Network>(
    core: &'c Core<N>,
    client: &mut Client<N>,
    ticket: &mut Ticket,
    session: &mut Session,
) -> Result<Option<Box<Course<'c, N>>>, Ending> {
    let who = Who::of(ticket.identified().known().marks.identity());
    let most = Most::places(core.limits().holds_per_core_max);
    let place = core.waitings.enter(most, who, ticket.waiting(), session.id, &core.ends);
    let place = place.ok_or(Reason::Overloaded(Limit::Holds))?;
    core.may_hold()?;
    // Before anything is waited for: what is not understood is refused at once.
    Wish::read(client, &ticket.identified().head, ticket.identified().identity())?;
    let mut keeps = Keeps::new(&core.held_bytes, who);
    let body = body::digest(core, client, ticket, session, &mut keeps).await?;
    // The body was waited for.
    if ticket.look(core, client)? == Look::Allowed {
        return Ok(None);
    }
    ticket.compact(core.network.pool()).map_err(|_exhausted| Reason::NO_BUFFERS)?;
    // What its caller sent beyond it is kept too, in a block for each piece.
    let ahead = client.input.unused_pieces();
    let bytes = ticket.bytes_kept().saturating_add(ahead.saturating_mul(BLOCK_BYTES));
    keeps.set(bytes).map_err(|_| Reason::NO_BUFFERS)?;
    let course = Course::new(core, place, body, keeps);
    course.is_ahead.set(ahead > 0);
    Ok(Some(Box::new(course)))
}

/// What one piece of news comes to.
enum Step {
    /// It waits on.
    On,
    /// Rules allow it meanwhile.
    Allowed,
    /// It may go under these grants.
    Granted(Box<(Rc<Granted>, Use)>),
}

/// What a request waits for, next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    /// Its time on the connection is over.
    Over,
    /// No answer came.
    Unanswered,
    /// The caller's token ends.
    TokenEnds,
    /// The question can go out again.
    AskAgain,
    /// The policy that the control plane has did not come.
    Stale,
    /// The caller is to hear something.
    Comment,
}

/// One hold, from its first question on. The question itself is made anew each time: what it says
/// stands in the request.
struct Course<'c, N: Network> {
    core: &'c Core<N>,
    place: Place,
    body: DigestedBody,
    /// What it keeps while it waits.
    keeps: RefCell<Keeps>,
    /// Whether its caller has sent more, which counts among that.
    is_ahead: Cell<bool>,
    /// When it was asked last.
    asked: Duration,
    /// What the control plane said last.
    pending: Option<Box<Pending>>,
    /// Until when the request waits.
    until: Option<Duration>,
    retry: Option<Duration>,
    comment: Option<Duration>,
    stale_until: Option<Duration>,
    was_stale: bool,
    tries: u32,
    /// A use that was reserved, while it is asked again whether it still is.
    used: Option<Use>,
}

impl<'c, N: Network> Course<'c, N> {
    fn new(core: &'c Core<N>, place: Place, body: DigestedBody, keeps: Keeps) -> Self {
        Self {
            core,
            place,
            body,
            keeps: RefCell::new(keeps),
            is_ahead: Cell::new(false),
            asked: core.network.now(),
            pending: None,
            until: None,
            retry: None,
            comment: None,
            stale_until: None,
            was_stale: false,
            tries: 0,
            used: None,
        }
    }

    /// Asks the control plane. Where the way to it is full, a first question is not asked at all.
    fn ask(
        &mut self,
        client: &Client<N>,
        ticket: &Ticket,
        session: &Session,
    ) -> Result<(), Reason> {
        self.asked = self.core.network.now();
        self.retry = None;
        let request = question(self.core, client, ticket, session, self.body)?;
        let body = serde_json::to_vec(&request).map_err(|_| Reason::Internal)?;
        let question = Question::new(self.core.seat, self.place.ticket(), session.id, body);
        let question = Arc::new(question);
        match self.core.desk.try_send(DeskMail::Ask(Arc::clone(&question))) {
            Ok(()) => self.place.asked(question),
            Err(_full) if self.pending.is_none() => return Err(Reason::ApprovalUnavailable),
            Err(_full) => self.retry = Some(self.asked.saturating_add(RETRY)),
        }
        Ok(())
    }

    /// Asks once more because of an answer that does not suffice, a moment later.
    fn ask_later(&mut self) -> Result<(), Reason> {
        self.tries = self.tries.saturating_add(1);
        if self.tries > TRIES_MAX {
            return Err(Reason::ApprovalUnavailable);
        }
        self.retry = Some(self.core.network.now().saturating_add(RETRY));
        Ok(())
    }

    /// How it leaves: an approval for a caller who left, or may not ask any more, is for nobody.
    fn leaves_for(&mut self, reason: &Reason) {
        let is_gone = matches!(
            reason,
            Reason::ClientGone | Reason::ClientStalled | Reason::SessionKilled | Reason::Revoked
        );
        if is_gone {
            self.place.leaves_as(EndOutcome::Withdrawn);
        }
    }

    /// Waits for the next thing, and does what it asks for.
    async fn step(
        &mut self,
        client: &mut Client<N>,
        ticket: &mut Ticket,
        session: &mut Session,
    ) -> Result<Step, Reason> {
        let (left, due) = self.next_due(ticket);
        let Some(news) = self.news(client, left).await? else {
            return match due {
                Due::Comment => Box::pin(self.comment(client, session)).await.map(|()| Step::On),
                Due::AskAgain => self.ask(client, ticket, session).map(|()| Step::On),
                due => Err(self.over(due)),
            };
        };
        match news {
            News::Answer(answered) => self.answered(client, ticket, session, *answered),
            News::AskAgain => self.ask(client, ticket, session).map(|()| Step::On),
            News::Policy => self.policy(client, ticket, session),
        }
    }

    /// What it waits for first, and how long.
    fn next_due(&self, ticket: &Ticket) -> (Duration, Due) {
        let now = self.core.network.now();
        let is_out = self.place.waiting().is_out();
        let unanswered = is_out.then(|| self.asked.saturating_add(ANSWER_MAX));
        let token_ms = ticket.identified().known().expires_ms;
        let token = Duration::from_millis(token_ms.saturating_sub(self.core.wall_ms()));
        let first = [
            (self.until, Due::Over),
            (unanswered, Due::Unanswered),
            (Some(now.saturating_add(token)), Due::TokenEnds),
            (self.retry.filter(|_| !is_out), Due::AskAgain),
            (self.stale_until, Due::Stale),
            (self.comment, Due::Comment),
        ];
        let first = first.into_iter().filter_map(|(at, due)| Some((at?, due)));
        let (at, due) = first.min_by_key(|(at, _)| *at).unwrap_or((now, Due::Unanswered));
        (at.saturating_sub(now), due)
    }

    /// The next news; none within the time.
    async fn news(&self, client: &mut Client<N>, left: Duration) -> Result<Option<News>, Reason> {
        let pool = self.core.network.pool();
        let Client { input, guard, .. } = client;
        let gone = pin!(watch(input, pool, || self.more_came()));
        let news = poll_fn(|cx| self.place.waiting().poll_news(cx));
        match guard.within(left, select(news, gone)).await {
            Ok(Either::Left((news, _))) => Ok(Some(news)),
            Ok(Either::Right((reason, _))) => Err(reason),
            Err(Interrupt::Cancelled(reason)) => Err(reason),
            Err(Interrupt::Elapsed) => Ok(None),
        }
    }

    /// Its caller sends more while it waits: one block is kept of that, and counts.
    fn more_came(&self) -> Result<(), Reason> {
        if self.is_ahead.replace(true) {
            return Ok(());
        }
        let mut keeps = self.keeps.borrow_mut();
        keeps.add(BLOCK_BYTES).map_err(|_| Reason::NO_BUFFERS)?;
        match &self.pending {
            Some(pending) if !keeps.may_wait() => Err(self.asked_once(pending)),
            Some(_) | None => Ok(()),
        }
    }

    /// It was asked about, and keeps too much to wait: what it keeps goes with it.
    fn asked_once(&self, pending: &Pending) -> Reason {
        self.core.counters.reached(Limit::Buffers);
        still_pending(pending.clone())
    }

    /// The caller hears something.
    async fn comment(
        &mut self,
        client: &mut Client<N>,
        session: &mut Session,
    ) -> Result<(), Reason> {
        commit::go_on(self.core, client, session).await?;
        let every = Duration::from_millis(self.core.limits().stream_comment_ms);
        let next = self.core.network.now().saturating_add(every);
        self.comment = (!every.is_zero()).then_some(next);
        Ok(())
    }

    /// Why it waits no longer.
    fn over(&mut self, due: Due) -> Reason {
        match due {
            Due::Over => match self.pending.take() {
                Some(pending) => still_pending(*pending),
                None => Reason::ApprovalUnavailable,
            },
            Due::TokenEnds => Reason::Unauthenticated("expired"),
            Due::Stale => Reason::PolicyStale,
            Due::Unanswered | Due::AskAgain | Due::Comment => Reason::ApprovalUnavailable,
        }
    }

    fn answered(
        &mut self,
        client: &Client<N>,
        ticket: &mut Ticket,
        session: &mut Session,
        Answered { answer, at }: Answered,
    ) -> Result<Step, Reason> {
        let answer = answer.map_err(|_unanswered| Reason::ApprovalUnavailable)?;
        self.place.answered(matches!(answer, HoldAnswer::Pending(_)));
        match answer {
            HoldAnswer::Go(go) => self.go(client, ticket, session, go, at),
            HoldAnswer::Pending(pending) => {
                self.wait_on(client, ticket, session, pending)?;
                Ok(Step::On)
            }
            HoldAnswer::Refused(refused) => self.refused(client, ticket, session, refused),
        }
    }

    /// A use is reserved. From here on it is given back whatever happens, until it is used.
    fn go(
        &mut self,
        client: &Client<N>,
        ticket: &mut Ticket,
        session: &mut Session,
        go: Go,
        at: Duration,
    ) -> Result<Step, Reason> {
        let core = self.core;
        let used = self.used.take().unwrap_or_else(|| Use::new(&core.ends, session.id));
        self.check_clock(go.server_ms)?;
        core.may_hold()?;
        let granted = Rc::new(Granted::new(go, at));
        let looked = ticket.look(core, client)?;
        let overtaken = core.live.ended_since(&granted.grants, self.asked);
        let rules = ticket.waiting().rules();
        if overtaken || (looked != Look::Allowed && !granted.covers(&rules)) {
            self.used = Some(used);
            self.ask_later()?;
            return Ok(Step::On);
        }
        session.approval.clone_from(&granted.approval);
        // From now on the end of a grant ends it, also while it waits for its credential.
        ticket.stands_as(Standing::Granted(Rc::clone(&granted)));
        Ok(Step::Granted(Box::new((granted, used))))
    }

    fn wait_on(
        &mut self,
        client: &Client<N>,
        ticket: &Ticket,
        session: &mut Session,
        pending: Pending,
    ) -> Result<(), Reason> {
        self.check_clock(pending.server_ms)?;
        if !self.keeps.borrow().may_wait() {
            session.approval = Some(pending.approval.clone());
            return Err(self.asked_once(&pending));
        }
        let now = self.core.network.now();
        let hold = Duration::from_millis(pending.hold_ms);
        self.until.get_or_insert(now.saturating_add(hold));
        if pending.commit && self.comment.is_none() && may_commit(client, ticket, session) {
            self.comment = Some(now.saturating_add(COMMIT_AFTER));
        }
        ticket.waiting().set_approval(&pending.approval);
        ticket.touch();
        session.approval = Some(pending.approval.clone());
        if self.core.live.decided_since(&pending.approval, self.asked) {
            ticket.waiting().ask_again();
        }
        self.pending = Some(Box::new(pending));
        Ok(())
    }

    fn refused(
        &mut self,
        client: &Client<N>,
        ticket: &mut Ticket,
        session: &mut Session,
        refused: Refused,
    ) -> Result<Step, Reason> {
        if refused.code == RefusedCode::PolicyStale && !self.was_stale {
            self.was_stale = true;
            if self.core.in_force()?.position > ticket.position() {
                return self.look_again(client, ticket, session);
            }
            ticket.waiting().wants_policy(true);
            self.stale_until = Some(self.core.network.now().saturating_add(POLICY_MAX));
            return Ok(Step::On);
        }
        if refused.approval.is_some() {
            session.approval.clone_from(&refused.approval);
        }
        let operation = session.operation();
        Err(refusal(refused, operation))
    }

    /// Another policy is in force.
    fn policy(
        &mut self,
        client: &Client<N>,
        ticket: &mut Ticket,
        session: &Session,
    ) -> Result<Step, Reason> {
        ticket.waiting().wants_policy(false);
        self.stale_until = None;
        self.look_again(client, ticket, session)
    }

    fn look_again(
        &mut self,
        client: &Client<N>,
        ticket: &mut Ticket,
        session: &Session,
    ) -> Result<Step, Reason> {
        if ticket.look(self.core, client)? == Look::Allowed {
            return Ok(Step::Allowed);
        }
        if ticket.waiting().is_out() {
            ticket.waiting().ask_again();
        } else {
            self.ask(client, ticket, session)?;
        }
        Ok(Step::On)
    }

    /// With clocks that differ, ends mean nothing.
    fn check_clock(&self, server_ms: u64) -> Result<(), Reason> {
        let skew_ms = self.core.wall_ms().abs_diff(server_ms);
        if skew_ms > SKEW_MS_MAX { Err(Reason::ApprovalUnavailable) } else { Ok(()) }
    }
}

/// Why a request may not go, as its caller is told.
fn refusal(refused: Refused, operation: &'static str) -> Reason {
    let Refused { code, approval, url, rule, message, server_ms: _ } = refused;
    let notice = Box::new(Notice { approval, url, rule, message });
    match code {
        RefusedCode::ApprovalDenied => Reason::ApprovalDenied(notice),
        RefusedCode::ApprovalExpired => Reason::ApprovalExpired(notice),
        RefusedCode::ApprovalSpent => Reason::ApprovalSpent(notice),
        RefusedCode::ReasonRequired => Reason::Unexplained(notice),
        RefusedCode::Denied => Reason::Denied(Denial {
            rule: notice.rule.map(Arc::from),
            operation,
            by_intent: false,
            wants_approval: false,
        }),
        RefusedCode::PolicyStale => Reason::PolicyStale,
        RefusedCode::Overloaded => Reason::Overloaded(Limit::Holds),
    }
}

fn still_pending(pending: Pending) -> Reason {
    let Pending { approval, url, .. } = pending;
    let message = format!(
        "approval {approval} is still pending: once it is given, the same request, sent again, \
         goes through"
    );
    let (approval, url) = (Some(approval), Some(url));
    Reason::ApprovalPending(Box::new(Notice { approval, url, rule: None, message }))
}

/// Waits for the credential that goes with a grant, for as long as the caller stays.
async fn lease<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    connection: &str,
) -> Result<(), Reason> {
    let Client { input, guard, .. } = client;
    let gone = pin!(watch(input, core.network.pool(), || Ok(())));
    let here = pin!(leases::wait(core, connection));
    match guard.within(ANSWER_MAX, select(here, gone)).await {
        Ok(Either::Left((here, _))) => here,
        Ok(Either::Right((reason, _))) => Err(reason),
        Err(interrupt) => Err(guard.reason(interrupt, Reason::CredentialUnavailable)),
    }
}

/// Waits until the caller leaves. What it sends meanwhile is kept in one block and not parsed; then
/// it waits too.
async fn watch<R: Receiver>(
    input: &mut Input<R>,
    pool: &Pool,
    more_came: impl Fn() -> Result<(), Reason>,
) -> Reason {
    loop {
        match input.keep(pool).await {
            Ok(Kept::More) => {
                if let Err(reason) = more_came() {
                    return reason;
                }
            }
            Ok(Kept::Full) | Err(NetworkError::Exhausted) => break,
            Ok(Kept::End)
            | Err(NetworkError::Reset | NetworkError::Refused | NetworkError::System(_)) => {
                return Reason::ClientGone;
            }
        }
    }
    std::future::pending().await
}
