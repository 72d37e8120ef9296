// What several views use.
import { useState } from 'preact/hooks';
import { ago, clock, counted, words } from './format.js';
import { useNow } from './hooks.js';

/** When, and how long ago. */
export function Time({ at }) {
  const now = useNow();
  if (!at) return <span class="quiet">unknown</span>;
  return (
    <time dateTime={at} title={new Date(at).toString()}>
      {clock(at, now)} <span class="quiet">{ago(at, now)}</span>
    </time>
  );
}

const TONES = {
  critical: 'bad',
  major: 'bad',
  warning: 'warn',
  lost: 'bad',
  crashed: 'bad',
  unhealthy: 'warn',
  held: 'mute',
  unregistered: 'mute',
  registered: 'good',
  healthy: 'good',
  connected: 'good',
  cleared: 'good',
  open: 'bad',
  opened: 'bad',
};

/** A word with a colour; the word says it, the colour only helps. */
export function Badge({ word, tone = TONES[word] ?? 'mute' }) {
  return <span class={`badge ${tone}`}>{word}</span>;
}

export function Section({ title, note, children }) {
  return (
    <section>
      <h2>
        {title} {note && <span class="quiet">{note}</span>}
      </h2>
      {children}
    </section>
  );
}

const SHOWN = 100;

/** `columns`: [heading, row => content]. On a phone each row is a card. */
export function Table({ caption, columns, rows, rowKey, empty }) {
  const [shown, setShown] = useState(SHOWN);
  if (rows.length === 0) return <p class="quiet">{empty}</p>;
  return (
    <>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>{columns.map(([heading]) => <th scope="col" key={heading}>{heading}</th>)}</tr>
        </thead>
        <tbody>
          {rows.slice(0, shown).map((row) => (
            <tr key={rowKey(row)}>
              {columns.map(([heading, content]) => <td key={heading} data-label={heading}>{content(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown && (
        <button type="button" onClick={() => setShown(shown + SHOWN)}>Show more of {counted(rows.length, 'row')}</button>
      )}
    </>
  );
}

/** `entries`: [term, content]; those without content are left out. */
export function Facts({ entries }) {
  return (
    <dl>
      {entries.filter(([, content]) => content !== null && content !== undefined && content !== '').map(([term, content]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{content}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What a resource shows while it has nothing, or beside what it had. */
export function State({ resource, children }) {
  const { data, error, at } = resource;
  const now = useNow();
  return (
    <>
      {error && (
        <p class="notice" role="alert">
          {words(error)}.{data && ` What is shown is of ${clock(at, now)}.`}
        </p>
      )}
      {data ? children(data) : !error && <p class="quiet">Loading ...</p>}
    </>
  );
}

export function GuestLink({ guest, name, display }) {
  const label = display || name;
  return (
    <a href={`#/guests/${encodeURIComponent(guest)}`}>
      {label || guest}
      {label && label !== guest && <span class="id">{guest}</span>}
    </a>
  );
}

export function HostLink({ host }) {
  return host ? <a href={`#/guests?host=${encodeURIComponent(host)}`}>{host}</a> : <span class="quiet">none</span>;
}

export function FaultLink({ fault }) {
  return <a href={`#/faults/${encodeURIComponent(fault.id)}`}>{words(fault.kind)}</a>;
}
