//! Signaling rooms: how long peers that join at the same moment take to know each other, and what a peer
//! in a room takes in memory. Of two peers, one must find the other there, and the other be told of it.
use crate::client::{bump, first_arg, send, Client, In};
use crate::proc::{host_json, now_ns, r3, server_json, Sample};
use crate::{hist, hist_json, sleep, Ctx, STOPPING};
use serde::Deserialize;
use serde_json::{json, Value};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use wire::io::Out;

#[derive(clap::Args, Clone)]
pub struct Opts {
    /// Peers that join a fresh room at the same moment: time until all know all; 0: memory
    #[arg(long, default_value_t = 0)]
    pub burst: usize,
    /// Rooms that are filled so, one after the other
    #[arg(long, default_value_t = 50)]
    pub repeat: usize,
    /// Rooms that are filled for the memory of a peer
    #[arg(long, default_value_t = 2000)]
    pub rooms: usize,
    #[arg(long, default_value_t = 3)]
    pub peers: usize,
    /// Seconds that memory may take to settle, before and after the joins
    #[arg(long, default_value_t = 10.0)]
    pub settle: f64,
}

struct Peer {
    out: Rc<Out>,
    answers: Cell<u64>,
    /// Per peer of the room: how often this one was told that it was there, and that it came.
    found: RefCell<Vec<u32>>,
    came: RefCell<Vec<u32>>,
}

#[derive(Default)]
struct Room {
    id: String,
    peers: RefCell<Vec<Rc<Peer>>>,
    places: RefCell<HashMap<String, usize>>,
    /// Answers and first news of a peer that are still to come, and when the last came.
    left: Cell<usize>,
    done_ns: Cell<u64>,
}

#[derive(Default)]
struct Run {
    answered: Cell<u64>,
    /// Peers that are not in the room, or the one itself.
    misrouted: Cell<u64>,
    corrupted: Cell<u64>,
    /// Told of a newcomer before the answer to its own join. Allowed, but good to know.
    early: Cell<u64>,
}

#[derive(Deserialize)]
struct Other<'a> {
    #[serde(borrow, rename = "peerId")]
    peer_id: Cow<'a, str>,
}

impl Peer {
    fn new(out: Rc<Out>) -> Self {
        Peer { out, answers: Cell::default(), found: RefCell::default(), came: RefCell::default() }
    }
}

impl Room {
    fn new(id: String) -> Rc<Self> {
        Rc::new(Room { id, ..Room::default() })
    }

    fn step(&self) {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            self.done_ns.set(now_ns());
        }
    }

    /// From now on it is known who is to join.
    fn close(&self) {
        let peers = self.peers.borrow();
        let n = peers.len();
        for p in peers.iter() {
            *p.found.borrow_mut() = vec![0; n];
            *p.came.borrow_mut() = vec![0; n];
        }
        self.left.set(n * n);
    }

    fn join(&self, peer: &Peer) {
        send(&peer.out, &format!("42[\"join\",{{\"roomId\":\"{}\"}}]", self.id));
    }

    fn told(&self, run: &Run, me: usize, of: &str, came: bool) {
        let Some(other) = self.places.borrow().get(of).copied().filter(|o| *o != me) else { return bump(&run.misrouted) };
        let p = self.peers.borrow()[me].clone();
        let (mut found, mut joined) = (p.found.borrow_mut(), p.came.borrow_mut());
        if found[other] + joined[other] == 0 {
            self.step();
        }
        (if came { &mut joined } else { &mut found })[other] += 1;
    }

    fn receive(&self, run: &Run, me: usize, name: &str, args: &[u8]) {
        let p = self.peers.borrow()[me].clone();
        match name {
            "existing-peers" => {
                let Some(list) = first_arg::<Vec<Other>>(args) else { return bump(&run.corrupted) };
                bump(&p.answers);
                if p.answers.get() == 1 {
                    bump(&run.answered);
                    self.step();
                }
                list.iter().for_each(|o| self.told(run, me, &o.peer_id, false));
            }
            "peer-joined" => {
                let Some(o) = first_arg::<Other>(args) else { return bump(&run.corrupted) };
                if p.answers.get() == 0 {
                    bump(&run.early);
                }
                self.told(run, me, &o.peer_id, true);
            }
            _ => {}
        }
    }
}

/// What was not as it should be, over some rooms.
#[derive(Default)]
struct Faults {
    unanswered: u64,
    /// A peer that another never heard of, and one that it heard of more than once.
    missing: u64,
    doubled: u64,
    /// Pairs that know each other, but each found the other there, or none did: who is to offer?
    undecided: u64,
}

impl Faults {
    fn add(&mut self, room: &Room) {
        let peers = room.peers.borrow();
        let news = |a: usize, b: usize| (peers[a].found.borrow()[b], peers[a].came.borrow()[b]);
        for (i, p) in peers.iter().enumerate() {
            self.unanswered += u64::from(p.answers.get() == 0);
            self.doubled += p.answers.get().saturating_sub(1);
            for j in (0..peers.len()).filter(|j| *j != i) {
                let (found, came) = news(i, j);
                self.missing += u64::from(found + came == 0);
                self.doubled += u64::from((found + came).saturating_sub(1));
                let (found_me, came_me) = news(j, i);
                let both = found + came > 0 && found_me + came_me > 0;
                self.undecided += u64::from(i < j && both && (found > 0) == (found_me > 0));
            }
        }
    }

    fn json(&self, run: &Run, disconnects: u64) -> Value {
        json!({
            "unanswered": self.unanswered, "missing": self.missing, "doubled": self.doubled, "undecided": self.undecided,
            "misrouted": run.misrouted.get(), "corrupted": run.corrupted.get(), "early": run.early.get(),
            "disconnects": disconnects,
        })
    }
}

/// Connects `n` peers for each of these rooms, which they do not join yet.
async fn connect(ctx: &Rc<Ctx>, run: &Rc<Run>, rooms: &[Rc<Room>], n: usize) {
    let (cx, run, all) = (ctx.clone(), run.clone(), rooms.to_vec());
    ctx.parallel(rooms.len() * n, move |i| {
        let (ctx, run, room) = (cx.clone(), run.clone(), all[i / n].clone());
        async move {
            let c = match Client::connect(&ctx.target, &format!("u{}-{i}", ctx.run), "mobile").await {
                Ok(c) => c,
                Err(e) => return ctx.failures.add(e),
            };
            let me = room.peers.borrow().len();
            room.places.borrow_mut().insert(c.sid.clone(), me);
            room.peers.borrow_mut().push(Rc::new(Peer::new(c.out.clone())));
            wire::io::spawn(c.run(move |m| {
                if let In::Event { name, args } = m {
                    room.receive(&run, me, name, args);
                }
            }));
        }
    })
    .await;
    rooms.iter().for_each(|r| r.close());
}

pub async fn run(ctx: Rc<Ctx>, o: Opts) -> Value {
    let run = Rc::new(Run::default());
    let (many, peers) = if o.burst > 0 { (o.repeat, o.burst) } else { (o.rooms, o.peers) };
    let rooms: Vec<_> = (0..many.max(1)).map(|k| Room::new(format!("rooms-{}-{k}", ctx.run))).collect();
    let fresh = ctx.sample();
    connect(&ctx, &run, &rooms, peers.max(2)).await;
    let mut result = if o.burst > 0 { burst(&ctx, &rooms).await } else { memory(&ctx, &run, &rooms, o.settle).await };
    let disconnects = ctx.target.stats.disconnects.get();
    STOPPING.with(|s| s.set(true));
    let mut faults = Faults::default();
    rooms.iter().for_each(|r| faults.add(r));
    result["workload"] = "rooms".into();
    result["label"] = ctx.c.label.as_str().into();
    result["params"] = json!({ "rooms": rooms.len(), "peers": peers, "burst": o.burst > 0, "source_ips": ctx.c.source_ips });
    result["rss_fresh"] = fresh.rss.into();
    result["check"] = faults.json(&run, disconnects);
    result["net"] = ctx.net_json();
    result
}

/// One room after the other: all its peers join at once.
async fn burst(ctx: &Ctx, rooms: &[Rc<Room>]) -> Value {
    let mut times = hist();
    sleep(1.0).await;
    let (a, me_a) = (ctx.sample(), ctx.me());
    for room in rooms {
        let peers = room.peers.borrow().clone();
        let began = now_ns();
        peers.iter().for_each(|p| room.join(p));
        while room.left.get() > 0 && now_ns() - began < 2_000_000_000 {
            sleep(0.005).await;
        }
        if room.left.get() == 0 {
            let _ = times.record((room.done_ns.get() - began) / 1000);
        }
        sleep(0.05).await; // what is told twice comes late
    }
    let (b, me_b) = (ctx.sample(), ctx.me());
    json!({
        "complete": times.len(), "complete_us": hist_json(&times),
        "complete_p50_ms": r3(times.value_at_quantile(0.5) as f64 / 1e3), "complete_max_ms": r3(times.max() as f64 / 1e3),
        "server": server_json(&a, &b), "host": host_json(&a, &b, &me_a, &me_b),
    })
}

/// The server's memory, once it has been the same for two seconds or has had its time.
async fn settled(ctx: &Ctx, secs: f64) -> Sample {
    let end = now_ns() + (secs * 1e9) as u64;
    let (mut s, mut same) = (ctx.sample(), 0);
    while same < 4 && now_ns() < end {
        sleep(0.5).await;
        let next = ctx.sample();
        same = if next.rss.abs_diff(s.rss) < 65_536 { same + 1 } else { 0 };
        s = next;
    }
    s
}

/// All peers of all rooms join, some at a time.
async fn memory(ctx: &Ctx, run: &Run, rooms: &[Rc<Room>], settle: f64) -> Value {
    let (a, me_a) = (settled(ctx, settle).await, ctx.me());
    let (began, mut sent) = (now_ns(), 0u64);
    for room in rooms {
        let peers = room.peers.borrow().clone();
        for p in peers {
            while sent - run.answered.get() >= ctx.c.concurrency as u64 && now_ns() - began < 60_000_000_000 {
                sleep(0.001).await;
            }
            room.join(&p);
            sent += 1;
        }
    }
    let all_sent = now_ns();
    while rooms.iter().any(|r| r.left.get() > 0) && now_ns() - all_sent < 3_000_000_000 {
        sleep(0.02).await;
    }
    let (joined, me_b) = (ctx.sample(), ctx.me());
    let took = rooms.iter().map(|r| r.done_ns.get()).max().unwrap_or(0).saturating_sub(began) as f64 / 1e9;
    let b = settled(ctx, settle).await;
    let n = sent as f64;
    json!({
        "peers": sent, "joins_per_s": r3(n / took),
        "bytes_per_peer": ((b.rss as f64 - a.rss as f64) / n).round(),
        "bytes_per_peer_anon": ((b.anon as f64 - a.anon as f64) / n).round(),
        "cpu_us_per_join": r3((joined.cpu_us - a.cpu_us) / n),
        "rss_before": a.rss, "rss_after": b.rss,
        "server": server_json(&a, &joined), "host": host_json(&a, &joined, &me_a, &me_b),
    })
}
