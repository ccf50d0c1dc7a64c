/* Shows the OpenAPI document of the selected service. The selection is part of the URL, so that it can be linked to. */
const serviceSelect = document.getElementById('service');
const requestedService = new URLSearchParams(location.search).get('service');
if ([...serviceSelect.options].some((option) => option.value === requestedService)) {
  serviceSelect.value = requestedService;
}

// Swagger UI applies its dark theme only if the root element has this class.
const darkScheme = matchMedia('(prefers-color-scheme: dark)');
function applyColorScheme() {
  document.documentElement.classList.toggle('dark-mode', darkScheme.matches);
}

function showDocument() {
  // The URL must be absolute: that of the page may contain user:password@, and browsers do not fetch relative to it.
  const url = `${location.origin}/openapi/${serviceSelect.value}.yaml`;
  document.getElementById('document').href = url;
  SwaggerUIBundle({
    url,
    dom_id: '#api',
    deepLinking: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}

darkScheme.addEventListener('change', applyColorScheme);
serviceSelect.addEventListener('change', () => {
  history.replaceState(null, '', `${location.origin}/docs/?service=${serviceSelect.value}`);
  showDocument();
});
applyColorScheme();
showDocument();
