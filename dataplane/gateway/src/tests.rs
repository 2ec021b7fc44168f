//! The whole pipeline between two in-memory byte queues.

mod answers;
mod bodies;
mod changes;
mod edges;
mod stage;
mod streams;
