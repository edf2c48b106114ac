// Builds what the server carries: events.json -> types of the client, pages -> dist. `--check` builds nothing and names what is stale.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { generate } from './events.mjs';

const web = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(web, 'dist');

/** Address of a page -> its source, from here. */
export const PAGES = {
  '/': 'pages/home.html',
  '/call': 'pages/call.html',
  '/chat': 'pages/chat.html',
  '/console': 'console/index.html',
  '/login': 'pages/login.html',
  '/monitor': 'pages/monitor.html',
  '/scan': 'pages/scan.html',
};

/** Served under its own name: the address of a service worker says for which pages it is. */
const WORKER = 'pages/offline.js';

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
};

/** Attributes by which a page names a source file: `src="/pages/home.ts"`. */
const REFERENCE = /(?<=\s(?:src|href)=")\/((?:pages|console)\/[\w.-]+)(?=")/g;

/**
 * Everything that is served: address -> { file, type, body }. Reads sources only, writes nothing.
 * `minify: false` keeps it readable, for development.
 */
export async function bundle({ minify = true } = {}) {
  const pages = Object.entries(PAGES).map(([address, file]) => [address, framed(file)]);
  const entryPoints = [...new Set(pages.flatMap(([, html]) => [...html.matchAll(REFERENCE)].map((found) => found[1])))].sort();
  const built = await esbuild.build({
    absWorkingDir: web,
    entryPoints,
    outdir: 'dist/assets',
    publicPath: '/assets',
    entryNames: '[name]-[hash]',
    chunkNames: 'shared-[hash]',
    assetNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
    loader: { '.wasm': 'file', '.svg': 'copy' },
    legalComments: 'none',
    minify,
    metafile: true,
    write: false,
    logLevel: 'warning',
  });

  const outputs = Object.entries(built.metafile.outputs).map(([name, output]) => [`/assets/${path.basename(name)}`, output]);
  const addressOf = new Map(outputs.filter(([, output]) => output.entryPoint).map(([address, output]) => [output.entryPoint, address]));
  // A copied file is no entry point to esbuild.
  for (const [address, output] of outputs) {
    const inputs = Object.keys(output.inputs);
    if (!output.entryPoint && inputs.length === 1 && entryPoints.includes(inputs[0])) addressOf.set(inputs[0], address);
  }
  const imports = (address) => (outputs.find(([name]) => name === address)?.[1].imports ?? [])
    .filter((given) => given.kind === 'import-statement')
    .map((given) => `/assets/${path.basename(given.path)}`);

  const files = new Map();
  const add = (address, file, body) => files.set(address, { file, type: TYPES[path.extname(file)], body: Buffer.from(body) });
  const english = await texts();
  for (const [address, html] of pages) {
    const name = address === '/' ? 'index.html' : `${address.slice(1)}.html`;
    add(address, name, page(html, { english, addressOf, imports, minify }));
  }
  for (const { path: file, contents } of built.outputFiles) add(`/assets/${path.basename(file)}`, `assets/${path.basename(file)}`, contents);
  const worker = await esbuild.transform(fs.readFileSync(path.join(web, WORKER), 'utf8'), { minify });
  add('/offline.js', 'offline.js', worker.code);
  add('/assets/licenses.txt', 'LICENSES.txt', licences(Object.keys(built.metafile.inputs)));
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A page's source in the frame of all pages; the console is a page of its own. */
function framed(file) {
  const read = (name) => fs.readFileSync(path.join(web, name), 'utf8');
  if (path.dirname(file) !== 'pages') return read(file);
  const name = path.basename(file, '.html');
  return read('pages/frame.html').replaceAll('{name}', name).replace('{content}\n', () => read(file));
}

/** The English texts, to be in the pages before a script runs. */
async function texts() {
  const { outputFiles } = await esbuild.build({ absWorkingDir: web, entryPoints: ['pages/text.ts'], format: 'esm', write: false });
  const module = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
  return module.texts.en;
}

const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** A page as it is served: built files instead of sources, English texts in their places, no comments. */
function page(html, { english, addressOf, imports, minify }) {
  const text = (key) => {
    if (!(key in english)) throw new Error(`web/pages/text.ts has no text ${key}`);
    return escape(english[key]);
  };
  const linked = html.replace(REFERENCE, (_, source) => {
    if (!addressOf.has(source)) throw new Error(`nothing was built from web/${source}`);
    return addressOf.get(source);
  });
  const said = linked
    .replace(/(data-say="(\w+)"[^>]*>)(?=<\/)/g, (_, tag, key) => tag + text(key))
    .replace(/data-say-label="(\w+)"/g, (attribute, key) => `${attribute} aria-label="${text(key)}"`);
  // What the script imports is fetched along with it, not after it.
  const early = said.replace(/(?=^.*<script type="module" src="([^"]+)")/m, (_, script) =>
    [...new Set(imports(script))].map((address) => `  <link rel="modulepreload" href="${address}">\n`).join(''));
  return minify ? early.replace(/<!--.*?-->\n?/gs, '').replace(/^\s+/gm, '') : early;
}

/** The licence texts of every package that is in the bundles. */
function licences(inputs) {
  const found = new Set(inputs.map((file) => file.match(/^(?:\.\.\/)*(node_modules\/(?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean));
  const parts = [...found].sort().map((folder) => {
    const { name, version, license, homepage = '' } = JSON.parse(fs.readFileSync(path.join(web, folder, 'package.json'), 'utf8'));
    const names = fs.readdirSync(path.join(web, folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
    if (names.length === 0) throw new Error(`${name} brings no licence text`);
    const text = names.map((file) => fs.readFileSync(path.join(web, folder, file), 'utf8').replaceAll('\r\n', '\n').trim()).join('\n\n');
    return `${name} ${version} (${license}) ${homepage}`.trim() + `\n\n${text}\n`;
  });
  const more = fs.readFileSync(path.join(web, 'pages/licenses.txt'), 'utf8').trim();
  return ['What these pages contain that others wrote.\n', ...parts, `${more}\n`].join(`\n${'-'.repeat(80)}\n\n`);
}

/** The list that the server includes. */
function list(files) {
  const lines = [...files].map(([address, { file, type }]) => `    ("${address}", "${type}", include_bytes!("${file}.gz").as_slice()),\n`);
  return `// Made by web/build.mjs.\n[\n${lines.join('')}]\n`;
}

/** What dist must hold: name -> content before compression. */
async function wanted() {
  const files = await bundle();
  return new Map([...[...files.values()].map(({ file, body }) => [`${file}.gz`, body]), ['files.rs', Buffer.from(list(files))]]);
}

function present() {
  const names = fs.existsSync(dist) ? fs.readdirSync(dist, { recursive: true, withFileTypes: true }) : [];
  return new Map(names.filter((entry) => entry.isFile()).map((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    return [path.relative(dist, file).replaceAll(path.sep, '/'), file];
  }));
}

function content(file) {
  const bytes = fs.readFileSync(file);
  if (!file.endsWith('.gz')) return bytes;
  try {
    return gunzipSync(bytes);
  } catch {
    return null; // damaged: never the same
  }
}

/** Names in dist that are missing, differ or are too many. */
function stale(files) {
  const there = present();
  const changed = [...files].filter(([name, body]) => !there.has(name) || !content(there.get(name))?.equals(body)).map(([name]) => name);
  return { changed, extra: [...there.keys()].filter((name) => !files.has(name)) };
}

async function main() {
  const check = process.argv.includes('--check');
  const generated = generate({ check });
  const files = await wanted();
  const { changed, extra } = stale(files);
  if (check) {
    const names = [...generated, ...[...changed, ...extra].map((name) => `web/dist/${name}`)];
    for (const name of names) console.error(`stale: ${name}`);
    if (names.length > 0) console.error('Run: npm --prefix web run build');
    process.exitCode = names.length > 0 ? 1 : 0;
    return;
  }
  for (const name of extra) fs.rmSync(path.join(dist, name));
  for (const name of changed) {
    const file = path.join(dist, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, name.endsWith('.gz') ? gzipSync(files.get(name), { level: 9 }) : files.get(name));
  }
  const kilobytes = (name) => (gzipSync(files.get(name), { level: 9 }).length / 1000).toFixed(1).padStart(7);
  for (const name of [...files.keys()].filter((file) => file.endsWith('.gz'))) console.log(`${kilobytes(name)} kB  ${name}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
