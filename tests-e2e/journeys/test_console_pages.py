"""Rules for every page of the console: accessibility, layout on narrow screens, origin and size of its content."""

import gzip
import secrets
from urllib.parse import urlsplit

import pika
import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import accessibility_violations, open_page
from quintet_e2e.clients import ok_json

# The pages are the same in both deployment modes.
pytestmark = pytest.mark.parametrize("stack", ["local"], indirect=True)

MAX_ASSETS_BYTES = 150_000


@pytest.fixture(scope="module")
def names():
    """Names of what the pages show, for the templates in PAGES; each is created once, by `content`."""
    suffix = secrets.token_hex(4)
    return {"sequence": f"invoices-{suffix}", "request_id": f"r-{suffix}"}


@pytest.fixture
def content(client, stack, names):
    definition = {"minimum": 1, "maximum": 99999, "format": "INV-{:05d}", "audit": True}
    ok_json(client.put(f"/sequences/{names['sequence']}", json=definition))
    headers = {"X-Request-ID": names["request_id"]}
    ok_json(client.post(f"/sequences/{names['sequence']}/next", json={"n": 3}, headers=headers))
    with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
        properties = pika.BasicProperties(message_id=f"m-{names['request_id']}", delivery_mode=2)
        connection.channel().basic_publish("", "specstore.refresh.dead", b'{"flow": "a/b/1"}', properties)


# Heading and path of each page.
PAGES = [
    ("Overview", "/"),
    ("Sequences", "/console/sequences"),
    ("{sequence}", "/console/sequences/{sequence}"),
    ("Messages", "/console/messages"),
    ("specstore.refresh", "/console/messages/specstore.refresh"),
    ("Users", "/console/users"),
    ("Trace", "/console/trace"),
    ("Trace", "/console/trace/{request_id}"),
]


@pytest.mark.parametrize(("heading", "path"), PAGES)
def test_page_is_accessible_in_both_color_schemes_and_on_a_phone(browser, stack, content, names, heading, path):
    with open_page(browser, stack, path.format(**names), color_scheme="light") as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading.format(**names))
        for color_scheme in ("light", "dark"):
            page.emulate_media(color_scheme=color_scheme)
            assert accessibility_violations(page) == []
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(("heading", "path"), PAGES)
def test_page_can_be_read_without_scripts(browser, stack, content, names, heading, path):
    with open_page(browser, stack, path.format(**names), java_script_enabled=False) as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading.format(**names))


def test_all_assets_are_small_and_come_from_this_host(browser, stack, content, names):
    urls = set()
    with open_page(browser, stack, "/") as page:
        page.on("request", lambda request: urls.add(request.url))
        for _, path in PAGES:
            page.goto(path.format(**names))
        assert {urlsplit(url).netloc for url in urls} == {urlsplit(stack.url).netloc}
        sizes = {url: len(gzip.compress(page.request.get(url).body())) for url in urls if "/console/assets/" in url}
    assert len(sizes) >= 3
    assert sum(sizes.values()) <= MAX_ASSETS_BYTES, sizes
