//! One row as it was written, in a server's table or by an operator, before it is put into an
//! index.

use super::spelling::Names;
use super::template::Template;
use super::{Operation, Risk};
use crate::documents::OperatorRow;
use crate::glob::Glob;
use crate::json::{Read, Step, Test};

/// Methods that a row may have. HEAD reads as GET where a path has no row of its own for it.
const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) methods: Vec<String>,
    pub(super) path: String,
    pub(super) template: Template,
    /// What it says; its conditions choose between the rows of one method and path.
    pub(super) line: Line,
    pub(super) model: ModelPlaces,
    pub(super) names: Names,
    /// Lines that add to it, each where its own conditions hold.
    pub(super) additions: Vec<Line>,
}

/// Operations and their risk under conditions that all have to hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) conditions: Vec<Condition>,
    pub(super) operations: Vec<Operation>,
    pub(super) risk: Risk,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// A question to the body, and the answer that it must have.
    Body { read: Read, expected: bool },
    /// A query parameter that one of the globs matches.
    Query { name: String, globs: Vec<Glob> },
}

/// Where the names of a request's models stand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ModelPlaces {
    /// The request concerns no model.
    Nowhere,
    /// It concerns one, but where nothing is read: a form, or the server's memory.
    Unread,
    /// One entry a model; of the places in it the server takes the first that is not empty.
    At(Vec<Vec<Place>>),
}

/// One place that can hold a model's name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Body(Read),
    Query(String),
    /// Index of the path's segment.
    Path(usize),
}

impl Row {
    /// Whether `GET` on it only says how the server does, for anybody and at any time.
    pub(super) fn is_health(&self) -> bool {
        self.methods.iter().any(|method| method == "GET")
            && self.line.conditions.is_empty()
            && self.line.risk == Risk::None
            && self.line.operations.iter().all(|operation| operation.name() == "health")
            && self.additions.is_empty()
    }

    /// Checks and combines the parts of a row.
    pub(super) fn new(
        methods: Vec<String>,
        path: &str,
        line: Line,
        model: Option<&str>,
    ) -> Result<Self, String> {
        if methods.is_empty() {
            return Err("a row needs a method".to_owned());
        }
        for (index, method) in methods.iter().enumerate() {
            if !METHODS.contains(&method.as_str()) {
                return Err(format!("`{method}` is not one of {}", METHODS.join(", ")));
            }
            if methods.iter().take(index).any(|known| known == method) {
                return Err(format!("`{method}` stands twice"));
            }
        }
        let template = Template::parse(path).map_err(|problem| format!("`{path}`: {problem}"))?;
        let model = model.map_or(Ok(ModelPlaces::Nowhere), |text| places(text, &template))?;
        let path = path.to_owned();
        let names = Names::Exact;
        Ok(Self { methods, path, template, line, model, names, additions: Vec::new() })
    }

    /// A row of an operator's own table.
    pub(super) fn of_operator(row: &OperatorRow) -> Result<Self, String> {
        let operations = operations(row.operations.iter().map(String::as_str))?;
        let line = Line { conditions: Vec::new(), operations, risk: row.risk };
        Self::new(row.methods.clone(), &row.path, line, row.model.as_deref())
    }
}

/// Operations by name; at least one, none twice, and not `unknown`.
pub(super) fn operations<'n>(
    names: impl Iterator<Item = &'n str>,
) -> Result<Vec<Operation>, String> {
    let mut operations = Vec::new();
    for name in names {
        let operation = Operation::named(name)
            .filter(|operation| *operation != Operation::UNKNOWN)
            .ok_or_else(|| format!("`{name}` is not an operation that a row can have"))?;
        if operations.contains(&operation) {
            return Err(format!("`{name}` stands twice"));
        }
        operations.push(operation);
    }
    if operations.is_empty() { Err("a row needs an operation".to_owned()) } else { Ok(operations) }
}

/// `body:model`, `query:model`, `path:id`, `unread`; `body:a|b`: the first that is not empty;
/// `body:a&b`: two models.
fn places(text: &str, template: &Template) -> Result<ModelPlaces, String> {
    if text == "unread" {
        return Ok(ModelPlaces::Unread);
    }
    let wrong = "is not a place such as `body:model`, `query:model`, `path:id`";
    let (source, names) = text.split_once(':').ok_or_else(|| format!("`{text}` {wrong}"))?;
    let place = |name: &str| match source {
        "body" => read(name, Test::Name).map(Place::Body),
        "query" if !name.is_empty() => Ok(Place::Query(name.to_owned())),
        "path" => {
            let segment = template.place(name).map(Place::Path);
            segment.ok_or_else(|| format!("the path has no segment `{{{name}}}`"))
        }
        _ => Err(format!("`{text}` {wrong}")),
    };
    let model = |names: &str| names.split('|').map(place).collect::<Result<Vec<_>, _>>();
    let models = names.split('&').map(model).collect::<Result<Vec<_>, _>>()?;
    let is_one = |place: &Place| match place {
        Place::Body(read) => read.steps.iter().all(|step| matches!(step, Step::Key(_))),
        Place::Query(_) | Place::Path(_) => true,
    };
    if models.iter().flatten().all(is_one) {
        Ok(ModelPlaces::At(models))
    } else {
        Err(format!("`{text}` must name single places"))
    }
}

/// A place in a body: keys joined by dots, `[]` for each item of an array, `*` at the end of a key
/// for all that begin so.
pub(super) fn read(path: &str, test: Test) -> Result<Read, String> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, is_array) = part.strip_suffix("[]").map_or((part, false), |key| (key, true));
        let (key, is_prefix) = key.strip_suffix('*').map_or((key, false), |key| (key, true));
        if key.is_empty() || !key.is_ascii() || key.contains(['[', ']', '*']) {
            return Err(format!("`{path}` is not a place in a body"));
        }
        let key = key.to_owned();
        steps.push(if is_prefix { Step::KeyPrefix(key) } else { Step::Key(key) });
        if is_array {
            steps.push(Step::Each);
        }
    }
    Ok(Read { name: path.to_owned(), steps, test })
}
