// Numbers, times and names as people read them. No DOM, no clock.

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];

/** "3 min", "2 h 5 min": the two largest units. */
export function duration(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const first = UNITS.findIndex(([, size]) => rest >= size);
  if (first < 0) return '0 s';
  const parts = [];
  for (const [unit, size] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.join(' ');
}

/** How long before `now`, or after it; a clock that is a little ahead of ours is "now". */
export function ago(iso, now) {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (seconds < -60) return `in ${duration(-seconds)}`;
  return seconds < 1 ? 'now' : `${duration(seconds)} ago`;
}

/** "14:03:21" today, "28 Nov 14:03:21" before; in the reader's time zone. */
export function clock(iso, now) {
  const at = new Date(iso);
  const time = at.toLocaleTimeString('en-GB');
  if (at.toDateString() === new Date(now).toDateString()) return time;
  return `${at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}

/** A round trip: "640 µs", "1.3 ms", "2.1 s"; "none" before the first. */
export function micros(value) {
  if (value == null || value < 0) return 'none';
  if (value < 1000) return `${value} µs`;
  if (value < 10_000) return `${(value / 1000).toFixed(1)} ms`;
  if (value < 1_000_000) return `${Math.round(value / 1000)} ms`;
  return `${(value / 1_000_000).toFixed(1)} s`;
}

export function count(number) {
  return Number(number).toLocaleString('en-GB').replaceAll(',', '\u202f');
}

/** count(1, 'fault') is "1 fault", count(2, 'fault') "2 faults". */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** "heartbeat_lost" is "Heartbeat lost". */
export function words(name) {
  const text = name.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const SEVERITIES = ['critical', 'major', 'warning'];

/** The worst first, and of those alike the newest. */
export function worstFirst(faults) {
  const rank = (fault) => SEVERITIES.indexOf(fault.severity);
  return [...faults].sort((a, b) => rank(a) - rank(b) || openedHere(b).localeCompare(openedHere(a)));
}

// By the clock of the controller, where it tells that: a fault's own times are by the clock of its host.
export const openedHere = (fault) => fault.received_at ?? fault.opened_at;
export const clearedHere = (fault) => fault.cleared_at && (fault.changed_at ?? fault.cleared_at);

/** What opened and what ended, the newest first. */
export function eventsOf(faults) {
  const events = faults.flatMap((fault) => {
    const opened = { at: openedHere(fault), what: 'opened', fault };
    return fault.cleared_at ? [opened, { at: clearedHere(fault), what: 'cleared', fault }] : [opened];
  });
  return events.sort((a, b) => b.at.localeCompare(a.at));
}

/** A path of the API with the parameters that have a value. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  return query.size ?? [...query].length ? `${path}?${query}` : path;
}
