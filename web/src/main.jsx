// The frame: navigation, the token, whether what is shown is live, and the view that the address names.
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { hasToken, setToken, stayConnected } from './api.js';
import { Events, Fault } from './faults.jsx';
import { Group, Groups, Hosts } from './fleet.jsx';
import { Guest, Guests, Uncovered } from './guests.jsx';
import { ago } from './format.js';
import { useConnection, useNow, useRoute } from './hooks.js';
import { Now } from './now.jsx';

const PAGES = [
  ['', 'Now'],
  ['guests', 'Guests'],
  ['hosts', 'Hosts'],
  ['groups', 'Groups'],
  ['events', 'Events'],
];

function view({ parts: [page = '', id], query }) {
  if (page === 'guests') return id ? <Guest key={id} id={id} /> : <Guests query={query} />;
  if (page === 'groups') return id ? <Group key={id} id={id} /> : <Groups />;
  if (page === 'faults' && id) return <Fault key={id} id={id} />;
  if (page === 'hosts') return <Hosts />;
  if (page === 'events') return <Events />;
  if (page === 'uncovered') return <Uncovered />;
  return <Now />;
}

function TokenForm() {
  const [text, setText] = useState('');
  const submit = (event) => {
    event.preventDefault();
    setToken(text.trim());
  };
  return (
    <form class="token" onSubmit={submit}>
      <h1>Token</h1>
      <p>
        {hasToken() ? 'The controller does not take that token. ' : ''}
        Reading needs a reader's token. It is kept until this tab is closed.
      </p>
      <label>
        Token{' '}
        <input type="password" autocomplete="off" autofocus required value={text}
          onInput={(event) => setText(event.target.value)} />
      </label>
      <button type="submit">Show</button>
    </form>
  );
}

function Live() {
  const { live, since } = useConnection();
  const now = useNow(1_000);
  return live
    ? <span class="live good">Live</span>
    : <span class="live warn" role="status">Not live: disconnected {ago(new Date(since).toISOString(), now)}</span>;
}

function Navigation({ current }) {
  return (
    <nav aria-label="Pages of this site">
      {PAGES.map(([page, title]) => (
        <a key={page} href={`#/${page}`} aria-current={page === current ? 'page' : undefined}>{title}</a>
      ))}
    </nav>
  );
}

function App() {
  const route = useRoute();
  const { needsToken } = useConnection();
  const main = useRef(null);
  const shown = route.parts.join('/');
  const first = useRef(true);
  // A reader of the screen, or a keyboard, goes on where the new view begins.
  useEffect(() => {
    const heading = main.current.querySelector('h1');
    document.title = `${heading?.textContent ?? ''} · Vitalwire`;
    if (!first.current) heading?.focus();
    first.current = false;
  }, [shown]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current.focus(); }}>
        Skip to the content
      </a>
      <header>
        <span class="brand"><img src="/icon.svg" alt="" width="22" height="22" /> Vitalwire</span>
        <Navigation current={route.parts[0] ?? ''} />
        <Live />
        {hasToken() && !needsToken && <button type="button" onClick={() => setToken('')}>Forget the token</button>}
      </header>
      <main ref={main} id="main" tabIndex={-1}>{needsToken ? <TokenForm /> : view(route)}</main>
    </>
  );
}

stayConnected();
render(<App />, document.getElementById('app'));
