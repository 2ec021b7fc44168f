//! The fault matrix: each row that concerns what exists is a test with the row's name. The table of
//! rows stands in `rows.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod caller;
mod certificates;
mod control_plane;
mod ending;
mod identity_provider;
mod leases;
mod load;
mod machine;
mod node;
mod resources;
mod rows;
mod upstream;
mod vectors;
