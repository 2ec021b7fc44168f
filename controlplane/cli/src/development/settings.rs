//! Settings files of the two daemons, and the documents that are in force from the first run.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::access::DEV_ADMINISTRATOR;
use crate::development::addresses::Addresses;
use crate::duration::DURATION_MS_MAX;
use crate::failure::Failure;
use crate::private_files;
use crate::state::State;
use crate::yaml;

/// Name of the issuer document.
const ISSUER_NAME: &str = "dev";

/// Where the settings of the daemons were written.
pub(crate) struct SettingsFiles {
    /// For `penstock-controlplane --config`.
    pub(crate) controlplane: PathBuf,
    /// For `penstock-dataplane --config`.
    pub(crate) dataplane: PathBuf,
}

/// Writes settings and first-run documents into the state.
pub(crate) fn write(
    state: &State,
    addresses: &Addresses,
    issuer: &str,
) -> Result<SettingsFiles, Failure> {
    let first_run = state.folder().join("first-run.yaml");
    private_files::write(&first_run, first_run_documents(issuer).as_bytes())?;
    let controlplane = json!({
        "listen": addresses.api.to_string(),
        "nodes_listen": addresses.nodes.to_string(),
        "state_dir": text(&state.controlplane())?,
        "first_run_file": text(&first_run)?,
    });
    let dataplane = json!({
        "listen": addresses.gateway.to_string(),
        "operations_listen": addresses.operations.to_string(),
        "state_dir": text(&state.dataplane())?,
        "join_file": text(&state.join_file())?,
        "access_log": text(&state.access_log())?,
    });
    let files = SettingsFiles {
        controlplane: state.folder().join("controlplane.yaml"),
        dataplane: state.folder().join("dataplane.yaml"),
    };
    private_files::write(&files.controlplane, yaml::emit(&controlplane).as_bytes())?;
    private_files::write(&files.dataplane, yaml::emit(&dataplane).as_bytes())?;
    Ok(files)
}

/// The development issuer and its administrator.
fn first_run_documents(issuer: &str) -> String {
    let issuer = json!({
        "kind": "issuer",
        "name": ISSUER_NAME,
        "issuer": issuer,
        "audiences": ["penstock"],
        "groups_claim": "groups",
        "leeway_ms": 0,
        "lifetime_ms_max": DURATION_MS_MAX,
    });
    let role = json!({
        "kind": "role",
        "name": DEV_ADMINISTRATOR,
        "role": "admin",
        "subjects": [{"issuer": ISSUER_NAME, "users": [DEV_ADMINISTRATOR]}],
    });
    format!("{}---\n{}", yaml::emit(&issuer), yaml::emit(&role))
}

fn text(path: &Path) -> Result<Value, Failure> {
    match path.to_str() {
        Some(text) => Ok(text.into()),
        None => Err(Failure::machine(format!("{} is not UTF-8", path.display()))
            .hint("use another --state")),
    }
}

#[cfg(test)]
mod tests {
    use penstock_config::documents::{self, Document, Source};
    use penstock_config::settings::{ControlplaneSettings, DataplaneSettings};

    use super::*;
    use crate::state::Record;

    fn source(path: &Path) -> Source {
        let text = std::fs::read_to_string(path).unwrap();
        Source { name: path.display().to_string(), text }
    }

    #[test]
    fn the_daemons_understand_what_is_written_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::locate(Some(folder.path())).unwrap();
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let addresses = Addresses::choose(listen, &Record::default()).unwrap();
        let files = write(&state, &addresses, "http://127.0.0.1:1").unwrap();
        let controlplane = ControlplaneSettings::parse(&source(&files.controlplane)).unwrap();
        assert_eq!(controlplane.nodes_listen, addresses.nodes);
        assert_eq!(controlplane.state_dir, state.controlplane());
        let dataplane = DataplaneSettings::parse(&source(&files.dataplane)).unwrap();
        assert_eq!(dataplane.listen, addresses.gateway);
        assert_eq!(dataplane.access_log, state.access_log());
    }

    #[test]
    fn the_first_documents_are_an_issuer_without_leeway_and_its_administrator() {
        let text = first_run_documents("http://127.0.0.1:1");
        let sources = [Source { name: "first-run.yaml".to_owned(), text }];
        let placed = documents::parse(&sources).unwrap();
        let set: Vec<Document> = placed.iter().map(|p| p.document.clone()).collect();
        documents::check_references(&set, &sources, &placed).unwrap();
        match set.as_slice() {
            [Document::Issuer(issuer), Document::Role(role)] => {
                assert_eq!(issuer.issuer, "http://127.0.0.1:1");
                assert_eq!((issuer.leeway_ms, issuer.lifetime_ms_max), (0, DURATION_MS_MAX));
                assert_eq!(role.subjects.len(), 1);
            }
            other => panic!("{other:?}"),
        }
    }
}
