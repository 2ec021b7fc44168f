//! `kind: person`, `webhook`, `mail` and `workload`.

use super::{
    ExactIdentity, Mail, NotificationEvent, Person, ServiceIdentity, Subject, Webhook, Workload,
};
use crate::address::Address;
use crate::documents::connection::is_link_local;
use crate::documents::issuer::{API_AUDIENCE, EXCHANGED_AUDIENCE};
use crate::documents::rule::{connection, operation, subject};
use crate::reader::{Fields, Keys, Reader};

pub(in crate::documents) const PERSON_KEYS: Keys = Keys::known(&["kind", "name", "identities"]);

pub(in crate::documents) const WEBHOOK_KEYS: Keys =
    Keys::known(&["kind", "name", "url", "secret", "events", "answers_as"]);

pub(in crate::documents) const MAIL_KEYS: Keys = Keys::known(&["kind", "name", "to", "events"]);

pub(in crate::documents) const WORKLOAD_KEYS: Keys = Keys::known(&[
    "kind",
    "name",
    "subjects",
    "audience",
    "groups",
    "connections",
    "operations",
    "models",
    "minutes_max",
]);

const IDENTITY_KEYS: Keys = Keys::known(&["issuer", "subject"]);
const SERVICE_KEYS: Keys = Keys::known(&["issuer", "subject", "groups"]);

const EVENTS: &[(&str, NotificationEvent)] = &[
    ("approval.requested", NotificationEvent::ApprovalRequested),
    ("approval.ended", NotificationEvent::ApprovalEnded),
    ("break_glass.used", NotificationEvent::BreakGlassUsed),
    ("break_glass.unjustified", NotificationEvent::BreakGlassUnjustified),
    ("grant.ended", NotificationEvent::GrantEnded),
];

const IDENTITIES_MAX: usize = 64;
const ADDRESSES_MAX: usize = 64;

/// Longest address of mail, in bytes (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const ADDRESS_BYTES_MAX: usize = 254;

const EXCHANGE_AUDIENCE: &str = "penstock-exchange";
const WORKLOAD_MINUTES: u64 = 15;
const WORKLOAD_MINUTES_MAX: u64 = 60;

pub(in crate::documents) fn read_person(
    name: Option<String>,
    fields: Fields<'_>,
) -> Option<Person> {
    let identities = fields.required("identities", identities);
    Some(Person { name: name?, identities: identities? })
}

fn identities(value: Reader<'_>) -> Option<Vec<ExactIdentity>> {
    let read = value.list(1, |item| Some((item, exact_identity(item)?)))?;
    let twice = read.iter().enumerate().find(|(index, (_, identity))| {
        read.iter().take(*index).any(|(_, other)| other == identity)
    });
    if let Some((_, (item, _))) = twice {
        return item.problem("an identity stands twice", "remove one");
    }
    if read.len() < 2 {
        return value.problem(
            "one identity alone is a person already",
            "name the other identities too, or remove the document",
        );
    }
    if read.len() > IDENTITIES_MAX {
        return value.problem(format!("more than {IDENTITIES_MAX} identities"), "");
    }
    Some(read.into_iter().map(|(_, identity)| identity).collect())
}

fn exact_identity(value: Reader<'_>) -> Option<ExactIdentity> {
    let fields = value.mapping(&IDENTITY_KEYS)?;
    let issuer = fields.required("issuer", Reader::name);
    let subject = fields.required("subject", Reader::string);
    Some(ExactIdentity { issuer: issuer?, subject: subject? })
}

pub(in crate::documents) fn read_webhook(
    name: Option<String>,
    fields: Fields<'_>,
) -> Option<Webhook> {
    let url = fields.required("url", url);
    let secret = fields.required("secret", Reader::name);
    let events = fields.or("events", Vec::new(), events);
    let answers_as = fields.optional("answers_as", service_identity);
    Some(Webhook {
        name: name?,
        url: url?,
        secret: secret?,
        events: events?,
        answers_as: answers_as?,
    })
}

/// Where events are posted to: over TLS, or to this machine. A name that resolves to a forbidden
/// address is found when it is delivered.
fn url(value: Reader<'_>) -> Option<String> {
    match Address::parse(value.text()?) {
        Ok(address) if is_link_local(address.host) => value.problem(
            "a link-local address, where clouds keep credentials of machines",
            "name an address of the system that is told",
        ),
        Ok(address) if address.secure || address.is_loopback() => value.string(),
        Ok(_) => value.problem(
            "`http://` beyond this machine",
            "write `https://`; `http://` only for 127.0.0.1, [::1] and localhost",
        ),
        Err(reason) => value.problem("not an address", reason),
    }
}

fn events(value: Reader<'_>) -> Option<Vec<NotificationEvent>> {
    value.list(1, |item| item.choice(EVENTS, &[]))
}

fn service_identity(value: Reader<'_>) -> Option<ServiceIdentity> {
    let fields = value.mapping(&SERVICE_KEYS)?;
    let issuer = fields.required("issuer", Reader::name);
    let subject = fields.required("subject", Reader::string);
    let groups = fields.or("groups", Vec::new(), texts);
    Some(ServiceIdentity { issuer: issuer?, subject: subject?, groups: groups? })
}

pub(in crate::documents) fn read_mail(name: Option<String>, fields: Fields<'_>) -> Option<Mail> {
    let to = fields.required("to", addresses);
    let events = fields.or("events", Vec::new(), events);
    Some(Mail { name: name?, to: to?, events: events? })
}

fn addresses(value: Reader<'_>) -> Option<Vec<String>> {
    let addresses = value.list(1, mail_address)?;
    if addresses.len() > ADDRESSES_MAX {
        return value.problem(format!("more than {ADDRESSES_MAX} addresses"), "");
    }
    Some(addresses)
}

/// An address alone, without a name beside it: what stands here goes into a header and an envelope.
fn mail_address(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    let fits = |character: char| {
        !character.is_whitespace()
            && !character.is_control()
            && !"<>(),;:\\\"[]".contains(character)
    };
    let is_address = text.len() <= ADDRESS_BYTES_MAX
        && text.chars().all(fits)
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.contains('@')
                && !domain.is_empty()
                && !domain.starts_with(['.', '-'])
                && !domain.ends_with(['.', '-'])
        });
    if is_address {
        return Some(text.to_owned());
    }
    value.problem("not an address of e-mail", "such as ml-leads@example.com, without a name")
}

pub(in crate::documents) fn read_workload(
    name: Option<String>,
    fields: Fields<'_>,
) -> Option<Workload> {
    let subjects = fields.required("subjects", |value| value.list(1, workload_subject));
    let audience = fields.or("audience", EXCHANGE_AUDIENCE.to_owned(), audience);
    let groups = fields.or("groups", Vec::new(), texts);
    let connections = fields.required("connections", |value| value.list(1, connection));
    let operations = fields.required("operations", |value| value.list(1, operation));
    let models = fields.or("models", vec!["*".to_owned()], texts);
    let minutes_max =
        fields.or("minutes_max", WORKLOAD_MINUTES, |value| value.integer(1..=WORKLOAD_MINUTES_MAX));
    Some(Workload {
        name: name?,
        subjects: subjects?,
        audience: audience?,
        groups: groups?,
        connections: connections?,
        operations: operations?,
        models: models?,
        minutes_max: minutes_max?,
    })
}

/// Names can be registered again, and a provider vouches for every project that there is: an issuer
/// alone, or a user alone, would let in strangers.
fn workload_subject(value: Reader<'_>) -> Option<Subject> {
    let subject = subject(value)?;
    if subject.issuer.is_none() {
        return value.problem("a workload without `issuer`", "name the issuer of its tokens");
    }
    if subject.claims.is_none() {
        return value.problem(
            "a workload without `claims`",
            "name what nobody else is ever given, such as `claims: {repository_id: \"4711\"}`",
        );
    }
    Some(subject)
}

/// A token that governs, or that opens the gateway itself, would be more than its job was given.
fn audience(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    if text == API_AUDIENCE || text == EXCHANGED_AUDIENCE {
        return value.problem(
            format!("`{text}` is an audience of Penstock's own, whose tokens open something"),
            "ask the provider for another one, such as `penstock-exchange`",
        );
    }
    value.string()
}

fn texts(value: Reader<'_>) -> Option<Vec<String>> {
    value.list(1, Reader::string)
}
