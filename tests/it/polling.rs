//! Nobody can act for a polling client with the ids that other clients see.

use crate::support::{Client, Server, good_token};
use serde_json::{Value, json};

#[test]
fn a_polling_client_cannot_be_hijacked_with_the_ids_that_others_see() {
    let server = Server::start(&[]);
    let mut attacker = Client::in_session(&server, "attacker", "monitor", "s");
    let opened = server.body("/socket.io/?EIO=4&transport=polling", "");
    let opened: Value = serde_json::from_str(&opened[1..]).unwrap();
    let secret = opened["sid"].as_str().unwrap().to_owned();
    let path = |sid: &str| format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let say = |packet: String| assert_eq!(server.http("POST", &path(&secret), "", &packet).0, 200);
    say(format!(
        "40{}",
        json!({ "token": good_token("victim", "mobile") })
    ));
    say("42[\"joinSession\",{\"sessionId\":\"s\"}]".to_owned());

    // What the attacker sees of the victim: its public id, in every event about it.
    let public = attacker.event("clientJoined")["socketId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(public, secret);
    let heard = server.body(&path(&secret), "");
    assert!(
        heard.contains(&public),
        "the client knows its own public id: {heard}"
    );

    let guesses = [
        public.clone(),
        format!("{public}{}", &secret[16..].to_uppercase()),
        format!("{public}{}", "A".repeat(22)),
        format!("{}{}", attacker.id, &secret[16..]),
        secret[..secret.len() - 1].to_owned(),
        format!("{secret}A"),
    ];
    for guess in &guesses {
        for (method, packet) in [
            ("GET", ""),
            (
                "POST",
                "42[\"scanOrder\",{\"sessionId\":\"s\",\"orderNo\":\"FORGED\",\"ts\":1}]",
            ),
            ("POST", "1"),
            ("POST", "41"),
        ] {
            let (status, answer) = server.http(method, &path(guess), "", packet);
            assert_eq!(status, 400, "{method} {packet}: {answer}");
            assert!(answer.contains("Session ID unknown"), "{answer}");
        }
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let path = path(guess).replace("polling", "websocket");
        assert_eq!(server.http("GET", &path, upgrade, "").0, 400);
    }

    // The victim is still there and heard only its own.
    say("42[\"scanOrder\",{\"sessionId\":\"s\",\"orderNo\":\"REAL\",\"ts\":1}]".to_owned());
    assert_eq!(attacker.event("navigate")["orderNo"], "REAL");
    let rejected = server.metric("signalbox_rejected_total{reason=\"sid\"}");
    assert!((rejected - 30.0).abs() < 0.5, "{rejected}");
}

#[test]
fn the_id_of_a_websocket_opens_no_polling_and_no_second_websocket() {
    let server = Server::start(&[]);
    let client = Client::in_session(&server, "u", "monitor", "s");
    for transport in ["polling", "websocket"] {
        let path = format!("/socket.io/?EIO=4&transport={transport}&sid={}", client.id);
        let (status, answer) = server.get(&path);
        assert_eq!(status, 400, "{answer}");
    }
}
