// PromQL in short: {@} selects the chosen nodes, [@] is the rate interval; and the objectives, once.

export const expand = (expr) => expr
  .replaceAll('{@', '{job=~"$job", instance=~"$instance"').replaceAll('[@]', '[$__rate_interval]').replace(/\s+/g, ' ').trim();

/** Per second, summed; `by` keeps labels. */
export const rate = (selector, by) => `sum${by ? ` by (${by})` : ''} (rate(${selector}[@]))`;

/** How many in the whole time shown. */
export const count = (selector, by) => `sum${by ? ` by (${by})` : ''} (increase(${selector}[$__range]))`;

/** A quantile of a histogram: over the rate interval, or with `overRange` over the whole time shown. */
export const quantile = (q, metric, { by, where, overRange } = {}) => {
  const buckets = `${metric}_bucket{@${where ? `, ${where}` : ''}}`;
  const increase = overRange ? `increase(${buckets}[$__range])` : `rate(${buckets}[@])`;
  return `histogram_quantile(${q}, sum by (le${by ? `, ${by}` : ''}) (${increase}))`;
};

/** Seconds since a node's last good canary run, or since its start when there was none yet. */
export const canaryAge = `time() - (signalbox_canary_last_success_timestamp_seconds{@} > process_start_time_seconds{@}
  or process_start_time_seconds{@} and signalbox_canary_last_success_timestamp_seconds{@})`;

/** The objectives over 30 days. `failed` and `events` take a function of PromQL, such as rate, to apply to each selector. */
export const objectives = {
  scan_delivery: {
    title: 'Scan delivery', events: 'scans', objective: 0.995,
    failed: (over) => over('signalbox_scan_flows_total{@, outcome=~"relay_failed|storage_failed|shed"}'),
    total: (over) => over('signalbox_scan_flows_total{@, outcome=~"sent|queued|duplicate|relay_failed|storage_failed|shed"}'),
  },
  scan_latency: {
    title: 'Scan latency', events: 'navigates', objective: 0.99,
    failed: (over) => `(${over('signalbox_scan_to_navigate_seconds_count{@}')} - ${over('signalbox_scan_to_navigate_seconds_bucket{@, le="0.25"}')})`,
    total: (over) => over('signalbox_scan_to_navigate_seconds_count{@}'),
  },
  handshake: {
    title: 'Handshake', events: 'handshakes', objective: 0.999,
    failed: (over) => over('signalbox_handshakes_total{@, result="error"}'),
    total: (over) => over('signalbox_handshakes_total{@, result=~"ok|error"}'),
  },
  signaling: {
    title: 'Signaling', events: 'signals', objective: 0.995,
    failed: (over) => over('signalbox_events_received_total{@, event=~"offer|answer|ice-candidate|message", outcome="failed"}'),
    total: (over) => over('signalbox_events_received_total{@, event=~"offer|answer|ice-candidate|message", outcome=~"ok|failed"}'),
  },
  restore: {
    title: 'Restore', events: 'restores', objective: 0.99,
    failed: (over) => over('signalbox_session_restores_total{@, result=~"gap|error"}'),
    total: (over) => over('signalbox_session_restores_total{@, result=~"ok|gap|error"}'),
  },
};

/** 1 while an objective is kept over the rate interval; also without any traffic. */
export const kept = ({ failed, total, objective }) =>
  `${failed(rate)} <= bool ${allowed(objective)} * ${total(rate)}`;

/** The recorded share of failures over a window. It is about all nodes of a job together. */
export const recorded = (slo, window) => `signalbox:sli_${slo}:ratio_rate${window}{job=~"$job"}`;

/** The share that may fail, without the noise of binary fractions. */
export const allowed = (objective) => Number((1 - objective).toFixed(6));
