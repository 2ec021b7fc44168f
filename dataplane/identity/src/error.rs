//! Why a token is refused: for the log and the metric, never for the caller, who learns only that
//! it was.

/// Why a token is refused. Its text names no part of the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`crate::TOKEN_BYTES_MAX`].
    #[error("the token is too large")]
    TooLarge,
    /// Not three parts: a JWE, a JSON serialisation, or no token.
    #[error("the token does not have three parts")]
    Shape,
    /// A part is not strict base64url (RFC 7515 section 2).
    #[error("a part of the token is not base64url")]
    Encoding,
    /// The header is not one JSON object, or one of its members has a wrong type.
    #[error("the token's header is malformed")]
    Header,
    /// The claims are not one JSON object.
    #[error("the token's claims are malformed")]
    Claims,
    /// A member stands twice in one object of the header or the claims.
    #[error("a member stands twice in the token")]
    DuplicateMember,
    /// The header asks for an extension that is not understood: `crit`, `b64`, `zip`, `cty`.
    #[error("the token's header asks for an extension")]
    Extension,
    /// `alg` is none of those that keys are accepted for.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// `alg` is not the algorithm of the key that `kid` names.
    #[error("the token's algorithm is not that of its key")]
    AlgorithmMismatch,
    /// `typ` is not among the issuer's `token_types`, or names another purpose.
    #[error("the token's type is not accepted")]
    TokenType,
    /// `kid` is not a text of 1 to [`crate::KEY_ID_BYTES_MAX`] bytes.
    #[error("the token's key id is malformed")]
    KeyId,
    /// No `kid`, and the issuer does not have exactly one key for the algorithm.
    #[error("the token names no key")]
    KeyIdMissing,
    /// The issuer has no key of that `kid`; it may have published one since.
    #[error("the issuer {issuer} has no key of the token's key id")]
    UnknownKey {
        /// Name of the issuer document.
        issuer: String,
        /// The `kid`, as unverified as the rest: at most [`crate::KEY_ID_BYTES_MAX`] bytes.
        kid: String,
    },
    /// `iss` is missing, not a text, or no trusted issuer's URL byte for byte.
    #[error("the token's issuer is not trusted")]
    UnknownIssuer,
    /// The signature does not hold.
    #[error("the token's signature does not hold")]
    Signature,
    /// `exp` is missing, or `exp`, `nbf` or `iat` is not an unsigned integer of 64 bits.
    #[error("a time of the token is malformed")]
    Time,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It lives longer than the issuer's `lifetime_ms_max`.
    #[error("the token lives too long")]
    Lifetime,
    /// `aud` is missing, malformed, or for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// `sub` is not a text of 1 to 255 bytes without control characters.
    #[error("the token's subject is malformed")]
    Subject,
    /// The issuer's `user_claim` is not a text of 1 to 255 bytes without control characters.
    #[error("the token's user claim is missing or malformed")]
    User,
    /// The issuer's `user_claim` is `email`, and `email_verified` is not true.
    #[error("the token's e-mail address is not verified")]
    EmailUnverified,
    /// The groups claim is neither a text nor an array of texts, or lies in something else than an
    /// object.
    #[error("the token's groups are malformed")]
    Groups,
    /// More than [`crate::GROUPS_MAX`] groups, or the token only says where to ask for them.
    #[error("the token does not carry all its groups")]
    GroupsOverage,
    /// `cnf`: bound to a key whose possession this version does not check (RFC 7800).
    #[error("the token is bound to a key that is not checked")]
    SenderConstrained,
    /// `authorization_details` is not an array of typed objects, or one of type `penstock_access`
    /// is malformed (RFC 9396).
    #[error("the token's authorization details are malformed")]
    AuthorizationDetails,
}

impl TokenError {
    /// A short constant for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Shape => "shape",
            Self::Encoding => "encoding",
            Self::Header => "header",
            Self::Claims => "claims",
            Self::DuplicateMember => "duplicate_member",
            Self::Extension => "extension",
            Self::Algorithm => "algorithm",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::TokenType => "token_type",
            Self::KeyId => "key_id",
            Self::KeyIdMissing => "key_id_missing",
            Self::UnknownKey { .. } => "unknown_key",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Signature => "signature",
            Self::Time => "time",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Lifetime => "lifetime",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::User => "user",
            Self::EmailUnverified => "email_unverified",
            Self::Groups => "groups",
            Self::GroupsOverage => "groups_overage",
            Self::SenderConstrained => "sender_constrained",
            Self::AuthorizationDetails => "authorization_details",
        }
    }
}
