//! Names that an analyser finds, as detectors of a profile.

use std::sync::Arc;

use penstock_config::documents::{MaskAnalyzer, Unavailable};

use super::Profile;

/// Names are numbered behind all rules.
const FIRST: usize = usize::MAX >> 1;

/// What an analyser is asked for.
#[derive(Debug)]
pub(crate) struct Names {
    /// As it calls them.
    pub(crate) entities: Arc<[Arc<str>]>,
    /// What is done with text that it could not be asked about.
    pub(crate) unavailable: Unavailable,
    /// By entity: index among [`Profile::detectors`].
    detectors: Vec<usize>,
}

/// The number of an entity, as matches have numbers of rules.
pub(crate) fn number(entity: usize) -> usize {
    FIRST.saturating_add(entity)
}

impl Profile {
    /// Takes the entities of an analyser in; one that has a detector's name is that detector.
    pub(super) fn name(&mut self, analyzer: &MaskAnalyzer) {
        let mut detectors = Vec::new();
        let mut entities: Vec<Arc<str>> = Vec::new();
        for entity in &analyzer.entities {
            let known = self.detectors.iter().position(|known| **known == **entity);
            detectors.push(known.unwrap_or(self.detectors.len()));
            if known.is_none() {
                self.detectors.push(Arc::from(entity.as_str()));
            }
            entities.push(Arc::from(entity.as_str()));
        }
        let unavailable = analyzer.unavailable;
        self.names = Some(Names { entities: entities.into(), unavailable, detectors });
    }

    /// The detector of a match that no rule has, and its name.
    pub(crate) fn named(&self, number: usize) -> Option<(usize, &Arc<str>)> {
        let entity = number.checked_sub(FIRST)?;
        let detector = *self.names.as_ref()?.detectors.get(entity)?;
        Some((detector, self.detectors.get(detector)?))
    }
}
