//! The OpenAPI document, compared with the one in the repository.

use std::path::Path;

#[test]
fn the_openapi_document_is_the_one_in_the_repository() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document = crate::openapi_document();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == document, "openapi.json differs: `BLESS=1 cargo test -p penstock-api`");
}

#[test]
fn every_route_of_the_interface_is_in_the_openapi_document() {
    let document: serde_json::Value = serde_json::from_str(&crate::openapi_document()).unwrap();
    let routes = include_str!("../lib.rs").matches("\"/api/v1/").count();
    assert_eq!(document["paths"].as_object().unwrap().len(), routes);
}
