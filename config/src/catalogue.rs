//! The operation catalogue: which request of which server does what. Data, not code: one table a
//! server and version below `config/catalogue/`. No row: `unknown`, denied.
//!
//! A row is a method, a path template, conditions on query and body, operations, their risk, and
//! where the model's name stands. Of the rows of one method and path the first whose conditions
//! hold counts, and lines that follow it add operations under conditions of their own: a request
//! can be several operations at once.

mod operations;
mod resolve;
mod row;
mod spelling;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};

pub use operations::Operation;
pub use table::{Candidates, Table};

/// How much harm a request can do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Health and the like.
    None,
    /// Ordinary use.
    Low,
    /// Load, internal names.
    Medium,
    /// Other people's data, availability.
    High,
    /// Code execution, theft, outage: a glob in an allow rule never reaches it.
    Critical,
}

/// A whole classified request.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// At least one; `[Operation::UNKNOWN]` where no row matches.
    pub operations: Vec<Operation>,
    /// The risk of each of `operations`, in the same order: the higher one of what the matching
    /// lines say and of [`Operation::default_risk`]. An allow rule reaches an operation that is
    /// critical here only by its exact name.
    pub operation_risks: Vec<Risk>,
    /// The highest of `operation_risks`.
    pub risk: Risk,
    /// The model's name, where the row has one and the request names it.
    pub model: Option<String>,
    /// Further models of the same request: what a copy is made from. Rules that name models allow a
    /// request when all of its models match and deny it when any does.
    pub other_models: Vec<String>,
    /// All spellings, in lower case, that the server takes for these models: deny rules match them
    /// too, in any case. Empty where a server reads names by their bytes.
    pub spellings: Vec<String>,
    /// The request concerns a model that its facts do not name: the server's default, or one that
    /// stands where nothing is read. A deny rule for particular models matches it.
    pub unnamed_model: bool,
}

/// What a table says before a body has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Method and target are enough.
    Head,
    /// The whole JSON body decides. A request without one, or with one of another type or coding,
    /// is to be refused, not resolved.
    Body,
}

/// Why a request that has a row still cannot be classified: it is answered with 400.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClassifyError {
    /// A decision field stands twice, or in another case than the server's.
    #[error("`{0}` is ambiguous")]
    Ambiguous(String),
    /// A decision field has a type that the server does not take.
    #[error("`{0}` has a wrong type")]
    WrongType(String),
    /// The body that decides was not read, or was read for other rows.
    #[error("the request needs a json body")]
    NotRead,
}

impl Classified {
    /// A request that no row matches.
    pub fn unknown() -> Self {
        Self {
            operations: vec![Operation::UNKNOWN],
            operation_risks: vec![Risk::Critical],
            risk: Risk::Critical,
            model: None,
            other_models: Vec::new(),
            spellings: Vec::new(),
            unnamed_model: true,
        }
    }

    /// A request of operations that all have one risk, or their default one where that is higher.
    /// Without a model it concerns none.
    pub fn new(operations: &[Operation], risk: Risk, model: Option<&str>) -> Self {
        let mut request = Self {
            operations: Vec::with_capacity(operations.len()),
            operation_risks: Vec::with_capacity(operations.len()),
            risk,
            model: model.map(str::to_owned),
            other_models: Vec::new(),
            spellings: Vec::new(),
            unnamed_model: false,
        };
        for operation in operations {
            request.add(*operation, risk);
        }
        request
    }

    /// Adds an operation, or raises its risk where it is there already.
    fn add(&mut self, operation: Operation, risk: Risk) {
        let risk = risk.max(operation.default_risk());
        self.risk = self.risk.max(risk);
        let known = self.operations.iter().position(|known| *known == operation);
        match known.and_then(|index| self.operation_risks.get_mut(index)) {
            Some(known) => *known = risk.max(*known),
            None => {
                self.operations.push(operation);
                self.operation_risks.push(risk);
            }
        }
    }
}
