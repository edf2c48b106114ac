// Real browsers, real RTCPeerConnections: data channels that can only have come about through the server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NOTHING, launch, watch } from './browser.mjs';
import { UNLIMITED, startServer, token, until } from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const FILES = {
  '/': ['text/html', 'webrtc.page.html'],
  '/socket.io.min.js': ['text/javascript', '../node_modules/socket.io-client/dist/socket.io.min.js'],
};
// No network is needed: candidates may name the loopback interface and, as in a page that may use
// the microphone, are addresses instead of mDNS names.
const ARGS = ['--allow-loopback-in-peer-connection'];
const PERMISSIONS = ['microphone'];

describe('browsers', () => {
  let browser;
  let server;
  let site;
  const wrong = [];

  before(async () => {
    server = await startServer(UNLIMITED);
    site = http.createServer((request, response) => {
      const [type, file] = FILES[new URL(request.url, 'http://site').pathname] ?? [];
      if (!file) return response.writeHead(404).end();
      response.setHeader('content-type', type);
      fs.createReadStream(path.join(here, file)).pipe(response);
    });
    await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
    browser = await launch(...ARGS);
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    assert.deepEqual(wrong.splice(0), [], NOTHING);
  });
  after(async () => {
    await browser?.close();
    site?.close();
    await server?.stop();
  });

  /** A page in the room, in a browser profile of its own. */
  async function open(user, roomId, options = {}) {
    const context = await browser.newContext({ permissions: PERMISSIONS });
    const origin = `http://127.0.0.1:${site.address().port}`;
    watch(context, wrong, { origins: [origin, server.url] });
    const page = await context.newPage();
    const query = new URLSearchParams({ server: server.url, token: token(user), roomId, ...options });
    await page.goto(`${origin}/?${query}`);
    await joined(page);
    return page;
  }

  const look = (page) => page.evaluate(() => state());
  const joined = (page) => until('existing-peers', async () => (await look(page)).heard.some(([event]) => event === 'existing-peers'));
  const heard = ({ heard: all }, name) => all.filter(([event]) => event === name).map(([, data]) => data);

  /** Every page has an open channel to each of the others and to nobody else. Returns the pages' states. */
  async function mesh(pages) {
    let states;
    await until('a full mesh', async () => {
      states = await Promise.all(pages.map(look));
      const ids = states.map(({ id }) => id);
      return states.every(({ id, peers }) => {
        const others = ids.filter((other) => other !== id);
        return Object.keys(peers).length === others.length && others.every((other) => peers[other]?.open);
      });
    });
    return states;
  }

  /** A text of each page reaches all the others, once, over the channel to its sender. */
  async function exchange(pages) {
    const states = await mesh(pages);
    const text = (id) => `${id} says 안녕하세요`;
    await Promise.all(pages.map((page, i) => page.evaluate((said) => say(said), text(states[i].id))));
    const texts = async (page) => Object.entries((await look(page)).peers).map(([id, peer]) => [id, peer.texts]);
    for (const [i, page] of pages.entries()) {
      await until('the texts', async () => (await texts(page)).every(([, got]) => got.length > 0));
      const expected = states.filter((_, other) => other !== i).map(({ id }) => [id, [text(id)]]);
      assert.deepEqual(Object.fromEntries(await texts(page)), Object.fromEntries(expected));
    }
    return states;
  }

  /** How many signals of each kind and outcome the server has counted. */
  async function signals() {
    const metrics = await server.metrics();
    const count = (kind, outcome) => metrics[`signalbox_webrtc_signals_total{kind="${kind}",outcome="${outcome}"}`];
    const kinds = ['offer', 'answer', 'ice-candidate'];
    return {
      ...Object.fromEntries(kinds.map((kind) => [kind, count(kind, 'ok')])),
      lost: kinds.reduce((sum, kind) => sum + count(kind, 'failed') + count(kind, 'refused'), 0),
    };
  }
  const since = async (earlier) => Object.fromEntries(Object.entries(await signals()).map(([kind, n]) => [kind, n - earlier[kind]]));

  it('two pages talk over a channel that the server brought about', async () => {
    const earlier = await signals();
    // Both describe the other only after its first candidate is there: early candidates have to wait.
    const first = await open('first', 'pair', { hold: 'yes' });
    const second = await open('second', 'pair', { hold: 'yes' });
    await exchange([first, second]);

    let states;
    await until('all candidates', async () => {
      states = await Promise.all([first, second].map(look));
      const [a, b] = states;
      const gathered = states.every(({ peers }) => Object.values(peers).every((peer) => peer.gathered));
      return gathered && heard(a, 'ice-candidate').length >= b.sent.length && heard(b, 'ice-candidate').length >= a.sent.length;
    });
    const [a, b] = states;
    assert.deepEqual(heard(a, 'existing-peers'), [[]]);
    assert.deepEqual(heard(b, 'existing-peers').flat().map(({ peerId, socketId, userId }) => [peerId, socketId, userId]), [[a.id, a.id, 'first']]);
    assert.deepEqual(heard(a, 'peer-joined'), [{ peerId: b.id, userId: 'second' }]);
    const [[offer], [answer]] = [heard(a, 'offer'), heard(b, 'answer')];
    assert.deepEqual([offer.from, offer.offer.type, answer.from, answer.answer.type], [b.id, 'offer', a.id, 'answer']);
    for (const { sdp } of [offer.offer, answer.answer]) assert.ok(!sdp.includes('a=candidate'), 'the candidates trickled');
    for (const [from, to] of [[a, b], [b, a]]) {
      assert.ok(from.sent.length > 0 && to.queued > 0);
      assert.deepEqual(heard(to, 'ice-candidate'), from.sent.map(({ candidate }) => ({ from: from.id, candidate })), 'all of them, in order');
    }
    const candidates = a.sent.length + b.sent.length;
    await until('the last one to be counted', async () => (await since(earlier))['ice-candidate'] >= candidates);
    assert.deepEqual(await since(earlier), { offer: 1, answer: 1, 'ice-candidate': candidates, lost: 0 });
  });

  it('a page that reloads leaves, comes back and talks again', async () => {
    const [stays, reloads] = [await open('stays', 'reload'), await open('reloads', 'reload')];
    const [, { id: old }] = await exchange([stays, reloads]);
    await until('the upgrade', async () => (await look(reloads)).transport === 'websocket');
    const earlier = await signals();
    await reloads.reload();
    await joined(reloads);
    const [other, again] = await exchange([stays, reloads]);
    assert.notEqual(again.id, old);
    assert.deepEqual(heard(other, 'peer-left'), [{ peerId: old }]);
    assert.deepEqual(heard(other, 'peer-joined'), [old, again.id].map((peerId) => ({ peerId, userId: 'reloads' })));
    const { offer, answer } = await since(earlier);
    assert.deepEqual([offer, answer], [1, 1], 'a new negotiation');
  });

  it('a third page makes it a full mesh', async () => {
    const pages = [await open('one', 'mesh'), await open('two', 'mesh')];
    await mesh(pages);
    const earlier = await signals();
    pages.push(await open('three', 'mesh'));
    const [one, two, three] = await exchange(pages);
    assert.deepEqual(heard(three, 'existing-peers').flat().map(({ peerId }) => peerId).sort(), [one.id, two.id].sort());
    for (const { heard: all } of [one, two]) assert.deepEqual(all.filter(([event]) => event === 'peer-joined').at(-1)[1], { peerId: three.id, userId: 'three' });
    const { offer, answer } = await since(earlier);
    assert.deepEqual([offer, answer], [2, 2], 'from the newcomer to each, and back');
  });
});
