//! What one core needs to work with a profile: caches, lists that are used again, and counts.

use regex_automata::hybrid::dfa::Cache;

use super::Profile;
use crate::find::Match;
use crate::hold::HoldCaches;
use crate::literals::LiteralsScratch;

/// Caches and counts of one core, for one profile.
#[derive(Debug)]
pub struct Scratch {
    pub(crate) holds: HoldCaches,
    pub(crate) parts: Cache,
    pub(crate) groups: Vec<Cache>,
    pub(crate) heads: Option<Cache>,
    pub(crate) others: Option<Cache>,
    pub(crate) literals: Option<LiteralsScratch>,
    pub(crate) matches: Vec<Match>,
    pub(crate) lists: Lists,
    tally: Vec<u64>,
    masked: u64,
    scanned: u64,
}

/// Lists that are filled and emptied within one call.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Places where a value may begin.
    pub(crate) values: Vec<usize>,
    /// Places where a value may end.
    pub(crate) ends: Vec<usize>,
    /// Places where a match may begin.
    pub(crate) starts: Vec<usize>,
    /// Fronts, each with where it begins; or patterns, each with where a match begins or ends.
    pub(crate) found: Vec<(usize, usize)>,
    pub(crate) told: Told,
    /// Anchors and their places.
    pub(crate) anchored: Vec<(usize, usize)>,
}

/// Places behind words, by the groups that they tell: from and to, in their order.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) tokens: Vec<(usize, usize)>,
    pub(crate) near: Vec<(usize, usize)>,
    pub(crate) runs: Vec<(usize, usize)>,
}

impl Told {
    pub(crate) fn each(&mut self) -> [&mut Vec<(usize, usize)>; 3] {
        [&mut self.tokens, &mut self.near, &mut self.runs]
    }
}

impl Scratch {
    pub(super) fn new(profile: &Profile) -> Self {
        let ways = &profile.ways;
        Self {
            holds: profile.holds.caches(),
            parts: profile.parts.cache(),
            groups: ways.groups().map(|group| group.automaton.cache()).collect(),
            heads: ways.anchors.as_ref().map(|anchors| anchors.heads.cache()),
            others: ways.others.as_ref().map(|others| others.begins.cache()),
            literals: ways.led.as_ref().map(|led| led.literals.scratch()),
            matches: Vec::new(),
            lists: Lists::default(),
            tally: vec![0; profile.detectors().len()],
            masked: 0,
            scanned: 0,
        }
    }

    /// Values masked since the last call, by index of the detector; nothing for those without.
    pub fn take_tally(&mut self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.tally.iter_mut().map(std::mem::take).enumerate();
        counts.filter(|(_, count)| *count > 0)
    }

    /// Values masked so far.
    pub fn masked(&self) -> u64 {
        self.masked
    }

    /// Bytes of text scanned so far.
    pub fn scanned_bytes(&self) -> u64 {
        self.scanned
    }

    pub(crate) fn count_masked(&mut self, detector: Option<usize>) {
        self.masked = self.masked.saturating_add(1);
        if let Some(count) = detector.and_then(|index| self.tally.get_mut(index)) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn count_scanned(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.scanned = self.scanned.saturating_add(bytes);
    }
}
