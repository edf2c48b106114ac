// Grafana's dark theme: its named colours, series palette and heatmap schemes.
const SHADES = ['super-light', 'light', '', 'semi-dark', 'dark'];
const HUES = {
  red: ['#FFA6B0', '#FF7383', '#F2495C', '#E02F44', '#C4162A'],
  orange: ['#FFCB7D', '#FFB357', '#FF9830', '#FF780A', '#FA6400'],
  yellow: ['#FFF899', '#FFEE52', '#FADE2A', '#F2CC0C', '#E0B400'],
  green: ['#C8F2C2', '#96D98D', '#73BF69', '#56A64B', '#37872D'],
  blue: ['#C0D8FF', '#8AB8FF', '#5794F2', '#3274D9', '#1F60C4'],
  purple: ['#DEB6F2', '#CA95E5', '#B877D9', '#A352CC', '#8F3BB8'],
};
const NAMED = { text: '#ccccdc', transparent: 'none', white: '#ffffff', black: '#000000', gray: '#8e8e9a', grey: '#8e8e9a' };
for (const [hue, shades] of Object.entries(HUES)) shades.forEach((hex, i) => (NAMED[SHADES[i] ? `${SHADES[i]}-${hue}` : hue] = hex));

export const THEME = {
  page: '#111217',
  panel: '#181b1f',
  edge: '#2a2d33',
  grid: '#272a30',
  text: '#ccccdc',
  faint: '#8e8e9a',
  dim: '#2c3036',
  bad: '#F2495C',
  link: '#6E9FFF',
};

/** A Grafana colour name as a colour of SVG. */
export const colorOf = (name) => NAMED[name] ?? name ?? THEME.text;

export const PALETTE = [
  '#73BF69',
  '#F2CC0C',
  '#8AB8FF',
  '#FF780A',
  '#F2495C',
  '#5794F2',
  '#B877D9',
  '#705DA0',
  '#37872D',
  '#FADE2A',
  '#447EBC',
  '#C15C17',
  '#890F02',
  '#0A437C',
  '#6D1F62',
  '#584477',
  '#B7DBAB',
  '#F4D598',
  '#70DBED',
  '#F9BA8F',
  '#F29191',
  '#82B5D8',
  '#E5A8E2',
  '#AEA2E0',
];

/** Colours that mean something: they stay exact when a picture gets fewer colours. */
export const EXACT = [...Object.values(THEME), ...PALETTE, ...Object.values(HUES).flat()];

const SCHEMES = {
  Oranges: ['#3a1c05', '#7f2704', '#b93d02', '#e25508', '#f67824', '#fd9f56', '#fdc692', '#fee6ce'],
  Blues: ['#08203f', '#08306b', '#0b559f', '#2b7bba', '#539ecd', '#89bedc', '#bad6eb', '#deebf7'],
  Greens: ['#032611', '#00441b', '#077331', '#2f984f', '#60ba6c', '#98d594', '#c7e9c0', '#e5f5e0'],
  Reds: ['#3a0309', '#67000d', '#ad1117', '#d52221', '#f14432', '#fb7757', '#fcaa8d', '#fee0d2'],
  Purples: ['#21003f', '#3f007d', '#5e3c98', '#796eb2', '#9b97c6', '#bcbddc', '#dadaeb', '#efedf5'],
  Spectral: ['#5e4fa2', '#3f96b7', '#88cfa4', '#d3ed9c', '#ffffbe', '#fece7c', '#f98e52', '#9e0142'],
  GrYlRd: ['#73BF69', '#F2CC0C', '#F2495C'],
  RdYlGr: ['#F2495C', '#F2CC0C', '#73BF69'],
};

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** The colour at a share from 0 to 1 of a scheme's ramp. */
export function schemeColor(name, share) {
  const stops = SCHEMES[name] ?? SCHEMES.Oranges;
  const at = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1);
  const [from, to] = [channels(stops[Math.floor(at)]), channels(stops[Math.ceil(at)])];
  return `#${from
    .map((part, i) =>
      Math.round(part + (to[i] - part) * (at % 1))
        .toString(16)
        .padStart(2, '0'),
    )
    .join('')}`;
}

/** Black or white, whichever can be read on a colour. */
export function inkOn(color) {
  if (!/^#[0-9a-f]{6}$/i.test(color)) return THEME.text;
  const [red, green, blue] = channels(color);
  return red * 0.299 + green * 0.587 + blue * 0.114 > 150 ? '#111217' : '#ffffff';
}
