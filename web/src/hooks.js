import { useEffect, useState } from 'preact/hooks';
import { NeedsToken, connection, get, subscribe } from './api.js';

const REFRESH_MS = 30_000; // for what no event announces: a clock, a counter
const SHORTEST_GAP_MS = 1_000;
const GAP_FACTOR = 20; // a controller that needs long for an answer is asked less often

/** The hash of the address as parts and query: "#/guests/g1?x=y". */
function route() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  return { parts: path.split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/** A part of an address as it was meant; one that somebody has mistyped as it is. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function useRoute() {
  const [current, setCurrent] = useState(route);
  useEffect(() => {
    const changed = () => setCurrent(route());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return current;
}

export function useConnection() {
  const [, redraw] = useState(0);
  useEffect(() => subscribe(() => redraw((number) => number + 1)), []);
  return connection;
}

/** The time, so that what is shown as an age grows. */
export function useNow(everyMs = 5_000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Asks for one path, again when a topic changes and now and then; never twice at once, never in a hidden page. */
class Loader {
  constructor(path, topics, refreshMs, take) {
    Object.assign(this, { path, topics, refreshMs, take, seen: '', ended: new AbortController(), busy: false });
    this.onVisible = () => this.load();
    this.unsubscribe = subscribe(() => this.versions() !== this.seen && this.load());
    document.addEventListener('visibilitychange', this.onVisible);
    this.load();
  }

  stop() {
    this.unsubscribe();
    document.removeEventListener('visibilitychange', this.onVisible);
    this.ended.abort();
    clearTimeout(this.timer);
  }

  /** Until the first event of a connection nothing has changed. */
  versions() {
    if (!connection.versions) return this.seen;
    return [connection.number, ...this.topics.map((topic) => connection.versions[topic])].join();
  }

  async load() {
    if (this.busy || document.hidden) return;
    this.busy = true;
    clearTimeout(this.timer);
    this.seen = this.versions();
    const begin = Date.now();
    let result;
    try {
      result = { data: await get(this.path, this.ended.signal), error: null, at: Date.now() };
    } catch (error) {
      result = { error: error instanceof NeedsToken ? null : error.message };
    }
    if (this.ended.signal.aborted) return;
    this.take(result);
    this.rest(Date.now() - begin);
  }

  rest(tookMs) {
    this.timer = setTimeout(() => {
      this.busy = false;
      if (this.versions() !== this.seen) return this.load();
      this.timer = setTimeout(() => this.load(), this.refreshMs);
    }, Math.max(SHORTEST_GAP_MS, tookMs * GAP_FACTOR));
  }
}

/** What the API has at `path`: `data` of the last good answer and since when it is so, `error` of a bad one after it. */
export function useResource(path, topics = [], refreshMs = REFRESH_MS) {
  const [state, setState] = useState({ data: null, error: null, at: null });
  const { needsToken } = useConnection();
  useEffect(() => {
    if (needsToken) return undefined;
    const loader = new Loader(path, topics, refreshMs, (result) => setState((old) => ({ ...old, ...result })));
    return () => loader.stop();
  }, [path, needsToken]);
  return state;
}
