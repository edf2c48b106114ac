//! Every metric, in one place. Names and help texts, with the labels of `labels.rs`, are the catalogue; help says what a rise means.
//!
//! Labels are closed enums, every combination exists from the start at 0, and children are resolved once:
//! counting on the hot path is one atomic add.

use super::{
    exposition::ExemplarStore,
    labels::{
        CanaryResult, FlowOutcome, GptOutcome, HandshakeResult, HttpRoute, KEPT, LimitLayer,
        RejectReason, Stage, Transport,
    },
};
use crate::event::{
    BlockReason, ChatResult, Code, Component, DisconnectCause, EventName, FailureKind, Outcome,
    PushName, QueueExit, RestoreResult, Role, SeatResult, StoreOp, StoreResult, TraceId,
};
use parking_lot::Mutex;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector,
};
use std::{fmt, time::Duration};

/// One value of `signalbox_connections`.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionGauge {
    /// What it is, once it is known.
    pub role: Role,
    /// How it is connected.
    pub transport: Transport,
}

const EVENT_SECONDS: [f64; 9] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0, 2.5,
];
/// Resolution around the objective of 250 ms and around the usual fraction of a millisecond.
const SCAN_SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// One at a time, some at once, as many as one transaction takes.
const BATCH_SCANS: [f64; 6] = [1.0, 4.0, 16.0, 64.0, 256.0, 500.0];
const STAGE_SECONDS: [f64; 9] = [
    0.000_01, 0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5,
];
/// A negotiation is people and networks: from a blink to giving up.
const NEGOTIATION_SECONDS: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// A look into memory, or over the network to it.
const RESTORE_SECONDS: [f64; 7] = [0.000_1, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5];
/// From a short answer to all tries of a long one.
const GPT_SECONDS: [f64; 7] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// From a blink to an evening.
const QUEUE_SECONDS: [f64; 7] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];
const SIGNALS: [EventName; 3] = [EventName::Offer, EventName::Answer, EventName::IceCandidate];
const PAYLOAD_BYTES: [f64; 8] = [
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
];
/// From the production guide of the signaling server.
const CONNECTION_SECONDS: [f64; 9] = [1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0];
/// From a commit of a file, 0.2 ms, to the time limit.
const STORE_SECONDS: [f64; 9] = [0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5];
/// Coarse: HTTP is probes and scrapes here.
const HTTP_SECONDS: [f64; 3] = [0.005, 0.05, 0.5];

/// A histogram whose buckets remember a trace each.
#[derive(Debug)]
pub(super) struct TracedHistogram {
    histogram: Histogram,
    exemplars: ExemplarStore,
}

impl TracedHistogram {
    /// Counts `value`; a recorded trace becomes the bucket's exemplar.
    pub(super) fn observe(&self, value: Duration, trace: Option<TraceId>) {
        let value = value.as_secs_f64();
        self.histogram.observe(value);
        if let Some(trace) = trace {
            self.exemplars.record(value, trace);
        }
    }
}

type Fill = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    fills: Mutex<Vec<Fill>>,
    exemplars: Vec<ExemplarStore>,

    pub(super) active_connections: IntGauge,
    pub(super) connection_seconds: Histogram,
    connections: IntGaugeVec,
    handshakes: Vec<IntCounter>,
    disconnects: Vec<IntCounter>,
    pub(super) received: Vec<[IntCounter; 3]>,
    sent: Vec<IntCounter>,
    pub(super) handle_seconds: Vec<Histogram>,
    pub(super) payload_in: Histogram,
    pub(super) payload_out: Histogram,
    /// Events refused because their socket's inbox was full.
    pub inbox_overflow: IntCounter,
    /// Sockets closed because they did not read fast enough.
    pub send_queue_full: IntCounter,
    active_rooms: IntGauge,
    pub(super) rooms_created: IntCounter,
    signals: Vec<[IntCounter; 3]>,
    pub(super) negotiation: Histogram,
    scan_sessions: [IntGauge; 2],
    pub(super) flows: Vec<IntCounter>,
    pub(super) scan_to_navigate: TracedHistogram,
    pub(super) scan_displayed: TracedHistogram,
    pub(super) scans_replayed: IntCounter,
    batch_size: Histogram,
    pub(super) stages: Vec<Histogram>,
    scans_in_flight: IntGauge,
    scan_oldest_unacked: Gauge,
    canary_runs: Vec<IntCounter>,
    canary_success: Gauge,
    canary_interval: Gauge,
    canary_duration: Gauge,
    recorder_bytes: [IntGauge; 3],
    recorder_reach: [Gauge; 3],
    pub(super) log_level_raised: IntGauge,
    connections_max: IntGauge,
    store_pool_max: IntGauge,
    /// Forged tokens, wrong names and applications of chat clients.
    pub strikes: IntCounter,
    pub(super) blocks: Vec<IntCounter>,
    blocked: IntGauge,
    pub(super) chat_messages: Vec<IntCounter>,
    gpt_requests: Vec<IntCounter>,
    /// Tries of the assistant after the first one.
    pub gpt_retries: IntCounter,
    pub(super) gpt_seconds: Histogram,
    pub(super) gpt_tokens: [IntCounter; 2],
    pub(super) gpt_running: IntGauge,
    gpt_waiting: IntGauge,
    gpt_breaker: IntGauge,
    limited: Vec<IntCounter>,
    rejected: Vec<IntCounter>,
    pub(super) log_lines: [IntCounter; 5],
    pub(super) log_lines_dropped: IntCounter,
    pub(super) exports: [IntCounter; 2],
    pub(super) spans_dropped: IntCounter,
    pub(super) sentry_events: IntCounter,
    pub(super) redactions: IntCounter,
    pub(super) panics: IntCounter,
    pub(super) runtime_busy: Gauge,
    pub(super) runtime_blocked: IntCounter,
    pub(super) runtime_queue: IntGauge,
    store_seconds: Vec<Histogram>,
    store_connections: [IntGauge; 2],
    store_up: IntGauge,
    store_waiting: IntGauge,
    store_lost: IntCounter,
    pub(super) restores: Vec<IntCounter>,
    pub(super) restore_seconds: Histogram,
    pub(super) reconnects: [IntCounter; 2],
    queue_people: [IntGauge; 3],
    pub(super) queue_admitted: IntCounter,
    pub(super) queue_left: Vec<IntCounter>,
    pub(super) queue_wait: Histogram,
    seats_held: IntGauge,
    pub(super) seat_selections: Vec<IntCounter>,
    pub(super) seats_expired: IntCounter,
    store_operations: Vec<Vec<IntCounter>>,
    http_seconds: HistogramVec,
    http_requests: IntCounterVec,
    errors: IntCounterVec,
    draining: IntGauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Registers as it makes. Two metrics of one name, or a name that Prometheus does not take, are faults of
/// this file: they end the process at start, in every test.
struct Maker(Registry);

#[expect(
    clippy::expect_used,
    reason = "the catalogue is fixed in this file; a fault in it must not start"
)]
impl Maker {
    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("metric");
        self.0
            .register(Box::new(collector.clone()))
            .expect("metric");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    fn counters<'a>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Vec<IntCounter> {
        let family = self.add(IntCounterVec::new(Opts::new(name, help), &[label]));
        let values = values.into_iter();
        values.map(|v| family.with_label_values(&[v])).collect()
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(
            HistogramOpts::new(name, help).buckets(buckets.to_vec()),
        ))
    }

    fn histograms<'a>(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        label: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Histogram> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = self.add(HistogramVec::new(opts, &[label]));
        let values = values.into_iter();
        values.map(|v| family.with_label_values(&[v])).collect()
    }
}

impl Metrics {
    /// The whole catalogue, everything at 0.
    #[expect(clippy::too_many_lines, reason = "the catalogue is one list")]
    pub fn new() -> Self {
        let make = Maker(Registry::new());
        let events = || EventName::ALL.iter().map(|e| e.as_str());

        let received = make.add(IntCounterVec::new(
            Opts::new(
                "signalbox_events_received_total",
                "Events that clients sent, by name and outcome. failed is our doing and spends error budget; refused is the client's.",
            ),
            &["event", "outcome"],
        ));
        let stages = make.histograms(
            "signalbox_scan_stage_seconds",
            "Time of a scan in each step inside the server; displayed is what monitors say that they took, from the packet to the paint. The stage that grows is the hop to look at.",
            &STAGE_SECONDS,
            "stage",
            Stage::ALL.iter().map(|s| s.as_str()).chain(["displayed"]),
        );
        let navigate = make.histograms(
            "signalbox_scan_to_navigate_seconds",
            "From the arrival of scanOrder to navigate being handed to the monitor's socket. A rise is what users feel.",
            &SCAN_SECONDS,
            "route",
            ["local"],
        );
        let exemplars = ExemplarStore::new(
            "signalbox_scan_to_navigate_seconds",
            &[("route", "local")],
            &SCAN_SECONDS,
        );
        let displayed = ExemplarStore::new("signalbox_scan_displayed_seconds", &[], &SCAN_SECONDS);
        let connections = make.add(IntGaugeVec::new(
            Opts::new(
                "signalbox_connections",
                "Connected clients by role and transport. A sudden fall is a network or server fault; polling rising means WebSockets are blocked on the way.",
            ),
            &["role", "transport"],
        ));
        for role in Role::ALL {
            for transport in Transport::ALL {
                connections.with_label_values(&[role.as_str(), transport.as_str()]);
            }
        }
        let sessions = make.add(IntGaugeVec::new(
            Opts::new(
                "signalbox_scan_sessions",
                "Scan sessions: paired have a phone and a monitor connected, waiting lack one. Waiting rising alone means devices lose their partner.",
            ),
            &["state"],
        ));
        let payloads = make.histograms(
            "signalbox_event_payload_bytes",
            "Size of event payloads. Growth towards the limits precedes PAYLOAD_TOO_LARGE refusals.",
            &PAYLOAD_BYTES,
            "direction",
            ["in", "out"],
        );
        let errors = make.add(IntCounterVec::new(
            Opts::new(
                "signalbox_errors_total",
                "Failures of ours by component and kind. Any rise deserves a look at the error log.",
            ),
            &["component", "kind"],
        ));
        for component in Component::ALL {
            for kind in FailureKind::ALL {
                errors.with_label_values(&[component.as_str(), kind.as_str()]);
            }
        }
        let http_seconds = make.add(HistogramVec::new(
            HistogramOpts::new(
                "signalbox_http_request_duration_seconds",
                "HTTP requests by route template and method. Slow probes mean a busy node.",
            )
            .buckets(HTTP_SECONDS.to_vec()),
            &["route", "method"],
        ));
        let http_requests = make.add(IntCounterVec::new(
            Opts::new(
                "signalbox_http_requests_total",
                "HTTP requests by route template, method and status class. 5xx is our fault.",
            ),
            &["route", "method", "status"],
        ));
        for route in HttpRoute::ALL {
            http_seconds.with_label_values(&[route.as_str(), route.method()]);
            for status in STATUS_CLASSES {
                http_requests.with_label_values(&[route.as_str(), route.method(), status]);
            }
        }
        let store_operations = make.add(IntCounterVec::new(
            Opts::new(
                "signalbox_store_operations_total",
                "Database operations by kind and result. Timeouts mean that it is stuck, errors that it refuses.",
            ),
            &["op", "result"],
        ));
        let reconnects = make.counters(
            "signalbox_reconnects_total",
            "Devices that came back to a scan session and said what they had seen last. gap: more was missed than is kept.",
            "result",
            ["ok", "gap"],
        );
        let pool = make.add(IntGaugeVec::new(
            Opts::new(
                "signalbox_store_pool_connections",
                "Connections to the database by state. None idle for long means operations wait for one.",
            ),
            &["state"],
        ));
        let log_lines = make.counters(
            "signalbox_log_lines_total",
            "Log lines by level. A rise of ERROR is a rise of failures.",
            "level",
            ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"],
        );
        let exports = make.add(IntCounterVec::new(
            Opts::new(
                "signalbox_telemetry_export_total",
                "Exports of telemetry by exporter and result. Errors mean that the collector is away; delivery is not affected.",
            ),
            &["exporter", "result"],
        ));
        let build = make.add(IntGaugeVec::new(
            Opts::new(
                "signalbox_build_info",
                "Always 1; the version of this node. More than one value in the fleet is a deploy in progress.",
            ),
            &["version"],
        ));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let kept = |name, help| {
            let family = make.add(IntGaugeVec::new(Opts::new(name, help), &["kept"]));
            KEPT.map(|kept| family.with_label_values(&[kept])).to_vec()
        };
        let recorder_bytes = kept(
            "signalbox_flow_recorder_bytes",
            "Memory of the flight recorder by what is kept: notable (failed, slow, canary), scans, others. It is bounded; at the bound the oldest go.",
        );
        let reach = make.add(GaugeVec::new(
            Opts::new(
                "signalbox_flow_recorder_reach_seconds",
                "Age of the oldest flow that is kept: so far back can one look. A fall means many flows push out old ones.",
            ),
            &["kept"],
        ));
        let recorder_reach = KEPT.map(|kept| reach.with_label_values(&[kept])).to_vec();
        let gpt_tokens = make.add(IntCounterVec::new(
            Opts::new(
                "signalbox_gpt_tokens_total",
                "Tokens of questions (in) and answers (out), as the endpoint counts them: what is paid for.",
            ),
            &["direction"],
        ));
        let signals = make.add(IntCounterVec::new(
            Opts::new(
                "signalbox_webrtc_signals_total",
                "Offers, answers and ICE candidates by outcome. Offers without answers mean peers cannot reach each other.",
            ),
            &["kind", "outcome"],
        ));
        let metrics = Self {
            active_connections: make.gauge(
                "signaling_active_connections",
                "Connected clients. A sudden fall is a network or server fault.",
            ),
            connection_seconds: make.histogram(
                "signaling_connection_duration_seconds",
                "How long connections lasted. Many short ones mean clients cannot stay connected.",
                &CONNECTION_SECONDS,
            ),
            connections,
            handshakes: make.counters(
                "signalbox_handshakes_total",
                "Handshakes by result. bad_token rising: expired or forged tokens; limited: a reconnect loop or an attack; error: our fault.",
                "result",
                HandshakeResult::ALL.iter().map(|r| r.as_str()),
            ),
            disconnects: make.counters(
                "signalbox_disconnects_total",
                "Ended connections by reason. ping_timeout rising points at the network, send_queue_full at slow monitors.",
                "reason",
                DisconnectCause::ALL.iter().map(|r| r.as_str()),
            ),
            received: EventName::ALL
                .iter()
                .map(|e| Outcome::ALL.map(|o| received.with_label_values(&[e.as_str(), o.as_str()])))
                .collect(),
            sent: make.counters(
                "signalbox_events_sent_total",
                "Packets handed to clients' sockets, by event.",
                "event",
                PushName::ALL.iter().map(|e| e.as_str()),
            ),
            handle_seconds: make.histograms(
                "signalbox_event_handle_duration_seconds",
                "From an event's turn to its answer. A rise of one event is its handler, of all of them the node.",
                &EVENT_SECONDS,
                "event",
                events(),
            ),
            payload_in: pick(&payloads, 0),
            payload_out: pick(&payloads, 1),
            inbox_overflow: make.counter(
                "signalbox_inbox_overflow_total",
                "Events refused because their socket's inbox was full. A rise means handlers are slower than clients.",
            ),
            send_queue_full: make.counter(
                "signalbox_send_queue_full_total",
                "Sockets disconnected because they did not read fast enough. They come back and catch up.",
            ),
            active_rooms: make.gauge(
                "signaling_active_rooms",
                "Signaling rooms that exist now. A rise without peers means rooms are not closed.",
            ),
            rooms_created: make.counter(
                "signaling_rooms_created_total",
                "Signaling rooms created. A sudden rise is a client creating rooms in a loop.",
            ),
            signals: SIGNALS
                .iter()
                .map(|e| Outcome::ALL.map(|o| signals.with_label_values(&[e.as_str(), o.as_str()])))
                .collect(),
            negotiation: make.histogram(
                "signalbox_webrtc_negotiation_seconds",
                "From when two peers are in a room to the first answer that one gives the other. A rise means peers take long to find each other.",
                &NEGOTIATION_SECONDS,
            ),
            scan_sessions: ["paired", "waiting"].map(|s| sessions.with_label_values(&[s])),
            flows: make.counters(
                "signalbox_scan_flows_total",
                "Scans by how they ended. sent is good, queued waits for a monitor, duplicate was sent again; storage_failed and relay_failed are our doing and spend error budget.",
                "outcome",
                FlowOutcome::ALL.iter().map(|o| o.as_str()),
            ),
            scan_to_navigate: TracedHistogram {
                histogram: pick(&navigate, 0),
                exemplars: exemplars.clone(),
            },
            scan_displayed: TracedHistogram {
                histogram: make.histogram(
                    "signalbox_scan_displayed_seconds",
                    "From the arrival of scanOrder to a monitor saying that the order is on its screen. Where scan_to_navigate stays low and this rises, monitors or their network are slow.",
                    &SCAN_SECONDS,
                ),
                exemplars: displayed.clone(),
            },
            scans_replayed: make.counter(
                "signalbox_scans_replayed_total",
                "Scans sent again to monitors that had missed them. A rise means monitors lose their connection, or join late.",
            ),
            batch_size: make.histogram(
                "signalbox_scan_log_batch_size",
                "Scans written into the ledger by one transaction. Growing means the disk or database is slower than the scans come in.",
                &BATCH_SCANS,
            ),
            stages,
            scans_in_flight: make.gauge(
                "signalbox_scans_in_flight",
                "Scans being handled now. Staying above 0 at rest means one hangs.",
            ),
            scan_oldest_unacked: make.add(Gauge::new(
                "signalbox_scan_oldest_unacked_seconds",
                "Age of the oldest scan that is not answered yet; 0 without one. Rising steadily means that it hangs, which no error counter shows.",
            )),
            canary_runs: make.counters(
                "signalbox_canary_runs_total",
                "Runs of the synthetic phone and monitor by result; they count in no other traffic metric. Anything but ok means users have the same trouble.",
                "result",
                CanaryResult::ALL.iter().map(|r| r.as_str()),
            ),
            canary_success: make.add(Gauge::new(
                "signalbox_canary_last_success_timestamp_seconds",
                "When the canary's scan last arrived, in seconds since 1970; 0 before the first. Standing still means scans do not arrive, also when nobody scans.",
            )),
            canary_interval: make.add(Gauge::new(
                "signalbox_canary_interval_seconds",
                "How often the canary relays a scan; 0 where it is switched off. CanaryStale waits four times as long.",
            )),
            canary_duration: make.add(Gauge::new(
                "signalbox_canary_last_duration_seconds",
                "From the canary's scan to its monitor, at the last success. A rise is what users feel.",
            )),
            recorder_bytes: [0, 1, 2].map(|i| pick(&recorder_bytes, i)),
            recorder_reach: [0, 1, 2].map(|i| pick(&recorder_reach, i)),
            log_level_raised: make.gauge(
                "signalbox_log_level_raised",
                "1 while the log level was changed at run time. It reverts by itself; a busy node logs more meanwhile.",
            ),
            connections_max: make.gauge(
                "signalbox_connections_max",
                "Connections that this node takes at most (SOCKETS_MAX). Beyond it clients are turned away.",
            ),
            store_pool_max: make.gauge(
                "signalbox_store_pool_max",
                "Connections to the database that this node opens at most.",
            ),
            strikes: make.counter(
                "signalbox_strikes_total",
                "Forged tokens, wrong names and wrong applications that chat clients came with. BLOCK_AFTER of them block their address.",
            ),
            blocks: make.counters(
                "signalbox_blocks_total",
                "Addresses that were blocked, by reason. A surge is an attack, or a release of an application with a fault.",
                "reason",
                BlockReason::ALL.iter().map(|r| r.as_str()),
            ),
            blocked: make.gauge(
                "signalbox_blocked_addresses",
                "Addresses that are blocked now; each block ends by itself after BLOCK_DURATION.",
            ),
            chat_messages: make.counters(
                "signalbox_chat_messages_total",
                "Chat messages by outcome: new, again (sent again by a client that had heard nothing), edited. Many again mean that answers are late.",
                "outcome",
                ChatResult::ALL.iter().map(|r| r.as_str()),
            ),
            gpt_requests: make.counters(
                "signalbox_gpt_requests_total",
                "Questions to the assistant by outcome. refused: too many waited or the breaker was open; failed: the endpoint let us down.",
                "outcome",
                GptOutcome::ALL.iter().map(|o| o.as_str()),
            ),
            gpt_retries: make.counter(
                "signalbox_gpt_retries_total",
                "Tries of the assistant after the first one. A rise means that its endpoint is at a limit or in trouble.",
            ),
            gpt_seconds: make.histogram(
                "signalbox_gpt_seconds",
                "From a question to its whole answer, waiting included. A rise means that the endpoint is slow, or that too many wait.",
                &GPT_SECONDS,
            ),
            gpt_tokens: ["in", "out"].map(|direction| gpt_tokens.with_label_values(&[direction])),
            gpt_running: make.gauge(
                "signalbox_gpt_running",
                "Questions that are being answered now; GPT_CONCURRENCY at most.",
            ),
            gpt_waiting: make.gauge(
                "signalbox_gpt_queue_depth",
                "Questions that wait to be answered. At GPT_QUEUE_MAX further ones are refused.",
            ),
            gpt_breaker: make.gauge(
                "signalbox_gpt_breaker_open",
                "1 while nothing is asked, because five questions in a row failed; one is let through after GPT_BREAKER_PAUSE.",
            ),
            limited: make.counters(
                "signalbox_rate_limited_total",
                "Requests over a limit, by layer. A rise is a client in a loop, or a limit that is too low.",
                "layer",
                LimitLayer::ALL.iter().map(|l| l.as_str()),
            ),
            rejected: make.counters(
                "signalbox_rejected_total",
                "What was turned away before it was an event, by reason. origin and sid rising are attacks or a wrong setting.",
                "reason",
                RejectReason::ALL.iter().map(|r| r.as_str()),
            ),
            log_lines: std::array::from_fn(|i| pick(&log_lines, i)),
            log_lines_dropped: make.counter(
                "signalbox_log_lines_dropped_total",
                "Log lines lost because the disk was slow, full or away. Above 0 the logs have holes.",
            ),
            exports: ["ok", "error"].map(|r| exports.with_label_values(&["otlp", r])),
            spans_dropped: make.counter(
                "signalbox_telemetry_dropped_total",
                "Spans lost because the export queue was full or the collector refused them. Above 0 traces have holes.",
            ),
            sentry_events: make.counter(
                "signalbox_sentry_events_total",
                "Errors handed to Sentry: one for each failure.",
            ),
            redactions: make.counter(
                "signalbox_redactions_total",
                "Texts withheld from logs and reports because they might carry a client's data.",
            ),
            panics: make.counter(
                "signalbox_panics_total",
                "Panics, contained or not. It should never rise: each is a bug with an ERROR line.",
            ),
            runtime_busy: make.add(Gauge::new(
                "signalbox_runtime_busy_ratio",
                "Share of time the worker threads were busy since the last scrape, 0 to 1. Near 1 the node is at its end.",
            )),
            runtime_blocked: make.counter(
                "signalbox_runtime_blocked_total",
                "Times the runtime was late by over 50 ms: something blocked a worker thread.",
            ),
            runtime_queue: make.gauge(
                "signalbox_runtime_queue_depth",
                "Tasks waiting for a worker thread. Staying above the number of cores means overload.",
            ),
            store_seconds: make.histograms(
                "signalbox_store_operation_seconds",
                "Database operations by kind. A rise is a slow disk or server. Scans wait for enter; rooms go on without it.",
                &STORE_SECONDS,
                "op",
                StoreOp::ALL.iter().map(|op| op.as_str()),
            ),
            store_operations: StoreOp::ALL
                .iter()
                .map(|op| {
                    let results = StoreResult::ALL.iter();
                    let child = |r: &StoreResult| store_operations.with_label_values(&[op.as_str(), r.as_str()]);
                    results.map(child).collect()
                })
                .collect(),
            restores: make.counters(
                "signalbox_session_restores_total",
                "Users who connected, by what became of where they were. gap and error are our doing and spend error budget; expired had been away for too long; unknown is a first visit.",
                "result",
                RestoreResult::ALL.iter().map(|r| r.as_str()),
            ),
            restore_seconds: make.histogram(
                "signalbox_session_restore_duration_seconds",
                "From a connection to its user being back where it was. It waits before everything that the client sends.",
                &RESTORE_SECONDS,
            ),
            reconnects: [0, 1].map(|i| pick(&reconnects, i)),
            queue_people: [
                (
                    "signalbox_queue_waiting",
                    "People in waiting queues. Growing without admissions means slots are not freed.",
                ),
                (
                    "signalbox_queue_active",
                    "People who were let in and whose slot lasts.",
                ),
                (
                    "signalbox_queue_free",
                    "Free slots of events where people wait. Above 0 for more than some seconds, nobody is let in.",
                ),
            ]
            .map(|(name, help)| make.gauge(name, help)),
            queue_admitted: make.counter(
                "signalbox_queue_admitted_total",
                "People who were let in. Standing still while people wait and slots are free means admission hangs.",
            ),
            queue_left: make.counters(
                "signalbox_queue_left_total",
                "People who left a waiting queue or gave up a slot, by reason. vanished rising means networks or pages that break.",
                "reason",
                QueueExit::ALL.iter().map(|r| r.as_str()),
            ),
            queue_wait: make.histogram(
                "signalbox_queue_wait_seconds",
                "From joining a waiting queue to being let in.",
                &QUEUE_SECONDS,
            ),
            seats_held: make.gauge("signalbox_seats_held", "Seats that are held now."),
            seat_selections: make.counters(
                "signalbox_seat_selections_total",
                "Wishes for seats by what became of them. Many conflicts mean pages that show taken seats as free.",
                "result",
                SeatResult::ALL.iter().map(|r| r.as_str()),
            ),
            seats_expired: make.counter(
                "signalbox_seats_expired_total",
                "Holds of seats that ended by time. Many of them are buyers who do not finish.",
            ),
            store_connections: ["busy", "idle"].map(|s| pool.with_label_values(&[s])),
            store_up: make.gauge(
                "signalbox_store_up",
                "1 while the database answers. At 0 accounts do not work and what happens in rooms waits in memory to be written.",
            ),
            store_waiting: make.gauge(
                "signalbox_store_changes_waiting",
                "Changes of rooms that wait to be written. Growing means the database is away or too slow.",
            ),
            store_lost: make.counter(
                "signalbox_store_changes_lost_total",
                "Changes of rooms that were given up while the database was away too long. The history has holes; what is open is set right.",
            ),
            http_seconds,
            http_requests,
            errors,
            draining: make.gauge(
                "signalbox_draining",
                "1 while this node is shutting down and sends its clients elsewhere.",
            ),
            exemplars: vec![exemplars, displayed],
            fills: Mutex::default(),
            registry: make.0.clone(),
        };
        #[cfg(target_os = "linux")]
        make.add(Ok(ProcessCollector::default()));
        metrics
    }

    /// Registers a function that sets gauges just before each scrape, so that they cannot drift.
    pub fn on_scrape(&self, fill: impl Fn(&Self) + Send + Sync + 'static) {
        self.fills.lock().push(Box::new(fill));
    }

    pub(super) fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        for fill in self.fills.lock().iter() {
            fill(self);
        }
        self.registry.gather()
    }

    pub(super) fn exemplars(&self) -> &[ExemplarStore] {
        &self.exemplars
    }

    /// Sets the connection gauges from what is connected now.
    pub fn set_connections(&self, connected: impl Iterator<Item = ConnectionGauge>) {
        let mut counts = [[0_i64; 2]; Role::ALL.len()];
        let mut total = 0;
        for one in connected {
            if let Some(count) = counts
                .get_mut(one.role as usize)
                .and_then(|c: &mut [i64; 2]| c.get_mut(one.transport as usize))
            {
                *count += 1;
            }
            total += 1;
        }
        for (role, counts) in Role::ALL.iter().zip(counts) {
            for (transport, count) in Transport::ALL.iter().zip(counts) {
                self.connections
                    .with_label_values(&[role.as_str(), transport.as_str()])
                    .set(count);
            }
        }
        self.active_connections.set(total);
    }

    /// Sets the session gauges.
    pub fn set_sessions(&self, paired: usize, waiting: usize) {
        for (gauge, count) in self.scan_sessions.iter().zip([paired, waiting]) {
            gauge.set(as_i64(count));
        }
    }

    /// Sets the number of signaling rooms.
    pub fn set_rooms(&self, rooms: usize) {
        self.active_rooms.set(as_i64(rooms));
    }

    /// A signal was handled, if `event` is one.
    pub(super) fn signal(&self, event: EventName, outcome: Outcome) {
        let place = SIGNALS.iter().position(|s| *s == event);
        let counters = place.and_then(|i| self.signals.get(i));
        if let Some(counter) = counters.and_then(|c| c.get(outcome as usize)) {
            counter.inc();
        }
    }

    /// A wish for seats was refused, if `event` is one.
    pub(super) fn seats_refused(&self, event: EventName, code: Option<Code>) {
        let result = match (event, code) {
            (EventName::SelectSeat | EventName::SeatSelectionChanged, Some(Code::Conflict)) => {
                SeatResult::Conflict
            }
            (EventName::SelectSeat | EventName::SeatSelectionChanged, Some(_)) => {
                SeatResult::Refused
            }
            _ => return,
        };
        bump(&self.seat_selections, result as usize);
    }

    /// Sets the gauges of ticketing: people waiting, let in, slots that are free for those who wait, and seats
    /// held.
    pub fn set_queues(&self, people: [usize; 3], held: usize) {
        for (gauge, count) in self.queue_people.iter().zip(people) {
            gauge.set(as_i64(count));
        }
        self.seats_held.set(as_i64(held));
    }

    /// A handshake ended.
    pub fn handshake(&self, result: HandshakeResult) {
        bump(&self.handshakes, result as usize);
    }

    /// Something was turned away before it was an event.
    pub fn reject(&self, reason: RejectReason) {
        bump(&self.rejected, reason as usize);
    }

    /// How many addresses are blocked.
    pub fn set_blocked(&self, addresses: usize) {
        self.blocked.set(as_i64(addresses));
    }

    /// A question to the assistant ended.
    pub(super) fn gpt_ended(&self, outcome: GptOutcome) {
        bump(&self.gpt_requests, outcome as usize);
    }

    /// What waits for the assistant, how many were turned away since the start, and its breaker.
    pub fn set_gpt(&self, waiting: usize, refused: u64, breaker_open: bool) {
        self.gpt_waiting.set(as_i64(waiting));
        self.gpt_breaker.set(i64::from(breaker_open));
        if let Some(counter) = self.gpt_requests.get(GptOutcome::Refused as usize) {
            counter.inc_by(refused.saturating_sub(counter.get()));
        }
    }

    /// A limiter refused.
    pub fn rate_limited(&self, layer: LimitLayer) {
        bump(&self.limited, layer as usize);
    }

    /// A packet was handed to a socket.
    pub fn sent(&self, event: PushName, bytes: usize) {
        bump(&self.sent, event.index());
        self.payload_out.observe(as_f64(bytes));
    }

    /// A connection ended.
    pub(super) fn disconnected(&self, cause: DisconnectCause, lasted: Duration) {
        bump(&self.disconnects, cause as usize);
        self.connection_seconds.observe(lasted.as_secs_f64());
    }

    /// A database operation ended.
    pub fn store(&self, op: StoreOp, result: StoreResult, took: Duration) {
        if let Some(histogram) = self.store_seconds.get(op as usize) {
            histogram.observe(took.as_secs_f64());
        }
        if let Some(counters) = self.store_operations.get(op as usize) {
            bump(counters, result as usize);
        }
        if result != StoreResult::Ok {
            self.error(Component::Store, FailureKind::Dependency);
        }
    }

    /// So many scans went into one transaction.
    pub fn batched(&self, scans: usize) {
        self.batch_size.observe(as_f64(scans));
    }

    /// Sets the gauges of the store's connections: busy, idle, and at most.
    pub fn set_pool(&self, (busy, idle): (usize, usize), most: usize) {
        self.store_pool_max.set(as_i64(most));
        for (child, count) in self.store_connections.iter().zip([busy, idle]) {
            child.set(as_i64(count));
        }
    }

    /// Sets the gauges of the store: whether it is up, changes waiting and lost.
    pub fn set_store(&self, up: bool, waiting: usize, lost: usize) {
        self.store_up.set(i64::from(up));
        self.store_waiting.set(as_i64(waiting));
        self.store_lost
            .inc_by((lost as u64).saturating_sub(self.store_lost.get()));
    }

    /// A failure of ours outside an event.
    pub fn error(&self, component: Component, kind: FailureKind) {
        self.errors
            .with_label_values(&[component.as_str(), kind.as_str()])
            .inc();
    }

    /// An HTTP request was answered.
    pub fn http(&self, route: HttpRoute, status: u16, took: Duration) {
        let class = match status {
            500.. => STATUS_CLASSES[2],
            400.. => STATUS_CLASSES[1],
            _ => STATUS_CLASSES[0],
        };
        let (route, method) = (route.as_str(), route.method());
        self.http_seconds
            .with_label_values(&[route, method])
            .observe(took.as_secs_f64());
        self.http_requests
            .with_label_values(&[route, method, class])
            .inc();
    }

    /// Sets what is fixed from the start: connections at most, and the canary's pace.
    pub(super) fn set_fixed(&self, connections: usize, canary: Option<Duration>) {
        self.connections_max.set(as_i64(connections));
        self.canary_interval
            .set(canary.unwrap_or_default().as_secs_f64());
    }

    /// Sets the gauges of scans that are not answered yet.
    pub(super) fn set_unanswered(&self, (scans, oldest): (usize, Duration)) {
        self.scans_in_flight.set(as_i64(scans));
        self.scan_oldest_unacked.set(oldest.as_secs_f64());
    }

    /// Sets the gauges of the flight recorder: of each of its rings the memory and the age of the oldest flow.
    pub(super) fn set_recorder(&self, rings: [(usize, Duration); KEPT.len()]) {
        let gauges = self.recorder_bytes.iter().zip(&self.recorder_reach);
        for ((bytes, reach), (size, age)) in gauges.zip(rings) {
            bytes.set(as_i64(size));
            reach.set(age.as_secs_f64());
        }
    }

    /// A run of the canary ended; `took` from its scan to its monitor.
    pub(super) fn canary(&self, result: CanaryResult, took: Duration, unix: Duration) {
        bump(&self.canary_runs, result as usize);
        if result == CanaryResult::Ok {
            self.canary_success.set(unix.as_secs_f64());
            self.canary_duration.set(took.as_secs_f64());
        }
    }

    /// This node is shutting down.
    pub fn set_draining(&self) {
        self.draining.set(1);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const STATUS_CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

fn bump(counters: &[IntCounter], index: usize) {
    if let Some(counter) = counters.get(index) {
        counter.inc();
    }
}

#[expect(
    clippy::expect_used,
    reason = "indices are fixed in this file; a fault must not start"
)]
fn pick<T: Clone>(all: &[T], index: usize) -> T {
    all.get(index).expect("declared above").clone()
}

/// Sizes and counts as Prometheus wants them; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "sizes here are far below 2^53")]
pub(super) fn as_f64(n: usize) -> f64 {
    n as f64
}

/// Counts as gauges want them.
pub(super) fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// User and system time of this process (proc(5): utime and stime, the 14th and 15th field, in hundredths of a
/// second; the second field, in parentheses, may hold blanks).
#[cfg(target_os = "linux")]
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).take(2);
    let mut ticks = || times.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

/// The process collector of the prometheus crate, which is not `Clone`.
#[cfg(target_os = "linux")]
#[derive(Clone)]
struct ProcessCollector(std::sync::Arc<prometheus::process_collector::ProcessCollector>);

#[cfg(target_os = "linux")]
impl Default for ProcessCollector {
    fn default() -> Self {
        Self(std::sync::Arc::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))
    }
}

#[cfg(target_os = "linux")]
impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        let mut families = self.0.collect();
        // The crate counts whole seconds: too coarse to see anything in a graph.
        let cpu = families
            .iter_mut()
            .find(|f| f.name() == "process_cpu_seconds_total");
        if let (Some(metric), Some(seconds)) = (
            cpu.and_then(|family| family.mut_metric().first_mut()),
            cpu_seconds(),
        ) {
            let mut counter = prometheus::proto::Counter::default();
            counter.set_value(seconds);
            metric.set_counter(counter);
        }
        families
    }
}
