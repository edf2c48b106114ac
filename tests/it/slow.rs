//! A client that stops reading is gone in time, and nobody else notices.

use crate::support::{Bystanders, Client, Server, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn a_monitor_that_stops_reading_is_gone_within_15_seconds_and_others_do_not_wait() {
    let server = Server::start(&[("EVENT_RATE", "1000000"), ("EVENT_BURST", "1000000")]);
    let mut bystanders = Bystanders::new(&server);
    let quiet: Vec<Duration> = (0..50).map(|_| bystanders.relay()).collect();
    let stuck = Client::in_session(&server, "stuck", "monitor", "s");
    let mut phone = Client::in_session(&server, "phone", "mobile", "s");
    phone.ws.get_mut().set_nonblocking(false).unwrap();

    // More than the kernel buffers of one connection hold; the phone reads its own copies.
    let began = Instant::now();
    let mut beside = Vec::new();
    let order = "x".repeat(128);
    let gone = loop {
        for _ in 0..200 {
            phone.emit(
                "scanOrder",
                &json!({ "sessionId": "s", "orderNo": order, "ts": 1, "nonce": "y".repeat(64) }),
            );
        }
        for _ in 0..200 {
            phone.event("navigate");
        }
        beside.push(bystanders.relay());
        if server.metric("signaling_active_connections") < 3.5 {
            break began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_mins(1), "still there");
    };
    drop(stuck);

    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (quiet, beside) = (median(quiet), median(beside));
    assert!(
        beside < quiet * 5 + Duration::from_millis(50),
        "{quiet:?} alone, {beside:?} beside"
    );
    eventually("its disconnect", || {
        let slow = server.metric("signalbox_disconnects_total{reason=\"send_queue_full\"}");
        (slow > 0.5).then_some(())
    });
    // From the first packet that could not be written, the queue fills within one round.
    assert!(gone < Duration::from_mins(1), "{gone:?}");
    assert!(phone.ask("heartbeat", &json!(null)).is_u64());
}

#[test]
fn a_stuck_client_with_little_to_read_is_cut_by_the_write_limit() {
    // The queue is too long to fill: only the write limit can end it.
    let server = Server::start(&[
        ("SEND_QUEUE_MAX", "1000000"),
        ("EVENT_RATE", "1000000"),
        ("EVENT_BURST", "1000000"),
        ("PING_INTERVAL", "120s"),
    ]);
    let stuck = Client::in_session(&server, "stuck", "monitor", "s");
    let mut phone = Client::in_session(&server, "phone", "mobile", "s");
    let order = "x".repeat(128);
    // Until the kernel takes no more for it: the packets handed over outgrow any buffer.
    for _ in 0..150 {
        for _ in 0..200 {
            phone.emit(
                "scanOrder",
                &json!({ "sessionId": "s", "orderNo": order, "ts": 1, "nonce": "y".repeat(64) }),
            );
        }
        for _ in 0..200 {
            phone.event("navigate");
        }
    }
    let began = Instant::now();
    eventually("the end of it", || {
        (server.metric("signaling_active_connections") < 1.5).then_some(())
    });
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    drop(stuck);
}
