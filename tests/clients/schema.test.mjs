// Tests that docs/events.json is whole, that what is made from it is up to date, and that the checks against it are sharp.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { generate } from '../../web/events.mjs';
import { schema, wrongAck, wrongPush } from './schema.mjs';

describe('docs/events.json', () => {
  it('refers to nothing that it does not have, and has nothing that it does not refer to', () => {
    const refs = [...JSON.stringify(schema).matchAll(/"#\/\$defs\/(\w+)"/g)].map((found) => found[1]);
    // The acknowledgement of whatever fails belongs to no event.
    assert.deepEqual([...new Set([...refs, 'Failure'])].toSorted(), Object.keys(schema.$defs).toSorted());
    for (const { family, replies = [] } of [...schema.events.client, ...schema.events.server]) {
      assert.ok(family in schema.families, family);
      for (const reply of replies) assert.ok(schema.events.server.some((event) => event.name === reply), reply);
    }
  });

  it('has types and a reference that are made from it as it is', () => {
    assert.deepEqual(generate({ check: true }), []);
  });
});

describe('the checks of what the server sends', () => {
  const left = { socketId: 'x'.repeat(16), status: { isActive: true, hasMobile: false, hasMonitor: true } };
  const failure = { success: false, error: { code: 'FORBIDDEN', message: 'no', flow: 'AB-12CD' } };

  it('let pass what is in the schema', () => {
    assert.equal(wrongPush('clientLeft', [left]), null);
    assert.equal(wrongAck('leaveSession', { success: true, sessionId: 's' }), null);
    assert.equal(wrongAck('leaveSession', failure), null);
    assert.equal(wrongAck('no such event', failure), null);
    assert.equal(wrongAck('navigate:displayed', null), null);
  });

  it('find what is not, and say where', () => {
    assert.match(wrongPush('no such event', [{}]), /does not know/);
    assert.match(wrongPush('clientLeft', [left, left]), /2 arguments/);
    assert.match(wrongPush('clientLeft', [{ ...left, secret: 1 }]), /"secret"/);
    assert.match(wrongPush('clientLeft', [{ ...left, status: { ...left.status, hasMonitor: 'yes' } }]), /\/status\/hasMonitor must be boolean/);
    assert.match(wrongPush('clientLeft', [{ status: left.status }]), /socketId/);
    assert.match(wrongAck('leaveSession', { success: true }), /sessionId/);
    assert.match(wrongAck('leaveSession', null), /must be object/);
    assert.match(wrongAck('leaveSession', { ...failure, error: { ...failure.error, code: 'NEW_CODE' } }), /\/error\/code/);
    assert.match(wrongAck('no such event', { success: true }), /does not know/);
  });
});
