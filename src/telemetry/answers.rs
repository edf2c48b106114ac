//! Answers of the assistant: a span, a time, an outcome, tokens. Nothing of what was said.

use super::{
    Telemetry,
    labels::GptOutcome,
    traces::{self, span},
};
use crate::event::{SpanId, TraceContext, TraceId, milliseconds};
use std::time::Instant;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// One answer that is being given.
#[derive(Debug)]
pub struct Answering<'t> {
    telemetry: &'t Telemetry,
    trace: TraceId,
    span: Span,
    asked: Instant,
}

impl Telemetry {
    /// A question is being answered, which was asked in this trace.
    pub fn answering(&self, asked_in: &TraceContext, asked: Instant) -> Answering<'_> {
        self.metrics.gpt_running.inc();
        let span = if asked_in.sampled {
            let span = span!(
                parent: None,
                "answer",
                otel.name = "answer gpt",
                otel.kind = "client",
                signalbox.flow.code = asked_in.trace.flow_code(),
            );
            let below = TraceContext {
                parent: Some(asked_in.process),
                process: SpanId(rand::random_range(1..=u64::MAX)),
                ..*asked_in
            };
            traces::start_root(&span, &below);
            span
        } else {
            Span::none()
        };
        Answering {
            telemetry: self,
            trace: asked_in.trace,
            span,
            asked,
        }
    }
}

impl Answering<'_> {
    /// It is over: how, for which reason if it is none, and how many tokens question and answer had.
    pub fn finish(self, outcome: GptOutcome, reason: &'static str, [question, answer]: [u64; 2]) {
        let metrics = &self.telemetry.metrics;
        let took = self.asked.elapsed();
        metrics.gpt_ended(outcome);
        if outcome == GptOutcome::Ok {
            metrics.gpt_seconds.observe(took.as_secs_f64());
            metrics.gpt_tokens[0].inc_by(question);
            metrics.gpt_tokens[1].inc_by(answer);
        }
        self.span
            .set_attribute("signalbox.outcome", outcome.as_str());
        if outcome == GptOutcome::Failed {
            self.span.set_attribute("error.type", reason);
            tracing::warn!(
                target: "signalbox::assistant",
                trace_id = %self.trace,
                flow = self.trace.flow_code(),
                reason,
                duration_ms = milliseconds(took),
                "A question was not answered."
            );
        }
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.telemetry.metrics.gpt_running.dec();
    }
}
