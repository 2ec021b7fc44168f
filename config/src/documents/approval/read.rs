//! `approval`, `when` and `end_with_token` of a rule.

use super::{Approval, AutoApprove, BreakGlass, Day, GrantLimits, HeldStream, Hours, Reason};
use crate::approval_rules::{ONE_FROM_EACH_MAX, QUORUM_MAX, ticket_pattern};
use crate::diagnostics::{hint_among, quoted};
use crate::documents::rule::{subject, subjects};
use crate::hold::SHOWN_MAX;
use crate::hours::{DAY_MINUTES, is_zone, parse_clock, zones};
use crate::reader::{Keys, Reader};

const KEYS: Keys = Keys::known(&[
    "reviewers",
    "quorum",
    "one_from_each",
    "reason",
    "ticket",
    "hold_ms_max",
    "answer_ms_max",
    "stream",
    "grant",
    "show",
    "auto_approve",
    "break_glass",
]);

const GRANT_KEYS: Keys = Keys::known(&["minutes_max", "uses_max"]);
const AUTO_APPROVE_KEYS: Keys = Keys::known(&["subjects", "when"]);
const BREAK_GLASS_KEYS: Keys = Keys::known(&["subjects", "minutes_max", "justify_ms_max"]);
const HOURS_KEYS: Keys = Keys::known(&["days", "from", "to", "zone"]);

const REASONS: &[(&str, Reason)] =
    &[("optional", Reason::Optional), ("required", Reason::Required)];

const STREAMS: &[(&str, HeldStream)] =
    &[("wait", HeldStream::Wait), ("commit", HeldStream::Commit)];

const DAYS: &[(&str, Day)] = &[
    ("mon", Day::Mon),
    ("tue", Day::Tue),
    ("wed", Day::Wed),
    ("thu", Day::Thu),
    ("fri", Day::Fri),
    ("sat", Day::Sat),
    ("sun", Day::Sun),
];

/// Members of bodies that carry what people ask and models answer, in any server's words.
const PROMPTS: &[&str] = &[
    "arguments",
    "audio",
    "caption",
    "chat_template",
    "content",
    "contents",
    "context",
    "conversation",
    "data",
    "document",
    "documents",
    "examples",
    "history",
    "image",
    "images",
    "input",
    "input_extra",
    "input_ids",
    "input_prefix",
    "input_suffix",
    "inputs",
    "instruction",
    "instructions",
    "message",
    "messages",
    "modelfile",
    "multi_modal_data",
    "negative_prompt",
    "passage",
    "passages",
    "parts",
    "prefix",
    "prompt",
    "prompt_embeds",
    "prompt_token_ids",
    "prompts",
    "queries",
    "query",
    "question",
    "questions",
    "raw_input",
    "reasoning",
    "reasoning_content",
    "sentence",
    "sentences",
    "source_sentence",
    "suffix",
    "system",
    "system_prompt",
    "template",
    "text",
    "text_1",
    "text_2",
    "texts",
    "thinking",
    "token_ids",
    "tokens",
    "tool_calls",
];

const HOLD_MS: u64 = 300_000;
const HOLD_MS_MAX: u64 = 86_400_000;
const ANSWER_MS: u64 = 3_600_000;
const ANSWER_MS_MAX: u64 = 2_592_000_000;
const GRANT_MINUTES: u64 = 30;
const GRANT_MINUTES_MAX: u64 = 10_080;
const USES_MAX: u64 = 100_000;
const BREAK_GLASS_MINUTES: u64 = 60;
const JUSTIFY_MS: u64 = 86_400_000;
const JUSTIFY_MS_MAX: u64 = 2_592_000_000;

pub(in crate::documents) fn approval(value: Reader<'_>) -> Option<Approval> {
    let fields = value.mapping(&KEYS)?;
    let reviewers = fields.or("reviewers", Vec::new(), subjects);
    let quorum = fields
        .or("quorum", 1, |value| u32::try_from(value.integer(1..=u64::from(QUORUM_MAX))?).ok());
    let one_from_each = fields.or("one_from_each", Vec::new(), one_from_each);
    let reason = fields.or("reason", Reason::default(), |value| value.choice(REASONS, &[]));
    let ticket = fields.optional("ticket", ticket);
    let hold_ms_max = fields.or("hold_ms_max", HOLD_MS, |value| value.integer(0..=HOLD_MS_MAX));
    let answer_ms_max =
        fields.or("answer_ms_max", ANSWER_MS, |value| value.integer(1..=ANSWER_MS_MAX));
    let stream = fields.or("stream", HeldStream::default(), |value| value.choice(STREAMS, &[]));
    let grant = fields.or("grant", DEFAULT_GRANT, grant);
    let show = fields.or("show", Vec::new(), show);
    let auto_approve = fields.or("auto_approve", Vec::new(), |value| value.list(1, auto_approve));
    let break_glass = fields.optional("break_glass", break_glass);
    if !fields.has("reviewers") && !fields.has("one_from_each") {
        return value.problem("an approval that nobody could give", "add `reviewers`");
    }
    Some(Approval {
        reviewers: reviewers?,
        quorum: quorum?,
        one_from_each: one_from_each?,
        reason: reason?,
        ticket: ticket?,
        hold_ms_max: hold_ms_max?,
        answer_ms_max: answer_ms_max?,
        stream: stream?,
        grant: grant?,
        show: show?,
        auto_approve: auto_approve?,
        break_glass: break_glass?,
    })
}

const DEFAULT_GRANT: GrantLimits = GrantLimits { minutes_max: GRANT_MINUTES, uses_max: 1 };

fn one_from_each(value: Reader<'_>) -> Option<Vec<super::Subject>> {
    let entries = value.list(1, subject)?;
    if entries.len() > ONE_FROM_EACH_MAX {
        return value.problem(format!("more than {ONE_FROM_EACH_MAX} entries"), "");
    }
    Some(entries)
}

fn ticket(value: Reader<'_>) -> Option<String> {
    let pattern = value.text()?;
    match ticket_pattern(pattern) {
        Ok(_) => Some(pattern.to_owned()),
        Err(reason) => {
            value.problem(reason, "such as \"OPS-[0-9]{1,6}\"; it matches a whole ticket")
        }
    }
}

fn grant(value: Reader<'_>) -> Option<GrantLimits> {
    let fields = value.mapping(&GRANT_KEYS)?;
    let GrantLimits { minutes_max, uses_max } = DEFAULT_GRANT;
    let minutes_max =
        fields.or("minutes_max", minutes_max, |value| value.integer(1..=GRANT_MINUTES_MAX));
    let uses_max = fields.or("uses_max", uses_max, |value| value.integer(1..=USES_MAX));
    Some(GrantLimits { minutes_max: minutes_max?, uses_max: uses_max? })
}

fn show(value: Reader<'_>) -> Option<Vec<String>> {
    let paths = value.list(1, shown_path)?;
    if paths.len() > SHOWN_MAX {
        return value.problem(format!("more than {SHOWN_MAX} paths"), "");
    }
    Some(paths)
}

/// A path that leads to no prompt: what people ask is not shown before it can be masked.
fn shown_path(value: Reader<'_>) -> Option<String> {
    let path = value.text()?;
    if path.split('.').any(str::is_empty) {
        return value.problem("not a path", "names of members with dots between: `adapter.path`");
    }
    let carries = |member: &&str| PROMPTS.contains(&member.to_ascii_lowercase().as_str());
    if let Some(member) = path.split('.').find(carries) {
        return value.problem(
            format!("{} carries prompts, and reviewers never see one", quoted(member)),
            "show what names an adapter, a file or a setting: `lora_name`, `path`",
        );
    }
    Some(path.to_owned())
}

fn auto_approve(value: Reader<'_>) -> Option<AutoApprove> {
    let fields = value.mapping(&AUTO_APPROVE_KEYS)?;
    if fields.is_empty() {
        return value.problem(
            "an empty entry would approve everything",
            "name `subjects`, hours in `when`, or both",
        );
    }
    let subjects = fields.or("subjects", Vec::new(), subjects);
    let when = fields.or("when", Vec::new(), when);
    Some(AutoApprove { subjects: subjects?, when: when? })
}

fn break_glass(value: Reader<'_>) -> Option<BreakGlass> {
    let fields = value.mapping(&BREAK_GLASS_KEYS)?;
    let subjects = fields.required("subjects", subjects);
    let minutes_max =
        fields.or("minutes_max", BREAK_GLASS_MINUTES, |value| value.integer(1..=GRANT_MINUTES_MAX));
    let justify_ms_max =
        fields.or("justify_ms_max", JUSTIFY_MS, |value| value.integer(1..=JUSTIFY_MS_MAX));
    Some(BreakGlass {
        subjects: subjects?,
        minutes_max: minutes_max?,
        justify_ms_max: justify_ms_max?,
    })
}

/// `when`: hours, of which any holds.
pub(in crate::documents) fn when(value: Reader<'_>) -> Option<Vec<Hours>> {
    value.list(1, hours)
}

fn hours(value: Reader<'_>) -> Option<Hours> {
    let fields = value.mapping(&HOURS_KEYS)?;
    let days = fields.or("days", Vec::new(), days);
    let from = fields.required("from", |value| clock(value, DAY_MINUTES - 1));
    let to = fields.required("to", |value| clock(value, DAY_MINUTES));
    let zone = fields.or("zone", "UTC".to_owned(), zone);
    Some(Hours { days: days?, from: from?, to: to?, zone: zone? })
}

fn days(value: Reader<'_>) -> Option<Vec<Day>> {
    let days = value.list(1, |item| item.choice(DAYS, &[]))?;
    let twice =
        days.iter().enumerate().any(|(index, day)| days.iter().take(index).any(|d| d == day));
    if twice {
        return value.problem("a day stands twice", "remove one");
    }
    Some(days)
}

fn clock(value: Reader<'_>, latest: u16) -> Option<u16> {
    match parse_clock(value.text()?).filter(|minutes| *minutes <= latest) {
        Some(minutes) => Some(minutes),
        None => value.problem("not a time of a day", "as \"08:00\", with two digits each"),
    }
}

fn zone(value: Reader<'_>) -> Option<String> {
    let name = value.text()?;
    if is_zone(name) {
        return Some(name.to_owned());
    }
    let zones = zones();
    let hint = match hint_among(name, "zones", zones.iter().map(String::as_str)) {
        near if near.starts_with("did you mean") => near,
        _ => "a name of the IANA time zone database, such as Europe/Berlin".to_owned(),
    };
    value.problem(format!("unknown time zone {}", quoted(name)), &hint)
}
