//! Which mask applies to one exchange, and what it does there.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::decision::subject_matches;
use penstock_config::documents::{Mask, MaskAction, MaskSide, Protocol, Subject};
use penstock_config::glob;
use penstock_config::identity::Identity;
use penstock_http::stream::StreamKind;
use penstock_reactor::network::Network;

use super::EnforcedMask;
use super::analyzer::CoreAnalyzer;
use super::counts::MaskCounts;
use super::engine::{
    Action, Analysis, Direction, HashKey, Masking, Media, Scratch, StreamMask, Surface, WholeMask,
    mask_text, surface,
};
use super::scratch::{CoreMasks, CoreScratch};
use crate::core::Core;
use crate::counters::Counters;
use crate::enforced::{Enforced, Upstream};
use crate::guard::Guard;
use crate::leases::Leases;
use crate::reason::Reason;

/// What of an exchange is masked. There is no default: a permit says it, and nothing is relayed
/// without it.
#[derive(Clone)]
pub(crate) enum Masked {
    /// Nothing: the connection has no mask, or its mask excepts who asks.
    No,
    /// What a mask says.
    By(Rc<Applied>),
}

/// A mask as it applies to one exchange, which keeps it to its end.
pub(crate) struct Applied {
    /// The connection's mask on this core.
    pub(crate) mask: Rc<CoreMask>,
    /// What the connection speaks.
    pub(crate) protocol: Protocol,
    /// Profile, actions and key.
    pub(super) masking: Masking,
}

/// A connection's mask on one core.
pub(crate) struct CoreMask {
    /// The mask.
    pub(crate) enforced: Arc<EnforcedMask>,
    /// What reviewers are shown.
    shown: Masking,
    /// Who is asked about texts.
    analyzer: Option<CoreAnalyzer>,
    pub(super) scratch: Rc<CoreScratch>,
    pub(super) counts: Arc<MaskCounts>,
}

/// What a mask does on one connection, by detector and by who asks. Made on the sync thread.
pub(crate) struct Choices {
    /// Where nobody is treated differently.
    plain: Option<Arc<[Action]>>,
    /// For people who look at a request: as for nobody in particular, and without the key.
    shown: Arc<[Action]>,
    first: Arc<[Action]>,
    /// In their order: later ones win.
    overrides: Vec<Override>,
}

struct Override {
    /// Empty: everybody.
    subjects: Vec<Subject>,
    detectors: Vec<usize>,
    action: Action,
}

impl Choices {
    /// Those of a mask on a connection of this name.
    pub(crate) fn of(mask: &EnforcedMask, connection: &str) -> Self {
        let Mask { action, overrides, .. } = &mask.document;
        let detectors = mask.profile.detectors();
        let first: Arc<[Action]> = vec![one_action(*action); detectors.len()].into();
        let mut here = Vec::new();
        for one in overrides {
            let Some(action) = one.action else { continue };
            if !one.connections.iter().any(|name| glob::matches(name, connection)) {
                continue;
            }
            let is_named = |name: &str| one.detectors.iter().any(|glob| glob::matches(glob, name));
            let named = detectors.iter().enumerate().filter(|(_, name)| is_named(name));
            here.push(Override {
                subjects: one.subjects.clone(),
                detectors: named.map(|(index, _)| index).collect(),
                action: one_action(action),
            });
        }
        let is_plain = here.iter().all(|one| one.subjects.is_empty());
        let shown = Arc::clone(&first);
        let mut choices = Self { plain: None, shown, first, overrides: here };
        let keyless = |action: &Action| match action {
            Action::Hash | Action::Surrogate => Action::Replace,
            action => *action,
        };
        let of_nobody = choices.work_out(|one| one.subjects.is_empty());
        choices.shown = of_nobody.iter().map(keyless).collect();
        if is_plain {
            choices.plain = Some(choices.work_out(|_| true));
        }
        choices
    }

    /// What is done for an identity, by detector.
    fn for_identity(&self, identity: &Identity) -> Arc<[Action]> {
        self.plain.clone().unwrap_or_else(|| {
            self.work_out(|one| one.subjects.is_empty() || is_any(&one.subjects, identity))
        })
    }

    fn work_out(&self, holds: impl Fn(&Override) -> bool) -> Arc<[Action]> {
        let mut actions = self.first.to_vec();
        for one in self.overrides.iter().filter(|one| holds(one)) {
            for detector in &one.detectors {
                if let Some(action) = actions.get_mut(*detector) {
                    *action = one.action;
                }
            }
        }
        actions.into()
    }
}

fn is_any(subjects: &[Subject], identity: &Identity) -> bool {
    subjects.iter().any(|subject| subject_matches(subject, identity))
}

fn one_action(action: MaskAction) -> Action {
    match action {
        MaskAction::Replace => Action::Replace,
        MaskAction::Redact => Action::Redact,
        MaskAction::KeepLast(count) => Action::KeepLast(count),
        MaskAction::Hash => Action::Hash,
        MaskAction::Surrogate => Action::Surrogate,
    }
}

impl CoreMask {
    /// The mask of a connection, as a core uses it.
    pub(crate) fn of(upstream: &Upstream, masks: &CoreMasks) -> Option<Rc<Self>> {
        let enforced = Arc::clone(upstream.mask.as_ref()?);
        let actions = Arc::clone(&upstream.choices.as_ref()?.shown);
        let shown = Masking { profile: Arc::clone(&enforced.profile), actions, key: None };
        let scratch = masks.scratch(&enforced);
        let counts = masks.counts(&upstream.document.name, &enforced);
        let document = enforced.document.analyzer.as_ref();
        let analyzer = document.zip(upstream.analyzer.as_ref()).map(|(document, target)| {
            CoreAnalyzer::new(&enforced.document.name, document, target, &masks.analyzers)
        });
        Some(Rc::new(Self { enforced, shown, analyzer, scratch, counts }))
    }

    /// A text as reviewers are shown it.
    pub(crate) fn shown(&self, text: &str, counters: &Counters) -> String {
        self.work(counters, |scratch| mask_text(&self.shown, scratch, text))
    }

    /// Works with the core's caches, and counts what came of it.
    fn work<T>(&self, counters: &Counters, work: impl FnOnce(&mut Scratch) -> T) -> T {
        self.scratch.with(|scratch| {
            let before = (scratch.scanned_bytes(), scratch.masked());
            let result = work(scratch);
            let scanned = scratch.scanned_bytes().saturating_sub(before.0);
            counters.mask_scanned_bytes.add(scanned);
            if scratch.masked() != before.1 {
                for (detector, values) in scratch.take_tally() {
                    self.counts.add(detector, values);
                }
            }
            result
        })
    }
}

impl Masked {
    /// What of an exchange is masked.
    ///
    /// # Errors
    /// The key that its mask needs is not here.
    pub(crate) fn of(
        mask: Option<&Rc<CoreMask>>,
        upstream: &Upstream,
        identity: &Identity,
        leases: &Leases,
        in_force: &Enforced,
    ) -> Result<Self, Reason> {
        let (mask, choices) = match (mask, &upstream.choices) {
            (None, None) => return Ok(Self::No),
            (Some(mask), Some(choices)) => (mask, choices),
            // Both come from one document.
            (Some(_), None) | (None, Some(_)) => return Err(Reason::Internal),
        };
        if mask.enforced.excepts(identity) {
            return Ok(Self::No);
        }
        let actions = choices.for_identity(identity);
        let needs_key = actions.iter().any(|one| matches!(one, Action::Hash | Action::Surrogate));
        let key = needs_key.then(|| mask_key(leases, in_force)).transpose()?;
        let masking = Masking { profile: Arc::clone(&mask.enforced.profile), actions, key };
        let protocol = upstream.document.protocol;
        Ok(Self::By(Rc::new(Applied { mask: Rc::clone(mask), protocol, masking })))
    }
}

impl Applied {
    /// Whether this side of the exchange is masked.
    pub(crate) fn concerns(&self, side: MaskSide) -> bool {
        self.mask.enforced.concerns(side)
    }

    /// Largest whole answer that is masked, in bytes.
    pub(crate) fn masked_bytes_max(&self) -> usize {
        self.mask.enforced.masked_bytes_max
    }

    /// What a path below the connection speaks.
    pub(super) fn surface(&self, path: &str) -> Surface {
        let path = path.split('?').next().unwrap_or_default();
        surface(self.protocol, path)
    }

    /// A stream of events.
    pub(super) fn stream(&self, path: &str, kind: StreamKind) -> StreamMask {
        let terms = self.mask.enforced.terms.clone();
        StreamMask::new(self.masking.clone(), terms, self.surface(path), kind).asking()
    }

    /// A whole body.
    pub(super) fn whole(&self, path: &str, media: Media, direction: Direction) -> WholeMask {
        let terms = self.mask.enforced.terms.clone();
        let surface = self.surface(path);
        WholeMask::new(self.masking.clone(), terms, surface, media, direction).asking()
    }

    /// How long its analyser may take for one event, or for one whole body.
    pub(super) fn analyzer_limit(&self) -> Duration {
        self.mask.analyzer.as_ref().map_or(Duration::ZERO, CoreAnalyzer::limit)
    }

    /// Asks its analyser what is open, until then.
    ///
    /// # Errors
    /// The exchange ends.
    pub(super) async fn answer<N: Network>(
        &self,
        core: &Core<N>,
        guard: &Guard<N>,
        until: Duration,
        analysis: &mut Analysis,
    ) -> Result<(), Reason> {
        match &self.mask.analyzer {
            Some(analyzer) => analyzer.answer(core, guard, until, analysis).await,
            // Nobody asks without one.
            None => Err(Reason::Internal),
        }
    }

    /// Works with the core's caches, and counts what came of it.
    pub(super) fn work<T>(&self, counters: &Counters, work: impl FnOnce(&mut Scratch) -> T) -> T {
        self.mask.work(counters, work)
    }
}

/// The key that values are hashed with.
fn mask_key(leases: &Leases, in_force: &Enforced) -> Result<Arc<HashKey>, Reason> {
    let key = leases.mask_key(in_force.credentials_generation);
    let key = key.ok_or(Reason::CredentialUnavailable)?;
    Ok(Arc::new(HashKey::new(&key)))
}
