//! Labels: closed enums, so that nothing a client sends can become a series.

/// Declares a label: a closed enum with its values.
macro_rules! label {
    ($(#[$doc:meta])* $vis:vis $type:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            /// All of them, in the order of declaration.
            $vis const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label value.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $value,)* }
            }
        }
    };
}

label! {
    /// How a handshake ended.
    pub HandshakeResult {
        /// Let in.
        Ok = "ok",
        /// It brought no token.
        NoToken = "no_token",
        /// It brought one that is not accepted.
        BadToken = "bad_token",
        /// Too many of this address or user.
        Limited = "limited",
        /// Its address is blocked.
        Blocked = "blocked",
        /// From a site that is not allowed.
        Origin = "origin",
        /// Our fault.
        Error = "error",
    }
}

label! {
    /// What was turned away before it was an event.
    pub RejectReason {
        /// A site that is not allowed.
        Origin = "origin",
        /// A session id that we did not hand out.
        Sid = "sid",
        /// Too many sockets of one address that have not authenticated.
        Preauth = "preauth",
        /// The node is full.
        Connections = "connections",
        /// A header or body came too slowly.
        Timeout = "timeout",
        /// A client did not read.
        SlowReader = "slow_reader",
        /// Larger than allowed.
        TooBig = "too_big",
        /// Not a WebSocket upgrade of version 13, not Engine.IO 4, not HTTP.
        Protocol = "protocol",
        /// Its address is blocked.
        Blocked = "blocked",
        /// The server is draining.
        Draining = "draining",
    }
}

label! {
    /// How a client is connected.
    pub Transport {
        /// Long polling.
        Polling = "polling",
        /// WebSocket.
        Websocket = "websocket",
    }
}

label! {
    /// The steps of a scan inside the server.
    pub Stage {
        /// Waiting for the socket's earlier events.
        Queue = "queue",
        /// Limits and permissions.
        Guard = "guard",
        /// The family's decision.
        Decide = "decide",
        /// Writing it into the ledger.
        Persist = "persist",
        /// Handing it to the receivers' sockets.
        Deliver = "deliver",
    }
}

label! {
    /// How a scan ended.
    pub FlowOutcome {
        /// Handed to at least one monitor's socket.
        Sent = "sent",
        /// Kept for the first monitor that joins: none was in the session.
        Queued = "queued",
        /// Sent again by a phone that had not heard that it was in the ledger already.
        Duplicate = "duplicate",
        /// Not relayed, the client's doing.
        Refused = "refused",
        /// Not relayed, our doing.
        RelayFailed = "relay_failed",
        /// Not in the ledger, because the database did not take it: relayed all the same, or refused, as
        /// `SCAN_WITHOUT_STORE` says.
        StorageFailed = "storage_failed",
        /// Refused because the server was at a limit.
        Shed = "shed",
    }
}

label! {
    /// The routes of the HTTP side, as templates.
    pub HttpRoute {
        /// `/health`
        Health = "/health",
        /// `/status`
        Status = "/status",
        /// `/livez`
        Livez = "/livez",
        /// `/readyz`
        Readyz = "/readyz",
        /// `/version`
        Version = "/version",
        /// `/metrics`
        Metrics = "/metrics",
        /// `/console`
        Console = "/console",
        /// The other pages, and what belongs to them.
        Pages = "pages",
        /// `/api/flows`
        Flows = "/api/flows",
        /// `/api/flows/{id}`
        Flow = "/api/flows/{id}",
        /// `/api/admin/log-level`, to look at
        LogLevel = "/api/admin/log-level",
        /// `/api/admin/log-level`, to change
        ChangeLogLevel = "/api/admin/log-level",
        /// `/api/admin/blocks`
        Blocks = "/api/admin/blocks",
        /// `/api/admin/blocks/{address}`
        LiftBlock = "/api/admin/blocks/{address}",
        /// `/api/chat/rooms`, to look at
        ChatRooms = "/api/chat/rooms",
        /// `/api/chat/rooms`, to begin one
        NewChatRoom = "/api/chat/rooms",
        /// `/api/openapi.json`
        Openapi = "/api/openapi.json",
        /// `/api/auth/register`
        Register = "/api/auth/register",
        /// `/api/auth/login`
        Login = "/api/auth/login",
        /// `/api/auth/refresh`
        Refresh = "/api/auth/refresh",
        /// `/api/auth/logout`
        Logout = "/api/auth/logout",
        /// `/api/auth/me`
        Me = "/api/auth/me",
        /// `/api/auth/demo`
        Demo = "/api/auth/demo",
        /// `/api/pair`
        Pair = "/api/pair",
        /// `/api/ice-servers`
        IceServers = "/api/ice-servers",
        /// `/api/rooms`
        Rooms = "/api/rooms",
        /// `/api/rooms/{id}`
        Room = "/api/rooms/{id}",
        /// `/api/rooms/{id}/participants`
        Participants = "/api/rooms/{id}/participants",
        /// `/api/queue/check/{event}`
        QueueCheck = "/api/queue/check/{event}",
        /// `/api/queue/status/{event}`
        QueueStatus = "/api/queue/status/{event}",
        /// `/api/queue/leave/{event}`
        QueueLeave = "/api/queue/leave/{event}",
        /// `/api/queue/admin/{event}`, to look at
        Queue = "/api/queue/admin/{event}",
        /// `/api/queue/admin/{event}`, to change
        ChangeQueue = "/api/queue/admin/{event}",
        /// `/api/queue/admin/clear/{event}`
        ClearQueue = "/api/queue/admin/clear/{event}",
        /// `/api/seats/admin/{event}`, to look at
        Seats = "/api/seats/admin/{event}",
        /// `/api/seats/admin/{event}`, to change
        ChangeSeats = "/api/seats/admin/{event}",
        /// Anything else; the path itself is never a label.
        Other = "other",
    }
}

impl HttpRoute {
    /// The method that the route takes, as a label value.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Register
            | Self::Login
            | Self::Refresh
            | Self::Logout
            | Self::Demo
            | Self::Pair
            | Self::QueueCheck
            | Self::QueueLeave
            | Self::ClearQueue
            | Self::NewChatRoom => "POST",
            Self::LiftBlock => "DELETE",
            Self::ChangeLogLevel | Self::ChangeQueue | Self::ChangeSeats => "PUT",
            Self::Other => "other",
            _ => "GET",
        }
    }
}

label! {
    /// Which limiter refused.
    pub LimitLayer {
        /// Events of a socket.
        Event = "event",
        /// Handshakes of an address or user.
        Handshake = "handshake",
        /// `/api` requests of an address.
        Http = "http",
        /// Attempts to log in, to one account or of one address.
        Login = "login",
    }
}

label! {
    /// How a question to the assistant ended.
    pub GptOutcome {
        /// With an answer.
        Ok = "ok",
        /// Turned away: too many wait, or the breaker is open.
        Refused = "refused",
        /// Without one: the endpoint or the database let us down.
        Failed = "failed",
        /// Its room was deleted.
        Cancelled = "cancelled",
    }
}

label! {
    /// How a run of the canary ended.
    pub CanaryResult {
        /// Its scan arrived at its monitor.
        Ok = "ok",
        /// The server turned it away or refused its scan.
        Refused = "refused",
        /// Its scan did not arrive in time.
        Timeout = "timeout",
        /// The connection broke.
        Error = "error",
    }
}

/// The rings of the flight recorder.
pub(super) const KEPT: [&str; 3] = ["notable", "scans", "others"];
