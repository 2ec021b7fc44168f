//! The whole pipeline between two in-memory byte queues.

mod answers;
mod bodies;
mod changes;
mod costs;
mod edges;
mod faults;
mod limits;
mod pressure;
mod probes;
mod queue;
mod stage;
mod streams;
mod tls;
