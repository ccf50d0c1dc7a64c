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

/* Return the group of an operation without tags: the first segment of its path except `api` and the version. */
function groupOfPath(path) {
  return path.split('/').find((segment) => segment && !/^(api|v\d+)$/.test(segment)) ?? 'other';
}

/* Return a copy of the OpenAPI document in which every operation has a tag. */
function addMissingTags(openapi) {
  const addTags = (path, operation) =>
    operation?.responses && !operation.tags?.length ? { ...operation, tags: [groupOfPath(path)] } : operation;
  const paths = Object.entries(openapi.paths ?? {}).map(([path, operations]) => [
    path,
    Object.fromEntries(Object.entries(operations).map(([method, operation]) => [method, addTags(path, operation)])),
  ]);
  return { ...openapi, paths: Object.fromEntries(paths) };
}

const groupOperations = () => ({
  statePlugins: {
    spec: { wrapActions: { updateJsonSpec: (original) => (openapi) => original(addMissingTags(openapi)) } },
  },
});

function showDocument() {
  // The URL must be absolute: that of the page may contain user:password@, and browsers do not fetch relative to it.
  const url = `${location.origin}/openapi/${serviceSelect.value}.yaml`;
  document.getElementById('document').href = url;
  SwaggerUIBundle({
    url,
    dom_id: '#api',
    plugins: [groupOperations],
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
