//! What held requests of one core take, with a share for each identity: places, and the bytes that
//! they keep while they wait. Whoever waits for people waits for minutes, so that without shares
//! one caller has all of it.
//!
//! Bytes are counted twice over. What may wait stands in one account. A request for which that has
//! no room stands in another one, as large: it is asked about once, is told what the control plane
//! says, and waits for nobody.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::live::Mark;

/// Share of a core's buffers that each account of bytes may come to.
const BYTES_PERCENT: usize = 25;

/// Share of an account, and of places, that one identity may have.
const IDENTITY_SHARE: usize = 4;

/// Places that one identity may have in any case.
const IDENTITY_PLACES_MIN: usize = 1_000;

/// Stands for an identity: half of its mark, which tells identities apart and costs each hold less.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Who([u8; 16]);

impl Who {
    /// Of a mark.
    pub(crate) fn of(mark: &Mark) -> Self {
        let mut half = [0; 16];
        half.iter_mut().zip(mark).for_each(|(to, from)| *to = *from);
        Self(half)
    }
}

/// The most that may be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// By all.
    pub(crate) all: usize,
    /// By one identity.
    pub(crate) each: usize,
}

impl Most {
    /// Of places, where a core has so many.
    pub(crate) fn places(all: usize) -> Self {
        Self { all, each: (all / IDENTITY_SHARE).max(IDENTITY_PLACES_MIN) }
    }

    /// Of bytes in one account, where a core has buffers of so many.
    fn bytes(buffer_bytes: usize) -> Self {
        let all = buffer_bytes / 100 * BYTES_PERCENT;
        Self { all, each: all / IDENTITY_SHARE }
    }
}

/// What is taken, by all and by each identity. Entries are as many as identities that hold any.
#[derive(Debug, Default)]
pub(crate) struct Account {
    all: Cell<usize>,
    each: RefCell<HashMap<Who, usize>>,
}

impl Account {
    /// Takes so much more; `false`: that is more than may be, and nothing was taken.
    pub(crate) fn take(&self, who: &Who, count: usize, most: Most) -> bool {
        let mut each = self.each.borrow_mut();
        let own = each.get(who).copied().unwrap_or(0).saturating_add(count);
        let all = self.all.get().saturating_add(count);
        if own > most.each || all > most.all {
            return false;
        }
        self.all.set(all);
        if own > 0 {
            each.insert(*who, own);
        }
        true
    }

    /// Gives so much back.
    pub(crate) fn give_back(&self, who: &Who, count: usize) {
        let mut each = self.each.borrow_mut();
        self.all.set(self.all.get().saturating_sub(count));
        if let Some(own) = each.get_mut(who) {
            *own = own.saturating_sub(count);
            if *own == 0 {
                each.remove(who);
            }
        }
    }
}

/// Both accounts of bytes.
#[derive(Debug)]
pub(crate) struct Bytes {
    /// Of each account.
    most: Most,
    waiting: Account,
    asked_once: Account,
}

impl Bytes {
    /// None are kept, on a core with buffers of so many.
    pub(crate) fn new(buffer_bytes: usize) -> Self {
        let (waiting, asked_once) = Default::default();
        Self { most: Most::bytes(buffer_bytes), waiting, asked_once }
    }
}

/// There is no room for so many bytes in either account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooMuch;

/// The bytes that one held request keeps, counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Keeps {
    bytes: Rc<Bytes>,
    who: Who,
    count: usize,
    may_wait: bool,
}

impl Keeps {
    /// Nothing yet.
    pub(crate) fn new(bytes: &Rc<Bytes>, who: Who) -> Self {
        Self { bytes: Rc::clone(bytes), who, count: 0, may_wait: true }
    }

    /// Whether it may wait with what it keeps.
    pub(crate) fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// It keeps so many from now on. What is alone in the second account has room there however
    /// large it is: else it could never be asked about.
    ///
    /// # Errors
    /// There is no room; then it counts nothing, and is to keep nothing.
    pub(crate) fn set(&mut self, count: usize) -> Result<(), TooMuch> {
        self.clear();
        let Bytes { most, waiting, asked_once } = &*self.bytes;
        self.may_wait = waiting.take(&self.who, count, *most);
        if !self.may_wait {
            let is_alone = asked_once.all.get() == 0;
            let most = if is_alone { Most { all: count, each: count } } else { *most };
            if !asked_once.take(&self.who, count, most) {
                return Err(TooMuch);
            }
        }
        self.count = count;
        Ok(())
    }

    /// It keeps so many more from now on.
    ///
    /// # Errors
    /// As for [`Self::set`].
    pub(crate) fn add(&mut self, more: usize) -> Result<(), TooMuch> {
        self.set(self.count.saturating_add(more))
    }

    fn clear(&mut self) {
        let Bytes { waiting, asked_once, .. } = &*self.bytes;
        let account = if self.may_wait { waiting } else { asked_once };
        account.give_back(&self.who, std::mem::take(&mut self.count));
    }
}

impl Drop for Keeps {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accounts of 400 bytes, 100 an identity.
    const BUFFER_BYTES: usize = 1_600;

    fn keeps(bytes: &Rc<Bytes>, who: u8, count: usize) -> Result<Keeps, TooMuch> {
        let mut keeps = Keeps::new(bytes, Who([who; 16]));
        keeps.set(count).map(|()| keeps)
    }

    #[test]
    fn one_identity_has_a_quarter_of_the_places_and_a_thousand_in_any_case() {
        assert_eq!(Most::places(10_000).each, 2_500);
        assert_eq!(Most::places(2_000).each, 1_000);
        let (account, most) = (Account::default(), Most { all: 3, each: 2 });
        assert!(account.take(&Who([1; 16]), 1, most) && account.take(&Who([1; 16]), 1, most));
        assert!(!account.take(&Who([1; 16]), 1, most), "its share");
        assert!(account.take(&Who([2; 16]), 1, most));
        assert!(!account.take(&Who([3; 16]), 1, most), "all of them");
        account.give_back(&Who([1; 16]), 1);
        assert!(account.take(&Who([3; 16]), 1, most));
        assert_eq!(account.each.borrow().len(), 3);
    }

    #[test]
    fn bytes_beyond_a_share_are_asked_about_once_and_beyond_a_second_share_not_at_all() {
        let bytes = Rc::new(Bytes::new(BUFFER_BYTES));
        let first = keeps(&bytes, 1, 100).unwrap();
        assert!(first.may_wait());
        let second = keeps(&bytes, 1, 100).unwrap();
        assert!(!second.may_wait());
        assert!(keeps(&bytes, 1, 1).is_err());
        assert!(keeps(&bytes, 2, 100).unwrap().may_wait(), "others have their own");
        drop(first);
        assert!(keeps(&bytes, 1, 100).unwrap().may_wait());
        drop(second);
        assert_eq!(bytes.waiting.all.get() + bytes.asked_once.all.get(), 0);
        assert!(bytes.waiting.each.borrow().is_empty());
        assert!(bytes.asked_once.each.borrow().is_empty());
    }

    #[test]
    fn what_is_larger_than_a_share_is_asked_about_alone() {
        let bytes = Rc::new(Bytes::new(BUFFER_BYTES));
        let large = keeps(&bytes, 1, 5_000).unwrap();
        assert!(!large.may_wait());
        assert!(keeps(&bytes, 2, 101).is_err());
        drop(large);
        assert!(keeps(&bytes, 2, 101).is_ok());
    }

    #[test]
    fn all_together_keep_no_more_than_both_accounts() {
        let bytes = Rc::new(Bytes::new(BUFFER_BYTES));
        let held: Vec<_> = (0..20).filter_map(|who| keeps(&bytes, who, 100).ok()).collect();
        assert_eq!(held.iter().filter(|one| one.may_wait()).count(), 4);
        assert_eq!(held.len(), 8);
    }

    #[test]
    fn what_comes_while_it_waits_counts_too() {
        let bytes = Rc::new(Bytes::new(BUFFER_BYTES));
        let mut held = keeps(&bytes, 1, 60).unwrap();
        assert_eq!(held.add(40), Ok(()));
        assert!(held.may_wait());
        assert_eq!(held.add(1), Ok(()));
        assert!(!held.may_wait(), "it has room in the second account alone");
        assert_eq!((bytes.waiting.all.get(), bytes.asked_once.all.get()), (0, 101));
        assert!(keeps(&bytes, 1, 101).is_err());
    }
}
