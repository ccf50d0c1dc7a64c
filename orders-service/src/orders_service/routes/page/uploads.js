/* Choosing and uploading a file. */

import { byId, formatSize, formatText, setText, texts, uploadFile } from './api.js';
import { selectImport } from './imports.js';
import * as options from './options.js';

/* Create an idempotency key; an upload keeps its key, so that it can be repeated after the connection was lost. */
function createKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

let key = createKey();

export function start() {
  byId('upload').addEventListener('submit', (event) => { event.preventDefault(); submitUpload(); });
  byId('file').addEventListener('change', showSelectedFile);
  options.start(() => { key = createKey(); });
  registerDropTarget(byId('drop'));
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
      options: options.readOptions(),
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
  for (const id of ['send', 'file']) {
    byId(id).disabled = isUploading;
  }
  options.setDisabled(isUploading);
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
