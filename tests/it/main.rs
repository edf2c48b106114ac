//! The real program on a free port, seen from outside: raw sockets, receivers of traces and reports.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test may fail loudly"
)]

mod catalogue;
mod chat;
mod events;
mod flows;
mod hostile;
mod ledger;
mod limits;
mod live;
mod operations;
mod pages;
mod polling;
mod postgres;
mod scan_faults;
mod secrets;
mod slow;
mod store;
mod store_faults;
mod support;
mod telemetry;
