//! The instrumentation middleware: `observe` wraps every row of the event table, every handshake and
//! every disconnect. Outermost to innermost: span, in-flight gauge, timer, panic barrier.
//!
//! An outcome and its code are computed once, by the caller of [`Observation::finish`], and used here as
//! label, span attribute and log field.

use super::{
    Metrics, Telemetry, facts,
    flows::{Flow, Hop},
    labels::{FlowOutcome, Stage, Transport},
    metrics::as_f64,
    panics::Barrier,
    traces::{self, milliseconds, span},
    unix_us,
};
use crate::event::{
    About, Code, Decision, EventName, Fact, Failure, Hex, Outcome, Rejection, Role, SpanId,
    TraceContext, TraceId,
};
use std::{
    num::NonZeroU64,
    pin::pin,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What is said of a client in logs and spans: nothing that could identify a person.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// What it is, once known.
    pub role: Role,
    /// How it is connected.
    pub transport: Transport,
    /// The span of its handshake, if that was recorded: events link to it.
    pub connection: Option<(TraceId, SpanId)>,
    /// It is our own canary: it is logged, traced and recorded, but counts as nobody.
    pub canary: bool,
}

/// How an event ended.
#[derive(Debug)]
pub struct Ending<'a> {
    /// The code of a refusal or failure.
    pub rejection: Option<&'a Rejection>,
    /// What happened.
    pub facts: &'a [Fact],
}

/// One event that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Which one.
    pub event: EventName,
    /// Who sent it.
    pub subject: Subject,
    /// The trace that it says it belongs to.
    pub traceparent: Option<&'a str>,
    /// What it is about.
    pub about: About<'a>,
    /// When it arrived.
    pub arrived: Instant,
    /// Since when it has its turn.
    pub started: Instant,
    /// The size of its payload.
    pub bytes: usize,
}

impl Arrival<'_> {
    /// Something that happens now, without a payload.
    pub fn now(event: EventName, subject: Subject) -> Self {
        let now = Instant::now();
        Self {
            event,
            subject,
            traceparent: None,
            about: About::default(),
            arrived: now,
            started: now,
            bytes: 0,
        }
    }
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
    in_flight: Option<InFlight<'t>>,
    order: Option<NonZeroU64>,
    plain_order: Option<Box<str>>,
    session: Option<NonZeroU64>,
    hops: [Step; Stage::ALL.len()],
    delivered: OnceLock<Instant>,
}

/// A [`Hop`] that is being measured.
#[derive(Debug, Default)]
struct Step {
    start_us: AtomicU32,
    took_us: AtomicU32,
}

impl Step {
    fn set(&self, start: Duration, took: Duration) {
        self.start_us.store(micros(start), Ordering::Relaxed);
        // What was quicker than that took place all the same.
        self.took_us.store(micros(took).max(1), Ordering::Relaxed);
    }

    fn get(&self) -> Hop {
        Hop {
            start_us: self.start_us.load(Ordering::Relaxed),
            took_us: self.took_us.load(Ordering::Relaxed),
        }
    }
}

/// An hour and more is 71 minutes.
fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// A scan that has arrived and is not answered yet.
#[derive(Debug)]
struct InFlight<'t> {
    telemetry: &'t Telemetry,
    place: usize,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.telemetry.unanswered.lock().leave(self.place);
    }
}

/// When those scans arrived. Places are used again, so that in the long run nothing is allocated.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    since: Vec<Option<Instant>>,
    free: Vec<usize>,
}

impl Unanswered {
    fn enter(&mut self, arrived: Instant) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.since.push(None);
            self.since.len() - 1
        });
        if let Some(since) = self.since.get_mut(place) {
            *since = Some(arrived);
        }
        place
    }

    fn leave(&mut self, place: usize) {
        if let Some(since) = self.since.get_mut(place) {
            *since = None;
            self.free.push(place);
        }
    }
}

impl Telemetry {
    /// Begins to observe one event.
    pub fn observe(&self, arrival: &Arrival<'_>) -> Observation<'_> {
        let &Arrival {
            event,
            subject,
            about,
            ..
        } = arrival;
        let trace = self.traces.begin(arrival.traceparent, subject.canary);
        let span = if trace.sampled {
            process_span(event, subject, &trace)
        } else {
            Span::none()
        };
        let mut seen = Observation {
            telemetry: self,
            event,
            subject,
            trace,
            arrived: arrival.arrived,
            started: arrival.started,
            span,
            in_flight: None,
            order: None,
            plain_order: None,
            session: None,
            hops: Default::default(),
            delivered: OnceLock::new(),
        };
        if self.off {
            return seen;
        }
        let hash = |text: &str| NonZeroU64::new(self.hash(text));
        seen.order = about.order.and_then(hash);
        seen.session = about.session.and_then(hash);
        if self.plain_orders {
            seen.plain_order = about.order.map(Into::into);
        }
        if event == EventName::ScanOrder {
            let place = self.unanswered.lock().enter(arrival.arrived);
            let telemetry = self;
            seen.in_flight = Some(InFlight { telemetry, place });
        }
        if seen.counted() {
            self.metrics.payload_in.observe(as_f64(arrival.bytes));
        }
        seen
    }

    /// How many scans are not answered yet, and since when the oldest.
    pub(super) fn unanswered(&self) -> (usize, Duration) {
        let unanswered = self.unanswered.lock();
        let oldest = unanswered.since.iter().flatten().min();
        let age = oldest.map(Instant::elapsed).unwrap_or_default();
        (unanswered.since.iter().flatten().count(), age)
    }
}

impl Telemetry {
    /// A failure of ours outside an event: one count, one ERROR line. Returns its error id.
    pub fn failed(&self, failure: &Failure) -> String {
        let error_id = format!("{:016x}", new_error_id());
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
    /// Whether it counts as traffic.
    fn counted(&self) -> bool {
        !self.telemetry.off && !self.subject.canary
    }

    /// Runs one step and writes a span of its name.
    pub fn stage<T>(&self, stage: Stage, step: impl FnOnce() -> T) -> T {
        if self.telemetry.off {
            return step();
        }
        let sending = (stage == Stage::Deliver && self.trace.sampled).then(|| self.sending());
        let began = Instant::now();
        let output = step();
        drop(sending);
        self.end_stage(stage, began, Instant::now());
        output
    }

    /// Runs the family's decision, and tells writing it down apart from making it.
    ///
    /// # Errors
    ///
    /// The decision's.
    pub async fn decide(
        &self,
        step: impl Future<Output = Result<Decision, Rejection>>,
    ) -> Result<Decision, Rejection> {
        if self.telemetry.off {
            return step.await;
        }
        let began = Instant::now();
        let decided = step.await;
        let persisted = decided.as_ref().ok().and_then(|d| d.persisted);
        if let Some((from, to)) = persisted {
            self.end_stage(Stage::Decide, began, from);
            self.end_stage(Stage::Persist, from, to);
        } else {
            self.end_stage(Stage::Decide, began, Instant::now());
        }
        decided
    }

    /// Runs a whole turn behind the panic barrier.
    ///
    /// # Errors
    ///
    /// The panic.
    pub async fn contain<T>(&self, turn: impl Future<Output = T>) -> Result<T, Failure> {
        Barrier(pin!(turn)).await
    }

    /// The span of sending, whose id receivers have known since before it began.
    fn sending(&self) -> Span {
        let name = match self.event {
            EventName::ScanOrder => "send navigate",
            EventName::Offer => "send offer",
            EventName::Answer => "send answer",
            EventName::IceCandidate => "send ice-candidate",
            EventName::NavigateDisplayed => "send scan:displayed",
            _ => "send",
        };
        let span = span!(
            parent: &self.span,
            "send",
            otel.name = name,
            otel.kind = "producer",
            messaging.system = "socketio",
            messaging.operation.name = "send",
        );
        traces::start(&span, self.trace.trace, self.trace.send);
        span
    }

    fn end_stage(&self, stage: Stage, began: Instant, ended: Instant) {
        if stage == Stage::Deliver {
            let _ = self.delivered.set(ended);
        } else if self.trace.sampled {
            let traces = &self.telemetry.traces;
            traces.past(&self.span, stage.as_str(), began, ended);
        }
        self.stage_time(stage, began, ended);
    }

    fn stage_time(&self, stage: Stage, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        if let Some(step) = self.hops.get(stage as usize) {
            step.set(began - self.arrived, took);
        }
        if self.event == EventName::ScanOrder
            && self.counted()
            && let Some(histogram) = self.telemetry.metrics.stages.get(stage as usize)
        {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// Counts, logs and closes the span. Returns the error id of a failure, by which the client's
    /// complaint, the log line, the trace and the report find each other.
    pub fn finish(self, ending: &Ending<'_>) -> Option<String> {
        if self.telemetry.off {
            return None;
        }
        let took = self.started.elapsed();
        self.stage_time(Stage::Queue, self.arrived, self.started);
        let (outcome, code) = match ending.rejection {
            None => (Outcome::Ok, None),
            Some(Rejection::Refused(refusal)) => (Outcome::Refused, Some(refusal.code)),
            Some(Rejection::Failed(_)) => (Outcome::Failed, Some(Code::Internal)),
        };
        let error_id = match ending.rejection {
            Some(Rejection::Failed(failure)) => {
                let id = new_error_id();
                self.report(failure, &format!("{id:016x}"));
                Some(id)
            }
            _ => None,
        };
        if self.counted() {
            self.count(outcome, code, took);
            for fact in ending.facts {
                facts::note(fact, &self);
            }
        }
        let mut flow = self.flow(outcome, code, error_id);
        if self.event == EventName::ScanOrder {
            self.complete_scan(&mut flow, ending.facts);
        } else if outcome == Outcome::Refused {
            tracing::debug!(
                target: "signalbox::event",
                event = self.event.as_str(),
                outcome = outcome.as_str(),
                code = code.map(Code::as_str),
                trace_id = %self.trace.trace,
                role = self.subject.role.as_str(),
                transport = self.subject.transport.as_str(),
                duration_ms = milliseconds(took),
                "An event was refused."
            );
        }
        self.telemetry.flows.record(flow);
        if self.trace.sampled {
            self.span
                .set_attribute("signalbox.outcome", outcome.as_str());
            if let Some(code) = code {
                self.span.set_attribute("error.type", code.as_str());
            }
            self.display(ending.facts);
            if let Some(Rejection::Failed(failure)) = ending.rejection {
                let detail = failure.detail.to_string();
                self.span
                    .set_status(opentelemetry::trace::Status::error(detail));
            }
        }
        error_id.map(|id| format!("{id:016x}"))
    }

    /// The span of a monitor that showed an order, as it said: it has no spans of its own.
    fn display(&self, facts: &[Fact]) {
        for fact in facts {
            if let Fact::ScanDisplayed {
                painted: Some(painted),
                ..
            } = fact
                && let Some(began) = self.arrived.checked_sub(*painted)
            {
                let traces = &self.telemetry.traces;
                traces.past(&self.span, "display navigate", began, self.arrived);
            }
        }
    }

    fn count(&self, outcome: Outcome, code: Option<Code>, took: Duration) {
        let metrics = &self.telemetry.metrics;
        let index = self.event.index();
        if let Some(by_outcome) = metrics.received.get(index)
            && let Some(counter) = by_outcome.get(outcome as usize)
        {
            counter.inc();
        }
        if let Some(histogram) = metrics.handle_seconds.get(index) {
            histogram.observe(took.as_secs_f64());
        }
        metrics.signal(self.event, outcome);
        metrics.seats_refused(self.event, code);
    }

    /// For the recorder.
    fn flow(&self, outcome: Outcome, code: Option<Code>, error_id: Option<u64>) -> Flow {
        let total = self.arrived.elapsed();
        let total_us = micros(total);
        Flow {
            trace: self.trace.trace,
            arrived_us: unix_us().saturating_sub(total_us.into()),
            error_id: error_id.and_then(NonZeroU64::new),
            order: self.order,
            session: self.session,
            seq: 0,
            hops: self.hops.each_ref().map(Step::get),
            total_us,
            monitors: None,
            event: self.event,
            outcome,
            result: None,
            code,
            role: self.subject.role,
            transport: self.subject.transport,
            canary: self.subject.canary,
            sampled: self.trace.sampled,
        }
    }

    /// The one ERROR line of a failure, which Sentry makes its one event of.
    fn report(&self, failure: &Failure, error_id: &str) {
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
            error_id,
            trace_id = %self.trace.trace,
            span_id = %self.trace.process,
            flow = self.trace.trace.flow_code(),
            role = self.subject.role.as_str(),
            transport = self.subject.transport.as_str(),
            "An event failed."
        );
    }

    /// The one line of a scan, its counters, and what the recorder keeps of it besides.
    fn complete_scan(&self, flow: &mut Flow, facts: &[Fact]) {
        let metrics = &self.telemetry.metrics;
        let placed = facts.iter().find_map(|fact| match fact {
            Fact::ScanRelayed { seq, monitors } => Some((*seq, Some(*monitors))),
            Fact::ScanRepeated { seq } => Some((Some(*seq), None)),
            _ => None,
        });
        let result = match (flow.outcome, flow.code, placed) {
            (Outcome::Ok, _, Some((Some(_), Some(0)))) => FlowOutcome::Queued,
            (Outcome::Ok, _, Some((None, _))) | (Outcome::Refused, Some(Code::Unavailable), _) => {
                FlowOutcome::StorageFailed
            }
            (Outcome::Ok, _, Some((_, None))) => FlowOutcome::Duplicate,
            (Outcome::Ok, ..) => FlowOutcome::Sent,
            (Outcome::Refused, ..) => FlowOutcome::Refused,
            (Outcome::Failed, ..) => FlowOutcome::RelayFailed,
        };
        let (seq, monitors) = placed.unwrap_or_default();
        flow.result = Some(result);
        flow.seq = seq.unwrap_or_default();
        flow.monitors = monitors.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        if self.counted() {
            if let Some(counter) = metrics.flows.get(result as usize) {
                counter.inc();
            }
            if let (FlowOutcome::Sent, Some(delivered)) = (result, self.delivered.get()) {
                metrics
                    .scan_to_navigate
                    .observe(*delivered - self.arrived, self.exemplar());
            }
        }
        let hex = |id: Option<NonZeroU64>| id.map(|id| Hex::<16>::new(id.get().into()));
        let (session, order) = (hex(self.session), hex(self.order));
        let order = self
            .plain_order
            .as_deref()
            .or(order.as_ref().map(Hex::as_str));
        let span = Hex::<16>::new(self.trace.process.0.into());
        tracing::info!(
            target: "signalbox::flow",
            event = self.event.as_str(),
            outcome = result.as_str(),
            code = flow.code.map(Code::as_str),
            trace_id = self.trace.trace.hex().as_str(),
            span_id = span.as_str(),
            flow = self.trace.trace.flow_code(),
            sampled = self.trace.sampled,
            canary = self.subject.canary.then_some(true),
            role = self.subject.role.as_str(),
            transport = self.subject.transport.as_str(),
            duration_ms = milliseconds(Duration::from_micros(flow.total_us.into())),
            session_hash = session.as_ref().map(Hex::as_str),
            order,
            seq,
            monitors,
            error_id = hex(flow.error_id).as_ref().map(Hex::as_str),
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

    /// Since it has its turn, in seconds.
    pub(super) fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    pub(super) fn subject(&self) -> Subject {
        self.subject
    }
}

/// The span of a recorded event.
fn process_span(event: EventName, subject: Subject, trace: &TraceContext) -> Span {
    let span = span!(
        parent: None,
        "process",
        otel.name = format!("process {}", event.as_str()),
        otel.kind = "consumer",
        messaging.system = "socketio",
        messaging.operation.name = "process",
        messaging.destination.name = event.as_str(),
        signalbox.flow.code = trace.trace.flow_code(),
        signalbox.role = subject.role.as_str(),
        signalbox.transport = subject.transport.as_str(),
        signalbox.canary = subject.canary,
    );
    if let Some((trace, id)) = subject.connection {
        traces::link(&span, trace, id);
    }
    traces::start_root(&span, trace);
    span
}

/// By which a failure is found again; 0 is none.
fn new_error_id() -> u64 {
    rand::random_range(1..=u64::MAX)
}
