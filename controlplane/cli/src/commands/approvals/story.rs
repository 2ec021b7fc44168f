//! An approval for people: who, what, on what, why, by which rule, and what an answer would give.
//! Its texts come from strangers: see [`crate::terminal`].

use serde_json::Value;

use super::view::{Approval, Ended, Request, Requirement, Review, Vote};
use crate::terminal::{Page, quoted, word};
use crate::timestamp;

/// The whole page.
pub(crate) fn story(value: &Value) -> String {
    let Ok(approval) = serde_json::from_value::<Approval>(value.clone()) else {
        return format!("{}\n", quoted(&value.to_string()));
    };
    let mut page = Page::default();
    head(&mut page, &approval);
    what(&mut page, &approval);
    if let Some(request) = &approval.request {
        held(&mut page, request);
    }
    rules(&mut page, &approval);
    votes(&mut page, &approval.votes);
    if let Some(review) = &approval.break_glass {
        glass(&mut page, review);
    }
    if let Some(ended) = &approval.ended {
        page.part("Ended");
        end(&mut page, ended);
    }
    answers(&mut page, &approval);
    page.text()
}

fn head(page: &mut Page, approval: &Approval) {
    page.line("approval", &word(&approval.id));
    let waiting = if approval.waiting { ", somebody waits on an open connection now" } else { "" };
    page.line("state", &format!("{}{waiting}", word(&approval.state)));
    if approval.break_glass.is_some() {
        page.line("BREAK-GLASS", "it went ahead at once and is to be looked at");
    }
    page.line("who", &person(&approval.user, &approval.issuer));
    if approval.subject != approval.user {
        page.line("subject", &word(&approval.subject));
    }
    page.line("groups", &words(&approval.groups));
    page.line("reason", &said(approval.reason.as_deref()));
    if let Some(ticket) = &approval.ticket {
        page.line("ticket", &format!("{} (whether there is one was not checked)", word(ticket)));
    }
    page.line("asked", &time(approval.asked_ms));
    page.line("decide by", &time(approval.decide_by_ms));
    let before = &approval.before;
    let text = format!(
        "{} asked within 30 days, {} of them approved, {} denied",
        before.asked, before.approved, before.denied
    );
    page.line("before", &text);
    page.line("url", &word(&approval.url));
}

fn what(page: &mut Page, approval: &Approval) {
    page.part("What is asked for");
    page.line("connection", &word(&approval.connection));
    for operation in &approval.operations {
        let risk = operation.risk.as_deref().unwrap_or("not known before it is used");
        page.line("operation", &format!("{}, risk: {}", word(&operation.name), word(risk)));
    }
    let unnamed = approval.request.as_ref().is_some_and(|request| request.unnamed_model);
    let unnamed = if unnamed { ", and one that the request does not name" } else { "" };
    page.line("models", &format!("{}{unnamed}", words(&approval.models)));
    if let Some(access) = &approval.access {
        let text =
            format!("{} within {} from the first", uses(access.uses), minutes(access.minutes));
        page.line("ahead of time", &text);
        if let Some(extends) = &access.extends {
            page.line("extends", &word(extends));
        }
    }
}

fn held(page: &mut Page, request: &Request) {
    page.part("The request that is held");
    page.line("request", &format!("{} {}", word(&request.method), quoted(&request.target)));
    page.line("body", &format!("{} bytes", request.body_bytes));
    page.line("body SHA-256", &word(&request.body_sha256));
    page.line("digest", &word(&request.digest));
    for field in &request.shown {
        page.line("field", &format!("{} = {}", word(&field.name), quoted(&field.value)));
    }
    page.line("from", &word(&request.peer));
    if let Some(agent) = &request.agent {
        page.line("agent", &quoted(agent));
    }
}

fn rules(page: &mut Page, approval: &Approval) {
    let version = approval.version;
    page.part(&format!("Rules, all of which must be met (documents of version {version})"));
    for requirement in &approval.requirements {
        rule(page, requirement);
    }
}

fn rule(page: &mut Page, requirement: &Requirement) {
    let Requirement { quorum, agreed, minutes_max, uses_max, .. } = requirement;
    let state = match (requirement.met, requirement.automatic) {
        (true, true) => "met by a condition of its own",
        (true, false) => "met",
        (false, _) => "not met",
    };
    let text = format!(
        "{}: {state}, {agreed} of {quorum} people; gives at most {} within {}",
        word(&requirement.rule),
        uses(*uses_max),
        minutes(*minutes_max)
    );
    page.line("rule", &text);
    for (title, subjects) in
        [("reviewers", &requirement.reviewers), ("one of each", &requirement.one_from_each)]
    {
        let subjects = subjects.as_array().map_or(&[][..], Vec::as_slice);
        if !subjects.is_empty() {
            let subjects: Vec<String> = subjects.iter().map(subject).collect();
            page.line(title, &subjects.join("; "));
        }
    }
}

/// `{issuer: a, groups: [b]}` as `issuer a, groups b`.
fn subject(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return word(&value.to_string()) };
    let field = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) => word(text),
            Value::Array(items) => {
                let items = items.iter().map(|item| match item {
                    Value::String(text) => word(text),
                    other => word(&other.to_string()),
                });
                items.collect::<Vec<_>>().join(" or ")
            }
            other => word(&other.to_string()),
        };
        format!("{} {value}", word(name))
    };
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

fn votes(page: &mut Page, votes: &[Vote]) {
    page.part("Answers so far");
    if votes.is_empty() {
        page.line("none", "");
    }
    for vote in votes {
        let mut text = format!("{} {}", person(&vote.user, &vote.issuer), time(vote.at_ms));
        if let Some(reason) = &vote.reason {
            text.push_str(&format!(", because {}", quoted(reason)));
        }
        if let Some(count) = vote.uses {
            text.push_str(&format!(", {}", uses(count)));
        }
        if let Some(length) = vote.minutes {
            text.push_str(&format!(", {}", minutes(length)));
        }
        if let Some(operations) = &vote.operations {
            text.push_str(&format!(", only {}", words(operations)));
        }
        text.push_str(&format!(", by {}", word(&vote.channel)));
        if let Some(webhook) = &vote.webhook {
            text.push_str(&format!(" {}", word(webhook)));
        }
        if let Some(other) = &vote.on_behalf_of {
            text.push_str(&format!(", in the name of {}, which was not checked", quoted(other)));
        }
        if vote.late {
            text.push_str(", too late");
        }
        page.line(if vote.vote == "deny" { "no" } else { "yes" }, &text);
    }
}

fn glass(page: &mut Page, review: &Review) {
    page.part("Break-glass");
    match (&review.justification, review.justified_ms) {
        (Some(text), at_ms) => {
            let at = at_ms.map(time).unwrap_or_default();
            page.line("justified", &format!("{} {at}", quoted(text)));
        }
        (None, _) if review.overdue => {
            page.line("justified", &format!("NOT, until {}", time(review.justify_by_ms)));
        }
        (None, _) => page.line("justify by", &time(review.justify_by_ms)),
    }
    match (&review.closed_by, review.closed_ms) {
        (Some(by), Some(at_ms)) => {
            page.line("closed", &format!("by {} {}", actor(by), time(at_ms)));
        }
        _ => page.line("review", "open: somebody else than its user closes it"),
    }
}

/// How something ended.
pub(crate) fn end(page: &mut Page, ended: &Ended) {
    let cause = ended.cause.as_str().unwrap_or_default();
    page.line("ended", &format!("{}, {}, by {}", time(ended.at_ms), word(cause), actor(&ended.by)));
    if !ended.note.is_empty() {
        page.line("note", &quoted(&ended.note));
    }
}

/// What can be done with it now.
fn answers(page: &mut Page, approval: &Approval) {
    if let Some(grant) = &approval.grant {
        page.part("The grant");
        page.line("grant", &format!("{}: penstock grants show {0}", word(grant)));
    }
    if approval.state != "pending" {
        return;
    }
    page.part("What an answer does");
    if !approval.may_answer {
        page.line("yours", "counts for nothing: the rules name others, or the question is yours");
    }
    let id = word(&approval.id);
    page.line("approve", &allows(approval, &Widening::default()));
    page.line("", &format!("penstock approve {id}"));
    if approval.uses_max > 1 || approval.access.is_some() {
        let text = format!(
            "at most {} within {} from the first",
            uses(approval.uses_max),
            minutes(approval.minutes_max)
        );
        page.line("widened", &text);
        page.line("", &format!("penstock approve {id} --uses N --minutes N"));
    }
    page.line("deny", "it does not go, and whoever asked reads your reason");
    page.line("", &format!("penstock deny {id} --reason WHY"));
}

/// How an approver changes what is given.
#[derive(Debug, Default)]
pub(crate) struct Widening<'a> {
    pub(crate) minutes: Option<u64>,
    pub(crate) uses: Option<u64>,
    pub(crate) operations: &'a [String],
}

/// What an answer would allow, in one sentence: what the control plane makes of it.
pub(crate) fn allows(approval: &Approval, widening: &Widening<'_>) -> String {
    let asked: Vec<String> =
        approval.operations.iter().map(|operation| operation.name.clone()).collect();
    let is_narrowed = !widening.operations.is_empty()
        && !asked.iter().all(|operation| widening.operations.contains(operation));
    let operations = words(if is_narrowed { widening.operations } else { &asked });
    let who = person(&approval.user, &approval.issuer);
    let connection = word(&approval.connection);
    let is_plain = widening.minutes.is_none() && widening.uses.is_none() && !is_narrowed;
    if approval.request.is_some() && is_plain {
        return format!("{who} sends this very request, {operations} on {connection}, once");
    }
    let (uses_asked, uses_max, minutes_max) = match &approval.access {
        Some(access) => (access.uses, access.uses, access.minutes),
        None => (1, approval.uses_max, approval.minutes_max),
    };
    // Time without a number of uses is time for as many as the rules give.
    let uses_default = if widening.minutes.is_some() { uses_max } else { uses_asked };
    let held = if approval.request.is_some() { ", the held request among them" } else { "" };
    format!(
        "{who} does {operations} on {connection}, {}: any request, {}{held}, within {} from the \
         first",
        models(approval),
        uses(widening.uses.unwrap_or(uses_default)),
        minutes(widening.minutes.unwrap_or(minutes_max))
    )
}

fn models(approval: &Approval) -> String {
    let unnamed = approval.request.as_ref().is_some_and(|request| request.unnamed_model);
    match (approval.models.is_empty(), unnamed) {
        (true, _) => "where no model is named".to_owned(),
        (false, true) => format!("on models {} or where none is named", words(&approval.models)),
        (false, false) => format!("on models {}", words(&approval.models)),
    }
}

/// A user and where their identity comes from.
pub(crate) fn person(user: &str, issuer: &str) -> String {
    if issuer.is_empty() { word(user) } else { format!("{} of {}", word(user), word(issuer)) }
}

/// `{issuer, subject}` for people.
pub(crate) fn actor(value: &Value) -> String {
    let text = |field| value.get(field).and_then(Value::as_str).unwrap_or_default();
    match value {
        Value::String(name) => word(name),
        Value::Object(_) => person(text("subject"), text("issuer")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => "nobody".to_owned(),
    }
}

/// Names, or the word none.
pub(crate) fn words(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| word(name)).collect::<Vec<_>>().join(", ")
}

fn said(text: Option<&str>) -> String {
    text.map_or_else(|| "none was given".to_owned(), quoted)
}

fn time(at_ms: u64) -> String {
    if at_ms == 0 { "at no known time".to_owned() } else { timestamp::utc(at_ms) }
}

/// `1 use`, `3 uses`.
pub(crate) fn uses(count: u64) -> String {
    if count == 1 { "1 use".to_owned() } else { format!("{count} uses") }
}

/// `1 minute`, `30 minutes`.
pub(crate) fn minutes(length: u64) -> String {
    if length == 1 { "1 minute".to_owned() } else { format!("{length} minutes") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::terminal::is_treacherous;

    fn held() -> Value {
        json!({
            "id": "apr-00112233445566778899", "state": "pending", "url": "https://x/approvals/apr",
            "user": "ann", "issuer": "company", "subject": "4711", "groups": ["contractors"],
            "connection": "llama", "operations": [{"name": "adapter.load", "risk": "high"}],
            "models": ["base"], "access": null,
            "request": {"method": "POST", "target": "/v1/load_lora_adapter", "digest": "d1",
                "body_bytes": 42, "body_sha256": "b1", "unnamed_model": false,
                "shown": [{"name": "lora_name", "value": "sql"}], "peer": "10.0.0.9",
                "agent": "curl/8"},
            "reason": "demo", "ticket": null, "asked_ms": 951_782_400_000_u64,
            "decide_by_ms": 951_786_000_000_u64, "version": 7,
            "requirements": [{"rule": "adapters", "met": false, "automatic": false, "quorum": 2,
                "agreed": 1, "reviewers": [{"issuer": "company", "groups": ["ml-leads", "sre"]}],
                "one_from_each": [], "minutes_max": 30, "uses_max": 5}],
            "minutes_max": 30, "uses_max": 5, "waiting": true, "may_answer": true,
            "votes": [{"at_ms": 951_782_401_000_u64, "user": "bob", "issuer": "company",
                "vote": "approve", "channel": "api", "uses": 2}],
            "before": {"asked": 3, "approved": 2, "denied": 1},
            "break_glass": null, "grant": null, "ended": null,
        })
    }

    #[test]
    fn a_reviewer_sees_everything_that_is_needed_to_decide() {
        let page = story(&held());
        let wanted = [
            "ann of company",
            "contractors",
            "4711",
            "\"demo\"",
            "adapter.load, risk: high",
            "base",
            "POST \"/v1/load_lora_adapter\"",
            "42 bytes",
            "b1",
            "d1",
            "lora_name = \"sql\"",
            "10.0.0.9",
            "\"curl/8\"",
            "adapters: not met, 1 of 2 people",
            "groups ml-leads or sre, issuer company",
            "bob of company",
            "2 uses",
            "3 asked within 30 days, 2 of them approved, 1 denied",
            "2000-02-29 01:00:00Z",
            "somebody waits on an open connection now",
            "version 7",
            "sends this very request, adapter.load on llama, once",
            "at most 5 uses within 30 minutes",
            "penstock deny apr-00112233445566778899",
        ];
        for text in wanted {
            assert!(page.contains(text), "{text:?} is missing:\n{page}");
        }
    }

    #[test]
    fn no_text_of_a_requester_forges_a_line_or_steers_the_terminal() {
        let evil = "x\nstate         approved\r\u{1b}[31m\u{202e}\u{9b}2J\u{200b}\u{2028}y";
        let mut value = held();
        for field in ["user", "subject", "reason", "ticket", "connection", "state", "url", "id"] {
            value[field] = json!(evil);
        }
        value["groups"] = json!([evil]);
        value["models"] = json!([evil]);
        value["operations"] = json!([{"name": evil, "risk": evil}]);
        for field in ["method", "target", "digest", "body_sha256", "peer", "agent"] {
            value["request"][field] = json!(evil);
        }
        value["request"]["shown"] = json!([{"name": evil, "value": evil}]);
        value["requirements"][0]["rule"] = json!(evil);
        value["requirements"][0]["reviewers"] = json!([{evil: [evil, 1], "users": evil}]);
        value["votes"][0] = json!({"vote": "deny", "user": evil, "reason": evil, "webhook": evil,
            "on_behalf_of": evil, "channel": evil, "operations": [evil]});
        value["ended"] = json!({"by": {"subject": evil}, "cause": evil, "note": evil});
        value["break_glass"] = json!({"justification": evil, "closed_by": evil, "closed_ms": 1});
        value["grant"] = json!(evil);
        let page = story(&value);
        assert!(!page.chars().any(|c| c != '\n' && is_treacherous(c)), "{page:?}");
        let forged = page.lines().filter(|line| line.starts_with("state")).count();
        assert_eq!(forged, 1, "{page}");
    }

    #[test]
    fn what_would_be_allowed_is_said_in_full() {
        let approval: Approval = serde_json::from_value(held()).unwrap();
        let once = allows(&approval, &Widening::default());
        assert_eq!(once, "ann of company sends this very request, adapter.load on llama, once");
        let widened =
            allows(&approval, &Widening { uses: Some(3), minutes: Some(1), operations: &[] });
        assert_eq!(
            widened,
            "ann of company does adapter.load on llama, on models base: any request, 3 uses, the \
             held request among them, within 1 minute from the first"
        );
        let mut value = held();
        value["request"] = Value::Null;
        value["access"] = json!({"minutes": 20, "uses": 4});
        let ahead: Approval = serde_json::from_value(value).unwrap();
        let text =
            allows(&ahead, &Widening { operations: &["list".to_owned()], ..Widening::default() });
        assert!(text.contains("does list on llama") && text.contains("4 uses, within 20 minutes"));
        let timed = allows(&approval, &Widening { minutes: Some(9), ..Widening::default() });
        assert!(timed.contains("5 uses, the held request among them, within 9 minutes"), "{timed}");
        let all = ["adapter.load".to_owned()];
        let all = allows(&approval, &Widening { operations: &all, ..Widening::default() });
        assert_eq!(all, once);
    }
}
