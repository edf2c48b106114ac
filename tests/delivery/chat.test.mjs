// The chat's promise under kill -9, in short, and that its judge is honest: it finds every fault that is built in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { judge } from './chat.mjs';

const program = fileURLToPath(new URL('chat.mjs', import.meta.url));

/** What a drill prints and how it ends. */
function drill(...flags) {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...flags], { timeout: 180_000 }, (error, stdout, stderr) => {
      const [json = '{}', verdict = ''] = stdout.split('\n');
      const said = `${stdout}${stderr}`;
      resolve({ code: error ? error.code : 0, figures: json.startsWith('{') ? JSON.parse(json) : {}, verdict, said });
    });
  });
}

describe('the promise of the chat', () => {
  const flags = { SQLite: [], PostgreSQL: ['--database', 'postgres', '--seconds', '10'] };
  for (const [database, more] of Object.entries(flags)) {
    it(`holds on ${database} over 2 kills`, async () => {
      const { code, figures, verdict, said } = await drill(...more);
      assert.equal(code, 0, said);
      assert.match(verdict, /^chat: 2 kills, \d+ acknowledged messages of 50 clients, each in the history once, in one order for all$/);
      assert.ok(figures.acked > 300 && figures.acked === figures.messages && figures.acked === figures.kept, said);
      assert.ok(figures.again > 0 && figures.retries > 0 && figures.live > 0 && figures.caughtUp > 0, said);
      console.log(verdict);
    });
  }
});

describe('the judge of the chat', () => {
  const room = 'r';
  const message = (n, userId) => ({ id: n, createdAt: 1000 + n, userId, username: userId, clientId: `c${n}`, content: `text ${n}` });

  /** Three messages: one at first try, one sent again after a crash, one sent again later; lee was away for the second. */
  function honest() {
    const history = [message(1, 'kim'), message(2, 'lee'), message(3, 'kim')];
    const send = ({ userId: user, clientId, content }) => ({ room, user, clientId, content });
    const ack = ({ userId: user, clientId, id, createdAt }) => ({ room, user, clientId, id, createdAt });
    const [one, two, three] = history;
    return {
      sends: [one, two, two, three, three].map(send),
      acks: [one, two, three, three].map(ack),
      refusals: [],
      receipts: [['kim', one, true], ['lee', one, true], ['kim', two, true], ['lee', two, false], ['kim', three, true], ['lee', three, true]]
        .map(([user, sent, live]) => ({ room, user, live, message: { ...sent } })),
      rooms: [{ room, members: ['kim', 'lee'], history: history.map((sent) => ({ ...sent })) }],
    };
  }
  const found = (log) => [...new Set(judge(log).faults.map(({ rule }) => rule))].sort();
  const swap = (list, a, b) => { [list[a], list[b]] = [list[b], list[a]]; };
  /** Takes a message away from the history and from all who got it. */
  const forget = (log, id) => {
    log.rooms[0].history = log.rooms[0].history.filter((kept) => kept.id !== id);
    log.receipts = log.receipts.filter((receipt) => receipt.message.id !== id);
  };

  it('passes honest logs, and counts them', () => {
    const { ok, faults, figures } = judge(honest());
    assert.deepEqual(faults, []);
    assert.equal(ok, true);
    assert.deepEqual(figures, { messages: 3, acked: 3, kept: 3, again: 1, retries: 1, live: 5, caughtUp: 1, repeated: 0, faults: 0 });
  });

  it('passes what a client is sent again under its id, and refusals while the database is away', () => {
    const log = honest();
    log.receipts.push({ ...log.receipts[1], live: false });
    log.refusals.push({ room, user: 'kim', clientId: 'c1', code: 'UNAVAILABLE' });
    const { faults, figures } = judge(log);
    assert.deepEqual(faults, []);
    assert.equal(figures.repeated, 1);
  });

  /** What is done to honest logs, and which faults that is. */
  const breaks = [
    ['a message that was acknowledged and lost', ['lost'], (log) => forget(log, 2)],
    ['a history that is empty', ['lost'], (log) => [1, 2, 3].forEach((id) => forget(log, id))],
    ['a message that is lost although all got it', ['lost', 'phantom'], (log) => { log.rooms[0].history.pop(); }],
    ['a message doubled under another id', ['missed', 'twice'], (log) => {
      log.rooms[0].history.push({ ...message(3, 'kim'), id: 4, createdAt: 1004 });
    }],
    ['a message doubled under its id', ['order', 'twice'], (log) => log.rooms[0].history.push(message(3, 'kim'))],
    ['a message that a client got twice, under another id', ['phantom'], (log) => {
      log.receipts.push({ room, user: 'lee', live: true, message: { ...message(3, 'kim'), id: 4 } });
    }],
    ['a history that is not in the order of its times', ['order'], (log) => swap(log.rooms[0].history, 0, 1)],
    ['two messages at one time', ['order'], (log) => {
      const everywhere = [...log.rooms[0].history, ...log.receipts.map((receipt) => receipt.message), ...log.acks];
      for (const one of everywhere) if (one.id === 2) one.createdAt = 1001;
    }],
    ['a client that got two in another order', ['order'], (log) => swap(log.receipts, 1, 3)],
    ['a client that missed one', ['missed'], (log) => { log.receipts.splice(3, 1); }],
    ['a client that got nothing at all', ['missed'], (log) => log.rooms[0].members.push('park')],
    ['a message that nobody sent', ['missed', 'phantom'], (log) => log.rooms[0].history.push(message(4, 'kim'))],
    ['a message under another name', ['lost', 'phantom'], (log) => { log.rooms[0].history[0].userId = 'lee'; }],
    ['a message with another text', ['phantom'], (log) => { log.rooms[0].history[0].content = 'text 9'; }],
    ['a client that got another text', ['phantom'], (log) => { log.receipts[0].message.content = 'text 9'; }],
    ['a message in another room', ['missed', 'phantom'], (log) => { log.receipts[0].room = 's'; }],
    ['a retry acknowledged under another id', ['acks'], (log) => { log.acks.at(-1).id = 9; }],
    ['a retry acknowledged with another time', ['acks'], (log) => { log.acks.at(-1).createdAt = 9; }],
    ['an acknowledgement that is not what is kept', ['acks'], (log) => { log.acks[0].id = 9; }],
    ['an acknowledgement of what nobody sent', ['lost', 'phantom'], (log) => {
      log.acks.push({ room, user: 'kim', clientId: 'c9', id: 9, createdAt: 1009 });
    }],
    ['a message that was refused', ['acks'], (log) => log.refusals.push({ room, user: 'kim', clientId: 'c1', code: 'FORBIDDEN' })],
    ['a message that was never answered', ['unanswered'], (log) => { log.acks.splice(1, 1); }],
  ];
  for (const [what, rules, change] of breaks) {
    it(`finds ${what}`, () => {
      const log = honest();
      change(log);
      assert.deepEqual(found(log), rules);
    });
  }
});
