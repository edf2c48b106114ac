// Prints what the library weighs in a page: minified and gzipped, without and with socket.io-client.
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const entry = fileURLToPath(new URL('dist/index.js', import.meta.url));
for (const [what, external] of [['without', ['socket.io-client']], ['with', []]]) {
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', target: 'es2022', external, write: false });
  const [{ contents }] = outputFiles;
  const kilobytes = (bytes) => `${(bytes.length / 1000).toFixed(1)} kB`;
  console.log(`${what} socket.io-client: ${kilobytes(contents)} minified, ${kilobytes(gzipSync(contents, { level: 9 }))} gzipped`);
}
