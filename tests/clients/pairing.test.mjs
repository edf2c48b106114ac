// Pairing with the official client: invitations by token and by code, phones without an account, sending one away.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SECRET, UNLIMITED, client, errorOf, inSession, once, startServer, until } from './server.mjs';

const settings = { ...UNLIMITED, HTTP_RATE_MAX: '1000000' };

function jwt(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
}

/** A monitor that invites, and is in its session. */
async function inviting(url, user = 'm') {
  const monitor = client(url, user, 'monitor');
  monitor.emit('registerClient', { role: 'monitor' });
  const created = once(monitor, 'session:created');
  monitor.emit('session:create');
  const invitation = await created;
  const joined = once(monitor, 'joinedSession');
  monitor.emit('joinSession', { sessionId: invitation.sessionId });
  await joined;
  return { monitor, invitation };
}

async function pair(url, body) {
  const answer = await fetch(`${url}/api/pair`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json(), headers: answer.headers };
}

function paired(url, token) {
  return client(url, 'nobody', undefined, { auth: { token } });
}

describe('pairing', () => {
  let server;
  before(async () => {
    server = await startServer(settings);
  });
  after(() => server.stop());

  it('invites with a token, a code and a link, all for ten minutes', async () => {
    const { monitor, invitation } = await inviting(server.url);
    assert.match(invitation.sessionId, /^[0-9A-Z]{8}$/);
    assert.match(invitation.pairingCode, /^[1-9][0-9]{5}$/);
    assert.equal(invitation.expiresIn, 600);
    const link = new URL(invitation.pairingUrl, server.url);
    assert.equal(link.searchParams.get('sid'), invitation.sessionId);
    assert.equal(link.searchParams.get('t'), invitation.pairingToken);
    const claims = JSON.parse(Buffer.from(invitation.pairingToken.split('.')[1], 'base64url'));
    assert.equal(claims.sid, invitation.sessionId);
    assert.equal(claims.exp - claims.iat, 600);
    const asAccess = client(server.url, 'x', 'mobile', { auth: { token: invitation.pairingToken }, reconnection: false });
    assert.match((await once(asAccess, 'connect_error')).message, /authentication/i);
    monitor.close();
  });

  for (const [way, shown] of [
    ['token', ({ sessionId, pairingToken }) => ({ sessionId, pairingToken })],
    ['code', ({ pairingCode }) => ({ pairingCode })],
  ]) {
    it(`lets a phone in by ${way}, tells the monitor, and its scans arrive`, async () => {
      const { monitor, invitation } = await inviting(server.url);
      const phone = client(server.url, 'p', 'mobile');
      await once(phone, 'connect');
      const [told, heard] = [once(monitor, 'session:paired'), once(phone, 'session:paired')];
      const coming = once(monitor, 'clientJoined');
      const answer = await phone.emitWithAck('session:join', shown(invitation));
      assert.equal(answer.success, true);
      assert.equal(answer.sessionId, invitation.sessionId);
      const news = await told;
      assert.deepEqual(news, await heard);
      assert.equal(news.sessionId, invitation.sessionId);
      assert.equal(news.socketId, phone.id);
      assert.ok(Math.abs(news.at - Date.now()) < 60_000);
      assert.equal((await coming).role, 'mobile');

      const arriving = once(monitor, 'navigate');
      const ack = await phone.emitWithAck('scanOrder', { sessionId: invitation.sessionId, orderNo: 'A', ts: 1 });
      assert.equal(ack.seq, 1);
      assert.equal((await arriving).orderNo, 'A');
      [phone, monitor].forEach((s) => s.close());
    });
  }

  it('tells whoever invites also where it has not joined its session', async () => {
    const monitor = client(server.url, 'm', 'monitor');
    const created = once(monitor, 'session:created');
    monitor.emit('session:create');
    const { sessionId, pairingCode } = await created;
    const phone = client(server.url, 'p', 'mobile');
    const told = once(monitor, 'session:paired');
    phone.emit('session:join', { pairingCode });
    assert.equal((await told).sessionId, sessionId);
    [phone, monitor].forEach((s) => s.close());
  });

  it('says no to used, ended, forged and foreign tokens, by acknowledgement and by session:error', async () => {
    const { monitor, invitation } = await inviting(server.url);
    const phone = client(server.url, 'p', 'mobile');
    await once(phone, 'connect');
    const refused = async (payload) => {
      const event = once(phone, 'session:error');
      const ack = await phone.emitWithAck('session:join', payload);
      const { code, message } = await event;
      assert.deepEqual(errorOf(ack), { code, message });
      return code;
    };
    const { sessionId, pairingToken, pairingCode } = invitation;
    const now = Math.floor(Date.now() / 1000);
    const claims = { type: 'pairing', sid: sessionId, jti: '0'.repeat(32), iat: now - 10, exp: now + 100 };
    for (const [wrong, token] of Object.entries({
      'a guessed id': jwt(claims),
      ended: jwt({ ...claims, iat: now - 700, exp: now - 100 }),
      endless: jwt({ ...claims, exp: undefined }),
      'an access token': jwt({ sub: 'x', exp: now + 100 }),
      'a changed one': `${pairingToken.slice(0, -6)}AAAAAA`,
      'no token': 'x',
      'a long one': 'x'.repeat(3000),
    })) {
      assert.equal(await refused({ sessionId, pairingToken: token }), 'INVALID_TOKEN', wrong);
    }
    assert.equal(await refused({ sessionId: 'ANOTHER1', pairingToken }), 'SID_MISMATCH');
    assert.equal(await refused({ pairingToken }), 'VALIDATION_ERROR');
    assert.equal(await refused({}), 'VALIDATION_ERROR');
    assert.equal(await refused({ pairingCode: 'abcdef' }), 'VALIDATION_ERROR');

    assert.equal((await phone.emitWithAck('session:join', { sessionId, pairingToken })).success, true);
    assert.equal(await refused({ sessionId, pairingToken }), 'INVALID_TOKEN', 'used');
    assert.equal(await refused({ pairingCode }), 'PAIRING_FAILED', 'the code of a used invitation');
    [phone, monitor].forEach((s) => s.close());
  });

  it('sends a phone away: it hears so, the others too, and it cannot scan', async () => {
    const { monitor, invitation } = await inviting(server.url);
    const { sessionId } = invitation;
    const phone = client(server.url, 'p', 'mobile');
    await once(phone, 'connect');
    await phone.emitWithAck('session:join', { pairingCode: invitation.pairingCode });
    const asPhone = await phone.emitWithAck('session:unpair', { sessionId, socketId: phone.id });
    assert.equal(asPhone.error.code, 'FORBIDDEN');
    const elsewhere = await monitor.emitWithAck('session:unpair', { sessionId: 'OTHER', socketId: phone.id });
    assert.equal(elsewhere.error.code, 'FORBIDDEN');
    const nobody = await monitor.emitWithAck('session:unpair', { sessionId, socketId: monitor.id });
    assert.equal(nobody.error.code, 'NOT_FOUND');

    const [away, left] = [once(phone, 'session:unpaired'), once(monitor, 'clientLeft')];
    const answer = await monitor.emitWithAck('session:unpair', { sessionId, socketId: phone.id });
    assert.equal(answer.success, true);
    assert.equal((await away).sessionId, sessionId);
    assert.deepEqual(await left, { socketId: phone.id, status: { isActive: true, hasMobile: false, hasMonitor: true } });
    const scan = await phone.emitWithAck('scanOrder', { sessionId, orderNo: 'A', ts: 1 });
    assert.equal(scan.error.code, 'FORBIDDEN');
    assert.equal(phone.connected, true, 'it has an account of its own');
    [phone, monitor].forEach((s) => s.close());
  });

  it('invites again into a session that goes on, and the earlier invitation ends', async () => {
    const { monitor, invitation } = await inviting(server.url);
    const again = await monitor.emitWithAck('session:create', { sessionId: invitation.sessionId });
    assert.equal(again.sessionId, invitation.sessionId);
    assert.notEqual(again.pairingToken, invitation.pairingToken);
    const { sessionId, pairingToken } = invitation;
    assert.equal((await pair(server.url, { sessionId, pairingToken })).body.error.code, 'INVALID_TOKEN');
    assert.equal((await pair(server.url, again)).status, 200);

    const stranger = await inSession(server.url, 's', 'monitor', 'elsewhere');
    const refused = await stranger.emitWithAck('session:create', { sessionId: invitation.sessionId });
    assert.equal(refused.error.code, 'FORBIDDEN');
    [stranger, monitor].forEach((s) => s.close());
  });
});

describe('guessing codes', () => {
  it('ends after five tries in a minute from one address, on the socket and over HTTP together', async () => {
    const server = await startServer(settings);
    try {
      const { monitor, invitation } = await inviting(server.url);
      const phone = client(server.url, 'p', 'mobile');
      await once(phone, 'connect');
      const wrong = invitation.pairingCode === '100000' ? '100001' : '100000';
      for (let i = 0; i < 3; i += 1) {
        assert.equal((await phone.emitWithAck('session:join', { pairingCode: wrong })).error.code, 'PAIRING_FAILED');
      }
      for (let i = 0; i < 2; i += 1) {
        assert.equal((await pair(server.url, { pairingCode: wrong })).body.error.code, 'PAIRING_FAILED');
      }
      assert.equal((await phone.emitWithAck('session:join', { pairingCode: invitation.pairingCode })).error.code, 'RATE_LIMIT');
      const limited = await pair(server.url, { pairingCode: invitation.pairingCode });
      assert.equal(limited.status, 429);
      assert.ok(Number(limited.headers.get('retry-after')) > 0);
      // Who has the token guesses nothing.
      assert.equal((await pair(server.url, invitation)).status, 200);
      [phone, monitor].forEach((s) => s.close());
    } finally {
      await server.stop();
    }
  });
});

describe('a phone without an account', () => {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-pairing-'));
  let server;
  before(async () => {
    server = await startServer({ ...settings, DATA_DIR: data });
  });
  after(async () => {
    await server.stop();
    fs.rmSync(data, { recursive: true, force: true });
  });

  it('gets a token for its session alone, and the monitor is told when it comes, once', async () => {
    const { monitor, invitation } = await inviting(server.url);
    const { status, body } = await pair(server.url, { pairingCode: invitation.pairingCode });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body).sort(), ['expiresIn', 'sessionId', 'token']);
    assert.equal(body.sessionId, invitation.sessionId);
    const claims = JSON.parse(Buffer.from(body.token.split('.')[1], 'base64url'));
    assert.equal(claims.role, 'mobile');
    assert.equal(claims.exp - claims.iat, body.expiresIn);

    const told = [];
    monitor.on('session:paired', (news) => told.push(news));
    const phone = paired(server.url, body.token);
    await once(phone, 'connect');
    const joined = once(phone, 'joinedSession');
    phone.emit('joinSession', { sessionId: body.sessionId });
    await joined;
    await until('the news', () => told.length === 1);
    assert.equal(told[0].socketId, phone.id);
    const arriving = once(monitor, 'navigate');
    const ack = await phone.emitWithAck('scanOrder', { sessionId: body.sessionId, orderNo: 'A', ts: 1 });
    assert.equal(ack.durable, true);
    assert.equal((await arriving).from, 'mobile');

    for (const [event, payload] of [
      ['joinSession', { sessionId: 'another' }],
      ['registerClient', { role: 'monitor' }],
      ['session:create', {}],
      ['create-room', { roomId: 'room-1', name: 'Room' }],
      ['token:renew', { token: body.token }],
    ]) {
      assert.equal((await phone.emitWithAck(event, payload)).error.code, 'FORBIDDEN', event);
    }
    const me = await fetch(`${server.url}/api/auth/me`, { headers: { authorization: `Bearer ${body.token}` } });
    assert.equal(me.status, 401);

    // Its Wi-Fi blinks: it comes back with the same token, and nobody is told that it was paired.
    phone.io.engine.close();
    await once(phone, 'connect');
    const back = once(phone, 'joinedSession');
    phone.emit('joinSession', { sessionId: body.sessionId });
    await back;
    await monitor.emitWithAck('heartbeat');
    assert.equal(told.length, 1);
    [phone, monitor].forEach((s) => s.close());
  });

  it('is gone when the monitor sends it away, and does not come back, also not after a restart', async () => {
    const { monitor, invitation } = await inviting(server.url);
    const { body } = await pair(server.url, { pairingCode: invitation.pairingCode });
    const phone = paired(server.url, body.token);
    const joined = once(phone, 'joinedSession');
    phone.emit('joinSession', { sessionId: body.sessionId });
    await joined;
    const [away, gone, refused] = [once(phone, 'session:unpaired'), once(phone, 'disconnect'), once(phone, 'connect_error')];
    const answer = await monitor.emitWithAck('session:unpair', { sessionId: body.sessionId, socketId: phone.id });
    assert.equal(answer.success, true);
    await away;
    await gone;
    phone.connect();
    assert.match((await refused).message, /authentication/i);
    phone.close();
    monitor.close();

    await server.stop();
    server = await startServer({ ...settings, DATA_DIR: data });
    const again = paired(server.url, body.token);
    assert.match((await once(again, 'connect_error')).message, /authentication/i);
    again.close();
  });
});
