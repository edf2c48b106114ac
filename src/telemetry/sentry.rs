//! Error reports. Every ERROR line of ours becomes one event, so that one failure is one report.

use super::Metrics;
use crate::settings::Settings;
use prometheus::IntCounter;
use sentry::{
    ClientInitGuard, ClientOptions, Level as SentryLevel,
    integrations::tracing::ErrorLayer,
    protocol::{Context, Event},
};
use std::time::Duration;
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Fields of an ERROR line that become searchable tags.
const TAGS: [&str; 8] = [
    "error_id",
    "trace_id",
    "flow",
    "event",
    "outcome",
    "code",
    "component",
    "kind",
];

/// The connection to Sentry.
pub(super) struct Reporter(ClientInitGuard);

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}

impl Reporter {
    pub(super) fn start(settings: &Settings, metrics: &Metrics) -> Option<Self> {
        let dsn = settings.telemetry.sentry_dsn.as_ref()?.parse().ok()?;
        let events = metrics.sentry_events.clone();
        let environment = if settings.server.production() {
            "production"
        } else {
            "development"
        };
        let mut options = ClientOptions::new()
            .release(concat!("signalbox@", env!("CARGO_PKG_VERSION")))
            .environment(environment)
            .server_name(settings.telemetry.node.clone())
            .send_default_pii(false)
            .attach_stacktrace(false)
            .max_breadcrumbs(0)
            // The default integrations report panics by themselves: a contained one would be told twice.
            .default_integrations(false)
            .before_send(move |event| scrub(event, &events));
        options.dsn = Some(dsn);
        Some(Self(sentry::init(options)))
    }

    pub(super) fn shutdown(self, limit: Duration) {
        self.0.close(Some(limit));
    }
}

pub(super) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    ErrorLayer::new().with_filter(filter_fn(|meta| {
        meta.is_event() && *meta.level() == Level::ERROR && meta.target().starts_with("signalbox")
    }))
}

/// Keeps the constant message, our tags and the place in our code. Everything else goes: a report
/// leaves the house.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature is Sentry's: None would drop the event"
)]
fn scrub(mut event: Event<'static>, events: &IntCounter) -> Option<Event<'static>> {
    events.inc();
    event.level = SentryLevel::Error;
    let mut kept = std::collections::BTreeMap::new();
    if let Some(Context::Other(fields)) = event.contexts.remove("Rust Tracing Fields") {
        for (name, value) in fields {
            let Some(text) = value.as_str() else { continue };
            if TAGS.contains(&name.as_str()) {
                event.tags.insert(name, text.to_owned());
            } else if name == "detail" {
                kept.insert(name, value);
            }
        }
    }
    event
        .contexts
        .retain(|name, _| name == "Rust Tracing Location");
    event
        .contexts
        .insert("failure".into(), Context::Other(kept));
    event.request = None;
    event.user = None;
    event.breadcrumbs = sentry::protocol::Values::new();
    event.extra.clear();
    Some(event)
}
