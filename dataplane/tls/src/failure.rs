//! Why a handshake, or a connection after it, failed: the classes that metrics and logs tell apart.

use penstock_reactor::network::NetworkError;
use rustls::{AlertDescription, CertificateError, Error};

/// The class of a failure. Its text names no input of the peer's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The handshake took longer than it may.
    #[error("the handshake took too long")]
    Timeout,
    /// The handshake was longer than it may be.
    #[error("the handshake is too long")]
    TooLong,
    /// The peer left in the middle of it, or ended its side without saying so in TLS.
    #[error("the peer closed without ending TLS")]
    Closed,
    /// What came is not TLS: plain HTTP, say.
    #[error("what came is not TLS")]
    NotTls,
    /// No common version, cipher suite, group or signature scheme.
    #[error("no common version or cipher suite")]
    Incompatible,
    /// The peer's protocols (ALPN) lack `http/1.1`.
    #[error("no common application protocol")]
    Alpn,
    /// The peer showed no certificate where one is required.
    #[error("the peer showed no certificate")]
    CertificateMissing,
    /// The peer's certificate was refused.
    #[error("the peer's certificate {0}")]
    Certificate(Distrust),
    /// The peer refused us by an alert.
    #[error("the peer refused by the alert {0:?}")]
    Refused(AlertDescription),
    /// The peer broke the protocol, or its bytes were changed on the way.
    #[error("the peer broke the protocol")]
    Protocol,
    /// The core's buffers are used up.
    #[error("out of buffers")]
    Exhausted,
    /// A fault of ours.
    #[error("an internal fault of TLS")]
    Internal,
}

/// What is wrong with a peer's certificate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Distrust {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is for another name or address.
    Name,
    /// No trusted authority issued it.
    Issuer,
    /// It was revoked.
    Revoked,
    /// Anything else: its signature, its form, its purpose.
    Invalid,
}

impl std::fmt::Display for Distrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Expired => "has expired",
            Self::NotYetValid => "is not valid yet",
            Self::Name => "is for another name",
            Self::Issuer => "is from an authority that is not trusted",
            Self::Revoked => "was revoked",
            Self::Invalid => "is not valid",
        })
    }
}

impl Failure {
    /// A name for metrics: lower case, one word of few.
    pub fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::TooLong => "too_long",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::Alpn => "alpn",
            Self::CertificateMissing => "certificate_missing",
            Self::Certificate(_) => "certificate",
            Self::Refused(_) => "refused",
            Self::Protocol => "protocol",
            Self::Exhausted => "exhausted",
            Self::Internal => "internal",
        }
    }

    /// Every label, in the order of [`Self::index`].
    pub const LABELS: [&'static str; 12] = [
        "timeout",
        "too_long",
        "closed",
        "not_tls",
        "incompatible",
        "alpn",
        "certificate_missing",
        "certificate",
        "refused",
        "protocol",
        "exhausted",
        "internal",
    ];

    /// The place of its label in [`Self::LABELS`].
    pub fn index(self) -> usize {
        match self {
            Self::Timeout => 0,
            Self::TooLong => 1,
            Self::Closed => 2,
            Self::NotTls => 3,
            Self::Incompatible => 4,
            Self::Alpn => 5,
            Self::CertificateMissing => 6,
            Self::Certificate(_) => 7,
            Self::Refused(_) => 8,
            Self::Protocol => 9,
            Self::Exhausted => 10,
            Self::Internal => 11,
        }
    }

    /// What the code above a stream sees of it.
    pub(crate) fn network(self) -> NetworkError {
        match self {
            Self::Exhausted => NetworkError::Exhausted,
            Self::Timeout
            | Self::TooLong
            | Self::Closed
            | Self::NotTls
            | Self::Incompatible
            | Self::Alpn
            | Self::CertificateMissing
            | Self::Certificate(_)
            | Self::Refused(_)
            | Self::Protocol
            | Self::Internal => NetworkError::Reset,
        }
    }
}

impl From<NetworkError> for Failure {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Exhausted => Self::Exhausted,
            NetworkError::Reset | NetworkError::Refused | NetworkError::System(_) => Self::Closed,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => Self::Protocol,
            Error::PeerIncompatible(_) => Self::Incompatible,
            Error::NoApplicationProtocol => Self::Alpn,
            Error::NoCertificatesPresented => Self::CertificateMissing,
            Error::InvalidCertificate(why) => Self::Certificate(why.into()),
            Error::AlertReceived(alert) => Self::Refused(alert),
            Error::FailedToGetCurrentTime
            | Error::FailedToGetRandomBytes
            | Error::General(_)
            | Error::Other(_)
            | Error::EncryptError => Self::Internal,
            // The library may add errors; each of them is about what the peer sent.
            _ => Self::Protocol,
        }
    }
}

impl From<CertificateError> for Distrust {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::Name
            }
            // A bad signature is that of an authority which only bears the name of a trusted one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Issuer,
            CertificateError::Revoked => Self::Revoked,
            // The library may add errors; none of them makes a certificate valid.
            _ => Self::Invalid,
        }
    }
}
