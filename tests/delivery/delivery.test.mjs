// The delivery promise under kill -9, in short, and that its checker is honest: it finds every fault that is built in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { emptyHistory } from './clients.mjs';
import { judge } from './judge.mjs';

const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'run.mjs');

/** What a drill prints and how it ends. */
function drill(...flags) {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...flags], { timeout: 120_000 }, (error, stdout, stderr) => {
      const [json = '{}', verdict = ''] = stdout.split('\n');
      const said = `${stdout}${stderr}`;
      resolve({ code: error ? error.code : 0, figures: json.startsWith('{') ? JSON.parse(json) : {}, verdict, said });
    });
  });
}

describe('the promise', () => {
  it('holds on SQLite over 10 kills', async () => {
    const { code, figures, verdict, said } = await drill('--kills', '10');
    assert.equal(code, 0, said);
    assert.match(verdict, /^delivery: 10 kills, \d+ acknowledged scans applied once each by both monitors of their session; back in \d+ ms \(median\)$/);
    assert.ok(figures.ackedDurable > 300 && figures.ackedDurable === figures.scans, said);
    assert.ok(figures.replayed > 0 && figures.duplicatesAcked > 0 && figures.retries > 0, said);
    console.log(verdict);
  });

  it('holds on PostgreSQL over 10 kills and one of PostgreSQL', async () => {
    const { code, figures, verdict, said } = await drill('--kills', '10', '--database', 'postgres', '--stop-postgres', '--stops', '1');
    assert.equal(code, 0, said);
    assert.equal(figures.stops, 1);
    assert.ok(figures.ackedDurable > 100 && figures.replayed > 0 && figures.duplicatesAcked > 0, said);
    assert.ok(figures.ackedDurable + figures.ackedNotDurable === figures.scans, said);
    console.log(verdict);
  });

  it('leaves no gap for those who stay connected while PostgreSQL is killed 6 times', async () => {
    const { code, figures, verdict, said } = await drill('--kills', '0', '--database', 'postgres', '--stop-postgres', '--stops', '6');
    assert.equal(code, 0, said);
    assert.ok(figures.stops === 6 && figures.ackedDurable > 100, said);
    console.log(verdict);
  });
});

describe('the checker finds a server that', () => {
  const find = async (fault, ...rules) => {
    const { code, figures, verdict, said } = await drill('--kills', '2', '--fault', fault);
    assert.equal(code, 1, said);
    assert.match(verdict, /^delivery: BROKEN, \d+ faults: /);
    for (const rule of rules) assert.ok(figures.broken[rule] > 0, `${rule} is not among ${JSON.stringify(figures.broken)}`);
    return figures.broken;
  };

  it('acknowledges before it has written', async () => {
    await find('early', 'lost', 'place');
  });

  it('forgets what was scanned before', async () => {
    const broken = await find('forget', 'twice', 'acks');
    assert.deepEqual(Object.keys(broken).sort(), ['acks', 'twice']);
  });

  it('replays all but the first', async () => {
    const broken = await find('skip', 'order', 'lost');
    assert.deepEqual(Object.keys(broken).sort(), ['lost', 'order']);
  });
});

describe('the judge', () => {
  const session = 's';
  const phone = 'p';
  const epoch = 'e1';
  const monitors = ['m1', 'm2'];

  /** Three scans: one at first try, one again after a crash, one resent later; m2 was away for the second. */
  function honest() {
    const history = emptyHistory();
    const send = (n, late = false) => history.sends.push({ session, phone, nonce: `n${n}`, order: `o${n}`, late });
    const ack = (n, duplicate = false) => history.acks.push({ session, phone, nonce: `n${n}`, seq: n, durable: true, duplicate, epoch });
    const entry = (monitor, n, replayed = false) => ({ session, monitor, seq: n, nonce: `n${n}`, order: `o${n}`, replayed });
    for (const monitor of monitors) history.joins.push({ session, monitor, lastSeq: 0, seq: 0, epoch, recovered: true });
    [1, 2, 2].forEach((n) => send(n));
    ack(1);
    ack(2, true);
    send(3);
    ack(3);
    send(3, true);
    ack(3, true);
    history.applies.push(entry('m1', 1), entry('m1', 2, true), entry('m1', 3), entry('m2', 1), entry('m2', 2, true), entry('m2', 3));
    history.ignored.push(entry('m1', 2, true));
    history.sessions.push({ session, seq: 3, monitors });
    return history;
  }
  /** A fourth scan, relayed while the database is away: to both monitors, or to some. */
  function relayedToo(history, to = monitors) {
    history.sends.push({ session, phone, nonce: 'n4', order: 'o4', late: false });
    history.acks.push({ session, phone, nonce: 'n4', seq: null, durable: false, duplicate: false, epoch: null });
    for (const monitor of to) history.applies.push({ session, monitor, seq: null, nonce: 'n4', order: 'o4', replayed: false });
    return history;
  }
  const found = (history) => [...new Set(judge(history).faults.map(({ rule }) => rule))].sort();
  const applied = (history, monitor, nonce) => history.applies.find((one) => one.monitor === monitor && one.nonce === nonce);

  it('passes an honest history, and counts it', () => {
    const { ok, faults, figures } = judge(honest());
    assert.deepEqual(faults, []);
    assert.equal(ok, true);
    assert.deepEqual(figures, {
      scans: 3, retries: 1, ackedDurable: 3, ackedNotDurable: 0, duplicatesAcked: 2, appliedMin: 3, appliedMax: 3,
      replayed: 2, remembered: 0, unrecovered: 0, faults: 0,
    });
  });

  it('passes what was relayed without being kept, whoever saw it, and what got its place later', () => {
    const relayed = judge(relayedToo(honest(), ['m1']));
    assert.deepEqual(relayed.faults, []);
    assert.deepEqual([relayed.figures.ackedNotDurable, relayed.figures.appliedMin, relayed.figures.appliedMax], [1, 3, 4]);

    const placed = relayedToo(honest(), ['m1']);
    for (const monitor of monitors) placed.applies.push({ session, monitor, seq: 4, nonce: 'n4', order: 'o4', replayed: true });
    placed.sessions[0].seq = 4;
    const { faults, figures } = judge(placed);
    assert.deepEqual(faults, []);
    assert.deepEqual([figures.remembered, figures.appliedMin, figures.appliedMax], [1, 4, 4]);
  });

  /** What is done to an honest history, and which faults that is. */
  const breaks = [
    ['a scan that one monitor never applied (1)', ['lost', 'order'], (h) => h.applies.pop()],
    ['a scan that no monitor applied, at a place that does not count (1)', ['lost'], (h) => {
      h.applies = h.applies.filter(({ seq }) => seq !== 3);
      h.sessions[0].seq = 2;
      h.ignored = [];
    }],
    ['a monitor that applied nothing at all (1)', ['lost', 'order'], (h) => { h.sessions[0].monitors = [...monitors, 'm3']; }],
    ['a scan applied again at another place (2)', ['acks', 'twice'], (h) => {
      for (const monitor of monitors) h.applies.push({ ...applied(h, monitor, 'n3'), seq: 4 });
      h.sessions[0].seq = 4;
    }],
    ['a scan applied twice without a place (2)', ['twice'], (h) => relayedToo(h, ['m1', 'm1'])],
    ['a scan applied again without a place (2)', ['twice'], (h) => h.applies.push({ ...applied(h, 'm1', 'n3'), seq: null })],
    ['a monitor that jumped (3)', ['order'], (h) => {
      for (const list of [h.applies, h.acks]) list.forEach((one) => { if (one.seq === 3) one.seq = 4; });
      h.sessions[0].seq = 4;
    }],
    ['a monitor that went back (3)', ['order'], (h) => h.applies.reverse()],
    ['a gap that a monitor met (3)', ['order'], (h) => h.gaps.push({ ...applied(h, 'm1', 'n3'), last: 1 })],
    ['a monitor that ended before the session (3)', ['order'], (h) => { h.sessions[0].seq = 4; }],
    ['one place for two scans (3)', ['place'], (h) => {
      relayedToo(h, []);
      h.ignored.push({ ...applied(h, 'm1', 'n3'), nonce: 'n4', order: 'o4' });
    }],
    ['a scan that nobody sent (4)', ['phantom'], (h) => {
      for (const monitor of monitors) h.applies.push({ ...applied(h, monitor, 'n3'), seq: 4, nonce: 'x' });
      h.sessions[0].seq = 4;
    }],
    ['a scan with another order (4)', ['phantom'], (h) => { applied(h, 'm2', 'n2').order = 'o9'; }],
    ['a scan in another session (4)', ['lost', 'order', 'phantom'], (h) => { applied(h, 'm2', 'n3').session = 't'; }],
    ['a retry with another seq (5)', ['acks'], (h) => { h.acks.at(-1).seq = 5; }],
    ['a late duplicate acknowledged as new (5)', ['acks'], (h) => { h.acks.at(-1).duplicate = false; }],
    ['a duplicate of what was sent once (5)', ['acks'], (h) => { h.acks[0].duplicate = true; }],
    ['an acknowledged seq that is not the applied one (5)', ['acks'], (h) => { h.acks[0].seq = 7; }],
    ['a kept scan without a seq (5)', ['acks', 'unanswered'], (h) => { h.acks[0].seq = null; }],
    ['a scan that is not kept and has a seq (5)', ['acks'], (h) => { relayedToo(h).acks.at(-1).seq = 4; }],
    ['a good scan that was refused (5)', ['acks'], (h) => h.refusals.push({ session, phone, nonce: 'n3', code: 'CONFLICT' })],
    ['an acknowledgement under another epoch (6)', ['epoch'], (h) => { h.acks.at(-1).epoch = 'e2'; }],
    ['a monitor that joined under another epoch (6)', ['epoch'], (h) => { h.joins[1].epoch = 'e2'; }],
    ['a phone that was never answered', ['unanswered'], (h) => h.sends.push({ session, phone, nonce: 'n5', order: 'o5', late: false })],
  ];
  for (const [what, rules, change] of breaks) {
    it(`finds ${what}`, () => {
      const history = honest();
      change(history);
      assert.deepEqual(found(history), rules);
    });
  }

  it('takes it that the server refuses while the database is away', () => {
    const history = honest();
    history.refusals.push({ session, phone, nonce: 'n2', code: 'UNAVAILABLE' });
    assert.deepEqual(found(history), []);
  });
});
