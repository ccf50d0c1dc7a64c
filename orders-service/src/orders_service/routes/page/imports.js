/* Uploads, the import that is watched, and the newest ones. */

import { API, ask, byId, element, figure, language, moment, say, share, size, tell, texts, upload } from './api.js';

const POLL_MS = 500;
const AGAIN_MS = 2000;
const TELL_MS = 4000;
const NEWEST = 5;

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const hasEnded = (status) => status === 'SUCCESS' || status === 'FAILURE';
const named = (found) => [found.file_name, found.batch_no !== null && say('batch', { number: found.batch_no }),
  found.dry_run && texts.dry_run].filter(Boolean).join(' · ');

/* One for each thing that is sent, so that it can be sent again after the connection broke. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

let key = newKey();
let watched = null;
let toldAt = 0;
let hasNews = () => {};

/* `changed` is called when orders may have come in. */
export function start(changed) {
  hasNews = changed;
  byId('upload').addEventListener('submit', (event) => { event.preventDefault(); send(); });
  byId('file').addEventListener('change', choose);
  byId('dry-run').addEventListener('change', () => { key = newKey(); });
  byId('cancel').addEventListener('click', cancel);
  takeDrops(byId('drop'));
  listNewest().then((newest) => {
    const running = newest.find((found) => !hasEnded(found.status));
    if (running && !watched) {
      watch(running.task_id);
    }
  });
}

function choose() {
  key = newKey();
  const [file] = byId('file').files;
  byId('chosen').textContent = file ? `${file.name} (${size(file.size)})` : texts.choose;
  tell('upload-problem', '');
}

/* A file that misses its place must not replace the page. */
function takeDrops(place) {
  for (const kind of ['dragover', 'drop']) {
    document.addEventListener(kind, (event) => event.preventDefault());
  }
  place.addEventListener('dragover', () => place.classList.add('over'));
  place.addEventListener('dragleave', () => place.classList.remove('over'));
  place.addEventListener('drop', (event) => {
    place.classList.remove('over');
    if (event.dataTransfer.files.length && !byId('send').disabled) {
      byId('file').files = event.dataTransfer.files;
      choose();
    }
  });
}

async function send() {
  const [file] = byId('file').files;
  if (!file || file.size > byId('upload').dataset.largestBytes) {
    tell('upload-problem', file ? texts.status_413 : texts.no_file);
    return;
  }
  tell('upload-problem', '');
  const stopping = new AbortController();
  byId('stop').onclick = () => stopping.abort();
  isUploading(true, file);
  try {
    const options = { dryRun: byId('dry-run').checked, key, signal: stopping.signal };
    const answer = await upload(file, { ...options, sent: (bytes) => showSent(bytes, file.size) });
    key = newKey();
    lookAt(answer.result.task_id, file.name, 'PENDING');
  } catch (problem) {
    tell('upload-problem', problem.message);
  } finally {
    isUploading(false, file);
  }
}

function isUploading(yes, file) {
  const hadFocus = document.activeElement;
  byId('uploading').hidden = !yes;
  byId('stop').hidden = !yes;
  for (const id of ['send', 'file', 'dry-run']) {
    byId(id).disabled = yes;
  }
  if (yes) {
    showSent(0, file.size);
    byId('stop').focus();
  } else if (hadFocus === byId('stop') || hadFocus === document.body) {
    byId('send').focus();
  }
}

function showSent(bytes, all) {
  byId('uploaded').value = all ? bytes / all : 1;
  // What has gone cannot be called back.
  byId('stop').hidden = bytes >= all;
  byId('uploaded-text').textContent = bytes < all ? say('sent_of', { sent: size(bytes), size: size(all) }) : texts.storing;
}

/* As whoever asked for it does: with the focus on it. */
function lookAt(id, name, status) {
  watch(id);
  byId('import-title').textContent = say('import_of', { name });
  byId('import').dataset.status = status;
  byId('import').hidden = false;
  byId('import-title').focus();
}

/* Until it has ended, or another one is watched instead. */
async function watch(id) {
  watched = id;
  toldAt = 0;
  let listed = null;
  while (watched === id) {
    let wait = POLL_MS;
    try {
      const { result } = await ask(`/import/status/${id}`);
      if (watched !== id) {
        return;
      }
      tell('import-problem', '');
      show(result);
      if (listed !== result.status) {
        listed = result.status;
        listNewest();
      }
      if (hasEnded(result.status)) {
        hasNews();
        return;
      }
    } catch (problem) {
      const isOver = [401, 403, 404].includes(problem.status);
      tell('import-problem', isOver ? problem.message : texts.asking_again);
      if (isOver) {
        return;
      }
      wait = AGAIN_MS;
    }
    await pause(wait);
  }
}

function show(found) {
  byId('import').hidden = false;
  byId('import-title').textContent = say('import_of', { name: named(found) });
  byId('import').dataset.status = found.status;
  byId('done').value = found.percent;
  byId('done-text').textContent = share(found.percent / 100);
  byId('import-message').textContent = found.message || texts[found.status];
  byId('current').textContent = say('rows_of', { current: figure(found.current), total: figure(found.total) });
  for (const name of ['valid', 'invalid', 'duplicates', 'rejected']) {
    byId(name).textContent = figure(found[name]);
  }
  byId('speed').textContent = found.rows_per_second ? figure(Math.round(found.rows_per_second)) : '–';
  byId('errors').hidden = !hasEnded(found.status) || !(found.invalid + found.duplicates + found.rejected);
  byId('errors').href = `${API}/import/${found.task_id}/errors.csv?lang=${language}`;
  byId('cancel').hidden = hasEnded(found.status);
  announce(found);
}

/* Not each half second: whoever listens would hear nothing else. */
function announce(found) {
  if (!hasEnded(found.status) && Date.now() - toldAt < TELL_MS) {
    return;
  }
  toldAt = Date.now();
  const counts = ['valid', 'invalid'].map((name) => `${texts[name]} ${figure(found[name])}`).join(', ');
  byId('told').textContent = `${found.message || texts[found.status]}, ${share(found.percent / 100)}: ${counts}`;
}

async function cancel() {
  byId('cancel').disabled = true;
  try {
    await ask(`/import/status/${watched}`, { method: 'DELETE' });
    byId('told').textContent = texts.cancelling;
  } catch (problem) {
    tell('import-problem', problem.message);
  } finally {
    byId('cancel').disabled = false;
  }
}

async function listNewest() {
  try {
    const { result } = await ask(`/import/status?limit=${NEWEST}`);
    tell('imports-problem', '');
    byId('no-imports').hidden = result.length > 0;
    byId('imports').replaceChildren(...result.map(entry));
    return result;
  } catch (problem) {
    tell('imports-problem', problem.message);
    return [];
  }
}

function entry(found) {
  const item = element('li');
  const button = element('button', texts.show, { type: 'button', onclick: () => lookAt(found.task_id, named(found), found.status) });
  button.setAttribute('aria-label', say('show_import_of', { name: named(found) }));
  const state = element('span', texts[found.status], { className: found.status === 'FAILURE' ? 'bad' : '' });
  const time = found.finished_at ?? found.started_at;
  item.append(element('b', named(found)), state, element('span', time ? moment(time) : ''), button);
  return item;
}
