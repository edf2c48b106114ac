//! The flow explorer: what the flight recorder kept, for developers and on-call engineers.

use super::{
    ApiError, Http,
    error::{ErrorBody, LimitErrors},
    extract::{Asked, FlowOf},
};
use crate::{
    clock,
    event::{Code, EventName, Outcome, Text, TraceId},
    telemetry::{Flow, FlowOutcome, Flows, Holding, Usual, Wanted},
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Arc, atomic::Ordering},
};
use utoipa::{IntoParams, ToSchema};

/// Flows in one answer, unless asked for otherwise, and at most.
const PAGE: u32 = 100;
const PAGE_MOST: u32 = 500;
/// The summary looks back so far.
const RECENT_SECONDS: u64 = 300;
/// A flow is also called slow where it took so many times as long as usual.
const TIMES: u32 = 2;
/// And at least so long: below it, people do not notice.
const LEAST_US: u32 = 5_000;

/// Which flows to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only those that ended so.
    #[param(inline)]
    outcome: Option<OutcomeName>,
    /// Only this event, by its name on the wire.
    #[param(example = "scanOrder")]
    event: Option<String>,
    /// Only those that took at least so many milliseconds.
    #[param(minimum = 0, maximum = 1e9)]
    min_ms: Option<f64>,
    /// Only those of this order number, or of this hash of one.
    order: Option<String>,
    /// Only those of this scan session, or of this hash of one.
    session: Option<String>,
    /// Only those that arrived later than this, in ms since 1970.
    #[param(minimum = 0, maximum = 1e15)]
    since: Option<f64>,
    /// At most so many; more than 500 are cut to that.
    #[param(value_type = Option<usize>, maximum = 4_294_967_295_u32, default = 100)]
    limit: Option<u32>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OutcomeName {
    Ok,
    Refused,
    Failed,
}

impl From<OutcomeName> for Outcome {
    fn from(name: OutcomeName) -> Self {
        match name {
            OutcomeName::Ok => Self::Ok,
            OutcomeName::Refused => Self::Refused,
            OutcomeName::Failed => Self::Failed,
        }
    }
}

/// How much the recorder holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RecorderState {
    flows: usize,
    bytes: usize,
    limit_bytes: usize,
    /// How far back scans are kept.
    reach_seconds: u64,
}

/// The last run of the synthetic phone and monitor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CanaryState {
    result: Option<&'static str>,
    seconds_ago: Option<f64>,
    /// From its scan to its monitor.
    ms: Option<f64>,
}

/// This node at a glance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NodeHealth {
    ready: bool,
    degraded: bool,
    uptime_seconds: u64,
    connections: usize,
    sessions: usize,
    paired: usize,
    store_up: bool,
    canary: CanaryState,
    runtime_busy: f64,
}

/// The users' scans of the last minutes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Summary {
    seconds: u64,
    scans: usize,
    ok: usize,
    refused: usize,
    failed: usize,
    p50_ms: f64,
    p99_ms: f64,
}

/// Where to look further, if that is set.
#[derive(Clone, Serialize, ToSchema)]
struct Links {
    /// A trace, with `{traceId}` in it.
    trace: Option<String>,
    dashboard: Option<String>,
}

/// The step that took longest.
#[derive(Serialize, ToSchema)]
struct Slowest {
    hop: &'static str,
    ms: f64,
}

/// One event that was handled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FlowLine {
    /// The short code that is read out.
    #[schema(example = "K7-QX4M")]
    flow: String,
    trace_id: String,
    /// When it arrived, in ms since 1970.
    at: f64,
    event: &'static str,
    /// `ok`, `refused` or `failed`.
    outcome: &'static str,
    /// Of a scan: `sent`, `queued`, `duplicate`, `refused`, `relay_failed`, `storage_failed` or `shed`.
    result: Option<&'static str>,
    code: Option<&'static str>,
    error_id: Option<String>,
    role: &'static str,
    transport: &'static str,
    /// From its arrival to its answer.
    total_ms: f64,
    /// Why it is kept: `failed`, `slow`, `canary`, `refused` or `recent`.
    kept: &'static str,
    /// The hash of the order number, as in the log.
    order: Option<String>,
    /// The hash of the session, as in the log.
    session: Option<String>,
    seq: Option<u64>,
    /// How many monitors it was sent to.
    monitors: Option<u16>,
    /// Its trace was exported.
    sampled: bool,
    slowest: Slowest,
}

/// The newest flows, and this node at a glance.
#[derive(Serialize, ToSchema)]
pub(super) struct FlowList {
    node: String,
    version: &'static str,
    /// In ms since 1970.
    now: u64,
    recorder: RecorderState,
    health: NodeHealth,
    summary: Summary,
    links: Links,
    flows: Vec<FlowLine>,
}

/// One step inside the server.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HopLine {
    /// `queue`, `guard`, `decide`, `persist`, `deliver` or `answer`.
    name: &'static str,
    /// After the event arrived.
    start_ms: f64,
    ms: f64,
    /// Of good flows of the same event.
    median_ms: Option<f64>,
    /// It is the one that made the flow slow.
    slow: bool,
}

/// One flow with everything that is known of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FlowDetail {
    #[serde(flatten)]
    line: FlowLine,
    hops: Vec<HopLine>,
    /// The step that made it slow, if it was.
    slow_hop: Option<&'static str>,
    median_total_ms: Option<f64>,
    /// So many flows say what is usual.
    compared_with: usize,
    /// Its log lines, as they were written.
    #[schema(value_type = Vec<Object>)]
    logs: Vec<Box<RawValue>>,
}

/// Every flow under one code or id.
#[derive(Serialize, ToSchema)]
pub(super) struct FlowDetails {
    node: String,
    version: &'static str,
    links: Links,
    flows: Vec<FlowDetail>,
}

/// The newest flows first.
#[utoipa::path(get, path = "/api/flows", tag = "operations", params(Filter), security((), ("operator" = []), ("bearer" = [])),
    responses((status = 200, body = FlowList, description = "The newest flows, and the node at a glance",
            links(("newest" = (operation_id = "flow", parameters(("id" = "$response.body#/flows/0/flow")))))),
        (status = 400, body = ErrorBody, description = "VALIDATION_ERROR: a parameter is not as described"),
        (status = 401, body = ErrorBody, description = "AUTH_ERROR: an admin token is needed"), LimitErrors))]
pub(super) async fn flows(
    State(http): State<Arc<Http>>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<FlowList>, ApiError> {
    let now = clock::now().unix_ms;
    let telemetry = &http.telemetry;
    let mut wanted = Wanted {
        outcome: filter.outcome.map(Into::into),
        event: None,
        least_us: microseconds(&http, "min_ms", filter.min_ms, 1e9)?,
        order: filter.order.map(|order| hashes(&http, &order)),
        session: filter.session.map(|session| hashes(&http, &session)),
        since_us: microseconds(&http, "since", filter.since, 1e15)?,
        limit: filter.limit.unwrap_or(PAGE).min(PAGE_MOST) as usize,
    };
    if let Some(name) = filter.event {
        let known = EventName::ALL.iter().find(|e| e.as_str() == name);
        // What no table knows, nobody has sent.
        wanted.limit = known.map_or(0, |_| wanted.limit);
        wanted.event = known.copied();
    }
    let holding = telemetry.flows.holding();
    let kept = holding.flows.iter().sum();
    let [_, oldest_scan, _] = holding.oldest_us;
    let recently = telemetry
        .flows
        .recently(now.saturating_sub(RECENT_SECONDS * 1000) * 1000);
    let [ok, refused, failed] = recently.outcomes;
    let found = telemetry.flows.list(&wanted);
    Ok(Json(FlowList {
        node: http.settings.telemetry.node.clone(),
        version: env!("CARGO_PKG_VERSION"),
        now,
        recorder: RecorderState {
            flows: kept,
            bytes: Holding::bytes(kept),
            limit_bytes: Flows::LIMIT_BYTES,
            reach_seconds: oldest_scan.map_or(0, |at| now.saturating_sub(at / 1000) / 1000),
        },
        health: health(&http),
        summary: Summary {
            seconds: RECENT_SECONDS,
            scans: ok + refused + failed,
            ok,
            refused,
            failed,
            p50_ms: ms(recently.p50_us),
            p99_ms: ms(recently.p99_us),
        },
        links: links(&http),
        flows: found.iter().map(FlowLine::of).collect(),
    }))
}

/// One flow, by its code, trace id or error id.
#[utoipa::path(get, path = "/api/flows/{id}", tag = "operations", params(FlowOf), security((), ("operator" = []), ("bearer" = [])),
    responses((status = 200, body = FlowDetails, description = "Its steps, what is usual, and its log lines"),
        (status = 400, body = ErrorBody, description = "VALIDATION_ERROR: neither a flow code nor a trace or error id"),
        (status = 401, body = ErrorBody, description = "AUTH_ERROR: an admin token is needed"),
        (status = 404, body = ErrorBody, description = "NOT_FOUND: it is not or no longer kept on this node"), LimitErrors))]
pub(super) async fn flow(
    State(http): State<Arc<Http>>,
    wanted: FlowOf,
) -> Result<Json<FlowDetails>, ApiError> {
    let found = http.telemetry.flows.find(wanted.id);
    if found.is_empty() {
        return Err(ApiError::new(&http, Code::NotFound, Text::UnknownFlow));
    }
    let mut flows = Vec::new();
    // Flows of one trace have their log lines in common, flows of one event what is usual.
    let mut read: Option<TraceId> = None;
    let mut known = HashMap::new();
    for flow in found {
        let logs = if read.replace(flow.trace) == Some(flow.trace) {
            Vec::new()
        } else {
            log_lines(&http, flow).await
        };
        let usual = known
            .entry(flow.event)
            .or_insert_with_key(|event| http.telemetry.flows.usual(*event));
        flows.push(detail(&flow, usual, logs));
    }
    Ok(Json(FlowDetails {
        node: http.settings.telemetry.node.clone(),
        version: env!("CARGO_PKG_VERSION"),
        links: links(&http),
        flows,
    }))
}

async fn log_lines(http: &Arc<Http>, flow: Flow) -> Vec<Box<RawValue>> {
    let telemetry = http.telemetry.clone();
    let read = tokio::task::spawn_blocking(move || {
        let from = flow.arrived_us / 1000;
        telemetry.lines_of(flow.trace, from, from + u64::from(flow.total_us) / 1000)
    });
    let lines = read.await.unwrap_or_default().into_iter();
    lines
        .filter_map(|line| RawValue::from_string(line).ok())
        .collect()
}

fn detail(flow: &Flow, usual: &Usual, logs: Vec<Box<RawValue>>) -> FlowDetail {
    let median = |name| {
        let known = usual.steps.iter().find(|(step, _)| *step == name);
        known.map(|(_, us)| *us)
    };
    let unusual = usual.flows > 0 && flow.total_us >= usual.total_us.saturating_mul(TIMES);
    let slow = flow.is_slow() || (unusual && flow.total_us >= LEAST_US);
    let over = |(name, took): (&'static str, u32)| took.saturating_sub(median(name).unwrap_or(0));
    let slowest = flow.steps().map(|(name, hop)| (name, hop.took_us));
    let slow_hop = slowest
        .max_by_key(|step| over(*step))
        .map(|(name, _)| name)
        .filter(|_| slow);
    FlowDetail {
        line: FlowLine::of(flow),
        hops: flow
            .steps()
            .map(|(name, hop)| HopLine {
                name,
                start_ms: ms(hop.start_us),
                ms: ms(hop.took_us),
                median_ms: median(name).map(ms),
                slow: slow_hop == Some(name),
            })
            .collect(),
        slow_hop,
        median_total_ms: (usual.flows > 0).then(|| ms(usual.total_us)),
        compared_with: usual.flows,
        logs,
    }
}

impl FlowLine {
    fn of(flow: &Flow) -> Self {
        let hex = |id: Option<NonZeroU64>| id.map(|id| format!("{id:016x}"));
        let slowest = flow.steps().max_by_key(|(_, hop)| hop.took_us);
        let (hop, took) = slowest.unwrap_or_default();
        Self {
            flow: flow.trace.flow_code(),
            trace_id: flow.trace.to_string(),
            at: milliseconds(flow.arrived_us),
            event: flow.event.as_str(),
            outcome: flow.outcome.as_str(),
            result: flow.result.map(FlowOutcome::as_str),
            code: flow.code.map(Code::as_str),
            error_id: hex(flow.error_id),
            role: flow.role.as_str(),
            transport: flow.transport.as_str(),
            total_ms: ms(flow.total_us),
            kept: flow.kept().as_str(),
            order: hex(flow.order),
            session: hex(flow.session),
            seq: (flow.seq > 0).then_some(flow.seq),
            monitors: flow.monitors,
            sampled: flow.sampled,
            slowest: Slowest {
                hop,
                ms: ms(took.took_us),
            },
        }
    }
}

fn health(http: &Http) -> NodeHealth {
    let sessions = (http.sources.sessions)();
    let up = http.store.up();
    let canary = http.telemetry.canary();
    NodeHealth {
        ready: http.ready.load(Ordering::Relaxed),
        degraded: !up,
        uptime_seconds: http.started.elapsed().as_secs(),
        connections: (http.sources.peers)(),
        sessions: sessions.total,
        paired: sessions.paired,
        store_up: up,
        canary: CanaryState {
            result: canary.map(|run| run.result.as_str()),
            seconds_ago: canary.map(|run| run.at.elapsed().as_secs_f64()),
            ms: canary.map(|run| run.took.as_secs_f64() * 1000.0),
        },
        runtime_busy: http.telemetry.busy(),
    }
}

fn links(http: &Http) -> Links {
    let settings = &http.settings.telemetry;
    let dashboard = settings.grafana_url.as_ref();
    Links {
        trace: settings.trace_url.clone(),
        dashboard: dashboard.map(|url| format!("{url}/d/signalbox-scan-flow")),
    }
}

/// Of a text; and a text that looks like a hash is taken for one as well, as flows and log lines show it.
fn hashes(http: &Http, text: &str) -> [u64; 2] {
    let hash = http.telemetry.hash(text);
    let shown = (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok());
    [hash, shown.flatten().unwrap_or(hash)]
}

fn ms(us: u32) -> f64 {
    f64::from(us) / 1000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "µs since 1970 are far below 2^53"
)]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// A time of a query.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 1e18"
)]
fn microseconds(http: &Http, name: &str, ms: Option<f64>, most: f64) -> Result<u64, ApiError> {
    let ms = ms.unwrap_or_default();
    if (0.0..=most).contains(&ms) {
        return Ok((ms * 1000.0) as u64);
    }
    let text = Text::InvalidPayload(format!("{name} is not a number from 0 to {most}"));
    Err(ApiError::new(http, Code::ValidationError, text))
}
