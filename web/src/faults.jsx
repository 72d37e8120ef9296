// Events over time, and one fault with its journal.
import { useState } from 'preact/hooks';
import { EventsOverTime } from './charts.jsx';
import { counted, eventsOf, words } from './format.js';
import { useNow, useResource } from './hooks.js';
import { Badge, Facts, FaultLink, GuestLink, HostLink, Section, State, Table, Time } from './parts.jsx';

const STEP = 200;

export function Events() {
  const [limit, setLimit] = useState(STEP);
  const now = useNow(60_000);
  const resource = useResource(`/v1/faults?all=1&newest=1&limit=${limit}`, ['faults']);
  return (
    <>
      <h1 tabIndex={-1}>Events</h1>
      <State resource={resource}>
        {({ faults, next }) => (
          <>
            <EventsOverTime events={eventsOf(faults)} now={now} />
            <Table
              caption="What opened and what was cleared, the newest first"
              empty="Nothing has happened that is still kept."
              rows={eventsOf(faults)}
              rowKey={(event) => `${event.fault.id} ${event.what}`}
              columns={[
                ['When', (event) => <Time at={event.at} />],
                ['What', (event) => <Badge word={event.what} />],
                ['Fault', (event) => <FaultLink fault={event.fault} />],
                ['Guest', ({ fault }) => <GuestLink guest={fault.guest} name={fault.guest_name} display={fault.display_name} />],
                ['Host', (event) => <HostLink host={event.fault.host} />],
              ]}
            />
            {next && <button type="button" onClick={() => setLimit(limit + STEP)}>Older ones</button>}
          </>
        )}
      </State>
    </>
  );
}

function Journal({ journal }) {
  if (journal.entries.length === 0) return <p class="quiet">Nothing is recorded.</p>;
  return (
    <>
      {journal.dropped > 0 && <p class="quiet">{counted(journal.dropped, 'entry')} in between left out.</p>}
      <ol class="journal">
        {journal.entries.map((entry, index) => (
          <li key={index}>
            <Time at={entry.at} />
            <span>
              <strong>{words(entry.what)}</strong>
              {entry.sink && <> by {entry.sink}</>}
              {entry.times > 1 && <> {entry.times} times since <Time at={entry.first_at} /></>}
              {entry.detail && <span class="detail">{entry.detail}</span>}
            </span>
          </li>
        ))}
      </ol>
    </>
  );
}

export function Fault({ id }) {
  const resource = useResource(`/v1/faults/${encodeURIComponent(id)}`, ['faults']);
  return (
    <>
      <h1 tabIndex={-1}>{resource.data ? words(resource.data.kind) : 'Fault'}</h1>
      <State resource={resource}>
        {(fault) => (
          <>
            <Facts entries={[
              ['State', <Badge word={fault.state} />],
              ['Severity', <Badge word={fault.severity} />],
              ['Guest', fault.guest && <GuestLink guest={fault.guest} name={fault.guest_name} display={fault.display_name} />],
              ['Host', <HostLink host={fault.host} />],
              ['Detail', fault.detail],
              ['Reason', fault.reason],
              ['Opened', <Time at={fault.opened_at} />],
              ['Cleared', fault.cleared_at && <Time at={fault.cleared_at} />],
              ['Cleared because', fault.clear_reason && words(fault.clear_reason)],
              ['Unconfirmed', fault.unconfirmed_since
                && <><Time at={fault.unconfirmed_since} />: {fault.unconfirmed_why}</>],
              ['Not delivered', fault.withheld && 'its host is not the one that the inventory has for the guest'],
              ['Id', fault.id],
            ]} />
            <Section title="Journal"><Journal journal={fault.journal} /></Section>
            {fault.deliveries?.length > 0 && (
              <Section title="Deliveries">
                <Table
                  caption="What each sink was told"
                  rows={fault.deliveries}
                  rowKey={(delivery) => delivery.sink}
                  columns={[
                    ['Sink', (delivery) => delivery.sink],
                    ['State', (delivery) => words(delivery.state)],
                    ['Failed attempts', (delivery) => delivery.attempts],
                    ['Last error', (delivery) => delivery.last_error],
                  ]}
                />
              </Section>
            )}
          </>
        )}
      </State>
    </>
  );
}
