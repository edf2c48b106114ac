//! What is seen from outside: metrics, logs, traces, error reports. It knows event names, outcomes and
//! facts, never sockets.

mod exposition;
mod facts;
mod logs;
mod metrics;
mod observe;
mod panics;
mod runtime;
mod sentry;
mod traces;

pub use exposition::{Exposition, OPENMETRICS_TYPE, TEXT_TYPE};
pub use logs::Logs;
pub use metrics::{
    ConnectionGauge, HandshakeResult, HttpRoute, LimitLayer, Metrics, RejectReason, Stage,
    Transport,
};
pub use observe::{Ending, Observation, Subject};
pub use runtime::statistics;
pub use traces::Traces;

use crate::settings::Settings;
use siphasher::sip::SipHasher24;
use std::{hash::Hasher, sync::Arc, time::Duration};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Everything that observes. One per process.
#[derive(Debug)]
pub struct Telemetry {
    /// Counters, gauges, histograms.
    pub metrics: Metrics,
    /// Spans.
    pub traces: Traces,
    hasher: SipHasher24,
    plain_orders: bool,
}

/// Keeps the writers and exporters alive; [`TelemetryGuard::shutdown`] empties them.
#[derive(Debug)]
pub struct TelemetryGuard {
    logs: Logs,
    sentry: Option<sentry::Reporter>,
    traces: Option<traces::Pipeline>,
}

impl TelemetryGuard {
    /// Writes out what waits, for at most `limit`. Blocks: call it off the async threads.
    pub fn shutdown(self, limit: Duration) {
        if let Some(traces) = self.traces {
            traces.shutdown(limit);
        }
        if let Some(sentry) = self.sentry {
            sentry.shutdown(limit);
        }
        self.logs.shutdown();
    }
}

impl Telemetry {
    /// Starts everything that observes and makes it the process's default.
    ///
    /// # Errors
    ///
    /// When the log directory cannot be written: one line that names the setting.
    pub fn start(settings: &Settings) -> Result<(Arc<Self>, TelemetryGuard), String> {
        let wanted = &settings.telemetry;
        let metrics = Metrics::new();
        let logs = Logs::open(wanted, &metrics)?;
        let sentry = sentry::Reporter::start(settings, &metrics);
        let (traces, pipeline) = Traces::start(wanted, &metrics)
            .map_err(|e| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {e}"))?;
        let spans = pipeline.as_ref().map(traces::Pipeline::layer);
        tracing_subscriber::registry()
            .with(spans)
            .with(sentry.as_ref().map(|_| sentry::layer()))
            .with(logs.layers(wanted).boxed())
            .try_init()
            .map_err(|e| format!("logging: {e}"))?;
        panics::install(metrics.panics.clone());
        let telemetry = Self {
            metrics,
            traces,
            hasher: hasher(settings),
            plain_orders: wanted.log_order_numbers,
        };
        let guard = TelemetryGuard {
            logs,
            sentry,
            traces: pipeline,
        };
        Ok((Arc::new(telemetry), guard))
    }

    /// A name for something that must not leave the process: the same everywhere in the fleet, and no
    /// way back without the secret.
    pub fn hashed(&self, text: &str) -> String {
        let mut hasher = self.hasher;
        hasher.write(text.as_bytes());
        format!("{:016x}", hasher.finish())
    }

    /// An order number as it may be logged.
    pub fn order_for_logs(&self, order: &str) -> String {
        if self.plain_orders {
            order.to_owned()
        } else {
            self.hashed(order)
        }
    }
}

/// Keyed with the signing secret, so that order numbers, of which there are few, cannot be guessed
/// from their hashes.
fn hasher(settings: &Settings) -> SipHasher24 {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new_with_prefix(b"signalbox names in logs");
    if let Some(secret) = settings.auth.secrets.first() {
        digest.update(secret.as_bytes());
    }
    let mut key = [0; 16];
    key.iter_mut()
        .zip(digest.finalize())
        .for_each(|(k, d)| *k = d);
    SipHasher24::new_with_key(&key)
}
