"""A page of another site, opened in Chromium by a user who is logged in, cannot change anything."""

import http.server
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from quintet_e2e import orders
from quintet_e2e.browser import chromium, open_page
from quintet_e2e.clients import ok_json
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow

# The ways in which a page can send requests: images, frames, forms and scripts with credentials.
PAGE = """<!DOCTYPE html><title>An offer</title><body><script>
const url = GATEWAY_URL;
const form = new FormData();
const rows = ['id|name|email|state|zipcode|birthday\\n', '99|Eve|e@e.com|NY|10001|Feb 27, 1963\\n'];
form.append('csv_file', new Blob(rows), 'malicious.csv');
const requests = [
  ['GET', '/sequence'], ['GET', '/batch-sequence?n=5'],
  ['POST', '/acme_orders/api/v1/orders/import', form],
  ['POST', '/api/sprocket/create/11/12/13/14/'],
  ['POST', '/sequences/SEQUENCE_NAME/next', new Blob(['{}'], {type: 'text/plain'})],
];
const send = ([method, path, body]) =>
  fetch(url + path, {method, body, mode: 'no-cors', credentials: 'include'}).catch(() => null);
const image = (path) => new Promise((done) => {
  const element = new Image();
  element.onload = element.onerror = done;
  element.src = url + path;
});
const frame = (path) => new Promise((done) => {
  const element = document.createElement('iframe');
  element.onload = element.onerror = done;
  element.src = url + path;
  document.body.append(element);
});
const submit = (path) => new Promise((done) => {
  const target = document.createElement('iframe');
  target.name = 'target';
  document.body.append(target);
  const element = document.createElement('form');
  Object.assign(element, {method: 'post', action: url + path, target: 'target', enctype: 'text/plain'});
  element.innerHTML = '<input name=\\'{"n": 1, "a": "\\' value=\\'"}\\'>';
  document.body.append(element);
  target.onload = done;
  element.submit();
  setTimeout(done, 3000);
});
(async () => {
  await Promise.all(requests.map(send));
  await Promise.all([image('/sequence?n=7'), image('/image-sequence'), frame('/json-sequence')]);
  await submit('/api/sprocket/create/21/22/23/24/');
  document.title = 'sent';
})();
</script>"""


@contextmanager
def foreign_site(page: str) -> Iterator[int]:
    """Serve the page on a port of this machine and yield the port."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def get_state(client, sequence_name):
    numbers = {
        sequence["name"]: sequence["last"] for sequence in ok_json(client.get("/sequences?limit=1000"))["sequences"]
    }
    imports = ok_json(client.get(f"{orders.API}/import/status"))["result"]
    return numbers, len(imports), ok_json(client.get("/api/sprockets"))["count"], numbers[sequence_name]


@pytest.mark.parametrize(
    ("host", "statuses"), [("127.0.0.1", {403}), ("localhost", {401, 403})], ids=["same site", "other site"]
)
def test_page_of_other_origin_changes_nothing(stack, client, host, statuses):
    """Another port of 127.0.0.1 is the same site but another origin, so Chromium attaches the credentials.

    `localhost` is another site, for which Chromium may withhold them.
    """
    sequence_name = f"test-{secrets.token_hex(4)}"
    ok_json(client.put(f"/sequences/{sequence_name}", json={"minimum": 1, "maximum": 1000}))
    before = get_state(client, sequence_name)
    foreign_page = PAGE.replace("GATEWAY_URL", f"'{stack.url}'").replace("SEQUENCE_NAME", sequence_name)
    with chromium() as browser, foreign_site(foreign_page) as port:
        page = browser.new_page(http_credentials={"username": stack.user, "password": stack.password})
        page.goto(f"{stack.url}/")
        assert "Quintet" in page.title()  # the user is logged in
        responses = []
        page.on("response", lambda response: responses.append((response.request.url, response.status)))
        page.goto(f"http://{host}:{port}/")
        page.wait_for_function("document.title === 'sent'")
        sent = {url.removeprefix(stack.url): status for url, status in responses if url.startswith(stack.url)}
        sent.pop("/console/assets/icon.svg", None)  # the browser may load the icon of the first page late
        assert {"/batch-sequence?n=5", "/api/sprocket/create/11/12/13/14/"} <= set(sent)
        assert set(sent.values()) <= statuses, sent
    assert get_state(client, sequence_name) == before


def test_page_of_same_origin_may_send_requests(stack, client):
    """The gateway accepts requests that the browser marks as `same-origin`."""
    with chromium() as browser, open_page(browser, stack, orders.PAGE, locale="en-US") as page:
        status = page.evaluate(
            """async () => {
                const response = await fetch('/sequences/batch-sequence/next', {method: 'POST',
                    headers: {'Content-Type': 'application/json'}, body: '{}'});
                return response.status;
            }"""
        )
    assert status == 200
    eventually(lambda: client.get("/sequences").ok)
