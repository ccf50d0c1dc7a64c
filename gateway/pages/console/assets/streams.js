/* Follows a stream: new events appear at the top of the list while the box is ticked and the page is visible. */

const MAX_EVENTS = 200;
const MAX_SHOWN_CHARACTERS = 20000;
const RETRY_MS = 3000;

const box = document.getElementById('live');
const state = document.getElementById('live-state');
const list = document.getElementById('events');
let source = null;
let retryTimer = null;
let newEvents = 0;

function showState(text) {
  const count = newEvents === 1 ? '1 new event' : `${newEvents} new events`;
  state.textContent = text && newEvents ? `${text}, ${count}` : text;
}

function connect() {
  disconnect();
  showState('Connecting …');
  source = new EventSource(`${list.dataset.liveUrl}&lastEventId=${list.dataset.last}`);
  source.addEventListener('open', () => showState('Live'));
  source.addEventListener('message', (message) => {
    list.dataset.last = message.lastEventId;
    newEvents += 1;
    addEvent(message.data);
    showState('Live');
  });
  source.addEventListener('error', () => {
    showState('Reconnecting …');
    // The browser reconnects after a lost connection, but not after a response such as 503.
    if (source.readyState === EventSource.CLOSED) retryTimer = setTimeout(connect, RETRY_MS);
  });
}

function disconnect() {
  clearTimeout(retryTimer);
  source?.close();
  source = null;
}

function followOrStop() {
  if (box.checked && document.visibilityState === 'visible') {
    connect();
  } else {
    disconnect();
    showState(box.checked ? 'Paused' : '');
  }
}

function addEvent(text) {
  const event = JSON.parse(text);
  const row = document.getElementById('event-template').content.cloneNode(true);
  const field = (name) => row.querySelector(`[data-field=${name}]`);
  field('position').textContent = event.position.toLocaleString('en');
  field('name').textContent = event.event.name;
  field('time').dateTime = event.received_at;
  field('time').textContent = `${event.received_at.slice(11, 19)} UTC`;
  field('link').href = `/api/v1/events/${event.event.id}`;
  field('json').textContent = indentJson(text).slice(0, MAX_SHOWN_CHARACTERS);
  const ids = row.querySelectorAll('.copyable-id');
  [event.event.id, event.request_id].forEach((id, index) => {
    ids[index].querySelector('code').textContent = id;
    const button = ids[index].querySelector('button');
    button.dataset.copyText = id;
    button.ariaLabel = `Copy ${id}`;
  });
  const trace = row.querySelector('a[href^="/console/trace/"]'); // only admins have it
  if (trace) {
    trace.href = `/console/trace/${encodeURIComponent(event.request_id)}`;
    trace.querySelector('span').textContent = ` of ${event.request_id}`;
  }
  row.querySelector('.event').classList.add('fresh');
  enableCopying(row);
  list.prepend(row);
  while (list.children.length > MAX_EVENTS) list.lastElementChild.remove();
  document.getElementById('no-events')?.remove();
}

// Indents the text itself: parsing it would change large numbers.
function indentJson(text) {
  let depth = 0;
  const lineBreak = () => `\n${'  '.repeat(depth)}`;
  return text.replace(/"(?:\\.|[^"\\])*"|\{\}|\[\]|[{}[\],:]/g, (token) => {
    if (token === '{' || token === '[') {
      depth += 1;
      return token + lineBreak();
    }
    if (token === '}' || token === ']') {
      depth -= 1;
      return lineBreak() + token;
    }
    if (token === ',') return token + lineBreak();
    return token === ':' ? ': ' : token;
  });
}

if (box) {
  box.closest('.live').hidden = false;
  box.addEventListener('change', followOrStop);
  document.addEventListener('visibilitychange', followOrStop);
  followOrStop();
}
