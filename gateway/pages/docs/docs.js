/* Shows the document of the service chosen; the choice is in the address, so that it can be linked to. */
const choice = document.getElementById('service');
const named = new URLSearchParams(location.search).get('service');
if ([...choice.options].some((option) => option.value === named)) {
  choice.value = named;
}

function show() {
  // Whole addresses: the page's own may hold user:password@, and then a browser refuses to fetch relative to it.
  const url = `${location.origin}/openapi/${choice.value}.yaml`;
  document.getElementById('document').href = url;
  SwaggerUIBundle({ url, dom_id: '#api', deepLinking: false, tryItOutEnabled: true, validatorUrl: null });
}

choice.addEventListener('change', () => {
  history.replaceState(null, '', `${location.origin}/docs/?service=${choice.value}`);
  show();
});
show();
