// A dashboard's variables: what they may be, and what they become in a query.

async function options(variable, prometheus, known) {
  const query = interpolate(typeof variable.query === 'object' ? variable.query.query : (variable.query ?? ''), known);
  switch (variable.type) {
    case 'query': {
      const values = query.match(/^label_values\((?:(.+),\s*)?(\w+)\)$/s);
      if (!values) throw new Error(`variable ${variable.name}: only label_values(…) is known here, not ${query}`);
      const found = await prometheus.labelValues(values[2], values[1]);
      return variable.regex ? found.filter((value) => new RegExp(variable.regex.replace(/^\/(.*)\/$/, '$1')).test(value)) : found;
    }
    case 'datasource':
      return ['prometheus'];
    case 'interval':
    case 'custom':
      return query.split(',').map((value) => value.trim());
    default:
      return [query];
  }
}

const escapeRegex = (value) => value.replace(/[\\^$.*+?()[\]{}|/]/g, '\\\\$&');

/** Values of every variable: { name: { text, value } }; chosen ones instead of the dashboard's own. */
export async function resolve(board, prometheus, chosen = {}) {
  const known = {};
  for (const variable of board.templating?.list ?? []) {
    const all = await options(variable, prometheus, known);
    const current = [chosen[variable.name] ?? variable.current?.value ?? []].flat();
    const wanted = current.filter((value) => value !== '');
    const everything = wanted.includes('$__all') || (wanted.length === 0 && variable.includeAll);
    const values = everything ? all : wanted.length ? wanted : all.slice(0, 1);
    const value =
      everything && variable.allValue
        ? variable.allValue
        : variable.multi || variable.includeAll
          ? `(${values.map(escapeRegex).join('|')})`
          : (values[0] ?? '');
    known[variable.name] = { text: everything ? 'All' : values.join(', '), value };
  }
  for (const name of Object.keys(chosen)) if (!known[name]) throw new Error(`the dashboard has no variable ${name}`);
  return known;
}

/** Puts the values in: $name, ${name}, ${name:regex} and [[name]]. */
export function interpolate(text, known) {
  return text.replace(
    /\$(\w+)|\$\{(\w+)(?::\w+)?\}|\[\[(\w+)\]\]/g,
    (whole, plain, braced, bracketed) => known[plain ?? braced ?? bracketed]?.value ?? whole,
  );
}

/** Grafana's own variables for one panel. */
export function builtIn({ from, to }, step, scrape) {
  const seconds = (milliseconds) => (milliseconds % 1000 ? `${milliseconds}ms` : `${milliseconds / 1000}s`);
  const values = {
    __interval: seconds(step),
    __interval_ms: step,
    __rate_interval: seconds(Math.max(4 * scrape, step + scrape)),
    __range: seconds(to - from),
    __range_s: Math.round((to - from) / 1000),
    __range_ms: to - from,
    __from: from,
    __to: to,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value: String(value) }]));
}
