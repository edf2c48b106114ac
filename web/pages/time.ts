// Times as people read them, in the language of the page.
import { language } from './page';

const clocks = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const days = new Intl.DateTimeFormat(language, { month: 'short', day: 'numeric' });

/** The time of day, with the day where it is not today. `at` in ms since 1970. */
export function clock(at: number): string {
  const time = clocks.format(at);
  return new Date(at).toDateString() === new Date().toDateString() ? time : `${days.format(at)} ${time}`;
}

const times = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const thisYear = new Intl.DateTimeFormat(language, { weekday: 'long', month: 'long', day: 'numeric' });
const long = new Intl.DateTimeFormat(language, { year: 'numeric', month: 'long', day: 'numeric' });

/** Hour and minute. `at` in ms since 1970. */
export const hour = (at: number): string => times.format(at);

/** A day, with its year where it is not this one. */
export const day = (at: number): string => (new Date(at).getFullYear() === new Date().getFullYear() ? thisYear : long).format(at);

/** Hour and minute where it is today, else the day. */
export const lately = (at: number): string => (new Date(at).toDateString() === new Date().toDateString() ? times : days).format(at);

/** A length of time, in its two largest units. */
export function span(seconds: number): string {
  const units = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]] as const;
  const first = Math.max(0, units.findIndex(([, length]) => seconds >= length));
  let rest = Math.floor(seconds);
  return (seconds < 1 ? units.slice(-1) : units.slice(first, first + 2)).map(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest -= count * length;
    return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'short' }).format(count);
  }).join(' ');
}
