//! The only place where parts are wired together. Tests start the same program.

use crate::{
    accounts::{Accounts, RefreshToken, TokenRenew},
    assistant::Assistant,
    chat::{
        ChatServices, DeleteRoom, EditMessage, JoinChat, LeaveChat, LoadMoreMessages, SendMessage,
        SyncRooms,
    },
    clock,
    event::{RoomChange, SessionId, milliseconds},
    gateway::{Canary, Family, Front, Gateway, Listener, Table, certified},
    guard::{Block, Blocks, KeySet, Keyed, Revoked, Verifier},
    http::{Families, Http, Sources},
    jobs::Jobs,
    live::{
        Ask, Asks, Crowds, Listeners, MemoryQueues, MemoryRestores, MemoryRooms, MemorySeats,
        MemorySessions, Pairings, QueueRules, Restores, RoomLimits, SeatRules, Turns,
    },
    queue::{
        JoinEvent, JoinQueue, JoinSeatSelection, LeaveEvent, LeaveQueue, QueueHeartbeat,
        QueueServices, ReleaseSeat, SeatMap, SeatSelectionChanged, SelectSeat,
    },
    rtc::{Answer, CreateRoom, Envelope, IceCandidate, Join, JoinRoom, Leave, Offer, RtcServices},
    scan::{
        Heartbeat, JoinSession, LeaveSession, NavigateDisplayed, Pairing, RegisterClient,
        ScanOrder, ScanServices, SessionCreate, SessionJoin, SessionUnpair,
    },
    settings::{Fault, Limits, Settings},
    store::{Batcher, Ledger, Recorder, Records, RoomKeeper, Store},
    telemetry::Telemetry,
};
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{
        mpsc::{Receiver, UnboundedReceiver},
        oneshot, watch,
    },
    task::JoinSet,
};

/// A server that is bound and waits to run.
#[derive(Debug)]
pub struct App {
    settings: Settings,
    telemetry: Arc<Telemetry>,
    gateway: Arc<Gateway>,
    front: Arc<Front>,
    http: Arc<Http>,
    sessions: Arc<MemorySessions>,
    rooms: Arc<MemoryRooms>,
    rtc: RtcServices,
    families: Arc<Families>,
    assistant: Option<Arc<Assistant>>,
    blocks: Arc<Blocks>,
    blocked: UnboundedReceiver<Block>,
    keys: Option<Arc<KeySet>>,
    store: Arc<Store>,
    recorder: Recorder,
    writer: Batcher,
    public: Listener,
    admin: Option<Listener>,
    address: SocketAddr,
}

impl App {
    /// Wires everything, opens the store and binds the ports; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// One line that names the setting, when an address cannot be bound, the store cannot be used or the
    /// keys cannot be read.
    pub async fn build(settings: &Settings, telemetry: Arc<Telemetry>) -> Result<Self, String> {
        let server = &settings.server;
        let bind = |name: &str, address: SocketAddr| {
            Listener::bind(address, telemetry.clone())
                .and_then(|listener| Ok((listener.address()?, listener)))
                .map_err(|e| {
                    format!("{name}: {address} cannot be bound ({e}); for example {name}=3001")
                })
        };
        let tls = server.tls.as_ref().map(certified).transpose()?;
        let (address, public) = bind("PORT", server.listen)?;
        let public = public.secured(tls);
        let admin = server.admin.map(|address| bind("ADMIN_ADDR", address));
        let admin = admin.transpose()?.map(|(_, listener)| listener);
        let keys = key_set(settings).await?;
        let revoked = Arc::new(Revoked::default());
        let verifier = Arc::new(Verifier::new(&settings.auth, keys.clone(), revoked.clone()));
        let measured = telemetry.clone();
        let seen = move |op, result, took| measured.metrics.store(op, result, took);
        let store = Arc::new(Store::open(&settings.store, Box::new(seen)).await?);
        let (recorder, records) = Recorder::new(store.clone());
        let limits = &settings.limits;
        let canary = SessionId::parse(verifier.canary());
        let sessions = MemorySessions::new(limits.sessions_per_socket, limits.sessions_max);
        let sessions = Arc::new(sessions.hiding(canary));
        let seat_map = seat_map(settings, &store);
        seat_map.keep(clock::now()).await;
        let queue = queue_services(settings, seat_map.seats.clone());
        let (ledger, writer) = ledger(settings, &telemetry, &store);
        let pairing = Arc::new(pairing(settings, &verifier, &store));
        let scan = ScanServices {
            sessions: sessions.clone(),
            turns: Arc::new(Turns::default()),
            ledger,
            pairing: pairing.clone(),
            restores: queue.restores.clone(),
            without_store: settings.scan.without_store,
            strict_device_role: settings.auth.strict_device_role,
        };
        let (rtc, rooms) = rtc_services(limits, &records, queue.restores.clone());
        recorder.load(&Keeper(rooms.clone())).await;
        let (blocks, blocked) =
            Blocks::new(settings.chat.block_after, settings.chat.block_duration);
        let accounts = Accounts::new(
            settings,
            verifier.clone(),
            store.clone(),
            revoked,
            blocks.clone(),
        );
        let _ = accounts.learn_revoked(true, clock::now()).await;
        let (chat, asked) = chat_services(settings, &store);
        let families = Families {
            accounts: accounts.clone(),
            pairing,
            queue,
            seat_map,
            chat,
        };
        let families = Arc::new(families);
        let table = table(&scan, &rtc, &families);
        let (gateway, front) = Gateway::build(
            settings,
            telemetry.clone(),
            verifier.clone(),
            (accounts, blocks.clone()),
            table,
        );
        let http = Http::new(
            settings,
            telemetry.clone(),
            families.clone(),
            blocks.clone(),
            store.clone(),
            sources(&gateway, &sessions, &rooms),
        );
        let assistant = build_assistant(settings, asked, &families, &telemetry, &gateway)?;
        watch(&telemetry, &sessions, &rooms, &store, records);
        Ok(Self {
            rtc,
            families,
            assistant,
            blocks,
            blocked,
            keys,
            store,
            recorder,
            writer,
            settings: settings.clone(),
            telemetry,
            gateway,
            front,
            http,
            sessions,
            rooms,
            public,
            admin,
            address,
        })
    }

    /// Where the public site listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves, then drains: unready, nobody new, what is in flight is finished,
    /// clients are sent elsewhere over `DRAIN_PERIOD`, the ports are closed.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(());
        let gone = |mut stopped: watch::Receiver<()>| async move {
            let _ = stopped.changed().await;
        };
        let mut servers = JoinSet::new();
        let site = self.http.site(self.front.clone());
        servers.spawn(self.public.serve(site, gone(stopped.clone())));
        if let Some(admin) = self.admin {
            let operations = self.http.operations();
            servers.spawn(admin.serve(operations, gone(stopped)));
        }
        let (over, ended) = oneshot::channel();
        let keeper = Arc::new(Keeper(self.rooms.clone()));
        let recording = tokio::spawn(self.recorder.run(keeper, async {
            let _ = ended.await;
        }));
        let writing = tokio::spawn(self.writer.run());
        let canary = Canary {
            address: self.address,
            verifier: self.families.accounts.verifier.clone(),
            telemetry: self.telemetry.clone(),
        };
        let period = self.settings.telemetry.canary_interval;
        let canary = period.map(|period| tokio::spawn(canary.run(period)));
        let answering = self
            .assistant
            .map(|assistant| tokio::spawn(assistant.run()));
        let mut jobs = Jobs {
            settings: self.settings.clone(),
            telemetry: self.telemetry.clone(),
            gateway: self.gateway.clone(),
            front: self.front.clone(),
            http: self.http.clone(),
            sessions: self.sessions,
            rooms: self.rooms,
            rtc: self.rtc,
            families: self.families.clone(),
            blocks: self.blocks,
            blocked: self.blocked,
            keys: self.keys,
            store: self.store.clone(),
        }
        .start();
        self.http.set_ready(true);
        stop.await;

        if let Some(canary) = canary {
            canary.abort();
        }
        let began = Instant::now();
        let clients = self.gateway.connected();
        tracing::info!(target: "signalbox::drain", clients, "Draining began.");
        self.telemetry.metrics.set_draining();
        self.http.set_ready(false);
        self.front.drain();
        let left = self.gateway.drain(self.settings.server.drain_period).await;
        drop(stopping);
        while servers.join_next().await.is_some() {}
        jobs.abort_all();
        if let Some(answering) = answering {
            answering.abort();
        }
        // Everybody has left: that is written down as well.
        let _ = over.send(());
        let _ = tokio::time::timeout(LAST_RECORDS, recording).await;
        self.families.seat_map.keep(clock::now()).await;
        // Whoever waited for it has been answered.
        writing.abort();
        self.store.close().await;
        tracing::info!(
            target: "signalbox::drain",
            clients,
            left,
            duration_ms = milliseconds(began.elapsed()),
            "Draining ended."
        );
    }
}

/// An invitation is good for so long, and an address may try so many codes in a minute (contract, section 4).
const INVITATION: Duration = Duration::from_mins(10);
const PAIRING_TRIES: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// What the store may take to write what waits, at the end.
const LAST_RECORDS: Duration = Duration::from_secs(3);

/// Keeps rooms and store in step.
struct Keeper(Arc<MemoryRooms>);

impl RoomKeeper for Keeper {
    fn restore(&self, rooms: Vec<RoomChange>) {
        self.0.restore(rooms, clock::now());
    }

    fn replay(&self) -> Vec<RoomChange> {
        self.0.replay()
    }
}

/// The public keys of other issuers, if there are any.
async fn key_set(settings: &Settings) -> Result<Option<Arc<KeySet>>, String> {
    let Some(source) = &settings.auth.jwks else {
        return Ok(None);
    };
    let keys = KeySet::new(source.clone())?;
    keys.refresh().await;
    Ok(Some(Arc::new(keys)))
}

fn pairing(settings: &Settings, verifier: &Arc<Verifier>, store: &Arc<Store>) -> Pairing {
    Pairing {
        invitations: Pairings::new(settings.limits.sessions_max, INVITATION),
        verifier: verifier.clone(),
        tries: Keyed::new(PAIRING_TRIES, Duration::from_mins(1)),
        store: store.clone(),
        pass_ttl: settings.auth.access_ttl,
        url_base: settings.scan.pairing_url.as_str().into(),
    }
}

/// Sets the gauges of what is held, at each scrape.
fn watch(
    telemetry: &Telemetry,
    sessions: &Arc<MemorySessions>,
    rooms: &Arc<MemoryRooms>,
    store: &Arc<Store>,
    records: Records,
) {
    let metrics = &telemetry.metrics;
    let seen = sessions.clone();
    metrics.on_scrape(move |metrics| {
        let totals = seen.totals();
        metrics.set_sessions(totals.paired, totals.total - totals.paired);
    });
    let seen = rooms.clone();
    metrics.on_scrape(move |metrics| metrics.set_rooms(seen.len()));
    let seen = store.clone();
    metrics.on_scrape(move |metrics| {
        let (waiting, lost) = (records.waiting(), records.given_up());
        metrics.set_store(seen.up(), waiting, lost);
        metrics.set_pool(seen.connections(), seen.most_connections());
    });
}

/// The ledger of scans, and what writes it.
fn ledger(
    settings: &Settings,
    telemetry: &Arc<Telemetry>,
    store: &Arc<Store>,
) -> (Ledger, Batcher) {
    let measured = telemetry.clone();
    let seen = move |scans| measured.metrics.batched(scans);
    let fault = match settings.fault {
        Some(Fault::Ledger(fault)) => Some(fault),
        _ => None,
    };
    Ledger::new(store.clone(), Box::new(seen), fault)
}

/// Seats in memory, written down as they change.
fn seat_map(settings: &Settings, store: &Arc<Store>) -> SeatMap {
    let queue = &settings.queue;
    let rules = SeatRules {
        hold: queue.seat_hold,
        per_user: queue.seats_per_user,
        most: queue.seats_max,
    };
    SeatMap {
        seats: Arc::new(MemorySeats::new(rules)),
        store: store.clone(),
    }
}

/// Ticketing in memory.
fn queue_services(settings: &Settings, seats: Arc<MemorySeats>) -> QueueServices {
    let queue = &settings.queue;
    let rules = QueueRules {
        threshold: queue.threshold,
        lease: queue.lease,
        grace: queue.grace,
        events: queue.events_max,
        waiting: queue.waiting_max,
    };
    QueueServices {
        queues: Arc::new(MemoryQueues::new(rules)),
        seats,
        restores: Arc::new(MemoryRestores::new(queue.restore_window, queue.users_max)),
        crowds: Arc::new(Crowds::new(settings.limits.rooms_per_socket)),
        language: settings.server.language,
        patience: queue.grace.min(queue.lease),
    }
}

/// Signaling in memory, written down as it happens.
fn rtc_services(
    limits: &Limits,
    records: &Records,
    restores: Arc<dyn Restores>,
) -> (RtcServices, Arc<MemoryRooms>) {
    let journal = records.clone();
    let room_limits = RoomLimits {
        per_peer: limits.rooms_per_socket,
        most: limits.rooms_max,
        capacity: limits.peers_per_room,
    };
    let journal = Box::new(move |change| journal.write(change));
    let rooms = Arc::new(MemoryRooms::new(room_limits, journal));
    let rtc = RtcServices {
        rooms: rooms.clone(),
        creations: Arc::new(Keyed::new(limits.create_room, Duration::from_mins(1))),
        records: records.clone(),
        restores,
    };
    (rtc, rooms)
}

fn table(scan: &ScanServices, rtc: &RtcServices, families: &Families) -> Table {
    Table::new([
        scan_family(scan),
        rtc_family(rtc),
        queue_family(&families.queue),
        chat_family(&families.chat),
        accounts_family(&families.accounts),
    ])
}

fn queue_family(queue: &QueueServices) -> Family {
    Family::new()
        .event::<JoinEvent, _>(queue)
        .event::<LeaveEvent, _>(queue)
        .event::<JoinQueue, _>(queue)
        .event::<LeaveQueue, _>(queue)
        .event::<QueueHeartbeat, _>(queue)
        .event::<JoinSeatSelection, _>(queue)
        .event::<SelectSeat, _>(queue)
        .event::<ReleaseSeat, _>(queue)
        .event::<SeatSelectionChanged, _>(queue)
        .visits(queue.clone())
}

fn scan_family(scan: &ScanServices) -> Family {
    Family::new()
        .event::<RegisterClient, _>(scan)
        .event::<JoinSession, _>(scan)
        .event::<LeaveSession, _>(scan)
        .event::<ScanOrder, _>(scan)
        .event::<NavigateDisplayed, _>(scan)
        .event::<SessionCreate, _>(scan)
        .event::<SessionJoin, _>(scan)
        .event::<SessionUnpair, _>(scan)
        .event::<Heartbeat, _>(scan)
        .visits(scan.clone())
}

fn rtc_family(rtc: &RtcServices) -> Family {
    Family::new()
        .event::<Join, _>(rtc)
        .event::<JoinRoom, _>(rtc)
        .event::<CreateRoom, _>(rtc)
        .event::<Leave, _>(rtc)
        .event::<Offer, _>(rtc)
        .event::<Answer, _>(rtc)
        .event::<IceCandidate, _>(rtc)
        .event::<Envelope, _>(rtc)
        .visits(rtc.clone())
}

fn accounts_family(accounts: &Arc<Accounts>) -> Family {
    Family::new()
        .event::<TokenRenew, _>(accounts)
        .event::<RefreshToken, _>(accounts)
}

/// Chat: what lasts in the store, who listens in memory.
fn chat_services(settings: &Settings, store: &Arc<Store>) -> (ChatServices, Option<Receiver<Ask>>) {
    let (asks, asked) = match &settings.gpt {
        Some(gpt) => {
            let (asks, asked) = Asks::new(gpt.queue_max, gpt.breaker_pause);
            (asks, Some(asked))
        }
        None => (Asks::none(), None),
    };
    let chat = ChatServices {
        store: store.clone(),
        turns: Arc::new(Turns::default()),
        listeners: Arc::new(Listeners::new(settings.limits.rooms_per_socket)),
        asks: Arc::new(asks),
        profiles_only: settings.chat.application.is_some(),
    };
    (chat, asked)
}

/// The assistant, if one is set; its gauges are set at each scrape.
fn build_assistant(
    settings: &Settings,
    asked: Option<Receiver<Ask>>,
    families: &Families,
    telemetry: &Arc<Telemetry>,
    gateway: &Arc<Gateway>,
) -> Result<Option<Arc<Assistant>>, String> {
    let chat = &families.chat;
    let (Some(gpt), Some(asked), Some(breaker)) = (&settings.gpt, asked, chat.asks.breaker())
    else {
        return Ok(None);
    };
    let (asks, seen) = (chat.asks.clone(), breaker.clone());
    telemetry.metrics.on_scrape(move |metrics| {
        let open = seen.is_open(Instant::now());
        metrics.set_gpt(asks.waiting(), asks.refused(), open);
    });
    let gateway = gateway.clone();
    let assistant = Assistant::new(
        gpt,
        asked,
        breaker,
        chat.clone(),
        telemetry.clone(),
        Box::new(move |decision| gateway.carry_out(decision)),
    );
    assistant.map(Some)
}

fn chat_family(chat: &ChatServices) -> Family {
    Family::new()
        .event::<JoinChat, _>(chat)
        .event::<LeaveChat, _>(chat)
        .event::<SendMessage, _>(chat)
        .event::<EditMessage, _>(chat)
        .event::<LoadMoreMessages, _>(chat)
        .event::<SyncRooms, _>(chat)
        .event::<DeleteRoom, _>(chat)
        .visits(chat.clone())
}

fn sources(
    gateway: &Arc<Gateway>,
    sessions: &Arc<MemorySessions>,
    rooms: &Arc<MemoryRooms>,
) -> Sources {
    let rooms = rooms.clone();
    let (peers, totals, pages) = (gateway.clone(), sessions.clone(), sessions.clone());
    let carrier = gateway.clone();
    Sources {
        carry_out: Box::new(move |decision| carrier.carry_out(decision)),
        peers: Box::new(move || peers.connected()),
        rooms: Box::new(move || rooms.len()),
        sessions: Box::new(move || totals.totals()),
        session_page: Box::new(move |after, limit| pages.page(after, limit)),
    }
}
