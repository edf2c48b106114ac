//! Signalbox: a real-time Socket.IO server that can be seen into.
//!
//! ```text
//!             ┌───────────── gateway (Socket.IO) ─────────────┐
//!  client ──▶ │ handshake ▶ inbox (ordered, per socket) ▶      │
//!             │   observe( guard ▶ family.handle ) ▶ Decision  │ ──▶ outbox ──▶ clients
//!             └──────┬──────────────────┬──────────────────────┘
//!                    │                  ├─ live   (short-lived, in memory)
//!               telemetry               └─ store  (durable: SQLite │ PostgreSQL)
//! ```
//!
//! Imports point one way: main → app → gateway, http → families → guard, live, store → event → settings.
//! `telemetry` knows event names, outcomes and facts, never sockets. `tests/architecture.rs` enforces it.

pub mod accounts;
pub mod app;
pub mod assistant;
pub mod chat;
pub mod clock;
pub mod dev;
pub mod event;
pub mod explain;
pub mod gateway;
pub mod guard;
pub mod http;
mod jobs;
pub mod live;
pub mod queue;
pub mod rtc;
pub mod scan;
pub mod settings;
pub mod store;
pub mod telemetry;
