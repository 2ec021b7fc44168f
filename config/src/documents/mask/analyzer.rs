//! `analyzer` of `kind: mask`: where names of persons, places and organisations are looked for.

use serde::{Deserialize, Serialize};

use super::read::{ENTRIES_MAX, own_name};
use crate::address::Address;
use crate::documents::Endpoint;
use crate::documents::connection::{is_link_local, is_odd_number};
use crate::reader::{Keys, Reader};

const KEYS: Keys =
    Keys::known(&["url", "language", "entities", "score_min", "timeout_ms", "unavailable"]);

const UNAVAILABLE: &[(&str, Unavailable)] = &[
    ("refuse", Unavailable::Refuse),
    ("redact", Unavailable::Redact),
    ("pass", Unavailable::Pass),
];

/// What is asked for where nothing else is said.
const ENTITIES: &[&str] = &["PERSON", "LOCATION", "ORGANIZATION"];
const LANGUAGE: &str = "en";
const LANGUAGE_BYTES_MAX: usize = 16;
const SCORE: f64 = 0.5;
const TIMEOUT_MS: u64 = 500;
const TIMEOUT_MS_MIN: u64 = 10;
const TIMEOUT_MS_MAX: u64 = 10_000;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// A server with the HTTP interface of Presidio's analyser, which is asked about texts sentence by
/// sentence.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskAnalyzer {
    /// Where it is: `/analyze` is asked below it. `https://`, or `http://` on this machine.
    pub url: String,
    /// The language that it is told; `en` by default.
    pub language: String,
    /// What it is asked for, and what stands in tags; `PERSON`, `LOCATION` and `ORGANIZATION` by
    /// default. What it finds beside these counts for nothing.
    pub entities: Vec<String>,
    /// The least score that counts, from 0 to 1; 0.5 by default.
    pub score_min: f64,
    /// How long it may take for one event, or for one whole answer, in milliseconds; 500 by
    /// default.
    pub timeout_ms: u64,
    /// What is done with text that it could not be asked about.
    pub unavailable: Unavailable,
}

/// What is done with text that an analyser could not be asked about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unavailable {
    /// The answer ends: 502 `unmaskable`, or an error event.
    Refuse,
    /// The sentence becomes `***`.
    Redact,
    /// It goes on without; the mask's own rules hold.
    Pass,
}

impl MaskAnalyzer {
    /// Whether it is reached over TLS, and where it is; none where the address is none, which
    /// reading a document refuses.
    pub fn endpoint(&self) -> Option<(bool, Endpoint)> {
        let address = Address::parse(&self.url).ok()?;
        let default = if address.secure { HTTPS_PORT } else { HTTP_PORT };
        let endpoint = Endpoint {
            host: address.host.to_owned(),
            port: address.port.unwrap_or(default),
            base_path: address.path.trim_end_matches('/').to_owned(),
        };
        Some((address.secure, endpoint))
    }
}

pub(super) fn read(value: Reader<'_>) -> Option<MaskAnalyzer> {
    let fields = value.mapping(&KEYS)?;
    let url = fields.required("url", url);
    let language = fields.or("language", LANGUAGE.to_owned(), language);
    let usual = || ENTITIES.iter().map(|name| (*name).to_owned()).collect();
    let entities = fields.or("entities", usual(), entities);
    let score_min = fields.or("score_min", SCORE, Reader::share);
    let timeout_ms =
        fields.or("timeout_ms", TIMEOUT_MS, |value| value.integer(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX));
    let refuse = Unavailable::Refuse;
    let unavailable = fields.or("unavailable", refuse, |value| value.choice(UNAVAILABLE, &[]));
    Some(MaskAnalyzer {
        url: url?,
        language: language?,
        entities: entities?,
        score_min: score_min?,
        timeout_ms: timeout_ms?,
        unavailable: unavailable?,
    })
}

/// Texts of answers go there: over TLS, or within this machine.
fn url(value: Reader<'_>) -> Option<String> {
    match Address::parse(value.text()?) {
        Ok(address) if address.query.is_some() => {
            value.problem("an analyser with a query", "remove `?` and what follows")
        }
        Ok(address) if is_odd_number(address.host) => {
            value.problem("not a host", "write an IPv4 address as four numbers")
        }
        Ok(address) if is_link_local(address.host) => value.problem(
            "a link-local address, where clouds keep credentials of machines",
            "name an address of an analyser",
        ),
        Ok(address) if address.secure || address.is_loopback() => value.string(),
        Ok(_) => value.problem(
            "`http://` beyond this machine",
            "write `https://`; `http://` only for 127.0.0.1, [::1] and localhost",
        ),
        Err(reason) => value.problem("not an address", reason),
    }
}

fn language(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    let fits = |byte: u8| byte.is_ascii_alphabetic() || b"-_".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && text.len() <= LANGUAGE_BYTES_MAX && text.bytes().all(fits) {
        return Some(text.to_owned());
    }
    value.problem("not a language", "a code as the analyser has it: `en`, `de`")
}

fn entities(value: Reader<'_>) -> Option<Vec<String>> {
    let list = value.list(1, |item| Some((item, own_name(item, "not a name of an entity")?)))?;
    if list.len() > ENTRIES_MAX {
        return value.problem(format!("more than {ENTRIES_MAX} entries"), "");
    }
    let mut names: Vec<String> = Vec::new();
    for (item, name) in list {
        if names.contains(&name) {
            return item.problem("an entity stands twice", "remove one");
        }
        names.push(name);
    }
    Some(names)
}
