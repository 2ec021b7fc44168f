//! Masking as the gateway sees it: which mask applies to an exchange, what it works on, and what it
//! takes on a core. `penstock-mask` does the work; nothing else of the gateway names it.

mod analyzer;
mod applied;
mod coding;
mod counts;
mod engine;
mod events;
mod gathered;
mod request;
mod scratch;
mod way;
mod whole;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use engine::Problem;
use engine::Profile;
use engine::{Field, Terms};
use penstock_config::decision::subject_matches;
use penstock_config::documents::{Endpoint, Mask, MaskSide, Stalled, Unreadable};
use penstock_config::identity::Identity;

pub(crate) use analyzer::AnalyzerOutcome;
pub(crate) use applied::{Applied, Choices, CoreMask, Masked};
pub(crate) use coding::Coding;
#[cfg(test)]
pub(crate) use coding::tests as coded;
pub(crate) use counts::MaskCounts;
pub(crate) use events::{EventMask, Progress};
pub(crate) use gathered::Gathered;
pub(crate) use request::prepare;
pub(crate) use scratch::CoreMasks;
pub(crate) use way::{Way, untrue};
pub(crate) use whole::{Whole, WholeDecoding, WholeMasking};

/// Why an answer can't be masked. Nothing of the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unmaskable {
    /// Longer than `masked_bytes_max` of its mask.
    TooLong,
    /// One event of it is longer than what is masked at once.
    EventTooLong,
    /// No media type that can be read, or several.
    MediaType,
    /// An encoding that can't be read.
    Coding,
    /// A part of an answer.
    Partial,
    /// Its content can't be read, and the mask says that such is refused.
    Content,
    /// Its mask's analyser did not answer.
    Analyzer,
}

impl Unmaskable {
    /// In words, for the access log.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TooLong => "the answer is longer than what its mask takes",
            Self::EventTooLong => "an event is longer than what is masked",
            Self::MediaType => "a media type that can't be read",
            Self::Coding => "an encoding that can't be read",
            Self::Partial => "a part of an answer",
            Self::Content => "content that can't be read",
            Self::Analyzer => "the analyser of its mask did not answer",
        }
    }
}

/// A mask, compiled on the sync thread; immutable, shared by all cores.
pub(crate) struct EnforcedMask {
    /// Its document.
    pub(crate) document: Mask,
    /// SHA-256 of the document.
    pub(crate) digest: [u8; 32],
    profile: Arc<Profile>,
    terms: Terms,
    masked_bytes_max: usize,
}

impl EnforcedMask {
    fn compile(document: &Mask) -> Result<Self, String> {
        let profile = Profile::compile(document).map_err(|problems| {
            let one = |problem: &Problem| format!("{}: {}", problem.key, problem.text);
            problems.iter().map(one).collect::<Vec<_>>().join("; ")
        })?;
        let bytes = serde_json::to_vec(document).map_err(|error| error.to_string())?;
        let mut of_document = [0; 32];
        of_document.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        Ok(Self {
            document: document.clone(),
            digest: of_document,
            profile: Arc::new(profile),
            terms: terms(document)?,
            masked_bytes_max: usize::try_from(document.masked_bytes_max).unwrap_or(usize::MAX),
        })
    }

    /// Where its analyser is, and whether that is reached over TLS.
    pub(crate) fn analyzer(&self) -> Option<(bool, Endpoint)> {
        self.document.analyzer.as_ref()?.endpoint()
    }

    /// Whether it concerns this side of an exchange.
    pub(crate) fn concerns(&self, side: MaskSide) -> bool {
        self.document.applies_to.contains(&side)
    }

    /// Whether who asks sees clear text.
    pub(crate) fn excepts(&self, identity: &Identity) -> bool {
        self.document.except.iter().any(|subject| subject_matches(subject, identity))
    }

    /// Whether what can't be read goes through as it is.
    pub(crate) fn passes_unreadable(&self) -> bool {
        self.document.unreadable == Unreadable::Pass
    }
}

/// What a mask's document says beside its rules. The document was checked: a path that is none
/// would have been refused.
fn terms(document: &Mask) -> Result<Terms, String> {
    let field = |path: &String| Field::parse(path).ok_or_else(|| format!("`{path}` is no path"));
    let fields = document.fields.iter().map(field).collect::<Result<Vec<_>, _>>()?;
    Ok(Terms {
        unreadable: document.unreadable,
        stalled_release: document.stalled == Stalled::Release,
        fields: fields.into(),
    })
}

/// Compiled masks that are in force, or that an exchange still runs under. The sync thread keeps
/// them: a mask whose document did not change is not compiled again, and none is dropped on a
/// reactor.
#[derive(Default)]
pub(crate) struct Masks {
    kept: Vec<Arc<EnforcedMask>>,
}

impl Masks {
    /// The mask of a document.
    ///
    /// # Errors
    /// It does not compile.
    pub(crate) fn of(&mut self, document: &Mask) -> Result<Arc<EnforcedMask>, String> {
        if let Some(known) = self.kept.iter().find(|one| one.document == *document) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(EnforcedMask::compile(document)?);
        self.kept.push(Arc::clone(&compiled));
        Ok(compiled)
    }

    /// Drops those that nobody else holds.
    pub(crate) fn prune(&mut self) {
        self.kept.retain(|mask| Arc::strong_count(mask) > 1);
    }
}
