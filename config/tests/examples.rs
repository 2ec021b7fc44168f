//! Every file of `examples/` is read, and says what its comments promise. The proxies' files are
//! also run, by the journeys.

use penstock_config::approval_rules::{
    Approver, PersonKey, auto_approved, may_answer, may_break_glass, satisfied, ticket_matches,
};
use penstock_config::catalogue::{Classified, Operation, Risk};
use penstock_config::certificates::authorities;
use penstock_config::decision::{Decision, DenyCause, Policy};
use penstock_config::documents::{
    Document, Placed, Rule, Source, check_references, parse, to_yaml,
};
use penstock_config::identity::Identity;
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
fn the_notifications_reach_a_mailbox_and_a_bridge_that_answers() {
    let set = documents("notifications.yaml");
    let mut webhooks = set.iter().filter_map(Document::as_webhook);
    assert!(webhooks.any(|webhook| webhook.answers_as.is_some()));
    assert!(kinds(&set).contains(&("mail", "reviewers")));
    let settings = ControlplaneSettings::parse(&source("controlplane.yaml")).expect("settings");
    assert_eq!(settings.smtp.map(|smtp| smtp.port), Some(465));
}

#[test]
fn each_ci_policy_has_one_workload_whose_jobs_are_known_by_ids() {
    for (name, id) in [("ci-github.yaml", "repository_id"), ("ci-gitlab.yaml", "project_id")] {
        let set = documents(name);
        let workloads: Vec<_> = set.iter().filter_map(Document::as_workload).collect();
        let [workload] = workloads.as_slice() else { panic!("{name}") };
        assert_eq!(workload.audience, "penstock-exchange");
        let claims = workload.subjects.iter().map(|subject| subject.claims.clone());
        assert!(claims.into_iter().all(|claims| claims.is_some_and(|one| one.contains_key(id))));
    }
}

/// Friday, 2026-11-27 12:00:00 UTC, and half a day later.
const NOON_MS: u64 = 1_795_780_800_000;
const NIGHT_MS: u64 = NOON_MS + 43_200_000;
/// Tuesday, 2026-12-01 09:30:00 UTC: 10:30 in Berlin.
const TUESDAY_MS: u64 = 1_796_117_400_000;

/// The rules of the approvals' example, compiled.
fn approvals() -> (Policy, Vec<Rule>) {
    let set = documents("approvals.yaml");
    let issuers: Vec<_> = set.iter().filter_map(Document::as_issuer).cloned().collect();
    let connections: Vec<_> = set.iter().filter_map(Document::as_connection).cloned().collect();
    let rules: Vec<_> = set.iter().filter_map(Document::as_rule).cloned().collect();
    (Policy::compile(&issuers, &connections, &rules).expect("a policy"), rules)
}

fn member(group: &str) -> Identity {
    let groups = vec![group.to_owned()];
    Identity { issuer: "company".to_owned(), subject: "x".to_owned(), groups, ..Default::default() }
}

/// The pipeline that pushes weights, with one more claim.
fn pipeline(claims: &[(&str, &str)]) -> Identity {
    let own = [("repository_id", "4711"), ("ref", "refs/heads/main")];
    let claims = own.iter().chain(claims).map(|(name, text)| ((*name).into(), (*text).into()));
    Identity {
        issuer: "ci".to_owned(),
        user: "repo:acme/search:ref:refs/heads/main".to_owned(),
        claims: claims.collect(),
        ..Default::default()
    }
}

fn decided(policy: &Policy, who: &Identity, operation: &str, now_ms: u64) -> Decision {
    let connection = policy.connection("vllm").expect("a connection");
    let operation = Operation::named(operation).expect("an operation");
    let request = Classified::new(&[operation], Risk::None, Some("m"));
    policy.decide(who, &policy.subject_rules(who), connection, &request, now_ms)
}

fn held_by(decision: &Decision) -> Vec<&str> {
    match decision {
        Decision::Approve { rules, .. } => rules.iter().map(AsRef::as_ref).collect(),
        Decision::Allow { .. } | Decision::Deny { .. } => Vec::new(),
    }
}

#[test]
fn in_the_approvals_example_an_adapter_waits_for_a_second_person_and_rests_at_night() {
    let (policy, rules) = approvals();
    let at = |group, now_ms| decided(&policy, &member(group), "adapter.load", now_ms);
    assert_eq!(held_by(&at("contractors", NOON_MS)), ["adapters-need-a-second-person"]);
    let night =
        Decision::Deny { rule: Some("adapters-rest-at-night".into()), cause: DenyCause::Rule };
    assert_eq!(at("contractors", NIGHT_MS), night);
    assert_eq!(held_by(&at("on-call", NIGHT_MS)), ["adapters-need-a-second-person"]);
    let approval = rules[0].approval.as_ref().expect("an approval");
    assert!(may_break_glass(approval, &member("on-call")));
    assert!(!may_break_glass(approval, &member("contractors")));
    assert!(may_answer(approval, &member("ml-leads")) && !may_answer(approval, &member("on-call")));
    assert!(ticket_matches(approval, Some("OPS-12")) && !ticket_matches(approval, Some("x")));
}

#[test]
fn in_the_approvals_example_pushed_weights_wait_for_one_of_each_group() {
    let (policy, rules) = approvals();
    let pushed = decided(&policy, &pipeline(&[]), "weights.import", NOON_MS);
    assert_eq!(held_by(&pushed), ["pushed-weights-are-held"]);
    let other = Identity { claims: Default::default(), ..pipeline(&[]) };
    assert_eq!(held_by(&decided(&policy, &other, "weights.import", NOON_MS)), [""; 0]);
    let approval = rules[2].approval.as_ref().expect("an approval");
    let (lead, guard) = (member("ml-leads"), member("security"));
    let [requester, ann, bob] = ["ci", "ann", "bob"].map(|name| PersonKey::Person(name.into()));
    let (lead, same) =
        (Approver { identity: &lead, person: &ann }, Approver { identity: &guard, person: &ann });
    assert!(!satisfied(approval, &requester, &[lead, same]), "one person in both groups");
    assert!(satisfied(approval, &requester, &[lead, Approver { person: &bob, ..same }]));
    let protected = pipeline(&[("environment", "production"), ("ref_protected", "true")]);
    assert!(auto_approved(approval, &protected, TUESDAY_MS));
    assert!(!auto_approved(approval, &protected, NOON_MS));
    assert!(!auto_approved(approval, &pipeline(&[]), TUESDAY_MS));
}

#[test]
fn in_the_masks_example_the_connection_has_its_mask_and_who_is_on_call_sees_clear_text() {
    let set = documents("masks.yaml");
    let mask = set.iter().find_map(Document::as_mask).expect("a mask");
    let connection = set.iter().find_map(Document::as_connection).expect("a connection");
    assert_eq!(connection.mask.as_deref(), Some(mask.name.as_str()));
    assert!(mask.detectors.iter().any(|name| name == "EMAIL_ADDRESS") && !mask.needs_key());
    let groups: Vec<&str> =
        mask.except.iter().flat_map(|who| who.groups.iter().flatten()).map(AsRef::as_ref).collect();
    assert_eq!(groups, ["on-call"]);
}

#[test]
fn the_generic_table_has_three_rows() {
    let set = documents("generic-table.yaml");
    let connections = set.iter().filter_map(Document::as_connection);
    let rows: usize = connections.map(|connection| connection.table.len()).sum();
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
        "notifications.yaml",
        "ci-github.yaml",
        "ci-gitlab.yaml",
        "approvals.yaml",
        "masks.yaml",
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
        "approvals.yaml",
        "ci-github.yaml",
        "ci-gitlab.yaml",
        "controlplane.yaml",
        "dataplane.yaml",
        "first-run.yaml",
        "generic-table.yaml",
        "haproxy.cfg",
        "masks.yaml",
        "nginx.conf",
        "notifications.yaml",
        "pipelines",
        "private-authority.yaml",
        "quickstart.yaml",
        "vllm-team.yaml",
    ];
    assert_eq!(names, expected);
}
