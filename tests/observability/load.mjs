// Well-behaved clients: phones and monitors, peers of rooms, people with accounts, people who wait in line and select
// seats, people who chat. A bounded rate each; they come back when their node does.
import { hangs, refuses, says } from '../clients/openai.mjs';
import { client, nonce, token } from '../clients/server.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const SDP = { type: 'offer', sdp: 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n' };

/** A client that registers, joins and stays in a session; a monitor says of each order that it is on its screen. */
export function member(url, user, role, session, options) {
  const socket = client(url, user, role, { transports: ['websocket'], ...options });
  socket.on('connect', () => {
    socket.emit('registerClient', { role });
    socket.emit('joinSession', { sessionId: session });
  });
  // What is replayed asks for no answer.
  if (role === 'monitor') socket.on('navigate', (order, shown) => shown?.({ paintedMs: 16 + 16 * Math.random() }));
  return socket;
}

/** What makes a line of the few people of this load, and lets places and seats end while one looks. */
export const SHORT_LINES = { QUEUE_THRESHOLD: '2', QUEUE_LEASE: '10s', QUEUE_GRACE: '3s', SEAT_HOLD: '3s', SEATS_PER_USER: '2' };

const ENDLESS = '@gpt think for ever';
const agrees = says(['It ', 'is ', 'so.'], { usage: { prompt_tokens: 40, completion_tokens: 3 }, between: 100 });
let questions = 0;
/** What the assistant does, as the endpoint of all nodes: it answers, never ends with who asks for that, and is at its limit now and then. */
export function assistant(response, { body }) {
  if (body.messages.at(-1).content.endsWith(ENDLESS)) return hangs()(response);
  questions += 1;
  return (questions % 4 ? agrees : refuses(429))(response);
}

/** Over HTTP: with a body it posts it, with a token it is somebody. */
export async function ask(url, path, body, bearer) {
  const answer = await fetch(`${url}${path}`, {
    method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) },
  });
  return answer.json();
}

const credentials = (username) => ({ username, email: `${username}@example.com`, password: 'correct horse battery staple' });

/** A new account, and what its chat client comes with. */
export async function chatter(url) {
  const { user, accessToken, refreshToken } = await ask(url, '/api/auth/register', credentials(`chatter-${nonce()}`));
  return { user, auth: { accessToken, refreshToken, userAgent: 'VisionChat/4.2', username: user.username } };
}

let orders = 0;
const scan = (phone, session) => phone.timeout(60_000).emitWithAck('scanOrder', { sessionId: session, orderNo: `A-${++orders}`, ts: Date.now() });

/** Everyday life on these nodes, until `stop()`. */
export function load(urls) {
  const sockets = [];
  const timers = [];
  // A node that is away or answers late is what this test is about.
  const every = (ms, act) => timers.push(setInterval(() => Promise.resolve(act()).catch(() => {}), ms));
  const keep = (socket) => {
    sockets.push(socket);
    return socket;
  };

  function pair(url, session, transports) {
    keep(member(url, `${session}-monitor`, 'monitor', session, { transports }));
    const phone = keep(member(url, `${session}-phone`, 'mobile', session, { transports }));
    every(1000, () => phone.connected && scan(phone, session));
    every(2000, () => phone.connected && phone.timeout(2000).emitWithAck('heartbeat'));
  }

  /** A phone whose monitor is switched off most of the time: what it scans is queued, then replayed. */
  function queued(url) {
    const phone = keep(member(url, 'alone', 'mobile', 'alone'));
    const monitor = keep(member(url, 'alone-monitor', 'monitor', 'alone', { autoConnect: false }));
    every(3000, () => phone.connected && scan(phone, 'alone'));
    every(10_000, async () => {
      monitor.connect();
      await sleep(1000);
      monitor.disconnect();
    });
  }

  function room(url) {
    const [a, b] = ['ann', 'bob'].map((user) => keep(client(url, user, undefined, { transports: ['websocket'] })));
    let round = 0;
    a.on('answer', ({ from }) => a.emit('ice-candidate', { to: from, candidate: { candidate: 'candidate:1 1 udp 1 127.0.0.1 9 typ host' } }));
    b.on('offer', ({ from }) => b.emit('answer', { to: from, answer: { ...SDP, type: 'answer' } }));
    every(2000, async () => {
      if (!a.connected || !b.connected) return;
      const roomId = `room-${Math.floor(round++ / 5)}`;
      await a.timeout(1000).emitWithAck('join', { roomId });
      await b.timeout(1000).emitWithAck('join', { roomId });
      await a.timeout(1000).emitWithAck('offer', { to: b.id, offer: SDP });
      await sleep(300);
      a.emit('message', { type: 'leave', roomId });
      b.emit('leave', { roomId });
    });
    every(15_000, () => a.connected && a.timeout(1000).emitWithAck('create-room', { roomId: `made-${Date.now()}`, name: 'Made' }));
    every(15_000, () => b.connected && b.timeout(1000).emitWithAck('join-room', { roomId: 'room-0' }));
  }

  /** A phone on a bad network, whose token is renewed. */
  function wanderer(url) {
    const phone = keep(member(url, 'wanderer', 'mobile', 'walk', { transports: ['polling', 'websocket'] }));
    every(4000, () => phone.io.engine?.close());
    every(5000, () => phone.connected && phone.timeout(1000).emitWithAck('token:renew', { token: token('wanderer', { role: 'mobile' }) }));
    every(6000, () => phone.connected && phone.emit('leaveSession', { sessionId: 'walk' }));
  }

  /** A monitor that comes back again and again and says what it has seen; at times more than there was. */
  function returning(url) {
    const monitor = keep(client(url, 'returning', 'monitor', { transports: ['websocket'] }));
    let known = { seq: 0 };
    let times = 0;
    monitor.on('joinedSession', (joined) => { known = joined; });
    monitor.on('connect', () => {
      times += 1;
      monitor.emit('joinSession', { sessionId: 'returning', lastSeq: (known.seq ?? 0) + (times % 4 ? 0 : 1000), epoch: known.epoch });
    });
    every(10_000, () => monitor.io.engine?.close());
  }

  /** People on bad networks who wait for an event, are let in, select seats, leave, and wait again. */
  function sale(url) {
    const eventId = 'sale';
    for (const user of ['eve', 'ida', 'joe', 'max']) {
      const person = keep(client(url, user, undefined, { transports: ['websocket'] }));
      const ask = (event, payload) => person.timeout(1000).emitWithAck(event, { eventId, ...payload });
      every(20_000, () => person.io.engine?.close());
      every(3000, async () => {
        if (!person.connected) return;
        await ask('join-event');
        const { queued } = await ask('join-queue');
        if (queued) return;
        await ask('join-seat-selection');
        // All of them want this one first. Whoever gets it may have one more only.
        for (const seatId of ['front', `${user}-1`, `${user}-2`]) await ask('select-seat', { seatId });
        await sleep(1500);
        await ask('queue:heartbeat');
        await ask('release-seat', { seatId: `${user}-1` });
        // The hold of this one ends by time.
        await ask('seat-selection-changed', { seats: [`${user}-3`] });
        await ask('leave-queue');
        await ask('leave-event');
      });
    }
  }

  /** An event that stays full. Who waits for it leaves, is away for too long, is sent away, and comes again. */
  function full(url) {
    const eventId = 'full';
    for (const user of ['first', 'second']) {
      const inside = keep(client(url, user, undefined, { transports: ['websocket'] }));
      inside.on('connect', () => inside.emit('join-queue', { eventId }));
      every(2000, () => inside.connected && inside.emit('queue:heartbeat', { eventId }));
    }
    const person = keep(client(url, 'waiting', undefined, { transports: ['websocket'] }));
    const ways = [
      () => person.emit('leave-queue', { eventId }),
      async () => {
        person.disconnect();
        await sleep(6000);
        person.connect();
      },
      () => fetch(`${url}/api/queue/admin/clear/${eventId}`, { method: 'POST', headers: { authorization: `Bearer ${token('boss', { role: 'admin' })}` } }),
    ];
    let turn = 0;
    every(8000, async () => {
      await person.timeout(1000).emitWithAck('join-queue', { eventId });
      await sleep(1000);
      await ways[turn++ % ways.length]();
    });
  }

  function account(url) {
    const own = credentials(`u${Date.now()}`);
    let known = false;
    every(3000, async () => {
      if (!known) known = (await ask(url, '/api/auth/register', own)).success !== false;
      const login = await ask(url, '/api/auth/login', own);
      const { accessToken } = await ask(url, '/api/auth/refresh', { refreshToken: login.refreshToken });
      await ask(url, '/api/auth/me', undefined, accessToken);
      await ask(url, '/api/rooms', undefined, accessToken);
      await ask(url, '/api/rooms/room-0', undefined, accessToken);
      await ask(url, '/api/rooms/room-0/participants', undefined, accessToken);
      await ask(url, '/api/ice-servers', undefined, accessToken);
      await ask(url, '/api/auth/logout', {}, accessToken);
    });
    every(3000, async () => {
      for (const path of ['/health', '/status', '/livez', '/readyz', '/version', '/api/openapi.json', '/nowhere']) await fetch(`${url}${path}`);
    });
  }

  /** Two people in a chat room, one of them by the namespace of chat: they write, say it twice, change it, read, and ask the assistant. */
  function chat(url) {
    let meeting;
    const meet = async () => {
      const [ann, bob] = await Promise.all([chatter(url), chatter(url)]);
      const begin = (name) => ask(url, '/api/chat/rooms', { name, participants: [bob.user.id] }, ann.auth.accessToken);
      const { roomID } = await begin('Packing');
      const [a, b] = [[ann, '/chat'], [bob, '']].map(([{ user, auth }, namespace]) => {
        const socket = keep(client(url + namespace, user.id, undefined, { auth, transports: ['websocket'] }));
        socket.on('connect', () => {
          socket.emit('syncRooms', { rooms: [{ roomId: roomID, timestamp: Date.now() - 60_000 }] });
          socket.emit('join', { roomID });
        });
        return socket;
      });
      return { a, b, roomID, begin };
    };
    every(5000, async () => {
      meeting ??= meet().catch(() => { meeting = undefined; });
      const { a, b, roomID } = (await meeting) ?? {};
      if (!a?.connected || !b.connected) return;
      const tell = (socket, event, payload) => socket.timeout(3000).emitWithAck(event, payload);
      const message = { roomID, content: 'The belt stands still.', clientId: nonce() };
      const { id } = await tell(a, 'message', message);
      await tell(a, 'message', message);
      await tell(a, 'editMessage', { roomID, id, content: 'The belt runs again.' });
      a.emit('refreshToken');
      await tell(b, 'message', { roomID, content: 'Is it so?', gpt: true });
    });
    // Often enough to meet a database that has just gone away, before it is known to be.
    every(400, async () => {
      const { b, roomID } = (await meeting) ?? {};
      if (b?.connected) await b.timeout(3000).emitWithAck('loadMoreMessages_for_room', { roomId: roomID });
    });
    every(15_000, async () => {
      const { a, b, begin } = (await meeting) ?? {};
      if (!a?.connected || !b.connected) return;
      const { roomID } = await begin('Over soon');
      await a.timeout(3000).emitWithAck('message', { roomID, content: ENDLESS });
      await sleep(500);
      for (const socket of [b, a]) await socket.timeout(3000).emitWithAck('deleteroom', { roomID });
    });
  }

  urls.forEach((url) => {
    pair(url, 'packing-1', ['websocket']);
    pair(url, 'packing-2', ['polling']);
    queued(url);
    room(url);
    wanderer(url);
    returning(url);
    sale(url);
    full(url);
    account(url);
    chat(url);
  });
  return {
    stop() {
      timers.forEach(clearInterval);
      sockets.forEach((socket) => socket.close());
    },
  };
}

/** Scans one after the other, some at a time, until `done(relayed)`. Returns how many were relayed. */
export async function burst(url, done) {
  const monitor = member(url, 'burst-monitor', 'monitor', 'burst');
  const phone = member(url, 'burst-phone', 'mobile', 'burst');
  let relayed = 0;
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (!done(relayed)) {
      const ack = phone.connected ? await scan(phone, 'burst').catch(() => ({})) : await sleep(100);
      if (ack?.received) relayed += 1;
    }
  }));
  [phone, monitor].forEach((socket) => socket.close());
  return relayed;
}
