/* What all pages of the console share; each page also works without it. */

const REFRESH_MS = 5000;

// Parts with hx-trigger="refresh from:body" are loaded again while the page is visible.
setInterval(() => {
  if (document.visibilityState === 'visible') document.body.dispatchEvent(new Event('refresh'));
}, REFRESH_MS);

// A form with data-confirm is sent after its dialog was confirmed.
for (const form of document.querySelectorAll('form[data-confirm]')) {
  const dialog = document.getElementById(form.dataset.confirm);
  form.addEventListener('submit', (event) => {
    if (dialog.returnValue === 'confirm') return;
    event.preventDefault();
    dialog.showModal();
  });
  dialog.addEventListener('close', () => {
    if (dialog.returnValue === 'confirm') form.requestSubmit();
  });
}

// A button with data-copy copies the text of an element, one with data-copy-text this text.
function enableCopying(root) {
  for (const button of root.querySelectorAll('button[data-copy], button[data-copy-text]')) {
    button.hidden = !navigator.clipboard;
    button.addEventListener('click', async () => {
      const { copy, copyText } = button.dataset;
      await navigator.clipboard.writeText(copyText ?? document.querySelector(copy).textContent);
      button.textContent = copyText ? '✓' : 'Copied';
    });
  }
}
enableCopying(document);
