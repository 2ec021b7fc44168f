//! The digest of one request: what was approved is what is sent.
//!
//! It covers what a model server acts on, and nothing that changes from one sending to the next:
//! not the token, the time, trace ids or the client's name. Each part is written as its label and
//! its bytes with the length of both before them, so no two requests have one encoding.

use aws_lc_rs::digest::{Context, SHA256};

use crate::catalogue::Classified;

/// Length of a digest in bytes.
pub const DIGEST_BYTES: usize = 32;

/// Names of the fields that matter, in lower case and in the order in which they are digested.
///
/// How the body is to be read (`content-type`, `content-encoding`), under which version of an API
/// (`anthropic-version`, the betas), whether it is the same as an earlier one (`idempotency-key`),
/// and by which routers choose a model without reading the body.
pub const HEADERS: [&str; 8] = [
    "anthropic-beta",
    "anthropic-version",
    "content-encoding",
    "content-type",
    "idempotency-key",
    "openai-beta",
    "x-model",
    "x-model-name",
];

/// Changed with the encoding: digests of different ones never agree.
const VERSION: &[u8] = b"penstock request 1";

/// One request, as it goes up.
#[derive(Clone, Copy, Debug)]
pub struct RequestDigest<'r> {
    /// Name of the connection.
    pub connection: &'r str,
    /// Method, upper case.
    pub method: &'r str,
    /// Path below the connection and query.
    pub target: &'r [u8],
    /// Name, in any case, and value of header fields, in the order in which they stand; those that
    /// are not in [`HEADERS`] do not count.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// Operations and models.
    pub classified: &'r Classified,
    /// SHA-256 of the body.
    pub body_sha256: [u8; DIGEST_BYTES],
    /// Length of the body.
    pub body_bytes: u64,
}

impl RequestDigest<'_> {
    /// SHA-256 over all parts.
    pub fn finish(&self) -> [u8; DIGEST_BYTES] {
        let Self { connection, method, target, headers, classified, body_sha256, body_bytes } =
            self;
        let mut parts = Parts(Context::new(&SHA256));
        parts.add("version", VERSION);
        parts.add("connection", connection.as_bytes());
        parts.add("method", method.as_bytes());
        parts.add("target", target);
        for name in HEADERS {
            for (_, value) in headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name)) {
                parts.add(name, value);
            }
        }
        parts.add_classified(classified);
        parts.add("body-sha256", body_sha256);
        parts.add("body-bytes", &body_bytes.to_be_bytes());
        finished(parts.0)
    }

    /// [`Self::finish`] as hex digits.
    pub fn hex(&self) -> String {
        hex(&self.finish())
    }
}

/// Parts under the digest.
struct Parts(Context);

impl Parts {
    fn add(&mut self, label: &str, bytes: &[u8]) {
        for part in [label.as_bytes(), bytes] {
            // A length fits 64 bits on every machine that this runs on.
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            self.0.update(&length.to_be_bytes());
            self.0.update(part);
        }
    }

    fn add_classified(&mut self, classified: &Classified) {
        // Risks and spellings follow from the rest and the catalogue.
        let Classified { operations, model, other_models, unnamed_model, .. } = classified;
        for operation in operations {
            self.add("operation", operation.name().as_bytes());
        }
        if let Some(model) = model {
            self.add("model", model.as_bytes());
        }
        for model in other_models {
            self.add("other-model", model.as_bytes());
        }
        self.add("unnamed-model", &[u8::from(*unnamed_model)]);
    }
}

/// SHA-256 of bytes: a body that is there as a whole.
pub fn sha256(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finished(context)
}

fn finished(context: Context) -> [u8; DIGEST_BYTES] {
    let mut out = [0; DIGEST_BYTES];
    // SHA-256 has as many bytes.
    out.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
