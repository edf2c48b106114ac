// Tokens of other issuers: key sets from a file and from an address, keys that change, sources that fail, and forged tokens.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io } from 'socket.io-client';
import { SECRET, UNLIMITED, once, startServer, token, until } from './server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = process.env.SIGNALBOX_BIN ?? path.join(root, 'target/debug/signalbox');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-keys-'));
const SETTINGS = { ...UNLIMITED, HTTP_RATE_MAX: '1000000', HANDSHAKE_FAILURES_PER_MIN: '1000000' };
/** The source is not asked more often. */
const LEAST_INTERVAL = 5_000;
const REFUSED = 'Invalid authentication token';

const closing = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
  fs.rmSync(dir, { recursive: true, force: true });
});
async function start(settings) {
  const server = await startServer({ ...SETTINGS, ...settings });
  closing.push(() => server.stop());
  return server;
}

const MAKE = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
/** A key of an issuer: what it signs with, and what it says in public. */
function key(alg, kid, more) {
  const { privateKey, publicKey } = MAKE[alg]();
  return { alg, kid, privateKey, publicKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, ...more } };
}
const set = (...keys) => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
function file(text) {
  const name = path.join(dir, `${closing.length}-${Math.random()}.json`);
  fs.writeFileSync(name, text);
  return name;
}

const seconds = (from = 0) => Math.floor(Date.now() / 1000) + from;
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const SIGN = {
  RS256: (data, privateKey) => sign('sha256', data, privateKey),
  RS512: (data, privateKey) => sign('sha512', data, privateKey),
  PS256: (data, privateKey) => sign('sha256', data, { key: privateKey, padding: 6, saltLength: 32 }),
  ES256: (data, privateKey) => sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  ES256der: (data, privateKey) => sign('sha256', data, privateKey),
  EdDSA: (data, privateKey) => sign(null, data, privateKey),
};
/** A token of that key; `header` and `claims` change what is usual, `how` the way to sign. */
function issue({ alg, kid, privateKey }, { header = {}, claims = {}, how = alg } = {}) {
  const body = `${part({ alg, typ: 'JWT', kid, ...header })}.${part({ sub: 'user', exp: seconds(3600), ...claims })}`;
  return `${body}.${SIGN[how](Buffer.from(body), privateKey).toString('base64url')}`;
}
function hmac(secret, header, claims = {}, hash = 'sha256') {
  const body = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part({ sub: 'user', exp: seconds(3600), ...claims })}`;
  return `${body}.${createHmac(hash, secret).update(body).digest('base64url')}`;
}

/** A socket that knocks, and is closed in the end. */
function knocking(server, given, options) {
  const socket = io(server.url, { auth: { token: given }, forceNew: true, reconnection: false, transports: ['websocket'], ...options });
  closing.push(() => socket.close());
  return socket;
}
/** 'connected', or what the server said instead. */
async function knock(server, given, options) {
  const socket = knocking(server, given, options);
  const said = await new Promise((resolve) => {
    socket.once('connect', () => resolve('connected'));
    socket.once('connect_error', ({ message }) => resolve(message));
  });
  socket.close();
  return said;
}
const opens = async (server, given, why) => assert.equal(await knock(server, given), 'connected', why);
const me = (server, given) => fetch(`${server.url}/api/auth/me`, { headers: { authorization: `Bearer ${given}` } });
async function refused(server, given, why) {
  assert.equal(await knock(server, given), REFUSED, why);
  // A header has no room for some of them.
  if (given.length > 8_000 || given.trim() !== given) return;
  const response = await me(server, given);
  const { error } = await response.json();
  assert.deepEqual([response.status, error.code], [401, 'AUTH_ERROR'], why);
}

/** An issuer's address. `answer` says what to do with a request; each is noted. */
async function issuer(text) {
  const its = { asked: [], text, answer: (_, response) => response.setHeader('content-type', 'application/json').end(its.text) };
  const server = http.createServer((request, response) => {
    its.asked.push({ url: request.url, at: Date.now() });
    its.answer(request, response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  its.origin = `http://127.0.0.1:${server.address().port}`;
  its.url = `${its.origin}/.well-known/jwks.json`;
  its.mayBeAsked = () => until('the time when it may be asked again', () => Date.now() - its.asked.at(-1).at > LEAST_INTERVAL + 200);
  return its;
}

// Some wait for seconds; the others go on beside them.
describe('tokens of other issuers', { concurrency: true }, () => {
  describe('keys of a file', { concurrency: false }, () => {
    const keys = Object.keys(MAKE).map((alg) => key(alg, `kid of ${alg}`));
    const [rsa, ec, ed] = keys;
    let server;
    before(async () => {
      server = await start({ JWKS_FILE: file(set(...keys)) });
    });

    for (const each of keys) {
      it(`${each.alg} opens sockets, over WebSocket and polling, and HTTP`, async () => {
        const given = issue(each, { claims: { sub: undefined, userId: 7, username: 'Kim', role: 'admin' } });
        await opens(server, given);
        assert.equal(await knock(server, undefined, { auth: { accessToken: given } }), 'connected');
        assert.equal(await knock(server, undefined, { auth: undefined, extraHeaders: { authorization: `Bearer ${given}` } }), 'connected');
        assert.equal(await knock(server, given, { transports: ['polling'] }), 'connected');
        assert.equal((await me(server, given)).status, 404, 'good, but nobody who has an account here');
      });
    }

    it('its claims count as those of any other token', async () => {
      const socket = knocking(server, issue(ed, { claims: { userId: 42, username: '철수', role: 'monitor' } }));
      const other = knocking(server, issue(ec, { claims: { sub: 'other' } }));
      await other.emitWithAck('join', { roomId: 'foreign' });
      const joined = once(other, 'peer-joined');
      await socket.emitWithAck('join', { roomId: 'foreign' });
      assert.deepEqual(await joined, { peerId: socket.id, userId: 42 });
      assert.equal((await socket.emitWithAck('token:renew', { token: issue(rsa, { claims: { userId: 42 } }) })).success, true);
      assert.equal((await socket.emitWithAck('token:renew', { token: issue(rsa, { claims: { userId: 43 } }) })).error.code, 'FORBIDDEN');
    });

    it('the tokens of the shared secret go on working', async () => {
      await opens(server, token('user'));
      await opens(server, hmac(SECRET, { kid: 'whatever' }), 'its kid means nothing');
      await opens(server, hmac(SECRET, { kid: rsa.kid }));
      await refused(server, hmac('another secret', {}));
    });

    it('a token that has ended is expired, not forged', async () => {
      for (const each of keys) {
        const given = issue(each, { claims: { exp: seconds(-60) } });
        assert.equal(await knock(server, given), REFUSED);
        const response = await me(server, given);
        assert.deepEqual([response.status, (await response.json()).error.code], [401, 'TOKEN_EXPIRED']);
        await opens(server, issue(each, { claims: { exp: seconds(-10) } }), 'within the leeway');
      }
    });

    it('keys that cannot be used are passed over', async () => {
      const small = generateKeyPairSync('ec', { namedCurve: 'P-384' });
      const liar = key('RS256', 'liar', { alg: 'ES256' });
      const nameless = key('EdDSA', undefined);
      const good = key('ES256', 'good', { alg: 'ES256', use: 'sig' });
      const mixed = JSON.stringify({
        keys: [
          { kty: 'oct', kid: 'oct', k: Buffer.from('shared').toString('base64url') }, { kty: 'LWE', kid: 'new' }, { ...small.publicKey.export({ format: 'jwk' }), kid: 'p384' },
          { kty: 'RSA', kid: 'broken', n: '!', e: 'AQAB' }, 7, null, liar.jwk, nameless.jwk, good.jwk,
        ],
        extra: true,
      });
      const own = await start({ JWKS_FILE: file(mixed) });
      await opens(own, issue(good));
      for (const given of [issue(liar), issue(liar, { header: { alg: 'ES256' } }), issue(nameless), hmac('shared', { kid: 'oct' })]) await refused(own, given);
    });

    describe('attacks', () => {
      const attacker = Object.fromEntries(Object.keys(MAKE).map((alg) => [alg, key(alg, 'attacker')]));
      const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' });
      const bait = { asked: [] };
      before(async () => Object.assign(bait, await issuer(set(...Object.values(attacker)))));
      /** Each is refused, and afterwards the server is as it was. */
      const attack = (name, tokens) => it(name, async () => {
        const all = tokens();
        assert.ok(all.length > 0);
        for (const [i, given] of all.entries()) await refused(server, given, `${name}, number ${i}: ${given.slice(0, 300)}`);
        const polling = await knock(server, all[0], { transports: ['polling'] });
        assert.equal(polling, REFUSED);
        for (const each of keys) await opens(server, issue(each));
        assert.equal((await fetch(`${server.url}/readyz`)).status, 200);
        assert.deepEqual(bait.asked, [], 'what a token points at is never fetched');
      });

      attack('no algorithm', () => ['none', 'None', 'NONE', 'nOnE', '', null, 0, undefined].flatMap((alg) => [rsa.kid, undefined].flatMap((kid) => {
        const body = `${part({ alg, typ: 'JWT', kid })}.${part({ sub: 'user', exp: seconds(3600) })}`;
        return [`${body}.`, body, `${body}.${issue(rsa).split('.')[2]}`];
      })));

      attack('the public key as shared secret', () => keys.flatMap(({ kid, jwk, publicKey }) => {
        const spki = publicKey.export({ format: 'pem', type: 'spki' });
        const secrets = [spki, spki.trim(), publicKey.export({ format: 'der', type: 'spki' }), JSON.stringify(jwk), jwk.n ?? jwk.x, Buffer.from(jwk.n ?? jwk.x, 'base64url'), ''];
        return secrets.flatMap((secret) => [hmac(secret, { kid }), hmac(secret, {})]);
      }));

      attack('the public key as shared secret of other lengths', () => [
        hmac(pem, { alg: 'HS384', kid: rsa.kid }, {}, 'sha384'), hmac(pem, { alg: 'HS512', kid: rsa.kid }, {}, 'sha512'),
        hmac(SECRET, { alg: 'HS384' }, {}, 'sha384'), hmac(SECRET, { alg: 'HS512' }, {}, 'sha512'), hmac(SECRET, { alg: 'RS256', kid: rsa.kid }), hmac(SECRET, { alg: 'none' }),
      ]);

      attack('an algorithm that is not the key\'s', () => [
        issue(rsa, { header: { kid: ec.kid } }), issue(rsa, { header: { kid: ed.kid } }), issue(ec, { header: { kid: rsa.kid } }), issue(ed, { header: { kid: ec.kid } }),
        issue(rsa, { header: { alg: 'ES256' } }), issue(ec, { header: { alg: 'RS256' } }), issue(ed, { header: { alg: 'ES256' } }), issue(ec, { header: { alg: 'EdDSA' } }),
        issue(rsa, { header: { alg: 'PS256' }, how: 'PS256' }), issue(rsa, { header: { alg: 'RS512' }, how: 'RS512' }), issue(rsa, { header: { alg: 'RS384' } }),
        issue(rsa, { header: { alg: 'rs256' } }), issue(ec, { header: { alg: 'ES256K' } }), issue(ec, { header: { alg: 'ES384' } }), issue(ed, { header: { alg: 'Ed25519' } }),
        issue(rsa, { header: { alg: ['RS256'] } }), issue(rsa, { header: { alg: 'HS256' } }),
      ]);

      attack('no key id, or one that is something else', () => [
        undefined, null, '', 7, true, [rsa.kid], { kid: rsa.kid }, '../../etc/passwd', '../../../../../../dev/null', '/proc/self/environ', 'file:///etc/passwd', `${rsa.kid}\u0000`, ` ${rsa.kid}`,
        rsa.kid.toUpperCase(), `' OR '1'='1`, '$(id)', '${jndi:ldap://127.0.0.1/x}', '%2e%2e%2f', '__proto__', 'constructor', 'x'.repeat(2_000), '\u202e키',
      ].flatMap((kid) => [issue(rsa, { header: { kid } }), hmac('', { kid })]));

      attack('a key that the token brings along or points at', () => Object.values(attacker).flatMap((mine) => {
        const its = keys.find(({ alg }) => alg === mine.alg);
        const chain = [mine.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')];
        const pointers = [
          { jku: bait.url }, { x5u: `${bait.origin}/cert.pem` }, { jwk: mine.jwk }, { x5c: chain }, { jku: bait.url, x5u: bait.url, jwk: mine.jwk, x5c: chain },
          { jku: file(set(mine)) }, { jku: `file://${file(set(mine))}` }, { iss: bait.origin },
        ];
        return pointers.flatMap((header) => [its.kid, 'attacker', undefined].map((kid) => issue(mine, { header: { kid, ...header }, claims: { iss: bait.origin } })));
      }));

      attack('another key', () => Object.values(attacker).map((mine) => issue(mine, { header: { kid: keys.find(({ alg }) => alg === mine.alg).kid } })));

      attack('a token over 4 KiB', () => keys.flatMap((each) => [4_000, 6_000, 100_000].map((length) => issue(each, { claims: { more: 'x'.repeat(length) } }))));

      it('a token of nearly 4 KiB is good', async () => {
        const given = issue(rsa, { claims: { more: 'x'.repeat(2_600) } });
        assert.ok(given.length > 3_900 && given.length <= 4_096, `${given.length}`);
        await opens(server, given);
      });

      attack('an end that is none', () => keys.flatMap((each) => [
        undefined, null, `${seconds(3600)}`, '', [seconds(3600)], { at: seconds(3600) }, true, -1, seconds(3600) * -1, 'never',
      ].map((exp) => issue(each, { claims: { exp } }))));

      attack('not yet', () => keys.flatMap((each) => [seconds(60), seconds(3600), 1e15].map((nbf) => issue(each, { claims: { nbf } }))));

      attack('another kind of token', () => keys.flatMap((each) => ['refresh', 'pairing', 'id', '', 'ACCESS'].map((type) => issue(each, { claims: { type } }))));

      attack('nobody, or somebody impossible', () => keys.flatMap((each) => [
        { sub: undefined }, { sub: '' }, { sub: 7 }, { sub: null }, { sub: ['user'] }, { sub: 'a\u0000b' }, { sub: 'x'.repeat(201) },
        { userId: { $ne: 1 } }, { userId: '' }, { userId: 1.5 }, { userId: [1] },
      ].map((claims) => issue(each, { claims }))));

      attack('a signature that is not one', () => keys.flatMap((each) => {
        const [header, body, signature] = issue(each).split('.');
        const bytes = Buffer.from(signature, 'base64url');
        const bare = `${header}.${body}`;
        const other = issue(each, { claims: { sub: 'somebody else' } }).split('.');
        const flipped = Buffer.from(bytes);
        flipped[0] ^= 1;
        const variants = [
          '', signature.slice(0, -1), signature.slice(0, -4), signature.slice(4), `${signature}A`, `${signature}AAAA`, `${signature}=`, `${signature}==`, `=${signature}`, ` ${signature}`,
          `${signature}\n`, `${signature}.`, `${signature}.${signature}`, signature.toLowerCase(), bytes.toString('base64').replace(/=*$/, '=='), bytes.toString('hex'),
          ...[
            flipped, bytes.subarray(0, bytes.length / 2), Buffer.concat([bytes, bytes]), Buffer.concat([Buffer.alloc(1), bytes]), Buffer.concat([bytes, Buffer.alloc(8)]),
            Buffer.alloc(bytes.length), Buffer.alloc(bytes.length, 0xff),
          ].map((b) => b.toString('base64url')),
        ];
        return [
          ...variants.map((variant) => `${bare}.${variant}`), `${header}.${other[1]}.${signature}`,
          `${part({ alg: each.alg, kid: each.kid })}.${body}.${signature}`, bare, `${header}..${signature}`, `.${body}.${signature}`,
          `${header}.${signature}`, header, '.', '..', '...', 'null', '{}',
        ];
      }));

      attack('an ECDSA signature in another encoding', () => [issue(ec, { how: 'ES256der' })]);

      it('renewing a token with them is refused as well', async () => {
        const socket = knocking(server, issue(rsa));
        const renew = (given) => socket.emitWithAck('token:renew', { token: given });
        for (const given of [
          hmac(pem, { kid: rsa.kid }), issue(attacker.RS256, { header: { kid: rsa.kid } }), issue(rsa, { claims: { type: 'refresh' } }), issue(rsa, { claims: { exp: undefined } }), `${issue(rsa)}A`,
        ]) {
          assert.equal((await renew(given)).error.code, 'AUTH_ERROR');
        }
        assert.equal((await renew(issue(ed))).success, true);
        assert.equal(socket.connected, true);
      });
    });

    it('issuer and audience count when they are set', async () => {
      const own = await start({ JWKS_FILE: file(set(...keys)), JWT_ISSUER: 'https://id.example.com', JWT_AUDIENCE: 'signalbox' });
      const [iss, aud] = ['https://id.example.com', 'signalbox'];
      for (const each of keys) {
        const given = (claims) => issue(each, { claims });
        await opens(own, given({ iss, aud }));
        await opens(own, given({ iss, aud: ['other', aud] }));
        for (const claims of [
          {}, { iss }, { aud }, { iss: 'https://id.example.com.attacker.example', aud }, { iss: `${iss}/`, aud }, { iss: '', aud }, { iss: null, aud }, { iss: { iss }, aud },
          { iss, aud: 'other' }, { iss, aud: [] }, { iss, aud: ['other'] }, { iss, aud: '' }, { iss, aud: null }, { iss, aud: 'signalbox2' }, { iss: aud, aud: iss },
        ]) await refused(own, given(claims), JSON.stringify(claims));
      }
      await refused(own, token('user'));
      await opens(own, token('user', { iss, aud }));
    });
  });

  describe('a source that cannot be used', { concurrency: false }, () => {
    /** How the program ends, and what it says. */
    async function run(settings) {
      const cwd = fs.mkdtempSync(path.join(dir, 'run-'));
      const child = spawn(binary, [], { cwd, env: { PORT: '0', HOST: '127.0.0.1', SOCKET_JWT_SECRET: SECRET, LOG_CONSOLE: 'off', ...settings }, stdio: ['ignore', 'pipe', 'pipe'] });
      closing.push(() => child.kill('SIGKILL'));
      let [out, err] = ['', ''];
      child.stdout.on('data', (data) => {
        out += data;
        if (out.includes('listens on')) child.kill('SIGKILL');
      });
      child.stderr.on('data', (data) => { err += data; });
      const code = await new Promise((resolve) => child.on('close', resolve));
      return { code, out, err };
    }

    const texts = {
      'empty': '', 'no JSON': 'nothing', 'a list': '[]', 'no keys': '{}', 'no key': '{"keys":[]}', 'keys that are something else': '{"keys":{}}', 'a key of no kind': '{"keys":[{"kid":"x"}]}',
      'only shared secrets': '{"keys":[{"kty":"oct","kid":"x","k":"AAAA"}]}', 'a PEM file': MAKE.ES256().publicKey.export({ format: 'pem', type: 'spki' }), 'binary': Buffer.from([0xff, 0xfe, 0]),
    };
    for (const [name, source] of [
      ['missing', () => path.join(dir, 'not-there.json')], ['a directory', () => dir], ...Object.entries(texts).map(([name, text]) => [name, () => file(text)]),
    ]) {
      it(`JWKS_FILE, ${name}: the program ends with one line that says so`, async () => {
        const { code, out, err } = await run({ JWKS_FILE: source() });
        assert.deepEqual([code, out], [2, '']);
        assert.match(err, /^signalbox: JWKS_FILE: [^\n]+; for example JWKS_FILE=[^\n]+\n$/);
      });
    }

    it('JWKS_URL that is no address, or both sources', async () => {
      const both = { JWKS_FILE: file(set(key('EdDSA', 'x'))), JWKS_URL: 'http://127.0.0.1:9/' };
      for (const settings of [{ JWKS_URL: 'not an address' }, { JWKS_URL: 'ftp://127.0.0.1/' }, { JWKS_URL: 'file:///etc/passwd' }, both]) {
        const { code, err } = await run(settings);
        assert.equal(code, 2);
        assert.match(err, /^signalbox: JWKS_URL: [^\n]+\n$/);
      }
    });
  });

  describe('keys that change', () => {
    const failedReading = (server) => until('the failed reading', () => server.log().some((line) => line.includes('The public keys could not be read; the last ones stand.')));

    it('a new key is good at its first connect, an old one until a set without it was read', async () => {
      const [old, next] = [key('RS256', 'old'), key('ES256', 'next')];
      const its = await issuer(set(old));
      const server = await start({ JWKS_URL: its.url });
      assert.equal(its.asked.length, 1);
      await opens(server, issue(old));
      // Until then a new one cannot be known.
      await refused(server, issue(next));
      await its.mayBeAsked();
      its.text = set(next);
      await opens(server, issue(old), 'a set without it was not read');
      const asked = its.asked.length;
      await opens(server, issue(next), 'at the first try');
      assert.equal(its.asked.length, asked + 1);
      await refused(server, issue(old), 'a set without it was read');
      await opens(server, token('user'));
      // Whoever makes up key ids makes nobody ask more often.
      await Promise.all(Array.from({ length: 30 }, (_, i) => refused(server, issue(old, { header: { kid: `made-up-${i}` } }))));
      const times = its.asked.map(({ at }) => at);
      for (const [i, at] of times.entries()) assert.ok(i === 0 || at - times[i - 1] >= LEAST_INTERVAL - 100, `${times}`);
      assert.deepEqual([...new Set(its.asked.map(({ url }) => url))], ['/.well-known/jwks.json']);
    });

    it('many who come at once with a new key share one question', async () => {
      const [old, next] = [key('EdDSA', 'old'), key('EdDSA', 'next')];
      const its = await issuer(set(old));
      const server = await start({ JWKS_URL: its.url });
      await its.mayBeAsked();
      its.text = set(old, next);
      const asked = its.asked.length;
      assert.deepEqual([...new Set(await Promise.all(Array.from({ length: 20 }, () => knock(server, issue(next)))))], ['connected']);
      assert.equal(its.asked.length, asked + 1);
      await opens(server, issue(old));
    });

    it('HTTP learns a new key at the first try as well', async () => {
      const [old, next] = [key('EdDSA', 'old'), key('EdDSA', 'next')];
      const its = await issuer(set(old));
      const server = await start({ JWKS_URL: its.url });
      await its.mayBeAsked();
      its.text = set(next);
      assert.equal((await me(server, issue(next))).status, 404);
      assert.equal((await me(server, issue(old))).status, 401);
    });

    it('a connected socket renews with a token of a new key at the first try', async () => {
      const [old, next] = [key('EdDSA', 'old'), key('EdDSA', 'next')];
      const its = await issuer(set(old));
      const server = await start({ JWKS_URL: its.url });
      const socket = knocking(server, issue(old));
      await once(socket, 'connect');
      await its.mayBeAsked();
      its.text = set(next);
      const { success, error } = await socket.emitWithAck('token:renew', { token: issue(next) });
      assert.deepEqual([success, error], [true, undefined]);
    });

    it('a key that the issuer takes away is refused after the next reading, by itself', async () => {
      const [gone, stays] = [key('RS256', 'gone'), key('EdDSA', 'stays')];
      const its = await issuer(set(gone, stays));
      const server = await start({ JWKS_URL: its.url, JWKS_REFRESH: '1s' });
      await opens(server, issue(gone));
      its.text = set(stays);
      const asked = its.asked.length;
      await until('the end of the key', async () => (await knock(server, issue(gone))) === REFUSED);
      assert.ok(its.asked.length > asked);
      await opens(server, issue(stays));
      for (const [i, { at }] of its.asked.entries()) assert.ok(i === 0 || at - its.asked[i - 1].at >= LEAST_INTERVAL - 100);
    });

    it('a file is read again for a new key, and stands while it is broken', async () => {
      const [old, next] = [key('ES256', 'old'), key('RS256', 'next')];
      const source = file(set(old));
      const server = await start({ JWKS_FILE: source, JWKS_REFRESH: '1s' });
      fs.writeFileSync(source, set(old).slice(0, 40));
      await failedReading(server);
      await opens(server, issue(old));
      fs.writeFileSync(source, set(next));
      await until('the new key', async () => (await knock(server, issue(next))) === 'connected');
      await refused(server, issue(old));
    });

    const bait = { asked: [] };
    before(async () => Object.assign(bait, await issuer(set(key('EdDSA', 'next')))));
    for (const [name, answer] of [
      ['refuses', () => (_, response) => response.writeHead(500).end()],
      ['is not there', () => (request) => request.socket.destroy()],
      ['says nonsense', () => (_, response) => response.end('<html>')],
      ['has no keys', () => (_, response) => response.end('{"keys":[]}')],
      ['sends elsewhere', () => (_, response) => response.writeHead(302, { location: bait.url }).end()],
      ['never ends', (next) => (_, response) => response.write(set(next))],
      ['says too much', (next) => (_, response) => response.end(set(next) + ' '.repeat(2 << 20))],
    ]) {
      it(`an address that ${name} leaves the last set in force, until it is back`, async () => {
        const [old, next] = [key('ES256', 'old'), key('EdDSA', 'next')];
        const its = await issuer(set(old));
        const server = await start({ JWKS_URL: its.url, JWKS_REFRESH: '1s' });
        const good = its.answer;
        its.answer = answer(next);
        const asked = its.asked.length;
        await until('the question', () => its.asked.length > asked);
        // Nobody whose key is known waits for it.
        const began = Date.now();
        await opens(server, issue(old));
        assert.ok(Date.now() - began < 1_500, `${Date.now() - began} ms`);
        await refused(server, issue(next));
        await opens(server, issue(old));
        await opens(server, token('user'));
        await failedReading(server);
        assert.deepEqual(bait.asked, []);
        its.answer = good;
        its.text = set(next);
        await until('the set after it is back', async () => (await knock(server, issue(next))) === 'connected');
        await refused(server, issue(old));
      });
    }

    it('an address that is away at the start keeps nobody else out, and is found later', async () => {
      const only = key('RS256', 'only');
      const its = await issuer(set(only));
      const good = its.answer;
      its.answer = (request) => request.socket.destroy();
      const server = await start({ JWKS_URL: its.url });
      await opens(server, token('user'));
      await refused(server, issue(only));
      its.answer = good;
      await its.mayBeAsked();
      await opens(server, issue(only), 'at the first try after it is back');
    });
  });
});
