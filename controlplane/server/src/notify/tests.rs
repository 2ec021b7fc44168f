//! The delivery against receivers and mail servers that behave and that don't, at times that are
//! passed in.

#[path = "../../tests/common/receiver.rs"]
#[allow(dead_code, reason = "shared with the tests of the whole server")]
mod receiver;
#[path = "../../tests/common/smtp.rs"]
#[allow(dead_code, reason = "shared with the tests of the whole server")]
mod smtp;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use penstock_app::outbox::{ChannelKind, OutboxState, Outgoing};
use penstock_app::vault::{KEY_BYTES, MasterKey};
use penstock_app::{Event, Requester, State, Tuning};
use penstock_config::documents::{Document, NotificationEvent, Source, parse};
use penstock_config::settings::{SmtpSettings, SmtpTls};
use penstock_config::snapshot::SnapshotSigner;
use penstock_store::{Extra, Store};
use receiver::Receiver;
use smtp::MailServer;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::mail::{Letter, MailError, Mailer};
use super::post::{PostError, Poster};
use super::signature::Keys;
use crate::fetch::Fetcher;
use crate::tokens::Tokens;
use crate::worker::{Command, Parts, Worker};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// A delivery over a store, with documents in force.
struct World {
    delivery: Delivery,
    _folder: TempDir,
}

impl World {
    async fn new(hook: &str, mail: Option<&MailServer>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        store.name_cluster("test").await.unwrap();
        let tuning = Tuning { development: true, ..Tuning::default() };
        let state = State::new(store.load().await.unwrap(), tuning);
        let master = Arc::new(MasterKey::new(Zeroizing::new([1; KEY_BYTES])));
        let (worker, handle) = Worker::new(Parts {
            tokens: Tokens::new(&state),
            state,
            store: store.clone(),
            signer: SnapshotSigner::generate().unwrap().0,
            master: master.clone(),
            fetcher: Fetcher::new(true, false).unwrap(),
        });
        tokio::spawn(worker.run());
        handle.submit(Event::FirstRun { documents: documents(hook) }).await.unwrap();
        let value = Zeroizing::new(secret());
        let set = |reply| Command::SetSecret(Requester::System, "hook-key".into(), value, reply);
        handle.ask(set).await.unwrap();
        let mailer = mail.map(|mail| Mailer::open(&settings(mail), true).unwrap());
        let poster = Poster::new(true, false).unwrap();
        let delivery = Delivery { handle, store, master, poster, mailer };
        Self { delivery, _folder: folder }
    }

    /// A message that happened at time 0.
    async fn add(&self, id: &str, kind: ChannelKind, channel: &str) {
        let recipient = match kind {
            ChannelKind::Webhook => String::new(),
            ChannelKind::Mail => "rita@example.com".into(),
        };
        let outgoing = Outgoing {
            id: id.into(),
            kind,
            channel: channel.into(),
            recipient,
            event: NotificationEvent::ApprovalRequested,
            approval: "apr-1".into(),
            body: "{\"type\":\"approval.requested\"}".into(),
            created_ms: 0,
            attempts: 0,
            next_ms: 0,
            state: OutboxState::Pending,
            problem: String::new(),
        };
        self.delivery.store.commit_with(&[], &[Extra::Outgoing(outgoing)]).await.unwrap();
    }

    async fn row(&self, id: &str) -> Outgoing {
        let rows = self.delivery.store.outgoing(None, 100).await.unwrap();
        rows.into_iter().find(|row| row.id == id).unwrap()
    }
}

fn documents(hook: &str) -> Vec<Document> {
    let text = format!(
        "{{kind: issuer, name: dev, issuer: 'http://127.0.0.1:9', audiences: [a]}}\n---\n\
         {{kind: role, name: admins, role: admin, subjects: [{{users: [ada]}}]}}\n---\n\
         {{kind: webhook, name: hook, url: '{hook}', secret: hook-key}}\n---\n\
         {{kind: webhook, name: keyless, url: '{hook}', secret: no-key}}\n---\n\
         {{kind: mail, name: people, to: [rita@example.com]}}\n"
    );
    let placed = parse(&[Source { name: "a".into(), text }]).unwrap();
    placed.into_iter().map(|placed| placed.document).collect()
}

fn secret() -> String {
    format!("whsec_{}", STANDARD.encode([7; 32]))
}

fn settings(server: &MailServer) -> SmtpSettings {
    SmtpSettings {
        tls: SmtpTls::StartTls,
        host: "127.0.0.1".into(),
        port: server.address.port(),
        from: "penstock@example.com".into(),
        username: None,
        password_file: None,
        ca_file: None,
    }
}

fn letter() -> Letter<'static> {
    Letter { to: "rita@example.com", subject: "a", text: "b\n".into(), id: "m" }
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_by_the_schedule_and_no_more() {
    let hook = Receiver::start().await;
    let world = World::new(&hook.url, None).await;
    world.add("m", ChannelKind::Webhook, "hook").await;
    let waits = [0, 5_000, 5 * MINUTE_MS, 30 * MINUTE_MS];
    let hours = [2, 5, 10, 14, 20, 24].map(|hours| hours * HOUR_MS);
    let mut now = 0;
    for (tries, wait) in waits.into_iter().chain(hours).enumerate() {
        hook.answers("500 No\r\n");
        if wait > 0 {
            assert_eq!(world.delivery.deliver_due(now + wait - 1).await, 0, "too early: {tries}");
        }
        // Jitter adds a tenth at most.
        now += wait + wait / 10;
        assert_eq!(world.delivery.deliver_due(now).await, 1, "not due: {tries}");
        assert_eq!(hook.received().len(), tries + 1);
    }
    let row = world.row("m").await;
    assert_eq!((row.state, row.attempts), (OutboxState::Dead, 10));
    assert!(row.problem.contains("500"), "{}", row.problem);
    assert_eq!(world.delivery.deliver_due(u64::MAX / 2).await, 0);
    let received = hook.received();
    assert!(received.iter().all(|one| one.header("webhook-id") == "m"));
}

#[tokio::test]
async fn a_message_that_was_taken_is_not_sent_again() {
    let hook = Receiver::start().await;
    let world = World::new(&hook.url, None).await;
    world.add("m", ChannelKind::Webhook, "hook").await;
    assert_eq!(world.delivery.deliver_due(1_000).await, 1);
    assert_eq!(world.row("m").await.state, OutboxState::Delivered);
    assert_eq!(world.delivery.deliver_due(HOUR_MS).await, 0);
    let received = hook.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("content-type"), "application/json");
    assert_eq!(received[0].header("webhook-timestamp"), "1");
}

#[tokio::test]
async fn a_receiver_that_wants_no_more_gets_no_more() {
    let hook = Receiver::start().await;
    let world = World::new(&hook.url, None).await;
    hook.answers("410 Gone\r\n");
    world.add("m", ChannelKind::Webhook, "hook").await;
    world.add("n", ChannelKind::Webhook, "hook").await;
    assert_eq!(world.delivery.deliver_due(0).await, 1);
    for id in ["m", "n"] {
        let row = world.row(id).await;
        assert_eq!(row.state, OutboxState::Dead, "{id}");
        assert!(row.problem.contains("410"), "{id}");
    }
    assert_eq!(hook.received().len(), 1);
}

#[tokio::test]
async fn no_redirect_is_followed_with_a_message() {
    let (hook, other) = (Receiver::start().await, Receiver::start().await);
    let world = World::new(&hook.url, None).await;
    for status in ["302 Found", "307 Temporary Redirect"] {
        hook.answers(&format!("{status}\r\nlocation: {}\r\n", other.url));
    }
    world.add("m", ChannelKind::Webhook, "hook").await;
    world.delivery.deliver_due(0).await;
    world.delivery.deliver_due(MINUTE_MS).await;
    assert!(world.row("m").await.problem.contains("307"));
    assert_eq!((hook.received().len(), other.received().len()), (2, 0));
}

#[tokio::test]
async fn without_its_key_or_its_document_a_message_is_not_sent() {
    let hook = Receiver::start().await;
    let world = World::new(&hook.url, None).await;
    world.add("m", ChannelKind::Webhook, "keyless").await;
    world.add("n", ChannelKind::Webhook, "gone").await;
    world.delivery.deliver_due(0).await;
    let row = world.row("m").await;
    assert_eq!((row.state, &*row.problem), (OutboxState::Pending, "secret no-key is not set"));
    assert_eq!(world.row("n").await.state, OutboxState::Dead);
    assert!(hook.received().is_empty());
}

async fn post(url: &str, development: bool, private: bool) -> Result<(), PostError> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let poster = Poster::new(development, private).unwrap();
    poster.post(url, &Keys::read(&secret()).unwrap(), "m", 0, "{}").await
}

#[tokio::test]
async fn messages_do_not_go_to_addresses_of_special_use() {
    for host in ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "0.0.0.0", "[fe80::1]"] {
        for private in [true, false] {
            let error = post(&format!("https://{host}/hook"), true, private).await.unwrap_err();
            assert!(matches!(error, PostError::OutOfReach), "{host}: {error}");
        }
    }
    for host in ["10.0.0.1", "192.168.0.1", "172.16.0.1", "[fd12::1]", "100.64.0.1"] {
        let error = post(&format!("https://{host}/hook"), true, false).await.unwrap_err();
        assert!(matches!(error, PostError::OutOfReach), "{host}: {error}");
    }
}

#[tokio::test]
async fn messages_go_to_this_machine_in_development_alone() {
    let hook = Receiver::start().await;
    let error = post(&hook.url, false, false).await.unwrap_err();
    assert!(matches!(error, PostError::Address), "{error}");
    let named = hook.url.replace("http://127.0.0.1", "https://localhost");
    let error = post(&named, false, false).await.unwrap_err();
    assert!(matches!(error, PostError::OutOfReach), "after its look-up: {error}");
    assert!(hook.received().is_empty());
    assert!(post(&hook.url, true, false).await.is_ok());
}

#[tokio::test]
async fn what_a_mail_server_refuses_for_good_is_not_sent_again_and_the_rest_is() {
    let mail = MailServer::start().await;
    let world = World::new("http://127.0.0.1:9/", Some(&mail)).await;
    mail.answers("451 later");
    mail.answers("535 who are you");
    mail.answers("550 no such mailbox");
    world.add("m", ChannelKind::Mail, "people").await;
    world.delivery.deliver_due(0).await;
    world.delivery.deliver_due(MINUTE_MS).await;
    assert_eq!(world.row("m").await.state, OutboxState::Pending);
    world.delivery.deliver_due(HOUR_MS).await;
    let row = world.row("m").await;
    assert_eq!((row.state, row.attempts), (OutboxState::Dead, 3));
    assert!(row.problem.contains("550") && !row.problem.contains("mailbox"), "{}", row.problem);
}

#[tokio::test]
async fn a_recipient_who_is_not_named_any_more_gets_no_mail() {
    let mail = MailServer::start().await;
    let world = World::new("http://127.0.0.1:9/", Some(&mail)).await;
    world.add("m", ChannelKind::Mail, "people").await;
    let mut row = world.row("m").await;
    (row.id, row.recipient) = ("n".into(), "eve@example.com".into());
    world.delivery.store.commit_with(&[], &[Extra::Outgoing(row)]).await.unwrap();
    assert_eq!(world.delivery.deliver_due(0).await, 2);
    assert_eq!(world.row("m").await.state, OutboxState::Delivered);
    assert_eq!(world.row("n").await.state, OutboxState::Dead);
    assert!(!mail.conversations().concat().contains("eve@example.com"));
}

#[tokio::test]
async fn a_mail_server_without_tls_gets_no_mail_and_no_password() {
    let mail = MailServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    crate::files::write_private(&file, b"hunter2\n").unwrap();
    let settings = SmtpSettings {
        username: Some("penstock".into()),
        password_file: Some(file),
        ..settings(&mail)
    };
    let mailer = Mailer::open(&settings, false).unwrap();
    let error = mailer.send(letter()).await.unwrap_err();
    assert!(matches!(error, MailError::Tls), "{error}");
    let said = mail.conversations().concat();
    assert!(!said.contains("MAIL") && !said.contains("AUTH"), "{said}");
}

#[tokio::test]
async fn a_mail_goes_within_tls_to_a_server_whose_authority_is_known_and_to_no_other() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let names = vec!["127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mail = MailServer::start_with(Some(Arc::new(config))).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, password) = (folder.path().join("ca.pem"), folder.path().join("password"));
    std::fs::write(&file, cert.pem()).unwrap();
    crate::files::write_private(&password, b"hunter2\n").unwrap();
    let unknown = SmtpSettings {
        tls: SmtpTls::FromTheStart,
        username: Some("penstock".into()),
        password_file: Some(password),
        ..settings(&mail)
    };
    let error = Mailer::open(&unknown, true).unwrap().send(letter()).await.unwrap_err();
    assert!(matches!(error, MailError::Tls | MailError::Connection), "{error}");
    assert!(mail.conversations().is_empty(), "{:?}", mail.conversations());
    let known = SmtpSettings { ca_file: Some(file), ..unknown };
    Mailer::open(&known, false).unwrap().send(letter()).await.unwrap();
    let said = mail.conversations().concat();
    assert!(said.contains("AUTH PLAIN") && said.contains("MAIL FROM:<penstock@"), "{said}");
}

#[test]
fn a_password_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let settings = SmtpSettings {
        tls: SmtpTls::FromTheStart,
        host: "mail.example.com".into(),
        port: 465,
        from: "penstock@example.com".into(),
        username: Some("penstock".into()),
        password_file: Some(file),
        ca_file: None,
    };
    let error = Mailer::open(&settings, false).err().unwrap();
    assert!(error.contains("chmod 600") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_line_of_others_is_no_header() {
    let mail = MailServer::start().await;
    let mailer = Mailer::open(&settings(&mail), true).unwrap();
    let letter = Letter { subject: "a\r\nBcc: eve@example.com", ..letter() };
    let _ = mailer.send(letter).await;
    let said = mail.conversations().concat();
    assert!(!said.lines().any(|line| line.starts_with("Bcc")), "{said}");
    assert!(!said.contains("RCPT TO:<eve"), "{said}");
}
