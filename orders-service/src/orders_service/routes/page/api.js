/* The API beside this page, in the language of the page; what it refuses is said in words. */

export const texts = JSON.parse(document.getElementById('texts').textContent);
export const language = document.documentElement.lang;
// Whole addresses: the page's own may hold user:password@, and then a browser refuses to fetch relative to it.
export const API = `${location.origin}/acme_orders/api/v1/orders`;

const figures = new Intl.NumberFormat(language);
const shares = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 });
const sizeIn = (unit) => new Intl.NumberFormat(language, { style: 'unit', unit, maximumFractionDigits: 1 });
const [kilobytes, megabytes] = [sizeIn('kilobyte'), sizeIn('megabyte')];
const moments = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
export const figure = (number) => figures.format(number);
export const share = (part) => shares.format(part);
export const size = (bytes) => (bytes < 1e6 ? kilobytes.format(bytes / 1e3) : megabytes.format(bytes / 1e6));
export const moment = (text) => moments.format(new Date(text));

export const byId = (id) => document.getElementById(id);

/* The text of that name, with its {parts} filled in. */
export function say(name, parts = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, part) => parts[part]);
}

export function element(tag, text = '', attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  Object.assign(made, attributes);
  return made;
}

/* An alert is told when its text changes, so an empty one is hidden. */
export function tell(id, text) {
  byId(id).hidden = !text;
  byId(id).textContent = text;
}

export class Refused extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/* The service speaks the page's language; the gateway does not, nor does what stands between. */
export function refusal(status, body, requestId) {
  let told = null;
  try {
    told = JSON.parse(body).message;
  } catch { /* no JSON */ }
  if (told && typeof told === 'object') {
    told = Object.values(told).join(' ');
  }
  const away = [502, 503, 504].includes(status) && 'status_away';
  const own = [`status_${status}`, away].find((name) => texts[name]) ?? 'status_other';
  return new Refused(told || say(own, { status, request_id: requestId }), status);
}

/* An id may be larger than JavaScript's numbers are exact: it stays text. */
function parsed(text) {
  return JSON.parse(text.replace(/"id":\s*(-?\d+)/g, '"id":"$1"'));
}

export async function ask(path, options = {}) {
  let answer, text;
  try {
    answer = await fetch(API + path, { headers: { 'Accept-Language': language }, cache: 'no-store', ...options });
    text = await answer.text();
  } catch (error) {
    throw error.name === 'AbortError' ? error : new Refused(texts.no_answer);
  }
  if (!answer.ok) {
    throw refusal(answer.status, text, answer.headers.get('X-Request-ID'));
  }
  return parsed(text);
}

/* `sent` is called with the bytes that have gone; the promise is of the answer. */
export function upload(file, { dryRun, key, sent, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ file_name: file.name, dry_run: dryRun });
    request.open('PUT', `${API}/import?${query}`);
    request.setRequestHeader('Content-Type', 'text/csv');
    request.setRequestHeader('Accept-Language', language);
    request.setRequestHeader('Idempotency-Key', key);
    request.upload.onprogress = (event) => sent(event.loaded);
    request.onerror = () => reject(new Refused(texts.cut));
    request.onabort = () => reject(new Refused(texts.stopped));
    request.onload = () => (request.status === 202
      ? resolve(JSON.parse(request.responseText))
      : reject(refusal(request.status, request.responseText, request.getResponseHeader('X-Request-ID'))));
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}
