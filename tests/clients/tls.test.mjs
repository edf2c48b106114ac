// TLS on the server's own port, and what makes a development server easy to try: a certificate, a kept secret.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import { TRANSPORTS, binary, freePort, inSession, once, startServer, until } from './server.mjs';

/** The body of an answer, of a server whose certificate nobody vouches for. */
const get = (url, agent) => new Promise((resolve, reject) => {
  https.get(url, { rejectUnauthorized: false, agent }, (answer) => {
    let body = '';
    const certificate = answer.socket.getPeerCertificate();
    answer.on('data', (data) => { body += data; });
    answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body, certificate }));
  }).on('error', reject);
});

/** What a server says that does not start. */
function refused(settings, args = ['serve']) {
  const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-tls-'));
  const { status, stderr } = spawnSync(binary, args, { cwd, env: { PORT: '0', HOST: '127.0.0.1', ...settings }, encoding: 'utf8', timeout: 20_000 });
  fs.rmSync(cwd, { recursive: true });
  assert.equal(status, 2);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  return stderr;
}

describe('a server with --dev-tls', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-tls-'));
  let server;
  before(async () => {
    // No secret is set: one is made up.
    server = await startServer({ DATA_DIR: dir, SOCKET_JWT_SECRET: '', PORT: String(await freePort()) }, ['serve', '--dev-tls']);
  });
  after(async () => {
    await server.stop();
    fs.rmSync(dir, { recursive: true });
  });

  const visit = async (name) => {
    const answer = await fetch(`http://127.0.0.1:${server.port}/api/auth/demo`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name }),
    });
    return { status: answer.status, ...(await answer.json()) };
  };
  const open = (token, transports) => io(server.url, { auth: { token }, transports, rejectUnauthorized: false, forceNew: true });

  for (const [how, transports] of Object.entries(TRANSPORTS)) {
    it(`relays a scan over ${how}, also to a monitor on this machine that speaks plainly`, async () => {
      const { token } = await visit('phone0123');
      const phone = open(token, transports);
      const monitor = await inSession(`http://127.0.0.1:${server.port}`, 'm', 'monitor', 's', { auth: { token } });
      const shown = once(monitor, 'navigate');
      phone.emit('registerClient', { role: 'mobile' });
      phone.emit('joinSession', { sessionId: 's' });
      const ack = await phone.emitWithAck('scanOrder', { sessionId: 's', orderNo: 'A-1', ts: 1 });
      assert.deepEqual([ack.received, ack.monitors, (await shown).orderNo], [true, 1, 'A-1']);
      phone.close();
      monitor.close();
    });
  }

  it('carries messages of many records, both ways', async () => {
    const { token } = await visit('caller012');
    const [a, b] = [open(token, ['websocket']), open(token, ['websocket'])];
    const [other] = await (async () => {
      await a.emitWithAck('join', { roomId: 'large' });
      const existing = once(b, 'existing-peers');
      await b.emitWithAck('join', { roomId: 'large' });
      return existing;
    })();
    const sdp = 'v=0\r\n'.padEnd(60_000, 'x');
    const offered = once(a, 'offer');
    assert.deepEqual(await b.emitWithAck('offer', { to: other.peerId, offer: { type: 'offer', sdp } }), { delivered: true });
    assert.equal((await offered).offer.sdp, sdp);
    a.close();
    b.close();
  });

  it('tells its pages where phones reach it, and never makes a browser insist on TLS', async () => {
    const page = await get(`${server.url}/monitor`);
    const told = JSON.parse(page.body.match(/name="signalbox" content="([^"]*)"/)[1].replaceAll('&quot;', '"').replaceAll('&amp;', '&'));
    assert.equal(told.origin, `https://127.0.0.1:${server.port}`);
    assert.equal(told.development, true);
    assert.equal(page.headers['strict-transport-security'], undefined);
    assert.match(page.certificate.subjectaltname, /DNS:localhost/);
    assert.match(page.certificate.subjectaltname, /IP Address:127\.0\.0\.1/);
  });

  it('is the same server after a restart: its certificate, and the tokens that it gave', async () => {
    const { token, user } = await visit('visitor01');
    assert.equal(user.id, 'demo-visitor01');
    const { certificate } = await get(`${server.url}/livez`);
    server.kill('SIGKILL');
    await server.exited;
    const again = await startServer({ DATA_DIR: dir, SOCKET_JWT_SECRET: '', PORT: String(server.port) }, ['serve', '--dev-tls']);
    try {
      assert.equal((await get(`${again.url}/livez`)).certificate.fingerprint256, certificate.fingerprint256);
      const socket = open(token, ['websocket']);
      await once(socket, 'connect');
      socket.close();
      for (const file of ['dev-secret', 'dev-tls-key.pem']) assert.equal(fs.statSync(path.join(dir, file)).mode & 0o77, 0, `${file} is for its owner alone`);
    } finally {
      await again.stop();
    }
    server = await startServer({ DATA_DIR: dir, SOCKET_JWT_SECRET: '', PORT: String(server.port) }, ['serve', '--dev-tls']);
  });

  it('goes on when somebody speaks neither, and counts it', async () => {
    const count = async () => (await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()).match(/signalbox_rejected_total\{reason="protocol"\} (\d+)/)[1];
    const before = Number(await count());
    // A client that does not trust the certificate.
    await assert.rejects(new Promise((resolve, reject) => { https.get(`${server.url}/livez`, resolve).on('error', reject); }));
    await until('it to be counted', async () => Number(await count()) > before);
  });
});

describe('a server that cannot speak TLS as it is told', () => {
  it('says in one line which setting is wrong', () => {
    assert.match(refused({ TLS_CERT: 'none.pem', TLS_KEY: 'none.pem' }), /^signalbox: TLS_CERT: cannot be read .*for example TLS_CERT=/);
    assert.match(refused({ TLS_CERT: 'cert.pem' }), /^signalbox: TLS_KEY: is needed as well.*for example TLS_KEY=/);
    const secret = '8f3b1c09d7e24a65b0c1f2e3d4a5b6c7';
    assert.match(refused({ NODE_ENV: 'production', SOCKET_JWT_SECRET: secret }, ['serve', '--dev-tls']), /^signalbox: --dev-tls: is for development/);
  });
});

describe('a production server', () => {
  it('lets nobody in without an account', async () => {
    const server = await startServer({ NODE_ENV: 'production', SOCKET_JWT_SECRET: '8f3b1c09d7e24a65b0c1f2e3d4a5b6c7' });
    for (const body of [JSON.stringify({ name: 'visitor01' }), '']) {
      const answer = await fetch(`${server.url}/api/auth/demo`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      assert.equal(answer.status, 404);
    }
    await server.stop();
  });
});
