// All guests, one guest, and those that nobody watches.
import { useEffect, useRef, useState } from 'preact/hooks';
import { RoundTrips } from './charts.jsx';
import { count, duration, micros, withQuery } from './format.js';
import { useResource } from './hooks.js';
import { Badge, Facts, FaultLink, GuestLink, HostLink, Section, State, Table, Time } from './parts.jsx';

const PAGE = 50;
const TYPING_MS = 300;
const STATES = ['registered', 'unhealthy', 'lost', 'crashed', 'held', 'unregistered'];

function go(path) {
  location.hash = path;
}

function Filter({ query }) {
  const [text, setText] = useState(query.get('match') ?? '');
  const state = query.get('state') ?? '';
  const host = query.get('host') ?? '';
  const typing = useRef(0);
  useEffect(() => setText(query.get('match') ?? ''), [query.get('match')]);
  useEffect(() => () => clearTimeout(typing.current), []);
  const apply = (changes) => go(withQuery('/guests', { host, match: text, state, ...changes }));
  const typed = ({ target: { value } }) => {
    setText(value);
    clearTimeout(typing.current);
    typing.current = setTimeout(() => apply({ match: value }), TYPING_MS);
  };
  return (
    <form class="filter" role="search" onSubmit={(event) => { event.preventDefault(); apply({}); }}>
      <label>
        Find <input type="search" value={text} onInput={typed} placeholder="id, name, host or group" />
      </label>
      <label>
        State{' '}
        <select value={state} onChange={(event) => apply({ state: event.target.value })}>
          <option value="">any</option>
          {STATES.map((each) => <option key={each} value={each}>{each}</option>)}
        </select>
      </label>
      {host && <span>On host {host} <button type="button" onClick={() => apply({ host: '' })}>Any host</button></span>}
    </form>
  );
}

function Pages({ query, next }) {
  const here = Object.fromEntries(query);
  if (!query.get('after') && !next) return null;
  return (
    <nav class="pages" aria-label="Pages">
      {query.get('after') && <a href={`#${withQuery('/guests', { ...here, after: '' })}`}>First page</a>}
      {query.get('after') && <button type="button" onClick={() => history.back()}>Previous</button>}
      {next && <a href={`#${withQuery('/guests', { ...here, after: next })}`}>Next page</a>}
    </nav>
  );
}

export function Guests({ query }) {
  const path = withQuery('/v1/guests', { limit: PAGE, ...Object.fromEntries(query) });
  const resource = useResource(path, ['guests']);
  return (
    <>
      <h1 tabIndex={-1}>Guests</h1>
      <Filter query={query} />
      <State resource={resource}>
        {({ guests, next }) => (
          <>
            <Table
              caption="Guests by host"
              empty="No guest matches."
              rows={guests}
              rowKey={(guest) => `${guest.host}/${guest.guest}`}
              columns={[
                ['Guest', (guest) => <GuestLink guest={guest.guest} name={guest.name} display={guest.display_name} />],
                ['State', (guest) => <Badge word={guest.state} />],
                ['Host', (guest) => <HostLink host={guest.host} />],
                ['Group', (guest) => guest.group && <a href={`#/groups/${encodeURIComponent(guest.group)}`}>{guest.group}</a>],
                ['Round trip', (guest) => micros(guest.last_round_trip_us)],
              ]}
            />
            <Pages query={query} next={next} />
          </>
        )}
      </State>
    </>
  );
}

const REFRESH_MS = 2_000; // agents report round trips without an event
const MOST_SAMPLES = 120;

/** The last round trips, one for each time that the number of answers has grown. */
function useSamples(guest) {
  const samples = useRef([]);
  const answers = useRef(-1);
  if (guest && guest.responses !== answers.current && guest.last_round_trip_us >= 0) {
    answers.current = guest.responses;
    samples.current = [...samples.current, guest.last_round_trip_us].slice(-MOST_SAMPLES);
  }
  return samples.current;
}

function Heartbeat({ guest, samples }) {
  if (!(guest.last_round_trip_us >= 0)) {
    return <p class="quiet">No round trip is reported yet: the agent reports them each <code>report_interval</code>.</p>;
  }
  return (
    <>
      <RoundTrips samples={samples} longest={guest.longest_round_trip_us} deadlineMs={guest.response_deadline_ms} />
      <Facts entries={[
        ['Last round trip', micros(guest.last_round_trip_us)],
        ['Longest of the last hour', micros(guest.longest_round_trip_us)],
        ['Deadline', `${count(guest.response_deadline_ms)} ms`],
        ['Interval', `${count(guest.interval_ms)} ms`],
        ['Challenges', count(guest.challenges)],
        ['Answers', count(guest.responses)],
        ['Late', count(guest.late)],
        ['Missed', count(guest.misses)],
        ['Refused messages', count(guest.refused)],
      ]} />
    </>
  );
}

function FaultsOf({ guest }) {
  const path = withQuery('/v1/faults', { guest, all: 1, newest: 1, limit: 20 });
  const resource = useResource(path, ['faults']);
  return (
    <Section title="Faults" note="the newest first">
      <State resource={resource}>
        {({ faults }) => (
          <Table
            caption="Faults of this guest"
            empty="It had none that is still kept."
            rows={faults}
            rowKey={(fault) => fault.id}
            columns={[
              ['Fault', (fault) => <FaultLink fault={fault} />],
              ['State', (fault) => <Badge word={fault.state} />],
              ['Opened', (fault) => <Time at={fault.opened_at} />],
              ['Lasted', (fault) => fault.cleared_at
                && duration((Date.parse(fault.cleared_at) - Date.parse(fault.opened_at)) / 1000)],
            ]}
          />
        )}
      </State>
    </Section>
  );
}

export function Guest({ id }) {
  const resource = useResource(`/v1/guests/${encodeURIComponent(id)}`, ['guests'], REFRESH_MS);
  const samples = useSamples(resource.data);
  return (
    <>
      <h1 tabIndex={-1}>{resource.data?.display_name || resource.data?.name || id}</h1>
      <State resource={resource}>
        {(guest) => (
          <>
            {guest.stale_since && (
              <p class="notice">Its agent is not connected since <Time at={guest.stale_since} />. This is what it told last.</p>
            )}
            <Facts entries={[
              ['State', <Badge word={guest.state} />],
              ['Not judged because', guest.hold],
              ['Warns of', guest.warning],
              ['Id', guest.guest],
              ['Host', <HostLink host={guest.host} />],
              ['Also reported by', guest.hosts.filter((host) => host !== guest.host).join(', ')],
              ['Group', guest.group && <a href={`#/groups/${encodeURIComponent(guest.group)}`}>{guest.group}</a>],
              ['State in the cloud', guest.cloud_state],
              ['Registered', guest.registered_since && <Time at={guest.registered_since} />],
              ['Channels', guest.channels.join(', ')],
            ]} />
            <Section title="Heartbeat"><Heartbeat guest={guest} samples={samples} /></Section>
          </>
        )}
      </State>
      <FaultsOf guest={id} />
    </>
  );
}

const MOST_UNCOVERED = 500;

export function Uncovered() {
  const resource = useResource(`/v1/coverage?only=uncovered&limit=${MOST_UNCOVERED}`, ['faults', 'guests', 'agents']);
  return (
    <>
      <h1 tabIndex={-1}>Uncovered guests</h1>
      <p>They should be watched, and could fail unnoticed.</p>
      <State resource={resource}>
        {({ guests, counts }) => (
          <>
            {counts.uncovered > guests.length && <p class="quiet">The first {guests.length} of {count(counts.uncovered)}.</p>}
            <Table
              caption="Uncovered guests"
              empty="Every guest is covered."
              rows={guests}
              rowKey={(guest) => guest.guest}
              columns={[
                ['Guest', (guest) => <GuestLink guest={guest.guest} />],
                ['Host', (guest) => <HostLink host={guest.host} />],
                ['Why', (guest) => guest.why],
              ]}
            />
          </>
        )}
      </State>
    </>
  );
}
