//! What is said about a run, and whether it may be said: figures of a run in which this side was
//! the bottleneck are withheld.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Flags;
use super::measure::{Measure, Times};
use super::process::Usage;

/// A percentile is printed when at least so many samples lie beyond it.
const SAMPLES_BEYOND: f64 = 10.0;
/// Most that the p99 of our own lateness may be of the reported p99.
const LATENESS_SHARE_MAX: f64 = 0.10;
/// So much lateness is the grain of a timer's wake-up, and no sign of being busy.
const LATENESS_GRAIN_US: f64 = 100.0;
/// Most requests of the schedule that may be sent after its end.
const SENT_AFTER_END_SHARE_MAX: f64 = 0.01;
/// Most of one processor that this side may use of itself, and from where on it is worth a warning.
const OWN_CPU_SHARE_MAX: f64 = 0.90;
const OWN_CPU_SHARE_WARNED: f64 = 0.70;
/// Lateness from which on there is a warning.
const LATENESS_WARNED: Duration = Duration::from_millis(1);

/// The measured window.
pub(super) struct Window {
    pub(super) time: Duration,
    pub(super) own_cpu: Duration,
    pub(super) process: Option<Usage>,
    pub(super) interrupted: bool,
}

/// Everything that is printed; times in microseconds.
#[derive(Serialize)]
pub(super) struct Report {
    /// Whether this side was fast enough for the figures to be the server's.
    pub(super) valid: bool,
    pub(super) reasons: Vec<String>,
    pub(super) warnings: Vec<String>,
    interrupted: bool,
    /// `open` (by schedule) or `closed`.
    mode: &'static str,
    connections_max: u32,
    /// Opened in the window: 0 where all of them were kept from the warm-up on.
    connections_opened: u64,
    /// What handshakes agreed on, and how many did, warm-up included.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tls: BTreeMap<String, u64>,
    seconds: f64,
    rate_planned: Option<f64>,
    requests: Requests,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Events>,
    body_bytes: u64,
    /// Share of one processor that this side used.
    own_cpu_share: f64,
    lateness_us: Option<Quantiles>,
    latency_us: Option<Quantiles>,
    service_us: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_us: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_us: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_us: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
}

#[derive(Serialize)]
struct Requests {
    /// Meant to start in the window.
    scheduled: u64,
    /// Of these, answered in full.
    completed: u64,
    /// Of these, without an outcome at the end.
    unfinished: u64,
    /// Answers that ended in the window, also to requests from before it.
    answers: u64,
    answers_per_second: f64,
    /// Failures since the first request, warm-up included.
    failed: u64,
    failures: BTreeMap<&'static str, u64>,
    failure_statuses: BTreeMap<u16, u64>,
}

#[derive(Serialize)]
struct Events {
    count: u64,
    per_second: f64,
    /// More than 1 says that something on the way put events together.
    per_read: f64,
}

#[derive(Serialize)]
struct Process {
    #[serde(flatten)]
    usage: Usage,
    cpu_us_per_answer: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_us_per_event: Option<f64>,
}

#[derive(Clone, Serialize)]
struct Quantiles {
    count: u64,
    mean: f64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
    max: f64,
}

impl Quantiles {
    fn of(times: &Times) -> Option<Self> {
        let histogram: &Histogram<u64> = times.histogram();
        let count = histogram.len();
        let microseconds = |nanoseconds: f64| (nanoseconds / 100.0).round() / 10.0;
        let quantile = |quantile: f64| {
            let beyond = count as f64 * (1.0 - quantile);
            (beyond >= SAMPLES_BEYOND - 1e-6)
                .then(|| microseconds(histogram.value_at_quantile(quantile) as f64))
        };
        (count > 0).then(|| Self {
            count,
            mean: microseconds(histogram.mean()),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: microseconds(histogram.max() as f64),
        })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn per(amount: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| rounded(amount / count as f64))
}

impl Report {
    pub(super) fn new(flags: &Flags, measure: &Measure, window: &Window) -> Self {
        let seconds = window.time.as_secs_f64().max(1e-9);
        let own_cpu_share = window.own_cpu.as_secs_f64() / seconds;
        let stream = flags.target.stream;
        let failed = measure.failures.values().sum();
        let accounted = measure.completed + failed;
        let cpu = |usage: Usage| usage.cpu_us() as f64;
        let mut report = Self {
            valid: false,
            reasons: Vec::new(),
            warnings: Vec::new(),
            interrupted: window.interrupted,
            mode: if flags.closed { "closed" } else { "open" },
            connections_max: flags.connections,
            connections_opened: measure.opened,
            tls: measure.tls.clone(),
            seconds: rounded(seconds),
            rate_planned: flags.rate,
            requests: Requests {
                scheduled: measure.scheduled,
                completed: measure.completed,
                unfinished: measure.scheduled.saturating_sub(accounted),
                answers: measure.answers,
                answers_per_second: rounded(measure.answers as f64 / seconds),
                failed,
                failures: measure.failures.clone(),
                failure_statuses: measure.failure_statuses.clone(),
            },
            events: stream.then(|| Events {
                count: measure.events,
                per_second: rounded(measure.events as f64 / seconds),
                per_read: per(measure.events as f64, measure.reads_with_events).unwrap_or(0.0),
            }),
            body_bytes: measure.body_bytes,
            own_cpu_share: rounded(own_cpu_share),
            lateness_us: Quantiles::of(&measure.lateness),
            latency_us: Quantiles::of(&measure.latency),
            service_us: Quantiles::of(&measure.service),
            first_event_us: Quantiles::of(&measure.first_event),
            first_token_us: Quantiles::of(&measure.first_token),
            gap_us: Quantiles::of(&measure.gap),
            process: window.process.map(|usage| Process {
                usage,
                cpu_us_per_answer: per(cpu(usage), measure.answers),
                cpu_us_per_event: per(cpu(usage), measure.events),
            }),
        };
        report.judge(measure);
        report
    }

    /// Whether this side was the bottleneck. Then nothing is left that could be taken for a figure
    /// of the server.
    fn judge(&mut self, measure: &Measure) {
        let late =
            |histogram: &Times| histogram.histogram().value_at_quantile(0.99) as f64 / 1000.0;
        let (lateness, latency) = (late(&measure.lateness), late(&measure.latency));
        let open = self.mode == "open";
        let lateness_us_max = LATENESS_GRAIN_US.max(latency * LATENESS_SHARE_MAX);
        if open && !measure.latency.histogram().is_empty() && lateness > lateness_us_max {
            self.reasons.push(format!(
                "requests were sent late: p99 {lateness:.0} us, latency {latency:.0} us"
            ));
        }
        let after_end = measure.sent_after_end as f64;
        if open && after_end > measure.scheduled as f64 * SENT_AFTER_END_SHARE_MAX {
            self.reasons.push(format!("{after_end} requests were sent after the schedule's end"));
        }
        let paced = open || self.events.is_some();
        if paced && self.own_cpu_share > OWN_CPU_SHARE_MAX {
            let percent = self.own_cpu_share * 100.0;
            self.reasons.push(format!("this program used {percent:.0} % of its processor"));
        } else if paced && self.own_cpu_share > OWN_CPU_SHARE_WARNED {
            let percent = self.own_cpu_share * 100.0;
            self.warnings.push(format!("this program used {percent:.0} % of its processor"));
        }
        if measure.failures.contains_key("local") {
            self.reasons.push("this machine ran out of descriptors or ports".to_owned());
        }
        if measure.answers == 0 && measure.events == 0 {
            self.reasons.push("nothing was answered in the window".to_owned());
        }
        if lateness > LATENESS_WARNED.as_micros() as f64 {
            self.warnings.push(format!("requests were sent late: p99 {lateness:.0} us"));
        }
        self.valid = self.reasons.is_empty();
        if !self.valid {
            self.latency_us = None;
            self.service_us = None;
            self.first_event_us = None;
            self.first_token_us = None;
            self.gap_us = None;
            self.process = None;
        }
    }

    pub(super) fn json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers and text can be written");
        text.push('\n');
        text
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let requests = &self.requests;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} loop, {:.1} s: {} scheduled, {} completed, {} failed, {} unfinished, {:.0}/s",
            self.mode,
            self.seconds,
            requests.scheduled,
            requests.completed,
            requests.failed,
            requests.unfinished,
            requests.answers_per_second,
        );
        for (name, count) in &requests.failures {
            let _ = writeln!(text, "  failed: {name} {count}");
        }
        for (status, count) in &requests.failure_statuses {
            let _ = writeln!(text, "  status {status}: {count}");
        }
        for (agreed, count) in &self.tls {
            let _ = writeln!(text, "{count} handshakes: {agreed}");
        }
        if let Some(events) = &self.events {
            let Events { count, per_second, per_read } = events;
            let _ = writeln!(text, "{count} events, {per_second:.0}/s, {per_read:.3} a read");
        }
        let _ = writeln!(
            text,
            "{:<16}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "microseconds", "count", "p50", "p90", "p99", "p99.9", "max"
        );
        for (name, quantiles) in [
            ("latency", &self.latency_us),
            ("service time", &self.service_us),
            ("first event", &self.first_event_us),
            ("first token", &self.first_token_us),
            ("event gap", &self.gap_us),
            ("own lateness", &self.lateness_us),
        ] {
            let Some(found) = quantiles else { continue };
            let cell = |value: Option<f64>| value.map_or("-".to_owned(), |us| format!("{us:.1}"));
            let _ = writeln!(
                text,
                "{name:<16}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}",
                found.count,
                cell(found.p50),
                cell(found.p90),
                cell(found.p99),
                cell(found.p999),
                cell(Some(found.max)),
            );
        }
        if let Some(process) = &self.process {
            let cell = |value: Option<f64>| value.map_or("-".to_owned(), |us| format!("{us:.2}"));
            let _ = writeln!(
                text,
                "process: {} us of CPU an answer, {} an event, {} bytes resident",
                cell(process.cpu_us_per_answer),
                cell(process.cpu_us_per_event),
                process.usage.rss_bytes
            );
        }
        let _ = writeln!(text, "own CPU: {:.0} % of one processor", self.own_cpu_share * 100.0);
        text
    }
}
