//! What a core counts of its masks. Labels are names of connections and detectors, which documents
//! give; never a value.

use std::sync::Arc;

use crate::counters::Count;

/// Values that were masked in one connection's exchanges on one core, by detector.
#[derive(Debug)]
pub(crate) struct MaskCounts {
    connection: Arc<str>,
    detectors: Vec<Arc<DetectorCount>>,
}

#[derive(Debug)]
struct DetectorCount {
    detector: Arc<str>,
    values: Count,
}

impl MaskCounts {
    /// Counts for these detectors, by their index. What stands in `before` goes on.
    pub(super) fn of(
        connection: &str,
        detectors: &[Arc<str>],
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let known: &[Arc<DetectorCount>] = before.map_or(&[], |before| &before.detectors);
        let are_same = known.len() == detectors.len()
            && known.iter().zip(detectors).all(|(known, name)| known.detector == *name);
        if let Some(before) = before
            && are_same
        {
            return Arc::clone(before);
        }
        let one = |name: &Arc<str>| {
            known.iter().find(|known| known.detector == *name).cloned().unwrap_or_else(|| {
                Arc::new(DetectorCount { detector: Arc::clone(name), values: Count::default() })
            })
        };
        let detectors = detectors.iter().map(one).collect();
        Arc::new(Self { connection: Arc::from(connection), detectors })
    }

    /// Counts values of a detector.
    pub(super) fn add(&self, detector: usize, values: u64) {
        if let Some(count) = self.detectors.get(detector) {
            count.values.add(values);
        }
    }

    /// The connection.
    pub(crate) fn connection(&self) -> &str {
        &self.connection
    }

    /// How many values were masked, by detector; those that were never found are left out.
    pub(crate) fn by_detector(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.detectors.iter().map(|one| (&*one.detector, one.values.read()));
        all.filter(|(_, values)| *values > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_detector_go_on_when_others_come_and_go() {
        let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<_>>();
        let first = MaskCounts::of("llama", &names(&["A", "B"]), None);
        first.add(1, 2);
        first.add(7, 1);
        let same = MaskCounts::of("llama", &names(&["A", "B"]), Some(&first));
        assert!(Arc::ptr_eq(&first, &same));
        let second = MaskCounts::of("llama", &names(&["B", "C"]), Some(&first));
        // An exchange that began before goes on counting.
        first.add(1, 1);
        second.add(1, 5);
        let counted: Vec<_> = second.by_detector().collect();
        assert_eq!((second.connection(), counted), ("llama", vec![("B", 3), ("C", 5)]));
    }
}
