//! Types that only settings have: addresses to listen on, paths, the one document of a file.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::diagnostics::{Diagnostic, Position, Problems};
use crate::documents::Source;
use crate::reader::{Fields, Reader};
use crate::yaml;

/// A day, in milliseconds.
pub(super) const DAY_MS: u64 = 86_400_000;

/// Reads the one document of a settings file.
pub(super) fn parse<T>(
    source: &Source,
    read: impl FnOnce(Reader<'_>) -> Option<T>,
) -> Result<T, Vec<Diagnostic>> {
    let problems = Problems::of(&source.name);
    let settings = read_one(&yaml::parse(&source.text, &problems), &problems, read);
    let problems = problems.into_sorted();
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        Some(_) | None => Err(problems),
    }
}

fn read_one<'a, T>(
    documents: &'a [yaml::Node],
    problems: &'a Problems<'a>,
    read: impl FnOnce(Reader<'a>) -> Option<T>,
) -> Option<T> {
    if let Some(second) = documents.get(1) {
        let hint = Some("settings are one document".to_owned());
        return problems.add(second.position, "a second document", hint);
    }
    match documents.first() {
        Some(node) => read(Reader::of(node, problems)),
        None if problems.is_empty() => problems.add(Position::START, "no settings", None),
        None => None,
    }
}

/// `address:port`; port 0 lets the system choose.
pub(super) fn listen(value: Reader<'_>) -> Option<SocketAddr> {
    match value.text()?.parse() {
        Ok(address) => Some(address),
        Err(_) => value
            .problem("not an address to listen on", "such as `127.0.0.1:8080` or \"[::1]:8080\""),
    }
}

/// A path, kept as it is written.
pub(super) fn path(value: Reader<'_>) -> Option<PathBuf> {
    let text = value.text()?;
    if text.contains('\0') {
        return value.problem("a path with a NUL character", "remove it");
    }
    Some(PathBuf::from(text))
}

/// Two listeners cannot share one address; port 0 never clashes.
pub(super) fn check_apart(
    fields: Fields<'_>,
    first: (&str, Option<SocketAddr>),
    second: (&str, Option<SocketAddr>),
) {
    if let (Some(one), Some(other)) = (first.1, second.1)
        && one == other
        && one.port() != 0
    {
        let hint = format!("`{}` needs a port of its own", second.0);
        fields.problem::<()>(second.0, format!("the same address as `{}`", first.0), &hint);
    }
}
