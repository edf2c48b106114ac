// The pages in real browsers, from the real server: a phone scans, the order opens on the monitor, whatever happens in between.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import axe from 'axe-core';
import { AWAY, NOTHING, launch, watch } from './browser.mjs';
import { camera, read, readFrames } from './camera.mjs';
import { UNLIMITED, freePort, startServer, until } from './server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const SETTINGS = { ...UNLIMITED, HTTP_RATE_MAX: '1000000', CANARY_INTERVAL: 'off' };
const PRODUCTION = { ...SETTINGS, NODE_ENV: 'production', CORS_ORIGINS: 'https://shop.example' };
const LABELS = [{ symbology: 'code128', text: 'ORDER-1042' }, { symbology: 'qrcode', text: 'ORDER-1043' }];
const PASSWORD = 'correct horse battery staple';
const OFFLINE_MS = 10_000;
const MOST_BYTES = 150_000;

describe('pages', () => {
  /** Without a camera, and with one that sees the labels. */
  let plain;
  let seeing;
  const servers = [];
  const dirs = [];
  const wrong = [];

  before(async () => {
    [plain, seeing] = await Promise.all([launch(), launch(...camera(LABELS))]);
  });
  afterEach(async () => {
    await Promise.all([plain, seeing].flatMap((browser) => browser.contexts()).map((context) => context.close()));
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    dirs.splice(0).forEach((dir) => fs.rmSync(dir, { recursive: true, force: true }));
    assert.deepEqual(wrong.splice(0), [], NOTHING);
  });
  after(() => Promise.all([plain?.close(), seeing?.close()]));

  async function start(settings = {}) {
    const server = await startServer({ ...SETTINGS, ...settings });
    servers.push(server);
    return server;
  }

  /** One that can come back at its place, with what it knew. */
  async function lasting() {
    const DATA_DIR = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-pages-'));
    dirs.push(DATA_DIR);
    const settings = { PORT: String(await freePort()), DATA_DIR };
    const again = () => start(settings);
    return { server: await again(), again };
  }

  /** A page in a browser profile of its own. */
  async function open(server, address, { browser = plain, origins = [], forgive, ...options } = {}) {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    watch(context, wrong, { origins: [server.url, ...origins], forgive });
    const page = await context.newPage();
    await page.goto(new URL(address, server.url).href);
    return page;
  }

  async function says(locator, pattern) {
    await locator.filter({ hasText: pattern, visible: true }).waitFor();
  }

  /** What the monitor's QR code leads to. */
  async function invitation(monitor) {
    await monitor.locator('#qr svg').waitFor();
    return monitor.locator('#qr').getAttribute('data-url');
  }

  /** A phone that came by the monitor's QR code. */
  async function pair(server, monitor, options) {
    const phone = await open(server, await invitation(monitor), options);
    await says(phone.locator('#there'), 'Monitor is there');
    return phone;
  }

  async function paired(server, options) {
    const monitor = await open(server, '/monitor', options);
    return { monitor, phone: await pair(server, monitor, options) };
  }

  /** Types order numbers in. */
  async function scan(phone, ...orders) {
    for (const order of orders) {
      await phone.locator('#manual').fill(order);
      await phone.locator('#manual').press('Enter');
      await until('the next one to be typed', async () => (await phone.locator('#manual').inputValue()) === '');
    }
  }

  const history = async (monitor) => (await monitor.locator('#history .number').allInnerTexts()).reverse();
  const outbox = (phone) => phone.locator('#outbox li').evaluateAll((rows) =>
    rows.map((row) => [row.querySelector('.number').textContent, row.dataset.state]).reverse());

  /** Waits for a condition that `look` leads to, and says what there was instead. */
  async function becomes(what, look, check, ms) {
    let seen;
    const checked = async () => check(seen = await look());
    await until(what, checked, ms).catch((error) => assert.fail(`${error.message}; there is: ${JSON.stringify(seen)}`));
  }

  /** All of them, in this order, each once, and the phone knows it. */
  async function arrived(monitor, phone, orders) {
    await becomes('the last order', () => history(monitor), (seen) => seen.includes(orders.at(-1)), 60_000);
    assert.deepEqual(await history(monitor), orders);
    assert.equal(await monitor.locator('#order').innerText(), orders.at(-1));
    const receipts = JSON.stringify(orders.map((order) => [order, 'displayed']));
    await becomes('the receipts', () => outbox(phone), (seen) => JSON.stringify(seen) === receipts);
    assert.deepEqual(await history(monitor), orders);
  }

  const waiting = (phone, count) => becomes(`${count} that wait`, () => outbox(phone),
    (seen) => seen.filter(([, state]) => state === 'waiting').length === count);

  it('the fake camera shows what a reader can read', async () => {
    assert.deepEqual(await readFrames(LABELS), LABELS.map(({ text }) => text));
  });

  it('a phone that reads the monitor’s QR code is paired, and what its camera sees opens on the monitor', async () => {
    const server = await start();
    const monitor = await open(server, '/monitor');
    const url = await invitation(monitor);
    await until('what the picture says', async () => (await read(await monitor.locator('#qr').screenshot())).join() === url);
    assert.ok(url.startsWith(`${server.url}/scan?`), url);

    const phone = await open(server, url, { browser: seeing, viewport: { width: 390, height: 844 } });
    for (const { text } of LABELS) {
      await until(text, async () => (await history(monitor)).includes(text), 30_000);
      await phone.locator('#outbox li[data-state=displayed]', { hasText: text }).first().waitFor();
    }
    await says(phone.locator('#outbox li').first(), /displayed/);
    assert.equal(phone.url(), `${server.url}/scan`, 'the secret is not in the address bar');
    assert.equal(await monitor.locator('#pairing').isVisible(), false, 'the code is out of the way');
    await says(monitor.locator('#phones'), 'Phone 1');
  });

  it('what is scanned without a network arrives when it is back: all of it, in order, once', async () => {
    const server = await start();
    const { monitor, phone } = await paired(server, { forgive: AWAY });
    await scan(phone, 'A-1', 'A-2');
    await arrived(monitor, phone, ['A-1', 'A-2']);

    await phone.context().setOffline(true);
    const since = await phone.evaluate(() => performance.now());
    await says(phone.locator('#banner'), 'This device is offline.');
    await scan(phone, 'A-3', 'A-4', 'A-5', 'A-6', 'A-7');
    await waiting(phone, 5);
    await monitor.reload();
    await until('its clock', async () => (await phone.evaluate(() => performance.now())) - since > OFFLINE_MS, OFFLINE_MS + 5_000);
    await waiting(phone, 5);
    await phone.context().setOffline(false);
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3', 'A-4', 'A-5', 'A-6', 'A-7']);
    assert.equal(await phone.locator('#banner').innerText(), '');
  });

  it('a monitor that is reloaded repeats nothing and misses nothing', async () => {
    const server = await start();
    const { monitor, phone } = await paired(server);
    await scan(phone, 'A-1', 'A-2');
    await arrived(monitor, phone, ['A-1', 'A-2']);
    await monitor.goto('about:blank');
    await says(phone.locator('#there'), 'No monitor there');
    await scan(phone, 'A-3', 'A-4');
    await becomes('them to be kept', () => outbox(phone), (seen) => seen.filter(([, state]) => state === 'accepted').length === 2);
    await monitor.goto(`${server.url}/monitor`);
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3', 'A-4']);
    assert.deepEqual(await monitor.locator('#history li[data-replayed] .number').allInnerTexts(), ['A-4', 'A-3']);
    await monitor.reload();
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3', 'A-4']);
    await scan(phone, 'A-5');
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3', 'A-4', 'A-5']);
  });

  it('a phone and a monitor that are reloaded without a network open all the same, and nothing is lost', async () => {
    const server = await start();
    const { monitor, phone } = await paired(server, { forgive: AWAY });
    await scan(phone, 'A-1');
    await arrived(monitor, phone, ['A-1']);
    for (const page of [monitor, phone]) {
      await page.waitForFunction(async () => navigator.serviceWorker.controller && (await caches.match(location.pathname)));
      await page.context().setOffline(true);
      await page.reload();
    }
    await monitor.locator('#order', { hasText: 'A-1' }).waitFor();
    await scan(phone, 'A-2', 'A-3');
    await waiting(phone, 2);
    for (const page of [phone, monitor]) await page.context().setOffline(false);
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3']);
  });

  it('what waits on a phone survives the end of its page', async () => {
    const server = await start();
    const { monitor, phone } = await paired(server, { forgive: AWAY });
    await scan(phone, 'A-1');
    await arrived(monitor, phone, ['A-1']);
    await phone.context().setOffline(true);
    await scan(phone, 'A-2', 'A-3', 'A-4');
    await waiting(phone, 3);
    await phone.goto('about:blank');
    await phone.context().setOffline(false);
    await phone.goto(`${server.url}/scan`);
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3', 'A-4']);
  });

  it('a server that is killed and started again loses nothing and repeats nothing', async () => {
    const { server, again } = await lasting();
    const { monitor, phone } = await paired(server, { forgive: AWAY });
    await scan(phone, 'A-1', 'A-2');
    await arrived(monitor, phone, ['A-1', 'A-2']);
    server.kill('SIGKILL');
    await server.exited;
    for (const page of [monitor, phone]) await says(page.locator('#banner'), /Reconnecting|No connection/);
    await scan(phone, 'A-3', 'A-4', 'A-5', 'A-6', 'A-7');
    await waiting(phone, 5);
    await again();
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3', 'A-4', 'A-5', 'A-6', 'A-7']);
    await scan(phone, 'A-8');
    await arrived(monitor, phone, ['A-1', 'A-2', 'A-3', 'A-4', 'A-5', 'A-6', 'A-7', 'A-8']);
  });

  it('six digits pair a phone as well, and wrong ones are told', async () => {
    const server = await start();
    const monitor = await open(server, '/monitor');
    const phone = await open(server, '/scan', { forgive: /status of 40[0-9]/ });
    await monitor.locator('#code').waitFor();
    const digits = (await monitor.locator('#code').innerText()).replace(/\D/g, '');
    assert.match(digits, /^\d{6}$/);
    await phone.locator('#pair-code').fill(digits === '123456' ? '123457' : '123456');
    await phone.locator('#pair-send').click();
    await says(phone.getByRole('alert'), 'There is no such code');
    await phone.locator('#pair-code').fill(`${digits.slice(0, 3)} ${digits.slice(3)}`);
    await phone.locator('#pair-send').click();
    await says(phone.locator('#there'), 'Monitor is there');
    await scan(phone, 'A-1');
    await arrived(monitor, phone, ['A-1']);
  });

  it('a monitor sends a phone away, which says so and can be paired again', async () => {
    const server = await start();
    const { monitor, phone } = await paired(server);
    await scan(phone, 'A-1');
    await arrived(monitor, phone, ['A-1']);
    await monitor.locator('#phones').getByRole('button').click();
    await says(phone.getByRole('alert'), 'The monitor sent this phone away.');
    await says(monitor.locator('#no-phones'), 'No phone is connected.');
    const digits = await monitor.locator('#code').innerText();
    await phone.locator('#pair-code').fill(digits);
    await phone.locator('#pair-send').click();
    await says(phone.locator('#there'), 'Monitor is there');
    await scan(phone, 'A-2');
    await until('the order', async () => (await history(monitor)).join() === 'A-1,A-2');
  });

  it('in production whoever has no account is led to the sign-in page, and back', async () => {
    const server = await start(PRODUCTION);
    const monitor = await open(server, '/monitor', { forgive: /status of 401/ });
    await monitor.waitForURL('**/login?next=%2Fmonitor');
    await monitor.locator('#switch').click();
    await monitor.locator('#username').fill('Mina');
    await monitor.locator('#email').fill('mina@example.com');
    await monitor.locator('#password').fill(PASSWORD);
    await monitor.locator('#send').click();
    await monitor.waitForURL('**/monitor');
    const phone = await pair(server, monitor);
    await scan(phone, 'A-1');
    await arrived(monitor, phone, ['A-1']);

    await monitor.goto(`${server.url}/login`);
    await says(monitor.locator('#who'), 'Mina');
    await monitor.locator('#out').click();
    await monitor.locator('#known').waitFor({ state: 'hidden' });
    await monitor.goto(`${server.url}/monitor`);
    await monitor.waitForURL('**/login?next=%2Fmonitor');
    await monitor.locator('#email').fill('mina@example.com');
    await monitor.locator('#password').fill('another password');
    await monitor.locator('#send').click();
    await says(monitor.getByRole('alert'), 'Email or password is wrong.');
    await monitor.locator('#password').fill(PASSWORD);
    await monitor.locator('#send').click();
    await monitor.waitForURL('**/monitor');
    await scan(phone, 'A-2');
    await until('the order', async () => (await history(monitor)).at(-1) === 'A-2');
    const demo = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"somebody"}' };
    assert.equal((await fetch(`${server.url}/api/auth/demo`, demo)).status, 404);
  });

  it('an order opens under its own address: beside its number, or all of them in one tab', async () => {
    const shop = http.createServer(({ url }, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(`<link rel="icon" href="data:,"><h1>${url}</h1>`);
    });
    await new Promise((resolve) => shop.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${shop.address().port}`;
    try {
      const server = await start({ ORDER_URL_TEMPLATE: `${origin}/orders/{orderNo}?from=signalbox` });
      const { monitor, phone } = await paired(server, { origins: [origin] });
      const order = 'A/1 한 &?#';
      await scan(phone, order);
      await arrived(monitor, phone, [order]);
      const address = `/orders/${encodeURIComponent(order)}?from=signalbox`;
      await says(monitor.frameLocator('#frame').locator('h1'), address);
      assert.equal(await monitor.locator('#history a').getAttribute('href'), origin + address);

      await monitor.locator('summary').click();
      const opened = monitor.context().waitForEvent('page');
      await monitor.locator('#view').selectOption('tab');
      const tab = await opened;
      await says(tab.locator('h1'), address);
      assert.equal(await monitor.locator('#frame').isVisible(), false);
      const pages = monitor.context().pages().length;
      await scan(phone, 'B-2');
      await tab.waitForURL(`${origin}/orders/B-2?from=signalbox`);
      assert.equal(monitor.context().pages().length, pages, 'the next order is in the same tab');
    } finally {
      await new Promise((resolve) => {
        shop.close(resolve);
        shop.closeAllConnections();
      });
    }
  });

  it('what a phone sends is never markup', async () => {
    const server = await start();
    const { monitor, phone } = await paired(server);
    const order = '<img src=x onerror=window.harmed=1><script>window.harmed=1</script>';
    await scan(phone, order);
    await arrived(monitor, phone, [order]);
    for (const page of [monitor, phone]) {
      assert.deepEqual(await page.evaluate(() => ['harmed' in window, document.querySelectorAll('main img, main script').length]), [false, 0]);
    }
  });

  it('the sign-in page leads to no other site', async () => {
    const server = await start();
    const page = await open(server, '/login');
    for (const next of ['https://evil.example/', '//evil.example/', '/\\evil.example/', 'javascript:alert(1)', 'data:text/html,x', '\x00']) {
      await page.goto(`${server.url}/login?next=${encodeURIComponent(next)}`);
      assert.equal(await page.locator('#without').evaluate(({ origin }) => origin), server.url, next);
    }
  });

  /** What axe-core finds that keeps people from using a page. */
  async function barriers(page) {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => window.axe.run());
    const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    return grave.map(({ id, nodes }) => `${new URL(page.url()).pathname} ${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }

  for (const colorScheme of ['light', 'dark']) {
    it(`nobody is kept from using a page, ${colorScheme}`, async () => {
      const server = await start({ SIGNALING_AUTH: 'optional' });
      const options = { colorScheme };
      const found = [];
      const check = async (page) => found.push(...await barriers(page));
      for (const address of ['/', '/login', '/scan', '/call']) await check(await open(server, address, options));
      const narrow = await open(server, '/', { ...options, viewport: { width: 320, height: 640 } });
      await check(narrow);
      const monitor = await open(server, '/monitor', options);
      await invitation(monitor);
      await check(monitor);
      const phone = await pair(server, monitor, { ...options, browser: seeing });
      await scan(phone, 'A-1');
      await phone.locator('#outbox li[data-state=displayed]', { hasText: 'A-1' }).waitFor();
      await Promise.all([check(monitor), check(phone)]);
      await monitor.locator('summary').click();
      await monitor.locator('#pair-more').click();
      await monitor.locator('#qr svg').waitFor();
      await check(monitor);
      const call = await open(server, '/call', { ...options, browser: seeing });
      await call.locator('#join').click();
      await call.locator('#chat-input').fill('Hello');
      await call.locator('#chat-send').click();
      await says(call.locator('#chat li'), 'Hello');
      await check(call);
      assert.deepEqual(found, []);
    });
  }

  it('no page is wider than a small phone', async () => {
    const server = await start();
    const viewport = { width: 320, height: 640 };
    const { monitor, phone } = await paired(server, { viewport });
    await scan(phone, 'A'.repeat(128));
    await arrived(monitor, phone, ['A'.repeat(128)]);
    const others = await Promise.all(['/', '/login', '/scan', '/call', '/monitor'].map((address) => open(server, address, { viewport })));
    await others.at(-1).locator('#qr svg').waitFor();
    for (const page of [monitor, phone, ...others]) {
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), page.url());
    }
  });

  it('no page weighs much, and the barcode reader is fetched only where a camera runs', async () => {
    const server = await start();
    /** Bytes as they came over the wire, without the reader; and whether that came. */
    async function weigh(address, ready, options = {}) {
      const page = await open(server, 'about:blank', options);
      const wire = await page.context().newCDPSession(page);
      const requests = new Map();
      wire.on('Network.responseReceived', ({ requestId, response }) => requests.set(requestId, { url: response.url, bytes: 0 }));
      wire.on('Network.loadingFinished', ({ requestId, encodedDataLength: bytes }) => Object.assign(requests.get(requestId) ?? {}, { bytes }));
      await wire.send('Network.enable');
      await page.goto(new URL(address, server.url).href);
      await page.locator(ready).waitFor();
      await page.waitForLoadState('networkidle');
      const all = [...requests.values()];
      const reader = all.some(({ url }) => url.endsWith('.wasm'));
      const bytes = all.filter(({ url }) => !url.endsWith('.wasm')).reduce((sum, { bytes: some }) => sum + some, 0);
      assert.ok(bytes > 0 && bytes < MOST_BYTES, `${address} weighs ${bytes} bytes`);
      return { page, reader };
    }
    const { page: monitor, reader } = await weigh('/monitor', '#qr svg');
    assert.equal(reader, false);
    for (const [address, ready] of [['/', '.ways'], ['/call', '#self[data-video=true]'], ['/login', '#send'], ['/scan', '#pair-send']]) {
      assert.equal((await weigh(address, ready, { browser: seeing })).reader, false, address);
    }
    const phone = await weigh(await invitation(monitor), '#outbox li', { browser: seeing });
    assert.equal(phone.reader, true);
  });

  it('speaks Korean to a Korean browser, and what the person chose after that', async () => {
    const server = await start();
    for (const address of ['/', '/monitor', '/scan', '/call', '/login']) {
      const page = await open(server, address, { locale: 'ko-KR' });
      assert.equal(await page.locator('html').getAttribute('lang'), 'ko', address);
      const texts = await page.locator('main [data-say]').filter({ visible: true }).allInnerTexts();
      const foreign = texts.filter((text) => text && !/[가-힣]/.test(text) && text !== 'Signalbox');
      assert.deepEqual([texts.length > 0, foreign], [true, []], address);
      await page.locator('#language').click();
      await page.locator('html[lang=en]').waitFor();
    }
    const french = await open(server, '/', { locale: 'fr-FR' });
    assert.equal(await french.locator('html').getAttribute('lang'), 'en');
  });

  it('what the server carries is what the sources say', async () => {
    await promisify(execFile)(process.execPath, ['web/build.mjs', '--check'], { cwd: root });
  });
});
