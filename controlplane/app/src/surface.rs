//! Documents as JSON in the form in which people write them: it can be applied again.

use penstock_config::documents::{Document, Endpoint};
use serde_json::Value;

/// A document as JSON: what its YAML says, defaults included.
pub fn value(document: &Document) -> Value {
    let mut value = serde_json::to_value(document).unwrap_or_default();
    if let (Document::Connection(connection), Some(members)) = (document, value.as_object_mut()) {
        let endpoints = connection.endpoints.iter().map(|e| Value::String(url(e))).collect();
        members.insert("endpoints".to_owned(), Value::Array(endpoints));
    }
    value
}

fn url(endpoint: &Endpoint) -> String {
    let Endpoint { host, port, base_path } = endpoint;
    if host.contains(':') {
        format!("http://[{host}]:{port}{base_path}")
    } else {
        format!("http://{host}:{port}{base_path}")
    }
}
