/* The table of orders, with filters and pagination by the last ID of each page. */

import { API, byId, createElement, fetchJson, formatNumber, formatText, setText, texts } from './api.js';

const PAGE_SIZE = 20;
const DETAILS = ['email', 'state', 'zipcode', 'birthday'];

/* The cursors of all pages up to the current one: each page begins after this ID. */
let cursors = [null];
let lastId = null;
let abortController = new AbortController();

export function start() {
  byId('filter').addEventListener('submit', (event) => { event.preventDefault(); showFirstPage(); });
  // The fields are cleared only after the event.
  byId('filter').addEventListener('reset', () => setTimeout(showFirstPage));
  byId('forward').addEventListener('click', () => { cursors.push(lastId); showPage(); });
  byId('back').addEventListener('click', () => { cursors.pop(); showPage(); });
  showPage();
}

/* Reload the page; unless it is forced, not while the user is reading an order or has the focus in the table. */
export function refresh({ isForced }) {
  if (isForced || !byId('orders').querySelector('details[open], :focus')) {
    showPage();
  }
}

function showFirstPage() {
  cursors = [null];
  showPage();
}

async function showPage() {
  abortController.abort();
  const { signal } = abortController = new AbortController();
  const fields = [...new FormData(byId('filter'))].map(([name, value]) => [name, value.trim()]);
  const conditions = fields.filter(([, value]) => value);
  byId('export').href = `${API}.csv?${new URLSearchParams(conditions)}`;
  // One more order than is shown: it indicates whether there is a next page.
  const query = new URLSearchParams([...conditions, ['limit', PAGE_SIZE + 1]]);
  if (cursors.at(-1) !== null) {
    query.set('after', cursors.at(-1));
  }
  try {
    const { result, total } = await fetchJson(`?${query}`, { signal });
    setText('orders-problem', '');
    showOrders(result.slice(0, PAGE_SIZE), result.length > PAGE_SIZE, total);
  } catch (error) {
    if (error.name !== 'AbortError') {
      setText('orders-problem', error.message);
    }
  }
}

function showOrders(orders, hasNextPage, total) {
  byId('orders').tBodies[0].replaceChildren(...orders.map(createRow));
  byId('orders').hidden = !orders.length;
  lastId = orders.at(-1)?.id;
  byId('back').disabled = cursors.length === 1;
  byId('forward').disabled = !hasNextPage;
  const page = formatNumber(cursors.length);
  const summary = total === undefined
    ? formatText('page', { page })
    : formatText('orders', { total: formatNumber(total), page });
  byId('orders-summary').textContent = orders.length ? summary : texts.no_orders;
}

function createRow(order) {
  const details = createElement('details');
  details.append(createElement('summary', order.name || '—'));
  details.addEventListener('toggle', () => { if (details.open) { showDetails(details, order.id); } });
  const nameCell = createElement('td');
  nameCell.append(details);
  const validityCell = createElement('td', order.valid ? texts.valid : texts.invalid, {
    className: order.valid ? 'good' : 'bad',
  });
  const row = createElement('tr');
  row.append(createElement('td', order.id), nameCell, validityCell);
  return row;
}

async function showDetails(details, id) {
  const list = createElement('dl', '', { className: 'order' });
  try {
    const { result } = await fetchJson(`/${id}`);
    for (const name of DETAILS) {
      list.append(createElement('dt', texts[name]), createElement('dd', result[name]));
    }
    if (result.errors.length) {
      list.append(
        createElement('dt', texts.errors), ...result.errors.map((error) => createElement('dd', error.message)),
      );
    }
    const remove = createElement('button', texts.delete_order, {
      type: 'button', className: 'change', onclick: () => deleteOrder(id),
    });
    const lastRow = createElement('dd');
    lastRow.append(remove);
    list.append(lastRow);
  } catch (error) {
    list.append(createElement('dt', texts.errors), createElement('dd', error.message));
  }
  details.replaceChildren(details.firstChild, list);
}

async function deleteOrder(id) {
  if (!window.confirm(formatText('confirm_delete', { id }))) {
    return;
  }
  try {
    await fetchJson(`/${id}`, { method: 'DELETE' });
    byId('orders-title').focus();
    await showPage();
  } catch (error) {
    setText('orders-problem', error.message);
  }
}
