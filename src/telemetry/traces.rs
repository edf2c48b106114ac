//! Spans of recorded flows, by tracing-opentelemetry, exported over OTLP/HTTP.
//!
//! Whether a flow is recorded is decided here, once, before any span exists: what is not recorded costs
//! nothing. The decision is a keyed hash of the trace id, so a client can neither force nor prevent it by
//! its choice of id or flag. Ids are ours as well, so that a receiver's `traceparent` can name the sending
//! span before that span exists.

use super::{Metrics, metrics::as_f64};
use crate::event::{SpanId, TraceContext, TraceId, Traceparent};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId as OtelSpanId, TraceContextExt, TraceFlags,
        TraceId as OtelTraceId, TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SdkTracer,
        SdkTracerProvider, Span as SdkSpan, SpanData, SpanExporter, SpanProcessor,
    },
};
use prometheus::IntCounter;
use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Target of the spans that are exported; everything else is invisible to the exporter.
macro_rules! span {
    ($($fields:tt)*) => {
        tracing::info_span!(target: "signalbox::span", $($fields)*)
    };
}
pub(super) use span;

/// The instrumentation scope.
const NAME: &str = "signalbox";
/// Spans waiting for the exporter; beyond it they are dropped and counted.
const QUEUE: usize = 8192;
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
/// The default of the OpenTelemetry specification; a full batch goes out at once.
const EXPORT_EVERY: Duration = Duration::from_secs(5);

/// Decides what is recorded and names it.
#[derive(Debug)]
pub struct Traces {
    key: RandomState,
    threshold: u64,
    tracer: Option<SdkTracer>,
}

/// The export pipeline, when one is set.
#[derive(Debug)]
pub(super) struct Pipeline(SdkTracerProvider);

thread_local! {
    static NEXT: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

impl Traces {
    /// Starts the export, if an endpoint is set. Without one nothing is recorded.
    pub(super) fn start(
        settings: &crate::settings::Telemetry,
        metrics: &Metrics,
    ) -> Result<(Self, Option<Pipeline>), String> {
        let Some(endpoint) = &settings.otlp_endpoint else {
            return Ok((Self::none(), None));
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(metrics))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(EXPORT_LIMIT)
            .build()
            .map_err(|e| e.to_string())?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let batches = BatchSpanProcessor::builder(Counted {
            exporter,
            waiting: waiting.clone(),
            dropped: metrics.spans_dropped.clone(),
        })
        .with_batch_config(
            BatchConfigBuilder::default()
                .with_max_queue_size(QUEUE * 2)
                .with_max_export_batch_size(1024)
                .with_scheduled_delay(EXPORT_EVERY)
                .build(),
        )
        .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded {
                inner: batches,
                waiting,
                dropped: metrics.spans_dropped.clone(),
            })
            // Spans exist only for what is recorded: there is nothing left to decide.
            .with_sampler(Sampler::AlwaysOn)
            .with_id_generator(Ids(RandomIdGenerator::default()))
            .with_resource(
                Resource::builder()
                    .with_service_name("signalbox")
                    .with_attributes([
                        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                        KeyValue::new("service.instance.id", settings.node.clone()),
                    ])
                    .build(),
            )
            .build();
        let traces = Self {
            tracer: Some(provider.tracer(NAME)),
            ..Self::new(settings.sample_ratio)
        };
        Ok((traces, Some(Pipeline(provider))))
    }

    /// Records nothing.
    pub(super) fn none() -> Self {
        Self::new(0.0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a ratio of 0 to 1 of the largest number, and the cast saturates"
    )]
    fn new(ratio: f64) -> Self {
        Self {
            key: RandomState::new(),
            threshold: (ratio * u64::MAX as f64) as u64,
            tracer: None,
        }
    }

    /// Writes a span of something that is over, as a child of `parent`.
    pub(super) fn past(&self, parent: &Span, name: &'static str, began: Instant, ended: Instant) {
        let Some(tracer) = &self.tracer else { return };
        let (now, clock) = (Instant::now(), SystemTime::now());
        let at = |then: Instant| clock - now.saturating_duration_since(then);
        let mut span = tracer
            .span_builder(name)
            .with_start_time(at(began))
            .start_with_context(tracer, &parent.context());
        span.end_with_timestamp(at(ended));
    }

    /// The trace of one event: the client's, if it said one, else a new one.
    /// `always` records it, if anything is recorded at all.
    pub fn begin(&self, traceparent: Option<&str>, always: bool) -> TraceContext {
        let parent = traceparent.and_then(Traceparent::parse);
        let trace = parent.map_or_else(|| TraceId(random()), |p| p.trace);
        TraceContext {
            trace,
            parent: parent.map(|p| p.span),
            process: SpanId(random()),
            send: SpanId(random()),
            sampled: self.threshold > 0 && (always || self.key.hash_one(trace) <= self.threshold),
        }
    }
}

/// A random number that is not 0: the all-zero ids are invalid.
fn random<T>() -> T
where
    rand::distr::StandardUniform: rand::distr::Distribution<T>,
    T: PartialEq + Default,
{
    loop {
        let n = rand::random();
        if n != T::default() {
            return n;
        }
    }
}

/// Starts `span` now, under these ids; `parent` is in somebody else's process.
pub(super) fn start_root(span: &Span, cx: &TraceContext) {
    if let Some(parent) = cx.parent {
        let remote = SpanContext::new(
            OtelTraceId::from(cx.trace.0),
            OtelSpanId::from(parent.0),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        );
        // It fails only for a span that has started or is disabled.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
    start(span, cx.trace, cx.process);
}

/// Links `span` to a span of another trace of ours.
pub(super) fn link(span: &Span, trace: TraceId, id: SpanId) {
    span.add_link(SpanContext::new(
        OtelTraceId::from(trace.0),
        OtelSpanId::from(id.0),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    ));
}

/// Starts `span` now, with this id; its parent is a span of ours.
pub(super) fn start(span: &Span, trace: TraceId, id: SpanId) {
    NEXT.set(Some((trace, id)));
    let _ = span.context();
    NEXT.set(None);
}

/// The ids of [`start`], else random ones.
#[derive(Debug)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> OtelTraceId {
        NEXT.get().map_or_else(
            || self.0.new_trace_id(),
            |(trace, _)| OtelTraceId::from(trace.0),
        )
    }

    fn new_span_id(&self) -> OtelSpanId {
        NEXT.get().map_or_else(
            || self.0.new_span_id(),
            |(_, span)| OtelSpanId::from(span.0),
        )
    }
}

impl Pipeline {
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter_fn(|meta| meta.target() == "signalbox::span"))
    }

    /// Exports what waits, for at most `limit`.
    pub(super) fn shutdown(self, limit: Duration) {
        // What cannot be exported in time was counted as dropped by its exporter.
        let _ = self.0.shutdown_with_timeout(limit);
    }
}

/// Drops spans that the exporter is too slow for, and counts them: the SDK drops in silence.
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut SdkSpan, cx: &Context) {
        self.inner.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.inc();
        } else {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what leaves the queue, and what the collector did not take.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    dropped: IntCounter,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        if result.is_err() {
            self.dropped.inc_by(spans as u64);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// A blocking HTTP client: the batch processor has a thread of its own.
#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    results: [IntCounter; 2],
}

impl Client {
    fn new(metrics: &Metrics) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(EXPORT_LIMIT))
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            results: metrics.exports.clone(),
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = request.map(|body| body.to_vec());
        let answer = self.agent.run(request);
        let fine = answer.as_ref().is_ok_and(|a| a.status().is_success());
        let [ok, error] = &self.results;
        if fine { ok } else { error }.inc();
        let (parts, mut body) = answer?.into_parts();
        let body = body.with_config().limit(1 << 20).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

/// Milliseconds as logs and spans carry them.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    as_f64(usize::try_from(duration.as_micros()).unwrap_or(usize::MAX)) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_recorded_is_the_ratio_and_a_trace_is_always_decided_alike() {
        let traces = Traces::new(0.1);
        let sampled = (0..20_000)
            .filter(|_| traces.begin(None, false).sampled)
            .count();
        assert!((1600..2400).contains(&sampled), "{sampled}");

        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let first = traces.begin(Some(parent), false);
        assert_eq!(first.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!((0..50).all(|_| traces.begin(Some(parent), false).sampled == first.sampled));
        assert!(!Traces::new(0.0).begin(Some(parent), true).sampled);
        assert!(Traces::new(1.0).begin(Some(parent), false).sampled);
        let rare = Traces::new(1e-9);
        assert!((0..50).all(|_| rare.begin(None, true).sampled));
    }
}
