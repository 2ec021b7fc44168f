//! What the journeys share: documents and requests go into the product as its users write them;
//! what callers, model servers and files hold afterwards comes out. It never looks into a plane.

pub mod catalogue;
pub mod clients;
pub mod people;
pub mod provider;
pub mod proxies;
pub mod search;
pub mod secured;
pub mod simulated;
pub mod tls;
pub mod tools;

pub use penstock_harness::{documents, requests};
