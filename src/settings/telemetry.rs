//! Logs, metrics, traces, error reports, and faults injected on purpose.

use super::{Env, Profile, SettingError};
use std::{fmt, path::PathBuf, time::Duration};

/// What the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Coloured lines for people, the default in development.
    Pretty,
    /// The same JSON lines as in the files.
    Json,
    /// Nothing, the default in production.
    Off,
}

/// Logs, metrics, traces, error reports.
#[derive(Clone)]
pub struct Telemetry {
    /// `EnvFilter` directives; libraries that trace payloads are capped whatever it says.
    pub log_level: String,
    /// Where the log files go.
    pub log_dir: PathBuf,
    /// How many daily files of each kind are kept.
    pub log_keep: usize,
    /// What the terminal shows.
    pub console: Console,
    /// Order numbers are logged as they are, not hashed.
    pub log_order_numbers: bool,
    /// OTLP/HTTP base address; traces go to `/v1/traces` under it.
    pub otlp_endpoint: Option<String>,
    /// Share of flows that are traced, 0 to 1.
    pub sample_ratio: f64,
    /// Where errors are reported.
    pub sentry_dsn: Option<String>,
    /// Bearer token for the operations endpoints.
    pub metrics_token: Option<String>,
    /// This node's name in logs and traces.
    pub node: String,
    /// How often the statistics line is written.
    pub stats_interval: Duration,
    /// How often the canary relays a scan; `None` if never.
    pub canary_interval: Option<Duration>,
    /// Where a trace is looked at, with `{traceId}` in it.
    pub trace_url: Option<String>,
    /// Where the dashboards are.
    pub grafana_url: Option<String>,
    /// Events are not observed, to measure what observing costs.
    pub off: bool,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("log_level", &self.log_level)
            .field("log_dir", &self.log_dir)
            .field("console", &self.console)
            .field("otlp_endpoint", &self.otlp_endpoint)
            .field("sample_ratio", &self.sample_ratio)
            .field("sentry", &self.sentry_dsn.is_some())
            .field("metrics_token", &self.metrics_token.is_some())
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Telemetry {
    pub(super) fn read(env: &Env, profile: Profile) -> Result<Self, SettingError> {
        let log_level = env.text("LOG_LEVEL").unwrap_or("info").to_owned();
        if log_level
            .parse::<tracing_subscriber::filter::Targets>()
            .is_err()
        {
            return Err(SettingError::new(
                "LOG_LEVEL",
                "is not a level or a list of target=level",
                "info",
            ));
        }
        let console = match env.text("LOG_CONSOLE") {
            None if profile == Profile::Development => Console::Pretty,
            None | Some("off") => Console::Off,
            Some("pretty") => Console::Pretty,
            Some("json") => Console::Json,
            Some(_) => {
                return Err(SettingError::new(
                    "LOG_CONSOLE",
                    "is not pretty, json or off",
                    "json",
                ));
            }
        };
        let sentry_dsn = env.text("SENTRY_DSN").map(str::to_owned);
        if let Some(dsn) = &sentry_dsn
            && dsn.parse::<sentry::types::Dsn>().is_err()
        {
            return Err(SettingError::new(
                "SENTRY_DSN",
                "is not a Sentry DSN",
                "https://key@sentry.example.com/1",
            ));
        }
        let node = env.text("NODE_NAME").map_or_else(host_name, str::to_owned);
        Ok(Self {
            log_level,
            log_dir: env.text("LOG_DIR").unwrap_or("logs").into(),
            log_keep: env.number("LOG_KEEP", 14, 1..=3650, "14")?,
            console,
            log_order_numbers: env.flag("LOG_ORDER_NUMBERS", false)?,
            otlp_endpoint: env.url("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")?,
            sample_ratio: env.number("TRACE_SAMPLE_RATIO", 0.1, 0.0..=1.0, "0.1")?,
            sentry_dsn,
            metrics_token: env.text("METRICS_TOKEN").map(str::to_owned),
            node,
            stats_interval: env.duration("STATS_INTERVAL", Duration::from_mins(1), "60s")?,
            canary_interval: match env.text("CANARY_INTERVAL") {
                Some("off") => None,
                _ => Some(env.duration("CANARY_INTERVAL", Duration::from_secs(30), "30s")?),
            },
            trace_url: env.url("TRACE_URL", "http://localhost:3200/trace/{traceId}")?,
            grafana_url: env.url("GRAFANA_URL", "http://localhost:3001")?,
            off: !env.flag("TELEMETRY", true)?,
        })
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "node" } else { name }.to_owned()
}
