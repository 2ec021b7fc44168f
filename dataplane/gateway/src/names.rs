//! Names of all metrics, in one place. Labels come only from enums and configured names.

/// Exchanges that ended, by reason.
pub(crate) const EXCHANGES: &str = "penstock_exchange_ended_total";
/// Connections of callers that are open.
pub(crate) const CLIENTS_OPEN: &str = "penstock_accept_connections_open";
/// Connections of callers that were accepted.
pub(crate) const CLIENTS_ACCEPTED: &str = "penstock_accept_connections_total";
/// Connections of callers that were refused because the core, or their address, had too many.
pub(crate) const CLIENTS_REFUSED: &str = "penstock_accept_connections_refused_total";
/// How often each limit ended or refused something, by the key that sets it.
pub(crate) const LIMITS_REACHED: &str = "penstock_limits_reached_total";
/// TLS handshakes with callers, by result: `full`, `resumed`, or why they failed.
pub(crate) const TLS_ACCEPTED: &str = "penstock_accept_tls_handshakes_total";
/// TLS handshakes with model servers, by result.
pub(crate) const TLS_CONNECTED: &str = "penstock_upstream_tls_handshakes_total";
/// When the first of the certificates that callers are shown expires, since the Unix epoch.
pub(crate) const CERTIFICATE_EXPIRY: &str = "penstock_accept_certificate_expiry_timestamp_seconds";
/// Changes of the certificates' files that were refused.
pub(crate) const CERTIFICATES_REFUSED: &str = "penstock_accept_certificates_refused_total";
/// Exchanges that run now.
pub(crate) const EXCHANGES_OPEN: &str = "penstock_exchange_open";
/// Tokens that were verified, and not found in the cache.
pub(crate) const TOKENS_VERIFIED: &str = "penstock_identify_tokens_verified_total";
/// Tokens that were found in the cache.
pub(crate) const TOKENS_CACHED: &str = "penstock_identify_tokens_cached_total";
/// Upstream connections that were opened.
pub(crate) const UPSTREAM_CONNECTS: &str = "penstock_upstream_connects_total";
/// Requests that went over a kept upstream connection.
pub(crate) const UPSTREAM_REUSES: &str = "penstock_upstream_reuses_total";
/// Kept upstream connections that were not quiet any more when they were to be used: closed by the
/// model server, or with bytes on them that nobody asked for.
pub(crate) const UPSTREAM_STIRRED: &str = "penstock_upstream_stirred_total";
/// Requests that were tried again, on another connection or endpoint.
pub(crate) const UPSTREAM_RETRIES: &str = "penstock_upstream_retries_total";
/// Requests that were not tried again because too many are: a dead model server must be no storm.
pub(crate) const UPSTREAM_RETRIES_REFUSED: &str = "penstock_upstream_retries_refused_total";
/// Probes of endpoints.
pub(crate) const UPSTREAM_PROBES: &str = "penstock_upstream_probes_total";
/// Probes that failed.
pub(crate) const UPSTREAM_PROBES_FAILED: &str = "penstock_upstream_probes_failed_total";
/// Requests that wait for an endpoint.
pub(crate) const UPSTREAM_WAITING: &str = "penstock_upstream_requests_waiting";
/// Accepts that failed, for instance because descriptors ran out.
pub(crate) const ACCEPTS_FAILED: &str = "penstock_accept_failures_total";
/// Bytes of bodies relayed to callers.
pub(crate) const BYTES_DOWN: &str = "penstock_relay_down_bytes_total";
/// Bytes of bodies relayed to model servers.
pub(crate) const BYTES_UP: &str = "penstock_relay_up_bytes_total";
/// Access log lines that were dropped because the log's queue was full.
pub(crate) const LOG_DROPPED: &str = "penstock_record_log_lines_dropped_total";
/// Access log lines that could not be written.
pub(crate) const LOG_LOST: &str = "penstock_record_log_lines_lost_total";
/// Exchanges that ended by a panic of ours.
pub(crate) const PANICS: &str = "penstock_exchange_panics_total";
/// Bytes of the buffer budget in use.
pub(crate) const BUFFER_BYTES: &str = "penstock_reactor_buffers_bytes";
/// Version of the policy that a core enforces.
pub(crate) const POLICY_VERSION: &str = "penstock_sync_policy_version";
/// Age of the last confirmation of the policy.
pub(crate) const CONFIRMATION_AGE: &str = "penstock_sync_confirmation_age_seconds";
/// Whether the control plane answered the last call.
pub(crate) const CONTROL_CONNECTED: &str = "penstock_sync_control_connected";
/// Steps of the wall clock by a minute or more.
pub(crate) const CLOCK_STEPS: &str = "penstock_sync_clock_steps_total";
/// Snapshots that were refused.
pub(crate) const SNAPSHOTS_REFUSED: &str = "penstock_sync_snapshots_refused_total";
/// Requests that wait for an approval.
pub(crate) const HOLDS_OPEN: &str = "penstock_holds_open";
/// Holds that ended, by outcome.
pub(crate) const HOLDS: &str = "penstock_holds_total";
/// How long requests were held, all that ended together.
pub(crate) const HOLD_WAIT_SUM: &str = "penstock_hold_wait_seconds_sum";
/// How many those were.
pub(crate) const HOLD_WAIT_COUNT: &str = "penstock_hold_wait_seconds_count";
/// Time since the control plane last said what is in force.
pub(crate) const LIVE_AGE: &str = "penstock_live_age_seconds";
/// Revoked identities and tokens that a core knows.
pub(crate) const LIVE_REVOCATIONS: &str = "penstock_live_revocations";
/// Exchanges that were cut because a grant ended or something was revoked.
pub(crate) const LIVE_CUTS: &str = "penstock_live_cuts_total";
/// Values that were masked, by connection and detector.
pub(crate) const MASK_VALUES: &str = "penstock_mask_values_total";
/// Bytes of text that were looked at for values to mask.
pub(crate) const MASK_SCANNED_BYTES: &str = "penstock_mask_scanned_bytes_total";
/// Questions to analysers of masks, by outcome.
pub(crate) const MASK_ANALYZER: &str = "penstock_mask_analyzer_questions_total";
/// How long those took, all together.
pub(crate) const MASK_ANALYZER_SECONDS: &str = "penstock_mask_analyzer_seconds_total";
/// Events of streams that went through a mask.
pub(crate) const MASK_EVENTS: &str = "penstock_mask_events_total";
/// Bytes of text that were held after each of those events, all together: with the number of
/// events, what is held on the average.
pub(crate) const MASK_HELD_BYTES: &str = "penstock_mask_held_bytes_total";
/// The most that one stream held after an event, in bytes of text.
pub(crate) const MASK_HELD_BYTES_MAX: &str = "penstock_mask_held_bytes_max";
/// The longest that text was held while nothing came, in milliseconds.
pub(crate) const MASK_HOLD_MS_MAX: &str = "penstock_mask_hold_ms_max";
