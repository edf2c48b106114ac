//! What happens by the clock: tokens end, idle sessions go, statistics are logged, limiters forget.

use crate::{
    accounts::Accounts,
    clock,
    event::{Fact, Room, milliseconds, utc},
    gateway::{Front, Gateway},
    guard::{Block, Blocks, KeySet},
    http::{Families, Http},
    live::{MemoryRooms, MemorySessions},
    queue::QueueServices,
    rtc::RtcServices,
    settings::Settings,
    store::Store,
    telemetry::{Telemetry, statistics},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet, time::MissedTickBehavior};

/// What the jobs work on.
pub(crate) struct Jobs {
    pub(crate) settings: Settings,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) front: Arc<Front>,
    pub(crate) http: Arc<Http>,
    pub(crate) sessions: Arc<MemorySessions>,
    pub(crate) rooms: Arc<MemoryRooms>,
    pub(crate) rtc: RtcServices,
    pub(crate) families: Arc<Families>,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) blocked: UnboundedReceiver<Block>,
    pub(crate) keys: Option<Arc<KeySet>>,
    pub(crate) store: Arc<Store>,
}

/// A room stays this long after its last peer left, in case somebody returns (contract, section 5).
const EMPTY_ROOM: Duration = Duration::from_secs(30);
/// How often nodes look which logins were ended on others; contract and threat model allow 5 s.
const ENDED_LOGINS: Duration = Duration::from_secs(2);
/// How often old scans and messages are looked for, how many messages go in a step, and how long the others have
/// the database between two steps.
const PRUNED: u32 = 1000;
const PRUNE: Duration = Duration::from_mins(1);
const BREATH: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);
/// How often limiters forget.
const TIDY: Duration = Duration::from_secs(10);

impl Jobs {
    /// Starts them all; they end with what is returned.
    pub(crate) fn start(self) -> JoinSet<()> {
        let mut jobs = JoinSet::new();
        jobs.spawn(self.telemetry.clone().watch_runtime());
        let gateway = self.gateway.clone();
        jobs.spawn(every(Duration::from_secs(1), move || {
            gateway.expire_tokens(clock::unix_seconds());
        }));
        let (gateway, sessions) = (self.gateway.clone(), self.sessions.clone());
        let idle = self.settings.scan.idle_timeout;
        jobs.spawn(every(self.settings.scan.sweep_interval, move || {
            let dropped = sessions.sweep(idle, clock::now());
            for id in &dropped {
                gateway.close_room(&Room::Session(id.clone()));
            }
            if !dropped.is_empty() {
                tracing::info!(target: "signalbox::sweep", sessions = dropped.len(), "Idle sessions were dropped.");
            }
        }));
        let (gateway, sessions) = (self.gateway.clone(), self.sessions);
        let telemetry = self.telemetry.clone();
        jobs.spawn(every(self.settings.telemetry.stats_interval, move || {
            let totals = sessions.totals();
            let counts = [totals.total, totals.active, totals.paired];
            statistics(&telemetry.metrics, gateway.connected(), counts);
        }));
        let rooms = self.rooms;
        jobs.spawn(every(Duration::from_secs(1), move || {
            rooms.close_empty(EMPTY_ROOM, clock::now());
        }));
        jobs.spawn(turn(
            self.families.queue.clone(),
            self.settings.queue.restore_window,
            self.gateway.clone(),
            self.telemetry.clone(),
        ));
        let seat_map = self.families.seat_map.clone();
        jobs.spawn(async move {
            loop {
                tokio::time::sleep(SECOND).await;
                seat_map.keep(clock::now()).await;
            }
        });
        jobs.spawn(end_blocked(
            self.blocked,
            self.gateway.clone(),
            self.telemetry.clone(),
        ));
        jobs.spawn(prune(self.store.clone()));
        if let Some(kept) = self.settings.chat.retention {
            jobs.spawn(prune_chat(self.store.clone(), kept));
        }
        jobs.spawn(end_logins(
            self.store,
            self.families.accounts.clone(),
            self.gateway.clone(),
        ));
        if let Some(keys) = self.keys {
            let period = self.settings.auth.jwks_refresh;
            jobs.spawn(async move {
                loop {
                    tokio::time::sleep(period).await;
                    keys.refresh().await;
                }
            });
        }
        let creations = self.rtc.creations;
        let (gateway, front, http) = (self.gateway, self.front, self.http);
        let families = self.families;
        let (blocks, telemetry) = (self.blocks, self.telemetry);
        let seen = blocks.clone();
        telemetry
            .metrics
            .on_scrape(move |metrics| metrics.set_blocked(seen.count(Instant::now())));
        jobs.spawn(every(TIDY, move || {
            blocks.tidy(Instant::now());
            families.pairing.tidy(clock::now());
            families.accounts.tidy(clock::now());
            gateway.tidy();
            creations.tidy();
            front.tidy();
            http.tidy();
        }));
        jobs
    }
}

/// Lets people in, tells those who wait, ends what has ended, once a second.
async fn turn(
    queue: QueueServices,
    window: Duration,
    gateway: Arc<Gateway>,
    telemetry: Arc<Telemetry>,
) {
    // Often enough for the window, and not more: it looks at everybody.
    let forget = window.as_secs().clamp(1, 60);
    let mut ticks = tokio::time::interval(SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0_u64.. {
        ticks.tick().await;
        let now = clock::now();
        gateway.carry_out(queue.turn(now).await);
        let totals = queue.queues.totals().await;
        let people = [totals.waiting, totals.active, totals.free];
        telemetry
            .metrics
            .set_queues(people, queue.seats.held().await);
        if tick.is_multiple_of(forget) {
            gateway.carry_out(queue.forget(now).await);
        }
    }
}

/// Deletes scans that are no longer kept, a few at a time, so that nobody waits for it.
async fn prune(store: Arc<Store>) {
    loop {
        let more = store.prune_scans(utc(clock::now().unix_ms)).await;
        let pause = if more == Ok(true) { BREATH } else { PRUNE };
        tokio::time::sleep(pause).await;
    }
}

/// Deletes messages that are no longer kept, a few at a time.
async fn prune_chat(store: Arc<Store>, kept: Duration) {
    loop {
        let before = clock::now().unix_ms.saturating_sub(milliseconds(kept));
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let pruned = store.prune_chat(before, PRUNED).await;
        let more = pruned.is_ok_and(|pruned| pruned == u64::from(PRUNED));
        tokio::time::sleep(if more { BREATH } else { PRUNE }).await;
    }
}

/// Writes down which addresses were blocked, and closes what is connected from there.
async fn end_blocked(
    mut blocked: UnboundedReceiver<Block>,
    gateway: Arc<Gateway>,
    telemetry: Arc<Telemetry>,
) {
    while let Some(block) = blocked.recv().await {
        telemetry.happened(&[Fact::AddressBlocked(block.reason)]);
        tracing::warn!(
            target: "signalbox::blocks",
            client_address = %block.address,
            reason = block.reason.as_str(),
            until = block.until,
            "An address was blocked."
        );
        gateway.end_blocked();
    }
}

/// Closes the sockets of logins that were ended, here at once, on other nodes within a few seconds. After
/// a time without the store it looks back as far as at the start: others may have reached it.
async fn end_logins(store: Arc<Store>, accounts: Arc<Accounts>, gateway: Arc<Gateway>) {
    let mut missed = false;
    loop {
        tokio::select! {
            () = store.login_ended() => {}
            () = tokio::time::sleep(ENDED_LOGINS) => {}
        }
        match accounts.learn_revoked(missed, clock::now()).await {
            Some(news) => {
                missed = false;
                if !news.is_empty() {
                    gateway.end_revoked();
                }
            }
            None => missed = true,
        }
    }
}

/// Runs `job` each `period`, off the async threads: some walk through everything there is.
async fn every(period: Duration, job: impl Fn() + Send + Sync + 'static) {
    let job = Arc::new(job);
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let job = job.clone();
        // A job that panics has said so in the log; it gets its next turn all the same.
        let _ = tokio::task::spawn_blocking(move || job()).await;
    }
}
