//! Scans while the database is locked, full or read-only: nothing is claimed that is not so, and it resumes by
//! itself.

use crate::{
    postgres::Postgres,
    store_faults::{Ballast, FileLock, up},
    support::{Client, Server, eventually},
};
use serde_json::{Value, json};
use std::time::Instant;

const FAR: [(&str, &str); 2] = [("EVENT_RATE", "1000000"), ("EVENT_BURST", "1000000")];

/// A phone and a monitor of session `s`.
struct Pair {
    phone: Client,
    monitor: Client,
    sent: usize,
}

impl Pair {
    fn new(server: &Server) -> Self {
        Self {
            monitor: Client::in_session(server, "m", "monitor", "s"),
            phone: Client::in_session(server, "p", "mobile", "s"),
            sent: 0,
        }
    }

    /// One scan: its acknowledgement, and what the monitor was sent.
    fn scan(&mut self) -> (Value, Value) {
        let ack = self.ask();
        let navigate = self.monitor.event("navigate");
        assert_eq!(navigate["seq"], ack["seq"]);
        (ack, navigate)
    }

    fn ask(&mut self) -> Value {
        self.sent += 1;
        let order = format!("order-{}-{}", self.sent, "x".repeat(90));
        let nonce = format!("nonce-{}", self.sent);
        self.phone.ask(
            "scanOrder",
            &json!({ "sessionId": "s", "orderNo": order, "ts": 1, "nonce": nonce }),
        )
    }

    /// What the ledger says was scanned: places without gaps, and every one that was acknowledged is there.
    fn agrees(server: &Server, durable: &[Value]) {
        let mut late = Client::connect(server, "late", "monitor");
        late.emit("registerClient", &json!({ "role": "monitor" }));
        late.emit("joinSession", &json!({ "sessionId": "s", "lastSeq": 0 }));
        let last = late.event("joinedSession")["seq"].as_u64().unwrap();
        let kept: Vec<Value> = (0..last).map(|_| late.event("navigate")).collect();
        for (place, navigate) in (1..).zip(&kept) {
            assert_eq!(navigate["seq"], place);
        }
        for ack in durable {
            let place = usize::try_from(ack["seq"].as_u64().unwrap()).unwrap();
            assert_eq!(kept[place - 1]["nonce"], ack["nonce"]);
        }
    }
}

fn not_kept(server: &Server) -> f64 {
    server.metric("signalbox_scan_flows_total{outcome=\"storage_failed\"}")
}

/// A scan that is relayed and not kept, and says so.
fn relayed_only(pair: &mut Pair) {
    let (ack, navigate) = pair.scan();
    assert_eq!(ack["received"], true);
    assert_eq!(ack["durable"], false);
    assert_eq!(
        (&ack["seq"], &navigate["seq"]),
        (&Value::Null, &Value::Null)
    );
}

/// Scans are kept again, without anybody's help.
fn kept_again(pair: &mut Pair) -> Value {
    let began = Instant::now();
    loop {
        let (ack, _) = pair.scan();
        if ack["durable"] == true {
            return ack;
        }
        assert!(began.elapsed().as_secs() < 20, "it does not come back");
    }
}

#[test]
fn scans_are_relayed_while_another_process_locks_the_file_and_kept_again_afterwards() {
    let mut settings = FAR.to_vec();
    settings.push(("STORE_TIMEOUT", "300ms"));
    let server = Server::start(&settings);
    let mut pair = Pair::new(&server);
    let (first, _) = pair.scan();
    assert_eq!(
        (&first["seq"], &first["durable"]),
        (&json!(1), &json!(true))
    );

    let lock = FileLock::take(&server);
    relayed_only(&mut pair);
    up(&server, false);
    let began = Instant::now();
    relayed_only(&mut pair);
    assert!(
        began.elapsed().as_millis() < 250,
        "nobody waits for it twice"
    );
    assert!((not_kept(&server) - 2.0).abs() < 0.5);
    lock.release();
    let back = kept_again(&mut pair);
    up(&server, true);
    Pair::agrees(&server, &[first, back]);
}

#[test]
fn scans_are_refused_while_the_file_is_locked_where_that_is_wanted() {
    let mut settings = FAR.to_vec();
    settings.extend([("STORE_TIMEOUT", "300ms"), ("SCAN_WITHOUT_STORE", "refuse")]);
    let server = Server::start(&settings);
    let mut pair = Pair::new(&server);
    let lock = FileLock::take(&server);

    for _ in 0..2 {
        assert_eq!(pair.ask()["error"]["code"], "UNAVAILABLE");
    }
    assert!((not_kept(&server) - 2.0).abs() < 0.5);
    lock.release();
    up(&server, true);
    let (ack, navigate) = pair.scan();
    assert_eq!(ack["durable"], true);
    assert_eq!(
        navigate["nonce"], "nonce-3",
        "what was refused was not relayed"
    );
}

#[test]
fn a_full_disk_costs_no_scan_that_was_acknowledged_as_kept() {
    let server = Server::start_with_a_small_disk(&FAR);
    let mut pair = Pair::new(&server);
    let ballast = Ballast::fill(&server);

    let mut durable = Vec::new();
    // The file has some free pages left; not for as many scans as a replay holds.
    let full = (0..450).any(|_| {
        let (ack, _) = pair.scan();
        let kept = ack["durable"] == true;
        if kept {
            durable.push(ack);
        }
        !kept
    });
    assert!(full, "the disk was never full");
    up(&server, false);
    relayed_only(&mut pair);
    ballast.remove();
    durable.push(kept_again(&mut pair));
    Pair::agrees(&server, &durable);
}

#[test]
fn a_database_that_turns_read_only_is_away_until_it_takes_scans_again() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let mut settings = FAR.to_vec();
    settings.push(("DATABASE_URL", &url));
    let server = Server::start(&settings);
    let mut pair = Pair::new(&server);
    let (first, _) = pair.scan();
    assert_eq!(first["durable"], true);

    let read_only = |on: &str| {
        postgres.sql(&format!(
            "ALTER SYSTEM SET default_transaction_read_only = {on}"
        ));
        postgres.sql("SELECT pg_reload_conf()");
    };
    read_only("on");
    eventually("a scan that is not kept", || {
        (pair.scan().0["durable"] == false).then_some(())
    });
    up(&server, false);
    read_only("off");
    let back = kept_again(&mut pair);
    Pair::agrees(&server, &[first, back]);
}
