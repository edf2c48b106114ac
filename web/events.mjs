// docs/events.json -> the types of the client and docs/EVENTS.md. `--check` writes nothing and exits with 1 when one is stale.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const WIDTH = 140;

/**
 * Writes what is made from the schema, or with `check` only looks.
 * Returns the paths, from the project's root, that were not up to date.
 */
export function generate({ check = false } = {}) {
  const schema = JSON.parse(fs.readFileSync(path.join(root, 'docs/events.json'), 'utf8'));
  const made = { 'docs/EVENTS.md': reference(schema), 'web/client/src/events.ts': types(schema) };
  const stale = Object.keys(made).filter((name) => {
    const file = path.join(root, name);
    return !fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== made[name];
  });
  if (!check) stale.forEach((name) => fs.writeFileSync(path.join(root, name), made[name]));
  return stale;
}

const nameOf = ({ $ref }) => $ref.slice('#/$defs/'.length);
const alternatives = (schema) => schema.anyOf ?? schema.oneOf;
const quoted = (value) => (typeof value === 'string' ? `'${value}'` : String(value));

/** What a number or text may be, in words: ` 1 to 100 characters.` */
function limits(schema) {
  const parts = (alternatives(schema) ?? []).map(limits).filter(Boolean);
  if (parts.length > 0) return parts.join(' Or');
  const { minLength, maxLength, minimum, maximum, pattern = '' } = schema;
  const control = pattern.includes('u0000') ? ', no control characters' : '';
  const of = pattern.startsWith('^[A-Z') ? ' of `A-Z a-z 0-9 _ -`' : control;
  if (minLength !== undefined && maxLength !== undefined) return ` ${minLength} to ${maxLength} characters${of}.`;
  if (maxLength !== undefined) return ` At most ${maxLength} characters.`;
  if (minimum !== undefined && maximum !== undefined) return ` ${minimum} to ${maximum}.`;
  return '';
}

/** A paragraph in lines, each with a prefix. */
function wrapped(text, prefix = '') {
  const lines = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || prefix.length + last.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map((line) => `${prefix}${line}\n`).join('');
}

// TypeScript

/** A schema as a type. `indent` is that of the line it begins on. */
function type(schema, indent = '') {
  if (schema['x-typescript']) return schema['x-typescript'];
  if (schema.$ref) return nameOf(schema);
  if ('const' in schema) return quoted(schema.const);
  if (schema.enum) return schema.enum.map(quoted).join(' | ');
  const given = alternatives(schema);
  if (given) return [...new Set(given.map((one) => type(one, indent)))].join(' | ');
  if (schema.type === 'array') {
    const items = type(schema.items, indent);
    return items.includes(' ') ? `(${items})[]` : `${items}[]`;
  }
  if (schema.type === 'object') return `{\n${fields(schema, `${indent}  `)}${indent}}`;
  return [...new Set([schema.type].flat().map((name) => (name === 'integer' ? 'number' : name)))].join(' | ');
}

function fields({ properties, required = [] }, indent) {
  return Object.entries(properties).map(([name, schema]) => {
    const described = schema.description ? comment(schema.description + limits(schema), indent) : '';
    return `${described}${indent}${name}${required.includes(name) ? '' : '?'}: ${type(schema, indent)};\n`;
  }).join('');
}

function comment(text, indent = '') {
  const line = `${indent}/** ${text} */\n`;
  if (line.length <= WIDTH) return line;
  return `${indent}/**\n${wrapped(text, `${indent} * `)}${indent} */\n`;
}

function declaration([name, schema]) {
  const described = comment(schema.description + limits(schema));
  if (schema.type === 'object') return `${described}export interface ${name} {\n${fields(schema, '  ')}}\n`;
  const line = `export type ${name} = ${type(schema)};`;
  if (line.length <= WIDTH || line.includes('\n') || !alternatives(schema)) return `${described}${line}\n`;
  return `${described}export type ${name} =\n${alternatives(schema).map((one) => `  | ${type(one, '  ')}`).join('\n')};\n`;
}

const key = (name) => (/^\w+$/.test(name) ? name : `'${name}'`);

function types({ events, $defs }) {
  const asked = events.client.map(({ name, payload, ack, optional, description: what }) =>
    `${comment(what, '  ')}  ${key(name)}: (payload${optional ? '?' : ''}: ${nameOf(payload)}, ack?: Answered<${nameOf(ack)}>) => void;\n`);
  const heard = events.server.map(({ name, payload, to, ack, description: what }) => {
    const answer = ack ? `, ack?: (said?: ${nameOf(ack)}) => void` : '';
    return `${comment(`${what} To ${to}.`, '  ')}  ${key(name)}: (payload: ${nameOf(payload)}${answer}) => void;\n`;
  });
  const acks = events.client.map(({ name, ack }) => `  ${key(name)}: ${nameOf(ack)};\n`);
  return `// Every Socket.IO event and what it carries. Made by web/events.mjs from docs/events.json.

${Object.entries($defs).map(declaration).join('\n')}
/** Takes the acknowledgement of an event: what was asked for, or why not. */
export type Answered<T> = (answer: T | Failure) => void;

/** What a client sends, as socket.io-client wants it. */
export interface ClientEvents {
${asked.join('')}}

/** What the server sends, as socket.io-client wants it. */
export interface ServerEvents {
${heard.join('')}}

/** What each event is acknowledged with, where it was neither refused nor failed. */
export interface Acks {
${acks.join('')}}

/** What is sent along with an event. */
export type Payload<E extends keyof ClientEvents> = Parameters<ClientEvents[E]>[0];

/** What an event is acknowledged with. */
export type Ack<E extends keyof ClientEvents> = Acks[E];

/** What the server sends along with an event. */
export type Push<E extends keyof ServerEvents> = Parameters<ServerEvents[E]>[0];
`;
}

// The reference

const code = (text) => `\`${text}\``;
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (cells) => `| ${cells.map(cell).join(' | ')} |\n`;
const table = (head, rows) => (rows.length > 0 ? row(head) + row(head.map(() => '---')) + rows.map(row).join('') : '');
const link = (name) => `[${code(name)}](#${name.toLowerCase()})`;
const eventLink = (name) => `[${code(name)}](#you-hear-${slug(name)})`;
const slug = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
const bytes = (count) => (count % 1024 === 0 ? `${count / 1024} KiB` : `${Math.floor(count / 1024)} KiB + ${count % 1024}`);

/** A schema in a table cell: names of other types are links. */
function words(schema) {
  if (schema.$ref) return link(nameOf(schema));
  if ('const' in schema) return code(JSON.stringify(schema.const));
  if (schema.enum) return schema.enum.map((value) => code(JSON.stringify(value))).join(' or ');
  const given = alternatives(schema);
  if (given) return [...new Set(given.map(words))].join(' or ');
  if (schema.type === 'array') return `list of ${words(schema.items)}`;
  if (schema.type === undefined) return 'anything';
  return [schema.type].flat().join(' or ');
}

/** Names of the types that a schema mentions, itself and everything below, in the order of their appearance. */
function mentioned(schema, $defs, seen = new Set()) {
  if (Array.isArray(schema)) schema.forEach((one) => mentioned(one, $defs, seen));
  else if (schema && typeof schema === 'object') {
    if (schema.$ref && !seen.has(nameOf(schema))) {
      seen.add(nameOf(schema));
      mentioned($defs[nameOf(schema)], $defs, seen);
    }
    Object.entries(schema).filter(([name]) => name !== '$ref').forEach(([, value]) => mentioned(value, $defs, seen));
  }
  return seen;
}

/** What a field means; where nothing is said of it, what its type means. */
function meaning(schema, $defs) {
  const named = schema.$ref ? $defs[nameOf(schema)] : schema;
  return (schema.description ?? named.description ?? '') + limits(named);
}

const shape = ({ properties, required = [] }, $defs) => table(['field', 'type', 'meaning'], Object.entries(properties).map(([name, schema]) => [
  `${code(name)}${required.includes(name) ? '' : ' (optional)'}`,
  words(schema),
  meaning(schema, $defs).trim(),
]));

/** A type with fields or with values that are worth a table of their own; nothing for a plain one. */
function definition(name, $defs) {
  const schema = $defs[name];
  const given = (alternatives(schema) ?? [schema]).filter((one) => one.type !== 'null');
  const described = `#### ${name}\n\n${schema.description}\n`;
  if (given.every((one) => 'const' in one)) {
    return `${described}\n${table(['value', 'meaning'], given.map((one) => [code(one.const), one.description]))}`;
  }
  if (!given.some((one) => one.type === 'object')) return '';
  return `${described}\n${given.map((one) => (one.type === 'object' ? shape(one, $defs) : `${words(one)}\n`)).join('\nor\n\n')}`;
}

function definitions(names, $defs) {
  const plain = names.filter((name) => definition(name, $defs) === '');
  const rows = plain.map((name) =>
    [`<a id="${name.toLowerCase()}"></a>${code(name)}`, words($defs[name]), $defs[name].description + limits($defs[name])]);
  return [...names.map((name) => definition(name, $defs)), table(['type', 'is', 'meaning'], rows)].filter(Boolean);
}

const list = (names) => names.map(code).join(', ');

/** The events of a family. Where it has a name in common with another one, `forms` says what each of them means by it. */
const eventsOf = (family, all) => all
  .map(({ forms, ...event }) => (forms?.[family] ? { ...event, family, ...forms[family] } : event))
  .filter((event) => event.family === family);

function section(family, { title, description, namespaces }, { events, $defs }, told) {
  const [asked, pushed] = [eventsOf(family, events.client), eventsOf(family, events.server)];
  const sent = asked.map((event) => [
    code(event.name),
    event.description,
    `${link(nameOf(event.payload))}${event.optional ? ' or nothing' : ''}`,
    link(nameOf(event.ack)),
    event.replies.map(eventLink).join(', '),
    `${bytes(event.maxBytes)}${event.rate === 'signal' ? ', a signal' : ''}`,
  ]);
  const heard = pushed.map((event) => [
    `<a id="you-hear-${slug(event.name)}"></a>${code(event.name)}`,
    event.description,
    link(nameOf(event.payload)),
    event.to,
  ]);
  const answers = pushed.filter((event) => event.ack)
    .map((event) => `You may acknowledge ${code(event.name)} with ${link(nameOf(event.ack))}. ${event.ackDescription}`);
  const names = [...mentioned([asked, pushed], $defs)].filter((name) => !told.has(name));
  names.forEach((name) => told.add(name));
  const paired = asked.filter((event) => event.paired).map((event) => event.name);
  return [
    `## ${title}\n`,
    wrapped(`${description} On ${list(namespaces)}.`),
    asked.some((event) => event.guests) ? wrapped('Clients without a token may use these events where `SIGNALING_AUTH=optional`.') : '',
    paired.length > 0 ? wrapped(`A phone that was paired without an account may use ${list(paired)}, in its session alone.`) : '',
    ...(sent.length > 0 ? ['### You send\n', table(['event', 'meaning', 'payload', 'acknowledgement', 'you hear', 'at most'], sent)] : []),
    '### You hear\n',
    table(['event', 'meaning', 'payload', 'to whom'], heard),
    ...answers.map((text) => wrapped(text)),
    '### Types\n',
    ...definitions(names, $defs),
  ].filter(Boolean).join('\n');
}

function reference(schema) {
  const failures = [...mentioned({ $ref: '#/$defs/Failure' }, schema.$defs), 'ErrorNotice'];
  const told = new Set(failures);
  const sections = Object.entries(schema.families).map(([name, family]) => section(name, family, schema, told));
  const contents = Object.values(schema.families).map(({ title }) => `[${title}](#${slug(title)})`);
  return `<!-- Made by web/events.mjs from docs/events.json. -->
# Events

${wrapped(schema.description)}
The same as a JSON Schema, to validate with or to generate from, is [events.json](events.json), as TypeScript
[events.ts](../web/client/src/events.ts). A client that sees to tokens, retries and order by itself is
[@signalbox/client](../web/client/README.md).

${contents.join(' · ')} · [Errors](#errors)

Any event may ask for an acknowledgement: \`const answer = await socket.emitWithAck('joinSession', { sessionId: 'packing-7' })\`. It is
what the table says, or a [\`Failure\`](#failure). Where no acknowledgement was asked for, a failure comes as an [\`error\`](#you-hear-error)
event. Events of one socket are handled strictly in the order they arrived. "At most" is the size of a payload. By default a socket may
send 20 events a second, and 60 at once; signals count apart, 100 a second and 500 at once.

${sections.join('\n')}
## Errors

The acknowledgement of whatever was refused or failed is a \`Failure\`; \`error\` and \`session:error\` carry an \`ErrorNotice\`.

${definitions(failures, schema.$defs).join('\n')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes('--check');
  const stale = generate({ check });
  for (const name of stale) console.log(`${check ? 'stale' : 'written'}: ${name}`);
  if (check && stale.length > 0) process.exitCode = 1;
}
