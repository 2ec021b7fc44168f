//! The names of all operations, with the risk that each has at least.

use super::Risk;

/// An operation's name, interned: `infer.chat`, `unknown`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Operation(pub(crate) u16);

/// Every operation. The first is the one that no row has.
const OPERATIONS: &[(&str, Risk)] = &[
    ("unknown", Risk::Critical),
    ("adapter.load", Risk::High),
    ("adapter.scale", Risk::High),
    ("adapter.unload", Risk::High),
    ("batch.cancel", Risk::Medium),
    ("batch.create", Risk::Medium),
    ("batch.read", Risk::Medium),
    ("cache.flush", Risk::Medium),
    ("cancel", Risk::Low),
    ("classify", Risk::Low),
    ("config.write", Risk::High),
    ("debug.profile", Risk::High),
    ("embed", Risk::Low),
    ("exec", Risk::Critical),
    ("file.delete", Risk::High),
    ("file.read", Risk::High),
    ("file.write", Risk::Medium),
    ("fleet.read", Risk::Medium),
    ("fleet.write", Risk::Critical),
    ("health", Risk::None),
    ("identity.read", Risk::Critical),
    ("identity.write", Risk::Critical),
    ("infer.batch", Risk::Low),
    ("infer.chat", Risk::Low),
    ("infer.complete", Risk::Low),
    ("infer.media", Risk::Low),
    ("infer.realtime", Risk::Low),
    ("infer.session", Risk::Low),
    ("infer.tensor", Risk::Low),
    ("lifecycle", Risk::Critical),
    ("list", Risk::Low),
    ("metrics", Risk::Low),
    ("model.alias", Risk::High),
    ("model.delete", Risk::High),
    ("model.load", Risk::High),
    ("model.unload", Risk::High),
    ("rank", Risk::Low),
    ("read.config", Risk::Medium),
    ("read.logs", Risk::High),
    ("read.predictions", Risk::High),
    ("remote.infer", Risk::High),
    ("render", Risk::Low),
    ("secret.read", Risk::Critical),
    ("secret.write", Risk::Critical),
    ("tokenize", Risk::Low),
    ("tune.cancel", Risk::Medium),
    ("tune.create", Risk::Medium),
    ("tune.read", Risk::Medium),
    ("weights.export", Risk::Critical),
    ("weights.import", Risk::Critical),
];

impl Operation {
    /// No row matches; critical, and never reached by a glob in an allow rule.
    pub const UNKNOWN: Self = Self(0);

    /// How many operations there are.
    pub const COUNT: usize = OPERATIONS.len();

    /// The operation of that name. Every name that a rule or an operator's row may use is known
    /// here, also those of servers that this version has no table for.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|operation| operation.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// The least risk that a request of this operation has, whatever a row says.
    pub fn default_risk(self) -> Risk {
        self.entry().1
    }

    /// All operations there are.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..OPERATIONS.len()).filter_map(|index| u16::try_from(index).ok().map(Self))
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    fn entry(self) -> &'static (&'static str, Risk) {
        OPERATIONS.get(self.index()).unwrap_or(&("unknown", Risk::Critical))
    }
}
