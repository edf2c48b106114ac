//! What is short-lived, at the size of a big sale: `cargo bench --bench live`. Times are of one thread, memory is
//! what the process grew by.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and may fail loudly"
)]

use signalbox::{
    event::{
        Context, EventId, Identity, Moment, Namespace, PeerId, Room, SeatId, SocketId, SpanId,
        TraceContext, TraceId, UserId, Visits,
    },
    live::{
        Crowds, Deed, MemoryQueues, MemoryRestores, MemorySeats, QueueRules, Queues, SeatRules,
        Seats,
    },
    queue::QueueServices,
    settings::Language,
};
use std::{
    future::Future,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

const WAITERS: u32 = 100_000;
const USERS: u32 = 5_000;

fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

fn now() -> Moment {
    Moment {
        instant: Instant::now(),
        unix_ms: 1,
    }
}

/// Resident memory, in bytes (proc(5)).
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

fn user(n: u32) -> UserId {
    UserId::new(&format!("user-{n:06}"), false)
}

fn each(what: &str, began: Instant, times: u32, budget: &str) {
    let took = began.elapsed().as_secs_f64() * 1e6 / f64::from(times);
    println!("{what:44} {took:8.2} µs each   (budget {budget})");
}

fn main() {
    // First, while memory that was used before cannot hide what it takes.
    wait(restores());
    wait(queue());
    wait(seats());
}

async fn queue() {
    let rules = QueueRules {
        threshold: 0,
        lease: Duration::from_mins(5),
        grace: Duration::from_mins(1),
        events: 10,
        waiting: 1_000_000,
    };
    let event = EventId::new("7", true);
    let users: Vec<UserId> = (0..WAITERS).map(user).collect();
    let (before, queues) = (resident(), MemoryQueues::new(rules));
    let began = Instant::now();
    for user in &users {
        queues.join(&event, user, true, now()).await.unwrap();
    }
    each("join, the line growing to 100,000", began, WAITERS, "50 µs");
    let bytes = (resident() - before) / f64::from(WAITERS);
    println!("{:44} {bytes:8.0} bytes        (budget 500)", "a waiter");
    let began = Instant::now();
    for user in &users {
        black_box(queues.standing(&event, user, now()).await);
    }
    each("position in a line of 100,000", began, WAITERS, "50 µs");
    let began = Instant::now();
    black_box(queues.places(&event, &users, now()).await);
    each("position, all of them at once", began, WAITERS, "50 µs");
    let began = Instant::now();
    for user in users.iter().skip(50_000).step_by(10) {
        queues.leave(&event, user).await;
    }
    each("leaving from the middle", began, 5_000, "50 µs");
    queues
        .set_threshold(&event, Some(1_000), now())
        .await
        .unwrap();
    let began = Instant::now();
    let admitted = queues.admit(1_000, now()).await.admitted.len();
    let took = began.elapsed().as_secs_f64() * 1e3;
    println!(
        "{:44} {took:8.2} ms          (budget 50 ms)",
        format!("letting {admitted} in")
    );
    let began = Instant::now();
    black_box(queues.admit(1_000, now()).await);
    let took = began.elapsed().as_secs_f64() * 1e3;
    println!(
        "{:44} {took:8.2} ms",
        "a second in which nobody can be let in"
    );
}

async fn seats() {
    let seats = MemorySeats::new(SeatRules {
        hold: Duration::from_mins(5),
        per_user: 10,
        most: 1_000_000,
    });
    seats.load([], now());
    let event = EventId::new("7", true);
    let began = Instant::now();
    for n in 0..WAITERS {
        let seat = SeatId::new(&n.to_string(), true);
        seats
            .select(&event, &seat, &user(n / 10), now())
            .await
            .unwrap();
    }
    each("holding a seat, of 100,000", began, WAITERS, "—");
}

async fn restores() {
    let visits: Vec<Context> = (0..USERS).map(visit).collect();
    let before = resident();
    let queue = QueueServices {
        queues: Arc::new(MemoryQueues::new(QueueRules {
            threshold: 0,
            lease: Duration::from_mins(5),
            grace: Duration::from_mins(1),
            events: 10,
            waiting: 1_000_000,
        })),
        seats: Arc::new(MemorySeats::new(SeatRules {
            hold: Duration::from_mins(5),
            per_user: 10,
            most: 1_000_000,
        })),
        restores: Arc::new(MemoryRestores::new(Duration::from_hours(1), 1_000_000)),
        crowds: Arc::new(Crowds::new(32)),
        language: Language::En,
        patience: Duration::from_mins(1),
    };
    let event = EventId::new("7", true);
    for cx in &visits {
        let name = &cx.identity.user;
        queue.restores.opened(name, cx.now).await;
        let deed = Deed::EnteredEvent(event.clone());
        queue.restores.note(name, deed, cx.now).await;
        let (who, room) = (cx.identity.user_id(), Room::Event(event.clone()));
        queue.crowds.enter(cx.peer, &who, &room, &event, cx.now);
    }
    let bytes = resident() - before;
    println!(
        "{:44} {:8.2} MB          (budget 3 MB)",
        "records and socket maps of 5,000 users",
        bytes / 1e6
    );
    for cx in &visits {
        let who = cx.identity.user_id();
        queue.queues.join(&event, &who, true, cx.now).await.unwrap();
        let deed = Deed::EnteredQueue(event.clone());
        queue.restores.note(&cx.identity.user, deed, cx.now).await;
    }
    let began = Instant::now();
    for cx in &visits {
        black_box(queue.arrived(cx).await.unwrap());
    }
    each(
        "bringing a user back into event and queue",
        began,
        USERS,
        "1 ms",
    );
}

/// A user connects.
fn visit(n: u32) -> Context {
    Context {
        peer: PeerId {
            namespace: Namespace::Root,
            socket: SocketId::parse(&format!("{n:016}")).unwrap(),
        },
        identity: Arc::new(Identity {
            user: format!("user-{n:06}").into(),
            integer_user: false,
            username: None,
            device: None,
            expires_at: None,
            admin: false,
            guest: None,
            login: None,
            scope: None,
            canary: false,
            chat: None,
        }),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        blockable: false,
        now: now(),
        trace: TraceContext {
            trace: TraceId(1),
            parent: None,
            process: SpanId(1),
            send: SpanId(2),
            sampled: false,
        },
        acknowledged: false,
    }
}
