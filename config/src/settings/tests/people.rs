//! The mail server, and where people sign in and answer.

use super::*;

fn with(smtp: &str) -> String {
    format!("{CONTROLPLANE}smtp: {{{smtp}}}\n")
}

fn smtp(text: &str) -> SmtpSettings {
    let settings = ControlplaneSettings::parse(&source(&with(text)));
    settings.expect("settings").smtp.expect("a mail server")
}

#[test]
fn a_mail_server_is_reached_within_tls_or_is_asked_for_it() {
    let from_the_start = smtp("url: \"smtps://mail.example.com/\", from: a@example.com");
    assert_eq!((from_the_start.tls, from_the_start.port), (SmtpTls::FromTheStart, 465));
    let asked = smtp("url: \"smtp://[2001:db8::1]:2525\", from: a@example.com");
    assert_eq!((asked.tls, asked.port), (SmtpTls::StartTls, 2525));
    assert_eq!(asked.host, "2001:db8::1");
    assert_eq!(smtp("url: \"smtp://mail\", from: a@example.com").port, 587);
}

#[test]
fn what_is_no_mail_server_is_refused() {
    let urls = ["mail.example.com", "http://mail", "smtp://", "smtp://a:b@mail", "smtps://mail/x"];
    for url in urls {
        let found = controlplane(&with(&format!("url: \"{url}\", from: a@example.com")));
        assert_eq!(found, ["4:13: not the URL of a mail server"], "{url}");
    }
}

#[test]
fn a_sender_is_one_plain_address() {
    let senders = ["a", "a@", "@b", "a@b@c", "A <a@b>", "a@b\\r\\nBcc: c@d", "a,b@c"];
    for from in senders {
        let found = controlplane(&with(&format!("url: \"smtps://mail\", from: \"{from}\"")));
        assert_eq!(found.len(), 1, "{from}: {found:?}");
        assert!(found[0].ends_with("not a mail address"), "{found:?}");
    }
}

#[test]
fn a_user_name_and_a_password_file_go_together_and_a_password_stands_in_no_settings() {
    let server = "url: \"smtps://mail\", from: a@example.com";
    let found = controlplane(&with(&format!("{server}, username: b")));
    assert_eq!(found, ["4:7: missing key `password_file`"]);
    let found = controlplane(&with(&format!("{server}, password_file: b")));
    assert_eq!(found, ["4:7: missing key `username`"]);
    let found = controlplane(&with(&format!("{server}, password: b")));
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with("unknown key `password`"), "{found:?}");
}

#[test]
fn people_answer_over_tls() {
    let found = |url: &str| controlplane(&format!("{CONTROLPLANE}approval_url: {url}\n"));
    for good in ["https://cp.example.com/base/", "http://127.0.0.1:8080", "http://localhost"] {
        assert_eq!(found(good), Vec::<String>::new(), "{good}");
    }
    for bad in ["http://cp.example.com", "https://cp?a=b", "https://a@b", "cp.example.com"] {
        assert_eq!(found(bad).len(), 1, "{bad}");
    }
}

#[test]
fn a_sign_in_is_by_a_public_client_that_asks_who_somebody_is() {
    let found = |keys: &str| controlplane(&format!("{CONTROLPLANE}sign_in: {{{keys}}}\n"));
    assert_eq!(found("issuer: company, client_id: page"), Vec::<String>::new());
    assert_eq!(found("issuer: company"), ["4:10: missing key `client_id`"]);
    let scopes = found("issuer: company, client_id: page, scopes: [groups]");
    assert_eq!(scopes, ["4:53: without the scope `openid` nobody signs in"]);
    let secret = found("issuer: company, client_id: page, client_secret: x");
    assert!(secret[0].ends_with("unknown key `client_secret`"), "{secret:?}");
    assert_eq!(found("issuer: company, client_id: \"a b\"").len(), 1);
}
