//! What masking keeps on a core: caches and counts, by profile and by connection.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::engine::{Profile, Scratch};

use super::EnforcedMask;
use super::analyzer::AnalyzerStates;
use super::counts::MaskCounts;

/// Profiles that have caches on a core at a time: those of others are dropped, the ones first that
/// were not used for longest, and made anew when they are.
const SCRATCHES_MAX: usize = 32;

/// What one core keeps of all masks.
#[derive(Default)]
pub(crate) struct CoreMasks {
    scratches: Rc<Scratches>,
    counts: RefCell<HashMap<String, Arc<MaskCounts>>>,
    /// How analysers do.
    pub(super) analyzers: AnalyzerStates,
}

#[derive(Default)]
struct Scratches {
    known: RefCell<Vec<Weak<CoreScratch>>>,
    used: Cell<u64>,
}

/// The caches of one profile on one core; gone with the last exchange under a profile that is not
/// in force any more. Made when they are first used.
pub(crate) struct CoreScratch {
    profile: Arc<Profile>,
    scratch: RefCell<Option<Box<Scratch>>>,
    used: Cell<u64>,
    all: Rc<Scratches>,
}

impl CoreMasks {
    /// The caches for a mask.
    pub(crate) fn scratch(&self, mask: &EnforcedMask) -> Rc<CoreScratch> {
        let mut known = self.scratches.known.borrow_mut();
        known.retain(|one| one.strong_count() > 0);
        let same = |one: &Rc<CoreScratch>| Arc::ptr_eq(&one.profile, &mask.profile);
        if let Some(scratch) = known.iter().filter_map(Weak::upgrade).find(same) {
            return scratch;
        }
        let scratch = Rc::new(CoreScratch {
            profile: Arc::clone(&mask.profile),
            scratch: RefCell::new(None),
            used: Cell::new(0),
            all: Rc::clone(&self.scratches),
        });
        known.push(Rc::downgrade(&scratch));
        scratch
    }

    /// The counts of a connection under a mask. Those of a detector that the connection had before
    /// go on.
    pub(crate) fn counts(&self, connection: &str, mask: &EnforcedMask) -> Arc<MaskCounts> {
        let mut counts = self.counts.borrow_mut();
        let before = counts.get(connection);
        let now = MaskCounts::of(connection, mask.profile.detectors(), before);
        counts.insert(connection.to_owned(), Arc::clone(&now));
        now
    }

    /// Counts of connections that are in force; what is kept of others is dropped.
    pub(crate) fn all_counts(&self, is_in_force: impl Fn(&str) -> bool) -> Vec<Arc<MaskCounts>> {
        let mut counts = self.counts.borrow_mut();
        counts.retain(|connection, _| is_in_force(connection));
        counts.values().cloned().collect()
    }
}

impl CoreScratch {
    /// Lends the caches. They are lost with a panic, and made anew.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let number = self.all.used.get().wrapping_add(1);
        self.all.used.set(number);
        self.used.set(number);
        let lent = self.scratch.borrow_mut().take();
        let mut lent = lent.unwrap_or_else(|| {
            self.all.make_room();
            Box::new(self.profile.scratch())
        });
        let result = work(&mut lent);
        *self.scratch.borrow_mut() = Some(lent);
        result
    }
}

impl Scratches {
    fn make_room(&self) {
        let known = self.known.borrow();
        let mut made: Vec<_> = known
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|one| one.scratch.borrow().is_some())
            .collect();
        made.sort_unstable_by_key(|one| one.used.get());
        let too_many = made.len().saturating_add(1).saturating_sub(SCRATCHES_MAX);
        for one in made.iter().take(too_many) {
            one.scratch.borrow_mut().take();
        }
    }
}
