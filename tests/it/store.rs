//! One suite for both databases: what the store promises holds on SQLite and on PostgreSQL.

use crate::postgres::Postgres;
use parking_lot::Mutex;
use signalbox::{
    clock,
    event::{Namespace, PeerId, RoomChange, RoomId, SocketId, StoreOp, StoreResult},
    settings::{Env, Settings},
    store::{NewAccount, Recorder, RoomKeeper, Rotation, Store, StoreError},
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::{sync::oneshot, task::JoinSet};

/// Rooms that only remember what they were given.
#[derive(Default)]
struct Kept(Mutex<Vec<RoomChange>>);

impl RoomKeeper for Kept {
    fn restore(&self, rooms: Vec<RoomChange>) {
        self.0.lock().extend(rooms);
    }

    fn replay(&self) -> Vec<RoomChange> {
        Vec::new()
    }
}

pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let name = format!("signalbox-store-{:x}", rand::random::<u64>());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn open(url: &str) -> Arc<Store> {
    let fine = |op, result| assert_ne!(result, StoreResult::Timeout, "{op:?}");
    open_seen(url, fine).await
}

/// A store whose operations are told to `seen`.
pub(crate) async fn open_seen(
    url: &str,
    seen: impl Fn(StoreOp, StoreResult) + Clone + Send + Sync + 'static,
) -> Arc<Store> {
    let env = Env::from_pairs([("DATABASE_URL", url)]);
    let settings = Settings::read(&env).unwrap().store;
    // Programs that other tests are starting hold a copy of the lock for an instant, until they have begun.
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = seen.clone();
        match Store::open(&settings, Box::new(move |op, result, _| seen(op, result))).await {
            Ok(store) => return Arc::new(store),
            Err(why) if why.contains("in use") && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(why) => panic!("{why}"),
        }
    }
}

fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}

fn peer(n: usize) -> PeerId {
    PeerId {
        namespace: Namespace::Rtc,
        socket: SocketId::parse(&format!("{n:016}")).unwrap(),
    }
}

fn opened(id: &str, name: &str, at: u64) -> RoomChange {
    RoomChange::Opened {
        room: room(id),
        name: name.into(),
        owner: "owner".into(),
        most: 4,
        at,
    }
}

fn joined(id: &str, n: usize, at: u64) -> RoomChange {
    RoomChange::Joined {
        room: room(id),
        peer: peer(n),
        user: format!("user-{n}").into(),
        at,
    }
}

fn left(id: &str, n: usize, at: u64, seconds: u64) -> RoomChange {
    RoomChange::Left {
        room: room(id),
        peer: peer(n),
        at,
        stayed: Duration::from_secs(seconds),
    }
}

fn closed(id: &str, at: u64) -> RoomChange {
    RoomChange::Closed { room: room(id), at }
}

/// Writes changes with a recorder that ends before this returns, as at an orderly stop.
async fn record(store: &Arc<Store>, changes: impl IntoIterator<Item = RoomChange>) {
    let (recorder, records) = Recorder::new(store.clone());
    let (over, stop) = oneshot::channel::<()>();
    let running = tokio::spawn(recorder.run(Arc::new(Kept::default()), async {
        let _ = stop.await;
    }));
    for change in changes {
        records.write(change);
    }
    records.written().await;
    assert_eq!((records.waiting(), records.given_up()), (0, 0));
    over.send(()).unwrap();
    running.await.unwrap();
}

async fn accounts(store: &Arc<Store>) {
    let now = OffsetDateTime::now_utc();
    let new = |email| NewAccount {
        username: "김 \u{1f600}",
        email,
        password_hash: "$argon2id$…",
    };
    let kim = store
        .create_user(new("kim@example.com"), now)
        .await
        .unwrap();
    assert_eq!(kim.username, "김 \u{1f600}");
    let again = store.create_user(new("kim@example.com"), now).await;
    assert_eq!(again.map(|_| ()), Err(StoreError::Conflict));
    let found = store
        .user_by_email("kim@example.com")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.id, found.last_login), (kim.id, None));
    assert!(
        store
            .user_by_email("KIM@example.com")
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.user(kim.id + 1).await.unwrap().is_none());

    let day = Duration::from_hours(24);
    store
        .begin_login(kim.id, ("login-1", "one"), now, (day, day))
        .await
        .unwrap();
    assert!(
        store
            .user(kim.id)
            .await
            .unwrap()
            .unwrap()
            .last_login
            .is_some()
    );
    let next = store.rotate("one", "two", now, day).await.unwrap();
    assert!(
        matches!(next, Rotation::Rotated { ref login, ref user } if login == "login-1" && user.id == kim.id)
    );
    assert_eq!(
        store.login_of("two").await.unwrap().as_deref(),
        Some("login-1")
    );
    assert!(matches!(
        store.rotate("unknown", "x", now, day).await.unwrap(),
        Rotation::Refused
    ));
    let long_after = now + day + day;
    assert!(matches!(
        store.rotate("two", "x", long_after, day).await.unwrap(),
        Rotation::Refused
    ));
    assert!(store.revoked_since(now - day).await.unwrap().is_empty());
    // The old one again: the newest is worth nothing any more either.
    assert!(matches!(
        store.rotate("one", "x", now, day).await.unwrap(),
        Rotation::Reused
    ));
    assert!(matches!(
        store.rotate("two", "three", now, day).await.unwrap(),
        Rotation::Refused
    ));
    assert_eq!(store.revoked_since(now - day).await.unwrap(), ["login-1"]);
    assert!(store.revoked_since(now + day).await.unwrap().is_empty());

    store
        .begin_login(kim.id, ("login-2", "four"), now, (day, day))
        .await
        .unwrap();
    store.revoke("login-2", now).await.unwrap();
    assert!(matches!(
        store.rotate("four", "five", now, day).await.unwrap(),
        Rotation::Refused
    ));

    // Of many that show one token at once, exactly one gets the next.
    store
        .begin_login(kim.id, ("login-3", "race"), now, (day, day))
        .await
        .unwrap();
    let mut racers = JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        racers.spawn(async move { store.rotate("race", &format!("winner-{n}"), now, day).await });
    }
    let mut won = 0;
    for rotation in racers.join_all().await {
        won += usize::from(matches!(rotation.unwrap(), Rotation::Rotated { .. }));
    }
    assert_eq!(won, 1);
}

async fn rooms(store: &Arc<Store>) {
    let at = clock::now().unix_ms;
    // Said twice is said once.
    let changes = || {
        [
            opened("room-a", "<b>회의</b> & \u{202e}co", at),
            joined("room-a", 1, at),
            joined("room-a", 2, at + 1000),
            left("room-a", 1, at + 5000, 5),
            joined("room-a", 1, at + 6000),
        ]
    };
    record(store, changes()).await;
    record(store, changes().into_iter().take(3)).await;
    let row = store.room("room-a").await.unwrap().unwrap();
    assert_eq!(
        (&*row.name, &*row.owner_id, row.max_users),
        ("<b>회의</b> & \u{202e}co", "owner", 4)
    );
    assert_eq!((&*row.status, row.ended_at), ("active", None));
    assert_eq!(
        row.created_at.unix_timestamp(),
        i64::try_from(at / 1000).unwrap()
    );

    // Each recorder's end is a node's end: what was open is closed.
    let stays = store.participants("room-a", 0, 100).await.unwrap();
    assert!(
        stays
            .iter()
            .all(|s| s.left_at.is_some() && s.duration_seconds.is_some_and(|d| d >= 0))
    );
    let first = &stays[0];
    assert_eq!(
        (&*first.user_id, first.duration_seconds),
        ("user-1", Some(5))
    );
    assert_eq!(
        (first.left_at.unwrap() - first.joined_at).whole_milliseconds(),
        5000
    );
    let page = store.participants("room-a", stays[0].id, 1).await.unwrap();
    assert_eq!(page, stays[1..2]);
    assert!(store.took_part("room-a", "user-2").await.unwrap());
    assert!(!store.took_part("room-a", "owner").await.unwrap());

    // Closed, and the id used again.
    record(store, [closed("room-a", at + 9000)]).await;
    let row = store.room("room-a").await.unwrap().unwrap();
    assert_eq!((&*row.status, row.ended_at.is_some()), ("closed", true));
    record(
        store,
        [
            opened("room-a", "New", at + 10_000),
            opened("room-a", "Not this", at + 11_000),
        ],
    )
    .await;
    let row = store.room("room-a").await.unwrap().unwrap();
    assert_eq!(
        (&*row.status, &*row.name, row.ended_at),
        ("active", "New", None)
    );

    record(
        store,
        (0..5).map(|n| opened(&format!("page-{n}"), "Page", at)),
    )
    .await;
    record(store, [closed("page-3", at)]).await;
    let ids =
        |rows: Vec<signalbox::store::RoomRow>| rows.into_iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(
        ids(store.rooms(None, "page", 2).await.unwrap()),
        ["page-0", "page-1"]
    );
    assert_eq!(
        ids(store.rooms(Some("active"), "page-1", 9).await.unwrap()),
        ["page-2", "page-4", "room-a"]
    );
    assert_eq!(
        ids(store.rooms(Some("closed"), "", 9).await.unwrap()),
        ["page-3"]
    );
    assert!(store.room("nowhere").await.unwrap().is_none());
}

/// A process dies with somebody in a room; another one, on the same database, finds the room and closes
/// the stay at the time when the dead one was last seen. `age` makes the dead look dead.
async fn deaths(url: &str, age: impl AsyncFnOnce()) {
    let store = open(url).await;
    let at = clock::now().unix_ms - 3000;
    let (recorder, records) = Recorder::new(store.clone());
    let running = tokio::spawn(recorder.run(Arc::new(Kept::default()), std::future::pending()));
    for change in [opened("orphan", "Orphan", at), joined("orphan", 1, at)] {
        records.write(change);
    }
    records.written().await;
    running.abort();
    let _ = running.await;
    age().await;
    store.close().await;
    drop((store, records));

    let next = open(url).await;
    let (recorder, _records) = Recorder::new(next.clone());
    let kept = Kept::default();
    recorder.load(&kept).await;
    let found = kept.0.lock().clone();
    assert!(found.contains(&opened("orphan", "Orphan", at)), "{found:?}");
    let stays = next.participants("orphan", 0, 10).await.unwrap();
    let stay = &stays[0];
    let left = stay.left_at.unwrap();
    assert!(
        left >= stay.joined_at && left <= OffsetDateTime::now_utc(),
        "{stay:?}"
    );
    assert_eq!(
        i64::from(stay.duration_seconds.unwrap()),
        (left - stay.joined_at).whole_seconds()
    );
    next.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_its_promises_on_sqlite() {
    let dir = Directory::new();
    let url = format!("sqlite://{}/signalbox.db", dir.0.display());
    let store = open(&url).await;
    accounts(&store).await;
    rooms(&store).await;
    store.close().await;
    drop(store);
    deaths(&url, async || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_its_promises_on_postgresql() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let store = open(&url).await;
    accounts(&store).await;
    rooms(&store).await;
    let age = async || {
        postgres.sql("UPDATE nodes SET seen_at = seen_at - interval '1 minute'");
    };
    store.close().await;
    deaths(&url, age).await;
}

#[tokio::test]
async fn a_node_that_is_alive_is_not_taken_for_dead() {
    let postgres = Postgres::start();
    let (one, other) = (open(&postgres.url()).await, open(&postgres.url()).await);
    let at = clock::now().unix_ms;
    let (recorder, records) = Recorder::new(one.clone());
    let running = tokio::spawn(recorder.run(Arc::new(Kept::default()), std::future::pending()));
    records.write(opened("shared", "Shared", at));
    records.write(joined("shared", 1, at));
    records.written().await;
    let (recorder, _) = Recorder::new(other.clone());
    recorder.load(&Kept::default()).await;
    record(&other, [closed("shared", at)]).await;
    let row = other.room("shared").await.unwrap().unwrap();
    assert_eq!(row.status, "active", "somebody is in it");
    assert_eq!(
        other.participants("shared", 0, 9).await.unwrap()[0].left_at,
        None
    );
    running.abort();
}
