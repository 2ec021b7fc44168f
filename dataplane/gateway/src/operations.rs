//! The operations address: health, readiness and metrics, on a thread of its own.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use penstock_reactor::process::boot_time;
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, Encoder as _, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use tokio::sync::watch;

use crate::core::Node;
use crate::counters::{Count, Counters, Handshakes};
use crate::names;
use crate::reason::Reason;

/// What the thread reads.
#[derive(Clone)]
pub(crate) struct Views {
    /// What all threads see.
    pub(crate) node: Arc<Node>,
    /// One set of counters a core.
    pub(crate) cores: Arc<[Arc<Counters>]>,
}

/// How long calls that run at the end may take.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The running thread.
pub(crate) struct Operations {
    address: SocketAddr,
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Operations {
    /// Binds and serves.
    ///
    /// # Errors
    /// The address can't be had.
    pub(crate) fn start(listen: SocketAddr, views: Views) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = watch::channel(false);
        let routes = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(views);
        let serve = async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let mut stop = stopped.clone();
            let graceful = async move {
                let _ = stop.changed().await;
            };
            // A caller that never finishes its request must not keep the process.
            let at_last = async move {
                let _ = stopped.changed().await;
                tokio::time::sleep(LAST_CALLS).await;
            };
            tokio::select! {
                _ = axum::serve(listener, routes).with_graceful_shutdown(graceful) => {}
                () = at_last => {}
            }
        };
        let thread = std::thread::Builder::new()
            .name("operations".to_owned())
            .spawn(move || runtime.block_on(serve))?;
        Ok(Self { address, thread, stop })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.thread.join();
    }
}

fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Why the node is not ready, or nothing.
fn obstacle(views: &Views) -> Option<&'static str> {
    let node = &views.node;
    let now = wall_ms();
    let in_force = node.published.load();
    let Some(enforced) = in_force.as_ref() else { return Some("no policy yet") };
    if node.draining.load(Ordering::Relaxed) {
        Some("draining")
    } else if node.is_stale(now) {
        Some("the policy was not confirmed for too long")
    } else if node.revocations_unknown.load(Ordering::Acquire) {
        Some("what was revoked is not known yet")
    } else if now >= enforced.expires_ms {
        Some("the policy has expired")
    } else if !views.cores.iter().all(|core| core.position() == enforced.position) {
        Some("not every core enforces the policy yet")
    } else {
        None
    }
}

async fn ready(State(views): State<Views>) -> Response {
    match obstacle(&views) {
        None => (StatusCode::OK, "ready\n").into_response(),
        Some(why) => {
            let mut text = String::new();
            let _ = writeln!(text, "not ready: {why}");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics(State(views): State<Views>) -> Response {
    let mut text = Vec::new();
    let encoded =
        gather(&views).and_then(|families| TextEncoder::new().encode(&families, &mut text));
    match encoded {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

type Getter = fn(&Counters) -> &Count;

/// Counters of all cores as metric families, made anew for each scrape: cores share nothing with
/// it.
fn gather(views: &Views) -> prometheus::Result<Vec<MetricFamily>> {
    let registry = Registry::new();
    let ended =
        IntCounterVec::new(Opts::new(names::EXCHANGES, "exchanges by reason"), &["reason"])?;
    for (index, reason) in Reason::LABELS.iter().enumerate() {
        let total: u64 = views.cores.iter().map(|core| core.ended_by_label(index)).sum();
        ended.with_label_values(&[reason]).inc_by(total);
    }
    registry.register(Box::new(ended))?;
    let reached =
        IntCounterVec::new(Opts::new(names::LIMITS_REACHED, "limits by key"), &["limit"])?;
    for (key, count) in views.cores.iter().flat_map(|core| core.limits_reached()) {
        reached.with_label_values(&[key]).inc_by(count);
    }
    registry.register(Box::new(reached))?;
    let held = IntCounterVec::new(Opts::new(names::HOLDS, "holds by outcome"), &["outcome"])?;
    for (outcome, count) in views.cores.iter().flat_map(|core| core.holds_by_outcome()) {
        held.with_label_values(&[outcome]).inc_by(count);
    }
    registry.register(Box::new(held))?;
    hold_waits(&registry, views)?;
    masked_values(&registry, views)?;
    analyzers(&registry, views)?;
    handshakes(&registry, views, names::TLS_ACCEPTED, |core| &core.tls_accepted)?;
    handshakes(&registry, views, names::TLS_CONNECTED, |core| &core.tls_connected)?;
    let totals: [(&str, Getter); 19] = [
        (names::CLIENTS_ACCEPTED, |core| &core.clients_accepted),
        (names::CLIENTS_REFUSED, |core| &core.clients_refused),
        (names::TOKENS_VERIFIED, |core| &core.tokens_verified),
        (names::TOKENS_CACHED, |core| &core.tokens_cached),
        (names::UPSTREAM_CONNECTS, |core| &core.upstream_connects),
        (names::UPSTREAM_REUSES, |core| &core.upstream_reuses),
        (names::UPSTREAM_STIRRED, |core| &core.upstream_stirred),
        (names::UPSTREAM_RETRIES, |core| &core.upstream_retries),
        (names::UPSTREAM_RETRIES_REFUSED, |core| &core.upstream_retries_refused),
        (names::UPSTREAM_PROBES, |core| &core.upstream_probes),
        (names::UPSTREAM_PROBES_FAILED, |core| &core.upstream_probes_failed),
        (names::ACCEPTS_FAILED, |core| &core.accepts_failed),
        (names::BYTES_DOWN, |core| &core.bytes_down),
        (names::BYTES_UP, |core| &core.bytes_up),
        (names::LOG_DROPPED, |core| &core.log_dropped),
        (names::LIVE_CUTS, |core| &core.live_cuts),
        (names::MASK_SCANNED_BYTES, |core| &core.mask_scanned_bytes),
        (names::MASK_EVENTS, |core| &core.mask_events),
        (names::MASK_HELD_BYTES, |core| &core.mask_held_bytes),
    ];
    for (name, getter) in totals {
        per_core(&registry, views, name, getter, true)?;
    }
    per_core(&registry, views, names::PANICS, |core| &core.panics, true)?;
    let gauges: [(&str, Getter); 9] = [
        (names::CLIENTS_OPEN, |core| &core.clients_open),
        (names::EXCHANGES_OPEN, |core| &core.exchanges_open),
        (names::UPSTREAM_WAITING, |core| &core.upstream_waiting),
        (names::BUFFER_BYTES, |core| &core.buffer_bytes),
        (names::POLICY_VERSION, |core| &core.version),
        (names::HOLDS_OPEN, |core| &core.holds_open),
        (names::LIVE_REVOCATIONS, |core| &core.live_revocations),
        (names::MASK_HELD_BYTES_MAX, |core| &core.mask_held_bytes_max),
        (names::MASK_HOLD_MS_MAX, |core| &core.mask_hold_ms_max),
    ];
    for (name, getter) in gauges {
        per_core(&registry, views, name, getter, false)?;
    }
    node_counts(&registry, &views.node)?;
    node_gauges(&registry, views)?;
    Ok(registry.gather())
}

/// How long requests were held, by core: a sum and a count, as a summary has them.
fn hold_waits(registry: &Registry, views: &Views) -> prometheus::Result<()> {
    let sum = CounterVec::new(Opts::new(names::HOLD_WAIT_SUM, "by core"), &["core"])?;
    let count = IntCounterVec::new(Opts::new(names::HOLD_WAIT_COUNT, "by core"), &["core"])?;
    for (index, core) in views.cores.iter().enumerate() {
        let waited = Duration::from_micros(core.hold_wait_us.read());
        sum.with_label_values(&[&index.to_string()]).inc_by(waited.as_secs_f64());
        let holds = core.holds_by_outcome().map(|(_, count)| count).sum();
        count.with_label_values(&[&index.to_string()]).inc_by(holds);
    }
    registry.register(Box::new(sum))?;
    registry.register(Box::new(count))
}

/// Values that were masked, by connection and detector, all cores together.
fn masked_values(registry: &Registry, views: &Views) -> prometheus::Result<()> {
    let options = Opts::new(names::MASK_VALUES, "values that were masked");
    let family = IntCounterVec::new(options, &["connection", "detector"])?;
    for core in views.cores.iter() {
        for counts in core.masked.load().iter() {
            for (detector, values) in counts.by_detector() {
                family.with_label_values(&[counts.connection(), detector]).inc_by(values);
            }
        }
    }
    registry.register(Box::new(family))
}

/// Questions to analysers, all cores together.
fn analyzers(registry: &Registry, views: &Views) -> prometheus::Result<()> {
    let options = Opts::new(names::MASK_ANALYZER, "questions to analysers by outcome");
    let family = IntCounterVec::new(options, &["outcome"])?;
    let options = Opts::new(names::MASK_ANALYZER_SECONDS, "time they took, by core");
    let seconds = CounterVec::new(options, &["core"])?;
    for (index, core) in views.cores.iter().enumerate() {
        for (outcome, count) in core.analyzer_by_outcome() {
            family.with_label_values(&[outcome]).inc_by(count);
        }
        let took = Duration::from_micros(core.analyzer_us.read());
        seconds.with_label_values(&[&index.to_string()]).inc_by(took.as_secs_f64());
    }
    registry.register(Box::new(family))?;
    registry.register(Box::new(seconds))
}

fn handshakes(
    registry: &Registry,
    views: &Views,
    name: &str,
    getter: fn(&Counters) -> &Handshakes,
) -> prometheus::Result<()> {
    let family = IntCounterVec::new(Opts::new(name, "TLS handshakes by result"), &["result"])?;
    for (result, count) in views.cores.iter().flat_map(|core| getter(core).by_result()) {
        family.with_label_values(&[result]).inc_by(count);
    }
    registry.register(Box::new(family))
}

/// What a figure of each core means, where its name does not say all of it.
fn help(name: &str) -> &'static str {
    match name {
        names::MASK_SCANNED_BYTES => "bytes of text that were looked at for values, by core",
        names::MASK_EVENTS => "events of streams that went through a mask, by core",
        names::MASK_HELD_BYTES => {
            "bytes of text held after each of those events, added up, by core"
        }
        names::MASK_HELD_BYTES_MAX => {
            "since the start, the most bytes of text that one stream held after an event, by core"
        }
        names::MASK_HOLD_MS_MAX => {
            "since the start, the longest that text was held while nothing came, in \
             milliseconds, by core"
        }
        _ => "by core",
    }
}

fn per_core(
    registry: &Registry,
    views: &Views,
    name: &str,
    getter: Getter,
    counts: bool,
) -> prometheus::Result<()> {
    let options = Opts::new(name, help(name));
    if counts {
        let family = IntCounterVec::new(options, &["core"])?;
        for (index, core) in views.cores.iter().enumerate() {
            family.with_label_values(&[&index.to_string()]).inc_by(getter(core).read());
        }
        registry.register(Box::new(family))
    } else {
        let family = IntGaugeVec::new(options, &["core"])?;
        for (index, core) in views.cores.iter().enumerate() {
            let value = i64::try_from(getter(core).read()).unwrap_or(i64::MAX);
            family.with_label_values(&[&index.to_string()]).set(value);
        }
        registry.register(Box::new(family))
    }
}

fn node_counts(registry: &Registry, node: &Node) -> prometheus::Result<()> {
    let counts: [(&str, &AtomicU64, &str); 4] = [
        (names::LOG_LOST, &node.log_lost, "access log lines that could not be written"),
        (names::CLOCK_STEPS, &node.clock_steps, "steps of the wall clock by a minute or more"),
        (
            names::CERTIFICATES_REFUSED,
            &node.certificates_refused,
            "changes of the certificates' files that were refused",
        ),
        (names::SNAPSHOTS_REFUSED, &node.snapshots_refused, "snapshots that were refused"),
    ];
    for (name, count, help) in counts {
        let counter = IntCounter::with_opts(Opts::new(name, help))?;
        counter.inc_by(count.load(Ordering::Relaxed));
        registry.register(Box::new(counter))?;
    }
    Ok(())
}

fn node_gauges(registry: &Registry, views: &Views) -> prometheus::Result<()> {
    let node = &views.node;
    let age_ms = wall_ms().saturating_sub(node.confirmed_ms.load(Ordering::Relaxed));
    let gauges = [
        (names::CONFIRMATION_AGE, age_ms / 1000, "seconds since the policy was confirmed"),
        (
            names::CONTROL_CONNECTED,
            u64::from(node.connected.load(Ordering::Relaxed)),
            "1 while the control plane answers",
        ),
    ];
    let callers_tls = node.tls.load();
    let expiry = callers_tls.as_ref().map(|tls| {
        let help = "when the first of the certificates that callers are shown to expire does";
        (names::CERTIFICATE_EXPIRY, tls.expires().as_secs(), help)
    });
    let heard_ms = Some(node.live_heard_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0);
    let live = heard_ms.map(|heard_ms| {
        let age = boot_time().saturating_sub(Duration::from_millis(heard_ms));
        let help = "seconds since the control plane last said what is in force";
        (names::LIVE_AGE, age.as_secs(), help)
    });
    for (name, value, help) in gauges.into_iter().chain(expiry).chain(live) {
        let gauge = prometheus::IntGauge::with_opts(Opts::new(name, help))?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))?;
    }
    Ok(())
}
