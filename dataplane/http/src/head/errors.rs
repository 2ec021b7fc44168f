//! Every reason why a head is refused, and the one place that turns a reason into a status.

use crate::framing::FramingError;

/// Why the text of a head is refused, in either direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", self.text())]
pub enum SyntaxError {
    /// A line feed without a carriage return before it (RFC 9112 section 2.2).
    BareLineFeed,
    /// An empty line where a head must start, beyond the one that a request may have.
    EmptyLine,
    /// A line that starts with white space: `obs-fold` (RFC 9112 section 5.2).
    FoldedLine,
    /// A carriage return without a line feed, or a line that does not end where it must.
    LineEnd,
    /// The request line or status line does not follow the grammar.
    StartLine,
    /// A field name is empty, no token, or not directly followed by its colon.
    FieldName,
    /// A field value holds a control character.
    FieldValue,
    /// More fields than the limit.
    TooManyFields,
    /// More bytes than the limit.
    HeadTooLarge,
}

impl SyntaxError {
    /// The error in words; never bytes that came.
    pub fn text(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line feed stands alone",
            Self::EmptyLine => "an empty line before the head",
            Self::FoldedLine => "a line starts with white space",
            Self::LineEnd => "a line does not end in cr lf",
            Self::StartLine => "the first line is malformed",
            Self::FieldName => "a field name is malformed",
            Self::FieldValue => "a field value is malformed",
            Self::TooManyFields => "too many fields",
            Self::HeadTooLarge => "the head is too large",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::TooManyFields | Self::HeadTooLarge => 431,
            Self::BareLineFeed
            | Self::EmptyLine
            | Self::FoldedLine
            | Self::LineEnd
            | Self::StartLine
            | Self::FieldName
            | Self::FieldValue => 400,
        }
    }

    fn is_ambiguous(self) -> bool {
        match self {
            Self::BareLineFeed | Self::FoldedLine | Self::LineEnd => true,
            Self::EmptyLine
            | Self::StartLine
            | Self::FieldName
            | Self::FieldValue
            | Self::TooManyFields
            | Self::HeadTooLarge => false,
        }
    }
}

impl From<httparse::Error> for SyntaxError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName => Self::FieldName,
            httparse::Error::HeaderValue => Self::FieldValue,
            httparse::Error::NewLine => Self::LineEnd,
            httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
                Self::StartLine
            }
            httparse::Error::TooManyHeaders => Self::TooManyFields,
        }
    }
}

/// Why a request's head is refused. Each refusal is one answer and the end of the connection: no
/// byte behind it is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", self.text())]
pub enum HeadError {
    /// The text.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// Length, coding, or who the fields are for.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// `CONNECT` or `TRACE`: known, and never served.
    MethodNotAllowed,
    /// Any other method, also a known one in other case.
    UnknownMethod,
    /// Well-formed, but neither HTTP/1.0 nor HTTP/1.1.
    UnsupportedVersion,
    /// The target is longer than the limit.
    TargetTooLong,
    /// Neither origin-form, nor absolute-form, nor `OPTIONS *` (RFC 9112 section 3.2).
    TargetForm,
    /// No `Host`; demanded in HTTP/1.0 too.
    MissingHost,
    /// A second `Host`.
    RepeatedHost,
    /// Not one authority: see [`crate::is_valid_host`].
    BadHost,
    /// Absolute-form with another authority than `Host`.
    AuthorityMismatch,
    /// An `Expect` other than exactly one `100-continue` (RFC 9110 section 10.1.1).
    Expectation,
}

impl HeadError {
    /// The error in words; never bytes that came.
    pub fn text(self) -> &'static str {
        match self {
            Self::Syntax(error) => error.text(),
            Self::Framing(error) => error.text(),
            Self::MethodNotAllowed => "the method is not allowed",
            Self::UnknownMethod => "the method is not known",
            Self::UnsupportedVersion => "the version is not supported",
            Self::TargetTooLong => "the target is too long",
            Self::TargetForm => "the target has no form that is served",
            Self::MissingHost => "host is missing",
            Self::RepeatedHost => "more than one host",
            Self::BadHost => "host is malformed",
            Self::AuthorityMismatch => "target and host name different authorities",
            Self::Expectation => "the expectation cannot be met",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Syntax(error) => error.status(),
            Self::Framing(error) => error.status(),
            Self::MethodNotAllowed => 405,
            Self::UnknownMethod => 501,
            Self::UnsupportedVersion => 505,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::TargetForm
            | Self::MissingHost
            | Self::RepeatedHost
            | Self::BadHost
            | Self::AuthorityMismatch => 400,
        }
    }

    /// Whether two recipients could read two different requests in the same bytes.
    pub fn is_ambiguous(self) -> bool {
        match self {
            Self::Syntax(error) => error.is_ambiguous(),
            Self::Framing(error) => error.is_ambiguous(),
            Self::RepeatedHost | Self::AuthorityMismatch => true,
            Self::MethodNotAllowed
            | Self::UnknownMethod
            | Self::UnsupportedVersion
            | Self::TargetTooLong
            | Self::TargetForm
            | Self::MissingHost
            | Self::BadHost
            | Self::Expectation => false,
        }
    }
}

/// Why an upstream's head is refused: always answered with 502, and the connection to it is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", self.text())]
pub enum ResponseError {
    /// The text.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// Length, coding, or who the fields are for.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A status outside 100 to 599.
    Status,
    /// 101: the gateway never asks for another protocol.
    UnexpectedUpgrade,
    /// An interim response that announces a body (RFC 9112 section 6.3 item 1).
    InterimBody,
}

impl ResponseError {
    /// The error in words; never bytes that came.
    pub fn text(self) -> &'static str {
        match self {
            Self::Syntax(error) => error.text(),
            Self::Framing(error) => error.text(),
            Self::Status => "the status is out of range",
            Self::UnexpectedUpgrade => "an upgrade that nobody asked for",
            Self::InterimBody => "an interim response announces a body",
        }
    }
}
