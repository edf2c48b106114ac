//! The only place where parts are wired together. Tests start the same program.

use crate::{
    accounts::{AccountServices, TokenRenew},
    gateway::{Family, Front, Gateway, Listener, Table},
    guard::{Keyed, Verifier},
    http::{Http, Sources},
    jobs::Jobs,
    live::{Rooms, Sessions},
    rtc::{Answer, CreateRoom, Envelope, IceCandidate, Join, JoinRoom, Leave, Offer, RtcServices},
    scan::{Heartbeat, JoinSession, LeaveSession, RegisterClient, ScanOrder, ScanServices},
    settings::Settings,
    telemetry::Telemetry,
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinSet};

/// A server that is bound and waits to run.
#[derive(Debug)]
pub struct App {
    settings: Settings,
    telemetry: Arc<Telemetry>,
    gateway: Arc<Gateway>,
    front: Arc<Front>,
    http: Arc<Http>,
    sessions: Arc<Sessions>,
    rtc: RtcServices,
    public: Listener,
    admin: Option<Listener>,
    address: SocketAddr,
}

impl App {
    /// Wires everything and binds the ports; port 0 takes a free one. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// One line that names the setting, when an address cannot be bound.
    pub fn build(settings: &Settings, telemetry: Arc<Telemetry>) -> Result<Self, String> {
        let server = &settings.server;
        let bind = |name: &str, address: SocketAddr| {
            Listener::bind(address, telemetry.clone())
                .and_then(|listener| Ok((listener.address()?, listener)))
                .map_err(|e| {
                    format!("{name}: {address} cannot be bound ({e}); for example {name}=3001")
                })
        };
        let (address, public) = bind("PORT", server.listen)?;
        let admin = match server.admin {
            Some(address) => Some(bind("ADMIN_ADDR", address)?.1),
            None => None,
        };
        let verifier = Arc::new(Verifier::new(&settings.auth));
        let limits = &settings.limits;
        let sessions = Arc::new(Sessions::new(
            limits.sessions_per_socket,
            limits.sessions_max,
        ));
        let scan = ScanServices {
            sessions: sessions.clone(),
            strict_device_role: settings.auth.strict_device_role,
            new_epoch: rand::random,
        };
        let rtc = RtcServices {
            rooms: Arc::new(Rooms::new(
                limits.rooms_per_socket,
                limits.rooms_max,
                limits.peers_per_room,
            )),
            creations: Arc::new(Keyed::new(limits.create_room, Duration::from_mins(1))),
        };
        let accounts = AccountServices {
            verifier: verifier.clone(),
        };
        let table = Table::new([
            scan_family(&scan),
            rtc_family(&rtc),
            accounts_family(&accounts),
        ]);
        let (gateway, front) = Gateway::build(settings, telemetry.clone(), verifier.clone(), table);
        let http = Http::new(
            settings,
            telemetry.clone(),
            verifier,
            sources(&gateway, &sessions, &rtc.rooms),
        );
        let seen = sessions.clone();
        telemetry.metrics.on_scrape(move |metrics| {
            let totals = seen.totals();
            metrics.set_sessions(totals.paired, totals.total - totals.paired);
        });
        let seen = rtc.rooms.clone();
        telemetry
            .metrics
            .on_scrape(move |metrics| metrics.set_rooms(seen.len()));
        Ok(Self {
            rtc,
            settings: settings.clone(),
            telemetry,
            gateway,
            front,
            http,
            sessions,
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
        let mut jobs = Jobs {
            settings: self.settings.clone(),
            telemetry: self.telemetry.clone(),
            gateway: self.gateway.clone(),
            front: self.front.clone(),
            http: self.http.clone(),
            sessions: self.sessions,
            rtc: self.rtc,
        }
        .start();
        self.http.set_ready(true);
        stop.await;

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
        tracing::info!(
            target: "signalbox::drain",
            clients,
            left,
            duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "Draining ended."
        );
    }
}

fn scan_family(scan: &ScanServices) -> Family {
    let departing = scan.clone();
    Family::new()
        .event::<RegisterClient, _>(scan)
        .event::<JoinSession, _>(scan)
        .event::<LeaveSession, _>(scan)
        .event::<ScanOrder, _>(scan)
        .event::<Heartbeat, _>(scan)
        .on_departure(move |peer, now| departing.departed(peer, now))
}

fn rtc_family(rtc: &RtcServices) -> Family {
    let departing = rtc.clone();
    Family::new()
        .event::<Join, _>(rtc)
        .event::<JoinRoom, _>(rtc)
        .event::<CreateRoom, _>(rtc)
        .event::<Leave, _>(rtc)
        .event::<Offer, _>(rtc)
        .event::<Answer, _>(rtc)
        .event::<IceCandidate, _>(rtc)
        .event::<Envelope, _>(rtc)
        .on_departure(move |peer, now| departing.departed(peer, now))
}

fn accounts_family(accounts: &AccountServices) -> Family {
    Family::new().event::<TokenRenew, _>(accounts)
}

fn sources(gateway: &Arc<Gateway>, sessions: &Arc<Sessions>, rooms: &Arc<Rooms>) -> Sources {
    let rooms = rooms.clone();
    let (peers, totals, pages) = (gateway.clone(), sessions.clone(), sessions.clone());
    Sources {
        peers: Box::new(move || peers.connected()),
        rooms: Box::new(move || rooms.len()),
        sessions: Box::new(move || totals.totals()),
        session_page: Box::new(move |after, limit| pages.page(after, limit)),
    }
}
