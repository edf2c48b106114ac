// The chat: rooms, what is said in them, and that nothing of it is lost or doubled, whatever happens to the connection.
import { backoff } from './backoff.js';
import { SignalboxError } from './errors.js';
import type {
  Ack, ChatMessage, ChatRoomId, ClientEvents, GptChunk, MessageId, Participant, Payload, RoomDeleted, RoomUpdate, Said, UserId,
} from './events.js';
import type { Link } from './link.js';
import { listen } from './listen.js';
import { Listeners } from './listeners.js';
import { tabStorage } from './storage.js';
import { newNonce } from './trace.js';

/** Something that is said in a room. */
export interface ChatLine {
  /** Its name among the lines of its room, which it keeps when it was sent, and when the assistant has ended. */
  readonly key: string;
  readonly roomID: ChatRoomId;
  /** null before the server has it. */
  readonly id: MessageId | null;
  /** null where it is not known yet who this is; `gpt` is the assistant. */
  readonly userId: UserId | null;
  readonly username: string;
  /** It is this user's. */
  readonly own: boolean;
  /** Text, never markup. */
  readonly content: string;
  /** In milliseconds since 1970; by this device's clock before the server has it. */
  readonly createdAt: number;
  /** When it was changed, in milliseconds since 1970. */
  readonly editedAt?: number;
  /** It is for the assistant as well, or from it. */
  readonly gpt?: true;
  /**
   * `waiting` for the server; `refused` for good, see `error`; `sent`: everybody has it; `writing`: the assistant, which has not ended;
   * `failed`: the assistant has given up.
   */
  readonly state: 'waiting' | 'refused' | 'sent' | 'writing' | 'failed';
  /** Why it was refused, or why the last try did not do. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** A room that this user takes part in. */
export interface ChatRoom {
  readonly roomID: ChatRoomId;
  readonly name: string;
  readonly ownerId: UserId;
  /** This user may delete it for all. */
  readonly own: boolean;
  readonly participants: readonly Participant[];
  /** In milliseconds since 1970. */
  readonly createdAt: number;
  /** Oldest first; what the assistant writes and what waits comes last. A new array on each change, of lines that never change. */
  readonly lines: readonly ChatLine[];
  /** There is more before these: `older()`. */
  readonly hasOlder: boolean;
  /** `lines` has the newest ones, or had them before the connection was lost. */
  readonly loaded: boolean;
}

/** Where a Chat keeps what waits, as sessionStorage does. */
export type ChatStorage = Pick<Storage, 'getItem' | 'setItem'>;

/** What `createChat` can be told. */
export interface ChatOptions {
  /** sessionStorage by default, so that what waits survives a reload of the tab; memory where there is none. */
  storage?: ChatStorage;
}

/** All rooms of the user of a link. */
export interface Chat {
  /** Where something was said last comes first; a new array on each change. */
  readonly rooms: readonly ChatRoom[];
  /** The server has told which rooms there are. */
  readonly loaded: boolean;
  /** Why this user may not chat. */
  readonly problem: SignalboxError | null;
  room(roomID: ChatRoomId): ChatRoom | undefined;
  /**
   * Somebody looks at this room. A server lets a socket hear so many rooms: those where something was said last, and this one. What is
   * said in the others comes twice a minute.
   */
  open(roomID: ChatRoomId): void;
  /** Begins a room with these users, by user name or id. Throws SignalboxError. */
  create(name: string, participants: readonly UserId[]): Promise<ChatRoom>;
  /**
   * Says something. It is sent until the server has it, in the order in which it was said, and arrives once. `gpt` asks the assistant as
   * well, as `@gpt` at the beginning does. Throws SignalboxError VALIDATION_ERROR for nothing and for NUL, PAYLOAD_TOO_LARGE for more than
   * 16,384 bytes.
   */
  send(roomID: ChatRoomId, content: string, options?: { gpt?: boolean }): ChatLine;
  /** Sends a refused line again. */
  retry(key: string): void;
  /** Forgets a refused line. */
  discard(key: string): void;
  /** Changes a message of this user. Throws SignalboxError. */
  edit(roomID: ChatRoomId, id: MessageId, content: string): Promise<void>;
  /** Adds what was said before `lines`, a page of it. Throws SignalboxError. */
  older(roomID: ChatRoomId): Promise<void>;
  /** Deletes a room of this user for all, and leaves one of somebody else's for good. true where it is deleted. Throws SignalboxError. */
  remove(roomID: ChatRoomId): Promise<boolean>;
  /** Calls when something changed. Returns what ends it. */
  subscribe(listener: () => void): () => void;
  /** Hears no more. What waits stays in the storage. */
  close(): void;
}

interface Waiting {
  readonly clientId: string;
  readonly roomID: ChatRoomId;
  readonly content: string;
  readonly gpt: boolean;
  readonly at: number;
  readonly state: 'waiting' | 'refused';
  readonly error?: { readonly code: string; readonly message: string };
}

interface Place {
  info: RoomUpdate;
  /** Everything up to this time was heard, or is older than `lines`; null before that is known. */
  heard: number | null;
  /** What the server has, by time. */
  said: ChatLine[];
  /** What the assistant writes, or has failed to. */
  readonly answers: Map<string, ChatLine>;
  hasOlder: boolean;
  /** The page that is on its way. */
  page: Promise<void> | null;
  /** As it was seen last; null where it has changed since. */
  seen: ChatRoom | null;
}

const KEY = 'signalbox:chat';
const MOST_BYTES = 16_384;
/** So many messages the server gives at once. */
const PAGE = 50;
/** So many rooms it is asked about at once. */
const ROOMS = 500;
/** So often a room is asked for that cannot be heard now. */
const JOINS = 3;
/** So often, in milliseconds, rooms are asked about that are not heard. */
const POLL_MS = 30_000;
/** So many that were heard are asked for again after a reconnect: they may have been changed meanwhile. */
const AGAIN = 25;
/** Asking again would change nothing. */
const FINAL = new Set(['VALIDATION_ERROR', 'PAYLOAD_TOO_LARGE', 'CONFLICT', 'FORBIDDEN', 'NOT_FOUND', 'UNKNOWN_EVENT']);
const ASKS_GPT = /^@gpt(?![\p{L}\p{N}_])/iu;

const same = (a: UserId | null, b: UserId | null) => a !== null && b !== null && String(a) === String(b);
const pause = (ms: number) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  // A Node process ends although something is tried again.
  (timer as { unref?: () => void }).unref?.();
});

/** Begins to hear all rooms of the link's user. */
export function createChat(link: Link, { storage = tabStorage() }: ChatOptions = {}): Chat {
  const { socket } = link;
  const listeners = new Listeners();
  const places = new Map<ChatRoomId, Place>();
  /** Whose `waiting` is. Until the link has a token that is whoever left it there. */
  let user: UserId | null = null;
  let waiting: readonly Waiting[] = [];
  try {
    ({ user, waiting } = { user, waiting, ...JSON.parse(storage?.getItem(KEY) ?? '{}') });
  } catch {
    // What cannot be read is as good as nothing.
  }
  /** The rooms that this connection hears, and how many that may be. */
  const live = new Set<ChatRoomId>();
  let most = Infinity;
  let opened: ChatRoomId | undefined;
  let rooms: readonly ChatRoom[] | null = [];
  let loaded = false;
  let problem: SignalboxError | null = null;
  let closed = false;
  let sending = false;
  let failures = 0;
  let later: ReturnType<typeof setTimeout> | undefined;

  function touch(place: Place | undefined) {
    if (place) place.seen = null;
  }

  function changed(place?: Place) {
    touch(place);
    rooms = null;
    listeners.tell();
  }

  // What there is

  function view(place: Place): ChatRoom {
    const { info: { roomID, name, ownerId, participants, createdAt }, said, answers, hasOlder, heard } = place;
    const [failed, writing] = ['failed', 'writing'].map((state) => [...answers.values()].filter((line) => line.state === state));
    const kept = failed!.length > 0 ? [...said, ...failed!].sort((a, b) => a.createdAt - b.createdAt) : said;
    const lines = [...kept, ...writing!, ...waiting.filter((line) => line.roomID === roomID).map(lineOfWaiting)];
    return { roomID, name, ownerId, own: same(ownerId, user), participants, createdAt, lines, hasOlder, loaded: heard !== null };
  }

  function lineOfWaiting({ clientId, roomID, content, gpt, at, state, error }: Waiting): ChatLine {
    const line = { key: clientId, roomID, id: null, userId: user, username: nameIn(places.get(roomID)), own: true, content, createdAt: at, state };
    return { ...line, ...(gpt && { gpt }), ...(error && { error }) };
  }

  const nameIn = (place: Place | undefined) => place?.info.participants.find(({ userId }) => same(userId, user))?.username ?? '';

  function lineOf({ clientId, ...message }: ChatMessage): ChatLine {
    const own = same(message.userId, user);
    // Others could choose one that is in use.
    const key = (own || message.userId === 'gpt') && clientId ? clientId : String(message.id);
    return { ...message, key, own, state: 'sent' };
  }

  const activity = ({ info, said }: Place) => said.at(-1)?.createdAt ?? info.createdAt;
  const latest = (a: Place, b: Place) => activity(b) - activity(a);

  function add(info: RoomUpdate): Place {
    const place: Place = { info, heard: null, said: [], answers: new Map(), hasOlder: false, page: null, seen: null };
    places.set(info.roomID, place);
    changed(place);
    return place;
  }

  function drop(roomID: ChatRoomId) {
    live.delete(roomID);
    if (!places.delete(roomID)) return;
    keep(waiting.filter((line) => line.roomID !== roomID));
  }

  function put(place: Place, message: ChatMessage) {
    const { said, answers } = place;
    const line = lineOf(message);
    if (line.own && waiting.some(({ clientId }) => clientId === line.key)) keep(waiting.filter(({ clientId }) => clientId !== line.key));
    answers.delete(line.key);
    // No two messages of a room have the same time.
    const at = said.findLastIndex(({ createdAt }) => createdAt <= line.createdAt);
    const known = said[at];
    if (known?.id !== line.id) said.splice(at + 1, 0, line);
    else if ((line.editedAt ?? 0) >= (known.editedAt ?? 0)) said[at] = { ...line, key: known.key };
  }

  /** What the room has said next. */
  function hear(place: Place, messages: readonly ChatMessage[]) {
    for (const message of messages) put(place, message);
    place.heard = Math.max(place.heard ?? 0, messages.at(-1)?.createdAt ?? 0);
    changed(place);
  }

  // Coming back

  /** Asks until there is an answer, as long as this connection lasts. Throws where it ended, and where the server says no for good. */
  async function insist<E extends keyof ClientEvents>(event: E, payload: Payload<E>, most = Infinity): Promise<Ack<E>> {
    const { id } = socket;
    for (let tries = 1; ; tries += 1) {
      try {
        return await link.ask(event, payload);
      } catch (error) {
        if (FINAL.has((error as SignalboxError).code) || tries === most) throw error;
        await pause(backoff(tries - 1));
        if (closed || !socket.connected || socket.id !== id) throw error;
      }
    }
  }

  /** From when on to ask: a little before what was heard. */
  function since({ heard, said }: Place): { timestamp?: number } {
    if (heard === null) return {};
    const before = said.filter(({ createdAt }) => createdAt <= heard).at(-AGAIN) ?? said[0];
    return { timestamp: Math.min(heard, (before?.createdAt ?? 1) - 1) };
  }

  /** Catches up with rooms, and hears them from then on, those first that matter most. With none it still hears of new ones. */
  async function enter(some: readonly Place[]) {
    await sync(some);
    const order = [...some].sort((a, b) => Number(b.info.roomID === opened) - Number(a.info.roomID === opened) || latest(a, b));
    for (const { info: { roomID } } of order) if (live.size < most) await join(roomID);
  }

  async function sync(some: readonly Place[]) {
    for (let i = 0; i === 0 || i < some.length; i += ROOMS) {
      const asked = some.slice(i, i + ROOMS);
      const synced = await insist('syncRooms', { rooms: asked.map((place) => ({ roomId: place.info.roomID, ...since(place) })) });
      for (const { roomId, messages, more = false } of synced) {
        const place = places.get(roomId);
        if (place) await take(place, messages, more);
      }
      // What the server leaves out is over, at least for this user.
      for (const { info: { roomID } } of asked) if (!synced.some(({ roomId }) => roomId === roomID)) drop(roomID);
    }
  }

  /** What the server tells of a room at once; where that is cut off, all that follows. */
  async function take(place: Place, messages: readonly ChatMessage[], more: boolean) {
    const { info: { roomID }, heard } = place;
    if (heard === null) {
      place.hasOlder = more || messages.length >= PAGE;
      if (more && messages.length === 0) messages = await insist('loadMoreMessages_for_room', { roomId: roomID });
    }
    hear(place, messages);
    for (let page = messages; more && page.length > 0; hear(place, page)) {
      page = await insist('loadMoreMessages_for_room', { roomId: roomID, timestamp: place.heard, type: 'new' });
    }
  }

  /** Hears a room from now on, and first what it has said meanwhile. */
  async function join(roomID: ChatRoomId) {
    const place = places.get(roomID);
    if (!place) return;
    try {
      await insist('join', { roomID, createdAt: place.heard ?? 0 }, JOINS);
      live.add(roomID);
    } catch (error) {
      const { code } = error as SignalboxError;
      if (code === 'RATE_LIMIT') most = live.size;
      else if (code === 'FORBIDDEN') drop(roomID);
      else throw error;
    }
  }

  /** Hears a room, if need be instead of the one where nothing was said for longest. */
  async function prefer(roomID: ChatRoomId) {
    if (!socket.connected || live.has(roomID)) return;
    if (live.size < most) await join(roomID);
    const [quiet] = [...places.values()].filter(({ info }) => live.has(info.roomID)).sort(latest).reverse();
    if (live.has(roomID) || !places.has(roomID) || !quiet) return;
    live.delete(quiet.info.roomID);
    await link.ask('leave', { roomID: quiet.info.roomID });
    await join(roomID);
  }

  async function poll() {
    const unheard = [...places.values()].filter(({ info }) => !live.has(info.roomID));
    if (socket.connected && unheard.length > 0) await sync(unheard).catch(() => {});
  }

  /** Learns of rooms that began, and of those that are no more. */
  async function list() {
    const before = [...places.keys()];
    const infos = await link.request('/api/chat/rooms') as RoomUpdate[];
    const ids = new Set(infos.map(({ roomID }) => roomID));
    before.filter((roomID) => !ids.has(roomID)).forEach(drop);
    const fresh = infos.filter(({ roomID }) => !places.has(roomID)).map(add);
    for (const info of infos) {
      const place = places.get(info.roomID)!;
      place.info = info;
      touch(place);
    }
    loaded = true;
    // What a reload left waiting for a room that is no more.
    keep(waiting.filter(({ roomID }) => places.has(roomID)));
    if (fresh.length > 0) await enter(fresh);
  }

  async function connected() {
    const { id } = socket;
    identify();
    resume();
    for (let tries = 0; !closed && socket.connected && socket.id === id; tries += 1) {
      try {
        if (tries === 0) await enter([...places.values()]);
        await list();
        problem = null;
        return changed();
      } catch (error) {
        if (FINAL.has((error as SignalboxError).code)) {
          problem = error as SignalboxError;
          return changed();
        }
        await pause(backoff(tries, 1_000));
      }
    }
  }

  function disconnected() {
    live.clear();
    most = Infinity;
    // Some of it is missing now; the whole answer comes as a message.
    for (const place of places.values()) {
      for (const { key, state } of place.answers.values()) if (state === 'writing') place.answers.delete(key);
      touch(place);
    }
    changed();
  }

  // What is said here

  function keep(all: readonly Waiting[]) {
    for (const { roomID } of [...waiting, ...all]) touch(places.get(roomID));
    waiting = all;
    try {
      storage?.setItem(KEY, JSON.stringify({ user, waiting }));
    } catch {
      // A full storage is no reason not to send it.
    }
    changed();
  }

  /** The link knows who this is. What somebody else said here is not this user's to send. */
  function identify() {
    if (link.user === null || same(link.user, user)) return;
    const mine = user === null ? waiting : [];
    if (user !== null) places.clear();
    user = link.user;
    keep(mine);
  }

  function resume() {
    clearTimeout(later);
    later = undefined;
    failures = 0;
    next();
  }

  function next() {
    if (sending || later !== undefined || closed || !socket.connected) return;
    const line = waiting.find(({ state }) => state === 'waiting');
    if (!line) return;
    sending = true;
    deliver(line).finally(() => {
      sending = false;
      next();
    });
  }

  async function deliver({ clientId, roomID, content, gpt }: Waiting) {
    try {
      const { id, createdAt } = await link.ask('message', { roomID, content, clientId, ...(gpt && { gpt }) }) as Said;
      failures = 0;
      keep(waiting.filter((line) => line.clientId !== clientId));
      const place = places.get(roomID);
      if (!place || user === null) return;
      put(place, { id, roomID, userId: user, username: nameIn(place), content, createdAt, clientId, ...(gpt && { gpt }) });
      changed(place);
    } catch (failure) {
      failed(clientId, failure as SignalboxError);
    }
  }

  function failed(clientId: string, { code, message }: SignalboxError) {
    const line = waiting.find((one) => one.clientId === clientId);
    if (!line) return;
    // The assistant may be away for long, and what is said after it need not wait for that.
    const final = FINAL.has(code) || (code === 'UNAVAILABLE' && (line.gpt || ASKS_GPT.test(line.content)));
    change(clientId, { state: final ? 'refused' : 'waiting', error: { code, message } });
    if (final) return;
    later = setTimeout(resumeSlowly, backoff(failures));
    failures += 1;
  }

  function resumeSlowly() {
    later = undefined;
    next();
  }

  function change(clientId: string, what: Pick<Waiting, 'state' | 'error'>) {
    keep(waiting.map((line) => (line.clientId === clientId ? { ...line, ...what } : line)));
  }

  function check(content: string) {
    if (content === '' || content.includes('\0')) throw new SignalboxError('VALIDATION_ERROR', 'a message is a text without NUL');
    const { length } = new TextEncoder().encode(content);
    if (length > MOST_BYTES) throw new SignalboxError('PAYLOAD_TOO_LARGE', `a message has at most ${MOST_BYTES} bytes`);
  }

  // What is heard

  const heard = (message: ChatMessage) => {
    const place = places.get(message.roomID);
    if (place) hear(place, [message]);
  };
  const missed = (messages: ChatMessage[]) => {
    const place = messages[0] && places.get(messages[0].roomID);
    if (place) hear(place, messages);
  };
  const edited = (message: ChatMessage) => {
    const place = places.get(message.roomID);
    // One that is older than what is here must not come without what is between.
    if (!place?.said.some(({ id }) => id === message.id)) return;
    put(place, message);
    changed(place);
  };
  const updated = (info: RoomUpdate) => {
    if (!info.participants.some(({ userId }) => same(userId, user))) return drop(info.roomID);
    const place = places.get(info.roomID);
    if (!place) return void enter([add(info)]).catch(() => {});
    place.info = info;
    changed(place);
  };
  const deleted = ({ roomID }: RoomDeleted) => drop(roomID);
  const wrote = ({ id, roomID, delta, restart, failed: code }: GptChunk) => {
    const place = places.get(roomID);
    if (!place) return;
    const before = restart ? '' : place.answers.get(id)?.content ?? '';
    const line = { key: id, roomID, id: null, userId: 'gpt', username: 'gpt', own: false, content: before + delta, createdAt: activity(place) };
    place.answers.set(id, { ...line, gpt: true, ...(code ? { state: 'failed', error: { code, message: code } } : { state: 'writing' }) });
    changed(place);
  };

  const cease = listen(socket, {
    connect: connected, disconnect: disconnected, message: heard, previousMessages: missed, messageEdited: edited,
    roomUpdate: updated, roomDeleted: deleted, gptChunk: wrote,
  });
  const unsubscribe = link.subscribe(identify);
  const timer = setInterval(poll, POLL_MS);
  // A Node process ends although somebody chats.
  (timer as { unref?: () => void }).unref?.();
  identify();
  if (socket.connected) void connected();

  return {
    get rooms() {
      rooms ??= [...places.values()].sort(latest).map((place) => (place.seen ??= view(place)));
      return rooms;
    },
    get loaded() {
      return loaded;
    },
    get problem() {
      return problem;
    },
    room(roomID) {
      const place = places.get(roomID);
      return place && (place.seen ??= view(place));
    },
    open(roomID) {
      opened = roomID;
      // Where it is not known yet, or the connection is lost, it comes first later.
      if (loaded && places.has(roomID)) void prefer(roomID).catch(() => {});
    },
    async create(name, participants) {
      const info = await link.request('/api/chat/rooms', { name, participants }) as RoomUpdate;
      let place = places.get(info.roomID);
      if (!place) {
        place = add(info);
        if (socket.connected) void enter([place]).catch(() => {});
      }
      return (place.seen ??= view(place));
    },
    send(roomID, content, { gpt = false } = {}) {
      check(content);
      const line: Waiting = { clientId: newNonce(), roomID, content, gpt, at: Date.now(), state: 'waiting' };
      keep([...waiting, line]);
      next();
      return lineOfWaiting(line);
    },
    retry(key) {
      if (!waiting.some(({ clientId, state }) => clientId === key && state === 'refused')) return;
      change(key, { state: 'waiting', error: undefined });
      next();
    },
    discard(key) {
      keep(waiting.filter(({ clientId, state }) => clientId !== key || state !== 'refused'));
    },
    async edit(roomID, id, content) {
      check(content);
      const { editedAt } = await link.ask('editMessage', { roomID, id, content });
      const place = places.get(roomID);
      const i = place?.said.findIndex((line) => line.id === id) ?? -1;
      if (!place || i < 0) return;
      const line = place.said[i]!;
      if ((line.editedAt ?? 0) < editedAt) place.said[i] = { ...line, content, editedAt };
      changed(place);
    },
    older(roomID) {
      const place = places.get(roomID);
      if (!place?.hasOlder) return Promise.resolve();
      place.page ??= link.ask('loadMoreMessages_for_room', { roomId: roomID, timestamp: place.said[0]?.createdAt ?? null }).then((page) => {
        for (const message of page) put(place, message);
        place.hasOlder = page.length >= PAGE;
      }).finally(() => {
        place.page = null;
        changed(place);
      });
      return place.page;
    },
    async remove(roomID) {
      const { deleted: gone } = await link.ask('deleteroom', { roomID });
      drop(roomID);
      return gone;
    },
    subscribe: listeners.subscribe,
    close() {
      if (closed) return;
      closed = true;
      clearTimeout(later);
      clearInterval(timer);
      unsubscribe();
      cease();
      if (socket.connected) for (const roomID of live) socket.emit('leave', { roomID });
      listeners.clear();
    },
  };
}
