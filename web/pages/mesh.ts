// A mesh of peer connections in one signaling room: who is there, their media, and a chat among all. Knows nothing of the page.
import { type Link, type ServerEvents, SignalboxError } from '@signalbox/client';

export type Kind = 'audio' | 'video';

/** Somebody else in the room: a snapshot, replaced after each change. */
export interface Peer {
  /** Its socket id: another one each time it comes. */
  readonly id: string;
  /** Empty until it has said it. */
  readonly name: string;
  /** Of the connection; a failed one is being restarted. */
  readonly state: RTCPeerConnectionState;
  /** What arrives from it. The same object for as long as the peer is there. */
  readonly stream: MediaStream;
  /** What it says that it sends. */
  readonly sends: Readonly<Record<Kind, boolean>>;
}

/** One line of the chat. */
export interface Line {
  readonly name: string;
  readonly text: string;
  readonly own: boolean;
  /** When it was sent or came, in ms since 1970. */
  readonly at: number;
}

export interface MeshOptions {
  roomId: string;
  /** How the others see this peer. */
  name: string;
  tracks: Readonly<Record<Kind, MediaStreamTrack | null>>;
  /** Asked before each join, since credentials end. */
  iceServers: () => Promise<RTCIceServer[]>;
}

export interface Mesh {
  /** `refused`: see `problem`; nothing more is tried. */
  readonly state: 'joining' | 'joined' | 'refused';
  readonly problem: SignalboxError | null;
  readonly peers: readonly Peer[];
  readonly lines: readonly Line[];
  /** Says a line to everybody whose channel is open. It is kept nowhere. */
  say(text: string): void;
  /** Sends this track from now on, or nothing. */
  send(kind: Kind, track: MediaStreamTrack | null): void;
  /** Tells of every change of what is above. */
  subscribe(listener: () => void): () => void;
  /** Leaves the room and closes every connection. The link stays. */
  leave(): void;
}

/** What peers tell each other over their channel. */
type Message = { about: { name: string; sends: Record<Kind, boolean> } } | { text: string };
type Tracks = Record<Kind, MediaStreamTrack | null>;

/** As long as the server lets names be, and more than anybody types. */
const NAME_MOST = 50;
const TEXT_MOST = 2_000;
const KINDS: readonly Kind[] = ['audio', 'video'];
/** Trying again would end the same. */
const FINAL = ['ROOM_FULL', 'VALIDATION_ERROR', 'FORBIDDEN'];
const AGAIN_MS = 2_000;

/** Enters the room, and again after each reconnect of the link, with the new socket id. */
export function enter(link: Link, options: MeshOptions): Mesh {
  const { roomId } = options;
  const { socket } = link;
  const name = options.name.slice(0, NAME_MOST);
  const tracks: Tracks = { ...options.tracks };
  const listeners = new Set<() => void>();
  const connections = new Map<string, Connection>();
  /** A socket of ours that the server has not missed yet is no peer. */
  const own = new Set<string>();
  let iceServers: RTCIceServer[] = [];
  let again: ReturnType<typeof setTimeout> | undefined;
  let state: Mesh['state'] = 'joining';
  let problem: SignalboxError | null = null;
  let peers: readonly Peer[] = [];
  let lines: readonly Line[] = [];
  let listening = true;
  /** The socket id that all connections belong to. */
  let joinedAs: string | undefined;

  function changed() {
    peers = [...connections.values()].map((connection) => connection.snapshot());
    listeners.forEach((listener) => listener());
  }

  function heard(connection: Connection, text: string) {
    lines = [...lines, { name: connection.name, text, own: false, at: Date.now() }];
    changed();
  }

  /** Whoever is gone needs no signal, and after a reconnect all connections are new. */
  function send(signal: Promise<unknown>) {
    void signal.catch(() => undefined);
  }

  function meet(id: string): Connection {
    const known = connections.get(id);
    if (known) return known;
    const connection: Connection = new Connection({
      id,
      polite: (socket.id ?? '') < id,
      iceServers,
      tracks: () => tracks,
      name,
      describe: (description) => send(description.type === 'offer'
        ? link.ask('offer', { to: id, offer: description })
        : link.ask('answer', { to: id, answer: description })),
      candidate: (candidate) => send(link.ask('ice-candidate', { to: id, candidate })),
      heard: (text) => heard(connection, text),
      changed,
      gone: () => part(id),
    });
    connections.set(id, connection);
    changed();
    return connection;
  }

  function part(id: string) {
    connections.get(id)?.close();
    if (connections.delete(id)) changed();
  }

  async function join() {
    clearTimeout(again);
    const id = socket.id;
    if (!id) return;
    own.add(id);
    const servers = await options.iceServers();
    // Left, or connected anew, while that was asked.
    if (socket.id !== id || !listening) return;
    iceServers = servers;
    state = 'joining';
    changed();
    try {
      await link.ask('join', { roomId });
      state = 'joined';
    } catch (error) {
      if (!listening || !(error instanceof SignalboxError)) return;
      if (!FINAL.includes(error.code)) {
        again = setTimeout(join, AGAIN_MS);
        return;
      }
      problem = error;
      state = 'refused';
    }
    changed();
  }

  const handlers = {
    connect: () => void join(),
    // Connections of before a reconnect have carried the call until now.
    'existing-peers': (existing) => {
      if (joinedAs !== socket.id) [...connections.keys()].forEach(part);
      joinedAs = socket.id;
      existing.filter(({ peerId }) => !own.has(peerId)).forEach(({ peerId }) => meet(peerId).offer());
    },
    'peer-joined': ({ peerId }) => void meet(peerId),
    'peer-left': ({ peerId }) => part(peerId),
    // Whoever describes what cannot be is no peer.
    offer: ({ from, offer }) => void meet(from).describe(offer).catch(() => part(from)),
    answer: ({ from, answer }) => void connections.get(from)?.describe(answer).catch(() => part(from)),
    'ice-candidate': ({ from, candidate }) => void connections.get(from)?.candidate(candidate),
  } satisfies Partial<ServerEvents> & { connect: () => void };
  // The types of socket.io-client cannot follow pairs of events and handlers.
  const events = Object.entries(handlers) as [never, never][];
  events.forEach(([event, handler]) => socket.on(event, handler));
  void join();

  return {
    get state() { return state; },
    get problem() { return problem; },
    get peers() { return peers; },
    get lines() { return lines; },
    say(text) {
      const said = text.slice(0, TEXT_MOST);
      connections.forEach((connection) => connection.tell({ text: said }));
      lines = [...lines, { name, text: said, own: true, at: Date.now() }];
      changed();
    },
    send(kind, track) {
      tracks[kind] = track;
      connections.forEach((connection) => connection.send(kind));
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    leave() {
      listening = false;
      clearTimeout(again);
      events.forEach(([event, handler]) => socket.off(event, handler));
      if (socket.connected) void link.ask('leave', { roomId }).catch(() => undefined);
      [...connections.keys()].forEach(part);
      listeners.clear();
    },
  };
}

interface ConnectionOptions {
  id: string;
  /** Of two that offer at once the polite one gives in. */
  polite: boolean;
  iceServers: RTCIceServer[];
  tracks: () => Tracks;
  name: string;
  /** Sends the other side a description or a candidate. */
  describe: (description: RTCSessionDescriptionInit) => void;
  candidate: (candidate: RTCIceCandidate) => void;
  heard: (text: string) => void;
  changed: () => void;
  /** The other side closed it. */
  gone: () => void;
}

/** To one peer, by perfect negotiation: either side may offer at any time. */
class Connection {
  name = '';
  readonly #options: ConnectionOptions;
  readonly #pc: RTCPeerConnection;
  readonly #stream = new MediaStream();
  readonly #senders: Partial<Record<Kind, RTCRtpSender>> = {};
  #channel: RTCDataChannel | null = null;
  #sends: Record<Kind, boolean> = { audio: false, video: false };
  /** An offer of ours is being made. */
  #offering = false;
  /** An answer to ours is being taken in: as good as stable. */
  #answered = false;
  #restart: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const pc = new RTCPeerConnection({ iceServers: options.iceServers });
    this.#pc = pc;
    pc.onicecandidate = ({ candidate }) => candidate && options.candidate(candidate);
    pc.onnegotiationneeded = async () => {
      this.#offering = true;
      try {
        await this.#describeMyself();
      } finally {
        this.#offering = false;
      }
    };
    pc.ontrack = ({ track }) => {
      this.#stream.addTrack(track);
      options.changed();
    };
    pc.onconnectionstatechange = () => {
      clearTimeout(this.#restart);
      if (pc.connectionState === 'failed') this.#failed();
      options.changed();
    };
  }

  /** The newcomer offers; the others get to know what it has before they say what they have. */
  offer(): void {
    if (this.#channel) return;
    // Agreed on beforehand, so that either side may be the one that offers.
    const channel = this.#pc.createDataChannel('call', { negotiated: true, id: 0 });
    this.#channel = channel;
    channel.onopen = () => this.#introduce();
    channel.onmessage = ({ data }) => this.#told(data);
    channel.onclose = () => this.#options.gone();
    KINDS.forEach((kind) => this.send(kind));
  }

  /** Takes the other side's description, and answers an offer. Fails for one that makes no sense. */
  async describe(description: RTCSessionDescriptionInit): Promise<void> {
    const pc = this.#pc;
    const offered = description.type === 'offer';
    const ready = !this.#offering && (pc.signalingState === 'stable' || this.#answered);
    if (offered && !ready && !this.#options.polite) return;
    // What is added before the description takes its places in it, and needs no offer of its own.
    this.offer();
    this.#answered = !offered;
    try {
      await pc.setRemoteDescription(description);
    } finally {
      this.#answered = false;
    }
    if (offered) await this.#describeMyself();
  }

  /** One that belongs to an offer that was passed over, or that makes no sense, is one way less to try. */
  async candidate(candidate: RTCIceCandidateInit | null): Promise<void> {
    await this.#pc.addIceCandidate(candidate).catch(() => undefined);
  }

  send(kind: Kind): void {
    if (!this.#channel) return;
    const track = this.#options.tracks()[kind];
    const sender = this.#senders[kind];
    if (sender) void sender.replaceTrack(track);
    else if (track) this.#senders[kind] = this.#pc.addTrack(track);
    this.#introduce();
  }

  /** Both sides notice a failure. One restarts at once, the other where that did not help: two offers at once would undo each other. */
  #failed(): void {
    if (this.#options.polite) this.#restart = setTimeout(() => this.#pc.restartIce(), AGAIN_MS);
    else this.#pc.restartIce();
  }

  tell(message: Message): void {
    if (this.#channel?.readyState === 'open') this.#channel.send(JSON.stringify(message));
  }

  snapshot(): Peer {
    return { id: this.#options.id, name: this.name, state: this.#pc.connectionState, stream: this.#stream, sends: this.#sends };
  }

  close(): void {
    if (this.#channel) this.#channel.onclose = null;
    this.#pc.onconnectionstatechange = null;
    clearTimeout(this.#restart);
    this.#pc.close();
  }

  async #describeMyself(): Promise<void> {
    const pc = this.#pc;
    await pc.setLocalDescription();
    if (pc.localDescription) this.#options.describe(pc.localDescription);
  }

  #introduce(): void {
    const { tracks, name } = this.#options;
    this.tell({ about: { name, sends: { audio: tracks().audio !== null, video: tracks().video !== null } } });
  }

  /** A peer may be anybody's program: nothing about its message is certain. */
  #told(data: unknown): void {
    let message: { about?: { name?: unknown; sends?: Record<Kind, unknown> }; text?: unknown } | null;
    try {
      message = JSON.parse(String(data));
    } catch {
      return;
    }
    if (typeof message?.text === 'string') this.#options.heard(message.text.slice(0, TEXT_MOST));
    if (message?.about) {
      this.name = String(message.about.name ?? '').slice(0, NAME_MOST);
      this.#sends = { audio: message.about.sends?.audio === true, video: message.about.sends?.video === true };
      this.#options.changed();
    }
  }
}
