//! What is seen from outside: metrics, logs, traces, error reports. It knows event names, outcomes and
//! facts, never sockets.

mod answers;
mod exposition;
mod facts;
mod flows;
mod labels;
mod level;
mod logs;
mod metrics;
mod observe;
mod panics;
mod reread;
mod runtime;
mod sentry;
mod traces;

pub use answers::Answering;
pub use exposition::{Exposition, OPENMETRICS_TYPE, TEXT_TYPE};
pub use flows::{Flow, FlowId, Flows, Holding, Hop, Kept, Recently, SLOW, Usual, Wanted};
pub use labels::{
    CanaryResult, FlowOutcome, GptOutcome, HandshakeResult, HttpRoute, LimitLayer, RejectReason,
    Stage, Transport,
};
pub use level::{LogLevel, Raised};
pub use logs::Logs;
pub use metrics::{ConnectionGauge, Metrics};
pub use observe::{Arrival, Ending, Observation, Subject};
pub use runtime::statistics;
pub use traces::Traces;

use crate::{event::TraceId, settings::Settings};
use parking_lot::Mutex;
use siphasher::sip::SipHasher24;
use std::{
    hash::Hasher,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Everything that observes. One per process.
#[derive(Debug)]
pub struct Telemetry {
    /// Counters, gauges, histograms.
    pub metrics: Metrics,
    /// Spans.
    pub traces: Traces,
    /// The last events.
    pub flows: Flows,
    /// What is logged.
    pub level: LogLevel,
    log_dir: PathBuf,
    /// Scans that have arrived and are not answered yet.
    unanswered: Mutex<observe::Unanswered>,
    canary: Mutex<Option<CanaryRun>>,
    busy: Mutex<f64>,
    hasher: SipHasher24,
    plain_orders: bool,
    /// Events are not observed at all, to measure what that costs.
    off: bool,
}

/// The last run of the canary.
#[derive(Debug, Clone, Copy)]
pub struct CanaryRun {
    /// How it ended.
    pub result: CanaryResult,
    /// When.
    pub at: Instant,
    /// From its scan to its monitor.
    pub took: Duration,
}

/// Keeps the writers and exporters alive; [`TelemetryGuard::shutdown`] empties them.
#[derive(Debug)]
pub struct TelemetryGuard {
    logs: Option<Logs>,
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
        if let Some(logs) = self.logs {
            logs.shutdown();
        }
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
        let level = LogLevel::new(&wanted.log_level, metrics.log_level_raised.clone());
        let (traces, guard) = if wanted.off {
            let silent = TelemetryGuard {
                logs: None,
                sentry: None,
                traces: None,
            };
            (Traces::none(), silent)
        } else {
            let logs = Logs::open(wanted, &metrics)?;
            let sentry = sentry::Reporter::start(settings, &metrics);
            let (traces, pipeline) = Traces::start(wanted, &metrics)
                .map_err(|e| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {e}"))?;
            let spans = pipeline.as_ref().map(traces::Pipeline::layer);
            tracing_subscriber::registry()
                .with(spans)
                .with(sentry.as_ref().map(|_| sentry::layer()))
                .with(logs.layers(wanted, &level).boxed())
                .try_init()
                .map_err(|e| format!("logging: {e}"))?;
            let guard = TelemetryGuard {
                logs: Some(logs),
                sentry,
                traces: pipeline,
            };
            (traces, guard)
        };
        panics::install(metrics.panics.clone());
        metrics.set_fixed(settings.limits.sockets_max, wanted.canary_interval);
        let telemetry = Arc::new(Self {
            metrics,
            traces,
            flows: Flows::new(),
            level,
            log_dir: wanted.log_dir.clone(),
            unanswered: Mutex::default(),
            canary: Mutex::default(),
            busy: Mutex::default(),
            hasher: hasher(settings),
            plain_orders: wanted.log_order_numbers,
            off: wanted.off,
        });
        let seen = Arc::downgrade(&telemetry);
        telemetry.metrics.on_scrape(move |metrics| {
            if let Some(telemetry) = seen.upgrade() {
                metrics.set_unanswered(telemetry.unanswered());
                metrics.set_recorder(telemetry.flows.holding().rings(unix_us()));
            }
        });
        Ok((telemetry, guard))
    }

    /// What a text that must not leave the process is called outside: the same everywhere in the fleet, and
    /// no way back without the secret.
    pub fn hash(&self, text: &str) -> u64 {
        let mut hasher = self.hasher;
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    /// A run of the canary ended; `took` from its scan to its monitor.
    pub fn canary_ran(&self, result: CanaryResult, took: Duration) {
        let unix = Duration::from_micros(unix_us());
        self.metrics.canary(result, took, unix);
        let at = Instant::now();
        *self.canary.lock() = Some(CanaryRun { result, at, took });
        if result != CanaryResult::Ok {
            tracing::warn!(
                target: "signalbox::canary",
                result = result.as_str(),
                "The canary's scan did not arrive."
            );
        }
    }

    /// The last run of the canary.
    pub fn canary(&self) -> Option<CanaryRun> {
        *self.canary.lock()
    }

    /// The log lines of a flow, as they were written, oldest first. Reads files: call it off the async
    /// threads.
    pub fn lines_of(&self, trace: TraceId, from_ms: u64, to_ms: u64) -> Vec<String> {
        reread::lines_of(&self.log_dir, trace, from_ms, to_ms)
    }
}

/// Now, in µs since 1970.
fn unix_us() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or_default()
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
