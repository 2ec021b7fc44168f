//! What `penstock dev` says when all is ready.

use serde_json::json;

use crate::state::{Record, State};

/// The one line of `--json`.
pub(crate) fn ready_line(state: &State, record: &Record) -> String {
    let line = json!({
        "gateway": record.gateway,
        "operations": record.operations,
        "api": record.api,
        "issuer": record.issuer,
        "state": state.folder(),
        "pids": record.pids,
    });
    format!("{line}\n")
}

/// The screen for people.
pub(crate) fn screen(state: &State, record: &Record) -> String {
    let option = if state.is_default() {
        String::new()
    } else {
        format!(" --state {}", quoted(&state.folder().display().to_string()))
    };
    let gateway = &record.gateway;
    format!(
        "\
Penstock is up, for development.

  gateway       {gateway}/CONNECTION/…
  operations    {operations}  (/healthz /readyz /metrics)
  API           {api}
  issuer        {issuer}
  state         {folder}
  access log    {access_log}

Put documents in force:
  penstock apply{option} -f FILE --wait

Get a caller's token:
  penstock token{option} --user ada --groups engineers

Call a model through the gate:
  printf 'Authorization: Bearer %s' \
    \"$(penstock token{option} --user ada --groups engineers)\" |
    curl -H @- {gateway}/CONNECTION/v1/models

Ctrl-C ends everything.
",
        operations = record.operations,
        api = record.api,
        issuer = record.issuer,
        folder = state.folder().display(),
        access_log = state.access_log().display(),
    )
}

/// For a shell, where that is needed.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_space_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("/a/b-c_1.2"), "/a/b-c_1.2");
        assert_eq!(quoted("/it's here"), r"'/it'\''s here'");
    }
}
