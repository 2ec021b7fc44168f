//! The whole pipeline between two in-memory byte queues.

mod analyzed;
mod answers;
mod bodies;
mod changes;
mod committed;
mod costs;
mod credentials;
mod desk;
mod edges;
mod faults;
mod granted;
mod held;
mod held_shares;
mod hold_costs;
mod limits;
mod mask_cuts;
mod masked;
mod masked_whole;
mod pressure;
mod probes;
mod queue;
mod stage;
mod streams;
mod tls;
