//! The scan relay and the signaling on socketioxide and axum with nothing else: no token is checked, nothing is
//! limited, measured, logged or kept in order. What Signalbox adds is the difference to this. One worker thread, as
//! Signalbox has on two cores.
use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use socketioxide::{SocketIo, extract::{Data, SocketRef}, socket::Sid};

#[derive(Clone)]
struct Role(String);

#[derive(Deserialize)]
struct Register {
    role: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Join {
    session_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scan {
    session_id: String,
    order_no: String,
    ts: Value,
    #[serde(default)]
    nonce: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Navigate<'a> {
    order_no: &'a str,
    ts: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    from: &'a str,
    from_socket_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JoinRoom {
    room_id: String,
}

/// An offer, an answer or a candidate, as it comes and as it goes on.
#[derive(Deserialize, Serialize)]
struct Signal {
    #[serde(skip_serializing)]
    to: Sid,
    #[serde(skip_deserializing)]
    from: Option<Sid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offer: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate: Option<Box<RawValue>>,
}

async fn connected(socket: SocketRef) {
    socket.on("registerClient", async |s: SocketRef, Data(data): Data<Register>| {
        s.extensions.insert(Role(data.role));
        s.emit("registered", &json!({ "success": true, "socketId": s.id })).ok();
    });
    socket.on("joinSession", async |s: SocketRef, Data(data): Data<Join>| {
        s.join(data.session_id.clone());
        s.emit("joinedSession", &json!({ "sessionId": data.session_id, "status": { "isActive": true } })).ok();
    });
    socket.on("scanOrder", async |s: SocketRef, Data(scan): Data<Scan>| {
        let role = s.extensions.get::<Role>().map_or_else(String::new, |r| r.0);
        let navigate = Navigate {
            order_no: &scan.order_no,
            ts: &scan.ts,
            nonce: scan.nonce.as_deref(),
            from: &role,
            from_socket_id: s.id.to_string(),
        };
        s.within(scan.session_id).emit("navigate", &navigate).await.ok();
    });
    socket.on("join", async |s: SocketRef, Data(data): Data<JoinRoom>| {
        let peers: Vec<_> = s.within(data.room_id.clone()).sockets().iter().map(|p| json!({ "peerId": p.id })).collect();
        s.join(data.room_id.clone());
        s.emit("existing-peers", &[peers]).ok();
        s.to(data.room_id).emit("peer-joined", &json!({ "peerId": s.id })).await.ok();
    });
    for event in ["offer", "answer", "ice-candidate"] {
        socket.on(event, async move |s: SocketRef, io: SocketIo, Data(mut signal): Data<Signal>| {
            signal.from = Some(s.id);
            if let Some(peer) = io.get_socket(signal.to) {
                peer.emit(event, &signal).ok();
            }
        });
    }
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".into());
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", connected);
    let app = axum::Router::new().layer(layer);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    let listener = listener.tap_io(|tcp| {
        tcp.set_nodelay(true).ok();
    });
    axum::serve(listener, app).await.unwrap();
}
