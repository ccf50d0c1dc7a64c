/* Uploading files, following an import, and the list of recent imports. */

import {
  API, byId, createElement, fetchJson, formatFraction, formatNumber, formatSize, formatText, formatTime, language,
  setText, texts, uploadFile,
} from './api.js';

const POLL_MS = 500;
const RETRY_MS = 2000;
const ANNOUNCE_MS = 4000;
const RECENT_IMPORTS = 5;

const delay = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const hasEnded = (status) => status === 'SUCCESS' || status === 'FAILURE';
const describeImport = (importStatus) => [
  importStatus.file_name,
  importStatus.batch_no !== null && formatText('batch', { number: importStatus.batch_no }),
  importStatus.dry_run && texts.dry_run,
].filter(Boolean).join(' · ');

/* Create an idempotency key; an upload keeps its key, so that it can be repeated after the connection was lost. */
function createKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

let key = createKey();
let followedId = null;
let announcedAt = 0;
let notifyOrdersChanged = () => {};

/* Set up the import section; `onOrdersChanged` is called when an import has ended. */
export function start(onOrdersChanged) {
  notifyOrdersChanged = onOrdersChanged;
  byId('upload').addEventListener('submit', (event) => { event.preventDefault(); submitUpload(); });
  byId('file').addEventListener('change', showSelectedFile);
  byId('dry-run').addEventListener('change', () => { key = createKey(); });
  byId('cancel').addEventListener('click', cancelImport);
  registerDropTarget(byId('drop'));
  listRecentImports().then((recent) => {
    const running = recent.find((importStatus) => !hasEnded(importStatus.status));
    if (running && !followedId) {
      followImport(running.task_id);
    }
  });
}

function showSelectedFile() {
  key = createKey();
  const [file] = byId('file').files;
  byId('file-label').textContent = file ? `${file.name} (${formatSize(file.size)})` : texts.choose;
  setText('upload-problem', '');
}

/* Accept files that are dropped on the target; elsewhere, a dropped file must not replace the page. */
function registerDropTarget(target) {
  for (const type of ['dragover', 'drop']) {
    document.addEventListener(type, (event) => event.preventDefault());
  }
  target.addEventListener('dragover', () => target.classList.add('over'));
  target.addEventListener('dragleave', () => target.classList.remove('over'));
  target.addEventListener('drop', (event) => {
    target.classList.remove('over');
    if (event.dataTransfer.files.length && !byId('send').disabled) {
      byId('file').files = event.dataTransfer.files;
      showSelectedFile();
    }
  });
}

async function submitUpload() {
  const [file] = byId('file').files;
  if (!file || file.size > byId('upload').dataset.maxBytes) {
    setText('upload-problem', file ? texts.status_413 : texts.no_file);
    return;
  }
  setText('upload-problem', '');
  const abortController = new AbortController();
  byId('stop').onclick = () => abortController.abort();
  setUploading(true, file);
  try {
    const response = await uploadFile(file, {
      dryRun: byId('dry-run').checked,
      key,
      signal: abortController.signal,
      onProgress: (sentBytes) => showUploadProgress(sentBytes, file.size),
    });
    key = createKey();
    selectImport(response.result.task_id, file.name, 'PENDING');
  } catch (error) {
    setText('upload-problem', error.message);
  } finally {
    setUploading(false, file);
  }
}

function setUploading(isUploading, file) {
  const focusedElement = document.activeElement;
  byId('uploading').hidden = !isUploading;
  byId('stop').hidden = !isUploading;
  for (const id of ['send', 'file', 'dry-run']) {
    byId(id).disabled = isUploading;
  }
  if (isUploading) {
    showUploadProgress(0, file.size);
    byId('stop').focus();
  } else if (focusedElement === byId('stop') || focusedElement === document.body) {
    byId('send').focus();
  }
}

function showUploadProgress(sentBytes, totalBytes) {
  byId('uploaded').value = totalBytes ? sentBytes / totalBytes : 1;
  // A file that has been sent completely can no longer be stopped.
  byId('stop').hidden = sentBytes >= totalBytes;
  byId('uploaded-text').textContent = sentBytes < totalBytes
    ? formatText('sent_of', { sent: formatSize(sentBytes), size: formatSize(totalBytes) })
    : texts.waiting_for_response;
}

/* Show and follow an import that the user requested, and move the focus to it. */
function selectImport(id, name, status) {
  followImport(id);
  byId('import-title').textContent = formatText('import_of', { name });
  byId('import').dataset.status = status;
  byId('import').hidden = false;
  byId('import-title').focus();
}

/* Poll the status of an import until it has ended or another import is followed. */
async function followImport(id) {
  followedId = id;
  announcedAt = 0;
  let listedStatus = null;
  while (followedId === id) {
    let waitMs = POLL_MS;
    try {
      const { result } = await fetchJson(`/import/status/${id}`);
      if (followedId !== id) {
        return;
      }
      setText('import-problem', '');
      showImport(result);
      if (listedStatus !== result.status) {
        listedStatus = result.status;
        listRecentImports();
      }
      if (hasEnded(result.status)) {
        notifyOrdersChanged();
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
  byId('import').hidden = false;
  byId('import-title').textContent = formatText('import_of', { name: describeImport(importStatus) });
  byId('import').dataset.status = importStatus.status;
  byId('done').value = importStatus.percent;
  byId('done-text').textContent = formatFraction(importStatus.percent / 100);
  byId('import-message').textContent = importStatus.message || texts[importStatus.status];
  byId('current').textContent = formatText('rows_of', {
    current: formatNumber(importStatus.current), total: formatNumber(importStatus.total),
  });
  for (const name of ['valid', 'invalid', 'duplicates', 'rejected']) {
    byId(name).textContent = formatNumber(importStatus[name]);
  }
  const rate = importStatus.rows_per_second;
  byId('rows-per-second').textContent = rate ? formatNumber(Math.round(rate)) : '–';
  const hasErrors = importStatus.invalid + importStatus.duplicates + importStatus.rejected > 0;
  byId('errors').hidden = !hasEnded(importStatus.status) || !hasErrors;
  byId('errors').href = `${API}/import/${importStatus.task_id}/errors.csv?lang=${language}`;
  byId('cancel').hidden = hasEnded(importStatus.status);
  announceProgress(importStatus);
}

/* Announce the progress to screen readers, but only now and then: they would otherwise read nothing else. */
function announceProgress(importStatus) {
  if (!hasEnded(importStatus.status) && Date.now() - announcedAt < ANNOUNCE_MS) {
    return;
  }
  announcedAt = Date.now();
  const counts = ['valid', 'invalid'].map((name) => `${texts[name]} ${formatNumber(importStatus[name])}`).join(', ');
  const message = importStatus.message || texts[importStatus.status];
  byId('announcement').textContent = `${message}, ${formatFraction(importStatus.percent / 100)}: ${counts}`;
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
  const state = createElement('span', texts[importStatus.status], { className });
  const time = importStatus.finished_at ?? importStatus.started_at;
  item.append(createElement('b', name), state, createElement('span', time ? formatTime(time) : ''), button);
  return item;
}
