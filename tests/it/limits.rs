//! Limits hold, say so, and let go again.

use crate::support::{Bystanders, Client, Server, eventually, good_token};
use serde_json::json;
use std::io::{Read, Write};

#[test]
fn an_event_flood_is_refused_then_closed_and_others_do_not_notice() {
    let server = Server::start(&[
        ("EVENT_RATE", "5"),
        ("EVENT_BURST", "10"),
        ("INBOX_MAX", "1000"),
    ]);
    let mut bystanders = Bystanders::new(&server);
    let mut flood = Client::in_session(&server, "u", "mobile", "s");

    let codes: Vec<_> = (0..20)
        .map(|_| flood.ask("heartbeat", &json!(null))["error"]["code"].clone())
        .collect();
    assert!(codes[0].is_null());
    assert_eq!(codes[19], "RATE_LIMIT");
    for _ in 0..300 {
        flood.emit("heartbeat", &json!(null));
    }
    assert!(flood.closed());
    bystanders.relay();
    eventually("the flood's end", || {
        (server.metric("signalbox_disconnects_total{reason=\"flood\"}") > 0.5).then_some(())
    });
    assert!(server.metric("signalbox_rate_limited_total{layer=\"event\"}") > 10.0);
}

#[test]
fn the_51st_socket_of_a_user_is_refused_until_one_leaves() {
    let server = Server::start(&[]);
    let mut sockets: Vec<Client> = (0..50)
        .map(|_| Client::connect(&server, "u", "mobile"))
        .collect();

    let refused = Client::with_token(&server, &good_token("u", "mobile")).err();
    assert_eq!(
        refused.as_deref(),
        Some("Too many connection attempts, try again later")
    );
    assert!(Client::with_token(&server, &good_token("v", "mobile")).is_ok());
    drop(sockets.pop());
    eventually("a place to be free", || {
        Client::with_token(&server, &good_token("u", "mobile")).ok()
    });
}

#[test]
fn failed_handshakes_are_limited_by_address_and_good_ones_by_user() {
    let server = Server::start(&[("HANDSHAKES_PER_USER_PER_MIN", "3")]);
    let messages: Vec<String> = (0..12)
        .map(|_| Client::with_token(&server, "x").err().unwrap())
        .collect();
    assert_eq!(messages[9], "Invalid authentication token");
    assert_eq!(
        messages[11],
        "Too many connection attempts, try again later"
    );
    // Somebody else behind the same address still gets in.
    let connect = || Client::with_token(&server, &good_token("u", "mobile"));
    let _three: Vec<Client> = (0..3).map(|_| connect().unwrap()).collect();
    assert!(connect().err().unwrap().starts_with("Too many"));
}

#[test]
fn sockets_that_do_not_authenticate_are_bounded_by_address() {
    let server = Server::start(&[("SOCKETS_PENDING_PER_ADDRESS", "3")]);
    let authenticated: Vec<Client> = (0..5)
        .map(|i| Client::connect(&server, &format!("u{i}"), "mobile"))
        .collect();
    let hoard: Vec<Client> = (0..3).map(|_| Client::open(&server)).collect();

    assert_eq!(Client::try_open(&server, &[]).err(), Some(429));
    let (status, answer) = server.get("/socket.io/?EIO=4&transport=polling");
    assert_eq!(status, 429, "{answer}");
    drop(hoard);
    eventually("room", || Client::try_open(&server, &[]).ok());
    drop(authenticated);
    assert!(server.metric("signalbox_rejected_total{reason=\"preauth\"}") > 1.5);
}

#[test]
fn a_full_node_says_so() {
    let server = Server::start(&[("SOCKETS_MAX", "2")]);
    let _two = [
        Client::connect(&server, "a", "mobile"),
        Client::connect(&server, "b", "mobile"),
    ];

    let (status, answer) = server.get("/socket.io/?EIO=4&transport=polling");
    assert_eq!(status, 503, "{answer}");
    assert!(answer.to_lowercase().contains("retry-after"), "{answer}");
    assert_eq!(Client::try_open(&server, &[]).err(), Some(503));
}

#[test]
fn a_socket_is_in_ten_sessions_at_most() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server, "u", "mobile");
    for i in 0..10 {
        let joined = client.ask("joinSession", &json!({ "sessionId": format!("s{i}") }));
        assert_eq!(joined["sessionId"], format!("s{i}"));
    }
    let refused = client.ask("joinSession", &json!({ "sessionId": "s10" }));
    assert_eq!(refused["error"]["code"], "RATE_LIMIT");
    assert_eq!(
        client.ask("leaveSession", &json!({ "sessionId": "s0" }))["success"],
        true
    );
    assert_eq!(
        client.ask("joinSession", &json!({ "sessionId": "s10" }))["sessionId"],
        "s10"
    );
}

#[test]
fn the_api_is_limited_by_address_and_admins_and_probes_are_not() {
    let server = Server::start(&[("HTTP_RATE_MAX", "3"), ("HTTP_RATE_WINDOW", "15m")]);
    let answers: Vec<(u16, String)> = (0..4).map(|_| server.get("/api/nothing")).collect();

    assert_eq!(answers[2].0, 404);
    assert!(
        answers[2].1.contains("ratelimit-remaining: 0"),
        "{}",
        answers[2].1
    );
    assert_eq!(answers[3].0, 429);
    assert!(answers[3].1.contains("retry-after: "), "{}", answers[3].1);
    assert!(answers[3].1.contains("RATE_LIMIT"));
    let admin = format!("Authorization: Bearer {}\r\n", good_token("root", "admin"));
    assert_eq!(server.http("GET", "/api/nothing", &admin, "").0, 404);
    assert_eq!(server.get("/livez").0, 200);
    // Without trusted proxies a forged header opens no new budget.
    let forged = server.http("GET", "/api/x", "X-Forwarded-For: 9.9.9.9\r\n", "");
    assert_eq!(forged.0, 429);
}

#[test]
fn a_connection_that_waits_between_requests_is_closed_and_not_called_an_attack() {
    let server = Server::start(&[]);
    let mut tcp = server.tcp();
    tcp.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        server
            .metric("signalbox_rejected_total{reason=\"timeout\"}")
            .abs()
            < 0.1
    );

    let mut tcp = server.tcp();
    tcp.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(tcp.read(&mut [0; 1024]).unwrap() > 0);
    tcp.write_all(b"GET /livez HT").unwrap();
    tcp.read_to_string(&mut answer).unwrap();
    assert!(server.metric("signalbox_rejected_total{reason=\"timeout\"}") > 0.9);
}
