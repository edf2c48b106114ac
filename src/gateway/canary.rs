//! The canary: a phone and a monitor of our own that relay a scan over real connections, so that it is seen
//! whether scans arrive also when nobody scans.
//!
//! It comes in by the front door: TCP, WebSocket, handshake with a token, session, scan. Only the counters
//! of users' traffic leave it out.

use crate::{
    clock,
    guard::{Claims, Verifier},
    telemetry::{CanaryResult, Telemetry},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

/// A step of a run that takes longer has failed. An on-call engineer would call it an outage.
const LIMIT: Duration = Duration::from_secs(5);
/// Its tokens are made for one run.
const TOKEN_TTL: Duration = Duration::from_mins(1);

/// What the canary needs.
#[derive(Debug)]
pub struct Canary {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Signs its tokens.
    pub verifier: Arc<Verifier>,
    /// Told how it went.
    pub telemetry: Arc<Telemetry>,
}

impl Canary {
    /// Relays a scan now and then each `period`, until it is dropped.
    pub async fn run(self, period: Duration) {
        let canary = Arc::new(self);
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0_u64.. {
            ticks.tick().await;
            let runner = canary.clone();
            let ran = tokio::task::spawn_blocking(move || runner.relay(number)).await;
            let (result, took) = match ran {
                Ok(Ok(took)) => (CanaryResult::Ok, took),
                Ok(Err(result)) => (result, Duration::ZERO),
                // It panicked, and has said so in the log.
                Err(_) => (CanaryResult::Error, Duration::ZERO),
            };
            canary.telemetry.canary_ran(result, took);
        }
    }

    /// One scan, from a new phone to a new monitor.
    fn relay(&self, number: u64) -> Result<Duration, CanaryResult> {
        let session = self.verifier.canary();
        let mut monitor = self.device("monitor")?;
        let mut phone = self.device("mobile")?;
        let order = format!("canary-{number}");
        let began = Instant::now();
        phone.ask(
            "scanOrder",
            &json!({ "sessionId": session, "orderNo": order, "ts": clock::now().unix_ms }),
        )?;
        // A late scan of an earlier run is not this one.
        while monitor
            .event("navigate")?
            .get("orderNo")
            .is_none_or(|seen| *seen != order)
        {}
        Ok(began.elapsed())
    }

    /// A device in the canary's session.
    fn device(&self, role: &str) -> Result<Device, CanaryResult> {
        let user = self.verifier.canary();
        let claims = Claims {
            sub: user,
            role: Some(role),
            ..Claims::lasting(clock::unix_seconds(), TOKEN_TTL)
        };
        let token = self
            .verifier
            .sign(&claims)
            .map_err(|_| CanaryResult::Error)?;
        let mut device = Device::open(reachable(self.address))?;
        device.send(format!("40{}", json!({ "token": token })))?;
        while !device.packet()?.starts_with("40") {}
        device.emit("registerClient", &json!({ "role": role }))?;
        device.emit("joinSession", &json!({ "sessionId": user }))?;
        device.event("joinedSession")?;
        Ok(device)
    }
}

/// An address that can be connected to: a server that listens on all of them listens on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Engine.IO 4 over a WebSocket: as much of it as a scan needs.
struct Device {
    socket: WebSocket<TcpStream>,
    end: Instant,
}

impl Device {
    fn open(address: SocketAddr) -> Result<Self, CanaryResult> {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let request = url.into_client_request().map_err(fault)?;
        let stream = TcpStream::connect_timeout(&address, LIMIT).map_err(io_fault)?;
        for limit in [
            stream.set_read_timeout(Some(LIMIT)),
            stream.set_write_timeout(Some(LIMIT)),
            stream.set_nodelay(true),
        ] {
            limit.map_err(io_fault)?;
        }
        let (socket, _) = tungstenite::client(request, stream).map_err(|e| match e {
            tungstenite::HandshakeError::Failure(error) => fault(error),
            tungstenite::HandshakeError::Interrupted(_) => CanaryResult::Timeout,
        })?;
        Ok(Self {
            socket,
            end: Instant::now() + LIMIT,
        })
    }

    fn send(&mut self, packet: String) -> Result<(), CanaryResult> {
        self.socket.send(Message::text(packet)).map_err(fault)
    }

    fn emit(&mut self, event: &str, payload: &Value) -> Result<(), CanaryResult> {
        self.send(format!("42{}", json!([event, payload])))
    }

    /// Emits and waits for the acknowledgement, which must not be a refusal.
    fn ask(&mut self, event: &str, payload: &Value) -> Result<(), CanaryResult> {
        self.send(format!("421{}", json!([event, payload])))?;
        loop {
            let packet = self.packet()?;
            if let Some(json) = packet.strip_prefix("431") {
                let refused = json.starts_with("[{\"success\":false");
                return if refused {
                    Err(CanaryResult::Refused)
                } else {
                    Ok(())
                };
            }
        }
    }

    /// The next packet; a refusal is the end of the run.
    fn packet(&mut self) -> Result<String, CanaryResult> {
        loop {
            if Instant::now() > self.end {
                return Err(CanaryResult::Timeout);
            }
            let Message::Text(text) = self.socket.read().map_err(fault)? else {
                continue;
            };
            match text.as_str() {
                "2" => self.send("3".to_owned())?,
                refused if refused.starts_with("44") || refused.starts_with("42[\"error\"") => {
                    return Err(CanaryResult::Refused);
                }
                packet => return Ok(packet.to_owned()),
            }
        }
    }

    /// The payload of the next event of this name. What asks for an acknowledgement gets one.
    fn event(&mut self, name: &str) -> Result<Value, CanaryResult> {
        loop {
            let packet = self.packet()?;
            let Some(event) = packet.strip_prefix("42") else {
                continue;
            };
            let json = event.trim_start_matches(|c: char| c.is_ascii_digit());
            let (asked, _) = event.split_at(event.len() - json.len());
            if !asked.is_empty() {
                self.send(format!("43{asked}[]"))?;
            }
            let mut arguments: Vec<Value> =
                serde_json::from_str(json).map_err(|_| CanaryResult::Error)?;
            if arguments.first().is_some_and(|event| event == name) {
                return Ok(arguments.pop().unwrap_or_default());
            }
        }
    }
}

fn fault(error: tungstenite::Error) -> CanaryResult {
    match error {
        tungstenite::Error::Io(error) => io_fault(error),
        tungstenite::Error::Http(_) => CanaryResult::Refused,
        _ => CanaryResult::Error,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is used as a function of map_err"
)]
fn io_fault(error: std::io::Error) -> CanaryResult {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => CanaryResult::Timeout,
        _ => CanaryResult::Error,
    }
}
