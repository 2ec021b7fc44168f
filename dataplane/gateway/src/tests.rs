//! The whole pipeline between two in-memory byte queues.

mod answers;
mod bodies;
mod edges;
mod stage;
mod streams;
