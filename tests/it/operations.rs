//! Probes, status, metrics, headers, the command line, and stopping.

use crate::support::{Client, Server, eventually, good_token, run, run_in};
use serde_json::{Value, json};
use std::{process::Command, time::Duration};

fn json_of(server: &Server, path: &str) -> Value {
    serde_json::from_str(&server.body(path, "")).unwrap()
}

#[test]
fn health_and_status_say_what_the_contract_says() {
    let server = Server::start(&[]);
    let _phone = Client::in_session(&server, "p", "mobile", "a");
    let _monitor = Client::in_session(&server, "m", "monitor", "a");
    let _lonely = Client::in_session(&server, "l", "monitor", "b");

    let health = json_of(&server, "/health");
    assert_eq!(health["status"], "ok");
    assert_eq!(health["sessions"], json!({ "total": 2, "active": 2 }));
    assert_eq!((&health["rooms"], &health["peers"]), (&json!(0), &json!(3)));
    assert!(health["uptime"].is_f64() && health["memory"]["rss"].as_u64().unwrap() > 1 << 20);
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z'));

    let status = json_of(&server, "/status?limit=1");
    assert_eq!(status["status"], "running");
    let details = &status["sessions"]["details"];
    assert_eq!(details.as_array().unwrap().len(), 1);
    assert_eq!(details[0]["sessionId"], "a");
    assert_eq!(details[0]["hasMobile"], true);
    let next = status["sessions"]["next"].as_str().unwrap();
    let rest = json_of(&server, &format!("/status?after={next}"));
    assert_eq!(rest["sessions"]["details"][0]["sessionId"], "b");
    assert!(rest["sessions"].get("next").is_none());
    assert_eq!(json_of(&server, "/version")["name"], "signalbox");
    assert_eq!(server.get("/livez").0, 200);
    assert_eq!(server.get("/readyz").0, 200);
}

#[test]
fn every_answer_is_json_with_security_headers_unknown_paths_too() {
    let server = Server::start(&[("CORS_ORIGINS", "https://app.example.com")]);
    for (method, path, wanted) in [
        ("GET", "/nope", 404),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/health/%00", 404),
        ("POST", "/health", 405),
        ("GET", "/status?limit=-1", 400),
    ] {
        let (status, answer) = server.http(method, path, "", "");
        assert_eq!(status, wanted, "{path}: {answer}");
        let head = answer.to_lowercase();
        for header in [
            "content-security-policy: ",
            "x-content-type-options: nosniff",
            "x-frame-options: sameorigin",
            "strict-transport-security: ",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(header), "{path}: no {header}");
        }
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1)
            .unwrap_or_else(|e| panic!("{path}: {e}: {answer}"));
        assert_eq!(body["success"], false, "{path}");
        assert!(body["error"]["code"].is_string());
    }
    let allow = |origin: &str| {
        let (_, answer) = server.http("GET", "/health", &format!("Origin: {origin}\r\n"), "");
        answer
            .to_lowercase()
            .contains("access-control-allow-origin")
    };
    assert!(allow("https://app.example.com"));
    assert!(!allow("https://evil.example.com"));
}

#[test]
fn operations_can_ask_for_a_token_or_have_a_listener_of_their_own() {
    let server = Server::start(&[("METRICS_TOKEN", "let-me-see")]);
    assert_eq!(server.get("/metrics").0, 401);
    assert_eq!(server.get("/status").0, 401);
    assert_eq!(
        server
            .http("GET", "/metrics", "Authorization: Bearer wrong\r\n", "")
            .0,
        401
    );
    assert_eq!(
        server
            .http(
                "GET",
                "/metrics",
                "Authorization: Bearer let-me-see\r\n",
                ""
            )
            .0,
        200
    );
    assert_eq!(server.get("/readyz").0, 200);

    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server = Server::start(&[("ADMIN_ADDR", &port.to_string())]);
    assert_eq!(server.get("/metrics").0, 404);
    let mut answer = ureq::get(format!("http://{port}/metrics")).call().unwrap();
    assert!(
        answer
            .body_mut()
            .read_to_string()
            .unwrap()
            .contains("signalbox_build_info")
    );
}

#[test]
fn the_command_line_signs_tokens_that_the_server_takes_and_names_wrong_settings() {
    let secret = ("SOCKET_JWT_SECRET", crate::support::SECRET);
    let (code, token, _) = run(
        &["token", "--role", "mobile", "--sub", "u1", "--ttl", "1h"],
        &[secret],
    );
    assert_eq!(code, 0);
    let server = Server::start(&[]);
    assert!(Client::with_token(&server, token.trim()).is_ok());

    let (code, version, _) = run(&["version"], &[]);
    assert_eq!(
        (code, version.trim()),
        (0, concat!("signalbox ", env!("CARGO_PKG_VERSION")))
    );

    let (code, _, error) = run(&[], &[("PORT", "99999")]);
    assert_eq!(code, 2);
    assert_eq!(
        error,
        "signalbox: PORT: is not a number from 0 to 65535; for example PORT=3000\n"
    );
    let (code, _, error) = run(&[], &[("NODE_ENV", "production")]);
    assert_eq!(code, 2);
    assert!(
        error.starts_with("signalbox: SOCKET_JWT_SECRET: is required in production"),
        "{error}"
    );
    // The environment goes over the .env file, and both over the default.
    let dir = std::env::temp_dir().join(format!("signalbox-env-{:x}", rand::random::<u64>()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(".env"), "# a comment\nPORT=not-a-port\n").unwrap();
    let read = |settings: &[(&str, &str)]| run_in(&dir, &[], settings).2;
    assert!(read(&[]).starts_with("signalbox: PORT: "), "{}", read(&[]));
    let other = read(&[("PORT", "0"), ("EVENT_RATE", "none")]);
    assert!(other.starts_with("signalbox: EVENT_RATE: "), "{other}");
    std::fs::remove_dir_all(&dir).unwrap();
    let in_use = server.address.port().to_string();
    let (code, _, error) = run(
        &[],
        &[("PORT", &in_use), ("LOG_DIR", server.dir.to_str().unwrap())],
    );
    assert_eq!((code, error.lines().count()), (2, 1), "{error}");
    let (code, _, error) = run(&["token", "--role", "mobile", "--sub", "u1"], &[]);
    assert_eq!(code, 2);
    assert!(error.contains("SOCKET_JWT_SECRET"), "{error}");
}

#[test]
fn in_development_without_a_secret_two_tokens_are_printed_that_work() {
    let dir = std::env::temp_dir().join(format!("signalbox-dev-{:x}", rand::random::<u64>()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .env_clear()
        .env("PORT", "0")
        .env("HOST", "127.0.0.1")
        .env("LOG_DIR", dir.join("logs"))
        .env("DATA_DIR", dir.join("data"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut take = |label: &str| {
        let line = lines
            .find(|l| l.as_ref().unwrap().contains(label))
            .unwrap()
            .unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    let address = take("listens on").replace("http://", "");
    let (phone, monitor) = (take("  phone "), take("  monitor "));
    for (token, role) in [(phone, "mobile"), (monitor, "monitor")] {
        let body = format!("40{}", json!({ "token": token }));
        let url = format!("http://{address}/socket.io/?EIO=4&transport=polling");
        let opened = ureq::get(&url)
            .call()
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        let opened: Value = serde_json::from_str(&opened[1..]).unwrap();
        let url = format!("{url}&sid={}", opened["sid"].as_str().unwrap());
        ureq::post(&url).send(body).unwrap();
        eventually(&format!("{role} to be connected"), || {
            let mut answer = ureq::get(&url).call().unwrap();
            let packets = answer.body_mut().read_to_string().unwrap();
            packets.contains("40{\"sid\"").then_some(())
        });
    }
    // The secret is kept, so this command signs what that server takes.
    let data = dir.join("data");
    let settings = [("DATA_DIR", data.to_str().unwrap())];
    let (code, signed, _) = run(&["token", "--role", "admin", "--sub", "u1"], &settings);
    assert_eq!(code, 0);
    let mine = ureq::get(format!("http://{address}/api/ice-servers"))
        .header("Authorization", format!("Bearer {}", signed.trim()))
        .call()
        .unwrap();
    assert_eq!(mine.status(), 200);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn an_ending_token_is_announced_renewed_or_the_end() {
    let server = Server::start(&[]);
    let short = |user| {
        crate::support::token(
            &json!({ "sub": user, "role": "mobile", "exp": crate::support::now() + 4 }),
        )
    };
    let mut stays = Client::with_token(&server, &short("stays")).unwrap();
    let mut goes = Client::with_token(&server, &short("goes")).unwrap();

    for client in [&mut stays, &mut goes] {
        let left = client.event("token:expiring")["expiresIn"]
            .as_u64()
            .unwrap();
        assert!(left <= 4, "{left}");
    }
    let renewed = stays.ask(
        "token:renew",
        &json!({ "token": good_token("stays", "mobile") }),
    );
    assert_eq!(renewed["success"], true);
    assert!(renewed["expiresIn"].as_u64().unwrap() > 3500);
    let error = goes.event("error");
    assert_eq!(error["code"], "TOKEN_EXPIRED");
    assert!(goes.closed());
    assert!(stays.ask("heartbeat", &json!(null)).is_u64());
    eventually("the reason", || {
        (server.metric("signalbox_disconnects_total{reason=\"token_expired\"}") > 0.5).then_some(())
    });
}

#[test]
fn idle_sessions_are_swept() {
    let server = Server::start(&[
        ("SESSION_IDLE_TIMEOUT", "1s"),
        ("SESSION_SWEEP_INTERVAL", "500ms"),
    ]);
    let mut phone = Client::in_session(&server, "p", "mobile", "s");
    let scan = json!({ "sessionId": "s", "orderNo": "1", "ts": 1 });
    assert_eq!(phone.ask("scanOrder", &scan)["seq"], 1);

    eventually("the sweep", || {
        (json_of(&server, "/health")["sessions"]["total"] == 0).then_some(())
    });
    assert_eq!(phone.ask("scanOrder", &scan)["error"]["code"], "FORBIDDEN");
    phone.emit("joinSession", &json!({ "sessionId": "s" }));
    // It begins anew, its sequence goes on.
    assert_eq!(phone.event("joinedSession")["seq"], 1);
    assert_eq!(phone.ask("scanOrder", &scan)["seq"], 2);
}

#[test]
fn sigterm_tells_clients_closes_them_and_exits_0_in_time() {
    let mut server = Server::start(&[("DRAIN_PERIOD", "1s")]);
    let mut client = Client::in_session(&server, "p", "mobile", "s");
    server.terminate();

    assert_eq!(client.event("server:draining")["retryAfterMs"], 1000);
    let (ready, _) = server.get("/readyz");
    assert!(ready == 503 || ready == 0, "{ready}");
    assert_eq!(Client::try_open(&server, &[]).err(), Some(503));
    assert!(client.closed());
    assert_eq!(server.exit_code(Duration::from_secs(15)), 0);
    let ended = server.logs("combined", |l| {
        l.iter().any(|l| l["message"] == "Draining ended.")
    });
    let ended = ended
        .iter()
        .find(|l| l["message"] == "Draining ended.")
        .unwrap();
    assert_eq!(ended["left"], 0);
}

#[test]
fn panels_and_probes_see_the_catalogue_at_zero_from_the_start() {
    let server = Server::start(&[]);
    let metrics = server.metrics();
    for name in [
        "signaling_active_connections",
        "signaling_active_rooms",
        "signaling_rooms_created_total",
        "signaling_connection_duration_seconds_count",
        "signalbox_scan_flows_total{outcome=\"relay_failed\"}",
        "signalbox_events_received_total{event=\"scanOrder\",outcome=\"failed\"}",
        "signalbox_telemetry_dropped_total",
        "signalbox_log_lines_dropped_total",
        "process_open_fds",
    ] {
        assert!(metrics.contains_key(name), "{name}");
    }
    let series = metrics.len();

    let mut client = Client::connect(&server, "u", "mobile");
    for i in 0..50 {
        client.emit(
            &format!("invented-{i}"),
            &json!({ "sessionId": format!("s{i}") }),
        );
        server.get(&format!("/invented/{i}"));
    }
    client.event("error");
    assert_eq!(
        server.metrics().len(),
        series,
        "clients must not make series"
    );
}

#[test]
fn a_connection_is_one_line_when_it_opens_one_when_it_ends_and_statistics_come_by_the_clock() {
    let server = Server::start(&[("STATS_INTERVAL", "1s")]);
    let client = Client::in_session(&server, "p", "mobile", "s");
    let id = client.id.clone();
    let counted = |l: &Value| l["message"] == "Server stats." && l["connections"] == 1;
    let lines = server.logs("combined", |l| l.iter().any(counted));
    let stats = lines.iter().find(|l| counted(l)).unwrap();
    assert_eq!(stats["sessions"], 1);
    assert_eq!(stats["sessions_paired"], 0);

    drop(client);
    let mine = |l: &&Value| l["socket_id"] == id.as_str();
    let lines = server.logs("combined", |l| l.iter().filter(mine).count() >= 2);
    let messages: Vec<&str> = lines
        .iter()
        .filter(mine)
        .map(|l| l["message"].as_str().unwrap())
        .collect();
    assert_eq!(messages, ["connection opened", "connection closed"]);
    let closed = lines.iter().rfind(mine).unwrap();
    assert_eq!(closed["role"], "mobile");
    assert!(closed["reason"].is_string() && closed["duration_ms"].is_u64());
}
