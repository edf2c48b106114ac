// The chat page in real browsers: people meet by a link, and what they write is there once, in order, whatever happens in between.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import axe from 'axe-core';
import { AWAY, NOTHING, launch, watch } from './browser.mjs';
import { endpoint, refuses, says as writes, waits } from './openai.mjs';
import { UNLIMITED, client, freePort, startServer, until } from './server.mjs';

const SETTINGS = { ...UNLIMITED, HTTP_RATE_MAX: '1000000', CANARY_INTERVAL: 'off' };
const PRODUCTION = { ...SETTINGS, NODE_ENV: 'production', CORS_ORIGINS: 'https://shop.example' };
const PASSWORD = 'correct horse battery staple';
const MOST_BYTES = 150_000;

describe('the chat page', () => {
  let browser;
  const servers = [];
  const wrong = [];

  before(async () => {
    browser = await launch();
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    assert.deepEqual(wrong.splice(0), [], NOTHING);
  });
  after(() => browser?.close());

  async function start(settings = {}) {
    const server = await startServer({ ...SETTINGS, ...settings });
    servers.push(server);
    return server;
  }

  /** A page in a browser profile of its own. */
  async function open(server, address = '/chat', { forgive, ...options } = {}) {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    watch(context, wrong, { origins: [server.url], forgive });
    const page = await context.newPage();
    await page.goto(new URL(address, server.url).href);
    return page;
  }

  /** The link by which somebody invites. */
  async function invitation(page) {
    await until('the link', async () => (await page.locator('#link').inputValue()) !== '');
    return page.locator('#link').inputValue();
  }

  /** Two who met by the link of the first. */
  async function meet(server, options) {
    const mina = await open(server, '/chat', options);
    const jun = await open(server, await invitation(mina), options);
    await jun.locator('#talk').waitFor();
    // Where there is room for both it opens by itself.
    if (options?.viewport) await mina.locator('#rooms a').click();
    await mina.locator('#talk').waitFor();
    return { mina, jun };
  }

  async function say(page, ...lines) {
    for (const line of lines) {
      await page.locator('#text').fill(line);
      await page.locator('#text').press('Enter');
    }
  }

  const lines = (page) => page.locator('#lines .line .body').allInnerTexts();
  const states = (page) => page.locator('#lines .line').evaluateAll((rows) => rows.map(({ dataset }) => dataset.state));
  const line = (page, text) => page.locator('#lines .line', { hasText: text });

  /** These are there, in this order and once each, and the server has all of them. */
  async function reads(page, expected) {
    await until(`${expected.length} lines`, async () => (await lines(page)).join('\n') === expected.join('\n')).catch(async (error) => {
      assert.deepEqual(await lines(page), expected, error.message);
    });
    await until('them to be sent', async () => (await states(page)).every((state) => state === 'sent'));
  }

  const numbered = (count, from = 1) => Array.from({ length: count }, (_, i) => `line ${from + i}`);
  const rooms = (page) => page.locator('#rooms .name').allInnerTexts();

  /** Someone with a socket and no page. */
  async function bare(server, user) {
    const socket = client(server.url, user);
    await until('a connection', () => socket.connected);
    return socket;
  }

  /** A line to be written while nobody else writes. */
  async function tells(socket, roomID, contents) {
    for (const content of contents) assert.equal((await socket.emitWithAck('message', { roomID, content })).success, true);
  }

  const roomOf = (page) => new URL(page.url()).searchParams.get('room');
  const userOf = async (page) => new URL(await invitation(page)).searchParams.get('with');

  it('two who open one link are in a room together, and each reads what the other writes', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    await say(mina, 'Hello Jun');
    await reads(jun, ['Hello Jun']);
    await say(jun, '안녕하세요', 'two lines');
    await jun.locator('#text').fill('first');
    await jun.locator('#text').press('Shift+Enter');
    await jun.locator('#text').pressSequentially('second');
    await jun.locator('#send').click();
    for (const page of [mina, jun]) await reads(page, ['Hello Jun', '안녕하세요', 'two lines', 'first\nsecond']);
    assert.deepEqual(await mina.locator('#lines .line').evaluateAll((rows) => rows.map((row) => 'own' in row.dataset)), [true, false, false, false]);
    assert.equal(await jun.locator('#lines .line').first().locator('.by').innerText(), await jun.locator('#title').innerText());

    // The same link leads to the same room, and the own one to nobody.
    await jun.goto(await invitation(mina));
    await reads(jun, ['Hello Jun', '안녕하세요', 'two lines', 'first\nsecond']);
    assert.equal((await rooms(jun)).length, 1);
    await mina.goto(await invitation(mina));
    await mina.locator('#notice', { hasText: 'This is your own link.' }).waitFor();
    assert.equal((await rooms(mina)).length, 1);
  });

  it('what somebody writes is never markup', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    const evil = ['<img src=x onerror=window.harmed=1>', '<script>window.harmed=1</script>', '"><svg onload=window.harmed=1>', 'javascript:alert(1)'];
    const harm = (page) => page.evaluate(() => ['harmed' in window, document.querySelectorAll('main :is(img, script, svg:not(#back *))').length]);
    await say(mina, ...evil);
    for (const page of [mina, jun]) {
      await reads(page, evil);
      assert.deepEqual(await harm(page), [false, 0]);
    }
    await mina.locator('#new').click();
    await mina.getByLabel('Name of the room').fill(evil[0]);
    await mina.getByLabel('Who takes part').fill(await userOf(jun));
    await mina.getByRole('button', { name: 'Begin' }).click();
    await jun.locator('#rooms .name', { hasText: evil[0] }).click();
    for (const page of [mina, jun]) {
      await page.locator('#title', { hasText: evil[0] }).waitFor();
      assert.deepEqual(await harm(page), [false, 0]);
    }
  });

  it('a message can be changed by whoever wrote it, and everybody sees that', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    await say(mina, 'thus', 'that');
    await reads(jun, ['thus', 'that']);
    assert.equal(await jun.getByRole('button', { name: /^Change/ }).count(), 0);
    await mina.locator('#text').fill('a draft');
    await line(mina, 'thus').hover();
    await mina.getByRole('button', { name: 'Change: thus' }).click();
    assert.equal(await mina.locator('#text').inputValue(), 'thus');
    await mina.locator('#text').fill('this');
    await mina.getByRole('button', { name: 'Save' }).click();
    for (const page of [mina, jun]) await reads(page, ['this', 'that']);
    await jun.locator('#lines .line', { hasText: 'this' }).getByText('changed').waitFor();
    assert.equal(await mina.locator('#text').inputValue(), 'a draft');

    // With the keyboard alone; Escape leaves it as it is.
    await mina.locator('#text').fill('');
    await mina.locator('#text').press('ArrowUp');
    await mina.locator('#text').press('Escape');
    await mina.locator('#text').press('ArrowUp');
    assert.equal(await mina.locator('#text').inputValue(), 'that');
    await mina.locator('#text').fill('those');
    await mina.locator('#text').press('Enter');
    for (const page of [mina, jun]) await reads(page, ['this', 'those']);
    await mina.reload();
    await reads(mina, ['this', 'those']);
  });

  it('what was said before is there when one scrolls up, and the place on the screen stays', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    const roomID = roomOf(mina);
    const writer = await bare(server, await userOf(jun));
    const all = numbered(200);
    await tells(writer, roomID, all);
    await mina.reload();
    await until('the end', async () => (await lines(mina)).at(-1) === 'line 200');
    await until('the end in sight', () => mina.locator('#log').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2));
    while ((await lines(mina)).length < 200) {
      const before = await mina.locator('#log').evaluate((log) => {
        log.scrollTop = 0;
        const [first] = log.querySelectorAll('.line');
        return { count: log.querySelectorAll('.line').length, text: first.innerText, top: first.getBoundingClientRect().top };
      });
      await until('a page', async () => (await mina.locator('#lines .line').count()) > before.count);
      const top = await mina.locator('#lines .line', { hasText: before.text.split('\n').find((part) => part.startsWith('line')) }).first()
        .evaluate((row) => row.getBoundingClientRect().top);
      assert.ok(Math.abs(top - before.top) < 60, `it was at ${before.top}, and is at ${top}`);
    }
    await reads(mina, all);
    await mina.locator('#log').evaluate((log) => (log.scrollTop = 0));
    await mina.locator('#older').waitFor({ state: 'hidden' });

    // What is said meanwhile does not take the reader away.
    await mina.locator('#log').evaluate((log) => (log.scrollTop = 2000));
    const place = await mina.locator('#log').evaluate((log) => log.scrollTop);
    await tells(writer, roomID, ['line 201']);
    await mina.locator('#down').waitFor();
    assert.equal(await mina.locator('#log').evaluate((log) => log.scrollTop), place);
    await mina.locator('#down').click();
    await reads(mina, numbered(201));
    await until('the end in sight', () => mina.locator('#log').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2));
    assert.equal(await mina.locator('#down').isVisible(), false);
    writer.close();
  });

  it('what is written without a network waits, says so, and arrives once and in order', async () => {
    const server = await start();
    const { mina, jun } = await meet(server, { forgive: AWAY });
    await say(mina, 'line 1');
    await reads(jun, ['line 1']);
    await mina.context().setOffline(true);
    await say(mina, 'line 2', 'line 3');
    await mina.locator('#banner', { hasText: /offline|gone/ }).waitFor();
    await line(mina, 'line 3').getByText('waiting for the server').waitFor();
    assert.deepEqual(await states(mina), ['sent', 'waiting', 'waiting']);
    await say(jun, 'where are you?');
    await mina.context().setOffline(false);
    await reads(jun, ['line 1', 'where are you?', 'line 2', 'line 3']);
    await reads(mina, ['line 1', 'where are you?', 'line 2', 'line 3']);
    await until('no banner', async () => (await mina.locator('#banner').innerText()) === '');
  });

  it('a server that is killed and started again loses nothing and repeats nothing, also over a reload', async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-chat-'));
    const settings = { PORT: String(await freePort()), DATA_DIR: dir };
    const server = await start(settings);
    const { mina, jun } = await meet(server, { forgive: AWAY });
    await say(mina, 'line 1');
    await reads(jun, ['line 1']);
    server.kill('SIGKILL');
    await server.exited;
    for (const page of [mina, jun]) await page.locator('#banner', { hasText: /Reconnecting|No connection/ }).waitFor();
    await say(mina, 'line 2', 'line 3', 'line 4');
    assert.deepEqual(await states(mina), ['sent', 'waiting', 'waiting', 'waiting']);
    await start(settings);
    for (const page of [mina, jun]) await reads(page, numbered(4));
    await say(jun, 'line 5');
    for (const page of [mina, jun]) await reads(page, numbered(5));

    // What waits belongs to the tab, and goes with it over a reload.
    await mina.context().setOffline(true);
    await say(mina, 'line 6');
    await mina.context().setOffline(false);
    await mina.reload();
    for (const page of [mina, jun]) await reads(page, numbered(6));
    fs.rmSync(dir, { recursive: true, force: true });
  });

  it('rooms where something new was said are marked until it was read', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    const [first, writer] = [roomOf(mina), await bare(server, await userOf(jun))];
    await mina.locator('#new').click();
    await mina.getByLabel('Name of the room').fill('Lunch');
    await mina.getByLabel('Who takes part').fill(await userOf(jun));
    await mina.getByRole('button', { name: 'Begin' }).click();
    await mina.locator('#title', { hasText: 'Lunch' }).waitFor();
    assert.notEqual(roomOf(mina), first);
    await tells(writer, first, ['one', 'two']);
    await mina.getByRole('img', { name: '2 new' }).waitFor();
    assert.match(await mina.title(), /^\(2\) Lunch$/);
    await mina.reload();
    await mina.getByRole('img', { name: '2 new' }).waitFor();
    await mina.locator('#rooms a', { has: mina.locator('.unread') }).click();
    await reads(mina, ['one', 'two']);
    await until('no mark', async () => (await mina.locator('.unread').count()) === 0);
    await mina.goBack();
    await mina.locator('#title', { hasText: 'Lunch' }).waitFor();
    assert.equal(await mina.locator('.unread').count(), 0);
    assert.deepEqual((await rooms(mina)).at(-1), 'Lunch', 'where something was said last comes first');
    writer.close();
  });

  it('the owner deletes a room for everybody, and whoever leaves one is out of it', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    await say(jun, 'soon gone');
    await reads(mina, ['soon gone']);
    // Whoever opens a link owns the room.
    assert.deepEqual(await Promise.all([mina, jun].map((page) => page.locator('#remove').innerText())), ['Leave', 'Delete']);
    await jun.locator('#remove').click();
    await jun.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await reads(jun, ['soon gone']);
    await jun.locator('#remove').click();
    await jun.getByRole('dialog').getByRole('button', { name: 'Delete the room' }).click();
    await mina.locator('#notice', { hasText: 'is no more' }).waitFor();
    for (const page of [mina, jun]) {
      await until('no room', async () => (await rooms(page)).length === 0);
      assert.equal(await page.locator('#talk').isVisible(), false);
    }
    assert.equal(await jun.locator('#notice').isVisible(), false);

    await jun.goto(await invitation(mina));
    await mina.locator('#talk').waitFor();
    await mina.locator('#remove').click();
    await mina.getByRole('dialog').getByRole('button', { name: 'Leave the room' }).click();
    await until('no room', async () => (await rooms(mina)).length === 0);
    await jun.locator('#people', { hasText: 'only you' }).waitFor();
  });

  it('a room that cannot be begun, and a message that is too long, are told', async () => {
    const server = await start();
    const { mina, jun } = await meet(server, { forgive: /status of 400/ });
    await mina.locator('#new').click();
    await mina.getByLabel('Name of the room').fill('   ');
    await mina.getByRole('button', { name: 'Begin' }).click();
    await mina.getByRole('dialog').getByRole('alert').waitFor();
    await mina.keyboard.press('Escape');
    await mina.getByRole('dialog').waitFor({ state: 'detached' });
    await say(mina, '한'.repeat(5462));
    await mina.getByRole('alert').filter({ hasText: 'too long' }).waitFor();
    await say(mina, 'shorter');
    await reads(jun, ['shorter']);
    assert.equal(await mina.getByRole('alert').filter({ hasText: 'too long' }).count(), 0);
  });

  it('in production people sign in, and find each other by user name', async () => {
    const server = await start(PRODUCTION);
    const people = [];
    for (const name of ['Mina', 'Jun']) {
      const page = await open(server, '/chat', { forgive: /status of 401/ });
      await page.waitForURL('**/login?next=%2Fchat');
      await page.locator('#switch').click();
      await page.locator('#username').fill(name);
      await page.locator('#email').fill(`${name}@example.com`);
      await page.locator('#password').fill(PASSWORD);
      await page.locator('#send').click();
      await page.waitForURL('**/chat');
      await page.locator('#no-rooms').waitFor();
      people.push(page);
    }
    const [mina, jun] = people;
    await mina.locator('#new').click();
    await mina.getByLabel('Name of the room').fill('Lunch');
    await mina.getByLabel('Who takes part').fill('Jun');
    await mina.getByRole('button', { name: 'Begin' }).click();
    await jun.locator('#title', { hasText: 'Lunch' }).waitFor();
    await say(mina, 'Hungry?');
    await reads(jun, ['Hungry?']);
    assert.equal(await jun.locator('#people').innerText(), 'Mina');
    await jun.goto(await invitation(mina));
    await jun.locator('#title', { hasText: 'Lunch' }).waitFor();
    assert.deepEqual(await rooms(jun), ['Lunch']);
  });

  it('the assistant writes piece by piece, and where it cannot the page says so', async () => {
    let go;
    const signal = new Promise((resolve) => (go = resolve));
    const fake = await endpoint();
    let see;
    const seen = new Promise((resolve) => (see = resolve));
    // The first answer waits in its middle until it was seen.
    fake.answers.push(writes(['It is ', seen.then(() => 'the <b>first</b> '), 'answer.']), refuses(400), waits(signal, writes(['late'])));
    try {
      const server = await start({ GPT_BASE_URL: fake.url, GPT_MODEL: 'fake' });
      const { mina, jun } = await meet(server);
      await say(mina, '@gpt which one is it?');
      for (const page of [mina, jun]) await page.locator('#lines .line[data-gpt][data-state=writing]', { hasText: 'It is' }).waitFor();
      see();
      for (const page of [mina, jun]) await reads(page, ['@gpt which one is it?', 'It is the <b>first</b> answer.']);
      assert.equal(await jun.locator('#lines .line[data-gpt] .by').innerText(), 'Assistant');
      await say(jun, '@gpt and now?');
      for (const page of [mina, jun]) await page.locator('#lines .line[data-state=failed]', { hasText: 'could not be written' }).waitFor();
      await say(jun, '@gpt later?');
      await say(mina, 'meanwhile');
      await line(jun, 'meanwhile').waitFor();
      go();
      await line(jun, 'late').and(jun.locator('[data-state=sent]')).waitFor();
      assert.deepEqual((await lines(jun)).slice(-3), ['@gpt later?', 'meanwhile', 'late']);
    } finally {
      await fake.close();
    }
  });

  it('a question that the server does not take can be asked again or be given up, and the rest goes on', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    await say(mina, '@gpt hello?', 'never mind');
    await reads(jun, ['never mind']);
    const refused = mina.locator('#lines .line[data-state=refused]');
    await refused.getByText('not sent: the assistant is not available').waitFor();
    await refused.getByRole('button', { name: 'Try again' }).click();
    await refused.getByText('not sent').waitFor();
    await refused.getByRole('button', { name: 'Discard' }).click();
    await reads(mina, ['never mind']);
  });

  it('everything can be done with the keyboard', async () => {
    const server = await start();
    const { mina, jun } = await meet(server);
    await jun.locator('#copy').focus();
    const reached = [];
    for (let i = 0; i < 6; i += 1) {
      await jun.keyboard.press('Tab');
      reached.push(await jun.evaluate(() => document.activeElement.id));
    }
    assert.deepEqual(reached.filter(Boolean).slice(0, 4), ['remove', 'log', 'text', 'send']);
    await jun.locator('#new').focus();
    await jun.keyboard.press('Enter');
    await jun.keyboard.type('Lunch');
    await jun.keyboard.press('Tab');
    await jun.keyboard.type(await userOf(mina));
    await jun.keyboard.press('Enter');
    await jun.locator('#title', { hasText: 'Lunch' }).waitFor();
    await jun.keyboard.type('typed at once');
    await jun.keyboard.press('Enter');
    await reads(jun, ['typed at once']);
    await mina.locator('#rooms a', { hasText: 'Lunch' }).focus();
    await mina.keyboard.press('Enter');
    await reads(mina, ['typed at once']);
    await until('the focus in the field', () => mina.evaluate(() => document.activeElement.id === 'text'));
  });

  it('on a phone rooms and messages have the screen to themselves, and one gets back', async () => {
    const server = await start();
    const { mina, jun } = await meet(server, { viewport: { width: 320, height: 640 }, hasTouch: true });
    await jun.locator('#talk').waitFor();
    assert.equal(await jun.locator('#rooms').isVisible(), false);
    await jun.locator('#back').tap();
    await jun.locator('#rooms a').tap();
    await jun.locator('#talk').waitFor();
    await jun.goBack();
    await jun.locator('#rooms').waitFor();
    assert.equal(await jun.locator('#talk').isVisible(), false);
    assert.ok(mina);
  });

  /** What axe-core finds that keeps people from using a page. */
  async function barriers(page) {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => window.axe.run());
    const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    return grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }

  for (const colorScheme of ['light', 'dark']) {
    it(`nobody is kept from using it, ${colorScheme}`, async () => {
      const server = await start();
      const options = { colorScheme, forgive: AWAY };
      const found = [];
      const empty = await open(server, '/chat', options);
      await empty.locator('#no-rooms').waitFor();
      found.push(...await barriers(empty));
      const { mina, jun } = await meet(server, options);
      await say(mina, 'Hello', '@gpt hello?');
      await mina.locator('#lines .line[data-state=refused]').waitFor();
      await say(jun, 'Hi');
      await line(mina, 'Hi').waitFor();
      found.push(...await barriers(mina), ...await barriers(jun));
      await line(mina, 'Hello').first().hover();
      found.push(...await barriers(mina));
      await mina.getByRole('button', { name: 'Change: Hello' }).click();
      found.push(...await barriers(mina));
      await mina.locator('#new').click();
      found.push(...await barriers(mina));
      await mina.keyboard.press('Escape');
      await jun.setViewportSize({ width: 320, height: 640 });
      found.push(...await barriers(jun));
      await jun.context().setOffline(true);
      await say(jun, 'waiting');
      await line(jun, 'waiting for the server').waitFor();
      found.push(...await barriers(jun));
      assert.deepEqual(found, []);
    });
  }

  it('is not wider than a small phone, whatever is said', async () => {
    const server = await start();
    const { mina, jun } = await meet(server, { viewport: { width: 320, height: 640 } });
    await say(mina, 'A'.repeat(500), 'https://example.com/'.repeat(20));
    await until('them', async () => (await lines(jun)).length === 2);
    const fits = (page) => page.evaluate(() =>
      [document.documentElement, document.querySelector('#log')].every((box) => box.scrollWidth <= box.clientWidth));
    for (const page of [mina, jun]) {
      assert.ok(await fits(page));
      await page.locator('#back').click();
      assert.ok(await fits(page));
    }
  });

  it('does not weigh much', async () => {
    const server = await start();
    const page = await open(server, 'about:blank');
    const wire = await page.context().newCDPSession(page);
    let bytes = 0;
    wire.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
    await wire.send('Network.enable');
    await page.goto(`${server.url}/chat`);
    await page.locator('#no-rooms').waitFor();
    await page.waitForLoadState('networkidle');
    assert.ok(bytes > 0 && bytes < MOST_BYTES, `${bytes} bytes`);
  });

  it('speaks Korean to a Korean browser', async () => {
    const server = await start();
    const { mina, jun } = await meet(server, { locale: 'ko-KR' });
    await say(mina, '안녕하세요');
    await reads(jun, ['안녕하세요']);
    for (const page of [mina, jun]) {
      assert.equal(await page.locator('html').getAttribute('lang'), 'ko');
      const texts = await page.locator('main :is([data-say], button, #people, .day)').filter({ visible: true }).allInnerTexts();
      assert.deepEqual(texts.filter((text) => text && !/[가-힣]/.test(text)), []);
    }
    await mina.locator('#language').click();
    await mina.locator('html[lang=en]').waitFor();
    await reads(mina, ['안녕하세요']);
  });
});
