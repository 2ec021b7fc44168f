//! The development identity provider: discovery and keys on loopback. It gives no tokens: these are
//! signed offline by whoever can read the state's key.

use axum::Router;
use axum::response::Json;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::signer::Signer;

/// Serves the signer's issuer until the process ends.
pub(crate) fn serve(listener: std::net::TcpListener, signer: &Signer) -> Result<(), Failure> {
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| Failure::machine(format!("the development provider: {error}")))?;
    let router = router(signer.issuer(), signer.key_set());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

fn router(issuer: &str, keys: Value) -> Router {
    // OpenID Connect Discovery 1.0, section 3: what a relying party needs and nothing that is not
    // there.
    let discovery = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "subject_types_supported": ["public"],
        "response_types_supported": ["none"],
    });
    Router::new()
        .route("/.well-known/openid-configuration", get(async move || Json(discovery)))
        .route("/jwks", get(async move || Json(keys)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn discovery_names_the_issuer_and_leads_to_its_key() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::new(&Signer::generate().unwrap(), &issuer).unwrap();
        serve(listener, &signer).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let read = async |url: String| -> Value {
            client.get(url).send().await.unwrap().json().await.unwrap()
        };
        let discovery = read(format!("{issuer}/.well-known/openid-configuration")).await;
        assert_eq!(discovery["issuer"], issuer.as_str());
        let keys = read(discovery["jwks_uri"].as_str().unwrap().to_owned()).await;
        assert_eq!(keys["keys"][0]["kid"], signer.key_id());
    }
}
