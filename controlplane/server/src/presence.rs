//! Which nodes have a connection open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Open connections by node id. Copies share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence(Arc<Mutex<BTreeMap<Arc<str>, usize>>>);

/// One open connection; it ends with this value.
#[derive(Debug)]
pub(crate) struct Present {
    presence: Presence,
    node: Arc<str>,
}

impl Present {
    /// Whose it is.
    pub(crate) fn node(&self) -> Arc<str> {
        self.node.clone()
    }
}

impl Presence {
    /// Counts a connection of a node until the returned value is dropped.
    pub(crate) fn enter(&self, node: Arc<str>) -> Present {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(node.clone()).or_default();
        *count = count.saturating_add(1);
        Present { presence: self.clone(), node }
    }

    /// Whether a node has a connection open.
    pub(crate) fn has(&self, node: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(node)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut open = self.presence.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.node) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_present_until_its_last_connection_ends() {
        let presence = Presence::default();
        let (first, second) = (presence.enter("a".into()), presence.enter("a".into()));
        drop(first);
        assert!(presence.has("a"));
        drop(second);
        assert!(!presence.has("a"));
    }
}
