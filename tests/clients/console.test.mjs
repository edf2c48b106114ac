// The console in a real browser, on a real server: what an engineer finds there, and what a hostile client cannot do.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NOTHING, launch, watch } from './browser.mjs';
import { inSession, startServer, token, until } from './server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = process.env.SIGNALBOX_BIN ?? path.join(root, 'target/debug/signalbox');
const QUIET = { CANARY_INTERVAL: 'off' };
const PRODUCTION = { ...QUIET, NODE_ENV: 'production', CORS_ORIGINS: 'https://shop.example' };
const MARKUP = '<img src=x onerror=window.harmed=1><script>window.harmed=1</script>';

describe('console', () => {
  let browser;
  const servers = [];
  const sockets = [];
  let wrong = [];

  before(async () => {
    browser = await launch();
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    sockets.splice(0).forEach((socket) => socket.close());
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    assert.deepEqual(wrong.splice(0), [], NOTHING);
  });
  after(() => browser?.close());

  async function start(settings = {}) {
    const server = await startServer({ ...QUIET, ...settings });
    servers.push(server);
    return server;
  }

  async function join(server, role, session = 'packing-7', options = {}) {
    const socket = await inSession(server.url, `${role}-1`, role, session, options);
    sockets.push(socket);
    return socket;
  }

  const scan = (phone, orderNo = 'A-1', session = 'packing-7') => phone.emitWithAck('scanOrder', { sessionId: session, orderNo, ts: Date.now() });

  /** The console in a profile of its own; what must never happen is noted. */
  async function open(server, hash = '', options = {}) {
    const context = await browser.newContext(options);
    // The browser notes every refusal; the page explains it.
    watch(context, wrong, { origins: [server.url], forgive: /status of 40[014]/ });
    const page = await context.newPage();
    await page.goto(`${server.url}/console${hash}`);
    return page;
  }

  /** The same page from the beginning. */
  async function visit(page, server, hash) {
    await page.goto('about:blank');
    await page.goto(`${server.url}/console${hash}`);
    await page.locator('main:not([hidden])').waitFor();
  }

  const box = (page) => page.getByLabel('Flow code, trace id or error id');
  const rows = (page) => page.locator('#rows tr');
  const verdict = (page) => page.locator('.verdict');
  const state = (page, name) => page.locator('.tile', { hasText: name });

  async function find(page, text) {
    await box(page).fill(text);
    await box(page).press('Enter');
  }

  async function says(locator, pattern) {
    let text;
    await until(`${pattern}`, async () => {
      text = (await locator.allInnerTexts()).join('\n');
      return pattern.test(text);
    }).catch((error) => assert.fail(`${error.message}; there is: ${text}`));
  }

  const explain = async (code, ...args) => (await promisify(execFile)(binary, ['explain', code, ...args])).stdout;

  it('names the slow hop of a scan by the code that the phone got, as the command line does', async () => {
    const server = await start({ FAULT_INJECTION: 'slow:scanOrder:300ms' });
    await join(server, 'monitor');
    const { flow, traceId } = await scan(await join(server, 'mobile'));
    const page = await open(server);
    await until('the field to have the focus', () => page.evaluate(() => document.activeElement.id === 'id'));

    const careless = flow.replace('-', '').toLowerCase().replaceAll('0', 'o').replaceAll('1', 'l');
    await find(page, ` ${careless} `);
    await says(verdict(page), /^Slow hop: decide took [3-9]\d\d ms/);
    assert.equal(new URL(page.url()).hash, `#${flow}`);
    assert.deepEqual(await page.locator('.hops tbody th').evaluateAll((all) => all.map((th) => th.firstChild.data)), ['queue', 'guard', 'decide', 'persist', 'deliver', 'answer', 'total']);
    assert.match(await page.locator('.hops tr.slow').innerText(), /^decide/);
    const widths = await page.locator('.bar').evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().width / bar.parentElement.clientWidth));
    assert.ok(widths[2] > 0.95 && widths[0] < 0.05, `the bars are to scale: ${widths}`);
    await says(page.locator('article'), /Delivered: handed to 1 monitor\./);

    await until('its log line', async () => {
      await page.reload();
      await says(verdict(page), /decide/);
      return (await page.locator('pre').allInnerTexts()).some((line) => JSON.parse(line).trace_id === traceId);
    });
    await find(page, traceId);
    await says(verdict(page), /Slow hop: decide/);
    const command = await page.locator('.actions code').innerText();
    assert.equal(command, `signalbox explain ${flow} --url ${server.url}`);
    assert.match(await explain(...command.split(' ').slice(2)), /Slow hop: decide/);
  });

  it('blames the event before for a scan that had to wait', async () => {
    const server = await start({ FAULT_INJECTION: 'slow:heartbeat:300ms' });
    await join(server, 'monitor');
    const phone = await join(server, 'mobile');
    for (let i = 0; i < 20; i += 1) await scan(phone);
    phone.emit('heartbeat');
    const { flow } = await scan(phone);
    const page = await open(server, `#${flow}`);
    await says(verdict(page), /^Slow hop: queue took \d+ ms, [\d,]+ times its median \(0\.\d+ ms\)\.$/);
    assert.match(await explain(flow, '--url', server.url), /Slow hop: queue/);
  });

  it('shows failures as they happen, and finds them by error id', async () => {
    const server = await start({ FAULT_INJECTION: 'fail:scanOrder' });
    const phone = await join(server, 'mobile');
    const page = await open(server);
    await page.getByLabel('Outcome').selectOption('failed');
    await until('the filter in the address bar', () => page.url().endsWith('#outcome=failed'));
    await says(page.locator('#empty'), /No flow that is kept matches/);

    const { error } = await scan(phone);
    await says(rows(page), new RegExp(`${error.flow}[^]*relay_failed[^]*INTERNAL`));
    await says(state(page, 'Scans'), /1 failed/);
    await rows(page).first().click();
    await says(verdict(page), /^Failed on our side/);
    await says(page.locator('.facts'), new RegExp(error.errorId));
    await says(page.locator('.log'), /An event failed\./);

    await page.keyboard.press('Escape');
    await until('the list again', () => page.url().endsWith('#outcome=failed'));
    assert.equal(await page.evaluate(() => document.activeElement.textContent), error.flow, 'the focus is where it was');
    await find(page, error.errorId.toUpperCase());
    await says(page.locator('article h2'), new RegExp(error.flow));
  });

  it('lists by every filter, from a deep link as well, and says when nobody saw a scan', async () => {
    const server = await start();
    const monitor = await join(server, 'monitor');
    const phone = await join(server, 'mobile');
    const [first, second] = [await scan(phone, 'A-1'), await scan(phone, 'A-2')];
    const refused = await phone.emitWithAck('scanOrder', { sessionId: 'packing-7', orderNo: '' });
    monitor.close();
    await until('the monitor to be gone', async () => (await scan(phone, 'A-3')).monitors === 0);
    const unseen = await scan(phone, 'A-4');
    const page = await open(server);
    const listed = async (hash) => {
      await visit(page, server, hash);
      return page.locator('#rows .code').allInnerTexts();
    };
    assert.deepEqual(await listed('#order=A-1'), [first.flow]);
    assert.deepEqual(await listed('#event=scanOrder&outcome=refused'), [refused.error.flow]);
    assert.deepEqual(await listed('#min_ms=60000'), []);
    assert.deepEqual(await listed(`#since=${Date.now() + 60_000}`), []);
    assert.deepEqual(await listed('#session=elsewhere'), []);
    const scans = await listed('#event=scanOrder&session=packing-7&since=5m');
    assert.deepEqual([scans[0], ...scans.slice(-2)], [unseen.flow, second.flow, first.flow], 'newest first');

    await visit(page, server, `#${unseen.flow}`);
    await says(page.locator('article'), /0 monitors: nobody was there to see it/);
    await page.getByText('All flows').click();
    await page.getByLabel('Order number').fill('A-2');
    await until('one row', async () => (await page.locator('#rows .code').allInnerTexts()).join() === second.flow);
    assert.ok(page.url().endsWith('#order=A-2'));
    await page.getByRole('button', { name: 'Clear' }).click();
    await until('all rows', async () => (await rows(page).count()) > 4);
    await page.setViewportSize({ width: 360, height: 800 });
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok((await overflow()) <= 0, 'the list fits a phone');
    // One that was not slow: on a busy disk some are.
    const quick = async () => {
      const { flow } = await scan(phone, 'A-5');
      const { flows } = await (await fetch(`${server.url}/api/flows/${flow}`)).json();
      return flows[0].slowHop === null && flow;
    };
    let flow;
    await until('a quick scan', async () => (flow = await quick()));
    await find(page, flow);
    await says(verdict(page), /No slow hop/);
    assert.ok((await overflow()) <= 0, 'a flow fits a phone');
  });

  it('explains a code that is not kept, and one that is none', async () => {
    const server = await start();
    const page = await open(server, '#ZZ-ZZZZ');
    const article = page.locator('article');
    await says(article, /ZZ-ZZZZ is not kept on this node/);
    for (const reason of [/too old: .+ keeps \d+ flows? in memory/, /started \d+ s ago/, /another node/, /typed wrong/, /grep -h 'ZZ-ZZZZ' logs/]) await says(article, reason);
    await find(page, 'UUUUUU');
    await says(article, /“UUUUUU” is no id of a flow[^]*letters I, L, O and U are not used/);
  });

  it('asks for an admin token in production, refuses a phone’s, and forgets', async () => {
    const server = await start(PRODUCTION);
    await join(server, 'monitor');
    const { flow } = await scan(await join(server, 'mobile'));
    const page = await open(server, `#${flow}`);
    const field = page.getByLabel('Admin token');
    const enter = async (text) => {
      await field.fill(text);
      await field.press('Enter');
    };
    await field.waitFor();
    assert.equal(await page.locator('main').isVisible(), false);
    await enter(token('phone', { role: 'mobile' }));
    await says(page.locator('#refused'), /That token was refused/);
    await enter('two words');
    await says(page.locator('#refused'), /That is not a token/);

    const admin = token('eve', { role: 'admin' });
    await enter(admin);
    await says(page.locator('article h2'), new RegExp(flow));
    assert.equal(await field.inputValue(), '');
    const kept = await page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie, location.href, document.documentElement.outerHTML]);
    assert.deepEqual(kept.slice(0, 3), [1, 0, '']);
    assert.ok(!kept.slice(3).join().includes(admin), 'the token is nowhere to be seen');
    assert.match(await explain(flow, '--url', server.url, '--token', admin), /answer/);
    await assert.rejects(explain(flow, '--url', server.url), /token/i);
    await page.reload();
    await says(page.locator('article h2'), new RegExp(flow));

    await page.getByRole('button', { name: 'Forget token' }).click();
    await field.waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    assert.ok(!(await page.locator('body').innerText()).includes(flow), 'nothing of the node is left');
  });

  it('what clients send is never markup', async () => {
    const server = await start({ FAULT_INJECTION: 'fail:heartbeat' });
    const phone = await join(server, 'mobile', MARKUP.slice(0, 100), { extraHeaders: { 'user-agent': MARKUP } });
    const answers = [
      await phone.emitWithAck('scanOrder', { sessionId: MARKUP.slice(0, 100), orderNo: MARKUP, ts: 1, nonce: MARKUP.slice(0, 60), traceparent: MARKUP }),
      await phone.emitWithAck('scanOrder', { sessionId: MARKUP, orderNo: { [MARKUP]: MARKUP }, ts: MARKUP }),
      await phone.emitWithAck(MARKUP, MARKUP),
      await phone.emitWithAck('join', { roomId: MARKUP }),
      await phone.emitWithAck('heartbeat', MARKUP),
    ];
    const hashes = answers.map(({ flow, error }) => `#${flow ?? error.flow}`);
    hashes.push('', '#<img><iframe>', '#%3Cimg%3E', `#${MARKUP}`, `#${encodeURIComponent(MARKUP)}`, '#javascript:alert(1)', '#%E0%A4%A', `#outcome=${MARKUP}&since=${MARKUP}&session=${MARKUP}`, '#__proto__', '#constructor=1');
    const page = await open(server);
    for (const hash of hashes) {
      await visit(page, server, hash);
      await unharmed(page, hash);
    }
  });

  it('whatever the API says is never markup', async () => {
    const server = await start({ FAULT_INJECTION: 'fail:scanOrder' });
    const { error } = await scan(await join(server, 'mobile'));
    const poison = (value, key) => {
      if (key === 'links') return { trace: `javascript:window.harmed=1//{traceId}`, dashboard: `data:text/html,${MARKUP}` };
      if (typeof value === 'string') return MARKUP;
      if (Array.isArray(value)) return value.map((v) => poison(v));
      if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, poison(v, k)]));
      return value;
    };
    const page = await open(server);
    await page.route('**/api/**', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: poison(await response.json()) });
    });
    for (const hash of ['', `#${error.flow}`]) {
      await visit(page, server, hash);
      await says(page.locator(hash ? 'article' : '#rows'), /window\.harmed=1/);
      await unharmed(page, hash);
    }
  });

  async function unharmed(page, hash) {
    await page.waitForLoadState('networkidle');
    const [harmed, foreign, links] = await page.evaluate(() => [
      'harmed' in window,
      document.querySelectorAll('img, iframe, object, embed, base, body script, [onerror], [onclick], [style*=url]').length,
      [...document.links].map((a) => a.href),
    ]);
    assert.deepEqual([harmed, foreign], [false, 0], hash);
    for (const href of links) assert.match(href, /^https?:/, hash);
  }

  it('rests while the tab is hidden or paused, and says when the server does not answer', async () => {
    const server = await start();
    const page = await open(server);
    await page.clock.install();
    const asked = [];
    page.on('request', (request) => request.url().includes('/api/') && asked.push(new URL(request.url()).searchParams.get('limit')));
    const hide = (value) => {
      Object.defineProperty(document, 'hidden', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    };
    await page.addInitScript(hide, true);
    await visit(page, server, '');
    asked.length = 0;
    await page.clock.runFor(60_000);
    assert.deepEqual(asked, [], 'a tab that was opened in the background asks once');
    const answered = async (step) => {
      const response = page.waitForResponse('**/api/**');
      await step();
      await (await response).finished();
    };
    await answered(() => page.evaluate(hide, false));
    await answered(() => page.clock.runFor(2500));
    assert.equal(asked.length, 2, 'at once, and again after a while');
    await page.evaluate(hide, true);
    await page.clock.runFor(60_000);
    assert.equal(asked.length, 2, 'nothing is asked for while nobody looks');
    await page.evaluate(hide, false);

    await page.getByRole('button', { name: 'Pause' }).click();
    await says(page.locator('#state'), /^Paused at /);
    await until('health only', () => asked.at(-1) === '1');
    const phone = await join(server, 'mobile');
    const { flow } = await scan(phone);
    await page.clock.runFor(2500);
    await says(state(page, 'Connections'), /1/);
    assert.equal(await page.getByText(flow).count(), 0, 'the list stands still');
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByText(flow).waitFor();

    server.kill('SIGKILL');
    await server.exited;
    await page.clock.runFor(2500);
    await says(page.getByRole('alert'), /No answer from the server\. What you see is from \d\d:\d\d/);
    wrong = wrong.filter((text) => !text.includes('ERR_CONNECTION_REFUSED'));
  });
});
