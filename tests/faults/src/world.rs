//! A node, its scripted control plane, and an issuer whose tokens it takes.

use penstock_harness::{Response, SigningAlgorithm, TestIssuer, documents, requests};

use crate::{ControlPlane, Node};

/// URL of the issuer; nobody listens there, nobody asks.
const ISSUER: &str = "https://id.example.com";

/// All of it.
pub struct World {
    /// The node. It ends first.
    pub node: Node,
    /// Its control plane.
    pub control: ControlPlane,
    /// Signs tokens.
    pub issuer: TestIssuer,
}

impl World {
    /// A connection `m` in front of that model server, open to engineers.
    #[must_use]
    #[track_caller]
    pub fn start(endpoint: &str) -> Self {
        Self::start_with(&usual(endpoint), "")
    }

    /// Documents and further lines of settings of the test's own.
    #[must_use]
    #[track_caller]
    pub fn start_with(documents: &str, settings: &str) -> Self {
        let issuer = TestIssuer::new(ISSUER, "k1", SigningAlgorithm::Ed25519);
        let control = ControlPlane::start(documents, &issuer);
        let node = Node::start(&control, settings);
        Self { node, control, issuer }
    }

    /// A token of an engineer.
    #[must_use]
    #[track_caller]
    pub fn token(&self) -> String {
        self.issuer.token("ada").groups(&["engineers"]).sign()
    }

    /// A chat on a connection of its own.
    #[track_caller]
    pub fn chat(&self) -> Response {
        self.node.ask(&requests::chat(&self.token()))
    }

    /// Puts documents in force and waits until the node enforces them.
    #[track_caller]
    pub fn publish(&self, documents: &str) {
        self.control.publish(documents, &self.issuer);
        self.node.expect_version(self.control.version());
    }
}

/// The issuer's document.
#[must_use]
pub fn issuer_document() -> String {
    format!(
        "kind: issuer\nname: company\nissuer: {ISSUER}\naudiences: [penstock]\n\
         groups_claim: groups\n---\n"
    )
}

/// The issuer, a connection `m`, and a rule that lets engineers infer and list.
#[must_use]
pub fn usual(endpoint: &str) -> String {
    issuer_document() + &documents::usual(endpoint)
}

/// The `code` of an answer that the gateway itself gives.
#[must_use]
#[track_caller]
pub fn code(response: &Response) -> String {
    let body = response.json();
    let code = body["error"]["code"].as_str();
    code.unwrap_or_else(|| panic!("no code: {}", response.text())).to_owned()
}
