// What is wrong now.
import { CoverageBar } from './charts.jsx';
import { count, counted, words, worstFirst } from './format.js';
import { useResource } from './hooks.js';
import { Badge, FaultLink, GuestLink, HostLink, Section, State, Table, Time } from './parts.jsx';

const MOST_FAULTS = 200;

function headline(status) {
  const faults = Object.values(status.faults_open).reduce((sum, number) => sum + number, 0);
  const parts = [
    faults > 0 && counted(faults, 'fault'),
    status.alarms.length > 0 && counted(status.alarms.length, 'alarm'),
    status.problems.length > 0 && counted(status.problems.length, 'problem'),
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : 'Nothing is wrong';
}

function tone(status) {
  if (status.faults_open.critical > 0) return 'bad';
  const faults = status.faults_open.major + status.faults_open.warning;
  return faults + status.alarms.length + status.problems.length > 0 ? 'warn' : 'good';
}

function Headline({ status }) {
  return (
    <div class={`headline ${tone(status)}`} role="status">
      <strong>{headline(status)}</strong>
      <span>
        {counted(status.guests.total, 'guest')}, {count(status.agents.connected)} of{' '}
        {counted(status.agents.known, 'host')} connected
      </span>
    </div>
  );
}

function Faults({ total }) {
  const resource = useResource(`/v1/faults?open=1&worst=1&limit=${MOST_FAULTS}`, ['faults']);
  return (
    <Section title="Open faults" note={total > MOST_FAULTS && `the worst ${MOST_FAULTS} of ${count(total)}`}>
      <State resource={resource}>
        {({ faults }) => (
          <Table
            caption="Open faults, the worst first"
            empty="No fault is open."
            rows={faults}
            rowKey={(fault) => fault.id}
            columns={[
              ['Fault', (fault) => <FaultLink fault={fault} />],
              ['Guest', (fault) => <GuestLink guest={fault.guest} name={fault.guest_name} display={fault.display_name} />],
              ['Host', (fault) => <HostLink host={fault.host} />],
              ['Severity', (fault) => <Badge word={fault.severity} />],
              ['Since', (fault) => <Time at={fault.opened_at} />],
              ['Reason', (fault) => fault.reason || fault.detail],
            ]}
          />
        )}
      </State>
    </Section>
  );
}

function Alarms({ alarms }) {
  return (
    <Section title="Alarms about hosts and receivers">
      <Table
        caption="Open alarms, the worst first"
        empty=""
        rows={worstFirst(alarms)}
        rowKey={(alarm) => alarm.id}
        columns={[
          ['Alarm', (alarm) => <FaultLink fault={alarm} />],
          ['Host', (alarm) => <HostLink host={alarm.host} />],
          ['Severity', (alarm) => <Badge word={alarm.severity} />],
          ['Since', (alarm) => <Time at={alarm.opened_at} />],
          ['Reason', (alarm) => alarm.reason || alarm.detail],
        ]}
      />
    </Section>
  );
}

function Problems({ problems }) {
  return (
    <Section title="Problems of this controller">
      <Table
        caption="Problems, the oldest first"
        empty=""
        rows={problems}
        rowKey={(problem) => problem.what}
        columns={[
          ['Problem', (problem) => words(problem.what)],
          ['Since', (problem) => <Time at={problem.since} />],
          ['Detail', (problem) => problem.detail],
        ]}
      />
    </Section>
  );
}

function Sinks({ sinks }) {
  const failing = sinks.filter((sink) => sink.state !== 'ok');
  if (failing.length === 0) {
    return (
      <Section title="Receivers">
        <p>
          {counted(sinks.length, 'sink')}, all take their alarms: {sinks.map((sink) => sink.name).join(', ')}.
        </p>
      </Section>
    );
  }
  return (
    <Section title="Receivers" note={`${failing.length} of ${counted(sinks.length, 'sink')} failing`}>
      <Table
        caption="Sinks whose receiver does not take alarms"
        rows={failing}
        rowKey={(sink) => sink.name}
        columns={[
          ['Sink', (sink) => sink.name],
          ['State', (sink) => <Badge word={sink.state} tone="warn" />],
          ['Since', (sink) => <Time at={sink.since} />],
          ['Waiting', (sink) => count(sink.queued)],
          ['Last error', (sink) => sink.last_error],
        ]}
      />
    </Section>
  );
}

function Maintenance() {
  const { data } = useResource('/v1/maintenance', ['faults']);
  const active = data?.maintenance.filter((window) => window.active) ?? [];
  if (active.length === 0) return null;
  return (
    <Section title="Maintenance" note="faults are recorded, and not sent">
      <Table
        caption="Maintenance that is active"
        rows={active}
        rowKey={(window) => window.id}
        columns={[
          ['Of', (window) => [window.scope, window.label || window.name].filter(Boolean).join(' ')],
          ['Until', (window) => <Time at={window.until} />],
          ['Reason', (window) => window.reason],
          ['By', (window) => window.by],
        ]}
      />
    </Section>
  );
}

export function Now() {
  const status = useResource('/v1/status', ['faults', 'guests', 'agents', 'problems']);
  return (
    <>
      <h1 tabIndex={-1}>Now</h1>
      <State resource={status}>
        {(data) => (
          <>
            <Headline status={data} />
            <Faults total={Object.values(data.faults_open).reduce((sum, number) => sum + number, 0)} />
            {data.alarms.length > 0 && <Alarms alarms={data.alarms} />}
            {data.problems.length > 0 && <Problems problems={data.problems} />}
            <Maintenance />
            <Section title="Coverage"><CoverageBar counts={data.coverage} /></Section>
            <Sinks sinks={data.sinks} />
            <p class="quiet foot">
              Controller {data.host}, version {data.version}, running since <Time at={data.since} />
            </p>
          </>
        )}
      </State>
    </>
  );
}
