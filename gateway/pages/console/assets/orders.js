/* Uploads a file of orders and shows the progress; then opens the page of its import. Without this script, the browser
   sends the form and shows the response as JSON. */

const form = document.getElementById('upload');
const error = document.getElementById('upload-error');
const progress = document.getElementById('upload-progress');
const [bar, text, stop] = progress.children;
const percentFormat = new Intl.NumberFormat('en', { style: 'percent' });
let fileNumber = 0;

// Another file needs another Idempotency-Key; the same file keeps its key, so that it is never imported twice.
form.elements.csv_file.addEventListener('change', () => { fileNumber += 1; });

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const request = new XMLHttpRequest();
  // An absolute URL: that of the page may contain user:password@, and browsers reject requests relative to it.
  request.open('POST', location.origin + form.getAttribute('action'));
  request.setRequestHeader('Accept-Language', 'en');
  request.setRequestHeader('Idempotency-Key', `${form.dataset.key}-${fileNumber}`);
  request.upload.onprogress = ({ loaded, total }) => showProgress(loaded / total);
  request.onload = () => showResponse(request);
  request.onerror = () => showError('The connection was lost. Upload the file again: it will not be imported twice.');
  request.onabort = () => showError('The upload was stopped. Nothing was stored.');
  stop.onclick = () => request.abort();
  setUploading(true);
  request.send(new FormData(form));
});

function showProgress(fraction) {
  bar.value = 100 * fraction;
  text.textContent = fraction < 1 ? percentFormat.format(fraction) : 'Uploaded, waiting for the response';
}

function showResponse({ status, responseText }) {
  let body = {};
  try {
    body = JSON.parse(responseText);
  } catch { /* The response of a proxy is not JSON. */ }
  if (status === 202) {
    location.assign(form.dataset.next + body.result.task_id);
    return;
  }
  const message = typeof body.message === 'object' ? Object.values(body.message ?? {}).join(' ') : body.message;
  showError(message || body.detail || `The upload failed with status ${status}.`);
}

function showError(message) {
  setUploading(false);
  error.textContent = message;
  error.hidden = false;
}

function setUploading(isUploading) {
  error.hidden = true;
  progress.hidden = !isUploading;
  form.querySelector('button').disabled = isUploading;
  showProgress(0);
}
