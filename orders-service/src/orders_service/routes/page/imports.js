/* Following an import, cancelling and undoing it, and the list of recent imports. */

import {
  API, byId, createElement, fetchJson, formatFraction, formatNumber, formatText, formatTime, language, setText, texts,
} from './api.js';

const POLL_MS = 500;
const RETRY_MS = 2000;
const ANNOUNCE_MS = 4000;
const RECENT_IMPORTS = 5;

const delay = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const hasEnded = (status) => status === 'SUCCESS' || status === 'FAILURE';
const isUndoing = ({ undo }) => undo !== null && undo.status !== 'SUCCESS';
/* Whether the status will not change by itself. */
const isFinal = (importStatus) => hasEnded(importStatus.status) && !isUndoing(importStatus);
const describeState = (importStatus) => (
  importStatus.undo?.status === 'SUCCESS' ? texts.undone : texts[importStatus.status]
);
const describeImport = (importStatus) => [
  importStatus.file_name,
  importStatus.batch_no !== null && formatText('batch', { number: importStatus.batch_no }),
  importStatus.dry_run && texts.dry_run,
  importStatus.on_duplicate === 'update' && texts.update,
].filter(Boolean).join(' · ');

let followedId = null;
let shownImport = null;
let announcedAt = 0;
let notifyOrdersChanged = () => {};

/* Set up the import section; `onOrdersChanged` is called when an import has ended. */
export function start(onOrdersChanged) {
  notifyOrdersChanged = onOrdersChanged;
  byId('undo').addEventListener('click', undoImport);
  byId('cancel').addEventListener('click', cancelImport);
  listRecentImports().then((recent) => {
    const running = recent.find((importStatus) => !isFinal(importStatus));
    if (running && !followedId) {
      followImport(running.task_id);
    }
  });
}

/* Show and follow an import that the user requested, and move the focus to it. */
export function selectImport(id, name, status) {
  followImport(id);
  byId('import-title').textContent = formatText('import_of', { name });
  byId('import').dataset.status = status;
  byId('import').hidden = false;
  byId('import-title').focus();
}

/* Poll the status of an import until it is final or another one is followed; `isUndo`: the user has just undone it. */
async function followImport(id, isUndo = false) {
  followedId = id;
  announcedAt = 0;
  let listedState = null;
  while (followedId === id) {
    let waitMs = POLL_MS;
    try {
      const { result } = await fetchJson(`/import/status/${id}`);
      if (followedId !== id) {
        return;
      }
      setText('import-problem', '');
      showImport(result);
      const state = `${result.status} ${result.undo?.status}`;
      if (listedState !== state) {
        listedState = state;
        listRecentImports();
      }
      if (isFinal(result)) {
        // An undo deletes orders that the table may show.
        notifyOrdersChanged({ isForced: isUndo });
        return;
      }
    } catch (error) {
      const isPermanent = [401, 403, 404].includes(error.status);
      setText('import-problem', isPermanent ? error.message : texts.retrying);
      if (isPermanent) {
        return;
      }
      waitMs = RETRY_MS;
    }
    await delay(waitMs);
  }
}

function showImport(importStatus) {
  shownImport = importStatus;
  byId('import').hidden = false;
  byId('import-title').textContent = formatText('import_of', { name: describeImport(importStatus) });
  byId('import').dataset.status = importStatus.status;
  byId('done').value = importStatus.percent;
  byId('done-text').textContent = formatFraction(importStatus.percent / 100);
  byId('import-message').textContent = importStatus.message || texts[importStatus.status];
  byId('current').textContent = formatText('rows_of', {
    current: formatNumber(importStatus.current), total: formatNumber(importStatus.total),
  });
  for (const name of ['valid', 'invalid', 'updated', 'duplicates', 'rejected']) {
    byId(name).textContent = formatNumber(importStatus[name]);
  }
  const rate = importStatus.rows_per_second;
  byId('rows-per-second').textContent = rate ? formatNumber(Math.round(rate)) : '–';
  const hasErrors = importStatus.invalid + importStatus.duplicates + importStatus.rejected > 0;
  byId('errors').hidden = !hasEnded(importStatus.status) || !hasErrors;
  byId('errors').href = `${API}/import/${importStatus.task_id}/errors.csv?lang=${language}`;
  byId('cancel').hidden = hasEnded(importStatus.status);
  showUndo(importStatus);
  announceProgress(importStatus);
}

function showUndo({ status, dry_run: isDryRun, valid, invalid, updated, undo }) {
  byId('undo').hidden = !hasEnded(status) || isDryRun || undo !== null || valid + invalid === updated;
  const text = undo?.status === 'SUCCESS' ? 'undo_finished' : 'undoing';
  byId('undo-message').hidden = undo === null;
  byId('undo-message').textContent = undo && formatText(text, {
    deleted: formatNumber(undo.deleted), not_restored: formatNumber(undo.not_restored),
  });
}

/* Announce the progress to screen readers, but only now and then: they would otherwise read nothing else. */
function announceProgress(importStatus) {
  if (!isFinal(importStatus) && Date.now() - announcedAt < ANNOUNCE_MS) {
    return;
  }
  announcedAt = Date.now();
  const counts = ['valid', 'invalid'].map((name) => `${texts[name]} ${formatNumber(importStatus[name])}`).join(', ');
  const message = importStatus.message || texts[importStatus.status];
  byId('announcement').textContent = importStatus.undo
    ? byId('undo-message').textContent
    : `${message}, ${formatFraction(importStatus.percent / 100)}: ${counts}`;
}

async function cancelImport() {
  byId('cancel').disabled = true;
  try {
    await fetchJson(`/import/status/${followedId}`, { method: 'DELETE' });
    byId('announcement').textContent = texts.cancelling;
  } catch (error) {
    setText('import-problem', error.message);
  } finally {
    byId('cancel').disabled = false;
  }
}

async function undoImport() {
  const id = followedId;
  if (!window.confirm(formatText('confirm_undo', { updated: formatNumber(shownImport.updated) }))) {
    return;
  }
  byId('undo').disabled = true;
  try {
    await fetchJson(`/import/${id}`, { method: 'DELETE' });
    byId('import-title').focus();
    followImport(id, true);
  } catch (error) {
    setText('import-problem', error.message);
  } finally {
    byId('undo').disabled = false;
  }
}

async function listRecentImports() {
  try {
    const { result } = await fetchJson(`/import/status?limit=${RECENT_IMPORTS}`);
    setText('imports-problem', '');
    byId('no-imports').hidden = result.length > 0;
    byId('imports').replaceChildren(...result.map(createListItem));
    return result;
  } catch (error) {
    setText('imports-problem', error.message);
    return [];
  }
}

function createListItem(importStatus) {
  const name = describeImport(importStatus);
  const item = createElement('li');
  const button = createElement('button', texts.show, {
    type: 'button', onclick: () => selectImport(importStatus.task_id, name, importStatus.status),
  });
  button.setAttribute('aria-label', formatText('show_import_of', { name }));
  const className = importStatus.status === 'FAILURE' ? 'bad' : '';
  const state = createElement('span', describeState(importStatus), { className });
  const time = importStatus.finished_at ?? importStatus.started_at;
  item.append(createElement('b', name), state, createElement('span', time ? formatTime(time) : ''), button);
  return item;
}
