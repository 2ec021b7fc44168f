//! Accept: the head of a request, within its limits, and its target.

use std::time::Duration;

use penstock_config::target::Target;
use penstock_http::head::{Form, Framing, HeadError, HeadLimits, SyntaxError, parse_request};
use penstock_reactor::buffer::Buffer;
use penstock_reactor::network::{Network, NetworkError};

use crate::client::{BodyRead, Client};
use crate::core::Core;
use crate::guard::Interrupt;
use crate::input::HeadFailure;
use crate::limits::Limit;
use crate::pipeline::Ending;
use crate::reason::Reason;
use crate::session::Session;

/// A request whose head and target were understood. Spans of `Client::head` are into `head`.
pub(crate) struct Request {
    /// The head's bytes; they carry the caller's token.
    pub(crate) head: Buffer,
    /// The target; `None` for `OPTIONS *`.
    pub(crate) target: Option<Target>,
}

/// Reads the next request's head.
pub(crate) async fn accept<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
    session: &mut Session,
) -> Result<Request, Ending> {
    wait_for_a_request(core, client).await?;
    begin(core, session);
    // Until the head is understood nothing behind it can be: no way out from here keeps the
    // connection.
    client.body = BodyRead::Begun;
    let limits = core.limits();
    let head_limits = HeadLimits {
        head_bytes_max: limits.head_bytes_max,
        header_count_max: limits.header_count_max,
        target_bytes_max: limits.target_bytes_max,
    };
    let mut head_time = Duration::from_millis(limits.head_ms_max);
    if client.served == 0 {
        // One limit from the moment of accept: a byte does not buy another.
        let passed = core.network.now().saturating_sub(client.accepted);
        head_time = head_time.saturating_sub(passed);
    }
    if core.is_short_of_buffers() {
        return Err(Reason::NO_BUFFERS.into());
    }
    let Client { input, guard, head, .. } = client;
    let pool = core.network.pool();
    let read = input.head(pool, |bytes| parse_request(bytes, &head_limits, head));
    let bytes = match guard.within(head_time, read).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(failure)) => return Err(refusal(failure)),
        Err(interrupt) => return Err(guard.reason(interrupt, Reason::Timeout(Limit::Head)).into()),
    };
    session.method = client.head.method.as_str();
    client.body = match client.head.framing {
        Framing::None | Framing::Length(0) => BodyRead::Done,
        Framing::Length(_) | Framing::Chunked => BodyRead::Unread,
    };
    if core.node.draining.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Reason::Draining.into());
    }
    let target = match client.head.form {
        Form::Asterisk => None,
        Form::Origin(span) => Some(understand(span.of(&bytes), session)?),
    };
    check_host(core, client.head.host.of(&bytes))?;
    Ok(Request { head: bytes, target })
}

fn begin<N: Network>(core: &Core<N>, session: &mut Session) {
    session.id = core.session_id();
    session.begun = core.network.now();
    session.begun_wall = core.network.wall();
}

/// Waits for the first byte of a head: an idle connection holds no session and no buffer.
async fn wait_for_a_request<N: Network>(
    core: &Core<N>,
    client: &mut Client<N>,
) -> Result<(), Ending> {
    if client.input.unused_bytes() > 0 {
        return Ok(());
    }
    let idle = if client.served == 0 {
        core.limits().head_ms_max
    } else {
        core.limits().keep_alive_ms_max
    };
    let Client { input, guard, .. } = client;
    let idle_entry = core.idle.enter(guard.cancel());
    let waited = guard.within(Duration::from_millis(idle), input.more()).await;
    drop(idle_entry);
    match waited {
        Ok(Ok(true)) => Ok(()),
        Ok(Err(NetworkError::Exhausted)) => Err(Reason::NO_BUFFERS.into()),
        Err(Interrupt::Elapsed) => {
            core.counters.reached(if client.served == 0 { Limit::Head } else { Limit::KeepAlive });
            Err(Ending::Idle)
        }
        Ok(Ok(false) | Err(_)) | Err(Interrupt::Cancelled(_)) => Err(Ending::Idle),
    }
}

fn understand(bytes: &[u8], session: &mut Session) -> Result<Target, Ending> {
    let target = Target::parse(bytes).map_err(|refused| Reason::bad(refused.to_string()))?;
    session.path = target.path().to_owned();
    Ok(target)
}

/// Where `hosts` is set, only those are accepted; it never decides anything else.
fn check_host<N: Network>(core: &Core<N>, host: &[u8]) -> Result<(), Ending> {
    let hosts = &core.node.settings.hosts;
    let known =
        hosts.is_empty() || hosts.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(host));
    if known { Ok(()) } else { Err(Reason::bad("this host is not served here").into()) }
}

fn refusal(failure: HeadFailure<HeadError>) -> Ending {
    match failure {
        HeadFailure::Ended { begun: false } | HeadFailure::Network { begun: false, .. } => {
            Ending::Idle
        }
        HeadFailure::Ended { begun: true } => Reason::bad("the head ends early").into(),
        HeadFailure::Network { error: NetworkError::Exhausted, .. } => Reason::NO_BUFFERS.into(),
        HeadFailure::Network { .. } => Reason::ClientGone.into(),
        HeadFailure::TooLarge => Reason::HeadTooLarge(Limit::HeadBytes).into(),
        HeadFailure::Refused(error) => head_refusal(error).into(),
    }
}

/// The reason for a head that the parser refused.
fn head_refusal(error: HeadError) -> Reason {
    match error.status() {
        405 => Reason::Method,
        413 => Reason::TooLarge(Limit::BodyBytes),
        414 => Reason::TargetTooLong,
        417 => Reason::Expectation,
        431 => Reason::HeadTooLarge(match error {
            HeadError::Syntax(SyntaxError::TooManyFields) => Limit::HeaderCount,
            _ => Limit::HeadBytes,
        }),
        501 => Reason::NotImplemented,
        505 => Reason::Version,
        _ if error.is_ambiguous() => Reason::ambiguous(error.text()),
        _ => Reason::bad(error.text()),
    }
}
