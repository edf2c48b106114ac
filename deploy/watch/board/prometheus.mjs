// Asks Prometheus' HTTP API.
import { setTimeout as pause } from 'node:timers/promises';

const number = (text) => ({ '+Inf': Infinity, '-Inf': -Infinity, NaN: NaN })[text] ?? Number(text);

/** A Prometheus duration or Grafana's, in milliseconds. */
export function milliseconds(text) {
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000 };
  const parts = [...String(text).matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== String(text))
    throw new Error(`"${text}" is not a duration; for example 15s`);
  return parts.reduce((total, [, count, name]) => total + Number(count) * unit[name], 0);
}

export class Prometheus {
  constructor(url) {
    this.url = url.replace(/\/$/, '');
  }

  async get(path, parameters = {}) {
    const body = new URLSearchParams(
      Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)])),
    );
    const post = /query/.test(path);
    const ask = () => fetch(`${this.url}/api/v1/${path}${post || !body.size ? '' : `?${body}`}`, post ? { method: 'POST', body } : {});
    const answer = await ask()
      .catch(() => pause(500).then(ask))
      .catch((error) => {
        throw new Error(`Prometheus at ${this.url} does not answer: ${error.cause?.code ?? error.message}`);
      });
    const { status, data, error } = await answer
      .json()
      .catch(() => ({ error: `${this.url} answered ${answer.status}, and not as Prometheus does` }));
    if (status !== 'success') throw new Error(error);
    return data;
  }

  /** Series over time: [{ labels, times, values }]. Times are in milliseconds, missing samples are missing. */
  async range(query, { from, to, step }) {
    const { result } = await this.get('query_range', { query, start: from / 1000, end: to / 1000, step: step / 1000 });
    return result.map(({ metric, values }) => ({
      labels: metric,
      times: values.map(([at]) => at * 1000),
      values: values.map(([, value]) => number(value)),
    }));
  }

  /** Series at one moment, in the same shape. */
  async instant(query, at) {
    const { resultType, result } = await this.get('query', { query, time: at / 1000 });
    if (resultType === 'scalar') return [{ labels: {}, times: [result[0] * 1000], values: [number(result[1])] }];
    return result.map(({ metric, value }) => ({ labels: metric, times: [value[0] * 1000], values: [number(value[1])] }));
  }

  async exemplars(query, { from, to }) {
    const data = await this.get('query_exemplars', { query, start: from / 1000, end: to / 1000 });
    return data.flatMap(({ exemplars }) =>
      exemplars.map(({ timestamp, value, labels }) => ({ at: timestamp * 1000, value: number(value), labels })),
    );
  }

  labelValues(label, match) {
    return this.get(`label/${label}/values`, match ? { 'match[]': match } : {});
  }

  /** The longest scrape interval of what is scraped; Grafana's default as long as nothing is. */
  async scrapeInterval() {
    const { activeTargets } = await this.get('targets', { state: 'active' });
    return activeTargets.length ? Math.max(1000, ...activeTargets.map((target) => milliseconds(target.scrapeInterval))) : 15_000;
  }
}
