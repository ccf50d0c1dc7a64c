/* The table of orders: filtered, and page by page by the id of the last one. */

import { ask, byId, element, figure, say, tell, texts } from './api.js';

const PAGE = 20;
const DETAILS = ['email', 'state', 'zipcode', 'birthday'];

/* Where each page up to the one that is shown begins: behind that id. */
let starts = [null];
let last = null;
let asking = new AbortController();

export function start() {
  byId('filter').addEventListener('submit', (event) => { event.preventDefault(); fromTheStart(); });
  // When the fields are empty again, which comes after the event.
  byId('filter').addEventListener('reset', () => setTimeout(fromTheStart));
  byId('forward').addEventListener('click', () => { starts.push(last); show(); });
  byId('back').addEventListener('click', () => { starts.pop(); show(); });
  show();
}

/* Not under the eyes or the hands of somebody who is in the midst of it. */
export function refresh() {
  if (!byId('orders').querySelector('details[open], :focus')) {
    show();
  }
}

function fromTheStart() {
  starts = [null];
  show();
}

async function show() {
  asking.abort();
  const { signal } = asking = new AbortController();
  const wanted = [...new FormData(byId('filter'))].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
  // One more than is shown tells whether there is another page.
  const query = new URLSearchParams([...wanted, ['limit', PAGE + 1]]);
  if (starts.at(-1) !== null) {
    query.set('after', starts.at(-1));
  }
  try {
    const found = await ask(`?${query}`, { signal });
    tell('orders-problem', '');
    fill(found.result.slice(0, PAGE), found.result.length > PAGE, found.total);
  } catch (problem) {
    if (problem.name !== 'AbortError') {
      tell('orders-problem', problem.message);
    }
  }
}

function fill(orders, isMore, total) {
  byId('orders').tBodies[0].replaceChildren(...orders.map(row));
  byId('orders').hidden = !orders.length;
  last = orders.at(-1)?.id;
  byId('back').disabled = starts.length === 1;
  byId('forward').disabled = !isMore;
  const page = figure(starts.length);
  const counted = total === undefined ? say('page', { page }) : say('orders', { total: figure(total), page });
  byId('orders-told').textContent = orders.length ? counted : texts.no_orders;
}

function row(order) {
  const details = element('details');
  details.append(element('summary', order.name || '—'));
  details.addEventListener('toggle', () => { if (details.open) { showDetails(details, order.id); } });
  const name = element('td');
  name.append(details);
  const made = element('tr');
  made.append(element('td', order.id), name, element('td', order.valid ? texts.valid : texts.invalid, {
    className: order.valid ? 'good' : 'bad',
  }));
  return made;
}

async function showDetails(details, id) {
  const list = element('dl', '', { className: 'order' });
  try {
    const { result } = await ask(`/${id}`);
    for (const name of DETAILS) {
      list.append(element('dt', texts[name]), element('dd', result[name]));
    }
    if (result.errors.length) {
      list.append(element('dt', texts.errors), ...result.errors.map((error) => element('dd', error.message)));
    }
  } catch (problem) {
    list.append(element('dt', texts.errors), element('dd', problem.message));
  }
  details.replaceChildren(details.firstChild, list);
}
