//! `kind: connection`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Connection, ConnectionLimits, Credential, CredentialScheme, Endpoint, OperatorRow, Protocol,
    upstream_tls,
};
use crate::address::Address;
use crate::catalogue::Risk;
use crate::reader::{Fields, Keys, Reader};

pub(super) const KEYS: Keys = Keys {
    later: &["recording"],
    ..Keys::known(&[
        "kind",
        "name",
        "protocol",
        "version",
        "endpoints",
        "tls",
        "credential",
        "mask",
        "limits",
        "table",
    ])
};

const CREDENTIAL_KEYS: Keys = Keys::known(&["secret", "scheme", "header"]);
const LIMIT_KEYS: Keys = Keys::known(&["decision_bytes_max", "body_bytes_max", "stream_ms_max"]);
const ROW_KEYS: Keys = Keys::known(&["methods", "path", "operations", "risk", "model"]);

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("openai", Protocol::Openai),
    ("vllm", Protocol::Vllm),
    ("ollama", Protocol::Ollama),
    ("llamacpp", Protocol::Llamacpp),
    ("generic", Protocol::Generic),
];

const PROTOCOLS_LATER: &[&str] = &[
    "sglang",
    "anthropic",
    "tgi",
    "triton",
    "kserve",
    "torchserve",
    "localai",
    "lmdeploy",
    "mlflow",
    "nim",
    "router",
];

const SCHEMES: &[(&str, CredentialScheme)] = &[
    ("bearer", CredentialScheme::Bearer),
    ("basic", CredentialScheme::Basic),
    ("raw", CredentialScheme::Raw),
];

const RISKS: &[(&str, Risk)] = &[
    ("low", Risk::Low),
    ("medium", Risk::Medium),
    ("high", Risk::High),
    ("critical", Risk::Critical),
];

const METHODS: &[(&str, &str)] = &[
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
    ("OPTIONS", "OPTIONS"),
];

/// Header fields that carry a message's framing, its content's reading, or one hop's business: a
/// secret there would change how the upstream reads the request.
const RESERVED_HEADERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

const ENDPOINTS_MAX: usize = 64;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
const DECISION_BYTES_MAX: u64 = 8 << 20;
const BODY_BYTES_MAX: u64 = 1 << 30;
const STREAM_MS_MAX: u64 = 3_600_000;

pub(super) fn read(name: Option<String>, fields: Fields<'_>) -> Option<Connection> {
    let protocol = fields.required("protocol", |value| value.choice(PROTOCOLS, PROTOCOLS_LATER));
    let version = fields.optional("version", Reader::string);
    let endpoints = fields.required("endpoints", endpoints);
    let tls = match &endpoints {
        Some((secure, endpoints)) => upstream_tls::read(fields, *secure, endpoints),
        // What is wrong with `tls` alone is said all the same.
        None => upstream_tls::read(fields, true, &[]),
    };
    let credential = fields.optional("credential", credential);
    let mask = fields.optional("mask", Reader::name);
    let limits = fields.or("limits", default_limits(), limits);
    let table = if protocol == Some(Protocol::Generic) {
        fields.required("table", |value| value.list(1, row))
    } else {
        fields.or("table", Vec::new(), |value| value.list(1, row))
    };
    Some(Connection {
        name: name?,
        protocol: protocol?,
        version: version?,
        endpoints: endpoints?.1,
        tls: tls?,
        credential: credential?,
        mask: mask?,
        limits: limits?,
        table: table?,
    })
}

/// The endpoints, and whether they are `https://` ones: all of them or none.
fn endpoints(value: Reader<'_>) -> Option<(bool, Vec<Endpoint>)> {
    let read = value.list(1, |item| Some((item, endpoint(item)?)))?;
    let secure = read.first().is_some_and(|(_, (secure, _))| *secure);
    if let Some((other, _)) = read.iter().find(|(_, (other, _))| *other != secure) {
        return other.problem(
            "`http://` and `https://` endpoints in one connection",
            "a request is sent to either, and must not be in clear text by chance: make two \
             connections",
        );
    }
    let list: Vec<Endpoint> = read.into_iter().map(|(_, (_, endpoint))| endpoint).collect();
    if list.len() > ENDPOINTS_MAX {
        return value.problem(format!("more than {ENDPOINTS_MAX} endpoints"), "");
    }
    let twice =
        list.iter().enumerate().any(|(index, item)| list.iter().take(index).any(|i| i == item));
    if twice {
        return value.problem("an endpoint stands twice", "remove one");
    }
    Some((secure, list))
}

fn endpoint(value: Reader<'_>) -> Option<(bool, Endpoint)> {
    let address = match Address::parse(value.text()?) {
        Ok(address) => address,
        Err(reason) => return value.problem("not an address", reason),
    };
    if address.query.is_some() {
        return value.problem("an endpoint with a query", "remove `?` and what follows");
    }
    if is_odd_number(address.host) {
        return value.problem("not a host", "write an IPv4 address as four numbers");
    }
    if is_link_local(address.host) {
        return value.problem(
            "a link-local address, where clouds keep credentials of machines",
            "name an address of a model server",
        );
    }
    let default = if address.secure { HTTPS_PORT } else { HTTP_PORT };
    let endpoint = Endpoint {
        host: address.host.to_owned(),
        port: address.port.unwrap_or(default),
        base_path: address.path.trim_end_matches('/').to_owned(),
    };
    Some((address.secure, endpoint))
}

/// Addresses of 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291 section 2.5.6), however they are
/// written. A name that resolves to one is not seen here.
pub(super) fn is_link_local(host: &str) -> bool {
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        let mapped = address.to_ipv4_mapped().is_some_and(|address| address.is_link_local());
        return mapped || address.is_unicast_link_local();
    }
    host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_link_local())
}

/// Resolvers read `2852039166` and `0xa9fea9fe` as IPv4 addresses too.
pub(super) fn is_odd_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")).is_some();
    numeric && host.parse::<Ipv4Addr>().is_err() && !host.contains(':')
}

fn credential(value: Reader<'_>) -> Option<Credential> {
    let fields = value.mapping(&CREDENTIAL_KEYS)?;
    let secret = fields.required("secret", Reader::name);
    let scheme = fields.required("scheme", |value| value.choice(SCHEMES, &[]));
    let header = fields.or("header", "authorization".to_owned(), header);
    Some(Credential { secret: secret?, scheme: scheme?, header: header? })
}

/// A field name (RFC 9110 section 5.1) in lower case.
fn header(value: Reader<'_>) -> Option<String> {
    let header = value.text()?.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !header.bytes().all(token) {
        return value.problem("not a header's name", "letters, digits and hyphens");
    }
    if RESERVED_HEADERS.contains(&header.as_str()) || header.starts_with("penstock-") {
        return value.problem(
            format!("`{header}` cannot carry a credential"),
            "such as `authorization` or `x-api-key`",
        );
    }
    Some(header)
}

fn default_limits() -> ConnectionLimits {
    ConnectionLimits {
        decision_bytes_max: DECISION_BYTES_MAX,
        body_bytes_max: BODY_BYTES_MAX,
        stream_ms_max: STREAM_MS_MAX,
    }
}

fn limits(value: Reader<'_>) -> Option<ConnectionLimits> {
    let fields = value.mapping(&LIMIT_KEYS)?;
    let within =
        |key, default, maximum| fields.or(key, default, |value| value.integer(1..=maximum));
    let decision_bytes_max = within("decision_bytes_max", DECISION_BYTES_MAX, 1 << 28);
    let body_bytes_max = within("body_bytes_max", BODY_BYTES_MAX, 1 << 40);
    let stream_ms_max = within("stream_ms_max", STREAM_MS_MAX, 604_800_000);
    Some(ConnectionLimits {
        decision_bytes_max: decision_bytes_max?,
        body_bytes_max: body_bytes_max?,
        stream_ms_max: stream_ms_max?,
    })
}

/// The form of a row; what it means is checked where the table is built.
fn row(value: Reader<'_>) -> Option<OperatorRow> {
    let fields = value.mapping(&ROW_KEYS)?;
    let methods = fields.required("methods", |value| {
        value.list(1, |item| item.choice(METHODS, &[]).map(str::to_owned))
    });
    let path = fields.required("path", path);
    let operations = fields.required("operations", |value| value.list(1, Reader::string));
    let risk = fields.required("risk", |value| value.choice(RISKS, &[]));
    let model = fields.optional("model", model);
    Some(OperatorRow {
        methods: methods?,
        path: path?,
        operations: operations?,
        risk: risk?,
        model: model?,
    })
}

fn path(value: Reader<'_>) -> Option<String> {
    let path = value.text()?;
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    value.problem("a path begins with `/`", "such as `/v1/items/{id}`")
}

fn model(value: Reader<'_>) -> Option<String> {
    let text = value.text()?;
    match text.split_once(':') {
        Some(("body" | "query" | "path", name)) if !name.is_empty() => Some(text.to_owned()),
        Some(_) | None => value.problem(
            "not a place of a model's name",
            "`body:KEY`, `query:PARAMETER` or `path:SEGMENT`",
        ),
    }
}
