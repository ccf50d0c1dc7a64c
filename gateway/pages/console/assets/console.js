/* What all pages of the console share; each page also works without it. */

const REFRESH_MS = 5000;

// On a narrow screen the navigation scrolls.
const currentEntry = document.querySelector('.top [aria-current]');
currentEntry?.scrollIntoView({ block: 'nearest', inline: 'center' });

// Parts with hx-trigger="refresh from:body" are loaded again while the page is visible. They are swapped by "morph", so
// that what has the focus keeps it.
setInterval(() => {
  if (document.visibilityState === 'visible') document.body.dispatchEvent(new Event('refresh'));
}, REFRESH_MS);

// A form with data-confirm is sent after its dialog was confirmed.
for (const form of document.querySelectorAll('form[data-confirm]')) {
  const dialog = document.getElementById(form.dataset.confirm);
  form.addEventListener('submit', (event) => {
    const isConfirmed = dialog.returnValue === 'confirm';
    dialog.returnValue = ''; // if the page remains, or is shown again by "Back", the next click asks again
    if (isConfirmed) return;
    event.preventDefault();
    dialog.showModal();
  });
  dialog.addEventListener('close', () => {
    if (dialog.returnValue === 'confirm') form.requestSubmit();
  });
}

// A button with data-copy copies the text of an element, one with data-copy-text this text.
const COPY_BUTTONS = 'button[data-copy], button[data-copy-text]';
function enableCopying(root) {
  for (const button of root.querySelectorAll(COPY_BUTTONS)) button.hidden = !navigator.clipboard;
}
enableCopying(document);
document.addEventListener('htmx:after:swap', () => enableCopying(document));
document.addEventListener('click', async ({ target }) => {
  const button = target.closest(COPY_BUTTONS);
  if (!button) return;
  const { copy, copyText } = button.dataset;
  await navigator.clipboard.writeText(copyText ?? document.querySelector(copy).textContent);
  button.textContent = copyText ? '✓' : 'Copied';
});
