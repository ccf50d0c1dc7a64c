"""Rules for every page of the console: accessibility, layout on narrow screens, origin and size of its content."""

import secrets
from urllib.parse import urlsplit

import pika
import pytest
from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import accessibility_violations, open_page
from quintet_e2e.clients import ok_json
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import event_body, stream_path

# The pages are the same in both ways to run; their assets are installed in different ways.
MAX_ASSETS_BYTES = 150_000


@pytest.fixture(scope="module")
def names(stack):
    """Names of what the pages show, for the templates in PAGES; each is created once, by `content`."""
    suffix = secrets.token_hex(4)
    return {
        "sequence": f"invoices-{suffix}",
        "request_id": f"r-{suffix}",
        "stream": f"shop-{suffix}",
        "consumer": "billing",
        "dataset": f"wines-{suffix}",
        "order": orders.first_unused_id(),
        "factory": f"hall-{suffix}",
    }


@pytest.fixture
def content(client, stack, names):
    create_sequence(client, names)
    create_stream(client, names)
    if "factory_id" not in names:
        names |= create_flow_and_import(client, names)
        names["factory_id"] = create_factory(client, names)
    publish_dead_letter(stack)
    yield
    assert client.send("DELETE", "/dead-letters/specstore.refresh").ok


def publish_dead_letter(stack):
    with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
        properties = pika.BasicProperties(message_id=secrets.token_hex(16), delivery_mode=2)
        connection.channel().basic_publish("", "specstore.refresh.dead", b'{"flow": "a/b/1"}', properties)


def create_sequence(client, names):
    definition = {"minimum": 1, "maximum": 99999, "format": "INV-{:05d}", "audit": True}
    ok_json(client.put(f"/sequences/{names['sequence']}", json=definition))
    headers = {"X-Request-ID": names["request_id"]}
    ok_json(client.post(f"/sequences/{names['sequence']}/next", json={"n": 3}, headers=headers))


def create_stream(client, names):
    """Append events, block a consumer, and park an event for it."""
    path, headers = stream_path(names["stream"]), {"X-Producer-ID": "shop", "X-Consumer-ID": names["consumer"]}
    if client.get(path).ok:
        return
    bodies = [event_body(number=number) for number in range(3)]
    ids = ok_json(client.post(f"{path}/events", json=bodies, headers=headers))
    for event_id in [ids[0]] * 5 + [ids[1]]:
        nack = {"action": "NACK", "reason": "mailbox unavailable"}
        ok_json(client.post(f"{path}/events/{event_id}", data=nack, headers=headers))
    ok_json(client.put(f"{path}/schemas/OrderPlaced/1", json={"type": "object"}))


def create_flow_and_import(client, names):
    owner = Owner(client)
    owner.wait_for_end(owner.upload(names["dataset"], rows=[{"name": "Malbec", "year": "soon"}]))
    task_id = orders.upload(client, orders.orders_file(names["order"], 8))
    orders.wait_for_end(client, task_id)
    return {"owner": owner.id, "import": task_id}


def create_factory(client, names):
    chart = {
        "sprocket_production_actual": [5, 9],
        "sprocket_production_goal": [7, 8],
        "time": [1_700_000_000, 1_700_000_060],
    }
    factory = {"name": names["factory"], "chart_data": chart}
    ok_json(client.post("/api/sprocket/create/5/6/7/1"))
    return ok_json(client.post("/api/factories", json=factory))["id"]


# Heading and path of each page.
PAGES = [
    ("Overview", "/"),
    ("orders-service", "/console/services/orders-service"),
    ("Sequences", "/console/sequences"),
    ("{sequence}", "/console/sequences/{sequence}"),
    ("Streams", "/console/streams"),
    ("{stream}", "/console/streams/{stream}"),
    ("{stream}", "/console/streams/{stream}/consumers"),
    ("{consumer}", "/console/streams/{stream}/consumers/{consumer}"),
    ("{stream}", "/console/streams/{stream}/settings?name=OrderPlaced&version=1"),
    ("Orders", "/console/orders"),
    ("Import of orders.csv", "/console/orders/imports/{import}"),
    ("Order {order}", "/console/orders/{order}"),
    ("Datasets", "/console/datasets?example=1"),
    ("{owner}/{dataset}", "/console/datasets/{owner}/{dataset}"),
    ("{owner}/{dataset}", "/console/datasets/{owner}/{dataset}?pipeline={owner}/{dataset}/1/validation_report"),
    ("Factories", "/console/factories"),
    ("{factory}", "/console/factories/{factory_id}"),
    ("Sprockets", "/console/sprockets"),
    ("Invariants", "/console/invariants"),
    ("Messages", "/console/messages"),
    ("specstore.refresh", "/console/messages/specstore.refresh"),
    ("Users", "/console/users"),
    ("Trace", "/console/trace"),
    ("Trace", "/console/trace/{request_id}"),
]


@ON_ONE_STACK
@pytest.mark.parametrize(("heading", "path"), PAGES)
def test_page_is_accessible_in_both_color_schemes_and_on_a_phone(browser, stack, content, names, heading, path):
    with open_page(browser, stack, path.format(**names), color_scheme="light") as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading.format(**names))
        for color_scheme in ("light", "dark"):
            page.emulate_media(color_scheme=color_scheme)
            assert accessibility_violations(page) == []
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@ON_ONE_STACK
@pytest.mark.parametrize(("heading", "path"), PAGES)
def test_page_can_be_read_without_scripts(browser, stack, content, names, heading, path):
    with open_page(browser, stack, path.format(**names), java_script_enabled=False) as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading.format(**names))


def transferred_bytes(client, path):
    """Return the size of the body, compressed as for a browser."""
    response = client.get(path, stream=True)
    assert response.ok
    return len(response.raw.read())


def test_all_assets_are_small_and_come_from_this_host(browser, client, stack, content, names):
    urls = set()
    with open_page(browser, stack, "/") as page:
        page.on("request", lambda request: urls.add(request.url))
        for _, path in PAGES:
            page.goto(path.format(**names))
        assert {urlsplit(url).netloc for url in urls} == {urlsplit(stack.url).netloc}
    paths = [urlsplit(url).path for url in urls if "/console/assets/" in url]
    sizes = {path: transferred_bytes(client, path) for path in paths}
    assert {"/console/assets/console.css", "/console/assets/vendor/uPlot.iife.js"} < set(sizes)
    assert sum(sizes.values()) <= MAX_ASSETS_BYTES, sizes
