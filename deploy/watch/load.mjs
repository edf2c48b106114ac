// A small, bounded load, so that there is something to see: phones, monitors, peers, people in a waiting line, and clients that do wrong.
import { createHmac } from 'node:crypto';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';

const { values, positionals: servers } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: 'string', default: '10' }, secret: { type: 'string', default: process.env.SOCKET_JWT_SECRET } },
});
if (servers.length === 0 || !values.secret || !(Number(values.minutes) > 0)) {
  console.error('usage: node deploy/watch/load.mjs http://127.0.0.1:3000… --secret SOCKET_JWT_SECRET [--minutes 10]');
  process.exit(2);
}

const count = {};
const sockets = new Set();
const timers = new Set();
const note = (what) => {
  count[what] = (count[what] ?? 0) + 1;
};

function token(user, role) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, role, exp: Math.floor(Date.now() / 1000) + 3600 * 4 })}`;
  return `${body}.${createHmac('sha256', values.secret).update(body).digest('base64url')}`;
}

function connect(url, user, role, options = {}) {
  const socket = io(url, { auth: { token: token(user, role) }, forceNew: true, transports: ['websocket'], ...options });
  socket.on('connect_error', () => note('connections refused'));
  sockets.add(socket);
  return socket;
}

/** Again and again, not all at the same moment. */
function every(seconds, act) {
  const next = () => {
    const timer = setTimeout(
      () => {
        timers.delete(timer);
        act();
        next();
      },
      seconds * 1000 * (0.7 + Math.random() * 0.6),
    );
    timers.add(timer);
  };
  next();
}

function inSession(url, user, role, session, options) {
  const socket = connect(url, user, role, options);
  // It says what it has seen when it comes back, and is sent the rest.
  let seen = {};
  socket.on('connect', () => {
    socket.emit('registerClient', { role });
    socket.emit('joinSession', { sessionId: session, ...seen });
  });
  socket.on('joinedSession', ({ seq, epoch }) => {
    if (epoch) seen = { lastSeq: seq, epoch };
  });
  socket.on('navigate', ({ seq }) => {
    if (seq && seen.epoch) seen.lastSeq = seq;
  });
  if (role === 'monitor') {
    socket.on('navigate', (order, shown) => {
      note('orders opened');
      // What is replayed asks for no answer.
      if (shown) setTimeout(shown, 20 + Math.random() * 60);
    });
  }
  return socket;
}

function scan(phone, session) {
  if (!phone.connected) return;
  phone
    .timeout(10_000)
    .emit('scanOrder', { sessionId: session, orderNo: `A-${Math.floor(Math.random() * 1e6)}`, ts: Date.now() }, (late, ack) => {
      if (late) note('scans not answered');
      else if (!ack.received) note('scans not relayed');
      else note(ack.monitors ? 'scans relayed' : 'scans queued');
    });
}

/** A phone and its monitor; the phone scans every few seconds. */
function pair(url, name, seconds, options) {
  inSession(url, `${name}-monitor`, 'monitor', name, options);
  const phone = inSession(url, `${name}-phone`, 'mobile', name, options);
  every(seconds, () => scan(phone, name));
  return phone;
}

/** A phone whose monitor is switched on now and then: what it scans waits until then. */
function queued(url, name) {
  const phone = inSession(url, `${name}-phone`, 'mobile', name);
  const monitor = inSession(url, `${name}-monitor`, 'monitor', name, { autoConnect: false });
  every(6, () => scan(phone, name));
  every(30, () => (monitor.connected ? monitor.disconnect() : monitor.connect()));
}

/** A pair whose phone walks through dead spots: its connection breaks, and it comes back. */
function wandering(url, name) {
  const phone = pair(url, name, 3, { reconnectionDelay: 500, reconnectionDelayMax: 1500 });
  every(12, () => phone.io.engine?.close());
}

/** Peers who meet in a room, those who are there offering to who comes; one leaves now and then. */
function room(url, name, peers) {
  for (let n = 0; n < peers; n += 1) {
    const peer = connect(url, `${name}-peer-${n}`, 'peer');
    const join = () => peer.emit('join', { roomId: name });
    const trickle = (to) => {
      for (let i = 0; i < 4; i += 1)
        peer.emit('ice-candidate', {
          to,
          candidate: { candidate: `candidate:${i} 1 udp 1 192.0.2.1 9 typ host`, sdpMid: '0', sdpMLineIndex: 0 },
        });
    };
    peer.on('connect', join);
    peer.on('peer-joined', ({ peerId }) => {
      peer.emit('offer', { to: peerId, offer: { type: 'offer', sdp: 'v=0\r\n' } });
      trickle(peerId);
    });
    peer.on('offer', ({ from }) => {
      setTimeout(() => peer.emit('answer', { to: from, answer: { type: 'answer', sdp: 'v=0\r\n' } }), 20 + Math.random() * 300);
      trickle(from);
    });
    peer.on('answer', () => note('peers introduced'));
    every(15 + n * 5, () => {
      peer.emit('leave', { roomId: name });
      setTimeout(join, 1000);
    });
  }
}

/** A sale with few slots: people wait, are let in, select seats of a small hall, and make room for the next ones. */
function sale(url, name, people) {
  const limit = () =>
    fetch(`${url}/api/queue/admin/${name}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token('organizer', 'admin')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ threshold: Math.ceil(people / 3) }),
    }).catch(() => note('requests not answered'));
  for (let n = 0; n < people; n += 1) {
    const person = connect(url, `${name}-${n}`, 'visitor', { reconnectionDelay: 500, reconnectionDelayMax: 1500 });
    const say = (event, payload) => person.emit(event, { eventId: name, ...payload });
    const select = () =>
      person.timeout(10_000).emit('select-seat', { eventId: name, seatId: `A-${Math.ceil(Math.random() * 80)}` }, (late, ack) => {
        if (late) note('seats not answered');
        else note(ack.success ? 'seats held' : 'seats not to be had');
      });
    const join = () => {
      say('join-event');
      say('join-queue');
    };
    let inside = false;
    // The line is gone with its node, and so is the limit.
    person.on('connect', n === 0 ? () => limit().then(join) : join);
    person.on('queue-entry-allowed', () => {
      if (inside) return;
      inside = true;
      note('people let in');
      say('join-seat-selection');
      setTimeout(select, 1000 + Math.random() * 2000);
      setTimeout(select, 3000 + Math.random() * 3000);
      setTimeout(
        () => {
          inside = false;
          // Whoever does not buy gives the seats back, or lets them go by time.
          if (Math.random() < 0.8) say('seat-selection-changed', { seats: [] });
          say('leave-queue');
          setTimeout(join, 5000 + Math.random() * 10_000);
        },
        8000 + Math.random() * 6000,
      );
    });
    if (n % 4 === 1) every(12, () => person.io.engine?.close());
  }
}

/** Clients that do wrong. The server refuses them, and that must cost no error budget. */
function careless(url, name) {
  const phone = inSession(url, name, 'mobile', name);
  const wrong = [
    () => phone.emit('scanOrder', { sessionId: name, ts: Date.now() }),
    () => phone.emit('scanOrder', { sessionId: 'a session it is not in', orderNo: 'A-1', ts: Date.now() }),
    () => phone.emit('open-sesame', {}),
    () => phone.emit('offer', { to: 'nobody', offer: { type: 'offer', sdp: 'v=0\r\n' } }),
    () => phone.emit('queue:heartbeat', { eventId: 'an event that it is not in' }),
  ];
  phone.on('error', () => note('refused'));
  every(2, () => wrong[Math.floor(Math.random() * wrong.length)]());
  every(20, () => {
    const stranger = connect(url, 'stranger', 'mobile', { auth: { token: 'not.a.token' }, reconnection: false });
    stranger.once('connect_error', () => sockets.delete(stranger));
  });
}

/** Phones go to sleep and others wake up: whole connections come and go. */
function shift(url, name) {
  let phone = inSession(url, name, 'mobile', name);
  every(8, () => {
    phone.disconnect();
    sockets.delete(phone);
    phone = inSession(url, name, 'mobile', name);
  });
}

function http(url) {
  every(5, () => fetch(`${url}/readyz`).catch(() => note('requests not answered')));
  every(30, () =>
    fetch(`${url}/api/rooms`, { headers: { authorization: `Bearer ${token('reader', 'monitor')}` } }).catch(() =>
      note('requests not answered'),
    ),
  );
}

for (const [n, url] of servers.entries()) {
  for (let i = 0; i < 8; i += 1) pair(url, `packing-${n}-${i}`, 1 + i / 4);
  for (let i = 0; i < 2; i += 1) pair(url, `polling-${n}-${i}`, 3, { transports: ['polling'] });
  pair(url, `upgrading-${n}`, 3, { transports: ['polling', 'websocket'] });
  queued(url, `queued-${n}`);
  wandering(url, `wandering-${n}`);
  shift(url, `shift-${n}`);
  for (let i = 0; i < 2; i += 1) room(url, `room-${n}-${i}`, 3);
  sale(url, `sale-${n}`, 12);
  careless(url, `careless-${n}`);
  http(url);
}
console.log(`Load on ${servers.join(', ')} for ${values.minutes} minutes; Ctrl-C ends it.`);

function end() {
  for (const timer of timers) clearTimeout(timer);
  for (const socket of sockets) socket.disconnect();
  console.log(
    Object.entries(count)
      .map(([what, n]) => `${what} ${n}`)
      .join(', '),
  );
  process.exit(0);
}
process.on('SIGINT', end);
process.on('SIGTERM', end);
setTimeout(end, Number(values.minutes) * 60_000);
