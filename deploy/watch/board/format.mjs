// Values as text: units, decimals and value mappings, the way Grafana writes them.
const K = ['', ' K', ' Mil', ' Bil', ' Tri'];
const SI = ['', ' k', ' M', ' G', ' T'];
const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const DEC = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const SECONDS = [
  [1e-6, 1e-9, 'ns'],
  [1e-3, 1e-6, 'µs'],
  [1, 1e-3, 'ms'],
  [60, 1, 's'],
  [3600, 60, 'mins'],
  [86400, 3600, 'hours'],
  [604800, 86400, 'days'],
  [31536000, 604800, 'weeks'],
  [Infinity, 31536000, 'years'],
];
const RATES = {
  reqps: 'req/s',
  cps: 'c/s',
  ops: 'ops/s',
  rps: 'rd/s',
  wps: 'wr/s',
  iops: 'io/s',
  eps: 'evt/s',
  mps: 'mps',
  cpm: 'cpm',
  opm: 'opm',
  reqpm: 'req/m',
  hertz: 'Hz',
};

function stepped(value, base, names, gap = '') {
  const power = value === 0 ? 0 : Math.min(names.length - 1, Math.max(0, Math.floor(Math.log(Math.abs(value)) / Math.log(base) + 1e-9)));
  return { number: value / base ** power, suffix: `${gap}${names[power]}` };
}

function seconds(value) {
  if (value === 0) return { number: 0, suffix: ' s' };
  const [, unit, name] = SECONDS.find(([below]) => Math.abs(value) < below);
  return { number: value / unit, suffix: ` ${name}` };
}

/** A number and what comes after it, scaled to its unit. */
export function scale(value, unit = 'none') {
  if (unit in RATES) {
    const { number, suffix } = stepped(value, 1000, K);
    return { number, suffix: `${suffix} ${RATES[unit]}` };
  }
  if (unit.startsWith('suffix:')) return { number: value, suffix: ` ${unit.slice(7)}` };
  if (unit.startsWith('prefix:')) return { prefix: unit.slice(7), number: value, suffix: '' };
  switch (unit) {
    case 'none':
    case '':
    case 'string':
      return { number: value, suffix: '' };
    case 'short':
      return stepped(value, 1000, K);
    case 'sishort':
      return stepped(value, 1000, SI);
    case 'percent':
      return { number: value, suffix: '%' };
    case 'percentunit':
      return { number: value * 100, suffix: '%' };
    case 's':
      return seconds(value);
    case 'ms':
      return seconds(value / 1000);
    case 'µs':
      return seconds(value / 1e6);
    case 'ns':
      return seconds(value / 1e9);
    case 'm':
      return seconds(value * 60);
    case 'h':
      return seconds(value * 3600);
    case 'd':
      return seconds(value * 86400);
    case 'bytes':
      return stepped(value, 1024, IEC, ' ');
    case 'decbytes':
      return stepped(value, 1000, DEC, ' ');
    case 'binBps':
      return stepped(
        value,
        1024,
        IEC.map((name) => `${name}/s`),
        ' ',
      );
    case 'Bps':
      return stepped(
        value,
        1000,
        DEC.map((name) => `${name}/s`),
        ' ',
      );
    default:
      return { number: value, suffix: ` ${unit}` };
  }
}

/** About three digits that count; none after the point for whole numbers. */
function digits(number) {
  if (Number.isInteger(number)) return 0;
  return Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number)))));
}

function clock(milliseconds) {
  const whole = Math.round(milliseconds / 1000);
  const part = (number) => String(Math.floor(number)).padStart(2, '0');
  return `${part(whole / 3600)}:${part((whole % 3600) / 60)}:${part(whole % 60)}`;
}

export const localTime = (milliseconds) => {
  const date = new Date(milliseconds);
  const part = (number) => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())} ${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}`;
};

function fromNow(milliseconds, now) {
  const { number, suffix } = seconds((now - milliseconds) / 1000);
  return number < 0 ? `in ${Math.round(-number)}${suffix}` : `${Math.round(number)}${suffix} ago`;
}

/** A value in its unit. `decimals` undefined lets the value decide. */
export function formatNumber(value, { unit, decimals, now = Date.now() } = {}) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  if (unit === 'dateTimeAsIso') return localTime(value);
  if (unit === 'dateTimeFromNow') return fromNow(value, now);
  if (unit === 'bool') return value ? 'True' : 'False';
  if (unit === 'bool_yes_no') return value ? 'Yes' : 'No';
  if (unit === 'bool_on_off') return value ? 'On' : 'Off';
  if (unit === 'dthms') return clock(value * 1000);
  const { prefix = '', number, suffix } = scale(value, unit);
  return `${prefix}${number.toFixed(decimals ?? digits(number))}${suffix}`;
}

/** A tick's text with as few digits as say where it is. */
export function formatTick(value, { unit } = {}) {
  const { prefix = '', number, suffix } = scale(value, unit);
  let decimals = 0;
  while (decimals < 3 && Math.abs(number - Number(number.toFixed(decimals))) > Math.abs(number) * 1e-6) decimals += 1;
  return `${prefix}${number.toFixed(decimals)}${suffix}`;
}

const SPECIAL = {
  null: (value) => value === null,
  nan: (value) => Number.isNaN(value),
  'null+nan': (value) => value === null || Number.isNaN(value),
  true: (value) => value === true || value === 'true',
  false: (value) => value === false || value === 'false',
  empty: (value) => value === '',
};

/** What the value mappings make of a value: { text, color }, or nothing. */
export function mapped(value, mappings = []) {
  for (const { type, options } of mappings) {
    if (type === 'value' && options[String(value)]) return options[String(value)];
    if (type === 'special' && SPECIAL[options.match]?.(value)) return options.result;
    if (type === 'range' && typeof value === 'number' && value >= (options.from ?? -Infinity) && value <= (options.to ?? Infinity))
      return options.result;
    if (type === 'regex') {
      const pattern = new RegExp(options.pattern.replace(/^\/(.*)\/\w*$/, '$1'));
      if (pattern.test(String(value)))
        return { ...options.result, text: options.result.text?.replace(/\$(\d)/g, (_, group) => pattern.exec(String(value))[group] ?? '') };
    }
  }
  return undefined;
}

/** A field's value as the panel shows it. */
export function formatValue(value, config = {}) {
  const text = mapped(value, config.mappings)?.text;
  if (text) return text;
  if (value === null || value === undefined || Number.isNaN(value)) return config.noValue ?? 'No data';
  return typeof value === 'number' ? formatNumber(value, config) : String(value);
}
