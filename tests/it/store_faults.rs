//! The database is away, locked, damaged, newer or taken: signaling goes on, nothing is overwritten, and
//! what happened meanwhile is written when it is back.

use crate::{
    postgres::Postgres,
    support::{Client, Server, eventually, good_token, run_in},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The contract's limit of 5 rooms a minute is not what is tested here.
const FAR: (&str, &str) = ("CREATE_ROOM_PER_MIN", "1000");

fn api(server: &Server, path: &str, user: &str) -> (u16, Value) {
    let bearer = format!("Authorization: Bearer {}\r\n", good_token(user, "monitor"));
    let (status, answer) = server.http("GET", path, &bearer, "");
    let body = answer.split_once("\r\n\r\n").unwrap_or_default().1;
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn create(client: &mut Client, room: &str) {
    let made = client.ask("create-room", &json!({"roomId": room, "name": "Room"}));
    assert_eq!(made, json!({"success": true, "roomId": room}));
}

/// Two peers meet in a room and exchange an offer.
fn meet(a: &mut Client, b: &mut Client, room: &str) {
    create(a, room);
    let joined = b.ask("join-room", &json!(room));
    let to = joined["existingUsers"][0].clone();
    let sent = b.ask("offer", &json!({"to": to, "offer": {"sdp": "v=0"}}));
    assert_eq!(sent, json!({"delivered": true}), "{joined}");
}

pub(crate) fn up(server: &Server, wanted: bool) {
    eventually("the store's gauge", || {
        ((server.metric("signalbox_store_up") > 0.5) == wanted).then_some(())
    });
}

/// Everything about the stays of a room, once there are `count` and all have ended.
fn ended_stays(server: &Server, room: &str, count: usize) -> Vec<Value> {
    eventually("the stays", || {
        let (_, page) = api(server, &format!("/api/rooms/{room}/participants"), "a");
        let stays = page["participants"].as_array()?.clone();
        let over = stays.iter().all(|stay| stay["leftAt"].is_string());
        (stays.len() == count && over).then_some(stays)
    })
}

/// Another process that writes to the server's file, and does not come to an end.
pub(crate) struct FileLock(Child);

impl FileLock {
    pub(crate) fn take(server: &Server) -> Self {
        let mut writer = Command::new("python3")
            .args(["-c", "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\nc.execute('BEGIN IMMEDIATE')\nprint('locked',flush=True)\nsys.stdin.readline()\nc.execute('COMMIT')"])
            .arg(server.dir.join("data/signalbox.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(writer.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        Self(writer)
    }

    pub(crate) fn release(mut self) {
        let mut end = self.0.stdin.take().unwrap();
        end.write_all(b"go on\n").unwrap();
        self.0.wait().unwrap();
    }
}

/// What fills the server's small disk.
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    pub(crate) fn fill(server: &Server) -> Self {
        let path = server.small_disk().join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        Self(path)
    }

    pub(crate) fn remove(self) {
        fs::remove_file(self.0).unwrap();
    }
}

#[test]
fn signaling_goes_on_without_postgresql_and_catches_up() {
    let mut postgres = Postgres::start();
    let url = postgres.url();
    let server = Server::start(&[("DATABASE_URL", &url), FAR]);
    let mut a = Client::connect(&server, "a", "monitor");
    let mut b = Client::connect(&server, "b", "monitor");
    meet(&mut a, &mut b, "before");

    postgres.crash();
    meet(&mut a, &mut b, "meanwhile");
    up(&server, false);
    meet(&mut a, &mut b, "meanwhile-2");
    let gone = b.ask("leave", &json!({"roomId": "before"}));
    assert_eq!(gone["success"], true);
    let (status, ready) = server.get("/readyz");
    assert_eq!(status, 200, "clients are still welcome");
    assert!(
        ready.contains(r#""degraded":true,"checks":{"store":"away"}"#),
        "{ready}"
    );
    let (status, body) = api(&server, "/api/rooms", "a");
    assert_eq!(
        (status, &body["error"]["code"]),
        (503, &json!("UNAVAILABLE"))
    );
    assert!(server.metric("signalbox_store_changes_waiting") > 0.0);

    postgres.run();
    up(&server, true);
    let stays = eventually("what happened meanwhile", || {
        let stays = postgres.sql(
            "SELECT room_id, user_id, left_at IS NULL FROM room_participants ORDER BY room_id, user_id",
        );
        stays.contains("meanwhile-2|b").then_some(stays)
    });
    assert_eq!(
        stays.lines().collect::<Vec<_>>(),
        [
            "before|a|t",
            "before|b|f",
            "meanwhile|a|t",
            "meanwhile|b|t",
            "meanwhile-2|a|t",
            "meanwhile-2|b|t"
        ]
    );
    assert!(server.metric("signalbox_store_changes_lost_total") < 0.5);
    let lines = server.logs("error", |lines| !lines.is_empty());
    let away = lines
        .iter()
        .filter(|l| l["message"].as_str().unwrap().contains("database is away"));
    assert_eq!(away.count(), 1, "said once, not at every attempt");
}

#[test]
fn it_starts_without_postgresql_and_uses_it_once_it_is_there() {
    let mut postgres = Postgres::start();
    let url = postgres.url();
    postgres.crash();
    let server = Server::start(&[("DATABASE_URL", &url), FAR]);
    let mut a = Client::connect(&server, "a", "monitor");
    let mut b = Client::connect(&server, "b", "monitor");
    meet(&mut a, &mut b, "early");
    let unknown = b.ask("join-room", &json!("perhaps"));
    assert_eq!(unknown["error"]["code"], "UNAVAILABLE", "nobody can know");
    postgres.run();
    up(&server, true);
    eventually("the room", || {
        (postgres.sql("SELECT status FROM rooms WHERE id = 'early'") == "active").then_some(())
    });
    let unknown = b.ask("join-room", &json!("perhaps"));
    assert_eq!(unknown["error"]["code"], "NOT_FOUND");
}

#[test]
fn a_locked_table_or_a_frozen_server_stops_nobody() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let server = Server::start(&[("DATABASE_URL", &url), ("STORE_TIMEOUT", "300ms"), FAR]);
    let mut a = Client::connect(&server, "a", "monitor");
    let mut b = Client::connect(&server, "b", "monitor");
    let lock = "BEGIN; LOCK TABLE room_participants, rooms; SELECT pg_sleep(3); COMMIT";
    let mut locking = postgres.psql(lock).spawn().unwrap();
    eventually("the lock", || {
        let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted";
        (postgres.sql(locks) != "0").then_some(())
    });
    meet(&mut a, &mut b, "locked");
    up(&server, false);
    meet(&mut a, &mut b, "locked-2");
    locking.wait().unwrap();
    up(&server, true);
    eventually("both rooms", || {
        (postgres.sql("SELECT count(*) FROM room_participants") == "4").then_some(())
    });
    assert!(server.metric("signalbox_store_changes_lost_total") < 0.5);
}

#[test]
fn a_second_writer_on_the_file_delays_but_loses_nothing() {
    let server = Server::start(&[("STORE_TIMEOUT", "300ms"), FAR]);
    let mut a = Client::connect(&server, "a", "monitor");
    let mut b = Client::connect(&server, "b", "monitor");
    let lock = FileLock::take(&server);
    meet(&mut a, &mut b, "busy");
    up(&server, false);
    lock.release();
    up(&server, true);
    for peer in [&mut a, &mut b] {
        assert_eq!(
            peer.ask("leave", &json!({"roomId": "busy"}))["success"],
            true
        );
    }
    ended_stays(&server, "busy", 2);
}

#[test]
fn a_full_disk_stops_nobody_and_is_caught_up_with() {
    let server = Server::start_with_a_small_disk(&[FAR]);
    let mut a = Client::connect(&server, "a", "monitor");
    let mut b = Client::connect(&server, "b", "monitor");
    let ballast = Ballast::fill(&server);
    // The file has some free pages left: rooms until they are used up.
    let rooms: Vec<String> = (0..200).map(|n| format!("crowded-{n}")).collect();
    let until_full = rooms.iter().find(|room| {
        meet(&mut a, &mut b, room);
        for peer in [&mut a, &mut b] {
            assert_eq!(peer.ask("leave", &json!({"roomId": room}))["success"], true);
        }
        server.metric("signalbox_store_up") < 0.5
    });
    assert!(until_full.is_some(), "the disk was never full");
    meet(&mut a, &mut b, "full");
    ballast.remove();
    up(&server, true);
    for peer in [&mut a, &mut b] {
        assert_eq!(
            peer.ask("leave", &json!({"roomId": "full"}))["success"],
            true
        );
    }
    ended_stays(&server, "full", 2);
    assert!(server.metric("signalbox_store_changes_lost_total") < 0.5);
}

#[test]
fn rooms_are_there_again_after_a_kill_and_stays_are_closed() {
    let server = Server::start(&[]);
    let mut a = Client::connect(&server, "a", "monitor");
    let mut b = Client::connect(&server, "b", "monitor");
    meet(&mut a, &mut b, "survivor");
    eventually("the stays", || {
        let (_, page) = api(&server, "/api/rooms/survivor/participants", "a");
        (page["participants"].as_array()?.len() == 2).then_some(())
    });
    let server = server.killed_and_restarted(&[]);
    let mut b = Client::connect(&server, "b", "monitor");
    assert_eq!(
        b.ask("join-room", &json!("survivor")),
        json!({"success": true, "roomId": "survivor", "existingUsers": []})
    );
    assert_eq!(
        b.ask("leave", &json!({"roomId": "survivor"}))["success"],
        true
    );
    let stays = ended_stays(&server, "survivor", 3);
    assert!(
        stays
            .iter()
            .all(|s| s["durationSeconds"].as_i64().unwrap() >= 0),
        "{stays:?}"
    );
    let (_, room) = api(&server, "/api/rooms/survivor", "a");
    assert_eq!(
        (&room["status"], &room["ownerId"]),
        (&json!("active"), &json!("a"))
    );
}

#[test]
fn an_orderly_stop_closes_the_stays() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let mut server = Server::start(&[("DATABASE_URL", &url), ("DRAIN_PERIOD", "200ms")]);
    let mut a = Client::connect(&server, "a", "monitor");
    let mut b = Client::connect(&server, "b", "monitor");
    meet(&mut a, &mut b, "evening");
    server.terminate();
    assert_eq!(server.exit_code(std::time::Duration::from_secs(15)), 0);
    let open = "SELECT count(*) FROM room_participants WHERE left_at IS NULL";
    assert_eq!(postgres.sql(open), "0");
    assert_eq!(postgres.sql("SELECT count(*) FROM nodes"), "0");
}

fn fresh() -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("signalbox-it-{:x}", rand::random::<u64>()));
    fs::create_dir_all(dir.join("data")).unwrap();
    dir
}

/// It does not start, says why in one line, and leaves the file as it was.
fn refuses(dir: &Path, settings: &[(&str, &str)], why: &str) {
    let file = dir.join("data/signalbox.db");
    let before = fs::read(&file).ok();
    let mut all = vec![("PORT", "0"), ("HOST", "127.0.0.1")];
    all.extend_from_slice(settings);
    let (code, _, stderr) = run_in(dir, &[], &all);
    assert_eq!(code, 2, "{stderr}");
    let line = stderr.trim();
    assert_eq!(line.lines().count(), 1, "{stderr}");
    assert!(
        line.starts_with("signalbox: DATABASE_URL: ") && line.contains(why),
        "{line}"
    );
    assert_eq!(fs::read(&file).ok(), before, "the file was changed");
}

#[test]
fn a_database_that_cannot_be_used_stops_the_start_with_one_line() {
    // Not a database.
    let dir = fresh();
    fs::write(
        dir.join("data/signalbox.db"),
        "This is a letter, not a database. ".repeat(100),
    )
    .unwrap();
    refuses(&dir, &[], "not a database");
    fs::remove_dir_all(&dir).unwrap();

    // In use by another server; then damaged; then read-only; then newer.
    let server = Server::start(&[]);
    let dir = server.dir.clone();
    refuses(&dir, &[], "in use by another server");
    let server = server.killed_and_restarted(&[]);
    let file = dir.join("data/signalbox.db");
    let sql = |statement: &str| {
        let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nc.execute(sys.argv[2])\nc.commit()\nc.execute('PRAGMA wal_checkpoint(TRUNCATE)')";
        let done = Command::new("python3")
            .args(["-c", script])
            .arg(&file)
            .arg(statement)
            .status();
        assert!(done.unwrap().success());
    };
    let mut server = server;
    server.terminate();
    assert_eq!(server.exit_code(std::time::Duration::from_secs(15)), 0);
    sql("SELECT 1");
    let read_only = format!("sqlite://{}?mode=ro", file.display());
    refuses(&dir, &[("DATABASE_URL", &read_only)], "cannot be written");
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    let (from, to) = (4096 * 2, 4096 * 6);
    damaged[from..to].fill(0xA5);
    fs::write(&file, damaged).unwrap();
    refuses(&dir, &[], "");
    fs::write(&file, whole).unwrap();
    sql(
        "INSERT INTO _sqlx_migrations SELECT 999, 'of the future', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1",
    );
    refuses(&dir, &[], "newer version");

    refuses(&dir, &[("DATABASE_URL", "sqlite::memory:")], "memory");
}

#[test]
fn a_postgresql_that_refuses_stops_the_start_with_one_line() {
    let postgres = Postgres::start();
    let dir = fresh();
    let elsewhere = postgres.url().replace("/postgres", "/nothing-there");
    refuses(&dir, &[("DATABASE_URL", &elsewhere)], "nothing-there");
    postgres.sql("CREATE TABLE users (id INT)");
    refuses(&dir, &[("DATABASE_URL", &postgres.url())], "users");
    fs::remove_dir_all(&dir).unwrap();
}
