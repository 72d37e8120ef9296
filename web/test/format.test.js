import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, counted, duration, eventsOf, micros, withQuery, words, worstFirst } from '../src/format.js';

test('a duration has its two largest units', () => {
  assert.equal(duration(0.4), '0 s');
  assert.equal(duration(59), '59 s');
  assert.equal(duration(60), '1 min');
  assert.equal(duration(7 * 86_400 + 3 * 3_600 + 59), '7 d 3 h');
  assert.equal(duration(86_400 + 59), '1 d');
});

test('what is to come has its time, a clock that is ahead is now', () => {
  const now = Date.parse('2026-11-22T06:05:08Z');
  assert.equal(ago('2026-11-22T06:05:09Z', now), 'now');
  assert.equal(ago('2026-11-22T06:03:08Z', now), '2 min ago');
  assert.equal(ago('2026-11-22T08:05:08Z', now), 'in 2 h');
});

test('a round trip has a unit that fits', () => {
  assert.deepEqual([-1, 640, 1_300, 45_600, 2_100_000].map(micros), ['none', '640 µs', '1.3 ms', '46 ms', '2.1 s']);
});

test('counts and names read as words', () => {
  assert.equal(counted(1, 'fault'), '1 fault');
  assert.equal(counted(50_000, 'guest'), '50\u202f000 guests');
  assert.equal(words('heartbeat_lost'), 'Heartbeat lost');
});

test('the worst fault is first, and of those alike the newest', () => {
  const faults = [
    { id: 'a', severity: 'warning', opened_at: '2026-11-22T06:05:08Z' },
    { id: 'b', severity: 'critical', opened_at: '2026-11-22T06:05:08Z' },
    { id: 'c', severity: 'critical', opened_at: '2026-11-22T06:05:09Z' },
  ];
  assert.deepEqual(worstFirst(faults).map((fault) => fault.id), ['c', 'b', 'a']);
});

test('a fault that is over has two events', () => {
  const over = { id: 'a', opened_at: '1', cleared_at: '3' };
  const open = { id: 'b', opened_at: '2' };
  const events = eventsOf([over, open]).map((event) => `${event.fault.id} ${event.what}`);
  assert.deepEqual(events, ['a cleared', 'b opened', 'a opened']);
});

test('events are by the clock of the controller', () => {
  const fault = { id: 'a', opened_at: '9', received_at: '3', cleared_at: '1', changed_at: '4' };
  assert.deepEqual(eventsOf([fault]).map((event) => [event.what, event.at]), [['cleared', '4'], ['opened', '3']]);
});

test('a query has only what has a value', () => {
  assert.equal(withQuery('/v1/guests', { match: 'a b', state: '' }), '/v1/guests?match=a+b');
  assert.equal(withQuery('/v1/guests', {}), '/v1/guests');
});
