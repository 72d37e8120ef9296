// Small pictures, each with its figures in words beside it or in its title.
import { clock, count, counted, micros } from './format.js';

const COVERAGE = ['watched', 'inhibited', 'faulty', 'uncovered'];

/** One line of a legend. */
function Key({ name, label }) {
  return (
    <li>
      <svg viewBox="0 0 10 10" aria-hidden="true"><rect class={name} width="10" height="10" rx="2" /></svg>
      {label}
    </li>
  );
}

/** How many guests are in each state of coverage. */
export function CoverageBar({ counts }) {
  const total = COVERAGE.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  if (total === 0) return <p class="quiet">No guest is to be watched.</p>;
  let left = 0;
  return (
    <>
      <svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
        {COVERAGE.map((name) => {
          const width = (1000 * counts[name]) / total;
          const rect = <rect key={name} class={name} x={left} width={width} height="10" />;
          left += width;
          return rect;
        })}
      </svg>
      <ul class="legend">
        {COVERAGE.map((name) => (
          <Key key={name} name={name} label={name === 'uncovered' && counts[name] > 0
            ? <a href="#/uncovered">{count(counts[name])} {name}</a>
            : `${count(counts[name])} ${name}`} />
        ))}
      </ul>
    </>
  );
}

const WIDTH = 600;
const HEIGHT = 120;
const FLOOR_US = 100;

/** Round trips that were seen since the page shows the guest, below its deadline. The scale is logarithmic. */
export function RoundTrips({ samples, longest, deadlineMs }) {
  const ceiling = Math.max(deadlineMs * 1000, longest, FLOOR_US * 10) * 1.3;
  const y = (us) => HEIGHT - (HEIGHT * Math.log(Math.max(us, FLOOR_US) / FLOOR_US)) / Math.log(ceiling / FLOOR_US);
  const step = WIDTH / Math.max(samples.length - 1, 1);
  const points = samples.map((us, index) => `${(index * step).toFixed(1)},${y(us).toFixed(1)}`);
  const last = samples.at(-1);
  return (
    <figure class="picture trips">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <path class="deadline" d={`M0,${y(deadlineMs * 1000)} H${WIDTH}`} />
        {longest > 0 && <path class="longest" d={`M0,${y(longest)} H${WIDTH}`} />}
        <polyline class="last" points={points.join(' ')} />
        {points.length === 1 && <path class="last dot" d={`M${points[0]} h0.01`} />}
      </svg>
      <figcaption>
        <ul>
          <Key name="last" label={`last ${micros(last)}, ${counted(samples.length, 'report')} seen`} />
          <Key name="longest" label={`longest of the last hour ${micros(longest)}`} />
          <Key name="deadline" label={`deadline ${count(deadlineMs)} ms`} />
        </ul>
      </figcaption>
    </figure>
  );
}

const BARS = 48;

/** How many events there were in each part of the time from the oldest to now. */
export function EventsOverTime({ events, now }) {
  if (events.length === 0) return null;
  const begin = Math.min(...events.map((event) => Date.parse(event.at)));
  const span = Math.max(now - begin, 60_000);
  const of = (what) => events.filter((event) => event.what === what).length;
  const bins = Array.from({ length: BARS }, () => ({ opened: 0, cleared: 0 }));
  for (const event of events) {
    const bin = Math.min(BARS - 1, Math.max(0, Math.floor((BARS * (Date.parse(event.at) - begin)) / span)));
    bins[bin][event.what] += 1;
  }
  const most = Math.max(...bins.map((bin) => Math.max(bin.opened, bin.cleared)));
  const height = (number) => (40 * number) / most;
  return (
    <figure class="picture history">
      <svg viewBox={`0 0 ${BARS * 10} 84`} preserveAspectRatio="none" aria-hidden="true">
        <line x1="0" x2={BARS * 10} y1="42" y2="42" />
        {bins.map((bin, index) => (
          <g key={index}>
            <rect class="opened" x={index * 10 + 1} width="8" y={41 - height(bin.opened)} height={height(bin.opened)} />
            <rect class="cleared" x={index * 10 + 1} width="8" y="43" height={height(bin.cleared)} />
          </g>
        ))}
      </svg>
      <figcaption>
        <span>{clock(new Date(begin).toISOString(), now)}</span>
        <ul>
          <Key name="opened" label={`${count(of('opened'))} opened`} />
          <Key name="cleared" label={`${count(of('cleared'))} cleared`} />
        </ul>
        <span>now</span>
      </figcaption>
    </figure>
  );
}
