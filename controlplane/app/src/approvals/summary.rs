//! What must be shown to decide: one text for every channel. What comes from callers is hostile: it
//! is cut, and characters that do not stand for themselves are shown as their code.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Approval, Asked, Vote};
use penstock_config::hold::Facts;

const VALUE_CHARACTERS_MAX: usize = 1_024;
const MINUTE_MS: u64 = 60_000;

/// See [`Approval::summary`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// In one line: who wants what.
    pub title: String,
    /// In the order in which people read them.
    pub rows: Vec<SummaryRow>,
}

/// One line of a summary.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SummaryRow {
    /// What it is.
    pub name: &'static str,
    /// Plain text: never markup.
    pub value: String,
}

impl Summary {
    fn row(&mut self, name: &'static str, value: impl AsRef<str>) {
        self.rows.push(SummaryRow { name, value: plain(value.as_ref()) });
    }

    fn row_of(&mut self, name: &'static str, value: Option<&String>) {
        if let Some(value) = value {
            self.row(name, value);
        }
    }

    /// One row a line.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for SummaryRow { name, value } in &self.rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }
}

impl Approval {
    /// What must be shown to decide, without a word of a prompt: the same text for every channel.
    pub fn summary(&self) -> Summary {
        let operations = self.operations().collect::<Vec<_>>().join(", ");
        let user = plain(&self.requester.user);
        let title = format!("{user} asks for {operations} on {}", self.connection);
        let mut summary = Summary { title, rows: Vec::new() };
        self.who(&mut summary);
        match &self.asked {
            Asked::Request(request) => {
                summary.row("operations", risks(&request.facts));
                summary.row("model", model(&request.facts));
                summary.row("request", format!("{} {}", request.method, request.target));
                let size = format!("{} bytes", request.body_bytes);
                summary.row("body", format!("{size}, SHA-256 {}", request.body_sha256));
                for (name, value) in &request.shown {
                    summary.row("field", format!("{name} = {value}"));
                }
                summary.row("digest", &request.digest);
                summary.row("from", &request.peer);
                summary.row_of("client", request.agent.as_ref());
            }
            Asked::Access(access) => {
                summary.row("operations", operations);
                summary.row("models", access.models.join(", "));
                let wanted = format!("{} uses in {} minutes", access.uses, access.minutes);
                summary.row("access", wanted);
                summary.row_of("extends", access.extends.as_ref());
            }
        }
        summary.row("connection", &self.connection);
        summary.row("reason", self.reason.as_deref().unwrap_or("none was given"));
        let ticket = self.ticket.as_ref().map(|ticket| format!("{ticket} (its form was checked)"));
        summary.row_of("ticket", ticket.as_ref());
        self.what_it_gives(&mut summary);
        self.history(&mut summary);
        summary
    }

    fn who(&self, summary: &mut Summary) {
        let requester = &self.requester;
        summary.row("who", &requester.user);
        summary.row("identity", format!("{} of issuer {}", requester.subject, requester.issuer));
        let groups = requester.groups.join(", ");
        summary.row("groups", if groups.is_empty() { "none" } else { &groups });
        if self.break_glass.is_some() {
            summary.row("break-glass", "they went ahead at once: it is to be reviewed");
        }
    }

    /// What a yes gives, and what more it may give.
    fn what_it_gives(&self, summary: &mut Summary) {
        for requirement in &self.requirements {
            let asks = &requirement.asks;
            let people = if requirement.is_automatic {
                "answered by its conditions".to_owned()
            } else {
                format!("{} must agree", asks.quorum.max(1))
            };
            let (minutes, uses) = (asks.grant.minutes_max, asks.grant.uses_max);
            let most = format!("gives at most {uses} uses in {minutes} minutes");
            summary.row("rule", format!("{}: {people}, {most}", requirement.rule));
        }
        let given = match &self.asked {
            Asked::Request(_) => "this request, once",
            Asked::Access(_) => "what was asked for",
        };
        summary.row("a plain yes gives", given);
        let yes = self.votes.iter().filter(|vote| !vote.is_late);
        let yes = yes.filter(|vote| matches!(vote.vote, Vote::Approve { .. }));
        let names: Vec<&str> = yes.map(|vote| vote.by.user.as_str()).collect();
        if !names.is_empty() {
            summary.row("agreed", names.join(", "));
        }
        let minutes = self.decide_by_ms.saturating_sub(self.asked_ms) / MINUTE_MS;
        summary.row("stands for", format!("{minutes} minutes from when it was asked"));
        if self.has_callers() {
            summary.row("waiting", "somebody waits on an open connection");
        }
    }

    fn history(&self, summary: &mut Summary) {
        let before = &self.before;
        let text = format!(
            "asked {} times within 30 days, approved {}, denied {}",
            before.asked, before.approved, before.denied
        );
        summary.row("before", text);
        summary.row("policy", format!("version {}", self.version));
    }
}

fn risks(facts: &Facts) -> String {
    let named = facts.operations.iter().map(|(name, risk)| {
        let risk = serde_json::to_string(risk).unwrap_or_default();
        format!("{name} (risk {})", risk.trim_matches('"'))
    });
    named.collect::<Vec<_>>().join(", ")
}

fn model(facts: &Facts) -> String {
    let mut names: Vec<&str> = facts.model.iter().map(String::as_str).collect();
    names.extend(facts.other_models.iter().map(String::as_str));
    if facts.unnamed_model {
        names.push("and one that it does not name");
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Text as it can be shown in one line: characters that move, hide or turn text stand as their
/// code, and a long text is cut.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for (count, one) in text.chars().enumerate() {
        if count == VALUE_CHARACTERS_MAX {
            plain.push('…');
            break;
        }
        if is_shown_as_it_is(one) {
            plain.push(one);
        } else {
            // Writing to a string does not fail.
            let _ = write!(plain, "\\u{{{:x}}}", u32::from(one));
        }
    }
    plain
}

fn is_shown_as_it_is(one: char) -> bool {
    let is_hidden = matches!(
        u32::from(one),
        0xad | 0x61c
            | 0x180e
            | 0x200b..=0x200f
            | 0x2028..=0x202e
            | 0x2060..=0x206f
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xfff9..=0xfffb
            | 0xe0000..=0xe0fff
    );
    !one.is_control() && !is_hidden
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn characters_that_move_or_hide_text_are_shown_as_their_code() {
        assert_eq!(plain("adapter-1 é 漢"), "adapter-1 é 漢");
        assert_eq!(plain("a\nb\u{1b}[2J"), "a\\u{a}b\\u{1b}[2J");
        assert_eq!(plain("evil\u{202e}txt"), "evil\\u{202e}txt");
        assert_eq!(plain("a\u{200b}b\u{feff}"), "a\\u{200b}b\\u{feff}");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(plain(&"x".repeat(2_000)).chars().count(), 1_025);
    }
}
