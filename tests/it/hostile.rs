//! Bad input of every kind: a coded error or a clean close, counted, and the next client's relay untouched.

use crate::support::{Bystanders, Client, Server, eventually, good_token, now, status, token};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Write, time::Duration};
use tungstenite::Message;

/// Runs a case and checks what must hold after every one: the server is healthy, bystanders relay, no
/// panic, and `counter` has moved.
struct Trial {
    server: Server,
    bystanders: Bystanders,
    before: BTreeMap<String, f64>,
    cases: usize,
}

impl Trial {
    fn new(settings: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("CORS_ORIGINS", "https://app.example.com"),
            ("EVENT_RATE", "1000"),
            ("EVENT_BURST", "1000"),
            ("HANDSHAKE_FAILURES_PER_MIN", "1000"),
        ];
        all.extend_from_slice(settings);
        let server = Server::start(&all);
        let bystanders = Bystanders::new(&server);
        let before = server.metrics();
        Self {
            server,
            bystanders,
            before,
            cases: 0,
        }
    }

    fn case(&mut self, name: &str, counter: &str, act: impl FnOnce(&Server)) {
        eprintln!("case: {name}");
        act(&self.server);
        let took = self.bystanders.relay();
        assert!(
            took < Duration::from_secs(1),
            "{name}: bystanders took {took:?}"
        );
        let was = self.before.get(counter).copied();
        let was = was.unwrap_or_else(|| panic!("{name}: no counter {counter}"));
        let after = eventually(&format!("{name}: {counter} to move from {was}"), || {
            let after = self.server.metrics();
            if after[counter] > was {
                return Some(after);
            }
            let moved = after
                .iter()
                .filter(|(k, v)| k.contains("_total") && self.before.get(*k) != Some(*v));
            eprintln!("moved: {:?}", moved.collect::<Vec<_>>());
            None
        });
        assert!(after["signalbox_panics_total"] < 0.5, "{name}: panic");
        assert_eq!(self.server.get("/health").0, 200, "{name}");
        self.before = after;
        self.cases += 1;
    }
}

fn rejected(reason: &str) -> String {
    format!("signalbox_rejected_total{{reason=\"{reason}\"}}")
}

fn outcome(event: &str, outcome: &str) -> String {
    format!("signalbox_events_received_total{{event=\"{event}\",outcome=\"{outcome}\"}}")
}

fn disconnected(reason: &str) -> String {
    format!("signalbox_disconnects_total{{reason=\"{reason}\"}}")
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn malformed_handshakes_are_refused_with_a_status() {
    let mut t = Trial::new(&[]);
    let socket_io = "/socket.io/?EIO=4&transport";
    for (name, method, path, headers, wanted, reason) in [
        (
            "no EIO",
            "GET",
            "/socket.io/?transport=polling".to_owned(),
            "",
            400,
            "protocol",
        ),
        (
            "EIO 3",
            "GET",
            "/socket.io/?EIO=3&transport=polling".to_owned(),
            "",
            400,
            "protocol",
        ),
        (
            "no query",
            "GET",
            "/socket.io/".to_owned(),
            "",
            400,
            "protocol",
        ),
        (
            "unknown transport",
            "GET",
            format!("{socket_io}=grpc"),
            "",
            400,
            "protocol",
        ),
        (
            "post without sid",
            "POST",
            format!("{socket_io}=polling"),
            "",
            400,
            "protocol",
        ),
        (
            "unknown sid",
            "GET",
            format!("{socket_io}=polling&sid=AAAAAAAAAAAAAAAA"),
            "",
            400,
            "sid",
        ),
        (
            "sid of garbage",
            "GET",
            format!("{socket_io}=polling&sid=%00%ff..%2f"),
            "",
            400,
            "sid",
        ),
        (
            "empty sid",
            "POST",
            format!("{socket_io}=polling&sid="),
            "",
            400,
            "sid",
        ),
        (
            "websocket with unknown sid",
            "GET",
            format!("{socket_io}=websocket&sid=AAAAAAAAAAAAAAAA"),
            UPGRADE,
            400,
            "sid",
        ),
        (
            "plain GET as websocket",
            "GET",
            format!("{socket_io}=websocket"),
            "",
            400,
            "protocol",
        ),
        (
            "PUT",
            "PUT",
            format!("{socket_io}=polling"),
            "",
            400,
            "protocol",
        ),
        (
            "DELETE on websocket",
            "DELETE",
            format!("{socket_io}=websocket"),
            UPGRADE,
            400,
            "protocol",
        ),
        (
            "foreign origin on polling",
            "GET",
            format!("{socket_io}=polling"),
            "Origin: https://evil.example.com\r\n",
            403,
            "origin",
        ),
        (
            "null origin",
            "GET",
            format!("{socket_io}=polling"),
            "Origin: null\r\n",
            403,
            "origin",
        ),
        (
            "origin that looks alike",
            "GET",
            format!("{socket_io}=polling"),
            "Origin: https://app.example.com.evil.com\r\n",
            403,
            "origin",
        ),
        (
            "origin in bad UTF-8",
            "GET",
            format!("{socket_io}=polling"),
            "Origin: \u{fffd}\r\n",
            403,
            "origin",
        ),
    ] {
        t.case(name, &rejected(reason), |server| {
            let (status, answer) = server.http(method, &path, headers, "");
            assert_eq!(status, wanted, "{name}: {answer}");
            assert!(answer.contains("\"code\""), "{name}: {answer}");
        });
    }
    for (name, header, value) in [
        (
            "version 8",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Version: 8",
        ),
        (
            "no key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "",
        ),
        ("short key", "dGhlIHNhbXBsZSBub25jZQ==", "short"),
        ("no upgrade header", "Upgrade: websocket\r\n", ""),
    ] {
        t.case(name, &rejected("protocol"), |server| {
            let headers = UPGRADE.replace(header, value);
            let answer = server.raw(
                format!("GET {socket_io}=websocket HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n").as_bytes(),
            );
            assert_eq!(status(&answer), 400, "{name}: {answer}");
        });
    }
    t.case("foreign origin on upgrade", &rejected("origin"), |server| {
        let evil = [("Origin", "https://evil.example.com")];
        assert_eq!(Client::try_open(server, &evil).err(), Some(403));
        let fine = [("Origin", "https://app.example.com")];
        assert!(Client::try_open(server, &fine).is_ok());
    });
    assert_eq!(t.cases, 21);
}

#[test]
fn what_is_not_http_is_closed() {
    let mut t = Trial::new(&[]);
    t.case("not HTTP", &rejected("protocol"), |server| {
        let answer = server.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n");
        assert!(answer.is_empty() || status(&answer) == 400, "{answer}");
    });
    t.case("huge header", &rejected("too_big"), |server| {
        let header = "x".repeat(1 << 20);
        let answer = server.raw(format!("GET / HTTP/1.1\r\nX: {header}\r\n\r\n").as_bytes());
        assert!(answer.is_empty() || status(&answer) == 431, "{answer}");
    });
    t.case("2,000 headers", &rejected("too_big"), |server| {
        let headers = "X: y\r\n".repeat(2000);
        let answer = server.raw(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes());
        assert_eq!(status(&answer), 431, "{answer}");
    });
    t.case("partial header", &rejected("timeout"), |server| {
        let began = std::time::Instant::now();
        let answer = server.raw(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow");
        let took = began.elapsed();
        assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    });
    assert_eq!(t.cases, 4);
}

#[test]
fn malformed_frames_close_the_connection_cleanly() {
    let mut t = Trial::new(&[("MAX_MESSAGE_BYTES", "20000")]);
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![
            first,
            0x80 | u8::try_from(payload.len()).unwrap(),
            0,
            0,
            0,
            0,
        ];
        frame.extend_from_slice(payload);
        frame
    };
    for (name, reason, frame) in [
        ("unmasked", "transport_error", vec![0x81, 0x01, b'2']),
        ("reserved bit", "transport_error", masked(0xc1, b"2")),
        ("reserved opcode", "transport_error", masked(0x83, b"2")),
        (
            "length of 2^63",
            "transport_error",
            vec![0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        (
            "bad UTF-8",
            "transport_error",
            masked(0x81, &[b'4', 0xff, 0xfe]),
        ),
        ("fragmented control", "transport_error", masked(0x09, b"x")),
        (
            "continuation of nothing",
            "transport_error",
            masked(0x80, b"x"),
        ),
    ] {
        t.case(name, &disconnected(reason), |server| {
            let mut client = Client::connect(server, "u", "mobile");
            client.ws.get_mut().write_all(&frame).unwrap();
            assert!(client.closed(), "{name}");
        });
    }
    for (name, reason, message) in [
        (
            "too large",
            "transport_error",
            Message::text("4".repeat(20_001)),
        ),
        (
            "binary out of the blue",
            "parse_error",
            Message::binary(vec![1, 2, 3]),
        ),
        ("unknown engine packet", "parse_error", Message::text("9")),
        ("empty packet", "parse_error", Message::text("")),
        ("engine close", "transport_close", Message::text("1")),
        ("unknown packet", "parse_error", Message::text("49")),
        ("no packet", "parse_error", Message::text("4")),
        (
            "event without arguments",
            "parse_error",
            Message::text("42"),
        ),
        (
            "event of an empty list",
            "parse_error",
            Message::text("42[]"),
        ),
        (
            "event that is an object",
            "parse_error",
            Message::text("42{}"),
        ),
        ("event named null", "parse_error", Message::text("42[null]")),
        (
            "event that is not JSON",
            "parse_error",
            Message::text("42[\"scanOrder\",{]"),
        ),
        (
            "event named by an object",
            "parse_error",
            Message::text("42[{}]"),
        ),
        (
            "eleven attachments",
            "parse_error",
            Message::text("4511-[\"scanOrder\",{\"_placeholder\":true,\"num\":0}]"),
        ),
    ] {
        t.case(name, &disconnected(reason), |server| {
            let mut client = Client::connect(server, "u", "mobile");
            client.ws.send(message).unwrap();
            assert!(client.closed(), "{name}");
        });
    }
    t.case(
        "missing attachment",
        &disconnected("parse_error"),
        |server| {
            let mut client = Client::connect(server, "u", "mobile");
            client.send("451-[\"scanOrder\",{\"_placeholder\":true,\"num\":0}]");
            client.send("42[\"heartbeat\"]");
            assert!(client.closed());
        },
    );
    t.case(
        "acknowledgement id of 25 digits",
        &outcome("unknown", "refused"),
        |server| {
            let mut client = Client::connect(server, "u", "mobile");
            client.send(&format!("42{}[\"x\"]", "9".repeat(25)));
            assert_eq!(client.event("error")["code"], "UNKNOWN_EVENT");
        },
    );
    assert_eq!(t.cases, 23);
}

#[test]
fn forged_and_ended_tokens_open_nothing() {
    let mut t = Trial::new(&[]);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let good = json!({ "sub": "u", "exp": now() + 600 });
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none" })), part(&good));
    let other_key = {
        let key = jsonwebtoken::EncodingKey::from_secret(b"another secret");
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &good, &key).unwrap()
    };
    let truncated = good_token("u", "mobile");
    let truncated = &truncated[..truncated.len() - 4];
    for (name, bad) in [
        ("unsigned", unsigned.as_str()),
        ("signed by another", &other_key),
        ("truncated", truncated),
        ("ended", &token(&json!({ "sub": "u", "exp": now() - 3600 }))),
        ("without an end", &token(&json!({ "sub": "u" }))),
        (
            "end as text",
            &token(&json!({ "sub": "u", "exp": "9999999999" })),
        ),
        ("without a user", &token(&json!({ "exp": now() + 600 }))),
        (
            "of another kind",
            &token(&json!({ "sub": "u", "exp": now() + 600, "type": "refresh" })),
        ),
        ("of 1 MB", &"x".repeat(900_000)),
        ("garbage", "a.b.c"),
    ] {
        t.case(
            name,
            "signalbox_handshakes_total{result=\"bad_token\"}",
            |server| {
                let refusal = Client::with_token(server, bad).err();
                assert_eq!(
                    refusal.as_deref(),
                    Some("Invalid authentication token"),
                    "{name}"
                );
            },
        );
    }
    for (name, auth) in [
        ("no auth", ""),
        ("empty auth", "{}"),
        ("empty token", "{\"token\":\"\"}"),
        ("token of another type", "{\"token\":{\"$gt\":\"\"}}"),
        ("auth that is a list", "[1,2]"),
    ] {
        t.case(
            name,
            "signalbox_handshakes_total{result=\"no_token\"}",
            |server| {
                let mut client = Client::open(server);
                client.send(&format!("40{auth}"));
                let answer = client.read().unwrap();
                assert_eq!(
                    answer, "44{\"message\":\"Authentication required: no authentication token\"}",
                    "{name}"
                );
            },
        );
    }
    assert_eq!(t.cases, 15);
    let body = Client::open(&t.server);
    drop(body);
    let combined = t.server.logs("combined", |l| !l.is_empty());
    assert!(!format!("{combined:?}").contains(&other_key));
}

#[test]
fn a_transport_that_joins_nothing_is_closed_in_time() {
    let server = Server::start(&[("CONNECT_TIMEOUT", "1s")]);
    for packet in ["", "42[\"scanOrder\",{}]", "40/nowhere,", "41", "44{}"] {
        let mut client = Client::open(&server);
        client.send(packet);
        let began = std::time::Instant::now();
        assert!(client.closed(), "{packet}");
        assert!(began.elapsed() < Duration::from_secs(5), "{packet}");
    }
}

#[test]
fn bad_events_get_a_coded_error_and_cost_nobody_anything() {
    let mut t = Trial::new(&[]);
    let long = |n| "x".repeat(n);
    let scan = |order: &str| json!({ "sessionId": "mine", "orderNo": order, "ts": 1 });
    let raw = |payload: &str| {
        format!("[\"scanOrder\",{{\"sessionId\":\"mine\",\"orderNo\":\"1\",{payload}}}]")
    };
    for (name, event, code, args) in [
        (
            "unknown name",
            "unknown",
            "UNKNOWN_EVENT",
            json!(["nope", 1]).to_string(),
        ),
        (
            "name of 10 KB",
            "unknown",
            "UNKNOWN_EVENT",
            json!([long(10_000)]).to_string(),
        ),
        (
            "reserved name",
            "unknown",
            "UNKNOWN_EVENT",
            json!(["disconnect"]).to_string(),
        ),
        (
            "reserved name connect",
            "unknown",
            "UNKNOWN_EVENT",
            json!(["connect", {}]).to_string(),
        ),
        (
            "name of a push",
            "unknown",
            "UNKNOWN_EVENT",
            json!(["navigate", {}]).to_string(),
        ),
        (
            "prototype",
            "unknown",
            "UNKNOWN_EVENT",
            json!(["__proto__", {}]).to_string(),
        ),
        (
            "no payload",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder"]).to_string(),
        ),
        (
            "null",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", null]).to_string(),
        ),
        (
            "list",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", []]).to_string(),
        ),
        (
            "text",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", "x"]).to_string(),
        ),
        (
            "foreign session",
            "scanOrder",
            "FORBIDDEN",
            json!(["scanOrder", { "sessionId": "bystanders", "orderNo": "1", "ts": 1 }])
                .to_string(),
        ),
        (
            "no such session",
            "scanOrder",
            "FORBIDDEN",
            json!(["scanOrder", { "sessionId": "none", "orderNo": "1", "ts": 1 }]).to_string(),
        ),
        (
            "empty order",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", scan("")]).to_string(),
        ),
        (
            "order of 129",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", scan(&long(129))]).to_string(),
        ),
        (
            "NUL in the order",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", scan("a\u{0}b")]).to_string(),
        ),
        (
            "CRLF in the order",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", scan("a\r\nb")]).to_string(),
        ),
        (
            "ANSI in the order",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", scan("\u{1b}[2J")]).to_string(),
        ),
        (
            "order is a number",
            "scanOrder",
            "VALIDATION_ERROR",
            json!(["scanOrder", { "sessionId": "mine", "orderNo": 7, "ts": 1 }]).to_string(),
        ),
        ("no time", "scanOrder", "VALIDATION_ERROR", raw("\"x\":1")),
        (
            "time is text",
            "scanOrder",
            "VALIDATION_ERROR",
            raw("\"ts\":\"now\""),
        ),
        (
            "time of 1e400",
            "scanOrder",
            "VALIDATION_ERROR",
            raw("\"ts\":1e400"),
        ),
        (
            "lone surrogate",
            "scanOrder",
            "VALIDATION_ERROR",
            raw("\"ts\":1,\"nonce\":\"\\ud800\""),
        ),
        (
            "nonce of 65",
            "scanOrder",
            "VALIDATION_ERROR",
            raw(&format!("\"ts\":1,\"nonce\":\"{}\"", long(65))),
        ),
        (
            "duplicate field",
            "scanOrder",
            "VALIDATION_ERROR",
            raw("\"ts\":1,\"ts\":2"),
        ),
        (
            "payload of 5 KB",
            "scanOrder",
            "PAYLOAD_TOO_LARGE",
            json!(["scanOrder", { "x": long(5000) }]).to_string(),
        ),
        (
            "nested 30,000 deep",
            "scanOrder",
            "PAYLOAD_TOO_LARGE",
            format!(
                "[\"scanOrder\",{}{}]",
                "[".repeat(30_000),
                "]".repeat(30_000)
            ),
        ),
        (
            "nested 1,000 deep",
            "scanOrder",
            "VALIDATION_ERROR",
            format!("[\"scanOrder\",{}{}]", "[".repeat(1000), "]".repeat(1000)),
        ),
        (
            "unknown role",
            "registerClient",
            "VALIDATION_ERROR",
            json!(["registerClient", { "role": "admin" }]).to_string(),
        ),
        (
            "no role",
            "registerClient",
            "VALIDATION_ERROR",
            json!(["registerClient", {}]).to_string(),
        ),
        (
            "session of 101",
            "joinSession",
            "VALIDATION_ERROR",
            json!(["joinSession", { "sessionId": long(101) }]).to_string(),
        ),
        (
            "session is an object",
            "joinSession",
            "VALIDATION_ERROR",
            json!(["joinSession", { "sessionId": { "a": 1 } }]).to_string(),
        ),
        (
            "negative lastSeq",
            "joinSession",
            "VALIDATION_ERROR",
            json!(["joinSession", { "sessionId": "s", "lastSeq": -1 }]).to_string(),
        ),
        (
            "leaving where one is not",
            "leaveSession",
            "FORBIDDEN",
            json!(["leaveSession", { "sessionId": "bystanders" }]).to_string(),
        ),
        (
            "renewing with garbage",
            "token:renew",
            "AUTH_ERROR",
            json!(["token:renew", { "token": "x" }]).to_string(),
        ),
        (
            "renewing as another",
            "token:renew",
            "FORBIDDEN",
            json!(["token:renew", { "token": good_token("someone-else", "mobile") }]).to_string(),
        ),
    ] {
        t.case(name, &outcome(event, "refused"), |server| {
            let mut client = Client::in_session(server, "u", "mobile", "mine");
            client.send(&format!("427{args}"));
            let answer = client.ack();
            assert_eq!(answer["success"], false, "{name}: {answer}");
            assert_eq!(answer["error"]["code"], code, "{name}: {answer}");

            // Without an acknowledgement the same comes as an event, and the socket lives on.
            client.send(&format!("42{args}"));
            let event = client.event("error");
            assert_eq!(event["code"], code, "{name}: {event}");
            assert_eq!(event["error"]["code"], code, "{name}: {event}");
            assert!(event["message"].is_string(), "{name}: {event}");
            assert_eq!(
                client.ask("scanOrder", &scan("A-1"))["received"],
                true,
                "{name}"
            );
        });
    }
    assert_eq!(t.cases, 35);

    // Far past and far future times are the phone's business: relayed as they came.
    let mut phone = Client::in_session(&t.server, "u", "mobile", "times");
    for ts in ["-1", "0", "9007199254740993", "1.5", "1e300"] {
        phone.send(&format!(
            "427[\"scanOrder\",{{\"sessionId\":\"times\",\"orderNo\":\"1\",\"ts\":{ts}}}]"
        ));
        let navigate = phone.event("navigate").to_string();
        let wanted: Value = serde_json::from_str(ts).unwrap();
        assert!(
            navigate.contains(&format!("\"ts\":{wanted}")),
            "{ts}: {navigate}"
        );
    }
}

#[test]
fn joining_before_registering_is_told_so_unless_the_token_says_the_device() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server, "u", "clerk");
    client.emit("joinSession", &json!({ "sessionId": "s" }));
    let error = client.event("error");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("register first"),
        "{error}"
    );

    let mut client = Client::connect(&server, "u", "monitor");
    client.emit("joinSession", &json!({ "sessionId": "s" }));
    let joined = client.event("joinedSession");
    assert_eq!(
        joined["status"],
        json!({ "isActive": true, "hasMobile": false, "hasMonitor": true })
    );
}

#[test]
fn polling_bodies_are_bounded_in_size_and_time() {
    let mut t = Trial::new(&[("MAX_MESSAGE_BYTES", "20000")]);
    let open = |server: &Server| {
        let body = server.body("/socket.io/?EIO=4&transport=polling", "");
        let opened: Value = serde_json::from_str(&body[1..]).unwrap();
        let sid = opened["sid"].as_str().unwrap();
        format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
    };
    t.case("body of 20,001 bytes", &rejected("too_big"), |server| {
        let (status, answer) = server.http("POST", &open(server), "", &"4".repeat(20_001));
        assert_eq!(status, 413, "{answer}");
    });
    t.case("body that never ends", &rejected("timeout"), |server| {
        let path = open(server);
        let answer = server.raw(
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n40").as_bytes(),
        );
        assert_eq!(status(&answer), 408, "{answer}");
    });
    assert_eq!(t.cases, 2);
    for body in [
        "",
        "x",
        "4",
        "42[\"x\"]\u{1e}42[\"y\"]",
        "b!!!!",
        &"\u{1e}".repeat(10_000),
    ] {
        let path = open(&t.server);
        let (status, _) = t.server.http("POST", &path, "", body);
        assert!(status == 200 || status == 400, "{body:.20}: {status}");
    }
    // Two polls at once end the session, as Engine.IO has it.
    let path = open(&t.server);
    t.server.http(
        "POST",
        &path,
        "",
        &format!("40{}", json!({ "token": good_token("p", "mobile") })),
    );
    // The connection and the first ping are fetched: from here on a poll waits.
    let mut heard: Vec<String> = Vec::new();
    eventually("the connection and a ping", || {
        let body = t.server.body(&path, "");
        heard.extend(body.split('\u{1e}').map(str::to_owned));
        let connected = heard.iter().any(|packet| packet.starts_with("40{"));
        (connected && heard.iter().any(|packet| packet == "2")).then_some(())
    });
    let polls = std::thread::scope(|s| {
        [(); 2]
            .map(|()| s.spawn(|| t.server.get(&path).0))
            .map(|poll| poll.join().unwrap())
    });
    assert!(polls.contains(&400), "{polls:?}");
    t.bystanders.relay();
}
