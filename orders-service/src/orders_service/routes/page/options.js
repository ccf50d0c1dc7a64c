/* The options of an upload, which are closed at first. */

import { byId, formatNumber, formatText, texts } from './api.js';

const VALUES = ['on_duplicate', 'encoding', 'date_format'];

/* Set up the options; `onChange` is called when one of them has changed. */
export function start(onChange) {
  byId('options').addEventListener('change', () => { showNumberOfOptions(); onChange(); });
  // A browser may restore the fields when the page is reloaded.
  showNumberOfOptions();
}

export function setDisabled(isDisabled) {
  byId('option-fields').disabled = isDisabled;
}

/* Return the query parameters of the options that are set. */
export function readOptions() {
  const options = byId('dry-run').checked ? { dry_run: true } : {};
  for (const name of VALUES) {
    const value = byId(name.replace('_', '-')).value.trim();
    if (value) {
      options[name] = value;
    }
  }
  const fields = [...byId('columns').querySelectorAll('input')].map((input) => [input.name, input.value.trim()]);
  const columns = fields.filter(([, header]) => header);
  if (columns.length) {
    options.columns = JSON.stringify(Object.fromEntries(columns));
  }
  return options;
}

/* Show how many options are set, so that a closed part does not hide one. */
function showNumberOfOptions() {
  const count = Object.keys(readOptions()).length;
  byId('options-title').textContent = count ? formatText('options_set', { count: formatNumber(count) }) : texts.options;
}
