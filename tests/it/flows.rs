//! The flow explorer, the canary and the log level at run time, as an on-call engineer uses them.

use crate::support::{Bystanders, Client, Server, eventually, good_token, run, status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn scan(client: &mut Client, session: &str, order: &str) -> Value {
    client.ask(
        "scanOrder",
        &json!({ "sessionId": session, "orderNo": order, "ts": 1 }),
    )
}

fn get(server: &Server, path: &str) -> Value {
    serde_json::from_str(&server.body(path, "")).unwrap_or_else(|_| panic!("{path}"))
}

#[test]
fn a_slow_scan_is_found_by_its_code_and_the_slow_hop_is_named() {
    let server = Server::start(&[
        ("FAULT_INJECTION", "slow:scanOrder:300ms"),
        ("TRACE_URL", "http://traces.example/{traceId}"),
    ]);
    let _monitor = Client::in_session(&server, "m", "monitor", "s");
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    let ack = scan(&mut phone, "s", "A-1");

    let code = ack["flow"].as_str().unwrap();
    let path = format!("/api/flows/{}", code.to_lowercase().replace('-', ""));
    let found = eventually("its log line", || {
        let found = get(&server, &path);
        (found["flows"][0]["logs"][0]["message"] == "scan flow completed").then_some(found)
    });
    let flow = &found["flows"][0];
    assert_eq!(flow["traceId"], ack["traceId"]);
    assert_eq!(flow["slowHop"], "decide", "{flow}");
    assert_eq!(flow["kept"], "slow");
    assert_eq!(
        (&flow["result"], &flow["seq"], &flow["monitors"]),
        (&json!("sent"), &json!(1), &json!(1))
    );
    let hops: Vec<&str> = flow["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        hops,
        ["queue", "guard", "decide", "persist", "deliver", "answer"]
    );
    let decide = &flow["hops"][2];
    assert!(
        decide["ms"].as_f64().unwrap() >= 299.0 && decide["slow"] == true,
        "{decide}"
    );
    assert_eq!(flow["logs"][0]["trace_id"], ack["traceId"]);

    // The same in a terminal.
    let url = format!("http://{}", server.address);
    let (exit, out, _) = run(&["explain", code, "--url", &url], &[]);
    assert_eq!(exit, 0, "{out}");
    for told in [
        "Slow hop: decide",
        code,
        ack["traceId"].as_str().unwrap(),
        "http://traces.example/",
    ] {
        assert!(out.contains(told), "{told} in {out}");
    }
    let (exit, _, error) = run(&["explain", "00-0000", "--url", &url], &[]);
    assert_eq!((exit, error.lines().count()), (2, 1), "{error}");
}

#[test]
fn a_failed_scan_is_found_by_error_id_order_and_session() {
    let server = Server::start(&[("FAULT_INJECTION", "fail:scanOrder")]);
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    let error = scan(&mut phone, "s", "A-1")["error"].clone();
    scan(&mut phone, "s", "A-2");

    let found = get(
        &server,
        &format!("/api/flows/{}", error["errorId"].as_str().unwrap()),
    );
    assert_eq!(found["flows"][0]["flow"], error["flow"]);
    assert_eq!(found["flows"][0]["code"], "INTERNAL");
    for (query, flows) in [
        ("outcome=failed", 2),
        ("outcome=failed&order=A-1", 1),
        ("session=s&event=scanOrder", 2),
        ("session=other", 0),
        ("outcome=ok&event=scanOrder", 0),
        ("event=no-such-event", 0),
        ("event=scanOrder&limit=1", 1),
        ("min_ms=10000", 0),
    ] {
        let list = get(&server, &format!("/api/flows?{query}"));
        assert_eq!(
            list["flows"].as_array().unwrap().len(),
            flows,
            "{query}: {list}"
        );
    }
    let list = get(&server, "/api/flows");
    let hash = list["flows"][0]["order"].as_str().unwrap();
    let same = get(&server, &format!("/api/flows?order={hash}"));
    assert_eq!(same["flows"].as_array().unwrap().len(), 1, "{same}");
    assert_eq!(list["summary"]["failed"], 2);
    let since = list["now"].as_f64().unwrap() + 1.0;
    assert_eq!(
        get(&server, &format!("/api/flows?since={since}"))["flows"],
        json!([])
    );
    assert_eq!(server.get("/api/flows?outcome=maybe").0, 400);
    assert_eq!(server.get("/api/flows/not-a-code").0, 400);
    assert_eq!(
        server.get("/api/flows/00000000000000000000000000000001").0,
        404
    );
}

#[test]
fn in_production_only_an_admin_looks_inside() {
    let server = Server::start(&[
        ("NODE_ENV", "production"),
        ("METRICS_TOKEN", "operator-token"),
        ("HTTP_RATE_MAX", "20"),
    ]);
    let asked = |token: &str, method: &str, path: &str, body: &str| {
        let headers = if token.is_empty() {
            String::new()
        } else {
            format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n")
        };
        server.http(method, path, &headers, body).0
    };
    let admin = good_token("boss", "admin");
    for (method, path, body) in [
        ("GET", "/api/flows", ""),
        ("GET", "/api/admin/log-level", ""),
        (
            "PUT",
            "/api/admin/log-level",
            "{\"level\":\"debug\",\"for\":\"1s\"}",
        ),
    ] {
        for wrong in ["", "operator-token", &good_token("p", "mobile")] {
            assert_eq!(asked(wrong, method, path, body), 401, "{method} {path}");
        }
        assert_eq!(asked(&admin, method, path, body), 200, "{method} {path}");
    }
    // The page holds nothing, so that it can ask for the token.
    assert_eq!(server.get("/console").0, 200);
    // Who tries tokens is limited; who has one is not.
    assert!((0..30).any(|_| asked("", "GET", "/api/flows", "") == 429));
    assert!((0..30).all(|_| asked(&admin, "GET", "/api/flows", "") == 200));
}

#[test]
fn with_a_listener_of_their_own_flows_are_on_no_other() {
    let server = Server::start(&[("ADMIN_ADDR", "127.0.0.1:0")]);
    for path in ["/api/flows", "/console", "/api/admin/log-level"] {
        assert_eq!(server.get(path).0, 404, "{path}");
    }
}

#[test]
fn the_canary_is_seen_by_its_own_metrics_and_counts_as_nobody() {
    let server = Server::start(&[("CANARY_INTERVAL", "100ms")]);
    let metrics = eventually("some runs", || {
        let metrics = server.metrics();
        (metrics["signalbox_canary_runs_total{result=\"ok\"}"] > 3.5).then_some(metrics)
    });
    assert!(metrics["signalbox_canary_last_success_timestamp_seconds"] > 1e9);
    assert!(metrics["signalbox_canary_last_duration_seconds"] > 0.0);
    for (name, value) in &metrics {
        let traffic = [
            "signaling_",
            "signalbox_scan_",
            "signalbox_events_",
            "signalbox_event_",
            "signalbox_connections{",
            "signalbox_handshakes",
            "signalbox_disconnects",
        ];
        assert!(
            !traffic.iter().any(|t| name.starts_with(t))
                || *value == 0.0
                || name.contains("canary")
                // It is about the disk, not about users.
                || name.starts_with("signalbox_scan_log_batch_size"),
            "{name} is {value}"
        );
    }
    let status = get(&server, "/status");
    assert_eq!(
        (&status["peers"], &status["sessions"]["total"]),
        (&json!(0), &json!(0))
    );
    let flows = get(&server, "/api/flows");
    assert!(
        flows["flows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|f| f["kept"] == "canary")
    );
    assert_eq!(flows["health"]["canary"]["result"], "ok");
    assert_eq!(flows["summary"]["scans"], 0);
}

#[test]
fn the_canary_says_so_when_scans_do_not_arrive() {
    let server = Server::start(&[
        ("CANARY_INTERVAL", "100ms"),
        ("FAULT_INJECTION", "fail:scanOrder"),
    ]);
    eventually("refused runs", || {
        (server.metric("signalbox_canary_runs_total{result=\"refused\"}") > 1.5).then_some(())
    });
    let never = server.metric("signalbox_canary_last_success_timestamp_seconds");
    assert!(never.abs() < f64::EPSILON);
    server.logs("combined", |lines| {
        lines
            .iter()
            .any(|l| l["target"] == "signalbox::canary" && l["level"] == "WARN")
    });
}

#[test]
fn a_scan_that_hangs_ages_while_nothing_fails() {
    let server = Server::start(&[("FAULT_INJECTION", "slow:scanOrder:20s")]);
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    phone.emit(
        "scanOrder",
        &json!({ "sessionId": "s", "orderNo": "A-1", "ts": 1 }),
    );
    let age = || server.metric("signalbox_scan_oldest_unacked_seconds");
    let first = eventually("its age", || Some(age()).filter(|age| *age > 0.0));
    eventually("it to grow", || (age() > first + 0.5).then_some(()));
    assert!((server.metric("signalbox_scans_in_flight") - 1.0).abs() < 0.1);
    assert!(
        server
            .metric("signalbox_scan_flows_total{outcome=\"relay_failed\"}")
            .abs()
            < 0.1
    );
}

#[test]
fn the_log_level_is_raised_for_a_while_and_reverts_by_itself() {
    let server = Server::start(&[]);
    let put = |body: &str| {
        let (_, answer) = server.http(
            "PUT",
            "/api/admin/log-level",
            "Content-Type: application/json\r\n",
            body,
        );
        (status(&answer), answer)
    };
    let mut client = Client::connect(&server, "p", "mobile");
    client.emit("registerClient", &json!({ "role": "mobile" }));
    client.emit("joinSession", &json!({ "sessionId": "before" }));
    client.event("joinedSession");
    let (code, answer) =
        put("{\"level\":\"debug\",\"target\":\"signalbox::session\",\"for\":\"2s\"}");
    assert_eq!(code, 200, "{answer}");
    assert!(answer.contains("info,signalbox::session=debug"), "{answer}");
    client.emit("joinSession", &json!({ "sessionId": "meanwhile" }));
    client.event("joinedSession");
    let debug = |lines: &[Value]| lines.iter().filter(|l| l["level"] == "DEBUG").count();
    server.logs("combined", |lines| debug(lines) == 1);
    assert!(server.metric("signalbox_log_level_raised") > 0.5);

    eventually("the old level", || {
        (get(&server, "/api/admin/log-level")["revertsAt"].is_null()).then_some(())
    });
    client.emit("joinSession", &json!({ "sessionId": "after" }));
    client.event("joinedSession");
    let lines = server.logs("combined", |lines| {
        lines
            .iter()
            .any(|l| l["message"] == "The log level has reverted.")
    });
    assert_eq!(debug(&lines), 1, "{lines:?}");
    for wrong in [
        "{\"level\":\"debug\"}",
        "{\"level\":\"loud\",\"for\":\"1m\"}",
        "{\"level\":\"debug\",\"for\":\"25h\"}",
        "{\"level\":\"debug\",\"for\":\"1m\",\"target\":\"hyper\"}",
        "{\"level\":\"debug\",\"for\":\"1m\",\"target\":\"signalbox=trace,hyper\"}",
    ] {
        assert_eq!(put(wrong).0, 400, "{wrong}");
    }
}

#[test]
fn a_full_log_disk_costs_no_delivery_and_what_is_lost_is_counted() {
    let server = Server::start_with_a_small_disk(&[
        ("LOG_DIR", "data/logs"),
        ("DATA_DIR", "store"),
        ("LOG_LEVEL", "debug"),
    ]);
    let mut bystanders = Bystanders::new(&server);
    bystanders.relay();
    let disk = server.small_disk();
    // As much as there is room for.
    let _ = std::fs::write(disk.join("full"), vec![0; 2 << 20]);
    let began = Instant::now();
    eventually("lines to be lost", || {
        bystanders.relay();
        (server.metric("signalbox_log_lines_dropped_total") > 0.5).then_some(())
    });
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(server.get("/readyz").0, 200);
}
