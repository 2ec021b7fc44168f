//! From the rows of one method and path, and the facts of a request, to its operations.

use super::row::{Condition, Line, ModelPlaces, Place, Row};
use super::spelling::Names;
use super::table::Candidates;
use super::{Classified, ClassifyError, Operation, Risk};
use crate::glob::Glob;
use crate::json::{Body, Wanted, is_name};
use crate::target::Target;

/// The rows of one method and path, in the order of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    rows: Vec<BoundRow>,
    wanted: Wanted,
    /// Names of the query parameters that some row reads.
    query: Vec<String>,
}

/// A row whose questions to the body are indexes into what is wanted of it.
#[derive(Clone, Debug, PartialEq)]
struct BoundRow {
    line: BoundLine,
    additions: Vec<BoundLine>,
    model: BoundModel,
    names: Names,
}

#[derive(Clone, Debug, PartialEq)]
struct BoundLine {
    conditions: Vec<BoundCondition>,
    operations: Vec<Operation>,
    risk: Risk,
}

#[derive(Clone, Debug, PartialEq)]
enum BoundCondition {
    Body { read: usize, expected: bool },
    Query { name: String, globs: Vec<Glob> },
}

#[derive(Clone, Debug, PartialEq)]
enum BoundModel {
    Nowhere,
    Unread,
    At(Vec<Vec<BoundPlace>>),
}

#[derive(Clone, Debug, PartialEq)]
enum BoundPlace {
    Body(usize),
    Query(String),
    Path(usize),
}

/// What a decision may read of one request.
struct Facts<'r> {
    wanted: &'r Wanted,
    target: &'r Target,
    body: Option<&'r Body>,
}

impl Group {
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Adds a row behind the others.
    pub(super) fn add(&mut self, row: &Row) -> Result<(), String> {
        let line = self.bind_line(&row.line)?;
        for known in &self.rows {
            if known.line.conditions.is_empty() {
                return Err("a row without conditions stands before it".to_owned());
            }
            if known.line.conditions == line.conditions {
                return Err("a row with the same conditions stands before it".to_owned());
            }
        }
        let additions =
            row.additions.iter().map(|line| self.bind_line(line)).collect::<Result<_, _>>()?;
        let model = match &row.model {
            ModelPlaces::Nowhere => BoundModel::Nowhere,
            ModelPlaces::Unread => BoundModel::Unread,
            ModelPlaces::At(models) => {
                let bind = |places: &Vec<Place>| {
                    places.iter().map(|place| self.bind_place(place)).collect::<Result<_, _>>()
                };
                BoundModel::At(models.iter().map(bind).collect::<Result<_, String>>()?)
            }
        };
        self.rows.push(BoundRow { line, additions, model, names: row.names });
        Ok(())
    }

    fn bind_line(&mut self, line: &Line) -> Result<BoundLine, String> {
        let conditions = line.conditions.iter().map(|condition| match condition {
            Condition::Body { read, expected } => {
                let read = self.wanted.add(read.clone()).ok_or("too many conditions")?;
                Ok(BoundCondition::Body { read, expected: *expected })
            }
            Condition::Query { name, globs } => {
                self.query.push(name.clone());
                Ok(BoundCondition::Query { name: name.clone(), globs: globs.clone() })
            }
        });
        let conditions = conditions.collect::<Result<_, String>>()?;
        Ok(BoundLine { conditions, operations: line.operations.clone(), risk: line.risk })
    }

    fn bind_place(&mut self, place: &Place) -> Result<BoundPlace, String> {
        Ok(match place {
            Place::Body(read) => {
                BoundPlace::Body(self.wanted.add(read.clone()).ok_or("too many places")?)
            }
            Place::Query(name) => {
                self.query.push(name.clone());
                BoundPlace::Query(name.clone())
            }
            Place::Path(segment) => BoundPlace::Path(*segment),
        })
    }
}

impl Candidates<'_> {
    /// The operations, risk and model of the request. `body` is needed where [`Self::need`] says
    /// so, and is the one that was read for [`Self::wanted`].
    ///
    /// # Errors
    /// An ambiguous or wrongly typed decision field, or no body where one is needed.
    pub fn resolve(
        &self,
        target: &Target,
        body: Option<&Body>,
    ) -> Result<Classified, ClassifyError> {
        let facts = Facts { wanted: self.group.wanted(), target, body };
        facts.check_body()?;
        facts.check_query(&self.group.query)?;
        let row = self.group.rows.iter().find(|row| facts.hold(&row.line.conditions));
        let Some(row) = row else { return Ok(Classified::unknown()) };
        let mut request = Classified::new(&row.line.operations, row.line.risk, None);
        for line in row.additions.iter().filter(|line| facts.hold(&line.conditions)) {
            for operation in &line.operations {
                request.add(*operation, line.risk);
            }
        }
        match &row.model {
            BoundModel::Nowhere => {}
            BoundModel::Unread => request.unnamed_model = true,
            BoundModel::At(models) => {
                for places in models {
                    let name = facts.model(places)?;
                    if let Some(name) = &name {
                        row.names.spell(name, &mut request.spellings);
                    }
                    match (name, request.model.is_some()) {
                        (None, _) => request.unnamed_model = true,
                        (name, false) => request.model = name,
                        (Some(name), true) => request.other_models.push(name),
                    }
                }
            }
        }
        Ok(request)
    }
}

impl Facts<'_> {
    fn check_body(&self) -> Result<(), ClassifyError> {
        let reads = self.wanted.reads();
        if reads.is_empty() {
            return Ok(());
        }
        let body = self.body.filter(|body| body.answers() == reads.len());
        let body = body.ok_or(ClassifyError::NotRead)?;
        if let Some(name) = body.ambiguous() {
            return Err(ClassifyError::Ambiguous(name.to_owned()));
        }
        for (index, read) in reads.iter().enumerate() {
            if body.answer(index).is_none_or(|answer| answer.wrong_type) {
                return Err(ClassifyError::WrongType(read.name.clone()));
            }
        }
        Ok(())
    }

    /// A parameter that decides must stand once, and `;` must not be there: some servers part
    /// parameters by it.
    fn check_query(&self, names: &[String]) -> Result<(), ClassifyError> {
        for name in names {
            let matrix = self.target.query().is_some_and(|query| query.contains(';'));
            let mut values = self.target.parameters().filter(|(known, _)| known == name);
            if matrix || values.nth(1).is_some() {
                return Err(ClassifyError::Ambiguous(name.clone()));
            }
        }
        Ok(())
    }

    fn hold(&self, conditions: &[BoundCondition]) -> bool {
        conditions.iter().all(|condition| match condition {
            BoundCondition::Body { read, expected } => {
                let answer = self.body.and_then(|body| body.answer(*read));
                answer.is_some_and(|answer| answer.holds == *expected)
            }
            BoundCondition::Query { name, globs } => {
                self.query(name).is_some_and(|value| globs.iter().any(|glob| glob.matches(&value)))
            }
        })
    }

    fn query(&self, name: &str) -> Option<String> {
        let mut values = self.target.parameters().filter(|(known, _)| known == name);
        values.next().map(|(_, value)| value.into_owned())
    }

    /// The one name that stands in these places; two that differ are ambiguous.
    fn model(&self, places: &[BoundPlace]) -> Result<Option<String>, ClassifyError> {
        let mut found: Option<String> = None;
        for place in places {
            let (label, name) = match place {
                BoundPlace::Body(read) => {
                    let label = self.wanted.reads().get(*read).map(|read| read.name.clone());
                    let answer = self.body.and_then(|body| body.answer(*read));
                    (label.unwrap_or_default(), answer.and_then(|answer| answer.name.clone()))
                }
                BoundPlace::Query(name) => (name.clone(), self.query(name)),
                BoundPlace::Path(segment) => {
                    let mut segments = self.target.decoded_path().split('/').skip(1);
                    ("path".to_owned(), segments.nth(*segment).map(str::to_owned))
                }
            };
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            if !is_name(&name) {
                return Err(ClassifyError::WrongType(label));
            }
            match &found {
                Some(known) if *known != name => return Err(ClassifyError::Ambiguous(label)),
                _ => found = Some(name),
            }
        }
        Ok(found)
    }
}
