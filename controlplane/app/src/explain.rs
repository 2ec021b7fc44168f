//! What would be decided about a request, and why: the data plane's own evaluation, asked in words.

use penstock_config::catalogue::{Classified, ClassifyError, Need, Risk, Table};
use penstock_config::decision::{Decision, DenyCause, Policy};
use penstock_config::documents::{Connection, Issuer};
use penstock_config::identity::{Identity, Intent};
use penstock_config::json::{Body, Wanted};
use penstock_config::target::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::{Refusal, Requester};
use crate::roles::{Action, authorise};
use crate::state::{DocumentKey, Origin, State};

/// The code for a connection that there is not, or that no rule shows.
const NO_CONNECTION: &str = "no_connection";

/// The code for a request that waits for people.
const APPROVAL_PENDING: &str = "approval_pending";

/// Who would ask for what.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What `users` in rules match.
    pub user: String,
    /// Name of the issuer document; without it the only one, or the one that the first run put in
    /// force.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Option<Vec<String>>,
    /// Claims, for rules that name some.
    #[serde(default)]
    pub claims: Option<Map<String, Value>>,
    /// Method.
    pub method: String,
    /// Target as a caller would send it: `/llama/v1/models`.
    pub path: String,
    /// The body's text.
    #[serde(default)]
    pub body: Option<String>,
    /// What the token was asked for.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// When it would be asked, milliseconds since the Unix epoch: rules have hours.
    #[serde(default)]
    pub at_ms: u64,
}

/// What would be decided, and why.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Explanation {
    /// It would pass.
    pub allowed: bool,
    /// Names of the rules whose reviewers must agree first, in the order in which rules stand;
    /// empty where nobody is asked.
    pub approve: Vec<String>,
    /// Status that the gateway would answer; 200 where the request would pass.
    pub status: u16,
    /// Code of the gateway's error; none where the request would pass.
    pub code: Option<&'static str>,
    /// The rule that decides; none where no rule matches.
    pub rule: Option<String>,
    /// What the request does.
    pub operations: Vec<String>,
    /// How much harm it can do.
    pub risk: Option<Risk>,
    /// The model that it names.
    pub model: Option<String>,
    /// The connection that it is for.
    pub connection: Option<String>,
    /// In a sentence.
    pub message: String,
    /// How that came about, one step a line.
    pub steps: Vec<String>,
}

/// Answers a question. About oneself the role user is enough; then the token's own groups and
/// claims count.
///
/// # Errors
/// Forbidden, or an issuer that is not in force or must be named.
pub fn explain(state: &State, by: &Requester, question: &Question) -> Result<Explanation, Refusal> {
    let others = authorise(state, by, Action::ExplainOthers).is_ok();
    let identity = if others {
        named_identity(state, question)?
    } else {
        authorise(state, by, Action::ExplainSelf)?;
        own_identity(by, question)?
    };
    let mut explanation = Explanation::default();
    explanation.step(format!(
        "{} of issuer {} is in {}",
        identity.user,
        identity.issuer,
        listed(&identity.groups, "no group")
    ));
    let before = explanation.clone();
    decide(state, question, &identity, &mut explanation);
    if !others && explanation.code == Some(NO_CONNECTION) {
        // Who may not ask about others may not find out either which connections there are.
        let message = std::mem::take(&mut explanation.message);
        explanation = before;
        explanation.refuse(404, NO_CONNECTION, message);
    }
    Ok(explanation)
}

/// The identity that the question is about, as its words have it.
fn named_identity(state: &State, question: &Question) -> Result<Identity, Refusal> {
    let issuer = issuer_name(state, question.issuer.as_deref())?;
    let claims = question.claims.clone().unwrap_or_default();
    Ok(Identity {
        issuer,
        subject: question.user.clone(),
        user: question.user.clone(),
        groups: question.groups.clone().unwrap_or_default(),
        claims,
        intent: question.intent.clone(),
    })
}

/// The requester's own identity, if the question is about nobody else.
fn own_identity(by: &Requester, question: &Question) -> Result<Identity, Refusal> {
    let Requester::Identity(own) = by else {
        return Err(Refusal::Forbidden(Action::ExplainOthers));
    };
    let about_own = question.user == own.user
        && question.issuer.as_ref().is_none_or(|issuer| *issuer == own.issuer)
        && question.groups.as_ref().is_none_or(|groups| *groups == own.groups)
        && question.claims.is_none();
    if !about_own {
        return Err(Refusal::Forbidden(Action::ExplainOthers));
    }
    let intent = question.intent.clone().or_else(|| own.intent.clone());
    Ok(Identity { intent, ..(**own).clone() })
}

fn issuer_name(state: &State, name: Option<&str>) -> Result<String, Refusal> {
    if let Some(name) = name {
        let found = state.policy_issuers().into_iter().find(|issuer| issuer.name == name);
        return found.map(|issuer| issuer.name).ok_or(Refusal::NotFound("issuer"));
    }
    let one = |mut found: Vec<&Issuer>| {
        if found.len() == 1 { found.pop().map(|issuer| issuer.name.clone()) } else { None }
    };
    let first_run = |issuer: &&Issuer| {
        let key = DocumentKey { kind: "issuer", name: issuer.name.clone() };
        let stored = state.durable.documents.get(&key);
        stored.is_some_and(|stored| stored.origin == Origin::FirstRun)
    };
    one(state.issuers().collect())
        .or_else(|| one(state.issuers().filter(first_run).collect()))
        .ok_or(Refusal::IssuerNeeded)
}

impl Explanation {
    fn step(&mut self, step: String) {
        self.steps.push(step);
    }

    fn refuse(&mut self, status: u16, code: &'static str, message: String) {
        self.status = status;
        self.code = Some(code);
        self.step(message.clone());
        self.message = message;
    }
}

/// The stages of the data plane, in their order.
fn decide(state: &State, question: &Question, identity: &Identity, out: &mut Explanation) {
    let target = match Target::parse(question.path.as_bytes()) {
        Ok(target) => target,
        Err(error) => return out.refuse(400, "bad_request", error.to_string()),
    };
    let unknown = || format!("no connection `{}` for {}", target.connection(), identity.user);
    let Some(connection) = state.connections().find(|c| c.name == target.connection()) else {
        return out.refuse(404, NO_CONNECTION, unknown());
    };
    let policy = match compiled(state) {
        Ok(policy) => policy,
        Err(problem) => return out.refuse(503, "policy_stale", problem),
    };
    let Some(index) = policy.connection(&connection.name) else {
        return out.refuse(404, NO_CONNECTION, unknown());
    };
    let subject = policy.subject_rules(identity);
    out.connection = Some(connection.name.clone());
    if !policy.visible(&subject, index) {
        out.step(format!("no allow or approve rule names them on {}", connection.name));
        return out.refuse(404, NO_CONNECTION, unknown());
    }
    let Some(classified) = classify(connection, question, &target, out) else { return };
    let names: Vec<String> = classified.operations.iter().map(|o| o.name().to_owned()).collect();
    out.step(format!("it does {} on {}", names.join(" and "), model_text(&classified)));
    out.operations = names;
    out.risk = Some(classified.risk);
    out.model.clone_from(&classified.model);
    let decision = policy.decide(identity, &subject, index, &classified, question.at_ms);
    conclude(&decision, &classified, connection, identity, out);
}

fn compiled(state: &State) -> Result<Policy, String> {
    let issuers = state.policy_issuers();
    let connections: Vec<Connection> = state.connections().cloned().collect();
    let rules: Vec<_> = state.rules().cloned().collect();
    Policy::compile(&issuers, &connections, &rules)
}

/// What the request does, or nothing where the answer already stands.
fn classify(
    connection: &Connection,
    question: &Question,
    target: &Target,
    out: &mut Explanation,
) -> Option<Classified> {
    let built = Table::build(connection.protocol, connection.version.as_deref(), &connection.table);
    let (table, version) = match built {
        Ok(built) => built,
        Err((row, problem)) => {
            out.refuse(503, "policy_stale", format!("row {row} of the table: {problem}"));
            return None;
        }
    };
    out.step(format!(
        "{} {} is for connection {}, catalogue {version}",
        question.method,
        target.path(),
        connection.name
    ));
    let Some(candidates) = table.candidates(&question.method, target) else {
        if table.knows_path(target) {
            out.refuse(405, "method", "the server does not take this method there".to_owned());
            return None;
        }
        out.step("no row of the catalogue has this path".to_owned());
        return Some(Classified::unknown());
    };
    let body = match candidates.need() {
        Need::Head => None,
        Need::Body => Some(body(question, candidates.wanted(), out)?),
    };
    match candidates.resolve(target, body.as_ref()) {
        Ok(classified) => Some(classified),
        Err(error) => {
            let code = match error {
                ClassifyError::Ambiguous(_) => "ambiguous_request",
                ClassifyError::WrongType(_) | ClassifyError::NotRead => "bad_request",
            };
            out.refuse(400, code, error.to_string());
            None
        }
    }
}

fn body(question: &Question, wanted: &Wanted, out: &mut Explanation) -> Option<Body> {
    let text = question.body.as_deref().unwrap_or_else(|| {
        out.steps.push("the body decides; none was given, so an empty object is read".to_owned());
        "{}"
    });
    match Body::parse(text.as_bytes().to_vec(), wanted) {
        Ok(body) => Some(body),
        Err(error) => {
            out.refuse(400, "bad_request", error.to_string());
            None
        }
    }
}

fn conclude(
    decision: &Decision,
    classified: &Classified,
    connection: &Connection,
    identity: &Identity,
    out: &mut Explanation,
) {
    let names = out.operations.join(" and ");
    let what = format!("{} to {names} on {}", identity.user, connection.name);
    match decision {
        Decision::Approve { rules, .. } => {
            out.approve = rules.iter().map(ToString::to_string).collect();
            out.rule = out.approve.first().cloned();
            let message = format!("{what} needs approval by {}", listed(&out.approve, "nobody"));
            out.refuse(403, APPROVAL_PENDING, message);
        }
        Decision::Allow { rule, .. } => {
            out.allowed = true;
            out.status = 200;
            out.rule = Some(rule.to_string());
            out.message = format!("rule {rule} allows {what}");
            out.step(out.message.clone());
        }
        Decision::Deny { rule, cause } => {
            out.rule = rule.as_ref().map(ToString::to_string);
            let message = match cause {
                DenyCause::Rule => {
                    let rule = out.rule.clone().unwrap_or_default();
                    format!("rule {rule} denies {what}")
                }
                DenyCause::NoRule(index) => {
                    let operation = classified.operations.get(*index).map_or("", |o| o.name());
                    let who = &identity.user;
                    format!("no rule allows {who} to {operation} on {}", connection.name)
                }
                DenyCause::Intent => format!("the token was not asked for {what}"),
            };
            out.refuse(403, "denied", message);
        }
    }
}

fn model_text(classified: &Classified) -> String {
    classified.model.as_ref().map_or_else(|| "no model".to_owned(), |m| format!("model {m}"))
}

fn listed(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}
