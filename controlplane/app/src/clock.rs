//! The control plane's clock may jump. Ahead: what is over stays over. Back: what would last longer
//! than it can is over too.

use penstock_config::hold::SKEW_MS_MAX;

/// Whether a time that was set at most `span_ms` ahead is over. A clock that is set back by no more
/// than [`SKEW_MS_MAX`] changes nothing.
pub(crate) fn is_over(at_ms: u64, span_ms: u64, now_ms: u64) -> bool {
    at_ms <= now_ms || at_ms > now_ms.saturating_add(span_ms).saturating_add(SKEW_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::is_over;

    #[test]
    fn a_time_is_over_once_it_is_reached_and_where_it_is_further_off_than_it_can_be() {
        assert!(!is_over(1_100, 100, 1_000));
        assert!(is_over(1_100, 100, 1_100));
        assert!(!is_over(10_100, 100, 5_000));
        assert!(is_over(10_101, 100, 5_000));
        assert!(!is_over(u64::MAX, 1, u64::MAX - 1));
    }
}
