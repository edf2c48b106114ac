//! The ledger against a plain model, on both databases: places without gaps, nonces, what is kept, what is
//! replayed, many writers at once.

use crate::{
    postgres::Postgres,
    store::{Directory, open, open_seen},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use signalbox::{
    event::StoreOp,
    store::{Entry, KEPT, Ledger, NewScan, REPLAYED, Sequence, Store, Written},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::task::JoinSet;

fn scan(
    session: &str,
    user: &str,
    nonce: Option<&str>,
    order: &str,
    seen: bool,
    at: OffsetDateTime,
) -> NewScan {
    NewScan {
        session: session.into(),
        user: user.into(),
        nonce: nonce.map(Into::into),
        order: order.into(),
        navigate: format!("{{\"orderNo\":\"{order}\"}}").into(),
        seen,
        at,
    }
}

/// What the ledger promises, as simply as it can be said.
#[derive(Default)]
struct Model {
    scans: Vec<(NewScan, u64)>,
    sequences: HashMap<String, Sequence>,
}

impl Model {
    fn enter(&mut self, scan: &NewScan) -> Entry {
        let same = |other: &NewScan| {
            scan.nonce.is_some()
                && (&other.session, &other.user, &other.nonce)
                    == (&scan.session, &scan.user, &scan.nonce)
        };
        if let Some((first, seq)) = self.scans.iter().find(|(other, _)| same(other)) {
            return if first.order == scan.order {
                Entry::Again(*seq)
            } else {
                Entry::Conflict
            };
        }
        let sequence = self.sequences.entry(scan.session.to_string()).or_default();
        sequence.seq += 1;
        if scan.seen {
            sequence.seen = sequence.seq;
        }
        self.scans.push((scan.clone(), sequence.seq));
        Entry::New(sequence.seq)
    }

    fn after(&self, session: &str, seq: u64, now: OffsetDateTime) -> Vec<u64> {
        let scans = self.scans.iter();
        let kept =
            scans.filter(|(s, place)| &*s.session == session && *place > seq && s.at > now - KEPT);
        let places: Vec<u64> = kept.map(|(_, place)| *place).collect();
        places[places.len().saturating_sub(REPLAYED)..].to_vec()
    }

    fn prune(&mut self, now: OffsetDateTime) {
        self.scans.retain(|(scan, _)| scan.at > now - KEPT);
    }
}

/// Hands scans in one behind the other, before any of them is written.
async fn handed_in(ledger: &Ledger, scans: &[NewScan]) -> Vec<Entry> {
    let entering = scans
        .iter()
        .map(|scan| Box::pin(ledger.enter(scan.clone())));
    let mut entering: Vec<_> = entering.collect();
    let mut cx = Context::from_waker(Waker::noop());
    let mut early: Vec<Poll<Written>> = entering
        .iter_mut()
        .map(|one| one.as_mut().poll(&mut cx))
        .collect();
    let mut entries = Vec::new();
    for (one, early) in entering.into_iter().zip(early.drain(..)) {
        let written = match early {
            Poll::Ready(written) => written,
            Poll::Pending => one.await,
        };
        entries.push(written.entry.unwrap());
    }
    entries
}

/// Random histories: batches of scans with nonces used again, time that passes, old scans that go. Some are
/// written as they are, some go through the batcher, which has a shorter way.
async fn follows_the_model(store: &Store, ledger: &Ledger, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model = Model::default();
    // Time goes on from one history to the next.
    let mut now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    now += Duration::from_hours(24 * 30 * seed);
    let prefix = format!("{seed}-");
    for _ in 0..40 {
        now += Duration::from_secs(rng.random_range(0..8_000));
        let batch: Vec<NewScan> = (0..rng.random_range(1..30))
            .map(|_| {
                let session = format!("{prefix}{}", rng.random_range(0..3));
                let user = format!("u{}", rng.random_range(0..2));
                let nonce = rng
                    .random_bool(0.7)
                    .then(|| format!("n{}", rng.random_range(0..60)));
                let order = format!("o{}", rng.random_range(0..2));
                scan(
                    &session,
                    &user,
                    nonce.as_deref(),
                    &order,
                    rng.random_bool(0.5),
                    now,
                )
            })
            .collect();
        let wanted: Vec<Entry> = batch.iter().map(|scan| model.enter(scan)).collect();
        let entries = if seed == 0 {
            store.enter(&batch).await.unwrap()
        } else {
            handed_in(ledger, &batch).await
        };
        assert_eq!(entries, wanted, "seed {seed}");

        for session in (0..3).map(|n| format!("{prefix}{n}")) {
            let sequence = store.sequence(&session).await.unwrap();
            let wanted = model.sequences.get(&session).copied().unwrap_or_default();
            assert_eq!(sequence, wanted, "seed {seed}");
            let after = rng.random_range(0..=sequence.seq + 2);
            let kept = store.scans_after(&session, after, now).await.unwrap();
            let places: Vec<u64> = kept.iter().map(|scan| scan.seq).collect();
            assert_eq!(places, model.after(&session, after, now), "seed {seed}");
        }
        if rng.random_bool(0.3) {
            while store.prune_scans(now).await.unwrap() {}
            model.prune(now);
        }
    }
}

/// Twenty writers of one session at once: every place is given once, and a nonce that several bring is one scan.
async fn many_writers_share_one_sequence(store: &Arc<Store>) {
    let now = OffsetDateTime::now_utc();
    let mut writers = JoinSet::new();
    for writer in 0..20 {
        let store = store.clone();
        writers.spawn(async move {
            let mut entries = Vec::new();
            for n in 0..10 {
                let nonce = format!("shared-{n}");
                let own = scan("busy", &format!("w{writer}"), Some(&nonce), "o", true, now);
                let common = scan("busy", "everybody", Some(&nonce), "o", true, now);
                entries.extend(store.enter(&[own, common]).await.unwrap());
            }
            entries
        });
    }
    let mut places: Vec<u64> = writers
        .join_all()
        .await
        .into_iter()
        .flatten()
        .filter_map(|entry| match entry {
            Entry::New(seq) => Some(seq),
            _ => None,
        })
        .collect();
    places.sort_unstable();
    assert_eq!(places, (1..=210).collect::<Vec<u64>>());
}

/// What arrives together is written together, and one scan that the database does not take harms no other.
async fn commits_in_groups(url: &str) {
    let transactions = Arc::new(AtomicUsize::new(0));
    let seen = transactions.clone();
    let store = open_seen(url, move |op, _| {
        if op == StoreOp::Enter {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let (ledger, batcher) = Ledger::new(store.clone(), Box::new(|_| {}), None);
    let running = tokio::spawn(batcher.run());
    let now = OffsetDateTime::now_utc();
    let mut scanning = JoinSet::new();
    for n in 0..400 {
        let ledger = ledger.clone();
        scanning.spawn(async move {
            ledger
                .enter(scan("grouped", &format!("u{n}"), None, "o", true, now))
                .await
                .entry
        });
    }
    let mut places: Vec<u64> = scanning
        .join_all()
        .await
        .into_iter()
        .map(|entry| match entry {
            Ok(Entry::New(seq)) => seq,
            other => panic!("{other:?}"),
        })
        .collect();
    places.sort_unstable();
    assert_eq!(places, (1..=400).collect::<Vec<u64>>());
    let took = transactions.load(Ordering::Relaxed);
    assert!(took < 200, "{took} transactions for 400 scans");

    let mut scanning = JoinSet::new();
    for n in 0..20 {
        let ledger = ledger.clone();
        // PostgreSQL has no text with a NUL in it.
        let order = if n == 7 { "o\0" } else { "o" };
        scanning.spawn(async move {
            (
                n,
                ledger
                    .enter(scan("mixed", "u", None, order, true, now))
                    .await
                    .entry,
            )
        });
    }
    let refused: Vec<i32> = scanning
        .join_all()
        .await
        .into_iter()
        .filter_map(|(n, entry)| entry.is_err().then_some(n))
        .collect();
    assert!(refused.is_empty() || refused == [7], "{refused:?}");
    assert_eq!(
        store.sequence("mixed").await.unwrap().seq,
        20 - refused.len() as u64
    );
    drop(ledger);
    running.await.unwrap();
    store.close().await;
}

async fn keeps_its_promises(store: &Arc<Store>) {
    let (ledger, batcher) = Ledger::new(store.clone(), Box::new(|_| {}), None);
    let writing = tokio::spawn(batcher.run());
    for seed in 0..6 {
        follows_the_model(store, &ledger, seed).await;
    }
    drop(ledger);
    writing.await.unwrap();
    many_writers_share_one_sequence(store).await;

    let epoch = store.epoch().await.unwrap();
    assert_eq!(epoch.len(), 16, "{epoch}");
    let now = OffsetDateTime::now_utc();
    // Nobody is there: the first monitor to come gets them, and only that one.
    let alone = [scan("s", "u", None, "세트 <b>", false, now)];
    assert_eq!(store.enter(&alone).await.unwrap(), [Entry::New(1)]);
    assert_eq!(
        store.sequence("s").await.unwrap(),
        Sequence { seq: 1, seen: 0 }
    );
    assert_eq!(
        store.scans_after("s", 0, now).await.unwrap()[0].navigate,
        "{\"orderNo\":\"세트 <b>\"}"
    );
    store.mark_seen("s", 1).await.unwrap();
    assert_eq!(
        store.sequence("s").await.unwrap(),
        Sequence { seq: 1, seen: 1 }
    );
    // 500 are kept for replay, a day long; the sequence goes on when they are gone.
    let many: Vec<NewScan> = (0..600)
        .map(|_| scan("s", "u", None, "o", true, now))
        .collect();
    store.enter(&many).await.unwrap();
    let kept = store.scans_after("s", 0, now).await.unwrap();
    assert_eq!((kept.len(), kept[0].seq, kept[499].seq), (500, 102, 601));
    let later = now + KEPT + Duration::from_secs(1);
    while store.prune_scans(later).await.unwrap() {}
    assert_eq!(store.scans_after("s", 0, now).await.unwrap(), []);
    assert_eq!(store.enter(&alone).await.unwrap(), [Entry::New(602)]);
    assert_eq!(store.epoch().await.unwrap(), epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_its_promises_on_sqlite() {
    let dir = Directory::new();
    let url = format!("sqlite://{}/signalbox.db", dir.path().display());
    let store = open(&url).await;
    keeps_its_promises(&store).await;
    let epoch = store.epoch().await.unwrap();
    store.close().await;
    drop(store);
    let again = open(&url).await;
    assert_eq!(again.epoch().await.unwrap(), epoch);
    assert_eq!(again.sequence("s").await.unwrap().seq, 602);
    again.close().await;
    drop(again);
    commits_in_groups(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_its_promises_on_postgresql() {
    let postgres = Postgres::start();
    keeps_its_promises(&open(&postgres.url()).await).await;
    commits_in_groups(&postgres.url()).await;
}
