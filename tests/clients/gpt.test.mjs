// The assistant in chat rooms, asked from an endpoint that answers well, badly or not at all: what the room hears, what is kept, what it is asked.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { account, ask, chatter, createRoom, http, join, meeting, say, start } from './chatting.mjs';
import {
  babbles, breaks, endpoint, hangs, hangsUp, neverBreaksTheLine, neverEnds, refuses, says, shows, stalls, streams, trickles, waits,
} from './openai.mjs';
import { errorOf, freePort, once, until } from './server.mjs';
import { atEnd, done, heard, hears, range, sleep } from './ticketing.mjs';

const KEY = 'sk-fake-5f1d7c30a2';
const BUSY = { code: 'UNAVAILABLE', message: 'the assistant is busy, try again later' };
/** So long that only what is meant to end it does. */
const PATIENT = { GPT_TIMEOUT: '60s', GPT_STALL_TIMEOUT: '60s' };
const bytes = (text) => Buffer.byteLength(text);

/** An endpoint, a server that asks it, and a room; short of patience. */
async function talking(settings, count = 1) {
  const gpt = await endpoint();
  atEnd(gpt.close);
  const server = await start({
    GPT_BASE_URL: gpt.url, GPT_API_KEY: KEY, GPT_MODEL: 'model-7',
    GPT_TIMEOUT: '2s', GPT_STALL_TIMEOUT: '300ms', GPT_BREAKER_PAUSE: '1s', ...settings,
  });
  const { members, roomID, sockets } = await meeting(server, count);
  return { gpt, server, members, roomID, sockets, socket: sockets[0] };
}

/** Asks, and gives the id of what was said. */
const asks = async (socket, roomID, content = '@gpt tell me', more) => (await say(socket, roomID, content, more)).id;
const history = (socket, roomId) => ask(socket, 'loadMoreMessages_for_room', { roomId });
async function turnedAway(socket, roomID, content = '@gpt tell me', more) {
  const said = await ask(socket, 'message', { roomID, content, ...more });
  assert.equal(said.success, false, JSON.stringify(said));
  return errorOf(said);
}

/** What a socket has heard so far of the answer to a message. */
function answer(socket, id) {
  const chunks = heard(socket, 'gptChunk').filter((chunk) => chunk.id === `gpt-${id}`);
  const text = chunks.reduce((all, { delta, restart }) => (restart ? delta : all + delta), '');
  const message = heard(socket, 'message').find(({ clientId }) => clientId === `gpt-${id}`);
  return { chunks, text, restarts: chunks.filter(({ restart }) => restart).length, failed: chunks.at(-1)?.failed, message };
}
async function end(socket, id) {
  await until(`the end of the answer to ${id}`, () => answer(socket, id).message || answer(socket, id).failed);
  return answer(socket, id);
}
/** The answer came, and is what its pieces were. */
async function answered(socket, id) {
  const all = await end(socket, id);
  assert.ok(all.message, `no answer, in the end ${JSON.stringify(all.chunks.slice(-3))}`);
  assert.deepEqual([all.message.content, all.failed], [all.text, undefined]);
  return all;
}
/** It was given up: the room was told, and nothing is kept. */
async function givenUp(socket, roomID, id) {
  const all = await end(socket, id);
  assert.deepEqual(all.chunks.at(-1), { id: `gpt-${id}`, roomID, delta: '', failed: 'UNAVAILABLE' });
  assert.ok((await history(socket, roomID)).every(({ clientId }) => clientId !== `gpt-${id}`));
  return all;
}

/** A promise and what ends it. */
function deferred() {
  let resolve;
  const promise = new Promise((done) => { resolve = done; });
  return { promise, resolve };
}

/** What the metrics say of the assistant, by short names. */
async function figures(server) {
  const all = await server.metrics();
  const outcome = (name) => all[`signalbox_gpt_requests_total{outcome="${name}"}`];
  return {
    ok: outcome('ok'), refused: outcome('refused'), failed: outcome('failed'), cancelled: outcome('cancelled'),
    retries: all.signalbox_gpt_retries_total, running: all.signalbox_gpt_running, waiting: all.signalbox_gpt_queue_depth,
    in: all['signalbox_gpt_tokens_total{direction="in"}'], out: all['signalbox_gpt_tokens_total{direction="out"}'],
    timed: all.signalbox_gpt_seconds_count, open: all.signalbox_gpt_breaker_open,
  };
}
const NOTHING = { ok: 0, refused: 0, failed: 0, cancelled: 0, retries: 0, running: 0, waiting: 0, in: 0, out: 0, timed: 0, open: 0 };
/** Waits until the figures are these; those of the time that it took are not looked at. */
async function counted(server, wanted) {
  const seen = async () => ({ ...(await figures(server)), timed: 0 });
  const right = { ...NOTHING, ...wanted };
  await until('the figures', async () => JSON.stringify(await seen()) === JSON.stringify(right), 5_000).catch(() => {});
  assert.deepEqual(await seen(), right);
}

describe('an answer', () => {
  it('comes piece by piece to everybody in the room, is kept as one message, and is counted', async () => {
    const { gpt, server, roomID, sockets } = await talking({}, 3);
    const outsider = await chatter(server, await account(server));
    assert.deepEqual(await figures(server), NOTHING);
    gpt.answers = [says(['He', 'llo', ', ', '세계', ' 🌍'], { usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 } })];
    const id = await asks(sockets[1], roomID);
    for (const socket of sockets) {
      const { chunks, message } = await answered(socket, id);
      assert.deepEqual(chunks, ['He', 'llo', ', ', '세계', ' 🌍'].map((delta) => ({ id: `gpt-${id}`, roomID, delta })));
      const { id: own, createdAt, ...rest } = message;
      assert.deepEqual(rest, { roomID, userId: 'gpt', username: 'gpt', content: 'Hello, 세계 🌍', gpt: true, clientId: `gpt-${id}` });
      assert.ok(Number.isInteger(own) && own > id);
      const events = socket.heard.filter(({ event }) => ['gptChunk', 'message'].includes(event));
      assert.deepEqual(events.map(({ event }) => event), ['message', ...chunks.map(() => 'gptChunk'), 'message']);
      assert.ok(createdAt > events[0].data.createdAt);
    }
    const kept = await history(sockets[2], roomID);
    assert.deepEqual(kept.at(-1), answer(sockets[2], id).message);
    assert.equal(kept.length, 2);
    assert.deepEqual(outsider.heard, []);
    await counted(server, { ok: 1, in: 11, out: 7 });
    assert.ok((await figures(server)).timed > 0);
  });

  it('is heard while it is being made', async () => {
    const { gpt, server, roomID, socket } = await talking(PATIENT);
    gpt.answers = [stalls('the first ', 'words')];
    const id = await asks(socket, roomID);
    await until('the pieces so far', () => answer(socket, id).text === 'the first words');
    assert.equal(gpt.open(), 1);
    await counted(server, { running: 1 });
  });

  it('is asked for with the model, the key, and as a stream that says what it cost', async () => {
    const { gpt, members, roomID, socket } = await talking();
    await answered(socket, await asks(socket, roomID, '@gpt 안녕?'));
    const [{ method, path, headers, body }] = gpt.requests;
    assert.deepEqual([method, path, headers.authorization], ['POST', '/v1/chat/completions', `Bearer ${KEY}`]);
    assert.match(headers['content-type'], /^application\/json/);
    const { model, stream, stream_options: options, messages } = body;
    assert.deepEqual({ model, stream, options }, { model: 'model-7', stream: true, options: { include_usage: true } });
    assert.deepEqual(messages.at(-1), { role: 'user', content: `${members[0].user.username}: @gpt 안녕?` });
  });

  it('is asked for without a key where there is none, and below an address that ends with a slash', async () => {
    const gpt = await endpoint();
    atEnd(gpt.close);
    const { roomID, socket } = await talking({ GPT_BASE_URL: `${gpt.url}/`, GPT_API_KEY: '' });
    await answered(socket, await asks(socket, roomID));
    assert.deepEqual([gpt.requests[0].path, gpt.requests[0].headers.authorization], ['/v1/chat/completions', undefined]);
  });

  it('is asked for by gpt: true or by a text that begins with @gpt, and by no other, nor by an answer', async () => {
    const { gpt, roomID, socket } = await talking();
    gpt.otherwise = says(['@gpt ask yourself']);
    const asking = ['@gpt', '@GPT tell me', '@Gpt, tell me', '@gpt\ntell me', '@gPT?'];
    for (const content of asking) await answered(socket, await asks(socket, roomID, content));
    await answered(socket, await asks(socket, roomID, 'tell me', { gpt: true }));
    assert.equal(gpt.requests.length, 6);
    for (const content of ['@gpts', '@gpt4 tell me', '@gpt_x', 'tell me, @gpt', 'gpt', '@', 'tell me']) await say(socket, roomID, content);
    // It is asked in order, so that all before would have been.
    await answered(socket, await asks(socket, roomID, '@gpt the last'));
    assert.equal(gpt.requests.length, 7);
  });

  it('is asked for once when the same is said again', async () => {
    const { gpt, server, roomID, socket } = await talking({ GPT_CONCURRENCY: '1', GPT_QUEUE_MAX: '1', ...PATIENT });
    const gate = deferred();
    gpt.answers = [waits(gate.promise, says(['once']))];
    const first = await say(socket, roomID, '@gpt tell me', { clientId: 'c-1' });
    await until('the request', () => gpt.requests.length === 1);
    await asks(socket, roomID, '@gpt fill the queue');
    assert.deepEqual(await say(socket, roomID, '@gpt tell me', { clientId: 'c-1' }), first, 'also while the queue is full');
    gate.resolve();
    await answered(socket, first.id);
    assert.deepEqual(await say(socket, roomID, '@gpt tell me', { clientId: 'c-1' }), first);
    await until('the other', () => gpt.requests.length === 2);
    await counted(server, { ok: 2 });
    assert.equal((await history(socket, roomID)).length, 4);
  });

  it('takes what a proxy does to a stream: comments, named events, CRLF, and letters that are cut in the middle', async () => {
    const { gpt, roomID, socket } = await talking(PATIENT);
    gpt.answers = [trickles(['한', '글 🌍', 'é'])];
    const { chunks, text } = await answered(socket, await asks(socket, roomID));
    assert.equal(text, '한글 🌍é');
    assert.deepEqual(chunks.map(({ delta }) => delta), ['한', '글 🌍', 'é']);
  });

  it('may be slow as long as it goes on', async () => {
    const { gpt, server, roomID, socket } = await talking({ GPT_TIMEOUT: '60s', GPT_STALL_TIMEOUT: '1s' });
    gpt.answers = [says(['s', 'l', 'o', 'w', 'l', 'y'], { between: 300 })];
    assert.equal((await answered(socket, await asks(socket, roomID))).text, 'slowly');
    await counted(server, { ok: 1 });
  });

  // The last place where a letter ends is the limit itself, or before it.
  for (const [piece, most] of Object.entries({ abcdefg: 16_384, 가나다라: 16_383 })) {
    it(`is cut at 16,384 bytes, between two letters, and nobody reads on (${piece})`, async () => {
      const { gpt, server, roomID, socket } = await talking(PATIENT);
      gpt.answers = [neverEnds(piece)];
      const { text } = await answered(socket, await asks(socket, roomID));
      assert.equal(bytes(text), most);
      assert.ok(piece.repeat(16_384).startsWith(text));
      assert.equal(await gpt.requests[0].over, false, 'the stream was closed');
      await counted(server, { ok: 1 });
    });
  }
});

describe('what the assistant is told', () => {
  it('is who said what in this room, its own answers, and what was changed since, oldest first', async () => {
    const { gpt, server, members, roomID, sockets } = await talking({}, 2);
    const [kim, lee] = sockets;
    const [{ username: first }, { username: second }] = members.map(({ user }) => user);
    const elsewhere = await createRoom(server, members[0], 'Elsewhere');
    await say(kim, elsewhere.roomID, 'something private');
    await say(kim, roomID, 'who knows?');
    const { id } = await say(lee, roomID, 'I do');
    await done(lee, 'editMessage', { roomID, id, content: 'I do not' });
    gpt.answers = [says(['Ask ', 'me'])];
    await answered(kim, await asks(kim, roomID, '@gpt and you?'));
    await answered(lee, await asks(lee, roomID, 'go on', { gpt: true }));
    const told = (n) => gpt.requests[n].body.messages.filter(({ role }) => role !== 'system');
    const exchange = [
      { role: 'user', content: `${first}: who knows?` },
      { role: 'user', content: `${second}: I do not` },
      { role: 'user', content: `${first}: @gpt and you?` },
    ];
    assert.deepEqual(told(0), exchange);
    const more = [{ role: 'assistant', content: 'Ask me' }, { role: 'user', content: `${second}: go on` }];
    assert.deepEqual(told(1), [...exchange, ...more]);
  });

  it('is the newest that fits into GPT_HISTORY_BYTES, counted in bytes', async () => {
    const most = 1_000;
    const { gpt, members, roomID, socket } = await talking({ GPT_HISTORY_BYTES: `${most}` });
    const said = range(30).map((n) => `${n} ${n % 2 ? 'x'.repeat(60) : '가'.repeat(20)}`);
    for (const content of said) await say(socket, roomID, content);
    await answered(socket, await asks(socket, roomID, '@gpt so?'));
    const told = gpt.requests[0].body.messages.filter(({ role }) => role !== 'system').map(({ content }) => content);
    const all = [...said, '@gpt so?'].map((content) => `${members[0].user.username}: ${content}`);
    assert.deepEqual(told, all.slice(-told.length));
    const size = (list) => list.reduce((sum, content) => sum + bytes(content), 0);
    assert.ok(size(told) <= most, `${size(told)} bytes`);
    assert.ok(size(told) > most * 0.8, `more would have fitted into ${most} bytes than ${size(told)}`);
  });

  it('has the question in any case, also one that is longer than the history may be', async () => {
    const { gpt, roomID, socket } = await talking({ GPT_HISTORY_BYTES: '1000' });
    await say(socket, roomID, 'before');
    await answered(socket, await asks(socket, roomID, `@gpt ${'why? '.repeat(400)}`));
    const [{ content }, ...more] = gpt.requests[0].body.messages.filter(({ role }) => role !== 'system');
    assert.deepEqual(more, []);
    assert.match(content, /why\?/);
  });
});

describe('questions that wait', () => {
  it('are answered one after the other where one at a time is asked, in order, and are counted meanwhile', async () => {
    const { gpt, server, roomID, socket } = await talking({ GPT_CONCURRENCY: '1', ...PATIENT });
    const gate = deferred();
    let most = 0;
    gpt.otherwise = async (response) => {
      most = Math.max(most, gpt.open());
      await gate.promise;
      await says(['fine'])(response);
    };
    const ids = [];
    for (const n of range(4)) ids.push(await asks(socket, roomID, `@gpt question ${n}`));
    await until('the first request', () => gpt.requests.length === 1);
    await counted(server, { running: 1, waiting: 3 });
    gate.resolve();
    for (const id of ids) await answered(socket, id);
    assert.equal(most, 1);
    const order = heard(socket, 'message').filter(({ userId }) => userId === 'gpt').map(({ clientId }) => clientId);
    assert.deepEqual(order, ids.map((id) => `gpt-${id}`));
    await counted(server, { ok: 4 });
  });

  it('are asked as many at a time as GPT_CONCURRENCY says', async () => {
    const { gpt, server, roomID, socket } = await talking({ GPT_CONCURRENCY: '3', ...PATIENT });
    const gate = deferred();
    gpt.otherwise = waits(gate.promise, says(['fine']));
    const ids = [];
    for (const n of range(5)) ids.push(await asks(socket, roomID, `@gpt question ${n}`));
    await until('three requests', () => gpt.requests.length === 3);
    await counted(server, { running: 3, waiting: 2 });
    gate.resolve();
    for (const id of ids) await answered(socket, id);
    await counted(server, { ok: 5 });
  });

  for (const [language, message] of Object.entries({ en: BUSY.message, ko: 'AI 응답이 지연되고 있습니다. 잠시 후 다시 시도하세요.' })) {
    it(`are refused when the queue is full, and nothing of them is kept (${language})`, async () => {
      const { gpt, server, roomID, sockets: [socket, other] } = await talking(
        { GPT_CONCURRENCY: '1', GPT_QUEUE_MAX: '1', MESSAGE_LANGUAGE: language, ...PATIENT }, 2,
      );
      const gate = deferred();
      gpt.otherwise = waits(gate.promise, says(['fine']));
      const running = await asks(socket, roomID, '@gpt one');
      await until('the request', () => gpt.requests.length === 1);
      const waiting = await asks(socket, roomID, '@gpt two');
      assert.deepEqual(await turnedAway(socket, roomID, '@gpt three'), { code: 'UNAVAILABLE', message });
      assert.deepEqual(await turnedAway(other, roomID, 'four', { gpt: true }), { code: 'UNAVAILABLE', message });
      await say(socket, roomID, 'a word between us');
      await hears(other, 'message', 3);
      const contents = ['@gpt one', '@gpt two', 'a word between us'];
      assert.deepEqual(heard(other, 'message').map(({ content }) => content), contents);
      assert.deepEqual((await history(socket, roomID)).map(({ content }) => content), contents);
      await counted(server, { running: 1, waiting: 1, refused: 2 });
      gate.resolve();
      for (const id of [running, waiting]) await answered(socket, id);
      await answered(socket, await asks(socket, roomID, '@gpt five'));
      await counted(server, { ok: 3, refused: 2 });
    });
  }
});

describe('an assistant that fails', () => {
  it('is asked again, and pieces of a stream that broke are taken back', async () => {
    const { gpt, server, roomID, sockets } = await talking({}, 2);
    gpt.answers = [breaks('half ', 'of'), stalls('the', ' other'), says(['all ', 'of it'], { usage: { prompt_tokens: 5, completion_tokens: 3 } })];
    const id = await asks(sockets[0], roomID);
    for (const socket of sockets) {
      const { chunks, text, restarts } = await answered(socket, id);
      assert.equal(text, 'all of it');
      assert.equal(restarts, 2);
      const restart = { id: `gpt-${id}`, roomID, delta: '', restart: true };
      const piece = (delta) => ({ id: `gpt-${id}`, roomID, delta });
      assert.deepEqual(chunks, [piece('half '), piece('of'), restart, piece('the'), piece(' other'), restart, piece('all '), piece('of it')]);
    }
    assert.equal(gpt.requests.length, 3);
    assert.deepEqual(gpt.requests[2].body, gpt.requests[0].body);
    await counted(server, { ok: 1, retries: 2, in: 5, out: 3 });
    assert.equal((await history(sockets[0], roomID)).filter(({ userId }) => userId === 'gpt').length, 1);
  });

  describe('for a while', () => {
    let all;
    before(async () => {
      all = await talking();
    });
    const passing = {
      'an error of its own': refuses(500), 'a page of a proxy': shows(502), 'an overload': refuses(503), 'too many requests': refuses(429),
      'a connection that is cut at once': hangsUp(), 'a connection that is cut half way': breaks('half'),
      silence: hangs(), 'silence half way': stalls('half'),
    };
    for (const [what, bad] of Object.entries(passing)) {
      it(`is asked again after ${what}`, async () => {
        const { gpt, server, roomID, socket } = all;
        const { ok, retries } = await figures(server);
        gpt.requests.length = 0;
        gpt.answers = [bad];
        assert.equal((await answered(socket, await asks(socket, roomID))).text, 'fine');
        assert.equal(gpt.requests.length, 2);
        assert.equal(gpt.open(), 0);
        await counted(server, { ok: ok + 1, retries: retries + 1 });
      });
    }
  });

  it('is given the time that it asks for', async () => {
    const { gpt, roomID, socket } = await talking();
    gpt.answers = [refuses(429, { headers: { 'retry-after': '2' } })];
    await answered(socket, await asks(socket, roomID));
    const [first, second] = gpt.requests.map(({ at }) => at);
    assert.ok(second - first >= 1_990, `asked again after ${second - first} ms`);
  });

  it('is asked three times in all, and then given up', async () => {
    const { gpt, server, roomID, sockets } = await talking({}, 2);
    gpt.otherwise = refuses(500);
    const id = await asks(sockets[0], roomID);
    for (const socket of sockets) assert.equal((await givenUp(socket, roomID, id)).text, '');
    assert.equal(gpt.requests.length, 3);
    await counted(server, { failed: 1, retries: 2 });
    gpt.otherwise = says(['back']);
    await answered(sockets[0], await asks(sockets[0], roomID));
    await counted(server, { ok: 1, failed: 1, retries: 2 });
  });

  it('is given up when nobody is there', async () => {
    const { server, roomID, socket } = await talking({ GPT_BASE_URL: `http://127.0.0.1:${await freePort()}/v1` });
    await givenUp(socket, roomID, await asks(socket, roomID));
    await counted(server, { failed: 1, retries: 2 });
  });

  it('is given up when it falls silent each time, without waiting for the whole time of a try', async () => {
    const { gpt, server, roomID, socket } = await talking({ GPT_TIMEOUT: '60s' });
    gpt.otherwise = stalls('er');
    await givenUp(socket, roomID, await asks(socket, roomID));
    assert.equal(gpt.requests.length, 3);
    for (const { over } of gpt.requests) assert.equal(await over, false, 'nobody waits on');
    await counted(server, { failed: 1, retries: 2 });
  });

  it('is given up when no try ends in time, though each goes on', async () => {
    const { gpt, server, roomID, socket } = await talking({ GPT_TIMEOUT: '700ms', GPT_STALL_TIMEOUT: '10s' });
    gpt.otherwise = says(range(1_000).map(() => 'la '), { between: 50 });
    await givenUp(socket, roomID, await asks(socket, roomID));
    assert.equal(gpt.requests.length, 3);
    for (const { over } of gpt.requests) assert.equal(await over, false, 'nobody waits on');
    await counted(server, { failed: 1, retries: 2 });
  });

  describe('for good', () => {
    let all;
    before(async () => {
      all = await talking();
    });
    const lasting = {
      'a wrong request': refuses(400), 'a wrong key': refuses(401), 'a key that may not': refuses(403), 'a wrong address': shows(404),
      'a page instead of a stream': shows(200), 'bytes instead of a stream': babbles(),
      'a stream of broken JSON': streams('{"choices":[{"delta":{"content"'), 'a stream of other JSON': streams('{"choices":7}'),
      'a list instead of an object': streams('[]'), 'a text that is none': streams('{"choices":[{"delta":{"content":7}}]}'),
    };
    for (const [what, bad] of Object.entries(lasting)) {
      it(`is not asked again after ${what}, and is asked the next`, async () => {
        const { gpt, server, roomID, socket } = all;
        const { ok, failed, retries } = await figures(server);
        gpt.requests.length = 0;
        gpt.answers = [bad];
        await givenUp(socket, roomID, await asks(socket, roomID));
        assert.equal(gpt.requests.length, 1);
        await until('the end of the connection', () => gpt.open() === 0);
        await answered(socket, await asks(socket, roomID));
        await counted(server, { ok: ok + 1, failed: failed + 1, retries });
      });
    }
  });

  it('is given up in time when it sends a line without end, and the chat goes on meanwhile', async () => {
    const { gpt, server, roomID, socket } = await talking();
    const memory = async () => (await server.metrics()).process_resident_memory_bytes;
    gpt.otherwise = neverBreaksTheLine();
    const before = await memory();
    const began = performance.now();
    const id = await asks(socket, roomID);
    let slowest = 0;
    while (!answer(socket, id).failed) {
      const from = performance.now();
      await say(socket, roomID, 'meanwhile');
      slowest = Math.max(slowest, performance.now() - from);
      await sleep(20);
    }
    const [took, more] = [performance.now() - began, (await memory()) - before];
    await givenUp(socket, roomID, id);
    assert.ok(slowest < 2_000, `a message took ${slowest} ms`);
    assert.ok(took < 12_000, `three tries of 2 s took ${took} ms`);
    assert.ok(more < 100_000_000, `${more} bytes more than before`);
    await until('the end of the connections', () => gpt.open() === 0);
  });

  it('is given up when what it answers is nothing', async () => {
    const { gpt, server, roomID, socket } = await talking();
    gpt.otherwise = says([]);
    await givenUp(socket, roomID, await asks(socket, roomID));
    const { failed, running, waiting } = await figures(server);
    assert.deepEqual({ failed, running, waiting }, { failed: 1, running: 0, waiting: 0 });
  });
});

describe('the breaker', () => {
  const PAUSE_MS = 2_000;
  const settings = { GPT_BREAKER_PAUSE: `${PAUSE_MS}ms`, ...PATIENT };
  /** Asks in vain. */
  async function fail({ socket, roomID }, times) {
    for (let i = 0; i < times; i += 1) await givenUp(socket, roomID, await asks(socket, roomID));
  }
  /** Asks until it is let through, which is not to be before the pause since `failing` is over. */
  async function letThrough({ socket, roomID }, failing) {
    let id;
    await until('an ask that is let through', async () => {
      const said = await ask(socket, 'message', { roomID, content: '@gpt again?' });
      if (!said.success) assert.deepEqual(errorOf(said), BUSY);
      id = said.id;
      return said.success;
    });
    const ms = performance.now() - failing;
    assert.ok(ms >= PAUSE_MS, `after ${ms} ms`);
    return id;
  }

  it('opens after five asks that failed in a row, lets one through after a pause, and closes when that succeeds', async () => {
    const all = await talking(settings);
    const { gpt, server, roomID, socket } = all;
    gpt.otherwise = refuses(401);
    await fail(all, 4);
    assert.equal((await figures(server)).open, 0);
    const failing = performance.now();
    await fail(all, 1);
    const before = (await history(socket, roomID)).length;
    assert.deepEqual(await turnedAway(socket, roomID), BUSY);
    assert.equal((await figures(server)).open, 1);
    assert.equal((await history(socket, roomID)).length, before);
    await say(socket, roomID, 'a word between us');

    const gate = deferred();
    gpt.otherwise = waits(gate.promise, says(['back']));
    const id = await letThrough(all, failing);
    await until('its request', () => gpt.requests.length === 6);
    assert.deepEqual(await turnedAway(socket, roomID), BUSY, 'one, until it is known what becomes of it');
    gate.resolve();
    await answered(socket, id);
    await until('the breaker to close', async () => (await figures(server)).open === 0);
    for (const next of [await asks(socket, roomID), await asks(socket, roomID)]) await answered(socket, next);
    const { ok, failed, refused } = await figures(server);
    assert.ok(ok === 3 && failed === 5 && refused >= 2, JSON.stringify({ ok, failed, refused }));
  });

  it('stays open when the one that is let through fails as well', async () => {
    const all = await talking(settings);
    const { gpt, server, roomID, socket } = all;
    const gate = deferred();
    gpt.otherwise = refuses(401);
    await fail(all, 4);
    let failing = performance.now();
    await fail(all, 1);
    gpt.otherwise = waits(gate.promise, refuses(401));
    const id = await letThrough(all, failing);
    failing = performance.now();
    gate.resolve();
    await givenUp(socket, roomID, id);
    assert.deepEqual(await turnedAway(socket, roomID), BUSY);
    assert.equal((await figures(server)).open, 1);
    gpt.otherwise = says(['back']);
    await answered(socket, await letThrough(all, failing));
  });

  it('gives up what waits when it opens, without asking', async () => {
    const { gpt, server, roomID, socket } = await talking({ GPT_CONCURRENCY: '1', GPT_BREAKER_PAUSE: '60s', ...PATIENT });
    const gate = deferred();
    gpt.otherwise = waits(gate.promise, refuses(401));
    const ids = [];
    for (const n of range(8)) ids.push(await asks(socket, roomID, `@gpt question ${n}`));
    gate.resolve();
    for (const id of ids) await givenUp(socket, roomID, id);
    assert.equal(gpt.requests.length, 5);
    const { failed, refused, running, waiting } = await figures(server);
    assert.deepEqual([failed + refused, running, waiting], [8, 0, 0]);
  });

  it('does not count what failed before something succeeded', async () => {
    const all = await talking(settings);
    const { gpt, server, roomID, socket } = all;
    for (let i = 0; i < 2; i += 1) {
      gpt.otherwise = refuses(401);
      await fail(all, 4);
      gpt.otherwise = says(['fine']);
      await answered(socket, await asks(socket, roomID));
    }
    await counted(server, { ok: 2, failed: 8 });
  });
});

describe('deleting a room', () => {
  it('ends what is asked for it and what waits, and nothing else', async () => {
    const { gpt, server, members, roomID, sockets: [owner, other] } = await talking({ GPT_CONCURRENCY: '1', ...PATIENT }, 2);
    const { roomID: elsewhere } = await createRoom(server, members[1], 'Elsewhere');
    await join(other, elsewhere);
    gpt.answers = [stalls('a', 'b')];
    const running = await asks(other, roomID, '@gpt one');
    await until('its pieces', () => answer(other, running).text === 'ab');
    const waiting = await asks(owner, roomID, '@gpt two');
    const next = await asks(other, elsewhere, '@gpt three');
    await counted(server, { running: 1, waiting: 2 });

    assert.deepEqual(await done(owner, 'deleteroom', { roomID }), { success: true, roomID, deleted: true });
    assert.equal(await gpt.requests[0].over, false, 'its connection is closed');
    await hears(other, 'roomDeleted');
    await answered(other, next);
    assert.equal(gpt.requests.length, 2);
    assert.match(gpt.requests[1].body.messages.at(-1).content, /three/);
    for (const id of [running, waiting]) assert.equal(answer(other, id).message, undefined);
    await counted(server, { ok: 1, cancelled: 2 });
  });

  it('ends the pause before the next try', async () => {
    const { gpt, server, roomID, socket } = await talking({ ...PATIENT, GPT_CONCURRENCY: '1' });
    gpt.answers = [refuses(429, { headers: { 'retry-after': '20' } })];
    await asks(socket, roomID);
    await until('the first try', () => gpt.requests.length === 1 && gpt.open() === 0);
    await done(socket, 'deleteroom', { roomID });
    // The try that is not made any more may be counted as a retry, or not.
    await counted(server, { cancelled: 1, retries: (await figures(server)).retries });
    assert.equal(gpt.requests.length, 1);
  });

  it('is not what a participant does who leaves: the others get the answer', async () => {
    const { gpt, roomID, sockets: [owner, other] } = await talking({ GPT_CONCURRENCY: '1', ...PATIENT }, 2);
    const gate = deferred();
    gpt.otherwise = waits(gate.promise, says(['fine']));
    const [running, waiting] = [await asks(other, roomID), await asks(other, roomID)];
    await until('the request', () => gpt.requests.length === 1);
    assert.deepEqual(await done(other, 'deleteroom', { roomID }), { success: true, roomID, deleted: false });
    gate.resolve();
    for (const id of [running, waiting]) await answered(owner, id);
    assert.deepEqual(heard(other, 'gptChunk'), []);
  });
});

describe('without an assistant', () => {
  it('a message to it is refused and not kept, others are', async () => {
    const server = await start({});
    const { roomID, sockets: [socket, other] } = await meeting(server, 2);
    const missing = { code: 'UNAVAILABLE', message: 'the assistant is not available' };
    assert.deepEqual(await turnedAway(socket, roomID), missing);
    assert.deepEqual(await turnedAway(socket, roomID, 'tell me', { gpt: true }), missing);
    const [error] = await Promise.all([once(socket, 'error'), socket.emit('message', { roomID, content: '@gpt without an acknowledgement' })]);
    assert.deepEqual([error.code, error.message], [missing.code, missing.message]);
    await say(socket, roomID, 'a word between us');
    await hears(other, 'message');
    assert.deepEqual((await history(socket, roomID)).map(({ content }) => content), ['a word between us']);
    assert.deepEqual(heard(other, 'message').map(({ content }) => content), ['a word between us']);
    await counted(server, {});
  });

  it('that is said in Korean where that is the language', async () => {
    const server = await start({ MESSAGE_LANGUAGE: 'ko' });
    const { roomID, sockets: [socket] } = await meeting(server, 1);
    assert.deepEqual(await turnedAway(socket, roomID), { code: 'UNAVAILABLE', message: 'AI 응답을 사용할 수 없습니다' });
  });
});

describe('whatever it does', () => {
  it('every question of a storm has one end, and the chat goes on', async () => {
    const { gpt, server, members, socket } = await talking({ GPT_CONCURRENCY: '4', GPT_TIMEOUT: '60s', GPT_STALL_TIMEOUT: '2s' });
    // Never five in a row that fail, in whichever order they end.
    const kinds = {
      good: says(['fine']), slow: says(['f', 'i', 'n', 'e'], { between: 100 }), cut: breaks('half'), forbidden: refuses(401),
      silent: stalls('half'), garbage: babbles(), long: neverEnds('more '), bytewise: trickles(['fine']),
    };
    const fails = ['cut', 'forbidden', 'silent', 'garbage'];
    gpt.otherwise = (response, { body }) => kinds[body.messages.at(-1).content.split(' ').at(-1)](response);
    const asked = await Promise.all(Object.keys(kinds).map(async (kind) => {
      const { roomID } = await createRoom(server, members[0], kind);
      await join(socket, roomID);
      return { kind, roomID, id: await asks(socket, roomID, `@gpt ${kind}`) };
    }));
    const spoken = [];
    for (const { roomID } of asked) {
      const began = performance.now();
      await say(socket, roomID, 'meanwhile');
      spoken.push(performance.now() - began);
    }
    assert.ok(Math.max(...spoken) < 1_000, `${spoken} ms`);
    for (const { kind, roomID, id } of asked) await (fails.includes(kind) ? givenUp(socket, roomID, id) : answered(socket, id));
    await counted(server, { ok: 4, failed: 4, retries: 4 });
    for (const { kind, roomID, id } of asked) {
      const messages = heard(socket, 'message').filter((one) => one.roomID === roomID && one.userId === 'gpt');
      const failures = answer(socket, id).chunks.filter(({ failed }) => failed);
      assert.equal(messages.length + failures.length, 1, kind);
    }
    assert.equal(gpt.open(), 0);
    assert.equal(gpt.requests.length, 12);
  });

  it('the server ends when it is told to', async () => {
    const { gpt, server, roomID, socket } = await talking({ ...PATIENT, DRAIN_PERIOD: '100ms', GPT_CONCURRENCY: '1' });
    gpt.otherwise = stalls('er');
    for (const n of range(3)) await asks(socket, roomID, `@gpt question ${n}`);
    await until('the request', () => gpt.open() === 1);
    const began = performance.now();
    server.kill('SIGTERM');
    assert.equal(await server.exited, 0);
    const took = performance.now() - began;
    assert.ok(took < 10_000, `${took} ms`);
    await until('the end of the connection', () => gpt.open() === 0);
  });

  it('no text, no name and no key is in logs, metrics or flows', async () => {
    const { gpt, server, members, roomID, socket } = await talking({ LOG_LEVEL: 'trace' });
    const secret = 'marmalade';
    const usage = { prompt_tokens: 5, completion_tokens: 3 };
    gpt.answers = [says([`my ${secret}`, ' is yours'], { usage })];
    await answered(socket, await asks(socket, roomID, `@gpt where is the ${secret}?`));
    const bad = [refuses(401, { message: `${secret} ${KEY}` }), streams(`{"${secret}`), shows(200, `<h1>${secret}</h1>`), shows(404, secret)];
    for (const answered of bad) {
      gpt.answers = [answered];
      await givenUp(socket, roomID, await asks(socket, roomID, `@gpt ${secret}?`));
    }
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const flows = JSON.stringify((await http(server, 'GET', '/api/flows?limit=1000')).data);
    const status = JSON.stringify((await http(server, 'GET', '/status')).data);
    const places = { log: server.log().join('\n'), metrics, flows, status };
    for (const [where, text] of Object.entries(places)) {
      assert.ok(text.length > 100, where);
      for (const what of [secret, KEY, members[0].user.username]) {
        const at = text.indexOf(what);
        assert.equal(at, -1, `${what} is in the ${where}: ${text.slice(Math.max(0, at - 200), at + 50)}`);
      }
    }
  });
});
