// Every Socket.IO event and what it carries. Made by web/events.mjs from docs/events.json.

/** A scan session. 1 to 100 characters, no control characters. */
export type SessionId = string;

/** An order number. 1 to 128 characters, no control characters. */
export type OrderNo = string;

/** What makes a retry safe: the same one of the same user within 24 hours is the same scan. 1 to 64 characters, no control characters. */
export type Nonce = string;

/** W3C trace context. */
export type Traceparent = string;

/** The id of a socket, as its own client sees it in `socket.id`. */
export type SocketId = string;

/** The name of the ledger; with a new one sequences begin anew. */
export type Epoch = string;

/** Which device a client is. */
export type Device = 'mobile' | 'monitor';

/** Milliseconds since 1970. */
export type Time = number;

/** By which an operator finds what happened; short enough to be read out. */
export type FlowCode = string;

/** A user, as its token writes it. */
export type UserId = string | number;

/** A signaling room. 3 to 100 characters of `A-Z a-z 0-9 _ -`. */
export type RoomId = string;

/**
 * Something that tickets are sold for; a text or an integer, and it comes back as it was written. 1 to 64 characters, no control
 * characters. Or 0 to 9007199254740991.
 */
export type EventId = string | number;

/**
 * A seat of an event; a text or an integer, and it comes back as it was written. 1 to 64 characters, no control characters. Or 0 to
 * 9007199254740991.
 */
export type SeatId = string | number;

/** An acknowledgement that says nothing more. */
export type Nothing = null;

/** Who is in a session. */
export interface SessionStatus {
  /** At least one member is connected. */
  isActive: boolean;
  /** A phone is. */
  hasMobile: boolean;
  /** A monitor is. */
  hasMonitor: boolean;
}

/** Payload of `registerClient`. */
export interface RegisterClient {
  role: Device;
}

/** Payload of `registered`, and the acknowledgement of `registerClient`. */
export interface Registered {
  success: true;
  socketId: SocketId;
}

/** Payload of `joinSession`. */
export interface JoinSession {
  sessionId: SessionId;
  /** The last scan that was applied; what came later is sent again. */
  lastSeq?: number | null;
  /** The ledger that `lastSeq` belongs to. */
  epoch?: Epoch | null;
}

/** Payload of `joinedSession`, and the acknowledgement of `joinSession`. */
export interface JoinedSession {
  sessionId: SessionId;
  status: SessionStatus;
  /** The ledger; null while it cannot be read. */
  epoch: Epoch | null;
  /** The last scan of the session, 0 before the first; null while the ledger cannot be read. */
  seq: number | null;
  /** What follows begins right after it; null while the ledger cannot be read. */
  lastSeq: number | null;
  /** Nothing was missed for good. */
  recovered: boolean;
}

/** Payload of `clientJoined`. */
export interface ClientJoined {
  socketId: SocketId;
  role: Device;
  status: SessionStatus;
}

/** Payload of `clientLeft`. */
export interface ClientLeft {
  socketId: SocketId;
  status: SessionStatus;
}

/** Payload of `leaveSession`. */
export interface LeaveSession {
  sessionId: SessionId;
}

/** The acknowledgement of `leaveSession`. */
export interface LeftSession {
  success: true;
  sessionId: SessionId;
}

/** Payload of `scanOrder`. */
export interface ScanOrder {
  sessionId: SessionId;
  orderNo: OrderNo;
  /** When it was scanned, in milliseconds since 1970 by the phone's clock; relayed as it came. */
  ts: number;
  /** What makes a retry safe. */
  nonce?: Nonce | null;
  /** W3C trace context; one that cannot be read is ignored. */
  traceparent?: string;
}

/** The acknowledgement of `scanOrder`. */
export interface ScanAck {
  received: true;
  /** That of the scan. */
  nonce: Nonce | null;
  /** The ledger; null while it cannot be read. */
  epoch: Epoch | null;
  /** The scan's place in its session, from 1; null while the database is away. */
  seq: number | null;
  /** It was known, and was not relayed again. */
  duplicate: boolean;
  /** It is kept, whatever happens to the server. */
  durable: boolean;
  /** How many monitors were there. */
  monitors: number;
  flow: FlowCode;
  /** Of the trace and of the log lines. */
  traceId: string;
}

/** Payload of `navigate`. */
export interface Navigate {
  orderNo: OrderNo;
  /** When it was scanned, by the phone's clock, as the phone sent it. */
  ts: number;
  nonce?: Nonce;
  /** Which device sent it. */
  from: 'mobile' | 'monitor';
  /** Which socket sent it. */
  fromSocketId: string;
  traceparent: Traceparent;
  /** The scan's place in its session, from 1 and without gaps; null while the database is away. */
  seq: number | null;
  /** It was missed, and is sent again. */
  replayed?: true;
}

/** The acknowledgement that a monitor gives to `navigate`; may be empty. */
export interface Painted {
  /** Milliseconds from the packet's arrival to after the paint; up to a minute is believed. */
  paintedMs?: number;
}

/** Payload of `navigate:displayed`. */
export interface NavigateDisplayed {
  /** That of `navigate`. */
  seq: number;
  /** Needed by whoever is not in exactly one session. */
  sessionId?: SessionId | null;
  /** That of `navigate`, as it came. */
  traceparent?: string;
  /** Milliseconds from the packet's arrival to after the paint; up to a minute is believed. */
  paintedMs?: number;
}

/** Payload of `scan:displayed`. */
export interface ScanDisplayed {
  sessionId: SessionId;
  /** The scan's place in its session. */
  seq: number;
  /** That of the scan. */
  nonce: Nonce | null;
  /** The monitor. */
  socketId: string;
  /** Milliseconds from the scan's arrival at the server to the monitor's receipt. */
  latencyMs: number;
}

/** Payload of `session:create`; may be missing. */
export type SessionCreate = {
  /** One more phone for this session, of which the caller is a monitor. */
  sessionId?: SessionId | null;
} | null;

/** Payload of `session:created`, and the acknowledgement of `session:create`. */
export interface SessionCreated {
  sessionId: SessionId;
  /** What the QR code carries; a secret. */
  pairingToken: string;
  /** The same, to type by hand. */
  pairingCode: string;
  /** Seconds. */
  expiresIn: number;
  /** For the QR code; may be relative. */
  pairingUrl: string;
}

/** Payload of `session:join`: token or code. */
export type SessionJoin = {
  sessionId: SessionId;
  /** From the QR code. */
  pairingToken: string;
} | {
  /** Six digits, typed by hand. 0 to 999999. */
  pairingCode: string | number;
};

/** The acknowledgement of `session:join` and `session:unpair`. */
export interface Paired {
  success: true;
  sessionId: SessionId;
  at: Time;
}

/** Payload of `session:paired`. */
export interface SessionPaired {
  sessionId: SessionId;
  at: Time;
  /** The phone. */
  socketId: string;
}

/** Payload of `session:unpair`. */
export interface SessionUnpair {
  sessionId: SessionId;
  /** The phone. */
  socketId: string;
}

/** Payload of `session:unpaired`. */
export interface SessionUnpaired {
  sessionId: SessionId;
  at: Time;
}

/** Payload of `heartbeat`: anything or nothing. */
export type Heartbeat = unknown;

/** The server's time, in milliseconds since 1970. */
export type ServerTime = number;

/** An SDP offer or answer, as `RTCPeerConnection` makes it; relayed as it came and never looked into. */
export type SessionDescription = { type: 'offer' | 'answer' | 'pranswer' | 'rollback'; sdp?: string };

/** An ICE candidate, as `RTCPeerConnection` makes it, or null after the last; relayed as it came and never looked into. */
export type IceCandidate = { candidate?: string; sdpMid?: string | null; sdpMLineIndex?: number | null; usernameFragment?: string | null } | null;

/** Payload of `join`: for the chat or for signaling. */
export type Join = JoinSignaling | JoinChat;

/** The acknowledgement of `join`. */
export type Joined = InRoom | ChatRoomDone;

/** Payload of `join`, for a signaling room. */
export interface JoinSignaling {
  roomId: RoomId;
  /** Ignored: the user is the token's. */
  userId?: string | number;
}

/** Payload of `join-room`. */
export type JoinRoom = RoomId | {
  roomId: RoomId;
};

/** Payload of `create-room`: a bare id is the name as well. */
export type CreateRoom = RoomId | {
  roomId: RoomId;
  /** 2 to 50 characters, not counting spaces around; stored as given. */
  name: string;
  /** So many peers at most, and not more than the server allows. */
  maxUsers?: number | null;
};

/** Payload of `leave`: for the chat or for signaling. */
export type Leave = LeaveSignaling | LeaveChat;

/** The acknowledgement of `leave`. */
export type Left = RoomDone | ChatRoomDone;

/** Payload of `leave`, for a signaling room. */
export interface LeaveSignaling {
  roomId: RoomId;
}

/** The acknowledgement of `join` and `join-room`, for a signaling room. */
export interface InRoom {
  success: true;
  roomId: RoomId;
  /** The peers that were there before. */
  existingUsers: SocketId[];
}

/** The acknowledgement of `create-room` and `leave`, for a signaling room. */
export interface RoomDone {
  success: true;
  roomId: RoomId;
}

/** The acknowledgement of `offer`, `answer` and `ice-candidate`. */
export interface Delivered {
  delivered: true;
}

/** A peer in a room. */
export interface Peer {
  peerId: SocketId;
  /** The same as `peerId`. */
  socketId: string;
  userId: UserId;
  /** If the token has one. */
  username?: string;
}

/** Payload of `existing-peers`. */
export type ExistingPeers = Peer[];

/** Payload of `peer-joined`. */
export interface PeerJoined {
  peerId: SocketId;
  userId: UserId;
}

/** Payload of `user-joined`. */
export interface UserJoined {
  userId: UserId;
  /** If the token has one. */
  username?: string;
}

/** Payload of `peer-left`. */
export interface PeerLeft {
  peerId: SocketId;
}

/** Payload of `offer`, to the server. */
export interface OfferTo {
  to: SocketId;
  offer: SessionDescription;
}

/** Payload of `answer`, to the server. */
export interface AnswerTo {
  to: SocketId;
  answer: SessionDescription;
}

/** Payload of `ice-candidate`, to the server. */
export interface IceCandidateTo {
  to: SocketId;
  candidate: IceCandidate;
}

/** Payload of `offer`, from the server; `from` is always the sender. */
export interface OfferFrom {
  from: SocketId;
  offer: SessionDescription;
}

/** Payload of `answer`, from the server; `from` is always the sender. */
export interface AnswerFrom {
  from: SocketId;
  answer: SessionDescription;
}

/** Payload of `ice-candidate`, from the server; `from` is always the sender. */
export interface IceCandidateFrom {
  from: SocketId;
  candidate: IceCandidate;
}

/** Payload of `message`: for the chat or for signaling. */
export type Message = Envelope | Say;

/** The acknowledgement of `message`. */
export type MessageAck = EnvelopeAck | Said;

/** Payload of `message`, for signaling. */
export type Envelope = {
  /** To enter or to leave. */
  type: 'join' | 'leave';
  /** Ignored: it is always the sender's id. */
  from?: string;
  roomId: RoomId;
} | {
  /** To send a signal. */
  type: 'offer' | 'answer' | 'ice-candidate';
  to: SocketId;
  /** Ignored: it is always the sender's id. */
  from?: string;
  /** Ignored: any common room will do. */
  roomId?: string;
  /** The offer, answer or candidate. */
  data: SessionDescription | IceCandidate;
};

/** The acknowledgement of a `message` for signaling: that of what was in it. */
export type EnvelopeAck = InRoom | RoomDone | Delivered;

/** Payload of events that need nothing but the id of what tickets are sold for. */
export interface AboutEvent {
  eventId: EventId;
}

/** Payload of `select-seat` and `release-seat`. */
export interface AboutSeat {
  eventId: EventId;
  seatId: SeatId;
}

/** The acknowledgement of `leave-event` and `leave-queue`. */
export interface EventDone {
  success: true;
  eventId: EventId;
}

/** The acknowledgement of `join-event`. */
export interface JoinedEvent {
  success: true;
  eventId: EventId;
  /** So many users look at it. */
  userCount: number;
}

/** Payload of `room-info`. */
export interface RoomInfo {
  eventId: EventId;
  /** So many users look at it; users, not sockets. */
  userCount: number;
}

/** Payload of `queue-status`, and the acknowledgement of `join-queue`. */
export interface QueueStatus {
  eventId: EventId;
  /** The user waits. */
  queued: boolean;
  /** At this place, from 1; null for whoever does not wait. */
  position: number | null;
  /** So many wait. */
  queueSize: number;
  /** For so many seconds more; 0 for whoever does not wait. */
  estimatedWait: number;
  /** So many are let in. */
  currentUsers: number;
  /** So many may be. */
  threshold: number;
}

/** Payload of `queue-updated`. */
export interface QueueUpdated {
  eventId: EventId;
  /** So many wait. */
  queueSize: number;
  timestamp: Time;
}

/** Payload of `queue-entry-allowed`. */
export interface QueueEntryAllowed {
  eventId: EventId;
  userId: UserId;
  /** For people, in the server's language. */
  message: string;
}

/** Payload of `queue-cleared`. */
export interface QueueCleared {
  eventId: EventId;
  /** For people, in the server's language. */
  message: string;
}

/** The acknowledgement of `queue:heartbeat`. */
export interface SlotRenewed {
  success: true;
  eventId: EventId;
  expiresAt: Time;
}

/** The acknowledgement of `join-seat-selection`; seats that can be had are in no list. */
export interface SeatsAtHand {
  success: true;
  eventId: EventId;
  /** Held by the caller. */
  selected: SeatId[];
  /** Held by others. */
  held: SeatId[];
  /** Sold. */
  sold: SeatId[];
}

/** The acknowledgement of `select-seat`. */
export interface SeatHeld {
  success: true;
  eventId: EventId;
  seatId: SeatId;
  heldUntil: Time;
}

/** The acknowledgement of `release-seat`. */
export interface SeatReleased {
  success: true;
  eventId: EventId;
  seatId: SeatId;
}

/** Payload of `seat-selection-changed`. */
export interface SeatSelection {
  eventId: EventId;
  /** All that the user wants to hold. */
  seats: SeatId[];
}

/** The acknowledgement of `seat-selection-changed`. */
export interface SelectionChanged {
  success: true;
  eventId: EventId;
  /** What the user holds now. */
  selected: SeatId[];
  /** What somebody else holds, or is sold. */
  refused: SeatId[];
}

/** Payload of `seat-selected`. */
export interface SeatSelected {
  eventId: EventId;
  seatId: SeatId;
  userId: UserId;
  timestamp: Time;
}

/** Payload of `seats-released`. */
export interface SeatsReleased {
  eventId: EventId;
  /** Which ones. */
  seatIds: SeatId[];
}

/** Payload of `session-restored`. */
export interface SessionRestored {
  /** What the user looked at; the socket hears of it again. */
  eventId: EventId | null;
  /** What the user waits for, or was let into. */
  queueEventId: EventId | null;
  /** What the user chooses seats of. */
  seatEventId: EventId | null;
  /** What it holds there. */
  selectedSeats: SeatId[];
  /** The scan session that it was in; the client joins it by itself. */
  scanSession?: string;
  /** The signaling rooms that it was in; the client joins them by itself. */
  rooms?: RoomId[];
  lastActivity: Time;
}

/** A chat room. 1 to 100 characters, no control characters. */
export type ChatRoomId = string;

/**
 * What makes a retry safe: the same one of the same user in the same room is the same message. 1 to 64 characters, no control characters.
 */
export type ClientId = string;

/** The id of a message; for what came before or after what look at `createdAt`. */
export type MessageId = number;

/** What is said: 1 to 16,384 bytes of UTF-8 without NUL. */
export type Content = string;

/** A time: milliseconds since 1970, also as text, or ISO 8601. null is none. */
export type Timestamp = number | string | null;

/** A message of a chat room. */
export interface ChatMessage {
  id: MessageId;
  roomID: ChatRoomId;
  /** Who said it; `gpt` is the assistant. */
  userId: string | number;
  /** Its name then. */
  username: string;
  /** What was said: text, never markup. */
  content: string;
  /** When, in milliseconds since 1970. It rises strictly within a room: the order of its messages. */
  createdAt: number;
  /** When it was changed last, in milliseconds since 1970; missing where it was not. */
  editedAt?: number;
  /** It is for the assistant as well, or from it. */
  gpt?: true;
  /** That of the sender, or `gpt-` and the id of the question. 1 to 64 characters. */
  clientId?: string;
}

/** Messages of a chat room, oldest first. */
export type ChatMessages = ChatMessage[];

/** Somebody who takes part in a chat room. */
export interface Participant {
  userId: UserId;
  /** Its name when it was added. */
  username: string;
}

/** Payload of `join`, for a chat room. */
export interface JoinChat {
  roomID: ChatRoomId;
  /** That of the last message that is known: everything after it is sent. Without it the last 50 are. */
  createdAt?: Timestamp;
  /** Ignored: `createdAt` says what is known. */
  lastmessage?: unknown;
}

/** Payload of `leave`, for a chat room. */
export interface LeaveChat {
  roomID: ChatRoomId;
  /** Ignored: the user is the token's. */
  username?: unknown;
}

/** The acknowledgement of `join` and `leave`, for a chat room. */
export interface ChatRoomDone {
  success: true;
  roomID: ChatRoomId;
}

/** Payload of `message`, for a chat room. */
export interface Say {
  roomID: ChatRoomId;
  content: Content;
  /** What makes a retry safe. */
  clientId?: ClientId | null;
  /** It is for the assistant as well, as is what begins with `@gpt`. */
  gpt?: boolean | null;
}

/** The acknowledgement of a `message` for a chat room; where it was known already that of the first one. */
export interface Said {
  success: true;
  id: MessageId;
  createdAt: Time;
}

/** Payload of `editMessage`. */
export interface EditMessage {
  roomID: ChatRoomId;
  id: MessageId;
  content: Content;
}

/** The acknowledgement of `editMessage`. */
export interface EditedMessage {
  success: true;
  id: MessageId;
  editedAt: Time;
}

/** Payload of `loadMoreMessages_for_room`. */
export interface LoadMoreMessages {
  roomId: ChatRoomId;
  /** Before it, or after it; without one the last 50. */
  timestamp?: Timestamp;
  /** `new` asks for what came after the time, anything else for what came before. */
  type?: string | null;
  /** Ignored: `timestamp` says where. */
  oldmessage?: unknown;
}

/** Payload of `syncRooms`. */
export interface SyncRooms {
  /** Ignored. */
  platformId?: unknown;
  /** At most 1000. */
  rooms: SyncRoom[];
}

/** A room in `syncRooms`. */
export interface SyncRoom {
  roomId: ChatRoomId;
  /** What came after it is asked for; without one the last 50. */
  timestamp?: Timestamp;
}

/** What was written in a room. */
export interface SyncedRoom {
  roomId: ChatRoomId;
  /** At most 50, oldest first. */
  messages: ChatMessage[];
  /** There is more after these. */
  more?: true;
}

/** Payload of `syncRoomsResponse`, and the acknowledgement of `syncRooms`: the rooms that the user takes part in, in the order asked. */
export type SyncRoomsResponse = SyncedRoom[];

/** Payload of `roomUpdate`. */
export interface RoomUpdate {
  roomID: ChatRoomId;
  /** As it was given. 1 to 100 characters, no control characters. */
  name: string;
  /** Who takes part. */
  participants: Participant[];
  createdAt: Time;
  ownerId: UserId;
}

/** Payload of `deleteroom`. */
export interface DeleteRoom {
  roomID: ChatRoomId;
}

/** The acknowledgement of `deleteroom`. */
export interface DeletedRoom {
  success: true;
  roomID: ChatRoomId;
  /** It is gone for all; else the caller has left it. */
  deleted: boolean;
}

/** Payload of `roomDeleted`. */
export interface RoomDeleted {
  roomID: ChatRoomId;
}

/** Payload of `gptChunk`. */
export interface GptChunk {
  /** Of the answer: `gpt-` and the id of the question; the `clientId` of the whole answer. */
  id: string;
  roomID: ChatRoomId;
  /** What is to be added. */
  delta: string;
  /** What came before under this id is taken back. */
  restart?: true;
  /** There will be no answer. */
  failed?: ErrorCode;
}

/** Payload of `refreshToken`: nothing. */
export type RefreshToken = null;

/** Payload of `token:refresh`, and the acknowledgement of `refreshToken`. */
export interface TokenRefresh {
  /** A JWT of the same user. */
  accessToken: string;
  /** Seconds. */
  expiresIn: number;
}

/** Payload of `token:renew`. */
export interface TokenRenew {
  /** A JWT of the same user. At most 4096 characters. */
  token: string;
}

/** The acknowledgement of `token:renew`. */
export interface TokenRenewed {
  success: true;
  /** Seconds; missing where the token does not end. */
  expiresIn?: number;
}

/** Payload of `token:expiring`. */
export interface TokenExpiring {
  /** Seconds. 0 to 60. */
  expiresIn: number;
}

/** Payload of `server:draining`. */
export interface ServerDraining {
  /** Milliseconds after which to reconnect. */
  retryAfterMs: number;
}

/** Why something was refused or failed. */
export type ErrorCode =
  | 'VALIDATION_ERROR'
  | 'AUTH_ERROR'
  | 'TOKEN_EXPIRED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'ROOM_FULL'
  | 'CONFLICT'
  | 'RATE_LIMIT'
  | 'PAYLOAD_TOO_LARGE'
  | 'UNKNOWN_EVENT'
  | 'UNAVAILABLE'
  | 'INVALID_TOKEN'
  | 'SID_MISMATCH'
  | 'PAIRING_FAILED'
  | 'INTERNAL';

/** What went wrong. */
export interface ErrorBody {
  code: ErrorCode;
  /** For people, in the server's language. */
  message: string;
  flow?: FlowCode;
  /** With `INTERNAL`: finds the log line, the trace and the report. */
  errorId?: string;
}

/** The acknowledgement of whatever was refused or failed. */
export interface Failure {
  success: false;
  error: ErrorBody;
}

/** Payload of `error` and `session:error`; code and message are at the top as well, where older clients look. */
export interface ErrorNotice {
  success: false;
  error: ErrorBody;
  code: ErrorCode;
  /** For people, in the server's language. */
  message: string;
}

/** Takes the acknowledgement of an event: what was asked for, or why not. */
export type Answered<T> = (answer: T | Failure) => void;

/** What a client sends, as socket.io-client wants it. */
export interface ClientEvents {
  /** Says which device this is; needed before `joinSession`, unless the token names the device. */
  registerClient: (payload: RegisterClient, ack?: Answered<Registered>) => void;
  /** Enters a session; a monitor that says what it has seen is sent every later scan, before any new one. */
  joinSession: (payload: JoinSession, ack?: Answered<JoinedSession>) => void;
  /** Leaves a session; the others there hear `clientLeft`. */
  leaveSession: (payload: LeaveSession, ack?: Answered<LeftSession>) => void;
  /** Sends an order to everybody in the session; sent again with the same nonce it is relayed once. */
  scanOrder: (payload: ScanOrder, ack?: Answered<ScanAck>) => void;
  /** Says that an order is on the screen, where `navigate` was not acknowledged; the phone hears `scan:displayed`. */
  'navigate:displayed': (payload: NavigateDisplayed, ack?: Answered<Nothing>) => void;
  /** Invites a phone into a session, a new one where none is named; the invitation is good once and for ten minutes. */
  'session:create': (payload?: SessionCreate, ack?: Answered<SessionCreated>) => void;
  /** Takes an invitation up, by its token or by its six digits; the phone is in the session then. */
  'session:join': (payload: SessionJoin, ack?: Answered<Paired>) => void;
  /** A monitor sends a phone away; the pass of a phone without an account is good for nothing any more. */
  'session:unpair': (payload: SessionUnpair, ack?: Answered<Paired>) => void;
  /** Asks for the server's time; whatever is sent along is ignored. */
  heartbeat: (payload?: Heartbeat, ack?: Answered<ServerTime>) => void;
  /** Enters a room of one of two families: with `roomID` a chat room, with `roomId` a signaling room. */
  join: (payload: Join, ack?: Answered<Joined>) => void;
  /** Enters a room that exists, else `NOT_FOUND`. */
  'join-room': (payload: JoinRoom, ack?: Answered<InRoom>) => void;
  /** Begins a room and enters it; an id that exists is a `CONFLICT`. */
  'create-room': (payload: CreateRoom, ack?: Answered<RoomDone>) => void;
  /** Leaves a room of one of two families: with `roomID` a chat room, with `roomId` a signaling room. */
  leave: (payload: Leave, ack?: Answered<Left>) => void;
  /** Sends an SDP offer to a peer of a common room. */
  offer: (payload: OfferTo, ack?: Answered<Delivered>) => void;
  /** Sends an SDP answer to a peer of a common room. */
  answer: (payload: AnswerTo, ack?: Answered<Delivered>) => void;
  /** Sends an ICE candidate to a peer of a common room. */
  'ice-candidate': (payload: IceCandidateTo, ack?: Answered<Delivered>) => void;
  /** With `roomID` what somebody says in a chat room, else a signal in an envelope. */
  message: (payload: Message, ack?: Answered<MessageAck>) => void;
  /** Looks at an event that tickets are sold for. */
  'join-event': (payload: AboutEvent, ack?: Answered<JoinedEvent>) => void;
  /** No longer looks at an event. */
  'leave-event': (payload: AboutEvent, ack?: Answered<EventDone>) => void;
  /** Waits for an event, or is let in at once where there is a free slot and nobody waits. */
  'join-queue': (payload: AboutEvent, ack?: Answered<QueueStatus>) => void;
  /** Gives up the place in the line, or the slot. */
  'leave-queue': (payload: AboutEvent, ack?: Answered<EventDone>) => void;
  /** Renews the slot of a user who was let in; `FORBIDDEN` for everybody else. */
  'queue:heartbeat': (payload: AboutEvent, ack?: Answered<SlotRenewed>) => void;
  /** Hears from now on what happens to the seats of an event, and learns what they are. */
  'join-seat-selection': (payload: AboutEvent, ack?: Answered<SeatsAtHand>) => void;
  /** Takes a seat for five minutes; one that somebody else has is a `CONFLICT`. */
  'select-seat': (payload: AboutSeat, ack?: Answered<SeatHeld>) => void;
  /** Gives a seat back. */
  'release-seat': (payload: AboutSeat, ack?: Answered<SeatReleased>) => void;
  /** Replaces the seats that the user holds by these, in one step. */
  'seat-selection-changed': (payload: SeatSelection, ack?: Answered<SelectionChanged>) => void;
  /** Asks what was written in many rooms meanwhile. From then on the socket hears of new rooms by `roomUpdate`. */
  syncRooms: (payload: SyncRooms, ack?: Answered<SyncRoomsResponse>) => void;
  /** Changes an own message. */
  editMessage: (payload: EditMessage, ack?: Answered<EditedMessage>) => void;
  /** Asks for 50 messages before a time, or after it. */
  loadMoreMessages_for_room: (payload: LoadMoreMessages, ack?: Answered<ChatMessages>) => void;
  /** Deletes a room, where the caller owns it; else leaves it for good, and the others hear `roomUpdate`. */
  deleteroom: (payload: DeleteRoom, ack?: Answered<DeletedRoom>) => void;
  /** Asks for a new access token, by the refresh token that the socket connected with. */
  refreshToken: (payload?: RefreshToken, ack?: Answered<TokenRefresh>) => void;
  /** Replaces the token of this connection by a newer one of the same user. */
  'token:renew': (payload: TokenRenew, ack?: Answered<TokenRenewed>) => void;
}

/** What the server sends, as socket.io-client wants it. */
export interface ServerEvents {
  /** The device is known. To whoever sent `registerClient`. */
  registered: (payload: Registered) => void;
  /** It is in the session; what it has missed follows. To whoever sent `joinSession`. */
  joinedSession: (payload: JoinedSession) => void;
  /** Somebody came in. To the others of the session. */
  clientJoined: (payload: ClientJoined) => void;
  /** Somebody left, or its connection was lost. To those who are left in the session. */
  clientLeft: (payload: ClientLeft) => void;
  /** Open this order. To everybody in the session, the sender included. */
  navigate: (payload: Navigate, ack?: (said?: Painted) => void) => void;
  /** A monitor has the order on its screen. To the phone that sent the scan. */
  'scan:displayed': (payload: ScanDisplayed) => void;
  /** An invitation, as QR code and as six digits. To whoever sent `session:create`. */
  'session:created': (payload: SessionCreated) => void;
  /** A phone took the invitation up. To everybody in the session, and whoever invited. */
  'session:paired': (payload: SessionPaired) => void;
  /** A monitor sent this phone away. To the phone. */
  'session:unpaired': (payload: SessionUnpaired) => void;
  /** Pairing failed; sent besides the acknowledgement, if one was asked for. To whoever sent a `session:` event. */
  'session:error': (payload: ErrorNotice) => void;
  /** The server's time. To whoever sent `heartbeat`. */
  'heartbeat:ack': (payload: ServerTime) => void;
  /** Who was in the room before. To whoever sent `join`. */
  'existing-peers': (payload: ExistingPeers) => void;
  /** A peer came in. To the others in the room. */
  'peer-joined': (payload: PeerJoined) => void;
  /** A peer came in by `join-room`; its user. To the others in the room. */
  'user-joined': (payload: UserJoined) => void;
  /** A peer left, or its connection was lost. To the others in the room. */
  'peer-left': (payload: PeerLeft) => void;
  /** A peer's SDP offer. To the peer that it is for. */
  offer: (payload: OfferFrom) => void;
  /** A peer's SDP answer. To the peer that it is for. */
  answer: (payload: AnswerFrom) => void;
  /** A peer's ICE candidate. To the peer that it is for. */
  'ice-candidate': (payload: IceCandidateFrom) => void;
  /**
   * Where the user was; sent before anything else that the socket asks for is handled. To a user who comes back within an hour, on each new
   * socket.
   */
  'session-restored': (payload: SessionRestored) => void;
  /** How many users look at it. To those who look at the event. */
  'room-info': (payload: RoomInfo) => void;
  /** Where the user stands; sent when it changed, at most once a second. To a user who waits, all its sockets. */
  'queue-status': (payload: QueueStatus) => void;
  /** The line has another length. To those who wait for the event. */
  'queue-updated': (payload: QueueUpdated) => void;
  /** It is the user's turn. To the user, all its sockets. */
  'queue-entry-allowed': (payload: QueueEntryAllowed) => void;
  /** An admin sent everybody home who waited. To those who waited. */
  'queue-cleared': (payload: QueueCleared) => void;
  /** A seat was taken. To those who choose from the seats of the event. */
  'seat-selected': (payload: SeatSelected) => void;
  /** Seats can be had again. To those who choose from the seats of the event. */
  'seats-released': (payload: SeatsReleased) => void;
  /** What was written meanwhile. To whoever sent `syncRooms`. */
  syncRoomsResponse: (payload: SyncRoomsResponse) => void;
  /** What was written before, in several of these where it is much, in order. To whoever sent `join`. */
  previousMessages: (payload: ChatMessages) => void;
  /**
   * A room, as it is now: it is new, somebody came to hear it, or somebody left for good. To those who hear the room, and participants who
   * sent `syncRooms` or `join`.
   */
  roomUpdate: (payload: RoomUpdate) => void;
  /** Somebody said something. To those who hear the room, the sender included. */
  message: (payload: ChatMessage) => void;
  /** A message was changed; the whole message, as it is now. To those who hear the room, the author included. */
  messageEdited: (payload: ChatMessage) => void;
  /** The room is no more. To everybody who was in the room. */
  roomDeleted: (payload: RoomDeleted) => void;
  /** A piece of the assistant's answer; the whole of it comes as `message`. To those who hear the room. */
  gptChunk: (payload: GptChunk) => void;
  /** A new access token. To whoever sent `refreshToken`, or connected with an access token that had expired. */
  'token:refresh': (payload: TokenRefresh) => void;
  /** Renew the token, or the connection ends with it. To a socket whose token ends within a minute. */
  'token:expiring': (payload: TokenExpiring) => void;
  /** This server is about to stop; the transport closes soon, reconnect then. To everybody. */
  'server:draining': (payload: ServerDraining) => void;
  /**
   * An event was refused or failed, or the token is no longer good. To whoever sent an event without asking for an acknowledgement, or is
   * about to be disconnected.
   */
  error: (payload: ErrorNotice) => void;
}

/** What each event is acknowledged with, where it was neither refused nor failed. */
export interface Acks {
  registerClient: Registered;
  joinSession: JoinedSession;
  leaveSession: LeftSession;
  scanOrder: ScanAck;
  'navigate:displayed': Nothing;
  'session:create': SessionCreated;
  'session:join': Paired;
  'session:unpair': Paired;
  heartbeat: ServerTime;
  join: Joined;
  'join-room': InRoom;
  'create-room': RoomDone;
  leave: Left;
  offer: Delivered;
  answer: Delivered;
  'ice-candidate': Delivered;
  message: MessageAck;
  'join-event': JoinedEvent;
  'leave-event': EventDone;
  'join-queue': QueueStatus;
  'leave-queue': EventDone;
  'queue:heartbeat': SlotRenewed;
  'join-seat-selection': SeatsAtHand;
  'select-seat': SeatHeld;
  'release-seat': SeatReleased;
  'seat-selection-changed': SelectionChanged;
  syncRooms: SyncRoomsResponse;
  editMessage: EditedMessage;
  loadMoreMessages_for_room: ChatMessages;
  deleteroom: DeletedRoom;
  refreshToken: TokenRefresh;
  'token:renew': TokenRenewed;
}

/** What is sent along with an event. */
export type Payload<E extends keyof ClientEvents> = Parameters<ClientEvents[E]>[0];

/** What an event is acknowledged with. */
export type Ack<E extends keyof ClientEvents> = Acks[E];

/** What the server sends along with an event. */
export type Push<E extends keyof ServerEvents> = Parameters<ServerEvents[E]>[0];
