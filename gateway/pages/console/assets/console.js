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

for (const button of document.querySelectorAll('button[data-copy]')) {
  button.hidden = !navigator.clipboard;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    button.textContent = 'Copied';
  });
}
