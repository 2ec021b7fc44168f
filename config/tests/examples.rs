//! Every file of `examples/` is read, and says what its comments promise.

use penstock_config::documents::{Document, Placed, Source, check_references, parse, to_yaml};
use penstock_config::settings::{ControlplaneSettings, DataplaneLimits, DataplaneSettings};

fn source(name: &str) -> Source {
    let path = format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the example is there");
    Source { name: name.to_owned(), text }
}

fn documents(name: &str) -> Vec<Document> {
    let sources = [source(name)];
    let placed: Vec<Placed> =
        parse(&sources).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
    let set: Vec<Document> = placed.iter().map(|one| one.document.clone()).collect();
    let warnings = check_references(&set, &sources, &placed);
    assert_eq!(warnings, Ok(Vec::new()), "{name}");
    set
}

fn kinds(set: &[Document]) -> Vec<(&str, &str)> {
    set.iter().map(|document| (document.kind(), document.name())).collect()
}

#[test]
fn the_quickstart_is_a_whole_policy() {
    let set = documents("quickstart.yaml");
    let expected = [
        ("connection", "llama"),
        ("rule", "engineers-infer"),
        ("rule", "ci-lists"),
        ("rule", "nobody-reads-predictions"),
        ("role", "platform"),
    ];
    assert_eq!(kinds(&set), expected);
}

#[test]
fn the_quickstart_goes_with_whatever_single_issuer_is_there() {
    assert!(documents("quickstart.yaml").iter().all(|document| document.kind() != "issuer"));
}

#[test]
fn the_first_run_names_an_issuer_and_an_administrator() {
    let set = documents("first-run.yaml");
    assert_eq!(kinds(&set), [("issuer", "company"), ("role", "administrators")]);
}

#[test]
fn the_team_on_vllm_has_two_issuers() {
    let set = documents("vllm-team.yaml");
    assert_eq!(set.iter().filter(|document| document.kind() == "issuer").count(), 2);
}

#[test]
fn the_generic_table_has_three_rows() {
    let set = documents("generic-table.yaml");
    let rows: usize = set
        .iter()
        .map(|document| match document {
            Document::Connection(connection) => connection.table.len(),
            Document::Issuer(_) | Document::Rule(_) | Document::Role(_) => 0,
        })
        .sum();
    assert_eq!(rows, 3);
}

#[test]
fn the_data_planes_example_shows_the_defaults() {
    let shown = DataplaneSettings::parse(&source("dataplane.yaml")).expect("settings");
    assert_eq!(shown.limits, DataplaneLimits::default());
    let short = "listen: 127.0.0.1:8443\nstate_dir: /var/lib/penstock/node\n\
                 join_file: /etc/penstock/join.json\n";
    let short = Source { name: "-".into(), text: short.into() };
    assert_eq!(DataplaneSettings::parse(&short), Ok(shown));
}

#[test]
fn the_control_planes_example_is_read() {
    let shown = ControlplaneSettings::parse(&source("controlplane.yaml")).expect("settings");
    assert!(shown.tls.is_some());
    assert_eq!(shown.snapshot_lifetime_ms, 604_800_000);
    assert_eq!(shown.jwks_refresh_ms, 300_000);
}

#[test]
fn every_example_document_is_written_back_to_an_equal_one() {
    for name in ["quickstart.yaml", "first-run.yaml", "vllm-team.yaml", "generic-table.yaml"] {
        let set = documents(name);
        let text: Vec<String> = set.iter().map(to_yaml).collect();
        let again = parse(&[Source { name: "-".into(), text: text.join("---\n") }]);
        let again = again.map(|placed| placed.into_iter().map(|one| one.document).collect());
        assert_eq!(again, Ok(set), "{name}");
    }
}

#[test]
fn no_example_is_left_out_of_these_tests() {
    let folder = format!("{}/examples", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let expected = [
        "controlplane.yaml",
        "dataplane.yaml",
        "first-run.yaml",
        "generic-table.yaml",
        "quickstart.yaml",
        "vllm-team.yaml",
    ];
    assert_eq!(names, expected);
}
