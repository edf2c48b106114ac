// Holds the server to docs/events.json: every packet and every acknowledgement that a test's client gets has to be in it.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv/dist/2020.js';

const docs = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../docs');
/** docs/events.json as it is. */
export const schema = JSON.parse(fs.readFileSync(path.join(docs, 'events.json'), 'utf8'));

/** Clients are to ignore what they do not know. The server is not to send what nobody knows. */
function closed(given) {
  if (Array.isArray(given)) return given.map(closed);
  if (given === null || typeof given !== 'object') return given;
  const copy = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, closed(value)]));
  return copy.properties && copy.type === 'object' ? { ...copy, additionalProperties: false } : copy;
}

const ajv = new Ajv({ strict: true, allowUnionTypes: true, strictTypes: false, strictRequired: false });
ajv.addVocabulary(['families', 'events', 'x-typescript']);
ajv.addSchema(closed(schema));
const validator = ({ $ref }) => ajv.getSchema(`${schema.$id}${$ref}`);

const pushes = new Map(schema.events.server.map((event) => [event.name, validator(event.payload)]));
const acks = new Map(schema.events.client.map((event) => [event.name, validator(event.ack)]));
const failure = validator({ $ref: '#/$defs/Failure' });

const shown = (value) => JSON.stringify(value)?.slice(0, 500);

function fault(what, check, value) {
  if (check(value)) return null;
  const why = check.errors.map((error) => `${error.instancePath || 'it'} ${error.message} ${JSON.stringify(error.params)}`).join('; ');
  return `${what} is not what docs/events.json says: ${why}. It is ${shown(value)}`;
}

/** What is wrong with an event that the server sent; null if nothing is. */
export function wrongPush(event, args) {
  const check = pushes.get(event);
  if (!check) return `${event} is an event that docs/events.json does not know: ${shown(args)}`;
  if (args.length !== 1) return `${event} has ${args.length} arguments instead of one: ${shown(args)}`;
  return fault(event, check, args[0]);
}

/** What is wrong with an acknowledgement; null if nothing is. What nobody knows can only be refused. */
export function wrongAck(event, answer) {
  const what = `the acknowledgement of ${event}`;
  if (answer?.success === false) return fault(what, failure, answer);
  const check = acks.get(event);
  return check ? fault(what, check, answer) : `${event} was acknowledged, and docs/events.json does not know it: ${shown(answer)}`;
}

const faults = [];
process.on('exit', () => {
  // Also where no test was running any more that it could have failed.
  if (faults.length > 0) process.exitCode = 1;
});

function report(wrong) {
  if (wrong === null) return;
  const error = new Error(wrong);
  faults.push(error);
  // Thrown where it is, it would end up in whatever socket.io makes of it.
  queueMicrotask(() => {
    throw error;
  });
}

/** Looks at everything that this socket gets, from now on. */
export function validated(socket) {
  socket.onAny((event, ...args) => report(wrongPush(event, args.filter((arg) => typeof arg !== 'function'))));
  const { emit } = socket;
  socket.emit = (event, ...args) => {
    const ack = args.at(-1);
    if (typeof ack !== 'function') return emit.call(socket, event, ...args);
    const seen = (...answer) => {
      // Where it may time out, or is awaited, an error comes first, or null.
      if (!(answer[0] instanceof Error)) report(wrongAck(event, answer.at(-1)));
      ack(...answer);
    };
    return emit.call(socket, event, ...args.slice(0, -1), Object.assign(seen, ack));
  };
  return socket;
}
