/* Forms that send a file to the API as it is, with progress, and then show the state of its load (?load=). */

for (const form of document.querySelectorAll('form[data-load-url]')) {
  const progress = form.querySelector('progress');
  const alert = form.querySelector('[role=alert]');
  const button = form.querySelector('button');
  const input = form.querySelector('input[type=file]');
  let key = '';
  form.hidden = false;

  // A file that is sent again after an error is loaded once.
  input.addEventListener('change', () => {
    key = crypto.getRandomValues(new Uint32Array(4)).join('-');
  });

  const fail = (message) => {
    alert.textContent = message;
    alert.hidden = false;
    progress.hidden = true;
    button.disabled = false;
  };

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const request = new XMLHttpRequest(); // fetch does not report the progress of an upload
    request.upload.addEventListener('progress', ({ loaded, total }) => {
      progress.value = total ? loaded / total : 0;
    });
    request.addEventListener('error', () => fail('The upload failed: the connection was lost.'));
    request.addEventListener('load', () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // The status is reported instead.
      }
      if (request.status === 202) window.location.search = new URLSearchParams({ load: answer.id });
      else fail(answer.detail ?? `The upload failed with status ${request.status}.`);
    });
    alert.hidden = true;
    progress.hidden = false;
    button.disabled = true;
    request.open('POST', form.dataset.loadUrl);
    request.setRequestHeader('Content-Type', form.dataset.loadType);
    request.setRequestHeader('Idempotency-Key', key);
    request.send(input.files[0]);
  });
}
