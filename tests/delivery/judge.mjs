// Judges a history: was every acknowledged scan applied exactly once, in order, by each monitor?

/**
 * What phones and monitors logged, each list in the order in which it happened:
 *   sends     { session, phone, nonce, order, late }               every attempt; late: of one that was acknowledged
 *   acks      { session, phone, nonce, seq, durable, duplicate, epoch }
 *   refusals  { session, code }                                    answers that are no acknowledgement
 *   applies   { session, monitor, seq, nonce, order, replayed }    what a monitor acted on
 *   ignored   likewise: what it was sent and had applied before
 *   gaps      likewise, with `last`: what came too early, and the last one that it knew
 *   joins     { session, monitor, lastSeq, seq, epoch, recovered }
 *   sessions  { session, seq, monitors }                           where each one ended
 *
 * Faults carry the rule that is broken:
 *   lost        acknowledged as durable, and a monitor of the session never applied it
 *   twice       a monitor applied it again
 *   order       a monitor met a gap, went back, or did not end where the session did
 *   place       one seq is two scans
 *   phantom     nobody sent it, or not with this order
 *   acks        two answers for one nonce do not agree, or a good scan was refused
 *   epoch       there is more than one
 *   unanswered  a phone was never told what became of it
 */
export function judge({ sends, acks, refusals = [], applies, ignored = [], gaps = [], joins = [], sessions }) {
  const faults = [];
  const fault = (rule, entry, text) => faults.push({ rule, session: entry.session, nonce: entry.nonce, seq: entry.seq, text });
  const keyOf = ({ session, nonce }) => `${session} ${nonce}`;

  const sent = new Map();
  for (const send of sends) {
    const before = sent.get(keyOf(send));
    if (before) before.times += 1;
    else sent.set(keyOf(send), { ...send, times: 1 });
  }

  // Every scan has one place, and every place one scan: to whomever it was said, and whether it was applied or not.
  const nonces = new Map();
  const places = new Map();
  const agree = (entry, who) => {
    if (entry.seq === null) return;
    const place = `${entry.session} ${entry.seq}`;
    const nonce = nonces.get(place);
    if (nonce === undefined) nonces.set(place, entry.nonce);
    else if (nonce !== entry.nonce) fault('place', entry, `seq ${entry.seq} is ${nonce}, and ${entry.nonce} for ${who}`);
    const seq = places.get(keyOf(entry));
    if (seq === undefined) places.set(keyOf(entry), entry.seq);
    else if (seq !== entry.seq) fault('acks', entry, `${entry.nonce} has seq ${seq}, and seq ${entry.seq} for ${who}`);
  };

  const durable = new Map();
  const relayed = new Set();
  let duplicates = 0;
  for (const ack of acks) {
    const key = keyOf(ack);
    const known = sent.get(key);
    if (!known) fault('phantom', ack, `${ack.nonce} was acknowledged, and nobody sent it`);
    if (ack.duplicate) duplicates += 1;
    if (!ack.durable) {
      relayed.add(key);
      if (ack.seq !== null || ack.duplicate) fault('acks', ack, `${ack.nonce} is not kept, and has seq ${ack.seq}, duplicate ${ack.duplicate}`);
      continue;
    }
    if (!Number.isInteger(ack.seq)) {
      fault('acks', ack, `${ack.nonce} is kept, and has seq ${ack.seq}`);
      continue;
    }
    agree(ack, 'its phone');
    if (durable.has(key) && !ack.duplicate) fault('acks', ack, `${ack.nonce} was acknowledged before, and now as new (seq ${ack.seq})`);
    if (ack.duplicate && known?.times === 1) fault('acks', ack, `${ack.nonce} was sent once, and is said to be a duplicate`);
    if (!durable.has(key)) durable.set(key, ack);
  }
  for (const refusal of refusals) {
    if (refusal.code !== 'UNAVAILABLE') fault('acks', refusal, `${refusal.nonce ?? 'a joinSession'} was refused with ${refusal.code}`);
  }
  for (const [key, send] of sent) {
    if (!durable.has(key) && !relayed.has(key)) fault('unanswered', send, `${send.nonce} was sent ${send.times} times and never answered`);
  }

  const monitors = new Map();
  for (const { session, monitors: names } of sessions) {
    for (const monitor of names) monitors.set(`${session} ${monitor}`, { last: null, applied: new Map(), count: 0 });
  }
  let remembered = 0;
  for (const entry of applies) {
    const who = entry.monitor;
    const known = sent.get(keyOf(entry));
    if (!known) fault('phantom', entry, `${who} applied ${entry.nonce}, and nobody sent it`);
    else if (known.order !== entry.order) fault('phantom', entry, `${who} applied ${entry.nonce} as ${entry.order}, and it was sent as ${known.order}`);
    agree(entry, who);
    const state = monitors.get(`${entry.session} ${who}`);
    if (!state) {
      fault('phantom', entry, `${who} applied ${entry.nonce}, and is not of that session`);
      continue;
    }
    if (entry.seq !== null) {
      if (state.last !== null && entry.seq !== state.last + 1) fault('order', entry, `${who} applied seq ${entry.seq} after ${state.last}`);
      state.last = entry.seq;
    }
    const before = state.applied.get(entry.nonce);
    if (before === undefined) {
      state.count += 1;
    } else if (before === null && entry.seq !== null) {
      // It had no place the first time; the monitor remembers the nonce and only takes note of the place.
      remembered += 1;
    } else {
      fault('twice', entry, `${who} applied ${entry.nonce} with seq ${before}, and again with seq ${entry.seq}`);
    }
    state.applied.set(entry.nonce, entry.seq);
  }
  for (const entry of ignored) {
    if (!sent.has(keyOf(entry))) fault('phantom', entry, `${entry.monitor} was sent ${entry.nonce}, and no phone sent it`);
    agree(entry, entry.monitor);
  }
  for (const gap of gaps) {
    agree(gap, gap.monitor);
    fault('order', gap, `${gap.monitor} was sent seq ${gap.seq} (${gap.nonce}${gap.replayed ? ', replayed' : ''}) after ${gap.last}`);
  }

  for (const { session, seq, monitors: names } of sessions) {
    for (const monitor of names) {
      const last = monitors.get(`${session} ${monitor}`).last ?? 0;
      if (last !== seq) fault('order', { session, seq }, `${monitor} ended at seq ${last}, the session at ${seq}`);
    }
  }
  for (const ack of durable.values()) {
    for (const { session, monitors: names } of sessions) {
      if (session !== ack.session) continue;
      for (const monitor of names) {
        if (!monitors.get(`${session} ${monitor}`).applied.has(ack.nonce)) {
          fault('lost', ack, `${ack.nonce} was acknowledged with seq ${ack.seq}, and ${monitor} never applied it`);
        }
      }
    }
  }
  const epochs = new Set([...acks, ...joins].map(({ epoch }) => epoch).filter((epoch) => epoch != null));
  if (epochs.size > 1) fault('epoch', {}, `there are ${epochs.size} epochs: ${[...epochs].join(', ')}`);

  const counts = [...monitors.values()].map(({ count }) => count);
  return {
    ok: faults.length === 0,
    faults,
    figures: {
      scans: sent.size,
      retries: sends.filter(({ late }) => !late).length - sent.size,
      ackedDurable: durable.size,
      ackedNotDurable: [...relayed].filter((key) => !durable.has(key)).length,
      duplicatesAcked: duplicates,
      appliedMin: counts.length ? Math.min(...counts) : 0,
      appliedMax: counts.length ? Math.max(...counts) : 0,
      replayed: applies.filter(({ replayed }) => replayed).length,
      remembered,
      unrecovered: joins.filter(({ recovered, seq }) => recovered === false && seq !== null).length,
      faults: faults.length,
    },
  };
}
