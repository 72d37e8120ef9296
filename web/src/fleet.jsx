// Hosts and server groups.
import { count } from './format.js';
import { useResource } from './hooks.js';
import { Badge, Facts, GuestLink, HostLink, State, Table, Time } from './parts.jsx';

/** The lost ones first, then those with faults. */
function byNeed(a, b) {
  return a.connected - b.connected || b.faults - a.faults || a.host.localeCompare(b.host);
}

export function Hosts() {
  const resource = useResource('/v1/agents', ['agents', 'faults']);
  return (
    <>
      <h1 tabIndex={-1}>Hosts</h1>
      <State resource={resource}>
        {({ agents }) => (
          <Table
            caption="Compute nodes and their agents, the lost ones first"
            empty="No agent is known yet."
            rows={[...agents].sort(byNeed)}
            rowKey={(agent) => agent.host}
            columns={[
              ['Host', (agent) => <HostLink host={agent.host} />],
              ['Agent', (agent) => <Badge word={agent.connected ? 'connected' : 'lost'} />],
              ['Since', (agent) => <Time at={agent.since} />],
              ['Guests', (agent) => count(agent.guests)],
              ['Faults', (agent) => agent.faults > 0 ? <Badge word={count(agent.faults)} tone="bad" /> : '0'],
              ['Delivered by', (agent) => agent.primary ? 'this controller' : 'another one'],
              ['Version', (agent) => agent.version],
            ]}
          />
        )}
      </State>
    </>
  );
}

export function Groups() {
  const resource = useResource('/v1/groups', ['guests']);
  return (
    <>
      <h1 tabIndex={-1}>Server groups</h1>
      <State resource={resource}>
        {({ groups }) => (
          <Table
            caption="Server groups"
            empty="The inventory has no server group."
            rows={groups}
            rowKey={(group) => group.id}
            columns={[
              ['Group', (group) => <a href={`#/groups/${encodeURIComponent(group.id)}`}>{group.name || group.id}</a>],
              ['Members', (group) => count(group.members)],
              ['Broadcasts', (group) => count(group.broadcasts)],
              ['Deliveries', (group) => count(group.deliveries)],
              ['Notifications', (group) => count(group.notifications)],
              ['Queries', (group) => count(group.queries)],
            ]}
          />
        )}
      </State>
    </>
  );
}

/** Whether the group's messages reach the member, or why not. */
function receives(member) {
  if (!member.messaging) return 'no: not asked for';
  const open = (member.channels ?? []).some((name) => name === 'org.vitalwire.0' || name === 'cgcs.messaging');
  return open ? 'yes' : 'no: no channel is connected';
}

export function Group({ id }) {
  const resource = useResource(`/v1/groups/${encodeURIComponent(id)}`, ['guests', 'agents']);
  return (
    <>
      <h1 tabIndex={-1}>{resource.data?.name || id}</h1>
      <State resource={resource}>
        {(group) => (
          <>
            <Facts entries={[
              ['Id', group.id],
              ['Project', group.project],
              ['Broadcasts', count(group.broadcasts)],
              ['Deliveries', count(group.deliveries)],
            ]} />
            <Table
              caption="Members of the group"
              empty="It has no member."
              rows={group.guests}
              rowKey={(member) => member.instance_id}
              columns={[
                ['Member', (member) => <GuestLink guest={member.instance_id} display={member.display_name} />],
                ['Heartbeat', (member) => member.heartbeat && <Badge word={member.heartbeat} />],
                ['In the cloud', (member) => [member.state, member.state_description].filter(Boolean).join(', ')],
                ['Host', (member) => <HostLink host={member.host} />],
                ['Receives messages', receives],
              ]}
            />
          </>
        )}
      </State>
    </>
  );
}
