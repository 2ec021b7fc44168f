//! Whether the process may open as many descriptors as its settings let connections come: an open
//! connection of a caller needs two, its own and that to the model server.

use penstock_config::settings::DataplaneSettings;

use crate::node::StartError;

/// Descriptors that are kept back for the process: its logs, state, operations and control plane.
const RESERVE: u64 = 128;

/// The same for each core: its listener and rings.
const RESERVE_PER_CORE: u64 = 64;

/// Descriptors that a caller's connection needs.
const PER_CONNECTION: u64 = 2;

/// Lowers `connections_per_core_max` to what `descriptors` allow, and says so.
///
/// # Errors
/// They don't allow one connection a core.
pub(crate) fn fit(
    settings: &mut DataplaneSettings,
    descriptors: u64,
    cores: usize,
) -> Result<Option<String>, StartError> {
    let cores = u64::try_from(cores).unwrap_or(u64::MAX).max(1);
    let reserve = RESERVE.saturating_add(RESERVE_PER_CORE.saturating_mul(cores));
    let left = descriptors.saturating_sub(reserve) / cores / PER_CONNECTION;
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let most = &mut settings.limits.connections_per_core_max;
    if *most <= left {
        return Ok(None);
    }
    if left == 0 {
        return Err(StartError(format!(
            "the process may open {descriptors} descriptors, and {reserve} are needed before the \
             first connection: raise the limit with ulimit -n or LimitNOFILE="
        )));
    }
    let lowered = format!(
        "connections_per_core_max is {left}, not {most}, and one address gets at most half: the \
         process may open {descriptors} descriptors: raise the limit with ulimit -n or LimitNOFILE="
    );
    let before = std::mem::replace(most, left);
    // One address must not fill what is left, unless the settings let it fill all.
    let by_address = &mut settings.limits.connections_per_address_max;
    if *by_address < before {
        *by_address = (*by_address).min(left.div_ceil(2));
    }
    Ok(Some(lowered))
}

#[cfg(test)]
mod tests {
    use penstock_config::documents::Source;

    use super::*;

    fn settings() -> DataplaneSettings {
        let text = "listen: 127.0.0.1:0\nstate_dir: state\n".to_owned();
        DataplaneSettings::parse(&Source { name: "test".to_owned(), text }).unwrap()
    }

    #[test]
    fn few_descriptors_lower_the_number_of_connections_and_keep_a_reserve() {
        let mut settings = settings();
        let lowered = fit(&mut settings, 4_096, 2).unwrap().unwrap();
        assert_eq!(settings.limits.connections_per_core_max, 960);
        assert_eq!(settings.limits.connections_per_address_max, 480);
        assert!(lowered.starts_with("connections_per_core_max is 960, not 16384"), "{lowered}");
    }

    #[test]
    fn enough_descriptors_change_nothing() {
        let mut settings = settings();
        let before = settings.clone();
        assert_eq!(fit(&mut settings, 1 << 20, 2).unwrap(), None);
        assert_eq!(settings, before);
    }

    #[test]
    fn without_descriptors_for_one_connection_the_node_does_not_start() {
        let problem = fit(&mut settings(), 256, 2).unwrap_err().0;
        assert!(problem.contains("256 are needed"), "{problem}");
    }
}
