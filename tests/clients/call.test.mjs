// The call page in real browsers with fake cameras: whoever opens the same link sees, hears and reads the others.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { AWAY, NOTHING, launch, watch } from './browser.mjs';
import { read } from './camera.mjs';
import { UNLIMITED, freePort, startServer, until } from './server.mjs';

const SETTINGS = { ...UNLIMITED, HTTP_RATE_MAX: '1000000', CANARY_INTERVAL: 'off' };
const PRODUCTION = { ...SETTINGS, NODE_ENV: 'production', CORS_ORIGINS: 'https://shop.example', SIGNALING_AUTH: 'optional' };
// No network is needed: candidates may name the loopback interface.
const ARGS = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--allow-loopback-in-peer-connection'];

/** In the page: a machine without camera and microphone. */
function withoutDevices() {
  // A page that is still blank has none in any case.
  Object.assign(navigator.mediaDevices ?? {}, {
    getUserMedia: async () => {
      throw new DOMException('Requested device not found', 'NotFoundError');
    },
  });
}

/** In the page: every connection can be reached from outside. */
function withConnections() {
  window.connections = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.connections.push(this);
    }
  };
}

/** In the page: what the browser does when no candidate pair works any more. */
function fail() {
  const pc = window.connections.at(-1);
  Object.defineProperty(pc, 'connectionState', { value: 'failed', configurable: true });
  pc.dispatchEvent(new Event('connectionstatechange'));
  delete pc.connectionState;
  pc.dispatchEvent(new Event('connectionstatechange'));
}

/** A way to the server that can break so that only the browser notices. */
async function fragile(port) {
  const ends = new Set();
  const relay = net.createServer((from) => {
    const to = net.connect(port, '127.0.0.1');
    ends.add(from);
    from.pipe(to, { end: false });
    to.pipe(from);
    for (const end of [from, to]) end.on('error', () => end.destroy());
  });
  await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${relay.address().port}`,
    breaks: () => ends.forEach((end) => end.destroy()),
    close: () => relay.close(),
  };
}

describe('calls', () => {
  let browser;
  const servers = [];
  const wrong = [];

  before(async () => {
    browser = await launch(...ARGS);
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    assert.deepEqual(wrong.splice(0), [], NOTHING);
  });
  after(() => browser?.close());

  async function start(settings = SETTINGS) {
    const server = await startServer(settings);
    servers.push(server);
    return server;
  }

  /** The page in a browser profile of its own, not yet in the call. */
  async function open(server, query = '?room=standup', { script, forgive, ...options } = {}) {
    const context = await browser.newContext(options);
    watch(context, wrong, { origins: [server.url], forgive });
    if (script) await context.addInitScript(script);
    const page = await context.newPage();
    await page.goto(`${server.url}/call${query}`);
    return page;
  }

  async function enter(page, name) {
    await page.locator('#name').fill(name);
    await page.locator('#join').click();
  }

  /** Somebody in the call. */
  async function join(server, name, { room = 'standup', ...options } = {}) {
    const page = await open(server, `?room=${room}`, options);
    // Who joins before the camera is there sends it a little later: both must work, here it is the usual way.
    if (options.script !== withoutDevices) await page.locator('#self[data-video=true]').waitFor();
    await enter(page, name);
    return page;
  }

  const tile = (page, name) => page.locator('#peers .tile[data-peer]', { hasText: name });
  const frames = (page, name) => tile(page, name).locator('video').evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
  const count = (page) => page.locator('#peers .tile[data-peer]').count();

  /** Its picture moves and its sound is there. */
  async function sees(page, name) {
    await tile(page, name).and(page.locator('[data-state=connected]')).waitFor();
    const earlier = await frames(page, name);
    await until(`frames of ${name}`, async () => (await frames(page, name)) > earlier + 3);
    const sound = await tile(page, name).locator('video').evaluate(({ srcObject, muted }) =>
      !muted && srcObject.getAudioTracks().some(({ readyState }) => readyState === 'live'));
    assert.ok(sound, `the sound of ${name}`);
  }

  /** Everybody sees everybody else, and nobody twice. */
  async function meet(people) {
    for (const [name, page] of Object.entries(people)) {
      const others = Object.keys(people).filter((other) => other !== name);
      for (const other of others) await sees(page, other);
      await until(`nobody but ${others}`, async () => (await count(page)) === others.length);
    }
  }

  async function says(page, text) {
    await page.locator('#chat-input').fill(text);
    await page.locator('#chat-send').click();
  }
  const chat = (page) => page.locator('#chat li').allInnerTexts();

  it('two who open one link see and hear each other, and what one writes the other reads', async () => {
    const server = await start();
    const [mina, jun] = [await join(server, 'Mina'), await join(server, 'Jun')];
    await meet({ Mina: mina, Jun: jun });
    await says(mina, 'Hello <b>Jun</b>');
    await until('the line', async () => (await chat(jun)).length === 1);
    await says(jun, '안녕하세요');
    await until('the answer', async () => (await chat(mina)).length === 2);
    assert.deepEqual(await chat(mina), ['You Hello <b>Jun</b>', 'Jun 안녕하세요']);
    assert.deepEqual(await chat(jun), ['Mina Hello <b>Jun</b>', 'You 안녕하세요']);
  });

  it('one who leaves is gone for the others, and one who comes back is there again', async () => {
    const server = await start();
    const [mina, jun] = [await join(server, 'Mina'), await join(server, 'Jun')];
    await meet({ Mina: mina, Jun: jun });
    await jun.locator('#leave').click();
    await until('an empty room', async () => (await count(mina)) === 0);
    await mina.getByText('Nobody else is here yet.').waitFor();
    await jun.locator('#join').click();
    await meet({ Mina: mina, Jun: jun });
    await jun.close();
    await until('an empty room', async () => (await count(mina)) === 0);
  });

  it('three are a full mesh', async () => {
    const server = await start();
    const people = { Mina: await join(server, 'Mina'), Jun: await join(server, 'Jun'), Ada: await join(server, 'Ada') };
    await meet(people);
    await says(people.Ada, 'All here');
    for (const page of [people.Mina, people.Jun]) await until('the line', async () => (await chat(page)).join() === 'Ada All here');
  });

  it('a call goes on while the server is away, and everybody meets again when it is back', async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-call-'));
    const settings = { ...SETTINGS, PORT: String(await freePort()), DATA_DIR: dir };
    const server = await start(settings);
    const people = { Mina: await join(server, 'Mina', { forgive: AWAY }), Jun: await join(server, 'Jun', { forgive: AWAY }) };
    await meet(people);
    const before = await tile(people.Mina, 'Jun').getAttribute('data-peer');
    server.kill('SIGKILL');
    await server.exited;
    for (const page of Object.values(people)) await page.locator('#banner[data-state=reconnecting], #banner[data-state=lost]').waitFor();
    await meet(people);
    await start(settings);
    await until('a new socket', async () => {
      const id = (await count(people.Mina)) === 1 && (await tile(people.Mina, 'Jun').getAttribute('data-peer'));
      return id && id !== before;
    }, 40_000);
    await meet(people);
    await says(people.Jun, 'Back');
    await until('the line', async () => (await chat(people.Mina)).at(-1) === 'Jun Back');
    fs.rmSync(dir, { recursive: true, force: true });
  });

  it('whoever loses the network is there again at once, and only once, though the server has not missed it', async () => {
    const server = await start();
    const way = await fragile(server.port);
    const people = { Mina: await join(way, 'Mina', { forgive: AWAY }), Jun: await join(server, 'Jun') };
    await meet(people);
    const before = await tile(people.Jun, 'Mina').getAttribute('data-peer');
    way.breaks();
    await until('a new socket', async () => (await tile(people.Jun, 'Mina').getAttribute('data-peer')) !== before);
    await meet(people);
    const { health } = await (await fetch(`${server.url}/api/flows?limit=1`)).json();
    assert.equal(health.connections, 3, 'the lost one is still counted');
    way.close();
  });

  it('a connection that fails on both sides at once is restarted', async () => {
    const server = await start();
    const [mina, jun] = [await join(server, 'Mina', { script: withConnections }), await join(server, 'Jun', { script: withConnections })];
    await meet({ Mina: mina, Jun: jun });
    const credentials = (page) => page.evaluate(() => window.connections.at(-1).currentLocalDescription.sdp.match(/a=ice-ufrag:\S+/)[0]);
    const before = await Promise.all([mina, jun].map(credentials));
    await Promise.all([mina, jun].map((page) => page.evaluate(fail)));
    await until('new credentials', async () => (await Promise.all([mina, jun].map(credentials))).every((now, i) => now !== before[i]));
    await meet({ Mina: mina, Jun: jun });
    assert.deepEqual(await Promise.all([mina, jun].map((page) => page.evaluate(() => window.connections.length))), [1, 1], 'the same connection');
  });

  it('one can join without a camera and a microphone', async () => {
    const server = await start();
    const mina = await join(server, 'Mina', { script: withoutDevices });
    await mina.locator('#self', { hasText: 'no microphone, no camera' }).waitFor();
    const jun = await join(server, 'Jun');
    await sees(mina, 'Jun');
    await tile(jun, 'Mina').and(jun.locator('[data-state=connected][data-video=false]')).waitFor();
    await says(mina, 'I can only read');
    await until('the line', async () => (await chat(jun)).join() === 'Mina I can only read');
    const ada = await join(server, 'Ada', { script: withoutDevices });
    await sees(ada, 'Jun');
    await tile(ada, 'Mina').and(ada.locator('[data-state=connected]')).waitFor();
  });

  it('the others see who is muted and who turned the camera off, and that it is on again', async () => {
    const server = await start();
    const [mina, jun] = [await join(server, 'Mina'), await join(server, 'Jun')];
    await meet({ Mina: mina, Jun: jun });
    await mina.getByRole('button', { name: 'Mute microphone' }).click();
    await mina.getByRole('button', { name: 'Turn camera off' }).click();
    await tile(jun, 'muted').and(jun.locator('[data-video=false]')).waitFor();
    await mina.locator('#self', { hasText: 'muted' }).waitFor();
    await mina.getByRole('button', { name: 'Turn microphone on' }).click();
    await mina.getByRole('button', { name: 'Turn camera on' }).click();
    await jun.locator('.tile[data-peer][data-video=true]').waitFor();
    await until('its sound', async () => !/muted/.test(await tile(jun, 'Mina').innerText()));
    await meet({ Mina: mina, Jun: jun });
  });

  it('a full room says so, and lets one in when somebody has left', async () => {
    const server = await start({ ...SETTINGS, MAX_PEERS_PER_ROOM: '2' });
    const [mina, jun] = [await join(server, 'Mina'), await join(server, 'Jun')];
    await meet({ Mina: mina, Jun: jun });
    const ada = await join(server, 'Ada');
    await ada.getByRole('alert').filter({ hasText: 'This room is full.' }).waitFor();
    await mina.locator('#leave').click();
    await until('a free place', async () => (await count(jun)) === 0);
    await ada.locator('#join').click();
    await meet({ Ada: ada, Jun: jun });
    assert.equal(await ada.getByRole('alert').filter({ hasText: 'full' }).count(), 0);
  });

  it('a page without a room makes one up, and its link and QR code lead there', async () => {
    const server = await start();
    const page = await open(server, '');
    const room = await page.locator('#room').innerText();
    assert.match(room, /^[2-9a-z]{4}-[2-9a-z]{4}-[2-9a-z]{4}$/);
    const address = `${server.url}/call?room=${room}`;
    assert.deepEqual([page.url(), await page.locator('#link').inputValue()], [address, address]);
    await until('its QR code', async () => (await read(await page.locator('#qr').screenshot())).join() === address);
    const other = await open(server, '');
    assert.notEqual(await other.locator('#room').innerText(), room);
    await other.goto(`${server.url}/call#retro-7`);
    await other.waitForURL('**/call?room=retro-7');
    assert.equal(await other.locator('#room').innerText(), 'retro-7');
    await other.evaluate(() => (location.hash = 'retro-8'));
    await other.waitForURL('**/call?room=retro-8');
    await other.goto(`${server.url}/call?room=a%20b`);
    await other.getByRole('alert').filter({ hasText: 'The address names no room' }).waitFor();
  });

  it('guests need no account where the server lets them in', async () => {
    const server = await start(PRODUCTION);
    const [mina, jun] = [await join(server, 'Mina'), await join(server, 'Jun')];
    await meet({ Mina: mina, Jun: jun });
  });

  it('whoever has no account is led to the sign-in page and back to the room', async () => {
    const server = await start({ ...PRODUCTION, SIGNALING_AUTH: 'required' });
    const page = await open(server, '#retro-7');
    await page.waitForURL('**/login?next=*');
    assert.equal(new URL(page.url()).searchParams.get('next'), '/call?room=retro-7');
  });
});
