//! Every file of `examples/` is read, and says what its comments promise. The proxies' files are
//! also run, by the journeys.

use penstock_config::certificates::authorities;
use penstock_config::documents::{Document, Placed, Source, check_references, parse, to_yaml};
use penstock_config::settings::{
    ClientCertificates, ControlplaneSettings, DataplaneLimits, DataplaneSettings,
};

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
fn the_connection_with_a_private_authority_pins_one_and_shows_a_certificate() {
    let set = documents("private-authority.yaml");
    let Some(Document::Connection(connection)) = set.first() else { panic!("no connection") };
    let tls = connection.tls.clone().expect("tls");
    assert_eq!(authorities(&tls.ca.expect("an authority")).map(|all| all.len()), Ok(1));
    assert_eq!(tls.server_name.as_deref(), Some("models.example.com"));
    let secrets: Vec<&str> = connection.secrets().collect();
    assert_eq!(secrets, ["vllm-key", "gateway-certificate"]);
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
fn what_the_data_planes_example_says_of_tls_is_read_once_it_is_no_comment() {
    let Source { name, text } = source("dataplane.yaml");
    let is_setting = |line: &str| {
        ["# tls:", "#   ", "# upstream_ca_file:"].iter().any(|start| line.starts_with(start))
    };
    let lines = text.lines().map(|line| if is_setting(line) { &line[2..] } else { line });
    let text = lines.collect::<Vec<_>>().join("\n");
    let shown = DataplaneSettings::parse(&Source { name, text }).expect("settings");
    let ca_file = "/etc/penstock/clients.pem".into();
    let tls = shown.tls.expect("tls");
    assert_eq!(tls.client_certificates, ClientCertificates::Required { ca_file });
    assert_eq!(shown.upstream_ca_file, Some("/etc/penstock/models.pem".into()));
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
    for name in [
        "quickstart.yaml",
        "first-run.yaml",
        "vllm-team.yaml",
        "generic-table.yaml",
        "private-authority.yaml",
    ] {
        let set = documents(name);
        let text: Vec<String> = set.iter().map(to_yaml).collect();
        let again = parse(&[Source { name: "-".into(), text: text.join("---\n") }]);
        let again = again.map(|placed| placed.into_iter().map(|one| one.document).collect());
        assert_eq!(again, Ok(set), "{name}");
    }
}

/// What a proxy's example says behind a word, in milliseconds; each place says the same.
#[track_caller]
fn seconds_as_ms(text: &str, word: &str) -> u64 {
    let said: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix(word)).collect();
    let value = |line: &&str| line.split(['s', ';']).next().unwrap_or("").trim().parse::<u64>();
    let values: Vec<u64> = said.iter().map(value).collect::<Result<_, _>>().expect("seconds");
    assert!(!values.is_empty() && values.iter().all(|value| *value == values[0]), "{word}");
    values[0] * 1000
}

#[test]
fn the_recommended_proxies_are_more_patient_than_the_gateway() {
    let limits = DataplaneLimits::default();
    let silence = limits.first_byte_ms_max.max(limits.stream_gap_ms_max);
    let [nginx, haproxy] = ["nginx.conf", "haproxy.cfg"].map(|name| source(name).text);
    assert!(seconds_as_ms(&nginx, "proxy_read_timeout ") > silence);
    assert!(seconds_as_ms(&haproxy, "timeout client ") > silence);
    assert!(seconds_as_ms(&haproxy, "timeout server ") > silence);
    assert!(seconds_as_ms(&haproxy, "timeout http-request ") > limits.head_ms_max);
    let front = nginx.split("# Behind").next().expect("the first half");
    assert!(seconds_as_ms(front, "keepalive_timeout ") < limits.keep_alive_ms_max);
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
        "haproxy.cfg",
        "nginx.conf",
        "private-authority.yaml",
        "quickstart.yaml",
        "vllm-team.yaml",
    ];
    assert_eq!(names, expected);
}
