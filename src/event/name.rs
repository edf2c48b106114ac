//! Names on the wire, each a closed enum: wire name = label value = span name.

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }

        impl $type {
            /// All of them, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire, as a label and in spans.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)* }
            }

            /// Position in [`Self::ALL`], to index what is kept per name.
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

names! {
    /// What a client can do, plus the things that happen to every socket.
    EventName {
        /// Says which device this is.
        RegisterClient = "registerClient",
        /// Enters a scan session.
        JoinSession = "joinSession",
        /// Leaves a scan session.
        LeaveSession = "leaveSession",
        /// A barcode was scanned.
        ScanOrder = "scanOrder",
        /// Invites a phone into a scan session.
        SessionCreate = "session:create",
        /// Takes an invitation up.
        SessionJoin = "session:join",
        /// Sends a phone away.
        SessionUnpair = "session:unpair",
        /// An order is on the screen.
        NavigateDisplayed = "navigate:displayed",
        /// Asks for the server's time.
        Heartbeat = "heartbeat",
        /// Enters a signaling room, which begins if need be, or hears a chat room from now on.
        Join = "join",
        /// Enters a signaling room that exists.
        JoinRoom = "join-room",
        /// Begins a signaling room.
        CreateRoom = "create-room",
        /// Leaves a signaling room, or hears a chat room no more.
        Leave = "leave",
        /// A WebRTC offer for a peer.
        Offer = "offer",
        /// A WebRTC answer for a peer.
        Answer = "answer",
        /// An ICE candidate for a peer.
        IceCandidate = "ice-candidate",
        /// One of the five above in an envelope, or a chat message.
        Message = "message",
        /// Looks at an event that tickets are sold for.
        JoinEvent = "join-event",
        /// No longer.
        LeaveEvent = "leave-event",
        /// Joins the waiting queue of an event.
        JoinQueue = "join-queue",
        /// Gives up its place or slot there.
        LeaveQueue = "leave-queue",
        /// Catches up with chat rooms.
        SyncRooms = "syncRooms",
        /// Changes a chat message.
        EditMessage = "editMessage",
        /// Reads older messages of a chat room.
        LoadMoreMessages = "loadMoreMessages_for_room",
        /// Deletes a chat room, or leaves it for good.
        DeleteRoom = "deleteroom",
        /// Renews a slot.
        QueueHeartbeat = "queue:heartbeat",
        /// Hears what happens to the seats of an event.
        JoinSeatSelection = "join-seat-selection",
        /// Takes a seat.
        SelectSeat = "select-seat",
        /// Gives a seat back.
        ReleaseSeat = "release-seat",
        /// Replaces the seats that it has taken.
        SeatSelectionChanged = "seat-selection-changed",
        /// Asks for a new access token.
        RefreshToken = "refreshToken",
        /// Replaces the token of this connection.
        TokenRenew = "token:renew",
        /// The handshake of a namespace.
        Connect = "connect",
        /// A user is brought back to where it was, before anything else that its new socket does.
        Restore = "restore",
        /// The end of a connection.
        Disconnect = "disconnect",
        /// Any name that no table knows; the name itself is never recorded.
        Unknown = "unknown",
    }
}

names! {
    /// What the server sends.
    PushName {
        /// Answer to `registerClient`.
        Registered = "registered",
        /// Answer to `joinSession`.
        JoinedSession = "joinedSession",
        /// Somebody entered the session.
        ClientJoined = "clientJoined",
        /// Somebody left the session.
        ClientLeft = "clientLeft",
        /// Open this order.
        Navigate = "navigate",
        /// Answer to `session:create`.
        SessionCreated = "session:created",
        /// A phone was paired.
        SessionPaired = "session:paired",
        /// A phone was sent away.
        SessionUnpaired = "session:unpaired",
        /// Pairing failed.
        SessionError = "session:error",
        /// A monitor has the order on its screen.
        ScanDisplayed = "scan:displayed",
        /// Answer to `heartbeat`.
        HeartbeatAck = "heartbeat:ack",
        /// Who was in the signaling room before.
        ExistingPeers = "existing-peers",
        /// A peer entered the signaling room.
        PeerJoined = "peer-joined",
        /// A user entered the signaling room.
        UserJoined = "user-joined",
        /// A peer left the signaling room.
        PeerLeft = "peer-left",
        /// A peer's offer.
        Offer = "offer",
        /// A peer's answer.
        Answer = "answer",
        /// A peer's ICE candidate.
        IceCandidate = "ice-candidate",
        /// Where a user was.
        SessionRestored = "session-restored",
        /// How many look at an event.
        RoomInfo = "room-info",
        /// A user's place in a waiting queue.
        QueueStatus = "queue-status",
        /// A waiting queue has another length.
        QueueUpdated = "queue-updated",
        /// A user is let in.
        QueueEntryAllowed = "queue-entry-allowed",
        /// Everybody who waited is sent home.
        QueueCleared = "queue-cleared",
        /// A seat was taken.
        SeatSelected = "seat-selected",
        /// Seats can be had again.
        SeatsReleased = "seats-released",
        /// A new access token.
        TokenRefresh = "token:refresh",
        /// What was said in chat rooms meanwhile.
        SyncRoomsResponse = "syncRoomsResponse",
        /// What was said in a chat room before.
        PreviousMessages = "previousMessages",
        /// Who takes part in a chat room has changed.
        RoomUpdate = "roomUpdate",
        /// A chat room is no more.
        RoomDeleted = "roomDeleted",
        /// A chat message.
        Message = "message",
        /// A chat message was changed.
        MessageEdited = "messageEdited",
        /// A piece of the assistant's answer.
        GptChunk = "gptChunk",
        /// A refused or failed event.
        Error = "error",
        /// The token ends soon.
        TokenExpiring = "token:expiring",
        /// This server is about to stop.
        ServerDraining = "server:draining",
        /// The acknowledgement of an event that asked for one.
        Ack = "ack",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_position() {
        for (i, name) in EventName::ALL.iter().enumerate() {
            assert_eq!(name.index(), i);
        }
        for (i, name) in PushName::ALL.iter().enumerate() {
            assert_eq!(name.index(), i);
        }
    }
}
