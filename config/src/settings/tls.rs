//! `tls` of the data plane: what callers meet.

use super::values::path;
use super::{CertificateFiles, ClientCertificates, DataplaneTls};
use crate::reader::{Fields, Keys, Reader};

const KEYS: Keys = Keys::known(&["certificates", "client_certificates", "client_ca_file"]);

const CERTIFICATE_KEYS: Keys = Keys {
    renamed: &[("certificate_file", "chain_file")],
    ..Keys::known(&["chain_file", "key_file"])
};

const CERTIFICATES_MAX: usize = 64;

/// What `client_certificates` says.
#[derive(Clone, Copy)]
enum Wanted {
    None,
    Optional,
    Required,
}

const WANTED: &[(&str, Wanted)] =
    &[("none", Wanted::None), ("optional", Wanted::Optional), ("required", Wanted::Required)];

pub(super) fn read(value: Reader<'_>) -> Option<DataplaneTls> {
    let fields = value.mapping(&KEYS)?;
    let certificates = fields.required("certificates", certificates);
    let client_certificates = client_certificates(fields);
    Some(DataplaneTls { certificates: certificates?, client_certificates: client_certificates? })
}

fn certificates(value: Reader<'_>) -> Option<Vec<CertificateFiles>> {
    let list = value.list(1, certificate)?;
    if list.len() > CERTIFICATES_MAX {
        return value.problem(format!("more than {CERTIFICATES_MAX} certificates"), "");
    }
    Some(list)
}

fn certificate(value: Reader<'_>) -> Option<CertificateFiles> {
    let fields = value.mapping(&CERTIFICATE_KEYS)?;
    let chain_file = fields.required("chain_file", path);
    let key_file = fields.required("key_file", path);
    Some(CertificateFiles { chain_file: chain_file?, key_file: key_file? })
}

/// A certificate is worth something only where somebody is trusted to issue it; and an authority
/// without anybody asked for a certificate is a mistake that looks like safety.
fn client_certificates(fields: Fields<'_>) -> Option<ClientCertificates> {
    let wanted = fields.or("client_certificates", Wanted::None, |value| value.choice(WANTED, &[]));
    let ca_file = fields.optional("client_ca_file", path);
    match (wanted?, ca_file?) {
        (Wanted::None, None) => Some(ClientCertificates::None),
        (Wanted::Optional, Some(ca_file)) => Some(ClientCertificates::Optional { ca_file }),
        (Wanted::Required, Some(ca_file)) => Some(ClientCertificates::Required { ca_file }),
        (Wanted::None, Some(_)) => fields.problem(
            "client_ca_file",
            "an authority, and no client is asked for a certificate",
            "add `client_certificates: required` (or `optional`), or remove it",
        ),
        (Wanted::Optional | Wanted::Required, None) => fields.problem(
            "client_certificates",
            "client certificates need `client_ca_file`",
            "name the file with the authorities whose certificates are accepted, PEM",
        ),
    }
}
