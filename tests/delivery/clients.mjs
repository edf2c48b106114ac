// Phones and monitors that log what they do and what they are told: the history of a drill.
import { client, nonce } from '../clients/server.mjs';

const ANSWER_MS = 2000;
const AGAIN_MS = 500;
const LATE = 0.1;
/** A late duplicate is one of the newest so many. */
const RECENT = 50;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const emptyHistory = () => ({ sends: [], acks: [], refusals: [], applies: [], ignored: [], gaps: [], joins: [], sessions: [] });

/** In a session as often as it connects. */
function member(url, name, role, enter) {
  const socket = client(url, name, role, { transports: ['websocket'] });
  socket.on('connect', () => {
    socket.emit('registerClient', { role });
    enter();
  });
  // The one end of a connection after which the official client does not return by itself.
  socket.on('disconnect', (reason) => reason === 'io server disconnect' && setTimeout(() => socket.connect(), AGAIN_MS));
  return socket;
}

/** Scans at its pace until `stop()`, one at a time, each until it is answered. */
export function phone(url, { name, session, interval, random, history }) {
  let going = true;
  const socket = member(url, name, 'mobile', () => socket.emit('joinSession', { sessionId: session }));
  socket.on('error', ({ code }) => history.refusals.push({ at: Date.now(), session, phone: name, code }));
  const connected = () => socket.connected || new Promise((resolve) => socket.once('connect', resolve));

  async function send({ nonce, order }, late) {
    await connected();
    history.sends.push({ at: Date.now(), session, phone: name, nonce, order, late });
    const scan = { sessionId: session, orderNo: order, ts: Date.now(), nonce };
    const answer = await socket.timeout(ANSWER_MS).emitWithAck('scanOrder', scan).catch(() => undefined);
    if (answer?.received) {
      const { nonce: echoed, seq, durable, duplicate, epoch, flow } = answer;
      history.acks.push({ at: Date.now(), session, phone: name, nonce: echoed, seq, durable, duplicate, epoch, flow });
      return durable ? 'kept' : 'relayed';
    }
    if (answer) {
      history.refusals.push({ at: Date.now(), session, phone: name, nonce, code: answer.error?.code, flow: answer.error?.flow });
      await sleep(AGAIN_MS / 5);
    }
    return 'unknown';
  }
  /** The same nonce until there is an answer. One that is kept stays kept: a late duplicate waits for the database. */
  async function deliver(scan, late = false) {
    for (;;) {
      const became = await send(scan, late);
      if (became === 'kept' || (became === 'relayed' && !late)) return became;
      if (became === 'relayed') await sleep(AGAIN_MS / 5);
    }
  }
  async function work() {
    const kept = [];
    let due = performance.now();
    for (let i = 0; going; i += 1) {
      // What came due during an outage follows at once.
      due += interval * (0.5 + random());
      if (due > performance.now()) await sleep(due - performance.now());
      if (!going) return;
      const scan = { nonce: nonce(), order: `${name}-${i}` };
      if (await deliver(scan) === 'kept') kept.push(scan);
      if (kept.length && random() < LATE) await deliver(kept.at(-1 - Math.floor(random() * Math.min(kept.length, RECENT))), true);
    }
  }
  const done = work();
  return {
    name,
    done,
    stop: () => { going = false; },
    close: () => socket.close(),
  };
}

/** Applies what it is sent, each place once and in order, and says on every return what it knows. */
export function monitor(url, { name, session, answers, history }) {
  let lastSeq = 0;
  let epoch;
  /** The last place of the session, once it was told on this connection. */
  let told = null;
  let timer;
  const applied = new Set();
  function join() {
    clearTimeout(timer);
    told = null;
    socket.emit('joinSession', { sessionId: session, lastSeq, ...(epoch && { epoch }) });
  }
  const joinLater = () => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.connected && join(), AGAIN_MS);
  };
  const socket = member(url, name, 'monitor', join);
  socket.on('disconnect', () => {
    clearTimeout(timer);
    told = null;
  });
  socket.on('error', ({ code }) => {
    history.refusals.push({ at: Date.now(), session, monitor: name, code });
    joinLater();
  });
  socket.on('joinedSession', (joined) => {
    const { seq, recovered } = joined;
    history.joins.push({ at: Date.now(), session, monitor: name, lastSeq, seq, epoch: joined.epoch, recovered });
    if (joined.epoch === null || seq === null) return joinLater();
    epoch ??= joined.epoch;
    told = seq;
  });
  socket.on('navigate', ({ seq, nonce, orderNo, replayed = false }, answer) => {
    const entry = { at: Date.now(), session, monitor: name, seq, nonce, order: orderNo, replayed };
    if (seq === null ? applied.has(nonce) : seq <= lastSeq) {
      history.ignored.push(entry);
    } else if (seq === null || seq === lastSeq + 1) {
      history.applies.push(entry);
      applied.add(nonce);
      lastSeq = seq ?? lastSeq;
    } else if (told !== null) {
      history.gaps.push({ ...entry, last: lastSeq });
      // Once for each gap; it asks for what it misses.
      told = null;
      joinLater();
    }
    // Else it was not told yet where the session is: it will be, and then be sent this again.
    if (answers) answer?.();
  });
  return {
    name,
    session,
    join,
    told: () => told,
    last: () => lastSeq,
    /** When this is answered, everything that followed the last join has come. */
    settled: async () => socket.connected && told !== null && Boolean(await socket.timeout(ANSWER_MS).emitWithAck('heartbeat').catch(() => false)),
    close() {
      clearTimeout(timer);
      socket.close();
    },
  };
}
