//! One scan from all sides: trace, log line, ack, exemplar; one failure from all sides.

use crate::support::{Client, Receiver, Server, eventually};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any,
    trace::v1::Span,
};
use prost::Message;
use serde_json::{Value, json};
use std::{fmt::Write, time::Duration};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Everything exported so far and from now on, until `done`.
fn spans(receiver: &Receiver, done: impl Fn(&[Span]) -> bool) -> (Vec<Span>, Vec<u8>) {
    let (mut spans, mut raw) = (Vec::new(), Vec::new());
    while !done(&spans) {
        let body = receiver
            .bodies
            .recv_timeout(Duration::from_secs(15))
            .unwrap_or_else(|_| panic!("only {spans:#?}"));
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        raw.extend(body);
        for resource in request.resource_spans {
            for scope in resource.scope_spans {
                spans.extend(scope.spans);
            }
        }
    }
    (spans, raw)
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|a| a.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

#[test]
fn a_scan_is_one_trace_named_in_the_ack_the_log_and_the_exemplar() {
    let collector = Receiver::start();
    let server = Server::start(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        ),
        ("TRACE_SAMPLE_RATIO", "1"),
        ("NODE_NAME", "node-1"),
    ]);
    let mut monitor = Client::in_session(&server, "m", "monitor", "s");
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    let ack = phone.ask(
        "scanOrder",
        &json!({ "sessionId": "s", "orderNo": "A-1", "ts": 1, "traceparent": PARENT }),
    );
    let navigate = monitor.event("navigate");

    assert_eq!(ack["traceId"], TRACE);
    let (all, _) = spans(&collector, |spans| {
        let mine = spans.iter().filter(|s| hex(&s.trace_id) == TRACE);
        mine.count() >= 5
    });
    let mine: Vec<&Span> = all.iter().filter(|s| hex(&s.trace_id) == TRACE).collect();
    let named = |name: &str| -> &Span {
        mine.iter()
            .find(|s| s.name == name)
            .unwrap_or_else(|| panic!("no {name} in {mine:#?}"))
    };
    let process = named("process scanOrder");
    assert_eq!(
        hex(&process.parent_span_id),
        "00f067aa0ba902b7",
        "the phone's span is the parent"
    );
    assert_eq!(process.kind, 5, "CONSUMER");
    assert_eq!(
        attribute(process, "messaging.system").as_deref(),
        Some("socketio")
    );
    assert_eq!(
        attribute(process, "messaging.destination.name").as_deref(),
        Some("scanOrder")
    );
    assert_eq!(
        attribute(process, "messaging.operation.name").as_deref(),
        Some("process")
    );
    assert_eq!(
        attribute(process, "signalbox.flow.code"),
        ack["flow"].as_str().map(str::to_owned)
    );
    assert_eq!(
        attribute(process, "signalbox.outcome").as_deref(),
        Some("ok")
    );
    for child in ["guard", "decide", "persist", "send navigate"] {
        let span = named(child);
        assert_eq!(span.parent_span_id, process.span_id, "{child}");
        assert!(
            span.start_time_unix_nano >= process.start_time_unix_nano,
            "{child}"
        );
        assert!(
            span.end_time_unix_nano <= process.end_time_unix_nano,
            "{child}"
        );
    }
    let send = named("send navigate");
    assert_eq!(send.kind, 4, "PRODUCER");
    assert_eq!(mine.len(), 5);
    // The monitor's spans will hang below our sending one.
    assert_eq!(
        navigate["traceparent"],
        format!("00-{TRACE}-{}-01", hex(&send.span_id))
    );
    // The handshake is a trace of its own, linked from the event.
    let link = process.links.first().expect("a link to the connection");
    let connect = all
        .iter()
        .find(|s| s.span_id == link.span_id)
        .expect("the linked span");
    assert_eq!(connect.name, "process connect");

    let lines = server.logs("combined", |l| l.iter().any(|l| l["trace_id"] == TRACE));
    let flows: Vec<&Value> = lines
        .iter()
        .filter(|l| l["message"] == "scan flow completed")
        .collect();
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0]["trace_id"], TRACE);
    assert_eq!(flows[0]["span_id"], hex(&process.span_id));
    assert_eq!(flows[0]["flow"], ack["flow"]);
    assert_eq!(flows[0]["outcome"], "sent");
    assert_eq!(flows[0]["node"], "node-1");
    assert!(flows[0]["duration_ms"].is_number());

    let openmetrics = server.body(
        "/metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    let exemplar = format!("# {{trace_id=\"{TRACE}\"}}");
    assert!(
        openmetrics.lines().any(
            |l| l.starts_with("signalbox_scan_to_navigate_seconds_bucket") && l.contains(&exemplar)
        ),
        "{openmetrics}"
    );
    assert!(openmetrics.ends_with("# EOF\n"));
    assert!(!server.body("/metrics", "").contains("trace_id"));
    eventually("the export to be counted", || {
        let ok = server.metric("signalbox_telemetry_export_total{exporter=\"otlp\",result=\"ok\"}");
        (ok > 0.5).then_some(())
    });
}

#[test]
fn what_a_monitor_shows_is_in_the_trace_and_the_flow_of_its_scan() {
    let collector = Receiver::start();
    let server = Server::start(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        ),
        ("TRACE_SAMPLE_RATIO", "1"),
    ]);
    let mut monitor = Client::in_session(&server, "m", "monitor", "s");
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    let scan = json!({ "sessionId": "s", "orderNo": "A-1", "ts": 1, "traceparent": PARENT });
    let ack = phone.ask("scanOrder", &scan);
    let packet = loop {
        let packet = monitor.read().unwrap();
        if packet.contains("\"navigate\"") {
            break packet;
        }
    };
    // `42`, the number of the acknowledgement, the event.
    let number: String = packet
        .chars()
        .skip(2)
        .take_while(char::is_ascii_digit)
        .collect();
    monitor.send(&format!("43{number}[{{\"paintedMs\":40}}]"));
    phone.event("scan:displayed");
    // A client that tells by an event sends the traceparent of `navigate` along.
    phone.emit("scanOrder", &scan);
    let navigate = monitor.event("navigate");
    let shown = json!({ "seq": 2, "traceparent": navigate["traceparent"] });
    monitor.ask("navigate:displayed", &shown);

    let receipts = |spans: &[Span]| -> Vec<Span> {
        let is = |s: &&Span| s.name == "process navigate:displayed" && hex(&s.trace_id) == TRACE;
        spans.iter().filter(is).cloned().collect()
    };
    let (all, _) = spans(&collector, |spans| receipts(spans).len() == 2);
    let sent: Vec<&Span> = all
        .iter()
        .filter(|s| s.name == "send navigate" && hex(&s.trace_id) == TRACE)
        .collect();
    assert_eq!(sent.len(), 2);
    for receipt in receipts(&all) {
        assert!(sent.iter().any(|s| s.span_id == receipt.parent_span_id));
    }
    let news = all.iter().filter(|s| s.name == "send scan:displayed");
    assert_eq!(news.count(), 2);
    // The first monitor said how long it had taken.
    let shown: Vec<&Span> = all
        .iter()
        .filter(|s| s.name == "display navigate")
        .collect();
    assert_eq!(shown.len(), 1);
    assert_eq!(hex(&shown[0].trace_id), TRACE);
    let took = shown[0].end_time_unix_nano - shown[0].start_time_unix_nano;
    assert!((39_900_000..40_100_000).contains(&took), "{took} ns");

    let path = format!("/api/flows/{}", ack["flow"].as_str().unwrap());
    let body: Value = serde_json::from_str(&server.body(&path, "")).unwrap();
    let flows = body["flows"].as_array().unwrap();
    let events: Vec<&str> = flows.iter().map(|f| f["event"].as_str().unwrap()).collect();
    assert_eq!(
        events,
        [
            "scanOrder",
            "navigate:displayed",
            "scanOrder",
            "navigate:displayed"
        ]
    );
    assert_eq!(flows[1]["role"], "monitor");
}

#[test]
fn a_scan_without_a_traceparent_starts_a_trace() {
    let collector = Receiver::start();
    let server = Server::start(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        ),
        ("TRACE_SAMPLE_RATIO", "1"),
    ]);
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    let ack = phone.ask(
        "scanOrder",
        &json!({ "sessionId": "s", "orderNo": "A-1", "ts": 1 }),
    );

    let trace = ack["traceId"].as_str().unwrap();
    let is_root = |s: &Span| hex(&s.trace_id) == trace && s.name == "process scanOrder";
    let (all, _) = spans(&collector, |spans| spans.iter().any(is_root));
    let root = all.iter().find(|s| is_root(s)).unwrap();
    assert!(root.parent_span_id.is_empty());
}

#[test]
fn a_client_can_neither_force_nor_prevent_sampling() {
    let collector = Receiver::start();
    let endpoint = format!("http://{}", collector.address);
    let server = Server::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("TRACE_SAMPLE_RATIO", "0"),
    ]);
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    phone.ask(
        "scanOrder",
        &json!({ "sessionId": "s", "orderNo": "A-1", "ts": 1, "traceparent": PARENT }),
    );
    // At exit everything that waits is exported: nothing does.
    server.terminate();
    assert!(phone.closed());
    assert!(
        collector
            .bodies
            .recv_timeout(Duration::from_secs(1))
            .is_err()
    );

    let server = Server::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("TRACE_SAMPLE_RATIO", "1"),
    ]);
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    let unsampled = PARENT.replace("-01", "-00");
    phone.ask(
        "scanOrder",
        &json!({ "sessionId": "s", "orderNo": "A-1", "ts": 1, "traceparent": unsampled }),
    );
    spans(&collector, |spans| {
        spans.iter().any(|s| hex(&s.trace_id) == TRACE)
    });
}

#[test]
fn a_failure_is_one_report_one_error_line_and_one_count_with_one_id() {
    for kind in ["fail", "panic"] {
        let collector = Receiver::start();
        let sentry = Receiver::start();
        let server = Server::start(&[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &format!("http://{}", collector.address),
            ),
            ("TRACE_SAMPLE_RATIO", "1"),
            ("SENTRY_DSN", &format!("http://key@{}/1", sentry.address)),
            ("FAULT_INJECTION", &format!("{kind}:scanOrder")),
        ]);
        let mut phone = Client::in_session(&server, "p", "mobile", "s");
        let ack = phone.ask(
            "scanOrder",
            &json!({ "sessionId": "s", "orderNo": "A-1", "ts": 1 }),
        );
        // The socket lives on.
        assert!(phone.ask("heartbeat", &json!(null)).is_u64());

        let failed = |s: &Span| s.name == "process scanOrder";
        let (all, _) = spans(&collector, |spans| spans.iter().any(failed));
        let span = all.iter().find(|s| failed(s)).unwrap();
        assert_eq!(
            attribute(span, "signalbox.outcome").as_deref(),
            Some("failed")
        );
        assert_eq!(attribute(span, "error.type").as_deref(), Some("INTERNAL"));
        let trace = hex(&span.trace_id);
        assert_eq!(ack["error"]["code"], "INTERNAL", "{ack}");
        assert_eq!(ack["error"]["message"], "internal error");
        let id = ack["error"]["errorId"].as_str().unwrap();
        let envelope = sentry.bodies.recv_timeout(Duration::from_secs(15)).unwrap();
        let event: Value = String::from_utf8_lossy(&envelope)
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok())
            .find(|l| l.get("message").is_some())
            .unwrap();
        assert_eq!(event["tags"]["error_id"], id);
        assert_eq!(event["tags"]["trace_id"], trace.as_str());
        assert_eq!(event["tags"]["event"], "scanOrder");
        assert_eq!(event["tags"]["flow"], ack["error"]["flow"]);
        let errors = server.logs("error", |l| !l.is_empty());
        assert_eq!(errors.len(), 1, "{kind}: {errors:?}");
        assert_eq!(errors[0]["error_id"], id);
        assert_eq!(errors[0]["trace_id"], trace.as_str());
        let metrics = server.metrics();
        for (name, wanted) in [
            (
                "signalbox_events_received_total{event=\"scanOrder\",outcome=\"failed\"}",
                1.0,
            ),
            ("signalbox_scan_flows_total{outcome=\"relay_failed\"}", 1.0),
            ("signalbox_sentry_events_total", 1.0),
            (
                "signalbox_panics_total",
                if kind == "panic" { 1.0 } else { 0.0 },
            ),
            ("signalbox_scans_in_flight", 0.0),
        ] {
            assert!(
                (metrics[name] - wanted).abs() < 0.1,
                "{kind}: {name} is {}",
                metrics[name]
            );
        }
        let second = sentry.bodies.recv_timeout(Duration::from_secs(1));
        assert!(second.is_err(), "a failure is reported once");
    }
}

#[test]
fn a_slow_handler_keeps_the_order_of_its_socket_and_delays_no_other() {
    let server = Server::start(&[("FAULT_INJECTION", "slow:joinSession:400ms")]);
    let mut client = Client::connect(&server, "u", "mobile");
    client.emit("joinSession", &json!({ "sessionId": "s" }));
    client.emit(
        "scanOrder",
        &json!({ "sessionId": "s", "orderNo": "1", "ts": 1 }),
    );
    client.emit("heartbeat", &json!(null));

    let mut other = Client::connect(&server, "v", "mobile");
    let began = std::time::Instant::now();
    other.ask("heartbeat", &json!(null));
    assert!(
        began.elapsed() < Duration::from_millis(350),
        "{:?}",
        began.elapsed()
    );
    // In the order they were sent, the scan inside the session that was slow to join.
    let names: Vec<String> = (0..3)
        .map(|_| {
            let packet = client.read().unwrap();
            let args: Vec<Value> = serde_json::from_str(&packet[2..]).unwrap();
            args[0].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, ["joinedSession", "navigate", "heartbeat:ack"]);
}

#[test]
fn collector_and_sentry_away_cost_no_delivery_and_losses_are_counted() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut server = Server::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{gone}")),
        ("SENTRY_DSN", &format!("http://key@{gone}/1")),
        ("TRACE_SAMPLE_RATIO", "1"),
        ("DRAIN_PERIOD", "500ms"),
    ]);
    let mut bystanders = crate::support::Bystanders::new(&server);
    for _ in 0..20 {
        bystanders.relay();
    }
    eventually("losses to be counted", || {
        let metrics = server.metrics();
        let failed =
            metrics["signalbox_telemetry_export_total{exporter=\"otlp\",result=\"error\"}"];
        (failed > 0.5 && metrics["signalbox_telemetry_dropped_total"] > 0.5).then_some(())
    });
    bystanders.relay();
    server.terminate();
    assert_eq!(server.exit_code(Duration::from_secs(15)), 0);
}
