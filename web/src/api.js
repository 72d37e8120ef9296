// The controller's HTTP interface: requests with the reader's token, and the stream of events.

const TOKEN = 'vitalwire.token';
const SILENCE_MS = 40_000; // a comment comes every 15 s
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;

export class NeedsToken extends Error {}

export function setToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
  connection.needsToken = false;
  publish();
  wake();
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

async function request(path, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, signal, cache: 'no-store' });
  if (answer.status === 401) {
    connection.needsToken = true;
    publish();
    throw new NeedsToken('the controller asks for a token');
  }
  return answer;
}

export async function get(path, signal) {
  const answer = await request(path, signal);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `the controller answers ${answer.status}`);
  return body;
}

/**
 * `versions` has a number for faults, guests, agents and problems: another one says that something changed. They count
 * within one connection, whose `number` is.
 */
export const connection = { live: false, since: Date.now(), number: 0, versions: null, needsToken: false };
const listeners = new Set();
let wake = () => {};

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function publish() {
  for (const listener of [...listeners]) listener();
}

function setLive(live) {
  if (connection.live === live) return;
  connection.live = live;
  connection.since = Date.now();
  publish();
}

function take(block) {
  const data = block.split('\n').find((line) => line.startsWith('data: '));
  if (!data) return;
  connection.versions = JSON.parse(data.slice('data: '.length));
  publish();
}

/** One connection, until it ends. EventSource could not send the token. */
async function listen() {
  const abort = new AbortController();
  let silence = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const answer = await request('/v1/events', abort.signal);
    if (!answer.ok) throw new Error(`the controller answers ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    connection.number += 1;
    connection.versions = null;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
      setLive(true);
      const blocks = (text + value).split('\n\n');
      text = blocks.pop();
      blocks.forEach(take);
    }
  } finally {
    clearTimeout(silence);
    setLive(false);
  }
}

/** Connects again whenever the connection ends. */
export async function stayConnected() {
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    const begin = Date.now();
    await listen().catch(() => {});
    pause = Date.now() - begin > LONGEST_PAUSE_MS ? FIRST_PAUSE_MS : Math.min(pause * 2, LONGEST_PAUSE_MS);
    await new Promise((resume) => {
      wake = resume;
      if (!connection.needsToken) setTimeout(resume, pause);
    });
  }
}
