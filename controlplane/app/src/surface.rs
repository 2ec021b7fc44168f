//! Documents as JSON in the form in which people write them: it can be applied again.

use penstock_config::documents::{Document, UpstreamTls};
use serde_json::Value;

/// A document as JSON: what its YAML says, defaults included.
pub fn value(document: &Document) -> Value {
    let mut value = serde_json::to_value(document).unwrap_or_default();
    if let (Document::Connection(connection), Some(members)) = (document, value.as_object_mut()) {
        let endpoints = connection.endpoint_urls().map(Value::String).collect();
        members.insert("endpoints".to_owned(), Value::Array(endpoints));
        if connection.tls.as_ref().is_some_and(|tls| *tls == UpstreamTls::default()) {
            members.remove("tls");
        }
    }
    value
}
