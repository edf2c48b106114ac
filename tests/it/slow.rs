//! A client that stops reading is gone in time, and nobody else notices.

use crate::support::{Bystanders, Client, Server, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) const UNLIMITED: [(&str, &str); 2] =
    [("EVENT_RATE", "1000000"), ("EVENT_BURST", "1000000")];
/// Scans are relayed without being kept, which is quicker: what is to be full is the connection.
const UNKEPT: (&str, &str) = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
/// How long a client that does not read may stay.
const LIMIT: Duration = Duration::from_secs(15);

/// 200 scans of about 400 bytes into session `s`; the phone reads its own copies.
fn burst(phone: &mut Client) {
    let scan = json!({ "sessionId": "s", "orderNo": "x".repeat(128), "ts": 1, "traceparent": "y".repeat(64) });
    for _ in 0..200 {
        phone.emit("scanOrder", &scan);
    }
    for _ in 0..200 {
        phone.event("navigate");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_monitor_that_stops_reading_is_gone_within_15_seconds_and_others_do_not_wait() {
    let mut settings = UNLIMITED.to_vec();
    settings.extend([("SEND_QUEUE_MAX", "1000"), UNKEPT]);
    let server = Server::start(&settings);
    let mut bystanders = Bystanders::new(&server);
    let quiet = median((0..50).map(|_| bystanders.relay()).collect());
    let stuck = Client::in_session(&server, "stuck", "monitor", "s");
    let mut phone = Client::in_session(&server, "phone", "mobile", "s");

    // Faster than the kernel's buffers for it can hold: soon nothing more can be written.
    let began = Instant::now();
    let mut beside = Vec::new();
    let gone = loop {
        // Several at a time: looking whether it is gone is dear beside them.
        for _ in 0..8 {
            burst(&mut phone);
        }
        beside.push(bystanders.relay());
        if server.metric("signaling_active_connections") < 3.5 {
            break began.elapsed();
        }
        assert!(began.elapsed() < LIMIT, "still there");
    };
    drop(stuck);

    let (worst, beside) = (*beside.iter().max().unwrap(), median(beside));
    eprintln!(
        "gone after {gone:?}; bystanders {quiet:?} alone, {beside:?} beside it, worst {worst:?}"
    );
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    let mut ended = server.metrics();
    ended.retain(|name, count| name.contains("disconnects") && *count > 0.5);
    eprintln!("{ended:?}");
    eventually("its disconnect", || {
        let metrics = server.metrics();
        // On a busy machine the write limit may be first, or the kernel, which waits 8 s for an acknowledgement.
        let full = metrics["signalbox_disconnects_total{reason=\"send_queue_full\"}"];
        let cut = metrics["signalbox_rejected_total{reason=\"slow_reader\"}"];
        let kernel = metrics["signalbox_disconnects_total{reason=\"transport_error\"}"];
        (full + cut + kernel > 0.5).then_some(())
    });
    assert!(phone.ask("heartbeat", &json!(null)).is_u64());
}

#[test]
fn a_stuck_client_whose_queue_never_fills_is_cut_by_the_write_limit() {
    let mut settings = UNLIMITED.to_vec();
    settings.extend([
        ("SEND_QUEUE_MAX", "1000000"),
        ("PING_INTERVAL", "120s"),
        UNKEPT,
    ]);
    let server = Server::start(&settings);
    let stuck = Client::in_session(&server, "stuck", "monitor", "s");
    let mut phone = Client::in_session(&server, "phone", "mobile", "s");
    for _ in 0..150 {
        burst(&mut phone);
    }

    let began = Instant::now();
    eventually("the end of it", || {
        (server.metric("signaling_active_connections") < 1.5).then_some(())
    });
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    drop(stuck);
}
