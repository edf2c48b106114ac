// Renders a dashboard from live data of a Prometheus as a picture, or tells per panel what its queries answered.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadBoard } from './board/dashboard.mjs';
import { evaluate } from './board/evaluate.mjs';
import { render } from './board/picture.mjs';
import { milliseconds } from './board/prometheus.mjs';

export { evaluate, loadBoard, render };

const USAGE = `usage: node deploy/watch/render.mjs dashboards/1-on-call.json [options]

  --out board.png       the picture (without it and without --json: BOARD.png in the current directory)
  --json                per panel: title, series, samples, NaN or infinite ones, error; to standard output
  --prometheus URL      http://127.0.0.1:9090
  --from -10m --to now  a distance from now, or a time like 2026-01-31T03:00:00Z
  --width 1600          of the picture, in pixels
  --panel ID            only this panel
  --var NAME=VALUE      a variable of the dashboard; VALUE,VALUE for several
Ends with 1 if a query of any panel failed.`;

function moment(text, now) {
  if (text === 'now') return now;
  if (/^(now)?-/.test(text)) return now - milliseconds(text.replace(/^(now)?-/, ''));
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new Error(`"${text}" is not a time; for example -10m, now or 2026-01-31T03:00:00Z`);
  return at;
}

/** What a panel's queries answered, in short. */
const summary = ({ id, title, type, queries, points, nonFinite, empty, error }) => ({
  id,
  title,
  type,
  error,
  empty,
  points,
  nonFinite,
  series: queries.reduce((sum, query) => sum + query.series.length, 0),
  queries: queries.map(({ refId, expr, series, exemplars }) => ({ refId, expr, series: series.length, exemplars: exemplars.length })),
});

async function main() {
  const {
    values: options,
    positionals: [file, ...rest],
  } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      json: { type: 'boolean' },
      prometheus: { type: 'string', default: 'http://127.0.0.1:9090' },
      from: { type: 'string', default: '-10m' },
      to: { type: 'string', default: 'now' },
      width: { type: 'string', default: '1600' },
      panel: { type: 'string' },
      var: { type: 'string', multiple: true, default: [] },
    },
    args: process.argv
      .slice(2)
      .reduce(
        (args, arg) => (['--from', '--to'].includes(args.at(-1)) ? [...args.slice(0, -1), `${args.at(-1)}=${arg}`] : [...args, arg]),
        [],
      ),
  });
  if (!file || rest.length) throw new Error(USAGE);
  const now = Date.now();
  const variables = Object.fromEntries(options.var.map((pair) => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1).split(',')]));
  const evaluation = await evaluate(loadBoard(file), options.prometheus, {
    from: moment(options.from, now),
    to: moment(options.to, now),
    variables,
    panel: options.panel && Number(options.panel),
  });
  if (options.json) console.log(JSON.stringify(evaluation.panels.filter(({ type }) => type !== 'row').map(summary), null, 2));
  if (options.out || !options.json) {
    const out = options.out ?? file.replace(/^.*\/|\.json$/g, '').concat('.png');
    fs.writeFileSync(out, render(evaluation, { width: Number(options.width) }));
    console.error(`${out}: ${(fs.statSync(out).size / 1000).toFixed(0)} kB`);
  }
  const broken = evaluation.panels.filter(({ error }) => error);
  for (const { id, title, error } of broken) console.error(`panel ${id} "${title}": ${error}`);
  process.exitCode = broken.length ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error) => {
    console.error(error.message);
    process.exitCode = 2;
  });
}
