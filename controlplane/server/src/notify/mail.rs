//! E-mail: text alone, one recipient a message, over TLS. In clear text it goes only to a mail
//! server on this machine in a development state.

use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::response::{Category, Code};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use penstock_config::settings::{SmtpSettings, SmtpTls};

use crate::files::read_key;

/// For one command of the conversation.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// For the whole of it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a mail server did not take a mail. Says nothing that it sent but its code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    #[error("not a mail address")]
    Address,
    #[error("the mail can't be written")]
    Message,
    #[error("no whole answer in time")]
    Timeout,
    #[error("no TLS, no sign-in that is known, or a certificate that does not hold")]
    Tls,
    #[error("no connection, or one that broke")]
    Connection,
    #[error("the mail server answered {0}")]
    Later(Code),
    #[error("the mail server refused for good: {0}")]
    Refused(Code),
}

impl MailError {
    /// Whether another try has no sense.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Address | Self::Message | Self::Refused(_) => true,
            Self::Timeout | Self::Tls | Self::Connection | Self::Later(_) => false,
        }
    }
}

/// One mail.
pub(crate) struct Letter<'a> {
    /// The recipient's address.
    pub(crate) to: &'a str,
    /// One line.
    pub(crate) subject: &'a str,
    /// Plain text.
    pub(crate) text: String,
    /// The same for each try: the local part of its `Message-ID`.
    pub(crate) id: &'a str,
}

/// The mail server of the settings. Copies share it.
#[derive(Clone)]
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

impl Mailer {
    /// Reads what the settings name; connects to nothing.
    ///
    /// # Errors
    /// One sentence: a file can't be read, or the sender is no address.
    pub(crate) fn open(settings: &SmtpSettings, development: bool) -> Result<Self, String> {
        let from = settings.from.parse().map_err(|_| "`smtp.from` is not a mail address")?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls(settings, development)?)
            .timeout(Some(COMMAND_TIMEOUT));
        if let (Some(username), Some(file)) = (&settings.username, &settings.password_file) {
            let bytes = read_key(file)?
                .ok_or_else(|| format!("password file {} is not there", file.display()))?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| format!("password file {} is not text", file.display()))?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            builder = builder.credentials(Credentials::new(username.clone(), password));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Hands over one mail.
    pub(crate) async fn send(&self, letter: Letter<'_>) -> Result<(), MailError> {
        let message = self.message(letter)?;
        let sent = tokio::time::timeout(TIMEOUT, self.transport.send(message));
        match sent.await {
            Err(_) => Err(MailError::Timeout),
            Ok(Err(error)) => Err(refused(&error)),
            Ok(Ok(_)) => Ok(()),
        }
    }

    fn message(&self, letter: Letter<'_>) -> Result<Message, MailError> {
        let to = letter.to.parse().map_err(|_| MailError::Address)?;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(Mailbox::new(Some("Penstock".to_owned()), self.from.clone()))
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.domain())))
            // Nobody's absence is to be answered to it (RFC 3834).
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text)
            .map_err(|_| MailError::Message)
    }
}

fn tls(settings: &SmtpSettings, development: bool) -> Result<Tls, String> {
    let local = matches!(settings.host.as_str(), "127.0.0.1" | "::1" | "localhost");
    if development && local && settings.tls == SmtpTls::StartTls {
        return Ok(Tls::None);
    }
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(file) = &settings.ca_file {
        let unreadable = |why: String| format!("{} can't be read: {why}", file.display());
        let pem = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
        let authority = Certificate::from_pem(&pem)
            .map_err(|_| unreadable("not a certificate, PEM".to_owned()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    let parameters = builder.build().map_err(|error| format!("no TLS for mail: {error}"))?;
    Ok(match settings.tls {
        SmtpTls::FromTheStart => Tls::Wrapper(parameters),
        SmtpTls::StartTls => Tls::Required(parameters),
    })
}

fn refused(error: &lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        // A refusal for good needs no second try (RFC 5321 section 4.2.1). Those of 53x are about
        // the sign-in (RFC 4954 section 6), which people mend.
        Some(code) if error.is_permanent() && code.category != Category::Unspecified3 => {
            MailError::Refused(code)
        }
        Some(code) => MailError::Later(code),
        None if error.is_tls() || error.is_client() => MailError::Tls,
        None if error.is_timeout() => MailError::Timeout,
        None => MailError::Connection,
    }
}
