//! People sign in, with a browser and with a code, at the certified OpenID provider, and use the
//! control plane and the gateway as whom they are.

use std::os::unix::fs::PermissionsExt;
use std::thread;

use penstock_harness::{AutonomousUpstream, Dev, RawClient, eventually};
use penstock_journeys::people::{Account, People};
use penstock_journeys::{documents, requests};

const LEADS: &[&str] = &["leads"];
/// A token's life in seconds in which no token has to be refreshed.
const LONG: u64 = 600;

struct Stage {
    people: People,
    dev: Dev,
    _upstream: AutonomousUpstream,
}

impl Stage {
    fn start(life_s: u64) -> Self {
        let people = People::start(life_s);
        let upstream = AutonomousUpstream::start();
        let texts = [
            format!(
                "kind: issuer\nname: company\nissuer: '{}'\naudiences: [penstock]\n\
                 client_id: penstock\n---\n",
                people.issuer()
            ),
            documents::connection("m", "openai", &upstream.url()),
            "kind: rule\nname: leads\neffect: allow\n\
             subjects: [{issuer: company, groups: [leads]}]\noperations: [infer.*, list]\n---\n\
             kind: role\nname: auditors\nrole: auditor\n\
             subjects: [{issuer: company, groups: [leads]}]\n"
                .to_owned(),
        ];
        let dev = Dev::start(&texts.concat());
        Self { people, dev, _upstream: upstream }
    }

    fn signed_in(life_s: u64) -> (Self, Account) {
        let mut stage = Self::start(life_s);
        let account = Account::new();
        let mut sign_in = account.sign_in(&stage.dev, "--loopback");
        let page = sign_in.told("Sign in at ");
        stage.people.browse(&page, "ann", LEADS);
        let (code, said) = sign_in.ended();
        assert_eq!(code, Some(0), "{said}");
        (stage, account)
    }

    /// The gateway takes the token, as soon as it knows the issuer's keys.
    fn assert_infers(&self, token: &str) {
        eventually("the gateway takes the token", || {
            let mut client = RawClient::connect(&self.dev.ready().gateway);
            (client.exchange(requests::chat(token)).status == 200).then_some(())
        });
    }
}

#[test]
fn a_browser_signs_in_for_the_control_plane_and_for_the_gateway() {
    let (mut stage, account) = Stage::signed_in(LONG);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let profile = account.profile();
    assert_eq!((mode(&profile), mode(profile.parent().unwrap())), (0o600, 0o700));

    let listed = account.penstock(&["get", "rule", "--output", "json"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert_eq!(listed.json()[0]["name"], "leads");
    let refused = account.penstock(&["delete", "rule", "leads"]);
    assert_eq!(refused.code, 3, "an auditor changed a document: {}", refused.stderr);

    let token = account.penstock(&["token"]);
    assert_eq!(token.code, 0, "{}", token.stderr);
    stage.assert_infers(token.stdout.trim());
    let who = account.penstock(&["whoami", "--output", "json"]).json();
    assert_eq!((&who["subject"], &who["issuer"]), (&"ann".into(), &stage.people.issuer().into()));

    assert_eq!(account.penstock(&["logout"]).code, 0);
    assert_eq!(stage.people.count("revoked"), 1, "the provider was not told");
    assert!(!profile.exists());
    assert_eq!(account.penstock(&["get", "rule"]).code, 78);
}

#[test]
fn a_code_is_typed_on_another_device() {
    let mut stage = Stage::start(LONG);
    let account = Account::new();
    let mut sign_in = account.sign_in(&stage.dev, "--device");
    let (page, code) = (sign_in.told("open "), sign_in.told("type the code "));
    eventually("a question that nobody had answered", || {
        (stage.people.count("pending") > 0).then_some(())
    });
    stage.people.type_code(&page, &code, ("bob", LEADS), false);
    let (exit, said) = sign_in.ended();
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("signed in as bob"), "{said}");
    let listed = account.penstock(&["get", "rule", "--output", "json"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    stage.assert_infers(account.penstock(&["token"]).stdout.trim());
}

#[test]
fn a_code_that_is_refused_signs_nobody_in() {
    let mut stage = Stage::start(LONG);
    let account = Account::new();
    let mut sign_in = account.sign_in(&stage.dev, "--device");
    let (page, code) = (sign_in.told("open "), sign_in.told("type the code "));
    stage.people.type_code(&page, &code, ("bob", LEADS), true);
    let (exit, said) = sign_in.ended();
    assert_eq!(exit, Some(3), "{said}");
    assert!(!account.profile().exists());
}

#[test]
fn an_answer_that_somebody_else_sends_to_the_port_signs_nobody_in() {
    let stage = Stage::start(LONG);
    let account = Account::new();
    let mut sign_in = account.sign_in(&stage.dev, "--loopback");
    let page = sign_in.told("Sign in at ");
    let (_, rest) = page.split_once("redirect_uri=http%3A%2F%2F127.0.0.1%3A").unwrap();
    let port = rest.split('%').next().unwrap();
    let address = format!("127.0.0.1:{port}");
    let target = "/callback?code=of-an-attacker&state=guessed";
    let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let answer = RawClient::connect(&address).exchange(request);
    assert!(!answer.text().contains("of-an-attacker"), "{}", answer.text());
    let (exit, said) = sign_in.ended();
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("another question"), "{said}");
    assert!(!account.profile().exists());
}

/// A refresh token works once here: one that is used twice ends the whole sign-in.
#[test]
fn tokens_that_end_are_refreshed_once_however_many_commands_need_one() {
    let (mut stage, account) = Stage::signed_in(20);
    let before = stage.people.count("refreshed");
    thread::scope(|scope| {
        let commands: Vec<_> =
            (0..4).map(|_| scope.spawn(|| account.penstock(&["get", "rule"]))).collect();
        for command in commands {
            let output = command.join().unwrap();
            assert_eq!(output.code, 0, "{}", output.stderr);
        }
    });
    let token = account.penstock(&["token"]);
    assert_eq!(token.code, 0, "{}", token.stderr);
    stage.assert_infers(token.stdout.trim());
    assert!(stage.people.count("refreshed") >= before + 5, "nothing was refreshed");
}

#[test]
fn whoever_the_provider_does_not_know_any_more_is_signed_out() {
    let (stage, account) = Stage::signed_in(20);
    drop(stage.people);
    let away = account.penstock(&["get", "rule"]);
    assert_eq!(away.code, 1, "{}", away.stderr);
    assert!(away.stderr.contains("does not answer"), "{}", away.stderr);
    assert!(account.profile().exists(), "a provider that is away signed somebody out");
}
