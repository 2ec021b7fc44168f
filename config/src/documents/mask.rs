//! `kind: mask`: which values are masked in what models say, and how.

use serde::{Deserialize, Serialize};

use super::Subject;

mod analyzer;
pub(super) mod read;

pub use analyzer::{MaskAnalyzer, Unavailable};

/// `kind: mask`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Name of the document.
    pub name: String,
    /// Names of detectors of the catalogue, or globs over them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detectors: Vec<String>,
    /// Patterns of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<MaskPattern>,
    /// Word lists of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<MaskWords>,
    /// Who is asked for names of persons, places and organisations; nobody by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<MaskAnalyzer>,
    /// JSON fields of whole answers that are masked whatever they hold: `$.user.ssn`,
    /// `$.rows[*].iban`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What stands in the place of a value.
    pub action: MaskAction,
    /// Where something else is done; later entries win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<MaskOverride>,
    /// What is done with what can't be read.
    pub unreadable: Unreadable,
    /// How long a stream may be silent while text is held, in milliseconds; 2,000 by default.
    pub stalled_ms_max: u64,
    /// What is done with held text then.
    pub stalled: Stalled,
    /// What is masked; answers by default.
    pub applies_to: Vec<MaskSide>,
    /// Largest whole answer that is masked, in bytes; 8,388,608 by default.
    pub masked_bytes_max: u64,
    /// Who sees clear text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Subject>,
}

impl Mask {
    /// Whether anything is hashed under it, so that nodes need the cluster's mask key.
    pub fn needs_key(&self) -> bool {
        let overridden = self.overrides.iter().filter_map(|entry| entry.action);
        overridden.chain([self.action]).any(MaskAction::needs_key)
    }
}

impl MaskAction {
    fn needs_key(self) -> bool {
        match self {
            Self::Hash | Self::Surrogate => true,
            Self::Replace | Self::Redact | Self::KeepLast(_) => false,
        }
    }
}

/// A pattern of a mask's own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskPattern {
    /// What stands in its tag: `EMPLOYEE_ID`.
    pub name: String,
    /// A regular expression on ASCII bytes, of bounded length.
    pub regex: String,
}

/// A word list of a mask's own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskWords {
    /// What stands in its tag: `PROJECT`.
    pub name: String,
    /// Words or phrases, in any case.
    pub list: Vec<String>,
}

/// What stands in the place of a value.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskAction {
    /// Its detector's name: `[EMAIL_ADDRESS]`.
    Replace,
    /// `***`.
    Redact,
    /// Its last letters and digits; the others become `*`.
    KeepLast(u8),
    /// Its detector's name and a keyed hash: the same value, the same tag.
    Hash,
    /// A made-up value of the same shape, the same for the same value.
    Surrogate,
}

/// Another action, or another form, for some detectors.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskOverride {
    /// Names of detectors or globs, own patterns, word lists and the analyser's entities among
    /// them.
    pub detectors: Vec<String>,
    /// Names or globs of connections; `["*"]` by default.
    pub connections: Vec<String>,
    /// Whom it concerns; empty: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// How much of an e-mail address is masked; `EMAIL_ADDRESS` alone has forms. Not together with
    /// `connections` or `subjects`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<EmailForm>,
    /// What is done instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<MaskAction>,
}

/// How much of an e-mail address is masked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailForm {
    /// All of it; the current word of a stream is held, since any word may be its beginning.
    Whole,
    /// From the `@` on; nothing is held.
    Domain,
}

/// What is done with what can't be read while a mask applies.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreadable {
    /// The answer ends: 502 `unmaskable`, or an error event.
    Refuse,
    /// It is left out.
    Strip,
    /// It goes through as it is.
    Pass,
}

/// What is done with text that was held for too long.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stalled {
    /// What may still be part of a value becomes `***`.
    Redact,
    /// It goes through.
    Release,
}

/// Which side of an exchange a mask concerns.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskSide {
    /// What the caller sends.
    Request,
    /// What the model server answers.
    Response,
}
