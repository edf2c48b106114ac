//! No secret leaves the process, on any path, at the finest log level; and the search would find one.

use crate::support::{Client, Receiver, Server, eventually, good_token, now, token};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// In every field that carries something of a client's.
const MARKER: &str = "MARKERd41d8cd98f";

/// Where something could get out, and what is there.
type Surfaces = BTreeMap<&'static str, String>;

/// Does everything that takes a secret, with this fault injected, and gathers what got out.
fn surfaces(fault: &str) -> Surfaces {
    let collector = Receiver::start();
    let sentry = Receiver::start();
    let metrics_token = format!("{MARKER}-metrics");
    let server = Server::start(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        ),
        ("TRACE_SAMPLE_RATIO", "1"),
        ("SENTRY_DSN", &format!("http://key@{}/1", sentry.address)),
        ("FAULT_INJECTION", fault),
        ("LOG_LEVEL", "trace"),
        ("METRICS_TOKEN", &metrics_token),
        ("TURN_URLS", "turn:turn.example.com:3478"),
        ("TURN_SECRET", MARKER),
        ("DRAIN_PERIOD", "200ms"),
    ]);
    let mut flows = Vec::new();
    let answers = use_everything(&server);
    for answer in &answers {
        let flow = answer["error"]["flow"].as_str().or(answer["flow"].as_str());
        flows.extend(flow.map(str::to_owned));
    }
    assert!(!flows.is_empty(), "{answers:?}");

    let operator = format!("Authorization: Bearer {metrics_token}\r\n");
    let mut explorer = server.body("/api/flows?limit=500", &operator);
    // The log is written behind everybody's back.
    eventually("the log lines of a flow", || {
        let detail = server.body(&format!("/api/flows/{}", flows[0]), &operator);
        let found = detail.contains("\"ts\":") || !detail.contains("scanOrder");
        found.then_some(())
    });
    for flow in &flows {
        explorer += &server.body(&format!("/api/flows/{flow}"), &operator);
    }
    let openmetrics = format!("{operator}Accept: application/openmetrics-text; version=1.0.0\r\n");
    let metrics = server.body("/metrics", &operator) + &server.body("/metrics", &openmetrics);
    assert!(metrics.contains("# EOF"));
    server.terminate();
    let mut server = server;
    server.exit_code(Duration::from_secs(20));
    let logs = server.logs("combined", |l| {
        l.iter().any(|l| l["message"] == "Draining ended.")
    });
    let errors = server.logs("error", |_| true);
    let all = |receiver: &Receiver| {
        let mut text = String::new();
        while let Ok(body) = receiver.bodies.recv_timeout(Duration::from_millis(200)) {
            text.push_str(&String::from_utf8_lossy(&body));
        }
        text
    };
    BTreeMap::from([
        ("logs", format!("{logs:?}{errors:?}")),
        ("traces", all(&collector)),
        ("reports", all(&sentry)),
        ("metrics", metrics),
        ("flows", explorer),
    ])
}

/// Every event and endpoint that is given something secret; returns the acknowledgements.
fn use_everything(server: &Server) -> Vec<Value> {
    let mut monitor = Client::in_session(server, "monitor", "monitor", MARKER);
    let user = format!("{MARKER}-user");
    let claims = json!({ "sub": user, "username": MARKER, "email": format!("{MARKER}@example.com"), "role": "mobile", "exp": now() + 600 });
    let mut phone = Client::with_token(server, &token(&claims)).unwrap();
    phone.emit("registerClient", &json!({ "role": "mobile" }));
    phone.emit("joinSession", &json!({ "sessionId": MARKER }));
    phone.event("joinedSession");
    let mut answers = Vec::new();
    let mut ask = |client: &mut Client, event: &str, payload: Value| {
        answers.push(client.ask(event, &payload));
    };
    ask(
        &mut phone,
        "scanOrder",
        json!({ "sessionId": MARKER, "orderNo": MARKER, "ts": 1, "nonce": MARKER, "traceparent": MARKER }),
    );
    for wrong in [
        json!({ "sessionId": MARKER, "orderNo": { "nested": MARKER } }),
        json!({ "sessionId": MARKER, "orderNo": MARKER.repeat(100), "ts": 1 }),
        json!(MARKER),
    ] {
        ask(&mut phone, "scanOrder", wrong);
    }
    ask(&mut phone, MARKER, json!({ "text": MARKER }));
    ask(
        &mut phone,
        "token:renew",
        json!({ "token": format!("{MARKER}.x.y") }),
    );
    ask(
        &mut phone,
        "token:renew",
        json!({ "token": good_token(&user, "mobile") }),
    );
    for client in [&mut phone, &mut monitor] {
        ask(client, "join", json!({ "roomId": MARKER }));
    }
    let to = monitor.id.clone();
    ask(
        &mut phone,
        "offer",
        json!({ "to": to, "offer": { "type": "offer", "sdp": format!("v=0 {MARKER}") } }),
    );
    ask(
        &mut phone,
        "answer",
        json!({ "to": to, "answer": { "type": "answer", "sdp": MARKER } }),
    );
    ask(
        &mut phone,
        "ice-candidate",
        json!({ "to": to, "candidate": { "candidate": format!("candidate:{MARKER}") } }),
    );
    ask(
        &mut phone,
        "message",
        json!({ "type": "offer", "to": to, "roomId": MARKER, "data": MARKER }),
    );
    ask(
        &mut phone,
        "offer",
        json!({ "to": to, "offer": MARKER.repeat(5000) }),
    );
    ask(
        &mut monitor,
        "session:create",
        json!({ "sessionId": MARKER }),
    );
    for pairing in [
        json!({ "sessionId": MARKER, "pairingToken": format!("{MARKER}.x.y") }),
        json!({ "pairingCode": MARKER }),
    ] {
        ask(&mut phone, "session:join", pairing);
    }
    ask(
        &mut monitor,
        "session:unpair",
        json!({ "sessionId": MARKER, "socketId": MARKER }),
    );
    ask(
        &mut monitor,
        "navigate:displayed",
        json!({ "sessionId": MARKER, "seq": 1 }),
    );
    // Not the protocol at all.
    phone.send(&format!("42[\"scanOrder\",{{\"{MARKER}"));
    let _ = Client::with_token(server, MARKER);
    let _ = Client::with_token(
        server,
        &token(&json!({ "sub": user, "exp": 1, "jti": MARKER })),
    );

    let secret = format!(
        "Content-Type: application/json\r\nCookie: session={MARKER}\r\nAuthorization: Bearer {MARKER}\r\nX-Forwarded-For: {MARKER}\r\nUser-Agent: {MARKER}\r\n"
    );
    let account = json!({ "username": format!("{MARKER}x"), "email": format!("{MARKER}@example.com"), "password": format!("{MARKER}-Password1") });
    let account = account.to_string();
    for (method, path, body) in [
        ("POST", "/api/auth/register", account.as_str()),
        ("POST", "/api/auth/login", account.as_str()),
        ("POST", "/api/auth/login", "{\"email\":\"MARKERd41d8cd98f"),
        (
            "POST",
            "/api/auth/refresh",
            "{\"refreshToken\":\"MARKERd41d8cd98f\"}",
        ),
        (
            "POST",
            "/api/auth/logout",
            "{\"refreshToken\":\"MARKERd41d8cd98f\"}",
        ),
        (
            "POST",
            "/api/pair",
            "{\"sessionId\":\"MARKERd41d8cd98f\",\"pairingToken\":\"MARKERd41d8cd98f\"}",
        ),
        ("GET", "/api/auth/me", ""),
        ("GET", "/MARKERd41d8cd98f?token=MARKERd41d8cd98f", ""),
        ("GET", "/api/flows/MARKERd41d8cd98f", ""),
        (
            "PUT",
            "/api/admin/log-level",
            "{\"level\":\"MARKERd41d8cd98f\"}",
        ),
        (
            "POST",
            "/socket.io/?EIO=4&transport=polling&sid=MARKERd41d8cd98f",
            "MARKERd41d8cd98f",
        ),
    ] {
        server.http(method, path, &secret, body);
    }
    answers
}

#[test]
fn no_secret_gets_out_on_any_path() {
    let mut searched = 0;
    for fault in [
        "",
        "fail:scanOrder",
        "panic:scanOrder",
        "panic:offer",
        "fail:answer",
        "panic:ice-candidate",
        "panic:token:renew",
    ] {
        for (place, text) in surfaces(fault) {
            let expected = place != "reports" || !fault.is_empty();
            assert!(!expected || !text.is_empty(), "{fault}: nothing in {place}");
            let around = text.find(MARKER).map(|at| {
                let from = at.saturating_sub(200);
                String::from_utf8_lossy(&text.as_bytes()[from..(at + 50).min(text.len())])
                    .into_owned()
            });
            assert_eq!(around, None, "{fault}: in {place}");
            searched += text.len();
        }
    }
    println!("secrets: {searched} bytes searched, 0 found");
}

#[test]
fn the_search_finds_a_secret_where_a_handler_lets_it_out() {
    for event in ["scanOrder", "offer"] {
        let found = surfaces(&format!("leak:{event}"));
        for place in ["logs", "traces", "reports", "flows"] {
            assert!(found[place].contains(MARKER), "{event}: not in {place}");
        }
    }
}
