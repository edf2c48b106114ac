//! The instrumentation middleware: `observe` wraps every row of the event table, every handshake and
//! every disconnect. Outermost to innermost: span, in-flight gauge, timer, panic barrier.
//!
//! An outcome and its code are computed once, by the caller of [`Observation::finish`], and used here as
//! label, span attribute and log field.

use super::{
    Metrics, Telemetry, facts,
    metrics::{FlowOutcome, Stage, Transport, as_f64},
    panics::Barrier,
    traces::{self, milliseconds, span},
};
use crate::event::{
    Code, Device, EventName, Fact, Failure, Outcome, Rejection, SpanId, TraceContext, TraceId,
};
use prometheus::IntGauge;
use std::{pin::pin, sync::OnceLock, time::Instant};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What is said of a client in logs and spans: nothing that could identify a person.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its device, once known.
    pub device: Option<Device>,
    /// How it is connected.
    pub transport: Transport,
    /// The span of its handshake, if that was recorded: events link to it.
    pub connection: Option<(TraceId, SpanId)>,
}

impl Subject {
    /// The role as a label.
    pub fn role(self) -> &'static str {
        self.device.map_or("unknown", Device::as_str)
    }
}

/// How an event ended.
#[derive(Debug)]
pub struct Ending<'a> {
    /// The code of a refusal or failure.
    pub rejection: Option<&'a Rejection>,
    /// What happened.
    pub facts: &'a [Fact],
}

/// One event being handled.
#[derive(Debug)]
pub struct Observation<'t> {
    telemetry: &'t Telemetry,
    event: EventName,
    subject: Subject,
    /// The trace it belongs to.
    pub trace: TraceContext,
    arrived: Instant,
    started: Instant,
    span: Span,
    in_flight: Option<InFlight>,
    delivered: OnceLock<Instant>,
}

#[derive(Debug)]
struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Telemetry {
    /// Begins to observe one event that `arrived` then and has its turn since `started`. `bytes` is the
    /// size of its payload.
    pub fn observe(
        &self,
        event: EventName,
        subject: Subject,
        traceparent: Option<&str>,
        (arrived, started): (Instant, Instant),
        bytes: usize,
    ) -> Observation<'_> {
        let trace = self.traces.begin(traceparent);
        let span = if trace.sampled {
            let span = span!(
                parent: None,
                "process",
                otel.name = format!("process {}", event.as_str()),
                otel.kind = "consumer",
                messaging.system = "socketio",
                messaging.operation.name = "process",
                messaging.destination.name = event.as_str(),
                signalbox.flow.code = trace.trace.flow_code(),
                signalbox.role = subject.role(),
                signalbox.transport = subject.transport.as_str(),
            );
            if let Some((trace, id)) = subject.connection {
                traces::link(&span, trace, id);
            }
            traces::start_root(&span, &trace);
            span
        } else {
            Span::none()
        };
        let in_flight = (event == EventName::ScanOrder).then(|| {
            self.metrics.scans_in_flight.inc();
            InFlight(self.metrics.scans_in_flight.clone())
        });
        self.metrics.payload_in.observe(as_f64(bytes));
        Observation {
            telemetry: self,
            event,
            subject,
            trace,
            arrived,
            started,
            span,
            in_flight,
            delivered: OnceLock::new(),
        }
    }
}

impl Telemetry {
    /// A failure of ours outside an event: one count, one ERROR line. Returns its error id.
    pub fn failed(&self, failure: &Failure) -> String {
        let error_id = format!("{:016x}", rand::random::<u64>());
        self.metrics.error(failure.component, failure.kind);
        tracing::error!(
            target: "signalbox::http",
            outcome = Outcome::Failed.as_str(),
            code = Code::Internal.as_str(),
            component = failure.component.as_str(),
            kind = failure.kind.as_str(),
            detail = &*failure.detail,
            error_id = error_id.as_str(),
            "A request failed."
        );
        error_id
    }
}

impl Observation<'_> {
    /// Runs one step inside a span of its name.
    pub fn stage<T>(&self, stage: Stage, step: impl FnOnce() -> T) -> T {
        let (began, span) = self.begin_stage(stage);
        let output = step();
        self.end_stage(stage, began, span);
        output
    }

    /// The same for a step that may wait.
    pub async fn stage_async<T>(&self, stage: Stage, step: impl Future<Output = T>) -> T {
        let (began, span) = self.begin_stage(stage);
        let output = step.await;
        self.end_stage(stage, began, span);
        output
    }

    /// Runs a whole turn behind the panic barrier.
    ///
    /// # Errors
    ///
    /// The panic.
    pub async fn contain<T>(&self, turn: impl Future<Output = T>) -> Result<T, Failure> {
        Barrier(pin!(turn)).await
    }

    fn begin_stage(&self, stage: Stage) -> (Instant, Span) {
        let span = if !self.trace.sampled {
            Span::none()
        } else if stage == Stage::Deliver {
            let span = span!(
                parent: &self.span,
                "send",
                otel.name = self.sending(),
                otel.kind = "producer",
                messaging.system = "socketio",
                messaging.operation.name = "send",
            );
            traces::start(&span, self.trace.trace, self.trace.send);
            span
        } else {
            let span = span!(parent: &self.span, "stage", otel.name = stage.as_str());
            let _ = span.context();
            span
        };
        (Instant::now(), span)
    }

    /// The name of the sending span: what is sent, where that is one thing.
    fn sending(&self) -> &'static str {
        match self.event {
            EventName::ScanOrder => "send navigate",
            EventName::Offer => "send offer",
            EventName::Answer => "send answer",
            EventName::IceCandidate => "send ice-candidate",
            _ => "send",
        }
    }

    fn end_stage(&self, stage: Stage, began: Instant, span: Span) {
        drop(span);
        if self.event != EventName::ScanOrder {
            return;
        }
        let now = Instant::now();
        if stage == Stage::Deliver {
            let _ = self.delivered.set(now);
        }
        self.stage_time(stage, now - began);
    }

    fn stage_time(&self, stage: Stage, took: std::time::Duration) {
        if let Some(histogram) = self.telemetry.metrics.stages.get(stage as usize) {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// Counts, logs and closes the span. Returns the error id of a failure, by which the client's
    /// complaint, the log line, the trace and the report find each other.
    pub fn finish(mut self, ending: &Ending<'_>) -> Option<String> {
        let metrics = &self.telemetry.metrics;
        let took = self.started.elapsed();
        let (outcome, code) = match ending.rejection {
            None => (Outcome::Ok, None),
            Some(Rejection::Refused(refusal)) => (Outcome::Refused, Some(refusal.code)),
            Some(Rejection::Failed(_)) => (Outcome::Failed, Some(Code::Internal)),
        };
        let index = self.event.index();
        if let Some(by_outcome) = metrics.received.get(index)
            && let Some(counter) = by_outcome.get(outcome as usize)
        {
            counter.inc();
        }
        if let Some(histogram) = metrics.handle_seconds.get(index) {
            histogram.observe(took.as_secs_f64());
        }
        let error_id = match ending.rejection {
            Some(Rejection::Failed(failure)) => Some(self.report(failure)),
            _ => None,
        };
        metrics.signal(self.event, outcome);
        for fact in ending.facts {
            facts::note(fact, &self);
        }
        if self.event == EventName::ScanOrder {
            self.complete_flow(outcome, code, ending.facts, error_id.as_deref());
        } else if outcome == Outcome::Refused {
            tracing::debug!(
                target: "signalbox::event",
                event = self.event.as_str(),
                outcome = outcome.as_str(),
                code = code.map(Code::as_str),
                trace_id = %self.trace.trace,
                role = self.subject.role(),
                transport = self.subject.transport.as_str(),
                duration_ms = milliseconds(took),
                "An event was refused."
            );
        }
        if self.trace.sampled {
            self.span
                .set_attribute("signalbox.outcome", outcome.as_str());
            if let Some(code) = code {
                self.span.set_attribute("error.type", code.as_str());
            }
            if outcome == Outcome::Failed {
                self.span
                    .set_status(opentelemetry::trace::Status::error("failed"));
            }
        }
        self.in_flight = None;
        error_id
    }

    /// The one ERROR line of a failure, which Sentry makes its one event of.
    fn report(&self, failure: &Failure) -> String {
        let error_id = format!("{:016x}", rand::random::<u64>());
        let Failure {
            component,
            kind,
            detail,
        } = failure;
        self.telemetry.metrics.error(*component, *kind);
        if *kind == crate::event::FailureKind::Panic && detail.ends_with("withheld") {
            self.telemetry.metrics.redactions.inc();
        }
        tracing::error!(
            target: "signalbox::event",
            event = self.event.as_str(),
            outcome = Outcome::Failed.as_str(),
            code = Code::Internal.as_str(),
            component = component.as_str(),
            kind = kind.as_str(),
            detail = &**detail,
            error_id = error_id.as_str(),
            trace_id = %self.trace.trace,
            span_id = %self.trace.process,
            flow = self.trace.trace.flow_code(),
            role = self.subject.role(),
            transport = self.subject.transport.as_str(),
            "An event failed."
        );
        error_id
    }

    /// The one line of a scan, and its counters.
    fn complete_flow(
        &self,
        outcome: Outcome,
        code: Option<Code>,
        facts: &[Fact],
        error_id: Option<&str>,
    ) {
        let metrics = &self.telemetry.metrics;
        let relayed = facts.iter().find_map(|fact| match fact {
            Fact::ScanRelayed {
                order,
                session,
                seq,
                monitors,
            } => Some((order, session, *seq, *monitors)),
            _ => None,
        });
        let flow_outcome = match (outcome, code, relayed) {
            (Outcome::Ok, _, Some((.., 0))) => FlowOutcome::Unwatched,
            (Outcome::Ok, ..) => FlowOutcome::Sent,
            (Outcome::Refused, Some(Code::Unavailable), _) => FlowOutcome::Shed,
            (Outcome::Refused, ..) => FlowOutcome::Refused,
            (Outcome::Failed, ..) => FlowOutcome::RelayFailed,
        };
        if let Some(counter) = metrics.flows.get(flow_outcome as usize) {
            counter.inc();
        }
        self.stage_time(Stage::Queue, self.started - self.arrived);
        if let (FlowOutcome::Sent, Some(delivered)) = (flow_outcome, self.delivered.get()) {
            metrics
                .scan_to_navigate
                .observe(*delivered - self.arrived, self.exemplar());
        }
        tracing::info!(
            target: "signalbox::flow",
            event = self.event.as_str(),
            outcome = flow_outcome.as_str(),
            code = code.map(Code::as_str),
            trace_id = %self.trace.trace,
            span_id = %self.trace.process,
            flow = self.trace.trace.flow_code(),
            sampled = self.trace.sampled,
            role = self.subject.role(),
            transport = self.subject.transport.as_str(),
            duration_ms = milliseconds(self.arrived.elapsed()),
            session_hash = relayed.map(|(_, s, ..)| self.telemetry.hashed(s.as_str())),
            order = relayed.map(|(order, ..)| self.telemetry.order_for_logs(order)),
            seq = relayed.map(|(_, _, seq, _)| seq),
            monitors = relayed.map(|(.., monitors)| monitors),
            error_id,
            "scan flow completed"
        );
    }

    /// Only a recorded trace can be looked up, so only such a one becomes an exemplar.
    fn exemplar(&self) -> Option<TraceId> {
        self.trace.sampled.then_some(self.trace.trace)
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.telemetry.metrics
    }

    pub(super) fn subject(&self) -> Subject {
        self.subject
    }
}
