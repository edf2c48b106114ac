// Tables: what Prometheus answered as columns, and Grafana's transformations of them.

const column = (name, values, more = {}) => ({
  name,
  values,
  type: typeof values.find((value) => value !== null) === 'string' ? 'string' : 'number',
  ...more,
});

/** One query's answer as a table: time, a column for each label, the value. */
function tableOf({ refId, series }, several) {
  const labels = [...new Set(series.flatMap((one) => Object.keys(one.labels)))];
  return [
    column(
      'Time',
      series.map((one) => one.times.at(-1)),
      { type: 'time', refId },
    ),
    ...labels.map((label) =>
      column(
        label,
        series.map((one) => one.labels[label] ?? ''),
        { type: 'string', refId },
      ),
    ),
    column(
      several ? `Value #${refId}` : 'Value',
      series.map((one) => one.values.at(-1)),
      { type: 'number', refId },
    ),
  ];
}

const rows = (table) => table[0]?.values.map((_, i) => Object.fromEntries(table.map((one) => [one.name, one.values[i]]))) ?? [];

/** Joins rows that agree on what `sameRow` looks at; every column of every table stays. */
function combine(tables, sameRow) {
  const columns = new Map(tables.flat().map((one) => [one.name, one]));
  const joined = new Map();
  for (const table of tables) {
    for (const row of rows(table)) joined.set(sameRow(row), { ...joined.get(sameRow(row)), ...row });
  }
  return [...columns.values()].map((one) => ({ ...one, values: [...joined.values()].map((row) => row[one.name] ?? null) }));
}

const TRANSFORMATIONS = {
  /** Rows that agree in every column that all tables have become one. */
  merge(tables) {
    const shared =
      tables[0]?.map(({ name }) => name).filter((name) => tables.every((table) => table.some((one) => one.name === name))) ?? [];
    return [combine(tables, (row) => JSON.stringify(shared.map((name) => row[name])))];
  },

  joinByField(tables, { byField }) {
    return [combine(tables, (row) => String(row[byField]))];
  },

  organize(tables, { excludeByName = {}, indexByName = {}, renameByName = {} }) {
    const place = (one, i) => indexByName[one.name] ?? 1000 + i;
    return tables.map((table) => {
      const order = new Map(table.map((one, i) => [one, place(one, i)]));
      return table
        .filter((one) => !excludeByName[one.name])
        .toSorted((a, b) => order.get(a) - order.get(b))
        .map((one) => ({ ...one, name: renameByName[one.name] || one.name }));
    });
  },

  filterFieldsByName(tables, { include = {}, exclude = {} }) {
    const matches = ({ names, pattern }, name) =>
      names?.includes(name) || (pattern && new RegExp(pattern.replace(/^\/(.*)\/$/, '$1')).test(name));
    const stays = ({ name }) => (include.names || include.pattern ? matches(include, name) : !matches(exclude, name));
    return tables.map((table) => table.filter(stays));
  },

  sortBy(tables, { sort: [{ field, desc }] }) {
    return tables.map((table) => {
      const by = table.find((one) => one.name === field)?.values ?? [];
      const order = by.map((_, i) => i).sort((a, b) => (by[a] > by[b] ? 1 : by[a] < by[b] ? -1 : 0) * (desc ? -1 : 1));
      return by.length ? table.map((one) => ({ ...one, values: order.map((i) => one.values[i]) })) : table;
    });
  },

  limit(tables, { limitField = 10 }) {
    return tables.map((table) => table.map((one) => ({ ...one, values: one.values.slice(0, limitField) })));
  },
};

/** A panel's answers as one table: its columns in order. */
export function transform(queries, transformations = []) {
  let tables = queries.filter((query) => query.series.length).map((query) => tableOf(query, queries.length > 1));
  for (const { id, options, disabled } of transformations) {
    if (disabled) continue;
    if (!TRANSFORMATIONS[id]) throw new Error(`the transformation ${id} is not known here`);
    tables = TRANSFORMATIONS[id](tables, options ?? {});
  }
  return tables[0] ?? [];
}
