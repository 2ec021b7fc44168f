//! What the journeys share: documents and requests go into the product as its users write them;
//! what callers, model servers and files hold afterwards comes out. It never looks into a plane.

pub mod catalogue;
pub mod documents;
pub mod provider;
pub mod requests;
pub mod search;
pub mod tools;
