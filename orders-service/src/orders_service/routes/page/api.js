/* Requests to the API, and texts, numbers and errors in the language of the page. */

export const texts = JSON.parse(document.getElementById('texts').textContent);
export const language = document.documentElement.lang;
// An absolute URL: the URL of the page may contain user:password@, and browsers reject requests relative to that.
export const API = `${location.origin}/acme_orders/api/v1/orders`;

const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet';

const numberFormat = new Intl.NumberFormat(language);
const percentFormat = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 });
const unitFormat = (unit) => new Intl.NumberFormat(language, { style: 'unit', unit, maximumFractionDigits: 1 });
const [kilobyteFormat, megabyteFormat] = [unitFormat('kilobyte'), unitFormat('megabyte')];
const timeFormat = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
export const formatNumber = (number) => numberFormat.format(number);
export const formatFraction = (fraction) => percentFormat.format(fraction);
export const formatSize = (bytes) => (
  bytes < 1e6 ? kilobyteFormat.format(bytes / 1e3) : megabyteFormat.format(bytes / 1e6)
);
export const formatTime = (timestamp) => timeFormat.format(new Date(timestamp));

export const byId = (id) => document.getElementById(id);

/* Return the text with this name, with its {parameters} filled in. */
export function formatText(name, parameters = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, parameter) => parameters[parameter]);
}

export function createElement(tag, text = '', attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  Object.assign(element, attributes);
  return element;
}

/* Set the text of an alert, and hide it if the text is empty: screen readers announce an alert when its text changes. */
export function setText(id, text) {
  byId(id).hidden = !text;
  byId(id).textContent = text;
}

export class RequestError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/* Return the error for a failed response. Only the service responds in the language of the page; for responses of the
   gateway or a proxy, a text of the page is used. */
export function errorFromResponse(status, body, requestId) {
  let message = null;
  try {
    message = JSON.parse(body).message;
  } catch { /* The body is not JSON. */ }
  if (message && typeof message === 'object') {
    message = Object.values(message).join(' ');
  }
  const unavailable = [502, 503, 504].includes(status) && 'status_unavailable';
  const textName = [`status_${status}`, unavailable].find((name) => texts[name]) ?? 'status_other';
  return new RequestError(message || formatText(textName, { status, request_id: requestId }), status);
}

/* Parse JSON, but keep IDs as text: they may exceed the integers that JavaScript represents exactly. */
function parseJson(text) {
  return JSON.parse(text.replace(/"id":\s*(-?\d+)/g, '"id":"$1"'));
}

export async function fetchJson(path, options = {}) {
  let response, text;
  try {
    response = await fetch(API + path, { headers: { 'Accept-Language': language }, cache: 'no-store', ...options });
    text = await response.text();
  } catch (error) {
    throw error.name === 'AbortError' ? error : new RequestError(texts.unreachable);
  }
  if (!response.ok) {
    throw errorFromResponse(response.status, text, response.headers.get('X-Request-ID'));
  }
  return text ? parseJson(text) : null;
}

/* Upload a file and resolve to the parsed response; `options` are query parameters, `onProgress` receives the number
   of bytes sent. */
export function uploadFile(file, { options, key, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ file_name: file.name, ...options });
    request.open('PUT', `${API}/import?${query}`);
    request.setRequestHeader('Content-Type', /\.xlsx$/i.test(file.name) ? XLSX : 'text/csv');
    request.setRequestHeader('Accept-Language', language);
    request.setRequestHeader('Idempotency-Key', key);
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onerror = () => reject(new RequestError(texts.connection_lost));
    request.onabort = () => reject(new RequestError(texts.stopped));
    request.onload = () => (request.status === 202
      ? resolve(JSON.parse(request.responseText))
      : reject(errorFromResponse(request.status, request.responseText, request.getResponseHeader('X-Request-ID'))));
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}
