// Where a click leads: the flow explorer, the runbooks, logs, traces and the other boards. The addresses stand here only.
const CONSOLE = process.env.SIGNALBOX_CONSOLE_URL ?? 'http://localhost:3000/console';
const RUNBOOKS = process.env.SIGNALBOX_RUNBOOKS_URL ?? 'https://signalbox.example/docs/runbooks';

const BOARDS = {
  'on-call': 'On call',
  'scan-flow': 'Scan flow',
  objectives: 'Objectives',
  connections: 'Connections',
  nodes: 'Nodes',
  signaling: 'Signaling, queue, chat',
  runtime: 'Runtime and storage',
  telemetry: 'Telemetry health',
};

/** Another board, with the same time and the same nodes. */
export const board = (name) => ({
  title: `Board: ${BOARDS[name]}`, url: `/d/signalbox-${name}?\${__url_time_range}&\${__all_variables}`,
});

/** The flow explorer: what single flows went through. */
export const flows = (filter, what) => ({ title: `Flows: ${what}`, url: `${CONSOLE}#${filter && `${filter}&`}since=\${__from}`, targetBlank: true });
export const failedFlows = flows('outcome=failed', 'the failed ones');
export const refusedFlows = flows('outcome=refused', 'the refused ones');
export const slowFlows = flows('min_ms=250', 'over 250 ms');
export const allFlows = flows('', 'the live list');

export const runbook = (name, title = `Runbook: ${name}`) => ({ title, url: `${RUNBOOKS}/${name}.md`, targetBlank: true });

// Grafana fills in variables before it decodes the address, so they must not be encoded.
const explore = (datasource, query) => {
  const pane = { a: { datasource, queries: [{ refId: 'A', ...query }], range: { from: '${__from}', to: '${__to}' } } };
  const encoded = encodeURIComponent(JSON.stringify(pane)).replace(/%24%7B(\w+)%7D/g, '${$1}');
  return `/explore?schemaVersion=1&panes=${encoded}`;
};

/** Log lines in Loki, as the collector sends them; the filter is LogQL on their fields. */
export const logs = (filter, what) => ({
  title: `Logs: ${what}`, url: explore('loki', { expr: `{service_name="signalbox"} | ${filter}`, queryType: 'range' }),
});
export const errorLogs = logs('detected_level="error"', 'errors');

/** Traces in Tempo; the filter is TraceQL. */
export const traces = (filter, what) => ({
  title: `Traces: ${what}`,
  url: explore('tempo', { query: `{ resource.service.name = "signalbox" && ${filter} }`, queryType: 'traceql' }),
});
